"""Two runtimes on one file: the same answers where they are the same, and the difference where they are not.

Here the other runtime is this environment's own, in a process of its own; the environments of others need a network.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, label_free_package, package

from convert.crosscheck import Report, Tape, answers_of, crosscheck, main
from edge.manifest import read_manifest
from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, Failure
from train.maps import Maps
from train.pmd import person_of
from train.simulated import read_simulated

HERE = [Path(sys.executable)]


@pytest.fixture(scope="module")
def maps() -> Maps:
    return read_simulated(range(3), GRID)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


def report_on(model: Path, maps: Maps) -> Report:
    return crosscheck(model, read_manifest(model.with_suffix(".json")), maps, HERE)


def test_a_runtime_agrees_with_itself_in_another_process(model: Path, maps: Maps) -> None:
    report = report_on(model, maps)
    (other,) = report.runtimes
    assert other.runtime == report.ours == Interpreter(model.read_bytes()).runtime
    assert (other.numpy, other.xnnpack_partitions, other.xnnpack_whole_graph) == (np.__version__, 1, True)
    assert (other.differing_percent, other.largest_step) == (0, 0)
    assert (other.joints_worst_cm, other.keypoints_worst_cm) == (0, 0)
    assert (report.maps, report.people) == (3, ["simulated:0", "simulated:1", "simulated:2"])
    assert report.output_bytes == 3 * sum(int(np.prod(t.shape)) for t in Interpreter(model.read_bytes()).outputs)
    assert report.passed


def another_runtime(folder: Path) -> Path:
    """A Python whose runtime is certain of one cell in each map of the first output, for the first input."""
    program = folder / "python"
    program.write_text(f"""#!{sys.executable}
import subprocess, sys
import numpy as np
subprocess.run([{sys.executable!r}, *sys.argv[1:]], check=True)
answers = dict(np.load(sys.argv[-1]))
answers["output_0"][0, 0, 5, 7, :] = 127
answers["runtime"] = np.array("another 1.0")
np.savez(sys.argv[-1], **answers)
""")
    program.chmod(0o755)
    return program


def test_other_answers_are_counted_and_measured(model: Path, maps: Maps, tmp_path: Path) -> None:
    manifest = read_manifest(model.with_suffix(".json"))
    (other,) = crosscheck(model, manifest, maps, [another_runtime(tmp_path)]).runtimes
    n_bytes = sum(o.rows * o.cols * o.k for o in manifest.outputs) * len(maps)
    assert other.runtime == "another 1.0"
    assert 0 < other.differing_percent <= 100 * manifest.outputs[0].k / n_bytes
    assert other.largest_step > 10
    moved, still = sorted([other.joints_worst_cm, other.keypoints_worst_cm or 0.0], reverse=True)
    assert (moved > 0.1, still) == (True, 0)


def test_a_label_free_model_is_compared_by_its_joint_map(tmp_path: Path, maps: Maps) -> None:
    report = report_on(label_free_package(tmp_path), maps)
    assert report.runtimes[0].joints_worst_cm == 0


def test_a_tape_plays_the_answers_of_another_in_their_order(model: Path) -> None:
    content = model.read_bytes()
    shapes = [t.shape for t in Interpreter(content).outputs]
    answers = [np.stack([np.full(shape, n, np.int8) for n in (3, 4)]) for shape in shapes]
    tape = Tape(content, answers)
    asked = np.zeros((1, 64, 32, 1), np.int8)
    assert [int(tape.invoke(asked)[0].max()) for _ in range(2)] == [3, 4]
    assert len(tape.asked) == 2


def test_a_runtime_that_fails_is_named_with_its_last_words(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(Failure, match=r"cannot run .*broken\.tflite: .*Flatbuffer") as failure:
        answers_of(HERE[0], broken, np.zeros((1, 1, 64, 32, 1), np.int8))
    assert failure.value.code == Exit.UNEXPECTED


def test_a_python_that_is_none_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"cannot run .*none: No such file") as failure:
        answers_of(tmp_path / "none", model, np.zeros((1, 1, 64, 32, 1), np.int8))
    assert failure.value.code == Exit.MISSING_INPUT


def test_the_command_reports_as_table_json_and_markdown_and_fails_above_its_limit(
    model: Path, pmd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "markdown")}
    written = [option for name, path in files.items() for option in (f"--{name}", str(path))]
    data = ["--data", str(pmd), "--experiment", "ii", "--subjects", "1"]
    pythons = ["--python", str(HERE[0]), "--python", str(another_runtime(tmp_path))]
    assert main([str(model), *data, *pythons, *written, "--max-shift-cm", "0"]) == Exit.CHECK_FAILED
    assert main([str(model), *data, *pythons[:2], "--max-shift-cm", "0"]) == Exit.OK
    said = capsys.readouterr().out
    assert "limit 0 cm: FAILED" in said
    assert "limit 0 cm: passed" in said
    found = json.loads(files["json"].read_text())
    assert (found["passed"], found["people"], len(found["runtimes"])) == (False, [person_of("ii", 1)], 2)
    table = [line for line in files["markdown"].read_text().splitlines() if line.startswith("|")]
    assert len(table) == 4
    for row, one in zip(table[2:], found["runtimes"], strict=True):
        assert f"| {one['differing_percent']:.2f} % | {one['largest_step']} |" in row
