"""A queue before each output: bounded, poses go first, a slow or failing output holds nobody up."""

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

from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    QUEUE_LINES,
    SETTLED_S,
    Backlog,
    OutputCounts,
    QueuedOutput,
    Unsendable,
)
from edge.outputs.sink import Item, OutputClosed, Sink
from firmware_bridge.errors import Exit, Failure


def taken(backlog: Backlog, now_s: float = 0.0) -> list[int | str]:
    return named(list(iter(lambda: backlog.take(now_s), None)))


def test_a_full_backlog_loses_its_oldest_pose_and_counts_it() -> None:
    backlog = Backlog(size=3)
    for seq in range(5):
        backlog.put(pose(seq), 0.0)
    assert taken(backlog) == [2, 3, 4]
    assert backlog.dropped == 2


def test_other_lines_stay_as_long_as_a_pose_can_go() -> None:
    backlog = Backlog(size=3)
    for item in (event("a"), pose(0), event("b"), pose(1), pose(2), event("c"), pose(3)):
        backlog.put(item, 0.0)
    assert taken(backlog) == ["a", "b", "c"]
    assert backlog.dropped == 4


def test_a_flood_of_other_lines_is_bounded_too_and_the_newest_stay() -> None:
    backlog = Backlog()
    for number in range(2000):
        backlog.put(event(str(number)), 0.0)
        assert len(backlog) <= QUEUE_LINES
    assert taken(backlog) == [str(number) for number in range(2000 - QUEUE_LINES, 2000)]
    assert backlog.dropped == 2000 - QUEUE_LINES


def test_what_is_put_back_comes_first_and_the_bound_holds() -> None:
    backlog = Backlog(size=2)
    backlog.put(event("a"), 0.0)
    first = backlog.take(0.0)
    assert first
    for seq in range(2):
        backlog.put(pose(seq), 0.0)
    backlog.put_back(first)
    assert taken(backlog) == ["a", 1]


def test_a_rate_lets_the_newest_pose_through_when_its_time_has_come() -> None:
    backlog = Backlog(rate_hz=2.0)
    backlog.put(pose(0), 10.0)
    assert taken(backlog, 10.0) == [0]
    for seq in (1, 2, 3):
        backlog.put(pose(seq), 10.0 + seq / 10)
    assert taken(backlog, 10.49) == []
    assert backlog.due_s() == 10.5
    assert taken(backlog, 10.5) == [3]
    assert (backlog.thinned, backlog.dropped) == (2, 0)


def test_a_rate_counts_for_each_mat() -> None:
    backlog = Backlog(rate_hz=1.0)
    for seq in range(6):
        backlog.put(pose(seq, mat="left" if seq % 2 else "right"), 0.0)
        if seq == 1:
            assert taken(backlog) == [0, 1]
    assert taken(backlog, 1.0) == [4, 5]


def test_other_lines_pass_a_rate_at_once_and_no_pose_comes_after_a_later_line_of_its_mat() -> None:
    backlog = Backlog(rate_hz=1.0)
    for item in (pose(0), event("a"), pose(1), event("b"), event("c")):
        backlog.put(item, 0.0)
        if item.line.seq == 0:
            assert taken(backlog) == [0]
    assert taken(backlog) == ["a", "b", "c"]
    assert taken(backlog, 100.0) == []
    assert backlog.thinned == 1


def test_a_pose_whose_time_has_come_is_not_overtaken() -> None:
    backlog = Backlog(rate_hz=1.0)
    backlog.put(pose(0), 0.0)
    backlog.put(event("a"), 0.0)
    assert taken(backlog) == [0, "a"]


def test_a_line_of_another_mat_leaves_a_held_pose_alone() -> None:
    backlog = Backlog(rate_hz=1.0)
    backlog.put(pose(0), 0.0)
    assert taken(backlog) == [0]
    backlog.put(pose(1), 0.5)
    backlog.put(event("a", mat="other"), 0.5)
    assert taken(backlog, 0.5) == ["a"]
    assert taken(backlog, 1.0) == [1]


def test_under_a_rate_a_slow_output_gets_the_newest_pose_and_the_others_count_as_dropped() -> None:
    backlog = Backlog(rate_hz=100.0)
    for seq in range(10):
        backlog.put(pose(seq), float(seq))
    assert taken(backlog, 10.0) == [9]
    assert (backlog.thinned, backlog.dropped) == (0, 9)


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
        for seq in range(2000):
            output.put(pose(seq))
        output.put(event("the end"))
        wait_until(lambda: output.counts().waiting == QUEUE_LINES + 1)  # one is on its way
        counts = output.counts()
        assert accounted(counts) == 2001
        assert counts.dropped > 1000
        lines = fifo.read_until(lambda: output.counts().waiting == 0)
        seqs = [json.loads(line)["seq"] for line in lines]
        assert seqs[:-1] == sorted(set(seqs[:-1]))
        assert seqs[-QUEUE_LINES:-1] == list(range(2001 - QUEUE_LINES, 2000))
        assert json.loads(lines[-1])["detail"] == "the end"
        assert output.counts() == OutputCounts(len(lines), 2001 - len(lines), 0, 0, 0)


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
