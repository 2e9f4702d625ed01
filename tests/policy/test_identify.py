"""Which line a call is, which kind, and who is who."""

from __future__ import annotations

import pytest

from qm_sip.config.features import RIGHTS, FeatureKind
from qm_sip.policy.facts import CallId, Direction, LineKind, Offered, Party, Role
from qm_sip.policy.identify import identify, line_of, meet, read_facts
from qm_sip.policy.reasons import PRIVATE_NOT_OURS, PRIVATE_REFUSED
from qm_sip.private import Private
from tests.policy.site import NOON, changed, facts, offered, site

INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ({"called": "0201230002", "queue": "sales"}, "sales"),  # the header before the number
        ({"called": "0201230002", "queue": "nowhere"}, "contracts"),  # an unknown queue names nothing
        (
            {"called": "0201230002", "queue": "sales", "peer": "carrier"},
            "contracts",
        ),  # nor an untrusted peer's
        ({"called": "0201230150"}, "service-quiet"),  # the narrowest range
        ({"called": "0201230149"}, "service"),
        ({"called": "0201230160"}, "service"),
        ({"called": "0201230001", "peer": "carrier"}, "sales"),  # a number before the trunk
        ({"called": "0201239999", "peer": "carrier"}, "switchboard"),
        ({"called": "0201239999"}, "default"),
        (
            {"called": "0612345678", "caller": "+31201230002", "direction": OUTBOUND},
            "contracts",
        ),  # our number
        ({"called": "0201230002", "caller": "0612345678", "direction": OUTBOUND}, "default"),  # theirs
        ({"called": "1001", "diverted_from": ("0201230003",)}, "complaints"),
        ({"called": "0201230002", "diverted_from": ("0201230003",)}, "contracts"),  # what was called, first
    ],
)
def test_the_most_specific_rule_names_the_line(call: dict[str, object], line: str) -> None:
    assert facts(**call).line == line


def test_the_line_of_a_header_says_the_direction() -> None:
    call = facts(called="0612345678", caller="1001", queue="campaign", direction=INBOUND)
    assert call.direction is OUTBOUND
    assert [(party.id, party.role) for party in call.parties] == [
        ("callee", Role.CUSTOMER),
        ("caller", Role.AGENT),
    ]


def test_a_call_without_a_direction_is_inbound() -> None:
    assert facts(called="0201230002", direction=None).direction is INBOUND


def test_the_parties_of_an_inbound_call() -> None:
    customer, agent = facts(called="1001", queue="sales").parties
    assert (customer.id, customer.role, customer.outside, customer.person) == (
        "caller",
        Role.CUSTOMER,
        True,
        None,
    )
    assert (agent.id, agent.person, agent.device, agent.known_by) == ("callee", "a1", "1001", "static")
    assert not agent.outside
    assert customer.address == Private("+31612345678")


def test_an_agent_is_a_person_not_a_device() -> None:
    agent = facts(called="1050", queue="sales").parties[1]
    assert (agent.person, agent.device, agent.known_by) == (None, None, None)


def test_client_and_campaign_are_facts() -> None:
    call = facts(called="0612345678", caller="1001", queue="campaign", direction=OUTBOUND)
    assert (call.controller, call.client, call.campaign, call.queue) == (
        "Voorbeeld Energie",
        "Voorbeeld Water",
        "spring",
        "campaign",
    )


def test_the_legal_duty_is_a_fact() -> None:
    assert facts(called="0201230004").duty == "Wft, MiFID II 16(7)"
    assert facts(called="0201230003").duty is None


def test_the_versions_are_facts() -> None:
    call = facts(called="1001", queue="sales")
    assert (call.lines, call.people, call.regulation) == site().versions


