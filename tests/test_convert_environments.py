"""Environments of other runtimes hold what the daemon needs, and not the runtime that it prefers."""

from pathlib import Path

import pytest

from convert.environments import environment, runtime_requirements
from firmware_bridge.errors import Exit, Failure


@pytest.mark.parametrize(
    ("extra", "runtime"), [("legacy", "tflite-runtime==2.14.0"), ("crosscheck", "tensorflow>=2.16")]
)
def test_the_extras_runtime_stands_in_for_ours(extra: str, runtime: str) -> None:
    wanted = runtime_requirements(extra)
    assert runtime in wanted
    assert {"pydantic>=2.9", "pyserial>=3.5", "numpy>=1.26"} < set(wanted)
    assert not any(line.startswith(("ai-edge-litert", "torch")) for line in wanted)


def test_only_tflite_runtime_is_given_the_old_numpy() -> None:
    assert "numpy<2" in runtime_requirements("legacy")
    assert "numpy<2" not in runtime_requirements("crosscheck")


def test_without_uv_the_failure_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(Failure, match="uv is not installed: pip install uv") as refusal:
        environment("legacy", tmp_path)
    assert refusal.value.code == Exit.MISSING_INPUT


def test_without_a_network_the_failure_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(Failure, match="the network may be missing") as refusal:
        environment("legacy", tmp_path)
    assert refusal.value.code == Exit.MISSING_INPUT
    assert "tflite-runtime" in capfd.readouterr().err
