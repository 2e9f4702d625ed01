"""No combination of facts records what may not be recorded. The properties are written apart from the
rules.
"""

from __future__ import annotations

import functools
import timeit
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.config import Config
from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    Direction,
    How,
    Kind,
    LineKind,
    Lot,
    Party,
    PersonId,
    RecordingClass,
    Role,
    Told,
    Use,
)
from qm_sip.policy.gate import decide, explain
from qm_sip.policy.identify import read_facts
from qm_sip.policy.path import MediaPath, media_path
from qm_sip.policy.purposes import KNOWN, QUALITY
from qm_sip.private import Private
from tests.policy.site import NOON, changed, facts, offered, site, told, with_told
from tests.support.cost import least, within

CONFIDENTIAL = ("1900", "+31201230900", "+31107654321", "+31201230805", "1005")
NUMBERS = (*CONFIDENTIAL, "112", "1700", "+31201230999", "+31201230712", "+31612345678", "1001", "1050")
NAMES = ("Voorbeeld Energie", "Voorbeeld Water", "Voorbeeld Bank", "Somebody")
CHANGES = (
    {},
    {"regulation/regulation/status": "draft"},
    {"regulation/regulation/consent/scope": []},
    {"regulation/regulation/notice_to_agents/version": "4"},
    {"lines/line/sales/purposes": ["coaching", "process_improvement"]},
    {"lines/line/sales/listen": False},
    {"server/keys/coaching/recipients": []},
    {"regulation/purposes/coaching/enabled": False},
)
SITES = (*(changed(site(), change) for change in CHANGES), *[site()] * 6)
USES = st.sampled_from([Use.RECORD, Use.RECORD, Use.RECORD, Use.LISTEN])


def many(strategy: st.SearchStrategy[object], most: int) -> st.SearchStrategy[frozenset[object]]:
    return st.frozensets(strategy, max_size=most)


heard = st.builds(
    Told,
    identity=st.sampled_from(NAMES),
    uses=many(st.sampled_from(list(Use)), 2),
    purposes=many(st.sampled_from(sorted(KNOWN)), 8),
    language=st.just("nl"),
    how=st.sampled_from(list(How)),
    prompt=st.none(),
    began=st.just(1.0),
    ended=st.just(9.0),
    packets=st.just(400),
)
heard_all = st.sampled_from(NAMES[:3]).map(lambda name: told(name, ("record", "listen"), tuple(KNOWN)))
parties = st.builds(
    Party,
    id=st.sampled_from(["caller", "callee"]),
    role=st.sampled_from([Role.CUSTOMER, Role.AGENT, Role.AGENT, Role.THIRD, Role.COLLEAGUE]),
    outside=st.booleans(),
    person=st.sampled_from([None, *map(PersonId, ("a1", "a1", "a1", "a2", "a3", "a4", "a5", "nobody"))]),
    left=st.sampled_from([None, None, None, 5.0]),
    address=st.none() | st.sampled_from(NUMBERS).map(Private) | st.just(Private("+31612345678")),
    told=st.lists(heard | heard_all, max_size=2).map(tuple) | heard_all.map(lambda one: (one,)),
    objects_to=many(st.sampled_from(list(Use)), 1),
)
good_customer = st.builds(
    lambda objecting: Party(
        "caller",
        Role.CUSTOMER,
        True,
        told=tuple(told(name, ("record", "listen"), tuple(KNOWN)) for name in NAMES[:3]),
        address=Private("+31612345678"),
        objects_to=objecting,
    ),
    st.sampled_from([frozenset[Use]()] * 4 + [frozenset({Use.RECORD})]),
)
good_agent = st.sampled_from(["a1", "a1", "a1", "a1", "a4", "a2", "a3", None]).map(
    lambda person: Party("callee", Role.AGENT, False, PersonId(person) if person else None, "1001", "static")
)
gone_agent = good_agent.map(lambda agent: replace(agent, left=5.0))
groups = st.lists(parties, max_size=3).map(tuple) | st.builds(
    lambda customer, agent, more: (customer, agent, *more),
    good_customer,
    good_agent,
    st.lists(parties, max_size=1),
)


