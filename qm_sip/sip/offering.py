"""A leg's own offers and refreshes, and how they keep out of the way of the peer's (RFC 3261 14.1, RFC 3311, RFC 4028).

At most one offer is under way. `offering` is ours, `pending` is the peer's that our user has not answered, `unacked`
are our 2xx without ACK, and a late offer is open until the ACK or PRACK owed for it is sent. Once the INVITE is
answered, our own next offer waits in `wanted` until all four are empty, and after a 491 until its back-off has run
out. Before that an offer goes in an UPDATE, at once or not at all (RFC 3311 5.1): only in a dialog whose first offer
has been answered reliably, only to a peer that allows UPDATE, and only while no other is open. At once means: when our
PRACK has been answered. If that is lost and the UPDATE is not, its number comes too late (500, 12.2.2), and so the call
would be given up for want of it.

A refresh of the session timer that finds an offer of ours on the way needs no request: the offer refreshes as well.
"""

from __future__ import annotations

from typing import Final

from qm_sip.sip import events
from qm_sip.sip.asking import Asking, Phase, has_sdp
from qm_sip.sip.core import HeaderList
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.message import Response
from qm_sip.sip.sent import Purpose, Sent

_NO_UPDATE: Final = frozenset({405, 415, 420, 501})  # to an UPDATE: he does not take it after all
_LONGEST_WAIT: Final = 10  # seconds of a Retry-After that is waited for (14.2: he may say up to 10)
_ONCE_MORE: Final = 20  # a refresh that failed is tried again after this part of the interval


