"""A leg: one INVITE usage. What caller and callee answer their peer once there is a dialog (RFC 3261 12.2.2, 13.3,
14.2, 15.1.2)."""

from __future__ import annotations

from qm_sip.sip import events
from qm_sip.sip.asking import Phase, has_sdp
from qm_sip.sip.body import description
from qm_sip.sip.core import HeaderList
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.events import Address
from qm_sip.sip.message import Header, Request, Response, header
from qm_sip.sip.offering import Offering
from qm_sip.sip.reply import reply, reply_address
from qm_sip.sip.sent import Unacknowledged
from qm_sip.sip.transaction import Kind, Transaction


class Leg(Offering):
    """The server half. `IncomingLeg` and `OutgoingLeg` add how a leg comes about."""

    origin: Address
    """Where its INVITE came from, or went to."""

    def answer_offer(self, body: bytes | None, headers: HeaderList, now: float) -> None:
        """200 to the peer's re-INVITE, UPDATE or PRACK."""
        transaction, self.pending = self.pending, None
        if transaction is None or self.dialog is None:
            return
        self._target(transaction.request)
        self.respond_to(transaction, 200, headers, body, now)
        self._try_offer(now)

    def reject_offer(self, status: int, headers: HeaderList, now: float) -> None:
        """A failure to the peer's re-INVITE or UPDATE; the session stays as it was. A PRACK must not fail for what it
        offers (RFC 6337 3.1.2): it is answered with what stands.
        """
        transaction, self.pending = self.pending, None
        if transaction is None:
            return
        if transaction.request.method == "PRACK" and self.said is not None:
            self.respond_to(transaction, 200, (), self.said, now)
        else:
            self.respond_to(transaction, status, [*headers, *self._come_again(status)], None, now)
        self._try_offer(now)

    def _come_again(self, status: int) -> HeaderList:
        """A 500 to an offer means: not now (14.2, RFC 3311 5.2)."""
        return [("Retry-After", str(self.core.rng.randint(0, 10)))] if status == 500 else ()

    def respond(self, token: int, status: int, headers: HeaderList, body: bytes | None, now: float) -> None:
        """Answer an `InDialogRequest`. One that is over already needs no answer any more."""
        transaction = self.asked.get(token)
        if transaction is None:
            return
        if status >= 200:
            del self.asked[token]
            if 200 <= status < 300 and transaction.request.method == "UPDATE":
                self._target(transaction.request)
        self.respond_to(transaction, status, headers, body, now)

    def _target(self, request: Request) -> None:
        """We accept his INVITE or UPDATE: his Contact in it is his target, his Allow what he can do."""
        dialog = self.dialog_of(request)
        if dialog is not None and request.method != "PRACK":
            self.renew(dialog, request)
            self.learn(request)

    def dialog_of(self, request: Request) -> Dialog | None:
        """The dialog that a request of the peer's belongs to."""
        return self.find(request.from_.tag or "")

    # ------------------------------------------------------------------ answering

    def tag(self) -> str:
        """Our tag in this usage."""
        raise NotImplementedError

    def respond_to(
        self,
        transaction: Transaction,
        status: int,
        headers: HeaderList,
        body: bytes | None,
        now: float,
        *,
        reason: str = "",
    ) -> Response:
        """Answer a request of the peer's. A 2xx to an INVITE is repeated until its ACK."""
        request = transaction.request
        if 200 <= status < 300 and request.method in ("INVITE", "UPDATE"):
            headers = [*headers, *self.granting(request, now)]
        extra = self._answer_headers(request, status, headers, body)
        response = reply(request, status, reason=reason, tag=self.tag(), headers=extra, body=body or b"")
        transaction.respond(response, now)
        if body and 200 <= status < 300:
            self.said = description(response) or self.said
        if request.method == "INVITE" and 200 <= status < 300:
            self._await_ack(transaction, request.cseq.number, now)
        return response

    def granting(self, request: Request, now: float) -> HeaderList:
        """What our 2xx says of RFC 4028. Before the INVITE is answered there is no session to be timed."""
        supported = ("Supported", self.core.supported(self.prack))
        return [supported, *(self.session.granting(request, now) if self.phase is Phase.UP else ())]

    def _answer_headers(
        self, request: Request, status: int, headers: HeaderList, body: bytes | None
    ) -> list[Header]:
        if status == 100:
            return []
        headers = [*self.stamped, *headers]
        if status >= 300:
            return self.core.plain_headers(headers, body)
        routes = [h for h in request.headers if h.key == "record-route" and request.method == "INVITE"]
        return [*routes, *self.core.response_headers(self.local, headers, body)]

    def _await_ack(self, transaction: Transaction, number: int, now: float) -> None:
        settings = self.core.settings
        waiting = Unacknowledged(
            transaction.data, transaction, now + settings.timers.t64, interval=settings.t1
        )
        self.unacked[number] = waiting
        self._repeat_later(waiting, number, now)

    def _repeat_later(self, waiting: Unacknowledged, number: int, now: float) -> None:
        due = min(now + waiting.interval, waiting.give_up)
        waiting.timer = self.core.timers.start(due, lambda at: self._repeat_2xx(waiting, number, at))

    def _repeat_2xx(self, waiting: Unacknowledged, number: int, now: float) -> None:
        if now >= waiting.give_up:
            self._no_ack(number, now)
            return
        self.core.send(waiting.data, waiting.transaction.destination, waiting.transaction.local)
        waiting.interval = min(waiting.interval * 2, self.core.settings.t2)
        self._repeat_later(waiting, number, now)

    def _no_ack(self, number: int, now: float) -> None:
        """13.3.1.4: without ACK the dialog stands, but the session is to be ended with BYE."""
        del self.unacked[number]
        if self.phase is not Phase.UP:
            self._check_gone()
            return
        if self.bye_wanted is None:
            self.core.emit(events.Ended(self.name, None, "no-ack"))
        self._send_bye(self.bye_wanted or (), now)

    def on_ack(self, transaction: Transaction, request: Request, now: float) -> None:
        """An ACK to a 2xx that bears the branch of its INVITE (RFC 2543 peers)."""
        self.ack_received(request, now)

    def ack_received(self, request: Request, now: float) -> None:
        """The ACK of a 2xx; a copy, or one that belongs to nothing, says nothing."""
        waiting = self.unacked.pop(request.cseq.number, None)
        if waiting is None:
            return
        if waiting.timer is not None:
            waiting.timer.cancel()
        if self.phase is Phase.UP:
            late = not has_sdp(waiting.transaction.request)
            self.core.emit(events.Acknowledged(self.name, request, late))
            if self.bye_wanted is not None and not self.unacked:
                self._send_bye(self.bye_wanted, now)
            else:
                self._try_offer(now)
        self._check_gone()

    # ------------------------------------------------------------------ requests of the peer's

    def received(self, request: Request, dialog: Dialog, local: Address, now: float) -> None:
        """A new request in one of our dialogs, already screened. It gets a server transaction, then an
        answer, by the socket that it came to.
        """
        if not dialog.counters.accepts(request.cseq.number):
            self.core.refuse(request, 500, local)
            return
        if len(self.live) >= self.core.settings.max_transactions and request.method != "BYE":
            self.core.refuse(request, 503, local, [header("Retry-After", "10")])
            return
        transaction = self.accept(request, local, now)
        self.core.heard(self.name, request)
        if request.method == "BYE":
            self._peer_bye(transaction, now)
        elif request.method == "PRACK":
            self.pracked(transaction, dialog, now)
        elif self.phase is Phase.OVER or self.bye_wanted is not None:
            self.respond_to(transaction, 481, (), None, now)
        elif request.method == "INVITE" or (request.method == "UPDATE" and has_sdp(request)):
            self._peer_offer(transaction, dialog, now)
        elif request.method == "OPTIONS":
            self.respond_to(transaction, 200, [("Accept", "application/sdp")], None, now)
        else:
            self._hand_up(transaction)

    def accept(self, request: Request, local: Address, now: float) -> Transaction:
        """A server transaction of this leg."""
        transaction = self.core.layer.accept(request, reply_address(request, local), local, self, now)
        self.live.add(transaction)
        return transaction

    def pracked(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """A PRACK. Only one who was called has sent something to acknowledge (RFC 3262 3)."""
        self.respond_to(transaction, 481, (), None, now)

    def _hand_up(self, transaction: Transaction) -> None:
        token, self.next_token = self.next_token, self.next_token + 1
        self.asked[token] = transaction
        self.core.emit(events.InDialogRequest(self.name, token, transaction.request))

    def _peer_bye(self, transaction: Transaction, now: float) -> None:
        self.respond_to(transaction, 200, (), None, now)
        if self.phase is Phase.UP:
            if self.bye_wanted is None:
                self.core.emit(events.Ended(self.name, transaction.request, "bye"))
            self.end(now)
        elif self.phase is Phase.EARLY:
            self.early_bye(transaction.request, now)

    def early_bye(self, request: Request, now: float) -> None:
        """The peer ends a dialog that was never confirmed."""
        raise NotImplementedError

    def _peer_offer(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """14.2 and RFC 3311 5.2: 491 if ours is under way, 500 with Retry-After if his last one is."""
        status = self._glare(dialog)
        if status == 500:
            self.respond_to(transaction, 500, self._come_again(500), None, now)
        elif status:
            self.respond_to(transaction, status, (), None, now)
        else:
            if transaction.kind is Kind.SERVER_INVITE:
                self.respond_to(transaction, 100, (), None, now)
            self.pending = transaction
            self.core.emit(events.OfferReceived(self.name, transaction.request))

    def _glare(self, dialog: Dialog) -> int:
        if self.pending is not None:
            return 500
        if self.phase is Phase.EARLY and not self.settled(dialog):
            return self.unsettled()
        if self.offering is not None or self._owed():
            return 491
        # A late offer of ours is answered in the ACK only; until then no second one may come.
        late = any(not has_sdp(waiting.transaction.request) for waiting in self.unacked.values())
        return 491 if late else 0

    def unsettled(self) -> int:
        """Why no offer may come while the first is open: 491 if that is ours, 500 if it is his (RFC 3311 5.2)."""
        return 491 if self.owns_call_id else 500

    def cancelled(self, transaction: Transaction, request: Request, now: float) -> None:
        """A CANCEL of the peer's met this INVITE, which is not answered: 487 (9.2)."""
        if transaction is self.pending:
            self.pending = None
            self.respond_to(transaction, 487, (), None, now)
            self.core.emit(events.OfferWithdrawn(self.name, request))
            self._try_offer(now)

    # ------------------------------------------------------------------ the end

    def end(self, now: float) -> None:
        """The session is over. What the peer still waits for gets 487 (15.1.2); what we wait for has a
        limit.
        """
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        self.wanted = None
        self.session.stop()
        for timer in (self.back_off, *(w.timer for w in self.unacked.values())):
            if timer is not None:
                timer.cancel()
        self.unacked.clear()
        open_requests = [*self.asked.values(), *([self.pending] if self.pending else [])]
        self.asked.clear()
        self.pending = None
        for transaction in open_requests:
            self.respond_to(transaction, 487, (), None, now)
        for sent in list(self.sent.values()):
            if sent.transaction is not None and sent.method == "INVITE" and not sent.transaction.answered:
                self._guard(sent, self.core.settings.timers.t64, now)
        self._check_gone()
