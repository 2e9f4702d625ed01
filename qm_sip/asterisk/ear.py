"""What Asterisk tells, for the calls it is about: by the Call-ID of a leg that is in its place.

| it tells | we |
|---|---|
| a channel came into a bridge, left it, holds | tell the call who is with that leg (`call/pbx.py`) |
| `UserEvent` `QMPrivate` from the agent's phone | make that call private, as his key does (KSF15-3.9) |
| MixMonitor or ChanSpy began at a channel of the call | raise an alarm: Asterisk keeps or gives away what it hears |

A toggle is obeyed for one call only: that whose agent's leg is in one bridge with the very channel that the event was
raised on. So whoever sends a `UserEvent` of his own over AMI, or names another leg than his own, moves nothing; it is
counted. One that comes late is obeyed: it only takes away.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.floor import Company, Floor
from qm_sip.asterisk.manager import Around, Happening, Told
from qm_sip.asterisk.message import Message
from qm_sip.call import reasons

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.switchboard import Switchboard
    from qm_sip.policy.facts import Reason

log = logging.getLogger("qm_sip.asterisk")

TOGGLE: Final = "QMPrivate"
ALARMS: Final = {
    "MixMonitorStart": ("", reasons.RECORDED_BY_PBX, "records it (MixMonitor)"),
    "ChanSpyStart": ("Spyee", reasons.HEARD_BY_PBX, "lets somebody listen (ChanSpy or a snoop)"),
}


class Ear:
    """See the module's docstring."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self.floor = Floor(lambda call_id: board.place_of(call_id) is not None)
        self.counts: Counter[str] = Counter()

    def hear(self, happening: Happening, now: float) -> None:
        """Asterisk tells something."""
        self._board.advance(now)
        match happening:
            case Around(channels):
                self._changed(self.floor.around(channels), now, late=False)
            case Told(message, late):
                self.counts["late"] += late
                self._changed(self.floor.told(message), now, late=late)
                self._react(message, now)
            case _:
                pass

    def _react(self, message: Message, now: float) -> None:
        if message.event == "UserEvent" and message.get("UserEvent") == TOGGLE:
            self._toggle(message, now)
        elif message.event in ALARMS:
            self._alarm(message)

    def _changed(self, companies: list[Company], now: float, *, late: bool) -> None:
        for company in companies:
            place = self._board.place_of(company.leg)
            if place is not None:
                call, leg = place
                call.pbx.company(leg, company.presents, now, late=late)

    # ---------------------------------------------------------------- the agent's toggle

    def _toggle(self, message: Message, now: float) -> None:
        call = self._whose(message)
        if call is None:
            self.counts["toggles_ignored"] += 1
            return
        self.counts["toggles"] += 1
        call.private.press(now)

    def _whose(self, message: Message) -> Call | None:
        """The call whose agent pressed it: his channel is in one bridge with that call's own leg for him."""
        claimed = message.get("Leg")
        legs = set(self.floor.bridged_legs(message.get("Uniqueid")))
        found = [place for leg in legs if (place := self._board.place_of(leg)) is not None]
        mine = [(call, leg) for call, leg in found if leg == call.agents_leg]
        if claimed and claimed not in legs:
            return None
        return mine[0][0] if len(mine) == 1 else None

    # ---------------------------------------------------------------- alarms

    def _alarm(self, message: Message) -> None:
        prefix, reason, what = ALARMS[message.event]
        legs = self.floor.legs_with(message.get(f"{prefix}Uniqueid"))
        calls = {place[0].id: place[0] for leg in legs if (place := self._board.place_of(leg)) is not None}
        for call in calls.values():
            self._raise(call, reason, what)

    def _raise(self, call: Call, reason: Reason, what: str) -> None:
        if call.unsaid:
            return
        self.counts[reason.code.replace("-", "_")] += 1
        log.error("call %s: ALARM: Asterisk itself %s, whatever we do", call.id, what)
        call.pbx.overheard(reason)
