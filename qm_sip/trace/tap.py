"""The one place where signalling is looked at: each message as it came or goes, and whose it was.

A message waits until the turn of the loop that brought it is over; by then the switchboard has decided what it belongs
to (`Calls`). So of a call that must not be traced nothing has been kept in the meantime, and nothing has to be taken
back. The question is asked anew for every message, never answered from what is kept: a Call-ID may come twice, and the
second call may be one of which nothing exists (I8).

| what it belongs to | what is kept |
|---|---|
| a call | its bytes, without the bodies that may hold key presses or text (I10), and without keys (RFC 4568) |
| a private call | method or status, CSeq, when, which way (KSF15-3.9) |
| a confidential or emergency call, a one-leg call | nothing |
| an INVITE of a peer that became no call, and its answers | its bytes, unless a number in it is on a list of [never] |
| a stranger's | a count |
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

from qm_sip.sip.crypto import without_keys
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, header, parse
from qm_sip.trace.redact import heading
from qm_sip.trace.store import Line, Store, Trace

_CALL_ID: Final = re.compile(rb"\n(?:call-id|i)[ \t]*:([^\r\n]*)(?:\r\n([ \t]))?", re.IGNORECASE)
_TO_TAG: Final = re.compile(rb"\n(?:to|t)[ \t]*:[^\r\n]*;[ \t]*tag[ \t]*=", re.IGNORECASE)
_NO_BODY: Final = b"\r\n\r\n"
_SDP: Final = b"application/sdp"
_MOST_WAITING: Final = 5_000
"""Messages looked at between two times of making room."""


class Whose(Enum):
    CALL = auto()
    PRIVATE = auto()
    HIDDEN = auto()


class Belongs(NamedTuple):
    whose: Whose
    call: str = ""
    leg: str = ""


class Calls(Protocol):
    """What the tap asks of the rest of the program."""

    def of(self, call_id: str) -> Belongs | None:
        """What the legs of this Call-ID belong to, now; None: to no call."""

    def state(self, call: str) -> Belongs | None:
        """The same of a call by its own id; None: it is over."""

    def is_peer(self, source: Address) -> bool: ...

    def may_show(self, invite: Request, source: Address) -> bool:
        """Whether nobody of [never] is named in an INVITE that became no call, and no private wish or code."""


class Tap:
    """See the module's docstring."""

    def __init__(self, store: Store, calls: Calls) -> None:
        self.store = store
        self.strangers = 0
        """Messages of strangers that belonged to nothing."""
        self._calls = calls
        self._waiting: list[tuple[float, bool, bytes, Address, Address]] = []
        self._looked_at = 0
        self._numbers = 0

    # ---------------------------------------------------------------- told by the endpoint

    def heard(self, data: bytes, source: Address, local: Address, now: float) -> None:
        self._waiting.append((now, True, data, source, local))

    def sent(self, data: bytes, destination: Address, local: Address, now: float) -> None:
        self._waiting.append((now, False, data, destination, local))

    def settle(self) -> None:
        """The turn is over: put each message where it belongs, or nowhere."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for at, inbound, data, peer, local in waiting:
            call_id = call_id_of(data)
            if call_id is not None:
                self._put(call_id, at, inbound, data, peer, local)
            elif inbound and not self._calls.is_peer(peer):
                self.strangers += 1
        self._looked_at += len(waiting)
        if self._looked_at > _MOST_WAITING:
            self.sweep(waiting[-1][0])

    # ---------------------------------------------------------------- whose it is

    def _put(
        self, call_id: str, at: float, inbound: bool, data: bytes, peer: Address, local: Address
    ) -> None:
        belongs = self._calls.of(call_id)
        if belongs is None:
            self._belongs_to_none(call_id, at, inbound, data, peer, local)
            return
        known = self.store.named(call_id)
        if belongs.whose is Whose.HIDDEN:
            self._hide(call_id, belongs, known)
            return
        trace = self.store.call(belongs.call, at)
        if call_id in trace.shut:
            return
        if known is not trace:
            if known is not None and known.id in self.store.attempts:
                self._take_over(known, trace, belongs.leg)
            self.store.name(call_id, trace)
        if belongs.whose is Whose.PRIVATE:
            self._make_bare(trace)
        self._keep(trace, at, belongs.leg, inbound, data, peer, local)

    def _hide(self, call_id: str, belongs: Belongs, known: Trace | None) -> None:
        """Of this call nothing exists. What another of the same Call-ID has left is added to no more: a late message
        could be of either.
        """
        self.store.unname(call_id)
        if known is not None:
            known.shut.add(call_id)
        if known is not None and known.id in self.store.attempts:
            self.store.drop(known)
        self.hide(belongs.call)

    def _take_over(self, attempt: Trace, trace: Trace, leg: str) -> None:
        """What looked refused was a call after all."""
        lines = list(attempt)
        self.store.drop(attempt)
        for line in lines:
            trace.add(line._replace(leg=leg, number=trace.count + 1))

    def _belongs_to_none(
        self, call_id: str, at: float, inbound: bool, data: bytes, peer: Address, local: Address
    ) -> None:
        known = self.store.named(call_id)
        if known is not None:  # late: a copy, or the answer to one
            leg = next((line.leg for line in known if (line.peer, line.local) == (peer, local)), "caller")
            self._keep(known, at, leg, inbound, data, peer, local)
        elif not inbound:
            return
        elif not self._calls.is_peer(peer):
            self.strangers += 1
        elif data[:7].upper() == b"INVITE " and not _TO_TAG.search(data) and self._may_show(data, peer):
            self._numbers += 1
            trace = self.store.attempt(f"refused-{self._numbers}", at)
            self.store.name(call_id, trace)
            self._keep(trace, at, "caller", inbound, data, peer, local)

    def _may_show(self, data: bytes, peer: Address) -> bool:
        try:
            message = parse(data)
        except SipParseError:
            return False  # nobody can say who is in it
        return isinstance(message, Request) and self._calls.may_show(message, peer)

    # ---------------------------------------------------------------- how much of it

    def _keep(
        self, trace: Trace, at: float, leg: str, inbound: bool, data: bytes, peer: Address, local: Address
    ) -> None:
        kept = without_words(data)
        if kept is not None:
            line = Line(trace.count + 1, at, leg, inbound, without_keys(kept), peer, local)
            trace.add(_bare(line) if trace.private else line)

    def _make_bare(self, trace: Trace) -> None:
        if not trace.private:
            trace.private = True
            trace.replace([_bare(line) for line in trace])

    def hide(self, call: str) -> None:
        """It has turned confidential: what was kept of it is gone, at once."""
        trace = self.store.calls.get(call)
        if trace is not None:
            self.store.drop(trace)

    # ---------------------------------------------------------------- time

    def sweep(self, now: float) -> None:
        """About once a second: calls that ended, or changed without a message; and room."""
        self._looked_at = 0
        for trace in [one for one in self.store.calls.values() if not one.over]:
            state = self._calls.state(trace.id)
            if state is None:
                trace.over = True
            elif state.whose is Whose.HIDDEN:
                self.store.drop(trace)
            elif state.whose is Whose.PRIVATE:
                self._make_bare(trace)
        self.store.trim(now)


def call_id_of(data: bytes) -> str | None:
    """The Call-ID as the user agent reads it, or None. One that stands in the body is of no message."""
    begin = len(data) - len(data.lstrip(b"\r\n"))
    end = data.find(_NO_BODY, begin)
    found = _CALL_ID.search(data, begin, end if end >= 0 else len(data))
    if found is None:
        return None
    if found[2] is None:
        return found[1].decode("utf-8", "surrogateescape").strip(" \t")
    try:  # it is folded over several lines, which nobody does
        return parse(data).get("call-id")
    except SipParseError:
        return None


def without_words(data: bytes) -> bytes | None:
    """The same message without a body that is no session description: key presses, text, presence (I10). None if it
    cannot be read: what it holds nobody knows.
    """
    method = data[:8].upper()
    if data.find(_NO_BODY) == len(data) - len(_NO_BODY):
        return data
    if _SDP in data and not method.startswith((b"INFO", b"MESSAGE", b"NOTIFY")):
        return data
    try:
        message = parse(data)
    except SipParseError:
        return None
    if not message.body:
        return data
    gone = ("content-length", "content-type")
    message.headers = (*(h for h in message.headers if h.key not in gone), header("Content-Length", "0"))
    message.body = b""
    return message.to_bytes()


def _bare(line: Line) -> Line:
    """What may be known of a private call: that something passed, and what kind of thing."""
    if line.data is None:
        return line
    nobody = Address("0.0.0.0", 0, line.peer.transport)
    return line._replace(data=None, peer=nobody, local=nobody, bare=heading(line.data))
