"""A queue before each output: a slow or failing one holds nobody up, a prompt one is written to at once."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from output_items import Device, Fifo, Kept, event, named, pose, wait_until

from edge.outputs.backlog import QUEUE_LINES
from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    SETTLED_S,
    OutputCounts,
    QueuedOutput,
    Unsendable,
)
from edge.outputs.sink import Item, OutputClosed, Sink
from firmware_bridge.errors import Exit, Failure


@contextmanager
def running(sink: Sink, **settings: object) -> Iterator[QueuedOutput]:
    output = QueuedOutput(sink, "test:", **settings)  # type: ignore[arg-type]
    output.start()
    try:
        yield output
    finally:
        output.close(0.0)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path / "fifo")
    yield fifo
    fifo.close()


def accounted(counts: OutputCounts) -> int:
    return counts.written + counts.dropped + counts.thinned + counts.waiting


def test_a_flood_to_a_fifo_that_nobody_reads_blocks_nobody_and_every_line_is_counted(fifo: Fifo) -> None:
    with running(JsonLines(fifo.writer)) as output:
        poses = 0
        while poses < 2000 or output.counts().waiting <= QUEUE_LINES:  # until the thread has one in hand and is stuck
            output.put(pose(poses))
            poses += 1
        output.put(event("the end"))
        counts = output.counts()
        assert accounted(counts) == poses + 1
        assert counts.dropped > 1000
        lines = fifo.read_until(lambda: output.counts().waiting == 0)
        seqs = [json.loads(line)["seq"] for line in lines]
        assert seqs[:-1] == sorted(set(seqs[:-1]))
        assert seqs[-QUEUE_LINES:-1] == list(range(poses + 1 - QUEUE_LINES, poses))
        assert json.loads(lines[-1])["detail"] == "the end"
        assert output.counts() == OutputCounts(len(lines), poses + 1 - len(lines), 0, 0, 0)


def test_an_output_stuck_at_the_end_is_left_behind_with_a_warning(
    fifo: Fifo, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.outputs.queue.CLOSING_S", 0.1)
    with running(JsonLines(fifo.writer)) as output:
        for seq in range(2000):
            output.put(pose(seq))
        output.close(0.1)
        assert f"test: does not take its lines: {output.counts().waiting} are lost" in caplog.text
        fifo.read_until(lambda: output.closed)


def test_what_waits_at_the_end_is_written_and_then_the_sink_is_closed() -> None:
    sink = Kept()
    with running(sink) as output:
        for seq in range(100):
            output.put(pose(seq))
        output.close(30.0)
        assert named(sink.items) == list(range(100))
        assert sink.closed
        assert output.closed
        output.put(pose(100))
        assert output.counts() == OutputCounts(written=100, dropped=1, thinned=0, failures=0, waiting=0)


def test_a_rate_is_kept_and_the_last_line_is_the_last() -> None:
    sink = Kept()
    with running(sink, rate_hz=0.01) as output:
        for seq in range(50):
            output.put(pose(seq))
            wait_until(lambda: sink.items)
        output.put(event("the end"))
        output.close(30.0)
    assert named(sink.items) == [0, "the end"]
    assert output.counts() == OutputCounts(written=2, dropped=0, thinned=49, failures=0, waiting=0)


def test_a_held_pose_is_written_once_its_time_has_come() -> None:
    sink = Kept()
    with running(sink, rate_hz=20.0) as output:
        output.put(pose(0))
        wait_until(lambda: named(sink.items) == [0])
        output.put(pose(1))
        wait_until(lambda: named(sink.items) == [0, 1])


class Waits(list[float]):
    """A clock that only waiting moves; each wait is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.append(seconds)
        self.now_s += seconds
        time.sleep(0.001)

    def clock_s(self) -> float:
        return self.now_s


def test_a_full_disk_is_logged_once_tried_again_after_growing_waits_and_gone_on_with(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    sink, waits = Device("/dev/full"), Waits()
    with running(sink, clock_s=waits.clock_s, sleep=waits.sleep, random=lambda: 1.0) as output:
        output.put(event("kept"))
        wait_until(lambda: len(waits) >= 8)
        sink.path = "/dev/null"
        wait_until(lambda: sink.items)
        for seq in range(3):
            output.put(pose(seq))
            wait_until(lambda seq=seq: len(sink.items) == seq + 2)
        assert "works again" not in caplog.text
        waits.now_s += SETTLED_S
        output.put(event("settled"))
        wait_until(lambda: "works again" in caplog.text)
    assert waits[:8] == [min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**tries) for tries in range(8)]
    assert named(sink.items) == ["kept", 0, 1, 2, "settled"]
    counts = output.counts()
    assert (counts.written, counts.dropped, counts.failures) == (5, 0, len(waits))
    messages = [record.message for record in caplog.records]
    assert messages[0] == "output test: fails: No space left on device; it goes on when there is room"
    assert [message.split(" after")[0] for message in messages[1:]] == ["output test: works again"]


