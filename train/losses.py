"""One function a loss term, each a named scalar; their weights stand in train.config only."""

import torch
from pytorch_msssim import ssim
from torch import Tensor
from torch.nn import functional as F

CONTACT_INPUT = 0.25
"""A taxel whose model input exceeds this is in contact (6 % of the frame's robust scale, as the input is a root)."""


def contact_mask(x: Tensor) -> Tensor:
    """(B, 1, H, W) model input -> (B, H, W) int64, 1 = contact."""
    return (x[:, 0] > CONTACT_INPUT).long()


def mask_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, 2, H, W), (B, H, W) -> scalar (CRWT stage 1)."""
    return F.cross_entropy(logits, mask)


def mask_f_score(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - soft F-score of the contact class (CRWT stage 1)."""
    p = logits.softmax(1)[:, 1]
    hit = (p * mask).sum()
    return 1 - 2 * hit / (p.sum() + mask.sum()).clamp_min(1)


def map_l1(rebuilt: Tensor, x: Tensor) -> Tensor:
    """CRWT stage 2."""
    return F.l1_loss(rebuilt, x)


def map_l2(rebuilt: Tensor, x: Tensor) -> Tensor:
    """CRWT stage 2."""
    return F.mse_loss(rebuilt, x)


def map_dissimilarity(rebuilt: Tensor, x: Tensor) -> Tensor:
    """1 - SSIM (CRWT stage 2), window 11, data range 1."""
    return 1 - ssim(rebuilt.float(), x.float(), data_range=1.0)


def equivariance(points_cm: Tensor, expected_cm: Tensor, inside: Tensor) -> Tensor:
    """Mean distance in cm between the points of a transformed map and the transformed points: (B, K, 2), (B, K)."""
    distance = (points_cm - expected_cm).abs().sum(-1)
    return (distance * inside).sum() / inside.sum().clamp_min(1)


def rounding(points_cm: Tensor, exact_cm: Tensor) -> Tensor:
    """Mean distance in cm between the points of an encoder that rounds and of one that does not: (B, K, 2) each."""
    return (points_cm - exact_cm).square().sum(-1).add(1e-6).sqrt().mean()  # the root of 0 has no slope


def separation(points_cm: Tensor, reach_cm: float = 6.0) -> Tensor:
    """How much the points crowd: mean over points of the summed nearness to all others, (B, K, 2)."""
    k = points_cm.shape[1]
    d2 = (points_cm[:, :, None] - points_cm[:, None]).square().sum(-1)
    near = torch.exp(-d2 / (2 * reach_cm**2)) * (1 - torch.eye(k, device=points_cm.device))
    return near.sum(-1).mean()


def concentration(variance_cells: Tensor) -> Tensor:
    """Mean spread of the heat maps in cells."""
    return variance_cells.clamp_min(1e-6).sqrt().mean()


def joint_distance(xy_norm: Tensor, truth_norm: Tensor, size_taxels: Tensor, weight: Tensor) -> Tensor:
    """Smooth L1 in taxels: (B, 14, 2), (B, 14, 2), (2,), (B, 14)."""
    return (_distance(xy_norm, truth_norm, size_taxels) * weight).sum() / weight.sum().clamp_min(1)


def joint_consistency(xy_norm: Tensor, told_norm: Tensor, size_taxels: Tensor, confidence: Tensor) -> Tensor:
    """Smooth L1 in taxels to what the teacher says, as far as it is sure: (B, 14, 2), (B, 14, 2), (2,), (B, 14)."""
    return (_distance(xy_norm, told_norm, size_taxels) * confidence).mean()


def _distance(a_norm: Tensor, b_norm: Tensor, size_taxels: Tensor) -> Tensor:
    return F.smooth_l1_loss(a_norm * size_taxels, b_norm * size_taxels, reduction="none").sum(-1)
