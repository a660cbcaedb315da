"""The two stages of CRWT, and runs that go on as if they had never stopped."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_edge_body import random_body

from edge.manifest import Training
from firmware_bridge.errors import Failure
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS
from train.checkpoint import load_checkpoint
from train.config import LossWeights, TrainConfig
from train.crwt import Crwt
from train.encoder import EncoderConfig
from train.maps import Examples, Group
from train.rebuild import RebuildConfig
from train.sampling import TrainingSet

GRID = Grid(32, 16, 5.0, 5.0)
TRAINING = Training(
    data=[], people=["a"], labelled_people=["a"], simulated_seeds="", steps=1, command="test", software="0"
)


def small(**changes: object) -> TrainConfig:
    """A run of 4 + 6 steps at 32 x 16."""
    settings: dict[str, object] = {
        "rows": 32, "cols": 16, "pitch_cm": 5.0, "batch": 4, "steps_mask": 4, "steps_map": 6,
        "frozen_steps": 2, "simulated_share": 0.5, "encoder": EncoderConfig(keypoints=4),
        "rebuild": RebuildConfig(widths=(4, 4, 4)),
    }  # fmt: skip
    return TrainConfig.model_validate(settings | changes)


def blobs(seed: int = 0) -> Examples:
    """One blob a map; every joint lies on it."""
    random = np.random.default_rng(seed)
    centre = random.uniform(0.2, 0.8, (6, 2))
    y, x = np.mgrid[:32, :16] + 0.5
    inputs = [np.exp(-((x - 16 * cx) ** 2 + (y - 32 * cy) ** 2) / 12) for cx, cy in centre]
    joints = np.concatenate([np.repeat(centre[:, None], 14, 1), np.full((6, 14, 1), 2)], 2)
    groups = [Group(str(i), "a", "") for i in range(6)]
    return Examples(np.stack(inputs).astype(np.float32), groups, np.arange(6), joints.astype(np.float32))


def data() -> TrainingSet:
    return TrainingSet(blobs(0), blobs(1))


def test_stage_1_classifies_stage_2_rebuilds_and_the_encoder_rests_between() -> None:
    run = Crwt(small(), GRID)
    names, weights = [], []
    for losses in run.run(data()):
        names.append(set(losses))
        weights.append({n: p.detach().clone() for n, p in run.net.encoder.state_dict().items()})
    assert all({"cross_entropy", "f_score"} <= n and "l1" not in n for n in names[:4])
    assert all({"l1", "l2", "dissimilarity"} <= n and "cross_entropy" not in n for n in names[4:])
    assert [w["trunk.body.0.0.weight"].sum() == weights[3]["trunk.body.0.0.weight"].sum() for w in weights[4:7]] == [
        True,
        True,
        False,
    ]
    resting = [torch.equal(a, b) for a, b in zip(weights[3].values(), weights[5].values(), strict=True)]
    assert all(resting), "batch norm's statistics must rest too"


def test_without_stage_1_the_encoder_never_rests() -> None:
    run = Crwt(small(steps_mask=0), GRID)
    assert not run.encoder_rests
    assert not run.in_mask_stage


def test_stage_2_ends_as_an_average_of_its_later_steps() -> None:
    """Of steps 2 to 6 of 6, with a span of half of them: each counts a third, what was before it two thirds."""
    run = Crwt(small(average_span=0.5), GRID)
    plain = Crwt(small(average_span=0.0), GRID)
    name = "map_head.weight"
    expected = torch.tensor(0.0)
    for _, _ in zip(plain.run(data()), run.run(data()), strict=True):
        own = plain.net.state_dict()[name].clone()
        into = plain.step - plain.config.steps_mask
        expected = own if into == 2 else expected.lerp(own, 1 / 3)
        if plain.step < plain.config.steps:
            assert torch.equal(run.net.state_dict()[name], own), "the average changed what it follows"
    torch.testing.assert_close(run.net.state_dict()[name], expected)
    assert not torch.equal(expected, plain.net.state_dict()[name])
    assert run.average is None


def test_stage_3_goes_on_from_the_average() -> None:
    two = Crwt(small(average_span=0.5), GRID)
    list(two.run(data()))
    three = Crwt(small(steps_quant=2, average_span=0.5), GRID)
    for _ in three.run(data()):
        if three.step == two.step:
            break
    for a, b in zip(two.net.parameters(), three.net.parameters(), strict=True):
        assert torch.equal(a, b)


def begun(path: Path, **changes: object) -> Crwt:
    """A run that begins from the model in `path`."""
    return Crwt(small(steps_mask=0, **changes), GRID, load_checkpoint(path))


@pytest.fixture
def whole_model(tmp_path: Path) -> Path:
    run = Crwt(small(), GRID)
    list(run.run(data()))
    run.checkpoint(TRAINING, []).save(tmp_path / "whole.pt")
    return tmp_path / "whole.pt"


def test_a_whole_model_goes_on_and_an_encoder_alone_gets_a_new_decoder_first(whole_model: Path) -> None:
    known = load_checkpoint(whole_model)
    run = begun(whole_model)
    state = run.net.state_dict()
    assert known.rest is not None
    assert all(torch.equal(state[name], t) for name, t in known.rest.items())
    assert all(torch.equal(state[f"encoder.{name}"], t) for name, t in known.encoder.items())
    assert not run.encoder_rests
    known.encoder_only().save(whole_model.with_name("e.encoder.pt"))
    alone = begun(whole_model.with_name("e.encoder.pt"))
    assert not torch.equal(alone.net.map_head.weight, run.net.map_head.weight)
    assert alone.encoder_rests
    assert begun(whole_model, rebuild=RebuildConfig(widths=(4, 8, 4))).encoder_rests


def test_the_teacher_knows_the_bodies_of_the_model_that_a_run_begins_from(whole_model: Path) -> None:
    assert (teacher := begun(whole_model, weights=LossWeights(consistency=1.0)).teacher)
    assert teacher.body is None
    replace(load_checkpoint(whole_model), body=random_body(), joints_half_cm=[8.0] * len(JOINTS)).save(whole_model)
    assert (teacher := begun(whole_model, weights=LossWeights(consistency=1.0)).teacher)
    assert teacher.body is not None


def test_without_labels_the_joint_output_learns_to_agree_with_its_teacher(whole_model: Path) -> None:
    """A weight that counts nothing shows how far apart they are otherwise."""
    unlabelled = blobs(5)
    unlabelled.joints_norm[:] = 0
    ends = []
    for weight in (1e-9, 10.0):
        run = begun(whole_model, weights=LossWeights(consistency=weight), steps_map=30)
        ends.append(np.mean([row["consistency"] for row in list(run.run(TrainingSet(unlabelled, None)))[-10:]]))
    assert ends[1] < 0.8 * ends[0]


@pytest.mark.parametrize(
    ("changes", "stop"),
    [
        ({}, 5),
        ({"weights": LossWeights(consistency=1), "other_frame": 0.5}, 7),
        ({"steps_quant": 4}, 12),
        ({"average_span": 0.5}, 7),
    ],
)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, changes: dict[str, object], stop: int
) -> None:
    whole = Crwt(small(**changes), GRID)
    expected = list(whole.run(data()))
    first = Crwt(small(**changes), GRID)
    history = []
    for losses in first.run(data()):
        history.append(losses)
        if first.step == stop:
            break
    path = tmp_path / "checkpoint.pt"
    first.checkpoint(TRAINING, history).save(path)
    again = Crwt(small(**changes), GRID)
    again.restore(load_checkpoint(path))
    assert again.step == stop
    assert history + list(again.run(data())) == expected
    for a, b in zip(whole.net.parameters(), again.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_is_kept_of_a_finished_run_cannot_be_resumed() -> None:
    run = Crwt(small(), GRID)
    for kept in (run.checkpoint(TRAINING, []).encoder_only(), run.checkpoint(TRAINING, []).to_keep()):
        with pytest.raises(Failure, match="a finished model alone: --init begins from it"):
            run.restore(kept)


def test_no_label_reaches_the_weights_when_its_loss_counts_nothing() -> None:
    """Label-free: other labels, same label-free model."""
    states = []
    for shift in (0.0, 0.1):
        examples = blobs()
        examples.joints_norm[..., 0] += shift
        run = Crwt(small(weights=LossWeights(joints=0), steps_mask=2, steps_map=2), GRID)
        list(run.run(TrainingSet(examples, None)))
        states.append({n: t for n, t in run.net.state_dict().items() if not n.startswith("encoder.joints")})
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])


def test_training_learns_to_find_a_blob() -> None:
    run = Crwt(small(steps_mask=60, steps_map=60, batch=8), GRID)
    losses = list(run.run(data()))
    assert losses[-1]["joints"] < 0.5 * losses[5]["joints"]
    assert losses[-1]["l1"] < 0.7 * losses[60]["l1"]
    assert all(math.isfinite(row["loss"]) for row in losses)
