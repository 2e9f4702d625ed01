"""The order in which the places of a next hop are tried (RFC 2782, RFC 3263 4)."""

from __future__ import annotations

import random
from collections import Counter

from qm_sip.sip.events import Address
from qm_sip.sip.locating import MOST, Place, Silent, in_order


def at(number: int) -> Address:
    return Address(f"192.0.2.{number}", 5060)


def test_a_lower_priority_comes_first_whatever_the_weight() -> None:
    places = [Place((at(1),), priority=20, weight=100), Place((at(2), at(3)), priority=10)]
    assert in_order(places, random.Random(1)) == (at(2), at(3), at(1))


def test_among_equals_the_weight_says_how_often_one_comes_first() -> None:
    places = [Place((at(1),), weight=60), Place((at(2),), weight=20), Place((at(3),), weight=0)]
    rng = random.Random(7)
    firsts = Counter(in_order(places, rng)[0] for _ in range(8000))
    assert abs(firsts[at(1)] / 8000 - 0.75) < 0.03
    assert abs(firsts[at(2)] / 8000 - 0.25) < 0.03
    assert 0 < firsts[at(3)] < 300  # without weight: a small chance, not none


def test_none_is_tried_twice_and_none_is_forgotten() -> None:
    places = [Place((at(1), at(2)), weight=5), Place((at(2), at(3)), weight=5)]
    for seed in range(20):
        found = in_order(places, random.Random(seed))
        assert sorted(found) == [at(1), at(2), at(3)]


def test_a_name_with_a_thousand_addresses_does_not_ring_for_hours() -> None:
    places = [Place(tuple(at(number) for number in range(200)))]
    assert in_order(places, random.Random(1)) == tuple(at(number) for number in range(MOST))


def test_who_was_silent_is_tried_last_until_he_is_forgiven_or_speaks() -> None:
    silent, all_three = Silent(), (at(1), at(2), at(3))
    assert silent.last(all_three, 0.0) == all_three
    silent.add(at(1), 60.0, 0.0)
    assert silent.last(all_three, 10.0) == (at(2), at(3), at(1))
    assert silent.last(all_three, 60.0) == all_three
    silent.add(at(2), 90.0, 30.0)
    silent.heard(at(1))
    assert silent.last(all_three, 40.0) == (at(1), at(3), at(2))
    assert silent.last((at(2),), 40.0) == (at(2),)  # it may be all there is
