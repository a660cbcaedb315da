"""What waits before one output: bounded, oldest first, poses before any other line, as fast as its rate lets them."""

import math
from collections import deque
from typing import Final

from edge.outputs.sink import Item

QUEUE_LINES: Final = 128
"""Some seconds of one mat, which an SD card may take to flush; about 3 MB with their pictures."""


class Backlog:
    """Items that wait, oldest first; at most `size`, and poses go before any other line. Sans-IO and without clock.

    `rate_hz` holds at most one pose of each mat, the newest, until 1 / rate_hz after the last one taken. Every
    other line passes at once; a pose that it overtakes is left out, so that lines of a mat stay in order.
    """

    def __init__(self, size: int = QUEUE_LINES, rate_hz: float | None = None) -> None:
        self.size = size
        self.dropped = self.thinned = 0
        self._period_s = 1 / rate_hz if rate_hz else 0.0
        self._items: deque[Item] = deque()
        self._due_s: dict[str, float] = {}
        """Mat -> when its next pose may be taken."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, now_s: float) -> None:
        if self._period_s:
            self._supersede(item, now_s)
        self._items.append(item)
        self._fit()

    def put_back(self, item: Item) -> None:
        """The item taken last, first in turn again; its rate has not begun to count."""
        self._items.appendleft(item)
        if item.is_pose:
            self._due_s.pop(item.mat, None)
        self._fit()

    def take(self, now_s: float) -> Item | None:
        """The oldest item that may go, None where there is none."""
        for index, item in enumerate(self._items):
            if self._item_due_s(item) <= now_s:
                del self._items[index]
                if self._period_s and item.is_pose:
                    self._due_s[item.mat] = now_s + self._period_s
                return item
        return None

    def due_s(self) -> float:
        """When `take` will have something; infinity for not before the next `put`."""
        return min(map(self._item_due_s, self._items), default=math.inf)

    def discard(self) -> None:
        self.dropped += len(self._items)
        self._items.clear()

    def _item_due_s(self, item: Item) -> float:
        return self._due_s.get(item.mat, -math.inf) if item.is_pose else -math.inf

    def _supersede(self, item: Item, now_s: float) -> None:
        for index, waiting in enumerate(self._items):
            if waiting.is_pose and waiting.mat == item.mat:
                held = self._item_due_s(waiting) > now_s
                if held or item.is_pose:
                    del self._items[index]
                    self.thinned += held
                    self.dropped += not held
                return

    def _fit(self) -> None:
        if len(self._items) > self.size:
            del self._items[next((i for i, item in enumerate(self._items) if item.is_pose), 0)]
            self.dropped += 1
