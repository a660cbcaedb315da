"""The loop that drives sessions, live from ports.

It turns in the main thread, and for a frame that finds it idle in the thread that has read the frame.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from edge.control import Control, Reply
from edge.mat import LiveMat
from edge.notify import Notifier
from edge.outputs.sink import Item
from edge.session import Instant, Session
from edge.source import Arrival
from firmware_bridge.errors import Exit, Failure

TURN_S: Final = 0.2
"""Longest turn of a loop, and so the delay with which a signal is heeded."""
Output = Callable[[Item], None]


class Turning:
    """Held by whichever thread the loop turns in."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.over = False
        """No frame is to be taken at once any more."""
        self.error: BaseException | None = None
        """Raised in the thread that took a frame."""

    def check(self) -> None:
        if self.error:
            raise self.error


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
    turning = Turning()
    end_s = clock().steady_s + duration_s
    failure: Failure | None = None
    for mat in mats:
        mat.reader.at_once = partial(_at_once, mat, output, turning, quit_on_loss)
        mat.reader.start()
    try:
        while not stopping() and clock().steady_s < end_s:
            with changed:
                if not (control.waiting or any(mat.reader.mailbox.has_news for mat in mats)):
                    changed.wait(TURN_S)
            with turning.lock:
                turning.check()
                _turn(mats, output, control, quit_on_loss)
            check()
            notifier.watchdog()
            notifier.status(status_line(mats))
        notifier.stopping()
        for mat in mats:
            mat.reader.stop()
        turning.check()
        _turn(mats, output, control, quit_on_loss)
    except Failure as error:
        failure = error
    finally:
        with turning.lock:
            turning.over = True
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


def _at_once(mat: LiveMat, output: Output, turning: Turning, quit_on_loss: bool, arrival: Arrival) -> bool:
    """Whether the frame was taken: not while the loop turns, nor before what has come earlier."""
    if not turning.lock.acquire(blocking=False):
        return False
    try:
        if turning.over or mat.reader.mailbox.has_news or not mat.is_quick:
            return False
        for item in mat.frame(arrival):
            output(item)
        _check_problem(mat.session, quit_on_loss)
        return True
    except BaseException as error:
        turning.over, turning.error = True, error
        raise
    finally:
        turning.lock.release()


def status_line(mats: Sequence[LiveMat]) -> str:
    """For `systemctl status`: each mat, and whether its frames are fresh."""
    return ", ".join(f"{mat.name}: {'no fresh frames' if mat.session.stale else 'frames come'}" for mat in mats)


def _check_problem(session: Session, quit_on_loss: bool) -> None:
    if quit_on_loss and session.problem:
        raise Failure(session.problem, Exit.BAD_CONFIG)
