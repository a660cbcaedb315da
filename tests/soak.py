"""`make soak`: edge-run with two mats for half an hour, while everything around it fails; exit code 1 if it minds.

Real parts only: ptys torn away and brought back (the mat scanning on, or booting anew), mats that freeze, a
Mosquitto that is stopped and started, a disk of 1 MB that fills, browsers, one of which never reads. Needs root, for
the disk. What must hold is in soak_report.py; times are drawn from --seed.
"""

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, Final

from broker import Broker
from soak_report import (
    LINES_FAIL,
    LINES_WORK,
    Criterion,
    books,
    check_availability,
    check_books,
    check_counts,
    check_disk,
    check_exceptions,
    check_live_view,
    check_memory,
)
from soak_watch import Browsers, EdgeRun, Mat, Remover, Subscriber, in_background

NAMES: Final = ("left", "right")
TEARS_PER_MINUTE, MINUTES_PER_BROKER_STOP, TEARS_PER_FREEZE = 2, 6, 12
FIRST_S, LAST_S = 15.0, 20.0
"""Nothing happens before and after."""
SETTLE_S: Final = 3.0
"""A mat whose frames have not flowed for so long is left alone: what comes too fast nobody can count."""
REPLUG_S, REBOOT_S, FREEZE_S, BROKER_S = (0.3, 8.0), (4.5, 10.0), (5.5, 9.0), (1.0, 10.0)
"""A mat that reboots is away long enough for `stale`, whose health line closes the books of the boot before."""
PATIENCE_S: Final = 60.0
PROGRESS_EVERY_S: Final = 10.0
CONFIG: Final = """version = 1
output = ["json:-", "json:{disk}/lines.json?rate=5&rotate_mb=0.05&keep=1", "mqtt://127.0.0.1:{mqtt}/soak", "http://127.0.0.1:{http}"]
state_dir = "{folder}/state"
[recording]
path = "{disk}"
rotate_mb = 0.1
min_free_mb = 0.1
"""


@dataclass(frozen=True)
class Event:
    """`what`: a method of Soak. It lasts `length_s`; `fill` as long as it takes."""

    at_s: float
    what: str
    mat: int = 0
    length_s: float = 0.0


