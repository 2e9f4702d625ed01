"""One subscription of somebody's who watches something of ours: the notifier's side (RFC 6665 4.2).

He is told at once, after every SUBSCRIBE, and whenever it stands otherwise than he was told last. One NOTIFY is under
way at a time and its document is written when it leaves, so what he gets is never older than what he got before, and of
several changes he learns the newest state alone. Unasked NOTIFYs keep a distance (`gap`).

    ACTIVE --- Expires: 0, time out, right withdrawn, server stops ---> LAST_WORD --- answered, or not ---> OVER
       \\______________ his NOTIFY fails: he knows nothing of it, or is not there ____________________________/

The last word says why: `timeout` (it ran out, or he ended it), `rejected` (without a document: he may not see it any
more), `deactivated` (the server stops: subscribe anew). A NOTIFY that fails ends the subscription without a word
(4.2.2), unless the failure says when to try again. Whoever was forgotten so gets 481 to his next SUBSCRIBE.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from qm_sip.sip.admission import Admitted, Refused
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.event_header import EventHeader
from qm_sip.sip.events import Address
from qm_sip.sip.limits import source_key
from qm_sip.sip.message import Request, Response, header
from qm_sip.sip.reply import reply, reply_address
from qm_sip.sip.timers import Timer
from qm_sip.sip.transaction import Transaction

if TYPE_CHECKING:
    from qm_sip.sip.publishing import Grant, Watches

MAX_FORWARDS: Final = 70
_MOST_OPEN: Final = 20  # SUBSCRIBEs whose copies are still waited for; more get 503
_MOST_TRIES: Final = 3  # of a NOTIFY that is answered "not now"
_LONGEST_WAIT: Final = 60  # seconds of a Retry-After that is waited for


class Phase(Enum):
    ACTIVE = auto()
    LAST_WORD = auto()
    OVER = auto()


class Watch:
    """See the module's docstring. It is the user of its transactions."""

    def __init__(
        self,
        watches: Watches,
        grant: Grant,
        event: EventHeader,
        request: Request,
        source: Address,
        local: Address,
        by: Admitted,
    ) -> None:
        self._watches, self._core = watches, watches.core
        self.grant, self.event, self.by = grant, event, by
        self.source = source_key(source.host)  # as it is counted
        self.dialog = Dialog.of_server(request, self._core.token(), source, local)
        self.phase = Phase.ACTIVE
        self._local = local
        self._reason = ""
        self._owed = False  # a NOTIFY, whether anything has changed or not
        self._said: Hashable | None = None  # what he was told last
        self._version = 0
        self._under_way: Transaction | None = None
        self._moved = False  # it goes by the connection he subscribed on, because his Contact is not there
        self._tries = 0
        self._quiet_until = float("-inf")
        self._until = 0.0
        self._expiry: Timer | None = None
        self._pause: Timer | None = None
        self._open: set[Transaction] = set()

    def talks_over(self, remote: Address, local: Address) -> bool:
        """Whether his news goes by this connection."""
        there = self._core.way(self.dialog.destination(), self._local)[0]
        return remote in (self.dialog.first_hop, there) and local.transport == remote.transport

    # ------------------------------------------------------------------ what he asks for

    def refuses(self, request: Request, by: Admitted) -> Refused | None:
        """What a SUBSCRIBE in this dialog is refused with. Nobody but whoever began it may go on with it."""
        event = EventHeader.of(request)
        if self.phase is not Phase.ACTIVE or event is None or event.id != self.event.id:
            return Refused(481)
        if by != self.by:
            return Refused(403)
        if len(self._open) >= _MOST_OPEN:
            return Refused(503, (header("Retry-After", "10"),))
        return None if self.dialog.counters.accepts(request.cseq.number) else Refused(500)

    def renew(self, request: Request, source: Address, local: Address, seconds: int, now: float) -> None:
        """A SUBSCRIBE in the dialog refreshes its target (4.4.1), and the connection that it came by is his."""
        self.dialog = replace(self.dialog.refreshed(request), first_hop=source, socket=local)
        self._local = local
        if self._state() is None:
            self._core.refuse(request, 403, local)
            self.finish("rejected", now)
        else:
            self.accept(request, local, seconds, now)

    def accept(self, request: Request, local: Address, seconds: int, now: float) -> None:
        """200, and at once a NOTIFY."""
        core = self._core
        transaction = core.layer.accept(request, reply_address(request, local), local, self, now)
        self._open.add(transaction)
        told = [("Expires", str(seconds)), *self._watches.allow_events]
        routes = [h for h in request.headers if h.key == "record-route"]
        headers = [*routes, *core.response_headers(local, told, None)]
        transaction.respond(reply(request, 200, tag=self.dialog.local_tag, headers=headers), now)
        self._last_until(now + seconds)
        if seconds:
            self._owed = True
            self._go_on(now)
        else:
            self.finish("timeout", now)

    def _last_until(self, until: float) -> None:
        self._cancel(self._expiry)
        self._until = until
        self._expiry = self._core.timers.start(until, lambda at: self.finish("timeout", at))

    # ------------------------------------------------------------------ what he is told

    def look(self, now: float) -> None:
        """It may stand otherwise than he was told, or he may not see it any more."""
        if self.phase is Phase.ACTIVE:
            self._go_on(now)

    def finish(self, reason: str, now: float) -> None:
        """One NOTIFY more, and that was it."""
        if self.phase is Phase.ACTIVE:
            self.phase, self._reason = Phase.LAST_WORD, reason
            self._cancel(self._expiry)
            self._go_on(now)

    def _state(self) -> Hashable | None:
        package = self._watches.package
        return package.state(self.grant) if package is not None else None

    def _go_on(self, now: float) -> None:
        """Say what there is to say, if it may be said now."""
        if self._under_way is not None:
            return
        state = self._state()
        if self.phase is Phase.ACTIVE and state is None:
            self.finish("rejected", now)
        elif self.phase is Phase.LAST_WORD or self._owed:
            self._tell(state, now)
        elif self.phase is Phase.ACTIVE and state != self._said:
            if now >= self._quiet_until:
                self._tell(state, now)
            else:
                self._later(self._quiet_until)

    def _later(self, due: float) -> None:
        if self._pause is None or not self._pause.running:
            self._pause = self._core.timers.start(due, self._go_on)

    def _tell(self, state: Hashable | None, now: float) -> None:
        self._cancel(self._pause)
        self._owed, self._said = False, state
        self._quiet_until = now + self._watches.limits.gap
        if self.phase is Phase.ACTIVE:
            says = f"active;expires={max(0, round(self._until - now))}"
        else:
            says = f"terminated;reason={self._reason}"
        self._send(says, self._document(state), now)

    def _document(self, state: Hashable | None) -> bytes:
        package = self._watches.package
        if package is None or state is None:
            return b""
        version, self._version = self._version, self._version + 1
        return package.document(self.grant, state, version)

    # ------------------------------------------------------------------ NOTIFY

    def _send(self, says: str, body: bytes, now: float) -> None:
        core, dialog, package = self._core, self.dialog, self._watches.package
        goes_back = self._moved and dialog.first_hop.reliable
        there = dialog.first_hop if goes_back else dialog.destination()
        destination, local = core.way(there, self._local)
        told = [("Event", str(self.event)), ("Subscription-State", says)]
        told += [("Content-Type", package.media_type)] if body and package is not None else []
        told += self._watches.allow_events
        request = Request(
            "NOTIFY",
            dialog.path().uri,
            [
                core.via(local),
                *dialog.headers("NOTIFY", dialog.counters.next(), MAX_FORWARDS),
                *core.request_headers(self._local, told, body or None),
            ],
            body,
        )
        self._watches.counts["notified"] += 1
        self._under_way = core.layer.request(request, destination, local, self, now)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        if response.status >= 200 and transaction is self._under_way:
            self._answered(response, now)

    def _answered(self, response: Response, now: float) -> None:
        self._under_way = None
        if response.status < 300:
            self._tries = 0
            self._over(now) if self.phase is Phase.LAST_WORD else self._go_on(now)
            return
        wait = _seconds(response.get("retry-after"))
        if self.phase is Phase.ACTIVE and wait and self._tries < _MOST_TRIES:
            self._tries += 1
            self._said, self._quiet_until = None, now + wait
            self._later(self._quiet_until)
        else:
            self._failed(now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        if transaction is self._under_way:
            self._failed(now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """Nobody takes connections at his Contact: there is still the one that he subscribed on."""
        if transaction is not self._under_way:
            return
        self._under_way = None
        if self._moved or not self.dialog.first_hop.reliable:
            self._failed(now)
        else:
            self._moved = self._owed = True
            self._go_on(now)

    def on_ack(self, transaction: Transaction, request: Request, now: float) -> None:
        """No INVITE, no ACK."""

    def on_terminated(self, transaction: Transaction, now: float) -> None:
        self._open.discard(transaction)

    # ------------------------------------------------------------------ the end

    def _failed(self, now: float) -> None:
        if self.phase is Phase.ACTIVE:
            self._watches.counts["unheard"] += 1
        self._over(now)

    def _over(self, now: float) -> None:
        self.phase, self._under_way = Phase.OVER, None
        self._cancel(self._expiry)
        self._cancel(self._pause)
        self._watches.forget(self)

    @staticmethod
    def _cancel(timer: Timer | None) -> None:
        if timer is not None:
            timer.cancel()


def _seconds(text: str | None) -> int:
    """A Retry-After that is worth waiting for; 0: there is none, or it is too long."""
    number = (text or "").partition(";")[0].partition("(")[0].strip()
    short = number.isascii() and number.isdigit() and len(number) <= 3
    return int(number) if short and int(number) <= _LONGEST_WAIT else 0
