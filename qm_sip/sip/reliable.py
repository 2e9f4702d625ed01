"""Reliable provisional responses (RFC 3262), one leg's bookkeeping of them, for either end.

The theory. A 1xx may be lost, and nobody would know. So one end may number its 1xx above 100 (`RSeq`, counted per
INVITE) and say `Require: 100rel`; the other acknowledges each with a PRACK, a request of its own that names number and
INVITE (`RAck`). The sender repeats what is not acknowledged after T1, 2*T1, 4*T1 ..., over every transport, and gives
the call up after 64*T1 (3). The next one waits until the last is acknowledged; so does a 2xx, if that 1xx brought a
session description, for it takes part in offer and answer (5). The receiver takes the numbers of each answering end in
order and without a gap, and thinks nothing of the rest (4): what it did not take is sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from qm_sip.sip.core import Core, HeaderList
from qm_sip.sip.message import Message, Request, Response
from qm_sip.sip.rack import RAck
from qm_sip.sip.timers import Timer
from qm_sip.sip.transaction import Transaction

TAG: Final = "100rel"
_FIRST: Final = 2**31 - 1  # the highest number to begin with (3)


def tagged(message: Message, name: str) -> bool:
    """Whether the header lists the option tag."""
    return any(tag.lower() == TAG for tag in message.values(name))


# ---------------------------------------------------------------------- the sender


@dataclass(slots=True, eq=False)
class Unpracked:
    """A reliable 1xx that waits for its PRACK."""

    rack: RAck
    tag: str
    described: bool  # it brought a session description
    data: bytes = field(repr=False)
    give_up: float
    interval: float
    timer: Timer | None = None


class ReliableSender:
    """At most one is on its way. `lost` is called when it never arrived."""

    def __init__(self, core: Core, invite: Transaction, lost: Callable[[float], None]) -> None:
        self._core, self._invite, self._lost = core, invite, lost
        self._number = 0
        self.waiting: Unpracked | None = None

    def headers(self) -> HeaderList:
        """What makes the next 1xx a reliable one."""
        self._number = self._number + 1 if self._number else self._core.rng.randint(1, _FIRST)
        return [("Require", TAG), ("RSeq", str(self._number))]

    def sent(self, tag: str, now: float, *, described: bool) -> None:
        """It has just been sent."""
        timers = self._core.settings.timers
        rack = RAck(self._number, self._invite.request.cseq)
        data = self._invite.data
        self.waiting = Unpracked(rack, tag, described, data, now + timers.t64, timers.t1)
        self._repeat_later(self.waiting, now)

    def _repeat_later(self, waiting: Unpracked, now: float) -> None:
        due = min(now + waiting.interval, waiting.give_up)
        waiting.timer = self._core.timers.start(due, lambda at: self._repeat(waiting, at))

    def _repeat(self, waiting: Unpracked, now: float) -> None:
        if now >= waiting.give_up:
            self.waiting = None
            self._lost(now)
            return
        self._core.send(waiting.data, self._invite.destination, self._invite.local)
        waiting.interval *= 2
        self._repeat_later(waiting, now)

    def acknowledged(self, request: Request) -> Unpracked | None:
        """What this PRACK acknowledges; None if there is no such response (then it gets 481)."""
        waiting = self.waiting
        if waiting is None or waiting.tag != request.to.tag:
            return None
        if RAck.parse(request.require("rack")) != waiting.rack:
            return None
        self.stop()
        self.waiting = None
        return waiting

    def stop(self) -> None:
        """Repeat it no more; its PRACK may still come (3)."""
        if self.waiting is not None and self.waiting.timer is not None:
            self.waiting.timer.cancel()


# ---------------------------------------------------------------------- the receiver


class ReliableReceiver:
    """The numbers that the answering ends of one INVITE have reached."""

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}  # by To tag

    @staticmethod
    def number(response: Response) -> int | None:
        """Its RSeq, if it is a reliable 1xx."""
        text = response.get("rseq")
        if text is None or not (text.isascii() and text.isdigit() and len(text) <= 10):
            return None
        return int(text) if response.to.tag and tagged(response, "require") else None

    def takes(self, response: Response, number: int) -> bool:
        """Whether it is the next one of its end: not a copy, and none before it is missing (4)."""
        tag = response.to.tag or ""
        if number != self._reached.get(tag, number - 1) + 1:
            return False
        self._reached[tag] = number
        return True
