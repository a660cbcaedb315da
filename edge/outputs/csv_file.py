"""`csv:PATH`: one row a pose, as RFC 4180 has it; other lines are left out."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.messages import Pose
from edge.outputs.json_file import DEFAULT_KEEP, RotatingFile
from edge.outputs.sink import Item
from firmware_bridge.skeleton import JOINTS

POSE_COLUMNS: Final = (
    "ts", "mat", "seq", "t_us", "occupied", "posture",
    "cop_x_cm", "cop_y_cm", "contact_area_cm2", "peak_pressure",
)  # fmt: skip
JOINT_COLUMNS: Final = ("x_cm", "y_cm", "confidence")
COLUMNS: Final = (*POSE_COLUMNS, *(f"{joint}_{column}" for joint in JOINTS for column in JOINT_COLUMNS))


class CsvFile:
    """COLUMNS, in the units and digits of the JSON lines; empty where those say null."""

    def __init__(self, path: Path, rotate_mb: float | None = None, keep: int = DEFAULT_KEEP) -> None:
        self._file = RotatingFile(path, rotate_mb, keep, header=_row(COLUMNS))

    def open(self) -> None:
        self._file.open()

    def write(self, item: Item) -> None:
        if isinstance(item.line, Pose):
            self._file.write(_row(_values(item.line)))

    def close(self) -> None:
        self._file.close()


def _values(pose: Pose) -> list[object]:
    said = pose.model_dump(exclude={"keypoints"})
    said["occupied"] = "true" if pose.occupied else "false"
    said["cop_x_cm"], said["cop_y_cm"] = said["cop_cm"] or (None, None)
    joints = said["joints"] or {joint: dict.fromkeys(JOINT_COLUMNS) for joint in JOINTS}
    return [
        *(said[column] for column in POSE_COLUMNS),
        *(joints[joint][column] for joint in JOINTS for column in JOINT_COLUMNS),
    ]


def _row(values: Sequence[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(values)
    return text.getvalue().encode()
