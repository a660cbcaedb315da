"""Recordings of a running daemon: nothing is lost, nothing of others is touched, a full disk harms nobody."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
from edge_packages import info
from pydantic import ValidationError

from edge.recorded_files import delete_oldest, safe_name
from edge.recorder import (
    MAX_CHORES,
    RETRY_S,
    Recorder,
    RecordingChange,
    RecordingSettings,
    RecordingStarted,
    RecordingStopped,
)
from firmware_bridge.decoder import Corrupt, Decoder, Frame
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.messages import Info
from firmware_bridge.recording import Truncated, read_recording, remembered

START_US = 1_700_000_000_000_000
START_NAME = "20231114T221320Z"
INFO = encode(info())
CAP_SYS_ADMIN = 21
HERE = RecordingSettings(min_free_mb=0)


def frame(seq: int, *, chunk_rows: int | None = None) -> bytes:
    """3.1 kB, with every kind of byte."""
    counts = (np.arange(64 * 32, dtype=np.uint16).reshape(64, 32) * 7 + seq) % 4096
    return encode_frame(counts, seq=seq, t_us=seq * 100_000, chunk_rows=chunk_rows)


class Clock:
    """Steady time that only a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Bed:
    """A recorder, what it told, and the frames that it was handed, 10 a second."""

    def __init__(self, settings: RecordingSettings = HERE, mat: str = "bed") -> None:
        self.told: list[RecordingChange] = []
        self.clock = Clock()
        self.settles = True
        """Whether files are synced before the next frame comes, as they are where a file lasts an hour."""
        self.recorder = Recorder(mat, settings, self.told.append, steady_s=self.clock)
        self.seq = 0
        self.unix_us = START_US

    def info(self) -> None:
        self.recorder.write(INFO, self.unix_us)

    def frames(self, n: int) -> None:
        for _ in range(n):
            self.recorder.write(frame(self.seq), self.unix_us)
            self.seq += 1
            self.unix_us += 100_000
            self.clock.now_s += 0.1
            if self.settles:
                wait(self.recorder._chores)

    def until(self, kind: type, limit: int = 1000) -> RecordingChange:
        """Frames until it tells of such a change."""
        for _ in range(limit):
            self.frames(1)
            if self.told and isinstance(self.told[-1], kind):
                return self.told[-1]
        raise AssertionError(f"no {kind.__name__} after {limit} frames: {self.told}")


@pytest.fixture
def bed() -> Iterator[Bed]:
    bed = Bed()
    yield bed
    bed.recorder.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    if not capabilities >> CAP_SYS_ADMIN & 1:
        pytest.skip("only who may mount can make a disk of 1 MB")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        message = f"cannot mount a tmpfs: {done.stderr}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # also when a failed test left a file open


def seqs(path: Path) -> list[int]:
    """Of the whole frames; the recording must begin with INFO and end with a whole message."""
    played = list(read_recording(path))
    assert isinstance(played[0].event, Info)
    assert not any(isinstance(item.event, Truncated | Corrupt) for item in played), path
    return [item.event.seq for item in played if isinstance(item.event, Frame)]


def all_seqs(paths: list[Path]) -> list[int]:
    return [seq for path in paths for seq in seqs(path)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.matlog"))


def test_one_file_holds_everything_between_start_and_stop_after_the_latest_info(bed: Bed, tmp_path: Path) -> None:
    bed.info()
    bed.frames(3)
    bed.recorder.start(tmp_path / "night.matlog")
    assert not bed.recorder.running
    bed.frames(4)
    assert bed.recorder.running
    bed.recorder.stop()
    bed.frames(2)
    assert seqs(tmp_path / "night.matlog") == [3, 4, 5, 6]
    played = list(read_recording(tmp_path / "night.matlog"))
    assert [item.raw for item in played] == [remembered(INFO), *map(frame, range(3, 7))]
    assert [item.unix_us for item in played[1:]] == [START_US + seq * 100_000 for seq in range(3, 7)]
    path = tmp_path / "night.matlog"
    assert bed.told == [RecordingStarted(path), RecordingStopped(path, "as asked")]


def test_frames_from_before_the_recording_do_not_count_as_lost_when_it_is_played(tmp_path: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_mb=0.01))
    bed.info()
    bed.frames(3)
    bed.recorder.start(tmp_path)
    bed.frames(10)
    bed.recorder.close()
    assert len(files(tmp_path)) > 1
    for path in files(tmp_path):
        decoder = Decoder()
        frames = [item for item in read_recording(path, decoder) if isinstance(item.event, Frame)]
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.unknown) == (len(frames), 0, 0)


