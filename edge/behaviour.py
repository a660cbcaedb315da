"""Whether somebody is in bed, how they lie and when they turned: what frames say, once it has lasted.

No IO and no clock: `t_s` is any clock in seconds that does not go back, such as Instant.steady_s. A reboot of the
mat is nothing here: only time and what is seen count.
"""

import math
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

OCCUPANCY_SETTLES_S: Final = 2.0
"""Whoever sits down, or props themselves up, is out of the mat's sight for a second or so."""
POSTURE_SETTLES_S: Final = 3.0
"""A turn lasts one or two seconds and shows other postures on its way."""
SETTLED_SHARE: Final = 0.8
"""Of the recent time, faded exponentially: so much of it must have shown what is to count."""
LARGEST_WEIGHT: Final = 0.5
"""Of one frame, however long after the last: where frames are rare, it takes three to settle."""
ROUNDING: Final = 1e-9

T = TypeVar("T")


class Settling(Generic[T]):
    """What is seen, without what does not last.

    A value that every frame shows counts after `settles_s`; among others it takes longer, and with less than
    SETTLED_SHARE of the time it never counts. So neither one wrong frame nor a flicker changes anything.
    """

    def __init__(self, settled: T, settles_s: float) -> None:
        self.settled = settled
        self._fades_hz = -math.log(1 - SETTLED_SHARE) / settles_s
        self._shares = {settled: 1.0}

    def see(self, value: T, dt_s: float) -> bool:
        """One frame, `dt_s` after the one before. Whether `settled` changed."""
        weight = min(1 - math.exp(-self._fades_hz * dt_s), LARGEST_WEIGHT)
        self._shares = {known: share * (1 - weight) for known, share in self._shares.items()}
        self._shares[value] = self._shares.get(value, 0.0) + weight
        changed = value != self.settled and self._shares[value] >= SETTLED_SHARE - ROUNDING
        if changed:
            self.settled = value
        return changed


@dataclass(frozen=True, slots=True)
class Happened:
    """Named as the event line is; `detail` is for people."""

    event: Literal["bed_entered", "bed_left", "turned"]
    detail: str


class Behaviour:
    """Of whoever lies on one mat; at first nobody."""

    def __init__(self) -> None:
        self.occupancy_since_s: float | None = None
        """When somebody came or left, as it settled; None before either."""
        self.posture_since_s: float | None = None
        """When the posture settled; None without one."""
        self.turns = 0
        """Of the person in bed since they came; of an empty bed's last person."""
        self._occupied = Settling(False, OCCUPANCY_SETTLES_S)
        self._posture = _nothing_known()
        self._t_s: float | None = None

    @property
    def occupied(self) -> bool:
        return self._occupied.settled

    @property
    def posture(self) -> str | None:
        """None of an empty bed, while somebody has just come, and without a model that tells."""
        return self._posture.settled

    def unturned_s(self, t_s: float) -> float | None:
        """How long the person has lain without a turn; None of an empty bed."""
        began_s = self.posture_since_s if self.turns else self.occupancy_since_s
        return t_s - began_s if self.occupied and began_s is not None else None

    def step(self, t_s: float, occupied: bool, posture: str | None) -> list[Happened]:
        """What one frame shows -> what turns out to have happened. A `posture` of None tells nothing."""
        before_s = t_s if self._t_s is None else self._t_s
        self._t_s = t_s = max(t_s, before_s)
        happened = []
        if self._occupied.see(occupied, t_s - before_s):
            happened.append(self._came() if occupied else self._left(t_s))
            self.occupancy_since_s = t_s
        elif occupied and self.occupied and posture is not None:
            before = self.posture
            if self._posture.see(posture, t_s - before_s):
                self.posture_since_s = t_s
                if before is not None:
                    self.turns += 1
                    happened.append(Happened("turned", f"from {before} to {posture}"))
        return happened

    def _came(self) -> Happened:
        self.turns = 0
        return Happened("bed_entered", "somebody is in bed")

    def _left(self, t_s: float) -> Happened:
        stayed_s = 0.0 if self.occupancy_since_s is None else t_s - self.occupancy_since_s
        self._posture, self.posture_since_s = _nothing_known(), None
        return Happened("bed_left", f"the bed is empty after {stayed_s / 60:.0f} min; turns: {self.turns}")


def _nothing_known() -> Settling[str | None]:
    return Settling(None, POSTURE_SETTLES_S)
