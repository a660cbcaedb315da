"""`python -m convert.invoke MODEL INPUTS ANSWERS`: the runtime of this environment on a model (convert.crosscheck).

Runs where neither torch nor the converter is: it imports NumPy and edge.runtime alone.
"""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.runtime import Interpreter
from firmware_bridge.errors import Exit, run_command


def main(arguments: Sequence[str]) -> int:
    """INPUTS is .npy, (N, *input shape) int8; ANSWERS becomes .npz: output_0 (N, *output shape), ... and who it was."""
    model, inputs, answers = map(Path, arguments)
    interpreter = Interpreter(model.read_bytes())
    interpreter.allocate()
    found = zip(*(interpreter.invoke(values) for values in np.load(inputs)), strict=True)
    delegation = interpreter.delegation()
    content: dict[str, Any] = {f"output_{i}": np.stack(tensors) for i, tensors in enumerate(found)}
    content |= {"runtime": interpreter.runtime, "python": platform.python_version(), "numpy": np.__version__}
    content |= {"partitions": delegation.partitions, "whole_graph": delegation.whole_graph}
    np.savez(answers, **content)
    return Exit.OK


if __name__ == "__main__":
    sys.exit(run_command("convert.invoke", lambda: main(sys.argv[1:])))
