"""Every line to every output: none delays another, and a run ends when nobody is left or something is wrong."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from output_items import Device, Fifo, Kept, event, named, pose, stderr_of, wait_until

from edge.outputs.backlog import QUEUE_LINES
from edge.outputs.fanout import Fanout
from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import QueuedOutput
from edge.outputs.sink import Item, OutputClosed, Sink
from firmware_bridge.errors import Exit, Failure, run_command


@contextmanager
def fanout(*sinks: Sink) -> Iterator[Fanout]:
    with Fanout([QueuedOutput(sink, f"test:{number}") for number, sink in enumerate(sinks)]) as outputs:
        outputs.start()
        yield outputs


class Broken(Kept):
    """Fails in a way that nobody foresaw, at its first line."""

    def write(self, item: Item) -> None:
        raise ZeroDivisionError("of a sink")


def test_every_output_gets_every_line_in_order() -> None:
    sinks = [Kept(), Kept(), Kept()]
    with fanout(*sinks) as outputs:
        for seq in range(50):
            outputs.put(pose(seq))
    assert [named(sink.items) for sink in sinks] == [list(range(50))] * 3
    assert all(sink.closed for sink in sinks)


@pytest.mark.parametrize("fast_first", [True, False])
def test_a_stuck_and_a_failing_output_delay_no_other(
    tmp_path: Path, fast_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.outputs.queue.CLOSING_S", 0.1)
    fifo, fast = Fifo(tmp_path / "fifo"), Kept()
    others: list[Sink] = [JsonLines(fifo.writer), Device("/dev/full")]
    sinks = [fast, *others] if fast_first else [*others, fast]
    with fanout(*sinks) as outputs:
        for seq in range(1000):
            outputs.put(pose(seq))
            if seq % 50 == 0:
                wait_until(lambda seq=seq: len(fast.items) == seq + 1)
        counts = list(outputs.counts().values())
        stuck, full = [counts[sinks.index(other)] for other in others]
        assert stuck.waiting == QUEUE_LINES + 1
        assert full.failures > 0
        outputs.close(0.1)
        assert named(fast.items) == list(range(1000))
        fifo.read_until(lambda: all(output.closed for output in outputs.outputs))
    fifo.close()


def test_a_run_goes_on_as_long_as_somebody_reads() -> None:
    read, write = os.pipe()
    kept = Kept()
    with open(write, "w") as stream, fanout(JsonLines(stream), kept) as outputs:
        os.close(read)
        outputs.put(event("a"))
        wait_until(lambda: outputs.outputs[0].closed)
        outputs.put(event("b"))
        outputs.check()
    assert named(kept.items) == ["a", "b"]


def test_a_run_whose_only_reader_has_gone_is_told_so_even_while_there_is_nothing_to_say() -> None:
    read, write = os.pipe()
    with open(write, "w") as stream, fanout(JsonLines(stream)) as outputs:
        os.close(read)
        outputs.put(event("a"))
        wait_until(lambda: outputs.outputs[0].closed)
        with pytest.raises(OutputClosed):
            outputs.check()
        with pytest.raises(OutputClosed):
            outputs.put(event("b"))


def test_an_output_that_was_closed_before_the_start_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputClosed), fanout(JsonLines()):
        pass


def test_without_outputs_nobody_has_gone() -> None:
    with fanout() as outputs:
        outputs.put(event("a"))


def test_an_unexpected_exception_of_an_output_ends_the_run_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept()

    def main() -> int:
        with fanout(kept, Broken()) as outputs:
            outputs.put(event("a"))
            wait_until(lambda: outputs.outputs[1].closed)
            outputs.put(event("b"))
        return Exit.OK

    assert run_command("edge-run", main) == Exit.UNEXPECTED
    assert "unexpected ZeroDivisionError: of a sink" in capsys.readouterr().err
    assert named(kept.items) == ["a", "b"]
    assert kept.closed


def test_an_exception_in_the_very_last_line_is_not_lost() -> None:
    with pytest.raises(ZeroDivisionError), fanout(Broken()) as outputs:
        outputs.outputs[0].put(event("the end"))


def test_an_exception_is_raised_once() -> None:
    with fanout(Broken()) as outputs:
        outputs.outputs[0].put(event("a"))
        wait_until(lambda: outputs.outputs[0].closed)
        with pytest.raises(ZeroDivisionError):
            outputs.check()


class Forbidden(Kept):
    """Says so after a while."""

    def open(self) -> None:
        time.sleep(0.2)
        raise Failure("no folder /nowhere: make it first", Exit.MISSING_INPUT)


def test_an_output_that_can_never_open_fails_at_the_start() -> None:
    outputs = Fanout([QueuedOutput(sink, "test:") for sink in (Kept(), Forbidden())])
    with pytest.raises(Failure, match="no folder /nowhere"):
        outputs.start()
    outputs.close()


STUCK = """
from output_items import pose
from edge.outputs.fanout import Fanout
from edge.outputs.json_lines import JsonLines
from edge.outputs.queue import QueuedOutput
with Fanout([QueuedOutput(JsonLines(), "json:-")]) as outputs:
    outputs.start()
    for seq in range(1000):
        outputs.put(pose(seq))
    outputs.close(0.1)
"""


def test_a_process_whose_stdout_is_stuck_ends_cleanly() -> None:
    said = stderr_of(STUCK)
    assert said == [f"output json:- does not take its lines: {QUEUE_LINES + 1} are lost"]
