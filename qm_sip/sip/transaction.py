"""Transactions: a request, its responses and their retransmission, as four tables (RFC 3261 17, RFC 6026).

The theory. Over UDP anything may be lost, doubled or late. A client repeats its request until the first
sign of life; a server answers every copy with the same answer. INVITE is apart because a human takes his
time: its server gives a provisional answer at once, its client then waits without end (timer B runs in
Calling only), and its final answer is confirmed by ACK. A failure is acknowledged here, hop by hop; a
success end to end by the user, which is why RFC 6026 gave both sides the state Accepted: the 2xx pass
through, the transaction only stays to recognise copies.

Each table says, per state and event: the next state and what to do, in order. What is not in a table is
ignored, and that is lawful (a late copy, a 1xx after the final answer).

Timers (17, table 4), on an unreliable transport:
  A T1 doubling without cap, B 64*T1, D 32 s, E T1 doubling up to T2, F 64*T1, G T1 doubling up to T2, H
  64*T1, I T4, J 64*T1, K T4, L 64*T1, M 64*T1.
On a reliable one (`Address.reliable`) nothing is repeated and no copy is waited for: A, E and G are off, D, I, J and K
zero. L and M stay, because the user repeats its 2xx on every transport (13.3.1.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, Response
from qm_sip.sip.timers import Timer, Timers


class Word(Enum):
    """A member is the only one of its kind, so it can be looked up by what it is instead of by its name: a table is
    asked some sixty times in a call.
    """

    __hash__ = object.__hash__


class Kind(Word):
    """Which of the four machines."""

    CLIENT_INVITE = auto()
    CLIENT = auto()
    SERVER_INVITE = auto()
    SERVER = auto()


class State(Word):
    """The states of figures 5 to 8 of RFC 3261, and Accepted of RFC 6026."""

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Event(Word):
    """What can happen to a transaction: from the wire, from its user, from its clock."""

    GOT_REQUEST = auto()
    GOT_ACK = auto()
    GOT_1XX = auto()
    GOT_2XX = auto()
    GOT_FAILURE = auto()
    SEND_1XX = auto()
    SEND_2XX = auto()
    SEND_FAILURE = auto()
    RESEND = auto()  # A, E, G
    GIVE_UP = auto()  # B, F, H
    EXPIRE = auto()  # D, I, J, K, L, M
    UNREACHABLE = auto()


class Do(Word):
    """What a transition asks to be done."""

    SEND = auto()  # the request or the last response
    PASS = auto()  # hand the message to the user
    PASS_ACK = auto()
    ACK = auto()  # acknowledge a failure
    TIMED_OUT = auto()
    FAILED = auto()
    START_A = auto()
    START_B = auto()
    START_D = auto()
    START_E = auto()
    START_F = auto()
    START_G = auto()
    START_H = auto()
    START_I = auto()
    START_J = auto()
    START_K = auto()
    START_LM = auto()
    SLOW_E = auto()  # in Proceeding a request is repeated every T2
    AGAIN = auto()  # let the resend timer run on
    STOP_RESEND = auto()
    STOP_GIVE_UP = auto()


S, E = State, Event
Table = Mapping[tuple[State, Event], tuple[State, tuple[Do, ...]]]

_STOP: Final = (Do.STOP_RESEND, Do.STOP_GIVE_UP)

CLIENT_INVITE: Final[Table] = {  # figure 5, RFC 6026 figure 5
    (S.CALLING, E.RESEND): (S.CALLING, (Do.SEND, Do.AGAIN)),
    (S.CALLING, E.GIVE_UP): (S.TERMINATED, (Do.TIMED_OUT,)),
    (S.CALLING, E.UNREACHABLE): (S.TERMINATED, (Do.FAILED,)),
    (S.CALLING, E.GOT_1XX): (S.PROCEEDING, (*_STOP, Do.PASS)),
    (S.CALLING, E.GOT_2XX): (S.ACCEPTED, (*_STOP, Do.START_LM, Do.PASS)),
    (S.CALLING, E.GOT_FAILURE): (S.COMPLETED, (*_STOP, Do.START_D, Do.ACK, Do.PASS)),
    (S.PROCEEDING, E.GOT_1XX): (S.PROCEEDING, (Do.PASS,)),
    (S.PROCEEDING, E.GOT_2XX): (S.ACCEPTED, (Do.START_LM, Do.PASS)),
    (S.PROCEEDING, E.GOT_FAILURE): (S.COMPLETED, (Do.START_D, Do.ACK, Do.PASS)),
    (S.ACCEPTED, E.GOT_2XX): (S.ACCEPTED, (Do.PASS,)),
    (S.ACCEPTED, E.EXPIRE): (S.TERMINATED, ()),
    (S.COMPLETED, E.GOT_FAILURE): (S.COMPLETED, (Do.ACK,)),
    (S.COMPLETED, E.EXPIRE): (S.TERMINATED, ()),
}

CLIENT: Final[Table] = {  # figure 6
    (S.TRYING, E.RESEND): (S.TRYING, (Do.SEND, Do.AGAIN)),
    (S.TRYING, E.GIVE_UP): (S.TERMINATED, (Do.TIMED_OUT,)),
    (S.TRYING, E.UNREACHABLE): (S.TERMINATED, (Do.FAILED,)),
    (S.TRYING, E.GOT_1XX): (S.PROCEEDING, (Do.SLOW_E, Do.PASS)),
    (S.TRYING, E.GOT_2XX): (S.COMPLETED, (*_STOP, Do.START_K, Do.PASS)),
    (S.TRYING, E.GOT_FAILURE): (S.COMPLETED, (*_STOP, Do.START_K, Do.PASS)),
    (S.PROCEEDING, E.RESEND): (S.PROCEEDING, (Do.SEND, Do.SLOW_E)),
    (S.PROCEEDING, E.GIVE_UP): (S.TERMINATED, (Do.TIMED_OUT,)),
    (S.PROCEEDING, E.UNREACHABLE): (S.TERMINATED, (Do.FAILED,)),
    (S.PROCEEDING, E.GOT_1XX): (S.PROCEEDING, (Do.PASS,)),
    (S.PROCEEDING, E.GOT_2XX): (S.COMPLETED, (*_STOP, Do.START_K, Do.PASS)),
    (S.PROCEEDING, E.GOT_FAILURE): (S.COMPLETED, (*_STOP, Do.START_K, Do.PASS)),
    (S.COMPLETED, E.EXPIRE): (S.TERMINATED, ()),
}

SERVER_INVITE: Final[Table] = {  # figure 7, RFC 6026 figure 7
    (S.PROCEEDING, E.GOT_REQUEST): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, E.SEND_1XX): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, E.SEND_2XX): (S.ACCEPTED, (Do.SEND, Do.START_LM)),
    (S.PROCEEDING, E.SEND_FAILURE): (S.COMPLETED, (Do.SEND, Do.START_G, Do.START_H)),
    (S.ACCEPTED, E.GOT_REQUEST): (S.ACCEPTED, ()),  # the user repeats the 2xx by itself
    (S.ACCEPTED, E.SEND_2XX): (S.ACCEPTED, (Do.SEND,)),
    (S.ACCEPTED, E.GOT_ACK): (S.ACCEPTED, (Do.PASS_ACK,)),
    (S.ACCEPTED, E.EXPIRE): (S.TERMINATED, ()),
    (S.COMPLETED, E.GOT_REQUEST): (S.COMPLETED, (Do.SEND,)),
    (S.COMPLETED, E.RESEND): (S.COMPLETED, (Do.SEND, Do.AGAIN)),
    (S.COMPLETED, E.GOT_ACK): (S.CONFIRMED, (*_STOP, Do.START_I)),
    (S.COMPLETED, E.GIVE_UP): (S.TERMINATED, (Do.TIMED_OUT,)),
    (S.CONFIRMED, E.EXPIRE): (S.TERMINATED, ()),
}

SERVER: Final[Table] = {  # figure 8
    (S.TRYING, E.SEND_1XX): (S.PROCEEDING, (Do.SEND,)),
    (S.TRYING, E.SEND_2XX): (S.COMPLETED, (Do.SEND, Do.STOP_GIVE_UP, Do.START_J)),
    (S.TRYING, E.SEND_FAILURE): (S.COMPLETED, (Do.SEND, Do.STOP_GIVE_UP, Do.START_J)),
    # Not in figure 8: a user that never answers. After 64*T1 the client is gone, and a 408 would be wrong
    # (RFC 4320).
    (S.TRYING, E.GIVE_UP): (S.TERMINATED, (Do.TIMED_OUT,)),
    (S.PROCEEDING, E.GIVE_UP): (S.TERMINATED, (Do.TIMED_OUT,)),
    (S.PROCEEDING, E.GOT_REQUEST): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, E.SEND_1XX): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, E.SEND_2XX): (S.COMPLETED, (Do.SEND, Do.STOP_GIVE_UP, Do.START_J)),
    (S.PROCEEDING, E.SEND_FAILURE): (S.COMPLETED, (Do.SEND, Do.STOP_GIVE_UP, Do.START_J)),
    (S.COMPLETED, E.GOT_REQUEST): (S.COMPLETED, (Do.SEND,)),
    (S.COMPLETED, E.EXPIRE): (S.TERMINATED, ()),
}

TABLES: Final[Mapping[Kind, Table]] = {
    Kind.CLIENT_INVITE: CLIENT_INVITE,
    Kind.CLIENT: CLIENT,
    Kind.SERVER_INVITE: SERVER_INVITE,
    Kind.SERVER: SERVER,
}

_BEGINS: Final = {
    Kind.CLIENT_INVITE: (State.CALLING, (Do.SEND, Do.START_A, Do.START_B)),
    Kind.CLIENT: (State.TRYING, (Do.SEND, Do.START_E, Do.START_F)),
    Kind.SERVER_INVITE: (State.PROCEEDING, ()),
    Kind.SERVER: (State.TRYING, (Do.START_F,)),
}


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """RFC 3261 17.1.1.1 and table 4, seconds."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    timer_d: float = 32.0

    @property
    def t64(self) -> float:
        """How long anything is repeated before it is given up."""
        return 64 * self.t1


