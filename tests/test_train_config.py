"""Settings of a training run: defaults, TOML file, command line."""

import tomllib
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, Failure
from train.config import TrainConfig, documented_toml, read_config

RECIPES = sorted((Path(__file__).resolve().parent.parent / "train" / "recipes").glob("*.toml"))


def test_the_documented_toml_is_the_configuration() -> None:
    text = documented_toml(TrainConfig())
    assert TrainConfig.model_validate(tomllib.loads(text)) == TrainConfig()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_is_a_configuration_of_its_own(recipe: Path) -> None:
    assert read_config(recipe) != TrainConfig()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_measured_before_weights_were_averaged_have_no_bodies_either(recipe: Path) -> None:
    """Without a trained joint output there is none anyway."""
    config = read_config(recipe)
    assert config.average_span or not config.body or not config.weights.joints


def test_every_key_is_documented() -> None:
    keys = [line for line in documented_toml(TrainConfig()).splitlines() if "=" in line.partition("#")[0]]
    assert len(keys) > 35
    assert all(line.partition("#")[2].strip() not in ("", "None") for line in keys)


def test_the_command_line_comes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("batch = 8\nseed = 3\n[weights]\njoints = 0\n")
    config = read_config(path, seed=5)
    assert (config.batch, config.seed, config.weights.joints, config.weights.l1) == (8, 5, 0, 5)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("bach = 8", Exit.BAD_CONFIG, "bach"),
        ("[weights]\njoint = 1", Exit.BAD_CONFIG, "weights.joint"),
        ("batch = 'many'", Exit.BAD_CONFIG, "batch"),
        ("rows = 60", Exit.BAD_CONFIG, "rows"),
        ("batch = ", Exit.BAD_CONFIG, "no TOML"),
        (None, Exit.MISSING_INPUT, "No such file"),
    ],
)
def test_bad_files_are_named_with_key_and_reason(tmp_path: Path, text: str | None, code: Exit, words: str) -> None:
    path = tmp_path / "train.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Failure, match=words) as failure:
        read_config(path)
    assert failure.value.code == code
    assert "train.toml" in str(failure.value)
    assert "\n" not in str(failure.value)
