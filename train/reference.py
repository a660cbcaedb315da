"""The paper's own encoder, as its published code builds it (arXiv 2402.14241): the `reference` variant.

138,400 parameters and 557 M MAC at 256 x 256. Three things differ from that code: batch norm tracks its
statistics, as here everywhere; a stride of 2 pads as TensorFlow does; a point's value is the mean pressure of a
heat map's cell and its place the cell's centre, where that code takes the largest of the cell's 4 x 4 inputs.
"""

from typing import Final, Literal, NamedTuple

from pydantic import Field
from torch import Tensor, nn

from edge.manifest import Strict
from firmware_bridge.skeleton import JOINTS
from train.encoder import ConvNorm, HeatMaps

HEAT_MAP_STRIDE: Final = 4
"""Input cells along a side of one heat map cell."""
STEM_CHANNELS: Final = 16
FEATURE_CHANNELS: Final = 16
SQUEEZE: Final = 4


class ReferenceConfig(Strict):
    """The `reference` encoder: the paper's own net, its widths fixed, for maps on a canvas of 256 x 256."""

    variant: Literal["reference"] = Field("reference", description="reference, or native: the default")
    keypoints: int = Field(128, gt=0, description="K, label-free heat maps")
    joints: bool = Field(False, description="add the joint output, which the paper's net does not have")

    @property
    def feature_channels(self) -> int:
        return FEATURE_CHANNELS

    def build(self) -> "ReferenceEncoder":
        return ReferenceEncoder(self)


class Layer(NamedTuple):
    """One inverted residual of the paper's net."""

    kernel: int
    cin: int
    expand: int
    cout: int
    act: type[nn.Module]
    squeeze: bool
    stride: int


LAYERS: Final = (
    Layer(3, STEM_CHANNELS, 16, 16, nn.ReLU, True, 2),
    Layer(3, 16, 72, 24, nn.ReLU, False, 2),
    Layer(3, 24, 88, 24, nn.ReLU, False, 1),
    Layer(5, 24, 96, 40, nn.Hardswish, True, 1),
    Layer(5, 40, 240, 40, nn.Hardswish, True, 1),
    Layer(5, 40, 120, 48, nn.Hardswish, True, 1),
    Layer(5, 48, 288, 96, nn.Hardswish, True, 1),
)


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what the means of all channels say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // SQUEEZE
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            ConvNorm(channels, hidden, 1, act=nn.ReLU),
            ConvNorm(hidden, channels, 1, act=nn.Hardsigmoid),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class ReferenceBlock(nn.Module):
    """Expand, depthwise, project, squeeze; without a stride its input is added, projected where widths differ."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        kernel, cin, expand, cout, act, squeeze, stride = layer
        self.body = nn.Sequential(
            ConvNorm(cin, expand, 1, act=act),
            ConvNorm(expand, expand, kernel, stride, groups=expand, act=act),
            ConvNorm(expand, cout, 1, act=None),
            *([SqueezeExcitation(cout)] if squeeze else []),
        )
        self.residual = stride == 1
        self.shortcut = nn.Identity() if cin == cout or not self.residual else ConvNorm(cin, cout, 1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return y + self.shortcut(x) if self.residual else y


class ReferenceEncoder(nn.Module):
    """(B, 1, H, W) in 0..1 -> HeatMaps at (H/4, W/4). H and W are multiples of 4."""

    def __init__(self, config: ReferenceConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ReferenceConfig()
        self.trunk = nn.Sequential(
            ConvNorm(1, STEM_CHANNELS, 3, act=nn.Hardswish), *(ReferenceBlock(layer) for layer in LAYERS)
        )
        width = LAYERS[-1].cout
        self.keypoints = ConvNorm(width, config.keypoints, 1, act=nn.Hardswish)
        self.joints = nn.Conv2d(width, len(JOINTS), 1) if config.joints else None
        # The paper's 16 feature channels are a branch of their own.  The batch norm makes this bias
        # superfluous: it is there because it is among the 138,400.
        self.features = nn.Sequential(
            nn.Conv2d(1, FEATURE_CHANNELS, HEAT_MAP_STRIDE, HEAT_MAP_STRIDE),
            nn.BatchNorm2d(FEATURE_CHANNELS),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> HeatMaps:
        trunk = self.trunk(x)
        joints = None if self.joints is None else self.joints(trunk)
        return HeatMaps(self.keypoints(trunk), joints, self.features(x))
