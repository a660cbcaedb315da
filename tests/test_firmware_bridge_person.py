"""The simulated person: stills and nights."""

import json
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.geometry import Grid
from firmware_bridge.person import Moment, night, still
from firmware_bridge.postures import POSTURES
from firmware_bridge.skeleton import JOINTS

MAT = Grid(64, 32, 2.54, 2.54)
RATE_HZ = 10.0


def test_the_same_seed_gives_the_same_still_and_another_seed_another_person() -> None:
    first, again, other = still(5, MAT), still(5, MAT), still(6, MAT)
    assert np.array_equal(first.pressure_kpa, again.pressure_kpa)
    assert first.joints_cm is not None
    assert again.joints_cm is not None
    assert other.joints_cm is not None
    assert np.array_equal(first.joints_cm, again.joints_cm)
    assert np.abs(first.joints_cm - other.joints_cm).max() > 1


def test_stills_show_every_posture_with_their_joints_on_the_mat() -> None:
    moments = [still(seed, MAT) for seed in range(200)]
    assert {m.posture for m in moments} >= set(POSTURES) - {"prone"}
    joints = np.array([m.joints_cm for m in moments])
    assert joints.shape == (200, 14, 2)
    inside = ((joints >= 0) & (joints <= [MAT.width_cm, MAT.height_cm])).all((1, 2))
    assert inside.mean() > 0.97


def test_head_is_at_row_0_and_left_at_the_high_columns_on_the_back() -> None:
    supine = [m.joints_cm for m in (still(s, MAT) for s in range(100)) if m.posture == "supine"]
    joints = np.array(supine)
    left, right = (joints[:, JOINTS.index(f"{s}_hip"), 0] for s in "lr")
    assert (left > right + 10).all()
    assert (joints[:, JOINTS.index("head"), 1] < joints[:, JOINTS.index("neck"), 1]).all()
    assert (joints[:, JOINTS.index("neck"), 1] + 40 < joints[:, JOINTS.index("r_hip"), 1]).all()


def knees_from_hips_cm(joints_cm: np.ndarray) -> float:
    """How far the knees are to the high columns of the hips."""
    x = dict(zip(JOINTS, joints_cm[:, 0], strict=True))
    return float(x["r_knee"] + x["l_knee"] - x["r_hip"] - x["l_hip"]) / 2


@pytest.mark.parametrize(("posture", "file"), [("right", 2), ("left", 3), ("right_foetal", 13), ("left_foetal", 14)])
def test_people_on_a_side_face_the_way_real_people_do(posture: str, file: int, joints_i: Path) -> None:
    """On the right side towards the low columns: pmd's joints once the columns are flipped."""
    frames = json.loads(joints_i.read_text())["frames"]
    real = [knees_from_hips_cm(2.54 * (np.array(frames[f"S{s}/{file}"])[:, :2] * [-1, 1] + [32, 0])) for s in (1, 4, 6)]
    simulated = [still(seed, MAT) for seed in range(150)]
    found = [knees_from_hips_cm(np.array(m.joints_cm)) for m in simulated if m.posture == posture]
    assert found
    assert min(np.sign(real[0]) * np.array(found + real)) > 5


def test_joints_that_bear_load_lie_on_pressure() -> None:
    """Head and hips of people on their back are within two taxels of clear pressure."""
    bearing = [JOINTS.index(n) for n in ("head", "r_hip", "l_hip")]
    for moment in (m for m in (still(s, MAT) for s in range(60)) if m.posture == "supine"):
        assert moment.joints_cm is not None
        clear = 0.1 * np.percentile(moment.pressure_kpa, 99)
        for x, y in moment.joints_cm[bearing] / 2.54:
            around = moment.pressure_kpa[max(int(y) - 2, 0) : int(y) + 3, max(int(x) - 2, 0) : int(x) + 3]
            assert around.max() > clear


