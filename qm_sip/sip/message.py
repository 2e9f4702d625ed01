"""SIP messages: a start line, an ordered list of raw headers, a body (RFC 3261 section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Header(NamedTuple):
    """One header as it stood on the wire. `key` is the lower-case long name, `raw` the line(s) without CRLF."""

    key: str
    value: str
    raw: str


class Message:
    """What requests and responses share."""

    def __init__(self, headers: Iterable[Header | tuple[str, str]] = (), body: bytes = b"") -> None:
        self.headers: Sequence[Header] = [
            h if isinstance(h, Header) else Header(h[0].lower(), h[1], f"{h[0]}: {h[1]}") for h in headers
        ]
        self.body = body

    def get(self, name: str) -> str | None:
        """The first value of a header, or None."""
        key = name.lower()
        return next((h.value for h in self.headers if h.key == key), None)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        key = name.lower()
        return [h.value for h in self.headers if h.key == key]


class Request(Message):
    """A SIP request."""

    def __init__(
        self, method: str, uri: str, headers: Iterable[Header | tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.method, self.uri = method, uri


class Response(Message):
    """A SIP response."""

    def __init__(
        self, status: int, reason: str, headers: Iterable[Header | tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.status, self.reason = status, reason
