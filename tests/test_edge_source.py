"""The port's side of a live run: INFO is asked for, recording is lossless, the newest frame wins."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edge_packages import info

from edge.recorder import Recorder, RecordingSettings
from edge.source import ASK_INFO_EVERY_S, MAX_NOTICES, Arrival, Mailbox, PortReader
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.link import Link, LinkDown, LinkLost, LinkUp, ReopeningLink
from firmware_bridge.messages import GetInfo, Info
from firmware_bridge.recording import read_recording
from firmware_bridge.scans import Scan
from firmware_bridge.virtual_mat import VirtualMat, open_port

FRAME_US = 100_000


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Cable:
    """A link to a virtual mat; each read takes a tenth of a second, and it can be torn."""

    def __init__(self, mat: VirtualMat, clock: Clock) -> None:
        self.mat, self.clock = mat, clock
        self.torn = False
        self.written: list[bytes] = []

    def read(self, timeout_s: float) -> bytes:
        if self.torn:
            raise LinkLost("the cable was torn")
        self.clock.sleep(FRAME_US / 1e6)
        return self.mat.poll(round(self.clock() * 1e6))

    def idle(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.mat.receive(data)

    def close(self) -> None:
        pass


def new_mat(boot_id: int = 7) -> VirtualMat:
    scans = (Scan(np.full((64, 32), n & 0xFFF, np.uint16)) for n in itertools.count())
    return VirtualMat(info(), scans, rate_mhz=10_000, boot_id=boot_id)


def silent_about_itself(mat: VirtualMat, clock: Clock) -> VirtualMat:
    """As if the INFO of its boot had gone by before the port was opened."""
    mat.poll(round(clock() * 1e6))
    return mat


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cables() -> list[Cable]:
    return []


def reader_of(clock: Clock, open_link: Callable[[], Link], recorder: Recorder | None = None) -> PortReader:
    link = ReopeningLink(open_link, clock, clock.sleep, lambda: 1.0)
    return PortReader(link, recorder, steady_s=clock, unix_us=lambda: round(clock() * 1e6))


def opener(clock: Clock, cables: list[Cable], mats: list[VirtualMat]) -> Callable[[], Link]:
    def open_link() -> Link:
        cables.append(Cable(mats[len(cables)], clock))
        return cables[-1]

    return open_link


def test_a_frame_arrives_with_its_info_and_the_time_of_its_last_byte(clock: Clock, cables: list[Cable]) -> None:
    reader = reader_of(clock, opener(clock, cables, [new_mat()]))
    for _ in range(2):
        reader.read_once(0.2)
    notices, told, arrival = reader.mailbox.take()
    assert notices == [LinkUp(0.0)]
    assert arrival is not None
    assert arrival.info is told
    assert (arrival.steady_s, arrival.unix_s) == (clock.now_s, pytest.approx(clock.now_s))
    assert arrival.frame.counts.shape == (64, 32)


def test_the_newest_frame_wins_and_the_others_are_counted(clock: Clock, cables: list[Cable]) -> None:
    reader = reader_of(clock, opener(clock, cables, [new_mat()]))
    for _ in range(11):
        reader.read_once(0.2)
    _, _, arrival = reader.mailbox.take()
    assert arrival is not None
    assert arrival.frame.seq == 9
    assert (reader.counts.received, reader.mailbox.dropped) == (10, 9)
    assert reader.mailbox.take() == ([], None, None)


def test_a_frame_after_which_nothing_waits_is_offered_at_once(clock: Clock, cables: list[Cable]) -> None:
    reader = reader_of(clock, opener(clock, cables, [new_mat()]))
    offered: list[int] = []

    def at_once(arrival: Arrival) -> bool:
        offered.append(arrival.frame.seq)
        return arrival.frame.seq < 3

    reader.at_once = at_once
    for _ in range(6):
        reader.read_once(0.2)
    assert offered == [1, 2, 3, 4], "the first came with INFO, which goes before it"
    assert reader.mailbox.dropped == 2
    arrival = reader.mailbox.take()[2]
    assert arrival is not None
    assert arrival.frame.seq == 4


def test_what_the_port_had_already_is_read_on_before_anything_is_made_of_it(clock: Clock) -> None:
    frames = [encode_frame(np.zeros((64, 32), np.uint16), seq=n, t_us=n * FRAME_US) for n in range(4)]
    reads = iter([encode(info()), frames[0], frames[1] + frames[2], frames[3]])
    more = iter([True, False])

    class Port(Cable):
        def read(self, timeout_s: float) -> bytes:
            return next(reads)

        def idle(self) -> bool:
            return not next(more)

    reader = reader_of(clock, lambda: Port(new_mat(), clock))
    offered: list[int] = []
    reader.at_once = lambda arrival: not offered.append(arrival.frame.seq)  # type: ignore[func-returns-value]
    for _ in range(5):
        reader.read_once(0.2)
    assert offered == [3]
    assert reader.counts.received == 4


def test_a_frame_is_recorded_whatever_is_made_of_it_at_once(clock: Clock, cables: list[Cable], tmp_path: Path) -> None:
    recorder = Recorder("bed", RecordingSettings(min_free_mb=0))
    recorder.start(tmp_path / "night.matlog")
    reader = reader_of(clock, opener(clock, cables, [new_mat()]), recorder)

    def at_once(arrival: Arrival) -> bool:
        raise Failure("the model broke", Exit.BAD_CONFIG)

    reader.at_once = at_once
    reader.read_once(0.2)
    reader.read_once(0.2)  # its frame comes with INFO, which goes before it
    with pytest.raises(Failure, match="the model broke"):
        reader.read_once(0.2)
    recorder.close()
    played = [recorded.event for recorded in read_recording(tmp_path / "night.matlog")]
    assert sum(isinstance(event, Frame) for event in played) == 2


def test_info_is_asked_for_when_the_port_opens_and_again_until_it_comes(clock: Clock, cables: list[Cable]) -> None:
    mat = silent_about_itself(new_mat(), clock)
    deaf = reader_of(clock, opener(clock, cables, [mat]))
    mat.receive = lambda data: None  # type: ignore[method-assign]
    deaf.read_once(0.2)
    asked_s = [clock.now_s]
    while len(cables[0].written) < 3:
        n = len(cables[0].written)
        deaf.read_once(0.2)
        asked_s += [clock.now_s] * (len(cables[0].written) - n)
    assert np.diff(asked_s) == pytest.approx(ASK_INFO_EVERY_S, abs=0.11)
    questions = [received.event for data in cables[0].written for received in Decoder().feed(data)]
    assert questions == [GetInfo()] * 3


def test_frames_before_the_first_info_are_dropped_and_counted(clock: Clock, cables: list[Cable]) -> None:
    mat = silent_about_itself(new_mat(), clock)
    reader = reader_of(clock, opener(clock, cables, [mat]))
    for _ in range(4):
        reader.read_once(0.2)
    _, told, arrival = reader.mailbox.take()
    assert isinstance(told, Info)
    assert arrival is not None
    assert reader.counts.received == reader.mailbox.dropped + 1
    assert reader.mailbox.dropped >= 1


def test_after_a_loss_frames_wait_for_the_info_of_what_came_back(clock: Clock, cables: list[Cable]) -> None:
    mats = [new_mat(7), silent_about_itself(new_mat(8), clock)]
    reader = reader_of(clock, opener(clock, cables, mats))
    for _ in range(5):
        reader.read_once(0.2)
    assert reader.mailbox.take()[2] is not None
    cables[0].torn = True
    arrivals: list[Arrival] = []
    notices = []
    for _ in range(12):
        reader.read_once(0.2)
        new, _, arrival = reader.mailbox.take()
        notices += new
        arrivals += [arrival] if arrival else []
    assert [type(n) for n in notices] == [LinkDown, LinkUp]
    assert arrivals
    assert {arrival.info.boot_id for arrival in arrivals} == {8}
    assert reader.counts.reboots == 1


def test_a_frame_of_another_shape_than_info_says_goes_no_further(clock: Clock) -> None:
    class Liar(Cable):
        def read(self, timeout_s: float) -> bytes:
            self.clock.sleep(0.1)
            chunks = encode_frame(np.zeros((8, 8), np.uint16), seq=0, t_us=0, chunk_rows=4)
            second = chunks.index(b"\xc0\xc0") + 1
            return chunks[:second] + encode(info()) + chunks[second:]

    reader = reader_of(clock, lambda: Liar(new_mat(), clock))
    for _ in range(3):
        reader.read_once(0.2)
    assert reader.mailbox.take()[2] is None


def test_recording_keeps_every_frame_that_the_pipeline_never_saw(
    clock: Clock, cables: list[Cable], tmp_path: Path
) -> None:
    path = tmp_path / "all.matlog"
    recorder = Recorder("bed", RecordingSettings(min_free_mb=0))
    recorder.start(path)
    reader = reader_of(clock, opener(clock, cables, [new_mat()]), recorder)
    for _ in range(101):
        reader.read_once(0.2)
    recorder.close()
    assert reader.mailbox.dropped == 99
    frames = [recorded for recorded in read_recording(path) if isinstance(recorded.event, Frame)]
    assert [f.event.seq for f in frames if isinstance(f.event, Frame)] == list(range(100))
    assert np.diff([f.unix_us for f in frames]) == pytest.approx(FRAME_US, abs=1)


def no_permission() -> Link:
    raise Failure("no permission to open port /dev/mat", Exit.PERMISSION)


def test_a_missing_permission_is_an_error_after_ten_seconds_only(clock: Clock) -> None:
    reader = reader_of(clock, no_permission)
    start_s = clock.now_s
    with pytest.raises(Failure, match="no permission") as refused:  # noqa: PT012 - the time before it is the point
        while True:
            reader.read_once(0.2)
            clock.sleep(0.01)
    assert refused.value.code == Exit.PERMISSION
    assert clock.now_s - start_s == pytest.approx(10, abs=0.5)


def test_a_permission_that_udev_grants_late_is_no_error(clock: Clock, cables: list[Cable]) -> None:
    late = clock.now_s + 6
    open_mat = opener(clock, cables, [new_mat()])
    reader = reader_of(clock, lambda: no_permission() if clock.now_s < late else open_mat())
    while clock.now_s < late + 20:
        reader.read_once(0.2)
    assert reader.mailbox.take()[2] is not None


def test_the_thread_ends_with_stop_and_hands_over_what_came() -> None:
    reader = PortReader(ReopeningLink(lambda: open_port("sim:?rate=100")))
    reader.start()
    arrival = None
    while arrival is None:
        _, _, arrival = reader.mailbox.take()
    reader.stop()
    reader.mailbox.discard()
    assert reader.counts.received >= 1


def test_what_no_waiting_mends_reaches_the_main_loop() -> None:
    reader = PortReader(ReopeningLink(lambda: open_port("sim:?colour=red")))
    reader.start()
    with pytest.raises(Failure, match="colour"):  # noqa: PT012
        while True:
            reader.mailbox.take()
    reader.stop()


def test_a_flood_of_notices_keeps_the_latest() -> None:
    mailbox = Mailbox()
    for n in range(10 * MAX_NOTICES):
        mailbox.put(LinkUp(float(n)))
    notices, _, _ = mailbox.take()
    assert notices == [LinkUp(float(n)) for n in range(9 * MAX_NOTICES, 10 * MAX_NOTICES)]
