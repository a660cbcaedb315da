"""What bodies look like, from the poses of annotated and simulated people: edge.body reads joints with it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.manifest import COORDINATES, Body
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS, MIRRORED, MIRRORED_POSTURE
from train.maps import Examples

FEWEST: Final = 2 * COORDINATES
"""Poses, mirrored ones included, that make a shape of their own."""
OTHER: Final = "other"
PLACE_CM: Final = 20.0
"""Standard deviation of where on the mat people lie, which is not learnt from so few."""
ANNOTATION_CM: Final = 1.0
"""Of what two annotators say of the same joint, along each axis."""


def fit_body(parts: Sequence[Examples], model: Grid) -> Body | None:
    """Each part with whole poses counts the same, each pose as it is and mirrored. None where they are too few."""
    poses = [found for part in parts if len((found := _poses(part, model)).names)]
    if not poses:
        return None
    poses_cm, names = np.concatenate([p.joints_cm for p in poses]), np.concatenate([p.names for p in poses])
    weight = np.concatenate([np.full(len(p.names), 1 / len(p.names)) for p in poses])
    shapes = [shape for shape in sorted(set(names.tolist())) if (names == shape).sum() >= FEWEST]
    if not shapes:
        return None
    weight /= weight[np.isin(names, shapes)].sum()
    fits = [_normal(poses_cm[names == shape], weight[names == shape]) for shape in shapes]
    rows, cols = np.tril_indices(COORDINATES)
    return Body(
        shapes=shapes,
        shares=[round(float(weight[names == shape].sum()), 5) for shape in shapes],
        mean_cm=[mean.round(2).tolist() for mean, _ in fits],
        covariance_cm2=[covariance[rows, cols].round(2).tolist() for _, covariance in fits],
        people=sorted({person for p in poses for person in p.people if not person.startswith("simulated:")}),
    )


class _Poses(NamedTuple):
    joints_cm: NDArray[np.float64]
    """(P, 14, 2); the second half is the first one mirrored."""
    names: NDArray[np.str_]
    """(P,) postures."""
    people: set[str]


def _poses(part: Examples, model: Grid) -> _Poses:
    """Those of which all joints are known, guessed ones among them."""
    xy_norm, visibility = part.joints_norm[..., :2].astype(float), part.joints_norm[..., 2]
    told = (visibility >= 1) | ((xy_norm > 0) & (xy_norm < 1)).all(-1)
    whole = np.flatnonzero(told.all(1) & visibility.any(1)).tolist()
    poses_cm = xy_norm[whole] * [model.width_cm, model.height_cm]
    mirrored_cm = poses_cm[:, list(MIRRORED)].copy()
    mirrored_cm[..., 0] = model.width_cm - mirrored_cm[..., 0]
    names = [part.groups[i].posture or OTHER for i in whole]
    mirrored_names = [MIRRORED_POSTURE.get(name, name) for name in names]
    people = {part.groups[i].person for i in whole}
    return _Poses(np.concatenate([poses_cm, mirrored_cm]), np.array(names + mirrored_names, np.str_), people)


def _normal(
    poses_cm: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (28,) and covariance (28, 28) of poses (P, 14, 2), wherever on the mat they lie."""
    centres_cm = poses_cm.mean(1, keepdims=True)
    bodies_cm = (poses_cm - centres_cm).reshape(len(poses_cm), -1)
    mean_cm = np.average(bodies_cm, axis=0, weights=weight)
    covariance = np.cov(bodies_cm, rowvar=False, aweights=weight)
    covariance += ANNOTATION_CM**2 * np.eye(COORDINATES)
    covariance += PLACE_CM**2 * np.kron(np.ones((len(JOINTS), len(JOINTS))), np.eye(2))
    place_cm = np.average(centres_cm[:, 0], axis=0, weights=weight)
    return mean_cm + np.tile(place_cm, len(JOINTS)), covariance
