"""Maps and Examples: grouping, medians, the model's view."""

import numpy as np

from edge.manifest import Preprocessing
from firmware_bridge.geometry import Grid
from train.maps import NOWHERE, Examples, Group, Maps

MODEL = Grid(64, 32, 2.54, 2.54)


def some_maps(grid: Grid = MODEL) -> Maps:
    """Three groups of two people; 2, 3 and 1 frames; the middle group is annotated."""
    random = np.random.default_rng(0)
    groups = [Group("a/1", "a", "left"), Group("a/2", "a", "right"), Group("b/1", "b", "left")]
    joints = np.zeros((3, 14, 3), np.float32)
    joints[1] = [grid.width_cm / 4, grid.height_cm / 2, 2]
    pressure = random.gamma(1, 50, (6, grid.rows, grid.cols)).astype(np.float32)
    return Maps(pressure, grid, groups, np.array([0, 0, 1, 1, 1, 2]), joints)


def test_medians_have_one_frame_a_group() -> None:
    maps = some_maps()
    medians = maps.medians()
    assert len(medians) == 3
    np.testing.assert_array_equal(medians.pressure[1], np.median(maps.pressure[2:5], 0))


def test_choosing_groups_keeps_frames_joints_and_order() -> None:
    maps = some_maps()
    chosen = maps.of_groups([2, 1])
    assert [g.name for g in chosen.groups] == ["b/1", "a/2"]
    np.testing.assert_array_equal(chosen.group_index, [1, 1, 1, 0])
    np.testing.assert_array_equal(chosen.pressure, maps.pressure[2:])
    assert chosen.joints[1].any()
    assert not chosen.joints[0].any()


def test_labelled_keeps_only_annotated_groups() -> None:
    assert [g.name for g in some_maps().labelled().groups] == ["a/2"]


def test_joints_of_another_grid_land_on_the_model_where_they_are_in_centimetres() -> None:
    narrow = Grid(64, 27, 2.87, 2.54)
    examples = some_maps(narrow).examples(MODEL, Preprocessing())
    expected = (narrow.width_cm / 4 - narrow.width_cm / 2) / MODEL.width_cm + 0.5
    np.testing.assert_allclose(examples.joints_norm[1, :, 0], expected, atol=1e-6)
    np.testing.assert_allclose(examples.joints_norm[1, :, 1], 0.5, atol=1e-6)
    assert examples.inputs.shape == (6, 64, 32)


def test_joints_that_nobody_annotated_are_nowhere_on_the_model() -> None:
    maps = some_maps()
    maps.joints[1, 3] = 0
    maps.joints[1, 4, 2] = 0  # a guess has its place
    joints = maps.examples(MODEL, Preprocessing()).joints_norm
    np.testing.assert_array_equal(joints[1, 3], [NOWHERE, NOWHERE, 0])
    np.testing.assert_array_equal(joints[[0, 2]], np.broadcast_to([NOWHERE, NOWHERE, 0], (2, 14, 3)))
    np.testing.assert_allclose(joints[1, 4], [0.25, 0.5, 0])


def test_examples_of_different_mats_join() -> None:
    parts = [
        some_maps().examples(MODEL, Preprocessing()),
        some_maps(Grid(60, 30, 3, 3)).examples(MODEL, Preprocessing()),
    ]
    joined = Examples.joined(parts)
    assert len(joined.inputs) == 12
    np.testing.assert_array_equal(joined.group_index, [0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 4, 5])
    assert len(joined.groups) == len(joined.joints_norm) == 6


def test_unlabelled_maps_tell_neither_joints_nor_postures() -> None:
    maps = some_maps()
    unlabelled = maps.unlabelled()
    assert not unlabelled.joints.any()
    assert [(g.name, g.person, g.posture) for g in unlabelled.groups] == [
        ("a/1", "a", ""),
        ("a/2", "a", ""),
        ("b/1", "b", ""),
    ]
    np.testing.assert_array_equal(unlabelled.pressure, maps.pressure)
    assert maps.joints.any()


def test_of_a_larger_mat_the_part_around_each_person_is_shown() -> None:
    """Somebody at the head and somebody at the foot of a mat twice as long: both look alike to the model."""
    mat = Grid(128, 32, 2.54, 2.54)
    body = np.random.default_rng(0).gamma(1, 50, (40, 20)).astype(np.float32)
    pressure = np.zeros((3, 128, 32), np.float32)
    pressure[0, 5:45, 6:26] = pressure[1, 80:120, 6:26] = body
    pressure[2, 80:120, 6:26] = 2 * body
    joints = np.zeros((2, 14, 3), np.float32)
    joints[0, :13] = [16 * 2.54, 25 * 2.54, 2]
    joints[1, :13] = [16 * 2.54, 100 * 2.54, 2]
    maps = Maps(pressure, mat, [Group("a/1", "a"), Group("b/1", "b")], np.array([0, 1, 1]), joints)
    shown = maps.around_people(MODEL)
    assert shown.grid == MODEL
    assert shown.pressure.shape == (3, 64, 32)
    assert shown.pressure.sum() == pressure.sum()
    examples = maps.examples(MODEL, Preprocessing())
    row = [int(np.flatnonzero(frame.any(1))[0]) for frame in shown.pressure]
    one, other = (frame[r : r + 40, 6:26] for frame, r in zip(examples.inputs[:2], row[:2], strict=True))
    np.testing.assert_allclose(one, other, atol=1e-6)
    moved = examples.joints_norm[:, 0, 1] * 64 - row[:2]
    np.testing.assert_allclose(moved, 20, atol=1e-4)
    assert (examples.joints_norm[:, 13, :2] == NOWHERE).all()
    assert (maps.joints[1, 0] == [16 * np.float32(2.54), 100 * np.float32(2.54), 2]).all()


def test_a_mat_no_larger_than_the_models_is_shown_whole() -> None:
    maps = some_maps()
    assert maps.around_people(MODEL) is maps
