"""What waits for a client: bounded, the newest, and in an order that can be followed."""

import asyncio
import json

import numpy as np
import pytest
from live_items import LiveMat

from edge.messages import Pose
from edge.outputs.http.clients import EVENTS_WAITING, Client, Message
from edge.outputs.sink import Item, Picture

FLOOD = 10_000


@pytest.fixture(scope="module")
def mat() -> LiveMat:
    return LiveMat()


@pytest.fixture(scope="module")
def posed(mat: LiveMat) -> Item:
    return [item for item in mat.lying() if item.picture][-1]


def taken(client: Client) -> list[Message]:
    return asyncio.run(client.take())


def decoded(picture: bytes) -> tuple[dict[str, object], np.ndarray]:
    """As server.py describes it."""
    length = int.from_bytes(picture[:4], "little")
    head = json.loads(picture[4 : 4 + length])
    samples = np.frombuffer(picture, "<u2", offset=4 + length).reshape(head["rows"], head["cols"])
    return head, samples * head["step"]


def test_a_client_that_takes_nothing_keeps_the_newest_pose_and_a_few_events(mat: LiveMat, posed: Item) -> None:
    client, line = Client(), posed.line
    longest = 0
    for number in range(FLOOD):
        client.offer(Message(Item(line.model_copy(update={"seq": number}), posed.picture)))
        client.offer(Message(mat.event("fresh", f"number {number}")))
        longest = max(longest, len(client))
    assert longest == EVENTS_WAITING + 1
    *events, pose = taken(client)
    assert [message.line.detail for message in events] == [f"number {FLOOD - n}" for n in range(EVENTS_WAITING, 0, -1)]
    assert pose.line.seq == FLOOD - 1
    assert len(client) == 0


def test_two_mats_do_not_push_each_other_out(posed: Item) -> None:
    client = Client()
    for mat in ("bed", "couch", "bed"):
        client.offer(Message(Item(posed.line.model_copy(update={"mat": mat}), posed.picture)))
    assert [message.line.mat for message in taken(client)] == ["couch", "bed"]


def test_a_pose_from_before_a_new_grid_does_not_follow_its_hello(mat: LiveMat, posed: Item) -> None:
    client = Client()
    (hello, *_) = LiveMat().meet()
    client.offer(Message(posed))
    client.offer(Message(hello))
    assert [message.line.type for message in taken(client)] == ["hello"]


def test_take_waits_for_something_and_ends_with_the_client(posed: Item) -> None:
    async def waiting() -> list[int]:
        client = Client()
        taking = asyncio.create_task(client.take())
        await asyncio.sleep(0)
        assert not taking.done()
        client.offer(Message(posed))
        lengths = [len(await taking)]
        taking = asyncio.create_task(client.take())
        client.end()
        return [*lengths, len(await taking)]

    assert asyncio.run(waiting()) == [1, 0]


def test_what_waits_when_the_end_comes_is_still_taken(posed: Item) -> None:
    """So the last line, `end`, arrives."""

    async def taken() -> list[int]:
        client = Client()
        client.offer(Message(posed))
        client.end()
        return [len(await client.take()), len(await client.take())]

    assert asyncio.run(taken()) == [1, 0]


def test_a_picture_holds_the_pressure_and_what_the_line_is_too_short_for(posed: Item) -> None:
    picture = Message(posed).picture
    assert picture is not None
    assert posed.picture is not None
    head, pressure = decoded(picture)
    assert isinstance(posed.line, Pose)
    assert (head["mat"], head["seq"], head["unit"]) == ("bed", posed.line.seq, "counts")
    np.testing.assert_allclose(pressure, posed.picture.pressure, atol=float(posed.picture.pressure.max()) / 0xFFFF)
    assert posed.picture.raw_joints is not None
    np.testing.assert_allclose(head["raw_joints"], posed.picture.raw_joints, atol=0.0006)
    assert list(head["stages_ms"]) == list(posed.picture.stages_ms)
    assert len(picture) < 6000


@pytest.mark.parametrize(
    "pressure", [np.zeros((3, 5)), np.full((3, 5), -2.5), np.full((3, 5), np.nan), np.eye(3, 5) / 1e4]
)
def test_pictures_of_empty_tared_or_broken_mats_are_whole(posed: Item, pressure: np.ndarray) -> None:
    picture = Message(Item(posed.line, Picture(pressure.astype(np.float32), "kPa", None, {}))).picture
    assert picture is not None
    head, decoded_kpa = decoded(picture)
    assert (head["unit"], head["raw_joints"], head["stages_ms"]) == ("kPa", None, {})
    np.testing.assert_allclose(decoded_kpa, np.maximum(np.nan_to_num(pressure), 0), atol=1e-8)


def test_other_lines_have_no_picture(mat: LiveMat) -> None:
    message = Message(mat.event("fresh", "frames come again"))
    assert message.picture is None
    assert json.loads(message.text)["event"] == "fresh"
