"""The one gate for every use of live audio (I4): a table of rules, in the order of docs/rules.md.

Each rule is a small function that says no with a reason, or nothing. The first that says no decides; if none
does, the answer is yes. A rule that fails says no (`rule-failed`). Legal duty (row 4) is a column: it
outranks the rows that yield to it, and no others: being told, and confidentiality, never yield.

Row 8 (hold, consultation, ringing, menus) is not here: these are stretches of a call, kept out by the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from qm_sip.config.lines import Line
from qm_sip.policy import reasons
from qm_sip.policy.clocks import purpose_value
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
from qm_sip.policy.purposes import MODE_OF, QUALITY
from qm_sip.privateline.match import PrivateLineMatch, match_parties

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

    @cached_property
    def line(self) -> Line | None:
        return self.config.line(self.facts.line)

    @cached_property
    def never(self) -> PrivateLineMatch | None:
        return match_parties(self.config, self.facts.parties)

    @cached_property
    def present(self) -> tuple[Party, ...]:
        return tuple(party for party in self.facts.parties if party.left is None)

    @cached_property
    def outside(self) -> tuple[Party, ...]:
        return tuple(party for party in self.present if party.outside)

    @cached_property
    def purposes(self) -> tuple[str, ...]:
        """The line's purposes; for listening those that may be listened for."""
        names = self.line.purposes if self.line else ()
        if self.use is Use.RECORD:
            return names
        return tuple(name for name in names if self.may(name))

    def may(self, purpose: str) -> bool:
        """Say whether the regulation lets this purpose have this use (purpose x mode, KSF15-1.2)."""
        rule = self.config.regulation.purposes.get(purpose)
        return rule is not None and MODE_OF[self.use] in rule.modes

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
    from_the_start = case.facts.kind is LineKind.PRIVATE and case.line is None
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


# --------------------------------------------------------------------------- row 9: what the line is for


def capture_mode(case: Case) -> Reason | None:
    if case.use is Use.LISTEN:
        return None if case.line and case.line.listen else reasons.LISTENING_OFF
    return None if case.line and case.line.capture == "all" else reasons.CAPTURE_NONE


def purpose_named(case: Case) -> Reason | None:
    return None if case.line and case.line.purposes else reasons.NO_PURPOSE


def purpose_allowed(case: Case) -> Reason | None:
    rules = case.config.regulation.purposes
    allowed = all(name in rules and rules[name].enabled for name in (case.line.purposes if case.line else ()))
    return None if allowed else reasons.PURPOSE_NOT_ALLOWED


def purpose_and_mode(case: Case) -> Reason | None:
    if case.use is Use.LISTEN:
        return None if case.purposes else reasons.PURPOSE_NOT_LIVE
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
    """Listening needs a published plan; plans are not built yet, so there is none."""
    return reasons.NO_PLAN if case.use is Use.LISTEN else None


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
    inside = all(person and person.monitorable and person.reason for person in persons)
    return None if inside else reasons.AGENT_NOT_IN_POPULATION


def agent_has_notice(case: Case) -> Reason | None:
    if not case.quality:
        return None
    persons = [case.person(party) for party in case.agents if party.person]
    return (
        None if all(person and _noticed(case, person) for person in persons) else reasons.AGENT_WITHOUT_NOTICE
    )


def _noticed(case: Case, person: Agent) -> bool:
    notice, wanted = person.notice, case.config.regulation.regulation.notice_to_agents
    if not wanted.version or notice.version != wanted.version or notice.given is None:
        return False
    return (case.facts.started.date() - notice.given).days >= wanted.days_before


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
)


# --------------------------------------------------------------------------- deciding


class Tried(NamedTuple):
    """One rule as it was tried: what it said, if anything, and whether legal duty outranked it."""

    rule: Rule
    reason: Reason | None
    outranked: bool = False


def decide(config: Config, facts: CallFacts, use: Use, *, suppose_told: bool = False) -> Decision:
    """Say whether this use of this call's audio may be made now.

    With `suppose_told`, what can still come true while the call runs counts as true: that outside parties
    have been told, and that it is known who answers. It is the question "is there any point in playing the
    announcement?".
    """
    case = Case(config, facts, use)
    for rule in RULES:
        if suppose_told and rule.may_come:
            continue
        reason = _ask(rule, case)
        if reason is not None and not _outranked(rule, reason, case):
            return _no(use, reason)
    return _yes(case)


def explain(config: Config, facts: CallFacts, use: Use) -> list[Tried]:
    """Try every rule and say what each said; of a confidential call no more than that it is one (I8)."""
    case, told_so_far = Case(config, facts, use), []
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
        purposes = tuple(value for value in case.values if value is not None)
    except Exception:  # as in _ask: what cannot be worked out means no
        return _no(case.use, reasons.RULE_FAILED)
    if len(purposes) != len(case.purposes) or not purposes:
        return _no(case.use, reasons.RULE_FAILED)
    cls = RecordingClass.QUALITY if case.quality else RecordingClass.LOGGING
    if case.use is Use.LISTEN:
        return Decision(case.use, True, cls, purposes, Cause.NONE, None, (reasons.LISTENING_ALLOWED,))
    why = (reasons.LEGAL_DUTY, reasons.CAPTURE_ALL) if case.duty else (reasons.CAPTURE_ALL,)
    return Decision(case.use, True, cls, purposes, Cause.ALL, None, why)
