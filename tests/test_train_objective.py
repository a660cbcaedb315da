"""The loss terms: where they are computed, in which numbers, and whom the teacher tells."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from test_train_crwt import GRID, blobs, data, small

from edge.manifest import Preprocessing
from edge.preprocess import Preprocessor
from train.compute import Compute
from train.config import LossWeights
from train.crwt import Crwt
from train.maps import Maps
from train.sampling import Batch, TrainingSet


class OnMeta(torch.Generator):
    """Stands for a GPU's generator: what is drawn lands on a device without memory."""

    device = torch.device("meta")


def batch(**changes: Any) -> Batch:
    examples = blobs()
    inputs, joints = torch.from_numpy(examples.inputs)[:, None], torch.from_numpy(examples.joints_norm)
    return Batch(inputs, joints)._replace(**changes)


@pytest.mark.parametrize("mask_stage", [True, False])
def test_everything_lands_on_the_device_of_the_run(mask_stage: bool) -> None:
    """On PyTorch's meta device, which refuses tensors of another one; every augmentation is on."""
    meta = torch.device("meta")
    everything = dict.fromkeys(("pillow", "soft_layer", "dropped_lines", "blur"), 1.0)
    config = small(weights=LossWeights(consistency=1), augmentation=everything)
    run = Crwt(config, GRID, compute=Compute(meta))
    whole = batch()._replace(others=batch().inputs).to(meta)
    terms = run.objective.terms(whole, run.net.encoder, mask_stage, False, OnMeta())
    assert {term.device for term in terms.values()} == {meta}
    torch.stack(list(terms.values())).sum().backward()
    assert {p.grad.device for p in run.net.encoder.parameters() if p.grad is not None} == {meta}


def test_mixed_precision_leaves_weights_and_losses_in_float32() -> None:
    """bfloat16 on the CPU goes the way that a GPU goes."""
    config = small(weights=LossWeights(consistency=1))
    exact = Crwt(config, GRID)
    mixed = Crwt(config, GRID, compute=Compute(torch.device("cpu"), torch.bfloat16))
    seen = []
    mixed.net.encoder.trunk.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    expected, found = list(exact.run(data())), list(mixed.run(data()))
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in mixed.net.parameters()} == {torch.float32}
    assert found[0]["loss"] != expected[0]["loss"]
    for one, other in zip(expected, found, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_trains_in_mixed_precision() -> None:
    run = Crwt(small(weights=LossWeights(consistency=1)), GRID, compute=Compute.chosen("cuda", None))
    losses = list(run.run(data()))
    assert all(math.isfinite(row["loss"]) for row in losses)
    assert {p.device.type for p in run.net.parameters()} == {"cuda"}


def joint_term(guessed: float, of: Batch) -> float:
    run = Crwt(small(weights=LossWeights(guessed=guessed)), GRID)
    terms = run.objective.terms(of, run.net.encoder, False, False, torch.Generator().manual_seed(0))
    return float(terms["joints"].detach())


def test_a_guessed_joint_counts_for_less_than_a_seen_one() -> None:
    """With a share of 1 as much, with 0 nothing; far off, it raises the mean the more, the more it counts."""
    guess, other = batch(), batch()
    for of, visibility in ((guess, 0.0), (other, 2.0)):
        of.joints[:, 0] = torch.tensor([0.5, 0.95, visibility])
    without = batch()
    without.joints[:, 0, 2] = 0
    assert joint_term(0.0, guess) == joint_term(0.0, without)
    assert joint_term(1.0, guess) == pytest.approx(joint_term(0.3, other))
    assert joint_term(0.0, guess) < joint_term(0.3, guess) < joint_term(1.0, guess)


def test_joints_of_a_map_that_nobody_annotated_are_no_guesses() -> None:
    half = batch()
    half.joints[:3] = torch.tensor([0.5, 0.5, 0.0])
    assert joint_term(1.0, half) == joint_term(0.0, half)


def test_joints_that_were_never_annotated_are_no_guesses() -> None:
    """Random moves bring the mat's corner in, which is where data sets that lack a joint leave it."""
    blank = blobs()
    joints_cm = blank.joints_norm * [GRID.width_cm, GRID.height_cm, 1]
    joints_cm[:, 3:9] = 0
    maps = Maps(blank.inputs, GRID, blank.groups, blank.group_index, joints_cm.astype(np.float32))
    joints = torch.from_numpy(maps.examples(GRID, Preprocessing()).joints_norm)
    assert joint_term(1.0, batch(joints=joints)) == joint_term(0.0, batch(joints=joints))


def consistency(run: Crwt, of: Batch) -> float:
    terms = run.objective.terms(of, run.net.encoder, False, False, torch.Generator().manual_seed(0))
    return float(terms["consistency"].detach())


def test_the_teacher_speaks_where_no_label_does() -> None:
    run = Crwt(small(weights=LossWeights(consistency=1)), GRID)
    labelled, unlabelled = batch(), batch()
    unlabelled.joints.zero_()
    assert consistency(run, labelled) == 0
    assert consistency(run, unlabelled) > 0


def test_the_teacher_sees_maps_as_a_mat_will_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levelled by the run's constants, whatever the student is trained on."""
    run = Crwt(small(weights=LossWeights(consistency=1)), GRID)
    assert run.teacher
    joints, shown = run.teacher.joints, []
    monkeypatch.setattr(run.teacher, "joints", lambda inputs: shown.append(inputs) or joints(inputs))
    maps = batch()
    maps.inputs.div_(maps.inputs.amax((1, 2, 3), keepdim=True))
    consistency(run, maps)
    shares = maps.inputs[:, 0].numpy() ** 2
    whole_range = run.config.preprocessing.model_copy(update={"baseline_percent": 0, "scale_percent": 100})
    expected = Preprocessor(GRID, GRID, whole_range)(shares)
    assert np.abs(expected - maps.inputs[:, 0].numpy()).max() > 0.05
    np.testing.assert_allclose(shown[0][:, 0], expected, atol=1e-3)


def test_in_a_label_free_run_no_label_silences_the_teacher() -> None:
    run = Crwt(small(weights=LossWeights(consistency=1, joints=0)), GRID)
    unlabelled = batch()
    unlabelled.joints.zero_()
    assert consistency(run, batch()) == consistency(run, unlabelled)


def test_two_frames_of_a_group_shall_give_the_same_points() -> None:
    """The second view is of `others`: with a blank frame there, points cannot follow."""
    run = Crwt(small(), GRID)
    list(run.run(TrainingSet(blobs(), None)))
    same, blank = batch(), batch(others=torch.zeros(6, 1, 32, 16))
    errors = []
    for of in (same, blank):
        random = torch.Generator().manual_seed(0)
        errors.append(float(run.objective.terms(of, run.net.encoder, False, False, random)["equivariance"].detach()))
    assert errors[0] < errors[1]
