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
    NameSetting,
    OptionalHost,
    OptionalName,
    OptionalNextHop,
    OptionalPath,
    OptionalSocketAddress,
    PathSetting,
    PeerAddressSetting,
    SocketSetting,
    Table,
    unique,
)
from qm_sip.config.duration import Duration
from qm_sip.config.headers import CarriedName, HeaderName, MediaType
from qm_sip.config.network import Listen
from qm_sip.policy.facts import Direction

Transport = Literal["udp", "tcp", "tls"]
Referring = Literal["refuse", "pass", "here"]
Prack = Literal["no", "yes", "required"]
SrtpPolicy = Literal["off", "opportunistic", "offer", "require"]
Suite = Literal[
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
]
Right = Literal["carry", "toggle", "listen", "watch"]
Algorithm = Literal["SHA-512-256", "SHA-256", "MD5"]
Limit = Annotated[int, Field(ge=0)]
NameOfUser = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,79}$")]
Count = Annotated[int, Field(ge=1, le=20_000)]
Port = Annotated[int, Field(ge=1024, le=65535)]


def _even_range(ports: tuple[int, int]) -> tuple[int, int]:
    if ports[0] + 1 > ports[1]:
        raise ValueError("must be the lowest and the highest port, at least two apart")
    return ports


class Tls(Model):
    """Our side of TLS, whoever connects. A reload reads the files again, for the connections made from then on."""

    certificate: OptionalPath = None
    """Our certificate, and after it those that signed it, in PEM. Unit: path."""
    private_key: OptionalPath = None
    """Its private key, in PEM, without a password. Unit: path."""
    ca_file: OptionalPath = None
    """Whose signature under a peer's certificate we believe, in PEM. Empty: of a peer that we call, the system's; of
    one that calls us, nobody's. Unit: path.
    """
    client_certificate: Literal["no", "asked", "required"] = "no"
    """Whether whoever connects to us is asked for a certificate. asked: he may have none, and is known by his address;
    required: without one there is no connection.
    """
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS that is spoken."""


class Connections(Model):
    """How many connections (TCP and TLS together) there may be, and how long."""

    most: Count = 600
    """Altogether; each is an open file. Unit: connections."""
    of_a_peer: Count = 256
    """From one address of a peer. Unit: connections."""
    of_a_stranger: Count = 4
    """From one address that is no peer's. Unit: connections."""
    of_strangers: Count = 64
    """From all of them, handshakes that somebody holds open among them. Unit: connections."""
    idle: DurationSetting = Duration.parse("10m")
    """One that nobody uses is closed after so long, unless a call goes over it. Unit: length of time."""
    keep_alive: DurationSetting = Duration.parse("60s")
    """After so long a silence a connection that we made and a call needs is pinged (RFC 5626 4.4.1). 0s: never. Unit:
    length of time.
    """


def _interval(seconds: int) -> int:
    if 0 < seconds < 90:
        raise ValueError("must be 0 or at least 90 (RFC 4028)")
    return seconds


