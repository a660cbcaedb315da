"""What stands in the files that edge-export writes, read by those who will read them."""

import csv
import tracemalloc
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pytest
from daemon_process import run
from edge_packages import package
from recorded_nights import START_US, Night, people, scans

from edge.export import main
from edge.export_formats import NpzWriter
from edge.replayed import frames_of
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.skeleton import JOINTS
from train.formats.tekscan import read_tekscan

TURNED = Orientation(1, mirrored=True)
TALL = Grid(8, 5, 1.27, 2.0)


def export(path: Path, out: Path, *arguments: object) -> Path:
    assert main([str(path), "--out", str(out), *map(str, arguments)]) == 0
    return out


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def person(pmd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three postures between two empty frames."""
    empty = np.zeros((1, 64, 32), np.uint16)
    maps = np.concatenate([empty, people(pmd)[:3], empty])
    return Night(tmp_path_factory.mktemp("person") / "person.matlog").mat().frames(maps).done()


def said_by_edge_run(recording: Path, model: Path) -> list[dict[str, Any]]:
    daemon = run("--replay", recording, "--model", model)
    assert daemon.process.returncode == 0
    return daemon.all("pose")


def test_npz_holds_every_frame_canonical_with_its_times(tmp_path: Path) -> None:
    maps = scans(7, TALL)
    night = Night(tmp_path / "a.matlog").mat(grid=TALL, orientation=TURNED, boot_id=3_000_000_000)
    found = arrays(export(night.frames(maps, first_seq=30_000).done(), tmp_path / "a.npz"))
    assert found["counts"].dtype == np.uint16
    np.testing.assert_array_equal(found["counts"], maps)
    np.testing.assert_array_equal(found["seq"], range(30_000, 30_007))
    np.testing.assert_array_equal(found["t_us"], np.arange(30_000, 30_007) * 100_000)
    np.testing.assert_array_equal(found["unix_us"], START_US + np.arange(7) * 100_000)
    np.testing.assert_allclose(found["time_s"], np.arange(7) / 10, atol=1e-6)
    np.testing.assert_array_equal(found["boot_id"], [3_000_000_000] * 7)
    assert (found["rows"], found["cols"], found["adc_full_scale"]) == (8, 5, 4095)
    assert (found["pitch_x_cm"], found["pitch_y_cm"]) == (1.27, 2.0)
    assert "joints_cm" not in found


def test_npz_with_poses_says_what_edge_run_says(tmp_path: Path, person: Path, model: Path) -> None:
    found = arrays(export(person, tmp_path / "a.npz", "--poses", "--model", model))
    said = said_by_edge_run(person, model)
    assert tuple(found["joint_names"]) == JOINTS
    assert found["joints_cm"].shape == (5, 14, 3)
    assert found["occupied"].tolist() == [pose["occupied"] for pose in said] == [False, True, True, True, False]
    assert found["posture"].tolist() == [pose["posture"] or "" for pose in said]
    for joints, keypoints, pose in zip(found["joints_cm"], found["keypoints"], said, strict=True):
        if pose["joints"] is None:
            assert np.isnan(joints).all()
            assert np.isnan(keypoints).all()
        else:
            expected = [[pose["joints"][name][key] for key in ("x_cm", "y_cm", "confidence")] for name in JOINTS]
            np.testing.assert_allclose(joints, expected, atol=0.0051)
            np.testing.assert_allclose(keypoints, pose["keypoints"], atol=0.00006)


def test_npz_with_poses_of_a_model_that_knows_no_posture(tmp_path: Path, person: Path) -> None:
    plain = package(tmp_path / "plain", posture=None)
    found = arrays(export(person, tmp_path / "a.npz", "--poses", "--model", plain))
    assert set(found["posture"]) == {""}
    assert np.isfinite(found["joints_cm"][1:4]).all()


def test_csv_has_a_row_a_frame_and_a_column_a_taxel(tmp_path: Path) -> None:
    maps = scans(4, TALL)
    night = Night(tmp_path / "a.matlog").mat(grid=TALL, orientation=TURNED).frames(maps).done()
    found = rows(export(night, tmp_path / "a.csv"))
    assert list(found[0])[:7] == ["time_s", "unix_s", "boot_id", "seq", "t_us", "r0c0", "r0c1"]
    assert len(found[0]) == 5 + 8 * 5
    assert found[3]["time_s"] == "0.300000"
    assert found[3]["unix_s"] == "1700000000.300000"
    assert (found[3]["boot_id"], found[3]["seq"], found[3]["t_us"]) == ("7", "3", "300000")
    for row, counts in zip(found, maps, strict=True):
        assert [[int(row[f"r{r}c{c}"]) for c in range(5)] for r in range(8)] == counts.tolist()


def test_csv_with_poses_has_the_columns_of_edge_runs_csv(tmp_path: Path, person: Path, model: Path) -> None:
    found = rows(export(person, tmp_path / "a.csv", "--poses", "--model", model))
    for row, pose in zip(found, said_by_edge_run(person, model), strict=True):
        assert row["occupied"] == str(pose["occupied"]).lower()
        assert row["posture"] == (pose["posture"] or "")
        for name in JOINTS:
            for key in ("x_cm", "y_cm", "confidence"):
                said = pose["joints"] and pose["joints"][name][key]
                assert (row[f"{name}_{key}"] == "") == (said is None)
                if said is not None:
                    assert float(row[f"{name}_{key}"]) == pytest.approx(said, abs=1e-9)


def test_tekscan_reads_back_equal(tmp_path: Path) -> None:
    maps = scans(3, TALL)
    night = Night(tmp_path / "a.matlog").mat(grid=TALL, orientation=TURNED).frames(maps).done()
    export(night, tmp_path / "anna-3.asf")
    read = read_tekscan(tmp_path, [3])
    np.testing.assert_array_equal(read.pressure, maps)
    assert (read.grid.rows, read.grid.cols) == (8, 5)
    assert (read.grid.pitch_x_cm, read.grid.pitch_y_cm) == pytest.approx((1.27, 2.0), abs=1e-9)


@pytest.mark.parametrize(("frame_rate_mhz", "seconds"), [(40_000, 0.025), (None, 0.1)])
def test_tekscans_header_says_how_many_frames_and_how_fast(
    tmp_path: Path, frame_rate_mhz: int | None, seconds: float
) -> None:
    """At the mat's own rate, or where it does not say one at the one that its frames show."""
    night = Night(tmp_path / "a.matlog").mat(grid=TALL, frame_rate_mhz=frame_rate_mhz).frames(scans(12, TALL)).done()
    text = export(night, tmp_path / "a.asf").read_text().splitlines()
    header = dict(line.split(" ", 1) for line in text[: text.index("Frame 1")] if line)
    assert float(header["SECONDS_PER_FRAME"]) == seconds
    assert int(header["END_FRAME"]) == 12
    assert (header["UNITS"], header["SATURATION_PRESSURE"]) == ("Raw", "4095")
    assert text[-1] == "@@"
    assert sum(line.startswith("Frame ") for line in text) == 12


@pytest.mark.parametrize("ending", ["npz", "csv", "asf"])
def test_a_night_takes_no_more_memory_than_a_minute(tmp_path: Path, ending: str) -> None:
    """Six times the frames, 1 MB more of them."""
    path = Night(tmp_path / "long.matlog").mat().frames(scans(300) % 10).done()
    peaks_mb = []
    for seconds in (5, 30):
        tracemalloc.start()
        export(path, tmp_path / f"{seconds}.{ending}", "--to", seconds)
        peaks_mb.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    assert peaks_mb[1] < peaks_mb[0] + 0.3


def test_a_row_of_another_shape_is_refused(tmp_path: Path) -> None:
    """Nothing checks it later: the rows of an array are written one after the other."""
    path = Night(tmp_path / "a.matlog").mat().frames(scans(1)).mat(grid=TALL, boot_id=8).frames(scans(1, TALL)).done()
    first, second = frames_of(path, lambda mat: mat.orientation, START_US)
    with ExitStack() as spools:
        writer = NpzWriter(BytesIO(), lambda: spools.enter_context(TemporaryFile()), first, None)
        writer.write(first, None)
        with pytest.raises(ValueError, match="a row of"):
            writer.write(second, None)
