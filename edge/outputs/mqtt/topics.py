"""Where on the broker everything is. `<base>/bridge/state` for the daemon, `<base>/<mat>/...` for each mat."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, get_args

ONLINE: Final = "online"
OFFLINE: Final = "offline"
BRIDGE: Final = "bridge"
NAMELESS: Final = "mat"
"""The slug of a name of which ASCII leaves nothing."""
Request = Literal["tare", "calibrate", "record", "stop_recording"]
REQUESTS: Final[tuple[Request, ...]] = get_args(Request)


def slug(name: str) -> str:
    """`name` in ASCII letters, digits, - and _: all that Home Assistant allows in ids, and good in topics."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-") or NAMELESS


def distinct(name: str) -> str:
    """Its slug, and where that is not all of it a hash of the name, which others with this slug do not have."""
    plain = slug(name)
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:6]}"


def slugs(names: Sequence[str]) -> dict[str, str]:
    """Name -> its slug, or `distinct` where several would have the same: each another one, in whatever order."""
    shared = Counter([*map(slug, names), BRIDGE, NAMELESS])
    taken = {BRIDGE}
    given: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name != slug(name)):  # whoever needs no other name keeps his own
        wanted = free = slug(name) if shared[slug(name)] == 1 else distinct(name)
        number = 1
        while free in taken:
            number += 1
            free = f"{wanted}-{number}"
        taken.add(free)
        given[name] = free
    return given


def bridge_state(base: str) -> str:
    return f"{base}/{BRIDGE}/state"


@dataclass(frozen=True, slots=True)
class MatTopics:
    """The topics of one mat."""

    base: str
    slug: str

    @property
    def availability(self) -> str:
        return f"{self.base}/{self.slug}/availability"

    @property
    def state(self) -> str:
        return f"{self.base}/{self.slug}/state"

    @property
    def keypoints(self) -> str:
        return f"{self.base}/{self.slug}/keypoints"

    @property
    def health(self) -> str:
        return f"{self.base}/{self.slug}/health"

    @property
    def event(self) -> str:
        return f"{self.base}/{self.slug}/event"

    def request(self, action: Request) -> str:
        return f"{self.base}/{self.slug}/request/{action}"

    def response(self, action: Request) -> str:
        return f"{self.base}/{self.slug}/response/{action}"
