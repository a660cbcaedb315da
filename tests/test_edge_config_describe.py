"""The configuration that explains itself, and the one in docs/."""

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel

from edge.config.describe import documented_toml
from edge.config.kinds import Distances, Size
from edge.config.settings import DaemonConfig, HttpOutputSettings, MatSettings, RecordSettings, SmoothingSettings
from edge.config.wording import sections
from firmware_bridge.geometry import Orientation

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE = REPOSITORY / "docs" / "edge-run.toml"
SERVICE = REPOSITORY / "edge" / "service" / "bed.toml"


def read(text: str) -> DaemonConfig:
    return DaemonConfig.model_validate(tomllib.loads(text), strict=True)


def test_the_example_in_docs_is_what_print_config_prints() -> None:
    """`edge-run --print-config > docs/edge-run.toml` writes it anew."""
    assert EXAMPLE.read_text() == documented_toml(DaemonConfig())


def test_the_example_as_it_stands_says_nothing_but_defaults() -> None:
    assert read(EXAMPLE.read_text()) == DaemonConfig()


def test_every_commented_line_of_the_example_is_a_setting_that_works() -> None:
    text = re.sub(r"^#(?=[\w\[])", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    read(text)
    document = tomllib.loads(text)
    tables = {"": document, "mat": document["mat"][0]} | {n: t for n, t in document.items() if isinstance(t, dict)}
    assert {name: set(table) for name, table in tables.items()} == {
        name: set(section.model_fields) for name, section in sections().items()
    }


def test_what_is_printed_is_read_back_as_the_same() -> None:
    config = DaemonConfig(
        model=Path('/a "b"/é\\\x7f.tflite'),
        output=["json:-", "http://127.0.0.1:8765"],
        duration_s=2.5,
        state_dir=Path("/state"),
        smoothing=SmoothingSettings(enabled=False, min_cutoff_hz=0.00001),
        recording=RecordSettings(path=Path("nights"), keep_gb=20),
        http=HttpOutputSettings(allowed_hosts=["bed.local", "192.168.0.2"]),
        mat=[
            MatSettings(name="bed", port="/dev/a", grid=Size(32, 64), pitch_cm=Distances(2.54, 1.27), dtr=False),
            MatSettings(name="Omas Sofa", port="sim:", orientation=Orientation(1, mirrored=True)),
        ],
    )
    assert read(documented_toml(config)) == config


def test_comments_are_at_most_120_wide_and_no_section_is_silent() -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert max(map(len, lines)) <= 120
    for number, line in enumerate(lines):
        if re.match(r"#?\[|#?\w+ =", line):
            assert lines[number - 1].startswith("# "), line


def test_the_configuration_that_the_service_ships_is_valid() -> None:
    [mat] = read(SERVICE.read_text()).mat
    assert mat.name == "bed"


def test_sections_are_models() -> None:
    assert set(sections()) == {"", "smoothing", "recording", "http", "mat"}
    assert all(issubclass(section, BaseModel) for section in sections().values())
