"""Which maps a person is asked to annotate."""

import numpy as np
import pytest

from firmware_bridge.geometry import Grid
from train.annotate.candidates import Candidate
from train.annotate.selection import SAME, choose

GRID = Grid(2, 2, 2.54, 2.54)


def candidate(value: float, still: bool = True) -> Candidate:
    """One map that is `value` everywhere: two of them are as far apart as their values."""
    model_input = np.full((2, 2), value, np.float32)
    return Candidate(f"{value}", model_input, GRID, model_input, still=still)


def chosen(values: list[float], count: int, begun: list[int] | None = None) -> list[float]:
    return [values[i] for i in choose([candidate(v) for v in values], count, begun or [])]


def test_the_most_ordinary_map_comes_first_and_then_the_farthest() -> None:
    assert chosen([0.3, 0.5, 0.6, 1.0, 0.1], 4) == [0.5, 1.0, 0.1, 0.3]


def test_a_shorter_choice_is_the_beginning_of_a_longer_one() -> None:
    random = np.random.default_rng(0)
    inputs = random.random((40, 8, 4), np.float32)
    maps = [Candidate(str(i), x, Grid(8, 4, 1, 1), x) for i, x in enumerate(inputs)]
    long = choose(maps, 20)
    assert len(set(long)) == 20
    assert [choose(maps, n) for n in (1, 7, 20)] == [long[:1], long[:7], long]


def test_maps_that_were_begun_stay_and_the_next_differ_from_them() -> None:
    assert chosen([0.4, 0.5, 0.6, 1.0, 0.0], 3, [4, 3]) == [0.0, 1.0, 0.5]
    assert chosen([0.4, 0.5, 0.6, 1.0, 0.0], 1, [4, 3]) == [0.0, 1.0]


def test_near_copies_are_left_out() -> None:
    assert chosen([0.5, 0.5, 0.5 + SAME / 2, 0.9], 4) == pytest.approx([0.5 + SAME / 2, 0.9])


def test_somebody_who_lies_still_comes_before_somebody_who_turns() -> None:
    maps = [candidate(0.0, still=False), candidate(0.5), candidate(0.7), candidate(0.55)]
    maps += [candidate(0.9, still=False)]
    assert choose(maps, 5) == [3, 2, 1, 0, 4]


def test_where_nobody_lies_still_all_maps_count() -> None:
    assert choose([candidate(v, still=False) for v in (0.0, 0.4, 1.0)], 2) == [1, 2]