def call_of(
    line: str,
    kind: LineKind,
    started: datetime,
    group: tuple[Party, ...],
    language: str | None,
    lot: Lot | None,
) -> CallFacts:
    controller = "Voorbeeld Bank" if line == "orders" else "Voorbeeld Energie"
    call = facts(called="1001", queue="sales")
    return replace(
        call,
        line=line,
        kind=kind,
        started=started,
        parties=group,
        language=language,
        controller=controller,
        lot=lot,
        requested=lot is not None and lot.number % 2 == 0,
    )


lots = st.none() | st.integers(0, 2**64 - 1).map(lambda number: Lot("c0ffee", number))
FACING = LineKind.CUSTOMER_FACING
anything = st.builds(
    call_of,
    st.sampled_from(
        [
            "sales",
            "service",
            "sampled",
            "asked",
            "topics",
            "contracts",
            "complaints",
            "orders",
            "default",
            "adviser",
            "gone",
        ]
    ),
    st.sampled_from([FACING] * 3 + list(LineKind)),
    st.datetimes(datetime(2025, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC)),
    groups,
    st.sampled_from([None, "nl", "en", "xx"]),
    lots,
)
good_groups = st.builds(
    lambda customer, agent, more: (customer, agent, *more),
    good_customer,
    good_agent | good_agent | gone_agent,
    st.lists(parties, max_size=1),
)
nearly_good = st.builds(  # so that a good part of the calls is allowed, and one thing more can be wrong
    call_of,
    st.sampled_from(["sales", "sales", "service", "sampled", "asked", "contracts", "complaints", "orders"]),
    st.sampled_from([FACING] * 8 + [LineKind.PRIVATE]),
    st.datetimes(datetime(2026, 2, 1), datetime(2031, 1, 1), timezones=st.just(UTC)),
    good_groups,
    st.sampled_from([None, None, "en", "xx"]),
    lots,
)
calls = anything | nearly_good | nearly_good


def present(call: CallFacts) -> list[Party]:
    return [party for party in call.parties if party.left is None]


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(SITES), calls, USES)
def test_what_may_never_happen_does_not_happen(config: Config, call: CallFacts, use: Use) -> None:
    decision = decide(config, call, use)
    assert decision == decide(config, call, use)
    assert decision.reasons and decision.use is use
    if not decision.allowed:
        assert (decision.cls, decision.purposes) == (None, ())
        return
    line = config.lines.line[call.line]
    duty = bool(line.legal_duty) and use is Use.RECORD
    purposes = {purpose.name for purpose in decision.purposes}
    assert line.kind is LineKind.CUSTOMER_FACING
    if use is Use.LISTEN:
        assert line.listen and purposes == {"coaching"} and decision.plan == "spring"
        assert call.started.date() > date(2026, 1, 12)
    else:
        assert line.capture != "none" and purposes == set(line.purposes)
        assert line.capture != "sample" or (call.lot is not None and call.lot.number < 2**63)
        assert line.capture != "on-request" or call.requested
    assert call.kind is LineKind.CUSTOMER_FACING or (duty and call.kind is LineKind.PRIVATE)
    for party in call.parties:
        assert party.person != "a5"
        assert party.address is None or party.address.reveal() not in NUMBERS[:9]
    outside = [party for party in present(call) if party.outside]
    assert outside and any(not party.outside for party in present(call))
    for party in outside:
        named = [
            one for one in party.told if one.identity in (call.controller, call.client) and use in one.uses
        ]
        assert purposes <= {purpose for one in named for purpose in one.purposes}
        assert use not in party.objects_to or duty or (use is Use.RECORD and not line.opt_out)
    assert call.language in (None, *line.languages)
    assert use is Use.LISTEN or all(config.recipients(purpose) for purpose in purposes)
    assert all(call.started < purpose.destroy_by for purpose in decision.purposes)
    assert all(set(purpose.ground) == {Kind.AGENT, Kind.CUSTOMER} for purpose in decision.purposes)
    if purposes & QUALITY:
        assert decision.cls is RecordingClass.QUALITY
        assert config.regulation.regulation.status == "in-force"
        assert line.scope in config.regulation.regulation.consent.scope
        assert all(purpose.destroy_by <= call.started + timedelta(days=62) for purpose in decision.purposes)
        agents = {party.person for party in present(call) if party.role is Role.AGENT}
        assert agents and agents <= {"a1", "a4"}  # in the population, and with the notice in use
    else:
        assert decision.cls is RecordingClass.LOGGING


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SITES), calls)
def test_listening_is_told_of_as_strictly(config: Config, call: CallFacts) -> None:
    decision = decide(config, call, Use.LISTEN)
    if decision.allowed:
        assert call.kind is LineKind.CUSTOMER_FACING
        for party in present(call):
            if party.outside:
                assert Use.LISTEN not in party.objects_to
                assert any(Use.LISTEN in one.uses for one in party.told)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SITES), calls, USES)
