"""The float head computes in torch what the edge computes in NumPy; the whole graph is tested with convert-run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from edge_packages import package

from convert.float_head import FloatHead
from edge.keypoints import HeatmapDecoder, confidence
from edge.manifest import Confidence, JointMap, Manifest, read_manifest
from edge.model import mapped
from firmware_bridge.skeleton import JOINTS


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Of a model with both outputs, a joint map, and other constants for each joint."""
    whole = read_manifest(package(tmp_path).with_suffix(".json"))
    keypoints = whole.output("keypoints")
    assert keypoints
    rng = np.random.default_rng(1)
    joint_map = JointMap(
        weights=rng.normal(0, 0.1, (4 * keypoints.k, 2 * len(JOINTS))).tolist(),
        bias=rng.random(2 * len(JOINTS)).tolist(),
        people=[],
    )
    constants = Confidence(keypoints_half_cm=6.0, joints_half_cm=list(rng.uniform(5, 25, len(JOINTS))))
    return whole.model_copy(update={"joint_map": joint_map, "confidence": constants})


@pytest.mark.parametrize("names", [("keypoints", "joints"), ("keypoints",), ("joints",)], ids="+".join)
def test_points_values_and_confidences_are_the_edges(manifest: Manifest, names: tuple[str, ...]) -> None:
    """With a joint output and, without one, by the joint map; with and without label-free keypoints."""
    outputs = [output for output in manifest.outputs if output.name in names]
    rng = np.random.default_rng(0)
    x = rng.random((manifest.rows, manifest.cols)).astype(np.float32)
    expected, logits = {}, {}
    for output in outputs:
        q = rng.integers(-128, 128, (output.rows, output.cols, output.k)).astype(np.int8)
        expected[output.name] = HeatmapDecoder(output, manifest.grid)(q, x)
        real = output.scale * (q.astype(np.float32) - output.zero_point)
        logits[f"{output.name}_logits"] = torch.from_numpy(real[None])
    if "joints" not in names:
        assert manifest.joint_map
        expected["joints"] = mapped(expected["keypoints"], manifest.joint_map)
    found = FloatHead(manifest.model_copy(update={"outputs": outputs}))(torch.from_numpy(x[None, ..., None]), **logits)
    assert found.keys() == expected.keys()
    half_cm = {
        "keypoints": manifest.confidence.keypoints_half_cm,
        "joints": np.array(manifest.confidence.joints_half_cm, np.float32),
    }
    for name, points in expected.items():
        sureness = confidence(points.spread_cm, half_cm[name])
        wanted = np.column_stack([points.xy_norm, points.value, sureness])
        np.testing.assert_allclose(found[name][0].numpy(), wanted, atol=2e-4)
        assert np.ptp(wanted, axis=0).min() > 0.004  # so that a constant would not do