class Sip(Model):
    """Signalling."""

    listen: Annotated[tuple[ListenSetting, ...], Field(min_length=1)] = (Listen("udp", "127.0.0.2", 5080),)
    """Where SIP is received and sent from; IPv4 and IPv6 as you like. UDP and TCP may share a port. Unit:
    transport:address:port, such as udp:127.0.0.2:5080, tcp:... or tls:[::1]:5061.
    """
    external_address: OptionalHost = None
    """The address we put in Via and Contact if it differs from the one we listen on; for sockets of its family.
    Unit: IP address.
    """
    tls: Tls = Tls()
    """Certificates."""
    connections: Connections = Connections()
    """Limits of TCP and TLS."""
    session_expires: Annotated[int, Field(ge=0, le=86_400), AfterValidator(_interval)] = 1800
    """How long a call lasts without a sign of life of its other end, as we ask for it (RFC 4028); twice as often one is
    exchanged. 0: we ask for none, but keep what the other asks for. Unit: seconds.
    """
    min_se: Annotated[int, Field(ge=90, le=86_400)] = 90
    """The shortest such time we agree to; who asks for a shorter one gets 422. Unit: seconds."""
    carry_headers: tuple[CarriedName, ...] = (
        "X-QM-Line",
        "X-QM-Call",
        "X-QM-Linkedid",
        "X-QM-Language",
        "X-QM-Parent",
    )
    """X- headers of a trusted peer that are read, and carried to the other leg if its peer is trusted too. What else
    crosses: docs/headers.md. Unit: header names.
    """
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
    """Within what time those must come, and for how long that is, at most 30 days. Calls that run go on. Unit: time.
    """
    nonce_age: DurationSetting = Duration.parse("5m")
    """How long a peer may use a nonce of ours, before it is asked anew (stale), at most a day. Unit: time."""
    nameservers: tuple[SocketSetting, ...] = ()
    """Who is asked for the names in `next_hop`. Unit: address:port. Empty: the system's own."""
    next_hop_wait: DurationSetting = Duration.parse("4s")
    """How long a next hop with several addresses may say nothing at all before the next address is tried. One that was
    silent, or said 503, is tried last for a minute (or its Retry-After). Unit: time, from 100ms to 32s.
    """
    max_calls: Limit = 2000
    """More calls than this at once: a new one gets 503 with Retry-After. Unit: calls, 0 is no limit."""
    max_setups: Limit = 0
    """More new calls than this: the same. Unit: per second, 0 is no limit."""
    max_lag: DurationSetting = Duration.parse("500ms")
    """When our own timers ring later than this, new calls are refused in the same way until they have been punctual
    for a second. Calls to emergency numbers are taken even so. Unit: time, 0s is no limit, else
    at most a minute.
    """
    max_legs: Annotated[int, Field(ge=2)] = 10_000
    """More legs than this, with those that only wait for copies of old messages: the same, for every call.
    Unit: legs.
    """
    record_indication: Literal["never", "with-offers", "at-once"] = "with-offers"
    """How a phone that is record-aware (RFC 7866) learns whether it is recorded: in what is described to it anyway, or
    by a re-INVITE as soon as that changes. Of a confidential call it never does.
    """
    messages: Literal["in-calls", "refused"] = "in-calls"
    """MESSAGE: in-calls passes one between two who talk, if both peers are trusted. Outside a call it is refused.
    """


class Media(Model):
    """The sockets that relay and tap audio."""

    address: HostSetting = "127.0.0.1"
    """The address the RTP sockets bind to. Unit: IP address."""
    second_address: OptionalHost = None
    """The same of the other family (IPv4, IPv6), for a leg whose peer speaks that. Unit: IP address."""
    ports: Annotated[tuple[Port, Port], AfterValidator(_even_range)] = (20000, 29999)
    """Lowest and highest UDP port for RTP and RTCP; a call uses four. Unit: ports."""

    def towards(self, host: str) -> str:
        """Our address for a leg whose peer is there: of his family, if we have one."""
        second = self.second_address
        return second if second and (":" in second) == (":" in host) else self.address


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


class Lamps(Model):
    """What phones with BLF keys are shown of calls (docs/lamps.md); for the peers with `watch` in `may`."""

    most: Count = 2000
    """Subscriptions at once; past it 503. Unit: subscriptions."""
    of_a_source: Count = 500
    """From one address (of IPv6 a /64): one phone, or a proxy before many. Unit: subscriptions."""
    of_a_watcher: Count = 16
    """Of one extension. Unit: subscriptions."""
    longest: DurationSetting = Duration.parse("10m")
    """How long one lasts without being renewed; who asks for more gets this. After a crash of this program a phone
    shows what was for so long at most. Unit: time.
    """
    shortest: DurationSetting = Duration.parse("1m")
    """Who asks for less gets 423. Unit: time."""
    gap: DurationSetting = Duration.parse("1s")
    """How long after a NOTIFY the next one follows at the earliest; the first change is told at once. Unit: time."""


