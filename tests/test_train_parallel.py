"""Two real processes under Gloo against one that goes through the same micro-batches alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_train_crwt import GRID, data, small

from firmware_bridge.errors import Exit, Failure
from train.checkpoint import load_checkpoint
from train.config import LossWeights, TrainConfig
from train.crwt import Crwt
from train.parallel import Processes

CONFIG: TrainConfig = small(batch=8, micro_batches=2, steps_quant=3, weights=LossWeights(consistency=1))


def gradients_of_all_steps(processes: Processes) -> list[dict[str, torch.Tensor]]:
    """Gradients, batch statistics and losses of each step: of all stages, and while the encoder rests."""
    run = Crwt(CONFIG, GRID, processes=processes)
    seen = []
    while run.step < CONFIG.steps:
        losses = run.gradients(data())
        step = {name: p.grad.clone() for name, p in run.net.named_parameters() if p.grad is not None}
        step |= {name: b.clone() for name, b in run.net.named_buffers() if b.is_floating_point()}
        seen.append(step | {"losses": torch.tensor(list(losses.values()))})
        with torch.no_grad():
            for p in run.net.parameters():
                if p.grad is not None:
                    p -= 1e-3 * p.grad
        assert run.teacher
        run.teacher.follow(run.net.encoder, 0.0 if run.in_mask_stage else CONFIG.teacher_decay)
        run.step += 1
    return seen


def main() -> None:
    """What each of the two processes runs."""
    torch.set_num_threads(1)
    processes = Processes.of_torchrun()
    with processes.connected(torch.device("cpu")):
        torch.save(gradients_of_all_steps(processes), Path(sys.argv[1]) / f"{processes.rank}.pt")


def torchrun(*command: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*launch, *map(str, command)], capture_output=True, text=True, env=environment, timeout=240)


def gradients_of(processes: int, folder: Path) -> list[list[dict[str, torch.Tensor]]]:
    """What each of so many processes saw."""
    done = torchrun(__file__, folder, processes=processes)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(processes)]


def test_two_processes_have_the_gradients_of_one_that_accumulates(tmp_path: Path) -> None:
    """All with one thread: more of them sum in another order, which moves an activation across ReLU's kink."""
    (alone,), pair = gradients_of(1, tmp_path), gradients_of(2, tmp_path)
    assert len(alone) == len(pair[0]) == CONFIG.steps
    for expected, one, other in zip(alone, *pair, strict=True):
        assert expected.keys() == one.keys() == other.keys()
        for name, tensor in expected.items():
            assert torch.equal(one[name], other[name])
            torch.testing.assert_close(one[name], tensor, atol=1e-5, rtol=0)
    assert "mask_head.weight" in alone[0]
    assert "map_head.weight" not in alone[0]
    assert "encoder.trunk.body.0.0.weight" not in alone[CONFIG.steps_mask]


def test_micro_batches_are_shared_equally() -> None:
    assert [list(Processes(rank, 2).share(4)) for rank in range(2)] == [[0, 2], [1, 3]]
    assert list(Processes().share(3)) == [0, 1, 2]


def test_train_run_goes_under_torchrun_and_one_process_writes(tmp_path: Path) -> None:
    command = ["--no-python", Path(sys.executable).with_name("train-run"), "--threads", 1, "--device", "cpu"]
    command += [
        "--steps-mask",
        1,
        "--steps-map",
        2,
        "--batch",
        4,
        "--simulated-people",
        4,
        "--every",
        1,
    ]
    done = torchrun(*command, "--micro-batches", 2, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"wrote {tmp_path}") == 1
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert checkpoint.step == 3
    assert [row["step"] for row in checkpoint.history] == [1, 2, 3]


def test_unequal_shares_are_refused() -> None:
    Processes(0, 2).require_equal_shares(4)
    with pytest.raises(Failure, match="1 micro-batches cannot be shared by 2 processes: give --micro-batches 2") as no:
        Processes(0, 2).require_equal_shares(1)
    assert no.value.code == Exit.USAGE


def test_outside_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert Processes.of_torchrun() == Processes()
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert Processes.of_torchrun() == Processes(3, 4, 1)


if __name__ == "__main__":
    main()
