"""Stable stand-ins for whatever could name somebody: `user-1`, `host-2`, the same for the same value in one trace."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

SELF = "qm-sip"
NOWHERE = frozenset({"0.0.0.0", "::"})
"""The address that says "hold" (RFC 2543): nobody's."""

# RFC 5737, RFC 3849: addresses for documentation, so that a packet of a redacted trace is of nobody.
_V4 = (int(IPv4Address("192.0.2.0")), int(IPv4Address("198.51.100.0")), int(IPv4Address("203.0.113.0")))
_V6 = int(IPv6Address("2001:db8::"))


class Pseudonyms:
    """The stand-ins of one trace. Numbers count from 1 in the order of first appearance."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}
        self._counts: dict[str, int] = {}
        self._own: set[str] = set()

    def are_ours(self, hosts: Iterable[str]) -> None:
        """These are addresses of our own: they are `qm-sip`."""
        self._own.update(host.lower() for host in hosts)

    def number(self, kind: str, value: str) -> int:
        found = self._known.get((kind, value))
        if found is None:
            found = self._counts[kind] = self._counts.get(kind, 0) + 1
            self._known[kind, value] = found
        return found

    def of(self, kind: str, value: str) -> str:
        return f"{kind}-{self.number(kind, value)}"

    def host(self, host: str) -> str:
        low = host.lower().strip("[]")
        if low in NOWHERE:
            return low
        return SELF if low in self._own else self.of("host", low)

    def address(self, host: str) -> str:
        """An IP address to stand for that one, of the same family."""
        low = host.lower()
        version = ip_address(low).version
        place = 0 if low in self._own else self.number("host", low)
        if version == 6:
            return str(IPv6Address(_V6 + 1 + place))
        network, rest = divmod(place, 250)
        return str(IPv4Address(_V4[network % len(_V4)] + 1 + rest))
