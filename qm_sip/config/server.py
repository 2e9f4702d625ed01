"""`qm_sip.toml`: where this program listens, stores, and whom it talks to. Nothing about lines or people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from qm_sip.config.base import (
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
)
from qm_sip.config.network import Listen
from qm_sip.policy.facts import Direction

Transport = Literal["udp", "tcp"]
Right = Literal["carry", "toggle", "listen"]
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
    """One neighbour that may send us requests. Whoever is in no peer gets 403."""

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
