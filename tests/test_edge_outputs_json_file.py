"""JSON lines in a file that is rotated: whole lines only, whatever ends or fills."""

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from output_items import event, pose, wait_until

from edge.outputs.json_file import JsonFile, RotatingFile
from edge.outputs.queue import QueuedOutput
from firmware_bridge.errors import Exit, Failure

HEADER = b"a,b\r\n"


@contextmanager
def opened(path: Path, *settings: float, **named: object) -> Iterator[RotatingFile]:
    file = RotatingFile(path, *settings, **named)  # type: ignore[arg-type]
    file.open()
    yield file
    file.close()


def test_every_line_is_one_json_object_and_in_the_file_at_once(tmp_path: Path) -> None:
    output = JsonFile(tmp_path / "out.json")
    output.open()
    for item in (pose(1), event("Bett für Zoë")):
        output.write(item)
        assert (tmp_path / "out.json").read_text().endswith(item.line.json_line())
    output.close()
    first, second = (json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines())
    assert (first["seq"], second["detail"]) == (1, "Bett für Zoë")


def test_a_file_that_exists_is_gone_on_with(tmp_path: Path) -> None:
    for line in (b"1\n", b"2\n"):
        with opened(tmp_path / "out") as file:
            file.write(line)
    assert (tmp_path / "out").read_bytes() == b"1\n2\n"


def test_a_line_torn_by_a_power_cut_is_ended_and_the_next_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b'{"a":1}\n{"b":')
    with opened(tmp_path / "out") as file:
        file.write(b"next\n")
    assert (tmp_path / "out").read_bytes() == b'{"a":1}\n{"b":\nnext\n'


def test_a_full_file_is_set_aside_before_the_line_that_does_not_fit(tmp_path: Path) -> None:
    with opened(tmp_path / "out", 20e-6) as file:
        for number in range(5):
            file.write(b"line %d...\n" % number)
    assert (tmp_path / "out").read_bytes() == b"line 4...\n"
    assert (tmp_path / "out.1").read_bytes() == b"line 2...\nline 3...\n"
    assert (tmp_path / "out.2").read_bytes() == b"line 0...\nline 1...\n"


def test_so_many_older_files_are_kept_and_no_line_of_them_is_cut(tmp_path: Path) -> None:
    with opened(tmp_path / "out", 1e-3, 3) as file:
        for number in range(2000):
            file.write(b"%d\n" % number)
    files = [tmp_path / name for name in ("out.3", "out.2", "out.1", "out")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(len(file.read_bytes()) <= 1000 for file in files)
    assert all(len(file.read_bytes()) > 900 for file in files[:-1])
    lines = b"".join(file.read_bytes() for file in files).split(b"\n")
    assert lines == [b"%d" % number for number in range(int(lines[0]), 2000)] + [b""]


def test_a_line_larger_than_a_whole_file_has_one_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path / "out", 10e-6) as file:
        for line in (b"x" * 50 + b"\n", b"1\n", b"x" * 50 + b"\n", b"2\n"):
            file.write(line)
    assert len(list(tmp_path.iterdir())) == 4
    assert [(tmp_path / name).stat().st_size for name in ("out.3", "out.2", "out.1", "out")] == [51, 2, 51, 2]


def test_a_file_of_a_former_run_is_rotated_too(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"x" * 99 + b"\n")
    with opened(tmp_path / "out", 50e-6) as file:
        file.write(b"1\n")
    assert (tmp_path / "out.1").stat().st_size == 100
    assert (tmp_path / "out").read_bytes() == b"1\n"


def test_a_missing_number_among_the_older_files_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "out.2").write_bytes(b"old\n")
    with opened(tmp_path / "out", 2e-6) as file:
        file.write(b"1\n")
        file.write(b"2\n")
    assert (tmp_path / "out.3").read_bytes() == b"old\n"
    assert (tmp_path / "out.1").read_bytes() == b"1\n"
    assert not (tmp_path / "out.2").exists()


def test_every_file_begins_with_the_header(tmp_path: Path) -> None:
    with opened(tmp_path / "out", 12e-6, header=HEADER) as file:
        for number in range(3):
            file.write(b"%d,0\r\n" % number)
    for name, row in (("out.2", b"0,0\r\n"), ("out.1", b"1,0\r\n"), ("out", b"2,0\r\n")):
        assert (tmp_path / name).read_bytes() == HEADER + row


@pytest.mark.parametrize("torn", [b"", b"a,", HEADER[:-1]])
def test_a_header_that_was_torn_is_written_anew(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "out").write_bytes(torn)
    with opened(tmp_path / "out", header=HEADER) as file:
        file.write(b"1,2\r\n")
    assert (tmp_path / "out").read_bytes() == HEADER + b"1,2\r\n"


@pytest.mark.parametrize("content", [b"x", b"a,b\n1,2\n", b"a,b,c\r\n"])
def test_a_file_with_another_header_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out").write_bytes(content)
    with pytest.raises(Failure, match="begins with other columns") as refused:
        RotatingFile(tmp_path / "out", header=HEADER).open()
    assert refused.value.code == Exit.USAGE
    assert (tmp_path / "out").read_bytes() == content
    with opened(tmp_path / "out"):  # and let go of
        pass


