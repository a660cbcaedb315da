"""Joints that keep still while the person does, and keep up when the person moves.

The one-euro filter (G. Casiez, N. Roussel, D. Vogel: "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy
Input in Interactive Systems", CHI 2012), one for each joint on the plane, so that nothing depends on how the mat is
turned. Time is the device's: a replay gives the same joints.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from edge.core.calls import SmoothCall
from edge.core.library import CORE, Library
from edge.manifest import Strict
from firmware_bridge.skeleton import JOINTS, MIRRORED

Points = NDArray[np.complex128]
"""(14,): x + iy of each joint."""
WRAP_US: Final = 2**32
"""t_us is a u32."""
_MIRRORED: Final = np.array(MIRRORED)
_OWN: Final = np.arange(len(JOINTS))


class Smoothing(Strict):
    """How calm and how late joints are.

    With the defaults a motionless sleeper's joints tremble half as much as their heat maps, and follow a turn 0.1 s
    later (simulated nights at 1 to 40 frames/s and a person of pmd Experiment I at 1, through the default model).
    """

    min_cutoff_hz: PositiveFloat = Field(0.1, description="cutoff of a joint at rest; lower is calmer and later")
    beta_per_cm: float = Field(0.1, ge=0, description="Hz of cutoff for each cm/s of speed; higher follows faster")
    derivative_cutoff_hz: PositiveFloat = Field(1.0, description="cutoff of the low-pass on the speed itself")
    full_confidence: float = Field(
        0.5, gt=0, le=1, description="from here on a joint counts in full; below, with the square of its share"
    )
    swap_saves_cm: PositiveFloat = Field(
        10.0, description="left and right have swapped names where this spares a pair so much of its way"
    )
    gap_s: PositiveFloat = Field(5.0, description="so long without joints, and the filter starts anew")


class Smoother:
    """Smooths the joints of one mat; without `core` NumPy computes it."""

    def __init__(self, settings: Smoothing | None = None, core: Library | None = CORE) -> None:
        self.settings = settings or Smoothing()
        self._call = SmoothCall(core, **self.settings.model_dump()) if core else None
        self._at: tuple[int, int] | None = None
        self._seen_cm: Points = np.zeros(len(JOINTS), np.complex128)
        self._smooth_cm = self._velocity_cm_s = self._seen_cm

    def __call__(self, joints: NDArray[np.float64] | None, t_us: int, boot_id: int) -> NDArray[np.float64] | None:
        """joints (14, 3): x_cm, y_cm, confidence -> the same with smooth x and y.

        `t_us` is the frame's, on the clock that began with `boot_id`. The first joints pass unchanged, and again
        after an empty mat (None, which passes), a gap, a reboot, or where the clock goes back.
        """
        if joints is None:
            self._at = None
            return None
        dt_s = self._since_last_s(t_us, boot_id)
        self._at = (boot_id, t_us)
        if self._call:
            return self._call(joints, dt_s)
        seen_cm = joints[:, :2].copy().view(np.complex128)[:, 0]
        if not 0 <= dt_s <= self.settings.gap_s:
            self._seen_cm = self._smooth_cm = seen_cm
            self._velocity_cm_s = np.zeros_like(seen_cm)
        elif dt_s > 0:
            self._follow(seen_cm, joints[:, 2], dt_s)
        smooth = joints.copy()
        smooth[:, :2] = self._smooth_cm[:, None].view(np.float64)
        return smooth

    def _since_last_s(self, t_us: int, boot_id: int) -> float:
        if self._at is None or self._at[0] != boot_id:
            return np.inf
        ahead_us = (t_us - self._at[1]) % WRAP_US
        return (ahead_us if ahead_us < WRAP_US // 2 else ahead_us - WRAP_US) / 1e6

    def _follow(self, seen_cm: Points, confidence: NDArray[np.float64], dt_s: float) -> None:
        s = self.settings
        trust = np.minimum(confidence / s.full_confidence, 1) ** 2
        off_cm = np.abs(seen_cm - self._smooth_cm)
        if off_cm.max() > s.swap_saves_cm / 2:  # else no pair is off by enough
            self._swap_names(seen_cm, off_cm, trust)
        step_cm = seen_cm - self._seen_cm
        gain = trust * _gain(s.derivative_cutoff_hz, dt_s)
        self._velocity_cm_s = self._velocity_cm_s + gain * (step_cm / dt_s - self._velocity_cm_s)
        gain = trust * _gain(s.min_cutoff_hz + s.beta_per_cm * np.abs(self._velocity_cm_s), dt_s)
        self._smooth_cm = self._smooth_cm + gain * (seen_cm - self._smooth_cm)
        self._seen_cm = self._seen_cm + trust * step_cm

    def _swap_names(self, seen_cm: Points, off_cm: NDArray[np.float64], trust: NDArray[np.float64]) -> None:
        """In a turn the model may from one frame to the next call left what it called right: no joint moved then,
        and none is to fly through the body."""
        spared_cm = trust * (off_cm - np.abs(seen_cm - self._smooth_cm[_MIRRORED]))
        swapped = spared_cm + spared_cm[_MIRRORED] > self.settings.swap_saves_cm
        if swapped.any():
            origin = np.where(swapped, _MIRRORED, _OWN)
            self._seen_cm, self._smooth_cm = self._seen_cm[origin], self._smooth_cm[origin]
            self._velocity_cm_s = self._velocity_cm_s[origin]


def _gain(cutoff_hz: float | NDArray[np.float64], dt_s: float) -> float | NDArray[np.float64]:
    """Of an exponential low-pass with that cutoff, for frames `dt_s` apart."""
    turn = math.tau * dt_s * cutoff_hz
    return turn / (1 + turn)
