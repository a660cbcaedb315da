"""What must hold after a soak: the truth of the mats against what edge-run said, recorded and published."""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

GROWTH_MOST_MB: Final = 5.0
FIRST_MINUTE_S: Final = 60.0
LIE_MOST_S: Final = 5.0
SILENCE_MOST_S: Final = 15.0
"""Of the live view: health comes every 10 s, whatever the mats do."""
TROUBLE: Final = re.compile(r"Traceback|Exception ignored|never retrieved|Fatal Python error|^\w*(Error|Exception)\b")
NO_BROKER: Final = "no broker"
LINES_FAIL: Final = "fails: No space left"
LINES_WORK: Final = "works again"
Lines = Sequence[dict[str, Any]]
Steps = Sequence[tuple[float, Any]]
"""(s, what is so from then on)."""


@dataclass(frozen=True)
class Criterion:
    name: str
    holds: bool
    figure: str


@dataclass
class Truth:
    """Of one mat."""

    frames: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(sequence number, fingerprint) -> (boot id, number): no two frames ever sent agree in both."""
    boots: dict[int, int] = field(default_factory=dict)
    """Boot id -> scans that it numbered."""
    flows: list[tuple[float, bool]] = field(default_factory=list)
    """Whether the mat is plugged in and scans."""
    heard_since_s: float | None = None
    """Since when its frames have been reaching edge-run."""

    def take(self, told: dict[str, Any]) -> None:
        if "frame" in told:
            key, frame = (told["frame"] & 0xFFFF, told["hash"]), (told["boot"], told["frame"])
            if self.frames.setdefault(key, frame) != frame:
                raise ValueError(f"{frame} and {self.frames[key]} (boot id, number) look the same: mark the scans")
            self.boots[told["boot"]] = told["frame"] + 1
        elif "numbered" in told:
            self.boots[told["boot"]] = told["numbered"]
        elif "flows" in told:
            self.flows.append((told["at_s"], told["flows"]))
            self.heard_since_s = None
        elif "heard" in told:
            self.heard_since_s = told["at_s"]

    def heard_s(self, now_s: float) -> float:
        """For how long without a pause."""
        return 0.0 if self.heard_since_s is None else now_s - self.heard_since_s


@dataclass(frozen=True)
class Account:
    """What edge-run counted of one boot: from the health line of the tear before it to that of its last tear."""

    received: int
    lost: int
    whole: bool
    """The disk had room for all of it."""


@dataclass
class Recorded:
    """What its recordings hold of one boot."""

    frames: int = 0
    before_info: int = 0
    """Frames after a reboot that came before INFO told of it: the loss around them is `unknown`."""
    first: int | None = None
    last: int = -1

    @property
    def sent(self) -> int:
        """All that edge-run can know of: whoever sent 7 and 9 sent 8 too, before 7 and after 9 nobody knows."""
        return self.before_info + (0 if self.first is None else self.last - self.first + 1)


def fingerprint(message: bytes) -> int:
    """Of a message as it goes over the wire. No CRC: of bytes that end with their own it tells the length alone."""
    return int.from_bytes(hashlib.blake2b(message, digest_size=8).digest())


def said(line: dict[str, Any]) -> str:
    return str(line.get("event", line["type"]))


def accounts(lines: Lines) -> list[Account | None]:
    """One for each boot; None where no health line came while the port was away: the next account holds both."""
    found: list[Account | None] = []
    before: dict[str, int] = {"received": 0, "lost": 0}
    at_tear: dict[str, int] | None = None
    away, whole = False, True

    def close(counts: dict[str, int] | None) -> None:
        nonlocal before, whole
        if counts is None:
            found.append(None)
            return
        found.append(Account(counts["received"] - before["received"], counts["lost"] - before["lost"], whole))
        before, whole = counts, True

    for line in lines:
        match said(line):
            case "port_lost":
                away, at_tear = True, None
            case "health" if away:
                at_tear = at_tear or line["counts"]
            case "port_open":
                away = False
            case "recording_stopped" if "edge-run ends" not in line["detail"]:
                whole = False
            case "reboot":
                close(at_tear)
            case "end":
                close(line["counts"])
    return found


def recorded_boots(messages: Iterable[tuple[str, int, int]], truth: Truth) -> tuple[dict[int, Recorded], int]:
    """(boot id -> what the recordings hold of it, frames in them that the mat never sent).

    `messages`: ("frame", sequence number, fingerprint) and ("info", boot id, 0) in the order they were recorded.
    """
    boots: dict[int, Recorded] = {}
    introduced: set[int] = set()
    foreign = 0
    for kind, a, b in messages:
        if kind == "info":
            introduced.add(a)
            continue
        if (a, b) not in truth.frames:
            foreign += 1
            continue
        boot_id, number = truth.frames[a, b]
        boot = boots.setdefault(boot_id, Recorded())
        boot.frames += 1
        if boot_id not in introduced:
            boot.before_info += 1
            continue
        boot.first = number if boot.first is None else boot.first
        boot.last = max(boot.last, number)
    return boots, foreign


def books(mat: str, truth: Truth, lines: Lines, messages: Iterable[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """A row for each boot: what was counted, recorded and sent, and whether it agrees."""
    boots, foreign = recorded_boots(messages, truth)
    counted = accounts(lines)
    rows = []
    for i, boot_id in enumerate(truth.boots):
        account, recorded = counted[i] if i < len(counted) else None, boots.get(boot_id, Recorded())
        row: dict[str, Any] = {"mat": mat, "boot_id": boot_id, "sent": recorded.sent, "recorded": recorded.frames}
        row |= {"received": account.received, "lost": account.lost} if account else {"received": None, "lost": None}
        row["beyond"] = truth.boots[boot_id] - recorded.sent
        row["holds"] = (
            account is not None
            and len(counted) == len(truth.boots)
            and not foreign
            and account.received + account.lost == recorded.sent
            and (account.received == recorded.frames if account.whole else account.received > recorded.frames)
        )
        rows.append(row)
    return rows


def check_books(rows: Sequence[dict[str, Any]]) -> Criterion:
    wrong = [row for row in rows if not row["holds"]]
    total = {key: sum(row[key] or 0 for row in rows) for key in ("received", "lost", "sent", "beyond")}
    figure = (
        f"{len(rows) - len(wrong)} of {len(rows)} boots: {total['received']} + {total['lost']} = {total['sent']};"
        f" {total['beyond']} more before the first or after the last frame of a boot"
    )
    return Criterion("received + lost = sent for every boot id", bool(rows) and not wrong, figure)


def check_counts(ends: dict[str, dict[str, int]], expected: dict[str, dict[str, int]]) -> Criterion:
    """`ends`: mat -> counts of its line `end`."""
    expected = {mat: counts | {"corrupt": 0, "skipped": 0, "repeated": 0} for mat, counts in expected.items()}
    wrong = [
        f"{mat}: {key} {ends.get(mat, {}).get(key)}, not {value}"
        for mat, counts in expected.items()
        for key, value in counts.items()
        if ends.get(mat, {}).get(key) != value
    ]
    unposed = [mat for mat, counts in ends.items() if counts["received"] != counts["poses"] + counts["dropped"]]
    wrong += [f"{mat}: received is not poses + dropped" for mat in unposed]
    told = "; ".join(
        f"{mat}: {', '.join(f'{key} {value}' for key, value in counts.items())}" for mat, counts in expected.items()
    )
    return Criterion("tears, reboots and unknown gaps as they were", not wrong, "; ".join(wrong) or told)


def lies_s(truth: Steps, view: Steps, end_s: float) -> list[float]:
    """How long the view differed from the truth, each time: from the first truth on, and while there was a broker."""
    lies: list[float] = []
    since_s: float | None = None
    moments = {at_s for at_s, _ in (*truth, *view) if truth and truth[0][0] <= at_s < end_s}
    for at_s in [*sorted(moments), end_s]:
        seen = _at(view, at_s)
        wrong = seen != NO_BROKER and seen != _at(truth, at_s)
        if since_s is not None and (not wrong or at_s == end_s):
            lies.append(at_s - since_s)
            since_s = None
        elif wrong and since_s is None:
            since_s = at_s
    return lies


def _at(steps: Steps, at_s: float) -> Any:
    index = bisect_right(steps, at_s, key=lambda step: step[0])
    return steps[index - 1][1] if index else NO_BROKER


def check_availability(truths: dict[str, Steps], views: dict[str, Steps], end_s: float) -> Criterion:
    lies = [(lie_s, topic) for topic, truth in truths.items() for lie_s in lies_s(truth, views.get(topic, ()), end_s)]
    told = all(any(value in (True, False) for _, value in views.get(topic, ())) for topic in truths)
    worst_s, topic = max(lies, default=(0.0, "nothing"))
    figure = f"wrong for {worst_s:.1f} s at most ({topic}), {len(lies)} changes" if told else "nothing was published"
    return Criterion(
        f"availability in MQTT tells the truth within {LIE_MOST_S:g} s", told and worst_s <= LIE_MOST_S, figure
    )


def check_memory(memory: Sequence[tuple[float, float]]) -> Criterion:
    """`memory`: (s since the start, MB)."""
    first = [mb for at_s, mb in memory if at_s <= FIRST_MINUTE_S]
    later = [mb for at_s, mb in memory if at_s > FIRST_MINUTE_S]
    name = f"memory grows by less than {GROWTH_MOST_MB:g} MB after the first minute"
    if not first or not later:
        return Criterion(name, False, "the run was shorter than that")
    growth_mb = max(later) - first[-1]
    figure = f"{growth_mb:+.2f} MB at most, {later[-1] - first[-1]:+.2f} at the end, from {first[-1]:.1f} MB"
    return Criterion(name, growth_mb < GROWTH_MOST_MB, figure)


def check_exceptions(stderr: Sequence[str], returncode: int | None) -> Criterion:
    """`returncode`: what SIGTERM ended it with; None where it had ended before, or did not end."""
    bad = [line for line in stderr if TROUBLE.search(line)]
    figure = f"exit code {returncode} on SIGTERM, {len(stderr)} lines on stderr"
    return Criterion("no exception leaves the process", not bad and returncode == 0, "; ".join([figure, *bad[:3]]))


def check_disk(lines: dict[str, Lines], stderr: Sequence[str], late: int) -> Criterion:
    """Recording stopped and went on for each mat, and so did the file of lines beside it.

    `late`: how often nobody may have made room in time, so that the disk was full once more.
    """
    told = {mat: [said(line) for line in of_mat] for mat, of_mat in lines.items()}
    told = {mat: [name for name in names if name.startswith("recording_")] for mat, names in told.items()}
    figure = "; ".join(f"{mat}: {', '.join(changes)}".replace("recording_", "") for mat, changes in told.items())
    good = [["recording_started", *times * ["recording_stopped", "recording_started"]] for times in range(1, 2 + late)]
    failed, worked = (sum(words in line for line in stderr) for words in (LINES_FAIL, LINES_WORK))
    figure += f"; file of lines: failed {failed} times, worked again {worked} times; room made late {late} times"
    holds = all(changes in good for changes in told.values()) and 1 <= failed == worked <= 1 + late
    return Criterion("the disk was full once, and recording went on", holds, figure)


def check_live_view(pictures: int, longest_silence_s: float, answers: int, failures: Sequence[str]) -> Criterion:
    figure = f"{pictures} pictures, silent for {longest_silence_s:.1f} s at most"
    figure += f", {answers} answers, {len(failures)} failures"
    holds = pictures > 0 and answers > 0 and longest_silence_s <= SILENCE_MOST_S and not failures
    return Criterion("the live view goes on beside clients that never read", holds, "; ".join([figure, *failures[:3]]))
