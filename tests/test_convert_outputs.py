"""A step of a logit is worth centimetres, and rounding the logits alone costs some."""

from pathlib import Path

import numpy as np
import pytest
from convert_once import examples_once

from convert.float_side import FloatGraph
from convert.graph import in_float
from convert.outputs import output_reports
from edge.keypoints import HeatmapDecoder
from edge.manifest import read_manifest
from edge.model import DEFAULT_MODEL

MANIFEST = read_manifest(DEFAULT_MODEL.with_suffix(".json"))
GRAPH = FloatGraph(in_float(DEFAULT_MODEL.read_bytes()), MANIFEST, "default")


def test_outputs_are_reported_in_the_manifests_order(pmd: Path) -> None:
    found = output_reports(GRAPH, MANIFEST, examples_once(pmd, 13).inputs[:4])
    assert [o.name for o in found] == ["keypoints", "joints"]
    assert [o.step for o in found] == [o.scale for o in MANIFEST.outputs]
    for output in found:
        assert 0.01 < output.rounding.mean_cm < output.step_cm < 1
        assert output.clipped_percent < 0.1
        assert 50 < output.used_percent <= 100


def test_one_step_is_what_the_most_telling_logit_moves_its_point_by(pmd: Path) -> None:
    inputs = examples_once(pmd, 13).inputs[:1]
    output = MANIFEST.outputs[1]
    logits = GRAPH.logits(inputs[0])["joints"]
    decoder = HeatmapDecoder(output, MANIFEST.grid)
    size_cm = np.array([MANIFEST.grid.width_cm, MANIFEST.grid.height_cm])
    before_cm = decoder.from_float(logits, inputs[0]).xy_norm * size_cm
    furthest_cm = np.zeros(output.k)
    for row in range(output.rows):
        for col in range(output.cols):
            nudged = logits.copy()
            nudged[row, col] += output.scale / 10  # small enough that the derivative holds
            moved_cm = decoder.from_float(nudged, inputs[0]).xy_norm * size_cm - before_cm
            furthest_cm = np.maximum(furthest_cm, 10 * np.linalg.norm(moved_cm, axis=1))
    (_, joints) = output_reports(GRAPH, MANIFEST, inputs)
    assert joints.step_cm == pytest.approx(furthest_cm.mean(), rel=0.05)


def test_a_coarser_step_costs_more_and_a_smaller_range_clips(pmd: Path) -> None:
    inputs = examples_once(pmd, 13).inputs[:4]

    def joints_with(factor: float) -> tuple[float, float, float]:
        outputs = [o.model_copy(update={"scale": factor * o.scale}) for o in MANIFEST.outputs]
        (_, found) = output_reports(GRAPH, MANIFEST.model_copy(update={"outputs": outputs}), inputs)
        return found.rounding.mean_cm, found.clipped_percent, found.used_percent

    as_it_is, coarse, small = (joints_with(factor) for factor in (1, 4, 0.25))
    assert coarse[0] > 3 * as_it_is[0]
    assert coarse[2] == pytest.approx(as_it_is[2] / 4)
    assert small[1] > 10 > as_it_is[1]
    assert small[2] == 100
