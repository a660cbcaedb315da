"""Transforms move maps and points together, and know left from right."""

import pytest
import torch

from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.augment import BRIGHT, PEAK_TAXELS, PILLOW_CM, Similarity, distort, pillow, random_similarity, soft_layer
from train.config import Augmentation

GRID = Grid(64, 32, 2.54, 2.54)


@pytest.mark.parametrize("grid", [GRID, Grid(64, 24, 2.87, 2.54)])
def test_a_blob_lands_where_its_point_lands(grid: Grid) -> None:
    random = torch.Generator().manual_seed(1)
    transform = random_similarity(32, Augmentation(shift_cm=8), grid, random)
    y, x = torch.meshgrid(torch.arange(grid.rows) + 0.5, torch.arange(grid.cols) + 0.5, indexing="ij")
    point = torch.tensor([0.4, 0.55])
    blob = torch.exp(-((x - point[0] * grid.cols) ** 2 + (y - point[1] * grid.rows) ** 2) / 8)
    moved = transform.maps(blob.expand(32, 1, -1, -1))[:, 0]
    mass = moved.sum((1, 2))
    centre = torch.stack([(moved * x).sum((1, 2)) / mass / grid.cols, (moved * y).sum((1, 2)) / mass / grid.rows], 1)
    torch.testing.assert_close(centre, transform.points_norm(point.expand(32, 1, 2))[:, 0], atol=0.01, rtol=0)


def test_a_transform_without_size_changes_nothing() -> None:
    still = Augmentation(mirror=0, rotation_deg=0, scale=0, shift_cm=0)
    transform = random_similarity(2, still, GRID, torch.Generator().manual_seed(0))
    x = torch.rand(2, 1, 64, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(transform.maps(x), x, atol=1e-5, rtol=0)


def test_in_a_mirrored_body_left_is_right() -> None:
    identity = torch.eye(2).repeat(2, 1, 1)
    identity[1, 0, 0] = -1
    transform = Similarity(identity, torch.zeros(2, 2), torch.tensor([False, True]), GRID)
    joints = torch.rand(1, 14, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1)
    moved = transform.joints_norm(joints)
    torch.testing.assert_close(moved[0], joints[0])
    left, right = JOINTS.index("l_knee"), JOINTS.index("r_knee")
    torch.testing.assert_close(moved[1, left, 0], 1 - joints[1, right, 0])
    torch.testing.assert_close(moved[1, left, 1:], joints[1, right, 1:])
    torch.testing.assert_close(moved[1, JOINTS.index("head"), 0], 1 - joints[1, JOINTS.index("head"), 0])


def test_distances_keep_their_proportions_in_centimetres() -> None:
    transform = random_similarity(8, Augmentation(), GRID, torch.Generator().manual_seed(3))
    size_cm = torch.tensor([GRID.width_cm, GRID.height_cm])
    points = torch.rand(8, 3, 2, generator=torch.Generator().manual_seed(4))
    before, after = (torch.cdist(p * size_cm, p * size_cm) for p in (points, transform.points_norm(points)))
    scale = after[:, 0, 1] / before[:, 0, 1]
    torch.testing.assert_close(after, before * scale[:, None, None], rtol=1e-3, atol=1e-3)
    assert ((scale > 0.84) & (scale < 1.16)).all()


def test_distorted_maps_stay_model_inputs_and_repeat_with_the_seed() -> None:
    x = torch.rand(16, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    one, two = (distort(x, Augmentation(), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.min() >= 0
    assert one.max() <= 1
    assert (one - x).abs().mean() > 0.01


def test_a_dropped_line_is_a_whole_row_or_column() -> None:
    lines_only = Augmentation(gamma=0, noise=0, dropped_taxels=0, dropped_lines=1, bright_lines=0, blur=0)
    x = torch.ones(64, 1, 64, 32)
    dead = distort(x, lines_only, torch.Generator().manual_seed(0))[:, 0] == 0
    rows, cols = dead.all(2).sum(1), dead.all(1).sum(1)
    assert rows.max() == cols.max() == 1
    torch.testing.assert_close(dead.sum((1, 2)), rows * 32 + cols * 64 - rows * cols)


def test_a_bright_line_is_a_whole_row_or_column_that_shows_more() -> None:
    nothing = Augmentation(gamma=0, noise=0, dropped_taxels=0, dropped_lines=0, bright_lines=0, blur=0, soft_layer=0)
    x = torch.full((64, 1, 64, 32), 0.2)
    without = distort(x, nothing, torch.Generator().manual_seed(0))[:, 0]
    bright = distort(x, nothing.model_copy(update={"bright_lines": 1.0}), torch.Generator().manual_seed(0))[:, 0]
    more = bright - without
    lit = more > 0.05
    assert set(lit.sum((1, 2)).tolist()) == {32, 64}  # a row, a column
    assert (lit.all(2).sum(1) + lit.all(1).sum(1) == 1).all()
    assert more.max() <= BRIGHT[1] + 1e-6
    assert more[lit].min() >= BRIGHT[0] - 1e-6
    torch.testing.assert_close(more[~lit], torch.zeros_like(more[~lit]))


def test_a_pillow_spreads_the_head_and_leaves_the_body() -> None:
    x = torch.zeros(64, 1, 64, 32)
    x[:, :, 2:5, 14:18] = 1  # the head
    x[:, :, 40:44, 12:20] = 1  # below any pillow
    lain = pillow(x, 1.0, GRID, torch.Generator().manual_seed(0))
    below = int(PILLOW_CM[1] / GRID.pitch_y_cm) + 8
    torch.testing.assert_close(lain[:, :, below:], x[:, :, below:], atol=0.01, rtol=0)
    peak, area = lain[:, :, :8].amax((1, 2, 3)), (lain[:, :, :8] > 0.1).sum((1, 2, 3))
    assert (peak < 0.8).all()
    assert (area > 2 * 12).all()
    assert torch.equal(pillow(x, 0.0, GRID, torch.Generator().manual_seed(0)), x)


def test_a_soft_layer_widens_the_contact_and_keeps_the_peak_and_the_place() -> None:
    x = torch.zeros(32, 1, 64, 32)
    x[:, :, 20:28, 12:20] = 0.8
    soft = soft_layer(x, 1.0, torch.Generator().manual_seed(0))
    in_contact = (soft > 0.1).sum((1, 2, 3))
    assert (in_contact >= 64).all()
    assert in_contact.float().mean() > 2 * 64
    peak = soft.flatten(1).topk(PEAK_TAXELS).values[:, -1]
    torch.testing.assert_close(peak, torch.full((32,), 0.8), atol=1e-3, rtol=0)
    rows, cols = torch.meshgrid(torch.arange(64.0), torch.arange(32.0), indexing="ij")
    mass = soft.sum((1, 2, 3))
    torch.testing.assert_close((soft[:, 0] * rows).sum((1, 2)) / mass, torch.full((32,), 23.5), atol=1e-3, rtol=0)
    torch.testing.assert_close((soft[:, 0] * cols).sum((1, 2)) / mass, torch.full((32,), 15.5), atol=1e-3, rtol=0)
    assert torch.equal(soft_layer(x, 0.0, torch.Generator().manual_seed(0)), x)
