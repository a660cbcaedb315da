"""What edge-doctor says of a mat it listens to: healthy and sick mats in software, on real ptys."""

import contextlib
import functools
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_packages import frame
from edge_packages import info as plain_info
from numpy.typing import NDArray

from edge.config.settings import MatSettings
from edge.doctor.command import examine_mat, main
from edge.doctor.finding import Finding, Level
from edge.doctor.listening import MOST_FRAMES, Heard, listen
from edge.doctor.mat import Mat, suspects
from edge.model import DEFAULT_MODEL, KeypointModel
from firmware_bridge import slip
from firmware_bridge.bridge_sim import serve
from firmware_bridge.decoder import Decoder
from firmware_bridge.encoder import encode, encode_frame, encode_raw
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid, Orientation
from firmware_bridge.header import HEADER, Header, MessageType, SampleFormat
from firmware_bridge.link import SerialLink
from firmware_bridge.messages import Info
from firmware_bridge.samples import pack
from firmware_bridge.scans import Scan, simulated_info, simulated_scans
from firmware_bridge.virtual_mat import VirtualMat, open_port
from train.pmd import ORIENTATION_I, read_pmd

GRID = Grid(64, 32, 2.54, 2.54)
RATE_HZ = 10.0
LISTEN_S = 1.6
Spoil = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def model() -> KeypointModel:
    return KeypointModel.from_files(DEFAULT_MODEL)


def empty_scans() -> Iterator[Scan]:
    """A mat without any fault."""
    rng = np.random.default_rng(0)
    while True:
        yield Scan(np.rint(rng.normal(50, 2, (GRID.rows, GRID.cols))).astype(np.uint16))


@functools.cache
def lying_counts() -> NDArray[np.uint16]:
    """(frames, rows, cols), canonical: somebody who lies there already."""
    scans = simulated_scans(3, GRID, 2.0)
    return np.stack([next(scans).counts for _ in range(30)])[10:]


def lying_scans(orientation: Orientation = Orientation()) -> Iterator[Scan]:  # noqa: B008 - frozen
    """As a mat of that orientation holds them."""
    for counts in itertools.cycle(lying_counts()):
        yield Scan(np.ascontiguousarray(orientation.from_canonical(counts)))


def mat_of(scans: Iterator[Scan], orientation: Orientation = Orientation()) -> VirtualMat:  # noqa: B008 - frozen
    return VirtualMat(simulated_info(3, GRID, round(RATE_HZ * 1000), orientation), scans)


class Spoiled(VirtualMat):
    """A mat on a bad cable."""

    spoil: Spoil

    def poll(self, now_us: int, room: bool = True) -> bytes:
        return self.spoil(super().poll(now_us, room))


class Board:
    """A pty behind which something sends, in a thread."""

    def __init__(self, send: Callable[[int, Callable[[], bool]], None]) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.port = os.ttyname(self.slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=send, args=(self.master, self._stop.is_set))
        self._thread.start()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self.slave)
        os.close(self.master)


def board(mat: VirtualMat) -> Board:
    return Board(lambda master, stopping: serve(mat, master, stopping))


def look(
    port: str, model: KeypointModel | None = None, listen_s: float = LISTEN_S, **mat: object
) -> dict[str, Finding]:
    settings = MatSettings.model_validate({"port": port} | mat)
    return {finding.check: finding for finding in examine_mat(settings, listen_s, model)}


def levels(found: dict[str, Finding]) -> dict[str, Level]:
    return {name: finding.level for name, finding in found.items()}


def test_an_empty_healthy_mat_passes_every_check() -> None:
    with board(mat_of(empty_scans())) as mat:
        found = look(mat.port)
    names = ("port", "access", "readers", "answer", "rate", "errors", "taxels", "noise")
    assert levels(found) == dict.fromkeys(names, Level.OK), found
    assert found["answer"].text.startswith("virtual-mat 1, 64 x 32 taxels of 2.54 x 2.54 cm, boot id ")
    assert found["rate"].text.endswith("frames/s, 10 promised")
    assert found["errors"].text.startswith("0 of ")
    assert found["taxels"].text == "dead, stuck or flickering: none"
    counts = float(found["noise"].text.removeprefix("empty, ").split()[0])
    assert counts == pytest.approx(2, rel=0.15)


