"""The cases of who may listen, and of what may be done for a purpose at all (tests/cases).

Folders are the expected answer: ALLOW and REFUSE (this person may listen to that agent), MAY and MAY-NOT (every cell of
the purpose x mode matrix, each on its side).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import pytest

from qm_sip.call import reasons as of_calls
from qm_sip.config import Config
from qm_sip.config.regulation import Mode
from qm_sip.policy import listening, reasons
from qm_sip.policy.facts import Decision, PersonId, Reason, Tell
from qm_sip.policy.listening import (
    Past,
    Question,
    Rule,
    Usage,
    cannot_listen,
    may_listen,
    notice_for,
    spoken,
    time_left,
    usage_of,
)
from qm_sip.policy.purposes import KNOWN, LISTENS_FOR, may_be_used
from tests.policy.site import CASES, NOON, changed, site


@dataclass(frozen=True)
class Case:
    file: Path
    expected: str
    raw: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.expected}/{self.file.stem}: {self.raw['says']}"

    @property
    def config(self) -> Config:
        return changed(site(), self.raw.get("settings", {}))

    @property
    def when(self) -> datetime:
        when: datetime = self.raw.get("when", NOON)
        return when.astimezone(UTC)

    @property
    def usage(self) -> Usage:
        past = (
            Past(one["purpose"], one["began"].astimezone(UTC), one["minutes"])
            for one in self.raw.get("past", [])
        )
        return Usage(tuple(past))

    def decided(self) -> Decision:
        ask = self.raw["ask"]
        who, whom = PersonId(ask["who"]), PersonId(ask["whom"])
        return may_listen(self.config, who, whom, ask["purpose"], self.usage, self.when)

    def holds(self) -> bool:
        decision = self.decided()
        because = self.raw.get("because", "may-listen")
        return [one.code for one in decision.reasons] == [because] and decision.allowed == (
            self.expected == "ALLOW"
        )


def cases(*folders: str) -> list[Case]:
    return [
        Case(file, folder, raw)
        for folder in folders
        for file in sorted((CASES / folder).glob("*.toml"))
        for raw in tomllib.loads(file.read_text())["case"]
    ]


PERSONS, CELLS = cases("ALLOW", "REFUSE"), cases("MAY", "MAY-NOT")
KEYS = {
    "says",
    "requirement",
    "when",
    "settings",
    "ask",
    "past",
    "because",
    "hears",
    "plan",
    "agent_hears",
    "minutes",
}


@pytest.mark.parametrize("case", PERSONS, ids=str)
def test_case(case: Case) -> None:
    assert set(case.raw) <= KEYS and case.raw["requirement"]
    decision = case.decided()
    assert [one.code for one in decision.reasons] == [case.raw.get("because", "may-listen")]
    assert decision.allowed == (case.expected == "ALLOW")
    if not decision.allowed:
        assert spoken(decision.reasons[0]) == case.raw["hears"]
        assert decision.plan is None
    if "plan" in case.raw:
        assert decision.plan == case.raw["plan"]
    if "agent_hears" in case.raw:
        ask = case.raw["ask"]
        assert notice_for(case.config, PersonId(ask["who"]), ask["purpose"]) == case.raw["agent_hears"]
    if "minutes" in case.raw:
        assert time_left(case.config, decision.plan, case.usage, case.when) == case.raw["minutes"] * 60


@pytest.mark.parametrize("removed", listening.RULES, ids=lambda rule: rule.name)
def test_without_this_rule_a_case_fails(removed: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "RULES", tuple(rule for rule in listening.RULES if rule is not removed))
    assert not all(case.holds() for case in PERSONS)


@pytest.mark.parametrize("rule", listening.RULES, ids=lambda rule: rule.name)
def test_a_rule_that_fails_says_no(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Question) -> None:
        raise LookupError("as if a table were damaged")

    failing = rule._replace(check=broken)
    monkeypatch.setattr(listening, "RULES", tuple(failing if one is rule else one for one in listening.RULES))
    for case in PERSONS:
        if case.expected == "ALLOW":
            decision = case.decided()
            assert not decision.allowed and decision.reasons == (reasons.RULE_FAILED,)


def test_the_first_no_decides_and_what_reveals_comes_last() -> None:
    """4D: who you are, may you, purpose, plan, cap; a confidential agent after all of them."""
    names = [rule.name for rule in listening.RULES]
    order = [
        "known",
        "grant",
        "for this agent",
        "purpose and mode",
        "published plan",
        "cap",
        "not confidential",
    ]
    assert sorted(order, key=names.index) == order and names[-1] == "not confidential"


@pytest.mark.parametrize("who", ["coach", "manager", "a6", "water", "trainer"])
@pytest.mark.parametrize("purpose", ["coaching", "assessment"])
def test_a_confidential_agent_answers_as_any_idle_agent_would(who: str, purpose: str) -> None:
    """Whoever is refused at one is refused at the other for the same reason; whoever is allowed hears W7 at both."""
    council, other = PersonId("a5"), PersonId("a1")
    asked = [may_listen(site(), PersonId(who), whom, purpose, Usage(), NOON) for whom in (council, other)]
    if who in ("coach", "a6", "water") and purpose == "coaching":
        assert asked[1].allowed and spoken(asked[0].reasons[0]) == listening.SAME
    elif who in ("coach", "a6", "water"):
        assert asked[0].reasons == asked[1].reasons


# --------------------------------------------------------------------------- purpose x mode


def with_modes(purpose: str, modes: tuple[str, ...]) -> Config:
    rules = site().regulation.purposes
    rule = rules[purpose].model_copy(update={"modes": modes, "enabled": True})
    purposes = MappingProxyType({**rules, purpose: rule})
    return replace(site(), regulation=site().regulation.model_copy(update={"purposes": purposes}))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_each_cell_of_the_matrix(cell: Case) -> None:
    """A cell that may be: if the regulation lists the mode, and not if it does not. One that may not be: whatever
    anybody wrote.
    """
    purpose, mode = cell.raw["purpose"], cell.raw["mode"]
    every = tuple(get_args(Mode))
    others = tuple(one for one in every if one != mode)
    assert may_be_used(with_modes(purpose, every), purpose, mode) == (cell.expected == "MAY")
    assert not may_be_used(with_modes(purpose, others), purpose, mode)
    off = with_modes(purpose, every)
    rules = MappingProxyType(
        {
            **off.regulation.purposes,
            purpose: off.regulation.purposes[purpose].model_copy(update={"enabled": False}),
        }
    )
    off = replace(off, regulation=off.regulation.model_copy(update={"purposes": rules}))
    assert not may_be_used(off, purpose, mode)


def test_every_cell_is_there_once() -> None:
    cells = [(cell.raw["purpose"], cell.raw["mode"]) for cell in CELLS]
    assert sorted(cells) == sorted((purpose, mode) for purpose in KNOWN for mode in get_args(Mode))
    assert all(cell.raw["requirement"] for cell in CELLS)


def test_nobody_listens_for_what_may_not_be_live() -> None:
    for purposes in LISTENS_FOR.values():
        assert all(may_be_used(with_modes(purpose, get_args(Mode)), purpose, "live") for purpose in purposes)
    assert LISTENS_FOR["peer"] == LISTENS_FOR["client"] == {"coaching"}


# --------------------------------------------------------------------------- what is said

EVERY = (*reasons.ALL.values(), *of_calls.ALL)


@pytest.mark.parametrize("reason", EVERY, ids=lambda reason: reason.code)
def test_only_what_may_be_told_him_has_a_sentence_of_its_own(reason: Reason) -> None:
    if spoken(reason) != listening.SAME:
        assert Tell.SPOKEN in reason.tell or reason.code == "notice-failed"


def test_what_must_not_be_told_apart_is_not() -> None:
    same = (
        reasons.PRIVATE_CALL,
        reasons.PRIVATE_LINE,
        reasons.CONFIDENTIAL,
        reasons.OBJECTED,
        reasons.EMERGENCY,
    )
    unseen = (
        reasons.NO_RULE,
        reasons.COLLEAGUES,
        reasons.NO_PARTICIPANT,
        reasons.CLIENT_OF_ANOTHER,
        reasons.RULE_FAILED,
    )
    assert {spoken(reason) for reason in (*same, *unseen)} == {"W7"}
    assert spoken(Reason("tap-refused/private", "I2")) == spoken(Reason("not-available", "KSF15-3.9")) == "W7"


def test_every_sentence_is_used() -> None:
    said = set(listening.SAID.values()) | {listening.SAME}
    assert said == {f"W{number}" for number in range(1, 13)}


# --------------------------------------------------------------------------- counting what the catalog holds


def row(**facts: Any) -> dict[str, Any]:
    usual = {"allowed": True, "purpose": "coaching", "heard_ms": 0, "first": None, "ended_by": None}
    return {**usual, "decided": "2026-03-02T10:00:00+00:00", **facts}


def test_a_session_that_was_heard_counts() -> None:
    found = usage_of([row(heard_ms=90_000, first="2026-03-02T10:01:00+00:00", ended_by="listener")], NOON)
    assert found.past == (Past("coaching", datetime(2026, 3, 2, 10, 1, tzinfo=UTC), 1.5),)


@pytest.mark.parametrize(
    "unheard",
    [
        row(allowed=False, ended_by="cap-reached"),
        row(ended_by="listener"),  # he hung up before the agent had been told
        row(ended_by="not-available"),
        row(purpose=None),
    ],
)
def test_what_was_refused_or_never_heard_does_not(unheard: dict[str, Any]) -> None:
    assert usage_of([unheard], NOON) == Usage()


def test_one_that_runs_counts_with_its_time_so_far() -> None:
    waiting, hearing = row(), row(first="2026-03-02T11:50:00+00:00")
    found = usage_of([waiting, hearing], NOON)
    assert [one.minutes for one in found.past] == [0.0, 10.0]
    assert len(found.of_month({"coaching"}, NOON)) == 2


def test_one_whose_time_was_forgotten_counts_as_now() -> None:
    assert usage_of([row(heard_ms=60_000, ended_by="listener", decided="")], NOON).past[0].began == NOON


def test_what_counts_is_the_month_and_the_purpose() -> None:
    def past(month: int, day: int, purpose: str = "coaching") -> Past:
        return Past(purpose, datetime(2026, month, day, tzinfo=UTC), 5)

    usage = Usage((past(2, 28), past(3, 1), past(3, 2), past(3, 2, "assessment")))
    assert len(usage.of_month({"coaching"}, NOON)) == 2
    assert len(usage.of_month({"coaching", "assessment"}, NOON)) == 3
    assert usage.last_before(NOON) == datetime(2026, 2, 28, tzinfo=UTC)


def test_without_a_plan_there_is_no_time() -> None:
    assert time_left(site(), None, Usage(), NOON) == time_left(site(), "gone", Usage(), NOON) == 0.0


# --------------------------------------------------------------------------- the list of who may


def test_why_somebody_could_not_listen_today() -> None:
    found = {person: cannot_listen(site(), PersonId(person), NOON) for person in site().people.monitor}
    usable = {person for person, reason in found.items() if reason is None}
    assert usable == {"coach", "manager", "a6", "trainer", "water"}
    assert found["m1"] is reasons.LISTENER_UNKNOWN
