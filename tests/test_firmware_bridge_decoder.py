"""The decoder: no bytes make it raise, invent a frame, lose count or run full."""

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge import slip
from firmware_bridge.decoder import NOT_INTACT, Corrupt, Decoder, Event, Frame, Part, Repeated, Skipped, StreamCounts
from firmware_bridge.encoder import encode, encode_frame, encode_raw
from firmware_bridge.header import MAX_BODY_BYTES, VERSION, Flag, Header, MessageType, SampleFormat
from firmware_bridge.messages import Info, SetRate, Status

INFO = Info("demo", "1", 1, 6, 5, 25_400, 25_400, 4095)
ROWS, COLS = 6, 5


def picture(seq: int) -> NDArray[np.uint16]:
    """A frame that tells its number; many of its bytes need an escape."""
    counts = np.random.default_rng(seq).choice(np.array([0, 0xC0, 0xDB, 0xDC, 0xCDB, 0xFFF], np.uint16), (ROWS, COLS))
    counts[0, 0] = seq & 0xFFF
    return counts


def frame(seq: int, **options: object) -> bytes:
    return encode_frame(picture(seq), seq=seq, t_us=seq * 100_000, **options)  # type: ignore[arg-type]


def chunk(seq: int, first_row: int, height: int = 2, **changes: int) -> bytes:
    """Rows of `frame(seq)` as u16, with changes to the header."""
    last = Flag.LAST_CHUNK if first_row + height == ROWS else Flag.NONE
    samples = SampleFormat.U16 | 12 << 4
    header = Header(VERSION, MessageType.FRAME, seq, seq * 100_000, ROWS, COLS, first_row, height, samples, last, 0)
    rows = picture(seq)[first_row : first_row + height]
    return encode_raw(header._replace(**changes), rows.astype("<u2").tobytes())


def events(decoder: Decoder, data: bytes) -> list[Event]:
    return [received.event for received in decoder.feed(data)]


def seqs(found: list[Event]) -> list[int]:
    return [event.seq for event in found if isinstance(event, Frame)]


def plain(event: Event) -> object:
    """Comparable: an array is not."""
    if isinstance(event, Frame):
        return (event.counts.tolist(), event.seq, event.t_us, event.flags, event.adc_bits, event.device_id)
    return event


def whole(stream: bytes) -> Iterator[bytes]:
    yield stream


def byte_by_byte(stream: bytes) -> Iterator[bytes]:
    yield from (stream[i : i + 1] for i in range(len(stream)))


def in_random_pieces(stream: bytes) -> Iterator[bytes]:
    rng, at = random.Random(5), 0
    while at < len(stream):
        step = rng.randrange(0, 200)
        yield stream[at : at + step]
        at += step


@pytest.mark.parametrize("transport", [whole, byte_by_byte, in_random_pieces])
@pytest.mark.parametrize("chunk_rows", [None, 1, 4])
def test_every_transport_gives_the_same_frames(transport: object, chunk_rows: int | None) -> None:
    stream = b"Boot!\r\n" + encode(INFO) + b"".join(frame(seq, chunk_rows=chunk_rows) for seq in range(20))
    decoder, got = Decoder(), []
    for data in transport(stream):  # type: ignore[operator]
        got += events(decoder, data)
    assert got[0] == decoder.info == INFO
    frames = [event for event in got if isinstance(event, Frame)]
    assert [f.seq for f in frames] == list(range(20))
    assert all((f.counts == picture(f.seq)).all() for f in frames)
    assert decoder.counts == StreamCounts(received=20, other_received=1, ignored_bytes=7)


PIECE = st.one_of(
    st.binary(max_size=40),
    st.just(slip.END),
    st.integers(0, 9).map(frame),
    st.integers(0, 9).map(lambda seq: frame(seq, chunk_rows=2)),
    st.tuples(st.integers(0, 9), st.sampled_from([0, 2, 4])).map(lambda c: chunk(*c)),
    st.integers(0, 3).map(lambda boot: encode(replace(INFO, boot_id=boot), seq=boot)),
    st.integers(0, 9).map(lambda seq: frame(seq)[:-5]),
)


