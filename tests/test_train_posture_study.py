"""The study: which class a copy shows, one vote a file, and what folds add up to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posture_people import checkpoint_file

from train.maps import Group
from train.pmd import MIRRORED_POSE_I
from train.posture.folds import ANNOTATED, JOINTS, KEYPOINTS, Fold, Unseen, read_fold
from train.posture.study import HEADS, TASKS, Votes, _votes, labelled, pooled, study

POSES_OF = {"left": {3, 6, 7, 14}, "right": {2, 4, 5, 13}}


@pytest.fixture(scope="module")
def fold(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Fold:
    return read_fold(checkpoint_file(tmp_path_factory.mktemp("fold"), "pmd:1", "pmd:2", "pmd:4"), [3], pmd, joints_i)


@pytest.fixture(scope="module")
def votes(fold: Fold) -> dict[tuple[str, str], Votes]:
    """(task, input) -> what the linear head says."""
    return {(one.task, one.input): one for one in study(fold, ["linear"])}


def test_each_task_is_asked_of_each_input(votes: dict[tuple[str, str], Votes]) -> None:
    assert list(votes) == [(task, name) for name in (KEYPOINTS, JOINTS, ANNOTATED) for task in TASKS]


def test_a_mirrored_copy_shows_the_mirrored_posture(fold: Fold) -> None:
    known = labelled(fold.known, KEYPOINTS)
    left, right = POSES_OF["left"], POSES_OF["right"]
    for group, y, mirrored in zip(fold.known.groups, known.y, fold.known.mirrored, strict=True):
        pose = int(group.name.rpartition("/")[2])
        assert y + 1 == (MIRRORED_POSE_I.get(pose, pose) if mirrored else pose)
        if mirrored and group.posture == "left":
            assert y + 1 in right
        if mirrored and group.posture == "right":
            assert y + 1 in left


def test_a_coarse_class_is_the_sum_of_its_postures(fold: Fold) -> None:
    """Left is likelier as a whole than the single posture that is the likeliest."""
    scores = np.full((1, 17), -20.0)
    scores[0, 0] = np.log(0.4)
    scores[0, [pose - 1 for pose in POSES_OF["left"]]] = np.log(0.15)
    one_file = Unseen(fold.unseen.points, {ANNOTATED: np.zeros(1, int)}, fold.unseen.files[:1])
    one = replace(fold, unseen=one_file)
    assert list(_votes(one, "17 classes", ANNOTATED, "", scores).voted.values()) == ["1"]
    assert list(_votes(one, "3 classes", ANNOTATED, "", scores).voted.values()) == ["left"]


def test_a_new_persons_posture_is_read_from_annotated_joints(votes: dict[tuple[str, str], Votes]) -> None:
    assert pooled([votes["3 classes", ANNOTATED]])["right"] >= 15
    assert pooled([votes["17 classes", ANNOTATED]])["right"] >= 9


def test_a_file_has_one_vote_and_every_frame_takes_part_in_it(votes: dict[tuple[str, str], Votes]) -> None:
    for (_, name), one in votes.items():
        assert len(one.voted) == 17
        assert one.frames == 17 if name == ANNOTATED else one.frames > 17 * 30


def test_the_vote_is_the_mean_over_the_frames_of_the_file(fold: Fold) -> None:
    """A file whose frames are mostly another file's takes that one's class."""
    annotated = fold.unseen.points[ANNOTATED]
    supine, left = annotated[0], annotated[2]
    mixed = np.concatenate([annotated, np.stack([left, left, supine])])
    index = np.concatenate([np.arange(17), np.full(3, 0)])
    points = fold.unseen.points | {ANNOTATED: mixed}
    unseen = Unseen(points, fold.unseen.file_index | {ANNOTATED: index}, fold.unseen.files)

    def vote(unseen: Unseen) -> str:
        said = {(v.task, v.input): v for v in study(replace(fold, unseen=unseen), ["linear"])}
        return said["3 classes", ANNOTATED].voted[fold.unseen.files[0]]

    assert vote(fold.unseen) == "supine"
    only_left = Unseen(
        points, unseen.file_index | {ANNOTATED: np.concatenate([[1], index[1:17], [0, 0, 1]])}, unseen.files
    )
    assert vote(only_left) == "left"


@pytest.mark.parametrize("head", list(HEADS))
def test_every_head_scores_every_class(fold: Fold, head: str) -> None:
    known = labelled(fold.known, ANNOTATED)
    few = known.where(~known.moved)
    scores = HEADS[head](few, fold.known.sparse_graph(ANNOTATED))(fold.unseen.points[ANNOTATED])
    assert scores.shape == (17, 17)
    assert np.isfinite(scores).all()


def said(person: str, right: int, of: int) -> Votes:
    files = [Group(f"pmd-i/{person}/{n}", person, "left") for n in range(of)]
    voted = {file: "left" if n < right else "supine" for n, file in enumerate(files)}
    return Votes("3 classes", KEYPOINTS, "linear", voted, 3 * right, 4 * of)


def test_folds_add_up_and_wrong_files_are_named() -> None:
    result = pooled([said("a", 9, 10), said("b", 10, 10), said("c", 5, 10)])
    assert (result["right"], result["files"]) == (24, 30)
    assert result["frames_percent"] == 100 * 72 / 120
    assert result["right_per_person"] == {"a": 9, "b": 10, "c": 5}
    assert result["wrong"] == {f"pmd-i/{p}/{n}": "supine" for p, n in [("a", 9), *(("c", n) for n in range(5, 10))]}


def test_the_interval_is_over_people() -> None:
    low, high = pooled([said("a", 9, 10), said("b", 10, 10), said("c", 5, 10)])["interval_95"]
    assert 15 <= low < 24 < high <= 30
    assert pooled([said("a", 7, 10), said("b", 7, 10)])["interval_95"] == [14, 14]
    assert pooled([said("a", 7, 10)])["interval_95"] is None