@pytest.mark.parametrize("called", ["1900", "112", "0201230712", "1700"])
def test_what_is_not_to_be_known_is_not_in_the_facts(called: str) -> None:
    call = facts(called=called, queue="sales", language="en")
    assert (call.line, call.queue, call.controller, call.language) == ("default", None, "", None)
    assert all(party.address is None and party.device is None for party in call.parties)


def test_of_a_private_call_the_agent_is_known_for_his_own_proof() -> None:
    call = facts(called="0201230999", caller="1001", direction=OUTBOUND)
    assert call.kind is LineKind.PRIVATE
    assert [party.person for party in call.parties] == [None, "a1"]


def test_colleagues_are_not_customers() -> None:
    call = facts(called="1001", caller="1002")
    assert call.kind is LineKind.UNLISTED
    assert {(party.role, party.outside) for party in call.parties} == {(Role.COLLEAGUE, False)}


def test_the_settings_of_a_line_no_rule_names_are_those_of_every_line() -> None:
    assert line_of(site(), facts(called="0201239999")) == site().lines.customer
    assert line_of(site(), facts(called="1001", queue="sales")) is site().lines.line["sales"]


# --------------------------------------------------------------------------- connected lines


def test_meeting_the_agent_we_know_changes_nothing() -> None:
    call = facts(called="1001", queue="sales")
    kind, party = meet(site(), call, Private("1001"), NOON)
    assert kind is LineKind.CUSTOMER_FACING
    assert (party.person, party.id, party.address) == ("a1", "callee", call.parties[1].address)


def test_meeting_an_agent_nobody_knew() -> None:
    _, party = meet(site(), facts(called="0201230001", peer="carrier"), Private("1006"), NOON)
    assert (party.role, party.person, party.outside, party.known_by) == (Role.AGENT, "a6", False, "header")


def test_meeting_an_outsider_on_the_agents_side() -> None:
    _, party = meet(site(), facts(called="1001", queue="sales"), Private("0101112223"), NOON)
    assert (party.role, party.outside, party.told) == (Role.THIRD, True, ())


@pytest.mark.parametrize("who", ["1900", "1005", "0201230900", "0201230808"])
def test_meeting_a_confidential_party(who: str) -> None:
    assert meet(site(), facts(called="1001", queue="sales"), Private(who), NOON)[0] is LineKind.CONFIDENTIAL


def test_a_reload_is_another_config() -> None:
    quiet = changed(site(), {"lines/line/sales/match/queues": []})
    offer = offered(called="1001", queue="sales")
    assert read_facts(site(), offer, "c1", NOON).line == "sales"  # type: ignore[arg-type]
    assert read_facts(quiet, offer, "c1", NOON).line == "default"  # type: ignore[arg-type]


# --------------------------------------------------------------------------- private by the agent's wish


def asked(call: Party) -> bool:
    raise AssertionError("nobody's wish was to be looked at")


def dialled(**call: object) -> Offered:
    return offered(called="0612345678", caller="1001", direction=OUTBOUND, private=True, **call)  # type: ignore[arg-type]


def test_a_private_call_names_no_line_and_no_number() -> None:
    found = identify(site(), dialled(queue="campaign"), CallId("c1"), NOON)
    call = found.facts
    assert (call.kind, call.private_by_agent, found.refused) == (LineKind.PRIVATE, True, None)
    assert (call.line, call.controller, call.client, call.campaign, call.queue) == (
        "default",
        "",
        None,
        None,
        None,
    )
    assert all(party.address is None and party.device is None for party in call.parties)
    assert "0612345678" not in repr(call)


def test_whose_wish_it_was_is_told_with_his_device() -> None:
    def wants(party: Party) -> bool:
        return party.device == "1001"

    found = identify(site(), offered(called="1001", queue="sales"), CallId("c1"), NOON, wants_private=wants)
    assert found.facts.kind is LineKind.PRIVATE
    assert found.wished_by is not None and (found.wished_by.person, found.wished_by.device) == ("a1", "1001")
    other = identify(site(), offered(called="1004", queue="sales"), CallId("c1"), NOON, wants_private=wants)
    assert (other.facts.kind, other.wished_by) == (LineKind.CUSTOMER_FACING, None)