@given(st.lists(PIECE, max_size=12).map(b"".join), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_decoding_does_not_depend_on_how_the_bytes_are_split(stream: bytes, rng: random.Random) -> None:
    one, other = Decoder(), Decoder()
    expected = one.feed(stream)
    got, at = [], 0
    while at < len(stream):
        step = rng.randrange(1, 30)
        got += other.feed(stream[at : at + step])
        at += step
    assert [(plain(r.event), r.raw, r.header) for r in got] == [(plain(r.event), r.raw, r.header) for r in expected]
    assert (one.counts, one.info, one.pending_bytes) == (other.counts, other.info, other.pending_bytes)


@given(st.lists(PIECE, max_size=12).map(b"".join))
@settings(max_examples=200)
def test_the_raw_bytes_of_all_messages_decode_to_the_same_again(stream: bytes) -> None:
    """What a recorder keeps plays as the stream did."""
    live, replayed = Decoder(), Decoder()
    first = live.feed(stream)
    again = replayed.feed(b"".join(received.raw for received in first))
    assert [plain(r.event) for r in again] == [plain(r.event) for r in first]
    assert replayed.counts == replace(live.counts, ignored_bytes=0)


@given(st.lists(st.binary(max_size=60), max_size=30))
@settings(max_examples=300)
def test_no_payload_under_a_right_crc_makes_it_raise(bodies: list[bytes]) -> None:
    decoder = Decoder()
    for body in bodies:
        header = Header._make((VERSION, *(body + bytes(16))[:1], 0, 0, *(body + bytes(16))[1:7], 0))
        for type_ in (*MessageType, 99):
            decoder.feed(encode_raw(header._replace(type=type_), body))


def mutated(rng: random.Random, stream: bytes, mutations: int) -> bytes:
    """Bytes dropped, flipped and inserted at random places."""
    damaged = bytearray(stream)
    for _ in range(mutations):
        at = rng.randrange(len(damaged))
        match rng.randrange(3):
            case 0:
                del damaged[at : at + rng.choice([1, 1, 1, 2, 10])]
            case 1:
                damaged[at] ^= 1 << rng.randrange(8)
            case _:
                damaged[at:at] = rng.choice([slip.END, b"\xdb", rng.randbytes(1), rng.randbytes(7)])
    return bytes(damaged)


@pytest.mark.parametrize("chunk_rows", [None, 2])
def test_10_000_mutations_yield_no_wrong_frame_and_every_loss_is_counted(chunk_rows: int | None) -> None:
    """INFOs repeat in between, and the sequence wraps; the last frame is intact."""
    rng, mutations, frames_lost = random.Random(20), 0, 0
    first, sent = 65_500, 102
    frames = {(first + i) & 0xFFFF: frame(first + i, chunk_rows=chunk_rows) for i in range(sent)}
    pictures = {seq & 0xFFFF: picture(seq) for seq in range(first, first + sent)}
    opening, *middle, closing = frames.values()
    middle[::25] = [message + encode(INFO, seq=i) for i, message in enumerate(middle[::25], 1)]
    while mutations < 10_000:
        number = rng.choice([1, 10, 30])
        mutations += number
        decoder = Decoder()
        got = events(decoder, opening + mutated(rng, b"".join(middle), number) + slip.END + closing)
        order = []
        for event in got:
            if isinstance(event, Frame):
                order.append((event.seq - first) & 0xFFFF)
                assert (event.counts == pictures[event.seq]).all()
                assert event.t_us == (first + order[-1]) * 100_000 & 0xFFFFFFFF
        assert order == sorted(set(order))
        counts = decoder.counts
        assert counts.received == len(order)
        assert counts.received + counts.lost == sent
        assert (counts.unknown, counts.reboots, counts.repeated) == (0, 0, 0)
        frames_lost += counts.lost
    assert frames_lost > 1000


def test_a_damaged_message_is_given_out_as_corrupt_with_its_bytes() -> None:
    damaged = bytearray(frame(1))
    damaged[20] ^= 1
    decoder = Decoder()
    got = decoder.feed(frame(0) + bytes(damaged) + frame(2))
    assert [type(received.event) for received in got] == [Frame, Corrupt, Frame]
    assert got[1].raw == bytes(damaged)
    assert got[1].event == Corrupt(bytes(damaged), "CRC does not match")
    assert got[1].header is None
    assert (decoder.counts.received, decoder.counts.lost, decoder.counts.corrupt) == (2, 1, 1)


def test_the_torn_message_after_opening_a_port_is_no_error() -> None:
    decoder = Decoder()
    assert seqs(events(decoder, frame(0)[7:] + frame(1) + frame(2))) == [1, 2]
    assert (decoder.counts.corrupt, decoder.counts.lost, decoder.counts.unknown) == (0, 0, 0)


def test_the_torn_frame_after_opening_a_port_amid_its_chunks_is_no_error() -> None:
    decoder = Decoder()
    assert seqs(events(decoder, chunk(0, 2) + chunk(0, 4) + frame(1, chunk_rows=2))) == [1]
    assert (decoder.counts.received, decoder.counts.lost, decoder.counts.repeated) == (1, 0, 0)


def test_the_rest_of_a_frame_that_waited_in_a_buffer_does_not_begin_the_counting() -> None:
    decoder = Decoder()
    assert seqs(events(decoder, chunk(1, 2) + chunk(1, 4) + frame(50, chunk_rows=2) + frame(51))) == [50, 51]
    assert decoder.counts == StreamCounts(received=2)


def test_the_rest_of_a_frame_before_the_boot_was_seen_makes_no_reboot() -> None:
    decoder = Decoder()
    assert seqs(events(decoder, chunk(40, 2) + chunk(40, 4) + encode(INFO) + frame(1))) == [1]
    counts = decoder.counts
    assert (counts.lost, counts.incomplete, counts.reboots, counts.unknown) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    "damaged",
    [
        frame(1)[:1] + b"\x02" + frame(1)[2:],
        frame(1)[:30] + b"\xdb\x00" + frame(1)[30:],
        frame(1)[:9] + slip.END,
        slip.END + bytes(slip.MAX_ESCAPED_BYTES + 1) + slip.END,
    ],
)
def test_bytes_changed_on_the_way_are_told_from_a_message_that_was_sent_wrong(damaged: bytes) -> None:
    (event,) = events(Decoder(), damaged)
    assert isinstance(event, Corrupt)
    assert event.reason in NOT_INTACT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": 0}, "no part of a frame"),
        ({"cols": 0}, "no part of a frame"),
        ({"nrows": 0}, "no part of a frame"),
        ({"row0": 5}, "no part of a frame"),
        ({"row0": 255, "nrows": 255}, "no part of a frame"),
        ({"flags": 0}, "last chunk"),
        ({"row0": 2, "rows": 7}, "last chunk"),
        ({"cols": 6}, "payload"),
        ({"rows": 255, "cols": 255, "nrows": 255, "row0": 0}, "payload"),
        ({"samples": 0}, "SampleFormat"),
        ({"samples": 4}, "SampleFormat"),
        ({"samples": SampleFormat.U8 | 9 << 4}, "9 ADC bits"),
        ({"samples": SampleFormat.U12 | 0 << 4}, "16 ADC bits"),
        ({"samples": SampleFormat.U12 | 12 << 4}, "payload"),
    ],
)
def test_a_frame_whose_header_is_inconsistent_is_corrupt(changes: dict[str, int], reason: str) -> None:
    decoder = Decoder()
    (event,) = events(decoder, chunk(1, 4, **changes))
    assert isinstance(event, Corrupt)
    assert reason in event.reason
    assert event.reason not in NOT_INTACT


