"""`bridge-sim`: the virtual mat on a pty with a stable name, for everything that expects a serial port."""

import os

# Before numpy: on a busy machine BLAS threads that wait for one another make a simulated frame 40 times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import select
import signal
import sys
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, TextIO

from firmware_bridge.errors import Exit, Failure, run_command
from firmware_bridge.header import MAX_SIDE, SampleFormat
from firmware_bridge.numbers import number, rate_hz, seed, time_s
from firmware_bridge.scans import (
    DEFAULT_GRID,
    SCENES,
    Scan,
    recorded_scans,
    simulated_info,
    simulated_scans,
    truth_line,
)
from firmware_bridge.virtual_mat import DEFAULT_RATE_MHZ, VirtualMat

LONGEST_WAIT_S: Final = 0.2
"""Between two looks at whether to stop."""
READ_BYTES: Final = 4096


def cli() -> None:
    sys.exit(run_command("bridge-sim", main))


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    if args.replay and args.truth:
        raise Failure("--truth goes with the simulated person, a recording has none: leave one out", Exit.USAGE)
    stopping = _stop_on_signals()
    with _truth_file(args.truth) as truth:
        mat = _mat(args, truth)
        with _pty() as (master, name), _link_to(name, args.link):
            print(f"bridge-sim: {_told(mat, args.link, name)}", file=sys.stderr, flush=True)
            end_us = _now_us() + round(args.duration * 1e6) if args.duration is not None else None
            serve(mat, master, lambda: stopping() or (end_us is not None and _now_us() >= end_us))
    return Exit.OK


def serve(mat: VirtualMat, master: int, stopping: Callable[[], bool]) -> None:
    """Speak for `mat` on a non-blocking pty until `stopping`, or its scans end and have been written.

    While nobody reads, the pty takes no more bytes: the message under way waits and whole scans are dropped.
    """
    unsent = b""
    while not stopping() and (unsent or not mat.finished):
        due_us = mat.due_us(room=not unsent)
        wait_s = LONGEST_WAIT_S if due_us is None else min(LONGEST_WAIT_S, max(0.0, (due_us - _now_us()) / 1e6))
        readable, _, _ = select.select([master], [master] if unsent else [], [], wait_s)
        if readable:
            mat.receive(os.read(master, READ_BYTES))
        unsent = _write(master, unsent)
        unsent = _write(master, unsent + mat.poll(_now_us(), room=not unsent))


def _write(master: int, data: bytes) -> bytes:
    """What the pty did not take."""
    with suppress(BlockingIOError):
        return data[os.write(master, data) :] if data else b""
    return data


def _mat(args: argparse.Namespace, truth: TextIO | None) -> VirtualMat:
    rate_mhz = None if args.rate is None else round(args.rate * 1000)
    if args.replay:
        info, scans = recorded_scans(args.replay)
        rate_mhz = rate_mhz or info.frame_rate_mhz or DEFAULT_RATE_MHZ
    else:
        rate_mhz = rate_mhz or DEFAULT_RATE_MHZ
        info = simulated_info(args.seed, DEFAULT_GRID, rate_mhz)
        scans = simulated_scans(args.seed, DEFAULT_GRID, rate_mhz / 1000, args.scene)

    def write_truth(seq: int, t_us: int, scan: Scan) -> None:
        if truth and scan.moment:
            moment = scan.moment
            print(
                truth_line(mat.info.boot_id, seq, t_us, moment.joints_cm, None, moment.posture, f"sim/{args.seed}"),
                file=truth,
                flush=True,
            )

    mat = VirtualMat(
        info,
        scans,
        rate_mhz=rate_mhz,
        sample_format=args.sample_format,
        chunk_rows=args.chunk_rows,
        on_frame=write_truth,
    )
    return mat


def _told(mat: VirtualMat, link: Path | None, name: str) -> str:
    info = mat.info
    where = f"{link} -> {name}" if link else name
    return f"{info.rows} x {info.cols} mat on {where}, {mat.rate_mhz / 1000:g} frames/s, boot id {info.boot_id:08x}"


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _stop_on_signals() -> Callable[[], bool]:
    """SIGTERM and SIGINT are noted, not raised, so that no message or truth line is cut in two."""
    seen: list[int] = []
    for caught in (signal.SIGTERM, signal.SIGINT):
        signal.signal(caught, lambda which, frame: seen.append(which))
    return lambda: bool(seen)


@contextmanager
def _truth_file(path: Path | None) -> Iterator[TextIO | None]:
    try:
        file = path.open("w") if path else nullcontext()
    except OSError as error:
        raise Failure(f"cannot write truth {path}: {error.strerror}: choose another place", Exit.USAGE) from None
    with file as truth:
        yield truth


@contextmanager
def _pty() -> Iterator[tuple[int, str]]:
    """(master, name of the slave). The slave is raw and kept open, so that readers may come and go."""
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        os.close(master)


@contextmanager
def _link_to(name: str, link: Path | None) -> Iterator[None]:
    """A symbolic link to the pty, put in place atomically and removed if it is still ours."""
    if link is None:
        yield
        return
    if os.path.lexists(link) and not link.is_symlink():
        raise Failure(f"{link} exists and is no symbolic link: choose another --link", Exit.USAGE)
    new = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(name)
        new.replace(link)
    except OSError as error:
        raise Failure(f"cannot make link {link}: {error.strerror}: choose another --link", Exit.USAGE) from None
    try:
        yield
    finally:
        with suppress(OSError):
            if os.readlink(link) == name:
                link.unlink()


def _sample_format(text: str) -> SampleFormat:
    try:
        return SampleFormat[text.upper()]
    except KeyError:
        raise ValueError from None


_sample_format.__name__ = "sample format (u8, u12 or u16)"  # argparse says "invalid <name> value"


def _parser() -> argparse.ArgumentParser:
    rows = number("number of rows (1 to 255)", int, lambda rows: 1 <= rows <= MAX_SIDE)
    parser = argparse.ArgumentParser(prog="bridge-sim", description=__doc__.replace("`", ""))
    parser.add_argument("--link", type=Path, metavar="PATH", help="stable name: a symbolic link to the pty")
    parser.add_argument("--seed", type=seed, default=0, help="a new simulated person for each (default 0)")
    parser.add_argument("--scene", choices=SCENES, default="night", help="somebody lies down, or nobody comes")
    parser.add_argument("--rate", type=rate_hz, metavar="HZ", help="frames/s (default 10, or the recording's)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="frames of a recording instead of a person")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="write the true joints of each frame sent (JSON lines)"
    )
    parser.add_argument("--duration", type=time_s, metavar="S", help="stop after so many seconds")
    parser.add_argument("--sample-format", type=_sample_format, default=SampleFormat.U12, help="u8, u12 or u16")
    parser.add_argument("--chunk-rows", type=rows, metavar="N", help="send a frame in chunks of so many rows")
    return parser


if __name__ == "__main__":
    cli()
