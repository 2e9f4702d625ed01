"""What a transport is to the endpoint, and the endpoint to a transport."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from typing import Protocol

from qm_sip.errors import StartError
from qm_sip.sip.events import Address


class Ear(Protocol):
    """Whoever is told what happens on the wire. `flush` follows when a transport has told all it had."""

    def heard(self, data: bytes, source: Address, local: Address) -> None:
        """One whole message."""

    def failed(self, destination: Address, local: Address) -> None:
        """Nobody is there."""

    def lost_connection(self, remote: Address, local: Address) -> None:
        """A connection that stood has ended."""

    def needed(self, remote: Address, local: Address) -> bool:
        """Whether a call would miss this connection."""

    def known(self, host: str, identities: Collection[str] | None) -> bool:
        """Whether a peer has this address; over TLS, once there is a certificate, whether one bears these names."""

    def mistrusted(self, source: Address) -> None:
        """Whoever connected from there did not come through his TLS handshake."""

    def flush(self) -> None:
        """Carry on what has been told."""


class Link(Protocol):
    """All sockets of one transport, or of two that work alike."""

    async def open(self, address: Address) -> Address:
        """Listen there. Port 0 takes a free one; what comes back says which. Raises StartError."""

    def send(self, data: bytes, destination: Address, local: Address) -> None:
        """Send one message, from the socket that listens at `local`."""

    async def close(self) -> None:
        """Send what is left and close."""


def family_of(host: str) -> socket.AddressFamily:
    """IPv4 or IPv6. Raises ValueError for a name."""
    return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET


def bind(address: Address, kind: socket.SocketKind) -> socket.socket:
    """A socket bound there, which does not block. Raises StartError."""
    try:
        family = family_of(address.host)
    except ValueError:
        raise StartError(f"{address.host!r} is not an IP address to listen on") from None
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    if family is socket.AF_INET6:  # IPv4 has sockets of its own, and addresses that look like it
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind is socket.SOCK_STREAM:  # connections of the last run may still be fading
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
        if kind is socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(
            f"cannot listen on {address.transport} {address.host}:{address.port}: {error.strerror}",
            remedy="another program may hold the port, or the address may not be this machine's",
        ) from error
    return sock


_BACKLOG = 256
