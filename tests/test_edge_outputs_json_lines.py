"""JSON lines on a stream that may be closed by its reader at any time."""

import io
import os

import pytest

from edge.messages import EventLine
from edge.outputs.json_lines import JsonLines
from edge.outputs.sink import Item, OutputClosed

LINE = EventLine(ts=1.0, seq=None, mat="bed", event="fresh", detail="frames come again")


def test_a_line_is_out_at_once() -> None:
    read, write = os.pipe()
    with open(write, "w") as stream, open(read) as reader:
        output = JsonLines(stream)
        output.write(Item(LINE))
        assert reader.readline() == LINE.json_line()


def test_a_reader_that_has_gone_is_told_of_and_nothing_is_left_to_flush() -> None:
    read, write = os.pipe()
    with open(write, "w") as stream:
        output = JsonLines(stream)
        os.close(read)
        with pytest.raises(OutputClosed):
            output.write(Item(LINE))
        stream.write("what the interpreter still holds")


def test_a_stdout_that_was_closed_before_the_start_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputClosed):
        JsonLines().open()


def test_text_beyond_ascii_is_written_as_it_is() -> None:
    stream = io.StringIO()
    JsonLines(stream).write(Item(LINE.model_copy(update={"mat": "Bett für Zoë"})))
    assert "Bett für Zoë" in stream.getvalue()
