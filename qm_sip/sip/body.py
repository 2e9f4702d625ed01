"""Bodies: a session description alone, or one part among others (RFC 5621, RFC 2046 5.1, RFC 3204).

A multipart body is read into its leaves, whatever nests them. What a part must be understood for says its
Content-Disposition: only `handling=required` that is written out counts, though RFC 3261 20.11 has it as the default:
the parts that carriers add say nothing, and a call is worth more than they are. Lines are found by search, not by
pattern, so that no body costs more than its length; deeper than three levels, or past sixteen parts, nothing is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from qm_sip.sip.grammar import SipParseError, param, parse_params, split_outside
from qm_sip.sip.message import Message

DEEPEST: Final = 3
MOST_PARTS: Final = 16
_PLAIN: Final = ("", "7bit", "8bit", "binary")  # Content-Transfer-Encoding that changes nothing
_PADDING: Final = 64  # white space after a boundary, at most
SDP: Final = "application/sdp"


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf: its own headers as they stood, and its bytes."""

    headers: tuple[tuple[str, str], ...]
    content: bytes

    def __repr__(self) -> str:
        return f"<Part {len(self.content)} bytes>"  # no names, addresses or keys

    def get(self, name: str) -> str:
        """The first value of a header, "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def kind(self) -> str:
        """The media type, lower case, without parameters."""
        return self.get("content-type").partition(";")[0].strip().lower() or "text/plain"

    @property
    def is_required(self) -> bool:
        """Whether its sender wants the message refused by who does not understand it (RFC 5621 3.3)."""
        return (_parameter(self.get("content-disposition"), "handling") or "").lower() == "required"

    @property
    def is_description(self) -> bool:
        """Whether it is the session description, in bytes that can be read."""
        encoding = self.get("content-transfer-encoding").strip().lower()
        return self.kind == SDP and encoding in _PLAIN


def description(message: Message) -> bytes | None:
    """The bytes of the session description, or None if the message brings none that can be read."""
    if not message.body or message.get("content-encoding") not in (None, "", "identity"):
        return None
    if message.content_type == SDP or (not message.content_type and message.body.startswith(b"v=")):
        return message.body
    return next((part.content for part in parts(message) if part.is_description), None)


def parts(message: Message) -> tuple[Part, ...]:
    """Every leaf of the body, in order; of a body that is no multipart, itself. None of one that goes too far."""
    return message.view("parts", _parts)


def others(message: Message) -> tuple[Part, ...]:
    """The parts of a multipart body beside its session description."""
    if not message.content_type.startswith("multipart/"):
        return ()
    return tuple(part for part in parts(message) if not part.is_description)


def _parts(message: Message) -> tuple[Part, ...]:
    if not message.body:
        return ()
    own = ((h.raw.partition(":")[0], h.value) for h in message.headers if h.key.startswith("content-"))
    whole = Part(
        (*((k, v) for k, v in own), ("Content-Type", message.get("content-type") or "")), message.body
    )
    found: list[Part] = []
    complete = _flatten(whole, DEEPEST, found)
    return tuple(found) if complete else ()


def _flatten(part: Part, depth: int, found: list[Part]) -> bool:
    """False: too deep, or too many."""
    if not part.kind.startswith("multipart/"):
        found.append(part)
        return len(found) <= MOST_PARTS
    boundary = _parameter(part.get("content-type"), "boundary") or ""
    if not boundary or len(boundary) > 70 or not depth:
        return bool(depth)
    inner: list[Part] = []
    for content in _split(part.content, b"--" + boundary.encode("utf-8", "surrogateescape")):
        if not _flatten(_read(content), depth - 1, inner) or len(found) + len(inner) > MOST_PARTS:
            return False
    # Of alternatives the last that can be read is the best (RFC 2046 5.1.4).
    found += reversed(inner) if part.kind == "multipart/alternative" else inner
    return True


def _split(body: bytes, mark: bytes) -> Iterator[bytes]:
    """What stands between the lines that begin with the mark and hold nothing else; `mark--` is the last."""
    begin, at = -1, body.find(mark)
    while at >= 0:
        after = at + len(mark)
        end = body.find(b"\r\n", after, after + _PADDING)
        rest = body[after : end if end >= 0 else after + _PADDING].rstrip(b" \t")
        if (at == 0 or body[at - 2 : at] == b"\r\n") and rest in (b"", b"--"):
            if begin >= 0:
                yield body[begin : max(begin, at - 2)]
            if rest or end < 0:
                return
            begin = end + 2
        at = body.find(mark, after)
    if begin >= 0:
        yield body[begin:]  # the last mark is missing


def _read(content: bytes) -> Part:
    head, _, rest = (b"\r\n" + content).partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "surrogateescape").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return Part(tuple((name.strip(), value.strip()) for name, _, value in pairs), rest)


def _parameter(value: str, name: str) -> str | None:
    try:
        return param(parse_params(split_outside(value, ";")[1:]), name)
    except SipParseError:
        return None


# ---------------------------------------------------------------------- writing


def compose(
    sdp: bytes | None, beside: Sequence[Part], *, before: int = 0
) -> tuple[list[tuple[str, str]], bytes | None]:
    """Content headers and body: the description alone, or at its place among other parts (the `before`-th)."""
    if not beside:
        return ([("Content-Type", SDP)] if sdp else []), sdp
    all_parts = list(beside)
    if sdp:
        all_parts.insert(before, Part((("Content-Type", SDP), ("Content-Disposition", "session")), sdp))
    boundary = _boundary(all_parts)
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + _written(part) + b"\r\n" for part in all_parts)
    kind = [("MIME-Version", "1.0"), ("Content-Type", f"multipart/mixed;boundary={boundary}")]
    return kind, body + mark + b"--\r\n"


def _written(part: Part) -> bytes:
    clean = ((name, " ".join(value.split())) for name, value in part.headers if name)
    head = "".join(f"{name}: {value}\r\n" for name, value in clean)
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + part.content


def _boundary(all_parts: Sequence[Part]) -> str:
    """A word that stands in none of the parts."""
    digest = hashlib.blake2s(b"\0".join(part.content for part in all_parts))
    while True:
        word = f"qm-{digest.hexdigest()[:24]}"
        if not any(word.encode() in part.content for part in all_parts):
            return word
        digest.update(b"\0")


def place(message: Message, beside: Sequence[Part]) -> int:
    """How many of these parts stood before the description."""
    seen = 0
    for part in parts(message):
        if part.is_description:
            return seen
        seen += part in beside
    return seen
