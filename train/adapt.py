"""Going on from another model (train-run --init): its grid, widths, heads and known people come along."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure
from train.checkpoint import Checkpoint, load_checkpoint, sha256_of
from train.config import TrainConfig

STEPS: Final = 1000
LEARNING_RATE: Final = 3e-4
CONSISTENCY: Final = 1.0
"""Weight of the mean teacher's word, which stands in for labels."""

ANNOTATED_SHARE: Final = 0.3
"""Of the real maps of a batch, where annotated ones are given besides: what the model knows is kept in practice."""


@dataclass(frozen=True)
class Init:
    """The model that training begins from."""

    path: Path
    checkpoint: Checkpoint
    sha256: str

    @property
    def settings(self) -> TrainConfig:
        """What an adaptation is told unless the user says otherwise: few small steps, no stage 1, a mean teacher."""
        config = self.checkpoint.config
        consistency = CONSISTENCY if self.checkpoint.knows_joints else 0.0
        return config.model_copy(
            update={
                "steps_mask": 0,
                "steps_map": STEPS,
                "learning_rate": LEARNING_RATE,
                "annotated_share": ANNOTATED_SHARE,
                "weights": config.weights.model_copy(update={"consistency": consistency}),
            }
        )

    def require_same_model(self, config: TrainConfig) -> None:
        """Failure (2) where `config` asks for something other than this model's weights can do."""
        for name in ("rows", "cols", "pitch_cm", "preprocessing", "encoder"):
            own, wanted = getattr(self.checkpoint.config, name), getattr(config, name)
            if own != wanted:
                raise Failure(f"{self.path} has {name} {own}, not {wanted}: leave it out of the settings", Exit.USAGE)

    def passed_on(self, training: Training) -> Training:
        """`training` with everything and everybody that this model knows already."""
        before = self.checkpoint.training
        seeds = {before.simulated_seeds, training.simulated_seeds} - {""}
        return training.model_copy(
            update={
                "data": sorted({*before.data, *training.data}),
                "people": sorted({*before.people, *training.people}),
                "labelled_people": sorted({*before.labelled_people, *training.labelled_people}),
                "simulated_seeds": max(seeds, key=_last_seed, default=""),
                "init_sha256": self.sha256,
            }
        )

    def hand_down_heads(self, adapted: Checkpoint) -> None:
        """What was fitted on labels then still holds: the adapted points are the same points.

        A posture head that reads joints has nothing to read once the joint output is no longer trained.
        """
        before = self.checkpoint
        readable = before.posture and (adapted.knows_joints or "joints" not in before.posture.reads)
        adapted.joint_map, adapted.posture = before.joint_map, before.posture if readable else None
        adapted.joints_half_cm, adapted.body = before.joints_half_cm, before.body


def read_init(path: Path) -> Init:
    """A checkpoint of train-run or an encoder alone. Raises Failure as load_checkpoint does."""
    return Init(path, load_checkpoint(path), sha256_of(path))


def _last_seed(seeds: str) -> int:
    """All ranges begin at the same seed, so the one that ends last holds the other."""
    return int(seeds.partition("-")[2])
