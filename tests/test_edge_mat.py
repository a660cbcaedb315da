"""A live mat in use: faults that come, a calibration that is another mat's, known loads that people put on it.

The test is its port, without a thread.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from calibrations import COLS, ROWS, calibration
from edge_packages import GRID, frame, info, package

from edge.calibration import store
from edge.calibration.faults import WINDOW_S, WINDOWS
from edge.calibration.values import Calibration
from edge.control import Action, Command, Reply
from edge.latency import Stopwatch
from edge.mat import LiveMat, Places
from edge.model import KeypointModel
from edge.outputs.sink import Item
from edge.recorder import Recorder, RecordingSettings
from edge.session import Instant, Session
from edge.source import Arrival, PortReader
from firmware_bridge.decoder import Decoder, Frame, StreamCounts
from firmware_bridge.errors import Exit
from firmware_bridge.geometry import Grid
from firmware_bridge.link import LinkDown, ReopeningLink
from firmware_bridge.messages import Info
from firmware_bridge.person import still
from firmware_bridge.scans import Scan
from firmware_bridge.sensor import Sensor
from firmware_bridge.virtual_mat import VirtualMat, open_port

MAT = info()
POSTURE_S = 30
DEAD = 20, 15


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


@pytest.fixture(scope="module")
def scans() -> list[np.ndarray]:
    """One for each posture of many people on a mat with a dead taxel."""
    sensor = Sensor(0, GRID)
    sensor._faulty[:] = False
    scans = [
        sensor(still(seed, GRID).pressure_kpa).astype(np.uint16)
        for seed in range(round((WINDOWS + 1) * WINDOW_S) // POSTURE_S)
    ]
    for scan in scans:
        scan[DEAD] = 0
    return scans


def live_mat(model: KeypointModel, folder: Path, known: Calibration | None) -> LiveMat:
    reader = PortReader(ReopeningLink(lambda: open_port("sim:")))
    recorder = Recorder("bed", RecordingSettings(), reader.mailbox.put)
    session = Session(model, "bed", StreamCounts(), calibration=known, one_of_several=True)
    return LiveMat(reader, session, recorder, Places(folder, folder / "night"))


def watch(mat: LiveMat, scans: list[np.ndarray]) -> Iterator[Item]:
    """A frame a second."""
    for second in range(len(scans) * POSTURE_S):
        now = Instant(1_700_000_000 + second, second)
        mat.reader.mailbox.put(Arrival(frame(scans[second // POSTURE_S], second), MAT, now.unix_s, now.steady_s))
        yield from mat.turn(now, quit_on_loss=False)


def test_a_taxel_that_dies_in_use_is_found_told_of_and_kept_for_the_next_run(
    model: KeypointModel, scans: list[np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    zero = np.zeros((ROWS, COLS)).tolist()
    mat = live_mat(model, tmp_path, calibration(baseline_counts=zero))
    hellos = [item.line.ts - 1_700_000_000 for item in watch(mat, scans) if item.line.type == "hello"]
    assert len(hellos) == 2
    assert hellos[0] == 0
    assert hellos[1] >= WINDOWS * WINDOW_S
    assert [record.message for record in caplog.records] == ["bed: faulty taxels: 1 single taxel"]
    mat.close()
    kept = store.read(store.path_of(tmp_path, "bed"))
    assert kept
    assert [(fault.row, fault.col, fault.kind) for fault in kept.faults] == [(*DEAD, "dead")]


def test_with_the_calibration_of_another_mat_no_fault_is_looked_for(
    model: KeypointModel, scans: list[np.ndarray], tmp_path: Path
) -> None:
    other = calibration(8, 8)
    mat = live_mat(model, tmp_path, other)
    lines = [item.line.model_dump() for item in watch(mat, scans[:2])]
    assert [line["type"] for line in lines].count("hello") == 1
    reasons = [line["calibration"] for line in lines if line["type"] == "health"]
    assert all(reason == other.misfit(MAT) for reason in reasons)
    mat.close()
    assert list(tmp_path.iterdir()) == []


NOBODY = np.zeros((ROWS, COLS), np.float32)
EVEN = np.full((ROWS, COLS), 2.0, np.float32)
SLEEPER = still(5, GRID).pressure_kpa
KG_PER_KPA = GRID.pitch_x_cm * GRID.pitch_y_cm / 1e4 * 1000 / 9.81
MASS_KG = float(SLEEPER.sum()) * KG_PER_KPA
SECONDS_MOST = 60


class Bed:
    """A virtual mat on which lies what `kpa` says, behind a live mat; its clock is the test's."""

    def __init__(self, model: KeypointModel, folder: Path, mat: Info = MAT) -> None:
        self.kpa = NOBODY
        self.lines: list[dict[str, object]] = []
        self.answer: Future[Reply] = Future()
        self.mat = live_mat(model, folder, store.read(store.path_of(folder, "bed")))
        self.now = Instant(1_700_000_000, 0)
        self._sensor = Sensor(3, GRID)
        self._info = mat
        self.plug_in(mat)

    def plug_in(self, mat: Info) -> None:
        self._device = VirtualMat(mat, self._scans(mat), rate_mhz=10_000)
        self._decoder = Decoder()

    def _scans(self, mat: Info) -> Iterator[Scan]:
        while True:
            yield Scan(np.resize(self._sensor(self.kpa), (mat.rows, mat.cols)))

    def go_on(self, seconds: float, kpa: np.ndarray) -> None:
        self.kpa = kpa
        for _ in range(round(seconds * 10)):
            self.now = Instant(self.now.unix_s + 0.1, self.now.steady_s + 0.1)
            for received in self._decoder.feed(self._device.poll(round(self.now.steady_s * 1e6))):
                if isinstance(received.event, Info):
                    self._info = received.event
                if isinstance(received.event, Frame):
                    arrival = Arrival(received.event, self._info, self.now.unix_s, self.now.steady_s)
                    self.mat.reader.mailbox.put(arrival)
            self._keep(self.mat.turn(self.now, quit_on_loss=False))

    def ask(self, action: Action, mass_kg: float | None = None) -> "Future[Reply]":
        self.answer = Future()
        self._keep(self.mat.obey(Command("bed", action, mass_kg=mass_kg), self.answer, self.now))
        return self.answer

    def asked(self, action: Action, kpa: np.ndarray, mass_kg: float | None = None) -> Reply:
        """The answer, and two seconds more."""
        self.go_on(1, kpa)
        answer = self.ask(action, mass_kg)
        for _ in range(SECONDS_MOST):
            self.go_on(1, kpa)
            if answer.done():
                break
        self.go_on(2, kpa)
        return answer.result(0)

    def _keep(self, items: Iterator[Item]) -> None:
        self.lines += [item.line.model_dump() for item in items]

    def last(self, kind: str) -> dict[str, object]:
        return [line for line in self.lines if line["type"] == kind][-1]

    @property
    def units(self) -> list[object]:
        return [line["units"]["pressure"] for line in self.lines if line["type"] == "hello"]  # type: ignore[index]

    @property
    def events(self) -> list[object]:
        """But for who comes and goes."""
        names = [line["event"] for line in self.lines if line["type"] == "event"]
        return [name for name in names if name not in ("bed_entered", "bed_left", "turned")]


