"""The paper's own encoder: its counts, its canvas, and a configuration that trains it in the same code."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge.keypoints import HeatmapDecoder
from edge.manifest import Output, Preprocessing
from edge.preprocess import Preprocessor
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.config import TrainConfig, documented_toml, read_config
from train.cost import REFERENCE, multiply_accumulates, parameters
from train.crwt import Crwt
from train.encoder import EncoderConfig, soft_argmax
from train.maps import Examples, Group
from train.reference import ReferenceConfig, ReferenceEncoder
from train.sampling import TrainingSet

MAT = Grid(64, 32, 2.54, 2.54)


def canvas() -> Grid:
    config = read_config(REFERENCE)
    return Grid(config.rows, config.cols, config.pitch_cm, config.pitch_cm)


def test_it_has_the_parameters_and_the_mac_of_the_published_code() -> None:
    encoder = ReferenceEncoder()
    assert parameters(encoder) == 138_400
    assert multiply_accumulates(encoder, 256, 256) == 557_096_256


def test_a_joint_output_comes_on_request_and_adds_its_weights_alone() -> None:
    encoder = ReferenceEncoder(ReferenceConfig(joints=True)).eval()
    assert parameters(encoder) == 138_400 + 96 * 14 + 14
    assert encoder(torch.zeros(1, 1, 32, 16)).joints.shape == (1, 14, 8, 4)
    assert ReferenceEncoder().eval()(torch.zeros(1, 1, 32, 16)).joints is None


def test_256_inputs_a_side_give_128_heat_maps_of_64_cells_a_side() -> None:
    maps = ReferenceEncoder().eval()(torch.zeros(1, 1, 256, 256))
    assert maps.keypoints.shape == (1, 128, 64, 64)
    assert maps.features.shape == (1, 16, 64, 64)


def test_one_map_gives_the_same_alone_and_among_others() -> None:
    """The published code fails on a single map, and its results depend on batch-mates."""
    encoder = ReferenceEncoder().eval()
    x = torch.rand(3, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(x).keypoints[1:2], encoder(x[1:2]).keypoints)


def test_batch_norm_folds_into_the_convolutions() -> None:
    encoder = ReferenceEncoder()
    x = torch.rand(4, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for _ in range(3):
            encoder(x)  # statistics worth folding
        expected = encoder.eval()(x)
        for module in list(encoder.modules()):
            if isinstance(module, nn.Sequential):
                _fold(module)
        folded = encoder(x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in encoder.modules())
    torch.testing.assert_close(folded.keypoints, expected.keypoints, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(folded.features, expected.features, atol=1e-4, rtol=1e-3)


def _fold(layers: nn.Sequential) -> None:
    for i in range(len(layers) - 1):
        conv, norm = layers[i], layers[i + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[i], layers[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def test_its_points_are_the_same_on_the_device() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 64, 32, generator=random)
    with torch.no_grad():
        maps = ReferenceEncoder(ReferenceConfig(keypoints=6)).eval()(x)
        points = soft_argmax(maps.keypoints, x, maps.features)
    output = Output(name="keypoints", index=0, rows=16, cols=8, k=6, scale=1.0, zero_point=0)
    device = HeatmapDecoder(output, MAT).from_float(maps.keypoints[0].permute(1, 2, 0).numpy(), x[0, 0].numpy())
    np.testing.assert_allclose(points.xy_norm[0], device.xy_norm, atol=1e-5)
    np.testing.assert_allclose(points.value[0], device.value, atol=1e-5)


def test_a_mat_of_64_by_32_stands_enlarged_three_times_in_the_middle_of_the_canvas() -> None:
    """Bilinear, to 192 x 96, zeros around; towards its edge the mat fades into them within one taxel."""
    frame = np.random.default_rng(0).random((64, 32), np.float32)
    frame[0, 0], frame[5, 5] = 0, 1
    inputs = Preprocessor(MAT, canvas(), Preprocessing(baseline_percent=0, scale_percent=100, middle_percent=0))(frame)
    assert inputs.shape == (256, 256)
    enlarged = F.interpolate(torch.from_numpy(frame)[None, None], scale_factor=3.0, mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(inputs[32:224, 80:176][2:-2, 2:-2] ** 2, enlarged[2:-2, 2:-2], atol=1e-5)
    beyond = inputs.copy()
    beyond[31:225, 79:177] = 0
    assert beyond.max() < 1e-6
    np.testing.assert_allclose(inputs[31, 81:175:3] ** 2, frame[0] / 3, atol=1e-5)


def test_the_settings_file_is_the_papers_net_on_its_canvas() -> None:
    config = read_config(REFERENCE)
    assert config.encoder == ReferenceConfig()
    assert (config.rows, config.cols, config.weights.joints, config.rebuild.rendering) == (256, 256, 0, False)
    assert TrainConfig.model_validate(tomllib.loads(documented_toml(config))) == config


def test_a_configuration_without_a_variant_is_native() -> None:
    """Those of earlier checkpoints."""
    config = TrainConfig.model_validate({"encoder": {"keypoints": 5}})
    assert config.encoder == EncoderConfig(keypoints=5)
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[encoder]\nvariant = "refrence"', "'refrence' found using 'variant'"),
        ('[encoder]\nvariant = "reference"\nwidth = 8\n[weights]\njoints = 0', "encoder.reference.width: Extra"),
        ('[encoder]\nvariant = "reference"', "weights.joints counts, but encoder.joints is false"),
    ],
)
def test_settings_that_no_variant_takes_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(Failure, match=words) as failure:
        read_config(path)
    assert failure.value.code == Exit.BAD_CONFIG
    assert "\n" not in str(failure.value)


def test_both_stages_train_it_on_those_settings() -> None:
    config = read_config(REFERENCE, rows=64, cols=64, pitch_cm=3.4, batch=2, steps_mask=2, steps_map=3, frozen_steps=1)
    inputs = np.random.default_rng(0).random((4, 64, 64), np.float32)
    groups = [Group(str(i), "a") for i in range(4)]
    examples = Examples(inputs, groups, np.arange(4), np.zeros((4, 14, 3), np.float32))
    run = Crwt(config, Grid(64, 64, 3.4, 3.4))
    before = {name: tensor.clone() for name, tensor in run.net.state_dict().items()}
    losses = list(run.run(TrainingSet(examples, None)))
    assert all(math.isfinite(row["loss"]) and "joints" not in row for row in losses)
    still = {name for name, tensor in run.net.state_dict().items() if torch.equal(tensor, before[name])}
    assert still == set()
