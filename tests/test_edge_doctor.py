"""edge-doctor: one line a check, and exit code 1 when something is wrong."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from edge_packages import package
from torch import Tensor, nn
from torch.nn import functional as F

from convert.litert import activation_ranges, float_graph, int8_graph
from edge.core.library import CORE
from edge.doctor import main
from edge.doctor.command import examine_machine
from edge.doctor.finding import Finding, Level
from edge.doctor.port import Roots
from edge.doctor.software import core_answer
from edge.manifest import read_manifest
from edge.runtime import Interpreter, installed_runtime
from firmware_bridge.errors import Exit
from train.encoder import HeatMaps


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Level, check and text of each line."""
    return [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]


def test_a_healthy_machine_is_looked_at_without_a_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(package(tmp_path))]) == Exit.OK
    found = lines(capsys)
    assert {"system", "clock", "disk", "state", "ports"} <= {check for _, check, _ in found}
    (runtime, model, xnnpack, core) = found[:4]
    assert runtime[:2] == ["ok", "runtime"]
    assert runtime[2].startswith(f"{installed_runtime()}, Python 3.")
    assert model[:2] == ["ok", "model"]
    assert "64 x 32 taxels of 2.54 x 2.54 cm, 32 keypoints, 14 joints" in model[2]
    assert xnnpack == ["ok", "xnnpack", "takes the whole graph in 1 partition"]
    assert core[:2] == ["ok" if CORE else "warning", "core"]


def test_without_the_core_the_remedy_is_said() -> None:
    level, text = core_answer(None)
    assert level is Level.WARNING
    assert "install a C compiler" in text


