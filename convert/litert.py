"""PyTorch encoder -> float TFLite -> int8 TFLite: litert-torch and litert-quantizer behind a few functions.

Both libraries are imported on use: they take seconds to load, and they log and warn while they do.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convert.graph import output_position, stripped
from train.variants import AnyEncoder

Ranges = dict[str, dict[str, NDArray[np.float32]]]
"""Tensor name -> its smallest (`min`) and largest (`max`) value, each of shape (1,)."""
Progress = Callable[[Iterable[NDArray[np.float32]]], Iterable[NDArray[np.float32]]]
"""Passes maps on as they are asked for, and shows how far that has come."""
SIGNATURE, ARGUMENT = "serving_default", "args_0"
"""litert-torch's names for the only graph and its only input."""


class _Deployed(nn.Module):
    """The heat maps that ship, in order: (B, 1, H, W) -> a tuple of (B, k, h, w)."""

    def __init__(self, encoder: AnyEncoder, outputs: Sequence[str]) -> None:
        super().__init__()
        self.encoder, self.names = encoder, tuple(outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.encoder(x)
        return tuple(getattr(maps, name) for name in self.names)


def float_graph(encoder: AnyEncoder, rows: int, cols: int, outputs: Sequence[str]) -> bytes:
    """The float32 graph, NHWC: input (1, rows, cols, 1), outputs (1, h, w, k) named as HeatMaps' fields."""
    with _quiet():
        import litert_torch

        litert_torch.config.show_progress = False
        deployed = litert_torch.to_channel_last_io(
            _Deployed(encoder, outputs).eval(), args=[0], outputs=list(range(len(outputs)))
        )
        return bytes(litert_torch.convert(deployed.eval(), (torch.zeros(1, rows, cols, 1),)).model_content())


def named_graph(module: nn.Module, inputs: Mapping[str, Tensor]) -> bytes:
    """The float32 graph of a module that takes `inputs` by name and returns a dictionary, whose names it keeps."""
    with _quiet():
        import litert_torch

        litert_torch.config.show_progress = False
        return bytes(litert_torch.convert(module.eval(), sample_kwargs=dict(inputs)).model_content())


def activation_ranges(graph: bytes, inputs: NDArray[np.float32], progress: Progress = iter) -> Ranges:
    """Smallest and largest value of every tensor over `inputs` (N, rows, cols): their order does not matter."""
    with _quiet():
        from litert_quantizer import calibrator, recipe, recipe_manager
        from litert_quantizer.utils import qsv_utils

        recipes = recipe_manager.RecipeManager()
        recipes.load_quantization_recipe(recipe.static_wi8_ai8())
        collector = calibrator.Calibrator(
            graph,
            num_threads=1,
            mode=calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED,
            qsv_update_func=qsv_utils.min_max_update,  # the default, a moving average, depends on the order
        )
        for x in progress(inputs):
            with contextlib.redirect_stderr(io.StringIO()):  # its own progress bar, one for each map
                collector.calibrate({SIGNATURE: [{ARGUMENT: x[None, :, :, None]}]}, recipes)
        ranges: Ranges = collector.get_model_qsvs()
        return ranges


def int8_graph(graph: bytes, ranges: Ranges, n_outputs: int) -> tuple[bytes, list[int]]:
    """The int8 graph (weights per channel, input and outputs int8), stripped.

    Also the position among its outputs of each of the `n_outputs` outputs of `float_graph`.
    """
    with _quiet():
        from litert_quantizer import quantizer, recipe

        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar of milliseconds
            result = quantizer.Quantizer(graph, recipe.static_wi8_ai8()).quantize(ranges, enable_progress_report=False)
    quantised = bytes(result.quantized_model)
    return stripped(quantised), [output_position(quantised, f"output_{i}") for i in range(n_outputs)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what the libraries say about themselves, and nobody here can change, off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # announced on stderr when on; nothing here uses it
    for name in ("torchao", "torch.utils._pytree"):  # CUDA extensions that do not load; enums registered twice
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch.export copies its own deprecated tree specs
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        # the quantizer looks at every tensor: what the warning calls debugging
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`", UserWarning)
        yield


def clipped_percent(inputs: NDArray[np.float32], scale: float, zero_point: int) -> float:
    """Share of the input samples that int8 cannot represent because they lie beyond its range."""
    q: NDArray[Any] = np.rint(inputs / scale) + zero_point
    return float(((q < -128) | (q > 127)).mean() * 100)