class Asterisk(Model):
    """The manager (AMI) of the Asterisk beside us: who is in its bridges, the agents' record key, lamps. A reload
    changes it. Without it calls go as ever, and less is known (docs/beside-your-pbx.md).
    """

    address: OptionalSocketAddress = None
    """Where it listens (`bindaddr` and `port` of manager.conf). Unit: address:port. Empty: it is not asked."""
    user: NameOfUser = "qm-sip"
    """Its section in manager.conf."""
    secret_file: OptionalPath = None
    """File that holds the secret of that section, alone on its first line; or the variable QM_SIP_ASTERISK_SECRET holds
    it. Without TLS it is shown by MD5, and never sent. Unit: path, from this file's directory.
    """
    tls: bool = False
    """Whether it listens on TLS there (`tlsbindaddr`)."""
    ca_file: OptionalPath = None
    """Whose signature under its certificate we believe, in PEM. Empty: the system's. Unit: path."""
    tls_name: OptionalName = ""
    """What must be in its certificate. Empty: the address. Unit: domain or IP address."""
    away: Literal["not-recorded", "recorded"] = "not-recorded"
    """What becomes of calls while it cannot be heard. not-recorded: nothing is kept or heard meanwhile, for who is in a
    call is then not known. recorded: as without it, by what SIP tells. Calls go on either way.
    """
    lamps: Annotated[tuple[Literal["private", "recording", "heard"], ...], AfterValidator(unique)] = ()
    """Which lamps (docs/lamps.md) are its device states too: `Custom:priv-1001`, `rec-`, `lis-`, of each agent's
    extensions. Who sees them is up to its hints then, and to whoever administers it: `private` is the agent's alone.
    """


class Trace(Model):
    """What is kept of signalling, for `qm-sip trace`: in memory alone, gone with the process. A reload changes it."""

    on: bool = True
    """Whether anything is kept. Never of confidential and emergency calls."""
    keep_for: DurationSetting = Duration.parse("4h")
    """How long after a call's last message. Unit: time, at most a day."""
    keep_mib: Annotated[int, Field(ge=1, le=1024)] = 16
    """How much of all calls together; the oldest goes first. Unit: MiB."""


class Hep(Model):
    """A HEP collector (HOMER) that ended calls are exported to. Never confidential, emergency or private ones."""

    collector: OptionalSocketAddress = None
    """Where it listens. Unit: address:port. Empty: nothing is exported."""
    transport: Literal["udp", "tcp"] = "udp"
    """udp or tcp."""
    agent_id: Annotated[int, Field(ge=0, le=2**32 - 1)] = 2001
    """Which capture agent we are to the collector. Unit: number."""
    key_file: OptionalPath = None
    """File that holds the key which the collector asks for, alone on its first line. Unit: path, from this file's
    directory. Empty: no key is sent.
    """
    unredacted: bool = False
    """Whether the collector sees who phones whom. True needs a reason, and `check` says so."""
    reason: str = ""
    """Why the collector must see who phones whom."""


class Prompts(Model):
    """The announcements."""

    directory: PathSetting = Path("prompts")
    """Where the WAV files and their sidecars are. Unit: directory, from this file's directory."""


