"""What a PBX itself tells of a call, beside SIP: who is in its bridge with our leg, and who listens there.

SIP tells of a change of party only if the PBX is set up to say so, never of a third in the bridge, a conference made
in the phone, or a queue that has answered for nobody. What it tells here is taken for less, never for more:

| told | the call |
|---|---|
| nobody is with that leg (it rings, waits in a queue, is put through) | rests: nothing is kept or heard |
| more than one, or the agent's phone shares two calls | rests; after `SOON` whoever else is there is looked up (I1) |
| the one who is there holds | rests |
| another than before, on the agent's leg | he is the agent, or nobody is known to be |
| another than before, on the customer's leg | a new outside party: what was told is void (I2) |
| the same as before, or as SIP says | nothing |
| it cannot be heard | rests, if the settings say so |

A rest begins `GRACE` later. That is less than the engine holds back, and drops when the rest begins: nothing that came
meanwhile is kept. And what lasts some milliseconds only, like the end of a call or an attended transfer, costs nothing.

The first one who is seen with a leg is the one that SIP has named; he is believed to be somebody else only if he is one
of our own. Word that comes late may be true no more: then another is somebody unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import Reason
from qm_sip.private import Private

if TYPE_CHECKING:
    from qm_sip.call.call import Call

GRACE: Final = 0.1  # seconds; half of what is held back
SOON: Final = 1.0  # seconds until whoever is more than one is looked up
NOBODY, CONFERENCE, HELD, AWAY = "nobody-there", "conference", "held-by-pbx", "pbx-away"


@dataclass(frozen=True)
class Present:
    """Somebody who is in the PBX's bridge with a leg of ours."""

    id: str  # never used twice
    names: tuple[Private[str], ...]  # the number first, if it is known
    holds: bool = False
    others: tuple[Private[str], ...] = ()  # with whom his phone shares what it hears


class Pbx:
    """See the module's docstring."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._with: dict[LegName, Sequence[Present]] = {}
        self._one: dict[LegName, tuple[str, tuple[Private[str], ...]]] = {}
        self._since: dict[str, float] = {}  # why it rests, or will

    def company(self, leg: LegName, presents: Sequence[Present], now: float, *, late: bool = False) -> None:
        """Who is with that leg now."""
        call, before = self._call, self._with.get(leg, ())
        if call.unsaid or call.book.ended:
            return
        self._with[leg] = presents
        self._rest(now)
        if len(presents) == 1:
            self._is(leg, presents[0], now, late=late)
        elif len(presents) > 1 or self._shared(leg):
            call.desk.timers.start(now + SOON, lambda at: self._look_up(leg, at))
        if len(presents) == 1 and self._shared(leg) and presents != before:
            call.desk.timers.start(now + SOON, lambda at: self._look_up(leg, at))

    def left(self, leg: LegName, now: float) -> None:
        """Another leg of ours is in that place: who was with the old one says nothing of it."""
        self._one.pop(leg, None)
        if self._with.pop(leg, None) is not None:
            self._rest(now)

    def away(self, on: bool, now: float) -> None:
        """The PBX cannot be heard, or can again."""
        self._set(AWAY, on, now)

    def overheard(self, reason: Reason) -> None:
        """The PBX records or lets somebody listen by itself."""
        call = self._call
        if not (call.unsaid or call.book.ended):
            call.book.add_reason(reason)

    def _rest(self, now: float) -> None:
        everybody = [present for presents in self._with.values() for present in presents]
        several = any(len(presents) > 1 for presents in self._with.values())
        # Order: what begins comes before what ends, so that nothing is kept in between.
        wanted = {
            NOBODY: not all(self._with.values()),
            CONFERENCE: several or any(self._shared(leg) for leg in self._with),
            HELD: any(present.holds for present in everybody),
        }
        for why, on in sorted(wanted.items(), key=lambda item: not item[1]):
            self._set(why, on, now)

    def _set(self, why: str, on: bool, now: float) -> None:
        call = self._call
        if not on:
            self._since.pop(why, None)
            call.pausing.rest_over(why, now)
        elif why not in self._since:
            self._since[why] = now
            call.desk.timers.start(now + GRACE, lambda at: self._lasts(why, now, at))

    def _lasts(self, why: str, since: float, now: float) -> None:
        if self._since.get(why) == since and not self._call.book.ended:
            self._call.pausing.rest(why, now)

    def _shared(self, leg: LegName) -> bool:
        """Whether the agent's phone lets two calls hear each other. What a customer's does, nobody knows."""
        return leg != self._call.customer and any(present.others for present in self._with.get(leg, ()))

    def _is(self, leg: LegName, present: Present, now: float, *, late: bool) -> None:
        seen, known = (present.id, present.names), self._one.get(leg)
        if seen == known:
            return
        self._one[leg] = seen
        self._call.who.is_with(leg, present.names, now, another=known is not None, believed=not late)

    def _look_up(self, leg: LegName, now: float) -> None:
        """They still are more than two: some must be known by name (rows 1, 2 and 5)."""
        call, presents = self._call, self._with.get(leg, ())
        if call.unsaid or call.book.ended:
            return
        names = [name for present in presents for name in present.others if self._shared(leg)]
        if len(presents) > 1:
            names += [name for present in presents for name in present.names]
        if names:
            call.who.will_be([name.reveal() for name in names], now)
