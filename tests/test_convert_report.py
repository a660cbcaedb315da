"""The limits are on the loss against annotations, or on the shift where nobody knows the error."""

import json
from dataclasses import replace

import numpy as np
import pytest
from examined import MANIFEST, examined, maps_of, stage_of, with_frames

from convert.causes import Cause
from convert.report import Report
from edge.runtime import Delegation
from firmware_bridge.skeleton import JOINTS
from train.maps import Maps


def report(*parts: object, cm: float = 0.1, pck: float = 2.0) -> Report:
    return Report(parts, cm, pck)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("float_cm", "int8_cm", "measured_cm", "passed"),
    [(3.0, 3.05, 0.05, True), (3.0, 3.2, 0.2, False), (3, 2, -1, True)],
)
def test_with_annotations_the_rise_of_the_error_is_limited(
    float_cm: float, int8_cm: float, measured_cm: float, passed: bool
) -> None:
    found = report(examined(maps_of(5), float_cm, int8_cm))
    assert [(limit.of, limit.unit) for limit in found.limits] == [
        ("rise of the mean error", "cm"),
        ("fall of PCK@5cm", "points"),
    ]
    assert found.limits[0].measured == pytest.approx(measured_cm, abs=1e-5)
    assert found.passed is passed
    assert found.to_json()["passed"] is passed


def test_and_so_is_the_fall_of_pck() -> None:
    """Errors of 4.99 and 5.01 cm differ by 0.02 cm and by all that PCK@5cm can fall."""
    part = examined(maps_of(5), 4.99, 5.01)
    assert report(part).limits[1].measured == 100
    assert not report(part).passed
    assert report(part, pck=100).passed


@pytest.mark.parametrize(("shift_cm", "passed"), [(0.05, True), (0.3, False)])
def test_without_annotations_the_mean_shift_is_limited(shift_cm: float, passed: bool) -> None:
    found = report(examined(maps_of(5, labelled=False), 1.0, 1.0 + shift_cm))
    (limit,) = found.limits
    assert (limit.of, limit.measured) == ("mean shift of the joints", pytest.approx(shift_cm))
    assert found.passed is passed
    assert found.stages["int8"].score is None


def test_an_error_that_cannot_be_computed_does_not_pass() -> None:
    part = examined(maps_of(5))
    lost = replace(part.stages["int8"], joints_cm=np.full((5, 14, 2), np.nan))
    assert not report(replace(part, stages=part.stages | {"int8": lost})).passed


def test_a_certain_cause_fails_whatever_was_measured() -> None:
    for certain in (True, False):
        part = replace(examined(maps_of(5)), causes=[Cause("something", certain)])
        assert report(part, cm=1).passed is not certain


def test_steps_tell_conversion_from_quantization() -> None:
    part = examined(maps_of(5), 1.0, 1.5)
    stages = part.stages | {"float_tflite": stage_of(part.maps, 1.2), "int8_weights": stage_of(part.maps, 1.3)}
    steps = report(replace(part, stages=stages)).steps
    means = {name: round(step.mean_cm, 6) for name, step in steps.items()}
    assert means == {
        "conversion": 0.2, "quantization": 0.3, "of it weights": 0.1, "of it activations": 0.2, "kernels": 0.0
    }  # fmt: skip


def test_without_pytorch_the_float_graph_is_the_truth() -> None:
    part = examined(maps_of(5), 1.0, 1.5)
    stages = {name: stage for name, stage in part.stages.items() if name not in ("float", "int8_weights")}
    found = report(replace(part, stages=stages))
    assert found.truth == "float_tflite"
    assert list(found.steps) == ["quantization", "kernels"]
    assert found.stages["float_tflite"].joints is None
    assert found.stages["int8"].joints is not None
    assert found.stages["int8"].joints.mean_cm == pytest.approx(0.5)


