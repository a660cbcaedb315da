"""One callable for each part of edge/ that the core computes, with all of its constants at hand.

Arrays go in as bytes and come out in fresh memory: that is cheaper than asking an array for its address, and what was
handed out is nobody's scratch.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core import structs
from edge.core.library import Library
from firmware_bridge.geometry import Grid
from firmware_bridge.header import SampleFormat
from firmware_bridge.samples import unpack
from firmware_bridge.skeleton import JOINTS, MIRRORED

Shape = tuple[int, ...]


class _Call:
    """Keeps alive what the core has addresses of."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def _array(self, values: Any, kind: type[np.generic]) -> int:
        """The address of the values as C has them."""
        array = np.ascontiguousarray(values, kind)
        self._kept.append(array)
        return int(array.ctypes.data)

    def _struct(self, struct: ctypes.Structure) -> int:
        self._kept.append(struct)
        return ctypes.addressof(struct)

    def _scratch(self, n_bytes: int) -> int:
        scratch = (ctypes.c_double * (n_bytes // 8 + 1))()
        self._kept.append(scratch)
        return ctypes.addressof(scratch)


def _floats(array: NDArray[np.floating], shape: Shape) -> bytes:
    """Raises ValueError where C would read beyond the array."""
    if array.shape != shape:
        raise ValueError(f"an array of {array.shape} is not one of {shape}")
    return np.asarray(array, np.float32).tobytes()


class UnpackCall:
    """firmware_bridge.samples.unpack."""

    def __init__(self, library: Library) -> None:
        self._call = library.core_unpack_u12

    def __call__(self, payload: bytes, sample_format: SampleFormat, shape: tuple[int, int]) -> NDArray[np.uint16]:
        if sample_format is not SampleFormat.U12:
            return unpack(payload, sample_format, shape)
        n = shape[0] * shape[1]
        counts: Any = (ctypes.c_uint16 * n)()
        self._call(payload, n, counts)
        return np.frombuffer(counts, np.uint16).reshape(shape)


class ContactCall(_Call):
    """edge.contact on one grid."""

    def __init__(self, library: Library, grid: Grid, **constants: float) -> None:
        super().__init__()
        self._shape: Shape = (grid.rows, grid.cols)
        self._mat = self._struct(
            structs.Contact(grid.rows, grid.cols, pitch_x_cm=grid.pitch_x_cm, pitch_y_cm=grid.pitch_y_cm, **constants)
        )
        self._room = self._scratch(library.core_contact_scratch_bytes(self._mat))
        self._found: Any = ctypes.c_double * 5
        self._call = library.core_contact

    def __call__(self, frame: NDArray[np.float32]) -> list[float]:
        """Occupied, area_cm2, x_cm, y_cm, peak."""
        found = self._found()
        self._call(self._mat, _floats(frame, self._shape), found, self._room)
        return list(found)


class WindowCall(_Call):
    """edge.window: a window of that shape on one grid."""

    def __init__(self, library: Library, shape: Shape, window_shape: Shape, **constants: float) -> None:
        super().__init__()
        self._shape = shape
        self._mat = self._struct(structs.Window(*shape, *window_shape, **constants))
        self._room = self._scratch(library.core_window_scratch_bytes(self._mat))
        self._corner: Any = ctypes.c_int32 * 2
        self._call = library.core_window

    def __call__(self, frame: NDArray[np.float32]) -> tuple[int, int]:
        """The window's first row and column."""
        corner = self._corner()
        self._call(self._mat, _floats(frame, self._shape), corner, self._room)
        return corner[0], corner[1]


class PrepareCall(_Call):
    """edge.preprocess from one grid to another; without weights they are the same."""

    def __init__(
        self,
        library: Library,
        shape: Shape,
        model_shape: Shape,
        weights: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
        **constants: float,
    ) -> None:
        super().__init__()
        self.shape = shape
        self._model_shape = model_shape
        rows, cols = weights or (None, None)
        self._how = self._struct(
            structs.Preparation(
                *shape,
                *model_shape,
                row_weights=None if rows is None else self._array(rows, np.float32),
                col_weights=None if cols is None else self._array(cols.T, np.float32),
                **constants,
            )
        )
        self._room = self._scratch(library.core_prepare_scratch_bytes(self._how))
        self._input: Any = ctypes.c_float * (model_shape[0] * model_shape[1])
        self._call = library.core_prepare

    def __call__(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        model_input = self._input()
        self._call(self._how, frame.tobytes(), model_input, self._room)
        return np.frombuffer(model_input, np.float32).reshape(self._model_shape)


class QuantiseCall:
    """The model's input as the graph takes it."""

    def __init__(self, library: Library, shape: Shape, scale: float, zero_point: int) -> None:
        self._shape, self._graph_shape = shape, (1, *shape, 1)
        self._n = shape[0] * shape[1]
        self._quantised: Any = ctypes.c_int8 * self._n
        self._scale, self._zero_point = scale, zero_point
        self._call = library.core_quantise

    def __call__(self, model_input: NDArray[np.float32]) -> NDArray[np.int8]:
        quantised = self._quantised()
        self._call(_floats(model_input, self._shape), self._n, self._scale, self._zero_point, quantised)
        return np.frombuffer(quantised, np.int8).reshape(self._graph_shape)


class BodyCall(_Call):
    """edge.body."""

    def __init__(
        self,
        library: Library,
        size_cm: NDArray[np.float64],
        mean_cm: NDArray[np.float64],
        log_shares: NDArray[np.float64],
        covariance_cm2: NDArray[np.float64],
        error_of_spread: NDArray[np.float64],
    ) -> None:
        super().__init__()
        arrays = (self._array(each, np.float64) for each in (mean_cm, log_shares, covariance_cm2, error_of_spread))
        self.constants = self._struct(structs.Body(len(log_shares), *size_cm.tolist(), *arrays))
        self._room = self._scratch(library.core_body_scratch_bytes())
        self._xy_norm: Any = ctypes.c_float * (2 * len(JOINTS))
        self._call = library.core_body

    def __call__(self, xy_norm: NDArray[np.float32], spread_cm: NDArray[np.float32]) -> NDArray[np.float32]:
        """(14, 2), (14,) -> (14, 2)."""
        moved = self._xy_norm.from_buffer_copy(xy_norm.tobytes())
        self._call(self.constants, moved, spread_cm.tobytes(), self._room)
        return np.frombuffer(moved, np.float32).reshape(-1, 2)


class ReadCall(_Call):
    """edge.model.KeypointModel.read.

    `outputs` are the graph's in the order keypoints, joints: rows, cols, k, index, and the weight of each step below
    the largest logit (256,). `joint_map`: weights (4 K, 28), bias (28,), share (K, 14). `posture`: weights
    (4 (K + 14), classes), bias (classes,), what each class is in a mirror.
    """

    def __init__(
        self,
        library: Library,
        grid: Grid,
        outputs: Sequence[tuple[int, int, int, int, NDArray[np.float32]]],
        joint_map: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]] | None,
        posture: tuple[NDArray[np.float64], NDArray[np.float64], list[int]] | None,
        *,
        feature_half_cm: float,
        mirrored_too: bool,
    ) -> None:
        super().__init__()
        n = sum(k for _, _, k, _, _ in outputs) + (len(JOINTS) if joint_map else 0)
        reader = structs.Reader(grid.rows, grid.cols, len(outputs), n - len(JOINTS))
        reader.feature_half_cm, reader.width_cm, reader.height_cm = feature_half_cm, grid.width_cm, grid.height_cm
        for i, (*sizes, weights) in enumerate(outputs):
            reader.maps[i] = structs.Heatmaps(*sizes, self._array(weights, np.float32))
        if joint_map:
            reader.joint_weights, reader.joint_bias = (self._array(each, np.float64) for each in joint_map[:2])
            reader.joint_share = self._array(joint_map[2], np.float32)
        if posture:
            reader.posture_weights, reader.posture_bias = (self._array(each, np.float64) for each in posture[:2])
            reader.class_of_image, reader.classes = self._array(posture[2], np.int32), len(posture[2])
        reader.joint_of_image = self._array(MIRRORED, np.int32)
        self._n, self._mirrored_too = n, mirrored_too
        self._shape: Shape = (grid.rows, grid.cols)
        shapes = {index: (1, rows, cols, k) for rows, cols, k, index, _ in outputs}
        self._logits_shapes = [shapes[index] for index in sorted(shapes)] * (1 + mirrored_too)
        self._reader = self._struct(reader)
        self._room = self._scratch(library.core_read_scratch_bytes(self._reader))
        self._logits = ctypes.c_char_p * (len(outputs) * (1 + mirrored_too))
        self._points: Any = ctypes.c_float * (4 * n)
        self._call = library.core_read

    def __call__(
        self, logits: Sequence[NDArray[np.int8]], model_input: NDArray[np.float32], body: BodyCall | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], int]:
        """-> xy_norm (n, 2), value (n,), spread_cm (n,) and the posture's class, -1 where no head tells."""
        if [each.shape for each in logits] != self._logits_shapes:
            raise ValueError(f"logits are not of {self._logits_shapes}")
        points, n = self._points(), self._n
        logits_at = self._logits(*[each.tobytes() for each in logits])
        constants = body.constants if body else None
        vote: int = self._call(
            self._reader,
            constants,
            logits_at,
            _floats(model_input, self._shape),
            self._mirrored_too,
            points,
            self._room,
        )
        flat = np.frombuffer(points, np.float32)
        return flat[: 2 * n].reshape(n, 2), flat[2 * n : 3 * n], flat[3 * n :], vote


