"""Files that edge-export writes, each frame by frame: a night takes no more memory than a minute.

Layouts are described in edge.export, for those who read the files.
"""

import shutil
import zipfile
from collections.abc import Callable, Sequence
from typing import IO, Any, BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.manifest import Manifest
from edge.messages import Pose
from edge.replayed import RecordedFrame
from firmware_bridge.skeleton import JOINTS

WRAP_US: Final = 2**32
MAX_INTERVALS: Final = 1000
"""From which the frame rate is taken where INFO does not say it."""


Spool = Callable[[], IO[bytes]]


class Writer(Protocol):
    """All frames have the grid of the first one; all come with a pose or none does."""

    def write(self, frame: RecordedFrame, pose: Pose | None) -> None: ...

    def close(self) -> None:
        """After the last frame; the file itself stays open."""


class MakeWriter(Protocol):
    """Into `file`; `spool` makes files for what must wait, which live as long as `file`; `model` makes poses."""

    def __call__(self, file: BinaryIO, spool: Spool, first: RecordedFrame, model: Manifest | None) -> Writer: ...


class _Column:
    """One array of an .npz: its rows lie in a file of their own until all have come."""

    def __init__(self, file: IO[bytes], dtype: DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._file = file
        self._dtype, self._row_shape, self._n = np.dtype(dtype), row_shape, 0

    def append(self, row: Any) -> None:
        """Raises ValueError for a row of another shape."""
        values = np.asarray(row, self._dtype)
        if values.shape != self._row_shape:
            raise ValueError(f"a row of {values.shape} among rows of {self._row_shape}")
        self._file.write(values.tobytes())
        self._n += 1

    def save(self, archive: zipfile.ZipFile, name: str) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        self._file.seek(0)
        with archive.open(f"{name}.npy", "w", force_zip64=True) as array:
            np.lib.format.write_array_header_1_0(array, header | {"shape": (self._n, *self._row_shape)})
            shutil.copyfileobj(self._file, array)


class NpzWriter:
    """NumPy arrays, compressed."""

    def __init__(self, file: BinaryIO, spool: Spool, first: RecordedFrame, model: Manifest | None) -> None:
        self._file, self._first = file, first
        shapes: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {
            "counts": (np.uint16, first.counts.shape),
            "time_s": (np.float64, ()),
            "unix_us": (np.int64, ()),
            "boot_id": (np.uint32, ()),
            "seq": (np.uint16, ()),
            "t_us": (np.uint32, ()),
        }
        if model:
            keypoints, posture = model.output("keypoints"), model.posture
            longest = max(map(len, posture.classes)) if posture else 1
            shapes |= {
                "occupied": (np.bool_, ()),
                "posture": (f"U{longest}", ()),
                "joints_cm": (np.float32, (len(JOINTS), 3)),
                "keypoints": (np.float32, (keypoints.k if keypoints else 0, 3)),
            }
        self._columns = {name: _Column(spool(), dtype, shape) for name, (dtype, shape) in shapes.items()}
        self._keypoints_shape = shapes["keypoints"][1] if model else ()

    def write(self, frame: RecordedFrame, pose: Pose | None) -> None:
        row: dict[str, Any] = {
            "counts": frame.counts,
            "time_s": frame.time_s,
            "unix_us": frame.unix_us,
            "boot_id": frame.info.boot_id,
            "seq": frame.seq,
            "t_us": frame.t_us,
        }
        if pose:
            row |= {
                "occupied": pose.occupied,
                "posture": pose.posture or "",
                "joints_cm": joints_cm(pose),
                "keypoints": pose.keypoints or np.full(self._keypoints_shape, np.nan),
            }
        for name, value in row.items():
            self._columns[name].append(value)

    def close(self) -> None:
        grid = self._first.grid
        values: dict[str, Any] = {
            "rows": grid.rows,
            "cols": grid.cols,
            "pitch_x_cm": grid.pitch_x_cm,
            "pitch_y_cm": grid.pitch_y_cm,
            "adc_full_scale": self._first.info.adc_full_scale,
            "joint_names": np.array(JOINTS),
        }
        with zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, column in self._columns.items():
                column.save(archive, name)
            for name, value in values.items():
                with archive.open(f"{name}.npy", "w") as array:
                    np.lib.format.write_array(array, np.asarray(value), allow_pickle=False)


def joints_cm(pose: Pose) -> NDArray[np.float32]:
    """(14, 3): x_cm, y_cm, confidence; NaN where there are no joints."""
    if pose.joints is None:
        return np.full((len(JOINTS), 3), np.nan, np.float32)
    points = (pose.joints[name] for name in JOINTS)
    return np.array([(point.x_cm, point.y_cm, point.confidence) for point in points], np.float32)


class CsvWriter:
    """One row a frame."""

    def __init__(self, file: BinaryIO, spool: Spool, first: RecordedFrame, model: Manifest | None) -> None:
        self._file = file
        rows, cols = first.counts.shape
        header = ["time_s", "unix_s", "boot_id", "seq", "t_us"]
        if model:
            header += ["occupied", "posture"]
            header += [f"{name}_{value}" for name in JOINTS for value in ("x_cm", "y_cm", "confidence")]
        self._line([*header, *(f"r{row}c{col}" for row in range(rows) for col in range(cols))])

    def write(self, frame: RecordedFrame, pose: Pose | None) -> None:
        cells = [f"{frame.time_s:.6f}", f"{frame.unix_us / 1e6:.6f}"]
        cells += map(str, (frame.info.boot_id, frame.seq, frame.t_us))
        if pose:
            cells += ["true" if pose.occupied else "false", pose.posture or ""]
            for name in JOINTS:
                point = pose.joints[name] if pose.joints else None
                cells += [f"{point.x_cm:.2f}", f"{point.y_cm:.2f}", f"{point.confidence:.4f}"] if point else [""] * 3
        self._line([*cells, *map(str, frame.counts.ravel().tolist())])

    def close(self) -> None:
        """Nothing is held back."""

    def _line(self, cells: Sequence[str]) -> None:
        self._file.write((",".join(cells) + "\r\n").encode())


class TekscanWriter:
    """Like the ASCII exports of Tekscan's software, as train.formats.tekscan reads them."""

    def __init__(self, file: BinaryIO, spool: Spool, first: RecordedFrame, model: Manifest | None) -> None:
        self._file, self._first = file, first
        self._n = 0
        self._intervals_us: list[int] = []
        self._last_t_us: int | None = None
        self._header()

    def write(self, frame: RecordedFrame, pose: Pose | None) -> None:
        if self._last_t_us is not None and len(self._intervals_us) < MAX_INTERVALS:
            self._intervals_us.append((frame.t_us - self._last_t_us) % WRAP_US)
        self._last_t_us = frame.t_us
        self._n += 1
        self._lines([f"Frame {self._n}", *(",".join(map(str, row)) for row in frame.counts.tolist()), ""])

    def close(self) -> None:
        """The header comes again, now that its numbers are known: they take the same room."""
        self._lines(["@@"])
        self._file.seek(0)
        self._header()
        self._file.seek(0, 2)

    def _header(self) -> None:
        grid, info = self._first.grid, self._first.info
        header = {
            "DATA_TYPE": "MOVIE",
            "ROWS": grid.rows,
            "COLS": grid.cols,
            "ROW_SPACING": f"{grid.pitch_y_cm * 10:.3f} mm",
            "COL_SPACING": f"{grid.pitch_x_cm * 10:.3f} mm",
            "NOISE_THRESHOLD": 0,
            "SECONDS_PER_FRAME": f"{self._seconds_per_frame():012.6f}",
            "SATURATION_PRESSURE": info.adc_full_scale,
            "START_FRAME": 1,
            "END_FRAME": f"{self._n:09d}",
            "UNITS": "Raw",
        }
        self._lines([*(f"{key} {value}" for key, value in header.items()), "ASCII_DATA @@", ""])

    def _seconds_per_frame(self) -> float:
        if self._first.info.frame_rate_mhz:
            return 1000 / self._first.info.frame_rate_mhz
        return float(np.median(self._intervals_us)) / 1e6 if self._intervals_us else 0.0

    def _lines(self, lines: Sequence[str]) -> None:
        self._file.write("".join(f"{line}\r\n" for line in lines).encode("ascii"))


WRITERS: Final[dict[str, MakeWriter]] = {"npz": NpzWriter, "csv": CsvWriter, "tekscan": TekscanWriter}
