"""Which mats run: those of the file, or those whose ports are given."""

from pathlib import Path
from typing import Any

import pytest

from edge.config.mats import merged_mats
from firmware_bridge.errors import Exit, Failure

BED: dict[str, Any] = {"name": "bed", "port": "/dev/bed", "orientation": "90"}
COUCH: dict[str, Any] = {"name": "couch", "port": "/dev/couch", "baud": 115200}
SIM = "sim:?seed=7&rate=10"


def called(name: str, port: str) -> dict[str, Any]:
    return {"name": name, "port": port}


def merged(below: list[dict[str, Any]], replay: Path | None = None, **given: Any) -> list[dict[str, Any]]:
    return merged_mats(below, {("mat", key): value for key, value in given.items()}, replay)


@pytest.mark.parametrize(
    ("below", "given", "mats"),
    [
        ([], {}, []),
        ([], {"name": "bed"}, []),
        ([BED, COUCH], {}, [BED, COUCH]),
        ([], {"port": [SIM]}, [{"port": SIM}]),
        ([], {"port": [SIM], "name": "bed"}, [{"name": "bed", "port": SIM}]),
        ([], {"port": [f"bed={SIM}"]}, [{"name": "bed", "port": SIM}]),
        ([], {"port": ["./a=b"]}, [{"port": "./a=b"}]),
        ([], {"port": ["a", "x=b", "c"]}, [called("mat", "a"), called("x", "b"), called("mat3", "c")]),
        ([BED], {"port": ["x"]}, [BED | {"port": "x"}]),
        ([BED], {"port": ["x"], "name": "cot"}, [BED | {"name": "cot", "port": "x"}]),
        ([BED], {"port": ["cot=x"]}, [{"name": "cot", "port": "x"}]),
        ([BED, COUCH], {"port": ["x"]}, [{"port": "x"}]),
        ([BED, COUCH], {"port": ["couch=x"]}, [COUCH | {"port": "x"}]),
        ([BED, COUCH], {"port": ["x"], "name": "couch"}, [COUCH | {"port": "x"}]),
        ([BED, COUCH], {"port": ["couch=x", "y"]}, [COUCH | {"port": "x"}, {"name": "mat2", "port": "y"}]),
        ([{"port": "x", "dtr": True}], {"port": ["y", "z"]}, [called("mat", "y") | {"dtr": True}, called("mat2", "z")]),
        ([BED, COUCH], {"name": "couch"}, [COUCH]),
        ([BED], {"name": "cot"}, [BED | {"name": "cot"}]),
        ([BED, COUCH], {"baud": 9600}, [BED | {"baud": 9600}, COUCH | {"baud": 9600}]),
    ],
)  # fmt: skip
def test_given_ports_replace_the_mats_of_the_file(
    below: list[dict[str, Any]], given: dict[str, Any], mats: list[dict[str, Any]]
) -> None:
    assert merged(below, **given) == mats


def test_a_replay_is_of_one_mat_whose_port_is_the_recording() -> None:
    night = Path("night.matlog")
    assert merged([], night) == [{"port": "night.matlog"}]
    assert merged([], night, name="bed", orientation="180") == [
        {"name": "bed", "port": "night.matlog", "orientation": "180"}
    ]
    assert merged([BED], night) == [BED | {"port": "night.matlog"}]
    assert merged([BED, COUCH], night, name="couch") == [COUCH | {"port": "night.matlog"}]


@pytest.mark.parametrize(
    ("given", "replay", "words"),
    [
        ({"name": "cot"}, None, "no mat cot: the configuration has bed, couch"),
        ({"name": "bed", "port": ["a", "b"]}, None, "NAME=DEVICE"),
        ({"name": "bed", "port": ["couch=a"]}, None, "NAME=DEVICE"),
        ({}, Path("night.matlog"), "say by --mat which"),
    ],
)
def test_what_does_not_say_which_mat_is_refused(given: dict[str, Any], replay: Path | None, words: str) -> None:
    with pytest.raises(Failure, match=words) as failure:
        merged([BED, COUCH], replay, **given)
    assert failure.value.code == Exit.USAGE
