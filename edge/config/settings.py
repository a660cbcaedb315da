"""All settings of edge-run: what a configuration file may say, with units, limits and defaults."""

import math
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, ValidationInfo, field_validator

from edge.config.kinds import FilePath, GridSize, MatName, OutputText, Pitch, Turn
from edge.manifest import Strict
from edge.model import DEFAULT_MODEL
from edge.outputs.uri import parse_all
from edge.recorded_files import ENDING
from edge.recorder import RecordingSettings
from edge.smoothing import Smoothing
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.info import Info
from firmware_bridge.link import DEFAULT_BAUD

VERSION: Final = 1


class SmoothingSettings(Smoothing):
    """How calm and how late joints are (one-euro filter)."""

    enabled: bool = Field(True, description="false: joints as the model finds them, frame by frame")


class RecordSettings(RecordingSettings):
    """What the mats send, as it came, in .matlog files. The limits are those of a folder, for each mat."""

    path: FilePath | None = Field(
        None,
        description="folder that exists, for files named after mat and time, or one new file that ends in .matlog,"
        " of one run; nothing is recorded where not given",
        examples=["/var/lib/edge-run/recordings"],
    )


class HttpOutputSettings(Strict):
    """For outputs http://."""

    allowed_hosts: list[str] = Field(
        [], description="names by which browsers reach it, beside localhost and its address", examples=[["bed.local"]]
    )


class MatSettings(Strict):
    """One pressure mat. Write [[mat]] once for each."""

    name: MatName = Field("mat", description="in every line, topic and file name")
    port: str = Field(
        min_length=1,
        description="device, /dev/serial/by-id/ path, pyserial URL, or a virtual mat:"
        " sim: or sim:?seed=7&rate=10&scene=empty",
        examples=["/dev/serial/by-id/usb-Mat_0001"],
    )
    baud: PositiveInt = Field(DEFAULT_BAUD, description="speed of a serial port")
    format: Literal["wire"] = Field("wire", description="what the mat speaks: wire is firmware_bridge/PROTOCOL.md")
    dtr: bool | None = Field(
        None, description="level of the DTR line, at which some boards reset; left as it is where not given",
        examples=[False],
    )  # fmt: skip
    grid: GridSize | None = Field(
        None, description="rows x columns as the mat sends them, where it says wrong itself", examples=["64x32"]
    )
    pitch_cm: Pitch | None = Field(
        None,
        description="distance between rows x between columns as the mat sends them, or one number for both,"
        " where it says wrong itself",
        examples=["2.54x2.54"],
    )
    orientation: Turn | None = Field(
        None,
        description="degrees counter-clockwise from the mat's frames to head up, seen from above, where it says wrong"
        " itself: 0, 90, 180, 270, or mirrored-0 to mirrored-270 (columns mirrored first)",
        examples=["180"],
    )

    def corrected(self, info: Info) -> Info:
        """`info` with grid, pitch and orientation as set here."""
        if self.grid:
            info = replace(info, rows=self.grid.rows, cols=self.grid.cols)
        if self.pitch_cm:
            um = round(self.pitch_cm.x_cm * 10_000), round(self.pitch_cm.y_cm * 10_000)
            info = replace(info, pitch_x_um=um[0], pitch_y_um=um[1])
        return info if self.orientation is None else replace(info, orientation=self.orientation)


def default_state_dir() -> Path:
    """systemd's, else the user's. Raises Failure (78) where there is neither."""
    if first := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(first)
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return (state if state.is_absolute() else Path.home() / ".local" / "state") / "edge-run"
    except RuntimeError:
        raise Failure("this user has no home: give --state-dir", Exit.BAD_CONFIG) from None


class DaemonConfig(Strict):
    """Everything that edge-run can be told but what to replay. Relative paths count from the working directory."""

    version: Literal[1] = Field(VERSION, description="layout of this file")
    model: FilePath = Field(
        DEFAULT_MODEL,
        description=".tflite with its .json beside it; the packaged one where not given",
        examples=["/etc/edge-run/mine.tflite"],
    )
    mirrored_too: bool = Field(
        False,
        description="read each frame mirrored as well: a second inference, for better joints on a mat that the model"
        " was not trained on",
    )
    output: list[OutputText] = Field(
        ["json:-"],
        min_length=1,
        description="where lines go: json:- (stdout), json:FILE?rotate_mb=10&keep=5, csv:FILE, mqtt://[user@]host/base,"
        " mqtts://, http://127.0.0.1:8765, udp://host:port; with ?rate=HZ that many poses a second at most",
    )
    on_disconnect: Literal["restart", "quit"] = Field(
        "restart", description="restart: wait for a port that is missing, busy or lost; quit: end with an exit code"
    )
    duration_s: NonNegativeFloat = Field(
        math.inf, description="end after so many seconds (in a replay: of the recording); never where not given",
        examples=[3600],
    )  # fmt: skip
    token_file: FilePath | None = Field(
        None,
        description="file with the secret that the live view asks for; needed to listen beyond 127.0.0.1",
        examples=["/etc/edge-run/token"],
    )
    state_dir: FilePath = Field(
        default_factory=default_state_dir,
        description="for calibrations; where not given $STATE_DIRECTORY (set by systemd), $XDG_STATE_HOME/edge-run or"
        " ~/.local/state/edge-run",
        examples=["/var/lib/edge-run"],
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="of the log on stderr")
    smoothing: SmoothingSettings = SmoothingSettings()
    recording: RecordSettings = RecordSettings()
    http: HttpOutputSettings = HttpOutputSettings()
    mat: list[MatSettings] = Field([], description="one table for each mat")

    @field_validator("mat")
    @classmethod
    def _names_are_unique(cls, mats: list[MatSettings]) -> list[MatSettings]:
        name, times = Counter(mat.name for mat in mats).most_common(1)[0] if mats else ("", 0)
        if times > 1:
            raise ValueError(f"{times} mats are called {name}: give each a name of its own")
        return mats

    @field_validator("mat")
    @classmethod
    def _one_file_is_of_one_mat(cls, mats: list[MatSettings], known: ValidationInfo) -> list[MatSettings]:
        path = known.data["recording"].path if "recording" in known.data else None
        if path and path.suffix == ENDING and len(mats) > 1:
            raise ValueError(f"recording {path} cannot hold {len(mats)} mats: give a folder")
        return mats

    @field_validator("output")
    @classmethod
    def _outputs_differ(cls, outputs: list[str]) -> list[str]:
        try:
            parse_all(outputs)
        except Failure as failure:
            raise ValueError(str(failure)) from None
        return outputs
