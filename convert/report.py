"""What convert-check found, as JSON and as a table on the terminal."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from convert.compare import Shift
from convert.kernels import Delegation
from edge.manifest import Manifest
from edge.score import Score
from firmware_bridge.skeleton import JOINTS


@dataclass(frozen=True)
class StageReport:
    """One way of computing the int8 model against PyTorch's float model."""

    joints: Shift
    keypoints: Shift | None
    """None where the model has no label-free keypoints."""
    score: Score | None
    """Against annotations; None without any."""


@dataclass(frozen=True)
class Report:
    """All stages over the same maps."""

    file: str
    size_bytes: int
    manifest: Manifest
    people: list[str]
    maps: int
    float_score: Score | None
    int8: StageReport
    reference: StageReport
    tflm: StageReport
    tflm_equals_reference: bool
    tflm_arena_bytes: int
    xnnpack: Delegation
    max_drop_cm: float

    @property
    def drop_cm(self) -> float | None:
        """Rise of the mean error against annotations from float to int8."""
        if self.float_score is None or self.int8.score is None:
            return None
        return self.int8.score.mean_cm - self.float_score.mean_cm

    @property
    def limited_cm(self) -> float:
        """What the limit is on: the rise of the error, or the mean shift where there are no annotations."""
        return self.int8.joints.mean_cm if self.drop_cm is None else self.drop_cm

    @property
    def passed(self) -> bool:
        return self.limited_cm <= self.max_drop_cm

    def to_json(self) -> dict[str, Any]:
        manifest = self.manifest
        return {
            "model": {
                "file": self.file,
                "sha256": manifest.model_sha256,
                "bytes": self.size_bytes,
                "parameters": manifest.parameters,
                "mac": manifest.mac,
                "arena_bytes": manifest.arena_bytes,
            },
            "people": self.people,
            "maps": self.maps,
            "calibration": manifest.calibration.model_dump(mode="json"),
            "float": _score_json(self.float_score),
            "int8": {**_stage_json(self.int8), "drop_cm": self.drop_cm},
            "reference": _stage_json(self.reference),
            "tflm": {
                **_stage_json(self.tflm),
                "byte_equal_reference": self.tflm_equals_reference,
                "arena_bytes": self.tflm_arena_bytes,
            },
            "xnnpack": {"partitions": self.xnnpack.partitions, "whole_graph": self.xnnpack.whole_graph},
            "limit": {
                "of": "mean shift" if self.drop_cm is None else "rise of the mean error",
                "max_drop_cm": self.max_drop_cm,
                "measured_cm": self.limited_cm,
                "passed": self.passed,
            },
        }


def _score_json(score: Score | None) -> dict[str, Any]:
    return {
        "mean_cm": score and score.mean_cm,
        "pck_5cm": score and score.pck_5cm,
        "pck_10cm": score and score.pck_10cm,
    }


def _stage_json(stage: StageReport) -> dict[str, Any]:
    keypoints = stage.keypoints
    return {
        "mean_shift_cm": stage.joints.mean_cm,
        "p95_shift_cm": stage.joints.p95_cm,
        "worst_shift_cm": stage.joints.worst_cm,
        "per_joint_shift_cm": dict(zip(JOINTS, stage.joints.per_point_cm, strict=True)),
        "keypoints": keypoints
        and {
            "mean_shift_cm": keypoints.mean_cm,
            "p95_shift_cm": keypoints.p95_cm,
            "worst_shift_cm": keypoints.worst_cm,
            "per_keypoint_shift_cm": keypoints.per_point_cm,
        },
        **_score_json(stage.score),
    }


def print_report(report: Report, console: Console) -> None:
    """The table, the joints that moved most, and the verdict."""
    table = Table(
        title=f"{report.file} on {report.maps} maps of {', '.join(report.people)}: shift from PyTorch, error, cm",
        title_justify="left",
    )
    table.add_column("")
    for column in ("shift", "p95", "worst", "keypoints", "error", "PCK@5", "PCK@10"):
        table.add_column(column, justify="right")
    table.add_row("PyTorch", "", "", "", "", *_score_cells(report.float_score))
    stages = {"int8, XNNPACK": report.int8, "int8, reference": report.reference, "int8, TFLM": report.tflm}
    for name, stage in stages.items():
        shifts = (stage.joints.mean_cm, stage.joints.p95_cm, stage.joints.worst_cm)
        points = f"{stage.keypoints.mean_cm:.3f}" if stage.keypoints else "-"
        table.add_row(name, *(f"{cm:.3f}" for cm in shifts), points, *_score_cells(stage.score))
    console.print(table)
    moved = sorted(zip(JOINTS, report.int8.joints.per_point_cm, strict=True), key=lambda item: -item[1])
    console.print("mean shift a joint, cm: " + ", ".join(f"{joint} {cm:.2f}" for joint, cm in moved))
    equal = "equals" if report.tflm_equals_reference else "DIFFERS FROM"
    whole = "the whole graph" if report.xnnpack.whole_graph else "NOT the whole graph"
    console.print(
        f"TFLM {equal} the reference kernels byte for byte, arena {report.tflm_arena_bytes:,} bytes; "
        f"XNNPACK takes {whole} in {report.xnnpack.partitions} partition(s)"
    )
    limit = report.to_json()["limit"]
    verdict = "[green]passed[/green]" if report.passed else "[red]FAILED[/red]"
    console.print(f"{limit['of']} {report.limited_cm:.3f} cm, limit {report.max_drop_cm:g} cm: {verdict}")


def _score_cells(score: Score | None) -> tuple[str, str, str]:
    if score is None:
        return "-", "-", "-"
    return f"{score.mean_cm:.2f}", f"{score.pck_5cm:.1f}", f"{score.pck_10cm:.1f}"