def test_a_customer_cannot_wish() -> None:
    found = identify(
        site(),
        offered(called="1001", queue="sales"),
        CallId("c1"),
        NOON,
        wants_private=lambda party: party.outside,
    )
    assert found.facts.kind is LineKind.CUSTOMER_FACING


def test_a_call_between_colleagues_can_be_private() -> None:
    found = identify(site(), offered(called="1004", caller="1001", private=True), CallId("c1"), NOON)
    assert (found.facts.kind, found.refused) == (LineKind.PRIVATE, None)


@pytest.mark.parametrize("called", ["1900", "112", "1700", "0201230712", "1005"])
def test_the_lists_beat_every_wish_and_it_is_not_used_up(called: str) -> None:
    plain = facts(called=called, queue="sales")
    found = identify(
        site(), offered(called=called, queue="sales", private=True), CallId("c1"), NOON, wants_private=asked
    )
    assert (found.facts, found.wished_by, found.refused) == (plain, None, None)


def test_a_legal_duty_refuses_it_with_an_outside_party_only() -> None:
    call = offered(called="0201230004")
    found = identify(site(), call, CallId("c1"), NOON, wants_private=lambda _: True)
    assert (found.facts.kind, found.refused) == (LineKind.CUSTOMER_FACING, PRIVATE_REFUSED)
    assert found.wished_by is not None and not found.facts.private_by_agent
    inside = identify(
        site(), offered(called="0201230004", caller="1001"), CallId("c1"), NOON, wants_private=lambda _: True
    )
    assert (inside.facts.kind, inside.refused) == (LineKind.PRIVATE, None)


def test_only_our_own_people_from_a_peer_that_may_dial_the_prefix() -> None:
    stranger = identify(site(), offered(called="1001", private=True), CallId("c1"), NOON)
    elsewhere = identify(site(), dialled(peer="carrier"), CallId("c1"), NOON)
    unknown = identify(site(), dialled(peer="nobody"), CallId("c1"), NOON)
    for found in (stranger, elsewhere, unknown):
        assert found.refused is PRIVATE_NOT_OURS and not found.facts.private_by_agent


def test_the_number_behind_the_prefix() -> None:
    assert site().private_prefix("*660612345678") == "0612345678"
    assert site().private_prefix("*66") is None and site().private_prefix("0612345678") is None
    assert site().private_prefix("*67") is None


def test_what_is_dialled_instead_of_a_number() -> None:
    found = {
        code: site().feature(code) for code in ("*67", "*68", "*69", "*57", "*55", "announce", "1001", "*66")
    }
    assert {code: feature.kind for code, feature in found.items() if feature} == {
        "*67": FeatureKind.NEXT_CALL,
        "*68": FeatureKind.UNTIL_OFF,
        "*69": FeatureKind.OFF,
        "*57": FeatureKind.MENU,
        "*55": FeatureKind.MONITORING,
        "announce": FeatureKind.RECEIPT,
    }
    assert {feature.kind: feature.right for feature in found.values() if feature} == dict(RIGHTS)


def test_a_header_is_a_fact_only_where_a_trigger_asks_for_it_and_the_peer_is_trusted() -> None:
    topics = changed(
        site(),
        {"lines/line/topics/trigger": [{"name": "t", "header": {"name": "X-QM-Topic", "values": ["solar"]}}]},
    )
    call = offered(called="1001", queue="topics", topic="solar")
    assert read_facts(topics, call, CallId("c1"), NOON).headers == (("x-qm-topic", "solar"),)
    assert read_facts(site(), call, CallId("c1"), NOON).headers == ()
    other = offered(called="1001", queue="sales", topic="solar")
    assert read_facts(topics, other, CallId("c1"), NOON).headers == ()
