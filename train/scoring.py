"""Scores of models on annotated maps, pooled over folds, with intervals over people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from edge.keypoints import confidence
from edge.preprocess import Preprocessor
from edge.score import SMALLEST_VISIBILITY, Score, joint_errors_cm
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.equivariance import equivariance_errors_cm
from train.evaluated import Evaluated
from train.linear import features
from train.maps import Maps

RESAMPLES: Final = 10_000
INTERVAL_PERCENT: Final = (2.5, 97.5)
COVERAGES_PERCENT: Final = (100, 90, 80, 50, 25)
"""Shares of the joints, surest first, whose error is reported."""


@dataclass
class Scored:
    """One model on its test people: one median map a group; found joints in cm from the mat's top left corner."""

    maps: Maps
    seen_in_training: list[str]
    found_cm: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """`joints`, if the model knows any, and, where there is a joint map, `keypoints_linear`: (G, 14, 2)."""
    posture_right: list[bool] | None = None
    """Of the maps whose posture is known; None without a posture head."""
    confidence: NDArray[np.floating] | None = None
    """(G, 14), of the joint output."""
    equivariance_cm: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """By output: (G,)."""


def score(model: Evaluated, maps: Maps) -> Scored:
    """Joints on the annotated maps, postures on all whose posture is known. Raises Failure (66) without annotations."""
    medians = maps.medians().around_people(model.grid)
    labelled = np.flatnonzero(medians.joints[..., 2].any(1))
    if not len(labelled):
        raise Failure("none of these maps has annotated joints: give --joints FILE", Exit.MISSING_INPUT)
    preprocessor = Preprocessor(medians.grid, model.grid, model.preprocessing)
    inputs = preprocessor(medians.pressure)
    everywhere, postures = model.read(inputs)
    found = {name: [points[i] for i in labelled] for name, points in everywhere.items() if points}
    scored = Scored(medians.labelled(), sorted(set(medians.people) & set(model.training.people)))
    if "joints" in found:
        scored.found_cm["joints"] = preprocessor.mat_cm(np.stack([k.xy_norm for k in found["joints"]]))
        half_cm = np.array(model.joints_half_cm, np.float32)
        scored.confidence = np.stack([confidence(k.spread_cm, half_cm) for k in found["joints"]])
    scored.equivariance_cm = equivariance_errors_cm(model, inputs[labelled], model.grid)
    if not len(found["keypoints"][0].value):
        return scored
    if model.joint_map:
        x = features(found["keypoints"])
        scored.found_cm["keypoints_linear"] = preprocessor.mat_cm(model.joint_map(x).reshape(-1, len(JOINTS), 2))
    if postures:
        known = zip(postures, medians.groups, strict=True)
        scored.posture_right = [posture == group.posture for posture, group in known if group.posture]
    return scored


def summary(folds: Sequence[Scored]) -> dict[str, Any]:
    """All folds' maps together; every figure about joints with its 95 % bootstrap interval over people."""
    result: dict[str, Any] = {}
    for name in folds[0].found_cm:
        if all(name in fold.found_cm for fold in folds):
            result[name] = pooled([(fold.found_cm[name], fold.maps) for fold in folds])
    if all(fold.confidence is not None for fold in folds):
        result["confidence"] = _confidence(folds)
    for name in folds[0].equivariance_cm:
        errors_cm = np.concatenate([fold.equivariance_cm[name] for fold in folds])
        if not np.isnan(errors_cm).all():
            result[f"equivariance_{name}_cm"] = float(np.nanmean(errors_cm))
    votes = [right for fold in folds for right in fold.posture_right or []]
    if votes:
        result["posture"] = {"maps": len(votes), "right": sum(votes)}
    result["data"] = {
        "people": sorted({person for fold in folds for person in fold.maps.people}),
        "maps": sum(len(fold.maps) for fold in folds),
        "pitch_x_cm": folds[0].maps.grid.pitch_x_cm,
        "pitch_y_cm": folds[0].maps.grid.pitch_y_cm,
        "seen_in_training": sorted({person for fold in folds for person in fold.seen_in_training}),
    }
    return result


def _confidence(folds: Sequence[Scored]) -> dict[str, Any]:
    """Does a joint's confidence say how wrong it is?"""
    distance_cm = np.concatenate(
        [np.linalg.norm(fold.found_cm["joints"] - fold.maps.joints[..., :2], axis=-1) for fold in folds]
    )
    sure = np.concatenate([fold.confidence for fold in folds if fold.confidence is not None])
    seen = np.concatenate([fold.maps.joints[..., 2] for fold in folds]) >= SMALLEST_VISIBILITY
    error_cm, doubt = distance_cm[seen], 1 - sure[seen]
    surest_first = error_cm[np.argsort(doubt, kind="stable")]
    counts = {percent: max(1, len(error_cm) * percent // 100) for percent in COVERAGES_PERCENT}
    return {
        "rank_correlation": float(spearmanr(doubt, error_cm).statistic),
        "mean_cm_of_surest_percent": {percent: float(surest_first[:n].mean()) for percent, n in counts.items()},
    }


def pooled(parts: Sequence[tuple[NDArray[np.float64], Maps]]) -> dict[str, Any]:
    """Found joints (G, 14, 2) in cm with their maps, all together; the interval is over people."""
    found_cm = np.concatenate([found for found, _ in parts])
    truth = np.concatenate([maps.joints for _, maps in parts])
    people = np.array([group.person for _, maps in parts for group in maps.groups])

    def errors(mask: NDArray[np.bool_]) -> Score:
        return joint_errors_cm(found_cm[mask], truth[mask, :, :2], truth[mask, :, 2].astype(int))

    whole = errors(np.ones(len(people), bool))
    each = {person: errors(people == person) for person in sorted(set(people.tolist()))}
    return {
        "mean_cm": whole.mean_cm,
        "pck_5cm": whole.pck_5cm,
        "pck_10cm": whole.pck_10cm,
        "joints": whole.n,
        "interval_95": _intervals(list(each.values())),
        "per_joint_cm": {joint: None if isnan(cm) else cm for joint, cm in whole.per_joint_cm.items()},
        "per_person_cm": {person: one.mean_cm for person, one in each.items()},
    }


def _intervals(people: Sequence[Score]) -> dict[str, list[float]] | None:
    """Bootstrap over people, each with the weight of its joints; None for a single person."""
    if len(people) < 2:
        return None
    drawn = np.random.default_rng(0).integers(len(people), size=(RESAMPLES, len(people)))
    n = np.array([person.n for person in people], float)[drawn]
    intervals = {}
    for name in ("mean_cm", "pck_5cm", "pck_10cm"):
        values = np.array([getattr(person, name) for person in people])[drawn]
        low, high = np.percentile((values * n).sum(1) / n.sum(1), INTERVAL_PERCENT)
        intervals[name] = [float(low), float(high)]
    return intervals