def test_a_frame_of_another_grid_than_infos_is_corrupt_until_info_changes() -> None:
    small = encode_frame(np.zeros((3, 3), np.uint16), seq=2, t_us=200_000)
    decoder = Decoder()
    events(decoder, encode(INFO) + frame(0) + frame(1))
    (event,) = events(decoder, small)
    assert isinstance(event, Corrupt)
    assert event.reason == "the frame is 3 x 3, INFO says 6 x 5"
    again = encode_frame(np.zeros((3, 3), np.uint16), seq=3, t_us=300_000)
    assert seqs(events(decoder, encode(replace(INFO, rows=3, cols=3), seq=1) + again)) == [3]
    assert (decoder.counts.received, decoder.counts.lost, decoder.counts.reboots) == (3, 1, 0)


def test_messages_of_an_unknown_version_or_type_are_skipped_and_counted() -> None:
    decoder = Decoder()
    future = Header.of(MessageType.INFO)._replace(version=2)
    unknown = Header.of(MessageType.INFO)._replace(type=0x42)
    got = events(decoder, encode_raw(future, b"?") + encode_raw(unknown, b"") + frame(0))
    assert got[:2] == [Skipped(2, MessageType.INFO), Skipped(1, 0x42)]
    assert seqs(got) == [0]
    assert (decoder.counts.skipped, decoder.counts.corrupt) == (2, 0)


