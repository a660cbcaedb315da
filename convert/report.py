"""What convert-check found, pooled over all models and maps: the figures, the limits, the verdict, and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.boards import fits
from convert.compare import Shift, Stage, distances, shift_of
from convert.examine import STAGES, STEPS, Examined
from edge.score import Score, joint_errors_cm
from firmware_bridge.skeleton import JOINTS
from train.maps import Maps


@dataclass(frozen=True)
class StageReport:
    """One way of computing the models; shifts are from the truth and None for the truth itself."""

    joints: Shift | None
    keypoints: Shift | None
    """Also None where no model has label-free keypoints; point by point only for a single model."""
    mapped: Shift | None
    """Of the joints by the joint map, where there is one."""
    score: Score | None
    """Against annotations; None without any."""
    mapped_score: Score | None
    postures_right: int | None
    """Of the maps whose posture is known; None without a posture head or such maps."""
    postures_changed: int | None
    """Maps of another posture than the truth says."""


@dataclass(frozen=True)
class Limit:
    """One thing that fails the check when it is above its limit."""

    of: str
    unit: str
    measured: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.measured <= self.limit  # never for NaN


@dataclass(frozen=True)
class Report:
    """All stages over the same maps, one model or one a fold."""

    parts: Sequence[Examined]
    max_drop_cm: float
    max_drop_pck: float

    @property
    def people(self) -> list[str]:
        return sorted({person for part in self.parts for person in part.maps.people})

    @property
    def n_maps(self) -> int:
        return sum(len(part.maps) for part in self.parts)

    @property
    def n_frames(self) -> int:
        """0 where not every frame was asked for."""
        return sum(len(part.frame_maps) for part in self.parts if part.frame_maps)

    @property
    def truth(self) -> str:
        """The first of STAGES that all models have."""
        return next(name for name in STAGES if all(name in part.stages for part in self.parts))

    @property
    def postures_known(self) -> int:
        return sum(bool(group.posture) for part in self.parts for group in part.maps.groups)

    @cached_property
    def stages(self) -> dict[str, StageReport]:
        return {
            name: _stage_report([(p.stages[self.truth], p.stages[name], p.maps) for p in self.parts], self.parts)
            for name in STAGES
            if all(name in part.stages for part in self.parts)
        }

    @cached_property
    def frames(self) -> dict[str, StageReport]:
        """The truth and int8 over every frame; empty unless asked for."""
        parts = [part for part in self.parts if part.frame_maps is not None]
        if not parts or self.truth not in parts[0].frame_stages:
            return {}
        return {
            name: _stage_report(
                [(p.frame_stages[self.truth], p.frame_stages[name], p.frame_maps) for p in parts if p.frame_maps], parts
            )
            for name in (self.truth, "int8")
        }

    @cached_property
    def steps(self) -> dict[str, Shift]:
        """How far the joints move at each step from the source to what runs."""
        return {
            name: shift_of(np.concatenate([self._joints_apart(part, *pair) for part in self.parts]))
            for name, pair in STEPS.items()
            if all(stage in part.stages for part in self.parts for stage in pair)
        }

    @staticmethod
    def _joints_apart(part: Examined, one: str, other: str) -> NDArray[np.float64]:
        return distances(part.stages[one].joints_cm, part.stages[other].joints_cm)

    def shifts_cm(self, stage: str) -> NDArray[np.float64]:
        """(N, 14) of all parts, from the truth."""
        return np.concatenate([self._joints_apart(part, self.truth, stage) for part in self.parts])

    def keypoint_shift(self, part: Examined) -> Shift | None:
        """Of int8 from the truth, point by point; None where the model has no label-free keypoints."""
        if part.manifest.output("keypoints") is None:
            return None
        return shift_of(distances(part.stages[self.truth].keypoints_cm, part.stages["int8"].keypoints_cm))

    @property
    def limits(self) -> list[Limit]:
        """On the loss against annotations, or on the mean shift where there are none."""
        truth, int8 = self.stages[self.truth], self.stages["int8"]
        if truth.score is None or int8.score is None:
            assert int8.joints is not None  # int8 is never the truth
            return [Limit("mean shift of the joints", "cm", int8.joints.mean_cm, self.max_drop_cm)]
        return [
            Limit("rise of the mean error", "cm", int8.score.mean_cm - truth.score.mean_cm, self.max_drop_cm),
            Limit("fall of PCK@5cm", "points", truth.score.pck_5cm - int8.score.pck_5cm, self.max_drop_pck),
        ]

    @property
    def passed(self) -> bool:
        certain = any(cause.certain for part in self.parts for cause in part.causes)
        return not certain and all(limit.passed for limit in self.limits)

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before any figure."""
        return [
            f"{part.file} was trained or calibrated on {', '.join(part.seen)}: no figure here is about new people"
            for part in self.parts
            if part.seen
        ]

    def to_json(self) -> dict[str, Any]:
        stages = {name: _stage_json(stage) for name, stage in self.stages.items()}
        stages["tflm"]["byte_equal_reference"] = all(part.tflm_equals_reference for part in self.parts)
        content = {
            "passed": self.passed,
            "warnings": self.warnings,
            "limits": [asdict(limit) | {"passed": limit.passed} for limit in self.limits],
            "people": self.people,
            "maps": self.n_maps,
            "postures_known": self.postures_known,
            "truth": self.truth,
            **stages,
            "xnnpack": {
                "partitions": max(part.xnnpack.partitions for part in self.parts),
                "whole_graph": all(part.xnnpack.whole_graph for part in self.parts),
            },
            "steps": {name: _shift_json(step, JOINTS) for name, step in self.steps.items()},
            "frames": {"count": self.n_frames, **{name: _stage_json(stage) for name, stage in self.frames.items()}},
            "models": [_model_json(part, self.keypoint_shift(part)) for part in self.parts],
        }
        plain: dict[str, Any] = _without_nan(content)
        return plain


