"""What a leg asks of its peer, and what it makes of the answers (RFC 3261 12.2.1, 13.2, 15.1.1, 22).

A leg is EARLY until a 2xx, UP until a BYE, then OVER. It is gone when, being OVER, no transaction of it lives any
more; so copies that arrive late still meet somebody who knows the answer.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import ClassVar

from qm_sip.sip import events
from qm_sip.sip.body import description
from qm_sip.sip.core import Core, HeaderList
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.digest import Credentials, DigestClient
from qm_sip.sip.events import Address, LegId
from qm_sip.sip.message import Message, Request, Response, header
from qm_sip.sip.sent import Purpose, Sent, Unacknowledged
from qm_sip.sip.session_timer import SessionTimer
from qm_sip.sip.settings import Prack
from qm_sip.sip.timers import Timer
from qm_sip.sip.transaction import Transaction

MAX_FORWARDS = 70


class Phase(Enum):
    """How far a leg is."""

    EARLY = auto()
    UP = auto()
    OVER = auto()


class Asking:
    """The client half of a leg, and its state."""

    owns_call_id: ClassVar[bool] = False
    call_id: str

    def __init__(
        self, name: LegId, core: Core, local: Address, credentials: Credentials | None, prack: Prack
    ) -> None:
        self.name, self.core, self.local = name, core, local
        self.phase = Phase.EARLY
        self.dialog: Dialog | None = None
        self.digest = DigestClient(credentials, core.rng)
        self.live: set[Transaction] = set()
        self.sent: dict[Transaction, Sent] = {}
        self.pending: Transaction | None = None
        self.offering: Sent | None = None
        self.wanted: Sent | None = None
        self.back_off: Timer | None = None
        self.unacked: dict[int, Unacknowledged] = {}
        self.asked: dict[int, Transaction] = {}
        self.next_token = 1
        self.bye_wanted: HeaderList | None = None
        self.said_gone = False
        self.stamped: HeaderList = ()  # what every message of this leg carries, but a 100
        self.ending = False
        self.said: bytes | None = None  # the description of ours that stands
        self.prack = prack
        self.peer_allow = ""  # what he wrote in Allow
        settings = core.settings
        self.session = SessionTimer(
            core.timers, settings.session_expires, settings.min_se, self.refresh, self._session_expired
        )

    # ------------------------------------------------------------------ what the user asks for

    def bye(self, headers: HeaderList, now: float) -> None:
        """End the session. A callee waits for the ACK of its 2xx first (15)."""
        if self.phase is not Phase.UP or self.bye_wanted is not None:
            return
        if self.unacked:
            self.bye_wanted = headers
            return
        self._send_bye(headers, now)

    def acknowledge(self, body: bytes | None, now: float, tag: str = "") -> None:
        """Pay the ACK that a late offer left owed."""
        for sent in list(self.sent.values()):
            if self.dialog is not None and sent.acks.get(self.dialog.remote_tag, b"") is None:
                self._ack(sent, self.dialog, body)

    def request(
        self, method: str, headers: HeaderList, body: bytes | None, now: float, ticket: int = 0
    ) -> None:
        """A request in the dialog. Its answer bears the same ticket."""
        if self.dialog is None or self.phase is Phase.OVER or self.bye_wanted is not None:
            self.core.emit(events.RequestAnswered(self.name, method, 481, None, ticket))
            return
        self._send_in_dialog(Sent(Purpose.PASSED, method, headers, body, ticket=ticket), self.dialog, now)

    # ------------------------------------------------------------------ requests of our own

    def _send_in_dialog(self, sent: Sent, dialog: Dialog, now: float) -> None:
        """Send, or send again with credentials: next CSeq, new branch, same dialog (22.2)."""
        path = dialog.path()
        sent.dialog = dialog
        login = self.digest.headers(sent.method, path.uri)
        destination, local = self.core.way(dialog.destination(), self.local)
        if sent.moved and sent.instead is not None:
            destination, local = self.core.way(sent.instead, self.local)
        elif destination.reliable and dialog.first_hop.reliable and destination != dialog.first_hop:
            sent.instead = dialog.first_hop
        request = Request(
            sent.method,
            path.uri,
            [
                self.core.via(local),
                *dialog.headers(sent.method, dialog.counters.next(), MAX_FORWARDS),
                *self.core.request_headers(
                    self.local, [*login, *self.extensions(sent), *self.stamped, *sent.headers], sent.body
                ),
            ],
            sent.body or b"",
        )
        self.start(sent, request, destination, local, now)

    def extensions(self, sent: Sent) -> HeaderList:
        """What a request of ours says of RFC 4028. Before the 2xx there is no session to be timed."""
        if sent.method not in ("INVITE", "UPDATE"):
            return ()
        return [_TIMER, *(self.session.asking() if self.phase is Phase.UP else ())]

    def start(self, sent: Sent, request: Request, destination: Address, local: Address, now: float) -> None:
        """A client transaction of this leg."""
        if not sent.moved and sent.method not in ("ACK", "CANCEL"):
            request, there, local = self.core.by_size(request, destination, local, now)
            if there != destination:
                sent.instead, destination = destination, there
        transaction = self.core.layer.request(request, destination, local, self, now)
        sent.transaction = transaction
        sent.provisional = False
        self.live.add(transaction)
        self.sent[transaction] = sent

    def _send_bye(self, headers: HeaderList, now: float) -> None:
        assert self.dialog is not None
        self.wanted = None
        self.acknowledge(None, now)
        dialog, self.ending = self.dialog, True
        self.end(now)
        self.ending = False  # the BYE is a transaction of ours too: we are not gone before it
        self._send_in_dialog(Sent(Purpose.BYE, "BYE", headers, None), dialog, now)

    def _ack(self, sent: Sent, dialog: Dialog, body: bytes | None) -> None:
        """13.2.2.4: ACK to a 2xx is a request of its own, on the dialog's route, with the INVITE's
        credentials.
        """
        invite = sent.request
        path = dialog.path()
        login = [(h.raw.partition(":")[0], h.value) for h in invite.headers if h.key in _CREDENTIALS]
        destination, local = self.core.way(dialog.destination(), self.local)
        ack = Request(
            "ACK",
            path.uri,
            [
                self.core.via(local),
                *dialog.headers("ACK", invite.cseq.number, MAX_FORWARDS),
                *self.core.request_headers(self.local, [*login, *self.stamped], body),
            ],
            body or b"",
        )
        self.said = body or self.said
        sent.acks[dialog.remote_tag] = data = ack.to_bytes()
        self.core.send(data, destination, local)

    def _ack_again(self, sent: Sent, dialog: Dialog) -> bool:
        """A copy of a 2xx: its ACK was lost. True if this 2xx was met before."""
        if dialog.remote_tag not in sent.acks:
            return False
        data = sent.acks[dialog.remote_tag]
        if data is not None:
            for destination in self._ack_ways(dialog):
                self.core.send(data, *self.core.way(destination, self.local))
        return True

    def _ack_ways(self, dialog: Dialog) -> tuple[Address, ...]:
        """On a stream an ACK is lost only where its connection was, or was refused; so it takes the connection of the
        dialog as well.
        """
        there, first = dialog.destination(), dialog.first_hop
        return (there, first) if there.reliable and first.reliable and first != there else (there,)

    def _guard(self, sent: Sent, seconds: float, now: float) -> None:
        """An INVITE that nobody ever answers is cancelled, and forgotten 64*T1 after (9.1)."""
        if sent.guard is not None:
            sent.guard.cancel()
        sent.guard = self.core.timers.start(now + seconds, lambda at: self.on_guard(sent, at))

    def on_guard(self, sent: Sent, now: float) -> None:
        """The guard of an INVITE rang."""
        transaction = sent.transaction
        if transaction is None or transaction.answered:
            return
        if not sent.cancelled and sent.provisional:
            self.send_cancel(sent, (), now)
            return
        transaction.kill(now)
        if sent.purpose in (Purpose.OFFER, Purpose.REFRESH):
            self.on_final(sent, 408, None, now)

    def send_cancel(self, sent: Sent, headers: HeaderList, now: float) -> None:
        """9.1: the INVITE's Request-URI, one Via with its branch, its CSeq number, its Route."""
        transaction = sent.transaction
        assert transaction is not None
        invite = transaction.request
        sent.cancelled = True
        kept = [h for h in invite.headers if h.key in _CANCEL_KEEPS]
        cseq = header("CSeq", f"{invite.cseq.number} CANCEL")
        extra = [
            h
            for h in self.core.request_headers(self.local, [*self.stamped, *headers], None)
            if h.key not in _NOT_IN_CANCEL
        ]
        cancel = Request("CANCEL", invite.uri, [*kept, cseq, *extra])
        asked = Sent(Purpose.CANCEL, "CANCEL", headers, None)
        self.start(asked, cancel, transaction.destination, transaction.local, now)
        self._guard(sent, self.core.settings.timers.t64, now)

    # ------------------------------------------------------------------ answers to them

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response to one of our requests."""
        sent = self.sent[transaction]
        if response.status > 100:
            self.core.heard(self.name, response)
        if response.status < 200:
            sent.provisional = True
            self.on_provisional(sent, response, now)
        elif not self._once_more_with(sent, response, now):
            self.on_final(sent, response.status, response, now)

    def _once_more_with(self, sent: Sent, response: Response, now: float) -> bool:
        """What the answer asks for can be done: the request has been sent again."""
        if response.status in (401, 407):
            return self._try_again(sent, response, now)
        return response.status == 422 and self._longer(sent, response, now)

    def _try_again(self, sent: Sent, response: Response, now: float) -> bool:
        """22.2: once more with credentials. A CANCEL cannot be challenged (22.1)."""
        if sent.purpose is Purpose.CANCEL or sent.cancel is not None:
            return False
        if not self.digest.learn(response, sent.tried):
            return False
        if sent.purpose is not Purpose.BYE and self.phase is Phase.OVER:
            return False
        self.send_again(sent, now)
        return True

    def _longer(self, sent: Sent, response: Response, now: float) -> bool:
        """RFC 4028 7.3: once more with the interval that he can live with."""
        if sent.cancel is not None or self.phase is Phase.OVER or sent.raised >= _MOST_RAISES:
            return False
        if sent.method not in ("INVITE", "UPDATE") or not self.session.raised(response):
            return False
        sent.raised += 1
        self.send_again(sent, now)
        return True

    def send_again(self, sent: Sent, now: float) -> None:
        """The same request in a new transaction."""
        assert sent.dialog is not None
        self._send_in_dialog(sent, sent.dialog, now)

    def on_provisional(self, sent: Sent, response: Response, now: float) -> None:
        """A 1xx. Of a re-INVITE it only proves life."""

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Nobody answered our request: as if 408 (8.1.3.1). A peer's request nobody answered is forgotten."""
        if (sent := self.sent.get(transaction)) is not None:
            self.on_final(sent, 408, None, now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """The network refused our request: as if 503 (8.1.3.1), unless there is another way."""
        sent = self.sent.get(transaction)
        if sent is None:
            return
        late = self.phase is Phase.OVER and sent.purpose is not Purpose.BYE
        if sent.instead is None or sent.moved or sent.cancel is not None or late:
            self.on_final(sent, 503, None, now)
            return
        sent.moved = True
        if not sent.instead.reliable:
            self.core.refused_streams(transaction.destination, now)
        self.send_again(sent, now)

    def on_final(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        """The final answer to one of our requests, real or inferred."""
        if sent.purpose is Purpose.PASSED:
            self._passed_answered(sent, status, response, now)

    def _passed_answered(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        if sent.method == "UPDATE" and response is not None and status < 300:
            self.updated(sent, response, now)
        self.core.emit(events.RequestAnswered(self.name, sent.method, status, response, sent.ticket))
        # Of a NOTIFY it ends the subscription, not the call (RFC 5057 5.1).
        if status == 481 and sent.method != "NOTIFY" and self.phase is Phase.UP:
            self._lost(status, response, now)

    def updated(self, sent: Sent, response: Response, now: float) -> None:
        """A 2xx to our UPDATE or re-INVITE: target and session are refreshed."""
        assert sent.dialog is not None
        sent.dialog = self.renew(sent.dialog, response)
        if self.phase is Phase.UP:
            self.session.granted(response, now)

    def renew(self, dialog: Dialog, message: Message) -> Dialog:
        """The peer's Contact in an INVITE or UPDATE, or its 2xx, is where he is from now on (12.2)."""
        current = self.find(dialog.remote_tag) or dialog
        renewed = current.refreshed(message)
        if self.dialog is not None and self.dialog.id == renewed.id:
            self.dialog = renewed
        return renewed

    def _lost(self, status: int, response: Response | None, now: float) -> None:
        """12.2.1.2: 481, 408 or silence to a request in the dialog ends it."""
        silent = response is None
        reason = "gone" if status == 481 else "timeout"
        if self.bye_wanted is None:
            self.core.emit(events.Ended(self.name, None, reason))
        if silent or status == 408:
            self._send_bye(self.bye_wanted or (), now)
        else:
            self.end(now)

    # ------------------------------------------------------------------ the session timer

    def refresh(self, now: float) -> None:
        """Half of the session's interval is over, and the refreshing is ours."""
        raise NotImplementedError

    def _session_expired(self, now: float) -> None:
        """RFC 4028 10: nobody has refreshed the session."""
        if self.phase is not Phase.UP:
            return
        if self.bye_wanted is None:
            self.core.emit(events.Ended(self.name, None, "expired"))
        self._send_bye(self.bye_wanted or (), now)

    def learn(self, message: Message) -> None:
        """What the peer says it can do."""
        self.peer_allow = ", ".join(message.all("allow")) or self.peer_allow

    def allows(self, method: str) -> bool:
        """Whether the peer has said that it takes such requests."""
        return method in self.peer_allow.replace(",", " ").split()

    # ------------------------------------------------------------------ the end

    def end(self, now: float) -> None:
        """The session is over; `Leg` answers what is still open."""
        raise NotImplementedError

    def on_ack(self, transaction: Transaction, request: Request, now: float) -> None:
        """An ACK to a 2xx of ours that bears the branch of its INVITE (RFC 2543 peers)."""
        raise NotImplementedError

    def on_terminated(self, transaction: Transaction, now: float) -> None:
        """A transaction has ended."""
        self.live.discard(transaction)
        sent = self.sent.pop(transaction, None)
        if sent is not None and sent.transaction is transaction:
            self._let_go(sent)
        if self.pending is transaction:
            self.pending = None
        for token in [t for t, asked in self.asked.items() if asked is transaction]:
            del self.asked[token]
        self._check_gone()

    def _let_go(self, sent: Sent) -> None:
        """No copy of its 2xx is recognised from now on: an ACK that is still owed can only be paid now (13.2.2.4)."""
        if sent.guard is not None:
            sent.guard.cancel()
        for tag in [tag for tag, ack in sent.acks.items() if ack is None]:
            if (dialog := self.find(tag)) is not None:
                self._ack(sent, dialog, None)

    def _check_gone(self) -> None:
        busy = self.live or self.unacked or self.ending
        if self.phase is Phase.OVER and not busy and not self.said_gone:
            self.said_gone = True
            self.forget()
            self.core.emit(events.LegGone(self.name))

    def talks_over(self, remote: Address, local: Address) -> bool:
        """Whether this leg's requests came, or would go, by this connection."""
        dialog = self.dialog
        return (
            dialog is not None
            and self.phase is not Phase.OVER
            and remote in (dialog.first_hop, self.core.way(dialog.destination(), self.local)[0])
            and local.transport == remote.transport
        )

    def find(self, remote_tag: str) -> Dialog | None:
        """The dialog of this leg with that peer."""
        return self.dialog if self.dialog is not None and self.dialog.remote_tag == remote_tag else None

    def forget(self) -> None:
        """Let the user agent forget us."""
        self.core.leave(self.name, self.call_id)
        if self.dialog is not None:
            self.core.dialogs.pop(self.dialog.id, None)


_TIMER = ("Supported", "timer")
_MOST_RAISES = 3
_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})
_CANCEL_KEEPS = frozenset({"via", "route", "max-forwards", "from", "to", "call-id"})
_NOT_IN_CANCEL = frozenset({"contact", "allow"})


def has_sdp(message: Request | Response) -> bool:
    """Whether a session description comes with the message, alone or as part of several (RFC 5621)."""
    return description(message) is not None
