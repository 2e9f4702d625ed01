"""The gate of one call's recording, as states that own their data.

- `Closed`: nothing has been said to the customer yet.
- `Telling`: a prompt is being played; the state knows which.
- `Open`: the customer has heard it to the end; the state holds what he was told and the engine's proof. A tap
  may be
  asked for, as often as the agent changes.
- `Refused`: the answer is no for the rest of the call, and the state holds why.

There is no flag beside them that could disagree. The engine holds the same gate once more, from what it sent
itself (invariant I2): if Python were wrong here, it would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qm_sip.announce.prompts import Prompt
from qm_sip.call import reasons
from qm_sip.config import Config
from qm_sip.errors import BrokenInvariant
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import (
    CallFacts,
    Decision,
    Digest,
    How,
    Party,
    Reason,
    Role,
    Told,
    Use,
)
from qm_sip.policy.gate import decide
from qm_sip.private import Private

NS = 1_000_000_000


@dataclass(frozen=True)
class Closed:
    """Nobody has been told anything."""


@dataclass(frozen=True)
class Telling:
    play: str
    leg: LegName


@dataclass(frozen=True)
class Open:
    told: Told
    proof: str


@dataclass(frozen=True)
class Refused:
    reasons: tuple[Reason, ...]


Gate = Closed | Telling | Open | Refused


@dataclass
class Running:
    """A recording that was decided. `asked`: the engine was asked for its tap; `kept_from`: when it opened
    it.
    """

    recording: str
    decision: Decision
    agent: Party | None
    header: Mapping[str, Any]
    asked: bool = False
    kept_from: float | None = None


class Capture:
    """What one call is told, and what is kept of it. Gives the engine's commands; does not send them."""

    def __init__(
        self, config: Config, facts: CallFacts, prompt: Prompt, customer: LegName, *, records: bool = True
    ) -> None:
        self.records = records  # False: he is told because somebody may listen
        self.told: Told | None = None
        self.subject: Private[str] | None = None  # the customer's own Call-ID, if he was told while he waited
        self.config, self.facts, self.prompt, self.customer = config, facts, prompt, customer
        self.gate: Gate = Closed()
        self.proof: str | None = (
            None  # the engine's, that the customer was told; stands when the gate is refused
        )
        self.running: Running | None = None

    # ------------------------------------------------------------- telling

    def tell(self, play: str) -> protocol.Play:
        """Begin to tell the customer."""
        self.gate = Telling(play, self.customer)
        return protocol.Play(self.facts.call, self.customer, play, self.prompt.digest)

    def heard(self, event: protocol.PromptFinished) -> Told | None:
        """The engine's proof. None if it is not the prompt that was being played."""
        if not isinstance(self.gate, Telling) or event.play != self.gate.play:
            return None
        told = told_of(event, How.PROMPT)
        self.was_told(told, event.proof)
        return told

    def was_told(self, told: Told, proof: str, subject: Private[str] | None = None) -> None:
        """He knows: by the prompt that has just ended, or by a receipt of one he heard while he waited."""
        self.gate, self.proof, self.told, self.subject = Open(told, proof), proof, told, subject
        self.facts = with_told(self.facts, told)

    def refuse(self, *why: Reason) -> None:
        """No recording for the rest of this call."""
        self.gate = Refused(why)

    # ------------------------------------------------------------- keeping

    def decide(self) -> Decision:
        """Decide with what is known now (people.md section 1)."""
        return decide(self.config, self.facts, Use.RECORD)

    def intend(self, recording: str, decision: Decision) -> Running:
        """This recording is to be made. Only in `Open` and with a decision that allows it."""
        if not isinstance(self.gate, Open) or not decision.allowed:
            raise BrokenInvariant("a recording was about to be made through a gate that is not open (I2)")
        header = recording_header(self.facts, recording, decision, self.gate.told)
        self.running = Running(recording, decision, agent_of(self.facts), header)
        return self.running

    def open(self) -> protocol.OpenTap:
        """Ask the engine for the tap of the recording that was intended."""
        running = self.running
        if running is None or not isinstance(self.gate, Open):
            raise BrokenInvariant("a tap was about to be asked for that nobody decided (I4)")
        running.asked = True
        purposes = [purpose.name for purpose in running.decision.purposes]
        return protocol.OpenTap(
            call=self.facts.call,
            tap=running.recording,
            use="record",
            purposes=purposes,
            proofs=[self.gate.proof],
            recipients=self.recipients(running.decision),
            header=dict(running.header),
        )

    def recipients(self, decision: Decision) -> dict[str, list[str]]:
        """To whom each purpose is sealed, by the settings the call began with (I3)."""
        return {purpose.name: list(self.config.recipients(purpose.name)) for purpose in decision.purposes}

    def close(self, reason: str, *, keep_held_back: bool) -> protocol.CloseTap:
        """Close the running tap. What was held back is kept only if nobody changed."""
        assert self.running is not None
        return protocol.CloseTap(self.facts.call, self.running.recording, reason, keep_held_back)

    def with_agent(self, party: Party) -> None:
        """Another person is the agent from now on."""
        others = tuple(p for p in self.facts.parties if p.role is not Role.AGENT and p.id != party.id)
        self.facts = replace(self.facts, parties=(*others, party))


