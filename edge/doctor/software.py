"""Whether the interpreter, the model and the fast kernels are what they should be."""

import platform
from functools import partial
from pathlib import Path

from edge.core.library import CORE, Library
from edge.doctor.finding import Answer, Check, Level
from edge.model import KeypointModel
from edge.runtime import RUNTIMES, Interpreter, installed_runtime


def software_checks(model: Path) -> dict[str, Check]:
    return {
        "runtime": _runtime,
        "model": partial(_package, model),
        "xnnpack": partial(_delegation, model),
        "core": partial(core_answer, CORE),
    }


def _runtime() -> Answer:
    """Which TFLite interpreter edge-run takes here."""
    name = installed_runtime()
    text = f"{name}, Python {platform.python_version()} on {platform.machine()}"
    if _is_best(name):
        return Level.OK, text
    return Level.WARNING, f"{text}: a fallback, install {RUNTIMES[0][0]} where it has a wheel"


def _package(model: Path) -> Answer:
    """Whether the model loads and is what its manifest says."""
    manifest = KeypointModel.from_files(model).manifest
    outputs = ", ".join(f"{output.k} {output.name}" for output in manifest.outputs)
    grid = f"{manifest.rows} x {manifest.cols} taxels of {manifest.pitch_y_cm:g} x {manifest.pitch_x_cm:g} cm"
    return Level.OK, f"{manifest.name} agrees with its manifest: {grid}, {outputs}"


def _delegation(model: Path) -> Answer:
    """Whether XNNPACK, the fast kernels, runs the whole graph."""
    interpreter = Interpreter(model.read_bytes())
    interpreter.allocate()
    found = interpreter.delegation()
    if found.whole_graph:
        return Level.OK, "takes the whole graph in 1 partition"
    share = f"takes the graph in {found.partitions} part(s)" if found.partitions else "takes nothing of the graph"
    if not _is_best(interpreter.runtime):
        return Level.WARNING, f"{share}: {interpreter.runtime} does not hand it over"
    reason = "it does not have all of its operators" if found.partitions else "it does not run on this processor"
    return Level.FAILED, f"{share}, so that inference is slow: {reason}; edge-run works nevertheless"


def core_answer(core: Library | None) -> Answer:
    """Whether what is around the graph is compiled."""
    if core:
        return Level.OK, "the C core computes what is around the graph"
    remedy = "install a C compiler and then this software once more"
    return Level.WARNING, f"NumPy computes what is around the graph and takes three times as long: {remedy}"


def _is_best(runtime: str) -> bool:
    return runtime.startswith(RUNTIMES[0][0])
