"""The JSON line of one frame, straight from its numbers.

At the rate of the frames an object made of hundreds of others costs more than the joints themselves; it is made of
the text by the outputs that look into it (`edge.messages.Pose`).
"""

import json
import math
import struct
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from edge.core.calls import FillCall
from edge.core.library import CORE
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
        centre_cm = result.centre_of_pressure_cm or ()
        measures = *centre_cm, result.contact_area_cm2, result.peak_pressure
        numbers = b"".join(
            (
                _doubles(self.ts, frame.seq, self.boot_id, frame.t_us),
                b"" if result.joints is None else result.joints.tobytes(),
                b"" if result.keypoints is None else result.keypoints.tobytes(),
                _doubles(*measures) if latency_ms is None else _doubles(*measures, latency_ms),
            )
        )
        form = _form(
            self.mat,
            result.occupied,
            result.joints is not None,
            0 if result.keypoints is None else len(result.keypoints),
            bool(centre_cm),
            result.posture,
            latency_ms is not None,
        )
        text = form.fill(numbers) if form.fill else None
        if text is None:
            found = np.frombuffer(numbers).tolist()
            if not math.isfinite(sum(found)):
                raise ValueError(f"frame {frame.seq} of mat {self.mat} has a value that is no number")
            text = form.text % tuple(found)
        return text


def _doubles(*numbers: float) -> bytes:
    return struct.pack(f"{len(numbers)}d", *numbers)


class _Form(NamedTuple):
    text: str
    """With a place for each number, as `%` fills it."""
    fill: FillCall | None
    """The core's way."""


@cache
def _form(
    mat: str, occupied: bool, joints: bool, keypoints: int, cop: bool, posture: str | None, latency: bool
) -> _Form:
    """Of a line that tells so much; there are few of them."""
    text = _LINE.format(
        mat=_quoted(mat),
        occupied="true" if occupied else "false",
        joints=f"{{{_JOINTS}}}" if joints else "null",
        keypoints=",".join(["[%.4f,%.4f,%.4f]"] * keypoints),
        cop="[%.2f,%.2f]" if cop else "null",
        posture=_quoted(posture),
        latency="%.2f" if latency else "null",
    )
    return _Form(text, FillCall(CORE, text) if CORE else None)


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False).replace("%", "%%")