class Shell(Protocol):
    """What a transaction needs from outside: the network, and to be forgotten."""

    timers: Timers
    settings: TimerSettings

    def send(self, data: bytes, destination: Address, local: Address) -> None:
        """Put bytes on the wire."""

    def acknowledge(self, transaction: Transaction, response: Response) -> bytes:
        """The ACK to a failure (17.1.1.3)."""

    def forget(self, transaction: Transaction, now: float) -> None:
        """It has terminated."""


class User(Protocol):
    """The transaction user (TU): whoever started it, or to whom its request was handed."""

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response that is not a copy."""

    def on_ack(self, transaction: Transaction, request: Request, now: float) -> None:
        """An ACK to a 2xx that matched the transaction itself (RFC 2543 peers)."""

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Nobody answered (B, F), or nobody acknowledged (H)."""

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """The network refused."""

    def on_terminated(self, transaction: Transaction, now: float) -> None:
        """The end; always the last call."""


class Transaction:
    """One transaction: a state, its timers, and the bytes it repeats."""

    __slots__ = (
        "_expire",
        "_give_up",
        "_interval",
        "_message",
        "_resend",
        "_shell",
        "_table",
        "data",
        "destination",
        "key",
        "kind",
        "local",
        "repeated",
        "request",
        "state",
        "user",
    )

    def __init__(
        self,
        kind: Kind,
        key: tuple[object, ...],
        request: Request,
        destination: Address,
        local: Address,
        user: User,
        shell: Shell,
    ) -> None:
        self.kind, self.key, self.request, self.user = kind, key, request, user
        self.destination, self.local = destination, local
        self.data = b""
        self.repeated = False  # it was sent again because its connection was lost
        self._shell, self._table = shell, TABLES[kind]
        self._resend: Timer | None = None
        self._give_up: Timer | None = None
        self._expire: Timer | None = None
        self._interval = 0.0
        self._message: Request | Response | None = None
        self.state = _BEGINS[kind][0]

    @property
    def over(self) -> bool:
        """Whether it has terminated."""
        return self.state is State.TERMINATED

    @property
    def answered(self) -> bool:
        """Whether a final response has been seen or given."""
        return self.state not in (State.CALLING, State.TRYING, State.PROCEEDING)

    def begin(self, now: float) -> None:
        """Enter the first state."""
        if self.kind in (Kind.CLIENT, Kind.CLIENT_INVITE):
            self.data = self.request.to_bytes()
        for do in _BEGINS[self.kind][1]:
            _DOING[do](self, now)

    def fire(self, event: Event, now: float, message: Request | Response | None = None) -> None:
        """The one door for change. An event the table does not know in this state changes nothing."""
        step = self._table.get((self.state, event))
        if step is None:
            return
        self.state, doings = step
        self._message = message
        for do in doings:
            _DOING[do](self, now)
        self._message = None
        if self.state is State.TERMINATED:
            self._end(now)

    def respond(self, response: Response, now: float) -> None:
        """The user's answer (server transactions)."""
        event = _sending(response.status)
        if (self.state, event) in self._table:
            self.data = response.to_bytes()
            self.fire(event, now)

    def receive(self, response: Response, now: float) -> None:
        """A response from the wire (client transactions)."""
        self.fire(_getting(response.status), now, response)

    def kill(self, now: float) -> None:
        """End it without a word (a CANCEL that was never heeded, 9.1)."""
        if self.state is not State.TERMINATED:
            self.state = State.TERMINATED
            self._end(now)

    def lost(self, now: float) -> None:
        """The connection that its request took is gone, and nobody knows whether it had arrived. Once it is sent again
        (a new connection is made for it; a peer that has it already sees a copy); then it counts as unreachable. So is
        a failure that waits for its ACK: nothing else would repeat it on a stream.
        """
        waits = State.COMPLETED if self.kind is Kind.SERVER_INVITE else State.TRYING
        if self.kind is Kind.SERVER or self.state not in (State.CALLING, waits):
            return  # the peer has it, and may answer on a connection of its own (18.2.2)
        if self.repeated:
            self.fire(Event.UNREACHABLE, now)
        else:
            self.repeated = True
            self._send(now)

    def _end(self, now: float) -> None:
        for timer in (self._resend, self._give_up, self._expire):
            if timer is not None:
                timer.cancel()
        self._shell.forget(self, now)
        self.user.on_terminated(self, now)

    # What the tables ask for.

    def _send(self, now: float) -> None:
        if self.data:
            self._shell.send(self.data, self.destination, self.local)

    def _pass(self, now: float) -> None:
        assert isinstance(self._message, Response)
        self.user.on_response(self, self._message, now)

    def _pass_ack(self, now: float) -> None:
        assert isinstance(self._message, Request)
        self.user.on_ack(self, self._message, now)

    def _ack(self, now: float) -> None:
        assert isinstance(self._message, Response)
        self._shell.send(self._shell.acknowledge(self, self._message), self.destination, self.local)

    def _timed_out(self, now: float) -> None:
        self.user.on_timeout(self, now)

    def _failed(self, now: float) -> None:
        self.user.on_unreachable(self, now)

    def _start_resend(self, now: float) -> None:
        if self.local.reliable:
            return
        self._interval = self._shell.settings.t1
        self._resend_in(self._interval, now)

    def _slow(self, now: float) -> None:
        if self.local.reliable:
            return
        self._interval = self._shell.settings.t2
        self._resend_in(self._interval, now)

    def _again(self, now: float) -> None:
        # A doubles without cap, E and G stop at T2 (17.1.1.2, 17.1.2.2, 17.2.1).
        self._interval *= 2
        if self.kind is not Kind.CLIENT_INVITE:
            self._interval = min(self._interval, self._shell.settings.t2)
        self._resend_in(self._interval, now)

    def _resend_in(self, seconds: float, now: float) -> None:
        self._stop_resend(now)
        self._resend = self._shell.timers.start(now + seconds, self._on_resend)

    def _on_resend(self, now: float) -> None:
        self.fire(Event.RESEND, now)

    def _start_give_up(self, now: float) -> None:
        self._give_up = self._shell.timers.start(now + self._shell.settings.t64, self._on_give_up)

    def _on_give_up(self, now: float) -> None:
        self.fire(Event.GIVE_UP, now)

    def _stop_resend(self, now: float) -> None:
        if self._resend is not None:
            self._resend.cancel()

    def _stop_give_up(self, now: float) -> None:
        if self._give_up is not None:
            self._give_up.cancel()

    def _expire_in(self, seconds: float, now: float) -> None:
        self._expire = self._shell.timers.start(now + seconds, self._on_expire)

    def _on_expire(self, now: float) -> None:
        self.fire(Event.EXPIRE, now)

    def _expire_unless_reliable(self, seconds: float, now: float) -> None:
        self._expire_in(0.0 if self.local.reliable else seconds, now)

    def _start_d(self, now: float) -> None:
        self._expire_unless_reliable(self._shell.settings.timer_d, now)

    def _start_t4(self, now: float) -> None:
        self._expire_unless_reliable(self._shell.settings.t4, now)

    def _start_j(self, now: float) -> None:
        self._expire_unless_reliable(self._shell.settings.t64, now)

    def _start_lm(self, now: float) -> None:
        self._expire_in(self._shell.settings.t64, now)


