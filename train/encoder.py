"""The encoder: pressure map -> K label-free heat maps and 14 joint heat maps (SPMKD section III, `native` variant).

The paper's own net is in train.reference. Here only operators that every int8 runtime has and that XNNPACK takes
whole: convolution, depthwise convolution, addition, bilinear resize, ReLU6 (fused). The widest tensors stay at half
resolution, which bounds the memory that a microcontroller needs.
"""

from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from edge.manifest import Strict
from firmware_bridge.skeleton import JOINTS

OPERATORS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RESIZE_BILINEAR"})
"""What the graph may hold after conversion; train and convert test against this list."""

STRIDE = 8
"""Rows and cols of the input must be multiples of this."""


class EncoderConfig(Strict):
    """Widths of the `native` encoder."""

    variant: Literal["native"] = Field("native", description="native, or reference: the paper's own net")
    keypoints: int = Field(32, gt=0, description="K, label-free heat maps")
    width: int = Field(16, gt=0, description="channels at half resolution, and of the feature vector")
    width_between: int = Field(72, gt=0, description="channels on the way from half to a quarter; the arena's largest")
    width_quarter: int = Field(40, gt=0, description="channels at a quarter of the resolution")
    width_eighth: int = Field(56, gt=0, description="channels at an eighth of the resolution")

    @property
    def feature_channels(self) -> int:
        return self.width

    def build(self) -> "Encoder":
        return Encoder(self)


class HeatMaps(NamedTuple):
    """What an encoder says of B maps; h, w are half the input's rows, cols (`reference`: a quarter)."""

    keypoints: Tensor
    """(B, K, h, w) logits."""
    joints: Tensor | None
    """(B, 14, h, w) logits; None where the encoder has no such output."""
    features: Tensor
    """(B, C, h, w): what the expectation under a keypoint's map turns into its feature vector."""


class ConvNorm(nn.Sequential):
    """Convolution with TensorFlow's SAME padding, tracked batch norm, activation.

    A stride of 2 pads one less on the top and left: padded symmetrically, the graph would need a padded copy
    of its widest tensor.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: type[nn.Module] | None = nn.ReLU6,
    ) -> None:
        before, after = (kernel - stride) // 2, kernel - stride - (kernel - stride) // 2
        padding: list[nn.Module] = []
        if before != after:
            padding = [nn.ZeroPad2d((before, after, before, after))]
        layers = [
            *padding,
            nn.Conv2d(cin, cout, kernel, stride, 0 if padding else before, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
        ]
        super().__init__(*layers, *([act()] if act else []))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, project 1x1; adds its input where shapes allow (MobileNetV2)."""

    def __init__(self, cin: int, expand: int, cout: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvNorm(cin, expand, 1),
            ConvNorm(expand, expand, kernel, stride, groups=expand),
            ConvNorm(expand, cout, 1, act=None),
        )
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + y if self.residual else y


class Encoder(nn.Module):
    """(B, 1, H, W) in 0..1 -> HeatMaps at (H/2, W/2). H and W are multiples of 8."""

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EncoderConfig()
        half, quarter, eighth = config.width, config.width_quarter, config.width_eighth
        self.stage_half = nn.Sequential(ConvNorm(1, half, 3, stride=2), InvertedResidual(half, 2 * half, half, 3))
        self.stage_quarter = nn.Sequential(
            InvertedResidual(half, config.width_between, quarter, 5, stride=2),
            InvertedResidual(quarter, 3 * quarter, quarter, 5),
        )
        self.stage_eighth = nn.Sequential(
            InvertedResidual(quarter, 3 * quarter, eighth, 5, stride=2),
            InvertedResidual(eighth, 3 * eighth, eighth, 5),
        )
        self.eighth_to_quarter = ConvNorm(eighth, quarter, 1, act=None)
        self.quarter_to_half = ConvNorm(quarter, half, 1, act=None)
        self.trunk = InvertedResidual(half, 2 * half, half, 3)
        self.keypoints = nn.Conv2d(half, config.keypoints, 1)
        self.joints = nn.Conv2d(half, len(JOINTS), 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, C, H/2, W/2): the trunk that both heads read."""
        half = self.stage_half(x)
        quarter = self.stage_quarter(half)
        quarter = quarter + _doubled(self.eighth_to_quarter(self.stage_eighth(quarter)))
        return self.trunk(half + _doubled(self.quarter_to_half(quarter)))

    def forward(self, x: Tensor) -> HeatMaps:
        features = self.features(x)
        return HeatMaps(self.keypoints(features), self.joints(features), features)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Points(NamedTuple):
    """Soft-argmax of B x K heat maps (the paper's positive and feature vectors)."""

    xy_norm: Tensor
    """(B, K, 2) in 0..1."""
    value: Tensor
    """(B, K): the input expected at the point."""
    features: Tensor
    """(B, K, C)."""
    variance_cells: Tensor
    """(B, K): variance of the heat map around its point, in square cells."""


def soft_argmax(logits: Tensor, model_input: Tensor, features: Tensor) -> Points:
    """Expectations under the softmax of each map: (B, K, h, w), (B, 1, H, W), (B, C, h, w) -> Points.

    edge.keypoints.HeatmapDecoder is the same in NumPy, on int8 logits.
    """
    _, _, h, w = logits.shape
    weights = logits.flatten(2).softmax(-1)
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    moments = torch.stack([x, y, x**2 + y**2], -1).reshape(h * w, 3).to(logits)
    mean = weights @ moments
    variance = mean[..., 2] - (mean[..., :2] ** 2).sum(-1)
    cells = F.adaptive_avg_pool2d(model_input, (h, w)).flatten(2)
    value = (weights @ cells.transpose(1, 2))[..., 0]
    size = torch.tensor([w, h]).to(logits)
    return Points(mean[..., :2] / size, value, weights @ features.flatten(2).transpose(1, 2), variance)
