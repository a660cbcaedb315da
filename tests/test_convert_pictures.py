"""The pictures of convert-check show what they say."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from convert.pictures import FLOAT_COLOUR, png, shift_distribution, worst_frames
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import BONES, JOINTS

GRID = Grid(64, 32, 2.54, 2.54)


def test_each_frame_has_both_skeletons_and_a_ring_at_the_joint_that_moved_most() -> None:
    rng = np.random.default_rng(0)
    real = [rng.uniform(10, 70, (14, 2)) for _ in range(2)]
    int8 = [points.copy() for points in real]
    int8[0][JOINTS.index("l_knee")] += [3, 4]
    int8[1][JOINTS.index("head")] += [0, 1]
    maps = [np.zeros((64, 32), np.float32)] * 2
    figure = worst_frames(maps, real, int8, ["one\n5.00 cm", "two\n1.00 cm"], GRID)
    assert [axis.get_title() for axis in figure.axes] == ["one\n5.00 cm", "two\n1.00 cm"]
    for axis, points, moved in zip(figure.axes, int8, ["l_knee", "head"], strict=True):
        under = [line for line in axis.lines if to_hex(line.get_color()) == FLOAT_COLOUR]
        assert len(under) == len(BONES)
        (ring,) = [line for line in axis.lines if line.get_markersize() == 15]
        np.testing.assert_allclose(np.ravel(ring.get_data()), points[JOINTS.index(moved)])


def test_the_distribution_rises_to_a_hundred_per_cent_and_has_a_box_for_each_joint() -> None:
    rng = np.random.default_rng(0)
    cm = rng.gamma(2, 0.1, (40, 14))
    figure = shift_distribution({"int8 reference": 0 * cm, "int8 XNNPACK": cm}, cm)
    share, joints = figure.axes
    none, some = share.lines[:2]
    assert none.get_xdata() == pytest.approx(1e-3)  # no shift at all stands at the left edge
    np.testing.assert_allclose(some.get_xdata(), np.sort(cm.ravel()))
    assert (some.get_ydata()[0], some.get_ydata()[-1]) == (0, 100)
    labels = [label.get_text() for label in joints.get_yticklabels()]
    assert sorted(labels) == sorted(JOINTS)
    assert labels[-1] == JOINTS[int(np.median(cm, 0).argmax())]  # the one that moves most is on top


def test_a_picture_is_a_png_that_repeats() -> None:
    cm = np.full((3, 14), 0.1)
    one, other = (png(shift_distribution({"int8": cm}, cm)) for _ in range(2))
    assert one.startswith(b"\x89PNG")
    assert one == other
