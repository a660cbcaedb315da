"""Weights that follow a net's slowly."""

import torch
from torch import nn

from train.average import copied, follow


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    layers.train()(torch.rand(4, 1, 8, 8))  # statistics other than those of a new net
    return layers


def test_they_keep_their_share_of_weights_and_statistics_and_take_counts_as_they_are() -> None:
    first, second = net(0), net(1)
    second.train()(torch.rand(4, 1, 8, 8))
    weights = copied(first)
    follow(weights, second, 0.75)
    for name, value in weights.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * first.state_dict()[name] + 0.25 * second.state_dict()[name])
    assert weights["1.num_batches_tracked"] == 2
    follow(weights, second, 0.0)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in weights.items())


def test_a_copy_stays_as_it_is_when_the_net_goes_on_and_needs_no_gradient() -> None:
    layers = net(0)
    weights = copied(layers)
    before = {name: value.clone() for name, value in weights.items()}
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.add_(1)
    layers.train()(torch.rand(4, 1, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in weights.items())
    assert not any(value.requires_grad for value in weights.values())
