"""The session description in a body, alone or among others."""

from __future__ import annotations

import pytest

from qm_sip.sip.body import description
from qm_sip.sip.message import Request, header

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
ISUP = b"--x\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x00\x0d\x0a\xff\r\n"
PART = b"--x\r\nContent-Disposition: session\r\ncontent-type : application/SDP\r\n\r\n" + SDP + b"\r\n"
END = b"--x--\r\n"


def invite(kind: str, body: bytes) -> Request:
    headers = [header("Content-Type", kind)] if kind else []
    return Request("INVITE", "sip:x@y", headers, body)


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
        ("multipart/mixed;boundary=x", ISUP + END, None),
        ("multipart/mixed;boundary=x", END + PART, None),
        ("multipart/mixed", PART + END, None),
        (
            "multipart/mixed;boundary=y",
            b"--y\r\nContent-Type: multipart/related;boundary=x\r\n\r\n" + ISUP + PART + END + b"\r\n--y--",
            SDP,
        ),
    ],
)
def test_the_description_is_found_wherever_it_stands(kind: str, body: bytes, found: bytes | None) -> None:
    assert description(invite(kind, body)) == found


def test_a_body_nested_without_end_is_given_up() -> None:
    body = SDP
    for level in range(50):
        body = f"--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n{level}".encode() + body
    assert description(invite("multipart/mixed;boundary=b", body)) is None
