"""SMaL in the repacking of SPMKD's code."""

from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Orientation
from train.formats.smal import SIZE_CM, read_smal


def write_smal(root: Path) -> Path:
    for part, count in (("train", 4), ("test", 2)):
        maps = np.arange(count * 224 * 224).reshape(count, 224, 224) % 251
        np.save(root / f"PM_{part}.npy", maps.astype(np.uint8))
        np.save(root / f"label_{part}.npy", np.arange(count)[:, None] % 3)
    return root


def test_values_labels_and_parts_are_kept(tmp_path: Path) -> None:
    maps = read_smal(write_smal(tmp_path), postures={0: "supine", 1: "left"})
    assert len(maps) == 6
    np.testing.assert_array_equal(maps.pressure[1], np.arange(224 * 224, 2 * 224 * 224).reshape(224, 224) % 251)
    assert [g.posture for g in maps.groups] == ["supine", "left", "", "supine", "supine", "left"]
    assert maps.groups[2].name == "smal/train/000002/label-2"
    assert maps.people == ["smal:test", "smal:train"]
    assert maps.grid.width_cm == pytest.approx(SIZE_CM[0])
    assert maps.grid.height_cm == pytest.approx(SIZE_CM[1])
    assert not maps.joints.any()


def test_one_part_and_another_orientation_and_size(tmp_path: Path) -> None:
    maps = read_smal(write_smal(tmp_path), parts=["test"], orientation=Orientation(quarter_turns=2), size_cm=(90, 200))
    stored = np.load(tmp_path / "PM_test.npy")
    np.testing.assert_array_equal(maps.pressure[0], stored[0, ::-1, ::-1])
    assert maps.people == ["smal:test"]
    assert maps.grid.width_cm == pytest.approx(90)


def test_bad_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"PM_train\.npy: .* incomplete") as failure:
        read_smal(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    write_smal(tmp_path)
    with pytest.raises(Failure, match="does not tell its people apart") as failure:
        read_smal(tmp_path, [1])
    assert failure.value.code == Exit.USAGE
    np.save(tmp_path / "label_test.npy", np.zeros((3, 1)))
    with pytest.raises(Failure, match=r"label_test\.npy holds 3 x 1 numbers, not 2 x 1") as failure:
        read_smal(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA
    np.save(tmp_path / "label_test.npy", np.full((2, 1), 0.5))
    with pytest.raises(Failure, match=r"label_test\.npy .* no whole numbers"):
        read_smal(tmp_path)
    np.save(tmp_path / "PM_test.npy", np.zeros((2, 192, 84), np.uint8))
    np.save(tmp_path / "label_test.npy", np.zeros((2, 1)))
    with pytest.raises(Failure, match=r"PM_test\.npy holds maps of \(192, 84\)"):
        read_smal(tmp_path)
    np.save(tmp_path / "PM_train.npy", np.full((4, 224, 224), np.nan))
    with pytest.raises(Failure, match=r"PM_train\.npy holds 200704 values that are no finite numbers"):
        read_smal(tmp_path)
    (tmp_path / "PM_train.npy").write_bytes((tmp_path / "PM_train.npy").read_bytes()[:5000])
    with pytest.raises(Failure, match=r"PM_train\.npy is no NumPy array"):
        read_smal(tmp_path)