def test_a_disk_that_fills_again_and_again_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink, waits = Device("/dev/null"), Waits()
    with running(sink, clock_s=waits.clock_s, sleep=waits.sleep) as output:
        for seq in range(20):
            sink.path = "/dev/full" if seq % 2 else "/dev/null"
            output.put(pose(seq))
            wait_until(lambda: output.counts().waiting == 0)
        counts = output.counts()
    assert (counts.written, counts.dropped, counts.failures) == (10, 10, 10)
    assert len(caplog.records) == 1


def test_waits_have_jitter() -> None:
    waits = Waits()
    with running(Device("/dev/full"), clock_s=waits.clock_s, sleep=waits.sleep, random=lambda: 0.0) as output:
        output.put(event("a"))
        wait_until(lambda: waits)
    assert waits[0] == FIRST_WAIT_S / 2


def test_an_outage_costs_poses_but_no_other_line() -> None:
    sink, waits = Device("/dev/full"), Waits()
    with running(sink, size=10, clock_s=waits.clock_s, sleep=waits.sleep) as output:
        for number in range(5):
            output.put(event(str(number)))
            for seq in range(100):
                output.put(pose(seq))
        wait_until(lambda: len(waits) >= 5)
        sink.path = "/dev/null"
        wait_until(lambda: output.counts().waiting == 0)
        assert accounted(output.counts()) == 505
    assert [name for name in named(sink.items) if isinstance(name, str)] == list("01234")


def test_a_failing_output_ends_with_one_more_try_and_counts_what_it_loses() -> None:
    sink = Device("/dev/full")
    with running(sink) as output:
        for number in range(20):
            output.put(event(str(number)))
        wait_until(lambda: output.counts().failures)
        before = output.counts().failures
        output.close(30.0)
        assert output.closed
        assert output.counts().dropped == 20
        assert output.counts().failures > before
        assert sink.closed


class Connected(Kept):
    """Opens a TCP connection."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def open(self) -> None:
        socket.create_connection(("127.0.0.1", self._port)).close()
        super().open()


def test_an_output_that_does_not_open_is_tried_again_and_loses_nothing_meanwhile() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        sink, waits = Connected(listener.getsockname()[1]), Waits()
        with running(sink, clock_s=waits.clock_s, sleep=waits.sleep) as output:
            output.wait_until_tried(30.0)
            output.put(event("hello"))
            wait_until(lambda: len(waits) >= 3)
            assert not sink.opened
            listener.listen()
            wait_until(lambda: sink.items)
        assert named(sink.items) == ["hello"]


def test_an_output_that_never_opened_ends_and_is_not_closed() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        sink = Connected(listener.getsockname()[1])
        with running(sink) as output:
            output.put(event("hello"))
            output.close(30.0)
            assert output.closed
            assert output.counts().dropped == 1
        assert not sink.closed


def test_an_output_whose_reader_has_gone_is_closed_for_good_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    read, write = os.pipe()
    with open(write, "w") as stream, running(JsonLines(stream)) as output:
        os.close(read)
        output.put(pose(0))
        wait_until(lambda: output.closed)
        output.put(pose(1))
        output.check()
        assert output.counts() == OutputCounts(written=0, dropped=2, thinned=0, failures=0, waiting=0)
    assert not caplog.records


class Raising(Kept):
    """Raises `error` from one of its methods."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__()
        self._method, self._error = method, error

    def _raise(self, method: str) -> None:
        if method == self._method:
            raise self._error

    def open(self) -> None:
        self._raise("open")

    def write(self, item: Item) -> None:
        self._raise("write")
        super().write(item)

    def close(self) -> None:
        self._raise("close")
        super().close()


@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_what_a_sink_raises_unexpectedly_is_told(method: str) -> None:
    with running(Raising(method, ZeroDivisionError("of a sink"))) as output:
        output.put(event("a"))
        output.close(30.0)
        assert output.closed
        with pytest.raises(ZeroDivisionError, match="of a sink"):
            output.check()


def test_a_failure_of_opening_is_told_before_any_line_comes() -> None:
    with running(Raising("open", Failure("no folder", Exit.MISSING_INPUT))) as output:
        output.wait_until_tried(30.0)
        with pytest.raises(Failure, match="no folder"):
            output.check()


