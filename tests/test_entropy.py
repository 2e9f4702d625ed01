"""Random numbers read in blocks are as random, and never the same twice."""

from __future__ import annotations

import os

import pytest

from qm_sip.entropy import BLOCK, Entropy


def test_every_width_is_kept_and_every_bit_is_used() -> None:
    entropy = Entropy()
    for bits in (1, 7, 8, 9, 40, 64, 128, 8 * BLOCK, 8 * BLOCK + 1):
        drawn = [entropy.getrandbits(bits) for _ in range(40)]
        assert all(0 <= number < 1 << bits for number in drawn)
        assert max(number.bit_length() for number in drawn) == bits
    assert entropy.getrandbits(0) == 0
    with pytest.raises(ValueError):
        entropy.getrandbits(-1)


def test_no_number_comes_twice_over_many_blocks() -> None:
    entropy = Entropy()
    drawn = [entropy.getrandbits(64) for _ in range(3 * BLOCK)]
    assert len(set(drawn)) == len(drawn)
    ones = sum(number.bit_count() for number in drawn)
    assert abs(ones - 32 * len(drawn)) < 6 * (16 * len(drawn)) ** 0.5  # six standard deviations


def test_what_is_built_on_it_keeps_its_range() -> None:
    entropy = Entropy()
    assert {entropy.randint(0, 3) for _ in range(200)} == {0, 1, 2, 3}


def test_a_child_does_not_repeat_its_parent() -> None:
    entropy = Entropy()
    entropy.getrandbits(64)
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, str(entropy.getrandbits(64)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(read, 100)) != entropy.getrandbits(64)
