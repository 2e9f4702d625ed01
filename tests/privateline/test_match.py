"""The lists that beat every other rule, on either side of a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.config.index import NEVER_ORDER
from qm_sip.policy.facts import LineKind, Party, PersonId, Role
from qm_sip.policy.reasons import PRIVATE_REFUSED
from qm_sip.private import Private
from qm_sip.privateline.match import match_numbers, match_parties
from qm_sip.privateline.toggle import made_private, may_toggle, why_not_private
from tests.policy.site import changed, facts, site


@pytest.mark.parametrize(
    ("number", "kind", "rule"),
    [
        ("112", LineKind.EMERGENCY, "emergency"),
        ("1900", LineKind.CONFIDENTIAL, "function"),
        ("0031 20 123 09 00", LineKind.CONFIDENTIAL, "function"),
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
        found = match_numbers(site(), map(Private, sides))
        assert found is not None and (found.kind, found.rule) == (kind, rule)


@pytest.mark.parametrize(
    "number", ["1901", "0201230899", "0201230810", "1120", "11", "", "anonymous", "2012307"]
)
def test_what_is_on_no_list(number: str) -> None:
    assert match_numbers(site(), [Private(number)]) is None


def test_the_strongest_kind_wins_whatever_the_order_of_sides() -> None:
    numbers = {LineKind.EMERGENCY: "112", LineKind.CONFIDENTIAL: "1900", LineKind.PRIVATE: "1700"}
    for position, strong in enumerate(NEVER_ORDER):
        for weak in NEVER_ORDER[position + 1 :]:
            for sides in ((strong, weak), (weak, strong)):
                found = match_numbers(site(), [Private(numbers[kind]) for kind in sides])
                assert found is not None and found.kind is strong


def test_confidential_beats_private_for_one_number() -> None:
    both = changed(site(), {"lines/never/break_room": ["1900"]})
    found = match_numbers(both, [Private("1900")])
    assert found is not None and found.kind is LineKind.CONFIDENTIAL


def test_a_person_is_confidential_at_any_device() -> None:
    member = Party("callee", Role.AGENT, False, PersonId("a5"), "1050", "login", address=Private("1050"))
    found = match_parties(site(), [member])
    assert found is not None and (found.kind, found.rule) == (LineKind.CONFIDENTIAL, "person")


def test_whoever_was_in_the_call_counts() -> None:
    gone = Party("callee", Role.AGENT, False, left=5.0, address=Private("1900"))
    assert match_parties(site(), [gone]) is not None


def test_a_match_never_says_who() -> None:
    assert "1900" not in repr(match_numbers(site(), [Private("1900")]))


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
