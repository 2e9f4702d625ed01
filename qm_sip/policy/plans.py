"""Monitoring plans, and what an agent must have had beforehand: the notice, and a place in the population."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from qm_sip.policy.facts import PersonId

if TYPE_CHECKING:
    from qm_sip.config import Agent, Config, Plan


def in_population(agent: Agent | None) -> bool:
    """Say whether this person may be monitored at all, with a reason (KSF15-3.2a)."""
    return agent is not None and agent.monitorable and bool(agent.reason)


def has_notice(config: Config, agent: Agent | None, day: date) -> bool:
    """Say whether this person had the notice in use long enough before that day (KSF15-3.6a, 3.7.3)."""
    wanted = config.regulation.regulation.notice_to_agents
    if agent is None or not wanted.version or agent.notice.version != wanted.version:
        return False
    return agent.notice.given is not None and (day - agent.notice.given).days >= wanted.days_before


def plan_for(config: Config, agent: PersonId | None, purpose: str, day: date) -> str | None:
    """Return the name of the plan under which somebody may listen to this agent for this purpose on that day: the one
    published last. `agent` None: to anybody.
    """
    fitting = [
        (plan.published, name)
        for name, plan in config.regulation.plan.items()
        if plan.published is not None and plan.published < day and _covers(plan, agent, purpose)
    ]
    return max(fitting)[1] if fitting else None


def _covers(plan: Plan, agent: PersonId | None, purpose: str) -> bool:
    return purpose in plan.purposes and (agent is None or "*" in plan.agents or agent in plan.agents)
