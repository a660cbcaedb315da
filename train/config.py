"""Everything a training run can be told, in one place; a checkpoint carries it along."""

from pydantic import Field

from edge.manifest import Preprocessing, Strict
from train.encoder import EncoderConfig
from train.rebuild import RebuildConfig


class LossWeights(Strict):
    """What one unit of each term in train.losses counts."""

    cross_entropy: float = 1.0
    f_score: float = 1.0
    l1: float = 5.0
    l2: float = 10.0
    dissimilarity: float = 1.0
    equivariance: float = 0.2
    separation: float = 0.05
    concentration: float = 0.05
    joints: float = 1.0


class Augmentation(Strict):
    """Random changes of the maps; the sizes are the largest."""

    mirror: float = Field(0.5, description="probability")
    rotation_deg: float = 20.0
    scale: float = Field(0.15, description="relative")
    shift_cm: float = 12.0
    gamma: float = Field(0.25, description="log of the exponent that bends the pressure curve")
    noise: float = Field(0.03, description="standard deviation in model input units")
    dropped_taxels: float = Field(0.01, description="share of taxels without signal")
    dropped_lines: float = Field(0.1, description="probability of one row or column without signal")
    blur: float = Field(0.3, description="probability of crosstalk between neighbours")


class TrainConfig(Strict):
    """One run of CRWT: `steps_mask` steps of stage 1, `steps_map` of stage 2."""

    seed: int = 0
    batch: int = 32
    steps_mask: int = 1000
    steps_map: int = 4000
    frozen_steps: int = Field(150, description="first steps of stage 2 during which the encoder rests")
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    simulated_people: int = Field(2000, description="one still map of each is generated at the start")
    simulated_share: float = Field(0.25, ge=0, le=1, description="share of simulated maps in a batch")
    rows: int = 64
    cols: int = 32
    pitch_cm: float = 2.54
    preprocessing: Preprocessing = Preprocessing()
    encoder: EncoderConfig = EncoderConfig()
    rebuild: RebuildConfig = RebuildConfig()
    weights: LossWeights = LossWeights()
    augmentation: Augmentation = Augmentation()

    @property
    def steps(self) -> int:
        return self.steps_mask + self.steps_map