@pytest.mark.parametrize("remove", [Path.unlink, lambda path: path.rename(path.with_suffix(".moved"))])
def test_a_file_that_was_moved_or_deleted_is_made_anew(tmp_path: Path, remove: object) -> None:
    with opened(tmp_path / "out") as file:
        file.write(b"1\n")
        remove(tmp_path / "out")  # type: ignore[operator]
        file.write(b"2\n")
    assert (tmp_path / "out").read_bytes() == b"2\n"


def test_a_folder_that_goes_away_and_comes_back_costs_the_lines_between(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with opened(folder / "out") as file:
        file.write(b"1\n")
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError):
            file.write(b"2\n")
        folder.mkdir()
        file.write(b"3\n")
    assert (folder / "out").read_bytes() == b"3\n"


def test_what_a_link_leads_to_is_rotated_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    with opened(tmp_path / "out", 2e-6) as file:
        file.write(b"1\n")
        file.write(b"2\n")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "real.1").read_bytes() == b"1\n"
    assert (tmp_path / "disk" / "real").read_bytes() == b"2\n"


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=f"no folder {tmp_path / 'nowhere'} for the file out: make it first") as refused:
        RotatingFile(tmp_path / "nowhere" / "out").open()
    assert refused.value.code == Exit.MISSING_INPUT


def test_a_place_without_permission_is_refused() -> None:
    """In /sys not even root makes files."""
    with pytest.raises(Failure, match=r"cannot write file /sys/kernel/out: .*: choose another place") as refused:
        RotatingFile(Path("/sys/kernel/out")).open()
    assert refused.value.code == Exit.PERMISSION


@pytest.mark.parametrize("path", ["/dev/null", "/tmp", "fifo"])
def test_what_is_no_regular_file_is_refused_without_waiting_for_a_reader(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Failure, match="is no regular file") as refused:
        RotatingFile(tmp_path / path).open()
    assert refused.value.code == Exit.USAGE
    assert Path("/dev/null").is_char_device()


def test_a_file_that_another_program_writes_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "out"), pytest.raises(Failure, match="being written by another program") as refused:
        RotatingFile(tmp_path / "out").open()
    assert refused.value.code == Exit.USAGE
    with opened(tmp_path / "out"):
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def whole_lines(path: Path) -> list[int]:
    content = path.read_bytes()
    assert content.endswith(b"\n")
    return [json.loads(line)["seq"] for line in content.splitlines()]


def test_a_full_disk_tears_no_line_and_writing_goes_on_when_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (small_disk / "ballast").write_bytes(bytes(500_000))
    output = QueuedOutput(JsonFile(small_disk / "out.json"), "json:out.json")
    output.start()
    seq = 0
    while output.counts().failures < 2:
        output.put(pose(seq))
        wait_until(lambda: output.counts().waiting < 10)
        seq += 1
    before = whole_lines(small_disk / "out.json")
    assert len(before) > 100
    (small_disk / "ballast").unlink()
    for _ in range(50):
        output.put(pose(seq))
        seq += 1
    output.close(30.0)
    after = whole_lines(small_disk / "out.json")
    assert after[: len(before)] == before
    assert after == sorted(set(after))
    assert after[-1] == seq - 1
    counts = output.counts()
    assert counts.written == len(after)
    assert counts.written + counts.dropped == seq
    assert [record.message for record in caplog.records] == [
        "output json:out.json fails: No space left on device; it goes on when there is room"
    ]


def test_a_disk_that_is_full_from_the_start_is_waited_for(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(2_000_000))
    (small_disk / "torn").touch()
    with pytest.raises(OSError, match="No space left"):
        RotatingFile(small_disk / "torn", header=HEADER).open()
    assert (small_disk / "torn").read_bytes() == b""
    ballast.unlink()
    with opened(small_disk / "torn", header=HEADER) as file:
        file.write(b"1,2\r\n")
    assert (small_disk / "torn").read_bytes() == HEADER + b"1,2\r\n"


def test_rotation_makes_room_on_a_disk_that_is_too_small_for_one_file(small_disk: Path) -> None:
    with opened(small_disk / "out", 0.2, 2) as file:
        for number in range(20_000):
            file.write(b"%099d\n" % number)
    assert sum(path.stat().st_size for path in small_disk.iterdir()) <= 600_000
    assert (small_disk / "out").read_bytes().endswith(b"%099d\n" % 19_999)


def test_a_line_that_fits_only_in_part_is_taken_back(tmp_path: Path) -> None:
    """The limit on a process's files, where no disk can be mounted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path / "out") as file:
        file.write(b"x" * 99 + b"\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
        try:
            for _ in range(3):
                with pytest.raises(OSError, match="File too large"):
                    file.write(b"y" * 99 + b"\n")
                assert (tmp_path / "out").read_bytes() == b"x" * 99 + b"\n"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        file.write(b"z\n")
    assert (tmp_path / "out").read_bytes() == b"x" * 99 + b"\nz\n"
