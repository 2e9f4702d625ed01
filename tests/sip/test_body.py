"""The session description in a body, alone or among others; other parts read and written again, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.sip.body import MOST_PARTS, Part, compose, description, others, parts, place
from qm_sip.sip.message import Request, header
from tests.support.cost import within

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
ISUP = b"--x\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x00\x0d\x0a\xff\r\n"
PART = b"--x\r\nContent-Disposition: session\r\ncontent-type : application/SDP\r\n\r\n" + SDP + b"\r\n"
END = b"--x--\r\n"
CODED = PART.replace(b"\r\n\r\nv=", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nv=")


def invite(kind: str, body: bytes, *more: tuple[str, str]) -> Request:
    headers = [header("Content-Type", kind)] if kind else []
    return Request("INVITE", "sip:x@y", [*headers, *more], body)


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/sdp", SDP, SDP),
        ("Application/SDP; charset=utf-8", SDP, SDP),
        ("", SDP, SDP),
        ("", b"hello", None),
        ("application/sdp", b"", None),
        ("text/plain", SDP, None),
        ("multipart/mixed;boundary=x", ISUP + PART + END, SDP),
        ('multipart/mixed; boundary="x"', b"preamble\r\n" + PART + ISUP + END, SDP),
        ("multipart/mixed;boundary=x", ISUP + PART, SDP + b"\r\n"),  # the end is missing
        ("multipart/mixed;boundary=x", ISUP + END, None),
        ("multipart/mixed;boundary=x", END + PART, None),
        ("multipart/mixed", PART + END, None),
        ('multipart/mixed;boundary="x', PART + END, None),
        ("multipart/mixed;boundary=x", CODED + END, None),
        ("multipart/mixed;boundary=x", PART.replace(b"--x", b"--xy") + END, None),  # another's boundary
        ("multipart/mixed;boundary=x", PART.replace(b"--x", b"--x \t") + END, SDP),
        (
            "multipart/mixed;boundary=y",
            b"--y\r\nContent-Type: multipart/related;boundary=x\r\n\r\n" + ISUP + PART + END + b"\r\n--y--",
            SDP,
        ),
        (
            "multipart/mixed;boundary=x",
            b"--x\r\nContent-Type: multipart/mixed;boundary=xx\r\n\r\n"
            + (ISUP + PART + END).replace(b"--x", b"--xx")
            + END,
            SDP,
        ),
        (
            "multipart/alternative;boundary=x",
            PART.replace(b"192.0.2.1", b"192.0.2.9") + PART + END,
            SDP,
        ),
    ],
)
def test_the_description_is_found_wherever_it_stands(kind: str, body: bytes, found: bytes | None) -> None:
    assert description(invite(kind, body)) == found


def test_what_is_compressed_is_not_read() -> None:
    assert description(invite("application/sdp", SDP, ("Content-Encoding", "gzip"))) is None
    assert description(invite("application/sdp", SDP, ("Content-Encoding", "identity"))) == SDP


def test_a_body_nested_without_end_is_given_up() -> None:
    body = SDP
    for level in range(50):
        body = f"--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n{level}".encode() + body
    assert description(invite("multipart/mixed;boundary=b", body)) is None


def test_more_parts_than_anybody_sends_are_given_up() -> None:
    assert description(invite("multipart/mixed;boundary=x", ISUP * (MOST_PARTS - 1) + PART + END)) == SDP
    assert parts(invite("multipart/mixed;boundary=x", ISUP * MOST_PARTS + PART + END)) == ()


@pytest.mark.parametrize("body", [b"--x\r\n" * 12_000, b"--x" * 20_000, b"\r\n--x--" * 8_000, b"-" * 60_000])
def test_no_body_costs_more_than_its_length(body: bytes) -> None:
    within(0.05, lambda: description(invite("multipart/mixed;boundary=x", body)))


def test_binary_parts_come_out_as_they_went_in_and_in_their_order() -> None:
    message = invite("multipart/mixed;boundary=x", ISUP + PART + ISUP + END)
    beside = others(message)
    assert [part.kind for part in beside] == ["application/isup", "application/isup"]
    assert all(part.content == b"\x01\x00\x0d\x0a\xff" for part in beside)
    edited = SDP.replace(b"192.0.2.1", b"198.51.100.1")
    headers, body = compose(edited, beside, before=place(message, beside))
    again = invite(dict(headers)["Content-Type"], body or b"")
    assert description(again) == edited and others(again) == beside
    assert [part.kind for part in parts(again)] == ["application/isup", "application/sdp", "application/isup"]


def test_alone_it_stays_alone() -> None:
    assert compose(SDP, ()) == ([("Content-Type", "application/sdp")], SDP)
    assert compose(None, ()) == ([], None)
    assert others(invite("application/sdp", SDP)) == ()


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6), st.integers(0, 6))
def test_whatever_the_parts_hold_the_boundary_is_not_in_them(contents: list[bytes], at: int) -> None:
    beside = [Part((("Content-Type", "application/x"),), content) for content in contents]
    for _ in range(2):
        headers, body = compose(SDP, beside, before=min(at, len(beside)))
        assert body is not None
        again = invite(dict(headers)["Content-Type"], body)
        assert list(others(again)) == beside and description(again) == SDP
        # the worst case: what somebody could guess of our boundary is in a part
        beside[0] = Part(beside[0].headers, body)


@pytest.mark.parametrize(
    ("said", "required"),
    [
        ("", False),
        ("signal", False),
        ("signal;handling=required", True),
        ("signal; Handling = REQUIRED", True),
        ("render;handling=optional", False),
        ('x;y=";handling=required"', False),
    ],
)
def test_what_must_be_understood_is_what_says_so(said: str, required: bool) -> None:
    assert Part((("Content-Disposition", said),), b"").is_required is required


def test_a_part_without_headers_is_text() -> None:
    message = invite("multipart/mixed;boundary=x", b"--x\r\n\r\nhello\r\n" + PART + END)
    assert [part.kind for part in others(message)] == ["text/plain"] and others(message)[
        0
    ].content == b"hello"
