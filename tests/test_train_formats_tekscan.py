"""Tekscan's ASCII exports."""

from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Orientation
from train.formats.tekscan import read_tekscan

VALUES = np.array([[0, 1, 2], [10, 20, 30]])


def export(units: str = "mmHg", frames: int = 2, end: str = "\r\n", **changes: str) -> str:
    header = {
        "DATA_TYPE": "MOVIE", "VERSION": "I-Scan 5.90", "SENSOR_TYPE": "5315", "ROWS": "2", "COLS": "3",
        "ROW_SPACING": "10.16 mm", "COL_SPACING": "12.7 mm", "SENSEL_AREA": "129.03 mm\xb2", "NOISE_THRESHOLD": "3",
        "SECONDS_PER_FRAME": "0.1", "SATURATION_PRESSURE": "200 mmHg", "START_FRAME": "1", "END_FRAME": str(frames),
        "UNITS": units, "MIRROR_ROW": "0", "MIRROR_COL": "0", **changes,
    }  # fmt: skip
    lines = [f"{key} {value}" for key, value in header.items() if value] + ["ASCII_DATA @@", ""]
    for n in range(1, frames + 1):
        lines += [f"Frame {n}", *(",".join(str(v * n) for v in row) for row in VALUES), ""]
    return end.join([*lines, "@@", ""])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1"))
    return path


@pytest.mark.parametrize(
    ("units", "kpa"),
    [
        ("mmHg", 0.133322),
        ("kPa", 1),
        ("PSI", 6.894757),
        ("N/cm\xb2", 10),
        ("N/cm^2", 10),
        ("kg/cm2", 98.0665),
        ("Raw", 1),
    ],
)
def test_every_unit_becomes_kpa_and_raw_stays_counts(tmp_path: Path, units: str, kpa: float) -> None:
    write(tmp_path / "a.asf", export(units))
    maps = read_tekscan(tmp_path)
    np.testing.assert_allclose(maps.pressure, np.stack([VALUES, 2 * VALUES]) * kpa, rtol=1e-6)


def test_the_header_gives_grid_and_pitch(tmp_path: Path) -> None:
    write(tmp_path / "a.asf", export())
    grid = read_tekscan(tmp_path).grid
    assert (grid.rows, grid.cols) == (2, 3)
    assert grid.pitch_x_cm == pytest.approx(1.27)
    assert grid.pitch_y_cm == pytest.approx(1.016)
    write(tmp_path / "a.asf", export(ROW_SPACING="0.4 inches", COL_SPACING="1.27 cm", end="\n"))
    grid = read_tekscan(tmp_path).grid
    assert grid.pitch_x_cm == pytest.approx(1.27)
    assert grid.pitch_y_cm == pytest.approx(1.016)


def test_cells_without_a_sensel_are_0_and_commas_of_a_spreadsheet_do_no_harm(tmp_path: Path) -> None:
    text = (
        export("kPa", 1, "\n").replace("0,1,2", "B,1,b").replace("ROWS 2", "ROWS 2,,").replace("Frame 1", "Frame 1,,")
    )
    write(tmp_path / "a.csv", text.replace("10,20,30", "10,20,30,,"))
    np.testing.assert_array_equal(read_tekscan(tmp_path).pressure[0], [[0, 1, 0], [10, 20, 30]])


def test_folders_are_people_files_are_groups_and_frames_turn(tmp_path: Path) -> None:
    for name in ("anna-3/a", "anna-3/night/b", "bo-12/a"):
        write(tmp_path / f"{name}.asf", export("kPa"))
    write(tmp_path / "lone.csv", export("kPa"))
    maps = read_tekscan(tmp_path, orientation=Orientation(quarter_turns=1))
    assert maps.people == ["tekscan:anna-3", "tekscan:bo-12", "tekscan:lone"]
    assert [g.name for g in maps.groups] == [
        "tekscan/anna-3/a", "tekscan/anna-3/night/b", "tekscan/bo-12/a", "tekscan/lone"
    ]  # fmt: skip
    np.testing.assert_array_equal(maps.group_index, [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(maps.pressure[0], np.rot90(VALUES))
    assert (maps.grid.rows, maps.grid.cols) == (3, 2)
    assert maps.grid.pitch_x_cm == pytest.approx(1.016)
    assert read_tekscan(tmp_path, [12]).people == ["tekscan:bo-12"]
    with pytest.raises(Failure, match=r"no subject 4 .* it has 3, 12"):
        read_tekscan(tmp_path, [4])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no line `Frame n`"),
        (export(ROWS=""), "has no ROWS in its header"),
        (export(COLS="many"), "has COLS many, which is no number"),
        (export(ROWS="0"), "has a grid of 0 x 3"),
        (export(ROW_SPACING="10 apples"), "ROW_SPACING 10 apples, which is no length"),
        (export(COL_SPACING="-1 mm"), "COL_SPACING -1 mm, which is no length"),
        (export("furlongs"), "UNITS furlongs, not one of kpa"),
        (export(ROWS="3"), "has 2 rows of 3 in Frame 1, not 3 x 3"),
        (export().replace("20,40,60", "20,40"), "2 rows of 2 or 3 in Frame 2, not 2 x 3"),
        (export().replace("20,40,60", "20,x,60"), "Frame 2 with a value that is no number"),
        (export().replace("20,40,60", "20,,60"), "Frame 2 with a value that is no number"),
        (export().replace("20,40,60", "20,nan,60"), "no finite numbers"),
    ],
)
def test_a_bad_file_is_named_with_its_reason(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path / "bad.asf", text)
    with pytest.raises(Failure, match=rf"bad\.asf .*{words}") as failure:
        read_tekscan(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA


def test_files_that_do_not_fit_together_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no \.asf, \.csv file in") as failure:
        read_tekscan(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    write(tmp_path / "a.asf", export("kPa"))
    write(tmp_path / "b.asf", export("raw"))
    with pytest.raises(Failure, match=r"b\.asf has another grid or unit than .*a\.asf"):
        read_tekscan(tmp_path)
