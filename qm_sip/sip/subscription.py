"""The subscription that a REFER makes: its sender is told by NOTIFY what became of it (RFC 3515 2.4.4-2.4.7, RFC 6665).

A plain object over the user agent. One NOTIFY is under way at a time, so that none overtakes another; of what happened
meanwhile only the newest is told. With `Refer-Sub: false` there is no subscription, and nothing is told (RFC 4488).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qm_sip.sip.events import LegId
from qm_sip.sip.message import Request
from qm_sip.sip.refer import SIPFRAG, sipfrag, wants_no_news

if TYPE_CHECKING:
    from qm_sip.sip.ua import UserAgent

EXPIRES: Final = 300  # seconds; longer than anything rings


class Subscription:
    """See the module's docstring."""

    def __init__(self, ua: UserAgent, leg: LegId, request: Request, *, numbered: bool) -> None:
        self._ua, self._leg = ua, leg
        self._quiet = wants_no_news(request)
        # The second and later REFERs of a dialog are told apart by their CSeq (2.4.6).
        self._event = f"refer;id={request.cseq.number}" if numbered else "refer"
        self._under_way = False
        self._next: tuple[bytes, str] | None = None
        self.over = False  # its last word has been said, or nobody listens any more

    def accept(self, token: int, now: float) -> None:
        """202, and at once the first NOTIFY."""
        headers = [("Refer-Sub", "false")] if self._quiet else []
        self._ua.respond(self._leg, token, 202, headers, now=now)
        self.tell(100, now)

    def tell(self, status: int, now: float, *, final: bool | None = None) -> None:
        """How it stands now. A final status is the last word."""
        if self.over:
            return
        self.over = status >= 200 if final is None else final
        if self._quiet:
            return
        self._next = (
            sipfrag(status),
            "terminated;reason=noresource" if self.over else f"active;expires={EXPIRES}",
        )
        self._send(now)

    def answered(self, status: int, now: float) -> None:
        """Our NOTIFY got its final answer. Whoever does not know the subscription any more has ended it."""
        self._under_way = False
        if status in (408, 481, 489):
            self.over, self._next = True, None
        self._send(now)

    @property
    def wanted(self) -> bool:
        """Whether there is anybody who is told."""
        return not self._quiet

    def _send(self, now: float) -> None:
        if self._under_way or self._next is None:
            return
        (body, state), self._next = self._next, None
        self._under_way = True
        headers = [("Event", self._event), ("Subscription-State", state), ("Content-Type", SIPFRAG)]
        self._ua.request(self._leg, "NOTIFY", headers, body, now=now)
