"""The one gate for every use of live audio (I4): a table of rules, in the order of docs/rules.md.

Each rule is a small function that says no with a reason, or nothing. The first that says no decides; if none
does, the answer is yes. A rule that fails says no (`rule-failed`). Legal duty (row 4) is a column: it
outranks the rows that yield to it, and no others: being told, and confidentiality, never yield.

Row 8 (hold, consultation, ringing, menus) is not here: these are stretches of a call, kept out by the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from qm_sip.config.lines import Line
from qm_sip.config.registry import day_of
from qm_sip.policy import reasons
from qm_sip.policy.clocks import purpose_value
from qm_sip.policy.draw import is_in
from qm_sip.policy.facts import (
    CallFacts,
    Cause,
    Decision,
    LineKind,
    Party,
    Purpose,
    Reason,
    RecordingClass,
    Role,
    Use,
)
from qm_sip.policy.plans import has_notice, in_population, plan_for
from qm_sip.policy.purposes import MODE_OF, QUALITY, may_be_used
from qm_sip.policy.triggers import trigger_met
from qm_sip.privateline.match import PrivateLineMatch, has_agreed, match_parties

if TYPE_CHECKING:
    from qm_sip.config import Agent, Config


@dataclass
class Case:
    """One question put to the gate: these settings, this call, this use. What rules share is worked out
    once.
    """

    config: Config
    facts: CallFacts
    use: Use
    purpose: str | None = None  # of a session of listening

    @cached_property
    def line(self) -> Line | None:
        return self.config.line(self.facts.line)

    @cached_property
    def never(self) -> PrivateLineMatch | None:
        return match_parties(self.config, self.facts.parties, self.day)

    @cached_property
    def day(self) -> date:
        """By the clock on the wall here, for the registry."""
        return day_of(self.facts.started)

    @cached_property
    def present(self) -> tuple[Party, ...]:
        return tuple(party for party in self.facts.parties if party.left is None)

    @cached_property
    def outside(self) -> tuple[Party, ...]:
        return tuple(party for party in self.present if party.outside)

    @cached_property
    def purposes(self) -> tuple[str, ...]:
        """The line's purposes; for listening the session's own, or those that may be listened for."""
        names = self.line.purposes if self.line else ()
        if self.use is Use.RECORD:
            return names
        return tuple(name for name in names if self.may(name) and self.purpose in (None, name))

    def may(self, purpose: str) -> bool:
        """Say whether the regulation lets this purpose have this use (purpose x mode, KSF15-1.2)."""
        return may_be_used(self.config, purpose, MODE_OF[self.use])

    @cached_property
    def plans(self) -> dict[str, str]:
        """Each purpose of these under which every agent may be listened to, and the plan that says so."""
        day, persons = self.facts.started.date(), {party.person for party in self.agents} or {None}
        found: dict[str, str] = {}
        for purpose in self.purposes:
            names = [plan_for(self.config, person, purpose, day) for person in persons]
            if names[0] is not None and all(names):
                found[purpose] = names[0]
        return found

    @cached_property
    def trigger(self) -> str | None:
        """The name of the first trigger that this call meets."""
        return trigger_met(self.facts, self.line.trigger if self.line else ())

    @cached_property
    def duty(self) -> bool:
        """A legal duty to record, and somebody outside to record (row 4)."""
        return self.use is Use.RECORD and bool(self.line and self.line.legal_duty and self.outside)

    @cached_property
    def quality(self) -> bool:
        return any(purpose in QUALITY for purpose in self.purposes)

    @cached_property
    def values(self) -> tuple[Purpose | None, ...]:
        """Each purpose with its grounds and dates; None for one without an end."""
        started = self.facts.started
        return tuple(purpose_value(self.config, name, started) for name in self.purposes)

    @cached_property
    def agents(self) -> tuple[Party, ...]:
        return tuple(party for party in self.present if party.role is Role.AGENT)

    def person(self, party: Party) -> Agent | None:
        return self.config.people.agent.get(party.person) if party.person else None


Check = Callable[[Case], Reason | None]


class Rule(NamedTuple):
    """One row: its name, its row in docs/rules.md, and what outranks it."""

    name: str
    row: int
    check: Check
    yields_to_duty: bool = False
    may_come: bool = False  # a no that can become a yes while the call runs: to be told, to know the agent


# --------------------------------------------------------------------------- rows 1 to 6: who is in the call


def emergency(case: Case) -> Reason | None:
    is_so = case.facts.kind is LineKind.EMERGENCY or (case.never and case.never.kind is LineKind.EMERGENCY)
    return reasons.EMERGENCY if is_so else None


def confidential(case: Case) -> Reason | None:
    is_so = case.facts.kind is LineKind.CONFIDENTIAL or (
        case.never and case.never.kind is LineKind.CONFIDENTIAL
    )
    return reasons.CONFIDENTIAL if is_so else None


def private_line(case: Case) -> Reason | None:
    """By number or phone. The facts of such a call name no line and no number, so its kind alone must do."""
    facts = case.facts
    from_the_start = facts.kind is LineKind.PRIVATE and case.line is None and not facts.private_by_agent
    joined = case.never and case.never.kind is LineKind.PRIVATE
    return reasons.PRIVATE_LINE if from_the_start or joined else None


def private_call(case: Case) -> Reason | None:
    return reasons.PRIVATE_CALL if case.facts.kind is LineKind.PRIVATE else None


def no_rule(case: Case) -> Reason | None:
    line = case.line
    named = (
        line is not None
        and line.kind is LineKind.CUSTOMER_FACING
        and case.facts.kind is not LineKind.UNLISTED
    )
    return None if named else reasons.NO_RULE


def colleagues(case: Case) -> Reason | None:
    return None if case.outside else reasons.COLLEAGUES


def participant(case: Case) -> Reason | None:
    return None if any(not party.outside for party in case.present) else reasons.NO_PARTICIPANT


def objection(case: Case) -> Reason | None:
    """An objection ends this use, except a recording as evidence, where the customer can still write
    (K17).
    """
    if case.use is Use.RECORD and case.line and not case.line.opt_out:
        return None
    return reasons.OBJECTED if any(case.use in party.objects_to for party in case.outside) else None


def agreement(case: Case) -> Reason | None:
    """It was agreed with a customer beforehand (FAQ-B.7): nothing to be told, nothing to be chosen."""
    return reasons.AGREED if has_agreed(case.config, case.outside, case.day) else None


# --------------------------------------------------------------------------- row 9: what the line is for


def capture_mode(case: Case) -> Reason | None:
    if case.use is Use.LISTEN:
        return None if case.line and case.line.listen else reasons.LISTENING_OFF
    return None if case.line and case.line.capture != "none" else reasons.CAPTURE_NONE


def purpose_named(case: Case) -> Reason | None:
    return None if case.line and case.line.purposes else reasons.NO_PURPOSE


def purpose_allowed(case: Case) -> Reason | None:
    rules = case.config.regulation.purposes
    allowed = all(name in rules and rules[name].enabled for name in (case.line.purposes if case.line else ()))
    return None if allowed else reasons.PURPOSE_NOT_ALLOWED


def purpose_and_mode(case: Case) -> Reason | None:
    if case.use is Use.LISTEN:
        of_line = case.purpose is None or (case.line is not None and case.purpose in case.line.purposes)
        return None if case.purposes else reasons.PURPOSE_NOT_LIVE if of_line else reasons.PURPOSE_NOT_OF_LINE
    return None if all(map(case.may, case.purposes)) else reasons.PURPOSE_NOT_RECORDED


def end_of_keeping(case: Case) -> Reason | None:
    return None if all(case.values) else reasons.CLOCK_MISSING


def somebody_holds_a_key(case: Case) -> Reason | None:
    if case.use is Use.LISTEN or all(map(case.config.recipients, case.purposes)):
        return None
    return reasons.NO_KEYS


def language(case: Case) -> Reason | None:
    asked = (case.facts.language or "").strip().lower().replace("_", "-").split("-")[0]
    offered = case.line.languages if case.line else ()
    return None if not asked or asked in offered else reasons.LANGUAGE_NOT_OFFERED


def plan(case: Case) -> Reason | None:
    """Listening needs a plan that was published before."""
    return None if case.use is Use.RECORD or case.plans else reasons.NO_PLAN


def together(case: Case) -> Reason | None:
    """Recording and listening at once, for one purpose, is a mode of its own (G21). Whether a call is recorded for a
    purpose is what this gate says of it; whether it is heard, is a fact.
    """
    both = [name for name in case.purposes if not may_be_used(case.config, name, "together")]
    if case.use is Use.RECORD:
        return reasons.NOT_TOGETHER if case.facts.heard_for & set(both) else None
    if not both or case.purpose is None:
        return None
    recorded = decide(case.config, case.facts, Use.RECORD)
    return reasons.NOT_TOGETHER if {one.name for one in recorded.purposes} & set(both) else None


def drawn(case: Case) -> Reason | None:
    if case.use is Use.LISTEN or case.line is None or case.line.capture != "sample":
        return None
    if case.facts.lot is None:
        return reasons.NO_DRAW
    return None if is_in(case.facts.lot.number, case.line.sample) else reasons.NOT_DRAWN


def asked_for(case: Case) -> Reason | None:
    if case.use is Use.LISTEN or case.line is None or case.line.capture != "on-request":
        return None
    return None if case.facts.requested else reasons.NOT_REQUESTED


def triggered(case: Case) -> Reason | None:
    if case.use is Use.LISTEN or case.line is None or case.line.capture != "trigger":
        return None
    return None if case.trigger else reasons.NO_TRIGGER


# --------------------------------------------------------------------------- row 7: regulation, agent, told


def in_force(case: Case) -> Reason | None:
    lacks = case.quality and case.config.regulation.regulation.lacks(case.facts.started.date())
    return reasons.NOT_IN_FORCE if lacks else None


def scope_consented(case: Case) -> Reason | None:
    if not case.quality or case.line is None:
        return None
    file = case.config.regulation
    scope = file.scopes.get(case.line.scope)
    consented = file.regulation.works_council == "none" or case.line.scope in file.regulation.consent.scope
    covered = scope is not None and set(case.purposes) & QUALITY <= set(scope.purposes)
    return None if consented and covered else reasons.SCOPE_NOT_CONSENTED


def agent_known(case: Case) -> Reason | None:
    known = case.agents and all(party.person for party in case.agents)
    return reasons.AGENT_UNKNOWN if case.quality and not known else None


def agent_in_population(case: Case) -> Reason | None:
    if not case.quality:
        return None
    persons = [case.person(party) for party in case.agents if party.person]
    return None if all(map(in_population, persons)) else reasons.AGENT_NOT_IN_POPULATION


def agent_has_notice(case: Case) -> Reason | None:
    if not case.quality:
        return None
    day = case.facts.started.date()
    persons = [case.person(party) for party in case.agents if party.person]
    noticed = all(has_notice(case.config, person, day) for person in persons)
    return None if noticed else reasons.AGENT_WITHOUT_NOTICE


def told(case: Case) -> Reason | None:
    """Every outside party was told who is responsible, of this use, and of every purpose (I2)."""
    responsible = {name for name in (case.facts.controller, case.facts.client) if name}
    for party in case.outside:
        if not party.told:
            return reasons.NOT_TOLD
        named = [heard for heard in party.told if heard.identity in responsible]
        if not named:
            return reasons.IDENTITY_NOT_TOLD
        of_use = [heard for heard in named if case.use in heard.uses]
        if not of_use:
            return reasons.USE_NOT_TOLD
        if not set(case.purposes) <= frozenset().union(*(heard.purposes for heard in of_use)):
            return reasons.PURPOSE_NOT_TOLD
    return None


RULES: tuple[Rule, ...] = (
    Rule("emergency", 1, emergency),
    Rule("confidential", 2, confidential),
    Rule("private line", 5, private_line),
    Rule("private call", 5, private_call, yields_to_duty=True),
    Rule("a rule names it", 9, no_rule),
    Rule("somebody outside", 9, colleagues),
    Rule("a participant of ours", 3, participant),
    Rule("objection", 6, objection, yields_to_duty=True),
    Rule("agreement", 6, agreement, yields_to_duty=True),
    Rule("capture mode", 9, capture_mode),
    Rule("a purpose is named", 9, purpose_named),
    Rule("purposes allowed", 9, purpose_allowed),
    Rule("purpose and mode", 9, purpose_and_mode),
    Rule("end of keeping", 9, end_of_keeping),
    Rule("keys", 9, somebody_holds_a_key),
    Rule("language", 7, language),
    Rule("regulation in force", 7, in_force),
    Rule("scope consented to", 7, scope_consented),
    Rule("agent known", 7, agent_known, may_come=True),
    Rule("agent in population", 7, agent_in_population),
    Rule("agent has notice", 7, agent_has_notice),
    Rule("told", 7, told, may_come=True),
    Rule("published plan", 9, plan),
    Rule("not together", 9, together),
    Rule("drawn", 9, drawn),
    Rule("asked for", 9, asked_for, may_come=True),
    Rule("trigger met", 9, triggered),
)


# --------------------------------------------------------------------------- deciding


class Tried(NamedTuple):
    """One rule as it was tried: what it said, if anything, and whether legal duty outranked it."""

    rule: Rule
    reason: Reason | None
    outranked: bool = False


def decide(
    config: Config, facts: CallFacts, use: Use, *, suppose_told: bool = False, purpose: str | None = None
) -> Decision:
    """Say whether this use of this call's audio may be made now.

    With `suppose_told`, what can still come true while the call runs counts as true: that outside parties
    have been told, that it is known who answers, and that the agent asks. It is the question "is there any point in
    playing the announcement?".

    `purpose`: of a session of listening; without it all those of the line that may be listened for.
    """
    case = Case(config, facts, use, purpose)
    for rule in RULES:
        if suppose_told and rule.may_come:
            continue
        reason = _ask(rule, case)
        if reason is not None and not _outranked(rule, reason, case):
            return _no(use, reason)
    return _yes(case)


def explain(config: Config, facts: CallFacts, use: Use, *, purpose: str | None = None) -> list[Tried]:
    """Try every rule and say what each said; of a confidential call no more than that it is one (I8)."""
    case, told_so_far = Case(config, facts, use, purpose), []
    for rule in RULES:
        reason = _ask(rule, case)
        told_so_far.append(Tried(rule, reason, reason is not None and _outranked(rule, reason, case)))
        if reason in (reasons.EMERGENCY, reasons.CONFIDENTIAL):
            break
    return told_so_far


def _ask(rule: Rule, case: Case) -> Reason | None:
    try:
        return rule.check(case)
    except Exception:  # whatever went wrong: what cannot be evaluated means no (I4)
        return reasons.RULE_FAILED


def _outranked(rule: Rule, reason: Reason, case: Case) -> bool:
    return rule.yields_to_duty and reason is not reasons.RULE_FAILED and case.duty


def _no(use: Use, reason: Reason) -> Decision:
    return Decision(use, False, None, (), Cause.NONE, None, (reason,))


def _yes(case: Case) -> Decision:
    try:
        return _listened(case) if case.use is Use.LISTEN else _recorded(case)
    except Exception:  # as in _ask: what cannot be worked out means no
        return _no(case.use, reasons.RULE_FAILED)


def _recorded(case: Case) -> Decision:
    purposes = tuple(value for value in case.values if value is not None)
    cls = RecordingClass.QUALITY if case.quality else RecordingClass.LOGGING
    cause, why = _cause(case)
    if len(purposes) != len(case.purposes) or not purposes or cause is Cause.NONE:
        return _no(case.use, reasons.RULE_FAILED)
    lot = case.facts.lot if cause is Cause.SAMPLE else None
    trigger = case.trigger if cause is Cause.TRIGGER else None
    if case.duty:
        why = (reasons.LEGAL_DUTY, *why)
    return Decision(case.use, True, cls, purposes, cause, None, why, trigger, lot)


_CAUSES = {
    "all": (Cause.ALL, reasons.CAPTURE_ALL),
    "sample": (Cause.SAMPLE, reasons.CAPTURE_SAMPLE),
    "on-request": (Cause.ON_REQUEST, reasons.CAPTURE_REQUEST),
    "trigger": (Cause.TRIGGER, reasons.CAPTURE_TRIGGER),
}


def _cause(case: Case) -> tuple[Cause, tuple[Reason, ...]]:
    cause, why = _CAUSES.get(case.line.capture if case.line else "none", (Cause.NONE, reasons.RULE_FAILED))
    return cause, (why,)


def _listened(case: Case) -> Decision:
    """Only for what a plan covers."""
    names = dict(zip(case.purposes, case.values, strict=True))
    purposes = tuple(value for name in case.plans if (value := names[name]) is not None)
    if not purposes:
        return _no(case.use, reasons.RULE_FAILED)
    plan = case.plans[purposes[0].name]
    why = (reasons.LISTENING_ALLOWED,)
    return Decision(case.use, True, RecordingClass.QUALITY, purposes, Cause.NONE, plan, why)
