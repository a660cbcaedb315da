"""Pictures show what they are given, where it is: read back from the PNG."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from numpy.typing import NDArray
from PIL import Image

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train import pictures

GRID = Grid(64, 32, 2.54, 2.54)
LYING_CM = np.array(
    [
        [30, 150], [32, 120], [34, 90], [48, 90], [50, 120], [52, 150],
        [20, 95], [22, 70], [28, 45], [54, 45], [60, 70], [62, 95],
        [41, 40], [41, 18],
    ],
    float,
)  # fmt: skip


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def near(image: NDArray[np.uint8], colour: ColorType, axis: Axes, xy_cm: NDArray[np.float64], reach: int = 4) -> bool:
    """Is there a pixel of that colour within `reach` pixels of a place on the mat?"""
    x, up = axis.transData.transform(xy_cm)
    col, row = round(x), round(image.shape[0] - up)
    patch = image[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1].astype(int)
    return bool((np.abs(patch - np.array(to_rgb(colour)) * 255).max(-1) <= 6).any())


def drawn(tmp_path: Path, sure: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.uint8], NDArray[np.object_]]:
    """A picture of two empty mats, somebody's skeleton on the second."""
    figure, axes = pictures.panels(GRID, ["one"], ["left", "right"])
    for axis in axes[0]:
        pictures.pressure(axis, np.zeros((64, 32)), GRID)
    pictures.skeleton(axes[0, 1], LYING_CM, sure)
    pictures.save(figure, tmp_path / "p.png")
    return pixels(tmp_path / "p.png"), axes


def test_joints_lie_where_they_were_found_in_the_colour_of_their_side(tmp_path: Path) -> None:
    image, axes = drawn(tmp_path)
    left, right = axes[0]
    for joint, xy_cm in zip(JOINTS, LYING_CM, strict=True):
        assert near(image, pictures.side_colour(joint), right, xy_cm), joint
        assert not near(image, pictures.side_colour(joint), left, xy_cm), joint


def test_bones_run_between_joints_of_one_side_and_sides_are_told_apart(tmp_path: Path) -> None:
    image, axes = drawn(tmp_path)
    colours = pictures.SIDE_COLOURS
    for a, b, side, other in (("r_hip", "r_knee", "r", "l"), ("l_hip", "l_knee", "l", "r")):
        middle = LYING_CM[[JOINTS.index(a), JOINTS.index(b)]].mean(0)
        assert near(image, colours[side], axes[0, 1], middle)
        assert not near(image, colours[other], axes[0, 1], middle)
    between_hips = LYING_CM[[JOINTS.index("r_hip"), JOINTS.index("l_hip")]].mean(0)
    assert near(image, pictures.MIDDLE_COLOUR, axes[0, 1], between_hips)


def test_the_colour_of_a_side_is_the_persons_not_the_pictures() -> None:
    for joint, other in zip(JOINTS, MIRRORED, strict=True):
        assert (pictures.side_colour(joint) == pictures.side_colour(JOINTS[other])) == (joint in ("neck", "head"))


def test_a_guessed_joint_is_hollow(tmp_path: Path) -> None:
    guessed = JOINTS.index("r_wrist")
    image, axes = drawn(tmp_path, sure=np.arange(len(JOINTS)) != guessed)
    assert near(image, "white", axes[0, 1], LYING_CM[guessed], reach=0)
    assert not near(image, "white", axes[0, 1], LYING_CM[JOINTS.index("l_wrist")], reach=0)


def test_maps_are_true_to_scale_with_the_head_at_the_top(tmp_path: Path) -> None:
    grid = Grid(20, 10, 5.0, 3.0)
    one = np.zeros((20, 10))
    one[3, 7] = 1
    figure, axes = pictures.panels(grid, [""], [""])
    pictures.pressure(axes[0, 0], one, grid)
    pictures.save(figure, tmp_path / "p.png")
    box = axes[0, 0].get_window_extent()
    assert box.width / box.height == pytest.approx(50 / 60)
    image = pixels(tmp_path / "p.png")
    rows, cols = np.nonzero(image.sum(-1) < 300)
    x, up = axes[0, 0].transData.transform((7.5 * 5.0, 3.5 * 3.0))
    assert (cols.mean(), image.shape[0] - rows.mean()) == pytest.approx((x, up), abs=2)
    assert len(rows) == pytest.approx(box.width * box.height / 200, rel=0.1)


def test_more_pressure_is_darker_evenly() -> None:
    """The colour map is perceptual: equal steps of pressure are nearly equal steps of luminance."""
    rgb = pictures.PRESSURE(np.linspace(0, 1, 11))[:, :3]
    steps = np.diff(rgb @ [0.2126, 0.7152, 0.0722])
    assert rgb[0].min() > 0.97
    assert (steps < 0).all()
    assert steps.min() > 2 * steps.max()