def plan(minutes: float, seed: int) -> tuple[list[Event], list[Event]]:
    """(what befalls ports and disk, what befalls the broker), each at a random moment of a slot of its own."""
    draw = random.Random(seed)
    tears = round(TEARS_PER_MINUTE * minutes)
    ports = [(("replug", REPLUG_S), ("reboot", REBOOT_S))[i // 2 % 2] + (i % 2,) for i in range(tears)]
    ports += [("freeze", FREEZE_S, i % 2) for i in range(max(1, tears // TEARS_PER_FREEZE))] + [("fill", (0.0, 0.0), 0)]
    draw.shuffle(ports)
    broker = [("broker_stop", BROKER_S, 0)] * max(1, round(minutes / MINUTES_PER_BROKER_STOP))

    def timed(kinds: list[tuple[str, tuple[float, float], int]]) -> list[Event]:
        slot_s = (60 * minutes - FIRST_S - LAST_S) / len(kinds)
        return [
            Event(FIRST_S + slot_s * (i + draw.random()), what, mat, draw.uniform(*length_s))
            for i, (what, length_s, mat) in enumerate(kinds)
        ]

    return timed(ports), timed(broker)


class Soak:
    """All that runs, and what befalls it."""

    def __init__(self, folder: Path, disk: Path, broker: Broker, mats: list[Mat], http: int) -> None:
        self.broker, self.mats = broker, mats
        self.ear = Subscriber(
            broker.port,
            {f"soak/{mat.name}/availability": mat.name for mat in mats} | {"soak/bridge/state": "bridge"},
        )
        self.ear.listen()
        self.remover = Remover(disk, [mat.name for mat in mats])
        self.memory: list[tuple[float, float]] = []
        self.done: list[str] = []
        self.start_s = time.monotonic()
        self.daemon = EdgeRun(folder / "soak.toml")
        self.wait(lambda: all(mat.truth.heard_since_s for mat in mats), "the first frames")
        self.flowed_s = time.monotonic()
        self.browsers = Browsers(http)

    @property
    def now_s(self) -> float:
        return time.monotonic() - self.start_s

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end_s or self.daemon.process.poll() is not None:
                raise TimeoutError(f"waited in vain for {what}")
            time.sleep(0.05)

    def wait_for_frames(self, mat: Mat) -> None:
        self.wait(lambda: mat.truth.heard_s(time.monotonic()) > SETTLE_S, f"frames of {mat.name}")

    def happen(self, events: list[Event]) -> None:
        """One after the other; a mat that has not come back yet is waited for."""
        try:
            for event in events:
                time.sleep(max(0.0, event.at_s - self.now_s))
                getattr(self, event.what)(event)
                self.done.append(f"{self.now_s:.1f} s: {event.what} {self.mats[event.mat].name} {event.length_s:.1f} s")
        except TimeoutError as error:
            self.done.append(f"{self.now_s:.1f} s: {error}")

    def replug(self, event: Event) -> None:
        mat = self.mats[event.mat]
        self.wait_for_frames(mat)
        mat.tear(event.what, event.length_s)
        self.wait(lambda: mat.truth.heard_since_s is None, f"{mat.name} to be unplugged")

    reboot = replug

    def freeze(self, event: Event) -> None:
        mat = self.mats[event.mat]
        self.wait_for_frames(mat)
        mat.truth.flows.append((time.monotonic(), False))
        mat.process.send_signal(signal.SIGSTOP)
        time.sleep(event.length_s)
        mat.process.send_signal(signal.SIGCONT)
        mat.truth.flows.append((time.monotonic(), True))
        mat.truth.heard_since_s = time.monotonic()

    def fill(self, event: Event) -> None:
        """Recordings leave a little room; somebody else takes that too, until a line finds none."""
        for mat in self.mats:
            self.wait_for_frames(mat)
        self.remover.paused = True
        self.wait(lambda: len(self.daemon.full) == len(self.mats), "the disk to be full")
        rest = self.remover.folder / "rest"
        with rest.open("wb", buffering=0) as file:
            self.wait(lambda: fill_up(file) and self.daemon.complained(LINES_FAIL), "the file of lines to fail")
        self.remover.paused = False
        self.wait(lambda: not self.daemon.full, "recording to go on")
        rest.unlink()  # last: it leaves the mats less room than they fill until the remover's next turn
        self.wait(lambda: self.daemon.complained(LINES_WORK), "lines to go on")

    def broker_stop(self, event: Event) -> None:
        self.ear.broker_stops()
        self.broker.stop()
        time.sleep(event.length_s)
        self.broker.start()
        self.ear.listen()

    def watch(self, minutes: float, planned: int) -> None:
        """Until the time is over and all has happened."""
        told_s = 0.0
        while self.daemon.process.poll() is None and (self.now_s < 60 * minutes or len(self.done) < planned):
            self.memory.append((self.now_s, self.daemon.memory_mb()))
            if self.now_s - told_s >= PROGRESS_EVERY_S:
                told_s = self.now_s
                togo_s = max(0.0, 60 * minutes - self.now_s)
                frames = sum(sum(mat.truth.boots.values()) for mat in self.mats)
                told = (
                    f"{self.now_s:6.0f} s: {self.memory[-1][1]:.1f} MB, {frames} frames sent, {self.daemon.poses} poses"
                )
                print(f"{told}, {len(self.done)} of {planned} troubles, {togo_s:.0f} s to go", flush=True)
            time.sleep(1.0)

    def finish(self) -> tuple[list[Criterion], list[dict[str, Any]]]:
        truths: dict[str, list[tuple[float, Any]]] = {mat.name: list(mat.truth.flows) for mat in self.mats}
        truths["bridge"] = [(self.flowed_s, True)]
        self.browsers.expect_end()
        term_s = time.monotonic()
        for truth in truths.values():
            truth.append((term_s, False))
        code = self.daemon.terminate(PATIENCE_S)
        time.sleep(1.0)
        end_s = time.monotonic()
        self.browsers.stop()
        for mat in self.mats:
            mat.stop()
        self.remover.stop()
        lines = {mat.name: self.daemon.lines[mat.name] for mat in self.mats}
        ends = {name: of_mat[-1].get("counts", {}) for name, of_mat in lines.items() if of_mat}
        expected = {m.name: {"port_losses": m.tears, "reboots": m.reboots, "unknown": m.reboots} for m in self.mats}
        rows = [row for m in self.mats for row in books(m.name, m.truth, lines[m.name], self.remover.messages[m.name])]
        browsers = self.browsers
        return [
            check_memory(self.memory),
            check_exceptions(self.daemon.errors, code),
            check_books(rows),
            check_counts(ends, expected),
            check_availability(truths, self.ear.views, end_s),
            check_disk(lines, self.daemon.errors, self.remover.late),
            check_live_view(browsers.pictures, browsers.longest_silence_s, browsers.answers, browsers.failures),
        ], rows


def fill_up(file: RawIOBase) -> bool:
    """Takes what room there is, also what a rotation has just made; always true."""
    with suppress(OSError):
        while True:
            file.write(bytes(1024))
    return True


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "soak", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        sys.exit(f"soak: no disk of 1 MB: {mounted.stderr.strip()}: run it as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(minutes: float, seed: int) -> dict[str, Any]:
    ports, broker_stops = plan(minutes, seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        disk = stack.enter_context(small_disk(folder / "disk"))
        broker = stack.enter_context(Broker(folder))
        mats = [Mat(name, folder / f"tty-{name}", seed + i) for i, name in enumerate(NAMES)]
        for mat in mats:
            stack.callback(mat.process.kill)
        http = free_port()
        config = CONFIG.format(folder=folder, disk=disk, mqtt=broker.port, http=http)
        config += "".join(f'[[mat]]\nname = "{mat.name}"\nport = "{mat.link}"\n' for mat in mats)
        (folder / "soak.toml").write_text(config)
        soak = Soak(folder, disk, broker, mats, http)
        stack.callback(soak.daemon.process.kill)
        threads = [in_background(soak.happen, events) for events in (ports, broker_stops)]
        soak.watch(minutes, len(ports) + len(broker_stops))
        for thread in threads:
            thread.join(PATIENCE_S)
        for mat in mats:
            soak.wait_for_frames(mat)
        criteria, rows = soak.finish()
        return {
            "minutes": minutes,
            "seed": seed,
            "tears": sum(mat.tears for mat in mats),
            "criteria": [asdict(criterion) for criterion in criteria],
            "boots": rows,
            "troubles": soak.done,
            "memory_mb": [[round(at_s, 1), round(mb, 3)] for at_s, mb in soak.memory],
            "stderr": soak.daemon.errors,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = run(args.minutes, args.seed)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    print(f"\nsoak of {args.minutes:g} minutes, seed {args.seed}: {report['tears']} tears")
    for criterion in report["criteria"]:
        print(f"{'ok  ' if criterion['holds'] else 'FAIL'}  {criterion['name']}: {criterion['figure']}")
    return 0 if all(criterion["holds"] for criterion in report["criteria"]) else 1


if __name__ == "__main__":
    sys.exit(main())
