"""What bodies look like: joints that the pressure leaves open follow from those that it shows.

A heat map is a measurement of its joint, the less exact the wider it is. Bodies are normally distributed in each way
of lying, as fitted on the poses of annotated and simulated people. Both together give the posterior mean: a joint with
a narrow heat map stays where it is, one that two places are possible for goes where such a body has it.
"""

import math
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from edge.keypoints import Keypoints
from edge.manifest import COORDINATES, Body, Confidence, Manifest
from firmware_bridge.geometry import Grid

HALF_ERROR_CM: Final = 5.0
"""Mean error of a joint whose heat map is as wide as edge.manifest.Confidence says for it."""
MEAN_DISTANCE: Final = math.sqrt(math.pi / 2)
"""Of a point on the plane from the middle of a normal distribution, in its standard deviations."""
_CORNER: Final = 1e12
"""Of a bordered covariance: larger than any body's squared distance, so that the whole has a Cholesky factor."""


class BodyPrior:
    """For the joints of a model with that grid."""

    def __init__(self, body: Body, confidence: Confidence, model: Grid) -> None:
        self._size_cm = np.array([model.width_cm, model.height_cm])
        self._mean_cm, self._log_shares = np.array(body.mean_cm), np.log(body.shares)
        self._error_of_spread = np.repeat(error_of_spread(confidence), 2)
        self._bordered_cm2 = np.zeros((len(body.shapes), COORDINATES + 1, COORDINATES + 1))
        self._bordered_cm2[:, :-1, :-1] = body.matrices()
        self._bordered_cm2[:, -1, -1] = _CORNER
        self._diagonal = np.arange(COORDINATES)

    @classmethod
    def of(cls, manifest: Manifest) -> Self | None:
        """None where the manifest has no body."""
        return cls(manifest.body, manifest.confidence, manifest.grid) if manifest.body else None

    def __call__(self, seen: Keypoints) -> Keypoints:
        """The 14 joints of heat maps -> the same where a body has them, one that lies in the likeliest way."""
        seen_cm = (seen.xy_norm * self._size_cm).ravel()
        error_cm2 = np.square(seen.spread_cm.repeat(2) * self._error_of_spread)
        off_cm = seen_cm - self._mean_cm
        covariance_cm2 = self._bordered_cm2.copy()
        covariance_cm2[:, self._diagonal, self._diagonal] += error_cm2
        covariance_cm2[:, -1, :-1] = off_cm
        factor = np.linalg.cholesky(covariance_cm2)
        whitened, widths = factor[:, -1, :-1], factor[:, self._diagonal, self._diagonal]  # a border comes out whitened
        log_density = self._log_shares - np.square(whitened).sum(1) / 2 - np.log(widths).sum(1)
        shape = int(log_density.argmax())
        body_cm = seen_cm - error_cm2 * np.linalg.solve(covariance_cm2[shape, :-1, :-1], off_cm[shape])
        xy_norm = np.asarray(body_cm.reshape(-1, 2) / self._size_cm, np.float32)
        return Keypoints(xy_norm, seen.value, seen.spread_cm)


def error_of_spread(confidence: Confidence) -> NDArray[np.float64]:
    """(14,): cm of a joint's standard deviation for each cm of its heat map's spread."""
    return HALF_ERROR_CM / MEAN_DISTANCE / np.array(confidence.joints_half_cm)
