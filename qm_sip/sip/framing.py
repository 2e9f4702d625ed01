"""Messages out of a stream of bytes (RFC 3261 7.5, 18.3), which has no edges but those that Content-Length draws.

    framer.receive(data)
    while (frame := framer.next()) is not None: ...

A frame is the bytes of one message, or `PING`: the double CRLF of RFC 5626 4.4.1 between messages, which is owed one
CRLF (`PONG`). A CRLF alone is ignored, unless a ping of ours was sent (`expect_pong`): then it is `PONG`, and four
bytes at once are a ping of the peer's all the same. However the bytes were cut on their way, the frames are the same.
Where no edge can be found (no Content-Length, two that differ, more than 64 KiB) all that follows is lost:
`FramingError`, and nothing but closing the connection helps.
"""

from __future__ import annotations

import re
from typing import Final

from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import MAX_BYTES

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"

# A header line of that name with the lines that continue it (7.3.1); each part ends where the next begins.
_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)", re.IGNORECASE)


class FramingError(SipParseError):
    """It cannot be told where this message ends."""


class Framer:
    """One direction of one connection."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # up to here there is no blank line
        self._size: int | None = None  # of the message at the front, once its headers are there
        self._pong_owed = False

    @property
    def partial(self) -> bool:
        """Whether a message has begun that is not whole yet."""
        return bool(self._buffer) and not PING.startswith(self._buffer)

    def expect_pong(self) -> None:
        """We have sent a ping: a CRLF between messages answers it, and two that came one by one are no ping."""
        self._pong_owed = True

    def receive(self, data: bytes) -> None:
        """Bytes that came. Call `next` until it gives None before the next ones."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next message, or `PING`, or None: more bytes are needed. Raises FramingError."""
        if self._size is None:
            if self._buffer.startswith(PONG):
                return self._pause()
            self._size = self._measure()
        if self._size is None or len(self._buffer) < self._size:
            return None
        return self._take(self._size)

    def _pause(self) -> bytes | None:
        """CRLFs where a message may begin: two are a ping; one is nothing, once it is known that no second comes."""
        seen = bytes(self._buffer[: len(PING)])
        if self._pong_owed and (seen == PONG or not PING.startswith(seen)):
            self._pong_owed = False
            return self._take(len(PONG))
        if seen == PING:
            return self._take(len(PING))
        if PING.startswith(seen):
            return None
        self._take(len(PONG))
        return self.next()

    def _measure(self) -> int | None:
        """How long the message at the front is, headers and body; None: its headers are not all here."""
        blank = self._buffer.find(b"\r\n\r\n", self._searched)
        if blank < 0:
            self._searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > self._limit:
                raise FramingError("the message is larger than 64 KiB", 513)
            return None
        size = blank + 4 + _content_length(bytes(self._buffer[:blank]))
        if size > self._limit:
            raise FramingError("the message is larger than 64 KiB", 513)
        return size

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._searched, self._size = 0, None
        return taken


def _content_length(head: bytes) -> int:
    """What all Content-Length headers agree on (20.14: on a stream there must be one)."""
    found = {b" ".join(value.split()) for value in _LENGTH.findall(head)}
    if not found:
        raise FramingError("a message on a stream has no Content-Length")
    value = found.pop()
    if found or not value.isdigit() or len(value) > 9:
        raise FramingError("Content-Length is not one number")
    return int(value)
