"""What TLS rests on: our certificates, whom we believe, and what name a peer's certificate must bear.

Made from the settings at the start and at every reload, all at once or not at all. A connection keeps what it began
with.

Where a request over TLS goes to an address that is no peer's next_hop (the Contact of a dialog), it is held to the
names of the peer that has that host; where no peer has it, its certificate must bear the address itself. Where a
next_hop is a name, its certificate must bear that name, whatever servers DNS says it has (RFC 5922 4).
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from qm_sip.config import Config, Peer
from qm_sip.config.server import Server, Tls
from qm_sip.errors import ConfigError
from qm_sip.net.identity import canonical
from qm_sip.net.tls import Expected
from qm_sip.sip.events import Address

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CERTIFICATES = {"no": ssl.CERT_NONE, "asked": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def _nobody(at: Address) -> str | None:
    return None


@dataclass(frozen=True)
class Trust:
    """See the module's docstring."""

    server: Expected
    peers: Mapping[str, Expected]
    hops: Mapping[tuple[str, int], str]
    named: Callable[[Address], str | None]
    owner: Callable[[str], str | None]
    anybody: ssl.SSLContext

    @classmethod
    def of(cls, config: Config, named: Callable[[Address], str | None] = _nobody) -> Trust | None:
        """None where nothing listens on TLS. `named` says which peer's next_hop was found at an address. Raises
        ConfigError: which file, and what is wrong with it.
        """
        if not _listens(config.server):
            return None
        return cls.made(config.server, lambda host: config.peer_of(host, None), named)

    @classmethod
    def made(
        cls,
        server: Server,
        owner: Callable[[str], str | None],
        named: Callable[[Address], str | None] = _nobody,
    ) -> Trust:
        """The same of one file; `owner` says which peer has an address."""
        called = {
            name: peer for name, peer in server.peers.items() if peer.transport == "tls" and peer.next_hop
        }
        tls = server.sip.tls
        return cls(
            server=Expected(_server(tls)),
            peers={name: _of_peer(name, peer, tls) for name, peer in called.items()},
            hops={
                (hop.host, hop.port): name
                for name, peer in called.items()
                if (hop := peer.next_hop) and hop.port
            },
            named=named,
            owner=owner,
            anybody=_client(tls),
        )

    def expected(self, remote: Address) -> Expected:
        """What whoever is at that address is held to."""
        name = self._meant(remote)
        if name is not None:
            return self.peers[name]
        return Expected(self.anybody, frozenset({canonical(remote.host)}))

    def _meant(self, remote: Address) -> str | None:
        name = self.hops.get((remote.host, remote.port)) or self.named(remote) or self.owner(remote.host)
        return name if name in self.peers else None


def _listens(server: Server) -> bool:
    return any(at.transport == "tls" for at in server.sip.listen)


def _server(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context, tls)
    context.options |= (
        ssl.OP_NO_TICKET
    )  # a session is short work here, and a reload ends what an old CA vouched for
    context.num_tickets = 0
    _load_own(context, tls.certificate, tls.private_key)
    if tls.client_certificate != "no" and tls.ca_file is not None:
        _load_authorities(context, tls.ca_file)
    context.verify_mode = _CERTIFICATES[tls.client_certificate]
    return context


def _client(tls: Tls, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # RFC 5922 names are not those of RFC 2818: `tls` looks at them
    _common(context, tls)
    _load_own(context, certificate or tls.certificate, key or tls.private_key)
    if tls.ca_file is not None:
        _load_authorities(context, tls.ca_file)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _of_peer(name: str, peer: Peer, tls: Tls) -> Expected:
    assert peer.next_hop is not None
    context = _client(tls, peer.tls_certificate, peer.tls_private_key)
    wanted = canonical(peer.tls_name or peer.next_hop.host)
    shown = None if _is_address(wanted) else wanted
    if not peer.tls_verify:
        context.verify_mode = ssl.CERT_NONE
        return Expected(context, frozenset(), shown, name)
    return Expected(context, frozenset({wanted}), shown, name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _common(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_own(context: ssl.SSLContext, certificate: Path | None, key: Path | None) -> None:
    assert certificate is not None and key is not None, "the settings were not checked"
    for path in (certificate, key):
        _must_be_readable(path)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        what = "is not a private key of the certificate, or is locked by a password"
        if _ends(certificate) is None:
            raise ConfigError("is not a certificate in PEM", file=certificate, remedy=_PEM) from None
        reason = (error.reason or "").replace("_", " ").lower()
        raise ConfigError(f"{what}{': ' + reason if reason else ''}", file=key, remedy=_PEM) from None


def _no_password() -> str:
    """OpenSSL would ask at the terminal otherwise, and the server wait for it."""
    return ""


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _must_be_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError("holds no certificate in PEM", file=path, remedy=_PEM) from None


def _must_be_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        remedy = "let the user of `serve` read it"
        raise ConfigError(f"cannot be read: {error.strerror}", file=path, remedy=remedy) from None


_PEM = "PEM files, the certificate first and what signed it after it"


# --------------------------------------------------------------------------- how long they last


@dataclass(frozen=True)
class Expiry:
    """Until when a certificate of ours is good."""

    file: Path
    ends: datetime

    def days_left(self, now: datetime) -> int:
        """Whole days; negative: it is over."""
        return (self.ends - now).days

    def warning(self, now: datetime) -> str | None:
        """What to say of it, once it is less than a month."""
        if self.ends <= now:
            return f"expired on {self.ends:%Y-%m-%d}: peers will refuse it"
        left = self.days_left(now)
        return f"expires on {self.ends:%Y-%m-%d}, in {left} days" if left < SOON else None


SOON = 30
"""Days before its end from which a certificate is spoken of."""


def expiries(config: Config) -> Iterator[Expiry]:
    """Every certificate of ours that is in use and can be read."""
    if not _listens(config.server):
        return
    paths = [config.server.sip.tls.certificate]
    paths += [peer.tls_certificate for peer in config.server.peers.values() if peer.transport == "tls"]
    for path in dict.fromkeys(path for path in paths if path is not None):
        if (ends := _ends(path)) is not None:
            yield Expiry(path, ends)


def _ends(path: Path) -> datetime | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