_DOING: Final[Mapping[Do, Callable[[Transaction, float], None]]] = {
    Do.SEND: Transaction._send,
    Do.PASS: Transaction._pass,
    Do.PASS_ACK: Transaction._pass_ack,
    Do.ACK: Transaction._ack,
    Do.TIMED_OUT: Transaction._timed_out,
    Do.FAILED: Transaction._failed,
    Do.START_A: Transaction._start_resend,
    Do.START_B: Transaction._start_give_up,
    Do.START_D: Transaction._start_d,
    Do.START_E: Transaction._start_resend,
    Do.START_F: Transaction._start_give_up,
    Do.START_G: Transaction._start_resend,
    Do.START_H: Transaction._start_give_up,
    Do.START_I: Transaction._start_t4,
    Do.START_J: Transaction._start_j,
    Do.START_K: Transaction._start_t4,
    Do.START_LM: Transaction._start_lm,
    Do.SLOW_E: Transaction._slow,
    Do.AGAIN: Transaction._again,
    Do.STOP_RESEND: Transaction._stop_resend,
    Do.STOP_GIVE_UP: Transaction._stop_give_up,
}


def _getting(status: int) -> Event:
    return Event.GOT_1XX if status < 200 else Event.GOT_2XX if status < 300 else Event.GOT_FAILURE


def _sending(status: int) -> Event:
    return Event.SEND_1XX if status < 200 else Event.SEND_2XX if status < 300 else Event.SEND_FAILURE