def test_nothing_is_written_before_the_first_info_and_info_is_not_repeated(bed: Bed, tmp_path: Path) -> None:
    bed.recorder.start(tmp_path)
    bed.frames(3)
    assert files(tmp_path) == []
    bed.info()
    bed.frames(1)
    (path,) = files(tmp_path)
    assert [item.raw for item in read_recording(path)] == [INFO, frame(3)]


def test_a_file_given_by_name_is_never_overwritten_and_never_rotated(tmp_path: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_mb=0.01))
    bed.recorder.start(tmp_path / "night.matlog")
    bed.info()
    bed.frames(20)
    bed.recorder.close()
    assert files(tmp_path) == [tmp_path / "night.matlog"]
    assert seqs(tmp_path / "night.matlog") == list(range(20))
    with pytest.raises(Failure, match="never overwritten") as caught:
        Bed().recorder.start(tmp_path / "night.matlog")
    assert caught.value.code == Exit.USAGE


def test_what_cannot_be_recorded_to_is_one_failure(bed: Bed, tmp_path: Path) -> None:
    for target, code in (
        (tmp_path / "no" / "night.matlog", Exit.MISSING_INPUT),
        (tmp_path / "recordings", Exit.USAGE),
        (tmp_path / "night.txt", Exit.USAGE),
    ):
        with pytest.raises(Failure, match=r"no folder|neither a folder") as caught:
            bed.recorder.start(target)
        assert caught.value.code == code
    assert bed.recorder.target is None
    bed.recorder.start(tmp_path)
    with pytest.raises(Failure, match="already"):
        bed.recorder.start(tmp_path)


def test_files_of_a_folder_follow_one_another_by_size_each_complete_in_itself(tmp_path: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_mb=0.05))
    bed.recorder.start(tmp_path)
    bed.info()
    bed.frames(100)
    bed.recorder.close()
    made = files(tmp_path)
    assert [path.name for path in made][:2] == [f"bed-{START_NAME}.matlog", "bed-20231114T221321Z.matlog"]
    parts = [seqs(path) for path in made]
    assert all_seqs(made) == list(range(100))
    assert {len(part) for part in parts[:-1]} == {16}
    assert max(path.stat().st_size for path in made) <= 50_000 + 5000
    assert bed.told == [RecordingStarted(made[0]), RecordingStopped(made[-1], "edge-run ends")]


def test_files_of_a_folder_follow_one_another_by_time(tmp_path: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_hours=2 / 3600))
    bed.recorder.start(tmp_path)
    bed.info()
    bed.frames(50)
    bed.recorder.close()
    assert [len(seqs(path)) for path in files(tmp_path)] == [20, 20, 10]


def test_a_clock_that_is_set_back_overwrites_nothing(tmp_path: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_hours=1 / 3600))
    bed.recorder.start(tmp_path)
    bed.info()
    for _ in range(3):
        bed.unix_us = START_US
        bed.frames(10)
    bed.recorder.close()
    assert [path.name for path in files(tmp_path)] == [
        f"bed-{START_NAME}{end}.matlog" for end in ("-2", "-3", "")
    ]  # fmt: skip
    assert sorted(all_seqs(files(tmp_path))) == list(range(30))


def test_the_chunks_of_a_frame_stay_in_one_file(tmp_path: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_mb=0.01))
    bed.recorder.start(tmp_path)
    bed.info()
    for seq in range(30):
        for received in Decoder().feed(frame(seq, chunk_rows=10)):
            bed.recorder.write(received.raw, bed.unix_us)
            wait(bed.recorder._chores)
    bed.recorder.close()
    assert len(files(tmp_path)) == 10
    assert sorted(all_seqs(files(tmp_path))) == list(range(30))


