"""Who came, who left, who turned: once each, whatever single frames say."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, frame, info

from edge.behaviour import LARGEST_WEIGHT, OCCUPANCY_SETTLES_S, POSTURE_SETTLES_S, Behaviour, Settling
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from firmware_bridge.body import random_body
from firmware_bridge.motion import motion
from firmware_bridge.scans import simulated_scans
from train.pmd import read_pmd

Seen = tuple[bool, str | None]
EMPTY: Seen = (False, None)
SUPINE: Seen = (True, "supine")
LEFT: Seen = (True, "left")
RIGHT: Seen = (True, "right")


def story(behaviour: Behaviour, seen: Iterable[Seen], rate_hz: float, start_s: float = 0.0) -> list[tuple[float, str]]:
    """(time, event or posture turned to) of frames at `rate_hz`."""
    told = []
    for i, (occupied, posture) in enumerate(seen):
        t_s = start_s + i / rate_hz
        for happened in behaviour.step(t_s, occupied, posture):
            told.append((t_s, str(behaviour.posture) if happened.event == "turned" else happened.event))
    return told


def names(behaviour: Behaviour, seen: Iterable[Seen], rate_hz: float = 10.0, start_s: float = 0.0) -> list[str]:
    return [name for _, name in story(behaviour, seen, rate_hz, start_s)]


def in_bed(posture: Seen = SUPINE) -> Behaviour:
    """Somebody who has lain like this for 10 s, at time 10."""
    behaviour = Behaviour()
    assert names(behaviour, [posture] * 100) == ["bed_entered"]
    assert behaviour.posture == posture[1]
    return behaviour


@pytest.mark.parametrize("rate_hz", [1.0, 10.0, 40.0])
def test_coming_turning_and_leaving_are_told_once_each_and_in_time(rate_hz: float) -> None:
    behaviour = Behaviour()
    stages = [EMPTY, SUPINE, LEFT, EMPTY]
    told = story(behaviour, [stage for stage in stages for _ in range(int(20 * rate_hz))], rate_hz)
    assert [name for _, name in told] == ["bed_entered", "left", "bed_left"]
    for (t_s, _), began_s, settles_s in zip(
        told, [20, 40, 60], [OCCUPANCY_SETTLES_S, POSTURE_SETTLES_S, OCCUPANCY_SETTLES_S], strict=True
    ):
        assert began_s + settles_s - 1 / rate_hz - 1e-6 <= t_s <= began_s + max(settles_s, 3 / rate_hz)


def test_the_first_posture_is_no_turn() -> None:
    behaviour = in_bed(LEFT)
    assert behaviour.turns == 0
    assert behaviour.posture_since_s == pytest.approx(OCCUPANCY_SETTLES_S + POSTURE_SETTLES_S, abs=0.2)


@pytest.mark.parametrize("rate_hz", [1.0, 10.0, 40.0])
@pytest.mark.parametrize("wrong", [LEFT, EMPTY], ids=["posture", "occupancy"])
def test_a_single_wrong_frame_changes_nothing(wrong: Seen, rate_hz: float) -> None:
    behaviour = in_bed()
    seen = ([SUPINE] * 9 + [wrong]) * 30
    assert names(behaviour, seen, rate_hz, 10.0) == []
    assert (behaviour.occupied, behaviour.posture) == (True, "supine")


def test_a_posture_that_flickers_is_no_turn() -> None:
    assert names(in_bed(), [LEFT, LEFT, SUPINE] * 200, start_s=10.0) == []


def test_a_turn_counts_although_one_frame_in_ten_is_wrong() -> None:
    assert names(in_bed(), ([LEFT] * 9 + [SUPINE]) * 10, start_s=10.0) == ["left"]


def test_postures_on_the_way_are_no_turns() -> None:
    assert names(in_bed(LEFT), [SUPINE] * 15 + [RIGHT] * 60, start_s=10.0) == ["right"]


def test_a_posture_that_nobody_knows_neither_turns_nor_settles() -> None:
    behaviour = in_bed()
    assert names(behaviour, [(True, None)] * 500, start_s=10.0) == []
    assert behaviour.posture == "supine"
    pressure_only = Behaviour()
    assert names(pressure_only, [(True, None)] * 500) == ["bed_entered"]
    assert (pressure_only.posture, pressure_only.posture_since_s) == (None, None)
    assert pressure_only.unturned_s(50.0) == pytest.approx(50.0 - OCCUPANCY_SETTLES_S, abs=0.1)


def test_the_next_person_begins_anew() -> None:
    behaviour = in_bed()
    assert names(behaviour, [LEFT] * 100, start_s=10.0) == ["left"]
    assert behaviour.turns == 1
    assert names(behaviour, [EMPTY] * 30, start_s=20.0) == ["bed_left"]
    assert (behaviour.occupied, behaviour.posture, behaviour.posture_since_s) == (False, None, None)
    assert behaviour.unturned_s(23.0) is None
    assert names(behaviour, [RIGHT] * 100, start_s=23.0) == ["bed_entered"]
    assert (behaviour.posture, behaviour.turns) == ("right", 0)
    assert behaviour.occupancy_since_s == pytest.approx(23 + OCCUPANCY_SETTLES_S, abs=0.3)


def test_the_time_without_a_turn_counts_from_the_last_turn_or_from_coming_to_bed() -> None:
    behaviour = in_bed()
    assert names(behaviour, [SUPINE] * 7190, 1.0, start_s=10.0) == []
    assert behaviour.unturned_s(7200.0) == pytest.approx(7200 - OCCUPANCY_SETTLES_S, abs=0.1)
    assert names(behaviour, [LEFT] * 100, start_s=7200.0) == ["left"]
    assert behaviour.unturned_s(7210.0) == pytest.approx(10 - POSTURE_SETTLES_S, abs=1)


def test_one_frame_after_a_gap_says_no_more_than_any_other() -> None:
    for wrong in (LEFT, EMPTY):
        behaviour = in_bed()
        assert names(behaviour, [wrong, *[SUPINE] * 50], start_s=3600.0) == []
        assert behaviour.unturned_s(3605.0) == pytest.approx(3605 - OCCUPANCY_SETTLES_S, abs=0.1)


@pytest.mark.parametrize("rate_hz", [0.1, 1e-4])
def test_on_the_slowest_mats_three_frames_settle_it(rate_hz: float) -> None:
    behaviour = Behaviour()
    told = story(behaviour, [SUPINE] * 8 + [LEFT] * 4 + [EMPTY] * 4, rate_hz)
    assert [(round(t_s * rate_hz), name) for t_s, name in told] == [(3, "bed_entered"), (10, "left"), (14, "bed_left")]


def test_time_that_goes_back_or_stands_still_is_no_time() -> None:
    behaviour = in_bed()
    for t_s in (9.0, 0.0, -1e9, 9.9):
        assert behaviour.step(t_s, True, "left") == []
        assert behaviour.step(t_s, False, None) == []
    assert (behaviour.occupied, behaviour.posture) == (True, "supine")


def test_what_is_remembered_of_a_flood_of_values_is_one_share_each() -> None:
    settling = Settling("supine", 3.0)
    for i in range(100_000):
        settling.see(str(i % 17), 0.025)
    assert len(settling._shares) == 18
    assert sum(settling._shares.values()) == pytest.approx(1)
    assert max(settling._shares.values()) < LARGEST_WEIGHT


def test_people_are_told_from_what_to_what() -> None:
    behaviour = in_bed()
    details = [h.detail for i in range(100) for h in behaviour.step(10 + i / 10, True, "left")]
    assert details == ["from supine to left"]
    left = [h.detail for i in range(100) for h in behaviour.step(3602 + i / 10, False, None)]
    assert left == ["the bed is empty after 60 min; turns: 1"]


def truth(seed: int, rate_hz: float, seconds: float) -> Iterator[tuple[str, Seen]]:
    """What the simulated person does, and what a perfect model would see of it."""
    rng = np.random.default_rng(seed)
    for state in islice(motion(rng, random_body(rng), GRID, rate_hz), int(seconds * rate_hz)):
        lying = state.what.split("_")[0] if state.lying and state.what != "turning" else None
        yield state.what, (state.presence > 0.5 and state.pose is not None, lying)


def expected(acts: Iterable[str], classes: dict[str, str]) -> list[str]:
    """The acts' events: in and out of bed, and each posture of another class than the one before."""
    told: list[str] = []
    posture = None
    for act, _ in groupby(acts):
        if act == "getting out":
            told.append("bed_left")
        elif act == "getting in":
            told.append("bed_entered")
            posture = None
        elif act not in ("empty", "turning"):
            side = act.split("_")[0]
            before, posture = posture, classes.get(side, side)
            if before not in (None, posture):
                told.append(posture)
    return told


