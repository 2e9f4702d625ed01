"""TLS of one connection, without a socket: bytes of the network in and out, bytes of SIP out and in.

OpenSSL works on two buffers of memory (`ssl.MemoryBIO`), so that a connection is the same class with and without TLS,
and is counted, timed and refused from its first byte on: a handshake that somebody holds open costs what any other
connection of a stranger costs.

A handshake is over for us when OpenSSL says so and the peer's certificate bears a name that we look for. Under TLS 1.3
the other side may still refuse *our* certificate after that; then the connection ends like any other that breaks.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass

from qm_sip.net.identity import identities

_CHUNK = 65536


class TlsError(Exception):
    """The peer is not who he must be, or does not speak TLS as we do. Says why, and nothing that is secret."""


@dataclass(frozen=True)
class Expected:
    """What one handshake is held to."""

    context: ssl.SSLContext
    names: frozenset[str] = frozenset()
    """One of these must be in the peer's certificate; empty: none is looked for."""
    server_name: str | None = None
    """What we ask for (SNI)."""
    peer: str = ""
    """Whom we meant, for the log."""


class TlsSession:
    """One side of one connection. `outgoing` holds what must be sent after every call."""

    def __init__(self, expected: Expected, *, server: bool) -> None:
        self._names = expected.names
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = expected.context.wrap_bio(
            self._in, self._out, server_side=server, server_hostname=expected.server_name
        )
        self.ready = False
        self.ended = False
        """The peer has said goodbye (close_notify)."""
        self.identities: frozenset[str] = frozenset()
        """The names of the peer's certificate, if it was verified."""

    def begin(self) -> None:
        """Say the first word (the client's side)."""
        self._shake()

    def receive(self, data: bytes) -> bytes:
        """What the peer says in `data`. Raises TlsError, and then nothing but closing the connection helps."""
        self._in.write(data)
        if not self.ready:
            self._shake()
        return self._read() if self.ready else b""

    def say(self, data: bytes) -> None:
        """To the peer, once `ready`."""
        self._tls.write(data)

    def outgoing(self) -> bytes:
        """Bytes for the network."""
        return self._out.read()

    def goodbye(self) -> None:
        """Tell the peer that nothing more comes."""
        with contextlib.suppress(ssl.SSLError):  # it has still to say so itself, or never will
            self._tls.unwrap()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise TlsError(_why(error)) from None
        self.identities = identities(self._tls.getpeercert())
        if self._names and not self._names & self.identities:
            raise TlsError("its certificate does not bear the name that we look for")
        self.ready = True

    def _read(self) -> bytes:
        parts = []
        try:
            while part := self._tls.read(_CHUNK):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise TlsError(_why(error)) from None
        return b"".join(parts)


def _why(error: ssl.SSLError) -> str:
    """OpenSSL's own word, in small letters: `no shared cipher`, `certificate verify failed: unable to get ...`."""
    reason = (error.reason or "broken off").replace("_", " ").lower()
    detail = getattr(error, "verify_message", "")
    return f"{reason}: {detail}" if detail else reason