def test_starting_and_stopping_while_the_reader_writes_tears_no_file(bed: Bed, tmp_path: Path) -> None:
    stopping = threading.Event()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            bed.info()
            while not stopping.is_set():
                bed.frames(1)
        except BaseException as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(20):
        bed.recorder.start(tmp_path / f"{n:02d}.matlog")
        before = len(bed.told)
        while len(bed.told) == before:
            pass
        bed.recorder.stop()
    stopping.set()
    reader.join()
    bed.recorder.close()
    assert failed == []
    for path in files(tmp_path):
        found = seqs(path)
        assert found == list(range(found[0], found[0] + len(found)))
    assert len(files(tmp_path)) == 20
    kinds = [type(change) for change in bed.told]
    assert kinds == [RecordingStarted, RecordingStopped] * 20


def fill(disk: Path, free_bytes: int) -> None:
    """Leaves about so much of the disk free, in a file of somebody else."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(bytes(left - free_bytes))


def free(disk: Path) -> int:
    return os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize


def test_recording_stops_before_the_disk_is_full_and_goes_on_when_there_is_room_by_a_margin(disk: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0.3))
    bed.recorder.start(disk)
    bed.info()
    stopped = bed.until(RecordingStopped)
    assert isinstance(stopped, RecordingStopped)
    assert "0.3 MB free" in stopped.reason
    assert 300_000 <= free(disk) < 330_000
    assert not bed.recorder.running
    bed.frames(50)
    assert free(disk) >= 300_000
    (first,) = files(disk)
    assert seqs(first) == list(range(len(seqs(first))))
    os.truncate(first, first.stat().st_size - 40_000)
    bed.frames(50)
    assert not bed.recorder.running, "the room is back, but not the margin"
    os.truncate(first, 100_000)
    bed.frames(10)
    assert bed.recorder.running
    bed.recorder.close()
    second = files(disk)[1]
    assert seqs(second) == list(range(bed.seq - 10, bed.seq))
    assert bed.told == [
        RecordingStarted(first), stopped, RecordingStarted(second), RecordingStopped(second, "edge-run ends")
    ]  # fmt: skip


def test_a_file_given_by_name_is_gone_on_with_when_there_is_room(disk: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=0.2))
    path = disk / "night.matlog"
    bed.recorder.start(path)
    bed.info()
    bed.frames(20)
    fill(disk, 150_000)
    bed.frames(20)
    (disk / "filler").unlink()
    bed.frames(20)
    bed.recorder.close()
    assert seqs(path) == [*range(20), *range(40, 60)]
    assert [type(change) for change in bed.told] == [RecordingStarted, RecordingStopped] * 2


def refuse(bed: Bed, disk: Path) -> RecordingStopped:
    """The disk has room for two blocks more, and the guard has looked before others took the rest."""
    fill(disk, 32_768)
    os.truncate(disk / "filler", (disk / "filler").stat().st_size + free(disk) - 2 * 4096)
    bed.recorder._free_bytes = lambda path: 1 << 30
    stopped = bed.until(RecordingStopped)
    assert isinstance(stopped, RecordingStopped)
    assert "No space left" in stopped.reason
    return stopped


def test_a_write_that_fails_half_way_leaves_a_whole_recording(disk: Path) -> None:
    bed = Bed()
    bed.recorder.start(disk)
    bed.info()
    bed.frames(20)
    refuse(bed, disk)
    (first,) = files(disk)
    assert seqs(first) == list(range(bed.seq - 1))
    bed.frames(200)
    assert files(disk) == [first], "no try before its time, and no empty file"
    bed.clock.now_s += RETRY_S
    bed.frames(100)
    assert files(disk) == [first]
    (disk / "filler").unlink()
    bed.frames(3)
    assert not bed.recorder.running, "there is room, but it was tried a moment ago"
    bed.clock.now_s += RETRY_S
    bed.frames(3)
    bed.recorder.close()
    assert seqs(files(disk)[1]) == list(range(bed.seq - 3, bed.seq))
    assert [type(change) for change in bed.told] == [RecordingStarted, RecordingStopped] * 2


def test_a_file_given_by_name_is_gone_on_with_after_a_write_that_failed_half_way(disk: Path) -> None:
    bed = Bed()
    bed.recorder.start(disk / "night.matlog")
    bed.info()
    bed.frames(20)
    refuse(bed, disk)
    lost = bed.seq - 1
    (disk / "filler").unlink()
    bed.clock.now_s += RETRY_S
    bed.frames(3)
    bed.recorder.close()
    assert seqs(disk / "night.matlog") == [*range(lost), *range(lost + 1, lost + 4)]


def test_a_file_system_that_takes_half_a_message_leaves_a_whole_recording(tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts the write in the middle of a frame, for everybody and not only for root."""
    limit_bytes = 50_000
    program = f"""
import resource, sys
from pathlib import Path
from edge.recorder import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
recorder = Recorder("bed", notify=print)
recorder.start(Path(sys.argv[1]))
for raw in {[INFO, *map(frame, range(20))]}:
    recorder.write(raw, {START_US})
recorder.close()
"""
    command = [sys.executable, "-", tmp_path / "night.matlog"]
    done = subprocess.run(command, input=program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Stopped") == 1
    assert "File too large" in done.stdout
    size_bytes = (tmp_path / "night.matlog").stat().st_size
    assert limit_bytes - 5000 < size_bytes < limit_bytes
    assert seqs(tmp_path / "night.matlog") == list(range(15))


def test_a_folder_that_vanishes_is_told_once_and_gone_on_with_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_mb=0.02))
    bed.recorder.start(folder)
    bed.info()
    bed.frames(3)
    folder.rename(tmp_path / "pulled")
    bed.frames(30)
    folder.mkdir()
    bed.clock.now_s += RETRY_S
    bed.frames(2)
    bed.recorder.close()
    assert seqs(files(tmp_path / "pulled")[0]) == [0, 1, 2]
    assert seqs(files(folder)[0]) == [33, 34]
    assert [type(change) for change in bed.told] == [RecordingStarted, RecordingStopped] * 2


