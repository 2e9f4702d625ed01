"""Phones that know of recording (RFC 7866): told what is, and asked what they wish.

A phone says `Supported: record-aware`. It is told by `a=record` in what we describe to it: on while a recording runs,
paused while a hold or a pause interrupts one, else off. That is read from the call's book, so what a phone shows and
what the row says are one; a private call, one that only somebody listens to, and one that failed are off. A phone that
is not aware is told nothing, and of a confidential or emergency call nobody is told anything.

What a phone wishes it says by `a=recordpref`:

| | the customer's phone | the agent's phone |
|---|---|---|
| off | he objects to recording, where the line lets him (FAQ-B.7, WP-26) | noted |
| pause, on | noted | noted |
| nopreference | nothing | nothing |

An objection may come from anywhere, for it only forbids. It is not one to listening: the header speaks of recording. An
agent's phone decides nothing for him: he has keys for that (KSF15-3.9), and who set the phone is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qm_sip.call import reasons
from qm_sip.call.headers import values
from qm_sip.call.session import read_sdp
from qm_sip.call.states import State
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import Use
from qm_sip.policy.identify import line_of
from qm_sip.sip.message import Message, Request, Response
from qm_sip.sip.sdp import Sdp
from qm_sip.sip.timers import Timer

if TYPE_CHECKING:
    from qm_sip.call.call import Call

TAG: Final = "record-aware"
WISHES: Final = ("on", "off", "pause", "nopreference")
SOON: Final = 0.1  # seconds in which several changes are said as one
LATER: Final = 0.5  # until it is tried again, where another offer was under way
NOTED: Final = {
    "on": reasons.RECORDPREF_ON,
    "off": reasons.RECORDPREF_OFF,
    "pause": reasons.RECORDPREF_PAUSE,
}


def wish_of(message: Request | Response) -> str | None:
    """What a description asks for: on, off, pause, nopreference; None if it asks nothing, or cannot be read."""
    if b"a=recordpref" not in message.body:
        return None
    sdp = read_sdp(message)
    return None if sdp is None else _wish(sdp)


def _wish(sdp: Sdp) -> str | None:
    """The audio's own wish counts before that of the whole session."""
    own = sdp.audio.attributes("recordpref") if sdp.audio else []
    whole = [line[13:] for line in sdp.session if line.startswith("a=recordpref:")]
    word = next(iter([*own, *whole]), "").strip().lower()
    return word if word in WISHES else None


class Aware:
    """The two phones of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._knowing: set[LegName] = set()
        self._wishes: dict[LegName, str] = {}
        self._timer: Timer | None = None

    # ---------------------------------------------------------------- what they say

    def heard(self, leg: LegName, message: Message) -> None:
        """Whether that phone knows of recording; it need say so only once."""
        tags = (tag.lower() for name in ("Supported", "Require") for tag in values(message, name))
        if self._call.config.server.sip.record_indication != "never" and TAG in tags:
            self._knowing.add(leg)

    def left(self, leg: LegName) -> None:
        """Another phone is there now."""
        self._knowing.discard(leg)
        self._wishes.pop(leg, None)

    def wishes(self, leg: LegName, message: Request | Response, now: float) -> None:
        """What that phone asks for, if it says something new."""
        wish, call = wish_of(message), self._call
        if wish is None or wish == self._wishes.get(leg) or call.unsaid:
            return
        self._wishes[leg] = wish
        objects = wish == "off" and leg == call.customer and line_of(call.config, call.facts).opt_out
        if objects and call.recording is not None:
            call.objections.press("recordpref", now, frozenset({Use.RECORD}))
        elif not objects and wish in NOTED:
            call.book.add_reason(NOTED[wish])

    # ---------------------------------------------------------------- what they are told

    def indication(self, leg: LegName) -> str | None:
        """What that phone is told now: on, off, paused; None: nothing."""
        return self._call.book.indication if leg in self._knowing and not self._call.unsaid else None

    def changed(self) -> None:
        """The book has turned a page. Where that is wanted, a phone hears of it at once."""
        at_once = self._call.config.server.sip.record_indication == "at-once"
        if at_once and self._knowing and self._timer is None:
            self._timer = self._call.desk.timers.start(self._call.desk.now() + SOON, self._tell)

    def _tell(self, now: float) -> None:
        self._timer = None
        call = self._call
        if call.state is not State.TALKING or call.unsaid:
            return
        late = [
            leg for leg in sorted(self._knowing) if call.exchange.sessions[leg].told != self.indication(leg)
        ]
        waiting = [leg for leg in late if not call.exchange.indicate(leg, now)]
        if waiting:
            self._timer = call.desk.timers.start(now + LATER, self._tell)

    def end(self) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()
