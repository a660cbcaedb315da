"""Where a run computes, and with which numbers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal, Self

import torch
from torch import Tensor

from firmware_bridge.errors import Exit, Failure
from train.encoder import HeatMaps

PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class Compute:
    """One device; convolutions and matrix products use `precision`, losses and soft-argmax always float32."""

    device: torch.device
    precision: torch.dtype = torch.float32

    @classmethod
    def chosen(cls, device: Literal["auto", "cpu", "cuda"], precision: str | None, local_rank: int = 0) -> Self:
        """`auto` takes a GPU where there is one; None is bfloat16 on a GPU that computes in it, else float32.

        Of several GPUs each process takes the one of its local rank. Raises Failure (2) without the GPU asked for.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise Failure("--device cuda: PyTorch finds no GPU here; --device cpu goes anywhere", Exit.USAGE)
        if device == "cpu" or not torch.cuda.is_available():
            return cls(CPU, PRECISIONS[precision or "float32"])
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return cls(torch.device("cuda", local_rank), PRECISIONS[precision or ("bfloat16" if fast else "float32")])

    def autocast(self) -> AbstractContextManager[object]:
        """For the parts of the net that may be less precise."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def heat_maps(self, encoder: Callable[[Tensor], HeatMaps], x: Tensor) -> HeatMaps:
        """What `encoder` says of x, as float32: a soft-argmax needs it."""
        with self.autocast():
            maps = encoder(x)
        joints = None if maps.joints is None else maps.joints.float()
        return HeatMaps(maps.keypoints.float(), joints, maps.features.float())