def made_over_and_over(folder: Path, settings: RecordingSettings, mat: str = "bed", start_us: int = START_US) -> Bed:
    bed = Bed(settings, mat)
    bed.unix_us = start_us
    bed.recorder.start(folder)
    bed.info()
    bed.frames(100)
    bed.recorder.close()
    return bed


def test_only_the_oldest_files_of_this_mat_that_it_made_itself_are_deleted(tmp_path: Path) -> None:
    small = RecordingSettings(min_free_mb=0, rotate_mb=0.05)
    made_over_and_over(tmp_path, small, "bed-2", START_US - 10**12)
    made_over_and_over(tmp_path, small, "bed", START_US - 10**12)
    others = {path: path.read_bytes() for path in files(tmp_path) if path.name.startswith("bed-2-")}
    kept = files(tmp_path)[0].with_name("bed-best night.matlog")
    named_so = tmp_path / "bed-20000101T000000Z.matlog"
    moved = tmp_path / "bed-20000102T000000Z.matlog"
    own = [path for path in files(tmp_path) if path not in others]
    own[0].rename(kept)
    own[1].rename(moved)
    named_so.write_text("my diary")
    linked = own[2]
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    others |= {path: path.read_bytes() for path in (kept, named_so, moved, linked)}

    bed = made_over_and_over(tmp_path, RecordingSettings(min_free_mb=0, rotate_mb=0.05, keep_gb=0.0002))
    mine = [path for path in files(tmp_path) if path not in others]
    assert {path: path.read_bytes() for path in others} == others
    assert sum(path.stat().st_size for path in mine) <= 200_000 + 5000
    left = all_seqs(mine)
    assert left == list(range(bed.seq - len(left), bed.seq))
    assert len(mine) >= 3


def test_files_that_began_too_long_ago_are_deleted(tmp_path: Path) -> None:
    day_us = 86_400 * 10**6
    for days in (9, 4, 2):
        made_over_and_over(tmp_path, HERE, start_us=START_US - days * day_us)
    made_over_and_over(tmp_path, RecordingSettings(min_free_mb=0, keep_days=3))
    assert [path.name for path in files(tmp_path)] == ["bed-20231112T221320Z.matlog", f"bed-{START_NAME}.matlog"]


def test_a_clock_that_was_never_set_deletes_nothing(tmp_path: Path) -> None:
    made_over_and_over(tmp_path, HERE)
    made_over_and_over(tmp_path, RecordingSettings(min_free_mb=0, keep_days=3), start_us=0)
    assert len(files(tmp_path)) == 2


