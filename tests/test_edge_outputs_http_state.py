"""Whether frames are fresh, judged by what was said last and when."""

from dataclasses import dataclass

import pytest
from live_items import LiveMat

from edge.control import Playing
from edge.outputs.http.state import EVENTS_KEPT, SILENT_S, Replay, State
from edge.outputs.sink import Item


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> State:
    return State(["bed"], clock)


@pytest.fixture(scope="module")
def mat() -> LiveMat:
    mat = LiveMat()
    mat.meet()
    return mat


def reason(state: State) -> str | None:
    fresh, said = state.fresh()
    assert fresh == said["fresh"] == said["mats"]["bed"]["fresh"]
    return None if fresh else said["mats"]["bed"]["reason"]


def test_a_mat_of_which_nothing_came_is_not_fresh(state: State) -> None:
    assert reason(state) == "no INFO and no frame has come yet"


def test_frames_make_it_fresh_and_a_stale_mat_is_not(state: State) -> None:
    mat = LiveMat()
    for item in [*mat.meet(), *mat.frame()]:
        state.take(item)
    assert reason(state) is None
    for item in mat.stale():
        state.take(item)
    assert reason(state) == "no fresh frames"
    for item in mat.frame():
        state.take(item)
    assert reason(state) is None


def test_a_daemon_that_hangs_is_not_fresh_whatever_it_said_last(state: State, clock: Clock) -> None:
    mat = LiveMat()
    for item in [*mat.meet(), *mat.frame()]:
        state.take(item)
    clock.now_s += SILENT_S
    assert reason(state) is None
    clock.now_s += 1
    assert reason(state) == "the daemon has said nothing for 31 s"


@pytest.mark.parametrize("paused", [True, False])
def test_a_paused_replay_has_nothing_to_say(state: State, clock: Clock, paused: bool) -> None:
    mat = LiveMat()
    for item in [*mat.meet(), *mat.frame()]:
        state.take(item)
    state.take(Item(Replay.of(Playing(1.7e9, 12.5, 60.0, paused), "bed")))
    clock.now_s += 31
    assert reason(state) == (None if paused else "the daemon has said nothing for 31 s")


def test_whoever_goes_on_after_a_pause_is_given_time(state: State, clock: Clock) -> None:
    mat = LiveMat()
    for item in [*mat.meet(), *mat.frame()]:
        state.take(item)
    clock.now_s += 1000
    state.take(Item(Replay.of(Playing(1.7e9, 12.5, 60.0, paused=False), "bed")))
    assert reason(state) is None


def test_the_end_of_a_replay_is_not_fresh(state: State) -> None:
    mat = LiveMat()
    for item in [*mat.meet(), *mat.frame(), mat.session.end(mat._now)]:
        state.take(item)
    assert reason(state) == "the run has ended"


def test_one_stale_mat_of_two_is_enough(clock: Clock) -> None:
    state, mat = State(["bed", "couch"], clock), LiveMat()
    for item in [*mat.meet(), *mat.frame()]:
        state.take(item)
    fresh, said = state.fresh()
    assert not fresh
    assert [said["mats"][name]["fresh"] for name in ("bed", "couch")] == [True, False]


def test_the_age_of_the_newest_pose_grows_with_the_clock(state: State, clock: Clock, mat: LiveMat) -> None:
    assert state.pose_age_s("bed") is None
    state.take(next(mat.poses()))
    clock.now_s += 2.5
    assert state.pose_age_s("bed") == 2.5


def test_the_pose_before_a_new_grid_is_forgotten(state: State) -> None:
    mat = LiveMat()
    for item in [*mat.meet(), *mat.frame(), *mat.turn("90")]:
        state.take(item)
    latest = state.as_json()["bed"]
    assert latest["pose"] is None
    assert (latest["hello"]["grid"]["rows"], latest["health"]["type"]) == (32, "health")


def test_events_are_kept_up_to_a_bound(state: State, mat: LiveMat) -> None:
    for number in range(10 * EVENTS_KEPT):
        state.take(mat.event("fresh", f"number {number}"))
    events = [event["detail"] for event in state.as_json()["bed"]["events"]]
    assert events == [f"number {number}" for number in range(9 * EVENTS_KEPT, 10 * EVENTS_KEPT)]
