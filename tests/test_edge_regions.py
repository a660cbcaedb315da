"""Load where pressure injuries begin: who bears it, for how long, and what counts as relief."""

from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, frame, info

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from edge.regions import LEAST_CONFIDENCE, LONGEST_STEP_S, LOOK_EVERY_S, RELIEF_S, RELIEF_SHARE, SITES, Load, Regions
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.pmd import read_pmd

SLEEPER = np.array([
    (28, 152, 1), (29, 112, 1), (32, 82, 1), (48, 82, 1), (51, 112, 1), (52, 152, 1),
    (14, 84, 1), (18, 60, 1), (24, 34, 1), (56, 34, 1), (62, 60, 1), (66, 84, 1), (40, 28, 1), (40, 14, 1),
], np.float64)  # fmt: skip
"""On the back, arms beside the trunk."""


def even(load: float = 100.0) -> np.ndarray:
    return np.full((64, 32), load, np.float32)


def lie(
    regions: Regions,
    seconds: float,
    load: float | np.ndarray = 100.0,
    *,
    start_s: float = 0.0,
    step_s: float = 1.0,
    posture: str | None = "supine",
    occupied: bool = True,
    joints: np.ndarray | None = SLEEPER,
) -> dict[str, Load]:
    """So many seconds of frames from `start_s` on, that one included."""
    for t_s in np.arange(start_s, start_s + seconds + step_s / 2, step_s):
        pressure = even(load) if isinstance(load, float) else load
        regions.step(float(t_s), pressure, joints, occupied, posture)
    return regions.loads()


def test_every_site_is_a_point_between_joints() -> None:
    for site in SITES.values():
        assert sum(site.joints.values()) == pytest.approx(1)
        assert set(site.joints) <= set(JOINTS)
        assert site.posture in {"supine", "left", "right"}


@pytest.mark.parametrize(
    ("name", "posture", "x_cm", "y_cm"),
    [
        ("occiput", "supine", 40, 14),
        ("sacrum", "supine", 40, 77),
        ("left_scapula", "supine", 48, 43),
        ("right_heel", "supine", 28, 156),
        ("left_trochanter", "left", 48, 82),
        ("right_ankle", "right", 28, 152),
    ],
)
def test_a_site_sees_the_pressure_at_its_place_and_nowhere_else(
    name: str, posture: str, x_cm: float, y_cm: float
) -> None:
    spot = even(0)
    row, col = int(y_cm / 2.54), int(x_cm / 2.54)
    spot[row, col] = 60
    load = lie(Regions(GRID), 0, spot, posture=posture)[name]
    taxels = np.pi * SITES[name].radius_cm ** 2 / 2.54**2
    assert load.peak == 60
    assert load.mean == pytest.approx(60 / taxels, rel=0.25)
    assert lie(Regions(GRID), 0, 60 - spot, posture=posture)[name].mean == pytest.approx(60 - load.mean, rel=1e-6)
    elsewhere = even(0)
    elsewhere[:, : max(0, col - 4)] = elsewhere[:, col + 5 :] = 60
    assert lie(Regions(GRID), 0, elsewhere, posture=posture)[name].peak == 0


def test_taxels_that_are_oblong_make_round_discs() -> None:
    """The same load on two mats of the same size."""
    fine, oblong = Grid(64, 32, 2.54, 2.54), Grid(128, 16, 5.08, 1.27)
    y_cm = (np.arange(128) + 0.5) * 1.27
    slope = np.repeat(y_cm[:, None], 16, 1).astype(np.float32)
    a = lie(Regions(oblong), 0, slope)["sacrum"].mean
    b = lie(Regions(fine), 0, slope.reshape(64, 2, 16).mean(1).repeat(2, 1))["sacrum"].mean
    assert a == pytest.approx(b, abs=0.5)
    assert a == pytest.approx(77, abs=1)


def test_the_posture_decides_who_bears_load() -> None:
    for posture in ("supine", "left", "right"):
        loads = lie(Regions(GRID), 10, posture=posture)
        assert {name for name, load in loads.items() if load.integral} == {
            name for name, site in SITES.items() if site.posture == posture
        }
        assert all(load.measured for load in loads.values())


@pytest.mark.parametrize("step_s", [0.025, 0.1, 1.0, LONGEST_STEP_S])
def test_the_integral_is_pressure_times_time_at_every_frame_rate(step_s: float) -> None:
    sacrum = lie(Regions(GRID), 60, 50.0, step_s=step_s)["sacrum"]
    assert sacrum.integral == pytest.approx(50 * 60, abs=50 * LOOK_EVERY_S + 1)
    assert sacrum.loaded_s == pytest.approx(60, abs=LOOK_EVERY_S + 0.01)


def test_gaps_and_a_clock_that_goes_back_add_nothing() -> None:
    regions = Regions(GRID)
    lie(regions, 60)
    lie(regions, 60, start_s=60 + LONGEST_STEP_S + 1)
    sacrum = lie(regions, 60, start_s=0)["sacrum"]
    assert sacrum.integral == pytest.approx(100 * 180)