def test_a_silent_port_fails_and_asks_for_power() -> None:
    with Board(lambda master, stopping: None) as mat:
        found = look(mat.port, listen_s=0.5)
    assert list(found)[-1] == "answer"
    assert found["answer"].level == Level.FAILED
    assert found["answer"].text.startswith("not a byte in 0.5 s: is the mat powered")


def test_garbage_fails_and_asks_for_the_baud() -> None:
    def babble(master: int, stopping: Callable[[], bool]) -> None:
        rng = np.random.default_rng(1)
        while not stopping():
            with contextlib.suppress(BlockingIOError):
                os.write(master, rng.bytes(200))

    with Board(babble) as mat:
        found = look(mat.port, listen_s=0.5, baud=115_200)
    assert found["answer"].level == Level.FAILED
    assert "none of them a frame or INFO, " in found["answer"].text
    assert "messages corrupt (mostly: " in found["answer"].text
    assert ": is it 115200 baud" in found["answer"].text


def test_frames_without_info_fail() -> None:
    """Every INFO loses a byte on the way."""
    mat = Spoiled(plain_info(frame_rate_mhz=10_000), empty_scans())
    mat.spoil = lambda data: b"\xc0".join(part if len(part) > 500 else part[1:] for part in data.split(b"\xc0"))
    with board(mat) as port:
        found = look(port.port)
    assert found["answer"].level == Level.FAILED
    assert "but no INFO, " in found["answer"].text
    assert found["answer"].text.endswith("(CRC does not match): the firmware does not answer GET_INFO")


@pytest.mark.parametrize("how", ["drops", "flips"])
def test_a_bad_cable_is_a_failure_that_names_it(how: str) -> None:
    """Every fifth message of frames has a byte missing, or a bit turned."""
    seen = [0]

    def spoil(data: bytes) -> bytes:
        seen[0] += len(data) > 500
        if len(data) <= 500 or seen[0] % 5:
            return data
        return data[:-300] + data[-299:] if how == "drops" else data[:-300] + bytes([data[-300] ^ 1]) + data[-299:]

    mat = Spoiled(simulated_info(3, GRID, 10_000), empty_scans())
    mat.spoil = spoil
    with board(mat) as port:
        found = look(port.port, listen_s=2.5)
    assert found["errors"].level == Level.FAILED
    assert not found["errors"].text.startswith("0 of ")
    assert "messages corrupt (CRC does not match): check cable, plug and ground" in found["errors"].text
    assert levels(found)["answer"] == Level.OK


def test_a_mat_that_restarts_all_the_time_wants_a_better_supply() -> None:
    counts = np.full((GRID.rows, GRID.cols), 50, np.uint16)

    def brown_out(master: int, stopping: Callable[[], bool]) -> None:
        boot_id = 0
        while not stopping():
            boot_id += 1
            mat = VirtualMat(simulated_info(3, GRID, 10_000), iter([Scan(counts)] * 8), boot_id=boot_id)
            serve(mat, master, stopping)

    with Board(brown_out) as mat:
        found = look(mat.port)
    assert found["errors"].level == Level.FAILED
    assert "restarted" in found["errors"].text
    assert "check its supply" in found["errors"].text


SAID = simulated_info(3, GRID, 10_000)
Sent = Callable[[int, NDArray[np.uint16]], bytes]
FIRMWARE_PERIOD_S = 0.03


def firmware(sent: Sent, info: Info | None = SAID) -> Board:
    """Sends frames in its own way, from (number of the frame, counts), and INFO with each."""

    def send(master: int, stopping: Callable[[], bool]) -> None:
        for number, scan in enumerate(empty_scans()):
            if stopping():
                return
            with contextlib.suppress(BlockingIOError):
                said = encode(info, seq=number) if info else b""
                os.write(master, said + sent(number, scan.counts))
            time.sleep(FIRMWARE_PERIOD_S)

    return Board(send)


def changed(**changes: int) -> Sent:
    """Frames that are right but for these fields of the header."""
    return lambda number, counts: encode_raw(right_header(number)._replace(**changes), pack(counts, SampleFormat.U12))


def right_header(number: int) -> Header:
    blank = encode_frame(np.zeros((GRID.rows, GRID.cols), np.uint16), seq=number, t_us=number * 30_000)
    (received,) = Decoder().feed(blank)
    assert received.header
    return received.header


