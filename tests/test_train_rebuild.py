"""Fuser, RebuildNet and the rendering of points."""

import itertools

import pytest
import torch

from train.encoder import EncoderConfig, Points
from train.rebuild import EncoderFuserDecoder, Fuser, RebuildConfig, render


def some_points(count: int, k: int = 4, channels: int = 16) -> Points:
    random = torch.Generator().manual_seed(0)
    return Points(
        torch.rand(count, k, 2, generator=random),
        torch.rand(count, k, generator=random),
        torch.rand(count, k, channels, generator=random),
        torch.rand(count, k, generator=random),
    )


def test_the_fuser_gives_positions_as_many_numbers_as_features() -> None:
    """Otherwise the coordinates drown among the features (the paper's weight shift)."""
    fused = Fuser(4, 16)(some_points(2))
    assert fused.shape == (2, 2 * 16 * 4)


@pytest.mark.parametrize(
    ("exchange", "inputs", "dilations"),
    list(itertools.product([False, True], ["dense", "rendering", "both"], [(1,), (1, 3, 5)])),
)
def test_every_ablation_rebuilds_a_map_and_trains_all_its_weights(exchange, inputs, dilations) -> None:
    rebuild = RebuildConfig(
        exchange=exchange, dense=inputs != "rendering", rendering=inputs != "dense", dilations=dilations
    )
    net = EncoderFuserDecoder(64, 32, EncoderConfig(keypoints=4), rebuild)
    _, points = net.encode(torch.rand(2, 1, 64, 32))
    decoded = net.decode(points)
    mask, rebuilt = net.mask_head(decoded), net.map_head(decoded)
    assert mask.shape == (2, 2, 64, 32)
    assert rebuilt.shape == (2, 1, 64, 32)
    (mask.square().mean() + rebuilt.square().mean()).backward()
    untrained = [n for n, p in net.named_parameters() if p.grad is None and not n.startswith("encoder.joints")]
    assert untrained == []


def test_a_narrow_dense_layer_keeps_the_decoder_small() -> None:
    """One channel is the paper's; it is convolved to the width that the expansions take."""
    sizes = []
    for channels in (1, 16):
        rebuild = RebuildConfig(dense=True, rendering=False, dense_channels=channels)
        net = EncoderFuserDecoder(64, 32, EncoderConfig(), rebuild)
        assert net.decode(some_points(2, k=32)).shape == (2, 16, 64, 32)
        assert net.to_plane is not None
        sizes.append(sum(p.numel() for p in net.to_plane[1].parameters()))
    assert sizes[1] == 16 * sizes[0]


def test_a_decoder_without_any_input_is_refused() -> None:
    with pytest.raises(ValueError, match="dense and rendering are both off"):
        RebuildConfig(dense=False, rendering=False)


def test_points_are_rendered_where_they_lie() -> None:
    points = some_points(1)._replace(xy_norm=torch.tensor([[[0.25, 0.75], [0.9, 0.1], [0.5, 0.5], [0.1, 0.1]]]))
    blobs = render(points, 32, 16, 1.5)
    assert blobs.shape == (1, 8, 32, 16)
    row, col = divmod(int(blobs[0, 0].argmax()), 16)
    assert (row, col) in {(23, 3), (24, 3), (23, 4), (24, 4)}
    torch.testing.assert_close(blobs[0, 4:], blobs[0, :4] * points.value[0, :, None, None])