def test_joints_that_are_not_sure_pause_the_integral_of_what_follows_from_them() -> None:
    regions = Regions(GRID)
    lie(regions, 60)
    unsure = SLEEPER.copy()
    unsure[JOINTS.index("l_hip"), 2] = LEAST_CONFIDENCE - 0.01
    loads = lie(regions, 3600, start_s=60, joints=unsure)
    assert (loads["sacrum"].measured, loads["sacrum"].mean, loads["sacrum"].peak) == (False, None, None)
    assert loads["sacrum"].integral == pytest.approx(6000)
    assert not loads["left_scapula"].measured
    assert loads["right_scapula"].integral == pytest.approx(100 * 3660)
    assert lie(regions, 10, start_s=3661)["sacrum"].integral == pytest.approx(7100, abs=101)


@pytest.mark.parametrize("unknown", [{"posture": None}, {"posture": "on all fours"}, {"joints": None}], ids=str)
def test_without_posture_or_joints_everything_pauses(unknown: dict[str, None]) -> None:
    regions = Regions(GRID)
    lie(regions, 60)
    loads = lie(regions, 3600, start_s=60, **unknown)
    assert not any(load.measured for load in loads.values())
    assert loads["sacrum"].integral == pytest.approx(6000)


def test_a_site_beside_the_mat_is_not_measured() -> None:
    beside = SLEEPER.copy()
    beside[JOINTS.index("l_elbow"), 0] = 95
    assert not lie(Regions(GRID), 10, joints=beside)["left_elbow"].measured


def test_a_relief_that_lasts_ends_the_integral() -> None:
    regions = Regions(GRID)
    lie(regions, 3600)
    assert lie(regions, RELIEF_S - 2, 0.9 * RELIEF_SHARE * 100, start_s=3601)["sacrum"].loaded_s > 3600
    sacrum = lie(regions, 3, 0.9 * RELIEF_SHARE * 100, start_s=3601 + RELIEF_S - 1)["sacrum"]
    assert sacrum.loaded_s < 5
    assert sacrum.integral < 5 * RELIEF_SHARE * 100


def test_a_short_relief_and_one_that_is_none_end_nothing() -> None:
    regions = Regions(GRID)
    lie(regions, 3600)
    for i in range(10):
        lie(regions, RELIEF_S / 2, 0.0, start_s=3601 + i * 100)
        lie(regions, 38, 100.0, start_s=3601 + i * 100 + RELIEF_S / 2 + 1)
    assert lie(regions, 600, 1.2 * RELIEF_SHARE * 100, start_s=4601)["sacrum"].integral > 100 * 3600


def test_turning_relieves_the_back_and_getting_up_relieves_all() -> None:
    regions = Regions(GRID)
    lie(regions, 3600)
    loads = lie(regions, RELIEF_S + 1, start_s=3600, posture="left")
    assert (loads["sacrum"].integral, loads["sacrum"].loaded_s, loads["sacrum"].mean) == (0, 0, 0)
    assert loads["left_trochanter"].integral == pytest.approx(100 * (RELIEF_S + 1))
    loads = lie(regions, RELIEF_S + 1, 0.0, start_s=3800, occupied=False, posture=None, joints=None)
    assert {(load.integral, load.loaded_s, load.mean, load.measured) for load in loads.values()} == {(0, 0, 0, True)}


def test_the_unit_changes_the_numbers_and_nothing_else() -> None:
    counts, kpa = Regions(GRID), Regions(GRID)
    rng = np.random.default_rng(0)
    for t_s in range(600):
        load = float(rng.choice([100.0, 10.0], p=[0.3, 0.7])) if t_s > 100 else 100.0
        counts.step(t_s, even(load), SLEEPER, True, "supine")
        kpa.step(t_s, even(load / 50), SLEEPER, True, "supine")
    for name, load in counts.loads().items():
        assert kpa.loads()[name].integral == pytest.approx(load.integral / 50)
        assert kpa.loads()[name].loaded_s == load.loaded_s


def test_months_of_frames_leave_finite_numbers() -> None:
    regions = Regions(GRID)
    lie(regions, 200 * 86400, step_s=86400.0)
    loads = lie(regions, 2e4, 1e6, step_s=LONGEST_STEP_S, start_s=1e9)
    assert np.isfinite([load.integral for load in loads.values()]).all()
    assert loads["sacrum"].integral == pytest.approx(2e10)


def test_a_load_is_rounded_json() -> None:
    load = lie(Regions(GRID), 3, 12.3456)["sacrum"]
    expected = '{"mean":12.3,"peak":12.3,"integral":37.0,"loaded_s":3.0,"measured":true}'
    assert load.model_dump_json() == expected


def test_of_a_real_person_the_sites_bear_more_than_the_rest_of_the_body(pmd: Path) -> None:
    """Person 13, whom the model never saw: sacrum or trochanter and shoulder above the mean of what is touched."""
    pipeline = Pipeline(KeypointModel.from_files(DEFAULT_MODEL), info())
    maps = read_pmd(pmd, [13])
    for group in (0, 1, 2, 6, 8, 9, 10, 11, 12, 13):
        posture = maps.groups[group].posture
        counts = maps.pressure[maps.group_index == group][5]
        regions = Regions(GRID)
        regions.step(0.0, counts, pipeline.step(frame(counts)).joints, True, posture)
        loads = regions.loads()
        touched = counts[counts > 0.1 * np.percentile(counts, 95)].mean()
        for name in ["sacrum"] if posture == "supine" else [f"{posture}_trochanter", f"{posture}_shoulder"]:
            assert loads[name].measured
            assert loads[name].mean is not None
            assert loads[name].mean > 1.3 * touched, (group, name)
