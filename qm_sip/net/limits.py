"""How much patience and room connections get. Those that an administrator may set are `[sip.connections]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Numbers of connections; times in seconds."""

    most: int = 600
    """Altogether."""
    of_a_peer: int = 256
    """From one address of a peer."""
    of_a_stranger: int = 4
    """From one address of nobody that we know."""
    of_strangers: int = 64
    """From all of them."""
    idle: float = 600.0
    """Until one that nobody uses is closed, unless a call goes over it."""
    keep_alive: float = 60.0
    """Of silence, until a connection that we made and that a call needs is pinged. 0: never."""
    pong: float = 10.0
    """Until a ping must have been answered (RFC 5626 4.4.1), by a peer that has answered one before."""
    connect: float = 4.0
    """Until a connection that we make must stand."""
    handshake: float = 5.0
    """Until its TLS must, whoever made it."""
    handshakes_of_strangers: int = 20
    """A second. Each costs us a signature; who is there too often waits at the door."""
    slow: float = 5.0
    """Until a message that has begun must be whole, however slowly its bytes drip in."""
    stranger_idle: float = 10.0
    """As `idle`, for a stranger."""
    unsent: int = 256 * 1024
    """Bytes that are kept for a peer that does not read; more, and the connection is cut."""


USUAL = Limits()
VANISHED = 10.0
"""Until a peer that takes no bytes any more is given up (TCP_USER_TIMEOUT)."""
CLOSING = 1.0
"""That the last words get when the endpoint stops."""
