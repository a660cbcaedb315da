"""Pictures of maps, joints and losses: on white, to scale in cm, the person's right and left told apart by colour."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import BONES, JOINTS

DPI: Final = 110
INK, FAINT, FRAME = "#22252b", "#8a9099", "#d5d9df"
SIDE_COLOURS: Final = {"r": "#d1495b", "l": "#0077b6"}
"""Of the person's own right and left."""
MIDDLE_COLOUR: Final = "#2b2d42"
RUN_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5195", "#56b4e9", "#8c6d31", "#000000")
PRESSURE: Final = LinearSegmentedColormap.from_list("pressure", mpl.colormaps["bone_r"](np.linspace(0.0, 0.75, 256)))
"""Perceptually even from white on; it stops short of black, on which no line would show."""

PANEL_HEIGHT_IN, GAP_IN, MARGIN_IN, LABEL_IN, TITLE_LINE_IN = 3.1, 0.08, 0.12, 1.1, 0.17

LEGEND_LINE_IN, LEGEND_LETTER_IN = 0.6, 0.07
"""Of an entry: the line with what is around it, and a letter of its name."""

MEAN: Final = "mean"
"""Marks the thick curve of each name."""

Values = NDArray[np.floating]
Curve = tuple[Values, Values]
"""Steps, rising, and what was measured at them."""