@pytest.mark.parametrize(("seed", "rate_hz"), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 10.0), (4, 10.0), (5, 40.0)])
def test_of_simulated_nights_every_turn_is_told_and_none_is_invented(seed: int, rate_hz: float) -> None:
    """One frame in thirty says something else, which is what the model's worst people have."""
    rng = np.random.default_rng(seed)
    seconds = min(900, 8000 / rate_hz)
    acts, seen = zip(*truth(seed, rate_hz, seconds), strict=True)
    wrong = [EMPTY, SUPINE, LEFT, RIGHT]
    flawed = [wrong[rng.integers(4)] if rng.random() < 1 / 30 else true for true in seen]
    last = max(i for i, act in enumerate(acts) if act == "turning")  # what comes later may not have settled
    events = expected(acts[:last], {})
    assert len(events) > seconds / 25
    assert names(Behaviour(), flawed[: last + 1], rate_hz) == events


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(KeypointModel.from_files(DEFAULT_MODEL), info())


def test_of_a_simulated_night_the_model_sees_every_turn(pipeline: Pipeline) -> None:
    """One frame a second: from the scans' counts, through occupancy and posture of the real model."""
    acts, seen = [], []
    for scan in islice(simulated_scans(2, GRID, 1.0), 256):
        result = pipeline.step(frame(scan.counts))
        assert scan.moment
        acts.append(scan.moment.posture)
        seen.append((result.occupied, result.posture))
    events = expected(acts, {"reclined": "supine"})
    assert events.count("bed_left") == 1
    assert len(events) > 12
    assert names(Behaviour(), seen, 1.0) == events


def test_of_a_real_person_every_turn_is_told_and_none_is_invented(pipeline: Pipeline, pmd: Path) -> None:
    """Person 13, whom the model never saw: the postures as one night at 1 frame/s, and once more after a break.

    Without posture 6, on the left by 30 degrees on a wedge, which the model takes for lying on the back.
    """
    maps = read_pmd(pmd, [13])
    postures = [group.posture for group in maps.groups]
    order = [0, 1, 2, 7, 3, 8, 4, 6, 12, 13, 9, 14, 15, 16, 10, 11]
    night: list[Seen] = []
    for group in order:
        for counts in maps.pressure[maps.group_index == group][:12]:
            result = pipeline.step(frame(counts))
            night.append((result.occupied, result.posture))
    turns = [now for was, now in pairwise(postures[group] for group in order) if was != now]
    assert len(turns) == 10
    behaviour = Behaviour()
    assert names(behaviour, night, 1.0) == ["bed_entered", *turns]
    assert behaviour.turns == len(turns)
    assert names(behaviour, [EMPTY] * 300 + night, 1.0, 1000.0) == ["bed_left", "bed_entered", *turns]
