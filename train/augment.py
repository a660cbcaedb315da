"""Random changes of model inputs, and what they do to points."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import MIRRORED
from train.config import Augmentation

PILLOW_CM = (16.0, 32.0)
"""How far down from the mat's top edge a pillow reaches."""
PILLOW_EDGE_CM = 2.0
PILLOW_TAXELS = 7
"""Side of the square over which it spreads pressure, twice."""
PILLOW_STRENGTH = (0.6, 1.4)
SOFT_LAYER_TAXELS = (3, 5)
"""Sides of the squares over which a soft layer spreads pressure, one after the other."""
BRIGHT = (0.1, 0.5)
"""What a bright line adds, in model input units."""
PEAK_TAXELS = 20
"""So many taxels, 1 % of 64 x 32, may exceed what counts as the peak (edge.preprocess's scale)."""


class Similarity(NamedTuple):
    """One transform a sample: xy_cm -> matrix @ xy_cm + shift_cm, about the centre of the map."""

    matrix: Tensor
    """(B, 2, 2)."""
    shift_cm: Tensor
    """(B, 2)."""
    mirrored: Tensor
    """(B,) bool."""
    grid: Grid

    @property
    def _size_cm(self) -> Tensor:
        return torch.tensor([self.grid.width_cm, self.grid.height_cm]).to(self.matrix)

    def points_norm(self, xy_norm: Tensor) -> Tensor:
        """Where points (B, K, 2) go."""
        centred_cm = (xy_norm - 0.5) * self._size_cm
        moved_cm = centred_cm @ self.matrix.transpose(1, 2) + self.shift_cm[:, None]
        return moved_cm / self._size_cm + 0.5

    def maps(self, x: Tensor) -> Tensor:
        """The transformed maps (B, 1, H, W); no pressure comes in from outside."""
        half_cm = self._size_cm / 2
        inverse = torch.linalg.inv(self.matrix)
        offset_cm = -(inverse @ self.shift_cm[..., None])[..., 0]
        theta = torch.cat([inverse * half_cm / half_cm[:, None], (offset_cm / half_cm)[..., None]], -1)
        sampling = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, sampling, align_corners=False)

    def joints_norm(self, joints: Tensor) -> Tensor:
        """Where joints (B, 14, 2 or 3) go; in a mirrored body left is right."""
        swapped = torch.where(self.mirrored[:, None, None], joints[:, list(MIRRORED)], joints)
        return torch.cat([self.points_norm(swapped[..., :2]), swapped[..., 2:]], -1)


def random_similarity(count: int, size: Augmentation, grid: Grid, random: torch.Generator) -> Similarity:
    """Mirror, rotation, scale and shift within `size`, on the device of `random`."""

    def uniform(limit: float) -> Tensor:
        return (_uniform(random, count) * 2 - 1) * limit

    angle, scale = uniform(math.radians(size.rotation_deg)), 1 + uniform(size.scale)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    mirrored = _uniform(random, count) < size.mirror
    sign = torch.where(mirrored, -1.0, 1.0)
    matrix = torch.stack([torch.stack([cos * sign, -sin], -1), torch.stack([sin * sign, cos], -1)], -2)
    aspect = torch.tensor([grid.width_cm / grid.height_cm, 1.0], device=random.device)
    shift_cm = torch.stack([uniform(size.shift_cm), uniform(size.shift_cm)], -1) * aspect
    return Similarity(matrix, shift_cm, mirrored, grid)


def soft_layer(x: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Model inputs (B, 1, H, W), some of them as through a soft layer between body and sensors.

    It spreads the pressure over neighbouring taxels; the strongest taxels are scaled to where they were.
    """
    count = len(x)
    chosen = _uniform(random, count, 1, 1, 1) < probability
    weight = _uniform(random, count, 1, 1, 1)
    pressure = x.square()  # the input is a root; what spreads is the pressure
    spread = pressure
    for taxels in SOFT_LAYER_TAXELS:
        spread = F.avg_pool2d(spread, taxels, 1, taxels // 2)
    mixed = weight * spread + (1 - weight) * pressure
    peak, new_peak = (p.flatten(1).topk(PEAK_TAXELS).values[:, -1, None, None, None] for p in (pressure, mixed))
    return torch.where(chosen, (mixed * peak / new_peak.clamp_min(1e-6)).sqrt().clamp_max(1), x)


def distort(x: Tensor, size: Augmentation, random: torch.Generator) -> Tensor:
    """What other sensors do to the same pressure: bent curve, crosstalk, noise, dead taxels and lines."""
    count, _, rows, cols = x.shape

    def chance(probability: float, *shape: int) -> Tensor:
        return _uniform(random, *shape) < probability

    if size.soft_layer:
        x = soft_layer(x, size.soft_layer, random)
    exponent = torch.exp((_uniform(random, count, 1, 1, 1) * 2 - 1) * size.gamma)
    x = x.clamp_min(0) ** exponent
    weight = torch.where(chance(size.blur, count, 1, 1, 1), _uniform(random, count, 1, 1, 1), 0.0)
    x = x + weight * (F.avg_pool2d(x, 3, 1, 1) - x)
    x = x * (1 + 0.15 * (_uniform(random, count, 1, 1, 1) * 2 - 1))
    level = size.noise * _uniform(random, count, 1, 1, 1)
    x = x + level * torch.randn(x.shape, generator=random, device=random.device)
    dead = chance(size.dropped_taxels, *x.shape)
    line = chance(size.dropped_lines, count)
    dead |= (line & chance(0.5, count))[:, None, None, None] & _one_of(rows, count, random)[:, None, :, None]
    dead |= (line & chance(0.5, count))[:, None, None, None] & _one_of(cols, count, random)[:, None, None, :]
    if size.bright_lines:
        line, along_a_row = chance(size.bright_lines, count), chance(0.5, count, 1, 1, 1)
        row, col = _one_of(rows, count, random)[:, None, :, None], _one_of(cols, count, random)[:, None, None, :]
        low, high = BRIGHT
        added = line[:, None, None, None] * (low + (high - low) * _uniform(random, count, 1, 1, 1))
        x = x + added * torch.where(along_a_row, row, col)
    return x.masked_fill(dead, 0).clamp(0, 1)


def pillow(x: Tensor, probability: float, grid: Grid, random: torch.Generator) -> Tensor:
    """Canonical model inputs (B, 1, H, W), in some of which a pillow spreads the pressure at the head end."""
    count, _, rows, _ = x.shape

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * _uniform(random, count, 1, 1, 1)

    chosen = _uniform(random, count, 1, 1, 1) < probability
    y_cm = ((torch.arange(rows).to(x) + 0.5) * grid.pitch_y_cm)[None, None, :, None]
    on_pillow = torch.sigmoid((between(*PILLOW_CM) - y_cm) / PILLOW_EDGE_CM)
    pressure = x.square()  # the input is a root; what spreads is the pressure
    for _ in range(2):
        pressure = F.avg_pool2d(pressure, PILLOW_TAXELS, 1, PILLOW_TAXELS // 2, count_include_pad=False)
    spread = (between(*PILLOW_STRENGTH) * pressure).sqrt()
    return torch.where(chosen, on_pillow * spread + (1 - on_pillow) * x, x)


def _uniform(random: torch.Generator, *shape: int) -> Tensor:
    """In 0..1, on the device of `random`."""
    return torch.rand(shape, generator=random, device=random.device)


def _one_of(length: int, count: int, random: torch.Generator) -> Tensor:
    """(count, length) bool with one True a row."""
    return F.one_hot(torch.randint(length, (count,), generator=random, device=random.device), length).bool()
