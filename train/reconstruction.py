"""How well pressure maps come back from the keypoints, and from as many principal components (PCA) instead.

What the decoder draws is corrected linearly for the mat, by the same maps of the training people that PCA is fitted on.
All maps are compared on the mat's own taxels, as the model sees pressure: 0..1, a power of the share of the
frame's scale. So models on grids of any size can be set side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ssim
from torch import Tensor
from torch.nn import functional as F

from edge.preprocess import Preprocessor
from firmware_bridge.errors import Exit, Failure
from train.checkpoint import Checkpoint
from train.correction import Correction
from train.maps import Maps
from train.rebuild import EncoderFuserDecoder
from train.scoring import INTERVAL_PERCENT, RESAMPLES

MEASURES: Final = ("l1", "l2", "ssim")
"""Mean absolute difference, mean squared difference, structural similarity with a window of 11 taxels."""
KEYPOINTS: Final = "keypoints"
DECODER: Final = "keypoints, decoder alone"
PCA: Final = "PCA"
PCA_MIRRORED: Final = "PCA, mirrored maps too"
BATCH: Final = 16

Values = NDArray[np.floating]


class Rebuilder:
    """The whole net of a checkpoint: maps through the keypoints and back."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises Failure (78) for a checkpoint without a decoder, or with one of another version."""
        config = checkpoint.config
        if checkpoint.rest is None:
            raise Failure("this checkpoint holds the encoder alone: give checkpoint.pt of train-run", Exit.BAD_CONFIG)
        net = EncoderFuserDecoder(config.rows, config.cols, config.encoder, config.rebuild)
        try:
            net.load_state_dict({f"encoder.{name}": t for name, t in checkpoint.encoder.items()} | checkpoint.rest)
        except RuntimeError:
            raise Failure(
                "the checkpoint's decoder is built otherwise than this version's: train it again", Exit.BAD_CONFIG
            ) from None
        self._net = net.eval()
        self._grid, self._constants = checkpoint.grid, config.training_preprocessing
        self.position_numbers = 3 * config.encoder.keypoints
        """x, y and value of each point."""
        features = config.encoder.feature_channels * config.encoder.keypoints
        self.numbers = self.position_numbers + (features if config.rebuild.dense else 0)
        """All that the decoder gets to know of a map: the rendering shows positions and values only."""

    def inputs(self, maps: Maps) -> NDArray[np.float32]:
        """(N, mat rows, mat cols) in 0..1: the model's input in training as the mat's own taxels see it."""
        return maps.examples(maps.grid, self._constants).inputs

    def __call__(self, maps: Maps) -> "Rebuilt":
        """The same, rebuilt from the keypoints by the decoder."""
        inputs = maps.examples(self._grid, self._constants).inputs
        preprocessor = Preprocessor(maps.grid, self._grid, self._constants)
        numbers, rebuilt = [], []
        for begin in range(0, len(inputs), BATCH):
            with torch.inference_mode():
                _, points = self._net.encode(torch.from_numpy(inputs[begin : begin + BATCH])[:, None])
                numbers.append(torch.cat([points.xy_norm.flatten(1), points.value], 1))
                rebuilt.append(self._net.map_head(self._net.decode(points))[:, 0].clamp(0, 1))
        return Rebuilt(torch.cat(numbers).numpy(), at_taxels(torch.cat(rebuilt), preprocessor).numpy())


class Rebuilt(NamedTuple):
    """Maps as the decoder draws them, and what it drew them from."""

    numbers: NDArray[np.float32]
    """(N, 3K): x, y and value of the points."""
    maps: NDArray[np.float32]
    """(N, mat rows, mat cols) in 0..1."""


def at_taxels(maps: Tensor, preprocessor: Preprocessor) -> Tensor:
    """Maps on the model's grid (N, H, W) where the mat's taxels have their centres: (N, mat rows, mat cols)."""
    mat = preprocessor.mat
    x_cm = (np.arange(mat.cols) + 0.5) * mat.pitch_x_cm
    y_cm = (np.arange(mat.rows) + 0.5) * mat.pitch_y_cm
    xy_norm = preprocessor.model_norm(np.stack(np.meshgrid(x_cm, y_cm), -1))
    places = torch.from_numpy((2 * xy_norm - 1).astype(np.float32)).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps[:, None], places, align_corners=False)[:, 0]