def test_json_holds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(package(tmp_path))
    main(["--model", model])
    said = lines(capsys)
    assert main(["--model", model, "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is True
    assert [[check["level"], check["check"], check["text"]] for check in found["checks"]] == said


def test_a_model_that_is_missing_or_disagrees_with_its_manifest_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = package(tmp_path, rows=48)
    for path, text in ((tmp_path / "none.tflite", "no model "), (spoiled, "input has shape")):
        assert main(["--model", str(path)]) == Exit.CHECK_FAILED
        failed, after = lines(capsys)[1:3]
        assert failed[:2] == ["FAILED", "model"]
        assert after[1] == "system", "what needs no model is looked at all the same"
        assert text in failed[2]
        assert main(["--model", str(path), "--json"]) == Exit.CHECK_FAILED
        assert json.loads(capsys.readouterr().out)["healthy"] is False


CONFIG = 'version = 1\nstate_dir = "{state}"\n[[mat]]\nname = "bed"\nport = "/dev/serial/by-id/CHANGE-ME"\n'


def examined(etc: Path, model: Path | None, **environ: str) -> list[Finding]:
    return list(examine_machine(model, [], Roots(etc=etc), environ))


def named(found: list[Finding], check: str) -> list[Finding]:
    return [finding for finding in found if finding.check == check]


def test_configurations_at_their_usual_place_are_checked_without_their_mats(tmp_path: Path) -> None:
    folder = tmp_path / "edge-run"
    folder.mkdir()
    bed = folder / "bed.toml"
    bed.write_text(f'model = "{package(tmp_path)}"\n{CONFIG.format(state=tmp_path / "kept")}')
    (folder / "sofa.toml").write_text("version = 1\ncolour = 1\n")
    found = examined(tmp_path, None)
    good, bad = named(found, "config")
    assert (good.level, bad.level) == (Level.OK, Level.FAILED)
    assert good.text.startswith(f"{bed}: bed at /dev/serial/by-id/CHANGE-ME; output to json:-; ")
    assert good.text.endswith(f"edge-doctor --config {bed}")
    assert "sofa.toml:2: " in bad.text
    assert named(found, "state")[0].text == f"calibrations are kept in {tmp_path / 'kept'}"
    assert named(found, "model")[0].level == Level.OK
    assert not named(found, "answer")


def test_the_environment_names_another_configuration(tmp_path: Path) -> None:
    (finding,) = named(examined(tmp_path, None, EDGE_RUN_CONFIG=str(tmp_path / "none.toml")), "config")
    assert finding.level == Level.FAILED
    assert "none.toml" in finding.text


def test_a_machine_without_a_configuration_is_healthy(tmp_path: Path) -> None:
    found = examined(tmp_path, package(tmp_path))
    assert not named(found, "config")
    assert Level.FAILED not in {finding.level for finding in found}
    assert named(found, "ports") == [Finding("ports", Level.WARNING, "no serial port is there: plug the mat in")]


class _Nearest(nn.Module):
    """A resize that XNNPACK does not take, between two convolutions that it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 14, 3, padding=1)

    def forward(self, x: Tensor) -> HeatMaps:
        y = self.second(F.interpolate(self.first(x[..., ::2, ::2]), scale_factor=2.0, mode="nearest"))
        return HeatMaps(y, y, y)


def test_a_graph_that_xnnpack_takes_in_part_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    graph = float_graph(_Nearest().eval(), 64, 32, ["joints"])  # type: ignore[arg-type]
    maps = np.random.default_rng(0).random((4, 64, 32), np.float32)
    content, _ = int8_graph(graph, activation_ranges(graph, maps), 1)
    tensors = Interpreter(content)
    (entry,), (output,) = tensors.inputs, tensors.outputs
    _, rows, cols, k = output.shape
    path = package(
        tmp_path,
        model_sha256=hashlib.sha256(content).hexdigest(),
        input={"scale": entry.scale, "zero_point": entry.zero_point},
        outputs=[{"name": "joints", "index": 0, "rows": rows, "cols": cols, "k": k}
                 | {"scale": output.scale, "zero_point": output.zero_point}],
        posture=None,
    )  # fmt: skip
    path.write_bytes(content)
    assert read_manifest(path.with_suffix(".json")).outputs[0].rows == 64
    assert main(["--model", str(path)]) == Exit.CHECK_FAILED
    found = lines(capsys)[:3]
    assert [line[:2] for line in found] == [["ok", "runtime"], ["ok", "model"], ["FAILED", "xnnpack"]]
    assert "part(s)" in found[2][2]


def run_without(program: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": ":".join(map(str, path)), "PATH": ""}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)


def test_without_a_runtime_no_model_is_tried() -> None:
    program = """
import sys
for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
    sys.modules[name] = None
from edge.doctor import cli
cli()
"""
    done = run_without(program)
    assert (done.returncode, done.stderr) == (Exit.CHECK_FAILED, "")
    first, second, *_ = done.stdout.splitlines()
    assert first == "FAILED   runtime  no TFLite interpreter is installed: pip install ai-edge-litert"
    assert second.split()[1] == "system"


def test_a_fallback_runtime_is_a_warning_and_no_failure(tmp_path: Path) -> None:
    """A package of tflite-runtime's name stands for it, with LiteRT's interpreter inside that leaves XNNPACK out."""
    module = tmp_path / "tflite_runtime"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "interpreter.py").write_text("""
from functools import partial
from litert_by_another_name import Interpreter, OpResolverType
Interpreter = partial(Interpreter, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
""")
    metadata = tmp_path / "tflite_runtime-2.14.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    program = f"""
import sys
import ai_edge_litert.interpreter
sys.modules["litert_by_another_name"] = ai_edge_litert.interpreter
sys.modules["ai_edge_litert.interpreter"] = None
from edge.doctor import main
from edge.doctor.command import examine_machine
from edge.doctor.finding import Finding, Level
from edge.doctor.port import Roots
sys.exit(main(["--model", {str(package(tmp_path / "package"))!r}]))
"""
    done = run_without(program, tmp_path)
    assert done.returncode == Exit.OK, done.stderr
    (runtime, model, xnnpack) = done.stdout.splitlines()[:3]
    assert runtime.startswith("warning  runtime  tflite-runtime 2.14.0, ")
    assert model.startswith("ok       model ")
    assert xnnpack == "warning  xnnpack  takes nothing of the graph: tflite-runtime 2.14.0 does not hand it over"
