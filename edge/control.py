"""What people ask of a running daemon, over MQTT or HTTP: handed to the processing loop, answered by it."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Literal, get_args

Action = Literal["tare", "even", "weigh", "record", "stop_recording", "turn", "pause", "resume", "seek"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
OF_A_LOAD: Final = frozenset[Action]({"even", "weigh"})
OF_A_REPLAY: Final = frozenset[Action]({"pause", "resume", "seek"})
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
    at_s: float | None = None
    """`seek`: since the first message of the recording."""
    mass_kg: float | None = None
    """`weigh`: of whoever lies wholly on the mat; for `even` an even load lies on all of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`text` is one line for people, also where all went well."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Playing:
    """Where in its recording a replay is."""

    start_unix_s: float
    """When its first message was received."""
    position_s: float
    """Since then."""
    length_s: float
    paused: bool


class Control:
    """Between the outputs' threads and the processing loop."""

    def __init__(self, mats: Sequence[str], wake: Callable[[], None] = lambda: None) -> None:
        self.mats = tuple(mats)
        self.playing: Playing | None = None
        """Of a replay in which people can seek; the processing loop alone writes it."""
        self._wake = wake
        self._waiting: deque[tuple[Command, Future[Reply]]] = deque()
        self._lock = threading.Lock()

    def ask(self, command: Command) -> Future[Reply]:
        """From any thread. A mat that does not exist, or too many requests at once, is answered right away."""
        answer: Future[Reply] = Future()
        if command.mat not in self.mats:
            answer.set_result(Reply(False, f"no mat {command.mat}: this daemon has {', '.join(self.mats)}"))
            return answer
        if command.action in OF_A_REPLAY and self.playing is None:
            answer.set_result(Reply(False, "no recording is played at a pace: give edge-run --replay FILE --speed 1"))
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
