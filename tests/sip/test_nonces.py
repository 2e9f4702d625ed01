"""Nonces: nobody else's, not too old, each count once, and never once more because a table was full."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.sip.nonces import Nonces, Standing

A, B = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def nonces() -> Nonces:
    return Nonces(60.0, random.Random(1), most=8)


def test_a_nonce_is_of_one_source_one_run_and_one_minute(nonces: Nonces) -> None:
    nonce = nonces.issue(A, 100.0)
    assert nonces.judge(nonce, A, 100.0) is Standing.FRESH
    assert nonces.judge(nonce, A, 160.0) is Standing.FRESH
    assert nonces.judge(nonce, A, 160.1) is Standing.STALE
    assert nonces.judge(nonce, B, 100.0) is Standing.FOREIGN
    assert Nonces(60.0, random.Random(2)).judge(nonce, A, 100.0) is Standing.FOREIGN


def test_two_of_one_moment_differ_and_asking_costs_no_memory(nonces: Nonces) -> None:
    assert len({nonces.issue(A, 5.0) for _ in range(1000)}) == 1000
    assert len(nonces) == 0


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_what_is_no_nonce_is_foreign(text: str) -> None:
    assert Nonces(60.0, random.Random(1)).judge(text, A, 1.0) is Standing.FOREIGN


def test_one_changed_letter_is_another_nonce(nonces: Nonces) -> None:
    nonce = nonces.issue(A, 100.0)
    for at in range(len(nonce) - 1):  # the last holds bits that mean nothing
        changed = nonce[:at] + ("A" if nonce[at] != "A" else "B") + nonce[at + 1 :]
        assert nonces.judge(changed, A, 100.0) is Standing.FOREIGN


def test_each_count_once_in_whatever_order_the_wire_brings_them(nonces: Nonces) -> None:
    nonce = nonces.issue(A, 0.0)
    counts = [1, 3, 2, 10, 9, 4, 70, 8, 7, 200]
    assert [nonces.spend(nonce, A, n, 1.0) for n in counts] == [True] * 7 + [True, True, True]
    assert not any(nonces.spend(nonce, A, n, 1.0) for n in [*counts, 0, 100])


@given(st.lists(st.integers(1, 300), max_size=80))
def test_no_count_is_taken_twice(counts: list[int]) -> None:
    nonces = Nonces(60.0, random.Random(1))
    nonce = nonces.issue(A, 0.0)
    taken = [n for n in counts if nonces.spend(nonce, A, n, 0.0)]
    assert len(taken) == len(set(taken))


def test_a_full_table_lets_no_replay_in(nonces: Nonces) -> None:
    first = nonces.issue(A, 10.0)
    assert nonces.spend(first, A, 1, 10.0)
    for n in range(20):
        assert nonces.spend(nonces.issue(A, 11.0 + n), A, 1, 11.0 + n)
    assert len(nonces) == 8
    assert nonces.judge(first, A, 31.0) is Standing.STALE  # not fresh: that it was used is forgotten
    assert nonces.judge(nonces.issue(A, 31.0), A, 31.0) is Standing.FRESH
