"""Going on from another model: what comes along, what is refused, who is remembered."""

from pathlib import Path

import pytest
from test_edge_body import random_body

from edge.manifest import JointMap, Posture, Training
from firmware_bridge.errors import Exit, Failure
from train.adapt import Init, read_init
from train.checkpoint import Checkpoint, sha256_of
from train.config import TrainConfig
from train.encoder import Encoder, EncoderConfig


def training(**changes: object) -> Training:
    values = {"data": ["d"], "people": ["pmd:1"], "labelled_people": [], "simulated_seeds": "", "steps": 7}
    return Training.model_validate(values | {"command": "c", "software": "0"} | changes)


@pytest.fixture
def init(tmp_path: Path) -> Init:
    known = training(labelled_people=["pmd:1"], simulated_seeds="1000000-1001999")
    config = TrainConfig(encoder=EncoderConfig(keypoints=6), seed=4)
    checkpoint = Checkpoint(config, known, 7, Encoder(config.encoder).state_dict())
    checkpoint.joint_map = JointMap(weights=[[0.5]], bias=[1.0], people=["pmd:1"])
    checkpoint.posture = Posture(classes=["a", "b"], weights=[[1.0, 2.0]], bias=[0.0, 0.0])
    checkpoint.joints_half_cm = [3.0] * 14
    checkpoint.body = random_body()
    checkpoint.encoder_only().save(tmp_path / "a.encoder.pt")
    return read_init(tmp_path / "a.encoder.pt")


def test_settings_are_the_models_own_but_for_what_an_adaptation_is(init: Init) -> None:
    own, settings = init.checkpoint.config, init.settings
    assert settings.encoder == own.encoder
    assert settings.seed == 4
    assert settings.steps_mask == 0
    assert settings.learning_rate < own.learning_rate
    assert settings.weights.consistency > 0
    assert 0 < settings.annotated_share < 1


def test_the_teacher_is_silent_for_a_model_that_never_learned_joints(init: Init) -> None:
    config = init.checkpoint.config
    weights = config.weights.model_copy(update={"joints": 0.0})
    init.checkpoint.config = config.model_copy(update={"weights": weights})
    assert init.settings.weights.consistency == 0


def test_the_teacher_is_silent_where_nobody_taught_joints(init: Init) -> None:
    init.checkpoint.training = training()
    assert init.checkpoint.config.weights.joints > 0
    assert init.settings.weights.consistency == 0


def test_joints_that_a_model_knew_are_known_after_an_adaptation_that_shows_none(init: Init) -> None:
    unlabelled = training(people=["pmd:9"])
    assert Checkpoint(init.settings, init.passed_on(unlabelled), 1, {}).knows_joints
    assert not Checkpoint(init.settings, unlabelled, 1, {}).knows_joints


def test_people_and_data_of_both_are_remembered(init: Init) -> None:
    passed = init.passed_on(training(data=["e"], people=["pmd:9"], simulated_seeds="1000000-1000009"))
    assert passed.people == ["pmd:1", "pmd:9"]
    assert passed.labelled_people == ["pmd:1"]
    assert passed.data == ["d", "e"]
    assert passed.simulated_seeds == "1000000-1001999"
    assert passed.init_sha256 == sha256_of(init.path)


def test_fitted_heads_come_along(init: Init) -> None:
    adapted = Checkpoint(init.settings, init.passed_on(training()), 1, {})
    init.hand_down_heads(adapted)
    assert adapted.joint_map == init.checkpoint.joint_map
    assert adapted.body == init.checkpoint.body
    assert adapted.body is not None
    assert adapted.posture == init.checkpoint.posture
    assert adapted.joints_half_cm == [3.0] * 14


def test_a_posture_head_that_reads_joints_stays_behind_where_joints_are_not_trained(init: Init) -> None:
    assert init.checkpoint.posture
    init.checkpoint.posture = init.checkpoint.posture.model_copy(update={"reads": ["keypoints", "joints"]})
    weights = init.settings.weights.model_copy(update={"joints": 0.0, "consistency": 0.0})
    adapted = Checkpoint(init.settings.model_copy(update={"weights": weights}), init.passed_on(training()), 1, {})
    init.hand_down_heads(adapted)
    assert adapted.posture is None
    assert adapted.joint_map == init.checkpoint.joint_map


@pytest.mark.parametrize("change", [{"rows": 128}, {"pitch_cm": 2.0}, {"encoder": EncoderConfig(keypoints=7)}])
def test_another_grid_or_width_is_refused(init: Init, change: dict[str, object]) -> None:
    init.require_same_model(init.settings)
    with pytest.raises(Failure, match=f"has {next(iter(change))} ") as refused:
        init.require_same_model(init.settings.model_copy(update=change))
    assert refused.value.code == Exit.USAGE
    assert "\n" not in str(refused.value)
