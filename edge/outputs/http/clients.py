"""What each browser has not taken yet: bounded, and always the newest."""

import asyncio
import json
from collections import deque
from functools import cached_property
from typing import Final

import numpy as np

from edge.messages import EventLine, Hello, Line, Pose
from edge.outputs.sink import Item

EVENTS_WAITING: Final = 32
"""Events that wait for a slow client; the oldest go first. Of all other lines only the newest of a kind waits."""


class Message:
    """An item as it is sent, encoded once for all clients, and never when all of them skip it."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self.line: Line = item.line

    @cached_property
    def text(self) -> str:
        """The JSON line, without its end."""
        return self._item.json_line().rstrip("\n")

    @cached_property
    def picture(self) -> bytes | None:
        """The pressure map of a pose, as server.py describes it."""
        if self._item.picture is None:
            return None
        pressure = np.maximum(np.nan_to_num(self._item.picture.pressure), 0)
        step = float(pressure.max(initial=0)) / 0xFFFF or 1.0
        joints = self._item.picture.raw_joints
        head = json.dumps(
            {
                "mat": self.line.mat,
                "seq": self.line.seq,
                "rows": pressure.shape[0],
                "cols": pressure.shape[1],
                "unit": self._item.picture.unit,
                "step": step,
                "raw_joints": None if joints is None else np.round(joints, 3).tolist(),
                "stages_ms": {stage: round(ms, 3) for stage, ms in self._item.picture.stages_ms.items()},
            },
            separators=(",", ":"),
        ).encode()
        head += b" " * (len(head) % 2)
        return len(head).to_bytes(4, "little") + head + np.rint(pressure / step).astype("<u2").tobytes()


class Client:
    """One WebSocket or one stream of events. `offer` never waits; what is too much for the client is left out."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Message] = {}
        self._events: deque[Message] = deque(maxlen=EVENTS_WAITING)
        self._ready = asyncio.Event()
        self._ended = False

    def __len__(self) -> int:
        return len(self._newest) + len(self._events)

    def offer(self, message: Message) -> None:
        line = message.line
        if isinstance(line, EventLine):
            self._events.append(message)
        else:
            if isinstance(line, Hello):
                self._newest.pop((Pose.__name__, line.mat), None)  # of the grid before
            key = (type(line).__name__, line.mat)
            self._newest.pop(key, None)
            self._newest[key] = message
        self._ready.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._ready.set()

    async def take(self) -> list[Message]:
        """All that waits, once something does: events first, then the others as they came; at the end nothing."""
        await self._ready.wait()
        waiting = [*self._events, *self._newest.values()]
        self._events.clear()
        self._newest.clear()
        if not self._ended:
            self._ready.clear()
        return waiting
