"""The shape of a session description: every line kept in its place, and views to read them (RFC 8866).

An `Sdp` is a value: an edit (`sdp.py`) makes a new one, and a line that no edit meant is the same bytes
as before, known or not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from typing import Final, NamedTuple

from qm_sip.errors import QmSipError

MAX_BYTES: Final = 65_536
MAX_LINES: Final = 2_048

STATIC_NAMES: Final = {0: "PCMU", 3: "GSM", 8: "PCMA", 9: "G722", 13: "CN", 18: "G729"}
"""Payload types that need no rtpmap (RFC 3551)."""


class SdpError(QmSipError):
    """A session description we cannot read or cannot work with: 488 to an offer, ACK and BYE to an answer."""


class Direction(Enum):
    """Which way media may flow, as the sender of the description sees it (RFC 3264 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def mirrored(self) -> Direction:
        """The same seen from the other side (RFC 3264 6.1)."""
        swap = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}
        return swap.get(self, self)


class Origin(NamedTuple):
    """o= (RFC 8866 5.2)."""

    username: str
    session_id: str
    version: str
    net_type: str
    address_type: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Origin:
        words = text.split()
        if len(words) != 6:
            raise SdpError("o= has not six fields")
        return cls(*words)

    def __str__(self) -> str:
        return " ".join(self)


class Format(NamedTuple):
    """One payload type of an m-line: number, encoding name (upper case but telephone-event), clock,
    parameters.
    """

    payload_type: int
    name: str
    clock: int
    channels: int
    fmtp: str


def encoding(name: str) -> str:
    """Encoding names compare without case (RFC 8866 6.6); written upper case, telephone-event lower."""
    return "telephone-event" if name.lower() == "telephone-event" else name.upper()


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line with the lines that belong to it; the m-line comes first."""

    lines: tuple[str, ...]

    def __repr__(self) -> str:
        # Neither addresses nor keys: values end up in tracebacks.
        return f"<Media {self.lines[0].split(maxsplit=1)[0][2:]}, {len(self.lines)} lines>"

    @property
    def fields(self) -> list[str]:
        """The words of the m-line: kind, port, protocol, formats."""
        words = self.lines[0][2:].split()
        if len(words) < 3:
            raise SdpError("an m-line has not three fields")
        return words

    @property
    def kind(self) -> str:
        """audio, video, image ..."""
        return self.fields[0].lower()

    @property
    def port(self) -> int:
        """The port; of `4000/2` the first. 0: rejected or disabled (RFC 3264 6)."""
        text = self.fields[1].partition("/")[0]
        if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
            raise SdpError("the port of an m-line is not a port")
        return int(text)

    @property
    def protocol(self) -> str:
        """RTP/AVP, udptl ..."""
        return self.fields[2]

    @property
    def formats(self) -> list[str]:
        """The format words as they stand."""
        return self.fields[3:]

    @property
    def rejected(self) -> bool:
        """Whether the stream is off for good (port 0)."""
        return self.port == 0

    def attributes(self, name: str) -> list[str]:
        """The values of `a=name:...` ("" for a flag)."""
        return _attributes(self.lines, name)

    def values(self, letter: str) -> list[str]:
        """The values of the lines of one letter."""
        return [line[2:] for line in self.lines if line[:2] == f"{letter}="]

    @property
    def direction(self) -> Direction | None:
        """The media's own direction, or None if it says none."""
        return _direction(self.lines)

    @property
    def codecs(self) -> Sequence[Format]:
        """The payload types that can be named, by rtpmap or by RFC 3551. Of RTP only."""
        return _codecs(self)

    @property
    def rtcp_port(self) -> int | None:
        """a=rtcp (RFC 3605), or None: then it is the RTP port plus one."""
        for value in self.attributes("rtcp"):
            return number_up_to(value.split()[0] if value.split() else "", 65535)
        return None

    @property
    def ptime(self) -> int | None:
        """a=ptime in milliseconds."""
        for value in self.attributes("ptime"):
            return number_up_to(value.strip(), 10_000)
        return None


