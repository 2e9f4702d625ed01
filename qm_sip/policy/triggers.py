"""What makes one call be recorded, on a line with capture = "trigger": a closed list of conditions over facts
(KSF15-0.2). Nothing is evaluated that somebody wrote as an expression.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from qm_sip.policy.facts import CallFacts

if TYPE_CHECKING:
    from qm_sip.config import Trigger


def trigger_met(facts: CallFacts, triggers: Iterable[Trigger]) -> str | None:
    """Return the name of the first trigger that this call meets."""
    return next((trigger.name for trigger in triggers if is_met(facts, trigger)), None)


def is_met(facts: CallFacts, trigger: Trigger) -> bool:
    """Say whether everything the trigger names holds of the call. What is not known of a call does not hold; a trigger
    that names nothing is met by none.
    """
    asked = (
        (trigger.direction, facts.direction is trigger.direction),
        (trigger.queues, facts.queue in trigger.queues),
        (trigger.campaigns, facts.campaign in trigger.campaigns),
        (trigger.clients, facts.client in trigger.clients),
        (trigger.languages, _language(facts) in trigger.languages),
        (trigger.header, _header_is(facts, trigger)),
    )
    holds = [answer for wanted, answer in asked if wanted]
    return bool(holds) and all(holds)


def _language(facts: CallFacts) -> str:
    return (facts.language or "").strip().lower().replace("_", "-").split("-")[0]


def _header_is(facts: CallFacts, trigger: Trigger) -> bool:
    if trigger.header is None:
        return False
    return dict(facts.headers).get(trigger.header.name.lower()) in trigger.header.values
