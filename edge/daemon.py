"""The loops that drive a session: live from a port, or from a recording."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.output import Output
from edge.session import Instant, Session, with_latency
from edge.source import Arrival, Mailbox, PortReader, RecordingFailed
from firmware_bridge.decoder import Decoder, Frame
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.link import LinkDown
from firmware_bridge.messages import Info
from firmware_bridge.recording import Truncated, read_recording

TURN_S: Final = 0.2
"""Longest turn of a loop, and so the delay with which a signal is heeded."""


def clock() -> Instant:
    return Instant(time.time(), time.monotonic())


def run_live(
    reader: PortReader,
    session: Session,
    output: Output,
    stopping: Callable[[], bool],
    *,
    quit_on_loss: bool,
    duration_s: float = math.inf,
) -> None:
    """Until `stopping` or `duration_s`; the last line is `end`, whatever comes.

    Raises Failure after it: under `quit_on_loss` for a port that is lost or does not open and for a mat that
    the model cannot read; always for a port that no waiting mends. Raises OutputClosed from `output`.
    """
    end_s = clock().steady_s + duration_s
    failure: Failure | None = None
    reader.start()
    try:
        while not stopping() and clock().steady_s < end_s:
            _live_turn(reader.mailbox, session, output, TURN_S, quit_on_loss)
        reader.stop()
        _live_turn(reader.mailbox, session, output, 0.0, quit_on_loss)
    except Failure as error:
        failure = error
    finally:
        reader.stop()
    reader.mailbox.discard()
    session.dropped = reader.mailbox.dropped
    output(session.end(clock()))
    if failure:
        raise failure


def _live_turn(mailbox: Mailbox, session: Session, output: Output, timeout_s: float, quit_on_loss: bool) -> None:
    notices, info, arrival = mailbox.take(timeout_s)
    session.dropped = mailbox.dropped
    now = clock()
    for notice in notices:
        fatal = quit_on_loss and isinstance(notice, LinkDown) and notice.code != Exit.PERMISSION
        if isinstance(notice, RecordingFailed):
            lines = session.trouble("recording_failed", notice.reason, now)
        else:
            lines = session.link(notice, now, fatal=fatal)
        for line in lines:
            output(line)
        if fatal and isinstance(notice, LinkDown):
            raise Failure(notice.reason, notice.code)
    if arrival:
        _pose(session, output, arrival)
    if info:  # it came after the frame, or is the frame's own
        for line in session.info(info, now):
            output(line)
    for line in session.tick(clock()):
        output(line)
    _check_problem(session, quit_on_loss)


def _pose(session: Session, output: Output, arrival: Arrival) -> None:
    for line in session.frame(arrival.frame, arrival.info, Instant(arrival.unix_s, arrival.steady_s)):
        output(with_latency(line, (clock().steady_s - arrival.steady_s) * 1000))


def run_replay(
    path: Path,
    decoder: Decoder,
    session: Session,
    output: Output,
    stopping: Callable[[], bool],
    *,
    quit_on_loss: bool = False,
    speed: float = math.inf,
    duration_s: float = math.inf,
) -> None:
    """Every frame of a recording, `duration_s` of its time long, `speed` times as fast as it was made.

    Lines depend on the recording alone, not on the clock. Raises Failure as read_recording does, and under
    `quit_on_loss` for a mat that the model cannot read. Raises OutputClosed from `output`.
    """
    now = Instant(0.0, 0.0)
    recorded_start_s: float | None = None
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
        for line in session.tick(now):
            output(line)
        match recorded.event:
            case Info() as info:
                lines = session.info(info, now)
            case Frame() as frame if decoder.info and frame.counts.shape == (decoder.info.rows, decoder.info.cols):
                lines = session.frame(frame, decoder.info, now)
            case Frame():
                session.dropped += 1
                continue
            case Truncated(n_bytes):
                detail = f"recording {path} ends within a message ({n_bytes} bytes are left out)"
                lines = session.trouble("recording_truncated", detail, now)
            case _:
                continue
        for line in lines:
            output(line)
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
