"""SLIP framing: what goes in comes out, whatever stands around it, and nothing piles up."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.header import MAX_BODY_BYTES
from firmware_bridge.slip import END, MAX_ESCAPED_BYTES, Piece, Unframer, frame, unescape

SPECIAL = st.binary(min_size=1).map(lambda b: bytes(b"\xc0\xdb\xdc\xdd"[x & 3] if x & 4 else x for x in b))


@given(st.lists(SPECIAL, max_size=8))
def test_bodies_come_back_as_they_were(bodies: list[bytes]) -> None:
    unframer = Unframer()
    pieces = list(unframer.feed(b"".join(map(frame, bodies))))
    assert [piece.body for piece in pieces] == [unescape(piece.escaped) for piece in pieces] == bodies
    assert unframer.pending_bytes == unframer.ignored_bytes == 0


@given(SPECIAL)
def test_a_frame_holds_no_end_but_the_outer_ones(body: bytes) -> None:
    wire = frame(body)
    assert wire[:1] == wire[-1:] == END
    assert END not in wire[1:-1]


@pytest.mark.parametrize("escaped", [b"\xdb", b"a\xdb", b"\xdba", b"\xdb\xdb\xdc", b"\xdb\xdd\xdb"])
def test_an_esc_that_escapes_nothing_is_refused(escaped: bytes) -> None:
    with pytest.raises(ValueError, match="ESC"):
        unescape(escaped)


@given(SPECIAL.filter(lambda escaped: END not in escaped), st.data())
def test_however_a_message_is_split_its_body_is_what_unescape_says(escaped: bytes, data: st.DataObject) -> None:
    at = data.draw(st.lists(st.integers(0, len(escaped))).map(sorted))
    unframer = Unframer()
    parts = [escaped[begin:end] for begin, end in pairwise([0, *at, len(escaped)])]
    (piece,) = [piece for part in [END, *parts, END] for piece in unframer.feed(part)]
    try:
        assert piece == (escaped, unescape(escaped))
    except ValueError:
        assert piece == (escaped, None)


def test_the_order_of_unescaping_does_not_invent_escapes() -> None:
    assert unescape(b"\xdb\xdd\xdc") == b"\xdb\xdc"
    assert unescape(b"\xdb\xdd\xdd") == b"\xdb\xdd"


def test_bytes_before_the_first_end_are_ignored() -> None:
    unframer = Unframer()
    assert list(unframer.feed(b"Booting...\r\n" + frame(b"hello"))) == [(b"hello", b"hello")]
    assert unframer.ignored_bytes == 12


def test_after_an_interruption_the_torn_message_is_forgotten() -> None:
    unframer = Unframer()
    assert list(unframer.feed(END + b"half a mess")) == []
    unframer.interrupted()
    assert list(unframer.feed(b"age" + END + frame(b"whole"))) == [(b"whole", b"whole")]


def test_a_flood_without_end_is_held_up_to_the_bound_and_given_out_once() -> None:
    unframer = Unframer()
    pieces = list(unframer.feed(END))
    for _ in range(100):
        pieces += unframer.feed(b"x" * 10_000)
        assert unframer.pending_bytes <= MAX_ESCAPED_BYTES
    assert [len(piece.escaped) for piece in pieces] == [MAX_ESCAPED_BYTES + 1]
    assert list(unframer.feed(END + frame(b"fine"))) == [(b"fine", b"fine")]
    assert unframer.ignored_bytes == 1_000_000 - MAX_ESCAPED_BYTES - 1


def test_a_flood_before_the_first_end_is_not_held_at_all() -> None:
    unframer = Unframer()
    assert list(unframer.feed(b"U" * 10_000_000)) == []
    assert unframer.pending_bytes == 0


def test_the_longest_body_passes_even_if_every_byte_is_escaped() -> None:
    body = END * MAX_BODY_BYTES
    (piece,) = Unframer().feed(frame(body))
    assert len(piece.escaped) == MAX_ESCAPED_BYTES
    assert piece.body == body


def test_cutting_does_not_depend_on_how_the_bytes_are_split() -> None:
    rng = random.Random(1)
    stream = b"boot" + frame(b"a") + b"x" * (MAX_ESCAPED_BYTES + 5000) + frame(b"b") + b"y" * 3 * MAX_ESCAPED_BYTES
    whole = Unframer()
    expected = list(whole.feed(stream))
    for _ in range(20):
        unframer, pieces, at = Unframer(), list[Piece](), 0
        while at < len(stream):
            step = rng.choice([1, 1000, 100_000])
            pieces += unframer.feed(stream[at : at + step])
            at += step
        assert pieces == expected
        assert unframer.ignored_bytes == whole.ignored_bytes
