"""What people ask of a running daemon, over MQTT or HTTP: handed to the processing loop, answered by it."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["tare", "record", "stop_recording", "turn"]
ACTIONS: Final[tuple[Action, ...]] = ("tare", "record", "stop_recording", "turn")
MOST_WAITING: Final = 32


@dataclass(frozen=True, slots=True)
class Command:
    """One request about one mat."""

    mat: str
    action: Action
    force: bool = False
    """`tare`: even though somebody lies there."""
    orientation: str | None = None
    """`turn`: the mat's orientation from now on, spelled as --orientation spells it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`text` is one line for people, also where all went well."""

    ok: bool
    text: str


class Control:
    """Between the outputs' threads and the processing loop."""

    def __init__(self, mats: Sequence[str], wake: Callable[[], None] = lambda: None) -> None:
        self.mats = tuple(mats)
        self._wake = wake
        self._waiting: deque[tuple[Command, Future[Reply]]] = deque()
        self._lock = threading.Lock()

    def ask(self, command: Command) -> Future[Reply]:
        """From any thread. A mat that does not exist, or too many requests at once, is answered right away."""
        answer: Future[Reply] = Future()
        if command.mat not in self.mats:
            answer.set_result(Reply(False, f"no mat {command.mat}: this daemon has {', '.join(self.mats)}"))
            return answer
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                answer.set_result(Reply(False, f"{MOST_WAITING} requests wait already: try again"))
                return answer
            self._waiting.append((command, answer))
        self._wake()
        return answer

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def take(self) -> list[tuple[Command, Future[Reply]]]:
        """All that was asked since the last call; the caller sets every future's result."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        return waiting
