"""edge-export: the frames of recordings as NumPy arrays, CSV or Tekscan-like ASCII.

Frames are canonical: seen from above, head at row 0; the person's left is at the high columns when on the back.
Counts are as the mat sent them, without calibration. Several recordings, such as the files of one night, become one
file: give them in the order of time. With --poses each frame comes with what edge-run says of it.
"""

import argparse
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO, Final

from edge.arguments import CORRECTIONS, add_corrections, as_replayed
from edge.config.settings import MatSettings
from edge.export_formats import WRITERS, MakeWriter, Writer
from edge.manifest import Manifest
from edge.messages import Pose
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.replayed import (
    How,
    Progress,
    RecordedFrame,
    Replay,
    frames_of,
    read_calibration,
    start_unix_us,
)
from edge.smoothing import Smoothing
from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.geometry import Orientation
from firmware_bridge.messages import Info
from firmware_bridge.numbers import time_s

ENDINGS: Final = {".npz": "npz", ".csv": "csv", ".asf": "tekscan"}

EPILOG: Final = """\
formats, chosen by the ending of --out or by --format:
  npz      numpy.load(FILE)[name], N frames, compressed:
             counts (N, rows, cols) uint16; time_s: since the start of the first recording; unix_us: when the
             host received it; boot_id, seq, t_us: by the mat (t_us wraps at 71.6 min); rows, cols,
             pitch_x_cm, pitch_y_cm, adc_full_scale; joint_names (14,)
             with --poses: occupied; posture ("" for none); joints_cm (N, 14, 3): x, y in cm from the top
             left corner, confidence (NaN without joints); keypoints (N, K, 3): x, y of 0..1, confidence
  csv      one row a frame, for pandas, R or a spreadsheet (64 x 32 taxels are within Excel's 16384 columns):
             time_s, unix_s, boot_id, seq, t_us, [with --poses: occupied, posture, head_x_cm, head_y_cm,
             head_confidence, ...: empty without joints,] then the counts r0c0, r0c1, ... row by row
  tekscan  .asf, ASCII like Tekscan's exports, UNITS Raw; has neither times nor poses

A file has one grid. Where the mat changes in the middle, export the parts with --from and --to; a mat that only
restarted is gone on with, as its boot_id tells.

exit codes:
   0  done (also where a recording is cut off: to its last whole frame, with a warning)
   2  wrong usage, recordings out of order or given twice, or the output exists
  65  a recording is empty, no recording, without whole frames, or changes its grid
  66  a recording, the model, the calibration or the folder of --out is missing
  70  an unexpected error, please report it
  77  the output cannot be written
  78  the model is unreadable or disagrees with its manifest, or the calibration is wrong

examples:
  edge-export night.matlog --out night.npz --poses
  edge-export bed-20260301T2*.matlog --out evening.csv --from 600 --to 1200
  edge-export night.matlog --out night.asf --orientation 180
"""


