"""What an encoder costs, really counted. train-cost: the default one beside the paper's, or beside your own."""

import argparse
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from firmware_bridge.errors import Exit
from train.arguments import require_writable
from train.config import TrainConfig, read_config

REFERENCE: Final = Path(__file__).parent / "recipes" / "reference.toml"
"""The settings of the paper's net."""
ROUNDS: Final = 10
INFERENCES_A_ROUND: Final = 3
"""The first of them finds the caches as the other encoders left them."""


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


@dataclass(frozen=True)
class Cost:
    """One encoder, in numbers."""

    name: str
    variant: str
    rows: int
    cols: int
    parameters: int
    mac: int
    relative_time: float
    """Of one inference; the first encoder's is 1."""


def costs(configs: Sequence[tuple[str, TrainConfig]], rounds: Iterable[int]) -> list[Cost]:
    """One row for each name. The encoders take turns, one map at a time; the fastest of an encoder's rounds counts."""
    encoders = [config.encoder.build().eval() for _, config in configs]
    inputs = [torch.rand(1, 1, config.rows, config.cols) for _, config in configs]
    fastest_s = [math.inf] * len(encoders)
    with torch.inference_mode():
        for _ in rounds:
            for i, (encoder, x) in enumerate(zip(encoders, inputs, strict=True)):
                for _ in range(INFERENCES_A_ROUND):
                    begin = time.perf_counter()
                    encoder(x)
                    fastest_s[i] = min(fastest_s[i], time.perf_counter() - begin)
    return [
        Cost(
            name,
            config.encoder.variant,
            config.rows,
            config.cols,
            parameters(encoder),
            multiply_accumulates(encoder, config.rows, config.cols),
            fastest_s[i] / fastest_s[0],
        )
        for i, ((name, config), encoder) in enumerate(zip(configs, encoders, strict=True))
    ]


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    require_writable(args.json)
    torch.set_num_threads(1)
    configs = [("default", TrainConfig()), *((path.stem, read_config(path)) for path in args.configs)]
    rounds = track(range(ROUNDS), "timing", console=Console(stderr=True), transient=True)
    rows = costs(configs, rounds)
    table = Table()
    table.add_column("")
    for title in ("variant", "input", "parameters", "M MAC", "time"):
        table.add_column(title, justify="right")
    for row in rows:
        mac, ratio = f"{row.mac / 1e6:.1f}", f"{row.relative_time:.1f}"
        table.add_row(row.name, row.variant, f"{row.rows} x {row.cols}", f"{row.parameters:,}", mac, ratio)
    console = Console(soft_wrap=True)
    console.print(table)
    console.print("time: of one inference in PyTorch, float, one map at a time, one thread; the default's is 1")
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return Exit.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-cost", description=__doc__)
    parser.add_argument(
        "configs", type=Path, nargs="*", default=[REFERENCE], metavar="TOML", help="settings (default: the paper's)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table here too")
    return parser