def test_folds_are_pooled_map_by_map() -> None:
    one = examined(maps_of(5), 1.0, 1.2, file="fold1.tflite")
    other = examined(maps_of(15, "pmd:1"), 1.0, 1.6, file="fold2.tflite")
    found = report(one, other)
    assert (found.people, found.n_maps) == (["pmd:1", "pmd:13"], 20)
    int8, real = found.stages["int8"], found.stages["float"]
    assert int8.joints is not None
    assert int8.keypoints is not None
    assert int8.score is not None
    assert real.score is not None
    assert int8.joints.mean_cm == pytest.approx(0.2 * 0.25 + 0.6 * 0.75)
    assert int8.score.mean_cm - real.score.mean_cm == pytest.approx(0.5, abs=1e-4)
    assert int8.keypoints.mean_cm == pytest.approx(0.5)
    assert len(int8.joints.per_point) == len(JOINTS)
    assert len(int8.keypoints.per_point) == 1  # keypoint 3 of one fold is not keypoint 3 of the other
    models = found.to_json()["models"]
    assert [round(model["keypoints"]["per_point"]["31"]["mean_cm"], 6) for model in models] == [0.2, 0.6]
    more = examined(maps_of(15, "pmd:1"), file="fold2.tflite", keypoints=48)
    without_head = MANIFEST.model_copy(update={"posture": None})
    unequal = report(one, replace(more, manifest=without_head)).stages["int8"]
    assert unequal.keypoints is not None
    assert unequal.postures_right is None


def test_one_model_that_xnnpack_or_tflm_treats_otherwise_shows_in_the_sum() -> None:
    good = examined(maps_of(2))
    bad = replace(good, xnnpack=Delegation(3, False), tflm_equals_reference=False)
    for parts, partitions in (((good, good), 1), ((good, bad), 3)):
        found = report(*parts).to_json()
        assert found["xnnpack"] == {"partitions": partitions, "whole_graph": partitions == 1}
        assert found["tflm"]["byte_equal_reference"] is (partitions == 1)


def test_every_frame_is_pooled_apart_from_the_medians() -> None:
    medians = maps_of(5)
    frames = Maps(medians.pressure.repeat(4, 0), medians.grid, medians.groups, np.arange(5).repeat(4), medians.joints)
    found = report(with_frames(examined(medians, 1.0, 1.1), frames, 1.0, 1.4))
    assert found.n_frames == 20
    assert found.frames["int8"].joints is not None
    assert found.frames["int8"].joints.p99_cm == pytest.approx(0.4)
    assert found.to_json()["frames"]["int8"]["mean_cm"] == pytest.approx(1.4, abs=1e-4)
    assert report(examined(medians)).frames == {}


def test_postures_are_counted_against_the_truth_and_against_what_is_known() -> None:
    part = examined(maps_of(5))
    head = part.manifest.posture
    assert head is not None
    usual = head.classes[int(np.argmax(head.bias))]
    other = next(i for i, name in enumerate(head.classes) if name != usual)
    features = {name: x.copy() for name, x in part.stages["int8"].features.items()}
    features["keypoints"][:2] = 100 * np.array(head.weights)[: 4 * 32, other]
    int8 = replace(part.stages["int8"], features=features)
    stage = report(replace(part, stages=part.stages | {"int8": int8})).stages["int8"]
    assert stage.postures_changed == 2
    votes = int8.postures(head)
    assert votes[2:] == [usual] * 3
    assert stage.postures_right == votes.count("supine")


def test_people_whom_the_model_has_seen_are_a_warning() -> None:
    assert report(examined(maps_of(5))).warnings == []
    (warning,) = report(replace(examined(maps_of(5)), seen=["pmd:13"])).warnings
    assert warning == "m.tflite was trained or calibrated on pmd:13: no figure here is about new people"


def test_json_is_plain_even_where_a_joint_was_never_annotated() -> None:
    maps = maps_of(5)
    maps.joints[:, JOINTS.index("head"), 2] = 0
    found = json.loads(json.dumps(report(examined(maps)).to_json(), allow_nan=False))
    assert found["int8"]["per_joint_cm"]["head"] is None
    assert list(found["int8"]["per_point"]) == list(JOINTS)
    assert list(found["int8"]["keypoints"]["per_point"]) == [str(k) for k in range(32)]
    assert found["models"][0]["tflm"] == {"byte_equal_reference": True, "arena_bytes": 73_376}
    assert found["models"][0]["xnnpack"] == {"partitions": 1, "whole_graph": True}
