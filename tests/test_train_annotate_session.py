"""What is annotated, where it is kept, and how it goes on after an end."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.preprocess import Preprocessor
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.annotate.candidates import Candidate
from train.annotate.session import Changed, Session, open_session
from train.annotations import CANONICAL, PMD, Annotations, Points
from train.simulated import read_simulated

GRID = Grid(64, 32, 2.54, 2.54)
POINTS: Points = [(float(i), 2.0 * i, i % 3) for i in range(14)]


@pytest.fixture(scope="module")
def model() -> KeypointModel:
    return KeypointModel.from_files(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def people(model: KeypointModel) -> list[Candidate]:
    """Eight people, each on one map."""
    see = Preprocessor(GRID, model.manifest.grid, model.manifest.preprocessing)
    maps = read_simulated(range(8), GRID).pressure
    return [Candidate(f"a.matlog/{i}", pressure, GRID, see(pressure)) for i, pressure in enumerate(maps)]


@pytest.fixture
def begin(model: KeypointModel, people: list[Candidate], tmp_path: Path) -> Callable[[int], Session]:
    """Opens a session of so many maps on one and the same file."""
    return lambda count: open_session(tmp_path / "joints.json", CANONICAL, lambda _: people, model, count, "use it")


def test_an_end_and_a_new_start_lose_nothing(begin: Callable[[int], Session]) -> None:
    session = begin(5)
    done, begun, *_ = session.maps
    session.put(done, POINTS, True, 12)
    session.put(begun, POINTS, False, 34)
    again = begin(5)
    assert list(again.maps) == list(session.maps)
    assert again.accepted == 1
    states = {m["name"]: (m["points"], m["accepted"]) for m in again.as_json()["maps"]}
    assert states[done] == (POINTS, True)
    assert states[begun] == (POINTS, False)
    assert [states[name] for name in list(states)[2:]] == [(None, False)] * 3
    assert again.as_json()["active_s"] == 34


def test_more_maps_come_after_the_earlier_ones_and_fewer_leave_out_no_label(begin: Callable[[int], Session]) -> None:
    first = begin(4)
    last = list(first.maps)[-1]
    first.put(last, POINTS, True, 1)
    assert list(begin(6).maps)[:4] == list(first.maps)
    assert len(begin(6).maps) == 6
    assert list(begin(1).maps) == [next(iter(first.maps)), last]


def test_a_map_is_accepted_or_a_draft_never_both(begin: Callable[[int], Session]) -> None:
    session = begin(2)
    name = next(iter(session.maps))
    for accepted in (False, True, False):
        session.put(name, POINTS, accepted, 1)
        kept = Annotations.load(session.store.path)
        assert (name in kept.frames, name in kept.drafts) == (accepted, not accepted)


def test_labels_of_other_maps_in_the_file_are_kept(begin: Callable[[int], Session], tmp_path: Path) -> None:
    other = Annotations(CANONICAL, {"b.matlog/3": POINTS}, grids={"b.matlog": GRID}, selection=["b.matlog/3"])
    other.save(tmp_path / "joints.json")
    session = begin(2)
    assert "b.matlog/3" not in session.maps
    session.put(next(iter(session.maps)), POINTS, True, 1)
    kept = Annotations.load(tmp_path / "joints.json")
    assert kept.frames["b.matlog/3"] == POINTS
    assert kept.selection[0] == "b.matlog/3"
    assert len(kept.frames) == 2


def test_joints_beside_the_mat_are_refused(begin: Callable[[int], Session]) -> None:
    session = begin(1)
    with pytest.raises(ValueError, match="beside the mat"):
        session.put(next(iter(session.maps)), [(32.1, 1.0, 2), *POINTS[1:]], True, 1)
    assert not session.store.path.exists()


def test_a_file_that_somebody_else_wrote_meanwhile_is_not_overwritten(begin: Callable[[int], Session]) -> None:
    session = begin(2)
    name = next(iter(session.maps))
    session.put(name, POINTS, True, 1)
    session.store.path.write_text("mine")
    with pytest.raises(Changed, match=r"joints\.json was changed by another program"):
        session.put(name, POINTS, False, 1)
    assert session.store.path.read_text() == "mine"


def test_two_sessions_on_one_file_do_not_overwrite_each_other(begin: Callable[[int], Session]) -> None:
    first, second = begin(2), begin(2)
    one, other = first.maps
    first.put(one, POINTS, True, 1)
    with pytest.raises(Changed):
        second.put(other, POINTS, True, 1)
    assert list(Annotations.load(first.store.path).frames) == [one]


def test_files_of_others_and_about_other_maps_are_refused(
    model: KeypointModel, people: list[Candidate], begin: Callable[[int], Session], tmp_path: Path
) -> None:
    path = tmp_path / "joints.json"
    path.write_text("{}")
    with pytest.raises(Failure, match="no joints file of train-annotate") as failure:
        begin(2)
    assert failure.value.code == Exit.FOREIGN_DATA
    assert path.read_text() == "{}"
    Annotations(PMD["i"]).save(path)
    with pytest.raises(Failure, match="about other maps"):
        begin(2)
    Annotations(CANONICAL, grids={"a.matlog": Grid(32, 32, 2.54, 2.54)}).save(path)
    with pytest.raises(Failure, match="give the recording that was annotated"):
        begin(2)
    with pytest.raises(Failure, match="make it first") as failure:
        open_session(tmp_path / "no" / "joints.json", CANONICAL, lambda _: people, model, 2, "")
    assert failure.value.code == Exit.MISSING_INPUT


def test_maps_on_which_nobody_lies_are_refused(model: KeypointModel, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nobody lies") as failure:
        open_session(tmp_path / "joints.json", CANONICAL, lambda _: [], model, 2, "")
    assert failure.value.code == Exit.FOREIGN_DATA


def test_the_page_is_told_the_pressure_as_it_is_and_one_colour_scale(begin: Callable[[int], Session]) -> None:
    session = begin(3)
    told = json.loads(json.dumps(session.as_json()))
    for one, known in zip(told["maps"], session.maps.values(), strict=True):
        pressure = np.array(one["pressure"]).reshape(one["rows"], one["cols"])
        np.testing.assert_array_equal(pressure, known.candidate.pressure)
    every = np.concatenate([m["pressure"] for m in told["maps"]])
    assert np.mean(every > told["full_colour"]) == pytest.approx(0.003, abs=0.001)


def test_joints_that_are_known_already_are_the_start(model: KeypointModel, people: list[Candidate], tmp_path: Path):
    known = Candidate("a.matlog/0", people[0].pressure, GRID, people[0].model_input, POINTS)
    session = open_session(tmp_path / "joints.json", CANONICAL, lambda _: [known], model, 2, "")
    (told,) = session.as_json()["maps"]
    assert (told["guess"], told["guess_is"], told["points"]) == (POINTS, "the joints of --joints", None)
