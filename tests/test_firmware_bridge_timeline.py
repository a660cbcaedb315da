"""Every frame of a recording is found by its time, without reading all of it."""

from pathlib import Path

import numpy as np
import pytest

from firmware_bridge import timeline
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.messages import Info, Status
from firmware_bridge.recording import RecordingWriter, read_recording
from firmware_bridge.timeline import MARKS_MOST, Moment, Timeline

START_US = 1_700_000_000_000_000


def info(boot_id: int) -> Info:
    return Info("demo", "1", boot_id, 3, 3, 25_400, 25_400, 4095)


def frame(seq: int, chunk_rows: int | None = None) -> bytes:
    """Its samples are its number; END and ESC are among its bytes now and then."""
    counts = np.full((3, 3), seq, np.uint16)
    return encode_frame(counts, seq=seq, t_us=seq * 100_000, chunk_rows=chunk_rows)


def record(path: Path, messages: list[tuple[float, bytes]]) -> Path:
    """Each with the seconds after the start."""
    with RecordingWriter(path) as recording:
        for second, raw in messages:
            recording.write(raw, START_US + round(second * 1e6))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A frame each second from 1 to 400, a status half a second after it, a new boot after 192."""
    messages = [(0.0, encode(info(1)))]
    for second in range(1, 401):
        if second == 193:
            messages.append((second - 0.2, encode(info(2))))
        messages.append((second, frame(second)))
        messages.append((second + 0.5, encode(Status(True, second, second, 0, 0))))
    return record(tmp_path / "a.matlog", messages)


def shown(path: Path, moment: Moment) -> int:
    """The number of the first message that is played from there, which is a whole frame."""
    first = next(read_recording(path, Decoder(), moment.byte))
    assert isinstance(first.event, Frame)
    return int(first.event.counts[0, 0])


def test_a_moment_is_the_frame_that_came_last(path: Path) -> None:
    found = Timeline(path)
    assert (found.start_unix_s, found.length_s) == (START_US / 1e6, 400.0)
    for second in (1, 2, 191, 192, 193, 219, 399, 400):
        for late in (0.0, 0.4, 0.999):
            moment = found.at(second + late)
            assert shown(path, moment) == second
            assert moment.unix_us == START_US + second * 1_000_000
    assert [shown(path, found.at(time_s)) for time_s in (0.0, 0.99, 400.0, 1e12)] == [1, 1, 400, 400]


def test_playing_on_from_a_moment_gives_all_that_follows(path: Path) -> None:
    moment = Timeline(path).at(300.0)
    rest = [item.raw for item in read_recording(path, Decoder(), moment.byte)]
    assert rest == [item.raw for item in read_recording(path)][-len(rest) :]
    assert len(rest) == 2 * 101


def test_the_info_of_a_moment_is_the_one_before_it(path: Path) -> None:
    found = Timeline(path)
    boots = {second: found.info(found.at(second)) for second in (0, 1, 192, 193, 400)}
    assert {second: boot and boot.boot_id for second, boot in boots.items()} == {0: 1, 1: 1, 192: 1, 193: 2, 400: 2}


def test_what_is_known_beforehand_is_bounded_and_every_frame_still_found(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "READ_BYTES", 1)
    assert len(Timeline(path).marks) > 300
    monkeypatch.setattr(timeline, "MARKS_MOST", 7)
    few = Timeline(path)
    assert 5 <= len(few.marks) <= 7
    assert [shown(path, few.at(float(second))) for second in range(1, 401)] == list(range(1, 401))
    assert MARKS_MOST >= 1000  # of an 8 h night, one in 30 s


def test_a_frame_in_chunks_begins_with_the_first_one(tmp_path: Path) -> None:
    messages = [(0.0, encode(info(1)))]
    for second in range(1, 10):
        for number, chunk in enumerate(frame(second, chunk_rows=1).replace(b"\xc0\xc0", b"\xc0|\xc0").split(b"|")):
            messages.append((second + number / 10, chunk))
    path = record(tmp_path / "chunks.matlog", messages)
    found = Timeline(path)
    assert found.length_s == 9.0
    for second in range(1, 10):
        decoder = Decoder()
        decoder.info = info(1)
        events = [item.event for item in read_recording(path, decoder, found.at(second + 0.5).byte)]
        frames = [event for event in events if isinstance(event, Frame)]
        assert [one.counts[0, 0] for one in frames] == list(range(second, 10))
        assert (decoder.counts.lost, decoder.counts.received) == (0, 10 - second)


def test_a_frame_that_is_damaged_or_cut_off_is_no_moment(tmp_path: Path) -> None:
    damaged = frame(3).replace(b"\x03", b"\x04")
    messages = [(0, encode(info(1))), (1, frame(1)), (2, frame(2)), (3, damaged), (4, frame(4)), (5, frame(5))]
    path = record(tmp_path / "a.matlog", [(float(second), raw) for second, raw in messages])
    path.write_bytes(path.read_bytes()[:-5])
    found = Timeline(path)
    assert found.length_s == 4.0
    assert [shown(path, found.at(float(second))) for second in range(7)] == [1, 1, 2, 2, 4, 4, 4]


def test_a_clock_that_is_set_back_stands_still_until_it_has_caught_up(tmp_path: Path) -> None:
    seconds = [1.0, 2.0, 3.0, 4.0, 1.5, 2.5, 3.5, 4.5, 5.5]
    messages = [(0.0, encode(info(1))), *((second, frame(number)) for number, second in enumerate(seconds))]
    path = record(tmp_path / "a.matlog", messages)
    found = Timeline(path)
    assert found.length_s == 5.5
    assert [shown(path, found.at(second)) for second in (2.0, 3.9, 4.0, 4.4, 4.5, 5.5)] == [1, 2, 6, 6, 7, 8]


def test_a_clock_that_is_set_back_for_good_takes_nothing_of_the_length(tmp_path: Path) -> None:
    seconds = [1.0, 2.0, 3.0, -3599.0, -3598.0]
    messages = [(0.0, encode(info(1))), *((second, frame(number)) for number, second in enumerate(seconds))]
    found = Timeline(record(tmp_path / "a.matlog", messages))
    assert found.length_s == 3.0


def test_without_frames_it_has_no_length(tmp_path: Path) -> None:
    path = record(tmp_path / "a.matlog", [(0.0, encode(info(1))), (9.0, encode(info(1), seq=1))])
    found = Timeline(path)
    assert found.length_s == 0
    assert found.at(5.0).byte == 0


def test_what_is_no_recording_is_refused_as_by_its_reader(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no recording") as missing:
        Timeline(tmp_path / "missing.matlog")
    assert missing.value.code == Exit.MISSING_INPUT
    (tmp_path / "empty.matlog").touch()
    with pytest.raises(Failure, match="is empty") as empty:
        Timeline(tmp_path / "empty.matlog")
    assert empty.value.code == Exit.FOREIGN_DATA
