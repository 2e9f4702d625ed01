"""Which lamps there are, and how a phone names one: `private-1001@...`, `recording-1001@...`.

A lamp is of a person (people.toml), whichever of his extensions it is named by. What belongs to nobody has none.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from qm_sip.config.numbers import normal
from qm_sip.policy.facts import PersonId

if TYPE_CHECKING:
    from qm_sip.config import Config


class Kind(StrEnum):
    PRIVATE = "private"
    RECORDING = "recording"
    HEARD = "heard"
    PRESET = "preset"  # not of a call: what the agent has set for those to come


OWN: Final = frozenset({Kind.PRIVATE, Kind.PRESET})
"""Nobody else's business (KSF15-3.9)."""


class Lamp(NamedTuple):
    kind: Kind
    person: PersonId


class Named(NamedTuple):
    """What a phone wrote: a kind of lamp and an extension, whether there is such a one or not."""

    kind: Kind
    extension: str


_NAME: Final = re.compile(rf"({'|'.join(Kind)})-([0-9A-Za-z+*#._-]{{1,40}})\Z", re.ASCII)


def named(user: str) -> Named | None:
    """The lamp that a user part names; None: it is not the name of one."""
    found = _NAME.match(user)
    return Named(Kind(found[1]), found[2]) if found is not None else None


def lamp_of(config: Config, name: Named) -> Lamp | None:
    """Whose it is; None: nobody has that extension."""
    person = config.index.persons.get(normal(name.extension, config.lines.numbering))
    return Lamp(name.kind, person) if person is not None else None
