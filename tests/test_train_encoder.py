"""The native encoder keeps its promises of size, and its soft-argmax is edge's."""

import numpy as np
import pytest
import torch
from torch import nn

from edge.keypoints import HeatmapDecoder
from edge.manifest import Output
from firmware_bridge.geometry import Grid
from train.cost import multiply_accumulates, parameters
from train.encoder import ConvNorm, Encoder, EncoderConfig, soft_argmax


def test_default_encoder_has_at_most_70000_parameters_and_15_million_mac() -> None:
    encoder = Encoder()
    assert parameters(encoder) == sum(p.numel() for p in encoder.parameters()) <= 70_000
    assert multiply_accumulates(encoder, 64, 32) <= 15_000_000


@pytest.mark.parametrize(("rows", "cols"), [(64, 32), (48, 48), (8, 8), (64, 24)])
def test_any_grid_with_sides_of_multiples_of_eight_is_read(rows: int, cols: int) -> None:
    maps = Encoder(EncoderConfig(keypoints=5)).eval()(torch.zeros(2, 1, rows, cols))
    assert maps.keypoints.shape == (2, 5, rows // 2, cols // 2)
    assert maps.joints.shape == (2, 14, rows // 2, cols // 2)


def test_one_map_gives_the_same_alone_and_among_others() -> None:
    """Batch norm is tracked: results do not depend on batch-mates (they do in the published code)."""
    encoder = Encoder().eval()
    x = torch.rand(4, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(x).joints[2:3], encoder(x[2:3]).joints)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_stride_of_two_pads_as_tensorflow_does(kernel: int) -> None:
    """SAME on an even side: the smaller part of the padding comes first."""
    layer = ConvNorm(1, 1, kernel, stride=2)
    padding = layer[0]
    assert isinstance(padding, nn.ZeroPad2d)
    total = kernel - 2
    assert padding.padding == (total // 2, total - total // 2) * 2
    assert layer(torch.zeros(1, 1, 16, 8)).shape == (1, 1, 8, 4)


def test_soft_argmax_agrees_with_the_one_on_the_device() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 6, 32, 16, generator=random) * 3
    x = torch.rand(1, 1, 64, 32, generator=random)
    points = soft_argmax(logits, x, torch.zeros(1, 1, 32, 16))
    output = Output(name="keypoints", index=0, rows=32, cols=16, k=6, scale=1.0, zero_point=0)
    device = HeatmapDecoder(output, Grid(64, 32, 1.0, 1.0)).from_float(
        logits[0].permute(1, 2, 0).numpy(), x[0, 0].numpy()
    )
    np.testing.assert_allclose(points.xy_norm[0], device.xy_norm, atol=1e-5)
    np.testing.assert_allclose(points.value[0], device.value, atol=1e-5)
    np.testing.assert_allclose(points.variance_cells[0].sqrt() * 2, device.spread_cm, rtol=1e-3)


def test_soft_argmax_of_one_sharp_peak_is_its_cell() -> None:
    logits = torch.full((1, 1, 4, 8), -100.0)
    logits[0, 0, 3, 1] = 100
    x = torch.zeros(1, 1, 8, 16)
    x[0, 0, 6:, 2:4] = 0.5
    features = torch.arange(32.0).reshape(1, 1, 4, 8)
    points = soft_argmax(logits, x, features)
    torch.testing.assert_close(points.xy_norm[0, 0], torch.tensor([1.5 / 8, 3.5 / 4]))
    torch.testing.assert_close(points.value[0, 0], torch.tensor(0.5))
    torch.testing.assert_close(points.features[0, 0, 0], torch.tensor(25.0))
