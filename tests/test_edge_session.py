"""Which lines tell of what a mat does: the session has no clock, so every moment is chosen here."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration
from edge_packages import frame, info, package

from edge.latency import STAGES, Stopwatch
from edge.model import KeypointModel
from edge.outputs.sink import Item
from edge.session import Instant, Session
from edge.smoothing import Smoothing
from firmware_bridge.decoder import StreamCounts
from firmware_bridge.errors import Exit
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.link import LinkDown, LinkUp
from train.pmd import read_pmd

MAT = info()
LOST = LinkDown("port /dev/mat was lost", Exit.DEVICE_LOST, 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


@pytest.fixture(scope="module")
def counts(pmd: Path) -> np.ndarray:
    return np.asarray(read_pmd(pmd, [2]).medians().pressure[0].astype(np.uint16))


@pytest.fixture
def session(model: KeypointModel) -> Session:
    return Session(model, "bed", StreamCounts())


def at(seconds: float) -> Instant:
    return Instant(1_700_000_000 + seconds, seconds)


def said(items: Iterable[Item]) -> list[str]:
    """Type of each line, or what happened."""
    return [getattr(item.line, "event", item.line.type) for item in items]


def dumped(item: Item) -> dict[str, Any]:
    return item.line.model_dump()


def test_hello_comes_first_then_health_then_poses(session: Session, counts: np.ndarray) -> None:
    assert said(session.link(LinkUp(0.0), at(0))) == []
    assert said(session.meet(MAT, at(0))) == ["hello", "health"]
    assert said(session.frame(frame(counts), MAT, at(1))) == ["pose"]
    assert session.end(at(2)).line.type == "end"


def test_a_frame_whose_info_was_not_announced_is_preceded_by_hello(session: Session, counts: np.ndarray) -> None:
    assert said(session.frame(frame(counts), MAT, at(0))) == ["hello", "health", "pose"]
    assert said(session.meet(MAT, at(0))) == []


def test_nothing_is_said_before_the_mat_is_known_but_all_is_counted(session: Session) -> None:
    missing = LinkDown("no port /dev/mat", Exit.MISSING_INPUT, 0.0)
    for change in (missing, LinkUp(1.0), LOST):
        assert said(session.link(change, at(0))) == []
    assert said(session.tick(at(60))) == []
    assert dumped(session.end(at(60)))["counts"]["port_losses"] == 1


def test_the_log_tells_once_of_an_open_port_from_which_no_info_comes(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    warnings = []
    for opened_s in (0, 40):
        assert said(session.link(LinkUp(0.0), at(opened_s))) == []
        caplog.clear()
        for passed_s in (2, 4, 30):
            assert said(session.tick(at(opened_s + passed_s))) == []
        warnings += [record.getMessage() for record in caplog.records]
        lost = LinkDown("not a byte came", Exit.DEVICE_LOST, opened_s + 30)
        assert said(session.link(lost, at(opened_s + 30))) == []
    assert warnings == ["bed: the port is open, but no INFO comes from a mat: edge-doctor says why"]


@pytest.mark.parametrize(("one_of_several", "prefix"), [(False, ""), (True, "50 % bed: ")])
def test_the_log_says_which_of_several_mats_it_is(
    model: KeypointModel,
    counts: np.ndarray,
    caplog: pytest.LogCaptureFixture,
    one_of_several: bool,
    prefix: str,
) -> None:
    caplog.set_level("INFO")
    other = calibration(8, 8)
    session = Session(model, "50 % bed", StreamCounts(), calibration=other, one_of_several=one_of_several)
    list(session.link(LinkUp(0.0), at(0)))
    for second in range(4):
        list(session.frame(frame(counts, second), MAT, at(second)))
    list(session.meet(info(Grid(8, 8, 2.54, 2.54)), at(5)))
    opened, misfit, entered, _, pressure_only = [record.getMessage() for record in caplog.records]
    assert opened == f"{prefix}the port is open after 0.0 s"
    assert misfit == f"{prefix}{other.misfit(MAT)}"
    assert entered == f"{prefix}somebody is in bed"
    assert pressure_only.startswith(f"{prefix}pressure only: the mat is 20 x 20 cm")


def test_nothing_is_said_of_a_mat_behind_a_port_that_is_lost(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    list(session.link(LinkUp(0.0), at(0)))
    list(session.link(LinkDown("unplugged", Exit.DEVICE_LOST, 1), at(1)))
    caplog.clear()
    list(session.tick(at(60)))
    assert not caplog.records


def test_losses_of_the_port_and_reboots_are_events(session: Session, counts: np.ndarray) -> None:
    list(session.frame(frame(counts), MAT, at(0)))
    assert said(session.link(LOST, at(1))) == ["port_lost"]
    assert said(session.link(LinkDown("no port", Exit.MISSING_INPUT, 1.0), at(1))) == ["port_waiting"]
    assert said(session.link(LinkUp(1.0), at(2))) == ["port_open"]
    again = info(boot_id=8)
    lines = list(session.frame(frame(counts), again, at(2.5)))
    assert said(lines) == ["reboot", "pose"]
    assert dumped(lines[-1])["boot_id"] == 8


def test_another_mat_on_the_port_says_hello_again(session: Session, counts: np.ndarray) -> None:
    list(session.meet(MAT, at(0)))
    turned = info(orientation=Orientation(3), boot_id=8)
    device = np.ascontiguousarray(Orientation(3).from_canonical(counts))
    assert said(session.frame(frame(device), turned, at(1))) == ["reboot", "mat_changed", "hello", "pose"]


def test_info_that_repeats_itself_or_changes_the_rate_says_nothing(session: Session) -> None:
    list(session.meet(MAT, at(0)))
    assert said(session.meet(info(), at(1))) == []
    assert said(session.meet(info(frame_rate_mhz=20_000), at(1))) == []


@pytest.mark.parametrize(("rate_mhz", "limit_s"), [(10_000, 3.0), (1000, 5.0), (500, 10.0), (None, 3.0)])
def test_a_mat_is_stale_after_three_seconds_or_five_frames(
    session: Session, counts: np.ndarray, rate_mhz: int | None, limit_s: float
) -> None:
    mat = info(frame_rate_mhz=rate_mhz)
    list(session.frame(frame(counts), mat, at(0)))
    assert said(session.tick(at(limit_s - 0.01))) == []
    lines = list(session.tick(at(limit_s + 0.01)))
    assert said(lines) == ["stale", "health"]
    assert dumped(lines[-1])["status"] == "stale"
    assert said(session.tick(at(limit_s + 0.02))) == []
    lines = list(session.frame(frame(counts, 1), mat, at(limit_s + 1)))
    assert said(lines) == ["fresh", "health", "pose"]
    assert dumped(lines[1])["status"] == "ok"


def test_a_mat_that_never_sends_a_frame_is_stale(session: Session) -> None:
    list(session.meet(MAT, at(0)))
    assert said(session.tick(at(5.1))) == ["stale", "health"]


def test_the_rate_of_a_mat_that_does_not_tell_is_learned(session: Session, counts: np.ndarray) -> None:
    mat = info(frame_rate_mhz=None)
    for seconds in (0, 2):
        list(session.frame(frame(counts, seconds), mat, at(seconds)))
    assert said(session.tick(at(11))) == ["health"]
    assert said(session.tick(at(12.1))) == ["stale", "health"]


def test_an_outage_is_not_taken_for_the_rate_of_a_mat_that_does_not_tell(session: Session, counts: np.ndarray) -> None:
    mat = info(frame_rate_mhz=None)
    for seconds in (0, 1, 2, 3602):
        list(session.tick(at(seconds)))
        list(session.frame(frame(counts, seconds & 0xFF), mat, at(seconds)))
    assert said(session.tick(at(3607.1)))[0] == "stale"


def test_a_mat_that_does_not_tell_its_rate_may_become_slower(session: Session, counts: np.ndarray) -> None:
    mat = info(frame_rate_mhz=None)
    for seconds in (0, 1, 2, 12, 22):
        list(session.frame(frame(counts, seconds), mat, at(seconds)))
    assert "stale" not in said(session.tick(at(71)))
    assert "stale" in said(session.tick(at(73)))


def test_setting_the_clock_back_makes_nothing_stale(session: Session, counts: np.ndarray) -> None:
    list(session.frame(frame(counts), MAT, at(0)))
    assert said(session.tick(Instant(1_700_000_000 - 3600, 1.0))) == []
    assert said(session.tick(Instant(1_700_000_000 + 3600, 2.0))) == []


def test_health_comes_every_ten_seconds_and_when_somebody_turns_out_to_be_in_bed_and_how_they_lie(
    session: Session, counts: np.ndarray
) -> None:
    told = []
    for second in range(35):
        items = [*session.frame(frame(counts, second), MAT, at(second)), *session.tick(at(second))]
        healths = [dumped(item) for item in items if item.line.type == "health"]
        told += [(second, health["occupied"], health["posture"] is not None) for health in healths]
    assert told[:3] == [(0, False, False), (3, True, False), (6, True, True)]
    assert [second for second, *_ in told[3:]] == [16, 26]


def test_a_mat_that_does_not_fit_is_pressure_only_with_the_reason(session: Session) -> None:
    small = info(Grid(16, 16, 2.54, 2.54))
    lines = list(session.meet(small, at(0)))
    assert said(lines) == ["hello", "health"]
    health = dumped(lines[1])
    assert health["status"] == "pressure_only"
    assert "41 x 41 cm" in health["reason"]
    lines = list(session.frame(frame(np.zeros((16, 16))), small, at(1)))
    assert said(lines) == ["pose"]


def test_failing_inference_is_told_once_and_its_end_too(
    session: Session, model: KeypointModel, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model_input: np.ndarray) -> list[np.ndarray]:
        raise RuntimeError("no memory")

    list(session.frame(frame(counts), MAT, at(0)))
    with monkeypatch.context() as patch:
        patch.setattr(model, "invoke", fail)
        assert said(session.frame(frame(counts, 1), MAT, at(1))) == ["pose", "health"]
        assert session.problem == "inference failed: no memory"
        assert said(session.frame(frame(counts, 2), MAT, at(2))) == ["pose"]
        assert said(session.frame(frame(counts * 0, 3), MAT, at(3))) == ["pose"]
    lines = list(session.frame(frame(counts, 4), MAT, at(4)))
    assert said(lines) == ["pose", "health"]
    assert dumped(lines[1])["status"] == "ok"


def test_the_end_holds_the_counts(model: KeypointModel, counts: np.ndarray) -> None:
    stream = StreamCounts(received=3, lost=2)
    session = Session(model, "bed", stream)
    for seq in range(2):
        list(session.frame(frame(counts, seq), MAT, at(seq)))
    session.dropped = 1
    end = dumped(session.end(at(9)))
    assert (end["seq"], end["mat"], end["ts"]) == (1, "bed", 1_700_000_009)
    numbers = {key: end["counts"][key] for key in ("received", "lost", "poses", "dropped")}
    assert numbers == {"received": 3, "lost": 2, "poses": 2, "dropped": 1}


def test_a_live_pose_tells_how_long_each_stage_took(session: Session, counts: np.ndarray) -> None:
    clock = iter(np.arange(101.0, 200.0))
    *_, item = session.frame(frame(counts), MAT, at(0), Stopwatch(100.0, lambda: float(next(clock))))
    assert item.picture is not None
    assert item.picture.stages_ms == dict.fromkeys(STAGES, 1000.0)
    assert dumped(item)["latency_ms"] == 1000.0 * len(STAGES)


def test_a_replayed_pose_has_no_latency(session: Session, counts: np.ndarray) -> None:
    *_, item = session.frame(frame(counts), MAT, at(0))
    assert item.picture is not None
    assert item.picture.stages_ms == {}
    assert dumped(item)["latency_ms"] is None


def test_a_pose_brings_the_pressure_map_and_the_joints_before_smoothing(
    model: KeypointModel, counts: np.ndarray
) -> None:
    session = Session(model, "bed", StreamCounts(), smoothing=Smoothing())
    for seq in range(5):
        shown = np.roll(counts, seq, axis=0)
        *_, item = session.frame(replace(frame(shown, seq), t_us=100_000 * seq), MAT, at(seq / 10))
    assert item.picture is not None
    np.testing.assert_array_equal(item.picture.pressure, shown)
    assert item.picture.unit == "counts"
    smooth = [[joint["x_cm"], joint["y_cm"]] for joint in dumped(item)["joints"].values()]
    assert item.picture.raw_joints is not None
    moved_cm = np.linalg.norm(item.picture.raw_joints[:, :2] - smooth, axis=1)
    assert 0.1 < moved_cm.mean() < 10


def test_a_calibration_that_comes_while_somebody_lies_there_takes_nothing_of_their_load(
    session: Session, counts: np.ndarray
) -> None:
    """Another unit, or a mat that lies otherwise, begins anew: its sums would not go on from these."""

    def loaded_s(items: Iterable[Item]) -> float:
        (load,) = [dumped(item)["load"] for item in items if item.line.type == "health"][-1:]
        return float(max(site["loaded_s"] for site in load.values()))

    def lie(since_s: int) -> Iterator[Item]:
        for s in range(since_s, since_s + 40):
            yield from session.frame(frame(counts, s), MAT, at(s))
            yield from session.tick(at(s))

    before = loaded_s(lie(0))
    assert before > 20
    assert said(session.use(calibration(baseline_counts=np.zeros((ROWS, COLS)).tolist()), at(40))) == ["hello"]
    assert loaded_s(lie(40)) > before + 20
    list(session.turn(Orientation(2), at(80)))
    assert session._regions
    assert max(load.loaded_s for load in session._regions.loads().values()) == 0
