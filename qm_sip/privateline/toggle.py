"""Who may make a call private, and end that: the facts of it. The feature code itself is not built yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qm_sip.policy.facts import CallFacts, LineKind, Party, Role

if TYPE_CHECKING:
    from qm_sip.config import Config


def may_toggle(config: Config, facts: CallFacts, party: Party) -> bool:
    """Only the agent, while he is in the call, and not where the law requires a recording (row 4)."""
    line = config.line(facts.line)
    duty = line is not None and bool(line.legal_duty)
    return party in facts.parties and party.role is Role.AGENT and party.left is None and not duty


def made_private(facts: CallFacts) -> CallFacts:
    """Return the facts of the call from now on: private is a property of the call (I5)."""
    return replace(facts, kind=LineKind.PRIVATE)
