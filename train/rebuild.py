"""Fuser and Decoder: keypoints -> the pressure map again. Only training needs them (SPMKD sections III-B and III-C)."""

import math
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from edge.manifest import Strict
from train.encoder import HeatMaps, Points, soft_argmax
from train.variants import AnyEncoderConfig

SHRINK = 4
"""The decoder's first plane is this much smaller than the map, on each side."""


class RebuildConfig(Strict):
    """What the Fuser and the Decoder are made of; each switch is an ablation."""

    widths: tuple[int, int, int] = Field((16, 32, 16), description="channels at a quarter, half and full resolution")
    dilations: tuple[int, ...] = Field((1, 3, 5), min_length=1, description="of an expansion's parallel convolutions")
    exchange: bool = Field(True, description="let every scale receive every other scale")
    dense: bool = Field(False, description="fill the decoder's first plane by a fully connected layer")
    dense_channels: int = Field(16, gt=0, description="of what that layer fills; convolved where it is not widths[0]")
    rendering: bool = Field(True, description="hand the points to the decoder as Gaussians (ours, not the paper's)")
    rendering_sigma_cells: float = Field(1.5, gt=0, description="of these Gaussians, at half resolution")

    @model_validator(mode="after")
    def _decoder_gets_something(self) -> Self:
        if not self.dense and not self.rendering:
            raise ValueError("dense and rendering are both off: the decoder would get nothing")
        return self


class Fuser(nn.Module):
    """Expands the positive vectors (3K -> CK) and joins the feature vectors (CK), so that they weigh the same."""

    def __init__(self, keypoints: int, channels: int) -> None:
        super().__init__()
        self.expand = nn.Linear(3 * keypoints, channels * keypoints)

    def forward(self, points: Points) -> Tensor:
        """Points -> (B, 2CK)."""
        positive = torch.cat([points.value[..., None], points.xy_norm], -1).flatten(1)
        return torch.cat([self.expand(positive), points.features.flatten(1)], 1)


class Expansion(nn.Module):
    """Parallel 3x3 convolutions with different dilations, summed, then upsampled twofold."""

    def __init__(self, cin: int, cout: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(cin, cout, 3, padding=d, dilation=d, bias=False) for d in dilations)
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(torch.stack([branch(x) for branch in self.branches]).sum(0)))
        return F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)


class Exchange(nn.Module):
    """The scales named in `into` receive every other scale, resized; the others are not needed further on."""

    def __init__(self, widths: tuple[int, ...], into: tuple[int, ...]) -> None:
        super().__init__()
        self.into = into
        self.routes = nn.ModuleList(
            nn.ModuleList(nn.Identity() if i == j else nn.Conv2d(widths[j], widths[i], 1) for j in range(len(widths)))
            for i in into
        )

    def forward(self, scales: list[Tensor]) -> list[Tensor]:
        received = []
        for i, routes in zip(self.into, self.routes, strict=True):
            parts = [_resized(route(s), scales[i]) for route, s in zip(routes.children(), scales, strict=True)]
            received.append(F.relu(torch.stack(parts).sum(0)))
        return received


