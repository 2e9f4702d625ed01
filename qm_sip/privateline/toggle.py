"""Who may make a running call private: the facts of it. `call/private.py` does it, the engine obeys at once.

Beforehand (a prefix, a code) it is `policy/identify.py` that says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qm_sip.policy import reasons
from qm_sip.policy.facts import CallFacts, LineKind, Party, Reason, Role
from qm_sip.policy.identify import duty_forbids_private

if TYPE_CHECKING:
    from qm_sip.config import Config


def may_toggle(config: Config, facts: CallFacts, party: Party) -> bool:
    """Only the agent, while he is in the call, and not where the law requires a recording (row 4)."""
    is_agent = party in facts.parties and party.role is Role.AGENT and party.left is None
    return is_agent and why_not_private(config, facts) is None


def why_not_private(config: Config, facts: CallFacts) -> Reason | None:
    """Return why this call cannot be made private, to be spoken as A7; None: it can."""
    return reasons.PRIVATE_REFUSED if duty_forbids_private(config, facts) else None


def made_private(facts: CallFacts) -> CallFacts:
    """Return the facts of the call from now on: private is a property of the call, until it ends (I5)."""
    return replace(facts, kind=LineKind.PRIVATE, private_by_agent=True)
