"""Where calls to each peer go: an address from the settings, or a name that the resolver keeps looking up."""

from __future__ import annotations

import random

from qm_sip.call.arrival import where_it_says
from qm_sip.config import Config, Peer
from qm_sip.net.resolver import Name, Resolver
from qm_sip.sip.events import Address


class Whereabouts:
    """The `locate` of a switchboard. `use` first, and again when the settings have changed."""

    def __init__(self, config: Config, rng: random.Random) -> None:
        sip = config.server.sip
        versions = sorted({6 if ":" in at.host else 4 for at in sip.listen})
        self._resolver = Resolver(rng, [(at.host, at.port) for at in sip.nameservers], versions)
        self._names: dict[Name, str] = {}
        self.stop = self._resolver.stop

    async def use(self, config: Config) -> None:
        """Look up every name in the settings; returns when each has been found, or has not."""
        peers = config.server.peers.items()
        self._names = {name: who for who, peer in peers if (name := name_of(peer))}
        await self._resolver.follow(self._names)

    def locate(self, peer: Peer) -> tuple[Address, ...]:
        name = name_of(peer)
        return where_it_says(peer) if name is None else self._resolver.addresses(name)

    def owner(self, address: Address) -> str | None:
        """The peer whose next_hop was found there."""
        name = self._resolver.at(address)
        return None if name is None else self._names.get(name)


def name_of(peer: Peer) -> Name | None:
    """The name that must be looked up before this peer can be called."""
    hop = peer.next_hop
    return Name(hop.host, hop.port, peer.transport) if hop is not None and hop.is_name else None
