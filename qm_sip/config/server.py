"""`qm_sip.toml`: where this program listens, stores, and whom it talks to. Nothing about lines or people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from qm_sip.config.base import (
    DurationSetting,
    Filled,
    HostSetting,
    ListenSetting,
    Model,
    Names,
    OptionalHost,
    OptionalPath,
    OptionalSocketAddress,
    PathSetting,
    PeerAddressSetting,
    Table,
    unique,
)
from qm_sip.config.duration import Duration
from qm_sip.config.network import Listen
from qm_sip.policy.facts import Direction

Transport = Literal["udp", "tcp"]
Right = Literal["carry", "toggle", "listen"]
Algorithm = Literal["SHA-512-256", "SHA-256", "MD5"]
Limit = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1024, le=65535)]


def _even_range(ports: tuple[int, int]) -> tuple[int, int]:
    if ports[0] + 1 > ports[1]:
        raise ValueError("must be the lowest and the highest port, at least two apart")
    return ports


def _header(name: str) -> str:
    if not name.isascii() or not name.replace("-", "").isalnum():
        raise ValueError(f"{name!r} is not a SIP header name")
    return name


class Sip(Model):
    """Signalling."""

    listen: Annotated[tuple[ListenSetting, ...], Field(min_length=1)] = (Listen("udp", "127.0.0.2", 5080),)
    """Where SIP is received and sent from. UDP and TCP may share a port. Unit: transport:address:port, udp or
    tcp.
    """
    external_address: OptionalHost = None
    """The address we put in Via, Contact and SDP if it differs from the one we listen on. Unit: IP
    address.
    """
    carry_headers: tuple[Annotated[str, AfterValidator(_header)], ...] = (
        "X-QM-Line",
        "X-QM-Call",
        "X-QM-Linkedid",
        "X-QM-Language",
        "X-QM-Parent",
    )
    """X- headers of a trusted peer that are read and carried to the other leg. Unit: header names."""
    strangers: Literal["403", "silence"] = "403"
    """What whoever is no peer is answered, whatever he asks: 403 without a word more, or nothing."""
    stranger_rate: Limit = 5
    """Messages that are read of one stranger; of all together twenty times as many. The rest is not looked at.
    Unit: per second, 0 is no limit.
    """
    ban_after: Limit = 5
    """Wrong passwords from one source (an address, of IPv6 a /64), after which it is not answered any more for a while.
    Unit: wrong passwords, 0 is never.
    """
    ban_for: DurationSetting = Duration.parse("10m")
    """Within what time those must come, and for how long that is. Calls that run go on. Unit: time."""
    nonce_age: DurationSetting = Duration.parse("5m")
    """How long a peer may use a nonce of ours, before it is asked anew (stale). Unit: time."""
    max_calls: Limit = 2000
    """More calls than this at once: a new one gets 503 with Retry-After. Unit: calls, 0 is no limit."""
    max_setups: Limit = 0
    """More new calls than this: the same. Unit: per second, 0 is no limit."""
    max_lag: DurationSetting = Duration.parse("500ms")
    """When our own timers ring later than this, new calls are refused in the same way until they have been punctual
    for a second. Calls to emergency numbers are taken even so. Unit: time, 0s is no limit.
    """
    max_legs: Annotated[int, Field(ge=2)] = 10_000
    """More legs than this, with those that only wait for copies of old messages: the same, for every call.
    Unit: legs.
    """


class Media(Model):
    """The sockets that relay and tap audio."""

    address: HostSetting = "127.0.0.1"
    """The address the RTP sockets bind to. Unit: IP address."""
    ports: Annotated[tuple[Port, Port], AfterValidator(_even_range)] = (20000, 29999)
    """Lowest and highest UDP port for RTP and RTCP; a call uses four. Unit: ports."""


class Storage(Model):
    """Where sealed recordings, journals and the catalog stand."""

    directory: PathSetting = Path("/var/lib/qm_sip")
    """Journals, recordings and catalog. Unit: directory, from this file's directory."""
    key_directory: PathSetting = Path("/run/qm_sip")
    """Keys of running journals; must be memory (tmpfs), so that they die with the power. Unit: directory."""
    host_key: PathSetting = Path("/etc/qm_sip/host.key")
    """Opens the catalog's who-and-when columns; made at the first start. Keep it outside the data directory,
    so that a copy of the data is not a copy of the key. Unit: path.
    """


