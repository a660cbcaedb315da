"""edge.steps by the core."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.body import error_of_spread
from edge.contact import BASELINE_PERCENT, CONTACT_SHARE, SCALE_PERCENT, SMALLEST_BODY_CM2, SMALLEST_COHERENCE, Contact
from edge.core import structs
from edge.core.calls import Kept
from edge.core.library import Library
from edge.keypoints import FEATURE_HALF_CM
from edge.model import KeypointModel, shares
from edge.preprocess import EXPONENTS, SQUARE_ROOT, Preprocessor
from edge.steps import Points
from edge.window import OUTSIDE_SHARE, Window
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.skeleton import JOINTS, MIRRORED


class CoreSteps:
    """Two calls for each frame, one before and one after the graph."""

    def __init__(self, core: Library, model: KeypointModel, orientation: Orientation, mat: Grid) -> None:
        """`mat`: canonical."""
        kept = self._kept = Kept()
        manifest = model.manifest
        window = Window(mat, manifest.grid)
        preprocess = Preprocessor(window.grid, manifest.grid, manifest.preprocessing)
        self._model, self._shape, self._mirrored_too = model, (mat.rows, mat.cols), model.mirrored_too
        self._sent_shape = self._shape[::-1] if orientation.quarter_turns % 2 else self._shape
        self._frame: Any = ctypes.c_float * (mat.rows * mat.cols)

        self._sight = kept.struct(_sight(kept, model, orientation, mat, window, preprocess))
        self._room = kept.scratch(core.core_see_scratch_bytes(self._sight))
        self._seen = structs.Seen()
        self._seen_at = kept.struct(self._seen)
        n_input = manifest.rows * manifest.cols
        self._input: Any = (ctypes.c_float * n_input)()
        quantised: Any = (ctypes.c_int8 * n_input)()
        self._quantised = quantised
        self._graph_input = np.frombuffer(quantised, np.int8).reshape(1, manifest.rows, manifest.cols, 1)
        self._see = core.core_see

        reader = _reader(kept, model)
        self._reader = kept.struct(reader)
        self._body = kept.struct(_body(kept, model)) if model.body else None
        self._placing = kept.struct(_placing(kept, model, mat, preprocess))
        self._find_room = kept.scratch(core.core_find_scratch_bytes(self._reader))
        self._keypoints, n = reader.keypoints, len(model.half_cm)
        self._found: Any = ctypes.c_double * (3 * n)
        outputs = sorted(manifest.outputs, key=lambda output: output.index) * (1 + model.mirrored_too)
        self._logits_shapes = [(1, output.rows, output.cols, output.k) for output in outputs]
        self._logits: Any = ctypes.c_char_p * len(outputs)
        self._find = core.core_find

    def see(self, values: NDArray[Any]) -> tuple[NDArray[np.float32], Contact]:
        """Raises ValueError where C would read beyond the array."""
        if values.shape != self._sent_shape:
            raise ValueError(f"a frame of {values.shape} is not one of {self._sent_shape}")
        are_counts = values.dtype == np.uint16
        sent = (values if are_counts else np.asarray(values, np.float32)).tobytes()
        frame, seen = self._frame(), self._seen
        self._see(self._sight, sent, are_counts, frame, self._seen_at, self._input, self._quantised, self._room)
        centre_cm = (seen.x_cm, seen.y_cm) if seen.occupied else None
        found = Contact(bool(seen.occupied), seen.area_cm2, centre_cm, seen.peak)
        return np.frombuffer(frame, np.float32).reshape(self._shape), found

    def infer(self) -> list[NDArray[np.int8]]:
        return self._model.invoke(self._graph_input)

    def find(self, logits: list[NDArray[np.int8]]) -> Points:
        """Raises ValueError where C would read beyond an array."""
        if [each.shape for each in logits] != self._logits_shapes:
            raise ValueError(f"logits are not of {self._logits_shapes}")
        found = self._found()
        vote: int = self._find(
            self._reader,
            self._body,
            self._placing,
            self._seen_at,
            self._logits(*[each.tobytes() for each in logits]),
            self._input,
            self._mirrored_too,
            found,
            self._find_room,
        )
        points = np.frombuffer(found, np.float64).reshape(-1, 3)
        posture = self._model.manifest.posture
        return Points(points[self._keypoints :], points[: self._keypoints], posture.classes[vote] if posture else None)


def _sight(
    kept: Kept, model: KeypointModel, orientation: Orientation, mat: Grid, window: Window, preprocess: Preprocessor
) -> structs.Sight:
    constants, quantisation = model.manifest.preprocessing, model.manifest.input
    least, largest = EXPONENTS
    ranks = {"baseline_percent": BASELINE_PERCENT, "scale_percent": SCALE_PERCENT, "contact_share": CONTACT_SHARE}
    preparation = structs.Preparation(
        window.grid.rows,
        window.grid.cols,
        model.manifest.rows,
        model.manifest.cols,
        baseline_percent=constants.baseline_percent,
        scale_percent=constants.scale_percent,
        middle_percent=constants.middle_percent,
        loaded_share=constants.loaded_percent / 100,
        middle=constants.middle,
        plain_exponent=SQUARE_ROOT,
        least_exponent=least,
        largest_exponent=largest,
    )
    if preprocess.weights:
        rows, cols = preprocess.weights
        preparation.row_weights = kept.array(rows, np.float32)
        preparation.col_weights = kept.array(cols.T, np.float32)
    return structs.Sight(
        *_layout(orientation, mat),
        structs.Contact(
            mat.rows,
            mat.cols,
            pitch_x_cm=mat.pitch_x_cm,
            pitch_y_cm=mat.pitch_y_cm,
            smallest_body_cm2=SMALLEST_BODY_CM2,
            smallest_coherence=SMALLEST_COHERENCE,
            **ranks,
        ),
        structs.Window(mat.rows, mat.cols, window.grid.rows, window.grid.cols, outside_share=OUTSIDE_SHARE, **ranks),
        preparation,
        quantisation.scale,
        quantisation.zero_point,
    )


def _layout(orientation: Orientation, mat: Grid) -> tuple[int, int, int]:
    """Index of the canonical frame's first taxel in what is sent, and the steps to the next row and column."""
    turned = np.arange(mat.rows * mat.cols).reshape(orientation.canonical_grid(mat).rows, -1)
    index = orientation.to_canonical(turned)
    first = int(index[0, 0])
    down, right = (int(line[1]) - first if len(line) > 1 else 0 for line in (index[:, 0], index[0]))
    return first, down, right