def test_a_mat_is_tared_evened_and_weighed_and_all_of_it_is_kept_for_the_next_run(
    model: KeypointModel, tmp_path: Path
) -> None:
    bed = Bed(model, tmp_path)
    assert bed.asked("tare", NOBODY).ok
    evened = bed.asked("even", EVEN)
    assert evened.ok, evened
    assert evened.text.startswith("calibrated: 9 of 10 gains are ")
    weighed = bed.asked("weigh", SLEEPER, MASS_KG)
    assert weighed.ok, weighed
    assert weighed.text.endswith(" counts are 1 kPa")
    assert bed.units == ["counts", "counts", "counts", "kPa"]
    assert bed.events == ["tared", "calibrated", "calibrated"]
    assert bed.last("event")["detail"] == weighed.text
    peak = bed.last("pose")["peak_pressure"]
    assert peak == pytest.approx(SLEEPER.max(), rel=0.4)
    bed.mat.close()
    again = Bed(model, tmp_path)
    again.go_on(2, SLEEPER)
    assert again.units == ["kPa"]
    assert again.last("pose")["peak_pressure"] == pytest.approx(peak, rel=0.05)


def test_a_calibration_that_the_disk_does_not_take_holds_until_the_end_and_says_so(
    model: KeypointModel, tmp_path: Path
) -> None:
    bed = Bed(model, tmp_path / "state")
    bed.asked("tare", NOBODY)
    (tmp_path / "state").rename(tmp_path / "away")
    (tmp_path / "state").write_text("in the way")
    reply = bed.asked("weigh", SLEEPER, MASS_KG)
    assert reply.ok
    assert "; until edge-run ends: cannot " in reply.text
    assert bed.units[-1] == "kPa"


