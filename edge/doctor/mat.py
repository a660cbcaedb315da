"""What some seconds of a mat tell of it: its rate, its errors, its taxels, its noise, which end the head is at."""

from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.calibration.collector import Refused
from edge.calibration.tare import Tare
from edge.calibration.values import Calibration, in_words
from edge.contact import contact
from edge.doctor.finding import Answer, Check, Level
from edge.doctor.listening import Heard
from edge.model import KeypointModel
from edge.pipeline import Pipeline
from firmware_bridge.decoder import Frame
from firmware_bridge.geometry import Orientation, spelled
from firmware_bridge.header import VERSION
from firmware_bridge.messages import Info

LEAST_RATE_SHARE: Final = 0.9
"""Of the promised frame rate."""
BITS_PER_BYTE: Final = 10
"""On a serial line: start bit, 8 bits, stop bit."""
FULL_LINE_SHARE: Final = 0.9
MOST_BAD_SHARE: Final = 0.01
"""Of the frames: more that are lost or corrupt make a mat useless for records."""
MOST_FAULTY_SHARE: Final = 0.05
FULL_SCALE_SHARE: Final = 0.98
HEAD_FRAMES: Final = 5
MEND_FIRMWARE: Final = "the CRC is right, so mend the firmware"
TURNED_MARGIN: Final = 0.1
"""By how much surer the model must be of a turned mat. On pmd's person 13 and on three simulated nights it is
surer of the right way round by 0.37 to 0.43 in the median, never by less than 0."""


