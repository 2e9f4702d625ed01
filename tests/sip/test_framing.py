"""Messages out of a stream, however it was cut."""

from __future__ import annotations

import contextlib
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.framing import PING, Framer, FramingError
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import MAX_BYTES, parse
from tests.sip.network import SDP, request
from tests.support.cost import least


def frames(*chunks: bytes, limit: int = MAX_BYTES) -> list[bytes]:
    """What comes of these chunks; the word "broken" stands for the error that ends it."""
    framer, found = Framer(limit), []
    try:
        for chunk in chunks:
            framer.receive(chunk)
            while (frame := framer.next()) is not None:
                found.append(frame)
    except FramingError:
        found.append(b"broken")
    return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[low:high] for low, high in itertools.pairwise(edges)]


PLAIN, BODY = request("OPTIONS"), request(body=SDP)
COMPACT = PLAIN.replace(b"Content-Length: 0", b"l:0")
BLANKS = request(body=b"\r\n\r\n\r\n\r\nINVITE sip:x SIP/2.0\r\n\r\n")  # a body that looks like edges
FOLDED = BODY.replace(b"Content-Length: ", b"CONTENT-LENGTH \t:\r\n \t ")
TWICE = PLAIN.replace(b"Content-Length: 0", b"l: 0\r\nContent-Length: 0")
WHOLE = [PLAIN, BODY, COMPACT, BLANKS, FOLDED, TWICE]
message = st.sampled_from(WHOLE)
between = st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\r\n" * 3, b"\r\n" * 4])


@pytest.mark.parametrize("data", WHOLE)
def test_every_split_in_two_gives_the_message(data: bytes) -> None:
    for at in range(len(data) + 1):
        assert frames(data[:at], data[at:]) == [data]
    assert frames(*bytewise(data)) == [data]
    parse(data)


@given(
    st.lists(st.tuples(between, message), min_size=1, max_size=6), st.lists(st.integers(0, 9999), max_size=30)
)
def test_many_messages_and_keep_alives_in_any_chunks(
    parts: list[tuple[bytes, bytes]], places: list[int]
) -> None:
    stream = b"".join(gap + data for gap, data in parts)
    wanted = [frame for gap, data in parts for frame in [*[PING] * (len(gap) // 4), data]]
    assert frames(*cuts(stream, places)) == wanted
    assert frames(*bytewise(stream)) == wanted


@given(
    st.lists(st.sampled_from([*WHOLE, b"\r\n", b"\r", b"\n", b" ", b":", b"l: 7\r\n", b"L:\r\n 3", b"\0", b"x"]),
             max_size=12),
    st.lists(st.integers(0, 9999), max_size=20),
)  # fmt: skip
def test_nonsense_gives_the_same_frames_however_it_is_cut(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    assert frames(*cuts(stream, places), limit=2000) == frames(stream, limit=2000)


@given(st.binary(max_size=300), st.lists(st.integers(0, 9999), max_size=20))
def test_bytes_of_any_kind_raise_nothing_but_the_one_error(data: bytes, places: list[int]) -> None:
    frames(*cuts(data, places), limit=100)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_mutated_messages_are_framed_or_refused(seed: int, changes: int) -> None:
    rng, data = random.Random(seed), bytearray(BODY + PLAIN)
    for _ in range(changes):
        data[rng.randrange(len(data))] = rng.choice(b"\r\n:l 0\xff\x00")
    for frame in frames(bytes(data)):
        with contextlib.suppress(SipParseError):
            parse(frame)


@pytest.mark.parametrize(
    "length",
    [b"", b"Content-Length: ", b"Content-Length: x", b"Content-Length: -1", b"Content-Length: 1 0",
     b"Content-Length: 1\r\n 0", b"Content-Length: 0\r\nl: 1", b"Content-Length: 1234567890",
     b"Subject: a\r\n Content-Length: 0", "Content-Length: \u0664".encode()],
)  # fmt: skip
def test_without_one_content_length_the_stream_is_broken(length: bytes) -> None:
    data = PLAIN.replace(b"\r\nContent-Length: 0", b"\r\n" + length if length else b"")
    assert frames(PLAIN + data + PLAIN) == [PLAIN, b"broken"]
    assert frames(*bytewise(PLAIN + data)) == [PLAIN, b"broken"]


def test_what_is_too_large_is_refused_before_it_is_kept() -> None:
    exact = MAX_BYTES - len(request(body=b"x" * 60_000)) + 60_000
    assert frames(request(body=b"x" * exact)) == [request(body=b"x" * exact)]
    assert frames(request(body=b"x" * exact)[:-1]) == []
    assert frames(request(body=b"x" * (exact + 1)).partition(b"xxx")[0]) == [
        b"broken"
    ]  # the body is not waited for
    assert frames(b"INVITE sip:x SIP/2.0\r\nSubject: " + b"x" * MAX_BYTES) == [b"broken"]


def test_a_long_message_byte_by_byte_takes_linear_time() -> None:
    data = request(extra=("Subject: " + "x" * 60_000,))
    half = request(extra=("Subject: " + "x" * 30_000,))
    assert frames(*bytewise(data)) == [data]
    assert least(lambda: frames(*bytewise(data))) < 3 * least(lambda: frames(*bytewise(half)))


def test_only_what_has_begun_and_is_not_whole_is_partial() -> None:
    framer = Framer()
    for data, partial in ((b"", False), (b"\r\n", False), (b"\r", False), (b"\n", False), (b"O", True)):
        framer.receive(data)
        while framer.next():
            pass
        assert framer.partial is partial
    framer.receive(PLAIN[1:])
    assert framer.next() == PLAIN and not framer.partial
