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


def bench_of(converted: Converted, pmd: Path, joints: Path | None) -> Bench:
    manifest = read_manifest(converted.manifest)
    maps = read_pmd(pmd, [13], joints=joints)
    return Bench(maps, Preprocessor(maps.grid, manifest.grid, manifest.preprocessing))


def test_a_shift_is_the_distance_of_each_point() -> None:
    one = np.zeros((10, 2, 2))
    other = one.copy()
    other[:, 1] = [3, 4]
    other[0, 1] = [30, 40]
    found = shift(one, other)
    assert found.mean_cm == pytest.approx((9 * 5 + 50) / 20)
    assert found.per_point_cm == pytest.approx([0, 9.5])
    assert found.worst_cm == 50
    assert found.p95_cm == pytest.approx(np.percentile([0] * 10 + [5] * 9 + [50], 95))


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
