"""The virtual mat speaks the protocol as PROTOCOL.md has it, and `sim:` is one in this process."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.decoder import Decoder, Event, Frame, Part
from firmware_bridge.encoder import encode, encode_raw
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.header import Flag, Header, SampleFormat
from firmware_bridge.messages import Ack, AckResult, GetInfo, Info, Message, SetRate, Start, Status, Stop
from firmware_bridge.scans import Scan
from firmware_bridge.virtual_mat import INFO_EVERY_US, MAX_ANSWERS, VirtualLink, VirtualMat, open_port

INFO = Info("demo", "1", 0, 2, 3, 25_400, 25_400, 4095, frame_rate_mhz=10_000, device_id=5)


def scans(count: int = 1_000_000, value: int = 0) -> Iterator[Scan]:
    return (Scan(np.full((2, 3), value or i % 4000, np.uint16)) for i in range(count))


class Host:
    """Polls a mat every 10 ms of its time and decodes what it says."""

    def __init__(self, mat: VirtualMat) -> None:
        self.mat, self.decoder, self.now_us = mat, Decoder(), 5_000_000
        self._seq = 0

    def run(self, seconds: float, room: bool = True) -> list[Event]:
        events = []
        for _ in range(round(seconds * 100)):
            events += [received.event for received in self.decoder.feed(self.mat.poll(self.now_us, room))]
            self.now_us += 10_000
        return events

    def send(self, message: Message) -> int:
        self._seq += 1
        self.mat.receive(encode(message, seq=self._seq))
        return self._seq


def host(**options: object) -> Host:
    return Host(VirtualMat(INFO, scans(), **options))  # type: ignore[arg-type]


def frames(events: list[Event]) -> list[Frame]:
    return [event for event in events if isinstance(event, Frame)]


def test_it_says_who_it_is_and_then_streams_at_its_rate() -> None:
    sim = host(boot_id=77)
    events = sim.run(2)
    assert events[0] == replace(INFO, boot_id=77)
    sent = frames(events)
    assert [frame.seq for frame in sent] == list(range(20))
    assert [frame.t_us for frame in sent] == [i * 100_000 for i in range(20)]
    assert [frame.counts[0, 0] for frame in sent] == list(range(20))
    assert {frame.flags for frame in sent} == {Flag.SIMULATED}
    assert {frame.device_id for frame in sent} == {5}


def test_each_boot_has_a_new_id() -> None:
    assert len({host().mat.info.boot_id for _ in range(20)}) == 20


def test_a_host_that_only_listens_hears_info_and_status_again_and_again() -> None:
    events = host(boot_id=1).run(INFO_EVERY_US / 1e6 * 2.5)
    assert sum(isinstance(event, Info) for event in events) == 3
    assert [event for event in events if isinstance(event, Status)] == [
        Status(True, 10, 100, 0, 0),
        Status(True, 20, 200, 0, 0),
    ]


def test_it_answers_every_command() -> None:
    sim = host(boot_id=1)
    sim.run(1)
    sim.send(GetInfo())
    assert sim.run(0.01)[0] == replace(INFO, boot_id=1)
    seq = sim.send(Stop())
    events = sim.run(1)
    assert events == [Ack(Stop.TYPE, seq)]
    seq = sim.send(Start())
    events = sim.run(1)
    assert events[0] == Ack(Start.TYPE, seq)
    assert [frame.seq for frame in frames(events)] == list(range(11, 21))
    assert sim.decoder.counts.lost == 0
    seq = sim.send(SetRate(50_000))
    events = sim.run(1)
    assert events[:2] == [Ack(SetRate.TYPE, seq), replace(INFO, boot_id=1, frame_rate_mhz=50_000)]
    assert len(frames(events)) in (49, 50, 51)


def test_it_refuses_what_it_cannot_do() -> None:
    sim = host()
    sim.run(0.01)
    seq = sim.send(SetRate(0))
    unknown = Header.of(GetInfo.TYPE, seq=9)._replace(type=0xF0)
    sim.mat.receive(encode_raw(unknown, b"?") + b"garbage\xc0" + encode_raw(unknown._replace(version=3), b""))
    assert sim.run(0.01) == [
        Ack(SetRate.TYPE, seq, AckResult.BAD_VALUE),
        Ack(0xF0, 9, AckResult.UNKNOWN_TYPE),
    ]
    (status,) = (event for event in sim.run(11) if isinstance(event, Status))
    assert status.refused == 4


def test_a_flood_of_commands_is_answered_up_to_the_bound() -> None:
    sim = host()
    sim.run(0.01)
    sim.mat.receive(encode(GetInfo()) * 10_000)
    assert sum(isinstance(event, Info) for event in sim.run(1)) == MAX_ANSWERS


def test_scans_without_room_are_dropped_whole_and_counted_as_lost() -> None:
    sim = host()
    sim.run(1)
    assert sim.run(0.5, room=False) == []
    events = sim.run(1)
    first, *others = frames(events)
    assert first.flags == Flag.SIMULATED | Flag.OVERRUN
    assert {frame.flags for frame in others} == {Flag.SIMULATED}
    assert (sim.decoder.counts.received, sim.decoder.counts.lost) == (20, 5)


def test_answers_wait_for_room() -> None:
    sim = host()
    sim.run(0.01)
    sim.send(GetInfo())
    assert sim.run(0.1, room=False) == []
    assert isinstance(sim.run(0.01)[0], Info)


def test_a_mat_that_is_polled_late_slows_down_and_loses_nothing() -> None:
    sim = host()
    sim.run(0.05)
    sim.now_us += 3_000_000
    assert len(frames(sim.run(1))) == 10
    assert sim.decoder.counts.lost == 0


@pytest.mark.parametrize(
    ("sample_format", "bits", "counts"),
    [(SampleFormat.U8, 8, 3000 >> 4), (SampleFormat.U12, 12, 3000), (SampleFormat.U16, 12, 3000)],
)
def test_it_sends_each_format_with_the_full_scale_that_belongs_to_it(
    sample_format: SampleFormat, bits: int, counts: int
) -> None:
    sim = Host(VirtualMat(INFO, scans(value=3000), sample_format=sample_format))
    info, frame = sim.run(0.01)
    assert isinstance(info, Info)
    assert isinstance(frame, Frame)
    assert (info.adc_full_scale, frame.adc_bits) == ((1 << bits) - 1, bits)
    assert (frame.counts == counts).all()


def test_counts_at_full_scale_are_flagged_as_saturated() -> None:
    _, frame = Host(VirtualMat(INFO, scans(value=9999))).run(0.01)
    assert isinstance(frame, Frame)
    assert frame.flags == Flag.SIMULATED | Flag.SATURATED
    assert (frame.counts == 4095).all()


def test_it_sends_in_chunks() -> None:
    _, part, frame = host(chunk_rows=1).run(0.01)
    assert part == Part(0, 0, 1)
    assert isinstance(frame, Frame)


def test_it_stops_where_the_scans_end() -> None:
    sim = Host(VirtualMat(INFO, scans(3)))
    assert len(frames(sim.run(1))) == 3
    assert sim.mat.finished
    sim.send(Start())
    assert frames(sim.run(1)) == []


def test_it_tells_of_each_frame_sent_and_of_no_other() -> None:
    heard = []
    sim = Host(VirtualMat(INFO, scans(), on_frame=lambda *frame: heard.append(frame)))
    sent = frames([*sim.run(0.3), *sim.run(0.3, room=False), *sim.run(0.2)])
    assert [seq for seq, _, _ in heard] == [0, 1, 2, 6, 7]
    assert [(seq, t_us, int(scan.counts[0, 0])) for seq, t_us, scan in heard] == [
        (frame.seq, frame.t_us, int(frame.counts[0, 0])) for frame in sent
    ]


class TestLink:
    """`sim:` in this process."""

    def test_it_is_paced_by_the_clock(self) -> None:
        now_s = [50.0]

        def sleep(seconds: float) -> None:
            assert 0 < seconds <= 0.04
            now_s[0] += seconds

        link = VirtualLink(VirtualMat(INFO, scans()), lambda: now_s[0], sleep)
        decoder = Decoder()
        while now_s[0] < 52.0:
            decoder.feed(link.read(0.04))
        assert decoder.counts.received in (20, 21)
        link.write(encode(Stop()))
        (ack,) = decoder.feed(link.read(0.04))
        assert ack.event == Ack(Stop.TYPE, 0)
        link.close()

    def test_a_person_is_the_same_for_the_same_seed_and_another_for_another(self) -> None:
        def first_frames(port: str) -> list[list[list[int]]]:
            link, decoder, found = open_port(port), Decoder(), list[Frame]()
            while len(found) < 2:
                found += frames([received.event for received in decoder.feed(link.read(1))])
            return [frame.counts.tolist() for frame in found]

        fast = "sim:?rate=200&seed="
        assert first_frames(fast + "7") == first_frames(fast + "7") != first_frames(fast + "8")

    def test_its_settings_are_those_of_the_port_name(self) -> None:
        link = open_port("sim:?seed=3&rate=25&scene=empty&format=u8&chunk=8")
        decoder = Decoder()
        events: list[Event] = []
        while not frames(events):
            events += [received.event for received in decoder.feed(link.read(1))]
        info = decoder.info
        assert info is not None
        assert (info.rows, info.cols, info.frame_rate_mhz, info.adc_full_scale) == (64, 32, 25_000, 255)
        assert sum(isinstance(event, Part) for event in events) == 7

    @pytest.mark.parametrize("setting", ["seed=x", "rate=0", "rate=x", "scene=party", "format=u9", "chunk=65", "sed=7"])
    def test_a_setting_that_is_not_understood_is_a_usage_error(self, setting: str) -> None:
        with pytest.raises(Failure, match="sim:") as caught:
            open_port(f"sim:?{setting}")
        assert caught.value.code == Exit.USAGE
        assert "\n" not in str(caught.value)

    def test_any_other_name_is_a_serial_port(self) -> None:
        with pytest.raises(Failure, match="no port /dev/ttyNONE0"):
            open_port("/dev/ttyNONE0")
        open_port("loop://").close()