@pytest.mark.parametrize(("action", "mass_kg"), [("even", None), ("weigh", 80.0)])
def test_only_a_tared_mat_is_calibrated(
    model: KeypointModel, tmp_path: Path, action: Action, mass_kg: float | None
) -> None:
    bed = Bed(model, tmp_path)
    assert bed.ask(action, mass_kg).result(0).text == "no frames come from this mat: nothing to calibrate"
    bed.go_on(1, NOBODY)
    assert bed.ask(action, mass_kg).result(0).text == "the mat is not tared yet: empty it and tare it first"
    assert bed.ask("weigh").result(0).text == "weigh needs mass_kg, the weight of whoever lies on the mat"
    assert list(tmp_path.iterdir()) == []


def test_a_load_that_is_refused_changes_nothing(model: KeypointModel, tmp_path: Path) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    before = (tmp_path / "bed.calibration.json").read_text()
    assert bed.asked("weigh", NOBODY, 80.0).text.startswith("nobody lies on the mat in ")
    assert bed.asked("even", SLEEPER).text.endswith("lay an even one on all of it")
    assert (tmp_path / "bed.calibration.json").read_text() == before
    assert bed.events == ["tared"]


def test_of_two_calibrations_at_once_the_later_one_counts_and_one_that_is_refused_at_once_ends_none(
    model: KeypointModel, tmp_path: Path
) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    bed.go_on(1, EVEN)
    first = bed.ask("weigh", 80.0)
    second = bed.ask("even")
    assert first.result(0) == Reply(False, "another calibration was asked for")
    assert not bed.ask("weigh").result(0).ok
    bed.go_on(4, EVEN)
    assert second.result(0).ok


