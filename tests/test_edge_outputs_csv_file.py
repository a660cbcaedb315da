"""Poses as CSV: one row a frame, read back by Python's and NumPy's readers."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from output_items import event, pose

from edge.outputs.csv_file import COLUMNS, CsvFile
from edge.outputs.sink import Item
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.skeleton import JOINTS


def written(path: Path, *items: Item, **settings: Any) -> list[dict[str, str]]:
    output = CsvFile(path, **settings)
    output.open()
    for item in items:
        output.write(item)
    output.close()
    with path.open(newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_columns_are_named_with_their_units_and_joints_follow_in_their_order(tmp_path: Path) -> None:
    written(tmp_path / "out.csv", pose(1))
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header.startswith(
        "ts,mat,seq,t_us,occupied,posture,cop_x_cm,cop_y_cm,contact_area_cm2,peak_pressure,"
        "r_ankle_x_cm,r_ankle_y_cm,r_ankle_confidence,r_knee_x_cm,"
    )
    assert len(header.split(",")) == 10 + 3 * len(JOINTS)


def test_a_row_says_what_the_json_line_says_in_the_same_digits(tmp_path: Path) -> None:
    (row,) = written(tmp_path / "out.csv", pose(3))
    assert tuple(row) == COLUMNS
    assert [row[column] for column in COLUMNS[:13]] == [
        "1700000000.3", "bed", "3", "300000", "true", "supine", "40.13", "80.0", "4567.9", "900.0",
        "10.0", "20.0", "0.5",
    ]  # fmt: skip
    assert (row["head_x_cm"], row["head_y_cm"]) == ("23.0", "33.0")


def test_what_json_calls_null_is_empty(tmp_path: Path) -> None:
    empty = pose(3, occupied=False, joints=None, cop_cm=None, posture=None, keypoints=[])
    (row,) = written(tmp_path / "out.csv", empty)
    assert row["occupied"] == "false"
    assert {row[column] for column in COLUMNS if "_x_cm" in column or "confidence" in column} == {""}
    assert row["posture"] == ""
    assert row["peak_pressure"] == "900.0"


def test_other_lines_are_left_out(tmp_path: Path) -> None:
    rows = written(tmp_path / "out.csv", event("a"), pose(1), event("b"), pose(2))
    assert [row["seq"] for row in rows] == ["1", "2"]


def test_text_with_commas_quotes_and_line_ends_is_quoted_as_rfc_4180_says(tmp_path: Path) -> None:
    mat = 'a "wide",\r\nbed für Zoë'
    rows = written(tmp_path / "out.csv", pose(1, mat=mat), pose(2))
    assert [row["mat"] for row in rows] == [mat, "bed"]
    content = (tmp_path / "out.csv").read_bytes()
    assert '"a ""wide"",\r\nbed für Zoë"'.encode() in content
    assert content.endswith(b"\r\n")
    assert content.count(b"\n") == content.count(b"\r\n") == 4


def test_numbers_are_read_by_numpy_as_they_are(tmp_path: Path) -> None:
    written(tmp_path / "out.csv", *(pose(seq) for seq in range(20)))
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert table.shape == (20,)
    np.testing.assert_array_equal(table["seq"], range(20))
    np.testing.assert_allclose(np.diff(table["ts"]), 0.1, atol=1e-6)
    assert set(table["l_wrist_confidence"]) == {0.5}


def test_a_file_is_gone_on_with_and_its_header_stands_once(tmp_path: Path) -> None:
    written(tmp_path / "out.csv", pose(1))
    assert [row["seq"] for row in written(tmp_path / "out.csv", pose(2))] == ["1", "2"]


def test_a_row_torn_by_a_power_cut_is_ended_and_the_next_begins_anew(tmp_path: Path) -> None:
    written(tmp_path / "out.csv", pose(1))
    with (tmp_path / "out.csv").open("ab") as file:
        file.write(b"1700000000.2,bed,2,20")
    rows = written(tmp_path / "out.csv", pose(3))
    assert [(row["seq"], row["occupied"]) for row in rows] == [("1", "true"), ("2", None), ("3", "true")]


def test_every_rotated_file_is_a_csv_file_of_its_own(tmp_path: Path) -> None:
    rows = written(tmp_path / "out.csv", *(pose(seq) for seq in range(40)), rotate_mb=3e-3, keep=9)
    assert len(list(tmp_path.iterdir())) > 3
    for older in sorted(tmp_path.glob("out.csv.?")):
        assert older.stat().st_size <= 3000
        with older.open(newline="") as file:
            rows = rows + list(csv.DictReader(file, strict=True))
    assert sorted(int(row["seq"]) for row in rows) == list(range(40))


def test_a_file_with_other_columns_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("time,x,y\n1,2,3\n")
    with pytest.raises(Failure, match=r"out\.csv begins with other columns .* choose another name") as refused:
        CsvFile(tmp_path / "out.csv").open()
    assert refused.value.code == Exit.USAGE
    assert (tmp_path / "out.csv").read_text() == "time,x,y\n1,2,3\n"
