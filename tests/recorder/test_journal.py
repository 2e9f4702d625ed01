"""The journal's reader: what is whole is used, what is torn ends it, and a cut comes before everything."""

import contextlib
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.recorder.journal import (
    Gap,
    Journal,
    JournalEmpty,
    JournalError,
    read_envelope,
    read_journal,
    without_purpose,
)
from tests.recorder.journal_writer import (
    KEPT_FROM,
    Writer,
    codec,
    cut,
    end,
    gap,
    header,
    packet,
    record,
    two_tones,
)

KEY = Writer().key
SECOND = 1_000_000_000


def small(**changes: object) -> Writer:
    """Three chunks of five packets each, then an end."""
    writer = Writer(**changes)
    for chunk in range(3):
        writer.add(
            *([codec(0, 8, "PCMA/8000")] if chunk == 0 else []),
            *(packet(0, n, n * 160, KEPT_FROM + n * 20_000_000, bytes([n] * 160)) for n in numbers(chunk)),
        )
    return writer.add(end(KEPT_FROM + 300_000_000, "hung-up"))


def numbers(chunk: int) -> range:
    return range(chunk * 5, chunk * 5 + 5)


def read(writer: Writer) -> Journal:
    return read_journal(writer.to_bytes(), KEY)


def test_a_whole_journal_gives_back_what_was_written() -> None:
    journal = read(small())
    assert [p.sequence for p in journal.packets] == list(range(15))
    assert {p.law for p in journal.packets} == {"PCMA"}
    assert journal.packets[3].payload == bytes([3] * 160)
    assert (journal.ended, journal.end_ns, journal.torn_bytes) == ("hung-up", KEPT_FROM + 300_000_000, 0)
    assert journal.header.purposes == ("coaching",)


def test_the_envelope_is_read_without_the_key() -> None:
    envelope, _ = read_envelope(Writer(wrapped={"coaching": b"age file"}).to_bytes())
    assert (envelope.recording, envelope.wrapped) == ("rec-1", {"coaching": b"age file"})


def test_cut_anywhere_it_gives_the_whole_chunks_before() -> None:
    parts = small().parts()
    whole = b"".join(parts)
    borders = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    for size in range(len(whole)):
        chunks = sum(size >= border for border in borders) - 2
        if chunks < 0:
            with pytest.raises(JournalEmpty):
                read_journal(whole[:size], KEY)
        else:
            journal = read_journal(whole[:size], KEY)
            assert len(journal.packets) == 5 * min(chunks, 3)
            assert journal.torn_bytes == size - borders[chunks + 1]
            assert journal.ended is None


def test_without_an_end_it_ends_with_the_last_packet() -> None:
    writer = small()
    writer.chunks.pop()
    assert read(writer).end_ns == KEPT_FROM + 14 * 20_000_000


def test_any_changed_bit_ends_the_journal_before_it() -> None:
    parts = small().parts()
    whole = b"".join(parts)
    first = len(parts[0]) + len(parts[1])
    for place in range(first, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        journal = read_journal(bytes(broken), KEY)
        assert journal.ended is None
        assert [p.sequence for p in journal.packets] == list(range(len(journal.packets)))


def test_a_chunk_cannot_be_moved_repeated_or_brought_from_elsewhere() -> None:
    parts, other = small().parts(), small(recording="rec-2").parts()
    for forged in (
        [*parts[:2], parts[3], parts[2], parts[4]],
        [*parts[:2], other[2], *parts[3:]],
        [*parts[:3], parts[2], *parts[3:]],
    ):
        assert len(read_journal(b"".join(forged), KEY).packets) <= 5


def test_another_key_opens_nothing() -> None:
    with pytest.raises(JournalError) as problem:
        read_journal(small().to_bytes(), bytes(32))
    assert not isinstance(problem.value, JournalEmpty)


def test_a_cut_is_obeyed_wherever_it_stands() -> None:
    begin, until = KEPT_FROM + 3 * 20_000_000, KEPT_FROM + 6 * 20_000_000
    writer = small()
    writer.chunks.insert(3, cut(begin, until))
    journal = read(writer)
    assert [p.sequence for p in journal.packets] == [0, 1, 2, *range(7, 15)]
    assert journal.cut_packets == 4
    assert journal.gaps == (Gap("private", begin, until),)


def test_nothing_from_before_kept_from_is_used() -> None:
    writer = Writer().add(codec(0, 8, "PCMA/8000"), packet(0, 1, 0, KEPT_FROM - 1, b"\xd5" * 160))
    journal = read(writer.add(end(KEPT_FROM + SECOND)))
    assert (len(journal.packets), journal.early_packets) == (0, 1)


def test_an_open_gap_lasts_to_its_closing_twin_or_to_the_end() -> None:
    a, b = KEPT_FROM + SECOND, KEPT_FROM + 2 * SECOND
    writer = Writer().add(gap(1, a, 0), gap(1, a, b), gap(3, b, 0), end(KEPT_FROM + 3 * SECOND))
    assert read(writer).gaps == (Gap("hold", a, b), Gap("paused", b, KEPT_FROM + 3 * SECOND))


def test_a_later_programs_record_is_skipped() -> None:
    writer = Writer().add(record(77, b"?"), end(KEPT_FROM, "ok"))
    assert read(writer).ended == "ok"


@pytest.mark.parametrize(
    "broken",
    [
        record(1, b"short"),
        record(3, b"short"),
        record(4, b""),
        record(5, b"1234"),
        record(2, b"x"),
        b"\x01\xff\xffxx",
        b"\x01",
    ],
)
def test_a_malformed_record_ends_the_journal_there(broken: bytes) -> None:
    good = [codec(0, 8, "PCMA/8000"), packet(0, 1, 0, KEPT_FROM, b"\xd5")]
    journal = read(Writer().add(*good).add(broken).add(*good))
    assert len(journal.packets) == 1
    assert journal.torn_bytes > 0


@pytest.mark.parametrize(
    "change",
    [
        {"kept_from_ns": -1},
        {"kept_from_ns": "soon"},
        {"kept_from_ns": True},
        {"wall_ns_at_mono": 3},
        {"header": []},
        {"purposes": "coaching"},
        {"use": "listen"},
        {"opened_ns": 1 << 70},
    ],
)
def test_a_malformed_header_is_a_journal_error(change: dict[str, object]) -> None:
    with pytest.raises(JournalError):
        read(Writer(head=header(**change)))


@pytest.mark.parametrize(
    "envelope",
    [
        {"v": 2, "recording": "r", "aead": "chacha20poly1305", "wrapped": {}},
        {"v": 1, "recording": "r", "aead": "rot13", "wrapped": {}},
        {"v": 1, "recording": "", "aead": "chacha20poly1305", "wrapped": {}},
        {"v": 1, "recording": "r", "aead": "chacha20poly1305", "wrapped": {"p": "%"}},
        {"v": 1, "recording": "r", "aead": "chacha20poly1305", "wrapped": {"p": 4}},
        {"v": 1, "recording": "r", "aead": "chacha20poly1305", "wrapped": []},
        [],
    ],
)
def test_a_malformed_envelope_is_a_journal_error(envelope: object) -> None:
    text = json.dumps(envelope).encode()
    with pytest.raises(JournalError):
        read_journal(b"QMJ1\n" + struct.pack("<I", len(text)) + text, KEY)


@pytest.mark.parametrize("data", [b"RIFF....", b"QMJ1\n\xff\xff\xff\xff", b"QMJ1\n\x01\0\0\0{"])
def test_what_is_not_a_journal_is_a_journal_error(data: bytes) -> None:
    with pytest.raises(JournalError):
        read_journal(data, KEY)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6), st.randoms())
