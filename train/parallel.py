"""Several processes, started by torchrun, share the micro-batches of each step.

Their gradients are added up by hand after the last of them: whatever rests or is unused in a stage needs no care,
and one process that goes through the same micro-batches alone gets the same sums.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, distributed, nn

from firmware_bridge.errors import Exit, Failure


@dataclass(frozen=True)
class Processes:
    """This process among all of its run."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those on this machine."""

    @classmethod
    def of_torchrun(cls) -> Self:
        """As torchrun's environment says; without it this process is alone."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        return cls(*(int(os.environ[name]) for name in names)) if "WORLD_SIZE" in os.environ else cls()

    @property
    def leads(self) -> bool:
        """One process alone writes files and talks."""
        return self.rank == 0

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """NCCL between GPUs, Gloo between CPUs."""
        if self.count == 1:
            yield
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            yield
        finally:
            distributed.destroy_process_group()

    def share(self, micro_batches: int) -> range:
        """Which micro-batches of a step are this process's."""
        return range(self.rank, micro_batches, self.count)

    def require_equal_shares(self, micro_batches: int) -> None:
        """Failure (2) where some process would have less to do than others."""
        if micro_batches % self.count:
            raise Failure(
                f"{micro_batches} micro-batches cannot be shared by {self.count} processes: "
                f"give --micro-batches {self.count} or a multiple",
                Exit.USAGE,
            )

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Each float32 tensor becomes its sum over all processes."""
        if self.count == 1:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


class BatchStatistics:
    """Batch norm's running statistics: each micro-batch moves them from where the step began; their mean stays."""

    def __init__(self, net: nn.Module) -> None:
        norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        self._running: list[Tensor] = [t for n in norms for t in (n.running_mean, n.running_var) if t is not None]
        self._begun = [t.clone() for t in self._running]
        self.sums = [torch.zeros_like(t) for t in self._running]
        """To be added up over all processes before `settle`."""

    def collect(self) -> None:
        """After each micro-batch."""
        for running, begun, total in zip(self._running, self._begun, self.sums, strict=True):
            total += running
            running.copy_(begun)

    def settle(self, micro_batches: int) -> None:
        """After the last one of all processes."""
        for running, total in zip(self._running, self.sums, strict=True):
            running.copy_(total / micro_batches)