def test_a_keypoint_has_one_colour_on_all_maps_from_head_to_toe(tmp_path: Path) -> None:
    points = np.stack([LYING_CM, LYING_CM + np.array([5, 3])])
    colours = pictures.point_colours(points)
    assert len(np.unique(colours, axis=0)) == len(JOINTS)
    red_less_blue = (colours[:, 0] - colours[:, 2])[np.argsort(LYING_CM[:, 1], kind="stable")]
    assert red_less_blue[0] < 0 < red_less_blue[-1]
    figure, axes = pictures.panels(GRID, [""], ["", ""])
    for axis, xy_cm in zip(axes[0], points, strict=True):
        pictures.keypoints(axis, xy_cm, colours)
    pictures.save(figure, tmp_path / "p.png")
    image = pixels(tmp_path / "p.png")
    for axis, xy_cm in zip(axes[0], points, strict=True):
        for place, colour in zip(xy_cm, colours, strict=True):
            assert near(image, colour, axis, place)


def run(level: float, *, mask_steps: int = 0, steps: int = 400) -> dict[str, NDArray[np.float64]]:
    """L1 falls from four times `level` to `level`; before it `mask_steps` of contact."""
    step = np.arange(1, steps + 1, dtype=float)
    in_map = step > mask_steps
    return {
        "step": step,
        "cross_entropy": np.where(in_map, np.nan, 0.5),
        "l1": np.where(in_map, level * (1 + 3 * np.exp(-step / 60)), np.nan),
    }


def curve_rows(figure: Figure, path: Path, colour: str, columns: slice) -> NDArray[np.int64]:
    pictures.save(figure, path)
    image = pixels(path).astype(int)
    close = np.abs(image - np.array(to_rgb(colour)) * 255).max(-1) <= 6
    top = image.shape[0] // 6  # below the legend
    return np.nonzero(close[top:, columns])[0]


def test_a_lower_loss_is_drawn_lower(tmp_path: Path) -> None:
    figure = pictures.loss_curves({"high": [run(0.2)], "low": [run(0.1)]}, {"l1": "L1"}, smooth=10)
    end = slice(int(0.8 * figure.get_figwidth() * pictures.DPI), None)
    high, low = (curve_rows(figure, tmp_path / "l.png", pictures.RUN_COLOURS[i], end) for i in range(2))
    assert high.max() < low.min()


def test_runs_of_one_name_share_a_colour_and_their_mean_is_drawn() -> None:
    figure = pictures.loss_curves({"both": [run(0.1), run(0.3)]}, {"l1": "L1"}, smooth=1)
    (thick,) = [line for line in figure.axes[0].lines if line.get_gid() == pictures.MEAN]
    np.testing.assert_allclose(thick.get_ydata(), run(0.2)["l1"])
    assert {line.get_color() for line in figure.axes[0].lines} == {pictures.RUN_COLOURS[0]}


def test_the_end_of_the_mask_stage_is_marked_once_for_equal_runs() -> None:
    runs = {"with": [run(0.1, mask_steps=100), run(0.2, mask_steps=100)], "without": [run(0.1)]}
    figure = pictures.loss_curves(runs, {"l1": "L1", "cross_entropy": "CE"}, smooth=10)
    for axis in figure.axes:
        marks = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert [list(mark.get_xdata()) for mark in marks] == [[100, 100]]
    assert pictures.stage_boundary(run(0.1, mask_steps=100)) == 100
    assert pictures.stage_boundary(run(0.1)) is None
    assert pictures.stage_boundary(run(0.1, mask_steps=400)) is None


@pytest.mark.parametrize("terms", [{"l1": "L1"}, {"l1": "L1", "cross_entropy": "CE", "l2": "L2"}])
def test_every_name_is_legible_whatever_the_width(terms: dict[str, str]) -> None:
    names = ["full", "without dilation", "without exchange", "without CRWT, and four layers more"]
    figure = pictures.loss_curves({name: [run(0.1, mask_steps=100)] for name in names}, terms, smooth=10)
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    entries = legend.get_texts()
    assert [entry.get_text() for entry in entries[:4]] == names
    for entry in entries:
        box = entry.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_the_moving_mean_smooths_without_bending_the_ends() -> None:
    np.testing.assert_allclose(pictures.moving_mean(np.full(7, 3.0), 5), 3)
    np.testing.assert_allclose(pictures.moving_mean(np.array([0.0, 3, 0, 3, 0]), 3), [1.5, 1, 2, 1, 1.5])
    np.testing.assert_allclose(pictures.moving_mean(np.array([1.0, 2]), 100), 1.5)


def test_a_picture_that_cannot_be_written_is_an_error_on_one_line(tmp_path: Path) -> None:
    figure, _ = pictures.panels(GRID, [""], [""])
    with pytest.raises(Failure, match=r"cannot write .* No such file") as caught:
        pictures.save(figure, tmp_path / "none" / "p.png")
    assert caught.value.code == Exit.MISSING_INPUT
    assert "\n" not in str(caught.value)
