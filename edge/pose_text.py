"""The JSON line of one frame, straight from its numbers.

At the rate of the frames an object made of hundreds of others costs more than the joints themselves; it is made of
the text by the outputs that look into it (`edge.messages.Pose`).
"""

import json
import math
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from edge.pipeline import Result
from firmware_bridge.decoder import Frame
from firmware_bridge.skeleton import JOINTS

_JOINTS: Final = ",".join(f'"{name}":{{"x_cm":%.2f,"y_cm":%.2f,"confidence":%.4f}}' for name in JOINTS)
_LINE: Final = (
    '{{"type":"pose","v":1,"ts":%.6f,"seq":%d,"mat":{mat},"boot_id":%d,"t_us":%d,"occupied":{occupied},'
    '"joints":{joints},"keypoints":[{keypoints}],"cop_cm":{cop},"contact_area_cm2":%.1f,"peak_pressure":%.1f,'
    '"posture":{posture},"latency_ms":{latency}}}\n'
)


class PoseText(NamedTuple):
    """What one frame's line tells."""

    ts: float
    mat: str
    boot_id: int
    frame: Frame
    result: Result
    latency_ms: float | None = None

    def json_line(self) -> str:
        """Raises ValueError for what is no number in JSON."""
        result, frame, latency_ms = self.result, self.frame, self.latency_ms
        centre_cm = result.centre_of_pressure_cm
        points = [part.ravel() for part in (result.joints, result.keypoints) if part is not None]
        numbers = (
            self.ts,
            frame.seq,
            self.boot_id,
            frame.t_us,
            *(np.concatenate(points).tolist() if points else ()),
            *(centre_cm or ()),
            result.contact_area_cm2,
            result.peak_pressure,
            *(() if latency_ms is None else (latency_ms,)),
        )
        if not math.isfinite(sum(numbers)):
            raise ValueError(f"frame {frame.seq} of mat {self.mat} has a value that is no number")
        form = _form(
            self.mat,
            result.occupied,
            result.joints is not None,
            0 if result.keypoints is None else len(result.keypoints),
            centre_cm is not None,
            result.posture,
            latency_ms is not None,
        )
        return form % numbers


@cache
def _form(mat: str, occupied: bool, joints: bool, keypoints: int, cop: bool, posture: str | None, latency: bool) -> str:
    """Of a line that tells so much; there are few of them."""
    return _LINE.format(
        mat=_quoted(mat),
        occupied="true" if occupied else "false",
        joints=f"{{{_JOINTS}}}" if joints else "null",
        keypoints=",".join(["[%.4f,%.4f,%.4f]"] * keypoints),
        cop="[%.2f,%.2f]" if cop else "null",
        posture=_quoted(posture),
        latency="%.2f" if latency else "null",
    )


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False).replace("%", "%%")
