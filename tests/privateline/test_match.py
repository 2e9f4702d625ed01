"""The lists that beat every other rule, on either side of a call."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from qm_sip.config import load
from qm_sip.config.index import NEVER_ORDER
from qm_sip.config.lines import Listed
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import LineKind, Party, PersonId, Role
from qm_sip.policy.reasons import PRIVATE_REFUSED
from qm_sip.private import Private
from qm_sip.privateline.match import has_agreed, match_numbers, match_parties
from qm_sip.privateline.toggle import made_private, may_toggle, why_not_private
from tests.policy.site import CASES, changed, facts, site

DAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("number", "kind", "rule"),
    [
        ("112", LineKind.EMERGENCY, "emergency"),
        ("1900", LineKind.CONFIDENTIAL, "function"),
        ("0031 20 123 09 00", LineKind.CONFIDENTIAL, "function"),
        ("+31 (0)20 123 09 00", LineKind.CONFIDENTIAL, "function"),
        ("31201230900", LineKind.CONFIDENTIAL, "function"),
        ("31201230805", LineKind.CONFIDENTIAL, "line.adviser"),
        ("1005", LineKind.CONFIDENTIAL, "person"),
        ("0201230800", LineKind.CONFIDENTIAL, "line.adviser"),
        ("0201230809", LineKind.CONFIDENTIAL, "line.adviser"),
        ("1700", LineKind.PRIVATE, "break-room"),
        ("0201230999", LineKind.PRIVATE, "private-reach"),
        ("0201230700", LineKind.PRIVATE, "line.personnel"),
    ],
)
def test_what_is_on_a_list(number: str, kind: LineKind, rule: str) -> None:
    for sides in ([number, "0612345678"], ["0612345678", number], ["0612345678", "1001", number]):
        found = match_numbers(site(), map(Private, sides), DAY)
        assert found is not None and (found.kind, found.rule) == (kind, rule)


@pytest.mark.parametrize(
    "number", ["1901", "0201230899", "0201230810", "1120", "11", "", "anonymous", "2012307"]
)
def test_what_is_on_no_list(number: str) -> None:
    assert match_numbers(site(), [Private(number)], DAY) is None


def test_the_strongest_kind_wins_whatever_the_order_of_sides() -> None:
    numbers = {LineKind.EMERGENCY: "112", LineKind.CONFIDENTIAL: "1900", LineKind.PRIVATE: "1700"}
    for position, strong in enumerate(NEVER_ORDER):
        for weak in NEVER_ORDER[position + 1 :]:
            for sides in ((strong, weak), (weak, strong)):
                found = match_numbers(site(), [Private(numbers[kind]) for kind in sides], DAY)
                assert found is not None and found.kind is strong


def test_confidential_beats_private_for_one_number() -> None:
    both = changed(site(), {"lines/never/break_room": [Listed(name="x", numbers=("1900",), reason="x")]})
    found = match_numbers(both, [Private("1900")], DAY)
    assert found is not None and found.kind is LineKind.CONFIDENTIAL


def test_a_person_is_confidential_at_any_device() -> None:
    member = Party("callee", Role.AGENT, False, PersonId("a5"), "1050", "login", address=Private("1050"))
    found = match_parties(site(), [member], DAY)
    assert found is not None and (found.kind, found.rule) == (LineKind.CONFIDENTIAL, "person")


def test_whoever_was_in_the_call_counts() -> None:
    gone = Party("callee", Role.AGENT, False, left=5.0, address=Private("1900"))
    assert match_parties(site(), [gone], DAY) is not None


def test_a_match_never_says_who() -> None:
    assert "1900" not in repr(match_numbers(site(), [Private("1900")], DAY))


def test_only_the_agent_in_the_call_may_make_it_private() -> None:
    call = facts(called="1001", queue="sales")
    customer, agent = call.parties
    assert may_toggle(site(), call, agent)
    assert not may_toggle(site(), call, customer)
    assert not may_toggle(site(), call, replace(agent, person=PersonId("a6")))
    left = replace(agent, left=3.0)
    assert not may_toggle(site(), replace(call, parties=(customer, left)), left)
    assert made_private(call).kind is LineKind.PRIVATE


def test_nobody_may_where_the_law_requires_a_recording() -> None:
    call = facts(called="0201230004")
    assert not may_toggle(site(), call, call.parties[1])


def test_on_a_line_with_a_legal_duty_nobody_may_while_a_customer_is_there() -> None:
    call = facts(called="0201230004", caller="+31612345678")
    customer, agent = call.parties
    assert not may_toggle(site(), call, agent) and why_not_private(site(), call) is PRIVATE_REFUSED
    alone = replace(call, parties=(replace(customer, left=5.0), agent))
    assert may_toggle(site(), alone, agent) and why_not_private(site(), alone) is None


def test_a_call_made_private_says_whose_doing_it_was() -> None:
    call = made_private(facts(called="1001", queue="sales"))
    assert (call.kind, call.private_by_agent) == (LineKind.PRIVATE, True)


# --------------------------------------------------------------------------- entries with dates, ranges and prefixes


@pytest.mark.parametrize(
    ("day", "found"),
    [
        (date(2026, 2, 2), False),
        (date(2026, 2, 3), True),
        (date(2026, 6, 30), True),
        (date(2026, 7, 1), False),
        (None, True),
    ],
)
def test_an_entry_holds_from_its_first_day_to_its_last(day: date | None, found: bool) -> None:
    for number in ("1910", "1915", "1919"):
        match = match_numbers(site(), [Private(number)], day)
        assert (match is not None) is found and (match is None or match.rule == "function")
    for number in ("1909", "1920", "191", "19100", "+1915"):
        assert match_numbers(site(), [Private(number)], day) is None


def test_an_entry_that_has_ended_hides_none_that_holds() -> None:
    entries = [
        Listed(name="was", numbers=("1950",), reason="x", until=date(2026, 1, 1)),
        Listed(name="will be", ranges=("1950-1959",), reason="x", since=date(2027, 1, 1)),
        Listed(name="is", prefixes=("195",), reason="x"),
    ]
    config = changed(site(), {"lines/never/break_room": entries})
    assert match_numbers(config, [Private("1950")], DAY) is not None
    without = changed(site(), {"lines/never/break_room": entries[:2]})
    assert match_numbers(without, [Private("1950")], DAY) is None


@pytest.mark.parametrize("number", ["0885551234", "+31 88 555", "0031885559999999"])
def test_a_prefix_holds_every_number_that_begins_so(number: str) -> None:
    assert match_numbers(site(), [Private(number)], DAY) is not None


@pytest.mark.parametrize("number", ["088555", "+3188556", "88555", "+318855"])
def test_and_no_other(number: str) -> None:
    found = match_numbers(site(), [Private(number)], DAY)
    assert (found is not None) is (number == "088555")


def test_what_was_agreed_is_looked_up_of_outside_parties_only() -> None:
    customer, agent = facts(called="1001", queue="sales", caller="0687654321").parties
    assert has_agreed(site(), [customer, agent], DAY)
    assert not has_agreed(site(), [replace(customer, outside=False), agent], DAY)
    assert not has_agreed(site(), [customer], date(2027, 1, 1))


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ('{ name = "x", reason = "y" }', "names no number"),
        ('{ name = "x", numbers = ["abc"], reason = "y" }', "must be digits"),
        ('{ name = "x", ranges = ["19-18"], reason = "y" }', "must not be above"),
        ('{ name = "x", numbers = ["1"], reason = "" }', "must not be empty"),
        ('{ name = "x", numbers = ["1"] }', "reason"),
        (
            '{ name = "x", numbers = ["1"], reason = "y", since = 2026-02-01, until = 2026-01-31 }',
            "before since",
        ),
        ('"1700"', "table"),
    ],
)
@pytest.mark.parametrize("list_", ["confidential", "break_room", "private_reach", "agreed"])
def test_an_entry_that_cannot_be_meant_is_refused_by_file_and_line(
    tmp_path: Path, entry: str, wrong: str, list_: str
) -> None:
    for file in (CASES / "site").iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "lines.toml").write_text(
        f'[numbering]\ncountry = "31"\n[never]\n{list_} = [\n  {entry},\n]\n'
    )
    with pytest.raises(ConfigError, match=wrong) as refused:
        load(tmp_path, {})
    assert re.search(r"lines\.toml:\d+", str(refused.value))