def test_whatever_the_records_are_nothing_but_a_journal_error_comes(chunks, random) -> None:
    writer = Writer()
    for chunk in chunks:
        writer.add(codec(0, 8, "PCMA/8000"), record(random.randrange(7), chunk), chunk)
    read(writer)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_bytes_are_nothing_but_a_journal_error_comes(data) -> None:
    whole = bytearray(two_tones(0.1).to_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, len(whole))) :]
    with contextlib.suppress(JournalError):
        read_journal(bytes(whole), KEY)


@pytest.mark.parametrize(("first", "last"), [(4, 5), (0, 9), (3, 14), (9, 10)])
def test_a_cut_reaches_back_over_the_borders_of_chunks(first: int, last: int) -> None:
    """It is written last, as when the agent presses his key, and takes what lies in chunks long sealed."""
    begin, until = KEPT_FROM + first * 20_000_000, KEPT_FROM + last * 20_000_000
    writer = small()
    writer.chunks.insert(len(writer.chunks) - 1, cut(begin, until))
    journal = read(writer)
    assert [p.sequence for p in journal.packets] == [n for n in range(15) if not first <= n <= last]
    assert journal.gaps == (Gap("private", begin, until),)


def test_a_cut_from_before_the_beginning_leaves_nothing() -> None:
    writer = small()
    writer.chunks.insert(len(writer.chunks) - 1, cut(KEPT_FROM - 60 * SECOND, KEPT_FROM + 60 * SECOND))
    journal = read(writer)
    assert (journal.packets, journal.cut_packets) == ((), 15)
    assert (journal.gaps, journal.end_ns) == ((), KEPT_FROM)


def test_a_cut_that_reaches_to_the_end_is_the_end() -> None:
    """As when an agent makes his call private: not even how long it went on stands in the file."""
    begin = KEPT_FROM + 9 * 20_000_000 + 1
    writer = small()
    stopped = read(writer).end_ns
    writer.chunks.insert(len(writer.chunks) - 1, cut(begin, stopped))
    journal = read(writer)
    assert [p.sequence for p in journal.packets] == list(range(10))
    assert (journal.gaps, journal.end_ns, journal.cut_packets) == ((), begin, 5)


def test_a_gap_of_a_kind_that_is_not_known_is_a_gap() -> None:
    writer = small()
    writer.chunks.insert(1, gap(5, KEPT_FROM, KEPT_FROM + 1000) + gap(99, KEPT_FROM + 2000, KEPT_FROM + 3000))
    journal = read(writer)
    assert [g.state for g in journal.gaps] == ["pause", "unknown"]
    assert len(journal.packets) == 15


def test_one_purpose_taken_out_of_the_envelope_leaves_the_rest_as_it_was() -> None:
    data = small(wrapped={"coaching": b"one", "complaint": b"two"}).to_bytes()
    less = without_purpose(data, "coaching")
    assert read_envelope(less)[0].wrapped == {"complaint": b"two"}
    assert read_journal(less, KEY).packets == read_journal(data, KEY).packets