def test_unknown_flags_are_ignored() -> None:
    (event,) = events(Decoder(), chunk(0, 0, 6, flags=0xC0 | Flag.LAST_CHUNK | Flag.TARED))
    assert isinstance(event, Frame)
    assert event.flags is Flag.TARED


class TestChunks:
    """A frame is received when all of its chunks are, and lost when one is not."""

    def test_flags_of_any_chunk_are_flags_of_the_frame(self) -> None:
        got = events(Decoder(), chunk(0, 0, flags=Flag.SATURATED) + chunk(0, 2, flags=Flag.OVERRUN) + chunk(0, 4))
        assert got[:2] == [Part(0, 0, 2), Part(0, 2, 2)]
        assert isinstance(got[2], Frame)
        assert got[2].flags == Flag.SATURATED | Flag.OVERRUN

    @pytest.mark.parametrize("missing", [0, 2, 4])
    def test_a_missing_chunk_loses_the_frame_once(self, missing: int) -> None:
        chunks = b"".join(chunk(1, row0) for row0 in (0, 2, 4) if row0 != missing)
        decoder = Decoder()
        assert seqs(events(decoder, frame(0) + chunks + frame(2))) == [0, 2]
        counts = decoder.counts
        assert (counts.received, counts.lost, counts.incomplete, counts.repeated) == (2, 1, 1, 0)

    def test_half_of_one_frame_and_half_of_the_next_make_no_frame(self) -> None:
        decoder = Decoder()
        assert seqs(events(decoder, chunk(1, 0) + chunk(1, 2) + chunk(2, 4) + frame(3))) == [3]
        assert (decoder.counts.lost, decoder.counts.incomplete) == (2, 2)

    @pytest.mark.parametrize("changes", [{"t_us": 7}, {"device_id": 3}, {"samples": SampleFormat.U16 | 11 << 4}])
    def test_a_chunk_that_disagrees_with_the_one_before_it_is_corrupt(self, changes: dict[str, int]) -> None:
        decoder = Decoder()
        got = events(decoder, chunk(1, 0) + chunk(1, 2, **changes) + chunk(1, 4) + frame(2))
        assert [type(event) for event in got] == [Part, Corrupt, Part, Frame]
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.corrupt) == (1, 1, 1)

    def test_a_repeated_chunk_is_ignored(self) -> None:
        decoder = Decoder()
        got = events(decoder, chunk(1, 0) + chunk(1, 0) + chunk(1, 2) + chunk(1, 2) + chunk(1, 4) + chunk(1, 4))
        assert [type(event) for event in got] == [Part, Repeated, Part, Repeated, Frame, Repeated]
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.repeated) == (1, 0, 3)


