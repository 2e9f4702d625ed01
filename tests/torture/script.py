"""The input of the targets that play whole calls: a text that says who says what, and when.

    @<INVITE sip:2000@127.0.7.9 SIP/2.0        the left peer sends this; > the right one
    Via: ...
                                               (an empty line, then the body)
    @=200 tag INVITE                           the right peer answers the last INVITE it was sent; - the left one
    Contact: <sip:b@127.0.7.2>

    v=0 ...
    @~5                                        half a second passes; without a number until the next timer is due
    @%                                         (first of all) the right peer is not trusted
    @#Event: BridgeEnter                       Asterisk's manager tells that
    @!a                                        what our own user does (`agent.py`)

Whatever is no such line does nothing, so that every text is a script. Lines may end in LF: they are sent with CRLF.
`{tag}`, `{theirs}`, `{branch}`, `{call}`, `{cseq}`, `{uri}`, `{rseq}` stand for what the peer was sent last: our tag,
its own, the branch, Call-ID, CSeq number, Contact and RSeq. So a mutation reaches into a dialog that stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Message, Request, Response, parse
from qm_sip.sip.validate import check

MOST_STEPS: Final = 40
MOST_SECONDS: Final = 400.0
_PLACE: Final = re.compile(rb"\{(tag|theirs|branch|call|cseq|uri|rseq)\}")


_NOTHING: Final = b"sip:none@192.0.2.0"  # what a place is filled with before anything was said


class Step(NamedTuple):
    """One line beginning with @: its verb and the rest."""

    verb: str
    text: bytes


def steps(data: bytes) -> Iterator[Step]:
    parts = (b"\n" + data).split(b"\n@")[1 : MOST_STEPS + 1]
    for part in parts:
        if part:
            yield Step(chr(part[0]), part[1:])


def seconds_of(text: bytes) -> float | None:
    """Tenths of a second as a number; None: until the next timer."""
    word = text.strip()
    return int(word) / 10 if word.isdigit() and len(word) <= 4 else None


def lines(text: bytes) -> bytes:
    """With CRLF and an end of the headers, unless it has its own."""
    if b"\r" in text:
        return text
    whole = text if b"\n\n" in text else text.rstrip(b"\n") + b"\n\n"
    return whole.replace(b"\n", b"\r\n")


@dataclass
class Mailbox:
    """What a peer was sent: it looks there to know what to say. Everything that we send must be readable."""

    words: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        message = parse(data)
        if not _readable(message):
            return
        ours, theirs = message.from_, message.to
        if isinstance(message, Response):
            ours, theirs = theirs, ours
        elif message.method != "ACK":
            self.requests.append(message)
        contacts = message.contacts
        found = {
            "tag": ours.tag or "",
            "theirs": theirs.tag or "",
            "branch": message.via.branch,
            "call": message.call_id,
            "cseq": str(message.cseq.number),
            "rseq": message.get("rseq") or "",
            "uri": str(contacts[0].uri) if contacts else "",
        }
        self.words |= {k: v.encode("utf-8", "surrogateescape") for k, v in found.items() if v}

    def fill(self, text: bytes) -> bytes:
        return _PLACE.sub(lambda m: self.words.get(m[1].decode(), _NOTHING), text)

    def answer(self, text: bytes) -> bytes | None:
        """`status [tag [method]]`, headers, an empty line and a body, as the answer to the last request."""
        first, _, rest = text.partition(b"\n")
        words = first.split()
        status = words[0] if words else b"200"
        tag = words[1] if len(words) > 1 else b"r"
        method = words[2].decode("latin-1") if len(words) > 2 else ""
        asked = next((r for r in reversed(self.requests) if method in ("", r.method)), None)
        if asked is None:
            return None
        head, _, body = lines(self.fill(rest)).partition(b"\r\n\r\n")
        copied = [f"Via: {via}" for via in asked.all("via")]
        to = asked.get("to") or ""
        copied += [f"From: {asked.get('from')}", f"Call-ID: {asked.call_id}", f"CSeq: {asked.get('cseq')}"]
        copied.append(f"To: {to}" if _tagged(asked) else f"To: {to};tag={tag.decode('latin-1')}")
        start = b"SIP/2.0 " + status + b" X\r\n" + "\r\n".join(copied).encode("utf-8", "surrogateescape")
        return (
            start + b"\r\n" + (head.strip(b"\r\n") + b"\r\n" if head.strip(b"\r\n") else b"") + b"\r\n" + body
        )


def _readable(message: Request | Response) -> bool:
    """What we say can be read; only a refusal may repeat what was wrong with a request."""
    try:
        if isinstance(message, Request):
            check(message)
        _ = message.vias, message.from_, message.to, message.cseq, message.contacts, message.call_id
    except SipParseError as error:
        refusal = isinstance(message, Response) and message.status >= 400
        assert refusal or error.status == 416, error.problem  # a scheme that the peer itself has named
        return False
    return True


def _tagged(message: Message) -> bool:
    try:
        return message.to.tag is not None
    except SipParseError:
        return False
