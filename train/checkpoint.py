"""Checkpoints that describe themselves: configuration, provenance and fitted heads travel with the weights."""

import hashlib
import os
import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge.manifest import Body, JointMap, LinearHead, Posture, Training
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.average import Weights
from train.config import TrainConfig
from train.variants import AnyEncoder

FORMAT = 5


@dataclass
class Checkpoint:
    """A run's state after `step` steps; the encoder alone when `rest` and `optimizer` are None."""

    config: TrainConfig
    training: Training
    step: int
    encoder: dict[str, Tensor]
    rest: dict[str, Tensor] | None = None
    optimizer: dict[str, Any] | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    joint_map: JointMap | None = None
    posture: Posture | None = None
    joints_half_cm: list[float] | None = None
    """See edge.manifest.Confidence; None where no joint was ever known."""
    body: Body | None = None
    """See edge.body."""
    teacher: dict[str, Tensor] | None = None
    """The mean teacher's encoder, where there is one."""
    int8_ranges: Tensor | None = None
    """See train.fake_quant."""
    average: Weights | None = None
    """Of the whole net, while stage 2 is under way; see train.crwt."""

    @property
    def grid(self) -> Grid:
        c = self.config
        return Grid(c.rows, c.cols, c.pitch_cm, c.pitch_cm)

    @property
    def knows_joints(self) -> bool:
        """Whether real or simulated people taught the joint output; otherwise only a joint map can tell joints."""
        teachers = self.training.labelled_people or self.training.simulated_seeds
        return self.config.weights.joints > 0 and bool(teachers)

    @property
    def readable_body(self) -> Body | None:
        """`body` where there is a trained joint output that it can be read with."""
        return self.body if self.knows_joints else None

    def build_encoder(self) -> AnyEncoder:
        """The float encoder, ready to infer."""
        encoder = self.config.encoder.build()
        encoder.load_state_dict(self.encoder)
        return encoder.eval()

    def to_keep(self) -> "Checkpoint":
        """A quarter of the size: without what only a run that goes on needs."""
        return replace(self, optimizer=None, history=[], teacher=None, int8_ranges=None, average=None)

    def encoder_only(self) -> "Checkpoint":
        return replace(self.to_keep(), rest=None)

    def save(self, path: Path) -> None:
        """Whole or not at all: a crash while writing leaves the previous file."""
        content = {
            "format": FORMAT,
            "config": self.config.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "step": self.step,
            "encoder": self.encoder,
            "rest": self.rest,
            "optimizer": self.optimizer,
            "history": self.history,
            "joint_map": self.joint_map and _packed(self.joint_map),
            "posture": self.posture and _packed(self.posture),
            "joints_half_cm": self.joints_half_cm,
            "body": self.body and _packed(self.body),
            "teacher": self.teacher,
            "int8_ranges": self.int8_ranges,
            "average": self.average,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def _packed(head: LinearHead | Body) -> dict[str, Any]:
    """The head with its matrices as tensors, less than half as large as lists of Python's floats."""
    content = head.model_dump(mode="json")
    return {key: torch.tensor(value) if _is_matrix(value) else value for key, value in content.items()}


def _is_matrix(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and not isinstance(value[0], str)


def _unpacked(content: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.double().numpy().round(5).tolist() if isinstance(value, Tensor) else value
        for key, value in content.items()
    }


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises Failure (66) when there is none, (78) when the file is not one of ours."""
    if not path.is_file():
        raise Failure(f"no checkpoint {path}: train-run writes one into its --out folder", Exit.MISSING_INPUT)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}")
        if content["format"] != FORMAT:
            raise Failure(f"checkpoint {path} has format {content['format']}, not {FORMAT}", Exit.BAD_CONFIG)
        return Checkpoint(
            TrainConfig.model_validate(content["config"]),
            Training.model_validate(content["training"]),
            content["step"],
            content["encoder"],
            content["rest"],
            content["optimizer"],
            content["history"],
            content["joint_map"] and JointMap.model_validate(_unpacked(content["joint_map"])),
            content["posture"] and Posture.model_validate(_unpacked(content["posture"])),
            content["joints_half_cm"],
            (body := content.get("body")) and Body.model_validate(_unpacked(body)),
            content["teacher"],
            content["int8_ranges"],
            content["average"],
        )
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        told = "" if isinstance(error, pickle.UnpicklingError) else str(error)  # torch would advise to trust the file
        reason = (told or type(error).__name__).splitlines()[0]
        raise Failure(f"{path} is not a checkpoint of train-run ({reason})", Exit.BAD_CONFIG) from None
