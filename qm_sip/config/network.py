"""Addresses as written in the settings: where to listen, who a peer is, where its calls go.

Where we listen and who may send us calls are addresses, no host names: a name would make the start, and who comes in,
depend on a DNS answer. Where calls go may be a name (RFC 3263).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple


class SocketAddress(NamedTuple):
    host: str
    port: int


class NextHop(NamedTuple):
    """Where calls to a peer go: an address with its port, or a name; a name without a port asks for SRV records."""

    host: str
    port: int | None

    @property
    def is_name(self) -> bool:
        """Whether it must be looked up."""
        return not _is_address(self.host)


class Listen(NamedTuple):
    """One place where SIP is received."""

    transport: str
    host: str
    port: int

    @property
    def address(self) -> SocketAddress:
        return SocketAddress(self.host, self.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"


@dataclass(frozen=True)
class PeerAddress:
    """An address or network a peer's packets come from; `port` None = any port.

    Of a connection only its host is looked at: the port it comes from is any that was free.
    """

    network: IPv4Network | IPv6Network
    port: int | None = None

    @property
    def specificity(self) -> tuple[int, bool]:
        """Larger is more specific: a single address beats a network, an address with a port beats one
        without.
        """
        return self.network.prefixlen, self.port is not None

    def holds(self, host: str, port: int | None) -> bool:
        """Say whether packets from host:port come from here; without a port, whether connections from host do."""
        address = _read(host)
        fits = port is None or self.port in (None, port)
        return fits and address.version == self.network.version and address in self.network

    def __str__(self) -> str:
        host = str(self.network.network_address) if self.network.num_addresses == 1 else str(self.network)
        return f"{host}:{self.port}" if self.port is not None else host


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


@lru_cache(maxsize=1024)  # asked of every packet, for every peer
def _read(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host.partition("%")[0])  # a link-local address names its interface


def parse_host(text: str) -> str:
    """Read an IP address and return it in its usual form."""
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def parse_port(text: str) -> int:
    """Read a port, 1 to 65535."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValueError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def parse_socket_address(text: str) -> SocketAddress:
    """Read `127.0.0.1:5060` or `[::1]:5060`."""
    host, separator, port = text.rpartition(":")
    if not separator:
        raise ValueError(f"{text!r} must be an address and a port, such as 127.0.0.1:5060")
    return SocketAddress(parse_host(host), parse_port(port))


def parse_next_hop(text: str) -> NextHop:
    """Read `192.0.2.1:5060`, `[::1]:5060`, `sip.example.com` or `sip.example.com:5070`."""
    host, separator, port = text.rpartition(":")
    if _is_address(text.strip("[]")):
        raise ValueError(f"{text!r} must be an address and a port, such as {text}:5060")
    if separator and _is_address(host.strip("[]")):
        return NextHop(parse_host(host), parse_port(port))
    name, at = (host, parse_port(port)) if separator else (text, None)
    if not _NAME.fullmatch(name) or len(name) > 253 or name.rpartition(".")[2].isdigit():
        raise ValueError(f"{text!r} must be an address and a port, or a host name, such as sip.example.com")
    return NextHop(name.rstrip(".").lower(), at)


def parse_listen(text: str) -> Listen:
    """Read `udp:127.0.0.2:5080`, `tcp:...` or `tls:[::1]:5061`."""
    transport, separator, rest = text.partition(":")
    if transport not in ("udp", "tcp", "tls") or not separator:
        raise ValueError(f"{text!r} must be a transport, an address and a port, such as udp:127.0.0.2:5080")
    return Listen(transport, *parse_socket_address(rest))


def parse_name(text: str) -> str:
    """Read a name as it stands in a certificate (RFC 5922): a domain or an IP address, no pattern."""
    bare = text.removeprefix("sip:").rstrip(".").lower()
    try:
        return parse_host(bare)
    except ValueError:
        pass
    if not _DOMAIN.fullmatch(bare):
        raise ValueError(f"{text!r} is not a domain or an IP address (RFC 5922 knows no wildcard)")
    return bare


_DOMAIN = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def parse_peer_address(text: str) -> PeerAddress:
    """Read an address, an address with a port, or a network (`10.1.0.0/16`)."""
    if "/" in text:
        try:
            return PeerAddress(ip_network(text))
        except ValueError as wrong:
            raise ValueError(f"{text!r} is not a network: {wrong}") from None
    if text.count(":") == 1 or text.startswith("["):
        host, port = parse_socket_address(text)
        return PeerAddress(ip_network(host), port)
    return PeerAddress(ip_network(parse_host(text)))
