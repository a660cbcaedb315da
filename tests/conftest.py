"""Where the real pressure maps are, which are not part of the repository (see README, "The data"); the C core; a
virtual mat."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import Mat

from edge.core.library import CORE, Library

REPOSITORY = Path(__file__).resolve().parent.parent
PMD = REPOSITORY.parent / "shared" / "data" / "pmd"


@pytest.fixture(scope="session")
def pmd() -> Path:
    """The folder that holds experiment-i/ and experiment-ii/."""
    if not PMD.is_dir():
        message = f"no real pressure maps at {PMD}: put PhysioNet's pmd 1.0.0 there"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return PMD


@pytest.fixture(scope="session")
def joints_i() -> Path:
    """Annotated joints of Experiment I (ours, in the repository)."""
    return REPOSITORY / "data" / "pmd-joints" / "joints.json"


@pytest.fixture(scope="session")
def joints_ii() -> Path:
    """Annotated joints of Experiment II (ours, in the repository)."""
    return REPOSITORY / "data" / "pmd-joints" / "joints-experiment-ii.json"


@pytest.fixture(scope="session")
def core() -> Library:
    if CORE is None:
        message = "edge/core is not compiled from these sources: python -m edge.core.build"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return CORE


@pytest.fixture
def mat(tmp_path: Path) -> Iterator[Mat]:
    """Not started yet."""
    mat = Mat(tmp_path / "mat")
    yield mat
    mat.kill()
