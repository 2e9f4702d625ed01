"""Which calls nothing may be kept or heard of, whoever called whom: the lists that beat every other rule.

Both sides are looked at, and where the call was diverted from (KSF15-2.1l: calls *of persons*, not only of
lines).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from qm_sip.config.index import NEVER_ORDER
from qm_sip.config.numbers import forms
from qm_sip.policy.facts import LineKind, Party
from qm_sip.private import Private

if TYPE_CHECKING:
    from qm_sip.config import Config


@dataclass(frozen=True)
class PrivateLineMatch:
    """What was found: emergency, confidential or private, and by which rule. Never who."""

    kind: LineKind
    rule: str


def match_numbers(
    config: Config, numbers: Iterable[Private[str]], day: date | None
) -> PrivateLineMatch | None:
    """Look numbers up in the lists as they are on this day (without one: as they ever are); the strongest kind on any
    side wins.
    """
    numbering = config.lines.numbering
    found = [form for number in numbers for form in forms(number.reveal(), numbering)]
    for kind in NEVER_ORDER:
        registry = config.index.never[kind]
        for form in found:
            rule = registry.find(form, day)
            if rule is not None:
                return PrivateLineMatch(kind, rule)
    return None


def has_agreed(config: Config, parties: Iterable[Party], day: date) -> bool:
    """Say whether it was agreed with somebody outside that nothing of him is recorded or heard (FAQ-B.7)."""
    numbering = config.lines.numbering
    addresses = (party.address for party in parties if party.outside and party.address is not None)
    found = (form for address in addresses for form in forms(address.reveal(), numbering))
    return any(config.index.agreed.find(form, day) is not None for form in found)


def match_parties(
    config: Config, parties: Iterable[Party], day: date, beside: Iterable[Private[str]] = ()
) -> PrivateLineMatch | None:
    """Look up who is, or was, in a call: persons as well as numbers. `beside`: who else was named with them."""
    parties = tuple(parties)
    addresses = (party.address for party in parties if party.address is not None)
    found = match_numbers(config, (*addresses, *beside), day)
    if found is not None and found.kind is LineKind.EMERGENCY:
        return found
    if any(party.person in config.index.confidential_persons for party in parties):
        return PrivateLineMatch(LineKind.CONFIDENTIAL, "person")
    return found
