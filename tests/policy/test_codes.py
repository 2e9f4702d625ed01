"""Personal codes: only the right one fits, and a broken hash fits none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.policy.codes import code_fits, hash_code, is_hash

HASH = hash_code("246810")


def test_the_code_fits_and_no_other() -> None:
    assert is_hash(HASH) and code_fits("246810", HASH)
    assert not any(code_fits(code, HASH) for code in ("246811", "24681", "2468100", "", "246810 "))


def test_one_code_has_many_hashes_and_none_shows_it() -> None:
    assert hash_code("246810") != HASH
    assert "246810" not in HASH.split(":")[0]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "246810",
        HASH[:-1],
        HASH.upper(),
        HASH + "\n",
        HASH.replace("16384", "16383"),
        HASH.replace("16384", "999999"),
        HASH.replace(":8:1:", ":0:1:"),
        HASH.replace(":8:1:", ":64:1:"),
        HASH.replace(":8:1:", ":8:99:"),
    ],
)
def test_a_broken_or_costly_hash_fits_nothing(broken: str) -> None:
    assert not is_hash(broken) and not code_fits("246810", broken)


@given(st.text(max_size=40))
def test_whatever_stands_there_is_an_answer(text: str) -> None:
    assert not is_hash(text) and not code_fits(text, text)
