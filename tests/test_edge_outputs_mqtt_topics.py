"""Names of mats in topics: safe, unique, and the same after every restart."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.outputs.mqtt.topics import MatTopics, bridge_state, slug, slugs


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("bed_1-a", "bed_1-a"),
        ("Bett für Zoë", "Bett-fur-Zoe"),
        ("Fußende", "Fussende"),
        ("room 1/bed+#2", "room-1-bed-2"),
        ("/", "mat"),
        ("床", "mat"),
    ],
)
def test_names_keep_what_topics_can_bear(name: str, topic: str) -> None:
    assert slug(name) == topic


@given(st.lists(st.text(min_size=1), unique=True, max_size=8))
def test_every_mat_has_a_topic_of_its_own_whatever_its_name(names: list[str]) -> None:
    given_slugs = slugs(names)
    assert set(given_slugs) == set(names)
    assert len(set(given_slugs.values()) | {"bridge"}) == len(names) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", topic) for topic in given_slugs.values())


def test_a_name_that_is_good_already_is_not_taken_away_by_one_that_is_not() -> None:
    assert slugs(["a b", "a/b", "a-b"]) == {"a-b": "a-b", "a b": "a-b-c8687a", "a/b": "a-b-c14cdd"}


@pytest.mark.parametrize("others", [["мат", "кухня"], ["a-b", "a/b"]])
def test_the_order_of_the_mats_changes_no_topic(others: list[str]) -> None:
    names = ["спальня", "a b", "mat", *others]
    assert slugs(names[::-1]) == slugs(names)


def test_a_name_without_a_latin_letter_keeps_its_topic_when_another_mat_comes() -> None:
    assert slugs(["спальня", "кухня"])["спальня"] == slugs(["спальня"])["спальня"] == "mat-a01cd0"


def test_no_mat_is_mistaken_for_the_daemon() -> None:
    assert slugs(["bridge"]) == {"bridge": "bridge-2"}


def test_the_topics_are_those_of_the_design() -> None:
    bed = MatTopics("home/beds", "bed")
    assert bridge_state("home/beds") == "home/beds/bridge/state"
    assert [bed.availability, bed.state, bed.keypoints, bed.health, bed.event] == [
        "home/beds/bed/availability", "home/beds/bed/state", "home/beds/bed/keypoints", "home/beds/bed/health",
        "home/beds/bed/event",
    ]  # fmt: skip
    assert bed.request("stop_recording") == "home/beds/bed/request/stop_recording"
    assert bed.response("tare") == "home/beds/bed/response/tare"
