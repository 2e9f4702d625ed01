"""Who may listen to whom, for what, and how often; and which sentence says why not (people.md 4D).

`may_listen` asks in this order, and the first no decides: who you are -> may you -> purpose -> plan and cap. Whether
there is a call that may be heard is asked last, by `may_hear`: so nobody can learn by trying who is in a private or
confidential call. A confidential agent is the last of all for the same reason, and sounds like an idle one (W7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from qm_sip.config.people import Capacity
from qm_sip.policy import reasons
from qm_sip.policy.facts import CallFacts, Cause, Decision, PersonId, Reason, RecordingClass, Use
from qm_sip.policy.gate import decide
from qm_sip.policy.grants import grant_lacks
from qm_sip.policy.plans import has_notice, in_population, plan_for
from qm_sip.policy.purposes import LISTENS_FOR, may_be_used

if TYPE_CHECKING:
    from qm_sip.config import Agent, Config, Monitor, Plan

# --------------------------------------------------------------------------- how often so far


@dataclass(frozen=True)
class Past:
    """One time that somebody listened to an agent, or is listening now."""

    purpose: str
    began: datetime
    minutes: float
    session: str = ""


@dataclass(frozen=True)
class Usage:
    """How often an agent has been listened to, by whomever."""

    past: tuple[Past, ...] = ()

    def and_now(self, live: Iterable[Past]) -> Usage:
        """Return this with the sessions under way: each counts once, with all the minutes it was given."""
        now = {one.session: one for one in live}
        return Usage((*(one for one in self.past if one.session not in now), *now.values()))

    def of_month(self, purposes: Iterable[str], now: datetime) -> tuple[Past, ...]:
        """Return those of this calendar month (UTC) for one of these purposes."""
        month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        wanted = set(purposes)
        return tuple(one for one in self.past if one.purpose in wanted and one.began >= month)

    def last_before(self, month_of: datetime) -> datetime | None:
        """Return when somebody last listened in an earlier month: the end of the series before (S1:513)."""
        month = month_of.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return max((one.began for one in self.past if one.began < month), default=None)

    def last_for(self, purpose: str) -> datetime | None:
        return max((one.began for one in self.past if one.purpose == purpose), default=None)


def usage_of(sessions: Iterable[Mapping[str, Any]], now: datetime) -> Usage:
    """Count the sessions of one agent, as the catalog has them. One counts that was heard, or is still open: what was
    refused, or ended before the first sample, does not.
    """
    return Usage(tuple(filter(None, (_past(row, now) for row in sessions))))


def _past(row: Mapping[str, Any], now: datetime) -> Past | None:
    heard = bool(row.get("heard_ms")) or row.get("first") is not None
    running = row.get("ended_by") is None
    if not row.get("allowed") or not row.get("purpose") or not (heard or running):
        return None
    began = _moment(row.get("first")) or _moment(row.get("decided")) or _moment(row.get("requested"))
    if began is None:  # when it was is not known: count it as now, which is the stricter
        began = now
    minutes = (now - began).total_seconds() / 60 if running and heard else (row.get("heard_ms") or 0) / 60_000
    return Past(row["purpose"], began, max(0.0, minutes), row.get("id") or "")


def _moment(value: object) -> datetime | None:
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value)
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def time_left(config: Config, plan: str | None, usage: Usage, now: datetime) -> float:
    """Return how long a session under this plan may last, seconds: at most what is left of the month."""
    rules = config.regulation.plan.get(plan) if plan else None
    if rules is None:
        return 0.0
    used = sum(one.minutes for one in usage.of_month(rules.purposes, now))
    return max(0.0, min(rules.session_max.seconds, (rules.live_minutes - used) * 60))


# --------------------------------------------------------------------------- the rules


@dataclass
class Question:
    """May this person listen to this agent, for this purpose, now?"""

    config: Config
    person: PersonId
    agent: PersonId
    purpose: str
    usage: Usage
    now: datetime

    @cached_property
    def monitor(self) -> Monitor:
        """Only asked for once the first rule has found him."""
        return self.config.people.monitor[self.person]

    @cached_property
    def them(self) -> Agent | None:
        return self.config.people.agent.get(self.agent)

    @cached_property
    def mode(self) -> str:
        return mode_of(self.monitor)

    @cached_property
    def is_confidential(self) -> bool:
        return self.agent in self.config.index.confidential_persons

    @cached_property
    def plan_name(self) -> str | None:
        return plan_for(self.config, self.agent, self.purpose, self.now.date())

    @cached_property
    def plan(self) -> Plan | None:
        return self.config.regulation.plan[self.plan_name] if self.plan_name else None


Check = Callable[[Question], Reason | None]


class Rule(NamedTuple):
    """One row of the table: its name as docs/rules.md has it."""

    name: str
    check: Check


def mode_of(monitor: Monitor) -> str:
    """Return the mode in which somebody listens live: a colleague's is one of its own (KSF15-0.9)."""
    return "peer" if monitor.capacity is Capacity.PEER else "live"