class TestLosses:
    """received + lost = sent for each boot id; what cannot be known is unknown."""

    def test_a_repeated_or_old_frame_is_no_loss(self) -> None:
        decoder = Decoder()
        got = events(decoder, frame(5) + frame(6) + frame(7) + frame(7) + frame(5) + frame(8))
        assert seqs(got) == [5, 6, 7, 8]
        assert (decoder.counts.lost, decoder.counts.repeated, decoder.counts.unknown) == (0, 2, 0)

    def test_a_reboot_leaves_a_gap_of_unknown_size(self) -> None:
        decoder = Decoder()
        before = encode(INFO) + frame(0) + frame(1) + frame(3)
        after = encode(replace(INFO, boot_id=2)) + frame(1) + frame(2)
        assert seqs(events(decoder, before + after)) == [0, 1, 3, 1, 2]
        counts = decoder.counts
        assert (counts.received, counts.lost, counts.reboots, counts.unknown) == (5, 2, 1, 1)

    def test_a_reboot_amid_the_chunks_of_a_frame_makes_no_frame(self) -> None:
        decoder = Decoder()
        stream = encode(INFO) + chunk(0, 0) + chunk(0, 2) + encode(replace(INFO, boot_id=2)) + chunk(0, 4)
        assert seqs(events(decoder, stream)) == []
        assert (decoder.counts.reboots, decoder.counts.unknown) == (1, 1)

    def test_a_boot_that_was_not_seen_from_its_beginning_counts_from_the_first_frame(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO, seq=4) + frame(700) + frame(702))
        assert (decoder.counts.received, decoder.counts.lost) == (2, 1)

    def test_a_boot_that_was_seen_from_its_beginning_counts_from_zero(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + frame(2))
        assert (decoder.counts.received, decoder.counts.lost) == (1, 2)

    def test_a_board_that_resets_when_the_port_is_opened_has_rebooted(self) -> None:
        decoder = Decoder()
        got = events(decoder, frame(40) + frame(41) + encode(INFO) + frame(0))
        assert seqs(got) == [40, 41, 0]
        assert (decoder.counts.lost, decoder.counts.reboots, decoder.counts.unknown) == (0, 1, 1)

    def test_a_repeated_info_changes_nothing(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + frame(0) + encode(INFO, seq=1) + frame(1) + encode(INFO, seq=2) + frame(3))
        assert (decoder.counts.received, decoder.counts.lost) == (3, 1)
        assert (decoder.counts.reboots, decoder.counts.unknown) == (0, 0)

    def test_a_restart_whose_info_was_lost_is_unknown_and_the_frames_go_on(self) -> None:
        decoder = Decoder()
        assert seqs(events(decoder, encode(INFO) + frame(0) + frame(300) + frame(1) + frame(2))) == [0, 300, 1, 2]
        assert (decoder.counts.lost, decoder.counts.unknown) == (299, 1)

    def test_lost_messages_of_other_types_are_counted_apart(self) -> None:
        decoder = Decoder()
        status = Status(True, 0, 0, 0, 0)
        events(decoder, encode(status, seq=65_535) + encode(status, seq=3) + encode(SetRate(1), seq=9))
        assert (decoder.counts.other_received, decoder.counts.other_lost, decoder.counts.lost) == (3, 3, 0)