@dataclass(frozen=True, slots=True)
class Sdp:
    """A session description: the session's lines, then each m-line with its own."""

    session: tuple[str, ...]
    media: tuple[Media, ...]
    end: str = "\r\n"
    """How each line ended; a lone LF is tolerated (RFC 8866 5) and kept."""
    finished: bool = True
    """Whether the last line ended too."""

    def __repr__(self) -> str:
        return f"<Sdp {len(self.session)} lines, {len(self.media)} streams>"

    @classmethod
    def parse(cls, data: bytes) -> Sdp:
        """Read a description. Raises SdpError unless it begins with v=0 and what we must understand can
        be read.
        """
        if len(data) > MAX_BYTES:
            raise SdpError("the session description is larger than 64 KiB")
        text = data.decode("utf-8", "surrogateescape")
        end = "\r\n" if "\r\n" in text else "\n"
        lines = text.split(end)
        finished = lines[-1] == ""
        while lines and lines[-1] == "":
            lines.pop()
        sdp = cls(*_sections(lines), end, finished)
        sdp._check()
        return sdp

    def _check(self) -> None:
        if not self.session or self.session[0].rstrip() != "v=0":
            raise SdpError("the session description does not begin with v=0")
        _ = self.origin
        for media in self.media:
            _ = media.port, media.codecs
            _ = self.address_of(media)

    def to_bytes(self) -> bytes:
        """The description on the wire; unchanged lines byte for byte."""
        lines = [*self.session, *(line for media in self.media for line in media.lines)]
        text = self.end.join(lines) + (self.end if self.finished else "")
        return text.encode("utf-8", "surrogateescape")

    @property
    def origin(self) -> Origin:
        """o=."""
        for line in self.session:
            if line[:2] == "o=":
                return Origin.parse(line[2:])
        raise SdpError("the session description has no o=")

    @property
    def connection(self) -> str | None:
        """The session's c= address."""
        return _connection(self.session)

    @property
    def audio(self) -> Media | None:
        """The first audio stream that is not off, or the first one at all, or None."""
        streams = [media for media in self.media if media.kind == "audio"]
        return next((media for media in streams if not media.rejected), streams[0] if streams else None)

    def address_of(self, media: Media) -> str | None:
        """Where a stream is to be sent: its own c=, else the session's."""
        own = _connection(media.lines)
        return own if own is not None else self.connection

    def direction_of(self, media: Media) -> Direction:
        """A stream's direction: its own, else the session's, else sendrecv; 0.0.0.0 is hold of old (RFC
        3264 8.4), and so is :: (what is sent there would come back to this very machine).
        """
        own = media.direction or _direction(self.session) or Direction.SENDRECV
        if self.address_of(media) in ("0.0.0.0", "::"):
            return _HELD.get(own, own)
        return own

    def with_media_at(self, index: int, media: Media) -> Sdp:
        """The description with one m-section replaced."""
        return replace(self, media=(*self.media[:index], media, *self.media[index + 1 :]))


DIRECTIONS: Final = frozenset(direction.value for direction in Direction)
_HELD: Final = {Direction.SENDRECV: Direction.SENDONLY, Direction.RECVONLY: Direction.INACTIVE}


def _sections(lines: list[str]) -> tuple[tuple[str, ...], tuple[Media, ...]]:
    if len(lines) > MAX_LINES:
        raise SdpError("the session description has too many lines")
    starts = []
    for number, line in enumerate(lines):
        if len(line) < 2 or line[1] != "=" or not "a" <= line[0] <= "z" or "\r" in line or "\n" in line:
            raise SdpError("a line of the session description is not letter=value")
        if line[0] == "m":
            starts.append(number)
    bounds = [*starts, len(lines)]
    media = tuple(Media(tuple(lines[a:b])) for a, b in pairwise(bounds))
    return tuple(lines[: bounds[0]]), media


def _attributes(lines: Iterable[str], name: str) -> list[str]:
    found = []
    for line in lines:
        if line[:2] == "a=":
            key, _, value = line[2:].partition(":")
            if key.strip() == name:
                found.append(value)
    return found


@functools.lru_cache(maxsize=256)
def _codecs(media: Media) -> tuple[Format, ...]:
    """Remembered, because a call asks some fifteen times for those of the same few m-sections (6 % of a set-up)."""
    if not media.protocol.upper().startswith(("RTP/", "UDP/TLS/RTP/")):
        return ()
    maps = dict(_payload(value) for value in media.attributes("rtpmap"))
    params = dict(_payload(value) for value in media.attributes("fmtp"))
    found = []
    for word in media.formats:
        number = number_up_to(word, 127)
        if number is None:
            continue
        name, clock, channels = _rtpmap(maps.get(number), number)
        if name:
            found.append(Format(number, name, clock, channels, params.get(number, "")))
    return tuple(found)


def _direction(lines: Iterable[str]) -> Direction | None:
    words = [line[2:].strip() for line in lines if line[:2] == "a="]
    return next((Direction(word) for word in words if word in DIRECTIONS), None)


def _connection(lines: Iterable[str]) -> str | None:
    for line in lines:
        if line[:2] == "c=":
            words = line[2:].split()
            if len(words) != 3:
                raise SdpError("c= has not three fields")
            return words[2].partition("/")[0]
    return None


def _payload(value: str) -> tuple[int | None, str]:
    word, _, rest = value.strip().partition(" ")
    return number_up_to(word, 127), rest.strip()


def _rtpmap(value: str | None, number: int) -> tuple[str, int, int]:
    """Name, clock and channels; an rtpmap that cannot be read names nothing."""
    if value is None:
        return STATIC_NAMES.get(number, ""), 8000, 1
    name, _, rest = value.partition("/")
    clock, _, channels = rest.partition("/")
    rate = number_up_to(clock.strip(), 10_000_000)
    if not name or rate is None:
        return "", 0, 0
    return encoding(name.strip()), rate, number_up_to(channels.strip() or "1", 255) or 1


def number_up_to(text: str, limit: int) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 8 or int(text) > limit:
        return None
    return int(text)
