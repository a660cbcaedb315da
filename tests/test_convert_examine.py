"""A model is examined in every stage that there is, on the maps that are given."""

from pathlib import Path

import numpy as np
import pytest
from examined import maps_of

from convert.examine import examine
from convert.float_side import OWN_GRAPH, FloatSide
from convert.graph import in_float
from edge.model import DEFAULT_MODEL, KeypointModel
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.maps import Group, Maps
from train.pmd import read_pmd

OWN = FloatSide(in_float(DEFAULT_MODEL.read_bytes()), None, OWN_GRAPH)


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def model() -> KeypointModel:
    return KeypointModel.from_files(DEFAULT_MODEL)


def test_without_pytorch_there_are_four_stages_and_the_graph_itself_is_the_float_one(
    model: KeypointModel, pmd: Path
) -> None:
    maps = read_pmd(pmd, [13]).of_groups([0, 3, 6])
    counted: list[None] = []
    found = examine(DEFAULT_MODEL, model, OWN, maps, [], every_frame=True, advance=lambda: counted.append(None))
    assert list(found.stages) == ["float_tflite", "reference", "tflm", "int8"]
    assert list(found.frame_stages) == ["float_tflite", "int8"]
    assert len(found.maps) == 3
    assert found.frame_maps is maps
    assert len(counted) == 3 * 3 + len(maps)
    assert found.operators == {"CONV_2D": 16, "DEPTHWISE_CONV_2D": 7, "ADD": 6, "RESIZE_BILINEAR": 2}
    assert found.tflm_equals_reference
    np.testing.assert_array_equal(found.stages["tflm"].joints_cm, found.stages["reference"].joints_cm)
    assert found.causes == []
    assert len(found.tensors) == 32


def test_a_mat_that_the_model_cannot_read_is_refused(model: KeypointModel) -> None:
    small = Maps(np.ones((1, 16, 8), np.float32), Grid(16, 8, 2.54, 2.54), [Group("a", "a")], np.zeros(1, np.int64))
    with pytest.raises(Failure, match=r"default\.tflite cannot read these maps: the mat is 20 x 41 cm") as refusal:
        examine(DEFAULT_MODEL, model, OWN, small, [], every_frame=False, advance=nothing)
    assert refusal.value.code == Exit.FOREIGN_DATA


def test_a_float_graph_that_is_none_is_named(model: KeypointModel) -> None:
    side = FloatSide(b"a text file", None, "mine.tflite")
    with pytest.raises(Failure, match=r"mine\.tflite cannot be run"):
        examine(DEFAULT_MODEL, model, side, maps_of(1), [], every_frame=False, advance=nothing)
