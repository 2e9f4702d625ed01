"""One connection to Asterisk's manager, sans-IO: bytes and `now` in, bytes and happenings out.

    Greeting -> Challenged -> LoggingIn -> Looking -> Up
                 (md5 only)               (Ping, CoreShowChannels)

- The secret never crosses in clear: Asterisk is asked for a challenge (MD5), or the connection is TLS.
- `Looking`: what happened before we came is unknown. One list of all channels and their bridges is asked for; what
  Asterisk tells meanwhile is handed on with it, and is right in the end whichever comes first.
- A Ping every `PING` seconds says whether Asterisk still answers, and how its clock stands to ours. By that and the
  `Timestamp` of an event (`timestampevents=yes`) is known how late the event comes: TCP and a busy Asterisk deliver
  everything in order, but not soon. An event whose lateness is unknown is late.
- Several actions may be under way; each answer names its own.

A connection ends by `AmiError`: silence, nonsense, or a login that is refused. Whoever holds the socket begins anew.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from qm_sip.asterisk.message import AmiError, Fields, Message, Reader, written
from qm_sip.private import Private

PING: Final = 5.0  # seconds between signs of life
SILENCE: Final = 10.0  # seconds without an answer, then the connection is dead
LATE: Final = 1.0  # seconds, by which an event is late
MOST_PENDING: Final = 1000  # actions that wait for an answer
MOST_CHANNELS: Final = 50_000

Answer = Callable[[Message], None]
"""Whoever asked is told the response, and of a list each item."""


class State(StrEnum):
    GREETING = "greeting"
    CHALLENGED = "challenged"
    LOGGING_IN = "logging-in"
    LOOKING = "looking"
    UP = "up"


@dataclass(frozen=True)
class Account:
    """Who we are to Asterisk. `plain`: the secret itself is sent, for the connection is TLS."""

    user: str
    secret: Private[str]
    plain: bool = False


@dataclass(frozen=True)
class Told:
    """Asterisk tells that something happened; `late`: it may be so no more."""

    message: Message
    late: bool


@dataclass(frozen=True)
class Around:
    """All channels there are now, with their bridges. Whatever was known before is forgotten."""

    channels: tuple[Message, ...]


@dataclass(frozen=True)
class Booted:
    """Asterisk has (re)started: its lamps are as they were before."""


Happening = Told | Around | Booted


def nothing(message: Message) -> None:
    """Nobody waits for that answer."""


class Manager:
    """See the module's docstring."""

    def __init__(self, account: Account, now: float) -> None:
        self._account = account
        self.state = State.GREETING
        self._reader = Reader()
        self._out: list[bytes] = []
        self._pending: dict[str, Answer] = {}
        self._number = 0
        self._around: list[Message] = []
        self._deadline, self._next_ping = now + SILENCE, now + PING
        self._pinged = now
        self._ahead: float | None = None  # seconds that Asterisk's clock is ahead of ours
        self.unstamped = 0  # events without Timestamp
        self._events: list[Happening] = []

    @property
    def up(self) -> bool:
        """Whether all that Asterisk can tell is known."""
        return self.state is State.UP

    # ---------------------------------------------------------------- bytes

    def receive(self, data: bytes, now: float) -> list[Happening]:
        """What these bytes tell. Raises AmiError; the connection is over then."""
        for message in self._reader.feed(data):
            self._take(message, now)
        if self._reader.greeting is not None and self.state is State.GREETING:
            self._introduce()
        events, self._events = self._events, []
        return events

    def take(self) -> bytes:
        """What is to be sent."""
        data, self._out = b"".join(self._out), []
        return data

    def next_timer(self) -> float:
        """When `advance` is wanted next."""
        return min(self._deadline, self._next_ping)

    def advance(self, now: float) -> None:
        """Ask for a sign of life, or give up. Raises AmiError."""
        if now >= self._deadline:
            raise AmiError("Asterisk's manager does not answer")
        if now >= self._next_ping:
            self._next_ping = now + PING
            if self.state in (State.LOOKING, State.UP):
                self._ping(now)

    def ask(self, fields: Fields, answer: Answer = nothing) -> bool:
        """Have Asterisk do something. False: not now."""
        if self.state not in (State.LOOKING, State.UP) or len(self._pending) >= MOST_PENDING:
            return False
        self._send(fields, answer)
        return True

    def _send(self, fields: Fields, answer: Answer) -> None:
        self._number += 1
        name = str(self._number)
        self._pending[name] = answer
        self._out.append(written([*fields, ("ActionID", name)]))

    # ---------------------------------------------------------------- login

    def _introduce(self) -> None:
        if self._account.plain:
            self._log_in([("Secret", self._account.secret.reveal())])
        else:
            self.state = State.CHALLENGED
            self._send([("Action", "Challenge"), ("AuthType", "MD5")], self._challenged)

    def _challenged(self, answer: Message) -> None:
        challenge = answer.get("Challenge")
        if not challenge:
            raise AmiError("Asterisk's manager gives no MD5 challenge")
        secret = challenge + self._account.secret.reveal()
        key = hashlib.md5(secret.encode(), usedforsecurity=False).hexdigest()
        self._log_in([("AuthType", "MD5"), ("Key", key)])

    def _log_in(self, proof: Fields) -> None:
        self.state = State.LOGGING_IN
        self._send([("Action", "Login"), ("Username", self._account.user), *proof], self._logged_in)

    def _logged_in(self, answer: Message) -> None:
        if answer.get("Response") != "Success":
            raise AmiError("Asterisk's manager refuses our user or secret")
        self.state = State.LOOKING
        self._next_ping = 0.0  # at once
        self._send([("Action", "CoreShowChannels")], self._seen)

    def _seen(self, message: Message) -> None:
        match message.event:
            case "CoreShowChannel" if len(self._around) < MOST_CHANNELS:
                self._around.append(message)
            case "CoreShowChannel":
                raise AmiError("more channels than an Asterisk has")
            case "CoreShowChannelsComplete":
                self.state = State.UP
                self._events.append(Around(tuple(self._around)))
                self._around = []
            case _ if message.get("Response") == "Error":
                raise AmiError("our user may not see channels: write=reporting in manager.conf")

    # ---------------------------------------------------------------- what comes

    def _take(self, message: Message, now: float) -> None:
        self._deadline = now + SILENCE if self.state in (State.LOOKING, State.UP) else self._deadline
        name = message.get("ActionID")
        if name and name in self._pending:
            self._answered(name, message, now)
        elif message.event and self.state in (State.LOOKING, State.UP):
            self._events.extend(self._told(message, now))

    def _answered(self, name: str, message: Message, now: float) -> None:
        answer = self._pending[name]
        listed = message.get("EventList")
        if listed.lower() == "complete" or (message.get("Response") and listed.lower() != "start"):
            del self._pending[name]
        if message.get("Ping"):
            self._pong(message, now)
        answer(message)

    def _told(self, message: Message, now: float) -> Iterator[Happening]:
        if message.event == "FullyBooted":
            yield Booted()
        elif message.event == "Shutdown":
            raise AmiError("Asterisk is being stopped")
        else:
            yield Told(message, self._is_late(message, now))

    # ---------------------------------------------------------------- how late

    def _ping(self, now: float) -> None:
        self._pinged = now
        self._send([("Action", "Ping")], nothing)

    def _pong(self, message: Message, now: float) -> None:
        stamp = _seconds(message)
        if stamp is not None and now - self._pinged < LATE:
            self._ahead = stamp - (now + self._pinged) / 2

    def _is_late(self, message: Message, now: float) -> bool:
        stamp = _seconds(message)
        if stamp is None:
            self.unstamped += 1
        return stamp is None or self._ahead is None or now - (stamp - self._ahead) > LATE


def _seconds(message: Message) -> float | None:
    try:
        seconds = float(message.get("Timestamp"))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
