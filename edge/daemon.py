"""The loops that drive sessions: live from ports, or from a recording."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.control import Control, Reply
from edge.mat import LiveMat
from edge.notify import Notifier
from edge.outputs.sink import Item
from edge.session import Instant, Session
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.messages import Info
from firmware_bridge.recording import Truncated, read_recording

TURN_S: Final = 0.2
"""Longest turn of a loop, and so the delay with which a signal is heeded."""
Output = Callable[[Item], None]


def clock() -> Instant:
    return Instant(time.time(), time.monotonic())


def run_live(
    mats: Sequence[LiveMat],
    output: Output,
    stopping: Callable[[], bool],
    *,
    changed: threading.Condition,
    control: Control,
    check: Callable[[], None] = lambda: None,
    notifier: Notifier | None = None,
    quit_on_loss: bool = False,
    duration_s: float = math.inf,
) -> None:
    """Until `stopping` or `duration_s`; the last line of each mat is `end`, whatever comes.

    `changed` is what the mats' mailboxes share, and `control` wakes; `check` is called at every turn. Raises
    Failure after it: under `quit_on_loss` for a port that is lost or does not open and for a mat that the model
    cannot read; always for a port that no waiting mends. Raises whatever `output` and `check` raise, without
    another line.
    """
    notifier = notifier or Notifier({})
    end_s = clock().steady_s + duration_s
    failure: Failure | None = None
    for mat in mats:
        mat.reader.start()
    try:
        while not stopping() and clock().steady_s < end_s:
            with changed:
                changed.wait_for(lambda: control.waiting or any(mat.reader.mailbox.has_news for mat in mats), TURN_S)
            _turn(mats, output, control, quit_on_loss)
            check()
            notifier.watchdog()
            notifier.status(status_line(mats))
        notifier.stopping()
        for mat in mats:
            mat.reader.stop()
        _turn(mats, output, control, quit_on_loss)
    except Failure as error:
        failure = error
    finally:
        for mat in mats:
            mat.reader.stop()
            mat.close()
        for _, answer in control.take():
            answer.set_result(Reply(False, "edge-run ends"))
    for mat in mats:
        mat.reader.mailbox.discard()
        mat.session.dropped = mat.reader.mailbox.dropped
        output(mat.session.end(clock()))
    if failure:
        raise failure


def _turn(mats: Sequence[LiveMat], output: Output, control: Control, quit_on_loss: bool) -> None:
    """One frame at most of each mat, so that a fast one does not keep the others waiting."""
    for mat in mats:
        for item in mat.turn(clock(), quit_on_loss):
            output(item)
        _check_problem(mat.session, quit_on_loss)
    named = {mat.name: mat for mat in mats}
    for command, answer in control.take():
        for item in named[command.mat].obey(command, answer, clock()):
            output(item)


def status_line(mats: Sequence[LiveMat]) -> str:
    """For `systemctl status`: each mat, and whether its frames are fresh."""
    return ", ".join(f"{mat.name}: {'no fresh frames' if mat.session.stale else 'frames come'}" for mat in mats)


def run_replay(
    path: Path,
    decoder: Decoder,
    session: Session,
    output: Output,
    stopping: Callable[[], bool],
    *,
    corrected: Callable[[Info], Info] = lambda info: info,
    quit_on_loss: bool = False,
    speed: float = math.inf,
    duration_s: float = math.inf,
) -> None:
    """Every frame of a recording, `duration_s` of its time long, `speed` times as fast as it was made.

    `corrected` puts right what the mat said of itself. Lines depend on the recording alone, not on the clock.
    Raises Failure as read_recording does, and under `quit_on_loss` for a mat that the model cannot read. Raises
    OutputClosed from `output`.
    """
    now = Instant(0.0, 0.0)
    recorded_start_s: float | None = None
    mat: Info | None = None
    start_s = clock().steady_s
    failure: Failure | None = None
    for recorded in read_recording(path, decoder):
        unix_s = recorded.unix_us / 1e6
        now = Instant(unix_s, max(now.steady_s, unix_s))
        if recorded_start_s is None:
            recorded_start_s = now.steady_s
        recorded_s = now.steady_s - recorded_start_s
        _wait_until(start_s + recorded_s / speed, stopping)
        if stopping() or recorded_s >= duration_s:
            break
        for item in session.tick(now):
            output(item)
        match recorded.event:
            case Info() as info:
                mat = corrected(info)
                items = session.meet(mat, now)
            case Frame() as frame if mat and frame.counts.shape == (mat.rows, mat.cols):
                items = session.frame(frame, mat, now)
            case Frame():
                session.dropped += 1
                continue
            case Truncated(n_bytes):
                detail = f"recording {path} ends within a message ({n_bytes} bytes are left out)"
                items = session.truncated(detail, now)
            case _:
                continue
        for item in items:
            output(item)
        try:
            _check_problem(session, quit_on_loss)
        except Failure as error:
            failure = error
            break
    output(session.end(now))
    if failure:
        raise failure


def _wait_until(due_s: float, stopping: Callable[[], bool]) -> None:
    while (wait_s := due_s - clock().steady_s) > 0 and not stopping():
        time.sleep(min(wait_s, TURN_S))


def _check_problem(session: Session, quit_on_loss: bool) -> None:
    if quit_on_loss and session.problem:
        raise Failure(session.problem, Exit.BAD_CONFIG)
