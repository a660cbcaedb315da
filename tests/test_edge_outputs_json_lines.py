"""JSON lines on a stream that may be full, closed by its reader at any time, or no pipe at all."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from output_items import event, pose, wait_until

from edge.messages import EventLine
from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import OutputCounts, QueuedOutput
from edge.outputs.sink import Item, OutputClosed

LINE = EventLine(ts=1.0, seq=None, mat="bed", event="fresh", detail="frames come again")


@contextmanager
def lines_to(fd: int, encoding: str = "utf-8") -> Iterator[JsonLines]:
    with open(fd, "w", encoding=encoding) as stream:
        output = JsonLines(stream)
        output.open()
        yield output
        output.close()


def fill(fd: int) -> int:
    """Bytes until a pipe takes no more of them."""
    os.set_blocking(fd, False)
    n = 0
    with suppress(BlockingIOError):
        while True:
            n += os.write(fd, b"\n")
    os.set_blocking(fd, True)
    return n


@pytest.mark.parametrize("at_once", [True, False])
def test_a_line_is_out_at_once(at_once: bool) -> None:
    read, write = os.pipe()
    with open(read) as reader, lines_to(write) as output:
        assert output.write_at_once(Item(LINE)) if at_once else output.write(Item(LINE)) is None
        assert reader.readline() == LINE.json_line()


def test_a_full_pipe_takes_nothing_at_once_and_whoever_shares_it_still_waits() -> None:
    read, write = os.pipe()
    with open(read) as reader, lines_to(write) as output:
        n = fill(write)
        with pytest.raises(BlockingIOError):
            output.write_at_once(Item(LINE))
        assert os.get_blocking(write)
        assert reader.read(n).strip() == ""
        assert output.write_at_once(Item(LINE))
        assert reader.readline() == LINE.json_line()


def test_a_line_longer_than_what_a_pipe_takes_as_a_whole_is_never_begun() -> None:
    read, write = os.pipe()
    with open(read) as reader, lines_to(write) as output:
        long = event("x" * 5000)
        assert not output.write_at_once(long)
        output.write(long)
        assert reader.readline() == long.line.json_line()


def test_what_may_take_its_time_unforeseen_is_not_written_at_once(tmp_path: Path) -> None:
    """A disk, a terminal."""
    file = os.open(tmp_path / "lines.json", os.O_WRONLY | os.O_CREAT)
    terminal, other_end = os.openpty()
    for fd in (file, other_end):
        with lines_to(fd) as output:
            assert not output.write_at_once(Item(LINE))
            output.write(Item(LINE))
    assert (tmp_path / "lines.json").read_text() == LINE.json_line()
    os.close(terminal)


def test_a_reader_that_has_gone_is_told_of_by_write() -> None:
    read, write = os.pipe()
    with lines_to(write) as output:
        os.close(read)
        with pytest.raises(BrokenPipeError):
            output.write_at_once(Item(LINE))
        with pytest.raises(OutputClosed):
            output.write(Item(LINE))


def test_a_reader_that_had_gone_before_the_start_is_told_of() -> None:
    read, write = os.pipe()
    os.close(read)
    with lines_to(write) as output, pytest.raises(OutputClosed):
        output.write(Item(LINE))


def test_a_stdout_that_was_closed_before_the_start_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputClosed):
        JsonLines().open()


@pytest.mark.parametrize("at_once", [True, False])
def test_json_is_utf_8_whatever_the_locale(at_once: bool) -> None:
    read, write = os.pipe()
    zoe = Item(LINE.model_copy(update={"mat": "Bett für Zoë"}))
    with open(read, encoding="utf-8") as reader, lines_to(write, encoding="ascii") as output:
        assert output.write_at_once(zoe) if at_once else output.write(zoe) is None
        assert "Bett für Zoë" in reader.readline()


@pytest.mark.parametrize("others_wait", [True, False], ids=["a pipe as usual", "one that somebody made unblocking"])
def test_a_slow_reader_of_a_full_pipe_gets_every_line_whole_and_in_order(others_wait: bool) -> None:
    """Short lines, long ones and poses, so that both ways of writing are taken, one after the other."""
    read, write = os.pipe()
    n = fill(write)
    os.set_blocking(write, others_wait)
    got: list[str] = []

    def read_slowly() -> None:
        with open(read) as reader:
            assert reader.read(n).strip() == ""
            for line in reader:
                got.append(line)
                if len(got) % 50 == 0:
                    time.sleep(0.01)

    items = [event(f"{k} " + "x" * 9000) if k % 10 == 0 else pose(k) for k in range(400)]
    with open(write, "w") as stream:
        output = QueuedOutput(JsonLines(stream), "json:-", size=len(items))
        output.start()
        for item in items[:100]:
            output.put(item)  # nobody reads yet
        assert output.counts() == OutputCounts(written=0, dropped=0, thinned=0, failures=0, waiting=100)
        reader = threading.Thread(target=read_slowly)
        reader.start()
        for item in items[100:]:
            output.put(item)
        wait_until(lambda: output.counts().waiting == 0)
        output.put(pose(400))
        output.close(30.0)
        assert output.counts() == OutputCounts(written=401, dropped=0, thinned=0, failures=0, waiting=0)
    reader.join()
    assert got == [item.line.json_line() for item in [*items, pose(400)]]
    assert json.loads(got[-1])["seq"] == 400
