"""A fold: points of training people and their copies, frames of test people, and who may not be tested."""

import json
from pathlib import Path

import numpy as np
import pytest
from posture_people import checkpoint_file

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS
from train.pmd import GRID_I, read_pmd
from train.posture.folds import ANNOTATED, COPIES, INPUTS, KEYPOINTS, Fold, read_fold


@pytest.fixture(scope="module")
def fold(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Fold:
    return read_fold(checkpoint_file(tmp_path_factory.mktemp("fold"), "pmd:2", "slp:1"), [3], pmd, joints_i)


def test_heads_are_fitted_on_the_checkpoints_people_of_pmd_alone(fold: Fold) -> None:
    assert {group.person for group in fold.known.groups} == {"pmd:2"}
    assert {file.person for file in fold.unseen.files} == {"pmd:3"}


def test_there_is_a_map_a_training_file_and_moved_copies_of_it(fold: Fold) -> None:
    known = fold.known
    assert len(known.groups) == len(known.moved) == len(known.mirrored) == 17 * (1 + COPIES)
    assert known.moved.sum() == 17 * COPIES
    assert not known.mirrored[~known.moved].any()
    assert 0.3 < known.mirrored[known.moved].mean() < 0.7
    assert {name: x.shape[1:] for name, x in known.points.items()} == dict(
        zip(INPUTS, [(32, 4), (14, 4), (14, 2)], strict=True)
    )


def test_every_frame_is_tested_and_annotated_joints_once_a_file(fold: Fold) -> None:
    unseen = fold.unseen
    assert np.bincount(unseen.file_index[KEYPOINTS], minlength=17).min() > 30
    assert len(unseen.points[KEYPOINTS]) == len(unseen.file_index[KEYPOINTS])
    assert unseen.file_index[ANNOTATED].tolist() == list(range(17))


def test_annotated_joints_are_in_cm_of_the_mat(fold: Fold, pmd: Path, joints_i: Path) -> None:
    """The model's grid is that of the mat, so the joints are where pmd's reader says."""
    maps = read_pmd(pmd, [3], joints=joints_i)
    np.testing.assert_allclose(fold.unseen.points[ANNOTATED], maps.joints[..., :2], atol=1e-3)
    found = fold.unseen.points[KEYPOINTS]
    assert found[..., :2].min() >= 0
    assert (found[..., :2].max((0, 1)) < [GRID_I.width_cm, GRID_I.height_cm]).all()
    assert found[..., 1].max() > 1.5 * found[..., 0].max()


def test_in_a_mirrored_copy_left_is_still_left(fold: Fold) -> None:
    joints, known = fold.known.points[ANNOTATED], fold.known
    supine = np.array([group.posture == "supine" for group in known.groups])
    left, right = (joints[supine & known.mirrored, JOINTS.index(f"{side}_shoulder"), 0] for side in "lr")
    assert len(left) > 10
    assert (left > right).all()


def test_label_free_points_are_joined_to_near_ones_and_named_ones_by_bones(fold: Fold) -> None:
    edges = fold.known.sparse_graph(KEYPOINTS)
    assert set(edges.flatten().tolist()) == set(range(32))
    assert edges.shape[1] < 32 * 31 / 3
    assert fold.known.sparse_graph("joints").shape[1] == 28


def test_a_person_who_trained_the_checkpoint_is_not_tested(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="was trained on pmd:3") as failure:
        read_fold(checkpoint_file(tmp_path, "pmd:2", "pmd:3"), [1, 3], pmd, joints_i)
    assert failure.value.code == Exit.USAGE


def test_without_training_people_of_pmd_there_is_nothing_to_fit_on(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nobody of pmd") as failure:
        read_fold(checkpoint_file(tmp_path, "slp:1"), [3], pmd, joints_i)
    assert failure.value.code == Exit.USAGE


def test_a_file_without_joints_is_named(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    content = json.loads(joints_i.read_text())
    del content["frames"]["S2/9"]
    partial = tmp_path / "joints.json"
    partial.write_text(json.dumps(content))
    with pytest.raises(Failure, match=r"no joints of pmd-i/S2/9") as failure:
        read_fold(checkpoint_file(tmp_path, "pmd:2"), [3], pmd, partial)
    assert failure.value.code == Exit.USAGE
