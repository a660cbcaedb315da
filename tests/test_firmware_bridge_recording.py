"""Recordings keep the messages as they came and play to their last whole message."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.decoder import Corrupt, Decoder, Frame, StreamCounts
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.messages import HostTime, Info
from firmware_bridge.recording import Recorded, RecordingWriter, Truncated, read_recording

INFO = Info("demo", "1", 1, 3, 3, 25_400, 25_400, 4095)


def frame(seq: int) -> bytes:
    return encode_frame(np.full((3, 3), seq, np.uint16), seq=seq, t_us=seq)


STREAM = [encode(INFO), frame(0), b"\xc0damaged\xc0", frame(2), frame(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """STREAM, a second between messages."""
    path = tmp_path / "a.matlog"
    with RecordingWriter(path) as recording:
        for second, raw in enumerate(STREAM):
            recording.write(raw, second * 1_000_000)
    return path


def test_messages_come_back_as_they_came_with_their_times(path: Path) -> None:
    decoder = Decoder()
    played = list(read_recording(path, decoder))
    assert [item.raw for item in played] == STREAM
    assert [item.unix_us for item in played] == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]
    assert [type(item.event) for item in played] == [Info, Frame, Corrupt, Frame, Frame]
    assert decoder.counts == StreamCounts(received=3, lost=1, corrupt=1, other_received=6)
    assert decoder.info == INFO


def test_recording_a_recording_gives_the_same_file(path: Path, tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "b.matlog") as again:
        for item in read_recording(path):
            again.write(item.raw, item.unix_us)
    assert (tmp_path / "b.matlog").read_bytes() == path.read_bytes()


def test_the_file_is_a_stream_of_the_wire_with_a_host_time_before_each_message(path: Path) -> None:
    events = [received.event for received in Decoder().feed(path.read_bytes())]
    assert events[0] == HostTime(0)
    assert events[1] == INFO
    assert all(isinstance(event, HostTime) for event in events[::2])
    assert len(events) == 2 * len(STREAM)


def test_what_comes_before_info_is_left_out(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "b.matlog") as recording:
        for raw in (frame(8), b"\xc0\x01\x01damaged info\xc0", encode(INFO), frame(9)):
            recording.write(raw, 5)
        assert recording.left_out == 2
    assert [item.raw for item in read_recording(tmp_path / "b.matlog")] == [encode(INFO), frame(9)]


def test_a_host_time_of_the_device_does_not_disturb_the_hosts(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "b.matlog") as recording:
        for raw in (encode(INFO), encode(HostTime(99)), b"\xc0\x01\x06damaged\xc0", frame(0)):
            recording.write(raw, 5)
    played = list(read_recording(tmp_path / "b.matlog"))
    assert [type(item.event) for item in played] == [Info, Corrupt, Frame]
    assert {item.unix_us for item in played} == {5}


def test_a_crash_loses_no_message_that_was_written(tmp_path: Path) -> None:
    """The file is read while the writer has it open, and never closed it."""
    recording = RecordingWriter(tmp_path / "b.matlog")
    recording.write(encode(INFO), 0)
    recording.write(frame(0), 0)
    assert [item.raw for item in read_recording(tmp_path / "b.matlog")] == [encode(INFO), frame(0)]
    recording.close()


def test_a_recording_cut_anywhere_plays_to_its_last_whole_message(path: Path, tmp_path: Path) -> None:
    """At every byte; the cut is reported, but where nothing of a message is missing."""
    wire = path.read_bytes()
    sizes = [len(encode(HostTime(second * 1_000_000), seq=second)) + len(raw) for second, raw in enumerate(STREAM)]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    torn = tmp_path / "torn.matlog"
    for length in range(ends[0], len(wire) + 1):
        torn.write_bytes(wire[:length])
        whole = sum(end <= length for end in ends)
        played = list(read_recording(torn))
        assert [item.raw for item in played if item.header or isinstance(item.event, Corrupt)] == STREAM[:whole]
        reported = [item.event for item in played if isinstance(item.event, Truncated)]
        spare_end = length - 1 in ends
        assert len(reported) == (0 if length in ends or spare_end else 1), length


@pytest.mark.parametrize("content", [b"", b"time,x,y\n1,2,3\n" * 1000, b"\xc0" * 500, bytes(range(256)) * 50])
def test_an_empty_or_foreign_file_is_one_failure(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.matlog"
    path.write_bytes(content)
    with pytest.raises(Failure, match=r"foreign\.matlog is (empty|no recording)") as caught:
        read_recording(path)
    assert caught.value.code == Exit.FOREIGN_DATA


def test_a_recording_cut_within_its_first_info_holds_nothing(path: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.matlog"
    torn.write_bytes(path.read_bytes()[:60])
    with pytest.raises(Failure, match="none of its messages is whole") as caught:
        read_recording(torn)
    assert caught.value.code == Exit.FOREIGN_DATA


def test_frames_without_info_are_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "dump.matlog"
    path.write_bytes(frame(0) + encode(INFO))
    with pytest.raises(Failure, match="no recording"):
        read_recording(path)


def test_a_missing_recording_is_one_failure(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.matlog", tmp_path):
        with pytest.raises(Failure, match="recording") as caught:
            read_recording(path)
        assert caught.value.code == Exit.MISSING_INPUT


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """The operating system writes as far as that, then it refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("more_bytes", [0, 1, 40])
def test_a_write_that_fails_half_way_leaves_whole_messages_and_can_be_gone_on_from(
    tmp_path: Path, more_bytes: int
) -> None:
    path = tmp_path / "b.matlog"
    with RecordingWriter(path) as recording:
        recording.write(encode(INFO), 0)
        recording.write(frame(0), 0)
        with files_end_at(recording.size_bytes + more_bytes), pytest.raises(OSError, match="too large"):
            recording.write(frame(1), 0)
        assert [item.raw for item in read_recording(path)] == [encode(INFO), frame(0)]
        recording.write(frame(2), 0)
        assert path.stat().st_size == recording.size_bytes
    assert [item.raw for item in read_recording(path)] == [encode(INFO), frame(0), frame(2)]


def test_an_info_that_could_not_be_written_is_still_awaited(tmp_path: Path) -> None:
    path = tmp_path / "b.matlog"
    with RecordingWriter(path) as recording:
        with files_end_at(20), pytest.raises(OSError, match="too large"):
            recording.write(encode(INFO), 0)
        recording.write(frame(0), 0)
        recording.write(encode(INFO), 0)
    assert [item.raw for item in read_recording(path)] == [encode(INFO)]


def test_a_recording_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(Failure, match="never overwritten") as caught:
        RecordingWriter(path)
    assert caught.value.code == Exit.USAGE
    assert path.read_bytes() == before


def test_a_recording_in_a_missing_folder_is_one_failure(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no folder") as caught:
        RecordingWriter(tmp_path / "no" / "a.matlog")
    assert caught.value.code == Exit.MISSING_INPUT


def test_a_torn_copy_of_a_long_recording_is_read_in_blocks(tmp_path: Path) -> None:
    """Messages across the blocks of reading stay whole."""
    path = tmp_path / "long.matlog"
    big = encode_frame(np.full((255, 255), 0xC0, np.uint16), seq=0, t_us=0)
    info = Info("demo", "1", 1, 255, 255, 25_400, 25_400, 4095)
    with RecordingWriter(path) as recording:
        recording.write(encode(info), 0)
        for _ in range(3):
            recording.write(big, 0)
    played: list[Recorded] = list(read_recording(path))
    assert [item.raw for item in played] == [encode(info), big, big, big]
