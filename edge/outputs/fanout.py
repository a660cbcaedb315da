"""Every line to every output."""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from edge.outputs.queue import OutputCounts, QueuedOutput
from edge.outputs.sink import Item, OutputClosed

OPENING_S: Final = 2.0
"""What `start` gives the outputs to say that they can never open; one that takes longer opens meanwhile."""
DRAIN_S: Final = 3.0
"""What a slow output gets at the end of a run."""


class Fanout:
    """Hands each item to all of `outputs`, between `start` and `close`; a `with` block closes it.

    Raises, where it is used next, what a sink raised unexpectedly (Failure among it), and OutputClosed once
    all outputs are closed: as long as one is left, the run has a reader.
    """

    def __init__(self, outputs: Sequence[QueuedOutput]) -> None:
        self.outputs = tuple(outputs)
        self._raised: BaseException | None = None
        self._closed = False

    def start(self) -> None:
        """Raises as `check` does, where an output says so in time: a folder that is missing ends a run at once."""
        for output in self.outputs:
            output.start()
        for output in self.outputs:
            output.wait_until_tried(OPENING_S)
        self.check()

    def put(self, item: Item) -> None:
        for output in self.outputs:
            output.put(item)
        self.check()

    def check(self) -> None:
        """To be called also while there is nothing to hand over."""
        self._raise_unexpected()
        if self.outputs and all(output.closed for output in self.outputs):
            raise OutputClosed

    def counts(self) -> dict[str, OutputCounts]:
        """Of each output by its name."""
        return {output.name: output.counts() for output in self.outputs}

    def close(self, timeout_s: float = DRAIN_S) -> None:
        """Hands over what waits, `timeout_s` long (lossless outputs: see QueuedOutput.finish), and closes all.

        Raises what a sink raised unexpectedly and nobody has heard of yet. Once: a second call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        for output in self.outputs:
            output.finish(timeout_s)
        for output in self.outputs:
            output.join()
        if self._raised is None:
            self._raise_unexpected()

    def _raise_unexpected(self) -> None:
        for output in self.outputs:
            try:
                output.check()
            except BaseException as error:
                self._raised = error
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