def test_a_line_that_can_never_be_written_is_left_out_at_once_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    waits = Waits()
    with running(Raising("write", Unsendable("it is too long")), sleep=waits.sleep) as output:
        for number in range(3):
            output.put(event(str(number)))
        wait_until(lambda: output.counts().dropped == 3)
        assert output.counts().failures == 0
    assert not waits
    assert [record.message for record in caplog.records] == [
        "output test:: it is too long; such lines are left out",
    ]


def test_a_lossless_output_makes_a_replay_wait_for_a_slow_reader(fifo: Fifo) -> None:
    lines: list[str] = []

    def read_slowly() -> None:
        while len(lines) < 1000:
            lines.extend(fifo.read())
            time.sleep(0.01)

    with running(JsonLines(fifo.writer), size=8, lossless=True) as output:
        reader = threading.Thread(target=read_slowly)
        reader.start()
        for seq in range(1000):
            output.put(pose(seq))
        output.close(0.0)  # whatever its bound: nothing is lost
        reader.join()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1000))
    assert output.counts() == OutputCounts(written=1000, dropped=0, thinned=0, failures=0, waiting=0)


def test_a_lossless_output_writes_each_line_once_whatever_fails() -> None:
    sink, waits = Device("/dev/null"), Waits()

    def fill_and_empty(seconds: float) -> None:
        waits.sleep(seconds)
        sink.path = "/dev/null"

    with running(sink, size=4, lossless=True, clock_s=waits.clock_s, sleep=fill_and_empty) as output:
        for seq in range(200):
            if seq % 10 == 0:
                sink.path = "/dev/full"
            output.put(pose(seq))
        output.close(0.0)
    assert named(sink.items) == list(range(200))
    counts = output.counts()
    assert (counts.written, counts.dropped, counts.failures) == (200, 0, len(waits))
    assert waits


