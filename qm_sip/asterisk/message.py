"""The text of Asterisk's manager interface (AMI): lines of `Key: value`, ended by an empty one.

    Event: BridgeEnter          Action: Ping
    Channel: PJSIP/1001-0003    ActionID: 7
    ChanVariable: QM_LEG=...

A key may come more than once (`ChanVariable`), so a message is a list. Whoever talks to us here can start calls in
Asterisk, yet is not believed to be sane: lines and messages have a largest size, bytes that are no UTF-8 are replaced,
and a line without a colon is passed over. What we write never holds a line's end of somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from qm_sip.errors import BrokenInvariant, QmSipError

MOST_LINE: Final = 16 * 1024
"""Bytes of one line. Asterisk's own longest is a dialplan's AppData, of 8 KiB."""
MOST_LINES: Final = 1000
"""Lines of one message."""

Fields = Sequence[tuple[str, str]]


class AmiError(QmSipError):
    """What came is not AMI, or the login was refused: the connection is of no use."""


@dataclass(frozen=True)
class Message:
    """An event or a response."""

    fields: tuple[tuple[str, str], ...]

    def get(self, key: str) -> str:
        """The first value of that key; empty if there is none."""
        return next((value for name, value in self.fields if name == key), "")

    def all(self, key: str) -> list[str]:
        """Every value of that key."""
        return [value for name, value in self.fields if name == key]

    @property
    def event(self) -> str:
        return self.get("Event")

    def variables(self, prefix: str = "") -> dict[str, str]:
        """The channel variables that `channelvars` adds; `prefix`: of which of several channels (`Dest`)."""
        pairs = (value.partition("=") for value in self.all(f"{prefix}ChanVariable"))
        return {name: value for name, _, value in pairs if value}


class Reader:
    """Bytes become messages. The first line of a connection is Asterisk's greeting, which is none."""

    def __init__(self) -> None:
        self.greeting: str | None = None
        self._rest = b""
        self._lines: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield what is whole now. Raises AmiError for what cannot be AMI."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))
        if len(self._rest) > MOST_LINE:
            raise AmiError("a line that does not end")

    def _line(self, line: bytes) -> Iterator[Message]:
        if len(line) > MOST_LINE:
            raise AmiError("a line that is too long")
        text = line.decode("utf-8", "replace")
        if self.greeting is None:
            if not text.startswith("Asterisk Call Manager/"):
                raise AmiError("whoever answers there is no Asterisk manager")
            self.greeting = text
        elif not text:
            yield from self._whole()
        else:
            self._add(text)

    def _add(self, text: str) -> None:
        name, colon, value = text.partition(":")
        if len(self._lines) >= MOST_LINES:
            raise AmiError("a message that does not end")
        if colon:
            self._lines.append((name, value.removeprefix(" ")))

    def _whole(self) -> Iterator[Message]:
        if self._lines:
            yield Message(tuple(self._lines))
        self._lines = []


def written(fields: Fields) -> bytes:
    """An action as bytes."""
    for name, value in fields:
        if any(end in text for end in "\r\n" for text in (name, value)):
            raise BrokenInvariant("a line's end was about to be written into an AMI action")
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\n"