class Offering(Asking):
    """See the module's docstring."""

    def settled(self, dialog: Dialog) -> bool:
        """Whether the first offer of that dialog has been answered, so that another may be made."""
        return self.phase is Phase.UP

    def reoffer(self, body: bytes | None, headers: HeaderList, now: float) -> None:
        """A re-INVITE, as soon as none is under way; a newer wish replaces one that still waits. Early: an UPDATE."""
        if self.phase is Phase.EARLY:
            self._early_offer(body, headers, now)
        elif self.phase is Phase.UP and self.bye_wanted is None:
            self.wanted = Sent(Purpose.OFFER, "INVITE", headers, body)
            self._try_offer(now)

    def _early_offer(self, body: bytes | None, headers: HeaderList, now: float) -> None:
        busy = self.offering is not None or self.wanted is not None or self.pending is not None
        if (
            body is None
            or self.dialog is None
            or busy
            or not self.settled(self.dialog)
            or not self.allows("UPDATE")
        ):
            self.core.emit(events.OfferRejected(self.name, 504))
            return
        self.wanted = Sent(Purpose.OFFER, "UPDATE", headers, body)
        self._try_early(now)

    def _try_early(self, now: float) -> None:
        busy = self.offering is not None or self.pending is not None or self._pracking()
        if self.wanted is None or self.dialog is None or busy:
            return
        self.offering, self.wanted = self.wanted, None
        self._send_in_dialog(self.offering, self.dialog, now)

    def _pracking(self) -> bool:
        """Whether a PRACK of ours has not been answered."""
        return any(
            sent.purpose is Purpose.PRACK and sent.transaction is transaction and not transaction.answered
            for transaction, sent in self.sent.items()
        )

    def acknowledge(self, body: bytes | None, now: float, tag: str = "") -> None:
        """Pay the ACK that a late offer left owed."""
        super().acknowledge(body, now)
        self._try_offer(now)

    def _owed(self) -> bool:
        return any(ack is None for sent in self.sent.values() for ack in sent.acks.values())

    def _try_offer(self, now: float) -> None:
        if self.phase is Phase.EARLY:
            self._try_early(now)
        if self.wanted is None or self.phase is not Phase.UP or self.dialog is None or self._busy():
            return
        self.offering, self.wanted = self.wanted, None
        self._send_in_dialog(self.offering, self.dialog, now)
        self._guard(self.offering, self.core.settings.ring_timeout, now)

    def _busy(self) -> bool:
        waiting = self.back_off is not None and self.back_off.running
        return bool(
            self.offering or self.pending or self.unacked or self.bye_wanted is not None or waiting
        ) or (self._owed())

    # ------------------------------------------------------------------ refreshes

    def refresh(self, now: float) -> None:
        """RFC 4028 7.4, 10: an UPDATE if the peer takes one; else what stands is offered once more, word for word."""
        if self.phase is not Phase.UP or self.bye_wanted is not None:
            return
        if self.dialog is not None and self.allows("UPDATE"):
            self._send_in_dialog(Sent(Purpose.REFRESH, "UPDATE", (), None), self.dialog, now)
        elif self.wanted is None and self.offering is None and self.said is not None:
            self.wanted = Sent(Purpose.REFRESH, "INVITE", (), self.said)
            self._try_offer(now)
        else:
            self._once_more(None, now)

    def _refreshed(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        """The answer to a refreshing UPDATE."""
        if self.phase is not Phase.UP:
            return
        if response is not None and status < 300:
            self.updated(sent, response, now)
        elif status in (408, 481):
            self._lost(status, response, now)
        elif status in _NO_UPDATE:
            self.peer_allow = self.peer_allow.replace("UPDATE", "")
            self.refresh(now)
        else:
            self._once_more(response, now)

    def _once_more(self, response: Response | None, now: float) -> None:
        """The session stands until its end; until then another refresh may succeed."""
        self.session.again(max(_seconds(response), 1, self.session.agreed / _ONCE_MORE), now)

    # ------------------------------------------------------------------ answers

    def on_final(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        """The final answer to one of our requests, real or inferred."""
        if sent.purpose is Purpose.OFFER or (sent.purpose is Purpose.REFRESH and sent.method == "INVITE"):
            self._offer_answered(sent, status, response, now)
        elif sent.purpose is Purpose.REFRESH:
            self._refreshed(sent, status, response, now)
        elif sent.purpose is Purpose.PRACK:
            self._try_offer(now)
        else:
            super().on_final(sent, status, response, now)

    def _offer_answered(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        if response is not None and 200 <= status < 300:
            self._offer_accepted(sent, response, now)
            return
        if self.offering is sent:
            self.offering = None
        if sent.guard is not None:
            sent.guard.cancel()
        if self.phase is Phase.OVER:
            return
        wait = self._wait_after(status, response)
        if (
            wait is not None
            and sent.method == "INVITE"
            and sent.attempts < self.core.settings.max_offer_retries
        ):
            self._offer_later(sent, wait, now)
            return
        self._say_rejected(sent, status, response, now)
        if status in (408, 481) and self.phase is Phase.UP:
            self._lost(status, response, now)
        else:
            self._try_offer(now)

    def _say_rejected(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        if sent.purpose is Purpose.OFFER:
            self.core.emit(events.OfferRejected(self.name, status))
        else:
            self._once_more(response, now)

    def _offer_accepted(self, sent: Sent, response: Response, now: float) -> None:
        assert sent.dialog is not None
        if self._ack_again(sent, sent.dialog):
            return
        if sent.guard is not None:
            sent.guard.cancel()
        self.updated(sent, response, now)
        self.learn(response)
        self.said = sent.body or self.said
        self.offering = None
        if sent.method == "INVITE":
            self._confirm_offer(sent, response)
        if self.phase is Phase.OVER:
            return
        if sent.purpose is Purpose.OFFER:
            self.core.emit(events.OfferAnswered(self.name, response))
        elif has_sdp(response):
            self.core.emit(events.Refreshed(self.name, response))
        self._try_offer(now)

    def _confirm_offer(self, sent: Sent, response: Response) -> None:
        """The ACK; if ours was a late offer the user owes what it carries."""
        dialog = sent.dialog
        assert dialog is not None
        if self.phase is Phase.UP and not sent.body and has_sdp(response):
            sent.acks[dialog.remote_tag] = None
        else:
            self._ack(sent, dialog, None)

    def _wait_after(self, status: int, response: Response | None) -> float | None:
        """When an offer that met another may come again. 491: the owner of the Call-ID waits 2.1 to 4 s, the other at
        most 2 s, in steps of 10 ms (14.1). 500 with Retry-After: the peer has not done with one before it (14.2).
        """
        if response is None or status not in (491, 500):
            return None
        if status == 500:
            said = _seconds(response)
            return float(said) if 0 < said <= _LONGEST_WAIT else None
        low, high = (210, 400) if self.owns_call_id else (0, 200)
        return self.core.rng.randint(low, high) / 100

    def _offer_later(self, sent: Sent, wait: float, now: float) -> None:
        sent.attempts += 1
        sent.tried.clear()
        self.wanted = self.wanted or sent
        self.back_off = self.core.timers.start(now + wait, self._try_offer)


def _seconds(response: Response | None) -> int:
    """What its Retry-After says, or 0."""
    text = (response.get("retry-after") if response is not None else None) or ""
    number = text.partition(";")[0].partition("(")[0].strip()
    return int(number) if number.isascii() and number.isdigit() and len(number) < 5 else 0
