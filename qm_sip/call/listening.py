"""One listener on one call: the agent is told, then the engine opens what he hears; until either of them ends it.

    Waiting -> Noticing -> Opening -> Hearing -> Over

- `Waiting`: somebody holds, or it is paused: nothing could be heard. From the end of that on the agent is told anew.
- `Noticing`: the agent hears that a coach (A8), an assessor (A9), a client (A10) or a colleague (A11) is about to
  listen. It is the engine's proof of this notice that opens the tap: no sample is heard before its end (I10).
- `Hearing`: a hold or a pause interrupts it, and it goes on by itself.

Whoever listens is told of each step as a `Hearer` (`qm_sip/monitor`). The decision is the same gate's as that of a
recording (I4), and is noted with the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from qm_sip.call import reasons
from qm_sip.call.capture import NS, agent_of, refusal_of
from qm_sip.call.states import State
from qm_sip.call.words import NoteDecision
from qm_sip.media import protocol
from qm_sip.policy.facts import Decision, PersonId, Reason
from qm_sip.policy.listening import may_hear

if TYPE_CHECKING:
    from qm_sip.call.call import Call


class Hearer(Protocol):
    """Whoever listens, as the call sees him."""

    def noticed(self, began: float, ended: float) -> None:
        """The agent has been told, from and to these monotonic seconds."""

    def hears(self, since: float, now: float) -> None:
        """From `since` on he hears."""

    def interrupted(self, now: float) -> None:
        """A hold or a pause."""

    def goes_on(self, now: float) -> None:
        """It has ended."""

    def refused(self, reason: Reason, now: float) -> None:
        """He may not hear this call, or it could not be done. Nothing more comes of it."""

    def over(self, cause: str, last: float | None, now: float) -> None:
        """He hears nothing any more. `last`: when the last sample he heard arrived, monotonic seconds."""


class Step(Enum):
    WAITING = auto()
    NOTICING = auto()
    OPENING = auto()
    HEARING = auto()
    OVER = auto()


@dataclass(frozen=True)
class Wish:
    """Who wants to hear whom, and why; what the agent is told of it; with which engine call's one leg he hears."""

    monitor: PersonId
    agent: PersonId
    purpose: str
    notice: str
    to: str


