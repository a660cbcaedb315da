"""What the daemon said last of each mat, and whether frames are fresh."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from edge.control import Playing
from edge.messages import End, EventLine, Health, Hello, Line, Pose
from edge.outputs.sink import Item, Picture
from edge.session import HEALTH_EVERY_S

SILENT_S: Final = 3 * HEALTH_EVERY_S
"""Health comes at an interval, whatever the mat does: without it for so long, the daemon itself hangs."""
EVENTS_KEPT: Final = 20


class Replay(Line):
    """Where in its recording a replay is; told to those who watch alone."""

    type: Literal["replay"] = "replay"
    position_s: float
    length_s: float
    paused: bool

    @classmethod
    def of(cls, playing: Playing, mat: str) -> Self:
        at_s = playing.position_s
        ts = playing.start_unix_s + at_s
        return cls(ts=ts, seq=None, mat=mat, position_s=at_s, length_s=playing.length_s, paused=playing.paused)


@dataclass(slots=True, eq=False)
class MatState:
    """The latest of one mat."""

    hello: Hello | None = None
    health: Health | None = None
    pose: Pose | None = None
    picture: Picture | None = None
    """The pose's."""
    end: End | None = None
    events: deque[EventLine] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    heard_s: float | None = None
    pose_s: float | None = None
    """On the steady clock, as heard_s."""
    paused: bool = False
    """Of a replay."""

    def latest(self) -> list[Item]:
        """What a new client is told first."""
        lines = (self.hello, self.health, self.pose)
        return [Item(line, self.picture if line is self.pose else None) for line in lines if line]

    def trouble(self, now_s: float) -> str | None:
        """Why its frames are not fresh; None when they are."""
        if self.end:
            return "the run has ended"
        if self.hello is None or self.heard_s is None:
            return "no INFO and no frame has come yet"
        if now_s - self.heard_s > SILENT_S and not self.paused:
            return f"the daemon has said nothing for {now_s - self.heard_s:.0f} s"
        if self.health is None or self.health.status == "stale":
            return self.health.reason if self.health else "no health has come yet"
        return None


class State:
    """Of all mats; lives in one thread."""

    def __init__(self, mats: Sequence[str], clock_s: Callable[[], float] = time.monotonic) -> None:
        self.mats = {mat: MatState() for mat in mats}
        self._clock_s = clock_s

    def take(self, item: Item) -> None:
        line = item.line
        mat = self.mats.setdefault(line.mat, MatState())
        mat.heard_s = self._clock_s()
        match line:
            case Pose():
                mat.pose, mat.picture, mat.pose_s = line, item.picture, mat.heard_s
            case Hello():
                mat.hello, mat.pose, mat.picture = line, None, None  # they may be of another grid
            case Health():
                mat.health = line
            case Replay():
                mat.paused = line.paused
            case EventLine():
                mat.events.append(line)
            case End():
                mat.end = line

    def pose_age_s(self, mat: str) -> float | None:
        """Since its newest pose came; None before the first."""
        pose_s = self.mats[mat].pose_s
        return None if pose_s is None else self._clock_s() - pose_s

    def fresh(self) -> tuple[bool, dict[str, Any]]:
        """Whether all mats are, and what /healthz says of each."""
        now_s = self._clock_s()
        troubles = {name: mat.trouble(now_s) for name, mat in self.mats.items()}
        mats = {}
        for name, trouble in troubles.items():
            health, age_s = self.mats[name].health, self.pose_age_s(name)
            mats[name] = {
                "fresh": trouble is None,
                "reason": trouble or (health.reason if health else None),
                "pose_age_s": None if age_s is None else round(age_s, 3),
            }
        fresh = not any(troubles.values())
        return fresh, {"fresh": fresh, "mats": mats}

    def as_json(self) -> dict[str, Any]:
        """Mat -> hello, pose, health, events: the lines as they are on stdout."""
        return {
            name: {
                "hello": mat.hello and mat.hello.model_dump(mode="json"),
                "pose": mat.pose and mat.pose.model_dump(mode="json"),
                "health": mat.health and mat.health.model_dump(mode="json"),
                "events": [event.model_dump(mode="json") for event in mat.events],
            }
            for name, mat in self.mats.items()
        }
