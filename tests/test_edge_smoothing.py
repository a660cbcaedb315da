"""Joints that keep still while the person does, and keep up when the person moves."""

from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, frame, info
from pydantic import ValidationError

from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline
from edge.smoothing import WRAP_US, Smoother, Smoothing
from firmware_bridge.body import random_body
from firmware_bridge.motion import motion
from firmware_bridge.posing import place
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.maps import Maps
from train.pmd import read_pmd

SLEEPER_CM = np.array([
    (28, 152), (29, 112), (32, 82), (48, 82), (51, 112), (52, 152),
    (14, 84), (18, 60), (24, 34), (56, 34), (62, 60), (66, 84), (40, 28), (40, 14),
], np.float64)  # fmt: skip
"""On the back, arms beside the trunk."""


def joints(xy_cm: np.ndarray, confidence: float = 1.0) -> np.ndarray:
    return np.column_stack([xy_cm, np.full(len(JOINTS), confidence)])


def smooth(smoother: Smoother, xy_cm: np.ndarray, rate_hz: float, confidence: float = 1.0) -> np.ndarray:
    """(frames, 14, 2) -> the same, smoothed."""
    smoothed = []
    for i, joints_cm in enumerate(xy_cm):
        found = smoother(joints(joints_cm, confidence), round(i * 1e6 / rate_hz), 1)
        assert found is not None
        smoothed.append(found[:, :2])
    return np.array(smoothed)


def still(n: int, trembling_cm: float, seed: int = 0) -> np.ndarray:
    return SLEEPER_CM + np.random.default_rng(seed).normal(0, trembling_cm, (n, len(JOINTS), 2))


def rms(xy_cm: np.ndarray) -> float:
    return float(np.sqrt((xy_cm**2).sum(-1).mean()))


def test_the_first_joints_pass_unchanged_and_confidence_always_does() -> None:
    smoother = Smoother()
    first, second = joints(SLEEPER_CM, 0.3), joints(SLEEPER_CM + 5, 0.7)
    np.testing.assert_array_equal(smoother(first, 5, 1), first)
    found = smoother(second, 100_005, 1)
    assert found is not None
    np.testing.assert_array_equal(found[:, 2], second[:, 2])
    assert (found[:, :2] < second[:, :2]).all()


@pytest.mark.parametrize(("rate_hz", "share"), [(1.0, 0.8), (10.0, 0.5), (40.0, 0.4)])
def test_the_joints_of_a_motionless_sleeper_tremble_less(rate_hz: float, share: float) -> None:
    seen = still(400, 0.3)
    smoothed = smooth(Smoother(), seen, rate_hz)[50:]
    assert rms(smoothed - SLEEPER_CM) < share * rms(seen - SLEEPER_CM)
    assert rms(np.diff(smoothed, axis=0)) < share * rms(np.diff(seen, axis=0))


@pytest.mark.parametrize(("rate_hz", "seconds"), [(1.0, 90), (10.0, 90), (40.0, 60)])
def test_a_turn_is_followed_within_a_fifth_of_a_second(rate_hz: float, seconds: int) -> None:
    """The simulated person's turns: joints are never further behind than they came in 0.2 s, or in a frame."""
    rng = np.random.default_rng(3)
    body = random_body(rng)
    states = motion(rng, body, GRID, rate_hz)
    poses = [state.pose for _, state in zip(range(int(seconds * rate_hz)), states, strict=False) if state.lying]
    true_cm = np.array([place(body, pose).joints_cm for pose in poses if pose])
    smoothed = smooth(Smoother(), true_cm, rate_hz)
    late = max(1, round(0.2 * rate_hz))
    behind_cm = np.linalg.norm(smoothed - true_cm, axis=-1)[late:]
    moved_cm = np.linalg.norm(true_cm[late:] - true_cm[:-late], axis=-1)
    turning = moved_cm.mean(1) > 2
    assert turning.sum() >= 2
    assert behind_cm[turning].mean() < moved_cm[turning].mean()


def test_what_is_smooth_does_not_depend_on_how_the_mat_is_turned() -> None:
    """Nor on where its corner is."""
    seen = np.cumsum(np.random.default_rng(1).normal(0, 1, (50, len(JOINTS), 2)), 0) + SLEEPER_CM
    turn = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    turned = smooth(Smoother(), seen @ turn + [10, -20], 10)
    np.testing.assert_allclose(turned, smooth(Smoother(), seen, 10) @ turn + [10, -20], atol=1e-9)


def test_the_frame_rate_hardly_changes_what_is_smooth() -> None:
    """A slide of 30 cm in 2 s, seen 10 and 40 times a second."""
    at_cm = [SLEEPER_CM + 30 * np.clip(np.arange(0, 6, 1 / hz)[:, None, None] - 2, 0, 2) / 2 for hz in (10, 40)]
    slow, fast = smooth(Smoother(), at_cm[0], 10), smooth(Smoother(), at_cm[1], 40)
    assert np.abs(slow - fast[::4]).max() < 1.5


def test_a_joint_without_confidence_hardly_moves() -> None:
    smoother = Smoother()
    smoother(joints(SLEEPER_CM), 0, 1)
    for i in range(1, 11):
        found = smoother(joints(SLEEPER_CM + 30, 0.02), i * 100_000, 1)
    assert found is not None
    assert np.abs(found[:, :2] - SLEEPER_CM).max() < 1
    for i in range(11, 21):
        found = smoother(joints(SLEEPER_CM + 30, 0.9), i * 100_000, 1)
    assert found is not None
    assert np.abs(found[:, :2] - SLEEPER_CM - 30).max() < 1