class Control(Model):
    """The command line's way in."""

    socket: PathSetting = Path("/run/qm_sip/control")
    """Unix socket of `qm-sip` commands to the running server. Unit: path."""


class Prompts(Model):
    """The announcements."""

    directory: PathSetting = Path("prompts")
    """Where the WAV files and their sidecars are. Unit: directory, from this file's directory."""


class Peer(Model):
    """One neighbour that may send us requests. Whoever is in no peer is a stranger (`sip.strangers`)."""

    addresses: Annotated[tuple[PeerAddressSetting, ...], Field(min_length=1)]
    """Where its packets come from; the most specific peer wins. A port counts for UDP only: a TCP connection comes
    from any port. Unit: address, address:port or network.
    """
    may: tuple[Right, ...] = ("carry",)
    """carry: send us calls, else 403. toggle: dial the codes of [private]. listen: dial the code of [monitoring].
    The last two only for a trusted peer: it says whose phone it is.
    """
    trusted: bool = False
    """Whether its X- headers, P-Asserted-Identity and Diversion are believed. True for Asterisk, never a
    carrier.
    """
    next_hop: OptionalSocketAddress = None
    """Where calls to this peer are sent. Unit: address:port. Empty: it only sends calls."""
    transport: Transport = "udp"
    """How calls to its next_hop leave: udp, tcp (needs a tcp: in sip.listen). A request over 1300 bytes goes by TCP
    where we listen on TCP, and by UDP after all if the peer takes no connection (RFC 3261 18.1.1).
    """
    username: str = ""
    """Who we are when the peer asks for a digest. Empty: we do not answer a challenge."""
    password_file: OptionalPath = None
    """File that holds the digest password, alone on its first line. Unit: path, from this file's
    directory.
    """
    auth: Literal["none", "digest"] = "none"
    """What it must show beside its address: none, or a password (digest), on every new request."""
    auth_in_dialog: bool = False
    """Whether it must show it on requests in a call too."""
    realm: Filled = "sip"
    """What it is told to have a password for; part of the digest."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1), AfterValidator(unique)] = (
        "SHA-256",
        "MD5",
    )
    """What it may answer with, the best first (RFC 8760); also SHA-512-256."""
    users: Table[PathSetting] = Field(default_factory=dict)
    """Who it may be: `name = "file"`. A file holds the password alone on its first line, or for each algorithm
    a line `SHA-256 <H(name:realm:password)>`. Unit: paths, from this file's directory.
    """
    max_calls: Limit = 0
    """More calls at once that it has brought: 503 with Retry-After. Unit: calls, 0 is no limit."""
    max_setups: Limit = 0
    """More new calls of it than this: the same. Unit: per second, 0 is no limit."""


class Route(Model):
    """Which peer a call goes to, by the peer it came from. The longest `called` prefix wins."""

    from_: Annotated[str, Field(alias="from")]
    """The peer the call came from. Unit: name of a [peers] table."""
    to: str
    """The peer the call goes to; it needs a next_hop. Unit: name of a [peers] table."""
    direction: Annotated[Direction, Field(strict=False)]
    """inbound: the customer called us. outbound: we called the customer."""
    called: str = ""
    """Only calls whose called number begins so. Unit: digits as received. Empty: all."""


class Keys(Model):
    """Who can open the recordings of one purpose."""

    recipients: Names = ()
    """age public keys (`qm-sip keys generate`); without one a line with this purpose does not record."""


class Unsafe(Model):
    """What is never allowed outside a test."""

    load_test: bool = False
    """For a load generator: makes its own keys at start and refuses any address that is not loopback."""


class Server(Model):
    """`qm_sip.toml` as a whole."""

    sip: Sip = Sip()
    media: Media = Media()
    storage: Storage = Storage()
    control: Control = Control()
    prompts: Prompts = Prompts()
    peers: Table[Peer] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    keys: Table[Keys] = Field(default_factory=dict)
    unsafe: Unsafe = Unsafe()
