"""The text of Asterisk's manager interface (AMI): lines of `Key: value`, ended by an empty one.

    Event: BridgeEnter          Action: Ping
    Channel: PJSIP/1001-0003    ActionID: 7
    ChanVariable: QM_LEG=...

A key may come more than once (`ChanVariable`), so a message is a list. Whoever talks to us here can start calls in
Asterisk, yet is not believed to be sane: messages have a largest size, bytes that are no UTF-8 are replaced, and a line
without a colon is passed over. What we write never holds a line's end of somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from qm_sip.errors import BrokenInvariant, QmSipError

MOST: Final = 64 * 1024
"""Bytes of one message. Asterisk's longest holds an AppData of 8 KiB."""
END: Final = b"\r\n\r\n"
GREETING: Final = b"Asterisk Call Manager/"
BORING: Final = frozenset(
    b"AgentCalled AgentComplete AgentConnect AgentRingNoAnswer BridgeCreate BridgeTechnology CEL"
    b" Cdr ChallengeSent ContactStatus DTMFBegin DTMFEnd DeviceStateChange DialEnd DialState"
    b" EndpointDetail ExtensionStatus HangupRequest Load LocalBridge LocalOptimizationBegin"
    b" LocalOptimizationEnd MusicOnHoldStart MusicOnHoldStop Newexten PeerStatus"
    b" PresenceStateChange QueueCallerAbandon QueueCallerJoin QueueCallerLeave QueueMemberPause"
    b" QueueMemberPenalty QueueMemberStatus RTCPReceived RTCPSent Registry Reload SoftHangupRequest"
    b" SuccessfulAuth Unload VarSet".split()
)
"""Events that tell of nothing we ask: most of what a busy Asterisk says. They are not read."""

Fields = Sequence[tuple[str, str]]


class AmiError(QmSipError):
    """What came is not AMI, or the login was refused: the connection is of no use."""


@dataclass(frozen=True)
class Message:
    """An event or a response."""

    fields: tuple[tuple[str, str], ...]

    @cached_property
    def _first(self) -> dict[str, str]:
        return dict(reversed(self.fields))

    def get(self, key: str) -> str:
        """The first value of that key; empty if there is none."""
        return self._first.get(key, "")

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

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield what is whole now. Raises AmiError for what cannot be AMI."""
        self._rest += data
        if self.greeting is None and not self._greeted():
            return
        *whole, self._rest = self._rest.split(END)
        for text in whole:
            if len(text) > MOST:
                break
            if not _is_boring(text) and (fields := _fields(text)):
                yield Message(fields)
        if len(self._rest) > MOST or any(len(text) > MOST for text in whole):
            raise AmiError("a message that does not end")

    def _greeted(self) -> bool:
        line, end, rest = self._rest.partition(b"\r\n")
        if not (line.startswith(GREETING) if end else GREETING.startswith(line[: len(GREETING)])):
            raise AmiError("whoever answers there is no Asterisk manager")
        if end:
            self.greeting, self._rest = line.decode("utf-8", "replace"), rest
        elif len(line) > MOST:
            raise AmiError("a greeting that does not end")
        return bool(end)


def _is_boring(text: bytes) -> bool:
    """An event begins with its name; the item of a list that was asked for is always read."""
    return (
        text.startswith(b"Event: ")
        and text[7:].split(b"\r\n", 1)[0] in BORING
        and b"\nActionID: " not in text
    )


def _fields(text: bytes) -> tuple[tuple[str, str], ...]:
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").split("\r\n"))
    return tuple((name, value.removeprefix(" ")) for name, colon, value in lines if colon)


def written(fields: Fields) -> bytes:
    """An action as bytes."""
    for name, value in fields:
        if any(end in text for end in "\r\n" for text in (name, value)):
            raise BrokenInvariant("a line's end was about to be written into an AMI action")
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\n"
