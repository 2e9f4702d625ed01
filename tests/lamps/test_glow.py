"""What a call lights: every combination of what can be so of one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from qm_sip.lamps.glow import Shown, lit
from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.policy.facts import LineKind, Party, PersonId, Role

A1, A2 = PersonId("a1"), PersonId("a2")
CUSTOMER = Party("caller", Role.CUSTOMER, outside=True)
AGENT = Party("callee", Role.AGENT, outside=False, person=A1)
CALL = Shown(LineKind.CUSTOMER_FACING, (CUSTOMER, AGENT), unsaid=False, ended=False, kept=False, heard=False)


def of(*kinds: Kind, person: PersonId = A1) -> frozenset[Lamp]:
    return frozenset(Lamp(kind, person) for kind in kinds)


def test_recorded_heard_or_both() -> None:
    assert lit(CALL) == of()
    assert lit(CALL._replace(kept=True)) == of(Kind.RECORDING)
    assert lit(CALL._replace(heard=True)) == of(Kind.HEARD)
    assert lit(CALL._replace(kept=True, heard=True)) == of(Kind.RECORDING, Kind.HEARD)


def test_a_private_call_is_private_and_nothing_else_whatever_is_said_of_it() -> None:
    for kept, heard in product((False, True), repeat=2):
        assert lit(CALL._replace(kind=LineKind.PRIVATE, kept=kept, heard=heard)) == of(Kind.PRIVATE)


def test_confidential_emergency_unsaid_and_ended_calls_light_nothing() -> None:
    for kind, kept, heard in product(LineKind, (False, True), (False, True)):
        call = CALL._replace(kind=kind, kept=kept, heard=heard)
        assert lit(call._replace(unsaid=True)) == lit(call._replace(ended=True)) == of()
        if kind in (LineKind.CONFIDENTIAL, LineKind.EMERGENCY):
            assert lit(call) == of()


def test_an_unlisted_call_lights_nothing_because_nothing_is_done_with_it() -> None:
    assert lit(CALL._replace(kind=LineKind.UNLISTED)) == of()


def test_nobody_but_our_people_who_are_there_and_known() -> None:
    kept = CALL._replace(kept=True, heard=True)
    for who in (
        replace(AGENT, person=None),
        replace(AGENT, left=3.0),
        replace(AGENT, outside=True),
        replace(AGENT, role=Role.COLLEAGUE),
        replace(AGENT, role=Role.THIRD),
    ):
        assert lit(kept._replace(parties=(CUSTOMER, who))) == of()
    both = (replace(AGENT, role=Role.COLLEAGUE), Party("caller", Role.COLLEAGUE, outside=False, person=A2))
    private = CALL._replace(kind=LineKind.PRIVATE, parties=both)
    assert lit(private) == of(Kind.PRIVATE) | of(Kind.PRIVATE, person=A2)
