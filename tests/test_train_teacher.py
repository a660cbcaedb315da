"""The mean teacher: how it follows, what it says and how sure it is."""

import copy

import numpy as np
import pytest
import torch
from test_edge_body import CONFIDENCE, random_body

from edge.body import BodyPrior
from edge.keypoints import FEATURE_HALF_CM, Keypoints
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.compute import CPU, Compute
from train.encoder import Encoder, EncoderConfig, HeatMaps
from train.teacher import Teacher

GRID = Grid(32, 16, 5.0, 5.0)


def encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    net = Encoder(EncoderConfig(keypoints=4))
    net.train()(torch.rand(4, 1, 32, 16))  # statistics other than those of a new net
    return net


def test_it_keeps_its_share_of_weights_and_statistics() -> None:
    first, second = encoder(0), encoder(1)
    teacher = Teacher(first, GRID, Compute(CPU))
    teacher.follow(second, 0.75)
    for name, own in teacher.encoder.state_dict().items():
        if own.is_floating_point():
            expected = 0.75 * first.state_dict()[name] + 0.25 * second.state_dict()[name]
            torch.testing.assert_close(own, expected)
    teacher.follow(second, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(teacher.encoder.parameters(), second.parameters(), strict=True))


def test_following_moves_the_teacher_alone_and_needs_no_gradient() -> None:
    student = encoder()
    before = copy.deepcopy(student.state_dict())
    teacher = Teacher(student, GRID, Compute(CPU))
    teacher.follow(encoder(1), 0.5)
    assert all(torch.equal(t, before[name]) for name, t in student.state_dict().items())
    assert not teacher.joints(torch.rand(2, 1, 32, 16)).requires_grad


def test_a_mirrored_body_is_told_the_mirrored_joints() -> None:
    teacher = Teacher(encoder(), GRID, Compute(CPU))
    x = torch.rand(3, 1, 32, 16, generator=torch.Generator().manual_seed(0))
    told, mirrored = teacher.joints(x), teacher.joints(x.flip(-1))[:, list(MIRRORED)]
    torch.testing.assert_close(mirrored[..., 0], 1 - told[..., 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(mirrored[..., 1:], told[..., 1:], atol=1e-5, rtol=0)


class Blob(torch.nn.Module):
    """Sees every joint where the map is brightest, as sharply as `sharpness` says; blind to what is mirrored or not."""

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, x: torch.Tensor) -> HeatMaps:
        logits = self.sharpness * x.expand(-1, len(JOINTS), -1, -1)
        return HeatMaps(logits, logits, x)


@pytest.mark.parametrize(("sharpness", "low", "high"), [(200.0, 0.99, 1.0), (0.0, 0.0, 0.1)])
def test_it_is_as_sure_as_its_heat_maps_are_narrow(sharpness: float, low: float, high: float) -> None:
    x = torch.zeros(1, 1, 32, 16)
    x[0, 0, 10, 4] = 1
    told = Teacher(Blob(sharpness), GRID, Compute(CPU)).joints(x)
    assert ((told[..., 2] >= low) & (told[..., 2] <= high)).all()
    if high == 1:
        torch.testing.assert_close(told[0, 0, :2], torch.tensor([4.5 / 16, 10.5 / 32]))


def test_it_doubts_where_the_mirror_image_says_otherwise() -> None:
    """Two equal feet: an encoder that always names the left one of the picture contradicts itself in the mirror."""

    class LeftOfPicture(Blob):
        def forward(self, x: torch.Tensor) -> HeatMaps:
            return super().forward(x + torch.linspace(0.5, 0, x.shape[-1]))

    x = torch.zeros(1, 1, 32, 16)
    x[0, 0, 20, [4, 11]] = 1
    told = Teacher(LeftOfPicture(200.0), GRID, Compute(CPU)).joints(x)
    torch.testing.assert_close(told[0, 0, :2], torch.tensor([0.5, 20.5 / 32]))
    apart_cm = 7 * 5.0
    torch.testing.assert_close(told[0, 0, 2], torch.tensor(1 / (1 + (apart_cm / 2 / 8) ** 2)), atol=1e-3, rtol=0)


def test_it_names_joints_where_a_body_has_them() -> None:
    """As edge.body puts them, one map after the other; it is as sure as its heat maps are."""
    x = torch.rand(3, 1, 32, 16, generator=torch.Generator().manual_seed(0))
    body = BodyPrior(random_body(), CONFIDENCE, GRID)
    plain, told = (
        Teacher(encoder(), GRID, Compute(CPU)).joints(x),
        Teacher(encoder(), GRID, Compute(CPU), body).joints(x),
    )
    torch.testing.assert_close(told[..., 2], plain[..., 2])
    for seen, found in zip(plain.numpy(), told.numpy(), strict=True):
        spread_cm = FEATURE_HALF_CM * np.sqrt(1 / seen[:, 2] - 1)
        expected = body(Keypoints(seen[:, :2], np.zeros(len(JOINTS), np.float32), spread_cm))
        np.testing.assert_allclose(found[:, :2], expected.xy_norm, atol=1e-3)
    assert (told[..., :2] - plain[..., :2]).abs().max() > 0.01
