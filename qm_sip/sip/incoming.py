"""A leg that called us: the server's side of INVITE (RFC 3261 13.3, RFC 3262 3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from qm_sip.sip import events
from qm_sip.sip.asking import Phase, has_sdp
from qm_sip.sip.body import SDP, description
from qm_sip.sip.core import Core, HeaderList
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.events import Address, LegId
from qm_sip.sip.leg import Leg
from qm_sip.sip.message import Message, Request
from qm_sip.sip.reliable import ReliableSender, tagged
from qm_sip.sip.settings import Prack
from qm_sip.sip.timers import Timer
from qm_sip.sip.transaction import Transaction

_MOST_QUEUED: Final = 16


class Progress(NamedTuple):
    """A 1xx to send when its turn comes."""

    status: int
    headers: HeaderList
    body: bytes | None
    anew: bool
    reliable: bool

    def __repr__(self) -> str:
        return f"<Progress {self.status}>"


class Answer(NamedTuple):
    """A 200 to send when every reliable description before it has arrived."""

    body: bytes | None
    headers: HeaderList
    anew: bool

    def __repr__(self) -> str:
        return "<Answer>"


class IncomingLeg(Leg):
    """Rings until our user answers, rejects, or the caller gives up.

    There may be several early dialogs towards the caller, one for each answer that he was given: in one dialog an
    answer cannot be changed (13.2.1), and to him it looks as if a proxy had forked his call (12.1.2). The newest is
    `dialog`.
    """

    def __init__(
        self,
        name: LegId,
        core: Core,
        request: Request,
        source: Address,
        local: Address,
        prack: Prack,
        now: float,
        *,
        account: str = "",
    ) -> None:
        super().__init__(name, core, local, None, prack)
        self.origin, self._account = source, account
        self._tag = core.token()
        self._dialogs: dict[str, Dialog] = {}
        self.invite: Transaction = self.accept(request, local, now)
        self._sender = ReliableSender(core, self.invite, self._unpracked)
        self._queue: list[Progress] = []
        self._described: set[str] = set()  # tags of dialogs with a reliable description of ours
        self._settled: set[str] = set()  # tags of dialogs whose first offer has been answered reliably
        self._answer: Answer | None = None
        self._refresh: Timer | None = None
        self._expiry: Timer | None = None
        self.learn(request)
        self.call_id = request.call_id
        core.enter(self, self.call_id)
        core.calls[account] += 1
        self._begin_dialog()
        self.respond_to(self.invite, 100, (), None, now)
        self._start_expiry(request, now)

    def _begin_dialog(self) -> None:
        self.dialog = Dialog.of_server(self.invite.request, self._tag, self.origin, self.local)
        self._dialogs[self._tag] = self.dialog
        self.core.dialogs[self.dialog.id] = self

    def tag(self) -> str:
        return self._tag

    # ------------------------------------------------------------------ ringing

    def provisional(
        self,
        status: int,
        headers: HeaderList,
        body: bytes | None,
        now: float,
        *,
        anew: bool = False,
        reliably: bool = False,
    ) -> None:
        """A 1xx. It is repeated every minute, lest a proxy's timer C ends the call (13.3.1.1)."""
        if self.phase is not Phase.EARLY or self._answer is not None or len(self._queue) >= _MOST_QUEUED:
            return
        reliable = self._reliable(wanted=reliably or body is not None)
        if body is not None and not reliable and not has_sdp(self.invite.request):
            body, headers = None, _undescribed(headers)  # an offer may not get lost (RFC 3262 5)
        self._queue.append(Progress(status, headers, body, anew, reliable))
        self._go_on(now)

    @property
    def takes_reliably(self) -> bool:
        """Whether he knows PRACK, and it is spoken with him."""
        request = self.invite.request
        knows = tagged(request, "supported") or tagged(request, "require")
        return knows and self.prack is not Prack.NO

    def _reliable(self, *, wanted: bool) -> bool:
        """RFC 3262 3: always if the caller requires it; if he only knows it, where it is worth a PRACK."""
        return self.takes_reliably and (wanted or tagged(self.invite.request, "require"))

    def _go_on(self, now: float) -> None:
        """Send what is due: nothing overtakes a reliable 1xx that waits for its turn."""
        while self._queue and not (self._queue[0].reliable and self._sender.waiting):
            self._send(self._queue.pop(0), now)
        if self._answer is not None and not self._unheard():
            answer, self._answer = self._answer, None
            self._accept(answer, now)

    def _send(self, step: Progress, now: float) -> None:
        if step.anew:
            self._change_tag()
        elif self._tag in self._described:
            headers, body = _once(step.headers, step.body)
            step = step._replace(headers=headers, body=body)
        if step.reliable:
            headers = [*self._sender.headers(), *step.headers]
            said = description(self.respond_to(self.invite, step.status, headers, step.body, now))
            self._sender.sent(self._tag, now, described=said is not None)
            if said is not None:
                self.said = said
                self._described.add(self._tag)
        else:
            self.respond_to(self.invite, step.status, step.headers, step.body, now)
        self._ring_later(step, now)

    def _change_tag(self) -> None:
        if len(self._dialogs) < self.core.settings.max_forks:
            self._tag = self.core.token()
            self._begin_dialog()

    def _ring_later(self, step: Progress, now: float) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
        due = now + self.core.settings.refresh_provisional
        self._refresh = self.core.timers.start(due, lambda at: self._ring_on(step, at))

    def _ring_on(self, step: Progress, now: float) -> None:
        if self.phase is not Phase.EARLY:
            return
        if step.reliable:
            again = step._replace(headers=_undescribed(step.headers), body=None, anew=False)
            self._queue.append(again)
            self._go_on(now)
        else:
            self.core.send(self.invite.data, self.invite.destination, self.invite.local)
            self._ring_later(step, now)

    # ------------------------------------------------------------------ PRACK

    def pracked(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """RFC 3262 3, 5: it may bring the answer to an offer of ours, or, once ours is an answer, another offer."""
        request, late = transaction.request, not has_sdp(self.invite.request)
        response = self._sender.acknowledged(request)
        if response is None:
            self.respond_to(transaction, 481, (), None, now)
            return
        if response.described:
            self._settled.add(response.tag)
        if self.phase is Phase.OVER or not has_sdp(request):
            self.respond_to(transaction, 200, (), None, now)
        elif late and response.described:
            self.respond_to(transaction, 200, (), None, now)
            self.core.emit(events.EarlyAnswer(self.name, request))
        elif response.tag != self._tag or self._glare(dialog):
            self.respond_to(transaction, 491, (), None, now)
        else:
            self.pending = transaction
            self.core.emit(events.OfferReceived(self.name, request))
        self._go_on(now)

    def settled(self, dialog: Dialog) -> bool:
        return self.phase is Phase.UP or dialog.local_tag in self._settled

    def unsettled(self) -> int:
        """491 if he owes us an answer, 500 if we owe him one (RFC 3311 5.2)."""
        waiting = self._sender.waiting
        ours = waiting is not None and waiting.described and not has_sdp(self.invite.request)
        return 491 if ours else 500

    def _unpracked(self, now: float) -> None:
        """RFC 3262 3: no PRACK within 64*T1, so the INVITE gets a 5xx."""
        if self.phase is Phase.EARLY:
            self.respond_to(self.invite, 504, (), None, now)
            self.core.emit(events.Ended(self.name, None, "no-prack"))
            self.end(now)

    # ------------------------------------------------------------------ Expires

    def _start_expiry(self, request: Request, now: float) -> None:
        """13.3.1: an INVITE with Expires that nobody answers in time gets 487."""
        text = (request.get("expires") or "").strip()
        if text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text) > 0:
            self._expiry = self.core.timers.start(now + int(text), self._expire)

    def _expire(self, now: float) -> None:
        if self.phase is Phase.EARLY:
            self._give_up(self.invite.request, now)

    # ------------------------------------------------------------------ the final answer

    def answer(self, body: bytes | None, headers: HeaderList, now: float, *, anew: bool = False) -> None:
        """200; not before the PRACK of a reliable 1xx with a description (RFC 3262 3)."""
        if self.phase is Phase.EARLY and self._answer is None:
            self._answer = Answer(body, headers, anew)
            self._queue = [step for step in self._queue if step.reliable and step.body is not None]
            self._go_on(now)

    def _unheard(self) -> bool:
        waiting = self._sender.waiting
        return waiting is not None and waiting.described

    def _accept(self, answer: Answer, now: float) -> None:
        if answer.anew:
            self._change_tag()
        body, headers = answer.body, answer.headers
        if self._tag in self._settled:
            headers, body = _once(headers, body)
        self.phase = Phase.UP
        self._stop_timers()
        self.respond_to(self.invite, 200, headers, body, now)

    def reject(self, status: int, reason: str, headers: HeaderList, now: float) -> None:
        """A final failure or redirection."""
        if self.phase is Phase.EARLY:
            self.respond_to(self.invite, status, headers, None, now, reason=reason)
            self.end(now)

    def bye(self, headers: HeaderList, now: float) -> None:
        """Before the answer there is nothing to end but the INVITE itself: 480."""
        if self.phase is Phase.EARLY:
            self.reject(480, "", headers, now)
        else:
            super().bye(headers, now)

    def cancelled(self, transaction: Transaction, request: Request, now: float) -> None:
        if transaction is not self.invite:
            super().cancelled(transaction, request, now)
        elif self.phase is Phase.EARLY:
            self._give_up(request, now)

    def early_bye(self, request: Request, now: float) -> None:
        """15: a caller may end an early dialog with BYE; if it is the one that counts, it means what CANCEL means."""
        if request.to.tag == self._tag:
            self._give_up(request, now)

    def _give_up(self, request: Request, now: float) -> None:
        self.respond_to(self.invite, 487, (), None, now)
        self.core.emit(events.Cancelled(self.name, request))
        self.end(now)

    # ------------------------------------------------------------------ in the dialogs

    def dialog_of(self, request: Request) -> Dialog | None:
        tag = request.to.tag or ""
        known = self._dialogs.get(tag)
        if self.phase is not Phase.EARLY and tag != self._tag:
            return None
        return known if known is not None and known.remote_tag == (request.from_.tag or "") else None

    def renew(self, dialog: Dialog, message: Message) -> Dialog:
        renewed = (self._dialogs.get(dialog.local_tag) or dialog).refreshed(message)
        self._dialogs[dialog.local_tag] = renewed
        if dialog.local_tag == self._tag:
            self.dialog = renewed
        return renewed

    def forget(self) -> None:
        super().forget()
        for dialog in self._dialogs.values():
            self.core.dialogs.pop(dialog.id, None)

    def end(self, now: float) -> None:
        self._queue, self._answer = [], None
        self._stop_timers()
        if self.phase is not Phase.OVER:
            self.core.calls[self._account] -= 1
        super().end(now)

    def _stop_timers(self) -> None:
        for timer in (self._refresh, self._expiry):
            if timer is not None:
                timer.cancel()
        self._sender.stop()


def _undescribed(headers: HeaderList) -> HeaderList:
    """The headers of a message that has lost its description."""
    return [pair for pair in headers if pair[0].lower() != "content-type"]


def _once(headers: HeaderList, body: bytes | None) -> tuple[HeaderList, bytes | None]:
    """He has the description already, reliably: it is left out, unless other parts come with it."""
    kinds = [value for name, value in headers if name.lower() == "content-type"]
    if body is None or any(kind.partition(";")[0].strip().lower() != SDP for kind in kinds):
        return headers, body
    return _undescribed(headers), None