def png_path(text: str) -> Path:
    """For argparse."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png: pictures are written as PNG only")
    return Path(text)


def save(figure: Figure, path: Path) -> None:
    """As PNG. Raises Failure (66) where nothing can be written."""
    try:
        figure.savefig(path, dpi=DPI, format="png")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}: choose another file", Exit.MISSING_INPUT) from None


def panels(grid: Grid, rows: Sequence[str], columns: Sequence[str]) -> tuple[Figure, NDArray[np.object_]]:
    """A figure and its axes (rows, columns), each the mat from above in cm, the head at the top.

    `rows` stand at the left, `columns` above; both may be empty strings.
    """
    height = PANEL_HEIGHT_IN
    width = height * grid.width_cm / grid.height_cm
    left = LABEL_IN if any(rows) else MARGIN_IN
    top = MARGIN_IN + TITLE_LINE_IN * max(len(title.splitlines()) for title in columns)
    size_x = left + len(columns) * (width + GAP_IN) - GAP_IN + MARGIN_IN
    size_y = top + len(rows) * (height + GAP_IN) - GAP_IN + MARGIN_IN
    figure = Figure(figsize=(size_x, size_y), dpi=DPI, facecolor="white")
    axes = np.empty((len(rows), len(columns)), object)
    for r, row in enumerate(rows):
        bottom = size_y - top - height - r * (height + GAP_IN)
        middle = (bottom + height / 2) / size_y
        figure.text((left - 0.1) / size_x, middle, row, fontsize=10, color=INK, ha="right", va="center")
        for c in range(len(columns)):
            x = left + c * (width + GAP_IN)
            axes[r, c] = axis = figure.add_axes((x / size_x, bottom / size_y, width / size_x, height / size_y))
            axis.set(xlim=(0, grid.width_cm), ylim=(grid.height_cm, 0), xticks=[], yticks=[])
            axis.spines[:].set(color=FRAME, linewidth=0.8)
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title, fontsize=9, color=INK, pad=4)
    return figure, axes


def pressure(axis: Axes, model_input: Values, grid: Grid) -> None:
    """(rows, cols) in 0..1, as the model sees it."""
    extent = (0, grid.width_cm, grid.height_cm, 0)
    axis.imshow(model_input, extent=extent, cmap=PRESSURE, vmin=0, vmax=1, interpolation="nearest", aspect="auto")


def skeleton(axis: Axes, xy_cm: Values, sure: NDArray[np.bool_] | None = None) -> None:
    """Joints (14, 2) and their bones, by side; joints that are not `sure` are hollow, bones to them thin."""
    sure = np.ones(len(JOINTS), bool) if sure is None else sure
    casing = [Stroke(linewidth=4.2, foreground="white"), Normal()]
    for a, b in BONES:
        i, j = JOINTS.index(a), JOINTS.index(b)
        thin = not (sure[i] and sure[j])
        axis.plot(
            *xy_cm[[i, j]].T,
            color=side_colour(a, b),
            linewidth=1.1 if thin else 2.2,
            path_effects=None if thin else casing,
            solid_capstyle="round",
        )
    for joint, (x, y), clear in zip(JOINTS, xy_cm, sure, strict=True):
        colour = side_colour(joint)
        face = colour if clear else "white"
        axis.plot(x, y, "o", markersize=4.2, color=face, markeredgecolor="white" if clear else colour, zorder=3)


def side_colour(*joints: str) -> str:
    """What is on one side has its colour; what joins the sides is neutral."""
    sides = {joint[0] if joint[1] == "_" else "" for joint in joints}
    return SIDE_COLOURS.get(sides.pop(), MIDDLE_COLOUR) if len(sides) == 1 else MIDDLE_COLOUR


def keypoints(axis: Axes, xy_cm: Values, colours: NDArray[Any]) -> None:
    """Label-free points (K, 2), each in its own colour (K, 4)."""
    axis.scatter(xy_cm[:, 0], xy_cm[:, 1], s=26, c=colours, edgecolors="white", linewidths=0.8, zorder=3)


def point_colours(xy_cm: Values) -> NDArray[Any]:
    """Points on N maps (N, K, 2) -> (K, 4): from head to toe by where each lies on average, the same on all maps."""
    rank = xy_cm[..., 1].mean(0).argsort().argsort()
    return np.asarray(mpl.colormaps["turbo"](0.05 + 0.9 * rank / max(1, len(rank) - 1)))


def reconstructions(rows: Mapping[str, Values], titles: Sequence[str], grid: Grid) -> Figure:
    """Maps (N, rows, cols) of each kind above one another."""
    figure, axes = panels(grid, list(rows), titles)
    for line, maps in zip(axes, rows.values(), strict=True):
        for axis, one in zip(line, maps, strict=True):
            pressure(axis, one, grid)
    return figure


def loss_curves(runs: Mapping[str, Sequence[Mapping[str, Values]]], terms: Mapping[str, str], smooth: int) -> Figure:
    """One panel a term (name -> title), one colour a name in `runs`; its runs are thin, their mean is thick.

    A run has `step` and, as long, its terms, NaN where a term was not measured. Curves are moving means over
    `smooth` steps, a run alone pale behind its own; dashed lines are where the mask stage ends.
    """
    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    figure = Figure(figsize=(3.5 * columns + 0.3, 2.7 * rows + 0.5), dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    boundaries = sorted({b for several in runs.values() for run in several if (b := stage_boundary(run))})
    for axis, (term, title) in zip(grid, terms.items(), strict=False):
        for (name, several), colour in zip(runs.items(), RUN_COLOURS, strict=False):
            _draw_runs(axis, [_measured(run, term) for run in several if term in run], smooth, colour, name)
        for step in boundaries:
            axis.axvline(step, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        _style_curves(axis, title)
    for axis in grid[len(terms) :]:
        axis.set_axis_off()
    for axis in grid[max(0, len(terms) - columns) : len(terms)]:
        axis.set_xlabel("step", fontsize=9, color=INK)
    names = list(runs)
    lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in RUN_COLOURS[: len(names)]]
    if boundaries:
        lines.append(Line2D([], [], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3))))
        names.append("contact learned, map from here on")
    widest_in = LEGEND_LINE_IN + LEGEND_LETTER_IN * max(map(len, names))
    fitting = max(1, int(figure.get_figwidth() / widest_in))
    figure.legend(lines, names, loc="outside upper left", ncols=fitting, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def stage_boundary(run: Mapping[str, Values]) -> int | None:
    """The last step of the mask stage; None for a run of one stage."""
    if "cross_entropy" not in run:
        return None
    contact, _ = _measured(run, "cross_entropy")
    return int(contact[-1]) if len(contact) and contact[-1] < run["step"][-1] else None


def _style_curves(axis: Axes, title: str) -> None:
    """Logarithmic, with plain numbers; the range is that of the means, as the first raw values dwarf all others."""
    axis.set_yscale("log")
    means = np.concatenate([[], *(np.asarray(line.get_ydata()) for line in axis.lines if line.get_gid() == MEAN)])
    if (means > 0).any():
        axis.set_ylim(0.93 * means[means > 0].min(), 1.08 * means.max())
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_title(title, fontsize=10, color=INK, loc="left")
    axis.grid(which="major", color="#eceef1", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FRAME)
    axis.tick_params(which="both", labelsize=8, colors="#5b616b", length=0, labelbottom=True)


def _measured(run: Mapping[str, Values], term: str) -> Curve:
    known = np.isfinite(run[term])
    return run["step"][known], run[term][known]


def _draw_runs(axis: Axes, curves: Sequence[Curve], smooth: int, colour: str, name: str) -> None:
    curves = [(steps, values) for steps, values in curves if len(steps)]
    smoothed = [(steps, moving_mean(values, smooth)) for steps, values in curves]
    if len(curves) == 1:
        axis.plot(*curves[0], color=colour, alpha=0.15, linewidth=0.5)
    else:
        for steps, mean in smoothed:
            axis.plot(steps, mean, color=colour, alpha=0.45, linewidth=0.8)
    if curves:
        common = [step for step in smoothed[0][0] if all(steps[0] <= step <= steps[-1] for steps, _ in smoothed)]
        centre = np.mean([np.interp(common, steps, mean) for steps, mean in smoothed], 0)
        axis.plot(common, centre, color=colour, linewidth=1.9, label=name, gid=MEAN)


def moving_mean(values: Values, width: int) -> NDArray[np.float64]:
    """(N,) -> (N,): the mean over `width` neighbours and itself, fewer at both ends."""
    places, half = np.arange(len(values)), width // 2
    first, after = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray((total[after] - total[first]) / (after - first), np.float64)
