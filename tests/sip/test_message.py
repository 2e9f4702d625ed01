"""Messages: bytes in, the same bytes out, and what is read from them between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.grammar import SipParseError, split_outside
from qm_sip.sip.message import MalformedMessage, Message, Request, Response, header, parse
from tests.sip.network import SDP, request

TOKEN = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=12)
LINE = st.text(st.characters(blacklist_characters="\r\n", codec="utf-8"), max_size=40)
NAMES = st.one_of(TOKEN, st.sampled_from(["Via", "v", "t", "To", "X-QM-Line", "Subject"]))
HEADERS = st.lists(
    st.tuples(NAMES.filter(lambda n: n.lower() not in ("l", "content-length")), LINE), max_size=8
)
BODIES = st.binary(max_size=60)


@settings(deadline=None)
@given(TOKEN.filter(lambda t: not t.upper().startswith("SIP/")), HEADERS, BODIES)
def test_a_request_survives_the_wire(method: str, headers: list[tuple[str, str]], body: bytes) -> None:
    survives(Request(method, "sip:a@b.example", [*headers, ("Content-Length", str(len(body)))], body))


@settings(deadline=None)
@given(st.integers(100, 699), LINE, HEADERS, BODIES)
def test_a_response_survives_the_wire(
    status: int, reason: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    survives(Response(status, reason, [*headers, ("Content-Length", str(len(body)))], body))


def survives(message: Message) -> None:
    again = parse(message.to_bytes())
    assert again.to_bytes() == message.to_bytes()
    assert again.start_line == message.start_line and again.body == message.body
    assert [h.key for h in again.headers] == [h.key for h in message.headers]
    assert [h.value for h in again.headers] == [h.value.strip(" \t") for h in message.headers]
    assert parse(again.to_bytes()) == again


def test_foreign_bytes_and_odd_spacing_leave_as_they_came() -> None:
    odd = b"X-Latin: caf\xe9\r\nsubject :  spaced\t\r\nX-Fold: one\r\n\t two\r\nX-Empty:\r\n"
    data = request(body=SDP).replace(b"Max-Forwards: 70\r\n", odd)
    message = parse(data)
    assert message.to_bytes() == data
    assert (
        message.get("x-fold") == "one two"
        and message.get("Subject") == "spaced"
        and message.get("x-empty") == ""
    )


def test_compact_names_are_the_long_ones() -> None:
    message = parse(request().replace(b"Call-ID:", b"i:").replace(b"From:", b"F:"))
    assert message.call_id == "c1" and message.get("f") == message.get("From") == message.get("FROM")


@pytest.mark.parametrize(
    ("length", "body", "kept"),
    [
        (b"", b"abc", b"abc"),
        (b"l: 2\r\n", b"abc", b"ab"),
        (b"l: 0\r\n", b"abc", b""),
        (b"l: 3\r\nContent-Length: 3\r\n", b"abc", b"abc"),
    ],
)
def test_the_body_of_a_datagram(length: bytes, body: bytes, kept: bytes) -> None:
    data = b"OPTIONS sip:a SIP/2.0\r\n" + length + b"\r\n" + body
    assert parse(data).body == kept


@pytest.mark.parametrize("length", [b"4", b"-1", b"x", b"1 2", b"", b"9" * 30, "٣".encode()])
def test_a_body_shorter_than_said_can_still_be_answered(length: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse(request().replace(b"Content-Length: 0", b"Content-Length: " + length) + b"abc")
    assert caught.value.status == 400 and caught.value.partial.call_id == "c1"


@pytest.mark.parametrize("smuggled", [b"X: 1\nVia: evil", b"X: 1\rVia: evil", b"X: 1\r\n \nVia: evil"])
def test_a_bare_line_break_smuggles_no_header(smuggled: bytes) -> None:
    with pytest.raises(SipParseError):
        parse(request().replace(b"Max-Forwards: 70", smuggled))


def test_crlf_before_the_start_line_is_ignored() -> None:
    assert parse(b"\r\n\r\n" + request()) == parse(request())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"INVITE",
        b"INVITE sip:a",
        b"SIP/2.0",
        b"SIP/2.0 200",
        b"SIP/2.0 99 X",
        b"SIP/2.0 700 X",
        b"SIP/3.0 200 OK",
        b"IN VITE sip:a SIP/2.0 x",
    ],
)
def test_what_is_no_start_line(line: bytes) -> None:
    if line == b"SIP/2.0 200":
        assert isinstance(parse(line + b"\r\n\r\n"), Response)
        return
    with pytest.raises(SipParseError):
        parse(line + b"\r\n\r\n")


def test_commas_split_lists_but_not_quotes_and_brackets() -> None:
    assert split_outside('"a,b" <sip:c,d@e;x=",">;p="1,2", <sip:f>', ",") == [
        '"a,b" <sip:c,d@e;x=",">;p="1,2"',
        "<sip:f>",
    ]
    with pytest.raises(SipParseError):
        split_outside('"a,', ",")


def test_a_header_of_ours_is_one_line() -> None:
    for name, value in (("X", "a\r\nb"), ("X", "a\nb"), ("X Y", "a"), ("", "a"), ("X:", "a")):
        with pytest.raises(ValueError, match="one line"):
            header(name, value)


def test_messages_show_no_content() -> None:
    assert "alice" not in repr(parse(request(body=SDP)))
