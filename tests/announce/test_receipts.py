"""A receipt counts for one customer, one line and a while, and only if he heard it all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.announce.receipts import MOST, Receipt, Receipts
from qm_sip.policy.facts import How, Told, Use
from qm_sip.private import Private

TOLD = Told("X", frozenset({Use.RECORD}), frozenset({"coaching"}), "nl", How.RECEIPT, None, 0.0, 5.0, 250)
GOOD = Receipt("token", Private("call-1@pbx"), "sales", 100.0, TOLD)


def find(
    receipt: Receipt,
    token: str = "token",
    customer: str = "call-1@pbx",
    line: str = "sales",
    now: float = 50.0,
) -> Receipt | None:
    receipts = Receipts()
    receipts.keep(receipt, 1.0)
    return receipts.find(token, customer, line, now)


def test_it_counts_more_than_once() -> None:
    receipts = Receipts()
    receipts.keep(GOOD, 1.0)
    assert [receipts.find("token", "call-1@pbx", "sales", now) for now in (10.0, 20.0)] == [GOOD, GOOD]


@pytest.mark.parametrize(
    "found",
    [
        find(GOOD, token="other"),
        find(GOOD, customer="call-2@pbx"),
        find(GOOD, line="support"),
        find(GOOD, now=100.0),
        find(replace(GOOD, told=None)),
    ],
)
def test_and_never_for_anybody_or_anything_else(found: Receipt | None) -> None:
    assert found is None


@pytest.mark.parametrize("told", [TOLD, None])
def test_what_he_objected_to_while_he_was_told_comes_with_it_even_if_he_did_not_hear_it_all(
    told: Told | None,
) -> None:
    objecting = replace(GOOD, told=told, objects_to=frozenset(Use))
    assert find(objecting) == objecting
    assert find(objecting, customer="call-2@pbx") is None


def test_old_ones_are_forgotten_and_there_is_a_most() -> None:
    receipts = Receipts()
    for number in range(MOST + 5):
        receipts.keep(replace(GOOD, token=str(number)), 1.0)
    assert receipts.find("0", "call-1@pbx", "sales", 2.0) is None
    assert receipts.find(str(MOST + 4), "call-1@pbx", "sales", 2.0) is not None
    receipts.keep(replace(GOOD, token="late", expires=300.0), 200.0)
    assert len(receipts._held) == 1
