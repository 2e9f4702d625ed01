"""Limits: what a source gets, what it does not, and that the tables stay small whoever comes."""

from __future__ import annotations

import pytest

from qm_sip.sip.limits import Bans, Bucket, Buckets, Seen, source_key


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::"),
        ("2001:db8:1:3::9", "2001:db8:1:3::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_a_source_is_an_address_or_a_network_of_64_bits(host: str, key: str) -> None:
    assert source_key(host) == key


def test_a_bucket_gives_its_rate_and_no_more() -> None:
    bucket = Bucket(10, 10, 0.0)
    given = sum(bucket.take(tick / 100) for tick in range(1000))  # 100 a second for 10 s
    assert 105 <= given <= 110


def test_who_goes_on_gets_nothing_until_he_rests() -> None:
    bucket = Bucket(5, 10, 0.0, debt=True)
    flood = [bucket.take(tick / 100) for tick in range(1000)]
    assert sum(flood) < 15
    assert not any(flood[200:])
    assert bucket.take(30.0)


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    bucket = Bucket(1, 1, 100.0)
    assert bucket.take(100.0)
    assert not any(bucket.take(99.0) for _ in range(5))
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


def test_sources_do_not_pay_for_one_another_and_the_oldest_is_forgotten() -> None:
    buckets = Buckets(1, 2, most=100)
    assert not all(buckets.take("flood", 0.0) for _ in range(5))
    assert all(buckets.take(f"source {n}", 0.0) for n in range(1000))
    assert len(buckets) == 100


def test_who_is_seen_is_known_for_a_while() -> None:
    seen = Seen(10.0, most=3)
    for n in range(5):
        seen.see(str(n), float(n))
    assert [n for n in range(5) if seen.knows(str(n), 5.0)] == [2, 3, 4]
    assert not seen.knows("4", 14.1)
    assert len(seen) == 3


def test_a_ban_needs_so_many_failures_in_time_and_ends() -> None:
    bans = Bans(3, 60.0)
    assert [bans.fail("a", at) for at in (0.0, 50.0, 100.0)] == [False, False, False]  # not within 60 s
    assert bans.fail("a", 101.0)
    assert bans.bans("a", 102.0)
    assert not bans.bans("b", 102.0)
    assert not bans.bans("a", 162.0)
    assert not bans.fail("a", 163.0)  # and counting begins anew


def test_failures_of_many_take_little_room_and_no_limit_is_none() -> None:
    bans = Bans(3, 60.0, most=10)
    for n in range(100):
        bans.fail(str(n), 0.0)
    assert len(bans) == 10
    assert not any(Bans(0, 60.0).fail("a", 0.0) for _ in range(100))
