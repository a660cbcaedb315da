"""Checkpoints describe themselves and are written whole or not at all."""

from pathlib import Path

import pytest
import torch

from edge.manifest import COORDINATES, Body, JointMap, Posture, Training
from firmware_bridge.errors import Exit, Failure
from train.checkpoint import Checkpoint, load_checkpoint
from train.config import LossWeights, TrainConfig
from train.encoder import Encoder

TRAINING = Training(
    data=["d"], people=["pmd:1"], labelled_people=[], simulated_seeds="1-2", steps=7, command="c", software="0"
)
BODY = Body(
    shapes=["left", "other"],
    shares=[0.25, 0.75],
    mean_cm=[[1.5] * COORDINATES] * 2,
    covariance_cm2=[[float(i == j) / 4 for i in range(COORDINATES) for j in range(i + 1)]] * 2,
    people=["pmd:1"],
)


def some_checkpoint() -> Checkpoint:
    encoder = Encoder()
    return Checkpoint(
        TrainConfig(seed=3),
        TRAINING,
        7,
        encoder.state_dict(),
        {"x": torch.ones(2)},
        {"state": {}, "param_groups": []},
        [{"step": 1, "loss": 2.0}],
        JointMap(weights=[[0.5]], bias=[1.0], people=["pmd:1"]),
        Posture(classes=["a", "b"], weights=[[1.0, 2.0]], bias=[0.0, 0.0]),
        body=BODY,
        teacher={"x": torch.zeros(2)},
    )


def test_everything_comes_back(tmp_path: Path) -> None:
    saved = some_checkpoint()
    saved.save(tmp_path / "new" / "c.pt")
    loaded = load_checkpoint(tmp_path / "new" / "c.pt")
    for name in ("config", "training", "step", "optimizer", "history", "joint_map", "posture", "body"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert all(torch.equal(loaded.encoder[n], t) for n, t in saved.encoder.items())
    assert loaded.teacher is not None
    assert saved.teacher is not None
    assert all(torch.equal(loaded.teacher[n], t) for n, t in saved.teacher.items())
    assert not list((tmp_path / "new").glob("*.partial"))


def test_the_shipped_encoder_is_small_and_rebuilds_the_same_model(tmp_path: Path) -> None:
    saved = some_checkpoint()
    saved.encoder_only().save(tmp_path / "e.pt")
    assert (tmp_path / "e.pt").stat().st_size <= 350_000
    loaded = load_checkpoint(tmp_path / "e.pt")
    assert loaded.rest is None
    assert loaded.teacher is None
    assert loaded.optimizer is None
    x = torch.rand(1, 1, 64, 32)
    with torch.no_grad():
        assert torch.equal(loaded.build_encoder()(x).joints, saved.build_encoder()(x).joints)


def test_what_is_kept_of_a_finished_run_rebuilds_maps_and_holds_its_heads_but_does_not_go_on(tmp_path: Path) -> None:
    saved = some_checkpoint()
    saved.to_keep().save(tmp_path / "c.pt")
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert saved.rest
    assert loaded.rest
    assert loaded.rest.keys() == saved.rest.keys()
    assert (loaded.posture, loaded.joint_map, loaded.body) == (saved.posture, saved.joint_map, saved.body)
    assert loaded.optimizer is None
    assert loaded.history == []


def test_a_crash_while_writing_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    some_checkpoint().save(path)
    broken = some_checkpoint()
    broken.rest = {"x": lambda: None}  # type: ignore[dict-item]  # cannot be written
    with pytest.raises(Exception, match="pickle"):
        broken.save(path)
    assert load_checkpoint(path).step == 7


@pytest.mark.parametrize(
    ("weight", "labelled", "simulated", "knows"),
    [
        (1.0, ["pmd:1"], "", True),
        (1.0, [], "1000000-1000009", True),
        (1.0, [], "", False),
        (0.0, ["pmd:1"], "1000000-1000009", False),
    ],
    ids=["labels", "simulated people", "nobody", "label-free"],
)
def test_joints_are_known_where_somebody_taught_them(
    weight: float, labelled: list[str], simulated: str, knows: bool
) -> None:
    checkpoint = some_checkpoint()
    checkpoint.config = TrainConfig(weights=LossWeights(joints=weight))
    checkpoint.training = TRAINING.model_copy(update={"labelled_people": labelled, "simulated_seeds": simulated})
    assert checkpoint.knows_joints == knows
    assert (checkpoint.readable_body is not None) == knows


def test_foreign_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no checkpoint") as failure:
        load_checkpoint(tmp_path / "none.pt")
    assert failure.value.code == Exit.MISSING_INPUT
    for name, content in {"text.pt": b"hello\n" * 50, "empty.pt": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Failure, match=f"{name} is not a checkpoint") as failure:
            load_checkpoint(tmp_path / name)
        assert failure.value.code == Exit.BAD_CONFIG
        assert "\n" not in str(failure.value)
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(Failure, match=r"tensor.pt is not a checkpoint of train-run \(it holds a Tensor\)") as failure:
        load_checkpoint(tmp_path / "tensor.pt")
    assert failure.value.code == Exit.BAD_CONFIG
    torch.save({"format": 99}, tmp_path / "later.pt")
    with pytest.raises(Failure, match="format 99"):
        load_checkpoint(tmp_path / "later.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(Failure, match="not a checkpoint"):
        load_checkpoint(tmp_path / "other.pt")