@pytest.mark.parametrize("grid", [Grid(128, 64, 1.27, 1.27), Grid(32, 16, 5.08, 5.08), Grid(64, 27, 3.01, 2.54)])
def test_any_grid_of_the_same_size_holds_the_same_body_at_the_same_place(grid: Grid) -> None:
    scale = grid.width_cm / MAT.width_cm
    for seed in range(5):
        moment, reference = still(seed, grid), still(seed, MAT)
        assert moment.pressure_kpa.shape == (grid.rows, grid.cols)
        assert moment.joints_cm is not None
        assert reference.joints_cm is not None
        assert np.abs(moment.joints_cm - reference.joints_cm).max() < 2.54 * abs(scale - 1) * 16 + 0.01
        force, expected = (
            float(m.pressure_kpa.sum()) * g.pitch_x_cm * g.pitch_y_cm for m, g in ((moment, grid), (reference, MAT))
        )
        assert force == pytest.approx(expected, rel=0.05)


def test_an_empty_bed_stays_empty() -> None:
    for moment in islice(night(1, MAT, RATE_HZ, scene="empty"), 100):
        assert moment.joints_cm is None
        assert moment.posture == "empty"
        assert not moment.pressure_kpa.any()


@pytest.mark.parametrize("seed", range(6))
def test_the_person_gets_in_within_a_second_and_lies_within_two_and_a_half(seed: int) -> None:
    moments = list(islice(night(seed, MAT, RATE_HZ), 60))
    loaded = [bool(m.pressure_kpa.any()) for m in moments]
    lying = [m.joints_cm is not None for m in moments]
    assert not loaded[0]
    assert loaded.index(True) <= 0.9 * RATE_HZ + 1
    assert loaded.index(True) < lying.index(True) <= 2.5 * RATE_HZ
    assert all(lying[lying.index(True) :])


@pytest.fixture(scope="module")
def long_night() -> list[Moment]:
    """Ten minutes, two frames a second."""
    return list(islice(night(3, MAT, 2.0), 1200))


def test_a_night_holds_several_postures_and_stays(long_night: list[Moment]) -> None:
    what = [m.posture for m in long_night]
    assert len(set(what) & set(POSTURES)) >= 4
    returns = [i for i in range(1, len(what)) if what[i] == "getting in" and what[i - 1] == "empty"]
    assert len(returns) >= 2


def test_joints_are_given_exactly_while_somebody_lies(long_night: list[Moment]) -> None:
    for moment in long_night:
        assert (moment.joints_cm is None) == (moment.posture in ("empty", "getting in", "getting out"))
        assert moment.pressure_kpa.any() == (moment.posture != "empty")


def test_joints_stay_on_the_mat_and_move_without_jumps(long_night: list[Moment]) -> None:
    joints = np.array([m.joints_cm for m in long_night if m.joints_cm is not None])
    inside = ((joints >= -2) & (joints <= [MAT.width_cm + 2, MAT.height_cm + 2])).all(2)
    assert inside.mean() > 0.98
    still_lying = [
        np.abs(b.joints_cm - a.joints_cm).max()
        for a, b in pairwise(long_night)
        if a.posture == b.posture and a.posture in POSTURES and a.joints_cm is not None and b.joints_cm is not None
    ]
    assert max(still_lying) < 5


def test_the_same_seed_gives_the_same_night() -> None:
    for a, b in zip(islice(night(8, MAT, RATE_HZ), 50), islice(night(8, MAT, RATE_HZ), 50), strict=True):
        assert np.array_equal(a.pressure_kpa, b.pressure_kpa)
        assert a.posture == b.posture


@pytest.mark.parametrize(("rate_hz", "scene"), [(10.0, "day"), (0.0, "night"), (float("nan"), "night")])
def test_an_unknown_scene_or_rate_is_refused(rate_hz: float, scene: str) -> None:
    with pytest.raises(ValueError, match=r"scene|frame rate"):
        next(night(0, MAT, rate_hz, scene))