def test_the_file_that_is_being_written_is_never_deleted_though_its_clock_says_it_is_the_oldest(
    tmp_path: Path,
) -> None:
    for days in (1, 2, 3):
        made_over_and_over(tmp_path, HERE, start_us=START_US - days * 86_400 * 10**6)
    oldest = files(tmp_path)[0]
    delete_oldest(oldest, "bed", keep_bytes=0, since_unix_s=START_US / 1e6)
    assert files(tmp_path) == [oldest]


def test_without_limits_nothing_is_deleted(tmp_path: Path) -> None:
    for days in (9000, 0):
        made_over_and_over(tmp_path, HERE, start_us=START_US - days * 86_400 * 10**6)
    assert len(files(tmp_path)) == 2


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(thread, size) of what was synced."""
    seen: list[tuple[str, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append((threading.current_thread().name, os.fstat(descriptor).st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_every_file_is_synced_when_it_is_done_but_never_by_the_reader(
    tmp_path: Path, synced: list[tuple[str, int]]
) -> None:
    made_over_and_over(tmp_path, RecordingSettings(min_free_mb=0, rotate_mb=0.1))
    assert [size for _, size in synced] == [path.stat().st_size for path in files(tmp_path)]
    assert len(synced) > 3
    assert all(thread.startswith("recorder") for thread, _ in synced)


def test_a_disk_that_hangs_holds_up_neither_reader_nor_rotation_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """While too many files wait to be synced no other one is begun, and nothing is lost."""
    hanging = threading.Event()
    request.addfinalizer(hanging.set)
    monkeypatch.setattr(os, "fsync", lambda descriptor: hanging.wait())
    bed = Bed(RecordingSettings(min_free_mb=0, rotate_mb=0.01))
    bed.settles = False
    bed.recorder.start(tmp_path)
    bed.info()
    bed.frames(200)
    assert 2 < len(files(tmp_path)) <= MAX_CHORES
    for n in range(3 * MAX_CHORES):
        bed.recorder.stop()
        bed.recorder.start(tmp_path / f"{n}.matlog")
        bed.frames(1)
    hanging.set()
    bed.recorder.close()
    assert sorted(all_seqs(files(tmp_path))) == list(range(200 + 3 * MAX_CHORES))


@pytest.mark.parametrize(
    ("mat", "name"),
    [
        ("bed", "bed"),
        ("bed-2_b.c", "bed-2_b.c"),
        ("ward 3/bed 1", "ward%203%2Fbed%201"),
        ("../../etc", "%2E.%2F..%2Fetc"),
        ("..", "%2E."),
        ("Bett für Oma", "Bett%20f%C3%BCr%20Oma"),
        ("100%", "100%25"),
    ],
)
def test_a_mats_name_is_made_safe_for_file_names(tmp_path: Path, mat: str, name: str) -> None:
    made_over_and_over(tmp_path, HERE, mat)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}-{START_NAME}.matlog"]


def test_names_of_mats_stay_apart_and_short() -> None:
    mats = ["a b", "a_b", "a/b", "a%20b", ".a", "%2Ea", "x" * 500, "x" * 501]
    names = {safe_name(mat) for mat in mats}
    assert len(names) == len(mats)
    assert max(map(len, names)) <= 120


@pytest.mark.parametrize(
    "wrong",
    [{"rotate_mb": 0}, {"keep_gb": 0.5, "rotate_mb": 500}, {"min_free_mb": -1}, {"keep_days": 0}, {"colour": "red"}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        RecordingSettings.model_validate(wrong)


def test_a_recorder_that_was_never_started_keeps_only_the_latest_info(bed: Bed) -> None:
    bed.info()
    bed.frames(5)
    bed.recorder.stop()
    assert bed.told == []
    assert (bed.recorder.running, bed.recorder.target) == (False, None)


def test_stopping_while_the_disk_is_full_says_nothing_twice(disk: Path) -> None:
    bed = Bed(RecordingSettings(min_free_mb=5))
    bed.recorder.start(disk)
    bed.info()
    bed.frames(5)
    bed.recorder.stop()
    bed.recorder.close()
    assert [type(change) for change in bed.told] == [RecordingStopped]
    assert files(disk) == []
