"""What may be set, and what a mat's INFO becomes."""

from pathlib import Path

import pytest
from edge_packages import info
from pydantic import BaseModel, ValidationError

from edge.config.kinds import Distances, Size
from edge.config.settings import DaemonConfig, MatSettings, default_state_dir
from edge.config.wording import sections
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation


@pytest.mark.parametrize("section", sections().values(), ids=lambda section: section.__name__)
def test_every_setting_is_described(section: type[BaseModel]) -> None:
    assert section.__doc__
    silent = [name for name, field in section.model_fields.items() if not field.description]
    assert set(silent) <= set(sections())


def test_what_info_says_wrong_is_corrected() -> None:
    said = info(Grid(64, 32, 2.54, 2.54))
    assert MatSettings(port="sim:").corrected(said) == said
    mat = MatSettings(port="sim:", grid=Size(32, 16), pitch_cm=Distances(1.5, 3), orientation=Orientation(2))
    corrected = mat.corrected(said)
    assert corrected.grid == Grid(32, 16, pitch_x_cm=3, pitch_y_cm=1.5)
    assert corrected.orientation == Orientation(2)
    assert corrected.boot_id == said.boot_id


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        DaemonConfig().model = Path("other")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/edge-run/bed:/var/lib/other", "XDG_STATE_HOME": "/x"}, "/var/lib/edge-run/bed"),
        ({"XDG_STATE_HOME": "/x"}, "/x/edge-run"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/edge-run"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/edge-run"),
    ],
)
def test_the_state_folder_is_systemds_else_the_users(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], folder: str
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert default_state_dir() == Path(folder)
    assert DaemonConfig().state_dir == Path(folder)


def test_a_user_without_home_must_say_where_state_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    with pytest.raises(Failure, match="--state-dir") as failure:
        DaemonConfig()
    assert failure.value.code == Exit.BAD_CONFIG
    assert DaemonConfig(state_dir=Path("here")).state_dir == Path("here")
