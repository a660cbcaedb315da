"""A soak fails where it must: each criterion sees the fault that it is there for."""

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from soak import plan
from soak_report import (
    NO_BROKER,
    Truth,
    accounts,
    books,
    check_availability,
    check_books,
    check_counts,
    check_disk,
    check_exceptions,
    check_live_view,
    check_memory,
    fingerprint,
    lies_s,
)

from firmware_bridge.encoder import encode_frame

A, B = 0xA, 0xB
Line = dict[str, Any]


def counted(kind: str, received: int, lost: int) -> Line:
    return {"type": kind, "counts": {"received": received, "lost": lost}}


def event(name: str, detail: str = "") -> Line:
    return {"type": "event", "event": name, "detail": detail}


def sent(boot: int, *numbers: int) -> list[Line]:
    return [{"boot": boot, "frame": number, "hash": 1000 * boot + number} for number in numbers]


@pytest.fixture
def truth() -> Truth:
    """Boot A scans 0 to 9 and is torn away once in between, boot B 0 to 7."""
    truth = Truth()
    for told in [*sent(A, *range(10)), {"boot": A, "numbered": 10}, *sent(B, *range(8)), {"boot": B, "numbered": 8}]:
        truth.take(told)
    return truth


LINES = [
    {"type": "hello"},
    event("port_lost"),
    event("port_open"),
    counted("health", 5, 3),
    event("port_lost"),
    event("port_waiting"),
    event("stale"),
    counted("health", 6, 3),
    counted("health", 6, 3),
    event("port_open"),
    event("reboot"),
    counted("health", 9, 3),
    counted("end", 11, 4),
]
"""Of A came 0, 1, 2 and 6, 7, 8; of B 2 before INFO, and 3, 4, 6, 7 after it."""
MESSAGES = [
    ("info", A, 0),
    *(("frame", number, 1000 * A + number) for number in (0, 1, 2, 6, 7, 8)),
    ("frame", 2, 1000 * B + 2),
    ("info", B, 0),
    *(("frame", number, 1000 * B + number) for number in (3, 4, 6, 7)),
]


def test_the_books_of_each_boot_are_closed_at_its_last_tear(truth: Truth) -> None:
    rows = books("bed", truth, LINES, MESSAGES)
    assert [(row["received"], row["lost"], row["sent"], row["beyond"]) for row in rows] == [(6, 3, 9, 1), (5, 1, 6, 2)]
    assert check_books(rows).holds


@pytest.mark.parametrize(
    ("received", "lost"), [(6, 2), (6, 4), (5, 3), (5, 4)], ids=["lost less", "lost more", "came less", "moved"]
)
def test_one_miscounted_frame_of_one_boot_fails(truth: Truth, received: int, lost: int) -> None:
    """Also where the sum over all boots, or of the boot, is right."""
    lines = [counted("health", received, lost) if line == counted("health", 6, 3) else line for line in LINES]
    assert not check_books(books("bed", truth, lines, MESSAGES)).holds


def test_a_recording_without_a_frame_that_came_fails_unless_the_disk_was_full(truth: Truth) -> None:
    lacking = [message for message in MESSAGES if message != ("frame", 7, 1000 * A + 7)]
    assert not check_books(books("bed", truth, LINES, lacking)).holds
    full = [*LINES[:3], event("recording_stopped", "the disk has little more than 0.1 MB free"), *LINES[3:]]
    assert check_books(books("bed", truth, full, lacking)).holds


def test_a_recorded_frame_that_was_never_sent_fails(truth: Truth) -> None:
    assert not check_books(books("bed", truth, LINES, [*MESSAGES, ("frame", 7, 12345)])).holds


def test_boots_that_are_not_told_apart_fail(truth: Truth) -> None:
    unnoticed = [line for line in LINES if line != event("reboot")]
    assert not check_books(books("bed", truth, unnoticed, MESSAGES)).holds
    unclosed = [line for line in LINES if line != counted("health", 6, 3)]
    assert accounts(unclosed)[0] is None
    assert not check_books(books("bed", truth, unclosed, MESSAGES)).holds
    assert not check_books([]).holds


def test_counts_that_differ_from_what_befell_the_mats_fail() -> None:
    good = {"port_losses": 3, "reboots": 1, "unknown": 1, "corrupt": 0, "skipped": 0, "repeated": 0}
    good |= {"received": 9, "poses": 7, "dropped": 2}
    expected = {"bed": {"port_losses": 3, "reboots": 1, "unknown": 1}}
    assert check_counts({"bed": good}, expected).holds
    for key in good:
        assert not check_counts({"bed": good | {key: good[key] + 1}}, expected).holds, key
    assert not check_counts({}, expected).holds


