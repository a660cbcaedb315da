"""Shifts are distances in centimetres, and every stage is scored on the same maps."""

from pathlib import Path

import numpy as np
import pytest
from convert_once import Converted, convert_once

from convert.compare import Bench, shift
from edge.manifest import read_manifest
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from train.pmd import read_pmd
from train.predict import FloatModel


@pytest.fixture(scope="module")
def converted(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(pmd, joints_i, tmp_path_factory.getbasetemp())


def bench_of(converted: Converted, pmd: Path, joints: Path | None, *, every_frame: bool = False) -> Bench:
    manifest = read_manifest(converted.manifest)
    maps = read_pmd(pmd, [13], joints=joints)
    return Bench(maps, Preprocessor(maps.grid, manifest.grid, manifest.preprocessing), every_frame=every_frame)


def test_a_shift_is_the_distance_of_each_point() -> None:
    one = np.zeros((10, 2, 2))
    other = one.copy()
    other[:, 1] = [3, 4]
    other[0, 1] = [30, 40]
    found = shift(one, other)
    assert found.mean_cm == pytest.approx((9 * 5 + 50) / 20)
    still, moved = found.per_point
    assert (still.mean_cm, still.p95_cm, still.worst_cm) == (0, 0, 0)
    assert (moved.mean_cm, moved.worst_cm) == (pytest.approx(9.5), 50)
    assert moved.p95_cm == pytest.approx(np.percentile([5] * 9 + [50], 95))
    assert found.worst_cm == 50
    assert found.p95_cm == pytest.approx(np.percentile([0] * 10 + [5] * 9 + [50], 95))
    assert found.p99_cm == pytest.approx(np.percentile([0] * 10 + [5] * 9 + [50], 99))


def test_int8_is_close_to_float_on_an_unseen_person(converted: Converted, pmd: Path) -> None:
    bench = bench_of(converted, pmd, None)
    model = KeypointModel.from_files(converted.model)
    joint_map = model.manifest.joint_map
    float_stage = bench.float_stage(FloatModel(converted.load_checkpoint()), joint_map, has_joints=True)
    int8_stage = bench.int8_stage(model, joint_map)
    assert 0 < shift(int8_stage.joints_cm, float_stage.joints_cm).mean_cm < 0.5
    assert 0 < shift(int8_stage.keypoints_cm, float_stage.keypoints_cm).mean_cm < 0.5
    assert int8_stage.mapped_cm is not None
    assert float_stage.mapped_cm is not None
    assert 0 < shift(int8_stage.mapped_cm, float_stage.mapped_cm).mean_cm < 1


def test_the_joint_map_stands_in_where_no_joint_output_is_deployed(converted: Converted, pmd: Path) -> None:
    bench = bench_of(converted, pmd, None)
    checkpoint = converted.load_checkpoint()
    stage = bench.float_stage(FloatModel(checkpoint), checkpoint.joint_map, has_joints=False)
    assert stage.mapped_cm is not None
    np.testing.assert_array_equal(stage.joints_cm, stage.mapped_cm)


def test_maps_without_annotations_have_no_score(converted: Converted, pmd: Path, joints_i: Path) -> None:
    bench, unlabelled = bench_of(converted, pmd, joints_i), bench_of(converted, pmd, None)
    truth_cm = bench.maps.joints[..., :2].astype(np.float64)
    assert unlabelled.score(truth_cm) is None
    score = bench.score(truth_cm + np.array([3, 4]))
    assert score is not None
    assert score.mean_cm == pytest.approx(5, abs=1e-4)


def test_every_frame_has_the_annotations_of_its_group(converted: Converted, pmd: Path, joints_i: Path) -> None:
    medians, frames = (bench_of(converted, pmd, joints_i, every_frame=every) for every in (False, True))
    assert (len(medians.inputs), len(medians.maps)) == (17, 17)
    assert len(frames.inputs) == len(frames.maps) > 1000
    truth_cm = frames.maps.joints[frames.maps.group_index][..., :2].astype(np.float64)
    score, of_medians = frames.score(truth_cm), medians.score(medians.maps.joints[..., :2].astype(np.float64))
    assert score is not None
    assert of_medians is not None
    assert score.mean_cm == 0
    assert score.n > 50 * of_medians.n


def test_a_stage_votes_on_the_posture_of_each_map(converted: Converted, pmd: Path) -> None:
    bench = bench_of(converted, pmd, None)
    model = KeypointModel.from_files(converted.model)
    head = model.manifest.posture
    assert head is not None
    votes = bench.int8_stage(model, None).postures(head)
    assert votes == [model.read(model.logits(x), x).posture for x in bench.inputs]
    assert len(set(votes)) == 3


def test_the_progress_counts_int8_maps(converted: Converted, pmd: Path) -> None:
    manifest, maps = read_manifest(converted.manifest), read_pmd(pmd, [13])
    counted: list[None] = []
    fed = Preprocessor(maps.grid, manifest.grid, manifest.preprocessing)
    bench = Bench(maps, fed, advance=lambda: counted.append(None))
    bench.int8_stage(KeypointModel.from_files(converted.model), manifest.joint_map)
    assert len(counted) == 17
