"""What the decoder misses on a mat's own maps is linear in the points, as far as people never seen show."""

import numpy as np

from train.correction import PENALTIES, Correction


def missed(numbers: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """A seam everywhere, and a part that grows with the second number."""
    seam = np.zeros((4, 3))
    seam[2] = 0.3
    shown = seam + 0.1 * numbers[:, 1, None, None]
    return shown + np.random.default_rng(seed).normal(0, noise, shown.shape)


def test_what_is_missed_on_new_people_is_foretold() -> None:
    random = np.random.default_rng(1)
    known, new = random.normal(5, 2, (300, 6)), random.normal(5, 2, (50, 6))
    people = [f"p{i % 5}" for i in range(300)]
    correction = Correction.fit(known, missed(known, 0.01), people)
    truth = missed(new, 0)
    assert np.abs(truth - correction(new)).mean() < 0.02
    assert np.abs(truth).mean() > 0.3


def test_the_penalty_is_the_one_that_people_left_out_ask_for() -> None:
    """Numbers that say nothing of the map are not believed."""
    random = np.random.default_rng(2)
    people = [f"p{i // 20}" for i in range(120)]
    telling = random.normal(0, 1, (120, 30))
    assert Correction.fit(telling, missed(telling, 0.01), people).penalty < PENALTIES[-1]
    nothing = random.normal(0, 1, (120, 4, 3))
    assert Correction.fit(telling, nothing, people).penalty == PENALTIES[-1]


def test_a_single_person_gets_the_strongest_penalty() -> None:
    numbers = np.random.default_rng(3).normal(0, 1, (30, 3))
    correction = Correction.fit(numbers, missed(numbers, 0.01), ["p"] * 30)
    assert correction.penalty == PENALTIES[-1]
    assert correction(numbers).shape == (30, 4, 3)


def test_a_number_that_never_changes_does_no_harm() -> None:
    numbers = np.random.default_rng(4).normal(0, 1, (40, 3))
    numbers[:, 2] = 7.0
    assert np.isfinite(Correction.fit(numbers, missed(numbers, 0.01), ["a", "b"] * 20)(numbers)).all()
