"""Quantization-aware fine-tuning: the encoder computes as its int8 copy will, gradients go straight through.

As convert quantises it: weights symmetric with a scale for each channel (batch norm, frozen by now, folds into
those scales and changes nothing), what convolutions read and what the graph adds or puts out with one range a tensor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from train.encoder import ConvNorm, HeatMaps

STEPS: Final = 255
SMALLEST_SCALE: Final = 1e-8
NEW_SHARE: Final = 0.05
"""Of a step's smallest and largest values in the running ones."""


class FakeQuant:
    """Calls `encoder` as if it were int8; its weights, as seen by an optimizer or a checkpoint, stay float."""

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        norms = [m for m in encoder.modules() if isinstance(m, ConvNorm)]
        normed = {id(layer) for m in norms for layer in m}
        self._readers = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
        self._writers: list[nn.Module] = [m for m in self._readers if id(m) not in normed]
        self._writers += [m for m in norms if isinstance(m[-1], nn.BatchNorm2d)]
        device = next(encoder.parameters()).device
        count = len(self._readers) + len(self._writers)
        self.ranges = torch.full((count, 2), torch.nan, device=device)
        """(tensors, 2): smallest and largest value, running; NaN where nothing was seen yet."""
        self.sums = torch.zeros((count, 2), device=device)
        """Of the micro-batches since the last `settle`; to be added up over all processes before."""

    def __call__(self, x: Tensor) -> HeatMaps:
        """(B, 1, H, W) -> HeatMaps, float32 on int8's steps."""
        weights = {
            f"{name}.weight": _quantised_weight(module.weight)
            for name, module in self.encoder.named_modules()
            if isinstance(module, nn.Conv2d)
        }
        with torch.autocast(x.device.type, enabled=False), self._hooked():
            maps: HeatMaps = functional_call(self.encoder, weights, (x,))
        return maps

    def settle(self, micro_batches: int) -> None:
        """After the last micro-batch of all processes: the ranges follow what was seen."""
        seen = self.sums / micro_batches
        self.ranges = torch.where(self.ranges.isnan(), seen, self.ranges.lerp(seen, NEW_SHARE))
        self.sums = torch.zeros_like(self.sums)

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        handles = [
            module.register_forward_pre_hook(partial(self._read, number)) for number, module in enumerate(self._readers)
        ]
        handles += [
            module.register_forward_hook(partial(self._written, number))
            for number, module in enumerate(self._writers, len(self._readers))
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _read(self, number: int, _: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (self._quantised(number, inputs[0]),)

    def _written(self, number: int, _: nn.Module, __: object, output: Tensor) -> Tensor:
        return self._quantised(number, output)

    def _quantised(self, number: int, x: Tensor) -> Tensor:
        low, high = x.aminmax()
        seen = torch.stack([low, high]).detach()
        self.sums[number] += seen
        floor, ceiling = torch.where(self.ranges[number].isnan(), seen, self.ranges[number])
        floor, ceiling = floor.clamp_max(0), ceiling.clamp_min(0)  # zero itself is always exact
        scale = ((ceiling - floor) / STEPS).clamp_min(SMALLEST_SCALE)
        zero_point = (-floor / scale).round().int()
        rounded = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, STEPS)
        return _blaming(rounded, x, scale, (high.clamp_min(0) - low.clamp_max(0)) / STEPS)


def _quantised_weight(weight: Tensor) -> Tensor:
    """(out, in, k, k), one scale for each of `out`."""
    own = (weight.abs().amax((1, 2, 3)) / 127).clamp_min(SMALLEST_SCALE)
    scale = own.detach()
    zero = torch.zeros_like(scale, dtype=torch.int32)
    rounded = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)
    return _blaming(rounded, weight, scale[:, None, None, None], own[:, None, None, None])


def _blaming(rounded: Tensor, exact: Tensor, scale: Tensor, live_scale: Tensor) -> Tensor:
    """`rounded`, whose gradient also knows that the error grows with the step, and the step with the widest values.

    Without, a wide range costs a net nothing that it could learn from.
    """
    error_steps = ((rounded - exact) / scale).detach().clamp(-0.5, 0.5)  # what is clipped, no narrower range mends
    return rounded + error_steps * (live_scale - live_scale.detach())
