"""The manifest beside every .tflite: what the model is, what it was fed, what it is worth."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS, MIRRORED_POSTURE

COORDINATES: Final = 2 * len(JOINTS)
"""x and y of each joint, one after the other."""
_TRIANGLE: Final = COORDINATES * (COORDINATES + 1) // 2
Coordinates = Annotated[list[float], Field(min_length=COORDINATES, max_length=COORDINATES)]
Triangle = Annotated[list[float], Field(min_length=_TRIANGLE, max_length=_TRIANGLE)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Preprocessing(Strict):
    """Constants of edge.preprocess."""

    baseline_percent: int = Field(25, ge=0, le=100, description="rank of the frame that counts as no load")
    scale_percent: int = Field(99, ge=0, le=100, description="rank of the frame that becomes 1 and clips")
    loaded_percent: int = Field(1, gt=0, lt=100, description="of full load, above which a taxel counts as loaded")
    middle_percent: int = Field(
        70, ge=0, lt=100, description="rank of the loaded taxels that becomes `middle`; 0: always a square root"
    )
    middle: float = Field(0.46, gt=0, lt=1, description="the input that the middle load becomes")


class Input(Strict):
    """Quantisation of the model's input."""

    scale: PositiveFloat
    zero_point: int = Field(ge=-128, le=127)


class Output(Strict):
    """One int8 output of the graph: k heat maps of logits on rows x cols cells."""

    name: Literal["keypoints", "joints"]
    index: int = Field(ge=0, description="position among the graph's outputs")
    rows: PositiveInt
    cols: PositiveInt
    k: PositiveInt
    scale: PositiveFloat
    zero_point: int = Field(ge=-128, le=127)


