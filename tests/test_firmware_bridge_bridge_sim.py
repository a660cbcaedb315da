"""bridge-sim over a real pty, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.decoder import Decoder, Event, Frame
from firmware_bridge.encoder import encode, encode_frame
from firmware_bridge.errors import Exit
from firmware_bridge.header import Flag
from firmware_bridge.link import LinkDown, LinkUp, ReopeningLink, SerialLink
from firmware_bridge.messages import Ack, GetInfo, Info, SetRate, Stop
from firmware_bridge.recording import RecordingWriter
from firmware_bridge.skeleton import JOINTS

Sim = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mat"


@pytest.fixture
def start(path: Path) -> Iterator[Sim]:
    """Starts bridge-sim and returns once its line has come."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "firmware_bridge.bridge_sim", "--link", str(path), *map(str, arguments)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        process.line = process.stderr.readline()  # type: ignore[attr-defined]
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def collect(link: SerialLink, decoder: Decoder, enough: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    deadline_s = time.monotonic() + 60
    while not enough(events):
        assert time.monotonic() < deadline_s, f"only {len(events)} events"
        events += [received.event for received in decoder.feed(link.read(0.2))]
    return events


def frames(events: list[Event]) -> list[Frame]:
    return [event for event in events if isinstance(event, Frame)]


@pytest.mark.parametrize("sample_format", ["u8", "u12", "u16"])
def test_it_streams_a_person_over_a_pty(start: Sim, path: Path, sample_format: str) -> None:
    start("--seed", 3, "--rate", 20, "--sample-format", sample_format, "--chunk-rows", 24)
    link, decoder = SerialLink(str(path)), Decoder()
    link.write(encode(GetInfo()))
    events = collect(link, decoder, lambda events: len(frames(events)) >= 30)
    link.close()
    info = next(event for event in events if isinstance(event, Info))
    assert (info.rows, info.cols, info.frame_rate_mhz) == (64, 32, 20_000)
    assert all(frame.counts.shape == (64, 32) for frame in frames(events))
    assert max(frame.counts.sum() for frame in frames(events)) > 1000
    assert decoder.counts.corrupt == decoder.counts.skipped == 0


def test_it_answers_the_host(start: Sim, path: Path) -> None:
    start("--scene", "empty")
    link, decoder = SerialLink(str(path)), Decoder()
    link.write(encode(SetRate(200_000), seq=1))
    collect(link, decoder, lambda events: Ack(SetRate.TYPE, 1) in events and len(frames(events)) > 20)
    link.write(encode(Stop(), seq=2) + encode(GetInfo(), seq=1))
    events = collect(link, decoder, lambda events: any(isinstance(event, Info) for event in events))
    assert Ack(Stop.TYPE, 2) in events
    assert decoder.info is not None
    assert decoder.info.frame_rate_mhz == 200_000
    link.close()


def test_its_line_names_the_pty_and_the_link(start: Sim, path: Path) -> None:
    line = start().line  # type: ignore[attr-defined]
    assert line.startswith(f"bridge-sim: 64 x 32 mat on {path} -> {os.readlink(path)}, 10 frames/s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_takes_the_link_away(start: Sim, path: Path, number: int) -> None:
    process = start()
    assert path.is_symlink()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not os.path.lexists(path)
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_it_ends_after_its_duration(start: Sim, path: Path) -> None:
    assert start("--duration", 0.3).wait(60) == 0
    assert not os.path.lexists(path)


def test_nobody_reading_blocks_nothing_and_costs_whole_frames(start: Sim, path: Path, tmp_path: Path) -> None:
    """The pty fills up; a reader that comes later finds intact messages, a gap and the overrun flag."""
    truth = tmp_path / "truth.jsonl"
    process = start("--rate", 200, "--scene", "empty", "--sample-format", "u16", "--truth", truth)
    held = os.open(path, os.O_RDONLY | os.O_NOCTTY)
    lines = -1
    while lines != (lines := truth.read_text().count("\n")) or not lines:
        time.sleep(1)
    decoder, found = Decoder(), list[Frame]()
    while len(found) < lines + 10:
        found += frames([received.event for received in decoder.feed(os.read(held, 65536))])
    os.close(held)
    assert decoder.counts.corrupt == 0
    assert decoder.counts.lost > 50
    assert any(frame.flags & Flag.OVERRUN for frame in found)
    process.terminate()
    assert process.wait(60) == 0
    told = [json.loads(line)["seq"] for line in truth.read_text().splitlines()]
    assert [frame.seq for frame in found] == told[: len(found)]


def test_truth_lines_tell_the_joints_of_each_frame(start: Sim, path: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    process = start("--seed", 11, "--rate", 10, "--truth", truth)
    link, decoder = SerialLink(str(path)), Decoder()
    link.write(encode(GetInfo()))
    got = frames(collect(link, decoder, lambda events: len(frames(events)) >= 30))
    link.close()
    process.terminate()
    process.wait(60)
    lines = {line["seq"]: line for line in map(json.loads, truth.read_text().splitlines())}
    assert decoder.info is not None
    assert {line["boot_id"] for line in lines.values()} == {decoder.info.boot_id}
    assert all(frame.seq in lines for frame in got)
    lying = [lines[frame.seq]["joints"] for frame in got if lines[frame.seq]["joints"]]
    assert lying
    assert all(joints.keys() == set(JOINTS) for joints in lying)
    assert {line["group"] for line in lines.values()} == {"sim/11"}


def test_it_replays_a_recording_and_ends(start: Sim, path: Path, tmp_path: Path) -> None:
    info = Info("recorded", "1", 1, 3, 2, 25_400, 25_400, 4095, frame_rate_mhz=20_000)
    pictures = [np.full((3, 2), value, np.uint16) for value in range(40)]
    with RecordingWriter(tmp_path / "a.matlog") as recording:
        recording.write(encode(info), 0)
        for seq, counts in enumerate(pictures):
            recording.write(encode_frame(counts, seq=seq, t_us=0), 0)
    process = start("--replay", tmp_path / "a.matlog")
    link, decoder = SerialLink(str(path)), Decoder()
    events = collect(link, decoder, lambda events: any(frame.seq == 38 for frame in frames(events)))
    link.close()
    assert process.wait(60) == 0
    got = frames(events)
    assert len(got) > 5
    assert all((frame.counts == pictures[frame.seq]).all() for frame in got)


def test_it_killed_and_restarted_is_found_again_with_a_new_boot_id(start: Sim, path: Path) -> None:
    decoder, downs, boots = Decoder(), 0, set[int]()
    link = ReopeningLink(lambda: SerialLink(str(path)))
    process = start("--rate", 50, "--scene", "empty")
    deadline_s = time.monotonic() + 60
    received = 0
    while len(boots) < 4:
        assert time.monotonic() < deadline_s
        report = link.read(0.1)
        if isinstance(report, LinkUp):
            decoder.interrupted()
            link.write(encode(GetInfo()))
        elif isinstance(report, LinkDown):
            downs += report.code == Exit.DEVICE_LOST
        else:
            decoder.feed(report)
        if decoder.info and decoder.info.boot_id not in boots and decoder.counts.received > received + 5:
            boots.add(decoder.info.boot_id)
            received = decoder.counts.received
            process.kill()
            process.wait()
            process = start("--rate", 50, "--scene", "empty")
    assert downs == decoder.counts.reboots == 3
    assert decoder.counts.unknown == 3
    assert decoder.counts.corrupt == 0
    link.close()


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--rate", "0"], Exit.USAGE, "rate"),
        (["--rate", "x"], Exit.USAGE, "rate"),
        (["--chunk-rows", "0"], Exit.USAGE, "rows"),
        (["--sample-format", "u9"], Exit.USAGE, "u8, u12 or u16"),
        (["--scene", "party"], Exit.USAGE, "party"),
        (["--seed", "-1"], Exit.USAGE, "seed"),
        (["--duration", "nan"], Exit.USAGE, "seconds"),
        (["--replay", "missing.matlog"], Exit.MISSING_INPUT, "missing.matlog"),
        (["--replay", "/dev/null"], Exit.FOREIGN_DATA, "empty"),
        (["--replay", "x", "--truth", "y"], Exit.USAGE, "--truth"),
        (["--truth", "/nowhere/truth"], Exit.USAGE, "/nowhere/truth"),
        (["--link", "/nowhere/mat"], Exit.USAGE, "/nowhere/mat"),
        (["--link", "/etc/passwd"], Exit.USAGE, "/etc/passwd"),
    ],
)
def test_a_wrong_argument_is_one_line_and_its_exit_code(arguments: list[str], code: Exit, named: str) -> None:
    command = [sys.executable, "-m", "firmware_bridge.bridge_sim", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert named in last
    assert "Traceback" not in done.stderr


def test_a_link_left_by_a_killed_one_is_replaced(start: Sim, path: Path) -> None:
    start().kill()
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/pts/gone")
    start()
    assert os.readlink(path) != "/dev/pts/gone"


def test_one_that_was_replaced_leaves_the_link_of_the_other(start: Sim, path: Path) -> None:
    first, second = start(), start()
    mine = os.readlink(path)
    first.terminate()
    assert first.wait(60) == 0
    assert os.readlink(path) == mine
    second.terminate()
    assert second.wait(60) == 0
    assert not os.path.lexists(path)
