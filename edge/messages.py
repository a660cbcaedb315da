"""The JSON lines on stdout: hello, pose, event, health, end. One object a line; consumers skip unknown keys."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge import __version__
from edge.model import KeypointModel
from edge.pipeline import Pipeline
from edge.regions import Load
from edge.rounding import rounded
from edge.units import PressureUnit
from firmware_bridge.decoder import StreamCounts
from firmware_bridge.geometry import spelled
from firmware_bridge.messages import Info
from firmware_bridge.skeleton import JOINTS


class Line(BaseModel):
    """What every line carries."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    type: str
    v: Literal[1] = Field(default=1, description="version of this format; grows when a key changes its meaning")
    ts: Annotated[float, rounded(6)] = Field(description="Unix s; in a replay the time of the recording")
    seq: int | None = Field(description="sequence number of the frame; in other lines of the latest frame")
    mat: str

    def json_line(self) -> str:
        return self.model_dump_json() + "\n"


class ModelLine(BaseModel):
    """Which model makes the joints."""

    name: str
    version: str
    sha256: str
    runtime: str


class GridLine(BaseModel):
    """The canonical grid: head at row 0, seen from above."""

    rows: int
    cols: int
    pitch_x_cm: float
    pitch_y_cm: float


class Firmware(BaseModel):
    """What INFO says of the mat's firmware."""

    name: str
    version: str


class Units(BaseModel):
    """Units of the numbers whose keys do not name them."""

    pressure: PressureUnit = "counts"


class Hello(Line):
    """The first line, and again whenever the mat turns out to be another or somebody sought in a replay."""

    type: Literal["hello"] = "hello"
    software: str = __version__
    model: ModelLine
    grid: GridLine
    orientation: str = Field(description="from the mat's frames to the canonical grid, as --orientation says it")
    units: Units = Units()
    firmware: Firmware
    device_id: int
    boot_id: int
    frame_rate_hz: float | None
    joint_names: tuple[str, ...] = JOINTS


@dataclass(slots=True)
class Joint:
    """One named joint, cm from the top left corner of the canonical mat."""

    x_cm: float
    y_cm: float
    confidence: float


class Pose(Line):
    """One frame. `edge.pose_text` writes its line, and is what rounds its numbers."""

    type: Literal["pose"] = "pose"
    boot_id: int
    t_us: int = Field(description="start of the scan on the device's clock")
    occupied: bool
    joints: dict[str, Joint] | None = Field(description="null when the mat is empty, or the model cannot read it")
    keypoints: list[tuple[float, float, float]] = Field(description="x_norm, y_norm of the mat, confidence")
    cop_cm: tuple[float, float] | None
    contact_area_cm2: float
    peak_pressure: float
    posture: str | None
    latency_ms: float | None = Field(default=None, description="from the frame's last byte; null in a replay")


EventName = Literal[
    "port_open",
    "port_lost",
    "port_waiting",
    "reboot",
    "mat_changed",
    "stale",
    "fresh",
    "recording_started",
    "recording_stopped",
    "recording_truncated",
    "tared",
    "calibrated",
    "bed_entered",
    "bed_left",
    "turned",
]


class EventLine(Line):
    """Something happened."""

    type: Literal["event"] = "event"
    event: EventName
    detail: str


class Counts(BaseModel):
    """received = poses + dropped; received + lost = sent by the mat, for each boot id.

    In a replay, of what was played since the hello after the last seek.
    """

    received: int = Field(description="whole frames")
    lost: int = Field(description="frames missing by their sequence numbers")
    corrupt: int = Field(description="messages that cannot be trusted")
    skipped: int = Field(description="messages of unknown version or type")
    repeated: int
    reboots: int
    unknown: int = Field(description="gaps in which nobody knows how many frames were lost")
    dropped: int = Field(description="frames without a pose: a newer one was there, or no INFO yet")
    poses: int
    port_losses: int

    @classmethod
    def of(cls, stream: StreamCounts, *, dropped: int, poses: int, port_losses: int) -> "Counts":
        return cls(
            received=stream.received,
            lost=stream.lost,
            corrupt=stream.corrupt,
            skipped=stream.skipped,
            repeated=stream.repeated,
            reboots=stream.reboots,
            unknown=stream.unknown,
            dropped=dropped,
            poses=poses,
            port_losses=port_losses,
        )


class Health(Line):
    """Whether frames come and poses are made of them; on every change and at an interval."""

    type: Literal["health"] = "health"
    status: Literal["ok", "pressure_only", "stale"]
    reason: str | None
    counts: Counts
    fps: Annotated[float, rounded(2)] | None = Field(default=None, description="poses a second since the last health")
    recording: bool = False
    recording_waits: bool = Field(default=False, description="asked for, but the disk has no room or cannot be written")
    occupied: bool = Field(default=False, description="as it settled: neither a flicker nor a single frame counts")
    posture: str | None = Field(default=None, description="as it settled")
    turns: int = Field(default=0, description="of the person in bed since they came")
    unturned_s: Annotated[float, rounded(1)] | None = Field(default=None, description="since the last turn")
    load: dict[str, Load] = Field(default={}, description="pressure on the body's regions")
    calibration: str | None = Field(default=None, description="why the stored calibration is not used")


class End(Line):
    """The last line."""

    type: Literal["end"] = "end"
    counts: Counts


def hello(ts: float, seq: int | None, mat: str, model: KeypointModel, info: Info, pipeline: Pipeline) -> Hello:
    manifest, grid = model.manifest, pipeline.grid
    return Hello(
        ts=ts,
        seq=seq,
        mat=mat,
        model=ModelLine(
            name=manifest.name, version=manifest.version, sha256=manifest.model_sha256, runtime=model.runtime
        ),
        grid=GridLine(rows=grid.rows, cols=grid.cols, pitch_x_cm=grid.pitch_x_cm, pitch_y_cm=grid.pitch_y_cm),
        orientation=spelled(pipeline.orientation),
        units=Units(pressure=pipeline.unit),
        firmware=Firmware(name=info.firmware_name, version=info.firmware_version),
        device_id=info.device_id,
        boot_id=info.boot_id,
        frame_rate_hz=None if info.frame_rate_mhz is None else info.frame_rate_mhz / 1000,
    )
