"""What edge-export and edge-diff share: frames of recordings, the poses of edge-run, and how far it is."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from calibrations import calibration
from edge_packages import info, package
from recorded_nights import START_US, Night, people, scans

from edge.arguments import as_replayed
from edge.calibration import store
from edge.config.settings import MatSettings
from edge.messages import Pose
from edge.model import KeypointModel
from edge.replayed import How, Progress, Replay, frames_of, read_calibration, start_unix_us
from edge.smoothing import Smoothing
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> KeypointModel:
    return KeypointModel.from_files(package(tmp_path_factory.mktemp("package")))


def test_frames_and_poses_go_side_by_side(tmp_path: Path, model: KeypointModel) -> None:
    """Through damage, a restart and another grid, all within one block of reading."""
    night = Night(tmp_path / "a.matlog").mat(boot_id=1).frames(scans(2)).damaged().frames(scans(2), first_seq=2)
    night.mat(boot_id=2).frames(scans(2)).mat(boot_id=3, orientation=Orientation(1)).frames(scans(2))
    path = night.done()
    poses: list[Pose] = []
    Replay(How(model))(path, poses.append)
    frames = list(frames_of(path, How(model).turn, start_unix_us(path)))
    assert len(frames) == 8
    assert [(f.info.boot_id, f.seq, f.t_us) for f in frames] == [(p.boot_id, p.seq, p.t_us) for p in poses]
    assert [f.unix_us / 1e6 for f in frames] == [p.ts for p in poses]
    np.testing.assert_array_equal([f.counts for f in frames[:4]], np.concatenate([scans(2), scans(2)]))


def test_time_stands_still_while_the_hosts_clock_is_set_back(tmp_path: Path) -> None:
    night = Night(tmp_path / "a.matlog").mat().frames(scans(3))
    night.unix_us -= 250_000
    path = night.frames(scans(4), first_seq=3).done()
    frames = list(frames_of(path, lambda mat: mat.orientation, START_US))
    assert [f.time_s for f in frames] == [0.0, 0.1, 0.2, 0.2, 0.2, 0.25, 0.35]
    assert [f.unix_us - START_US for f in frames][3:5] == [50_000, 150_000]


def test_two_recordings_one_after_the_other_are_one_to_the_smoothing(
    tmp_path: Path, pmd: Path, model: KeypointModel
) -> None:
    maps = people(pmd)[:6]
    whole = Night(tmp_path / "whole.matlog").mat().frames(maps).done()
    first = Night(tmp_path / "1.matlog").mat().frames(maps[:3]).done()
    second = Night(tmp_path / "2.matlog", START_US + 300_000).mat().frames(maps[3:], first_seq=3).done()
    once: list[Pose] = []
    Replay(How(model, smoothing=Smoothing()))(whole, once.append)
    twice: list[Pose] = []
    replay = Replay(How(model, smoothing=Smoothing()))
    replay(first, twice.append)
    replay(second, twice.append)
    assert twice == once
    assert replay.read_bytes == first.stat().st_size + second.stat().st_size


def test_the_orientation_that_people_chose_counts_for_its_own_mat_only(model: KeypointModel) -> None:
    chosen = How(model, calibration=calibration(orientation="90"))
    assert chosen.turn(info()) == Orientation(1)
    assert chosen.turn(info(device_id=9)) == Orientation(0)
    told = MatSettings(port="recording", orientation=Orientation(2))
    assert How(model, told, calibration=calibration(orientation="90")).turn(info()) == Orientation(2)


def test_what_the_mat_said_wrong_is_put_right_in_frames_and_poses_alike(
    tmp_path: Path, pmd: Path, model: KeypointModel
) -> None:
    maps = people(pmd)[:2]
    right = Night(tmp_path / "right.matlog").mat().frames(maps).done()
    lied = Grid(64, 32, 5.0, 1.0)
    wrong = (
        Night(tmp_path / "wrong.matlog").mat(grid=lied, orientation=Orientation(2)).frames(maps[:, ::-1, ::-1]).done()
    )
    [told] = as_replayed({"--pitch": "2.54", "--orientation": "0"}).mat
    poses: dict[Path, list[Pose]] = {right: [], wrong: []}
    Replay(How(model))(right, poses[right].append)
    Replay(How(model, told))(wrong, poses[wrong].append)
    assert poses[right][0].joints
    assert poses[wrong] == poses[right]
    frames = list(frames_of(wrong, How(model, told).turn, START_US, corrected=told.corrected))
    np.testing.assert_array_equal([frame.counts for frame in frames], maps)
    assert frames[0].grid == Grid(64, 32, 2.54, 2.54)


def test_a_calibration_is_a_file_or_none(tmp_path: Path) -> None:
    assert read_calibration("none") is None
    store.write(tmp_path / "a.json", calibration())
    assert read_calibration(str(tmp_path / "a.json")) == calibration()
    with pytest.raises(Failure, match="no calibration") as caught:
        read_calibration(str(tmp_path / "none.json"))
    assert caught.value.code == Exit.MISSING_INPUT


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_says_once_a_second_how_far_it_is_and_how_long_still() -> None:
    now_s = 100.0
    terminal = Terminal()
    progress = Progress("edge-export", 1000, terminal, lambda: now_s)
    for done in range(1000):
        now_s = 100 + done / 10
        progress(done)
    progress.close()
    shown = terminal.getvalue().split("\r")
    assert len(shown) == 1 + 99 + 1
    assert shown[25].startswith("edge-export:  25%, 1:15 min to go")
    assert shown[-1] == "\x1b[K"


def test_progress_is_silent_in_a_file_and_for_what_is_short() -> None:
    for stream in (StringIO(), Terminal()):
        progress = Progress("edge-export", 10, stream, lambda: 1.0)
        progress(5)
        progress.close()
        assert stream.getvalue() == ""
