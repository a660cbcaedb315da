"""Pressure over the places where pressure injuries begin, and for how long they have borne it.

The sites are those that EPUAP, NPIAP and PPPIA name ("Prevention and Treatment of Pressure Ulcers/Injuries: Clinical
Practice Guideline", 2019): on the back occiput, shoulder blades, elbows, sacrum and heels; on a side ear, shoulder,
trochanter, knee and ankle of that side. Each is a disc around a point that follows from the joints. No IO and no
clock. A trend for carers, no medical measurement: it knows neither shear nor the skin.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge.rounding import rounded
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS

LEAST_CONFIDENCE: Final = 0.5
"""Of each joint that a site follows from; there a joint is 5 cm off on average, nearly a disc's radius."""
RELIEF_SHARE: Final = 0.25
"""Of a site's average since it was last relieved: at less it is being relieved. A share, so that counts will do; low,
because what only shifts a little keeps the tissue squeezed."""
RELIEF_S: Final = 120.0
"""So long a relief must last: the oxygen in the tissue of people who sat took 1 min 51 s to come back on average
(M. J. Coggrave, L. S. Rose, "A specialist seating assessment clinic", Spinal Cord 41, 2003)."""
LOOK_EVERY_S: Final = 0.5
"""At most: what the skin bears builds up over minutes, and frames in between cost nothing then."""
LONGEST_STEP_S: Final = 10.0
"""Between frames of the slowest mats; of a longer gap nobody knows what was borne in it."""

Tenths = Annotated[float, rounded(1)]


class Load(BaseModel):
    """One site, in the frame's unit."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    mean: Tenths | None = Field(description="now; 0 where the posture takes the load off; null unless measured")
    peak: Tenths | None
    integral: Tenths = Field(description="unit x s since the site was last relieved")
    loaded_s: Tenths = Field(description="since it was loaded again after that, gaps and pauses left out")
    measured: bool = Field(description="false while joints or posture are not sure enough: the integral pauses")


@dataclass(frozen=True)
class Site:
    posture: str
    """In which the site bears load."""
    radius_cm: float
    joints: dict[str, float]
    """The disc's centre: joints and their weights, which add up to 1."""


def _sites() -> Iterator[tuple[str, Site]]:
    yield "occiput", Site("supine", 7.0, {"head": 1.0})
    yield "sacrum", Site("supine", 8.0, {"r_hip": 0.45, "l_hip": 0.45, "neck": 0.1})
    for side, own, other in (("left", "l", "r"), ("right", "r", "l")):
        blade = {f"{own}_shoulder": 0.62, f"{other}_shoulder": 0.2, f"{own}_hip": 0.18}
        yield f"{side}_scapula", Site("supine", 7.0, blade)
        yield f"{side}_elbow", Site("supine", 5.0, {f"{own}_elbow": 1.0})
        yield f"{side}_heel", Site("supine", 6.0, {f"{own}_ankle": 1.1, f"{own}_knee": -0.1})
        yield f"{side}_ear", Site(side, 7.0, {"head": 1.0})
        yield f"{side}_shoulder", Site(side, 8.0, {f"{own}_shoulder": 1.0})
        yield f"{side}_trochanter", Site(side, 8.0, {f"{own}_hip": 1.0})
        yield f"{side}_knee", Site(side, 6.0, {f"{own}_knee": 1.0})
        yield f"{side}_ankle", Site(side, 5.0, {f"{own}_ankle": 1.0})


SITES: Final = dict(_sites())
_WEIGHTS: Final = np.array([[site.joints.get(joint, 0.0) for joint in JOINTS] for site in SITES.values()])
_RADIUS_CM: Final = np.array([site.radius_cm for site in SITES.values()])
_BORNE: Final = {
    posture: np.flatnonzero([site.posture == posture for site in SITES.values()])
    for posture in ("supine", "left", "right")
}