def without_crc(number: int, counts: NDArray[np.uint16]) -> bytes:
    return slip.frame(HEADER.pack(*right_header(number)) + pack(counts, SampleFormat.U12) + bytes(4))


@pytest.mark.parametrize(
    ("sent", "info", "mistake"),
    [
        (changed(), replace(SAID, rows=32, cols=64), "the frame is 64 x 32, INFO says 32 x 64): the CRC is right, so"),
        (changed(flags=0), SAID, "row 63 of 64 and the flag for the last chunk disagree): the CRC is right, so"),
        (without_crc, SAID, "CRC does not match): does the firmware escape C0 and DB, and is its CRC zlib's"),
    ],
)
def test_a_firmware_all_of_whose_frames_are_wrong_is_told_its_mistake(sent: Sent, info: Info, mistake: str) -> None:
    with firmware(sent, info) as mat:
        found = look(mat.port, listen_s=1)
    assert levels(found)["rate"] == levels(found)["errors"] == Level.FAILED
    assert found["rate"].text.startswith("no frame in 1 s, though INFO came: ")
    assert found["rate"].text.endswith(" messages are corrupt")
    assert mistake in found["errors"].text


def test_a_firmware_some_of_whose_messages_are_wrong_is_told_its_mistake_and_not_the_cable() -> None:
    status = encode_raw(Header.of(MessageType.STATUS), b"\x07" + bytes(16))
    with firmware(lambda number, counts: changed()(number, counts) + status) as mat:
        found = look(mat.port, listen_s=1)
    assert found["rate"].level == Level.OK
    assert found["errors"].level == Level.FAILED
    assert found["errors"].text.endswith("streaming 7 is not in 0..1): the CRC is right, so mend the firmware")


def test_an_info_that_breaks_the_protocol_is_told_its_mistake() -> None:
    torn = encode_raw(Header.of(MessageType.INFO), SAID.to_payload()[:-1])
    with firmware(lambda number, counts: torn + changed()(number, counts), None) as mat:
        found = look(mat.port, listen_s=1)
    assert found["answer"].level == Level.FAILED
    assert "but no INFO, " in found["answer"].text
    assert found["answer"].text.endswith("INFO ends within tag 11): the CRC is right, so mend the firmware")


@pytest.mark.parametrize(
    ("sent", "instead"),
    [
        (changed(version=2), " messages are of no known type, or not of version 1"),
        (
            lambda number, counts: encode_frame(counts, seq=number, t_us=number, chunk_rows=32).split(b"\xc0\xc0")[1],
            " chunks make no frame: does it send all rows of a frame, in order from row 0?",
        ),
    ],
)
def test_what_comes_in_the_place_of_frames_is_named(sent: Sent, instead: str) -> None:
    with firmware(lambda number, counts: b"\xc0" + sent(number, counts)) as mat:
        found = look(mat.port, listen_s=1)
    assert found["rate"].level == Level.FAILED
    assert found["rate"].text.endswith(instead)


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"seq": 0}, " times under one boot id: count each frame, and give each boot a new id"),
        ({"seq": 0, "t_us": 0}, " messages have that of a frame before: count each frame"),
    ],
)
def test_a_sequence_that_does_not_count_up_fails(changes: dict[str, int], how: str) -> None:
    with firmware(changed(**changes)) as mat:
        found = look(mat.port, listen_s=1)
    assert found["errors"].level == Level.FAILED
    assert ": the sequence does not count up, " in found["errors"].text
    assert found["errors"].text.endswith(how)
    assert "rate" not in found or found["rate"].level == Level.OK, "a longer --listen is no remedy"


def test_samples_above_the_full_scale_fail_and_nothing_is_made_of_them(model: KeypointModel) -> None:
    def swapped(number: int, counts: NDArray[np.uint16]) -> bytes:
        return encode_frame(
            counts.byteswap(), seq=number, t_us=number * 30_000, sample_format=SampleFormat.U16, adc_bits=16
        )

    with firmware(swapped) as mat:
        found = look(mat.port, model, listen_s=1)
    assert list(found)[-1] == "taxels"
    assert found["taxels"].level == Level.FAILED
    assert found["taxels"].text.startswith("samples up to ")
    assert found["taxels"].text.endswith(" are above the full scale of INFO, 4095: are their bytes swapped?")


