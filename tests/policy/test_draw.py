"""Samples: the same seed draws the same, nobody can be picked out, and the share is the share."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.policy.draw import Seed, Seeds, commitment, draw, is_in, new_secret
from qm_sip.policy.facts import CallId, Use
from qm_sip.policy.gate import decide
from qm_sip.policy.identify import identify
from qm_sip.private import Private
from tests.policy.site import NOON, offered, site, told, with_told

SECRET = bytes(range(32))
MANY = 100_000
CALLS = [CallId(f"c{number}") for number in range(MANY)]
DAY = date(2026, 3, 2)


def test_a_lot_is_what_the_page_says() -> None:
    """docs/rules.md: HMAC-SHA256 of `line NUL call id` under the day's seed, its first eight bytes."""
    expected = hmac.new(SECRET, b"sales\0c7", hashlib.sha256).digest()[:8]
    assert draw(SECRET, CallId("c7"), "sales") == int.from_bytes(expected, "big")
    assert commitment(SECRET) == hashlib.sha256(SECRET).hexdigest()


def drawn(secret: bytes, call: CallId, line: str, share: float) -> bool:
    return is_in(draw(secret, call, line), share)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_the_share(share: float) -> None:
    """Over 100,000 calls within four standard deviations; with the seed fixed, this is no matter of luck."""
    count = sum(drawn(SECRET, call, "sales", share) for call in CALLS)
    assert abs(count - MANY * share) < 4 * (MANY * share * (1 - share)) ** 0.5


def test_lots_are_spread_evenly() -> None:
    """Chi-square over 100 classes: 99 degrees of freedom, 149.4 is exceeded once in a thousand times."""
    classes = [0] * 100
    for call in CALLS:
        classes[draw(SECRET, call, "sales") * 100 >> 64] += 1
    expected = MANY / 100
    assert sum((seen - expected) ** 2 / expected for seen in classes) < 149.4


def test_neither_the_order_of_calls_nor_their_neighbours_matter() -> None:
    """Of calls drawn one after another, as many follow a drawn one as the share says: no runs, no gaps."""
    picked = [drawn(SECRET, call, "sales", 0.1) for call in CALLS]
    after = [now for before, now in pairwise(picked) if before]
    assert abs(sum(after) - len(after) * 0.1) < 4 * (len(after) * 0.1 * 0.9) ** 0.5


def test_another_day_and_another_line_draw_apart() -> None:
    other, agree = new_secret(), 0
    for call in CALLS[:20_000]:
        agree += drawn(SECRET, call, "sales", 0.5) == drawn(other, call, "sales", 0.5)
    assert abs(agree - 10_000) < 4 * 5000**0.5
    lines = sum(drawn(SECRET, c, "sales", 0.5) == drawn(SECRET, c, "service", 0.5) for c in CALLS[:20_000])
    assert abs(lines - 10_000) < 4 * 5000**0.5


@given(st.text(), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_draws_all_that_a_smaller_one_does(
    call: str, line: str, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    assert drawn(SECRET, CallId(call), line, high) >= drawn(SECRET, CallId(call), line, low)


def test_all_and_nothing() -> None:
    assert is_in(2**64 - 1, 1.0) and not is_in(0, 0.0)


def test_a_seed_shows_its_commitment_and_not_itself() -> None:
    seed = Seed(DAY, Private(SECRET))
    assert seed.commitment == commitment(SECRET)
    assert SECRET.hex() not in repr(seed) and str(SECRET) not in repr(seed)


def test_tomorrows_seed_is_wanted_before_its_first_call() -> None:
    seeds = Seeds()
    assert seeds.wanted(DAY) == [DAY, DAY + timedelta(days=1)] and seeds.of(DAY) is None
    seeds.add(DAY, SECRET)
    seeds.add(DAY + timedelta(days=1), new_secret())
    assert seeds.wanted(DAY) == []
    found = seeds.of(DAY)
    assert found is not None and found.secret.reveal() == SECRET
    seeds.add(DAY + timedelta(days=3), new_secret())
    assert seeds.of(DAY) is None


def test_a_call_draws_by_the_seed_of_its_day_and_the_decision_holds_both() -> None:
    offer, seed = offered(called="1001", queue="sampled"), Seed(DAY, Private(SECRET))
    both = set()
    for number in range(40):
        call = CallId(f"c{number}")
        facts = with_told(identify(site(), offer, call, NOON, seed=seed).facts, told())
        decision = decide(site(), facts, Use.RECORD)
        assert decision.allowed == drawn(SECRET, call, "sampled", 0.5)
        if decision.allowed:
            assert (decision.draw, decision.seed) == (
                f"{draw(SECRET, call, 'sampled'):016x}",
                commitment(SECRET),
            )
        both.add(decision.allowed)
    assert both == {True, False}


def test_no_seed_of_this_day_no_recording() -> None:
    offer = offered(called="1001", queue="sampled")
    for seed in (None, Seed(date(2026, 3, 1), Private(SECRET))):
        facts = with_told(identify(site(), offer, CallId("c1"), NOON, seed=seed).facts, told())
        assert [reason.code for reason in decide(site(), facts, Use.RECORD).reasons] == ["no-draw"]


def test_only_a_line_that_samples_draws() -> None:
    seed, when = Seed(DAY, Private(SECRET)), datetime(2026, 3, 2, tzinfo=UTC)
    for queue in ("sales", "asked", "topics"):
        assert (
            identify(site(), offered(called="1001", queue=queue), CallId("c1"), when, seed=seed).facts.lot
            is None
        )
