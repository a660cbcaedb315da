"""Joints that heat maps leave open go where bodies have them; those that are seen stay."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edge.body import HALF_ERROR_CM, MEAN_DISTANCE, BodyPrior
from edge.keypoints import Keypoints
from edge.manifest import COORDINATES, Body, Confidence
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS

GRID = Grid(64, 32, 2.54, 2.9)
SIZE_CM = np.array([GRID.width_cm, GRID.height_cm])
CONFIDENCE = Confidence(joints_half_cm=[4.0 + j for j in range(len(JOINTS))])
WRIST = JOINTS.index("l_wrist")


def triangle(matrix: NDArray[np.float64]) -> list[float]:
    return list(matrix[np.tril_indices(COORDINATES)])


def random_body(seed: int = 0, shapes: int = 3) -> Body:
    """Bodies about the middle of the grid, whose joints move together."""
    random = np.random.default_rng(seed)
    factors = random.normal(size=(shapes, COORDINATES, 6)) * 8
    return Body(
        shapes=[f"shape {i}" for i in range(shapes)],
        shares=[0.5, 0.3, 0.2][:shapes],
        mean_cm=(np.tile(SIZE_CM / 2, len(JOINTS)) + random.normal(size=(shapes, COORDINATES)) * 15).tolist(),
        covariance_cm2=[triangle(f @ f.T + 4 * np.eye(COORDINATES)) for f in factors],
        people=[],
    )


def seen(xy_cm: NDArray[np.float64], spread_cm: NDArray[np.float64] | float) -> Keypoints:
    spreads = np.broadcast_to(np.asarray(spread_cm, np.float32), len(JOINTS)).copy()
    xy_norm = (xy_cm.reshape(-1, 2) / SIZE_CM).astype(np.float32)
    return Keypoints(xy_norm, np.linspace(0, 1, len(JOINTS), dtype=np.float32), spreads)


def spread_of_error_cm(error_cm: float) -> NDArray[np.float64]:
    """Of heat maps whose joints have that standard deviation along each axis."""
    return error_cm * MEAN_DISTANCE / HALF_ERROR_CM * np.array(CONFIDENCE.joints_half_cm)


def a_pose(body: Body, shape: int, seed: int = 1) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    return np.asarray(random.multivariate_normal(body.mean_cm[shape], body.matrices()[shape]))


@pytest.mark.parametrize("shape", [0, 1, 2])
def test_it_is_the_posterior_mean_of_the_likeliest_shape(shape: int) -> None:
    """Against Bayes' rule written out: the observation is the body and independent errors."""
    body = random_body()
    pose_cm, errors_cm = a_pose(body, shape), np.random.default_rng(2).uniform(0.5, 9, len(JOINTS))
    spread_cm = errors_cm * MEAN_DISTANCE / HALF_ERROR_CM * np.array(CONFIDENCE.joints_half_cm)
    noise_cm2 = np.diag(np.repeat(errors_cm**2, 2))
    scores, means = [], []
    for share, mean, covariance in zip(body.shares, np.array(body.mean_cm), body.matrices(), strict=True):
        whole = covariance + noise_cm2
        off = pose_cm - mean
        scores.append(np.log(share) - (off @ np.linalg.inv(whole) @ off + np.linalg.slogdet(whole)[1]) / 2)
        means.append(mean + covariance @ np.linalg.inv(whole) @ off)
    found = BodyPrior(body, CONFIDENCE, GRID)(seen(pose_cm, spread_cm))
    np.testing.assert_allclose(found.xy_norm * SIZE_CM, means[int(np.argmax(scores))].reshape(-1, 2), atol=1e-3)
    assert int(np.argmax(scores)) == shape


def test_joints_that_are_seen_stay() -> None:
    body = random_body()
    pose_cm = a_pose(body, 0)
    found = BodyPrior(body, CONFIDENCE, GRID)(seen(pose_cm, spread_of_error_cm(0.01)))
    np.testing.assert_allclose(found.xy_norm * SIZE_CM, pose_cm.reshape(-1, 2), atol=0.01)


def test_a_joint_that_could_be_anywhere_follows_from_the_others() -> None:
    body = random_body(shapes=1)
    pose_cm = a_pose(body, 0)
    spread_cm = spread_of_error_cm(0.01)
    spread_cm[WRIST] = 1e4
    lost_cm = pose_cm.copy().reshape(-1, 2)
    lost_cm[WRIST] += [40, -30]
    found_cm = BodyPrior(body, CONFIDENCE, GRID)(seen(lost_cm, spread_cm)).xy_norm * SIZE_CM
    known = np.setdiff1d(np.arange(COORDINATES), [2 * WRIST, 2 * WRIST + 1])
    covariance, mean = body.matrices()[0], np.array(body.mean_cm[0])
    others = np.linalg.solve(covariance[np.ix_(known, known)], (pose_cm - mean)[known])
    expected_cm = mean[[2 * WRIST, 2 * WRIST + 1]] + covariance[[2 * WRIST, 2 * WRIST + 1]][:, known] @ others
    np.testing.assert_allclose(found_cm[WRIST], expected_cm, atol=0.05)
    assert np.linalg.norm(expected_cm - pose_cm.reshape(-1, 2)[WRIST]) < 12  # of 50 that it was off


def test_what_else_a_heat_map_says_is_left_alone() -> None:
    before = seen(a_pose(random_body(), 0), 7.0)
    xy_norm, value, spread_cm = before.xy_norm.copy(), before.value.copy(), before.spread_cm.copy()
    found = BodyPrior(random_body(), CONFIDENCE, GRID)(before)
    np.testing.assert_array_equal(found.value, value)
    np.testing.assert_array_equal(found.spread_cm, spread_cm)
    np.testing.assert_array_equal(before.xy_norm, xy_norm)
    assert found.xy_norm.dtype == np.float32


def test_one_prior_answers_the_same_again() -> None:
    """Nothing of one frame stays for the next."""
    prior, pose = BodyPrior(random_body(), CONFIDENCE, GRID), seen(a_pose(random_body(), 1), 5.0)
    first = prior(pose).xy_norm
    prior(seen(a_pose(random_body(), 2), 1.0))
    np.testing.assert_array_equal(prior(pose).xy_norm, first)


def test_triangles_are_symmetric_matrices() -> None:
    matrices = random_body().matrices()
    assert matrices.shape == (3, COORDINATES, COORDINATES)
    np.testing.assert_array_equal(matrices, matrices.transpose(0, 2, 1))
    assert (np.linalg.eigvalsh(matrices) > 0).all()


@pytest.mark.parametrize(
    "change",
    [
        {"shares": [1.0]},
        {"mean_cm": [[0.0] * 27] * 3},
        {"covariance_cm2": [[1.0] * 405] * 3},
        {"covariance_cm2": [[1.0] * 406] * 3},
        {"shares": [0.5, 0, 0.5]},
    ],
)
def test_a_body_that_does_not_fit_together_is_refused(change: dict[str, object]) -> None:
    values = random_body().model_dump()
    Body.model_validate(values)
    with pytest.raises(ValidationError):
        Body.model_validate(values | change)