def test_frames_dropped_before_the_port_was_opened_are_not_counted_as_lost() -> None:
    """The rest of a frame in chunks waits in the pty until somebody reads it."""
    info = simulated_info(3, GRID, 100_000)
    with board(VirtualMat(info, empty_scans(), chunk_rows=8)) as mat:
        time.sleep(1)
        found = look(mat.port, listen_s=1)
    assert found["errors"].text.startswith("0 of ")


def test_a_mat_slower_than_it_promises_is_a_warning() -> None:
    with board(_Half(simulated_info(3, GRID, 10_000), empty_scans())) as port:
        found = look(port.port)
    assert found["rate"].level == Level.WARNING
    assert "10 promised: the board does not keep up" in found["rate"].text


class _Half(VirtualMat):
    """Promises twice what it sends."""

    @property
    def rate_mhz(self) -> int:
        return super().rate_mhz // 2


def test_a_stopped_mat_fails() -> None:
    mat = mat_of(empty_scans())
    mat.streaming = False
    with board(mat) as port:
        found = look(port.port, listen_s=0.5)
    assert found["rate"].level == Level.FAILED
    assert found["rate"].text == "no frame in 0.5 s, though INFO came: has it been stopped?"
    assert "taxels" not in found


def test_a_stuck_taxel_and_a_torn_row_of_an_empty_mat_are_named() -> None:
    def faulty() -> Iterator[Scan]:
        for scan in empty_scans():
            scan.counts[7] = 0
            scan.counts[20, 5] = 3000
            yield scan

    with board(mat_of(faulty())) as port:
        found = look(port.port)
    assert found["taxels"].level == Level.WARNING
    assert found["taxels"].text.startswith("dead, stuck or flickering: row 7, 1 single taxel (counted from 0")


def test_dead_and_stuck_taxels_show_under_somebody_too() -> None:
    frames = lying_counts().copy()
    lively = suspects(frames, 4095)
    row, col = np.unravel_index(np.argmax(np.median(frames, 0)), frames.shape[1:])
    frames[:, row, col] = 0
    frames[:, 0, 0] = 4095
    assert set(map(tuple, np.argwhere(suspects(frames, 4095) & ~lively).tolist())) == {(0, 0), (int(row), int(col))}
    assert lively.sum() <= 1


def test_somebody_whose_head_is_where_the_mat_says_is_ok(model: KeypointModel) -> None:
    for orientation in (Orientation(), Orientation(3, True)):
        with board(mat_of(lying_scans(orientation), orientation)) as port:
            found = look(port.port, model)
        assert found["head"].level == Level.OK, found
        assert "noise" not in found


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_mat_laid_the_wrong_way_round_is_a_warning_with_the_orientation_that_mends_it(
    model: KeypointModel, turns: int
) -> None:
    held = Orientation(turns)
    with board(mat_of(lying_scans(held), held)) as mat:
        wrong = look(mat.port, model, orientation="0")
    with board(mat_of(lying_scans(held), held)) as mat:
        right = look(mat.port, model, orientation=str(90 * turns))
    assert wrong["head"].level == Level.WARNING
    assert f'set the orientation to "{90 * turns}"' in wrong["head"].text
    assert right["head"].level == Level.OK


def test_real_people_are_the_right_way_round_and_are_seen_when_they_are_not(model: KeypointModel, pmd: Path) -> None:
    maps = read_pmd(pmd, [13]).medians().pressure
    upside_down = Orientation((ORIENTATION_I.quarter_turns + 2) % 4, ORIENTATION_I.mirrored)
    said = []
    for pressure in maps:
        counts = ORIENTATION_I.from_canonical(np.rint(pressure)).astype(np.uint16)
        heard = Heard(1.0, frames=[(0.0, frame(counts))])
        for orientation in (ORIENTATION_I, upside_down):
            info = replace(plain_info(orientation=ORIENTATION_I), orientation=orientation)
            answer = Mat(heard, info, 921_600).checks(model)["head"]()
            said.append(answer and answer[0])
    assert said == [Level.OK, Level.WARNING] * len(maps)


def test_a_port_that_another_process_holds_is_not_listened_to() -> None:
    program = "import sys, time\nfrom firmware_bridge.link import SerialLink\nlink = SerialLink(sys.argv[1])\n"
    program += "print(flush=True)\ntime.sleep(600)"
    with board(mat_of(empty_scans())) as mat:
        command = [sys.executable, "-c", program, mat.port]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
            assert owner.stdout
            owner.stdout.readline()
            found = look(mat.port)
            owner.kill()
    assert list(found)[-1] == "readers"
    assert found["readers"].level == Level.FAILED
    assert f"(process {owner.pid}) has it open" in found["readers"].text