def _resized(x: Tensor, like: Tensor) -> Tensor:
    if x.shape[-2:] == like.shape[-2:]:
        return x
    if x.shape[-1] > like.shape[-1]:
        return F.adaptive_avg_pool2d(x, (like.shape[-2], like.shape[-1]))
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class RebuildNet(nn.Module):
    """A small plane, expanded twice; after each expansion all scales exchange what they know."""

    def __init__(self, config: RebuildConfig, rendered: int) -> None:
        super().__init__()
        low, mid, full = config.widths
        self.expand_mid = Expansion(low, mid, config.dilations)
        self.expand_full = Expansion(mid, full, config.dilations)
        self.rendered_to_low = nn.Conv2d(rendered, low, 3, padding=1) if rendered else None
        self.rendered_to_mid = nn.Conv2d(rendered, mid, 3, padding=1) if rendered else None
        self.exchange_two = Exchange((low, mid), into=(0, 1)) if config.exchange else None
        self.exchange_three = Exchange((low, mid, full), into=(2,)) if config.exchange else None

    def forward(self, plane: Tensor | None, rendered: Tensor | None) -> Tensor:
        """plane (B, widths[0], H/4, W/4), rendered (B, 2K, H/2, W/2), or one of them -> (B, widths[2], H, W)."""
        low = plane
        if rendered is not None and self.rendered_to_low is not None:
            from_points = F.relu(self.rendered_to_low(F.avg_pool2d(rendered, 2)))
            low = from_points if low is None else low + from_points
        mid = self.expand_mid(low)
        if rendered is not None and self.rendered_to_mid is not None:
            mid = mid + F.relu(self.rendered_to_mid(rendered))
        if self.exchange_two is not None:
            low, mid = self.exchange_two([low, mid])
        full = self.expand_full(mid)
        if self.exchange_three is not None:
            (full,) = self.exchange_three([low, mid, full])
        return full


class EncoderFuserDecoder(nn.Module):
    """The whole that is trained; `encoder` alone ships.

    Heads are interchangeable (CRWT): `mask_head` says contact or not, `map_head` the pressure.
    """

    def __init__(self, rows: int, cols: int, encoder: AnyEncoderConfig, rebuild: RebuildConfig) -> None:
        super().__init__()
        self.encoder = encoder.build()
        self.rebuild = rebuild
        plane = (rebuild.dense_channels, rows // SHRINK, cols // SHRINK)
        self._rendered_size = (2 * plane[1], 2 * plane[2])
        self.to_plane: nn.Sequential | None = None
        if rebuild.dense:
            self.to_plane = nn.Sequential(
                Fuser(encoder.keypoints, encoder.feature_channels),
                nn.Linear(2 * encoder.feature_channels * encoder.keypoints, math.prod(plane)),
                nn.ReLU(),
                nn.Unflatten(1, plane),
            )
            if rebuild.dense_channels != rebuild.widths[0]:
                self.to_plane.extend([nn.Conv2d(rebuild.dense_channels, rebuild.widths[0], 3, padding=1), nn.ReLU()])
        self.net = RebuildNet(rebuild, 2 * encoder.keypoints if rebuild.rendering else 0)
        self.mask_head = nn.Conv2d(rebuild.widths[2], 2, 3, padding=1)
        self.map_head = nn.Conv2d(rebuild.widths[2], 1, 3, padding=1)

    def encode(self, x: Tensor) -> tuple[HeatMaps, Points]:
        """(B, 1, H, W) -> heat maps and label-free points."""
        maps = self.encoder(x)
        return maps, soft_argmax(maps.keypoints, x, maps.features)

    def decode(self, points: Points) -> Tensor:
        """Points -> (B, C, H, W), for a head."""
        plane = None if self.to_plane is None else self.to_plane(points)
        rendered = None
        if self.rebuild.rendering:
            rendered = render(points, *self._rendered_size, self.rebuild.rendering_sigma_cells)
        return self.net(plane, rendered)


def render(points: Points, rows: int, cols: int, sigma_cells: float) -> Tensor:
    """Gaussians where the points lie, plain and weighted with their value: (B, 2K, rows, cols)."""
    x, y = points.xy_norm[..., 0, None] * cols, points.xy_norm[..., 1, None] * rows
    along_x = torch.exp(-((torch.arange(cols).to(x) + 0.5 - x) ** 2) / (2 * sigma_cells**2))
    along_y = torch.exp(-((torch.arange(rows).to(y) + 0.5 - y) ** 2) / (2 * sigma_cells**2))
    blobs = along_y[..., :, None] * along_x[..., None, :]
    return torch.cat([blobs, blobs * points.value[..., None, None]], 1)
