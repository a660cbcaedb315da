"""The limit is on the rise of the error, or on the shift where nobody knows the error."""

import json
import math
from io import StringIO
from pathlib import Path

import pytest
from convert_once import convert_once
from rich.console import Console

from convert.compare import Shift
from convert.kernels import Delegation
from convert.report import Report, StageReport, print_report
from edge.manifest import Manifest, read_manifest
from edge.score import Score
from firmware_bridge.skeleton import JOINTS


@pytest.fixture(scope="module")
def manifest(pmd: Path, joints_i: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(convert_once(pmd, joints_i, tmp_path_factory.getbasetemp()).manifest)


def report_of(
    manifest: Manifest,
    shift_cm: float,
    errors_cm: tuple[float, float] | None,
    *,
    equal: bool = True,
    delegation: Delegation = Delegation(1, True),  # noqa: B008  (frozen)
) -> Report:
    """`errors_cm`: mean error of float and of int8, None without annotations."""
    scores = [Score(cm, 50, 90, dict.fromkeys(JOINTS, cm), 14) for cm in errors_cm] if errors_cm else [None, None]
    shift = Shift(shift_cm, 2 * shift_cm, 3 * shift_cm, [shift_cm] * 14)
    stage = StageReport(shift, None, scores[1])
    return Report(
        file="m.tflite",
        size_bytes=1,
        manifest=manifest,
        people=["a"],
        maps=1,
        float_score=scores[0],
        int8=stage,
        reference=stage,
        tflm=stage,
        tflm_equals_reference=equal,
        tflm_arena_bytes=70_000,
        xnnpack=delegation,
        max_drop_cm=0.1,
    )


@pytest.mark.parametrize(
    ("shift_cm", "errors_cm", "limited_cm", "passed"),
    [
        (0.3, (3.0, 3.05), 0.05, True),
        (0.05, (3.0, 3.2), 0.2, False),
        (0.3, (3.0, 2.5), -0.5, True),
        (0.05, None, 0.05, True),
        (0.3, None, 0.3, False),
    ],
)
def test_the_limit(
    manifest: Manifest, shift_cm: float, errors_cm: tuple[float, float] | None, limited_cm: float, passed: bool
) -> None:
    report = report_of(manifest, shift_cm, errors_cm)
    assert report.limited_cm == pytest.approx(limited_cm)
    assert report.passed is passed
    assert report.to_json()["limit"]["passed"] is passed


def test_an_error_that_cannot_be_computed_does_not_pass(manifest: Manifest) -> None:
    assert not report_of(manifest, 0.05, (3.0, math.nan)).passed


def test_json_is_plain(manifest: Manifest) -> None:
    content = json.loads(json.dumps(report_of(manifest, 0.1, (3, 3)).to_json(), allow_nan=False))
    assert content["int8"]["keypoints"] is None
    assert content["model"]["sha256"] == manifest.model_sha256


def test_the_terminal_shows_the_verdict_and_whatever_is_not_as_it_should_be(manifest: Manifest) -> None:
    good, bad = StringIO(), StringIO()
    print_report(report_of(manifest, 0.05, None), Console(file=good, width=120, soft_wrap=True))
    spoilt = report_of(manifest, 0.5, None, equal=False, delegation=Delegation(3, False))
    print_report(spoilt, Console(file=bad, width=120, soft_wrap=True))
    assert "mean shift 0.050 cm, limit 0.1 cm: passed" in good.getvalue()
    assert "TFLM equals the reference kernels" in good.getvalue()
    assert "the whole graph in 1 partition" in good.getvalue()
    assert "mean shift 0.500 cm, limit 0.1 cm: FAILED" in bad.getvalue()
    assert "TFLM DIFFERS FROM the reference kernels" in bad.getvalue()
    assert "NOT the whole graph in 3 partition" in bad.getvalue()
