"""Calibration takes people of the training only, and test people must be new."""

import numpy as np
import pytest

from convert.calibration import refuse_seen, simulated, trained_on
from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.maps import Group, Maps

GRID = Grid(8, 8, 2.54, 2.54)


def maps_of(*people: str) -> Maps:
    groups = [Group(f"{person}/{i}", person) for i, person in enumerate(people)]
    pressure = np.arange(len(people), dtype=np.float32)[:, None, None] * np.ones((1, 8, 8), np.float32)
    return Maps(pressure, GRID, groups, np.arange(len(people)))


def training_on(*people: str, labelled: tuple[str, ...] = (), seeds: str = "") -> Training:
    return Training(
        data=[],
        people=list(people),
        labelled_people=list(labelled),
        simulated_seeds=seeds,
        steps=1,
        command="",
        software="0",
    )


def test_people_who_were_not_trained_on_are_left_out() -> None:
    (kept,) = trained_on([maps_of("a", "x", "b")], training_on("a", "b"), chosen=False)
    assert kept.people == ["a", "b"]
    np.testing.assert_array_equal(kept.pressure[:, 0, 0], [0, 2])


def test_choosing_people_who_were_not_trained_on_is_refused_by_name() -> None:
    with pytest.raises(Failure, match=r"cannot calibrate on x: .* trained on a, b") as refusal:
        trained_on([maps_of("a", "x")], training_on("a", "b"), chosen=True)
    assert refusal.value.code == Exit.USAGE


def test_maps_of_strangers_alone_are_refused() -> None:
    with pytest.raises(Failure, match="no maps of a to calibrate on") as refusal:
        trained_on([maps_of("x")], training_on("a"), chosen=False)
    assert refusal.value.code == Exit.USAGE


def test_a_model_of_simulated_people_is_calibrated_on_some_of_the_same() -> None:
    maps, name = simulated(training_on(seeds="1000000-1000002"), Grid(64, 32, 2.54, 2.54))
    assert (len(maps), name) == (3, "simulated:1000000-1000002")
    assert maps.people == ["simulated:1000000", "simulated:1000001", "simulated:1000002"]


def test_a_model_of_real_people_is_not_calibrated_on_simulated_ones() -> None:
    with pytest.raises(Failure, match="give --data or --recordings") as refusal:
        simulated(training_on("pmd:1", seeds="1000000-1000002"), Grid(64, 32, 2.54, 2.54))
    assert refusal.value.code == Exit.USAGE


@pytest.mark.parametrize("seen", ["trained", "labelled", "calibrated"])
def test_people_whom_the_model_has_seen_in_any_way_cannot_test_it(seen: str) -> None:
    training = training_on("trained", labelled=("labelled",))
    with pytest.raises(Failure, match=rf"the model was trained or calibrated on {seen}:") as refusal:
        refuse_seen([seen, "new"], training, ["calibrated"], "the model")
    assert refusal.value.code == Exit.USAGE
    refuse_seen(["new"], training, ["calibrated"], "the model")