@dataclass(frozen=True)
class Principal:
    """Principal components of maps, the strongest first."""

    mean: NDArray[np.float64]
    """(rows, cols)."""
    axes: NDArray[np.float64]
    """(components, rows * cols)."""

    @classmethod
    def fit(cls, maps: Values, components: int) -> Self:
        """maps (N, rows, cols), more than `components`. Raises Failure (66) where they are too few."""
        if len(maps) <= components:
            raise Failure(
                f"{components} components need more than the {len(maps)} maps there are: raise --frames",
                Exit.MISSING_INPUT,
            )
        mean = maps.mean(0, dtype=np.float64)
        centred = (maps - mean).reshape(len(maps), -1)
        fewer_maps = len(maps) < centred.shape[1]
        _, vectors = np.linalg.eigh(centred @ centred.T if fewer_maps else centred.T @ centred)
        strongest = vectors[:, ::-1][:, :components]
        axes, _ = np.linalg.qr(centred.T @ strongest if fewer_maps else strongest)
        return cls(mean, axes.T)

    def rebuild(self, maps: Values, components: int) -> NDArray[np.float32]:
        """maps (N, rows, cols) from their first `components` numbers, cut to 0..1."""
        axes = self.axes[:components]
        flat = (maps - self.mean).reshape(len(maps), -1) @ axes.T @ axes
        return np.clip(flat.reshape(maps.shape) + self.mean, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Way:
    """One way to carry maps through few numbers."""

    name: str
    numbers: int
    rebuilt: NDArray[np.float32]
    """(G, rows, cols)."""
    quality: NDArray[np.float64]
    """(G, 3), see MEASURES."""


@dataclass(frozen=True)
class Study:
    """One model on its test people: one median map a group, rebuilt in several ways; KEYPOINTS is the first."""

    maps: Maps
    inputs: NDArray[np.float32]
    """(G, rows, cols): what was to be rebuilt."""
    ways: list[Way]
    seen_in_training: list[str]


def study(checkpoint: Checkpoint, training: Maps, test: Maps, frames: int) -> Study:
    """PCA is fitted on `frames` frames of each group of `training`, without and with their mirror images.

    So is what corrects the decoder, without: a mat's seams are not mirrored.
    """
    rebuilder = Rebuilder(checkpoint)
    medians, chosen = test.medians(), spread_frames(training, frames)
    truth, known = rebuilder.inputs(medians), rebuilder.inputs(chosen)
    found, learnt = rebuilder(medians), rebuilder(chosen)
    people = [chosen.groups[g].person for g in chosen.group_index]
    correction = Correction.fit(learnt.numbers, known - learnt.maps, people)
    corrected = np.clip(found.maps + correction(found.numbers), 0, 1).astype(np.float32)

    def way(name: str, numbers: int, rebuilt: NDArray[np.float32]) -> Way:
        return Way(name, numbers, rebuilt, measure(rebuilt, truth))

    ways = [way(KEYPOINTS, rebuilder.numbers, corrected), way(DECODER, rebuilder.numbers, found.maps)]
    for name, shown in {PCA: known, PCA_MIRRORED: np.concatenate([known, known[:, :, ::-1]])}.items():
        # more components than a map has taxels do not exist
        counts = {min(n, truth[0].size) for n in (rebuilder.position_numbers, rebuilder.numbers)}
        principal = Principal.fit(shown, max(counts))
        for numbers in sorted(counts):
            ways.append(way(name, numbers, principal.rebuild(truth, numbers)))
    return Study(medians, truth, ways, sorted(set(test.people) & set(checkpoint.training.people)))


def spread_frames(maps: Maps, count: int) -> Maps:
    """At most `count` frames of each group, evenly spread over it."""
    chosen = []
    for group in range(len(maps.groups)):
        frames = np.flatnonzero(maps.group_index == group)
        chosen.append(frames[np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))])
    keep = np.concatenate(chosen)
    return Maps(maps.pressure[keep], maps.grid, maps.groups, maps.group_index[keep], maps.joints)


def measure(rebuilt: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, rows, cols) twice -> (N, 3), see MEASURES."""
    difference = rebuilt - truth
    pair = (torch.from_numpy(maps)[:, None] for maps in (rebuilt, truth))
    similarity = ssim(*pair, data_range=1.0, size_average=False).numpy()
    return np.stack([np.abs(difference).mean((1, 2)), np.square(difference).mean((1, 2)), similarity], 1)


def summary(studies: Sequence[Study]) -> dict[str, Any]:
    """All folds' maps together, with 95 % bootstrap intervals over people.

    `difference` is keypoints minus that way, map by map: below 0 in l1 and l2, above 0 in ssim is better than it.
    Raises Failure (2) for folds whose models differ in their numbers.
    """
    kinds = [[(way.name, way.numbers) for way in fold.ways] for fold in studies]
    if any(kind != kinds[0] for kind in kinds):
        raise Failure("the folds' keypoints carry different numbers: give folds of one configuration", Exit.USAGE)
    people = np.array([group.person for fold in studies for group in fold.maps.groups])
    qualities = [np.concatenate([fold.ways[i].quality for fold in studies]) for i in range(len(kinds[0]))]
    rows = []
    for (name, numbers), quality in zip(kinds[0], qualities, strict=True):
        row: dict[str, Any] = {"way": name, "numbers": numbers, **over_people(quality, people)}
        if name != KEYPOINTS:
            row["difference"] = over_people(qualities[0] - quality, people)
        rows.append(row)
    data = {
        "people": sorted(set(people.tolist())),
        "maps": len(people),
        "seen_in_training": sorted({person for fold in studies for person in fold.seen_in_training}),
    }
    return {"ways": rows, "data": data}


def over_people(values: NDArray[np.float64], people: NDArray[np.str_]) -> dict[str, Any]:
    """(G, 3), (G,) -> mean of each measure and its 95 % bootstrap interval over people; None for a single one."""
    names, person, count = np.unique(people, return_inverse=True, return_counts=True)
    sums = np.stack([values[person == i].sum(0) for i in range(len(names))])
    result: dict[str, Any] = dict(zip(MEASURES, values.mean(0).tolist(), strict=True))
    result["interval_95"] = None
    if len(names) > 1:
        drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
        means = sums[drawn].sum(1) / count[drawn].sum(1)[:, None]
        result["interval_95"] = dict(
            zip(MEASURES, np.percentile(means, INTERVAL_PERCENT, axis=0).T.tolist(), strict=True)
        )
    return result
