"""Where a next hop is: its addresses, in the order in which they are tried (RFC 3263 4, RFC 2782).

A name stands for places; each has a priority, a weight and one address or more. Those of the lowest priority are tried
first; among equals the weight says how often a place comes first, so that load is shared. A place that did not answer a
moment ago is tried last, but it is tried: it may be all there is.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from qm_sip.sip.events import Address

DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}
MOST: Final = 8
"""Addresses that are tried for one call; a name that has more is not asked for all of them."""


class Place(NamedTuple):
    """One SRV record with the addresses of its target; of a name without such records, the name's own."""

    addresses: tuple[Address, ...]
    priority: int = 0
    weight: int = 0


def in_order(places: Iterable[Place], rng: random.Random) -> tuple[Address, ...]:
    """All addresses, the first to try first; no more than `MOST`, none twice."""
    found: dict[Address, None] = {}
    by_priority = sorted(places, key=lambda place: place.priority)
    for _, equals in groupby(by_priority, key=lambda place: place.priority):
        for place in _by_weight(list(equals), rng):
            found.update(dict.fromkeys(place.addresses))
    return tuple(found)[:MOST]


def _by_weight(places: list[Place], rng: random.Random) -> Iterator[Place]:
    """RFC 2782: draw one after the other, each with a chance of its weight; those without weight come in first, so
    that they have a small one.
    """
    left = sorted(places, key=lambda place: place.weight)
    while left:
        drawn = rng.randint(0, sum(place.weight for place in left))
        for place in left:
            drawn -= place.weight
            if drawn <= 0:
                break
        left.remove(place)
        yield place


class Silent:
    """Addresses that did not answer, or said 503, and until when that is held against them (RFC 3263 4.3)."""

    def __init__(self) -> None:
        self._until: dict[Address, float] = {}

    def add(self, address: Address, until: float, now: float) -> None:
        """Try others first until then."""
        self._until = {known: at for known, at in self._until.items() if at > now}
        self._until[address] = until

    def heard(self, address: Address) -> None:
        """It has answered."""
        self._until.pop(address, None)

    def last(self, addresses: Sequence[Address], now: float) -> tuple[Address, ...]:
        """The same addresses, the silent ones at the end."""
        if not self._until:
            return tuple(addresses)
        return tuple(sorted(addresses, key=lambda address: self._until.get(address, 0.0) > now))
