"""How a phone names a lamp."""

from __future__ import annotations

import pytest

from qm_sip.lamps.lamp import Kind, Lamp, Named, lamp_of, named
from qm_sip.policy.facts import PersonId
from tests.call.world import settings


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_by_its_name(kind: Kind) -> None:
    assert named(f"{kind}-1001") == Named(kind, "1001")
    assert named(f"{kind}-+31201234567") == Named(kind, "+31201234567")


@pytest.mark.parametrize(
    "user",
    ["", "1001", "private", "private-", "Private-1001", "private_1001", "privately-1001", "private-10 01", "rec-1001",
     "private-1001\n", "private-\u0661\u0660", "private-" + "1" * 41, "private-1001;x", "private-a/b", "recording-<x>"],
)  # fmt: skip
def test_what_names_none(user: str) -> None:
    assert named(user) is None


def test_a_lamp_is_of_the_person_whose_extension_it_is() -> None:
    config = settings().config
    assert lamp_of(config, Named(Kind.HEARD, "1001")) == Lamp(Kind.HEARD, PersonId("a1"))
    for nobody in ("1003", "1050", "1900", "9999", "0612345678"):
        assert lamp_of(config, Named(Kind.HEARD, nobody)) is None