class LinearHead(Strict):
    """What is read linearly from the features of points (4 each), see edge.keypoints."""

    weights: list[list[float]] = Field(description="(features, outputs)")
    bias: list[float]

    @cached_property
    def matrices(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.weights), np.array(self.bias)

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., features) -> (..., outputs)."""
        weights, bias = self.matrices
        return np.asarray(features @ weights + bias)


class JointMap(LinearHead):
    """Linear map from the label-free keypoints to x_norm, y_norm of each of the 14 joints: 28 outputs."""

    people: list[str] = Field(description="whose labels it was fitted on")


class Posture(LinearHead):
    """Linear posture head, one output a class; the largest wins."""

    classes: list[str] = Field(min_length=1)
    reads: list[Literal["keypoints", "joints"]] = Field(
        ["keypoints"], min_length=1, description="outputs whose points' features it takes, one after the other"
    )

    @cached_property
    def images(self) -> list[int]:
        """Which class the mirror image of each class is of."""
        images = [MIRRORED_POSTURE.get(name, name) for name in self.classes]
        return [self.classes.index(image) if image in self.classes else own for own, image in enumerate(images)]

    def votes(self, features: NDArray[np.floating], of_images: NDArray[np.floating] | None = None) -> list[str]:
        """Classes of N maps from what was read of them (N, features) and perhaps of their mirror images."""
        scores = self(features)
        if of_images is not None:
            scores += self(of_images)[:, self.images]
        return [self.classes[vote] for vote in scores.argmax(1).tolist()]


class Confidence(Strict):
    """confidence = 1 / (1 + (spread / half)^2), see edge.keypoints."""

    keypoints_half_cm: PositiveFloat = 8.0
    joints_half_cm: list[PositiveFloat] = Field(
        [8.0] * len(JOINTS),
        min_length=len(JOINTS),
        max_length=len(JOINTS),
        description="spread of each joint's heat map at which the joint is 5 cm off, on average",
    )


class Body(Strict):
    """What bodies look like, one normal distribution for each way of lying: see edge.body."""

    shapes: list[str] = Field(min_length=1, description="left, right, supine, other: those that enough poses showed")
    shares: list[PositiveFloat] = Field(description="of the poses, one a shape")
    mean_cm: list[Coordinates] = Field(
        description="x, y of each joint from the top left corner of the model's grid, a row for each shape"
    )
    covariance_cm2: list[Triangle] = Field(description="lower triangles, row by row, one a shape")
    people: list[str] = Field(description="whose annotated poses it was fitted on, beside simulated people's")

    @model_validator(mode="after")
    def _one_of_each_a_shape(self) -> Self:
        lengths = {len(self.shapes), len(self.shares), len(self.mean_cm), len(self.covariance_cm2)}
        if len(lengths) > 1:
            raise ValueError(f"shapes, shares, mean_cm and covariance_cm2 have {sorted(lengths)} entries, not as many")
        return self

    @model_validator(mode="after")
    def _covariances_are_some(self) -> Self:
        if np.linalg.eigvalsh(self.matrices()).min() <= 0:
            raise ValueError("covariance_cm2 has a matrix that is not positive definite")
        return self

    def matrices(self) -> NDArray[np.float64]:
        """(shapes, 28, 28) covariances in square cm."""
        whole = np.zeros((len(self.shapes), COORDINATES, COORDINATES))
        rows, cols = np.tril_indices(COORDINATES)
        whole[:, rows, cols] = whole[:, cols, rows] = self.covariance_cm2
        return whole


class Accuracy(Strict):
    """One row of the accuracy table: whose maps, how far off."""

    what: str = Field(description="joint output or joint map; float or int8")
    people: list[str]
    maps: int
    mean_cm: float
    pck_5cm: float = Field(description="per cent")
    pck_10cm: float = Field(description="per cent")


class Training(Strict):
    """Where the weights come from."""

    data: list[str] = Field(description="data sets with their licence and attribution")
    people: list[str] = Field(description="people whose maps were trained on, e.g. pmd:1")
    labelled_people: list[str] = Field(description="people whose joint labels were used; empty for label-free models")
    simulated_seeds: str = Field(description="seeds of simulated people trained on, e.g. 0-1999")
    steps: int
    command: str
    software: str
    init_sha256: Sha256 | None = Field(None, description="hash of the model that training began from; null: none")
    labels_sha256: Sha256 | Literal[""] | None = Field(
        None, description="hash of the joint labels that training itself was given; empty: none; null: not recorded"
    )


class Calibration(Strict):
    """What the int8 ranges were read from."""

    people: list[str]
    frames: int
    clipped_percent: float = Field(description="share of input samples beyond the int8 range")


class Manifest(Strict):
    """`name.json` beside `name.tflite`."""

    format: Literal[2] = 2
    name: str
    version: str
    requires_software: str = Field(description="smallest version of this software that can run the model")
    model_sha256: Sha256
    encoder_sha256: Sha256 | None = Field(description="hash of name.encoder.pt")
    variant: str
    rows: PositiveInt
    cols: PositiveInt
    pitch_x_cm: PositiveFloat
    pitch_y_cm: PositiveFloat
    preprocessing: Preprocessing
    input: Input
    outputs: list[Output] = Field(min_length=1)
    joint_map: JointMap | None = None
    posture: Posture | None = None
    confidence: Confidence = Confidence()
    body: Body | None = Field(None, description="where heat maps leave joints open; null: they stay where those are")
    training: Training
    calibration: Calibration
    accuracy: list[Accuracy]
    parameters: PositiveInt
    mac: PositiveInt
    arena_bytes: PositiveInt

    @property
    def grid(self) -> Grid:
        return Grid(self.rows, self.cols, self.pitch_x_cm, self.pitch_y_cm)

    def output(self, name: Literal["keypoints", "joints"]) -> Output | None:
        return next((o for o in self.outputs if o.name == name), None)


def read_manifest(path: Path) -> Manifest:
    """Read `path`; raises Failure (78) that names the first wrong key."""
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Failure(f"no manifest {path} beside the model: convert-run writes both", Exit.BAD_CONFIG) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        raise Failure(f"manifest {path}: {key}: {first['msg']}", Exit.BAD_CONFIG) from None
    joints = manifest.output("joints")
    if joints and joints.k != len(JOINTS):
        raise Failure(f"manifest {path}: output joints has {joints.k} maps, not {len(JOINTS)}", Exit.BAD_CONFIG)
    return manifest
