"""What an encoder costs, really counted."""

import torch
from torch import nn


def parameters(module: nn.Module) -> int:
    """Trainable numbers, batch norm's scale and shift included."""
    return sum(p.numel() for p in module.parameters())


def multiply_accumulates(module: nn.Module, rows: int, cols: int) -> int:
    """MAC of all convolutions and linear layers for one (1, 1, rows, cols) input."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()  # type: ignore[index]

    counted = (m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    hooks = [m.register_forward_hook(count) for m in counted]
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, 1, rows, cols))
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return total
