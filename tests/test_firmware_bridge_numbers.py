"""firmware_bridge.numbers: what commands take as numbers, and how they refuse the rest."""

import argparse
from collections.abc import Callable

import pytest

from firmware_bridge.numbers import duration_s, not_negative, number, positive, rate_hz, seed, time_s


def parsed(kind: Callable[[str], float], text: str) -> float:
    parser = argparse.ArgumentParser()
    parser.add_argument("--it", type=kind)
    return float(parser.parse_args([f"--it={text}"]).it)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (seed, "0", 0),
        (positive, "1", 1),
        (not_negative, "0", 0),
        (time_s, "0", 0),
        (duration_s, "0.5", 0.5),
        (rate_hz, "0.1", 0.1),
        (rate_hz, "200", 200),
    ],
)
def test_bounds_belong_to_what_is_taken(kind: Callable[[str], float], text: str, value: float) -> None:
    assert parsed(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        (seed, "-1", "seed (a whole number from 0)"),
        (seed, "1.5", "seed (a whole number from 0)"),
        (positive, "0", "whole number from 1"),
        (not_negative, "-0.1", "number from 0"),
        (not_negative, "nan", "number from 0"),
        (time_s, "-0.1", "number of seconds"),
        (time_s, "inf", "number of seconds"),
        (duration_s, "0", "number of seconds (above 0)"),
        (duration_s, "nan", "number of seconds (above 0)"),
        (rate_hz, "201", "rate (0.1 to 200)"),
        (rate_hz, "fast", "rate (0.1 to 200)"),
        (number("even number", int, lambda n: n % 2 == 0), "3", "even number"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_what_it_was_to_be(
    kind: Callable[[str], float], text: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(kind, text)
    assert ended.value.code == 2
    assert f"argument --it: invalid {name} value: '{text}'" in capsys.readouterr().err
