"""What gets installed on a Pi, and whether the README's commands exist."""

import functools
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import REPOSITORY

BANNED = ("torch", "tensorflow", "litert_torch", "litert_quantizer", "tflite_micro")
IMPORT_ALL = f"""
import importlib, pkgutil, sys
class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BANNED!r}:
            raise ModuleNotFoundError(f"banned on the Pi: {{name}}", name=name)
sys.meta_path.insert(0, Ban())
sys.path.insert(0, sys.argv[1])
names = []
for package in ("edge", "firmware_bridge"):
    root = importlib.import_module(package)
    assert root.__file__.startswith(sys.argv[1]), root.__file__
    names += [importlib.import_module(m.name).__name__ for m in pkgutil.walk_packages(root.__path__, package + ".")]
print(len(names))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--quiet", "--out-dir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "content")
    return folder / "content"


def test_edge_and_bridge_of_the_built_wheel_import_without_torch_and_tensorflow(wheel: Path) -> None:
    command = [sys.executable, "-c", IMPORT_ALL, str(wheel)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    modules = [p for name in ("edge", "firmware_bridge") for p in (wheel / name).rglob("*.py") if p.stem != "__init__"]
    assert int(result.stdout) >= len(modules) > 20


def test_the_wheel_carries_the_model_and_the_protocol(wheel: Path) -> None:
    for name in ("default.tflite", "default.json", "default.encoder.pt"):
        assert (wheel / "edge" / "models" / name).is_file(), name
    assert (wheel / "firmware_bridge" / "PROTOCOL.md").is_file()


def test_packages_depend_in_one_direction_only(wheel: Path) -> None:
    allowed = {"firmware_bridge": set(), "edge": {"firmware_bridge"}, "train": {"firmware_bridge", "edge"}}
    for package, others in allowed.items():
        foreign = {"firmware_bridge", "edge", "train", "convert"} - others - {package}
        pattern = re.compile(rf"^\s*(?:from|import) ({'|'.join(foreign)})\b", re.MULTILINE)
        found = [path for path in (wheel / package).rglob("*.py") if pattern.search(path.read_text())]
        assert found == []


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_requirements_install_from_wheels_alone(tmp_path: Path, machine: str, python: str) -> None:
    """On Raspberry Pi OS bookworm and trixie (glibc 2.36 and later) as on a PC."""
    platform = f"{machine}-manylinux_2_28"
    command = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--only-binary", ":all:", "--quiet"]
    command += ["--target", str(tmp_path), "--python-platform", platform, "--python-version", python]
    command += ["--requirement", str(REPOSITORY / "requirements.txt")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_requirements_pin_every_base_dependency() -> None:
    pins = dict(
        line.split(";")[0].strip().split("==") for line in (REPOSITORY / "requirements.txt").read_text().splitlines()
    )
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    assert {re.match(r"[\w-]+", d)[0] for d in dependencies} <= set(pins)
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())


def readme_commands() -> list[str]:
    """Lines of the documents' code blocks that call one of our scripts, continuations joined."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        scripts = tuple(tomllib.load(file)["project"]["scripts"])
    texts = [(REPOSITORY / name).read_text() for name in ("README.md", "docs/RESULTS.md", "docs/install.md")]
    lines = "\n".join(texts).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith(scripts)]


@functools.cache
def help_of(*program: str) -> str:
    script = Path(sys.executable).with_name(program[0])
    return subprocess.run([script, *program[1:], "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("command", readme_commands())
def test_documented_commands_exist_with_their_options(command: str) -> None:
    program, *arguments = shlex.split(command, comments=True)
    text = help_of(program)
    if "KIND ..." in text:
        text = help_of(program, arguments.pop(0))
    for option in arguments:
        if option.startswith("-"):
            assert re.search(rf"(^|[\s,]){re.escape(option)}\b", text), f"{program} has no {option}"
