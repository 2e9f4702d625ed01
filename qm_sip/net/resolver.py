"""Names of next hops become addresses, before a call needs them (RFC 3263 4.2; NAPTR is not asked for: the settings say
which transport a peer has).

Every name is looked up at the start and again when its records expire, in a task of its own. So no call waits for a DNS
server; and one that is down, or answers nonsense, takes nothing away: what it said last goes on being used, and the
administrator is told once. A name without a port means SRV records (`_sip._udp.NAME`), and, if there are none, the
addresses of the name itself with the transport's own port. What DNS does not know may stand in /etc/hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
from dns.rdtypes.IN.SRV import SRV

from qm_sip.sip.events import Address
from qm_sip.sip.locating import DEFAULT_PORTS, Place, in_order

log = logging.getLogger(__name__)

PATIENCE: Final = 4.0  # seconds that one look-up gets
SHORTEST, LONGEST = 5.0, 3600.0  # seconds between two of the same name, whatever its records say
AFTER_FAILURE: Final = 10.0
SYSTEM_TTL: Final = 60.0  # of what the system's own files say
FAMILIES: Final = {4: ("A", socket.AF_INET), 6: ("AAAA", socket.AF_INET6)}


class Name(NamedTuple):
    """A next hop as the settings name it. Port None: SRV records are asked for."""

    host: str
    port: int | None
    transport: str


class NotFound(Exception):
    """A name has no address now; the text says why."""


class Resolver:
    """The places of some names, kept fresh. `nameservers`: addresses with their ports; none: the system's."""

    def __init__(
        self,
        rng: random.Random,
        nameservers: Sequence[tuple[str, int]] = (),
        versions: Sequence[int] = (4,),
    ) -> None:
        self._rng, self._versions = rng, versions
        self._places: dict[Name, tuple[Place, ...]] = {}
        self._tasks: dict[Name, asyncio.Task[None]] = {}
        self._complained: set[Name] = set()
        self._dns = dns.asyncresolver.Resolver(configure=False)
        if nameservers:
            self._dns.nameservers = [host for host, _ in nameservers]
            self._dns.nameserver_ports = dict(nameservers)
        else:
            with contextlib.suppress(
                dns.exception.DNSException, OSError
            ):  # none configured: only files are left
                self._dns = dns.asyncresolver.Resolver()

    def addresses(self, name: Name) -> tuple[Address, ...]:
        """Where it is now, the first to try first. Empty: it has never been found."""
        return in_order(self._places.get(name, ()), self._rng)

    def at(self, address: Address) -> Name | None:
        """The name that was found there."""
        found = (
            name
            for name, places in self._places.items()
            if any(address in place.addresses for place in places)
        )
        return next(found, None)

    async def follow(self, names: Mapping[Name, str] | Iterable[Name]) -> None:
        """Keep these fresh and forget others. Returns when each has been looked up once."""
        wanted = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, "")
        for name in [known for known in self._tasks if known not in wanted]:
            self._tasks.pop(name).cancel()
            self._places.pop(name, None)
        new = [name for name in wanted if name not in self._tasks]
        waits = await asyncio.gather(*(self._renew(name, wanted[name]) for name in new))
        for name, wait in zip(new, waits, strict=True):
            self._tasks[name] = asyncio.get_running_loop().create_task(self._keep(name, wanted[name], wait))

    async def stop(self) -> None:
        """Look nothing up any more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: Name, peer: str, wait: float) -> None:
        while True:
            await asyncio.sleep(wait)
            wait = await self._renew(name, peer)

    async def _renew(self, name: Name, peer: str) -> float:
        """Look it up. Returns the seconds until the next time."""
        try:
            places, ttl = await self._look_up(name)
        except NotFound as why:
            if name not in self._complained:
                self._complained.add(name)
                known = "what it was goes on being used" if name in self._places else "calls to it get 503"
                log.warning("the next_hop of peer %s cannot be looked up (%s): %s", peer, why, known)
            return AFTER_FAILURE
        if name in self._complained:
            self._complained.discard(name)
            log.info("the next_hop of peer %s is found again", peer)
        self._places[name] = places
        return min(max(ttl, SHORTEST), LONGEST)

    # ------------------------------------------------------------------ one look-up

    async def _look_up(self, name: Name) -> tuple[tuple[Place, ...], float]:
        """The places, and for how many seconds they are good. Raises NotFound."""
        if name.port is not None:
            return await self._plain(name, name.port)
        service = "_sips._tcp" if name.transport == "tls" else f"_sip._{name.transport}"
        records, ttl = await self._ask(f"{service}.{name.host}", "SRV")
        if not records:
            return await self._plain(name, DEFAULT_PORTS[name.transport])
        places = []
        why = "the service is said not to be there"  # RFC 2782: a single record with the target "."
        for record in records:
            if not isinstance(record, SRV) or record.target == dns.name.root:
                continue
            try:
                found, good = await self._hosts(record.target.to_text(omit_final_dot=True))
            except NotFound as not_found:
                why = str(not_found)
                continue
            at = tuple(Address(host, record.port, name.transport) for host in found)
            places.append(Place(at, record.priority, record.weight))
            ttl = min(ttl, good)
        if not places:
            raise NotFound(why)
        return tuple(places), ttl

    async def _plain(self, name: Name, port: int) -> tuple[tuple[Place, ...], float]:
        hosts, ttl = await self._hosts(name.host)
        return (Place(tuple(Address(host, port, name.transport) for host in hosts)),), ttl

    async def _hosts(self, host: str) -> tuple[list[str], float]:
        """A and AAAA, as far as we have sockets for them; else what the system's files say. Raises NotFound."""
        hosts: list[str] = []
        ttl, trouble = LONGEST, ""
        for version in self._versions:
            try:
                records, good = await self._ask(host, FAMILIES[version][0])
            except NotFound as why:
                trouble = str(why)
                continue
            if records:
                hosts += [record.to_text() for record in records]
                ttl = min(ttl, good)
        if hosts:
            return hosts, ttl
        return await self._system(host, trouble or "it has no address"), SYSTEM_TTL

    async def _system(self, host: str, trouble: str) -> list[str]:
        found: dict[str, None] = {}
        loop = asyncio.get_running_loop()
        for version in self._versions:
            with contextlib.suppress(OSError):
                infos = await loop.getaddrinfo(
                    host, None, family=FAMILIES[version][1], type=socket.SOCK_DGRAM
                )
                found.update({str(info[4][0]): None for info in infos})
        if not found:
            raise NotFound(trouble)
        return list(found)

    async def _ask(self, name: str, kind: str) -> tuple[list[Any], float]:
        """The records, and for how long they are good; none if there are none. Raises NotFound."""
        if not self._dns.nameservers:
            return [], SYSTEM_TTL
        try:
            answer = await self._dns.resolve(
                dns.name.from_text(name), kind, lifetime=PATIENCE, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            return [], SYSTEM_TTL
        except (dns.exception.DNSException, OSError) as error:
            raise NotFound(type(error).__name__) from None
        if answer.rrset is None:
            return [], SYSTEM_TTL
        return list(answer.rrset), float(answer.rrset.ttl)