def cli() -> None:
    sys.exit(run_command("edge-export", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="edge-export: %(message)s", stream=sys.stderr)
    (mat,) = as_replayed({flag: told for flag in CORRECTIONS if (told := getattr(args, flag.removeprefix("--")))}).mat
    make = WRITERS[_check(args)]
    starts_us = _starts_us(args.recordings)
    how = _how(args, mat) if args.poses else None
    progress = Progress("edge-export", sum(path.stat().st_size for path in args.recordings))
    export = _Export(args.out, make, how, mat, args.start, args.end, progress)
    try:
        export.run(args.recordings, starts_us)
    except OSError as error:
        message = f"the export to {args.out} failed: {error.strerror or error}: choose another place"
        raise Failure(message, Exit.PERMISSION) from None
    finally:
        progress.close()
    first = export.first
    assert first
    grid = first.grid
    print(
        f"edge-export: {export.n} frames of {grid.rows} x {grid.cols} taxels, {grid.pitch_y_cm:g} cm from row to row"
        f" and {grid.pitch_x_cm:g} cm from column to column -> {args.out}",
        file=sys.stderr,
    )
    return Exit.OK


class _Export:
    """Into a file beside `out`, which takes its place when it is whole: what is called `out` is never a part."""

    def __init__(
        self,
        out: Path,
        make: MakeWriter,
        how: How | None,
        mat: MatSettings,
        from_s: float,
        to_s: float,
        progress: Progress,
    ) -> None:
        self.n = 0
        self.first: RecordedFrame | None = None
        self._out, self._make, self._how, self._corrected = out, make, how, mat.corrected
        self._from_s, self._to_s, self._progress = from_s, to_s, progress
        self._writer: Writer | None = None
        self._spools = ExitStack()
        self._done_bytes = 0

    def run(self, paths: Sequence[Path], starts_us: Sequence[int]) -> None:
        """Raises Failure, and OSError for the output."""
        partial = self._out.with_name(f"{self._out.name}.partial")
        try:
            with self._spools, partial.open("wb") as file:
                self._read(paths, starts_us, file)
                if self._writer is None:
                    raise self._nothing(paths)
                self._writer.close()
            partial.rename(self._out)
        finally:
            partial.unlink(missing_ok=True)

    def _read(self, paths: Sequence[Path], starts_us: Sequence[int], file: BinaryIO) -> None:
        replay = Replay(self._how) if self._how else None
        for path, start_us in zip(paths, starts_us, strict=True):
            if replay:
                self._pose(replay, path, (start_us - starts_us[0]) / 1e6, starts_us[0], file)
            else:
                for frame in frames_of(path, self._turn, starts_us[0], corrected=self._corrected):
                    if frame.time_s >= self._to_s:
                        break
                    self._take(path, frame, None, file)
            self._done_bytes += path.stat().st_size

    def _pose(self, replay: Replay, path: Path, offset_s: float, start_us: int, file: BinaryIO) -> None:
        """Frame and pose go side by side: the replay, which has seen them all, warns."""
        frames = frames_of(path, self._turn, start_us, corrected=self._corrected, warn=lambda text: None)

        def take(pose: Pose) -> None:
            self._take(path, _frame_of(pose, frames), pose, file)

        replay(path, take, self._to_s - offset_s)

    def _take(self, path: Path, frame: RecordedFrame, pose: Pose | None, file: BinaryIO) -> None:
        self._progress(self._done_bytes + frame.read_bytes)
        if not self._from_s <= frame.time_s < self._to_s:
            return
        if self.first is None or self._writer is None:
            self.first = frame
            self._writer = self._make(file, self._spool, frame, self._manifest)
        if _kind(frame) != _kind(self.first):
            message = (
                f"{path}: another mat from {frame.time_s:.3f} s on ({_in_words(self.first)}, then {_in_words(frame)}): "
                f"export the parts with --to {frame.time_s:.6f} and --from {frame.time_s:.6f}"
            )
            raise Failure(message, Exit.FOREIGN_DATA)
        self._writer.write(frame, pose)
        self.n += 1

    def _turn(self, info: Info) -> Orientation:
        return self._how.turn(info) if self._how else info.orientation

    def _spool(self) -> IO[bytes]:
        """Without a name, beside the output: where that fits there may be room for as much again, unlike in /tmp."""
        return self._spools.enter_context(TemporaryFile(dir=self._out.absolute().parent))

    @property
    def _manifest(self) -> Manifest | None:
        return self._how.model.manifest if self._how else None

    def _nothing(self, paths: Sequence[Path]) -> Failure:
        names = ", ".join(map(str, paths))
        if math.isfinite(self._from_s) or math.isfinite(self._to_s):
            limits = f"{max(0.0, self._from_s):g} s and {self._to_s:g} s"
            text = f"no frame of {names} is between {limits}: choose other limits"
            return Failure(text, Exit.USAGE)
        return Failure(f"{names}: no whole frame to export: give another recording", Exit.FOREIGN_DATA)


def _frame_of(pose: Pose, frames: Iterator[RecordedFrame]) -> RecordedFrame:
    frame = next(frames)
    if (frame.seq, frame.t_us) != (pose.seq, pose.t_us):
        raise RuntimeError(f"the pose of frame {pose.seq} came with frame {frame.seq}")
    return frame


def _kind(frame: RecordedFrame) -> tuple[object, ...]:
    return frame.grid, frame.info.adc_full_scale


def _in_words(frame: RecordedFrame) -> str:
    grid = frame.grid
    pitch = f"{grid.pitch_y_cm:g} x {grid.pitch_x_cm:g} cm"
    return f"{grid.rows} x {grid.cols} taxels of {pitch}, up to {frame.info.adc_full_scale} counts"


def _starts_us(paths: Sequence[Path]) -> list[int]:
    """When each recording began. Raises Failure, also (2) where one did not begin after the one before it."""
    starts_us = [start_unix_us(path) for path in paths]
    for (before, before_us), (path, start_us) in pairwise(zip(paths, starts_us, strict=True)):
        if start_us <= before_us:
            message = f"{path} did not begin after {before}: give recordings in the order of time, each once"
            raise Failure(message, Exit.USAGE)
    return starts_us


def _how(args: argparse.Namespace, mat: MatSettings) -> How:
    return How(
        KeypointModel.from_files(args.model, mirrored_too=args.mirrored_too),
        mat,
        Smoothing() if args.smoothing == "on" else None,
        read_calibration(args.calibration),
    )


def _check(args: argparse.Namespace) -> str:
    """The format. Raises Failure."""
    if args.out.exists():
        raise Failure(f"{args.out} exists and is not overwritten: choose another name", Exit.USAGE)
    if not args.out.parent.is_dir():
        raise Failure(f"no folder {args.out.parent} for the output: make it first", Exit.MISSING_INPUT)
    chosen = args.format or ENDINGS.get(args.out.suffix.lower())
    if chosen is None:
        endings = ", ".join(ENDINGS)
        raise Failure(f"{args.out} ends in none of {endings}: choose one of these, or --format", Exit.USAGE)
    if args.poses and chosen == "tekscan":
        raise Failure("--poses has no place in a Tekscan file: export npz or csv", Exit.USAGE)
    told = args.model, args.mirrored_too, args.smoothing, args.calibration
    if not args.poses and told != (DEFAULT_MODEL, False, "on", "none"):
        needed = "--model, --mirrored-too, --smoothing and --calibration make poses"
        raise Failure(f"{needed}: add --poses, or leave them out", Exit.USAGE)
    if args.start >= args.end:
        raise Failure(f"--from {args.start:g} is not before --to {args.end:g}: nothing lies between", Exit.USAGE)
    return str(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-export", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", nargs="+", type=Path, metavar="RECORDING", help="made by edge-run --record")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write; must not exist")
    parser.add_argument("--format", choices=WRITERS, help="where the ending of --out does not tell it")
    parser.add_argument(
        "--from",
        dest="start",
        type=time_s,
        default=-math.inf,
        metavar="S",
        help="leave out what is before, from the start of the first recording on",
    )
    parser.add_argument(
        "--to", dest="end", type=time_s, default=math.inf, metavar="S", help="leave out what is from there on"
    )
    add_corrections(parser)
    poses = parser.add_argument_group("poses")
    poses.add_argument("--poses", action="store_true", help="add what edge-run says of each frame")
    poses.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE", help=".tflite with its .json beside it"
    )
    poses.add_argument("--mirrored-too", action="store_true", help="as edge-run --mirrored-too")
    poses.add_argument("--smoothing", choices=("on", "off"), default="on", help="of joints (default %(default)s)")
    poses.add_argument(
        "--calibration", default="none", metavar="FILE", help="the mat's .calibration.json (default %(default)s)"
    )
    return parser


if __name__ == "__main__":
    cli()