class Mat:
    """Checks of one mat, on what was heard of it."""

    def __init__(self, heard: Heard, info: Info, baud: int) -> None:
        """`info`: as the configuration corrects it."""
        self._heard, self._info, self._baud = heard, info, baud
        self._frames = [(at_s, frame) for at_s, frame in heard.frames if frame.counts.shape == (info.rows, info.cols)]

    def checks(self, model: KeypointModel | None) -> dict[str, Check]:
        checks: dict[str, Check] = {"rate": self._rate, "errors": self._errors}
        if self._frames:
            checks["taxels"] = self._taxels
        if self._frames and not self._above_full_scale:
            checks["noise"] = self._noise
            if model:
                checks["head"] = partial(self._head, model)
        return checks

    def _rate(self) -> Answer | None:
        """None for a single frame where the errors say why."""
        heard, promised_hz = self._heard, (self._info.frame_rate_mhz or 0) / 1000
        if not heard.n_frames:
            return Level.FAILED, f"no frame in {heard.listened_s:g} s, though INFO came: {self._instead_of_frames()}"
        if heard.rate_hz is None:
            sick = self._errors()[0] == Level.FAILED
            return None if sick else (Level.WARNING, f"one frame in {heard.listened_s:g} s: give a longer --listen")
        text = f"{heard.rate_hz:.1f} frames/s, {f'{promised_hz:g}' if promised_hz else 'nothing'} promised"
        if heard.rate_hz >= LEAST_RATE_SHARE * promised_hz:
            return Level.OK, text
        line_bytes_hz = self._baud / BITS_PER_BYTE
        if heard.n_bytes > FULL_LINE_SHARE * line_bytes_hz * heard.listened_s:
            return Level.WARNING, f"{text}: {self._baud} baud are used up, raise them or send fewer bits a taxel"
        return Level.WARNING, f"{text}: the board does not keep up, or frames are lost"

    def _instead_of_frames(self) -> str:
        """What came most of all."""
        counts, n_parts = self._heard.counts, self._heard.n_parts
        came = {
            "has it been stopped?": 0,
            f"{counts.corrupt} messages are corrupt": counts.corrupt,
            f"{counts.repeated} messages have the sequence of one before": counts.repeated,
            f"{counts.skipped} messages are of no known type, or not of version {VERSION}": counts.skipped,
            f"{n_parts} chunks make no frame: does it send all rows of a frame, in order from row 0?": n_parts,
        }
        return max(came, key=lambda text: came[text])

    def _errors(self) -> Answer:
        heard, counts = self._heard, self._heard.counts
        text = f"{counts.lost} of {counts.received + counts.lost} frames lost, {heard.corrupt}"
        if counts.reboots:
            return Level.FAILED, f"{text}, the mat restarted {counts.reboots} times: check its supply"
        if uncounted := self._uncounted():
            return Level.FAILED, f"{text}: the sequence does not count up, {uncounted}"
        bad = max(counts.lost, counts.corrupt)
        if not bad:
            return Level.OK, text
        level = Level.FAILED if bad > MOST_BAD_SHARE * (counts.received + counts.lost) else Level.WARNING
        if heard.breaks_protocol and counts.corrupt >= counts.lost:
            return level, f"{text}: {MEND_FIRMWARE}"
        remedy = "check cable, plug and ground; nobody else may read the port"
        if heard.reasons and not heard.n_frames:
            remedy = f"does the firmware escape C0 and DB, and is its CRC zlib's, of header and payload? else {remedy}"
        return level, f"{text}: {remedy}"

    def _uncounted(self) -> str | None:
        """How the sequence shows that it is none, and the remedy."""
        counts = self._heard.counts
        back = counts.unknown - counts.reboots
        if back:
            return f"it went back {back} times under one boot id: count each frame, and give each boot a new id"
        if counts.repeated > counts.received:
            return f"{counts.repeated} messages have that of a frame before: count each frame"
        return None

    def _taxels(self) -> Answer:
        if self._above_full_scale:
            above = f"samples up to {self._stack.max()} are above the full scale of INFO, {self._info.adc_full_scale}"
            return Level.FAILED, f"{above}: are their bytes swapped?"
        if self._occupied:
            faulty = suspects(self._stack, self._info.adc_full_scale)
            text = f"dead or stuck under somebody: {in_words(faulty)}"
        elif isinstance(self._tared, Refused):
            return Level.WARNING, self._tared.reason
        else:
            faulty = self._tared.faulty
            text = f"dead, stuck or flickering: {in_words(faulty)}"
        if not faulty.any():
            return Level.OK, text
        level = Level.FAILED if faulty.mean() > MOST_FAULTY_SHARE else Level.WARNING
        return level, f"{text} (counted from 0, as the mat sends them): a tare finds and bridges them; check its wires"

    def _noise(self) -> Answer | None:
        """Of an empty mat; a tare that is refused has said why."""
        if self._occupied or isinstance(self._tared, Refused):
            return None
        counts = float(np.median(self._tared.noise_counts))
        return Level.OK, f"empty, {counts:.1f} of {self._info.adc_full_scale} counts"

    def _head(self, model: KeypointModel) -> Answer | None:
        """Whether somebody who lies there has the head where the mat or the setting says."""
        if not self._occupied:
            return None
        frames = [frame for (_, frame), occupied in zip(self._frames, self._occupied_frames, strict=True) if occupied]
        picked = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, HEAD_FRAMES).astype(int))]
        here = self._info.orientation
        sure = {turn: self._sureness(model, picked, _turned(here, turn)) for turn in range(4)}
        best = max(sure, key=lambda turn: sure[turn])
        if not sure[best]:
            return Level.WARNING, Pipeline(model, self._info, here).problem or "somebody lies there, no joint is found"
        if best and sure[best] > sure[0] + TURNED_MARGIN:
            said = f"the head seems {90 * best} degrees from where it should be"
            remedy = f'unless the person lies so, set the orientation to "{spelled(_turned(here, best))}"'
            return Level.WARNING, f"{said} (confidence {sure[best]:.2f} against {sure[0]:.2f}): {remedy}"
        return Level.OK, f"at the end that the orientation says, confidence {sure[0]:.2f} against {sure[2]:.2f} turned"

    def _sureness(self, model: KeypointModel, frames: list[Frame], orientation: Orientation) -> float:
        """Mean confidence of the joints, 0 where the model cannot read the mat that way."""
        pipeline = Pipeline(model, self._info, orientation)
        found = [result.joints[:, 2].mean() for result in map(pipeline.step, frames) if result.joints is not None]
        return float(np.mean(found)) if found else 0.0

    @cached_property
    def _stack(self) -> NDArray[np.uint16]:
        """(frames, rows, cols) as sent."""
        return np.stack([frame.counts for _, frame in self._frames])

    @property
    def _above_full_scale(self) -> bool:
        return bool(self._stack.max() > self._info.adc_full_scale)

    @cached_property
    def _occupied_frames(self) -> list[bool]:
        turn, grid = self._info.orientation, self._info.orientation.canonical_grid(self._info.grid)
        return [contact(turn.to_canonical(counts).astype(np.float32), grid).occupied for counts in self._stack]

    @property
    def _occupied(self) -> bool:
        return any(self._occupied_frames)

    @cached_property
    def _tared(self) -> Calibration | Refused:
        tare = Tare(self._info)
        for (at_s, frame), occupied in zip(self._frames, self._occupied_frames, strict=True):
            tare.feed(frame.counts, occupied, at_s)
        return tare.result(0.0)


def suspects(frames: NDArray[np.uint16], full_scale: int) -> NDArray[np.bool_]:
    """(frames, rows, cols) of an occupied mat -> (rows, cols): at full scale, or still at 0 among the loaded."""
    level = np.median(frames, 0)
    loaded = level > np.percentile(level, 80)
    padded = np.pad(loaded, 1).astype(int)
    rows, cols = level.shape
    around = sum(padded[y : y + rows, x : x + cols] for y in range(3) for x in range(3))
    still = np.ptp(frames, axis=0) == 0
    dead = still & (level <= np.percentile(level, 20)) & (around >= 6)
    return np.asarray(dead | (frames.min(0) >= FULL_SCALE_SHARE * full_scale))


def _turned(orientation: Orientation, quarter_turns: int) -> Orientation:
    return Orientation((orientation.quarter_turns + quarter_turns) % 4, orientation.mirrored)
