"""HLPPDat's pictures and tables."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Orientation
from train.formats.hlppdat import read_hlppdat, read_measurements

TARGETS = "FileName,Class,SubClass,SubjectId\n0001,1,2,1\n0002,2,1,1\n0003,3,1,2\n0004,4,1,20\n"
MEASUREMENTS = "SubjectId,Sex,Age,Height,Weight,Hip,Chest,Waist,Shoulders,Note\n1,M,22,181,74.1,102,88.5,93,48,\n"


def picture(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return ((np.arange(330) * (number + 1)) % 256).astype(np.uint8).reshape(30, 11)


def write_hlppdat(root: Path) -> Path:
    folder = root / "Data" / "pressure_maps"
    folder.mkdir(parents=True)
    for number in range(1, 5):
        Image.fromarray(picture(number)).save(folder / f"{number:04d}.png")
    (root / "Data" / "Targets.csv").write_text(TARGETS)
    (root / "Data" / "Measuremetns.csv").write_text(MEASUREMENTS)
    return root


def test_grey_values_are_counts_and_the_table_names_posture_and_person(tmp_path: Path) -> None:
    maps = read_hlppdat(write_hlppdat(tmp_path))
    for frame in range(4):
        np.testing.assert_array_equal(maps.pressure[frame], picture(frame + 1))
    assert [g.posture for g in maps.groups] == ["supine", "left", "right", "prone"]
    assert [g.person for g in maps.groups] == ["hlppdat:1", "hlppdat:1", "hlppdat:2", "hlppdat:20"]
    assert maps.grid.height_cm == pytest.approx(200)


def test_subjects_orientation_and_pitch_can_be_given(tmp_path: Path) -> None:
    root = write_hlppdat(tmp_path) / "Data"
    maps = read_hlppdat(root, [20, 2], orientation=Orientation(quarter_turns=1), pitch_cm=(7, 6))
    assert maps.people == ["hlppdat:2", "hlppdat:20"]
    np.testing.assert_array_equal(maps.pressure[0], np.rot90(picture(3)))
    assert (maps.grid.rows, maps.grid.cols, maps.grid.pitch_x_cm, maps.grid.pitch_y_cm) == (11, 30, 6, 7)


def test_measurements_are_read_from_the_file_as_it_is_spelt(tmp_path: Path) -> None:
    info = read_measurements(write_hlppdat(tmp_path))
    assert info[1]["Height"] == "181"
    assert info[1]["Weight"] == "74.1"
    (tmp_path / "Data" / "Measuremetns.csv").write_text(MEASUREMENTS.replace("\n1,", "\nx,"))
    with pytest.raises(Failure, match=r"Measuremetns\.csv has a SubjectId that is no number"):
        read_measurements(tmp_path)


def test_bad_and_missing_pictures_are_named(tmp_path: Path) -> None:
    path = write_hlppdat(tmp_path) / "Data" / "pressure_maps" / "0003.png"
    whole = path.read_bytes()
    for content in (b"", b"no picture", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(Failure, match=r"0003\.png is no PNG picture") as failure:
            read_hlppdat(tmp_path)
        assert failure.value.code == Exit.FOREIGN_DATA
    Image.fromarray(picture(3).T.copy()).save(path)
    with pytest.raises(Failure, match=r"0003\.png is a picture of \(11, 30\) uint8"):
        read_hlppdat(tmp_path)
    Image.fromarray(np.zeros((30, 11, 3), np.uint8)).save(path)
    with pytest.raises(Failure, match=r"0003\.png is a picture of \(30, 11, 3\)"):
        read_hlppdat(tmp_path)
    path.unlink()
    with pytest.raises(Failure, match=r"0003\.png: .* incomplete") as failure:
        read_hlppdat(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT


@pytest.mark.parametrize(
    ("content", "words"),
    [("a,b\n1,2\n", "no columns"), (TARGETS + "0005,7,1,1\n", "line 6"), (TARGETS + "../x,1,1,1\n", "line 6"),
     (TARGETS + "0005\n", "line 6"), (b"\xff\xfe\x00", "is no text")],
)  # fmt: skip
def test_a_bad_table_is_named_with_its_line(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = write_hlppdat(tmp_path) / "Data" / "Targets.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Failure, match=rf"Targets\.csv .*{words}") as failure:
        read_hlppdat(tmp_path)
    assert failure.value.code == Exit.FOREIGN_DATA


def test_missing_folders_and_subjects_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no .*Targets\.csv") as failure:
        read_hlppdat(tmp_path)
    assert failure.value.code == Exit.MISSING_INPUT
    with pytest.raises(Failure, match=r"no subject 3 .* it has 1, 2, 20"):
        read_hlppdat(write_hlppdat(tmp_path), [3])
