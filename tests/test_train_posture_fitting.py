"""Settings are chosen on people left out."""

from dataclasses import replace

import numpy as np
from posture_people import people

from train.posture.fitting import inner_splits


def test_everybody_is_left_out_once_and_never_fitted_on_meanwhile() -> None:
    known = people("abcde", maps=6)
    splits = inner_splits(known)
    assert len(splits) == 3
    left_out = [set(out.people.tolist()) for _, out in splits]
    assert sorted(name for names in left_out for name in names) == list("abcde")
    for inner, out in splits:
        assert not set(inner.people.tolist()) & set(out.people.tolist())
        assert len(inner.y) + len(out.y) == len(known.y)


def test_moved_copies_are_fitted_on_but_choose_nothing() -> None:
    known = replace(people("abc", maps=6), moved=np.arange(18) % 2 == 1)
    for inner, out in inner_splits(known):
        assert inner.moved.any()
        assert not out.moved.any()
        assert len(out.y) == 3


def test_one_person_cannot_be_split() -> None:
    assert inner_splits(people("a")) == []
