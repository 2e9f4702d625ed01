"""A leg that called us: the server's side of INVITE (RFC 3261 13.3)."""

from __future__ import annotations

from qm_sip.sip import events
from qm_sip.sip.asking import Phase
from qm_sip.sip.core import Core, HeaderList
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.events import Address, LegId
from qm_sip.sip.leg import Leg
from qm_sip.sip.message import Request
from qm_sip.sip.timers import Timer
from qm_sip.sip.transaction import Transaction


class IncomingLeg(Leg):
    """Rings until our user answers, rejects, or the caller gives up."""

    def __init__(
        self,
        name: LegId,
        core: Core,
        request: Request,
        source: Address,
        local: Address,
        now: float,
        *,
        account: str = "",
    ) -> None:
        super().__init__(name, core, local, None)
        self.origin, self._account = source, account
        self._tag = core.token()
        self.dialog = Dialog.of_server(request, self._tag, source, local)
        self.invite: Transaction = self.accept(request, local, now)
        self._refresh: Timer | None = None
        self._expiry: Timer | None = None
        self.call_id = request.call_id
        core.enter(self, self.call_id)
        core.calls[account] += 1
        core.dialogs[self.dialog.id] = self
        self.respond_to(self.invite, 100, (), None, now)
        self._start_expiry(request, now)

    def tag(self) -> str:
        return self._tag

    def provisional(self, status: int, headers: HeaderList, body: bytes | None, now: float) -> None:
        """A 1xx. It is repeated every minute, lest a proxy's timer C ends the call (13.3.1.1)."""
        if self.phase is Phase.EARLY:
            self.respond_to(self.invite, status, headers, body, now)
            self._refresh_later(now)

    def _refresh_later(self, now: float) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
        due = now + self.core.settings.refresh_provisional
        self._refresh = self.core.timers.start(due, self._repeat_provisional)

    def _repeat_provisional(self, now: float) -> None:
        if self.phase is Phase.EARLY:
            self.core.send(self.invite.data, self.invite.destination, self.invite.local)
            self._refresh_later(now)

    def _start_expiry(self, request: Request, now: float) -> None:
        """13.3.1: an INVITE with Expires that nobody answers in time gets 487."""
        text = (request.get("expires") or "").strip()
        if text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text) > 0:
            self._expiry = self.core.timers.start(now + int(text), self._expired)

    def _expired(self, now: float) -> None:
        if self.phase is Phase.EARLY:
            self._give_up(self.invite.request, now)

    def answer(self, body: bytes | None, headers: HeaderList, now: float) -> None:
        """200."""
        if self.phase is Phase.EARLY:
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
        """15: a caller may end an early dialog with BYE; it means what CANCEL means."""
        self._give_up(request, now)

    def _give_up(self, request: Request, now: float) -> None:
        self.respond_to(self.invite, 487, (), None, now)
        self.core.emit(events.Cancelled(self.name, request))
        self.end(now)

    def end(self, now: float) -> None:
        self._stop_timers()
        if self.phase is not Phase.OVER:
            self.core.calls[self._account] -= 1
        super().end(now)

    def _stop_timers(self) -> None:
        for timer in (self._refresh, self._expiry):
            if timer is not None:
                timer.cancel()