def known(asked: Question) -> Reason | None:
    return None if asked.person in asked.config.people.monitor else reasons.LISTENER_UNKNOWN


def granted(asked: Question) -> Reason | None:
    if "listen" not in asked.monitor.may:
        return reasons.LISTENER_UNKNOWN
    return grant_lacks(asked.monitor, asked.person, asked.now.date())


def not_himself(asked: Question) -> Reason | None:
    return reasons.LISTENING_TO_HIMSELF if asked.person == asked.agent else None


def for_agent(asked: Question) -> Reason | None:
    """An extension that is nobody's is nobody he may listen to."""
    agents = asked.monitor.agents
    fits = asked.them is not None and ("*" in agents or asked.agent in agents)
    return None if fits else reasons.LISTENER_NOT_FOR_AGENT


def for_purpose(asked: Question) -> Reason | None:
    return None if asked.purpose in asked.monitor.purposes else reasons.LISTENER_NOT_FOR_PURPOSE


def by_capacity(asked: Question) -> Reason | None:
    if asked.purpose in LISTENS_FOR[asked.monitor.capacity]:
        return None
    if asked.purpose not in LISTENS_FOR[Capacity.MONITOR]:
        return reasons.PURPOSE_NOT_LIVE
    capacity = asked.monitor.capacity
    return reasons.PEER_ONLY_COACHES if capacity is Capacity.PEER else reasons.CLIENT_NEVER_SCORES


def purpose_and_mode(asked: Question) -> Reason | None:
    """A colleague listens in the mode `peer`, and live as well."""
    allowed = all(may_be_used(asked.config, asked.purpose, mode) for mode in {asked.mode, "live"})
    return None if allowed else reasons.MODE_NOT_ALLOWED


def mode_granted(asked: Question) -> Reason | None:
    return None if asked.mode in asked.monitor.modes else reasons.MODE_NOT_GRANTED


def in_force(asked: Question) -> Reason | None:
    lacks = asked.config.regulation.regulation.lacks(asked.now.date())
    return reasons.NOT_IN_FORCE if lacks else None


def agent_in_population(asked: Question) -> Reason | None:
    if asked.is_confidential:
        return None
    return None if in_population(asked.them) else reasons.AGENT_NOT_IN_POPULATION


def agent_has_notice(asked: Question) -> Reason | None:
    if asked.is_confidential:
        return None
    noticed = has_notice(asked.config, asked.them, asked.now.date())
    return None if noticed else reasons.AGENT_WITHOUT_NOTICE


def planned(asked: Question) -> Reason | None:
    return None if asked.plan else reasons.NO_PLAN


def below_the_cap(asked: Question) -> Reason | None:
    plan = asked.plan
    if plan is None:
        return None
    past = asked.usage.of_month(plan.purposes, asked.now)
    room = len(past) < plan.live_sessions and sum(one.minutes for one in past) < plan.live_minutes
    return None if room else reasons.CAP_REACHED


def improved(asked: Question) -> Reason | None:
    """After an assessment, before the next (2.1f); with strict_wp also between the series of two months (WP-3)."""
    regulation, window = asked.config.regulation, asked.config.regulation.clocks.improvement_window
    ends = [asked.usage.last_for("assessment")] if asked.purpose == "assessment" else []
    if regulation.regulation.strict_wp:
        ends.append(asked.usage.last_before(asked.now))
    waiting = any(end is not None and asked.now < window.after(end) for end in ends)
    return reasons.IMPROVEMENT_WINDOW if waiting else None


def not_confidential(asked: Question) -> Reason | None:
    return reasons.CONFIDENTIAL if asked.is_confidential else None


RULES: tuple[Rule, ...] = (
    Rule("known", known),
    Rule("grant", granted),
    Rule("not himself", not_himself),
    Rule("for this agent", for_agent),
    Rule("for this purpose", for_purpose),
    Rule("capacity", by_capacity),
    Rule("purpose and mode", purpose_and_mode),
    Rule("mode granted", mode_granted),
    Rule("regulation in force", in_force),
    Rule("agent in population", agent_in_population),
    Rule("agent has notice", agent_has_notice),
    Rule("published plan", planned),
    Rule("cap", below_the_cap),
    Rule("time to improve", improved),
    Rule("not confidential", not_confidential),
)


# --------------------------------------------------------------------------- deciding


