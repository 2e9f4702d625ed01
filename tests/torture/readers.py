"""The readers of strangers' bytes, each as a function that raises only if a promise is broken.

Nothing may come out of a reader but the exception it declares. Beside that, what came out is held against what was
promised: what is written can be read again, two readers of one thing agree, nothing grows.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Final

from qm_sip.asterisk.floor import Floor
from qm_sip.asterisk.manager import Account, Around, Happening, Manager, Told
from qm_sip.asterisk.message import AmiError
from qm_sip.call.headers.privacy import at_our_address, from_value, nameless, tokens
from qm_sip.call.headers.reason import causes
from qm_sip.call.headers.session_id import Pair
from qm_sip.call.keypad import info_key
from qm_sip.private import Private
from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.body import MOST_PARTS, compose, description, others, parts, place
from qm_sip.sip.cseq import CSeq
from qm_sip.sip.digest import Challenge, Credentials, DigestClient, challenges
from qm_sip.sip.digest_server import Answer, DigestServer, Realm, ha1
from qm_sip.sip.events import Address
from qm_sip.sip.framing import PING, PONG, Framer, FramingError
from qm_sip.sip.grammar import SipParseError, is_token, split_outside
from qm_sip.sip.message import MAX_BYTES, Message, Request, Response, header, parse
from qm_sip.sip.rack import RAck
from qm_sip.sip.refer import TARGET_TAGS, ReferTo, Replaces, replaces_of, sipfrag, status_in, wants_no_news
from qm_sip.sip.reply import mark_arrival, reply, reply_address
from qm_sip.sip.sdp import (
    Direction,
    OriginOf,
    Sdp,
    SdpError,
    answer,
    keep_formats,
    rewrite_origin,
    with_direction,
    with_media,
    with_record,
    without_record,
)
from qm_sip.sip.session_expires import SessionExpires, knows_timers, min_se
from qm_sip.sip.validate import check
from qm_sip.sip.via import Via
from qm_sip.trace.ladder import sdp_of
from qm_sip.trace.pseudonyms import Pseudonyms
from qm_sip.trace.redact import heading, redact, without_secrets
from qm_sip.trace.tap import call_id_of, without_words

US, PEER = Address("192.0.2.2", 5060), Address("192.0.2.1", 5060)


def read_message(data: bytes) -> None:
    """A datagram as a message: every view, the answer to it, and itself again."""
    try:
        message = parse(data)
        written = message.to_bytes()
        assert parse(written) == message
        _views(message)
        check(message)
    except SipParseError as error:
        assert 400 <= error.status < 700
        return
    if isinstance(message, Request):
        marked = mark_arrival(message, PEER)
        back = parse(reply(marked, 200, tag="t").to_bytes())
        assert isinstance(back, Response) and back.call_id == message.call_id
        assert back.via.branch == message.via.branch and back.from_ == message.from_
        assert reply_address(marked, US).host == PEER.host


def _views(message: Message) -> None:
    _ = message.vias, message.from_, message.to, message.cseq, message.contacts, message.record_route
    _ = message.max_forwards, message.content_type, message.values("require"), message.all("route")


def read_sdp(data: bytes) -> None:
    """A session description: every edit a call makes can be read again, with as many streams."""
    try:
        sdp = Sdp.parse(data)
    except SdpError:
        return
    assert sdp.to_bytes().rstrip(b"\r\n") == data.rstrip(b"\r\n")
    for edit in _EDITS:
        try:
            edited = edit(sdp)
        except SdpError:
            continue
        again = Sdp.parse(edited.to_bytes())
        assert len(again.media) == len(sdp.media)
        assert [one.kind for one in again.media] == [one.kind for one in sdp.media]


_OURS: Final = "192.0.2.9"
_EDITS: Final[tuple[Callable[[Sdp], Sdp], ...]] = (
    lambda sdp: rewrite_origin(sdp, 1, 2, _OURS),
    lambda sdp: with_media(sdp, _OURS, 6000, 6001),
    lambda sdp: with_media(keep_formats(sdp), "2001:db8::9", 6000, 7001),
    lambda sdp: with_direction(sdp, Direction.SENDONLY),
    lambda sdp: with_record(without_record(sdp), "on"),
    lambda sdp: answer(sdp, 1, 1, _OURS, 6000),
    lambda sdp: OriginOf(7).stamp(sdp, _OURS),
)


def read_stream(data: bytes) -> None:
    """Bytes of a connection, cut anywhere: the same frames. The first byte says how they are cut."""
    if not data:
        return
    rng, stream = random.Random(data[0]), data[1:]
    whole = _frames([stream])
    assert _frames(list(_pieces(stream, rng))) == whole
    for frame in whole:
        if frame not in (PING, PONG, b""):
            read_message(frame)


def _frames(pieces: list[bytes]) -> list[bytes]:
    """What comes of it; an empty frame stands for the error that ends it."""
    framer, found = Framer(), []
    try:
        for piece in pieces:
            framer.receive(piece)
            while (frame := framer.next()) is not None:
                assert 0 < len(frame) <= MAX_BYTES
                found.append(frame)
    except FramingError:
        found.append(b"")
    return found


def read_headers(data: bytes) -> None:
    """One header value, read as each kind of header; what can be written again means the same."""
    text = data.decode("utf-8", "surrogateescape").strip()
    if "\r" in text or "\n" in text:
        return  # no header that was read holds one
    for read in (NameAddr.parse, Uri.parse, Via.parse, CSeq.parse, RAck.parse, Replaces.parse):
        _again(read, text)
    _name_addr(text)
    one = functools.partial(_with, value=text)
    for work in (
        lambda: Replaces.parse(text, TARGET_TAGS),
        lambda: Challenge.parse(text, proxy=False),
        lambda: SessionExpires.of(one("Session-Expires")),
        lambda: min_se(one("Min-SE")),
        lambda: _referred(one("Refer-To")),
        lambda: replaces_of(one("Replaces")),
        lambda: knows_timers(one("X")),
    ):
        try:
            work()
        except SipParseError as error:
            assert 400 <= error.status < 700
    _ = wants_no_news(one("Refer-Sub")), Pair.of(one("Session-ID")), causes([text])
    private = one("Privacy")
    _ = tokens(private), nameless(private)
    for made in (from_value(one("From"), US, hidden=False), at_our_address(text, US)):
        if made is not None:
            NameAddr.parse(header("From", made).value)


def _again(read: Callable[[str], object], text: str) -> None:
    try:
        found = read(text)
    except SipParseError:
        return
    written = str(found)
    assert str(read(written)) == written and header("X", written).value == written


def _name_addr(text: str) -> None:
    """Two readers of one thing agree: the quick one and the grammar."""
    results: list[object] = []
    for read in (NameAddr.parse, NameAddr.parse_any):
        try:
            results.append(read(text))
        except SipParseError:
            results.append(None)
    assert results[0] == results[1]


def _with(name: str, value: str) -> Request:
    return Request("REFER", "sip:a@b", [header(name, value), header("Supported", value)])


def _referred(request: Request) -> None:
    found = ReferTo.of(request)
    if found.address.uri.scheme != "tel":
        moved = NameAddr.parse(header("Refer-To", found.moved("sip:x@192.0.2.9", found.replaces)).value)
        again = ReferTo.of(_with("Refer-To", str(moved)))
        assert again.replaces == found.replaces


_REALM: Final = Realm(
    "home", ("SHA-256", "MD5"), {"ann": {a: Private(ha1(a, "ann", "home", "x")) for a in ("SHA-256", "MD5")}}
)


def read_digest(data: bytes) -> None:
    """An Authorization nobody with a password wrote is never right; a challenge is answered or left."""
    text = data.decode("utf-8", "surrogateescape").strip()
    if "\r" in text or "\n" in text:
        return
    server = DigestServer(30.0, random.Random(1))
    nonce, opaque = (
        _value(server.challenge(_REALM, PEER.host, 0.0)[0].value, n) for n in ("nonce", "opaque")
    )
    text = text.replace("{nonce}", nonce).replace("{opaque}", opaque)
    request = Request("INVITE", "sip:b@192.0.2.2", [header("Authorization", f"Digest {text}")])
    assert server.judge(_REALM, request, PEER.host, 1.0) in (Answer.NONE, Answer.WRONG)
    for name in ("WWW-Authenticate", "Proxy-Authenticate"):
        asked = Response(401, "", [header(name, text), header(name, f"Digest {text}")])
        client = DigestClient(Credentials("ann", Private("x")), random.Random(1))
        if client.learn(asked, []):
            assert challenges(asked)
            for said in client.headers("INVITE", "sip:b@192.0.2.2"):
                header(*said)


def _value(text: str, name: str) -> str:
    found = next(part for part in split_outside(text, ",") if part.startswith(f"{name}="))
    return found.partition("=")[2].strip('"')


def read_body(data: bytes) -> None:
    """Content-Type in the first line, then the body: its parts, and the same parts written anew."""
    kind, _, body = data.partition(b"\n")
    text = kind.decode("utf-8", "surrogateescape").strip()
    if "\r" in text:
        return
    message = Request(
        "INVITE", "sip:a@b", [header("Content-Type", text or "multipart/mixed;boundary=x")], body
    )
    found, sdp, beside = parts(message), description(message), others(message)
    assert len(found) <= MOST_PARTS and sum(len(part.content) for part in found) <= len(body)
    _ = [(part.kind, part.is_required, part.is_description) for part in found]
    _ = status_in(body), sipfrag(status_in(body) or 100), info_key(message)
    headers, written = compose(sdp, beside, before=place(message, beside))
    again = Request("INVITE", "sip:a@b", [header(*one) for one in headers], written or b"")
    assert description(again) == sdp or not sdp
    if len(beside) < MOST_PARTS:
        assert [part.content for part in others(again)] == [part.content for part in beside]


def read_manager(data: bytes) -> None:
    """Bytes of Asterisk's manager, cut anywhere: the same map of channels. The first byte says how they are cut."""
    if not data:
        return
    found = []
    for rng in (None, random.Random(data[0])):
        manager = Manager(Account("qm", Private("secret")), 0.0)
        floor = Floor(lambda leg: leg.startswith("our"))
        try:
            for line in data[1:].splitlines(keepends=True):  # it answers one question after another
                for piece in _pieces(line, rng):
                    for happening in manager.receive(piece, 0.0):
                        _on_floor(floor, happening)
                said = manager.take()
                assert not said or said.endswith(b"\r\n\r\n")
        except AmiError:
            pass
        found.append((manager.state, len(floor), floor.company("our-1"), floor.legs_with("1")))
    assert found[0] == found[1]


def _on_floor(floor: Floor, happening: Happening) -> None:
    if isinstance(happening, Told):
        floor.told(happening.message)
    elif isinstance(happening, Around):
        floor.around(happening.channels)


def _pieces(data: bytes, rng: random.Random | None) -> Iterator[bytes]:
    """In pieces of a few sizes; all at once without a generator."""
    at = 0
    while at < len(data):
        size = rng.choice((1, 2, 3, 7, 60, 1500)) if rng else len(data)
        yield data[at : at + size]
        at += size


def read_trace(data: bytes) -> None:
    """What a trace shows is ASCII and not much; it is filed under the Call-ID that the user agent reads."""
    shown = redact(data, Pseudonyms())
    shown.decode("ascii")
    assert len(shown) < 4 * len(data) + 2_000
    heading(data)
    sdp_of(data, ())
    without_secrets(data)
    kept = without_words(data)
    try:
        message = parse(data)
    except SipParseError:
        return
    assert call_id_of(data) == message.get("call-id")
    assert kept is not None
    slim = parse(kept)
    assert slim.get("call-id") == message.get("call-id") and slim.start_line == message.start_line
    if isinstance(message, Request) and is_token(message.method):
        parse(shown)
