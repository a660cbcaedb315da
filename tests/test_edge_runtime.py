"""The adapter over TFLite interpreters: what it tells of a graph, and what it loads."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_packages import package

from edge.runtime import Delegation, Interpreter


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return package(tmp_path_factory.mktemp("package")).read_bytes()


def test_tensors_are_described_with_their_quantisation(content: bytes) -> None:
    interpreter = Interpreter(content)
    (tensor,) = interpreter.inputs
    assert (tensor.shape, tensor.dtype) == ((1, 64, 32, 1), "int8")
    assert tensor.scale > 0
    assert [t.dtype for t in interpreter.outputs] == ["int8", "int8"]
    assert interpreter.runtime.startswith("ai-edge-litert ")


def test_outputs_come_in_the_order_they_are_described_and_repeat(content: bytes) -> None:
    interpreter = Interpreter(content)
    interpreter.allocate()
    values = np.random.default_rng(0).integers(-128, 128, (1, 64, 32, 1)).astype(np.int8)
    first = interpreter.invoke(values)
    assert [a.shape for a in first] == [t.shape for t in interpreter.outputs]
    interpreter.invoke(np.zeros_like(values))
    for before, after in zip(first, interpreter.invoke(values), strict=True):
        np.testing.assert_array_equal(before, after)


def test_other_input_gives_other_output(content: bytes) -> None:
    interpreter = Interpreter(content)
    interpreter.allocate()
    values = np.random.default_rng(0).integers(-128, 128, (2, 1, 64, 32, 1)).astype(np.int8)
    assert (interpreter.invoke(values[0])[0] != interpreter.invoke(values[1])[0]).any()


def test_what_is_no_flatbuffer_is_a_value_error(content: bytes) -> None:
    for broken in (content[: len(content) // 2], b"no model at all, but text", b"\0" * 64):
        with pytest.raises(ValueError, match="lat"):
            Interpreter(broken)


def run_python(program: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": ":".join(map(str, path)), "PATH": ""}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)


def test_without_any_runtime_the_failure_says_what_to_install() -> None:
    program = """
import sys
for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
    sys.modules[name] = None
from edge.runtime import Interpreter
from firmware_bridge.errors import run_command
sys.exit(run_command("edge-run", lambda: Interpreter(b"")))
"""
    done = run_python(program)
    assert done.returncode == 78
    assert done.stderr == "edge-run: no TFLite interpreter is installed: pip install ai-edge-litert\n"


def test_tflite_runtime_is_taken_where_the_newer_one_is_absent(tmp_path: Path, content: bytes) -> None:
    """The wheel ends at Python 3.11; a package of its name stands for it here, with LiteRT's interpreter inside."""
    module = tmp_path / "tflite_runtime"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "interpreter.py").write_text("from litert_by_another_name import Interpreter\n")
    metadata = tmp_path / "tflite_runtime-2.14.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    (tmp_path / "model.tflite").write_bytes(content)
    program = f"""
import sys
import ai_edge_litert.interpreter
sys.modules["litert_by_another_name"] = ai_edge_litert.interpreter
sys.modules["ai_edge_litert.interpreter"] = None
from edge.runtime import Interpreter
interpreter = Interpreter(open({str(tmp_path / "model.tflite")!r}, "rb").read())
print(interpreter.runtime, len(interpreter.outputs))
"""
    done = run_python(program, tmp_path)
    assert done.stdout == "tflite-runtime 2.14.0 2\n", done.stderr


def test_a_runtime_that_is_installed_but_broken_is_passed_over_and_named_when_no_other_loads(tmp_path: Path) -> None:
    module = tmp_path / "tflite_runtime"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "interpreter.py").write_text('raise ImportError("built for another machine:\\nno such symbol")\n')
    metadata = tmp_path / "tflite_runtime-2.14.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    program = """
import sys
sys.modules["tensorflow"] = None
from edge import runtime
from firmware_bridge.errors import Failure
runtime.RUNTIMES = runtime.RUNTIMES[::-1]
print(runtime.installed_runtime())
sys.modules["ai_edge_litert.interpreter"] = None
try:
    runtime.installed_runtime()
except Failure as failure:
    print(failure)
"""
    done = run_python(program, tmp_path)
    taken, reason = done.stdout.splitlines()
    assert taken.startswith("ai-edge-litert ")
    assert reason.startswith("tflite-runtime 2.14.0 is installed but does not load (no such symbol): pip install ")


def test_xnnpack_takes_the_whole_of_our_model(content: bytes) -> None:
    interpreter = Interpreter(content)
    interpreter.allocate()
    assert interpreter.delegation() == Delegation(1, True)


@pytest.mark.parametrize("module", ["edge.run", "edge.score", "edge.doctor", "firmware_bridge.bridge_sim"])
def test_the_daemon_loads_neither_torch_nor_tensorflow(module: str) -> None:
    program = f"import sys, {module}; print(sorted(set(sys.modules) & {{'torch', 'tensorflow', 'train', 'convert'}}))"
    done = run_python(program)
    assert done.stdout == "[]\n", done.stderr
