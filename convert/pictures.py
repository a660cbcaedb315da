"""Pictures of what int8 cost: the frames that suffered most, and how the shifts are distributed."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import BONES, JOINTS
from train import pictures

FLOAT_COLOUR: Final = "#f2b134"
"""Broad and under the int8 skeleton: it shows where the two part."""
SMALLEST_CM: Final = 1e-3
"""Shifts below are drawn as this: the axis is logarithmic."""


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=pictures.DPI, format="png", metadata={"Software": None})
    return file.getvalue()


def worst_frames(
    inputs: Sequence[NDArray[np.floating]],
    float_cm: Sequence[NDArray[np.float64]],
    int8_cm: Sequence[NDArray[np.float64]],
    titles: Sequence[str],
    grid: Grid,
) -> Figure:
    """Maps (rows, cols) in 0..1, each with its joints (14, 2) by both; rings mark the joint that moved most."""
    figure, axes = pictures.panels(grid, [""], titles)
    for axis, one, real, rounded in zip(axes[0], inputs, float_cm, int8_cm, strict=True):
        pictures.pressure(axis, one, grid)
        for a, b in BONES:
            axis.plot(*real[[JOINTS.index(a), JOINTS.index(b)]].T, color=FLOAT_COLOUR, linewidth=6, alpha=0.9)
        pictures.skeleton(axis, rounded)
        moved = int(np.linalg.norm(real - rounded, axis=1).argmax())
        axis.plot(*rounded[moved], "o", markersize=15, fillstyle="none", color=pictures.INK, markeredgewidth=1.3)
    return figure


def shift_distribution(shifts_cm: Mapping[str, NDArray[np.float64]], joints_cm: NDArray[np.float64]) -> Figure:
    """Left: of each name's distances (any shape), the share that is smaller. Right: joints (N, 14) by joint."""
    figure = Figure(figsize=(10.5, 3.9), dpi=pictures.DPI, facecolor="white", layout="constrained")
    share, joints = figure.subplots(1, 2)
    for (name, cm), colour in zip(shifts_cm.items(), pictures.RUN_COLOURS, strict=False):
        values = np.sort(np.maximum(cm.ravel(), SMALLEST_CM))
        share.plot(values, np.linspace(0, 100, len(values)), color=colour, linewidth=1.8, label=name)
    share.axhline(95, color=pictures.FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    share.set_xscale("log")
    share.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    share.xaxis.set_minor_formatter(NullFormatter())
    share.set_xlabel("moved by less than, cm", fontsize=9, color=pictures.INK)
    share.set_ylim(0, 100)
    share.legend(frameon=False, fontsize=8, labelcolor=pictures.INK, loc="center left")
    _style(share, "share of the points, %")
    order = np.argsort(np.median(joints_cm, 0))
    boxes = joints.boxplot(
        [joints_cm[:, j] for j in order], orientation="horizontal", tick_labels=[JOINTS[j] for j in order],
        whis=(5, 95), patch_artist=True, widths=0.6, flierprops={"markersize": 2, "markeredgecolor": pictures.FAINT},
    )  # fmt: skip
    for box, j in zip(boxes["boxes"], order, strict=True):
        box.set(facecolor=pictures.side_colour(JOINTS[j]), alpha=0.55, linewidth=0.6)
    for line in boxes["medians"]:
        line.set(color=pictures.INK)
    joints.set_xlim(left=0)
    joints.set_xlabel("cm; box: half of the maps, line: 5 to 95 %", fontsize=9, color=pictures.INK)
    _style(joints, "shift of the joints, int8 XNNPACK")
    return figure


def _style(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=10, color=pictures.INK, loc="left")
    axis.grid(which="major", color="#eceef1", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(pictures.FRAME)
    axis.tick_params(which="both", labelsize=8, colors="#5b616b", length=0)
