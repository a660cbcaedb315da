"""When a mat's state is said: facts at once, numbers a second apart, nothing new at an interval."""

import json
from typing import Any

import pytest
from broker import HEALTH, NOBODY, PORT_LOST, POSE

from edge.outputs.mqtt.state import MatState, StateOfMat, numbers_differ


def said(state: MatState | None) -> dict[str, Any]:
    assert state is not None
    return dict(json.loads(state.model_dump_json()))


def known(every_s: float = 30.0) -> StateOfMat:
    """One whose state was said at 0 s."""
    mat = StateOfMat(every_s)
    mat.take(HEALTH, 0.0)
    assert mat.take(POSE, 0.0)
    return mat


def test_nothing_is_said_before_the_first_pose() -> None:
    mat = StateOfMat(30)
    assert mat.take(HEALTH, 0.0) is None
    assert said(mat.take(POSE, 0.1)) == {
        "ts": 2.0, "occupied": True, "posture": "supine", "cop_cm": [40.1, 80.0], "contact_area_cm2": 4567.9,
        "peak_pressure": 900.0, "turns": 1, "fps": 40.0, "lost": 3, "corrupt": 2, "recording": False,
    }  # fmt: skip


def test_an_empty_mat_has_no_centre_and_no_posture() -> None:
    mat = StateOfMat(30)
    mat.take(HEALTH.model_copy(update={"occupied": False, "posture": None, "fps": None}), 0.0)
    state = said(mat.take(NOBODY, 0.0))
    assert (state["occupied"], state["cop_cm"], state["posture"], state["fps"]) == (False, None, None, None)


def test_somebody_who_lies_still_is_told_of_at_the_interval_only() -> None:
    mat = known()
    assert [now for now in range(1, 65) if mat.take(POSE, now)] == [30, 60]


def test_somebody_who_moves_is_told_of_once_a_second() -> None:
    mat = known()
    moves = [(tenth / 10, POSE.model_copy(update={"cop_cm": (tenth * 5.0, 80.0)})) for tenth in range(1, 31)]
    assert [now for now, pose in moves if mat.take(pose, now)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_the_noise_of_an_empty_mat_is_told_of_at_the_interval_only(unit: float) -> None:
    """Whatever its unit: 3, 4 or 5 counts, or what these are in kPa."""
    mat = StateOfMat(30)
    mat.take(HEALTH.model_copy(update={"occupied": False, "posture": None}), 0.0)
    empty = NOBODY.model_copy(update={"contact_area_cm2": 0.0})
    noise = [(now, empty.model_copy(update={"peak_pressure": unit * (3 + now % 3)})) for now in range(65)]
    assert [now for now, pose in noise if mat.take(pose, now)] == [0, 30, 60]


def test_a_single_frame_without_anybody_tells_of_nobody_who_left() -> None:
    mat = known()
    state = said(mat.take(NOBODY, 5.0))
    assert (state["occupied"], state["posture"], state["cop_cm"]) == (True, "supine", None)


@pytest.mark.parametrize(
    "changes", [{"occupied": False, "posture": None}, {"posture": "left", "turns": 2}, {"recording": True}]
)
def test_coming_going_turning_and_recording_are_told_at_once(changes: dict[str, Any]) -> None:
    mat = known()
    assert said(mat.take(HEALTH.model_copy(update=changes), 0.01)).items() >= changes.items()


def test_other_lines_change_nothing() -> None:
    mat = known()
    assert mat.take(PORT_LOST, 5.0) is None
    assert mat.take(HEALTH, 5.0) is None


@pytest.mark.parametrize(
    ("changes", "says_so"),
    [
        ({"lost": 4}, True),
        ({"corrupt": 3}, True),
        ({"cop_cm": None}, True),
        ({"fps": None}, True),
        ({"cop_cm": (40.0, 81.9)}, False),
        ({"cop_cm": (40.0, 82.1)}, True),
        ({"contact_area_cm2": 4049.0}, False),
        ({"contact_area_cm2": 3949.0}, True),
        ({"peak_pressure": 91.0}, False),
        ({"peak_pressure": 89.0}, True),
        ({"fps": 40.9}, False),
        ({"fps": 38.9}, True),
        ({"ts": 99.0}, False),
    ],
)
def test_only_what_leaves_the_deadband_is_a_change(changes: dict[str, Any], says_so: bool) -> None:
    before = MatState(
        ts=1.0, occupied=True, posture="supine", cop_cm=(40.0, 80.0), contact_area_cm2=4000.0, peak_pressure=100.0,
        turns=0, fps=40.0, lost=3, corrupt=2, recording=False,
    )  # fmt: skip
    after = before.model_copy(update=changes)
    assert numbers_differ(after, before) is says_so
    assert numbers_differ(before, after) is says_so
