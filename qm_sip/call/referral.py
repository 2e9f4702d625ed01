"""A REFER that is passed through: the other side does the transferring, and we only translate.

Between the legs everything has another name: the dialog that Replaces asks for (a dialog of ours, told as its far end
knows it), the CSeq that tells two REFERs apart, and who is believed. The order is kept: 202 first, then the news, and
all of it before the BYE (RFC 3515 2.4.4). News that overtook the 202 waits for it (RFC 6665 4.1.2.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qm_sip.call import headers
from qm_sip.call.media_plan import other
from qm_sip.call.statuses import passable
from qm_sip.call.target import referred_by
from qm_sip.media.protocol import LegName
from qm_sip.sip import events as sip
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request
from qm_sip.sip.refer import TARGET_TAGS, ReferTo, Replaces, status_in, wants_no_news
from qm_sip.sip.subscription import Subscription

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.desk import Desk


def across(desk: Desk, wish: Replaces) -> tuple[Replaces, Dialog] | None:
    """A dialog that was named by its end on one leg, as the far end of the same call knows it; and that far dialog."""
    known = desk.call_of(wish.dialog)
    if known is None:
        return None
    call, leg = known
    far = desk.ua.dialog(call.legs[other(leg)])
    return None if far is None else (wish.naming(far.id), far)


class Referral:
    """One REFER on its way, and the subscription that it makes. See the module's docstring."""

    def __init__(self, call: Call, leg: LegName, token: int, request: Request, told: Subscription) -> None:
        self._call, self.leg, self._token, self._request = call, leg, token, request
        self._told = told
        self._far = call.legs[other(leg)]
        self._accepted = False
        self._waiting: list[Request] = []
        self.over = False

    def begin(self, refer: ReferTo, now: float) -> None:
        call = self._call
        quiet = [("Refer-Sub", "false")] if wants_no_news(self._request) else []
        named = referred_by(self._request) if call.way.borders[self.leg].within else []
        passed = [("Refer-To", self._refer_to(refer)), *quiet, *named, *self._target_dialog()]
        call.desk.ua.request(self._far, "REFER", passed, now=now)

    def _refer_to(self, refer: ReferTo) -> str:
        if refer.replaces is None:
            return refer.moved(str(refer.address.uri), None)
        found = across(self._call.desk, refer.replaces)
        if found is None:  # a dialog that is none of ours
            return refer.moved(str(refer.address.uri), refer.replaces)
        return refer.moved(found[1].target.text, found[0])

    def _target_dialog(self) -> headers.Headers:
        """RFC 4538: which dialog gives the right to ask. One that is none of ours says nothing to the other side."""
        value = self._request.get("target-dialog")
        try:
            found = across(self._call.desk, Replaces.parse(value, TARGET_TAGS)) if value else None
        except SipParseError:
            return []
        if found is None:
            return []
        wish = found[0]
        return [("Target-Dialog", f"{wish.call_id};remote-tag={wish.to_tag};local-tag={wish.from_tag}")]

    def answered(self, event: sip.RequestAnswered, now: float) -> None:
        """The other side's answer to the REFER, or the transferor's to our NOTIFY."""
        if event.method == "NOTIFY":
            self._told.answered(event.status, now)
            self.over = self._told.over
        elif event.method == "REFER":
            self._refer_answered(event, now)

    def _refer_answered(self, event: sip.RequestAnswered, now: float) -> None:
        ok = 200 <= event.status < 300
        quiet = event.response is not None and wants_no_news(event.response)
        news = [("Refer-Sub", "false")] if quiet else []
        status = event.status if ok else passable(event.status, ours=event.response is None)
        self._call.desk.ua.respond(self._call.legs[self.leg], self._token, status, news, now=now)
        self._accepted, self.over = ok, not ok or bool(news)
        if ok:
            self._call.book.moved("passed", self._call.who.role_on(self.leg), None, now)
        for request in self._waiting:
            self._tell(request, now)
        self._waiting.clear()

    def notified(self, request: Request, now: float) -> bool:
        """News from the other side. False: it is not of this subscription."""
        event, _, _ = (request.get("event") or "").partition(";")
        if event.strip().lower() != "refer" or self.over:
            return False
        if self._accepted:
            self._tell(request, now)
        else:
            self._waiting.append(request)
            del self._waiting[4:]  # before its 202 nobody has so much to tell
        return True

    def _tell(self, request: Request, now: float) -> None:
        """Only how it stands: what else a sipfrag holds may name people."""
        status = status_in(request.body) or 100
        state = (request.get("subscription-state") or "").partition(";")[0].strip().lower()
        self._told.tell(status, now, final=state == "terminated" or status >= 200)