class Listening:
    """See the module's docstring."""

    def __init__(self, call: Call, wish: Wish, hearer: Hearer) -> None:
        self._call, self._wish, self._hearer = call, wish, hearer
        self.step = Step.WAITING
        self._tap = ""
        self._told_at = 0.0

    @property
    def hearing(self) -> bool:
        """Whether the engine lets him hear."""
        return self.step is Step.HEARING

    @property
    def heard_for(self) -> str | None:
        """The purpose for which he hears, or will as soon as the engine answers."""
        return self._wish.purpose if self.step in (Step.OPENING, Step.HEARING) else None

    def begin(self, now: float) -> None:
        """Tell the agent, unless nothing could be heard for now."""
        call = self._call
        if self.step is not Step.WAITING:
            return
        if call.unsaid or call.state is not State.TALKING:  # it ended while he heard his first sentence
            self._give_up(reasons.NOT_AVAILABLE, now)
            return
        if call.book.interrupted:
            call.listeners.setdefault(self._new_tap(), self)
            return
        call.listeners.pop(self._tap, None)
        decision = self._decide()
        call.book.note(NoteDecision(call.id, decision, now, "listening"))
        if not decision.allowed or not self._is_as_agreed():
            reason = reasons.NOT_AVAILABLE if decision.allowed else decision.reasons[0]
            self._give_up(reason, now)
            return
        self.step, self._told_at = Step.NOTICING, now
        tap = self._new_tap()
        call.listeners[tap] = self
        call.voice.to_agent(call.agents_leg, self._wish.notice, now, self._noticed, for_tap=tap)

    def _decide(self) -> Decision:
        return may_hear(self._call.config, self._call.facts, self._wish.monitor, self._wish.purpose)

    def _is_as_agreed(self) -> bool:
        """Whether the person it was agreed for talks, and could be heard."""
        call, agent = self._call, agent_of(self._call.facts)
        same = agent is not None and agent.person == self._wish.agent
        return same and call.state is State.TALKING and call.may_be_used

    def _new_tap(self) -> str:
        self._tap = self._call.desk.new_id()
        return self._tap

    def _noticed(self, now: float, proof: str | None) -> None:
        if self.step is not Step.NOTICING:
            return
        call = self._call
        if proof is None and call.may_be_used:
            self._give_up(reasons.NOTICE_FAILED, now)
        elif proof is None or not call.recording or call.recording.capture.proof is None:
            self._give_up(reasons.NOT_AVAILABLE, now)
        elif call.book.interrupted:
            self.step = Step.WAITING
        elif not (decision := self._decide()).allowed:  # a recording has begun while the agent was being told
            self._give_up(decision.reasons[0], now)
        else:
            self.step = Step.OPENING
            call.who_hears()
            self._hearer.noticed(self._told_at, now)
            call.desk.media.send(self._open(proof, call.recording.capture.proof))

    def _open(self, notice: str, told: str) -> protocol.OpenTap:
        return protocol.OpenTap(
            call=self._call.id,
            tap=self._tap,
            use="listen",
            purposes=[self._wish.purpose],
            proofs=[told],
            recipients={},
            header={},
            notice=notice,
            to={"call": self._wish.to, "leg": "caller"},
        )

    def resumed(self, now: float) -> None:
        """Nobody holds any more."""
        if self.step is Step.WAITING:
            self.begin(now)

    # ---------------------------------------------------------------- what the engine says

    def opened(self, event: protocol.TapOpened, now: float) -> None:
        if self.step is Step.OPENING:
            self.step = Step.HEARING
            self._call.who_hears()
            self._hearer.hears(event.kept_from_ns / NS, now)

    def refused(self, event: protocol.TapRefused, now: float) -> None:
        """The engine holds the gate too. What became so a moment ago is no fault: he waits, or is told no more."""
        if self.step is Step.OPENING and event.reason in ("hold", "paused"):
            self.step = Step.WAITING
            self._call.who_hears()
            self.resumed(now) if not self._call.book.interrupted else None
        elif self.step is Step.OPENING:
            private = event.reason in ("private", "objected")
            self._give_up(reasons.NOT_AVAILABLE if private else refusal_of(event.reason), now)

    def paused(self, event: protocol.TapPaused, now: float) -> None:
        if self.step is Step.HEARING:
            (self._hearer.interrupted if event.on else self._hearer.goes_on)(now)

    def closed(self, event: protocol.TapClosed, now: float) -> None:
        self._over(event.reason, event.last_ns / NS if event.last_ns else None, now)

    # ---------------------------------------------------------------- the end

    def agent_changed(self, now: float) -> None:
        """It was agreed for another person than the one who talks now."""
        self.stop("agent-changed", now)

    def stop(self, cause: str, now: float) -> None:
        """He goes, or must go."""
        if self.step in (Step.OPENING, Step.HEARING):
            self._call.desk.media.send(
                protocol.CloseTap(self._call.id, self._tap, cause, keep_held_back=False)
            )
        else:
            self._over(cause, None, now)

    def over(self, cause: str, now: float) -> None:
        """The engine is gone, or the call."""
        self._over(cause, None, now)

    def _over(self, cause: str, last: float | None, now: float) -> None:
        heard = self.step is Step.HEARING
        if self.step is not Step.OVER:
            self.step = Step.OVER
            self._call.listeners.pop(self._tap, None)
            self._call.who_hears()
            if heard and self._call.may_be_used and self._is_as_agreed() and not self._somebody_hears():
                self._call.voice.to_agent(self._call.agents_leg, "A12", now)
            self._hearer.over(cause, last, now)

    def _somebody_hears(self) -> bool:
        return any(other.hearing for other in self._call.listeners.values())

    def _give_up(self, reason: Reason, now: float) -> None:
        self.step = Step.OVER
        self._call.listeners.pop(self._tap, None)
        self._call.who_hears()
        self._hearer.refused(reason, now)