class TestInterruption:
    """The link was lost and found again."""

    def test_the_same_boot_went_on_counting(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + frame(0) + frame(1) + frame(2)[:9])
        decoder.interrupted()
        events(decoder, frame(9)[9:] + frame(10) + frame(11) + encode(INFO, seq=1) + frame(12))
        counts = decoder.counts
        assert (counts.received, counts.lost, counts.unknown, counts.corrupt) == (5, 8, 0, 0)

    def test_info_may_come_before_the_first_frame(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + frame(0))
        decoder.interrupted()
        events(decoder, encode(INFO, seq=1) + frame(10))
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.unknown) == (2, 9, 0)

    def test_a_frame_whose_first_chunk_came_meanwhile_is_lost_once(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + frame(0))
        decoder.interrupted()
        events(decoder, chunk(9, 2) + chunk(9, 4) + frame(10) + encode(INFO, seq=1) + frame(11))
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.unknown) == (3, 9, 0)

    def test_another_boot_leaves_the_loss_unknown(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + frame(500))
        decoder.interrupted()
        events(decoder, frame(1000) + encode(replace(INFO, boot_id=2), seq=5) + frame(1001) + frame(1003))
        assert (decoder.counts.received, decoder.counts.lost) == (4, 501)
        assert (decoder.counts.unknown, decoder.counts.reboots) == (1, 1)

    def test_without_any_info_the_loss_is_unknown(self) -> None:
        decoder = Decoder()
        events(decoder, frame(5))
        decoder.interrupted()
        events(decoder, frame(9) + frame(10))
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.unknown) == (3, 0, 1)

    def test_the_frame_under_way_is_lost(self) -> None:
        decoder = Decoder()
        events(decoder, encode(INFO) + chunk(0, 0))
        decoder.interrupted()
        assert seqs(events(decoder, chunk(0, 2) + chunk(0, 4) + encode(INFO, seq=1) + frame(1))) == [1]
        assert (decoder.counts.received, decoder.counts.lost, decoder.counts.incomplete) == (1, 1, 1)


class TestFloods:
    """No stream fills the memory."""

    def test_bytes_without_end_are_held_up_to_the_bound(self) -> None:
        decoder = Decoder()
        found = events(decoder, slip.END)
        for _ in range(100):
            found += events(decoder, b"\xdb\xdd" * 5000)
            assert decoder.pending_bytes <= slip.MAX_ESCAPED_BYTES
        (event,) = found
        assert isinstance(event, Corrupt)
        assert len(event.raw) == slip.MAX_ESCAPED_BYTES + 3
        assert seqs(events(decoder, frame(0))) == [0]

    def test_ends_alone_give_nothing(self) -> None:
        decoder = Decoder()
        assert decoder.feed(slip.END * 1_000_000) == []
        assert decoder.counts == StreamCounts()

    def test_first_chunks_of_the_largest_frames_replace_one_another(self) -> None:
        decoder = Decoder()
        samples = SampleFormat.U8 | 8 << 4
        for seq in range(300):
            header = Header(VERSION, MessageType.FRAME, seq, seq, 255, 255, 0, 1, samples, 0, 0)
            assert events(decoder, encode_raw(header, bytes(255))) == [Part(seq, 0, 1)]
        assert (decoder.counts.lost, decoder.counts.incomplete) == (299, 299)

    def test_a_valid_message_longer_than_any_frame_is_corrupt(self) -> None:
        tags = b"\xff\xff" + bytes(255)
        body = tags * (2 * MAX_BODY_BYTES // len(tags) + 1)
        (event,) = events(Decoder(), encode_raw(Header.of(MessageType.INFO), body))
        assert isinstance(event, Corrupt)
        assert "longer than" in event.reason


def test_frames_are_compared_with_what_the_device_says_of_itself_once_that_is_put_right() -> None:
    liar = encode(replace(INFO, rows=COLS, cols=ROWS), seq=0)
    trusting, corrected = Decoder(), Decoder(lambda said: replace(said, rows=ROWS, cols=COLS))
    assert isinstance(events(trusting, liar + frame(1))[1], Corrupt)
    found = events(corrected, liar + frame(1))
    assert found[0] == corrected.info == INFO
    assert seqs(found) == [1]
    assert corrected.counts.corrupt == 0