def test_lies_are_timed_while_there_is_a_broker() -> None:
    truth = [(10.0, True), (20.0, False), (30.0, True)]
    view = [(0.0, None), (11.0, True), (23.0, False), (29.0, NO_BROKER), (40.0, None), (42.0, True)]
    assert lies_s(truth, view, 50.0) == [1.0, 3.0, 2.0]
    assert lies_s(truth, [*view, (47.0, False)], 50.0) == [1.0, 3.0, 2.0, 3.0]
    assert lies_s(truth, [(0.0, NO_BROKER)], 50.0) == []


@pytest.mark.parametrize(("late_s", "holds"), [(4.9, True), (5.1, False)])
def test_availability_that_is_late_fails(late_s: float, holds: bool) -> None:
    truths = {"bed": [(10.0, True), (20.0, False)]}
    views = {"bed": [(0.0, None), (10.5, True), (20.0 + late_s, False)]}
    assert check_availability(truths, views, 60.0).holds is holds


def test_availability_that_nobody_heard_of_fails() -> None:
    truths = {"bed": [(10.0, True)]}
    assert not check_availability(truths, {"bed": [(0.0, NO_BROKER)]}, 60.0).holds
    assert not check_availability(truths, {}, 60.0).holds


@pytest.mark.parametrize(("mb_per_minute", "holds"), [(0.1, True), (0.2, False)])
def test_memory_may_grow_in_the_first_minute_only(mb_per_minute: float, holds: bool) -> None:
    start = [(float(s), 40.0 + s / 10) for s in range(61)]
    later = [(float(s), 46.0 + mb_per_minute * (s / 60 - 1)) for s in range(61, 1800)]
    assert check_memory(start + later).holds is holds
    assert not check_memory(start).holds


def test_a_traceback_or_another_exit_code_fails() -> None:
    fine = [
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "edge-run: output x fails: No space left on device",
    ]
    assert check_exceptions(fine, 0).holds
    assert not check_exceptions(fine, None).holds
    assert not check_exceptions(fine, 70).holds
    for bad in ("Traceback (most recent call last):", "Task exception was never retrieved", "ValueError: no"):
        assert not check_exceptions([*fine, bad], 0).holds, bad


def test_a_recording_or_an_output_that_does_not_go_on_fails() -> None:
    stopped, started = event("recording_stopped"), event("recording_started")
    log = ["output json:x fails: No space left on device; it goes on when there is room", "output json:x works again"]
    good = [started, stopped, started]
    assert check_disk({"a": good, "b": [started, event("stale"), stopped, started]}, log, 0).holds
    assert not check_disk({"a": good, "b": [started, stopped]}, log, 0).holds
    assert not check_disk({"a": good, "b": []}, log, 0).holds
    assert not check_disk({"a": good}, log[:1], 0).holds


def test_a_second_stop_is_forgiven_only_where_nobody_made_room_in_time() -> None:
    stopped, started = event("recording_stopped"), event("recording_started")
    log = ["output json:x fails: No space left on device; it goes on when there is room", "output json:x works again"]
    twice = [started, stopped, started, stopped, started]
    assert not check_disk({"a": twice}, log, 0).holds
    assert check_disk({"a": twice}, log, 1).holds
    assert check_disk({"a": twice}, 2 * log, 1).holds
    assert not check_disk({"a": twice}, 2 * log, 0).holds
    assert not check_disk({"a": twice[:-1]}, log, 1).holds
    assert not check_disk({"a": [started]}, log, 1).holds


def test_a_live_view_that_stands_still_fails() -> None:
    assert check_live_view(1000, 10.0, 50, []).holds
    assert not check_live_view(1000, 20.0, 50, []).holds
    assert not check_live_view(0, 0.0, 50, []).holds
    assert not check_live_view(1000, 10.0, 50, ["/metrics: 500"]).holds


def test_half_an_hour_holds_all_that_the_issue_asks_for() -> None:
    ports, broker = plan(30, seed=1)
    kinds = [event.what for event in ports]
    assert kinds.count("replug") == kinds.count("reboot") == 30
    assert (kinds.count("fill"), len(broker)) == (1, 5)
    assert {event.mat for event in ports if event.what == "reboot"} == {0, 1}
    assert [event.at_s for event in ports] == sorted(event.at_s for event in ports)
    assert ports[-1].at_s < 30 * 60
    assert plan(30, seed=1) == (ports, broker)
    assert [replace(event, at_s=0.0, length_s=0.0) for event in plan(30, seed=2)[0]] != ports


def test_a_frame_that_another_boot_could_have_sent_is_told_from_it() -> None:
    """By a CRC it would not be: of two messages of one length that end with their own CRC it is the same."""
    one, other = (encode_frame(np.full((4, 4), count, np.uint16), seq=7, t_us=9) for count in (1, 2))
    assert zlib.crc32(one) == zlib.crc32(other)
    assert fingerprint(one) != fingerprint(other)
    truth = Truth()
    truth.take({"boot": 1, "frame": 7, "hash": fingerprint(one)})
    truth.take({"boot": 2, "frame": 7, "hash": fingerprint(other)})
    with pytest.raises(ValueError, match="look the same"):
        truth.take({"boot": 3, "frame": 7, "hash": fingerprint(one)})
