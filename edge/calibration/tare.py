"""A calibration from some seconds of frames of an empty mat."""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge.calibration.collector import Collector, Refused
from edge.calibration.values import Calibration, Fault, faults_of, in_words
from firmware_bridge.messages import Info

QUANTISATION_COUNTS: Final = 12**-0.5
"""What rounding to whole counts adds to the noise."""
TRIMMED_SHARE: Final = 0.1
"""Of a taxel's frames, those farthest from its median: left out, so that single spikes are no noise."""
TRIMMED_MEAN: Final = 0.657
"""Mean distance from the median of the rest of Gaussian noise of standard deviation 1."""
NOISIEST_SHARE: Final = 0.02
"""Of the ADC's full scale: a mat whose typical taxel is noisier is broken."""
FLICKER_SHARE: Final = 0.05
"""Of the ADC's full scale: a taxel as noisy has a loose contact."""
MOVED_NOISES: Final = 4.0
MOVED_SHARE: Final = 0.02
"""Of the taxels whose median moved by MOVED_NOISES from the tare's first half to its second: something moves."""
STUCK_SHARE: Final = 0.98
"""Of the ADC's full scale: no load can show above it."""
FAR_NOISES, FAR_COUNTS = 8.0, 4.0
"""A taxel that never changes and is this far from all its neighbours, while they change, is no sensor."""
MOST_FAULTY_SHARE: Final = 0.25


class Tare(Collector):
    """Is fed frames of the empty `mat`; then `result`.

    What `before` knows and no empty mat shows is kept: gains, curve, orientation and dead taxels. A taxel at 0 among
    others at 0 may be dead or idle: edge.calibration.faults finds out in use.
    `force` tares a mat that looks occupied: what lies there is no load any more. A body that breathes is refused still.
    """

    def __init__(self, mat: Info, before: Calibration | None = None, *, force: bool = False) -> None:
        super().__init__()
        self._mat, self._force = mat, force
        self._before = before if before and before.misfit(mat) is None else None

    def result(self, made_unix_s: float) -> Calibration | Refused:
        if self._occupied and not self._force:
            return Refused(
                f"somebody lies on the mat in {self._occupied} of {len(self._frames)} frames: "
                "empty it, or force the tare if nobody is there"  # an untared mat that slopes looks so
            )
        if refused := self._too_few("tare"):
            return refused
        frames = self._stack()
        full_scale = self._mat.adc_full_scale
        baseline = np.median(frames, 0)
        noise = _noise(frames, baseline)
        typical = float(np.median(noise))
        if typical > NOISIEST_SHARE * full_scale:
            return Refused(f"the mat's noise of {typical:.0f} counts is too much: check its cable and supply")
        moved = _moved(frames, noise)
        if moved > MOVED_SHARE:
            return Refused(f"{100 * moved:.0f} % of the taxels change: keep everything off the mat and tare again")
        faults = _faults(frames, baseline, noise, full_scale)
        noise = np.maximum(noise, typical)  # a taxel that rests below the ADC's 0 hides its noise
        made = Calibration(
            device_id=self._mat.device_id,
            rows=self._mat.rows,
            cols=self._mat.cols,
            made_unix_s=made_unix_s,
            baseline_counts=np.round(baseline, 2).astype(float).tolist(),
            noise_counts=np.round(noise.astype(float), 2).tolist(),
        )
        if self._before:
            made = made.model_copy(update={key: getattr(self._before, key) for key in ("gain", "curve", "orientation")})
            faults = [*(fault for fault in self._before.faults if fault.kind == "dead"), *faults]
        at = np.zeros((made.rows, made.cols), bool)
        at[[fault.row for fault in faults], [fault.col for fault in faults]] = True
        if at.mean() > MOST_FAULTY_SHARE:
            return Refused(f"{100 * at.mean():.0f} % of the mat is faulty ({in_words(at)}): check its cables")
        return made.with_faults(faults)


def _noise(frames: NDArray[np.float32], baseline: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, cols) standard deviation, counts."""
    distance = np.sort(np.abs(frames - baseline), axis=0)
    typical = distance[: max(1, round((1 - TRIMMED_SHARE) * len(frames)))].mean(0) / TRIMMED_MEAN
    return np.asarray(np.hypot(typical, QUANTISATION_COUNTS), np.float32)


def _moved(frames: NDArray[np.float32], noise: NDArray[np.float32]) -> float:
    """Share of the taxels that do not stay where they are."""
    half = len(frames) // 2
    shift = np.abs(np.median(frames[:half], 0) - np.median(frames[half:], 0))
    step = np.hypot(np.abs(np.diff(frames, axis=0)).mean(0), QUANTISATION_COUNTS)
    still = np.minimum(noise, step)  # slow motion looks like noise, but not from frame to frame
    return float((shift > MOVED_NOISES * np.maximum(still, np.median(still))).mean())


def _faults(
    frames: NDArray[np.float32], baseline: NDArray[np.float32], noise: NDArray[np.float32], full_scale: int
) -> list[Fault]:
    constant = np.ptp(frames, axis=0) == 0
    low, high = (np.pad(np.where(constant, fill, baseline), 1, constant_values=fill) for fill in (np.inf, -np.inf))
    lowest = sliding_window_view(low, (3, 3)).min((2, 3))  # of the neighbours that change
    highest = sliding_window_view(high, (3, 3)).max((2, 3))
    far = np.maximum(FAR_COUNTS, FAR_NOISES * float(np.median(noise)))
    odd = constant & np.isfinite(lowest)
    stuck = (baseline >= STUCK_SHARE * full_scale) | odd & (baseline > highest + far)
    dead = odd & (baseline < lowest - far)
    flickering = noise > FLICKER_SHARE * full_scale
    return faults_of(stuck, "stuck") + faults_of(dead, "dead") + faults_of(flickering & ~stuck, "flickering")