class Gated(Kept):
    """Its first write takes until `gate` is open, and then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self._failed = False

    def write(self, item: Item) -> None:
        if not self._failed:
            self.gate.wait()
            self._failed = True
            raise TimeoutError("nobody answers")
        super().write(item)


def test_a_lossless_output_has_room_for_the_item_that_comes_back() -> None:
    sink = Gated()
    with running(sink, size=2, lossless=True) as output:
        filling = threading.Thread(target=lambda: [output.put(pose(seq)) for seq in range(6)])
        filling.start()
        wait_until(lambda: output.counts().waiting == 2)
        time.sleep(0.1)  # in which a third would come
        assert output.counts().waiting == 2
        sink.gate.set()
        filling.join()
        output.close(0.0)
    assert named(sink.items) == list(range(6))


def test_a_rate_may_be_as_low_as_it_likes() -> None:
    sink = Kept()
    with running(sink, rate_hz=1e-300) as output:
        output.put(pose(0))
        wait_until(lambda: sink.items)
        output.put(pose(1))
        output.put(event("a", mat="other"))
        wait_until(lambda: len(sink.items) == 2)
        output.check()
    assert named(sink.items) == [0, "a"]


def test_a_lossless_output_that_fails_waits_no_longer_than_the_run() -> None:
    stopping = threading.Event()
    with running(Device("/dev/full"), size=4, lossless=True, stopping=stopping.is_set) as output:
        threading.Timer(0.3, stopping.set).start()
        for seq in range(20):
            output.put(pose(seq))
        assert stopping.is_set()
        output.close(1.0)
        assert output.closed
        assert output.counts().dropped == 20


def test_a_lossless_output_that_closes_lets_go_of_who_waits() -> None:
    read, write = os.pipe()
    with open(write, "w") as stream, running(JsonLines(stream), size=4, lossless=True) as output:
        threading.Timer(0.3, lambda: os.close(read)).start()
        for seq in range(2000):
            output.put(pose(seq))
        assert output.closed
        assert accounted(output.counts()) == 2000


def test_a_lossless_rate_counts_in_the_time_of_the_recording() -> None:
    def replayed(pause: Callable[[], None]) -> list[int | str]:
        sink = Kept()
        with running(sink, rate_hz=2.0, lossless=True) as output:
            for seq in range(20):
                output.put(pose(seq))
                output.put(pose(seq, mat="other"))
                pause()
            output.put(event("the end"))
            output.close(0.0)
            assert output.counts() == OutputCounts(written=9, dropped=0, thinned=32, failures=0, waiting=0)
        return named(sink.items)

    fast, slow = replayed(lambda: None), replayed(lambda: time.sleep(0.01))
    assert fast == slow == [0, 0, 5, 5, 10, 10, 15, 15, "the end"]


def test_only_a_sink_that_says_so_is_closed() -> None:
    with running(Raising("write", OutputClosed())) as output:
        output.put(event("a"))
        wait_until(lambda: output.closed)
        output.check()


class Prompt(Kept):
    """Takes lines at once while `free`, and knows which thread wrote them."""

    def __init__(self) -> None:
        super().__init__()
        self.free = True
        self.at_once: list[bool] = []
        self.gate = threading.Event()
        self.gate.set()

    def write(self, item: Item) -> None:
        self.gate.wait()
        self._keep(item, False)

    def write_at_once(self, item: Item) -> bool:
        if not self.free:
            raise BlockingIOError
        self._keep(item, True)
        return True

    def _keep(self, item: Item, at_once: bool) -> None:
        self.items.append(item)
        self.at_once.append(at_once)


def open_prompt(output: QueuedOutput, sink: Prompt) -> None:
    """Past what came before it was open."""
    output.put(event("first"))
    wait_until(lambda: sink.items)


def test_a_line_that_need_not_wait_is_out_when_put_returns() -> None:
    sink = Prompt()
    with running(sink) as output:
        open_prompt(output, sink)
        for seq in range(100):
            output.put(pose(seq))
            assert named(sink.items[-1:]) == [seq]
        assert output.counts() == OutputCounts(written=101, dropped=0, thinned=0, failures=0, waiting=0)
    assert all(sink.at_once[1:])


def test_what_waits_is_not_overtaken_by_a_line_that_need_not() -> None:
    sink = Prompt()
    with running(sink) as output:
        open_prompt(output, sink)
        sink.gate.clear()
        sink.free = False
        output.put(pose(0))
        sink.free = True
        for seq in range(1, 5):
            output.put(pose(seq))
        assert output.counts().waiting == 5
        sink.gate.set()
        wait_until(lambda: output.counts().waiting == 0)
        output.put(pose(5))
        assert named(sink.items) == ["first", *range(6)]
    assert sink.at_once[1:] == [*5 * [False], True]


def test_lines_of_many_threads_are_all_written_one_at_a_time_and_each_threads_in_order() -> None:
    """Whichever of them finds the sink free."""
    sink = Prompt()
    with running(sink, size=10_000) as output:
        open_prompt(output, sink)

        def put_all(mat: str) -> None:
            for seq in range(500):
                sink.free = seq % 7 != 3
                output.put(pose(seq, mat=mat))

        threads = [threading.Thread(target=put_all, args=(mat,)) for mat in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        output.close(30.0)
        assert output.counts() == OutputCounts(written=1501, dropped=0, thinned=0, failures=0, waiting=0)
    for mat in "abc":
        assert named([item for item in sink.items if item.line.mat == mat]) == list(range(500))
    assert set(sink.at_once) == {True, False}


def test_a_rate_holds_a_line_that_need_not_wait() -> None:
    sink, waits = Prompt(), Waits()
    with running(sink, rate_hz=2.0, clock_s=waits.clock_s) as output:
        open_prompt(output, sink)
        for seq in range(3):
            output.put(pose(seq))
        assert named(sink.items) == ["first", 0]
        waits.now_s = 1.0
        output.put(event("second"))
        wait_until(lambda: named(sink.items) == ["first", 0, 2, "second"])
        wait_until(lambda: output.counts().waiting == 0)
        waits.now_s = 2.0
        output.put(pose(3))
        assert named(sink.items[4:]) == [3]
        assert sink.at_once[1:] == [True, False, False, True]
        sink.free = False
        waits.now_s = 3.0
        output.put(pose(4))
        wait_until(lambda: named(sink.items[5:]) == [4])
        wait_until(lambda: output.counts().waiting == 0)
        assert output.counts() == OutputCounts(written=6, dropped=0, thinned=1, failures=0, waiting=0)


def test_what_a_prompt_sink_raises_is_told_by_check_and_not_by_put() -> None:
    sink = Prompt()
    with running(sink) as output:
        open_prompt(output, sink)
        sink.free = False
        sink.write = lambda item: 1 / 0  # type: ignore[assignment,method-assign,return-value]
        output.put(event("a"))
        wait_until(lambda: output.closed)
        output.put(event("b"))
        with pytest.raises(ZeroDivisionError):
            output.check()
        assert output.counts().dropped == 2


def test_an_output_that_ends_writes_nothing_more_at_once() -> None:
    sink = Prompt()
    with running(sink) as output:
        open_prompt(output, sink)
        output.finish(0.0)
        output.put(event("late"))
        output.join()
        assert named(sink.items) == ["first"]
        assert output.counts().dropped == 1
        assert sink.closed