def _reader(kept: Kept, model: KeypointModel) -> structs.Reader:
    """Heat maps in the order keypoints, joints; or keypoints and the map from them to joints."""
    manifest = model.manifest
    grid, decoders = manifest.grid, model.decoders
    reader = structs.Reader(grid.rows, grid.cols, len(decoders), len(model.half_cm) - len(JOINTS))
    reader.feature_half_cm, reader.width_cm, reader.height_cm = FEATURE_HALF_CM, grid.width_cm, grid.height_cm
    for i, decoder in enumerate(decoders):
        output = decoder.output
        weights = kept.array(decoder.weight_of_step, np.float32)
        reader.maps[i] = structs.Heatmaps(output.rows, output.cols, output.k, output.index, weights)
    if model.joint_map:
        reader.joint_weights, reader.joint_bias = (kept.array(each, np.float64) for each in model.joint_map.matrices)
        reader.joint_share = kept.array(shares(model.joint_map), np.float32)
    if manifest.posture:
        of_read, bias = manifest.posture.matrices
        of_all = np.zeros((4 * len(model.half_cm), len(bias)))
        np.add.at(of_all, np.concatenate(model.posture_reads), of_read)
        reader.posture_weights, reader.posture_bias = (kept.array(each, np.float64) for each in (of_all, bias))
        reader.class_of_image, reader.classes = kept.array(manifest.posture.images, np.int32), len(bias)
    reader.joint_of_image = kept.array(MIRRORED, np.int32)
    return reader


def _body(kept: Kept, model: KeypointModel) -> structs.Body:
    body, grid = model.manifest.body, model.manifest.grid
    assert body
    arrays = body.mean_cm, np.log(body.shares), body.matrices(), error_of_spread(model.manifest.confidence)
    addresses = [kept.array(each, np.float64) for each in arrays]
    return structs.Body(len(body.shapes), grid.width_cm, grid.height_cm, *addresses)


def _placing(kept: Kept, model: KeypointModel, mat: Grid, preprocess: Preprocessor) -> structs.Placing:
    grid = model.manifest.grid
    return structs.Placing(
        (grid.width_cm, grid.height_cm),
        tuple((-preprocess.mat_cm(np.zeros(2))).tolist()),
        (mat.width_cm, mat.height_cm),
        (mat.pitch_x_cm, mat.pitch_y_cm),
        kept.array(model.half_cm, np.float32),
    )