class Peer(Model):
    """One neighbour that may send us requests. Whoever is in no peer is a stranger (`sip.strangers`)."""

    addresses: tuple[PeerAddressSetting, ...] = ()
    """Where its packets come from; the most specific peer wins. A port counts for UDP only: a connection comes from any
    port. Empty only with tls_identity. Unit: address, address:port or network.
    """
    tls_identity: Annotated[tuple[NameSetting, ...], AfterValidator(unique)] = ()
    """The names of which one must be in its certificate when it connects over TLS; then its addresses count for UDP and
    TCP only. Needs sip.tls.client_certificate. Unit: domain or IP address (RFC 5922).
    """
    may: tuple[Right, ...] = ("carry",)
    """carry: send us calls, else 403. toggle: dial the codes of [private]. listen: dial the code of [monitoring].
    These two only for a trusted peer: it says whose phone it is. watch: subscribe to lamps and press their keys
    (docs/lamps.md), for a trusted peer, or for phones that show a password (auth) under the name of their extension.
    """
    trusted: bool = False
    """Whether its X- headers, P-Asserted-Identity and Diversion are believed, and what names people may cross
    to it (docs/headers.md). True for Asterisk, never a carrier.
    """
    refer: Referring = "refuse"
    """What becomes of a REFER in a call with this peer (a phone or a PBX that transfers). refuse: 403. pass: the other
    side of the call gets it, and calls the target by its own ways. here: we call the target, by this peer's routes.
    """
    next_hop: OptionalNextHop = None
    """Where calls to this peer are sent. A name without a port is looked up as a service (SRV), and the addresses
    behind it are tried in turn: the next one if there is no answer (`sip.next_hop_wait`), no connection, or a 503.
    Unit: address:port or host name. Empty: it only sends calls.
    """
    transport: Transport = "udp"
    """How calls to its next_hop leave: udp, tcp, tls (needs the same in sip.listen). A request over 1300 bytes goes by
    TCP where we listen on TCP, and by UDP after all if the peer takes no connection (RFC 3261 18.1.1).
    """
    tls_name: OptionalName = ""
    """What must be in its certificate when we connect to it (and what we ask for, SNI). Empty: the address of next_hop.
    Unit: domain or IP address (RFC 5922).
    """
    tls_verify: bool = True
    """false: whoever answers at next_hop is believed, whatever his certificate. Needs tls_unverified_because."""
    tls_unverified_because: str = ""
    """Why its certificate is not looked at; `qm-sip check` shows it."""
    tls_certificate: OptionalPath = None
    """The certificate that we show to this peer, in PEM. Empty: that of [sip.tls]. Unit: path."""
    tls_private_key: OptionalPath = None
    """Its private key. Unit: path."""
    carry: tuple[CarriedName, ...] = ()
    """Headers of a new call that cross between this peer and others beside those of docs/headers.md. Of two peers that
    are not trusted, each has to name it. Unit: header names.
    """
    strip: tuple[HeaderName, ...] = ()
    """Headers that never cross to or from this peer, whatever docs/headers.md says. Unit: header names."""
    bodies: tuple[MediaType, ...] = ()
    """Kinds of body beside the session description that cross between this peer and another, if both are trusted:
    `application/isup`, a kind of INFO ... Unit: media types.
    """
    send_identity: bool = False
    """Whether a peer that is not trusted is told P-Asserted-Identity, at our own address, unless the caller asked for
    privacy. A trusted peer always is.
    """
    remote_party_id: bool = False
    """Whether Remote-Party-ID is read from this trusted peer if it sends no P-Asserted-Identity (Asterisk: send_rpid).
    """
    srtp: SrtpPolicy = "off"
    """Whether audio that passes here is encrypted on this peer's leg, with keys in SDP (SDES, RFC 4568). off: never.
    opportunistic: keys are offered beside plain RTP (RFC 8643), and taken where they are offered. offer: we offer SRTP
    alone, and take plain RTP. require: no plain audio passes to or from it (488).
    """
    srtp_suites: Annotated[tuple[Suite, ...], Field(min_length=1), AfterValidator(unique)] = (
        "AES_CM_128_HMAC_SHA1_80",
        "AEAD_AES_256_GCM",
        "AEAD_AES_128_GCM",
        "AES_CM_128_HMAC_SHA1_32",
    )
    """What we offer, the best first, and what we take; also AES_256_CM_HMAC_SHA1_80 and _32. Unit: crypto suites."""
    srtp_without_tls_because: str = ""
    """Why keys may travel readable, by UDP or TCP. Empty: they go over TLS alone; `qm-sip check` shows it."""
    prack: Prack = "yes"
    """Whether ringing and early media are acknowledged (RFC 3262, 100rel), where both ends know it: yes, no, required
    (calls to it fail unless it knows it).
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
    lamps: Lamps = Lamps()
    asterisk: Asterisk = Asterisk()
    trace: Trace = Trace()
    hep: Hep = Hep()
    prompts: Prompts = Prompts()
    peers: Table[Peer] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    keys: Table[Keys] = Field(default_factory=dict)
    unsafe: Unsafe = Unsafe()