def told_of(event: protocol.PromptFinished, how: How) -> Told:
    """What somebody has been told who heard this prompt to its end."""
    return Told(
        identity=event.identity,
        uses=frozenset(Use(use) for use in event.uses),
        purposes=frozenset(event.purposes),
        language=event.language,
        how=how,
        prompt=Digest(event.prompt),
        began=event.began_ns / NS,
        ended=event.ended_ns / NS,
        packets=event.packets,
    )


def agent_of(facts: CallFacts) -> Party | None:
    """The agent, if a person is known by that role."""
    return next((party for party in facts.parties if party.role is Role.AGENT), None)


def as_it_came(facts: CallFacts) -> CallFacts:
    """The facts for a call's row: what somebody has been told is entered by itself, once."""
    return replace(facts, parties=tuple(replace(party, told=()) for party in facts.parties))


def with_told(facts: CallFacts, told: Told) -> CallFacts:
    """Every outside party on the customer's leg has now been told."""
    parties = tuple(replace(p, told=(*p.told, told)) if p.outside else p for p in facts.parties)
    return replace(facts, parties=parties)


def recording_header(facts: CallFacts, recording: str, decision: Decision, told: Told) -> dict[str, Any]:
    """What is sealed into the journal's first chunk: why it exists, who was told what, when it must go (I3)."""
    agent = agent_of(facts)
    return {
        "recording": recording,
        "call": facts.call,
        "started": facts.started.isoformat(),
        "direction": facts.direction,
        "line": facts.line,
        "controller": facts.controller,
        "client": facts.client,
        "campaign": facts.campaign,
        "queue": facts.queue,
        "agent": agent.person if agent else None,
        "class": decision.cls,
        "cause": decision.recorded_cause,
        "announcement": [told.prompt] if told.prompt else [],
        "destroy_by": {purpose.name: purpose.destroy_by.isoformat() for purpose in decision.purposes},
        "purposes": [
            {
                "name": purpose.name,
                "ground": {str(kind): ground for kind, ground in purpose.ground.items()},
                "balancing": purpose.balancing,
                "destroy_by": purpose.destroy_by.isoformat(),
                "select_by": purpose.select_by.isoformat() if purpose.select_by else None,
                "evaluate_by": purpose.evaluate_by.isoformat() if purpose.evaluate_by else None,
            }
            for purpose in decision.purposes
        ],
        "regulation": facts.regulation,
        "lines": facts.lines,
        "people": facts.people,
        "told": {
            "identity": told.identity,
            "uses": sorted(told.uses),
            "purposes": sorted(told.purposes),
            "language": told.language,
            "how": told.how,
            "prompt": told.prompt,
            "packets": told.packets,
            "began_ns": int(told.began * NS),
            "ended_ns": int(told.ended * NS),
        },
    }


def refusal_of(tap_reason: str) -> Reason:
    """The engine's refusal as a reason of ours; its own word is kept in the code."""
    return replace(reasons.TAP_REFUSED, code=f"tap-refused/{tap_reason}")
