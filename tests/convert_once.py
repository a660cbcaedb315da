"""Conversions that several test files look at: each takes seconds and is made once a session."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.litert import float_graph
from convert.run import main
from edge.manifest import Training
from train.checkpoint import Checkpoint, load_checkpoint
from train.config import TrainConfig
from train.encoder import Encoder, soft_argmax
from train.linear import features, fit_joint_map, fit_posture
from train.losses import joint_distance
from train.maps import Examples
from train.pmd import GRID_I, read_pmd
from train.predict import FloatModel
from train.sampling import TrainingSet

CALIBRATION_SUBJECTS = "1,2"
DEFAULT_ENCODER = Path(__file__).resolve().parent.parent / "edge" / "models" / "default.encoder.pt"


@dataclass(frozen=True)
class Converted:
    """What convert-run made of a checkpoint, with an accuracy table of person 13."""

    checkpoint: Path
    arguments: tuple[str, ...]
    """Of convert-run, without --out."""
    model: Path

    @property
    def manifest(self) -> Path:
        return self.model.with_suffix(".json")

    @property
    def encoder(self) -> Path:
        return self.model.with_name("tested.encoder.pt")

    def load_checkpoint(self) -> Checkpoint:
        return load_checkpoint(self.checkpoint)


@functools.cache
def convert_once(pmd: Path, joints: Path, session_folder: Path) -> Converted:
    """Runs convert-run on the default model's encoder, or on one that is trained here while there is none."""
    folder = session_folder / "converted"
    folder.mkdir()
    checkpoint = DEFAULT_ENCODER
    if not checkpoint.is_file():
        checkpoint = folder / "checkpoint.pt"
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # faster for steps this small, and much faster beside another process
        _trained_briefly(pmd, joints).save(checkpoint)
        torch.set_num_threads(threads)
    arguments = (
        *(str(checkpoint), "--data", str(pmd), "--joints", str(joints), "--subjects", CALIBRATION_SUBJECTS),
        *("--test-subjects", "13", "--name", "tested"),
    )
    assert main([*arguments, "--out", str(folder / "package")]) == 0
    return Converted(checkpoint, arguments, folder / "package" / "tested.tflite")


@functools.cache
def float_graph_once(converted: Converted) -> bytes:
    """The float graph between PyTorch and int8."""
    return float_graph(converted.load_checkpoint().build_encoder(), GRID_I.rows, GRID_I.cols, ["keypoints", "joints"])


@functools.cache
def examples_once(pmd: Path, subject: int) -> Examples:
    """Median maps of one person of Experiment I as the model sees them."""
    return read_pmd(pmd, [subject]).medians().examples(GRID_I, TrainConfig().preprocessing)


def quantised(inputs: NDArray[np.float32]) -> NDArray[np.int8]:
    """(N, rows, cols) in 0..1 -> (N, 1, rows, cols, 1) for a graph whose input step is 1/255."""
    return (np.rint(inputs * 255) - 128).astype(np.int8)[:, None, :, :, None]


def _trained_briefly(pmd: Path, joints: Path) -> Checkpoint:
    """The encoder alone, supervised: its joints mean something, its label-free keypoints little."""
    config = TrainConfig(steps_mask=0, steps_map=120, simulated_share=0, simulated_people=0)
    maps = read_pmd(pmd, [1, 2, 3], joints=joints).medians()
    examples = maps.examples(GRID_I, config.preprocessing)
    data = TrainingSet(examples, None)
    torch.manual_seed(0)
    encoder = Encoder(config.encoder)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=4e-3)
    for step in range(config.steps):
        batch = data.batch(16, 0, np.random.default_rng(step))
        heat_maps = encoder(batch.inputs)
        points = soft_argmax(heat_maps.joints, batch.inputs, heat_maps.features)
        seen = (batch.joints[..., 2] >= 1).float()
        loss = joint_distance(points.xy_norm, batch.joints[..., :2], torch.tensor([32.0, 64.0]), seen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    training = Training(
        data=["pmd"],
        people=maps.people,
        labelled_people=maps.people,
        simulated_seeds="",
        steps=config.steps,
        command="tests",
        software="0",
    )
    checkpoint = Checkpoint(config, training, config.steps, encoder.state_dict())
    x = features(FloatModel(checkpoint).predict(examples.inputs)["keypoints"])
    checkpoint.joint_map = fit_joint_map(x, [group.person for group in maps.groups], examples.joints_norm)
    checkpoint.posture = fit_posture(x, [group.posture for group in maps.groups])
    return checkpoint
