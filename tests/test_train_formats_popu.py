"""PoPu's JSON files."""

import json
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import Exit, Failure
from train.formats.popu import read_popu


def record(position: str, count: int = 2, **changes: object) -> dict[str, object]:
    readings = [[1000 * n + i for i in range(1728)] for n in range(count)]
    return {
        "volunteer_id": 1, "sex": "F", "height": 165, "weight": 60.5, "tactilus_columns": 27, "tactilus_rows": 64,
        "position": position, "variation": 1,
        "snapshots": {str(n): {"id": f"x{n}", "tactilus_readings": r} for n, r in enumerate(readings)},
        **changes,
    }  # fmt: skip


def write(root: Path, volunteer: int, name: str, content: object) -> Path:
    path = root / "PoPu_data" / "tactilus_data" / str(volunteer) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_row_major_values_without_the_stray_column(tmp_path: Path) -> None:
    write(tmp_path, 3, "supine1_0", record("supine", 11))
    maps = read_popu(tmp_path)
    expected = np.arange(1728).reshape(64, 27)
    np.testing.assert_array_equal(maps.pressure[0][:, 1:], expected[:, 1:])
    np.testing.assert_array_equal(maps.pressure[..., 0], 0)
    assert maps.pressure[2, 0, 1] == 2001, "snapshots in the order of their numbers: 2 before 10"
    assert maps.pressure[10, 0, 1] == 10001
    assert (maps.grid.rows, maps.grid.cols) == (64, 27)


def test_files_are_groups_and_volunteers_are_people(tmp_path: Path) -> None:
    for volunteer, position in ((2, "left3"), (2, "Right"), (10, "prone 2"), (10, "empty")):
        write(tmp_path, volunteer, f"{position}_1", record(position))
    maps = read_popu(tmp_path / "PoPu_data")
    assert {g.posture for g in maps.groups} == {"left", "right", "prone", ""}
    assert maps.people == ["popu:10", "popu:2"]
    np.testing.assert_array_equal(maps.group_index, [0, 0, 1, 1, 2, 2, 3, 3])
    only = read_popu(tmp_path / "PoPu_data" / "tactilus_data", [10], pitch_cm=(2.5, 3.0))
    assert {g.person for g in only.groups} == {"popu:10"}
    assert (only.grid.pitch_x_cm, only.grid.pitch_y_cm) == (2.5, 3.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no JSON file"),
        ("[1, 2]", "is no record of 64"),
        (record("left", tactilus_rows=27, tactilus_columns=64), "is no record of 64"),
        (record("left", snapshots={}), "no numbered snapshots"),
        (record("left", snapshots={"a": {}}), "no numbered snapshots"),
        (record("left", snapshots={"0": {"id": 1}}), "no numbers as tactilus_readings of snapshot 0"),
        (record("left", snapshots={"0": {"tactilus_readings": ["x"] * 1728}}), "no numbers as tactilus_readings"),
        (record("left", snapshots={"0": {"tactilus_readings": [1] * 1727}}), r"shape \(1727,\) in snapshot 0"),
        (record("left", snapshots={"0": {"tactilus_readings": [float("nan")] * 1728}}), "no finite numbers"),
    ],
)
def test_a_bad_file_is_named_with_its_reason(tmp_path: Path, content: object, words: str) -> None:
    write(tmp_path, 1, "left1_0", content)
    with pytest.raises(Failure, match=rf"left1_0\.json .*{words}") as failure:
        read_popu(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA


def test_missing_folders_volunteers_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="tactilus_data") as failure:
        read_popu(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    write(tmp_path, 1, "left1_0", record("left")).unlink()
    with pytest.raises(Failure, match=r"no \.json file") as failure:
        read_popu(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    with pytest.raises(Failure, match=r"no subject 2 .* it has 1"):
        read_popu(tmp_path, [2])
