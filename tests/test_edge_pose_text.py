"""The line of a pose: keys, units, digits, and null where there is nothing to say."""

import json
from typing import Any

import numpy as np
import pytest
from edge_packages import frame
from hypothesis import given
from hypothesis import strategies as st

from edge.messages import Pose
from edge.pipeline import Result
from edge.pose_text import PoseText
from firmware_bridge.skeleton import JOINTS

EMPTY = np.zeros((64, 32), np.float32)
NOBODY = Result(EMPTY, False, None, 0.0, 3.0)


def lying() -> Result:
    joints = np.column_stack([np.arange(14) + 0.12345, np.arange(14) * 10.0, np.full(14, 0.123456)])
    keypoints = np.array([[0.51234567, 0.2, 0.9]])
    return Result(EMPTY, True, (40.126, 80.0), 4567.89, 900.0, joints, joints, keypoints, "supine")


def parsed(text: PoseText) -> dict[str, Any]:
    """What JSON's own reader and the schema make of it, which must be the same."""
    line = text.json_line()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    value: dict[str, Any] = json.loads(line)
    assert json.loads(Pose.model_validate_json(line).json_line()) == value
    return value


def test_a_pose_names_every_joint_in_centimetres() -> None:
    value = parsed(PoseText(2.0, "bed", 7, frame(EMPTY, seq=3), lying()))
    assert value["type"] == "pose"
    assert set(value["joints"]) == set(JOINTS)
    assert value["joints"]["r_ankle"] == {"x_cm": 0.12, "y_cm": 0.0, "confidence": 0.1235}
    assert value["joints"]["head"]["y_cm"] == 130.0
    assert value["keypoints"] == [[0.5123, 0.2, 0.9]]
    assert (value["cop_cm"], value["contact_area_cm2"], value["peak_pressure"]) == ([40.13, 80.0], 4567.9, 900.0)
    assert (value["occupied"], value["posture"], value["seq"], value["t_us"]) == (True, "supine", 3, 3_000_000)
    assert (value["boot_id"], value["latency_ms"]) == (7, None)


def test_its_keys_are_those_of_the_schema_in_their_order() -> None:
    assert list(parsed(PoseText(2.0, "bed", 7, frame(EMPTY), lying()))) == list(Pose.model_fields)


def test_a_live_pose_has_a_time_in_microseconds_and_its_latency() -> None:
    value = parsed(PoseText(1_700_000_000.123456, "bed", 7, frame(EMPTY), lying(), 1.2345))
    assert (value["ts"], value["latency_ms"]) == (1_700_000_000.123456, 1.23)


def test_an_empty_bed_has_null_joints_and_no_keypoints() -> None:
    value = parsed(PoseText(2.0, "bed", 7, frame(EMPTY), NOBODY))
    assert (value["joints"], value["keypoints"], value["cop_cm"], value["posture"]) == (None, [], None, None)
    assert value["occupied"] is False


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_in_json_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="frame 3 of mat bed has a value that is no number"):
        PoseText(2.0, "bed", 7, frame(EMPTY, seq=3), Result(EMPTY, True, (value, 1.0), 1.0, 1.0)).json_line()


@given(st.text(), st.text() | st.none())
def test_text_from_the_world_comes_back_as_it_was(mat: str, posture: str | None) -> None:
    result = Result(EMPTY, True, None, 1.0, 1.0, posture=posture)
    value = json.loads(PoseText(2.0, mat, 7, frame(EMPTY), result).json_line())
    assert (value["mat"], value["posture"]) == (mat, posture)


@given(st.integers(0, 2**32), st.integers(0, 64), st.booleans())
def test_numbers_are_those_of_the_result_to_the_digits_that_count(seed: int, keypoints: int, joints: bool) -> None:
    random = np.random.default_rng(seed)
    places = random.normal(scale=100, size=(len(JOINTS), 3))
    found = random.random((keypoints, 3))
    result = Result(EMPTY, True, (3.0, 4.0), 1.0, 1.0, places if joints else None, None, found)
    value = parsed(PoseText(2.0, "bed", 7, frame(EMPTY), result))
    np.testing.assert_allclose(np.reshape(value["keypoints"], (-1, 3)), found, atol=0.5001e-4)
    if joints:
        said = [(joint["x_cm"], joint["y_cm"]) for joint in value["joints"].values()]
        np.testing.assert_allclose(said, places[:, :2], atol=0.5001e-2)
    else:
        assert value["joints"] is None
