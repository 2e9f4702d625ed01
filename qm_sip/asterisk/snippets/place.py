"""Which of our peers Asterisk is, and where it finds us."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from qm_sip.errors import ConfigError

if TYPE_CHECKING:
    from qm_sip.config import Config


@dataclass(frozen=True)
class Place:
    """We, as Asterisk sees us."""

    peer: str
    host: str
    port: int
    transport: str
    loops: bool  # calls come from it and go to it
    trunk_side: bool  # calls come from elsewhere and go to it

    @property
    def contact(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        over = "" if self.transport == "udp" else f"\\;transport={self.transport}"
        return f"sip:{host}:{self.port}{over}"

    @property
    def match(self) -> str:
        """A connection comes from any port."""
        return f"{self.host}:{self.port}" if self.transport == "udp" and ":" not in self.host else self.host


def place_of(config: Config, name: str | None) -> Place:
    """Raises ConfigError where the settings do not say."""
    routes = config.server.routes
    trusted = {peer for peer, its in config.server.peers.items() if its.trusted and its.next_hop}
    candidates = sorted({route.to for route in routes if route.to in trusted})
    if name is not None:
        candidates = [one for one in candidates if one == name]
    if len(candidates) != 1:
        raise ConfigError(
            f"which peer is Asterisk? ({', '.join(candidates) or 'no trusted one that a route leads to'})",
            file=config.directory / "qm_sip.toml",
            key="peers",
            remedy="--peer NAME",
        )
    (peer,) = candidates
    host, port, transport = _here(config, peer)
    loops = any(route.from_ == route.to == peer for route in routes)
    return Place(
        peer,
        host,
        port,
        transport,
        loops=loops,
        trunk_side=any(route.to == peer != route.from_ for route in routes),
    )


def _here(config: Config, peer: str) -> tuple[str, int, str]:
    sip, transport = config.server.sip, config.server.peers[peer].transport
    listen = next(at for at in sip.listen if at.transport == transport)
    host = sip.external_address or listen.host
    if ip_address(host).is_unspecified:
        raise ConfigError(
            f"{host} is no address that Asterisk could call",
            file=config.directory / "qm_sip.toml",
            key="sip.external_address",
            remedy="say which address of ours Asterisk sees",
        )
    return host, listen.port, transport