def _stage_report(stages: Sequence[tuple[Stage, Stage, Maps]], parts: Sequence[Examined]) -> StageReport:
    """(truth, stage, maps) of each part."""

    def shift(name: str) -> Shift | None:
        pairs = [(getattr(truth, name), getattr(stage, name)) for truth, stage, _ in stages]
        if any(a is None or b is None or not a.size for a, b in pairs) or stages[0][0] is stages[0][1]:
            return None
        apart = [distances(a, b) for a, b in pairs]
        if name == "keypoints_cm" and len(apart) > 1:  # keypoint 3 of one model is not keypoint 3 of another
            apart = [d.reshape(-1, 1) for d in apart]
        return shift_of(np.concatenate(apart))

    right = changed = None
    if all(part.manifest.posture for part in parts):
        heads = [part.manifest.posture for part in parts if part.manifest.posture]
        votes = [(t.postures(h), s.postures(h), m) for (t, s, m), h in zip(stages, heads, strict=True)]
        changed = sum(a != b for truth, found, _ in votes for a, b in zip(truth, found, strict=True))
        known = [
            (vote, maps.groups[g].posture)
            for _, found, maps in votes
            for vote, g in zip(found, maps.group_index, strict=True)
            if maps.groups[g].posture
        ]
        right = sum(vote == posture for vote, posture in known) if known else None
    has_keypoints = all(part.manifest.output("keypoints") for part in parts)
    return StageReport(
        joints=shift("joints_cm"),
        keypoints=shift("keypoints_cm") if has_keypoints else None,
        mapped=shift("mapped_cm"),
        score=_score([(stage.joints_cm, maps) for _, stage, maps in stages]),
        mapped_score=_score([(stage.mapped_cm, maps) for _, stage, maps in stages]),
        postures_right=right,
        postures_changed=changed,
    )


def _score(found: Sequence[tuple[NDArray[np.float64] | None, Maps]]) -> Score | None:
    if any(joints_cm is None for joints_cm, _ in found):
        return None
    joints_cm = np.concatenate([one for one, _ in found if one is not None])
    truth = np.concatenate([maps.joints[maps.group_index] for _, maps in found])
    if not truth[..., 2].any():
        return None
    return joint_errors_cm(joints_cm, truth[..., :2], truth[..., 2].astype(np.int64))


def _shift_json(shift: Shift, names: Sequence[str]) -> dict[str, Any]:
    points = [asdict(point) for point in shift.per_point]
    return {
        "mean_shift_cm": shift.mean_cm,
        "p95_shift_cm": shift.p95_cm,
        "p99_shift_cm": shift.p99_cm,
        "worst_shift_cm": shift.worst_cm,
        "per_point": dict(zip(names, points, strict=True)) if len(points) == len(names) else None,
    }


def _stage_json(stage: StageReport) -> dict[str, Any]:
    keypoints = stage.keypoints
    nothing = dict.fromkeys(("mean_shift_cm", "p95_shift_cm", "p99_shift_cm", "worst_shift_cm", "per_point"))
    numbers = [str(k) for k in range(len(keypoints.per_point))] if keypoints and len(keypoints.per_point) > 1 else []
    return {
        **(_shift_json(stage.joints, JOINTS) if stage.joints else nothing),
        **_score_json(stage.score),
        "keypoints": keypoints and _shift_json(keypoints, numbers),
        "joint_map": (_shift_json(stage.mapped, JOINTS) if stage.mapped else nothing) | _score_json(stage.mapped_score),
        "postures_right": stage.postures_right,
        "postures_changed": stage.postures_changed,
    }


def _score_json(score: Score | None) -> dict[str, Any]:
    return {
        "mean_cm": score and score.mean_cm,
        "pck_5cm": score and score.pck_5cm,
        "pck_10cm": score and score.pck_10cm,
        "per_joint_cm": score and score.per_joint_cm,
    }


def _model_json(part: Examined, keypoints: Shift | None) -> dict[str, Any]:
    manifest = part.manifest
    numbers = [str(k) for k in range(len(keypoints.per_point))] if keypoints else []
    return {
        "file": part.file,
        "sha256": manifest.model_sha256,
        "bytes": part.size_bytes,
        "people": part.maps.people,
        "maps": len(part.maps),
        "float_side": part.float_origin,
        "parameters": manifest.parameters,
        "mac": manifest.mac,
        "operators": part.operators,
        "xnnpack": asdict(part.xnnpack),
        "tflm": {"byte_equal_reference": part.tflm_equals_reference, "arena_bytes": part.tflm_arena_bytes},
        "calibration": manifest.calibration.model_dump(mode="json"),
        "keypoints": keypoints and _shift_json(keypoints, numbers),
        "outputs": [asdict(o) | {"rounding": _shift_json(o.rounding, ())} for o in part.outputs],
        "tensors": [asdict(tensor) for tensor in part.tensors],
        "boards": [
            asdict(fit) | {"fits": fit.fits}
            for fit in fits(part.size_bytes, part.tflm_arena_bytes, manifest.rows, manifest.cols)
        ],
        "causes": [asdict(cause) for cause in part.causes],
    }


def _without_nan(value: Any) -> Any:
    """NaN is no JSON: null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value