class Regions:
    """The sites of whoever lies on one mat with this canonical grid."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._rows_around = _around(_RADIUS_CM.max() / grid.pitch_y_cm)
        self._cols_around = _around(_RADIUS_CM.max() / grid.pitch_x_cm)
        self._t_s: float | None = None
        self._mean, self._peak, self._integral, self._loaded_s, self._relieving_s = np.zeros((5, len(SITES)))
        self._measured = np.ones(len(SITES), bool)

    def step(
        self,
        t_s: float,
        pressure: NDArray[np.float32],
        joints: NDArray[np.float64] | None,
        occupied: bool,
        posture: str | None,
    ) -> None:
        """One frame: pressure (rows, cols), canonical, joints (14, 3) x_cm, y_cm, confidence.

        `t_s` is any clock in seconds; `occupied` and `posture` are best those of Behaviour, which do not flicker.
        """
        dt_s = 0.0 if self._t_s is None else t_s - self._t_s
        if 0 < dt_s < LOOK_EVERY_S:
            return
        self._t_s = t_s
        self._look(pressure, joints, occupied, posture)
        if 0 < dt_s <= LONGEST_STEP_S:
            self._bear(np.where(self._measured, dt_s, 0.0))

    def loads(self) -> dict[str, Load]:
        """Every site by its name."""
        return {
            name: Load(
                mean=float(self._mean[i]) if self._measured[i] else None,
                peak=float(self._peak[i]) if self._measured[i] else None,
                integral=float(self._integral[i]),
                loaded_s=float(self._loaded_s[i]),
                measured=bool(self._measured[i]),
            )
            for i, name in enumerate(SITES)
        }

    def _look(
        self, pressure: NDArray[np.float32], joints: NDArray[np.float64] | None, occupied: bool, posture: str | None
    ) -> None:
        """Mean and peak of every site now."""
        self._mean[:] = self._peak[:] = 0
        borne = _BORNE.get(posture or "")
        self._measured[:] = not occupied or (joints is not None and borne is not None)
        if not occupied or joints is None or borne is None:
            return
        centre_cm = _WEIGHTS[borne] @ joints[:, :2]
        rows, row2_cm2 = _lines(centre_cm[:, 1:], self._rows_around, self._grid.rows, self._grid.pitch_y_cm)
        cols, col2_cm2 = _lines(centre_cm[:, :1], self._cols_around, self._grid.cols, self._grid.pitch_x_cm)
        inside = row2_cm2[:, :, None] + col2_cm2[:, None, :] <= _RADIUS_CM[borne, None, None] ** 2
        held = np.where(inside, pressure[rows[:, :, None], cols[:, None, :]], 0)
        taxels = inside.sum((1, 2))
        self._mean[borne] = held.sum((1, 2)) / np.maximum(taxels, 1)
        self._peak[borne] = held.max((1, 2))
        sure = np.where(_WEIGHTS[borne] != 0, joints[:, 2], 1).min(1) >= LEAST_CONFIDENCE
        self._measured[borne] = sure & (taxels > 0)

    def _bear(self, dt_s: NDArray[np.float64]) -> None:
        """dt_s (sites,): the time for which each site was measured."""
        average = self._integral / np.maximum(self._loaded_s, np.finfo(float).tiny)
        relieving = (self._mean <= RELIEF_SHARE * average) | (dt_s == 0)
        self._relieving_s = np.where(relieving, self._relieving_s + dt_s, 0.0)
        self._integral += self._mean * dt_s
        self._loaded_s += np.where(self._integral > 0, dt_s, 0.0)
        relieved = self._relieving_s >= RELIEF_S
        self._integral[relieved] = self._loaded_s[relieved] = 0


def _around(reach: float) -> NDArray[np.int64]:
    """Steps to the lines that a disc of that reach may touch."""
    return np.arange(-math.ceil(reach), math.ceil(reach) + 1)


def _lines(
    centre_cm: NDArray[np.float64], around: NDArray[np.int64], n: int, pitch_cm: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """centre_cm (S, 1) on one axis -> (S, L) the mat's lines around it, their squared distances; inf beside the mat."""
    lines = np.floor(centre_cm / pitch_cm).astype(np.int64) + around
    distance2_cm2 = ((lines + 0.5) * pitch_cm - centre_cm) ** 2
    on_mat = np.clip(lines, 0, n - 1)
    distance2_cm2[on_mat != lines] = np.inf
    return on_mat, distance2_cm2
