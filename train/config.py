"""Everything a training run can be told, in one place; a checkpoint carries it along."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from edge.manifest import Preprocessing, Strict
from firmware_bridge.errors import Exit, Failure
from train.encoder import EncoderConfig
from train.rebuild import RebuildConfig
from train.reference import ReferenceConfig
from train.variants import AnyEncoderConfig

SQUARE_ROOT = {"middle_percent": 0}
"""Of Preprocessing: whatever the frame holds."""


class LossWeights(Strict):
    """What one unit of each term in train.losses counts."""

    cross_entropy: float = Field(1.0, ge=0, description="stage 1: contact or not, taxel by taxel")
    f_score: float = Field(1.0, ge=0, description="stage 1: 1 - F-score of the contact")
    l1: float = Field(5.0, ge=0, description="stage 2: absolute difference of the rebuilt map")
    l2: float = Field(10.0, ge=0, description="stage 2: squared difference of the rebuilt map")
    dissimilarity: float = Field(1.0, ge=0, description="stage 2: 1 - SSIM of the rebuilt map")
    equivariance: float = Field(0.2, ge=0, description="a cm by which points do not follow a moved map")
    separation: float = Field(0.05, ge=0, description="points that crowd")
    concentration: float = Field(0.05, ge=0, description="a cell of spread of the heat maps")
    joints: float = Field(1.0, ge=0, description="a taxel by which the joint output misses a label; 0: label-free")
    rounding: float = Field(16.0, ge=0, description="stage 3: a cm by which int8 moves the points of an output")
    guessed: float = Field(0.3, ge=0, le=1, description="share of `joints` for one that the annotator guessed (v = 0)")
    consistency: float = Field(0.0, ge=0, description="a taxel by which a joint without label misses the mean teacher")


class Augmentation(Strict):
    """Random changes of the maps; the sizes are the largest."""

    mirror: float = Field(0.5, ge=0, le=1, description="probability")
    rotation_deg: float = Field(20.0, ge=0, description="either way")
    scale: float = Field(0.15, ge=0, lt=1, description="relative, either way")
    shift_cm: float = Field(12.0, ge=0, description="along the mat; across it in proportion to its width")
    gamma: float = Field(0.35, ge=0, description="log of the exponent that bends the pressure curve")
    noise: float = Field(0.03, ge=0, description="standard deviation in model input units")
    dropped_taxels: float = Field(0.01, ge=0, le=1, description="share of taxels without signal")
    dropped_lines: float = Field(0.1, ge=0, le=1, description="probability of one row or column without signal")
    bright_lines: float = Field(0.1, ge=0, le=1, description="probability of one row or column that shows too much")
    blur: float = Field(0.3, ge=0, le=1, description="probability of crosstalk between neighbours")
    soft_layer: float = Field(0.4, ge=0, le=1, description="probability of a soft layer over the sensors")
    pillow: float = Field(0.4, ge=0, le=1, description="probability of a pillow that spreads the head's pressure")


class TrainConfig(Strict):
    """One run of CRWT: `steps_mask` steps of stage 1, `steps_map` of stage 2."""

    seed: int = Field(0, ge=0, description="of weights, batches and augmentation")
    batch: int = Field(32, gt=0, description="maps in a step")
    micro_batches: int = Field(1, gt=0, description="equal parts of a batch, each with batch statistics of its own")
    steps_mask: int = Field(1000, ge=0, description="steps of stage 1, contact or not; 0: without CRWT")
    steps_map: int = Field(7000, gt=0, description="steps of stage 2, the map itself")
    steps_quant: int = Field(
        0, ge=0, description="steps of a stage 3, in which the encoder computes as int8 will; 0: none"
    )
    frozen_steps: int = Field(150, ge=0, description="first steps of stage 2 during which the encoder rests")
    learning_rate: float = Field(3e-3, gt=0, description="highest of each stage")
    weight_decay: float = Field(1e-3, ge=0, description="of AdamW")
    average_span: float = Field(
        0.5, ge=0, le=1, description="share of stage 2's steps whose mean its weights end as; 0: the last step's"
    )
    teacher_decay: float = Field(
        0.999, ge=0, lt=1, description="share of its own weights that the teacher keeps a step"
    )
    simulated_people: int = Field(2000, ge=0, description="one still map of each is generated at the start; 0: none")
    simulated_share: float = Field(0.25, ge=0, le=1, description="share of simulated maps in a batch")
    simulated_evenly: bool = Field(
        True, description="draw every way of lying of simulated people equally often; else every person"
    )
    annotated_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of annotated maps among the real ones of a batch, where there are others too; "
        "0: every real map equally often",
    )
    other_frame: float = Field(0.0, ge=0, le=1, description="probability that a map's second view is of another frame")
    rows: int = Field(64, gt=0, multiple_of=8, description="of the model's grid")
    cols: int = Field(32, gt=0, multiple_of=8, description="of the model's grid")
    pitch_cm: float = Field(2.54, gt=0, description="between the taxels of the model's grid")
    body: bool = Field(True, description="let the poses of people decide where heat maps leave joints open")
    preprocessing: Preprocessing = Preprocessing()
    encoder: AnyEncoderConfig = EncoderConfig()
    rebuild: RebuildConfig = RebuildConfig()
    weights: LossWeights = LossWeights()
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _joint_loss_has_an_output(self) -> Self:
        needed = self.weights.joints or self.weights.consistency
        if needed and isinstance(self.encoder, ReferenceConfig) and not self.encoder.joints:
            raise ValueError("weights.joints counts, but encoder.joints is false: set one to 0, or the other true")
        return self

    @model_validator(mode="after")
    def _batch_has_equal_parts(self) -> Self:
        if self.batch % self.micro_batches:
            raise ValueError(f"a batch of {self.batch} has no {self.micro_batches} equal parts: change micro_batches")
        return self

    @property
    def training_preprocessing(self) -> Preprocessing:
        """How maps are shown in training: their contrast varies more than after levelling, and so must the model's eye.

        Heads are fitted on what `preprocessing` shows.
        """
        return self.preprocessing.model_copy(update=SQUARE_ROOT)

    @property
    def steps(self) -> int:
        return self.steps_mask + self.steps_map + self.steps_quant


def read_config(path: Path | None, base: TrainConfig | None = None, **overrides: Any) -> TrainConfig:
    """`base` or the defaults, over them the TOML file, over it `overrides`.

    Raises Failure (78) that names file, key and reason.
    """
    try:
        settings = tomllib.loads(path.read_text()) if path else {}
        known = base.model_dump() if base else {}
        return TrainConfig.model_validate(laid_over(known, settings) | overrides)
    except OSError as error:
        raise Failure(f"cannot read configuration {path}: {error.strerror}", Exit.MISSING_INPUT) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"configuration {path} is no TOML: {error}", Exit.BAD_CONFIG) from None
    except ValidationError as error:
        where = path or "on the command line"
        raise Failure(f"configuration {where}: {first_problem(error)}", Exit.BAD_CONFIG) from None


def first_problem(error: ValidationError) -> str:
    """The first wrong key and what was expected there; without a key where the whole is wrong."""
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the keys of `above`, table by table."""
    tables = {
        name: laid_over(below[name], value)
        for name, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(name), dict)
    }
    return below | above | tables


def documented_toml(config: BaseModel) -> str:
    """`config` as TOML with each key's meaning as a comment: what `--config` reads."""
    return "\n".join(_lines(config, "")) + "\n"


def _lines(config: BaseModel, section: str) -> Iterator[str]:
    tables = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            tables.append((name, value))
        else:
            yield f"{name} = {json.dumps(value)}  # {field.description}"
    for name, value in tables:
        path = f"{section}.{name}" if section else name
        yield ""
        yield f"# {(type(value).__doc__ or '').splitlines()[0]}"
        yield f"[{path}]"
        yield from _lines(value, path)