class PlaceCall(_Call):
    """edge.placing."""

    def __init__(
        self,
        library: Library,
        model_cm: NDArray[np.float64],
        margin_cm: NDArray[np.float64],
        mat_cm: NDArray[np.float64],
        half_cm: NDArray[np.float32],
    ) -> None:
        super().__init__()
        n = len(half_cm)
        sizes = (tuple(each.tolist()) for each in (model_cm, margin_cm, mat_cm))
        self._how = self._struct(structs.Placing(n - len(JOINTS), n, *sizes, self._array(half_cm, np.float32)))
        self._found: Any = ctypes.c_double * (3 * n)
        self._call = library.core_place

    def __call__(
        self, xy_norm: NDArray[np.float32], spread_cm: NDArray[np.float32], corner_cm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        found = self._found()
        self._call(self._how, xy_norm.tobytes(), spread_cm.tobytes(), *corner_cm.tolist(), found)
        return np.frombuffer(found, np.float64).reshape(-1, 3)


class SmoothCall(_Call):
    """edge.smoothing: the filter of one mat's joints."""

    def __init__(self, library: Library, **settings: float) -> None:
        super().__init__()
        mirrored = self._array(MIRRORED, np.int32)
        self._settings = self._struct(structs.Smoothing(joint_of_image=mirrored, **settings))
        self._state = self._scratch(3 * 2 * len(JOINTS) * 8)
        self._smooth: Any = ctypes.c_double * (3 * len(JOINTS))
        self._call = library.core_smooth

    def __call__(self, joints: NDArray[np.float64], dt_s: float) -> NDArray[np.float64]:
        smooth = self._smooth()
        self._call(self._settings, self._state, joints.tobytes(), dt_s, smooth)
        return np.frombuffer(smooth, np.float64).reshape(-1, 3)
