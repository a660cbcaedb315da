"""The C core says what NumPy says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_packages import GRID, frame, info, label_free_package, package
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_edge_body import CONFIDENCE, SIZE_CM, a_pose, random_body, seen

from edge.body import BodyPrior, error_of_spread
from edge.contact import Contact
from edge.core import structs
from edge.core.calls import FillCall, Kept, SmoothCall, UnpackCall
from edge.core.library import Library
from edge.core.steps import CoreSteps
from edge.manifest import Preprocessing
from edge.model import DEFAULT_MODEL, KeypointModel
from edge.pipeline import Pipeline, Result
from edge.smoothing import Smoother, Smoothing
from edge.steps import NumPySteps, Points
from firmware_bridge.geometry import ORIENTATIONS, Grid, Orientation
from firmware_bridge.header import SampleFormat
from firmware_bridge.person import still
from firmware_bridge.samples import pack
from firmware_bridge.sensor import Sensor
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.pmd import read_pmd

GRIDS = [GRID, Grid(80, 40, 2.0, 2.0), Grid(40, 24, 4.2, 3.6), Grid(64, 27, 2.87, 2.54)]
UNTURNED = Orientation(0)
SMALL = Grid(5, 3, 2.0, 3.0)


def somebody(grid: Grid, seed: int = 0) -> NDArray[np.float32]:
    return Sensor(seed, grid)(still(seed, grid).pressure_kpa).astype(np.float32)


def frames(grid: Grid) -> dict[str, NDArray[np.float32]]:
    shape, random = (grid.rows, grid.cols), np.random.default_rng(0)
    body = somebody(grid)
    return {
        "body": body,
        "another body": somebody(grid, 7),
        "calibrated body": body * random.uniform(0.8, 1.2, shape).astype(np.float32) / 300,
        "negative": body - 500,
        "tiny": body * np.float32(1e-20),
        "flat": np.full(shape, 43, np.float32),
        "nothing": np.zeros(shape, np.float32),
        "ties": random.integers(0, 3, shape).astype(np.float32),
        "one taxel": np.eye(1, shape[0] * shape[1], 5, np.float32).reshape(shape) * 4095,
        "noise": random.normal(0, 10, shape).astype(np.float32),
        "slope": np.linspace(-1, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape),
        "stripes": np.tile(np.arange(shape[1], dtype=np.float32) % 2, (shape[0], 1)),
    }


@given(st.sampled_from(SampleFormat), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32))
def test_counts_are_unpacked_as_they_were_packed(
    core: Library, sample_format: SampleFormat, rows: int, cols: int, seed: int
) -> None:
    counts = np.random.default_rng(seed).integers(0, 1 << sample_format.bits, (rows, cols)).astype(np.uint16)
    found = UnpackCall(core)(pack(counts, sample_format), sample_format, (rows, cols))
    np.testing.assert_array_equal(found, counts)


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=300))
@settings(max_examples=200)
def test_what_is_sorted_is_in_order(core: Library, values: list[float]) -> None:
    given_, ordered, keys = np.array(values, np.float32), np.empty(300, np.float32), np.empty(600, np.uint32)
    core.core_sort(given_.ctypes.data, len(values), ordered.ctypes.data, keys.ctypes.data)
    np.testing.assert_array_equal(ordered[: len(values)], np.sort(given_))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


def both(
    core: Library, model: KeypointModel, grid: Grid = GRID, orientation: Orientation = UNTURNED
) -> tuple[NumPySteps, CoreSteps]:
    return NumPySteps(model, orientation, grid), CoreSteps(core, model, orientation, grid)


def assert_the_same_is_seen(expected: NumPySteps, found: CoreSteps, values: NDArray[Any], name: str) -> bool:
    """Whether somebody lies there."""
    (pressure, one), (found_pressure, other) = expected.see(values), found.see(values)
    np.testing.assert_array_equal(found_pressure, pressure, name)
    assert found_pressure.dtype == np.float32
    assert_same_contact(other, one, name)
    if one.occupied:
        model_input = np.reshape(found._input, expected._input.shape)
        np.testing.assert_allclose(model_input, expected._input, atol=2e-6, err_msg=name)
        corner_cm = found._seen.col * expected._mat.pitch_x_cm, found._seen.row * expected._mat.pitch_y_cm
        assert tuple(expected._corner_cm) == pytest.approx(corner_cm)
    return one.occupied


def assert_same_contact(found: Contact, expected: Contact, name: str) -> None:
    assert (found.occupied, found.area_cm2, found.peak) == (expected.occupied, expected.area_cm2, expected.peak), name
    assert (found.centre_cm is None) == (expected.centre_cm is None)
    np.testing.assert_allclose(found.centre_cm or 0, expected.centre_cm or 0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "constants", [Preprocessing(), Preprocessing(middle_percent=0), Preprocessing(scale_percent=60)], ids=str
)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_same_is_seen(core: Library, grid: Grid, constants: Preprocessing, tmp_path: Path) -> None:
    model = KeypointModel.from_files(package(tmp_path, preprocessing=constants.model_dump()))
    expected, found = both(core, model, grid)
    occupied = {name: assert_the_same_is_seen(expected, found, values, name) for name, values in frames(grid).items()}
    assert occupied["body"]
    assert occupied["calibrated body"]
    assert not occupied["flat"]


@pytest.mark.parametrize("grid", [SMALL, Grid(1, 40, 50, 50), Grid(40, 1, 50, 50), Grid(1, 1, 50, 50)], ids=str)
def test_mats_of_few_taxels_are_seen_the_same(core: Library, model: KeypointModel, grid: Grid) -> None:
    values = np.random.default_rng(1).random((grid.rows, grid.cols)).astype(np.float32)
    assert_the_same_is_seen(*both(core, model, grid), values, str(grid))


@pytest.mark.parametrize("turned", ORIENTATIONS)
def test_counts_are_seen_however_the_mat_lies(core: Library, model: KeypointModel, turned: str) -> None:
    orientation = ORIENTATIONS[turned]
    counts = np.ascontiguousarray(orientation.from_canonical(somebody(GRID).astype(np.uint16)))
    expected, found = both(core, model, GRID, orientation)
    assert assert_the_same_is_seen(expected, found, counts, turned)
    assert assert_the_same_is_seen(expected, found, counts.astype(np.float32) - 7, turned)


def test_a_frame_that_is_no_block_of_memory_is_seen_the_same(core: Library, model: KeypointModel) -> None:
    assert assert_the_same_is_seen(*both(core, model), somebody(GRID)[:, ::-1], "mirrored")
    assert assert_the_same_is_seen(*both(core, model), somebody(GRID).astype(np.uint16)[::-1], "counts")


@pytest.mark.parametrize("shift", [-20, 0, 13])
def test_a_large_mats_window_is_where_it_was(core: Library, model: KeypointModel, shift: int) -> None:
    mat = Grid(90, 45, 2.54, 2.54)
    expected, found = both(core, model, mat)
    shown = {name: np.roll(values, (shift, shift // 3), (0, 1)) for name, values in frames(mat).items()}
    assert [name for name, values in shown.items() if assert_the_same_is_seen(expected, found, values, name)]


def test_what_is_of_another_shape_is_refused(core: Library, model: KeypointModel) -> None:
    """C would read beyond its end."""
    _, found = both(core, model)
    values = logits(model)["random"]
    for refused in (
        lambda: found.see(np.zeros((32, 32), np.float32)),
        lambda: found.find([each[:, 1:] for each in values]),
        lambda: found.find(values[:1]),
        lambda: FillCall(core, "%.2f")(np.ones(1, np.float32).tobytes()),
        lambda: SmoothCall(core, **Smoothing().model_dump())(np.ones((13, 3)), 0.0),
        lambda: UnpackCall(core)(bytes(7), SampleFormat.U12, (1, 5)),
    ):
        with pytest.raises(ValueError, match=r"\d"):
            refused()


def test_what_was_handed_out_stays_what_it_is(core: Library, model: KeypointModel) -> None:
    _, found = both(core, model)
    pressure, _ = found.see(somebody(GRID))
    points = found.find(logits(model)["random"])
    kept = pressure.copy(), points.joints.copy(), points.keypoints.copy()
    found.see(somebody(GRID, 1))
    found.find(logits(model)["close to one another"])
    for before, now in zip(kept, (pressure, points.joints, points.keypoints), strict=True):
        np.testing.assert_array_equal(now, before)


def test_the_input_is_quantised_to_the_same_steps(core: Library, model: KeypointModel) -> None:
    quantisation = model.manifest.input
    halves = (np.arange(-300, 300) + 0.5) * np.float32(quantisation.scale)
    values = np.resize(np.concatenate([halves, [0, 1, -1e9, 1e9], np.linspace(0, 1, 999)]), (64, 32)).astype(np.float32)
    quantised = np.empty(values.shape, np.int8)
    core.core_quantise(
        values.ctypes.data, values.size, quantisation.scale, quantisation.zero_point, quantised.ctypes.data
    )
    np.testing.assert_array_equal(quantised, model._quantised(values)[0, :, :, 0])


MODELS = {
    "keypoints and joints": {},
    "joints without a body": {"body": None},
    "a posture that reads an output twice": {
        "posture": {
            "classes": ["left", "right"],
            "reads": ["joints", "joints"],
            "weights": np.random.default_rng(1).normal(size=(8 * len(JOINTS), 2)).tolist(),
            "bias": [0.0, 0.1],
        }
    },
    "three kinds of bodies": {"body": random_body().model_dump()},
    "no posture": {"posture": None},
    "a posture of joints": {
        "posture": {
            "classes": ["left", "other", "right"],
            "reads": ["joints"],
            "weights": np.random.default_rng(0).normal(size=(4 * len(JOINTS), 3)).tolist(),
            "bias": [0.0, 0.1, 0.2],
        }
    },
}


def logits(model: KeypointModel) -> dict[str, list[NDArray[np.int8]]]:
    outputs = sorted(model.manifest.outputs, key=lambda output: output.index)
    shapes = [(1, o.rows, o.cols, o.k) for o in outputs] * (1 + model.mirrored_too)
    random = np.random.default_rng(0)
    return {
        "random": [random.integers(-128, 128, shape).astype(np.int8) for shape in shapes],
        "close to one another": [random.integers(-3, 3, shape).astype(np.int8) for shape in shapes],
        "all the same": [np.full(shape, 5, np.int8) for shape in shapes],
        "one cell": [
            np.where(np.arange(np.prod(s)).reshape(s) // s[3] == 77, 127, -128).astype(np.int8) for s in shapes
        ],
    }


def assert_the_same_is_found(core: Library, model: KeypointModel, grid: Grid = GRID) -> None:
    expected, found = both(core, model, grid)
    for steps in (expected, found):
        steps.see(somebody(grid))
    for what, values in logits(model).items():
        one, other = expected.find(values), found.find(values)
        if what == "all the same" and model.mirrored_too:  # left and right are as likely but for rounding
            other = other._replace(posture=one.posture)
        assert_same_points(other, one, what)


def assert_same_points(found: Points, expected: Points, what: str) -> None:
    assert found.posture == expected.posture, what
    # NumPy's spread of a single cell is rounding alone, which the body then takes for that of a measurement
    atol_cm = 0.01 if what == "one cell" else 5e-4
    np.testing.assert_allclose(found.joints[:, :2], expected.joints[:, :2], rtol=0, atol=atol_cm, err_msg=what)
    np.testing.assert_allclose(found.keypoints[:, :2], expected.keypoints[:, :2], rtol=0, atol=1e-5, err_msg=what)
    # float32: the spread is what is left of the squares of up to 90 cm
    for one, other in ((found.joints, expected.joints), (found.keypoints, expected.keypoints)):
        np.testing.assert_allclose(one[:, 2], other[:, 2], rtol=0, atol=2e-4, err_msg=what)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


@pytest.mark.parametrize("mirrored_too", [False, True])
@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_the_same_is_found(core: Library, changes: dict[str, object], mirrored_too: bool, tmp_path: Path) -> None:
    path = package(tmp_path, **changes)
    assert_the_same_is_found(core, KeypointModel.from_files(path, mirrored_too=mirrored_too))


@pytest.mark.parametrize("mirrored_too", [False, True])
def test_the_same_is_found_by_a_label_free_model(core: Library, mirrored_too: bool, tmp_path: Path) -> None:
    assert_the_same_is_found(core, KeypointModel.from_files(label_free_package(tmp_path), mirrored_too=mirrored_too))


@pytest.mark.parametrize("grid", [*GRIDS, Grid(90, 45, 2.54, 2.54)], ids=str)
def test_the_same_is_found_on_other_mats(core: Library, model: KeypointModel, grid: Grid) -> None:
    assert_the_same_is_found(core, model, grid)


def test_a_body_that_is_taken_away_is_not_read(core: Library, tmp_path: Path) -> None:
    model = KeypointModel.from_files(package(tmp_path))
    model.body = None
    assert_the_same_is_found(core, model)


def test_bodies_are_the_same(core: Library) -> None:
    grid, body, kept = Grid(64, 32, 2.54, 2.9), random_body(), Kept()
    expected = BodyPrior(body, CONFIDENCE, grid)
    arrays = body.mean_cm, np.log(body.shares), body.matrices(), error_of_spread(CONFIDENCE)
    addresses = [kept.array(each, np.float64) for each in arrays]
    constants = kept.struct(structs.Body(len(body.shapes), grid.width_cm, grid.height_cm, *addresses))
    scratch = kept.scratch(core.core_body_scratch_bytes())
    for seed in range(20):
        spread_cm = np.random.default_rng(seed).choice([0, 0.3, 5, 20, 1e4], len(JOINTS))
        shown = seen(a_pose(body, seed % 3, seed), spread_cm)
        moved = shown.xy_norm.astype(np.float32)
        spread = shown.spread_cm.astype(np.float32)
        core.core_body(constants, moved.ctypes.data, spread.ctypes.data, scratch)
        np.testing.assert_allclose(moved * SIZE_CM, expected(shown).xy_norm * SIZE_CM, atol=1e-4)


def test_joints_are_as_smooth(core: Library) -> None:
    random = np.random.default_rng(0)
    expected, found = (Smoother(Smoothing(), by) for by in (None, core))
    at_cm, t_us = random.uniform(0, 100, (len(JOINTS), 2)), 2**32 - 1_000_000
    for step in range(200):
        at_cm = at_cm + random.normal(0, random.choice([0.1, 3]), at_cm.shape)
        if step % 17 == 0:
            at_cm = at_cm[list(MIRRORED)]
        t_us = (t_us + int(random.choice([0, 25_000, 50_000, 1_000_000, 6_000_000, -100_000]))) % 2**32
        joints = np.column_stack([at_cm, random.uniform(0, 1, len(JOINTS))])
        shown = None if step % 50 == 49 else joints
        one, other = (smooth(shown, t_us, step // 120) for smooth in (expected, found))
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mirrored_too", [False, True])
@pytest.mark.parametrize("grid", [*GRIDS, Grid(90, 40, 2.54, 2.54)], ids=str)
def test_a_frame_gives_the_same_result(core: Library, grid: Grid, mirrored_too: bool, tmp_path: Path) -> None:
    """A taxel that lies between two steps of the input may take either: that moves a joint by up to a millimetre."""
    mat = info(grid, Orientation(1, mirrored=True))
    model = KeypointModel.from_files(package(tmp_path), mirrored_too=mirrored_too)
    expected, found = (Pipeline(model, mat, smoothing=Smoothing(), core=by) for by in (None, core))
    for seed in range(5):
        counts = np.ascontiguousarray(mat.orientation.from_canonical(somebody(grid, seed).astype(np.uint16)))
        one, other = (pipeline.step(frame(counts, seed)) for pipeline in (expected, found))
        assert_same_result(other, one)
        assert other.joints is not None


def assert_same_result(found: Result, expected: Result) -> None:
    for name in Result._fields:
        one, other = getattr(expected, name), getattr(found, name)
        if isinstance(one, np.ndarray):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(other, one, atol=0.1, err_msg=name)
        elif isinstance(one, tuple | float):
            assert other == pytest.approx(one, abs=1e-4)
        else:
            assert one == other, name


def test_people_in_bed_are_read_the_same_by_the_committed_model(core: Library, pmd: Path) -> None:
    maps = read_pmd(pmd, [5, 13]).medians()
    read = []
    for by in (None, core):
        pipeline = Pipeline(KeypointModel.from_files(DEFAULT_MODEL), info(orientation=Orientation(0)), core=by)
        read.append([pipeline.step(frame(np.rint(pressure), seq)) for seq, pressure in enumerate(maps.pressure)])
    assert len(read[0]) == 34
    for expected, found in zip(*read, strict=True):
        assert (found.occupied, found.posture) == (expected.occupied, expected.posture)
        assert found.contact_area_cm2 == expected.contact_area_cm2
        assert found.joints is not None
        assert expected.joints is not None
        np.testing.assert_allclose(found.joints[:, :2], expected.joints[:, :2], atol=0.005)


NUMBERS = st.floats(-1e7, 1e7) | st.integers(-(2**53), 2**53).map(float)


@given(st.lists(st.tuples(st.integers(0, 6), NUMBERS), max_size=8), st.text(st.characters(min_codepoint=32)))
def test_numbers_in_a_text_are_those_of_python(core: Library, numbers: list[tuple[int, float]], around: str) -> None:
    form = "".join(around.replace("%", "%%") + f"%.{decimals}f;" for decimals, _ in numbers)
    values = [value for _, value in numbers]
    found = FillCall(core, form)(np.array(values).tobytes())
    if found is None:
        assert any(abs(value) * 10.0**decimals >= 9e15 for decimals, value in numbers)
    else:
        assert found == form % tuple(values)


@pytest.mark.parametrize("value", [2.675, -0.004, -0.0, 0.125, 0.375, -29059797.694725093, 4503599627370.497])
def test_a_number_between_two_texts_becomes_the_nearer_one(core: Library, value: float) -> None:
    for form in ("%.2f", "%.1f", "%.0f"):
        assert FillCall(core, form)(np.array([value]).tobytes()) == form % value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 9.1e13])
def test_what_c_may_not_write_right_is_left_to_python(core: Library, value: float) -> None:
    assert FillCall(core, "%.2f")(np.array([value]).tobytes()) is None


def test_a_text_keeps_its_zeros_signs_and_percent_signs(core: Library) -> None:
    fill = FillCall(core, "%d%%[%.2f,%.4f]%.1f")
    assert fill(np.array([0, -0.5, 0.0004, -12.25]).tobytes()) == "0%[-0.50,0.0004]-12.2"