def test_supposing_more_never_forbids_more(config: Config, call: CallFacts, use: Use) -> None:
    if decide(config, call, use).allowed:
        assert decide(config, call, use, suppose_told=True).allowed
        assert use is Use.LISTEN or media_path(config, call) is MediaPath.RELAY


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SITES), calls, USES)
def test_explain_and_decide_agree(config: Config, call: CallFacts, use: Use) -> None:
    tried = explain(config, call, use)
    saying_no = [one.reason for one in tried if one.reason and not one.outranked]
    decision = decide(config, call, use)
    assert decision.allowed == (not saying_no)
    assert decision.allowed or decision.reasons == (saying_no[0],)


@pytest.mark.parametrize(
    "damage",
    [
        {"started": None},
        {"parties": None},
        {"parties": (None,)},
        {"parties": (Party("caller", Role.CUSTOMER, True, told=(None,)),)},  # type: ignore[arg-type]
        {"language": 7},
        {"line": ["sales"]},
    ],
)
def test_damaged_facts_mean_no(damage: dict[str, object]) -> None:
    call = replace(with_told(facts(called="1001", queue="sales"), told()), **damage)  # type: ignore[arg-type]
    decision = decide(site(), call, Use.RECORD)
    assert not decision.allowed


def test_a_confidential_call_comes_nowhere_near_the_relay() -> None:
    for number in CONFIDENTIAL:
        call = facts(called=number, queue="sales")
        assert (call.kind, call.parties, call.line) == (LineKind.CONFIDENTIAL, (), "default")
        assert media_path(site(), call) is MediaPath.DIRECT
        assert decide(site(), call, Use.RECORD).reasons[0].tell == frozenset()


def test_deciding_is_fast_enough_for_a_thousand_calls_a_second() -> None:
    """read_facts and decide together take less than 200 microseconds."""
    offer = offered(called="1001", queue="sales")

    def decided() -> None:
        for _ in range(10):
            decide(site(), read_facts(site(), offer, CallId("c1"), NOON), Use.RECORD, suppose_told=True)

    within(10 * 200e-6, decided)


def test_finding_a_line_does_not_slow_down_with_their_number() -> None:
    times = []
    for size in (10, 5000):
        numbers = [f"+3170{number:07d}" for number in range(size)]
        config = changed(site(), {"lines/line/complaints/match/numbers": numbers})
        offer = offered(called=numbers[-1], direction=Direction.INBOUND)
        assert read_facts(config, offer, CallId("c"), NOON).line == "complaints"
        find = functools.partial(read_facts, config, offer, CallId("c"), NOON)
        times.append(least(functools.partial(timeit.repeat, find, number=200, repeat=1)))
    assert times[1] < times[0] * 5