RESETS = {
    "an empty mat": (0, 100_000, 1, True),
    "a gap": (0, 5_100_000, 1, False),
    "another boot": (0, 100_000, 2, False),
    "time that goes back": (10_000_000, 9_900_000, 1, False),
    "time that goes back over the wrap": (50_000, WRAP_US - 50_000, 1, False),
}


@pytest.mark.parametrize(("t0_us", "t_us", "boot_id", "empty"), RESETS.values(), ids=RESETS)
def test_the_filter_starts_anew_after(t0_us: int, t_us: int, boot_id: int, empty: bool) -> None:
    smoother = Smoother()
    smoother(joints(SLEEPER_CM), t0_us, 1)
    if empty:
        assert smoother(None, t0_us + 50_000, 1) is None
    after = joints(SLEEPER_CM + 4)
    np.testing.assert_array_equal(smoother(after, t_us, boot_id), after)


def test_the_wrap_of_the_devices_clock_is_no_gap() -> None:
    found = []
    for start_us in (0, WRAP_US - 250_000):
        smoother = Smoother()
        for i, xy_cm in enumerate(still(6, 1.0)):
            last = smoother(joints(xy_cm), (start_us + 100_000 * i) % WRAP_US, 1)
        found.append(last)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_frame_of_the_same_time_changes_nothing() -> None:
    smoother = Smoother()
    first = smoother(joints(SLEEPER_CM), 7, 1)
    np.testing.assert_array_equal(smoother(joints(SLEEPER_CM + 9), 7, 1), first)


def test_a_frame_given_in_is_not_written_to() -> None:
    smoother = Smoother()
    given = [joints(SLEEPER_CM), joints(SLEEPER_CM + 1)]
    for i, each in enumerate(given):
        smoother(each, i * 100_000, 1)
    np.testing.assert_array_equal(given, [joints(SLEEPER_CM), joints(SLEEPER_CM + 1)])


def nearest_cm(points: np.ndarray) -> float:
    """How far from any of the sleeper's joints the furthest of the points is."""
    return float(np.linalg.norm(points[:, None] - SLEEPER_CM[None], axis=-1).min(1).max())


def test_when_left_and_right_swap_names_no_joint_flies_through_the_body() -> None:
    """As on the back and on the belly, or in a turn, when the model changes its mind from one frame to the next."""
    seen = np.array([SLEEPER_CM] * 20 + [SLEEPER_CM[list(MIRRORED)]] * 20)
    smoothed = smooth(Smoother(), seen, 10)
    assert max(nearest_cm(points) for points in smoothed) < 0.01
    np.testing.assert_allclose(smoothed[20:], seen[20:], atol=0.01)
    flown = smooth(Smoother(Smoothing(swap_saves_cm=1e9)), seen, 10)
    assert max(nearest_cm(points) for points in flown) > 3


def test_only_the_pair_that_swapped_is_taken_over() -> None:
    knees = [JOINTS.index("r_knee"), JOINTS.index("l_knee")]
    seen = np.array([SLEEPER_CM, SLEEPER_CM])
    seen[1, knees] = seen[1, knees[::-1]]
    np.testing.assert_allclose(smooth(Smoother(), seen, 10), seen, atol=1e-9)


def test_a_swap_without_confidence_is_no_swap() -> None:
    smoother = Smoother()
    smoother(joints(SLEEPER_CM), 0, 1)
    found = smoother(joints(SLEEPER_CM[list(MIRRORED)], 0.05), 100_000, 1)
    assert found is not None
    assert np.abs(found[:, :2] - SLEEPER_CM).max() < 1


@pytest.mark.parametrize(
    "wrong",
    [{"min_cutoff_hz": 0}, {"beta_per_cm": -1}, {"full_confidence": 0}, {"full_confidence": 2}, {"mincutoff": 1}],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Smoothing.model_validate(wrong)


def test_a_real_sleepers_joints_tremble_at_most_half_as_much(pmd: Path) -> None:
    """Person 13, whom the model never saw, at the 1 frame/s of the recording; joints where their heat maps are.

    From frame to frame: what drifts over the 35 s is the sleeper, and has to be followed. What bodies look like
    quietens joints before they are smoothed, and does not take that away afterwards.
    """
    maps = read_pmd(pmd, [13])
    seen, smoothed = (trembling_cm(maps, body=False, smoothing=s) for s in (False, True))
    assert smoothed < 1 / 2 * seen
    assert trembling_cm(maps, body=True, smoothing=False) < seen
    assert trembling_cm(maps, body=True, smoothing=True) < smoothed


def trembling_cm(maps: Maps, *, body: bool, smoothing: bool) -> float:
    """Of a step from frame to frame, over five of the postures."""
    model = KeypointModel.from_files(DEFAULT_MODEL)
    if not body:
        model.body = None
    pipeline, steps_cm = Pipeline(model, info()), []
    for group in (0, 1, 2, 8, 13):
        smoother = Smoother()
        frames = [pipeline.step(frame(c, i)) for i, c in enumerate(maps.pressure[maps.group_index == group][:40])]
        found = [result.joints for result in frames if result.joints is not None]
        if smoothing:
            found = [smoother(each, i * 1_000_000, 1) for i, each in enumerate(found)]
        steps_cm.append(rms(np.diff(np.array(found)[5:, :, :2], axis=0)))
    return rms(np.array([steps_cm]))
