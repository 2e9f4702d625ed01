"""What the files must say together: names that exist, rules that do not contradict each other.

Each check is one small function; all run, so that `qm-sip check` shows everything at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from qm_sip.config.clashes import clashes
from qm_sip.config.duration import Duration
from qm_sip.config.lines import Customer, Line
from qm_sip.config.people import Capacity, Monitor
from qm_sip.config.recipient import is_recipient
from qm_sip.config.server import Peer
from qm_sip.policy.facts import LineKind, RecordingClass
from qm_sip.policy.purposes import EVIDENCE, GROUNDS, KNOWN, MODES, NEVER_CAPTURED, QUALITY

if TYPE_CHECKING:
    from qm_sip.config.whole import Config

Loc = tuple[str | int, ...]
SERVER, LINES, PEOPLE, REGULATION = "qm_sip.toml", "lines.toml", "people.toml", "regulation.toml"


class Complain(Protocol):
    def __call__(self, file: str, problem: str, loc: Loc, remedy: str = "") -> None: ...


def check(config: Config, complain: Complain) -> None:
    """Run every check over the settings as a whole."""
    for one in CHECKS:
        one(config, complain)


# --------------------------------------------------------------------------- qm_sip.toml


def routes_lead_somewhere(config: Config, complain: Complain) -> None:
    for position, route in enumerate(config.server.routes):
        for key, name in (("from", route.from_), ("to", route.to)):
            if name not in config.server.peers:
                complain(
                    SERVER, f"there is no peer {name!r}", ("routes", position, key), "add [peers] for it"
                )
        target = config.server.peers.get(route.to)
        if target and target.next_hop is None:
            complain(SERVER, f"the peer {route.to!r} has no next_hop", ("routes", position, "to"))
        source = config.server.peers.get(route.from_)
        if source and "carry" not in source.may:
            complain(SERVER, f"the peer {route.from_!r} may not carry calls", ("routes", position, "from"))


def routes_do_not_clash(config: Config, complain: Complain) -> None:
    seen: dict[tuple[str, str], int] = {}
    for position, route in enumerate(config.server.routes):
        first = seen.setdefault((route.from_, route.called), position)
        if first != position:
            complain(SERVER, f"takes the same calls as routes[{first}]", ("routes", position))


def peers_are_distinct(config: Config, complain: Complain) -> None:
    seen: dict[str, str] = {}
    for name, peer in config.server.peers.items():
        for address in peer.addresses:
            owner = seen.setdefault(str(address), name)
            if owner != name:
                complain(
                    SERVER, f"{address} is also an address of peers.{owner}", ("peers", name, "addresses")
                )
        if bool(peer.username) != (peer.password_file is not None):
            complain(SERVER, "username and password_file go together", ("peers", name))


def tracing_is_sound(config: Config, complain: Complain) -> None:
    trace, hep = config.server.trace, config.server.hep
    _check_length(complain, SERVER, trace.keep_for, ("trace", "keep_for"), 60, 86_400)
    if hep.unredacted and not hep.reason.strip():
        problem = "who phones whom leaves this machine: say why"
        complain(SERVER, problem, ("hep", "unredacted"), "hep.reason")
    if hep.collector is not None and not trace.on:
        complain(SERVER, "nothing is exported without [trace] on", ("hep", "collector"), "trace.on = true")


def asterisk_is_whole(config: Config, complain: Complain) -> None:
    """Its file may be named by the environment, and is read at the start."""
    asterisk = config.server.asterisk
    given = sorted(asterisk.model_fields_set - {"address"})
    if asterisk.address is None and given:
        complain(SERVER, "says nothing without an address", ("asterisk", given[0]), "asterisk.address")
    for key in ("ca_file", "tls_name"):
        if getattr(asterisk, key) and not asterisk.tls:
            complain(SERVER, "says nothing without TLS", ("asterisk", key), "asterisk.tls = true")


def only_trusted_peers_dial_codes(config: Config, complain: Complain) -> None:
    """Whose phone it is, is what the peer says."""
    for name, peer in config.server.peers.items():
        if not peer.trusted and {"toggle", "listen"} & set(peer.may):
            problem = "a peer that is not trusted cannot say whose phone it is: carry is all it may"
            complain(SERVER, problem, ("peers", name, "may"))
        if "watch" in peer.may and not peer.trusted and peer.auth != "digest":
            problem = "nobody could say whose phone wants to watch"
            complain(SERVER, problem, ("peers", name, "may"), 'auth = "digest", a user for each extension')


def lamps_last_a_while(config: Config, complain: Complain) -> None:
    lamps = config.server.lamps
    _check_length(complain, SERVER, lamps.shortest, ("lamps", "shortest"), 1, 3600)
    _check_length(complain, SERVER, lamps.longest, ("lamps", "longest"), 1, 86_400)
    _check_length(complain, SERVER, lamps.gap, ("lamps", "gap"), 0, 60)
    counted = not any(length.months for length in (lamps.shortest, lamps.longest))
    if counted and lamps.longest.seconds < lamps.shortest.seconds:
        complain(SERVER, "is shorter than lamps.shortest", ("lamps", "longest"))


def passwords_are_asked_for(config: Config, complain: Complain) -> None:
    for name, peer in config.server.peers.items():
        if peer.auth == "digest" and not peer.users:
            complain(SERVER, "asks for a password, and has no users", ("peers", name, "auth"), "add users")
        if peer.auth != "digest" and (peer.users or peer.auth_in_dialog):
            key = "users" if peer.users else "auth_in_dialog"
            complain(SERVER, "means nothing without auth", ("peers", name, key), 'set auth = "digest"')


def strangers_name_no_line(config: Config, complain: Complain) -> None:
    """What we and the dialplan read in an X-QM- header is believed: it comes from trusted peers only."""
    for name, peer in config.server.peers.items():
        for position, carried in enumerate(peer.carry if not peer.trusted else ()):
            if carried.lower().startswith("x-qm-"):
                problem = f"{carried} is believed: a peer that is not trusted cannot send it"
                complain(SERVER, problem, ("peers", name, "carry", position))
        if peer.remote_party_id and not peer.trusted:
            problem = "what a peer that is not trusted says of itself is not read"
            complain(SERVER, problem, ("peers", name, "remote_party_id"))


def transports_are_listened_on(config: Config, complain: Complain) -> None:
    """A peer over TCP needs a TCP socket of ours; and over TCP a port does not tell two peers apart."""
    listen = config.server.sip.listen
    for position, at in enumerate(listen):
        if at in listen[:position]:
            complain(SERVER, f"{at} is listed twice", ("sip", "listen"))
    heard = {at.transport for at in listen}
    for name, peer in config.server.peers.items():
        if peer.next_hop and peer.transport not in heard:
            complain(
                SERVER,
                f"we do not listen on {peer.transport}",
                ("peers", name, "transport"),
                f'add "{peer.transport}:ADDRESS:PORT" to sip.listen',
            )
    if heard - {"udp"}:
        _hosts_are_distinct(config, complain)


def _hosts_are_distinct(config: Config, complain: Complain) -> None:
    owners: dict[object, str] = {}
    for name, peer in config.server.peers.items():
        for address in () if peer.tls_identity and not heard_in_clear(config) else peer.addresses:
            owner = owners.setdefault(address.network, name)
            if owner != name:
                complain(
                    SERVER,
                    f"over a connection {address} cannot be told from an address of peers.{owner}",
                    ("peers", name, "addresses"),
                    "give them addresses of their own, or listen on udp only",
                )


def heard_in_clear(config: Config) -> bool:
    """Whether connections are taken that bear no certificate."""
    return any(at.transport == "tcp" for at in config.server.sip.listen)


def tls_is_whole(config: Config, complain: Complain) -> None:
    """TLS needs certificates, and a name is looked for only in one that was asked for. The files come later."""
    sip = config.server.sip
    loc: Loc = ("sip", "tls")
    if any(at.transport == "tls" for at in sip.listen):
        for key in ("certificate", "private_key"):
            if getattr(sip.tls, key) is None:
                complain(SERVER, "is required to listen on tls", (*loc, key), "a PEM file")
    if sip.tls.client_certificate != "no" and sip.tls.ca_file is None:
        problem = "is required to ask for certificates: whose signature do we believe?"
        complain(SERVER, problem, (*loc, "ca_file"), "a PEM file")
    for name, peer in config.server.peers.items():
        for key, problem in _tls_faults(peer, asked=sip.tls.client_certificate != "no"):
            complain(SERVER, problem, ("peers", name, key))


def _tls_faults(peer: Peer, *, asked: bool) -> Iterator[tuple[str, str]]:
    if not peer.addresses and not peer.tls_identity:
        yield "addresses", "is required: where do its packets come from?"
    if peer.tls_identity and not asked:
        yield "tls_identity", 'is never looked at: sip.tls.client_certificate = "no"'
    if (peer.tls_certificate is None) != (peer.tls_private_key is None):
        yield "tls_certificate", "tls_certificate and tls_private_key go together"
    if not peer.tls_verify and not peer.tls_unverified_because.strip():
        yield "tls_verify", "false needs a reason: tls_unverified_because"
    if peer.tls_verify and peer.tls_unverified_because:
        yield "tls_unverified_because", "says nothing while tls_verify is true"
    if peer.transport != "tls":
        given = peer.model_fields_set & {
            "tls_name",
            "tls_verify",
            "tls_certificate",
            "tls_unverified_because",
        }
        for key in sorted(given):
            yield key, 'says nothing without transport = "tls"'


def keys_go_over_tls(config: Config, complain: Complain) -> None:
    """Keys in SDP are as secret as the way they travel."""
    for name, peer in config.server.peers.items():
        loc: Loc = ("peers", name)
        if peer.srtp == "off":
            for key in sorted(peer.model_fields_set & {"srtp_suites", "srtp_without_tls_because"}):
                complain(SERVER, 'says nothing while srtp is "off"', (*loc, key))
        elif not peer.srtp_without_tls_because.strip() and not _over_tls(config, peer):
            problem = "sends keys readable to whoever is on the way: this peer is not spoken to over TLS"
            remedy = 'transport = "tls", or say why in srtp_without_tls_because'
            complain(SERVER, problem, (*loc, "srtp"), remedy)


def _over_tls(config: Config, peer: Peer) -> bool:
    """Whether calls to it leave over TLS, or, if there are none, whether it can come by TLS."""
    if peer.next_hop is not None:
        return peer.transport == "tls"
    return any(at.transport == "tls" for at in config.server.sip.listen)


def identities_are_distinct(config: Config, complain: Complain) -> None:
    owners: dict[str, str] = {}
    for name, peer in config.server.peers.items():
        for identity in peer.tls_identity:
            owner = owners.setdefault(identity, name)
            if owner != name:
                problem = f"{identity} is also an identity of peers.{owner}"
                complain(SERVER, problem, ("peers", name, "tls_identity"))


def connections_are_sane(config: Config, complain: Complain) -> None:
    connections = config.server.sip.connections
    loc: Loc = ("sip", "connections")
    _check_length(complain, SERVER, connections.idle, (*loc, "idle"), 10, 86400.0)
    if connections.keep_alive.months or connections.keep_alive.seconds:
        _check_length(complain, SERVER, connections.keep_alive, (*loc, "keep_alive"), 5, 3600)


def media_has_two_families(config: Config, complain: Complain) -> None:
    media = config.server.media
    if media.second_address and (":" in media.second_address) == (":" in media.address):
        complain(SERVER, "is of the same family as media.address", ("media", "second_address"))


def load_test_stays_on_loopback(config: Config, complain: Complain) -> None:
    if not config.server.unsafe.load_test:
        return
    for problem, loc in _beyond_loopback(config):
        complain(SERVER, f"{problem} is not loopback, and unsafe.load_test is on", loc)


def _beyond_loopback(config: Config) -> Iterator[tuple[str, Loc]]:
    server = config.server
    for listen in server.sip.listen:
        if not ip_address(listen.host).is_loopback:
            yield listen.host, ("sip", "listen")
    for host, loc in (
        (server.media.address, ("media", "address")),
        (server.media.second_address or "127.0.0.1", ("media", "second_address")),
        (server.sip.external_address or "127.0.0.1", ("sip", "external_address")),
    ):
        if not ip_address(host).is_loopback:
            yield host, loc
    asked = server.sip.nameservers
    named_here = bool(asked) and all(ip_address(at.host).is_loopback for at in asked)
    for name, peer in server.peers.items():
        for address in peer.addresses:
            if not address.network.is_loopback:
                yield str(address), ("peers", name, "addresses")
        hop = peer.next_hop
        if hop and not (named_here if hop.is_name else ip_address(hop.host).is_loopback):
            yield hop.host, ("peers", name, "next_hop")


def keys_are_keys(config: Config, complain: Complain) -> None:
    for purpose, keys in config.server.keys.items():
        if purpose not in KNOWN:
            complain(SERVER, f"there is no purpose {purpose!r}", ("keys", purpose), _one_of(KNOWN))
        for recipient in keys.recipients:
            if not is_recipient(recipient):
                complain(
                    SERVER,
                    "is not an age public key (age1...)",
                    ("keys", purpose, "recipients"),
                    "qm-sip keys generate makes one",
                )


def _one_of(names: object) -> str:
    return "one of " + ", ".join(sorted(names)) if isinstance(names, frozenset | set) else str(names)


# --------------------------------------------------------------------------- lines.toml


def customers(config: Config) -> Iterator[tuple[str, Line]]:
    """Yield the customer-facing lines."""
    return ((name, line) for name, line in config.lines.line.items() if line.kind is LineKind.CUSTOMER_FACING)


def uses_audio(line: Customer) -> bool:
    return line.capture != "none" or line.listen


def lines_are_sound(config: Config, complain: Complain) -> None:
    own = set(Customer.model_fields)
    for name, line in config.lines.line.items():
        loc: Loc = ("line", name)
        if name == "default":
            complain(LINES, "a line cannot be called default", loc)
        if line.kind is LineKind.EMERGENCY:
            complain(LINES, "an emergency number is not a line", (*loc, "kind"), "use [never] emergency")
        if line.kind is not LineKind.CUSTOMER_FACING:
            for key in sorted(own & line.model_fields_set):
                complain(LINES, f"says nothing for a line that is {line.kind.value}", (*loc, key))
        if not any(getattr(line.match, key) for key in type(line.match).model_fields if key != "direction"):
            complain(LINES, "recognises no call: name numbers, queues or trunks", (*loc, "match"))
        for trunk in line.match.trunks:
            if trunk not in config.server.peers:
                complain(LINES, f"there is no peer {trunk!r}", (*loc, "match", "trunks"))


def queue_headers_are_read(config: Config, complain: Complain) -> None:
    carried = {header.lower() for header in config.server.sip.carry_headers}
    for name, line in config.lines.line.items():
        if line.match.queues and "x-qm-line" not in carried:
            complain(LINES, "X-QM-Line is not in sip.carry_headers", ("line", name, "match", "queues"))


def lines_say_who_and_why(config: Config, complain: Complain) -> None:
    for name, line in customers(config):
        if not uses_audio(line):
            continue
        for key in ("controller", "purposes", "prompt"):
            if not getattr(line, key):
                complain(LINES, "is required where something is recorded or heard", ("line", name, key))


def captures_are_whole(config: Config, complain: Complain) -> None:
    """A sample has its share, a trigger its conditions."""
    carried = {header.lower() for header in config.server.sip.carry_headers}
    for name, line in customers(config):
        loc: Loc = ("line", name)
        if line.capture == "sample" and not line.sample:
            complain(LINES, 'is required for capture = "sample"', (*loc, "sample"), "such as sample = 0.1")
        if line.capture != "trigger":
            continue
        if not line.trigger:
            complain(LINES, 'capture = "trigger" needs a trigger', (*loc, "trigger"))
        names = [trigger.name for trigger in line.trigger]
        for position, trigger in enumerate(line.trigger):
            here: Loc = (*loc, "trigger", position)
            if trigger.name in names[:position]:
                complain(LINES, "has the name of another trigger", (*here, "name"))
            if not trigger.model_fields_set - {"name"}:
                complain(LINES, "names no condition: every call would meet it", here, 'or capture = "all"')
            if trigger.header and trigger.header.name.lower() not in carried:
                problem = f"{trigger.header.name} is not in sip.carry_headers"
                complain(LINES, problem, (*here, "header", "name"))


def codes_are_distinct(config: Config, complain: Complain) -> None:
    for loc, problem in clashes(config.lines):
        complain(LINES, problem, loc)


def lengths_can_be_counted(config: Config, complain: Complain) -> None:
    """What a clock runs for has a fixed length; what was agreed as the most is the most."""
    lines, sip, day = config.lines, config.server.sip, 86400.0
    _check_length(complain, SERVER, sip.ban_for, ("sip", "ban_for"), 1, 30 * day)
    _check_length(complain, SERVER, sip.nonce_age, ("sip", "nonce_age"), 1, day)
    _check_length(complain, SERVER, sip.next_hop_wait, ("sip", "next_hop_wait"), 0.1, 32)
    _check_length(complain, SERVER, sip.max_lag, ("sip", "max_lag"), 0, 60)
    _check_length(complain, LINES, lines.private.drop_before, ("private", "drop_before"), 0, 120)
    _check_length(complain, LINES, lines.private.preset_max, ("private", "preset_max"), 60, day)
    _check_length(complain, LINES, lines.monitoring.wait_max, ("monitoring", "wait_max"), 1, day)
    _check_length(complain, LINES, lines.receipt.lasts, ("receipt", "lasts"), 1, day)
    for name, line in customers(config):
        _check_length(complain, LINES, line.prompt_max, ("line", name, "prompt_max"), 1, 600)
        _check_length(complain, LINES, line.pause_resume_after, ("line", name, "pause_resume_after"), 1, 3600)
    for name, plan in config.regulation.plan.items():
        _check_length(complain, REGULATION, plan.session_max, ("plan", name, "session_max"), 1, day)


def _check_length(
    complain: Complain, file: str, length: Duration, loc: Loc, least: float, most: float
) -> None:
    if length.months or not least <= length.seconds <= most:
        complain(file, f"must be from {least:g} to {most:.10g} seconds long", loc)


def purposes_fit_together(config: Config, complain: Complain) -> None:
    for name, line in customers(config):
        loc: Loc = ("line", name, "purposes")
        for purpose in line.purposes:
            _check_purpose(config, complain, purpose, line, loc)
        classes = {purpose in QUALITY for purpose in line.purposes}
        if len(classes) > 1:
            complain(
                LINES,
                "mixes class quality and class logging: two recordings of one call are not built yet",
                loc,
                "name purposes of one class",
            )
        if line.legal_duty and line.capture != "all":
            complain(LINES, "a legal duty to record needs capture all", ("line", name, "legal_duty"))
        if ("legal_duty" in line.purposes) != bool(line.legal_duty):
            complain(LINES, "the purpose legal_duty and the key legal_duty go together", loc)


def _check_purpose(config: Config, complain: Complain, purpose: str, line: Line, loc: Loc) -> None:
    rule = config.regulation.purposes.get(purpose)
    if purpose not in KNOWN or rule is None:
        complain(LINES, f"there is no purpose {purpose!r} in regulation.toml", loc)
        return
    if not rule.enabled:
        complain(LINES, f"the purpose {purpose!r} is not enabled in regulation.toml", loc)
    if line.capture == "none":
        return
    if "later" not in rule.modes:
        complain(LINES, f"the purpose {purpose!r} may not be recorded (no mode later)", loc)
    if purpose in ("contract_evidence", "complaint") and getattr(config.regulation.clocks, purpose) is None:
        complain(LINES, f"clocks.{purpose} of regulation.toml is empty: no end to keeping it", loc)
    if not config.recipients(purpose) and not config.server.unsafe.load_test:
        complain(
            LINES,
            f"records for {purpose!r} and nobody holds a key for it",
            loc,
            f"qm-sip keys generate, then [keys.{purpose}] recipients in qm_sip.toml",
        )


def scopes_cover_lines(config: Config, complain: Complain) -> None:
    for name, line in customers(config):
        quality = set(line.purposes) & QUALITY
        if not uses_audio(line) or not quality:
            continue
        scope = config.regulation.scopes.get(line.scope)
        if scope is None:
            where = "is required for class quality" if not line.scope else f"there is no scope {line.scope!r}"
            complain(LINES, where, ("line", name, "scope"), "see [scopes] in regulation.toml")
        elif not quality <= set(scope.purposes):
            missing = ", ".join(sorted(quality - set(scope.purposes)))
            complain(LINES, f"the scope {line.scope!r} does not cover {missing}", ("line", name, "scope"))


def objecting_is_possible(config: Config, complain: Complain) -> None:
    for name, line in customers(config):
        if not line.opt_out and not set(line.purposes) & EVIDENCE:
            complain(
                LINES,
                "may be false only with a legal duty or contract evidence",
                ("line", name, "opt_out"),
                "a customer may object (WP-26)",
            )
        for purpose in () if line.opt_out else line.purposes:
            rule = config.regulation.purposes.get(purpose)
            if rule and rule.opt_out:
                problem = f"regulation.toml lets customers object to {purpose!r}"
                complain(LINES, problem, ("line", name, "opt_out"), "say the same in both files")


# --------------------------------------------------------------------------- people.toml, regulation.toml


def agents_are_sound(config: Config, complain: Complain) -> None:
    for name, agent in config.people.agent.items():
        loc: Loc = ("agent", name)
        if agent.monitorable and not agent.reason:
            complain(PEOPLE, "needs a reason (KSF15-3.2)", (*loc, "monitorable"))
        if agent.monitorable and agent.confidential:
            complain(PEOPLE, "a confidential person cannot be monitorable", (*loc, "monitorable"))
        if agent.manager and agent.manager == name:
            complain(PEOPLE, "nobody is his own manager", (*loc, "manager"))


def monitors_are_sound(config: Config, complain: Complain) -> None:
    for name, monitor in config.people.monitor.items():
        loc: Loc = ("monitor", name)
        for purpose in monitor.purposes:
            if purpose not in config.regulation.purposes:
                complain(PEOPLE, f"there is no purpose {purpose!r} in regulation.toml", (*loc, "purposes"))
        if monitor.granted_by == name:
            complain(PEOPLE, "nobody grants to himself (KSF15-3.3.2)", (*loc, "granted_by"))
        for key, problem in _listening_faults(config, name, monitor):
            complain(PEOPLE, problem, (*loc, key))


def _listening_faults(config: Config, name: str, monitor: Monitor) -> Iterator[tuple[str, str]]:
    for agent in monitor.agents:
        if agent != "*" and agent not in config.people.agent:
            yield "agents", f"there is no agent {agent!r}"
    wanted = "peer" if monitor.capacity is Capacity.PEER else "live"
    if "listen" in monitor.may and wanted not in monitor.modes:
        yield "modes", f"a {monitor.capacity} who may listen needs the mode {wanted}"
    if "listen" in monitor.may and not monitor.extensions:
        yield "extensions", "whoever may listen needs a phone of his own (KSF15-3.3.1)"
    if "watch" in monitor.may and not monitor.extensions:
        yield "extensions", "whoever may watch needs a phone of his own"
    if (monitor.capacity is Capacity.CLIENT) != bool(monitor.client):
        yield "client", "a client names himself here, as lines do; nobody else does (KSF15-6.3b)"
    if monitor.capacity is Capacity.PEER and set(monitor.purposes) - {"coaching"}:
        yield "purposes", "a peer is there to coach, and for nothing else (KSF15-0.9)"
    if monitor.capacity is Capacity.PEER and "export" in monitor.may:
        yield "may", "a peer takes no copy out (KSF15-0.9)"


def plans_are_sound(config: Config, complain: Complain) -> None:
    for name, plan in config.regulation.plan.items():
        loc: Loc = ("plan", name)
        for purpose in plan.purposes:
            if purpose not in config.regulation.purposes:
                complain(REGULATION, f"there is no purpose {purpose!r}", (*loc, "purposes"))
        for agent in plan.agents:
            if agent != "*" and agent not in config.people.agent:
                complain(REGULATION, f"there is no agent {agent!r} in people.toml", (*loc, "agents"))
        if plan.published and not plan.alternatives_considered:
            problem = "is required before a plan is published (KSF15-3.5a)"
            complain(REGULATION, problem, (*loc, "alternatives_considered"))


def purposes_keep_to_the_code(config: Config, complain: Complain) -> None:
    for name, rule in config.regulation.purposes.items():
        loc: Loc = ("purposes", name)
        if name not in KNOWN:
            complain(REGULATION, f"there are no rules for a purpose {name!r}", loc, _one_of(KNOWN))
            continue
        expected = RecordingClass.QUALITY if name in QUALITY else RecordingClass.LOGGING
        if rule.cls is not expected:
            complain(REGULATION, f"{name} is of class {expected.value}", (*loc, "class"))
        for mode in rule.modes:
            if mode not in MODES[name]:
                complain(REGULATION, f"{name} may not be used {mode!r} (KSF15-1.2)", (*loc, "modes"))
        if rule.enabled and name in NEVER_CAPTURED:
            complain(REGULATION, f"{name} is not built yet", (*loc, "enabled"), "say enabled = false")
        if name == "assessment" and rule.enabled and not rule.protocol:
            complain(REGULATION, "needs a protocol with consent (KSF15-4.1)", (*loc, "enabled"))
        if not rule.opt_out and name not in EVIDENCE:
            complain(REGULATION, "only legal_duty and contract_evidence may say so", (*loc, "opt_out"))
        for kind, letters in GROUNDS[name].items():
            if getattr(rule.ground, kind.value) not in letters:
                wanted = " or ".join(sorted(letters))
                complain(REGULATION, f"must be {wanted} (KSF15-2.1c)", (*loc, "ground", kind.value))


def scopes_are_sound(config: Config, complain: Complain) -> None:
    file = config.regulation
    for name, scope in file.scopes.items():
        for purpose in scope.purposes:
            if purpose not in file.purposes:
                complain(REGULATION, f"there is no purpose {purpose!r}", ("scopes", name, "purposes"))
    for name in file.regulation.consent.scope:
        if name not in file.scopes:
            complain(REGULATION, f"there is no scope {name!r}", ("regulation", "consent", "scope"))


def ceiling_is_two_months(config: Config, complain: Complain) -> None:
    ceiling = config.regulation.clocks.quality_ceiling
    if ceiling.months * 31 + ceiling.days + ceiling.seconds_part / 86400 > 62:
        complain(REGULATION, "is longer than P2M (WP-18)", ("clocks", "quality_ceiling"))


IN_FORCE_NEEDS = (
    "in force needs version, controller, officer, questions_to and consent = { requested, met, decided, employer, "
    'from, scope }; until then say "draft"'
)


def in_force_is_whole(config: Config, complain: Complain) -> None:
    regulation = config.regulation.regulation
    if regulation.status != "in-force":
        return
    begins = regulation.consent.from_
    if begins is None:
        complain(
            REGULATION, "is required: from when it holds", ("regulation", "consent"), "from = 2026-01-01"
        )
        return
    lacks = regulation.lacks(begins)
    if lacks:
        complain(REGULATION, f"says in-force, but {lacks}", ("regulation", "status"), IN_FORCE_NEEDS)


CHECKS: tuple[Callable[[Config, Complain], None], ...] = (
    routes_lead_somewhere,
    routes_do_not_clash,
    peers_are_distinct,
    tracing_is_sound,
    asterisk_is_whole,
    only_trusted_peers_dial_codes,
    passwords_are_asked_for,
    strangers_name_no_line,
    transports_are_listened_on,
    tls_is_whole,
    keys_go_over_tls,
    identities_are_distinct,
    connections_are_sane,
    media_has_two_families,
    lamps_last_a_while,
    load_test_stays_on_loopback,
    keys_are_keys,
    purposes_keep_to_the_code,
    scopes_are_sound,
    ceiling_is_two_months,
    in_force_is_whole,
    agents_are_sound,
    monitors_are_sound,
    plans_are_sound,
    codes_are_distinct,
    lengths_can_be_counted,
    lines_are_sound,
    captures_are_whole,
    queue_headers_are_read,
    lines_say_who_and_why,
    purposes_fit_together,
    scopes_cover_lines,
    objecting_is_possible,
)