def test_a_mat_is_quick_once_its_frames_are_and_while_nothing_is_calibrated(
    model: KeypointModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mat, took_s = live_mat(model, tmp_path, None), 0.02
    monkeypatch.setattr("edge.mat.Stopwatch", lambda began_s: Stopwatch(began_s, lambda: began_s + took_s))

    def see(frames: int) -> bool:
        for seq in range(frames):
            list(mat.frame(Arrival(frame(NOBODY, seq), MAT, 1_700_000_000.0, 0.0)))
        return mat.is_quick

    assert not see(10), "only a few were quick"
    assert see(50)
    took_s = 0.3
    assert not see(1)
    took_s = 0.02
    assert not see(10)
    assert see(20)
    list(mat.obey(Command("bed", "tare"), Future(), Instant(1_700_000_000.0, 0.0)))
    assert not mat.is_quick


def test_a_mat_that_falls_silent_meanwhile_is_not_calibrated(model: KeypointModel, tmp_path: Path) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    bed.go_on(1, SLEEPER)
    answer = bed.ask("weigh", MASS_KG)
    bed.go_on(1, SLEEPER)
    bed.mat.turn(bed.now._replace(steady_s=bed.now.steady_s + 60), quit_on_loss=False)
    list(bed.mat.turn(bed.now._replace(steady_s=bed.now.steady_s + 60), quit_on_loss=False))
    assert answer.result(0).text == "the mat sends no frames any more: nothing was calibrated"
    waiting = bed.ask("tare")
    assert waiting.result(0).text.startswith("no frames come")


def test_when_edge_run_ends_meanwhile_who_asked_is_told(model: KeypointModel, tmp_path: Path) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    answer = bed.ask("even")
    bed.mat.close()
    assert answer.result(0) == Reply(False, "edge-run ends")


@pytest.mark.parametrize("action", ["tare", "even", "weigh"])
def test_another_mat_that_is_plugged_in_meanwhile_is_not_mixed_with_the_first(
    model: KeypointModel, tmp_path: Path, action: Action
) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    answer = bed.ask(action, MASS_KG)
    bed.go_on(1, NOBODY)
    bed.plug_in(info(Grid(60, 32, 2.54, 2.54), device_id=9))
    bed.go_on(5, NOBODY)
    assert answer.result(0) == Reply(False, "the mat or its calibration has changed meanwhile: ask again")
    assert bed.events == ["tared", "reboot", "mat_changed"]


def test_an_orientation_that_people_chose_outlives_the_zero_that_is_stored_later(
    model: KeypointModel, tmp_path: Path
) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    turned: Future[Reply] = Future()
    list(bed.mat.obey(Command("bed", "turn", orientation="180"), turned, bed.now))
    assert turned.result(0) == Reply(True, "the mat lies turned by 180 from now on")
    bed.go_on(5, NOBODY)
    bed.mat.close()
    kept = store.read(store.path_of(tmp_path, "bed"))
    assert kept
    assert kept.orientation == "180"


def test_a_mat_that_was_turned_before_it_was_tared_keeps_its_orientation_for_the_next_run(
    model: KeypointModel, tmp_path: Path
) -> None:
    bed = Bed(model, tmp_path)
    bed.go_on(1, NOBODY)
    turned: Future[Reply] = Future()
    list(bed.mat.obey(Command("bed", "turn", orientation="180"), turned, bed.now))
    assert turned.result(0).text.endswith("tare it, or set its orientation in the configuration")
    assert bed.asked("tare", NOBODY).ok
    kept = store.read(store.path_of(tmp_path, "bed"))
    assert kept
    assert kept.orientation == "180"


def test_a_mat_that_is_turned_meanwhile_keeps_its_new_orientation(model: KeypointModel, tmp_path: Path) -> None:
    bed = Bed(model, tmp_path)
    bed.asked("tare", NOBODY)
    bed.go_on(1, EVEN)
    answer = bed.ask("even")
    bed.go_on(1, EVEN)
    turned: Future[Reply] = Future()
    list(bed.mat.obey(Command("bed", "turn", orientation="180"), turned, bed.now))
    assert turned.result(0).ok
    bed.go_on(5, EVEN)
    assert not answer.result(0).ok
    assert bed.asked("even", EVEN).ok
    kept = store.read(store.path_of(tmp_path, "bed"))
    assert kept
    assert kept.orientation == "180"
    assert kept.gain


def test_a_frame_that_came_before_the_port_was_lost_is_told_before_it(
    model: KeypointModel, scans: list[np.ndarray], tmp_path: Path
) -> None:
    """Otherwise the last that is said of a lost mat is that it is there."""
    mat = live_mat(model, tmp_path, None)
    mat.reader.mailbox.put(Arrival(frame(scans[0], 0), MAT, 1_700_000_000.0, 0.0))
    mat.reader.mailbox.put(LinkDown("port /dev/mat was lost", Exit.DEVICE_LOST, 0.0))
    items = mat.turn(Instant(1_700_000_000.0, 0.0), quit_on_loss=False)
    told = [getattr(item.line, "event", item.line.type) for item in items]
    assert told[-2:] == ["pose", "port_lost"]
    mat.close()


def test_a_recording_for_which_the_disk_has_no_room_is_not_said_to_run(model: KeypointModel, tmp_path: Path) -> None:
    mat = live_mat(model, tmp_path, None)
    mat.recorder.settings = RecordingSettings(min_free_mb=1e12)
    answer: Future[Reply] = Future()
    assert list(mat.obey(Command("bed", "record"), answer, Instant(0.0, 0.0))) == []
    assert answer.result() == Reply(
        False,
        "nothing is recorded yet: the disk has little more than 1e+12 MB free; it begins by itself once there is room",
    )
    mat.close()
