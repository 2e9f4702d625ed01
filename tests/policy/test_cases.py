"""The cases a lawyer can read (tests/cases): each says in a sentence what must happen, on both sides of a
boundary.

Folders are the expected answer: RECORD (it is recorded), LEAVE (it is not); LISTEN (this call may be heard), UNHEARD
(it may not). `test_listening_cases.py` has those of who may listen, and of the purpose x mode matrix.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qm_sip.policy import gate
from qm_sip.policy.facts import CallFacts, Decision, Direction, Lot, PersonId, Role, Use
from qm_sip.policy.gate import Rule, decide, explain
from qm_sip.policy.identify import identify, meet
from qm_sip.policy.listening import may_hear
from qm_sip.policy.path import media_path
from qm_sip.private import Private
from qm_sip.privateline.toggle import made_private
from tests.policy.site import CASES, NOON, changed, offered, read_facts, site, told, with_told

KEYS = {
    "says",
    "requirement",
    "when",
    "call",
    "told",
    "then",
    "settings",
    "because",
    "path",
    "class",
    "until",
    "cause",
    "plan",
    "lot",
    "wished",
    "refused",
    "purpose",
    "who",
    "if_told",
}
YES = ("RECORD", "LISTEN")


@dataclass(frozen=True)
class Case:
    file: Path
    expected: str
    raw: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.expected}/{self.file.stem}: {self.raw['says']}"

    @property
    def use(self) -> Use:
        return Use.LISTEN if self.expected in ("LISTEN", "UNHEARD") else Use.RECORD

    def call(self) -> tuple[Any, CallFacts]:
        config = changed(site(), self.raw.get("settings", {}))
        call = dict(self.raw["call"])
        if "direction" in call:
            call["direction"] = Direction(call["direction"])
        when = self.raw.get("when", NOON).astimezone(UTC)
        wished = self.raw.get("wished", False)
        found = identify(config, offered(**call), "c1", when, wants_private=lambda _: wished)
        assert (found.refused.code if found.refused else "") == self.raw.get("refused", "")
        facts = found.facts
        if "lot" in self.raw:
            facts = replace(facts, lot=Lot("c0ffee", int(self.raw["lot"] * 2**64)))
        heard = self.raw.get("told", {})
        if heard != "nothing":
            facts = with_told(
                facts, *(told(**one) for one in (heard if isinstance(heard, list) else [heard]))
            )
        for event in self.raw.get("then", []):
            facts = happened(config, facts, **event)
        return config, facts

    def decided(self) -> Decision:
        config, facts = self.call()
        if "who" in self.raw:
            return may_hear(config, facts, PersonId(self.raw["who"]), self.raw["purpose"])
        return decide(config, facts, self.use, purpose=self.raw.get("purpose"))

    def holds(self) -> bool:
        """Whether the gate, as it is now, answers what the case says."""
        decision = self.decided()
        because = [reason.code for reason in decision.reasons]
        return decision.allowed == (self.expected in YES) and because == self.raw["because"]


def happened(config: Any, facts: CallFacts, what: str, who: str = "", use: str = "record") -> CallFacts:
    """What happens later in a call: somebody joins, leaves, objects, or makes it private."""
    customer = [party for party in facts.parties if party.role is Role.CUSTOMER]
    others = tuple(party for party in facts.parties if party.role is not Role.CUSTOMER)
    if what == "joins":
        return replace(facts, parties=(*facts.parties, meet(config, facts, Private(who), facts.started)[1]))
    if what == "takes over":
        return replace(facts, parties=(*customer, meet(config, facts, Private(who), facts.started)[1]))
    if what == "agent leaves":
        return replace(facts, parties=(*customer, *(replace(party, left=20.0) for party in others)))
    if what == "customer leaves":
        return replace(facts, parties=(*(replace(party, left=20.0) for party in customer), *others))
    if what == "objects":
        objecting = (replace(party, objects_to=frozenset({Use(use)})) for party in customer)
        return replace(facts, parties=(*objecting, *others))
    if what == "made private":
        return made_private(facts)
    if what == "agent asks":
        return replace(facts, requested=True)
    if what == "somebody listens":
        return replace(facts, heard_for=frozenset({who}))
    raise ValueError(what)


FOLDERS = ("RECORD", "LEAVE", "LISTEN", "UNHEARD")


def all_cases() -> list[Case]:
    cases = []
    for expected in FOLDERS:
        for file in sorted((CASES / expected).glob("*.toml")):
            cases += [Case(file, expected, raw) for raw in tomllib.loads(file.read_text())["case"]]
    return cases


ALL = all_cases()


@pytest.mark.parametrize("case", ALL, ids=str)
def test_case(case: Case) -> None:
    decision = case.decided()
    assert set(case.raw) <= KEYS
    assert [reason.code for reason in decision.reasons] == case.raw["because"]
    assert decision.allowed == (case.expected in YES)
    if "path" in case.raw:
        assert media_path(*case.call()) == case.raw["path"]
    if "class" in case.raw:
        assert decision.cls == case.raw["class"]
    if "cause" in case.raw:
        assert decision.recorded_cause == case.raw["cause"]
    if "plan" in case.raw:
        assert decision.plan == case.raw["plan"]
    if "if_told" in case.raw:
        config, facts = case.call()
        may_be = [use for use in Use if decide(config, facts, use, suppose_told=True).allowed]
        assert may_be == case.raw["if_told"]
    if "until" in case.raw:
        until = {purpose.name: purpose.destroy_by for purpose in decision.purposes}
        assert until == {name: when.astimezone(UTC) for name, when in case.raw["until"].items()}


def test_each_folder_has_cases_and_each_case_cites_a_requirement() -> None:
    assert {case.expected for case in ALL} == set(FOLDERS)
    assert all(case.raw["requirement"] for case in ALL)
    assert len({case.raw["says"] for case in ALL}) == len(ALL)


@pytest.mark.parametrize("removed", gate.RULES, ids=lambda rule: rule.name)
def test_without_this_rule_a_case_fails(removed: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "RULES", tuple(rule for rule in gate.RULES if rule is not removed))
    assert not all(case.holds() for case in ALL)


STRONG = [rule for rule in gate.RULES if rule.row in (1, 2, 5, 6) or rule.name == "told"]


@pytest.mark.parametrize("rule", STRONG, ids=lambda rule: rule.name)
def test_what_legal_duty_outranks_is_held_by_a_case(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = rule._replace(yields_to_duty=not rule.yields_to_duty)
    monkeypatch.setattr(gate, "RULES", tuple(turned if one is rule else one for one in gate.RULES))
    assert not all(case.holds() for case in ALL)


@pytest.mark.parametrize("rule", gate.RULES, ids=lambda rule: rule.name)
def test_a_rule_that_fails_says_no(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """I4: a rule that cannot be evaluated means no, also where legal duty would outrank its answer."""

    def broken(_: gate.Case) -> None:
        raise LookupError("as if a table were damaged")

    failing = rule._replace(check=broken)
    monkeypatch.setattr(gate, "RULES", tuple(failing if one is rule else one for one in gate.RULES))
    for case in ALL:
        if case.expected in YES:
            decision = case.decided()
            assert not decision.allowed
            assert [reason.code for reason in decision.reasons] == ["rule-failed"]


@pytest.mark.parametrize("case", [case for case in ALL if "who" not in case.raw], ids=str)
def test_explain_tells_what_decide_decided(case: Case) -> None:
    tried = explain(*case.call(), case.use, purpose=case.raw.get("purpose"))
    first = next((one.reason for one in tried if one.reason and not one.outranked), None)
    decision = case.decided()
    assert (first is None) == decision.allowed
    assert first is None or (first,) == decision.reasons


def test_explain_says_nothing_more_of_a_confidential_call() -> None:
    call = read_facts(site(), offered(called="1900"), "c1", datetime(2026, 3, 2, tzinfo=UTC))
    assert [one.rule.name for one in explain(site(), call, Use.RECORD)] == ["emergency", "confidential"]
    assert call.parties == () and call.line == "default" and call.queue is None
