"""A batch of training maps, which show square roots, as the model will see them once they are levelled."""

import math

import torch
from torch import Tensor

from edge.manifest import Preprocessing
from edge.preprocess import EXPONENTS, SQUARE_ROOT


def levelled(maps: Tensor, constants: Preprocessing) -> Tensor:
    """Square roots of shares of full load (B, 1, H, W) -> what edge.preprocess makes of such a frame, 0..1.

    There the ranks are taken on the mat's own taxels, here on the model's.
    """
    if not constants.middle_percent:
        return maps
    shares = maps ** (1 / SQUARE_ROOT)
    ordered = shares.flatten(1).sort(dim=1).values
    loaded = (ordered > constants.loaded_percent / 100).sum(1, keepdim=True)
    above = loaded - loaded * constants.middle_percent // 100
    middle = ordered.gather(1, ordered.shape[1] - above.clamp(min=1))
    exponents = (math.log(constants.middle) / middle.clamp(1e-3, 0.999).log()).clamp(*EXPONENTS)
    return torch.pow(shares, exponents[..., None, None])
