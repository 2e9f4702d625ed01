"""Every input that is kept, and mutations of them, through every target: nothing breaks, nothing takes long.

The mutations are the same in every run. `QM_SIP_SEED=... pytest tests/torture/test_corpus.py` tries others, and
`QM_SIP_TEST_DEPTH=deep` more of them; `make fuzz` looks further.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.cost import within
from tests.torture import keep
from tests.torture.fuzz import CORPUS, WORDS
from tests.torture.targets import TARGETS, Target

SEED = int(os.environ.get("QM_SIP_SEED", "4475"))
DEEP = os.environ.get("QM_SIP_TEST_DEPTH") == "deep"
MOST_FILES, MOST_BYTES = 600, 400_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What a server would log of all this is no output of a test."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def files(name: str) -> list[Path]:
    return [file for of in TARGETS[name].corpora(name) for file in sorted((CORPUS / of).glob("*"))]


def try_one(target: Target, data: bytes) -> None:
    within(target.seconds, functools.partial(target.run, data[: target.most]))


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_breaks_nothing(name: str) -> None:
    found = files(name)
    assert found
    for file in found:
        try:
            try_one(TARGETS[name], file.read_bytes())
        except BaseException:
            print(f"python -m tests.torture.fuzz {name} --play {file}")
            raise


def words() -> list[bytes]:
    """The words of the dictionary, and what no reader likes."""
    lines = [line[1:-1] for line in WORDS.read_text().splitlines() if line]
    return [line.encode("latin-1").decode("unicode_escape").encode("latin-1") for line in lines]


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """One of the corpus, changed in one to four places; perhaps the head of one and the tail of another."""
    inputs, most = _inputs(name), TARGETS[name].most
    data = draw(st.sampled_from(inputs))
    for kind in draw(
        st.lists(st.sampled_from(["word", "byte", "cut", "copy", "cross"]), min_size=1, max_size=4)
    ):
        at, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        if kind == "word":
            data = data[:at] + draw(st.sampled_from(words())) + data[at:]
        elif kind == "byte":
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[min(to, at + 60) :]
        elif kind == "copy":
            data = data[:to] + data[at : min(to, at + 200)] * 3 + data[to:]
        else:
            other = draw(st.sampled_from(inputs))
            data = data[:at] + other[draw(st.integers(0, len(other))) :]
    return data[:most]


@functools.cache
def _inputs(name: str) -> list[bytes]:
    return [file.read_bytes() for file in files(name)]


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_it_break_nothing(name: str) -> None:
    target = TARGETS[name]
    print(f"QM_SIP_SEED={SEED}")

    @seed(SEED)
    @settings(
        max_examples=(20 if DEEP else 1) * (150 if target.seconds > 1 else 400),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(name))
    def run(data: bytes) -> None:
        try_one(target, data)

    run()


def test_it_is_small_enough_to_be_kept() -> None:
    found = [file for file in CORPUS.rglob("*") if file.is_file()]
    assert len(found) <= MOST_FILES and sum(file.stat().st_size for file in found) <= MOST_BYTES
    assert {file.parent.name for file in found} == set(TARGETS)


def test_a_target_that_breaks_is_noticed() -> None:
    def breaks(data: bytes) -> None:
        assert b"@" not in data

    with pytest.raises(AssertionError):
        try_one(Target(breaks), b"@")
    with pytest.raises(AssertionError, match="processor time"):
        try_one(Target(lambda data: sum(range(3_000_000)), seconds=1e-4), b"")


def test_of_inputs_that_cover_the_same_the_smallest_is_chosen() -> None:
    one, two = (frozenset((name, line) for line in range(5)) for name in "ab")
    found = {b"long": one, b"s": one, b"both of them": one | two, b"two": two, b"nothing": frozenset()}
    assert keep.choose(found, set()) == [b"s", b"two"]
    assert keep.choose(found, set(one)) == [b"two"]
