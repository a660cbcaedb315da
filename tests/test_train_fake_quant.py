"""The encoder as int8 will compute it: on steps, near the float one, trainable, and untouched itself."""

import copy

import numpy as np
import pytest
import torch
from test_train_crwt import GRID, data, small
from torch import Tensor

from train.config import LossWeights
from train.crwt import QUANT_RATE, Crwt
from train.encoder import Encoder, EncoderConfig
from train.fake_quant import FakeQuant


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    net = Encoder(EncoderConfig(keypoints=4))
    net.train()(inputs(1))
    return net.eval()


def inputs(seed: int) -> Tensor:
    return torch.rand(8, 1, 32, 16, generator=torch.Generator().manual_seed(seed))


def test_outputs_lie_on_256_steps_near_the_float_ones(encoder: Encoder) -> None:
    exact, found = encoder(inputs(0)), FakeQuant(encoder)(inputs(0))
    for name in ("keypoints", "joints"):
        one, other = getattr(exact, name), getattr(found, name)
        assert len(other.unique()) <= 256
        assert not torch.equal(one, other)
        assert (one - other).abs().max() < 0.1 * (one.max() - one.min())


def test_weights_are_seen_on_255_steps_a_channel_and_stay_float(encoder: Encoder) -> None:
    before = copy.deepcopy(encoder.state_dict())
    seen = {}
    encoder.trunk.body[0][0].register_forward_hook(lambda layer, *_: seen.update(weight=layer.weight))
    FakeQuant(encoder)(inputs(0))
    steps = seen["weight"] / (seen["weight"].abs().amax((1, 2, 3), keepdim=True) / 127)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert all(torch.equal(t, before[name]) for name, t in encoder.state_dict().items())


def test_gradients_go_straight_through(encoder: Encoder) -> None:
    gradients = []
    for call in (encoder, FakeQuant(encoder)):
        encoder.zero_grad()
        call(inputs(0)).joints.square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95


def test_ranges_begin_with_what_is_seen_and_follow_slowly(encoder: Encoder) -> None:
    quantised = FakeQuant(encoder)
    quantised(inputs(0))
    quantised.settle(1)
    first = quantised.ranges.clone()
    torch.testing.assert_close(first[0], torch.stack(inputs(0).aminmax()), atol=1e-3, rtol=0)  # padding is 0
    quantised(3 * inputs(0))
    quantised.settle(1)
    torch.testing.assert_close(quantised.ranges[0], first[0] * (0.95 + 0.05 * 3), atol=1e-3, rtol=0)


def test_values_beyond_the_range_are_clipped(encoder: Encoder) -> None:
    quantised = FakeQuant(encoder)
    quantised(inputs(0))
    quantised.settle(1)
    widest = quantised(5 * inputs(0)).joints
    assert widest.max() - widest.min() <= (quantised.ranges[:, 1] - quantised.ranges[:, 0]).max()


def test_in_the_last_stage_statistics_stay_and_weights_go_on() -> None:
    run = Crwt(small(steps_quant=3), GRID)
    norm, weight = run.net.encoder.trunk.body[0][1], run.net.encoder.trunk.body[0][0].weight
    seen = []
    for _ in run.run(data()):
        rate = run.optimizer.param_groups[0]["lr"]
        seen.append((run.step, norm.running_mean.clone(), weight.detach().clone(), rate))
    whole = run.config.steps_mask + run.config.steps_map
    (_, mean, before, _), *last = seen[whole - 1 :]
    assert len(last) == 3
    for _, running_mean, now, rate in last:
        assert torch.equal(running_mean, mean)
        assert not torch.equal(now, before)
        assert rate <= QUANT_RATE * run.config.learning_rate


def test_the_gradient_knows_that_a_wider_range_rounds_coarser(encoder: Encoder) -> None:
    """Two float copies differ by nothing; what int8 adds has a slope for the widest value alone."""
    quantised = FakeQuant(encoder)
    x = torch.tensor([0.3, 1.7, 2.9, 6.1], requires_grad=True)
    quantised.ranges[0] = torch.tensor([0.0, 6.1])
    rounded = quantised._quantised(0, x)
    (rounded - x).square().sum().backward()
    assert x.grad is not None
    assert float(x.grad[-1]) > 0  # all errors shrink with it
    assert x.grad[:-1].abs().max() == 0


def test_stage_3_brings_the_points_of_int8_nearer_to_the_float_ones() -> None:
    run = Crwt(small(steps_quant=60, learning_rate=0.02, weights=LossWeights(joints=0, rounding=8)), GRID)
    rounding = [losses["rounding"] for losses in run.run(data()) if "rounding" in losses]
    assert len(rounding) == 60
    assert np.mean(rounding[-10:]) < 0.8 * np.mean(rounding[:10])