def test_a_port_that_is_busy_for_a_reason_that_cannot_be_seen_fails_in_one_line() -> None:
    """This process holds it, which is no second reader, as another user's would be that cannot be seen."""
    with board(mat_of(empty_scans())) as mat:
        owner = SerialLink(mat.port)
        found = look(mat.port)
        owner.close()
    assert found["answer"].level == Level.FAILED
    assert found["answer"].text == f"port {mat.port} is busy: stop the other program that has it open"


def test_a_mat_that_says_its_grid_wrong_is_heard_as_the_configuration_puts_it_right() -> None:
    wrong = replace(simulated_info(0, GRID, 10_000), rows=32, cols=64)

    def send(master: int, stopping: Callable[[], bool]) -> None:
        for seq, scan in enumerate(empty_scans()):
            if stopping():
                return
            if seq % 5 == 0:
                os.write(master, encode(wrong, seq=seq))
            os.write(master, encode_frame(scan.counts, seq=seq, t_us=seq * 100_000))
            time.sleep(1 / RATE_HZ)

    with Board(send) as mat:
        found = look(mat.port, grid="64x32")
    assert found["rate"].level == Level.OK, found["rate"].text
    assert "0 messages corrupt" in found["errors"].text


def test_a_flood_of_frames_is_counted_and_a_bounded_number_kept() -> None:
    heard = listen(open_port("sim:?rate=200&scene=empty"), 1.5)
    assert heard.n_frames > MOST_FRAMES == len(heard.frames)
    assert heard.counts.received == heard.n_frames


def test_a_device_torn_away_while_listening_is_one_line() -> None:
    mat = board(mat_of(empty_scans()))
    timer = threading.Timer(0.5, lambda: mat.__exit__())
    timer.start()
    found = look(mat.port, listen_s=30)
    timer.join()
    assert found["answer"].level == Level.FAILED
    assert "was lost" in found["answer"].text


CONFIG = 'version = 1\noutput = ["http://127.0.0.1:8765"]\n[[mat]]\nname = "bed"\nport = "sim:?scene=empty&rate=20"\n'


def test_a_configuration_is_checked_and_each_of_its_mats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bed.toml"
    path.write_text(CONFIG + '[[mat]]\nname = "sofa"\nport = "sim:?seed=1&scene=empty&rate=20"\n')
    assert main(["-c", str(path), "--listen", "1", "--json"]) == Exit.OK
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert checks[0]["check"] == "config"
    assert "bed at sim:?scene=empty&rate=20, sofa at sim:" in checks[0]["text"]
    names = [check["check"] for check in checks]
    assert names[:7] == ["config", "runtime", "model", "xnnpack", "core", "system", "clock"]
    assert names.count("answer") == names.count("noise") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFIG + "colour = 1\n", "bed.toml:6: "),
        (CONFIG.replace("version = 1\n", ""), "version"),
        ("[", "this is no TOML"),
    ],
)
def test_a_configuration_that_is_wrong_is_one_line_and_the_machine_is_looked_at_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = tmp_path / "bed.toml"
    path.write_text(text)
    assert main(["-c", str(path)]) == Exit.CHECK_FAILED
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("FAILED   config   ")
    assert said in first
    assert [line.split()[1] for line in rest][:5] == ["runtime", "model", "xnnpack", "core", "system"]


@pytest.mark.parametrize("option", ["--port", "--baud"])
def test_an_empty_option_is_a_usage_error(option: str) -> None:
    arguments = {"--port": "sim:"} | {option: ""}
    with pytest.raises(Failure, match=f'{option} is ""') as caught:
        main([word for pair in arguments.items() for word in pair])
    assert caught.value.code == Exit.USAGE


def test_options_that_mean_nothing_are_usage_errors() -> None:
    for arguments in (["--port", "sim:", "--listen", "0"], ["--port", "sim:", "--listen", "long"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == Exit.USAGE
    program = "from edge.doctor import cli; cli()"
    command = [sys.executable, "-c", program, "--port", "sim:", "--baud", "fast"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith("edge-doctor: --baud ")
