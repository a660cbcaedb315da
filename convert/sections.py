"""The report as it is read: verdict first, then what int8 moves, where it is lost, what it costs, and pictures."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from convert.boards import fits
from convert.compare import Shift
from convert.document import Picture, Section, Table, Text
from convert.examine import STAGES, STEPS, Examined
from convert.pictures import png, shift_distribution, worst_frames
from convert.report import Report, StageReport
from edge.score import Score
from firmware_bridge.skeleton import JOINTS

PICTURED: Final = 6
"""Worst frames shown."""
TERMINAL_TENSORS: Final = 5
SHIFT_COLUMNS: Final = ("mean", "p95", "p99", "worst")


def title(report: Report) -> str:
    files = ", ".join(part.file for part in report.parts)
    return f"{files} on {report.n_maps} maps of {', '.join(report.people)}"


def sections(report: Report) -> list[Section]:
    """Everything but the pictures."""
    return [
        Section("Verdict", list(_verdict(report))),
        Section("What int8 costs", list(_stages(report))),
        Section("Point by point", list(_points(report))),
        Section("Outputs", [_outputs(part) for part in report.parts]),
        Section("Tensors", [block for part in report.parts for block in _tensors(part)]),
        Section("What it takes", [block for part in report.parts for block in _cost(part)]),
    ]


_NO_TENSORS: Final = (
    "no tensor can be compared: the float graph has other operators, and the int8 graph converts inside"
)


def pictures(report: Report) -> Section:
    """For the page alone: they take a second or two to draw."""
    drawn = [name for name in ("int8_weights", "reference", "int8") if name in report.stages]
    shifts = {STAGES[name]: report.shifts_cm(name) for name in drawn}
    distribution = shift_distribution(shifts, report.shifts_cm("int8"))
    return Section(
        "Pictures",
        [
            *_worst(report),
            Picture(f"Distribution of the joints' shifts from {STAGES[report.truth]}", png(distribution)),
        ],
    )


def _worst(report: Report) -> Iterator[Picture]:
    """One picture for each grid among the frames that hold the joints that moved most."""
    worst = sorted(
        ((cm, i, n) for i, part in enumerate(report.parts) for n, cm in enumerate(_moved_cm(report, part))),
        reverse=True,
    )[:PICTURED]
    for grid in {report.parts[i].maps.grid: None for _, i, _ in worst}:
        frames = [(cm, report.parts[i], n) for cm, i, n in worst if report.parts[i].maps.grid == grid]
        figure = worst_frames(
            [part.maps.of_groups([n]).examples(grid, part.manifest.preprocessing).inputs[0] for _, part, n in frames],
            [part.stages[report.truth].joints_cm[n] for _, part, n in frames],
            [part.stages["int8"].joints_cm[n] for _, part, n in frames],
            [f"{part.maps.groups[n].name.partition('/')[2]}\n{cm:.2f} cm" for cm, part, n in frames],
            grid,
        )
        text = (
            f"The frames whose joints moved most, and by how much. Yellow: {STAGES[report.truth]}; red and blue, the "
            "person's right and left: int8; ring: the joint that moved most"
        )
        yield Picture(text, png(figure))


def _moved_cm(report: Report, part: Examined) -> Sequence[float]:
    truth, int8 = part.stages[report.truth].joints_cm, part.stages["int8"].joints_cm
    return [float(cm) for cm in np.linalg.norm(truth - int8, axis=-1).max(1)]


def _verdict(report: Report) -> Iterator[Text]:
    yield Text("passed" if report.passed else "FAILED", "good" if report.passed else "bad")
    for warning in report.warnings:
        yield Text(f"warning: {warning}", "note")
    for limit in report.limits:
        verdict = "passed" if limit.passed else "FAILED"
        text = f"{limit.of} {limit.measured:.3f} {limit.unit}, limit {limit.limit:g} {limit.unit}: {verdict}"
        yield Text(text, "plain" if limit.passed else "bad")
    several = len(report.parts) > 1
    for part in report.parts:
        for cause in part.causes:
            of = f"{part.file}: " if several else ""
            yield Text(f"{of}{cause.text}", "bad" if cause.certain else "note")


def _stages(report: Report) -> Iterator[Text | Table]:
    truth = STAGES[report.truth]
    yield _stage_table(
        f"Joints, cm: shift from {truth}; error against annotations; postures right (changed)", report.stages
    )
    if report.stages["int8"].mapped and any(part.manifest.output("joints") for part in report.parts):
        mapped = [_stage_row(STAGES[n], s.mapped, s.mapped_score, "") for n, s in report.stages.items()]
        columns = _STAGE_COLUMNS[:-1]
        yield Table("The same by the joint map from the label-free keypoints", columns, [row[:-1] for row in mapped])
    keypoints = {STAGES[n]: s.keypoints for n, s in report.stages.items() if s.keypoints}
    if keypoints:
        rows = [[name, *_shift_cells(shift)] for name, shift in keypoints.items()]
        yield Table(f"Label-free keypoints, cm: shift from {truth}", ("", *SHIFT_COLUMNS), rows)
    rows = [
        [f"{name}: {' -> '.join(STAGES[s] for s in STEPS[name])}", *_shift_cells(s)] for name, s in report.steps.items()
    ]
    yield Table("Step by step: how far the joints move, cm", ("", *SHIFT_COLUMNS), rows)
    if report.frames:
        yield _stage_table(f"Every frame ({report.n_frames:,}), cm", report.frames)
    for part in report.parts:
        yield Text(f"{part.file}: float side {part.float_origin}")


_STAGE_COLUMNS: Final = ("", *SHIFT_COLUMNS, "error", "PCK@5", "PCK@10", "postures")


def _stage_table(text: str, stages: dict[str, StageReport]) -> Table:
    return Table(
        text, _STAGE_COLUMNS, [_stage_row(STAGES[n], s.joints, s.score, _posture(s)) for n, s in stages.items()]
    )


def _stage_row(name: str, shift: Shift | None, score: Score | None, posture: str) -> list[str]:
    shown = (f"{score.mean_cm:.3f}", f"{score.pck_5cm:.1f}", f"{score.pck_10cm:.1f}") if score else ("", "", "")
    return [name, *_shift_cells(shift), *shown, posture]


def _posture(stage: StageReport) -> str:
    """How many are right, and in brackets how many changed."""
    right = f"{stage.postures_right:,}" if stage.postures_right is not None else ""
    return f"{right} ({stage.postures_changed})" if stage.postures_changed else right


def _shift_cells(shift: Shift | None) -> list[str]:
    if shift is None:
        return [""] * len(SHIFT_COLUMNS)
    return [f"{cm:.3f}" for cm in (shift.mean_cm, shift.p95_cm, shift.p99_cm, shift.worst_cm)]


def _points(report: Report) -> Iterator[Table]:
    truth = report.stages[report.truth]
    int8 = report.stages["int8"]
    columns = ("", "mean", "p95", "worst")
    assert int8.joints is not None  # int8 is never the truth
    rows = []
    for joint, point in zip(JOINTS, int8.joints.per_point, strict=True):
        errors = [f"{s.score.per_joint_cm[joint]:.2f}" if s.score else "" for s in (truth, int8)]
        rows.append([joint, f"{point.mean_cm:.3f}", f"{point.p95_cm:.3f}", f"{point.worst_cm:.3f}", *errors])
    yield Table(
        f"Joints, cm: shift of int8 XNNPACK from {STAGES[report.truth]}; error of both",
        (*columns, "error float", "error int8"),
        sorted(rows, key=lambda row: -float(row[1])),
    )
    for part in report.parts:
        if keypoints := report.keypoint_shift(part):
            points = sorted(enumerate(keypoints.per_point), key=lambda item: -item[1].mean_cm)
            yield Table(
                f"{part.file}, label-free keypoints, cm: shift of int8 XNNPACK from {STAGES[report.truth]}",
                columns,
                [[str(k), f"{p.mean_cm:.3f}", f"{p.p95_cm:.3f}", f"{p.worst_cm:.3f}"] for k, p in points],
                terminal_rows=3,
            )


def _outputs(part: Examined) -> Table:
    rows = [
        [
            o.name,
            f"{o.step:.4f}",
            f"{o.step_cm:.3f}",
            f"{o.rounding.mean_cm:.3f}",
            f"{o.rounding.p99_cm:.3f}",
            f"{o.clipped_percent:.2f}",
            f"{o.used_percent:.0f}",
        ]
        for o in part.outputs
    ]
    return Table(
        f"{part.file}: what one int8 step of a logit moves a point by, and what rounding these logits alone costs",
        ("", "step, logits", "step, cm", "rounding mean cm", "p99 cm", "clipped %", "range used %"),
        rows,
    )


def _tensors(part: Examined) -> Iterator[Text | Table]:
    if not part.tensors:
        yield Text(f"{part.file}: {_NO_TENSORS}", "note")
        return
    worst = part.tensors[0]
    yield Text(
        f"{part.file}, worst: tensor {worst.index} ({worst.operator}) with {worst.snr_db:.1f} dB. {worst.remedy}"
    )
    rows = [
        [
            f"{t.index} {t.operator}",
            "x".join(map(str, t.shape)),
            f"{t.snr_db:.1f}",
            f"{t.own_db:.1f}",
            "" if t.weights_db is None else f"{t.weights_db:.1f}",
            f"{t.clipped_percent:.2f}",
            f"{t.beyond_percent:.1f}",
            f"{t.used_percent:.0f}",
            t.remedy,
        ]
        for t in part.tensors
    ]
    yield Table(
        f"{part.file}: signal to noise of each tensor, dB, worst first; own: if it alone were rounded",
        ("tensor", "shape", "dB", "own", "weights", "clipped %", "beyond %", "used %", "remedy"),
        rows,
        left=(0, 1, 8),
        terminal_rows=TERMINAL_TENSORS,
        terminal_columns=range(7),
    )


def _cost(part: Examined) -> Iterator[Text | Table]:
    manifest = part.manifest
    whole = "the whole graph" if part.xnnpack.whole_graph else "NOT the whole graph"
    equal = "equals" if part.tflm_equals_reference else "DIFFERS FROM"
    names = ", ".join(f"{count} {name}" for name, count in sorted(part.operators.items()))
    yield Text(
        f"{part.file}: {part.size_bytes:,} bytes, {manifest.parameters:,} parameters, {manifest.mac / 1e6:.1f} M MAC, "
        f"arena {part.tflm_arena_bytes:,} bytes"
    )
    yield Text(f"operators: {names}")
    partitions = "1 partition" if part.xnnpack.partitions == 1 else f"{part.xnnpack.partitions} partitions"
    yield Text(f"XNNPACK takes {whole} in {partitions}", "plain" if part.xnnpack.whole_graph else "note")
    yield Text(f"TFLM {equal} the reference kernels byte for byte", "plain" if part.tflm_equals_reference else "bad")
    calibration = manifest.calibration
    yield Text(
        f"calibrated on {calibration.frames:,} maps of {', '.join(calibration.people) or 'nobody named'}; "
        f"{calibration.clipped_percent:g} % of the input clipped there"
    )
    rows = [
        [
            f.name,
            f.chip,
            f"{f.flash_needed_bytes:,} of {f.flash_bytes:,}",
            f"{f.ram_needed_bytes:,} of {f.ram_bytes:,}",
            f.verdict,
            f.source,
        ]
        for f in fits(part.size_bytes, part.tflm_arena_bytes, manifest.rows, manifest.cols)
    ]
    yield Table(
        "Boards, bytes: the file and an allowance for the program in flash; arena, two frames and an allowance in RAM",
        ("board", "chip", "flash", "RAM", "", "source"),
        rows,
        left=(0, 1, 4, 5),
        terminal_columns=(0, 4),
    )
