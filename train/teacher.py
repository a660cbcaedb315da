"""The mean teacher (Tarvainen and Valpola, arXiv 1703.01780): it names joints where nobody has."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from edge.body import BodyPrior
from edge.keypoints import FEATURE_HALF_CM, Keypoints
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import MIRRORED
from train.average import follow
from train.compute import Compute
from train.encoder import soft_argmax


class Teacher:
    """An encoder whose weights and batch statistics follow another's slowly, and who knows what a body looks like."""

    def __init__(self, encoder: nn.Module, grid: Grid, compute: Compute, body: BodyPrior | None = None) -> None:
        self.encoder = copy.deepcopy(encoder).requires_grad_(False).eval()
        self.grid, self.compute, self.body = grid, compute, body

    def follow(self, encoder: nn.Module, decay: float) -> None:
        """See train.average."""
        follow(self.encoder.state_dict(), encoder, decay)

    @torch.no_grad()
    def joints(self, inputs: Tensor) -> Tensor:
        """Clean maps (B, 1, H, W) -> (B, 14, 3): x_norm, y_norm, confidence 0..1.

        Each map is seen as it is and mirrored, and the two heat maps of a joint are mixed: where they disagree,
        the mixture is wide and the confidence small.
        """
        views = torch.cat([inputs, inputs.flip(-1)])
        maps = self.compute.heat_maps(self.encoder, views)
        assert maps.joints is not None  # train.config sees to it
        seen = soft_argmax(maps.joints, views, maps.features)
        xy, mirrored_xy = seen.xy_norm.chunk(2)
        mirrored_xy = torch.stack([1 - mirrored_xy[..., 0], mirrored_xy[..., 1]], -1)[:, list(MIRRORED)]
        variance, mirrored_variance = seen.variance_cells.chunk(2)
        cell_cm = self.grid.width_cm / maps.joints.shape[-1]
        size_cm = torch.tensor([self.grid.width_cm, self.grid.height_cm]).to(xy)
        apart_cm2 = ((xy - mirrored_xy) * size_cm).square().sum(-1)
        variance_cm2 = (variance + mirrored_variance[:, list(MIRRORED)]) / 2 * cell_cm**2 + apart_cm2 / 4
        confidence = 1 / (1 + variance_cm2 / FEATURE_HALF_CM**2)
        return torch.cat([self._as_bodies((xy + mirrored_xy) / 2, variance_cm2.sqrt()), confidence[..., None]], -1)

    def _as_bodies(self, xy_norm: Tensor, spread_cm: Tensor) -> Tensor:
        """Each map's joints (B, 14, 2) where a body has them."""
        if self.body is None:
            return xy_norm
        values = np.zeros(xy_norm.shape[1], np.float32)
        seen = zip(xy_norm.cpu().numpy(), spread_cm.cpu().numpy(), strict=True)
        bodies = [self.body(Keypoints(xy, values, spread)).xy_norm for xy, spread in seen]
        return torch.from_numpy(np.stack(bodies)).to(xy_norm)
