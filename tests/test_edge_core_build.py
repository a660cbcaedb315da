"""The C core is compiled where a compiler is, and nothing needs it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import REPOSITORY
from edge_packages import GRID, frame, info, package
from test_edge_core import somebody

from edge.core.build import FOLDER, LIBRARY, compile_core
from edge.core.library import Library, load
from edge.model import KeypointModel
from edge.pipeline import Pipeline
from edge.smoothing import Smoothing


def test_without_a_library_nothing_is_loaded_and_a_frame_is_read(tmp_path: Path) -> None:
    assert load(tmp_path / LIBRARY) is None
    (tmp_path / LIBRARY).write_text("no library\n")
    assert load(tmp_path / LIBRARY) is None
    model = KeypointModel.from_files(package(tmp_path))
    assert Pipeline(model, info(), smoothing=Smoothing(), core=None).step(frame(somebody(GRID))).joints is not None


@pytest.mark.parametrize(("change", "usable"), [("", True), ("/* changed */\n", False)])
def test_a_library_of_other_sources_is_not_used(core: Library, change: str, usable: bool, tmp_path: Path) -> None:
    copy_core(tmp_path / "core")
    source = tmp_path / "core" / "ranks.c"
    source.write_text(source.read_text() + change)
    subprocess.run([sys.executable, str(tmp_path / "core" / "build.py")], check=True)
    assert bool(load(tmp_path / "core" / LIBRARY)) == usable


def copy_core(folder: Path) -> None:
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(LIBRARY, "__pycache__"))


def test_a_compiler_that_fails_leaves_the_library_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / LIBRARY
    library.write_text("before")
    for compiler, reason in (("/nowhere", "/nowhere: No such file or directory"), ("false", "false failed")):
        monkeypatch.setenv("CC", compiler)
        assert compile_core(library) == reason
    assert [path.name for path in tmp_path.iterdir()] == [LIBRARY]
    assert library.read_text() == "before"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A project with nothing but the core."""
    folder = tmp_path / "project"
    for package_ in ("train", "convert", "firmware_bridge", "edge"):
        (folder / package_).mkdir(parents=True)
        (folder / package_ / "__init__.py").touch()
    copy_core(folder / "edge" / "core")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


def uv(*arguments: str | Path, compiler: str | None) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "CC"} | ({"CC": compiler} if compiler else {})
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("compiler", [None, "/nowhere"])
def test_a_wheel_has_the_library_where_there_is_a_compiler(
    core: Library, sources: Path, tmp_path: Path, compiler: str | None
) -> None:
    said = uv("build", "--wheel", "--out-dir", tmp_path / "dist", sources, compiler=compiler)
    (built,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        assert (f"edge/core/{LIBRARY}" in archive.namelist()) == (compiler is None)
        archive.extractall(tmp_path / "content")
    assert (load(tmp_path / "content" / "edge" / "core" / LIBRARY) is None) == (compiler is not None)
    assert built.name.endswith("-none-any.whl") == (compiler is not None)
    lines = [line for line in said.splitlines() if "C core" in line]
    slower = "edge-run works without its C core and is slower: /nowhere: No such file or directory"
    assert lines == ([slower] if compiler else [])
    assert not (sources / "edge" / "core" / LIBRARY).exists()


@pytest.mark.parametrize("compiler", [None, "/nowhere"])
def test_an_editable_install_has_it_beside_its_sources(
    core: Library, sources: Path, tmp_path: Path, compiler: str | None
) -> None:
    uv("pip", "install", "--no-deps", "--target", tmp_path / "site", "--editable", sources, compiler=compiler)
    assert (load(sources / "edge" / "core" / LIBRARY) is None) == (compiler is not None)
