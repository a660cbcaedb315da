"""The C core says what NumPy says."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from edge_packages import GRID, frame, info, label_free_package, package
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_edge_body import CONFIDENCE, SIZE_CM, a_pose, random_body, seen

from edge.body import BodyPrior
from edge.contact import Contact, ContactFinder
from edge.core.calls import UnpackCall
from edge.core.library import Library
from edge.keypoints import Keypoints
from edge.manifest import Preprocessing
from edge.model import DEFAULT_MODEL, KeypointModel, Reading
from edge.pipeline import Pipeline, Result
from edge.preprocess import Preprocessor
from edge.smoothing import Smoother, Smoothing
from edge.window import Window
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.header import SampleFormat
from firmware_bridge.person import still
from firmware_bridge.samples import pack
from firmware_bridge.sensor import Sensor
from firmware_bridge.skeleton import JOINTS, MIRRORED
from train.pmd import read_pmd

GRIDS = [GRID, Grid(80, 40, 2.0, 2.0), Grid(40, 24, 4.2, 3.6), Grid(64, 27, 2.87, 2.54)]
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


@pytest.mark.parametrize("grid", [*GRIDS, SMALL, Grid(1, 40, 50, 50), Grid(40, 1, 50, 50), Grid(1, 1, 50, 50)], ids=str)
def test_contact_is_the_same(core: Library, grid: Grid) -> None:
    shown = frames(grid) if grid in GRIDS else {"random": np.random.default_rng(1).random((grid.rows, grid.cols))}
    for name, values in shown.items():
        expected, found = (ContactFinder(grid, by)(values.astype(np.float32)) for by in (None, core))
        assert_same_contact(found, expected, name)
    assert grid not in GRIDS or ContactFinder(grid, core)(shown["body"]).occupied


def assert_same_contact(found: Contact, expected: Contact, name: str) -> None:
    assert (found.occupied, found.area_cm2, found.peak) == (expected.occupied, expected.area_cm2, expected.peak), name
    assert (found.centre_cm is None) == (expected.centre_cm is None)
    np.testing.assert_allclose(found.centre_cm or 0, expected.centre_cm or 0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize(
    "constants", [Preprocessing(), Preprocessing(middle_percent=0), Preprocessing(scale_percent=60)]
)
def test_the_models_input_is_the_same(core: Library, grid: Grid, constants: Preprocessing) -> None:
    expected, found = (Preprocessor(grid, GRID, constants, by) for by in (None, core))
    for name, values in frames(grid).items():
        model_input = found(values)
        assert model_input.dtype == np.float32
        np.testing.assert_allclose(model_input, expected(values), atol=2e-6, err_msg=name)


def test_a_frame_that_is_no_block_of_memory_is_the_same(core: Library) -> None:
    preprocess, body = Preprocessor(GRID, GRID, Preprocessing(), core), somebody(GRID)
    np.testing.assert_array_equal(preprocess(body[:, ::-1]), preprocess(np.ascontiguousarray(body[:, ::-1])))
    np.testing.assert_array_equal(preprocess(body[::-1].astype(np.uint16)), preprocess(body[::-1].copy()))
    find = ContactFinder(GRID, core)
    assert find(body[:, ::-1]) == find(np.ascontiguousarray(body[:, ::-1]))


def test_what_is_of_another_shape_is_refused(core: Library, tmp_path: Path) -> None:
    """C would read beyond its end."""
    model = KeypointModel.from_files(package(tmp_path), core=core)
    half, whole = np.zeros((32, 32), np.float32), np.zeros((64, 32), np.float32)
    values = logits(model)["random"]
    for refused in (
        lambda: ContactFinder(GRID, core)(half),
        lambda: Preprocessor(GRID, Grid(32, 16, 5.08, 5.08), Preprocessing(), core)(half),
        lambda: model.logits(half),
        lambda: model.read(values, half),
        lambda: model.read([each[:, 1:] for each in values], whole),
        lambda: model.read(values[:1], whole),
    ):
        with pytest.raises(ValueError, match=r"\d"):
            refused()


def test_a_large_mats_window_is_where_it_was(core: Library) -> None:
    mat = Grid(90, 45, 2.54, 2.54)
    for name, values in frames(mat).items():
        for shift in (-20, 0, 13):
            shifted = np.roll(values, (shift, shift // 3), (0, 1))
            assert Window(mat, GRID, core).corner(shifted) == Window(mat, GRID, None).corner(shifted), name


def test_frames_handed_out_stay_what_they_are(core: Library) -> None:
    preprocess = Preprocessor(GRID, GRID, Preprocessing(), core)
    first = preprocess(somebody(GRID))
    kept = first.copy()
    preprocess(somebody(GRID, 1))
    np.testing.assert_array_equal(first, kept)


MODELS = {
    "keypoints and joints": {},
    "joints without a body": {"body": None},
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


def models(path: Path, core: Library, mirrored_too: bool) -> list[KeypointModel]:
    return [KeypointModel.from_files(path, mirrored_too=mirrored_too, core=by) for by in (None, core)]


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


def assert_same_reading(found: Reading, expected: Reading, what: str) -> None:
    assert found.posture == expected.posture, what
    assert_same_points(found.points, expected.points, what)


def assert_same_points(found: Keypoints, expected: Keypoints, what: str) -> None:
    size_cm = [GRID.width_cm, GRID.height_cm]
    # NumPy's spread of a single cell is rounding alone, which the body then takes for that of a measurement
    atol_cm = 0.01 if what == "one cell" else 5e-4
    np.testing.assert_allclose(found.xy_norm * size_cm, expected.xy_norm * size_cm, atol=atol_cm, err_msg=what)
    np.testing.assert_allclose(found.value, expected.value, atol=1e-5, err_msg=what)
    # float32: the spread is what is left of the squares of up to 90 cm
    np.testing.assert_allclose(found.spread_cm**2, expected.spread_cm**2, rtol=1e-5, atol=0.01, err_msg=what)
    assert {each.dtype for each in (found.xy_norm, found.value, found.spread_cm)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("mirrored_too", [False, True])
@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_a_model_reads_the_same(core: Library, changes: dict[str, object], mirrored_too: bool, tmp_path: Path) -> None:
    expected, found = models(package(tmp_path, **changes), core, mirrored_too)
    model_input = np.random.default_rng(1).random((GRID.rows, GRID.cols), np.float32)
    for what, values in logits(expected).items():
        assert_same_reading(found.read(values, model_input), expected.read(values, model_input), what)


@pytest.mark.parametrize("mirrored_too", [False, True])
def test_a_label_free_model_reads_the_same(core: Library, mirrored_too: bool, tmp_path: Path) -> None:
    expected, found = models(label_free_package(tmp_path), core, mirrored_too)
    model_input = np.random.default_rng(1).random((GRID.rows, GRID.cols), np.float32)
    for what, values in logits(expected).items():
        assert_same_reading(found.read(values, model_input), expected.read(values, model_input), what)


def test_a_body_that_is_taken_away_is_not_read(core: Library, tmp_path: Path) -> None:
    expected, found = models(package(tmp_path), core, False)
    expected.body = found.body = None
    model_input, values = np.zeros((GRID.rows, GRID.cols), np.float32), logits(expected)["random"]
    assert_same_reading(found.read(values, model_input), expected.read(values, model_input), "no body")


def test_the_input_is_quantised_to_the_same_steps(core: Library, tmp_path: Path) -> None:
    expected, found = models(package(tmp_path), core, False)
    quantisation = expected.manifest.input
    halves = (np.arange(-300, 300) + 0.5) * np.float32(quantisation.scale)
    values = np.resize(np.concatenate([halves, [0, 1, -1e9, 1e9], np.linspace(0, 1, 999)]), (64, 32)).astype(np.float32)
    np.testing.assert_array_equal(found._quantised(values), expected._quantised(values))


def test_bodies_are_the_same(core: Library) -> None:
    grid = Grid(64, 32, 2.54, 2.9)
    body = random_body()
    expected, found = (BodyPrior(body, CONFIDENCE, grid, by) for by in (None, core))
    for seed in range(20):
        spread_cm = np.random.default_rng(seed).choice([0, 0.3, 5, 20, 1e4], len(JOINTS))
        shown = seen(a_pose(body, seed % 3, seed), spread_cm)
        np.testing.assert_allclose(found(shown).xy_norm * SIZE_CM, expected(shown).xy_norm * SIZE_CM, atol=1e-4)


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
    expected, found = (
        Pipeline(model, mat, smoothing=Smoothing(), core=by)
        for model, by in zip(models(package(tmp_path), core, mirrored_too), (None, core), strict=True)
    )
    for seed in range(5):
        counts = np.ascontiguousarray(mat.orientation.from_canonical(somebody(grid, seed).astype(np.uint16)))
        one, other = (pipeline.step(frame(counts, seed)) for pipeline in (expected, found))
        assert_same_result(other, one)
        assert other.joints is not None


def assert_same_result(found: Result, expected: Result) -> None:
    for field in fields(Result):
        one, other = getattr(expected, field.name), getattr(found, field.name)
        if isinstance(one, np.ndarray):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(other, one, atol=0.1, err_msg=field.name)
        elif isinstance(one, tuple | float):
            assert other == pytest.approx(one, abs=1e-4)
        else:
            assert one == other, field.name


def test_people_in_bed_are_read_the_same_by_the_committed_model(core: Library, pmd: Path) -> None:
    maps = read_pmd(pmd, [5, 13]).medians()
    read = []
    for by in (None, core):
        model = KeypointModel.from_files(DEFAULT_MODEL, core=by)
        pipeline = Pipeline(model, info(orientation=Orientation(0)), core=by)
        read.append([pipeline.step(frame(np.rint(pressure), seq)) for seq, pressure in enumerate(maps.pressure)])
    assert len(read[0]) == 34
    for expected, found in zip(*read, strict=True):
        assert (found.occupied, found.posture) == (expected.occupied, expected.posture)
        assert found.contact_area_cm2 == expected.contact_area_cm2
        assert found.joints is not None
        assert expected.joints is not None
        np.testing.assert_allclose(found.joints[:, :2], expected.joints[:, :2], atol=0.005)