def may_listen(
    config: Config, monitor: PersonId, agent: PersonId, purpose: str, usage: Usage, now: datetime
) -> Decision:
    """Say whether somebody whose code was right may listen to an agent for a purpose. The decision names the plan.

    Whether there is a call he may hear is the next question (`may_hear`), and the last.
    """
    asked = Question(config, monitor, agent, purpose, usage, now)
    for rule in RULES:
        reason = _ask(rule, asked)
        if reason is not None:
            return _no(reason)
    if asked.plan_name is None:  # nobody listens without one, whatever the rules above were made to say
        return _no(reasons.RULE_FAILED)
    why = (reasons.MAY_LISTEN,)
    return Decision(Use.LISTEN, True, RecordingClass.QUALITY, (), Cause.NONE, asked.plan_name, why)


def _no(reason: Reason) -> Decision:
    return Decision(Use.LISTEN, False, None, (), Cause.NONE, None, (reason,))


def _ask(rule: Rule, asked: Question) -> Reason | None:
    try:
        return rule.check(asked)
    except Exception:  # whatever went wrong: what cannot be evaluated means no (I4)
        return reasons.RULE_FAILED


def may_hear(config: Config, facts: CallFacts, monitor: PersonId, purpose: str) -> Decision:
    """Say whether this call may be heard by this person for this purpose now: the one gate (I4). A client hears only
    what is said on his behalf (KSF15-6.3b).
    """
    decision = decide(config, facts, Use.LISTEN, purpose=purpose)
    account = config.people.monitor.get(monitor)
    if not decision.allowed:
        return decision
    if account is None:
        return _no(reasons.LISTENER_UNKNOWN)
    is_client = account.capacity is Capacity.CLIENT
    return _no(reasons.CLIENT_OF_ANOTHER) if is_client and facts.client != account.client else decision


# --------------------------------------------------------------------------- what is said

SAME = "W7"  # private, confidential, objected, idle: one sentence, so that it tells none from another

# The sentence for each reason that may be told a supervisor; every other is W7.
SAID: Mapping[str, str] = {
    reasons.LISTENER_UNKNOWN.code: "W1",
    reasons.LISTENING_TO_HIMSELF.code: "W1",
    reasons.LISTENER_NOT_FOR_AGENT.code: "W1",
    reasons.GRANT_MISSING.code: "W1",
    reasons.AGENT_NOT_IN_POPULATION.code: "W1",
    reasons.WRONG_CODE.code: "W2",
    reasons.LISTENER_NOT_FOR_PURPOSE.code: "W3",
    reasons.PEER_ONLY_COACHES.code: "W3",
    reasons.CLIENT_NEVER_SCORES.code: "W3",
    reasons.MODE_NOT_ALLOWED.code: "W3",
    reasons.MODE_NOT_GRANTED.code: "W3",
    reasons.PURPOSE_NOT_LIVE.code: "W3",
    reasons.NOT_TOGETHER.code: "W3",
    reasons.NO_PLAN.code: "W4",
    reasons.CAP_REACHED.code: "W5",
    reasons.IMPROVEMENT_WINDOW.code: "W5",
    reasons.GRANT_EXPIRED.code: "W6",
    reasons.NOT_QUALIFIED.code: "W6",
    reasons.LISTENING_OFF.code: "W8",
    reasons.NOT_TOLD.code: "W8",
    reasons.USE_NOT_TOLD.code: "W8",
    reasons.PURPOSE_NOT_TOLD.code: "W8",
    reasons.PURPOSE_NOT_OF_LINE.code: "W8",
    reasons.IDENTITY_NOT_TOLD.code: "W8",
    "notice-failed": "W9",  # arises in the call
    reasons.NOT_IN_FORCE.code: "W10",
    reasons.SCOPE_NOT_CONSENTED.code: "W10",
    reasons.AGENT_WITHOUT_NOTICE.code: "W11",
    reasons.SECRECY_NOT_SIGNED.code: "W12",
}


def spoken(reason: Reason) -> str:
    """Return the id of the prompt a supervisor hears for a reason."""
    return SAID.get(reason.code, SAME)


# What the agent hears before somebody listens (people.md 4C): by purpose, then by capacity.
def notice_for(config: Config, monitor: PersonId, purpose: str) -> str:
    """Return the id of the notice: A8 a coach, A9 for his assessment, A10 the client, A11 a colleague."""
    account = config.people.monitor.get(monitor)
    capacity = account.capacity if account else Capacity.MONITOR
    if capacity is Capacity.CLIENT:
        return "A10"
    if purpose == "assessment":
        return "A9"
    return "A11" if capacity is Capacity.PEER else "A8"


# --------------------------------------------------------------------------- who may, for everybody to read


def cannot_listen(config: Config, person: PersonId, now: datetime) -> Reason | None:
    """Return why nobody could be listened to by this person today, whomever he asks for; None: he may listen
    (KSF15-3.3.3).
    """
    asked = Question(config, person, PersonId(""), "", Usage(), now)
    return next((reason for rule in RULES[:2] if (reason := _ask(rule, asked)) is not None), None)
