"""From the settings to the rules of the door: who each peer may be, what he must show, how much he may bring.

Passwords are read here, at the start and at a reload, and only what they are hashed to is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from qm_sip.call.arrival import peer_of
from qm_sip.config import Config, Peer
from qm_sip.errors import StartError
from qm_sip.policy.facts import LineKind
from qm_sip.private import Private
from qm_sip.privateline.match import match_numbers
from qm_sip.sip.admission import PeerRules, Rules
from qm_sip.sip.digest_server import ALGORITHMS, Realm, Secrets, ha1
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request
from qm_sip.sip.overload import Capacity

Identities = Callable[[Address], Collection[str]]

_HASHED = re.compile(r"(SHA-512-256|SHA-256|MD5)[ \t]+([0-9a-fA-F]+)\Z", re.ASCII)
_LENGTHS = {"MD5": 32, "SHA-256": 64, "SHA-512-256": 64}


def rules_of(config: Config, identities: Identities = lambda source: frozenset()) -> Rules:
    """Everything the door goes by; `identities` are the names that a connection has shown. Raises StartError if a
    password file cannot be used.
    """
    sip = config.server.sip
    return Rules(
        find=lambda source: peer_of(config, source, identities(source)),
        peers={name: _peer(name, peer) for name, peer in config.server.peers.items()},
        silent=sip.strangers == "silence",
        stranger_rate=sip.stranger_rate,
        ban_after=sip.ban_after,
        ban_for=sip.ban_for.seconds,
        nonce_age=sip.nonce_age.seconds,
        capacity=Capacity(sip.max_calls, sip.max_setups, sip.max_lag.seconds),
        urgent=lambda request: _is_emergency(config, request),
    )


def _is_emergency(config: Config, request: Request) -> bool:
    try:
        called = request.target.number
    except SipParseError:
        return False
    found = match_numbers(config, [Private(called)], None)
    return found is not None and found.kind is LineKind.EMERGENCY


def _peer(name: str, peer: Peer) -> PeerRules:
    capacity = Capacity(peer.max_calls, peer.max_setups)
    if peer.auth != "digest":
        return PeerRules(capacity=capacity)
    users = {user: _secrets(name, peer, user, path) for user, path in peer.users.items()}
    return PeerRules(Realm(peer.realm, peer.algorithms, users), peer.auth_in_dialog, capacity)


def _secrets(name: str, peer: Peer, user: str, path: Path) -> Secrets:
    """What each algorithm makes of one user: hashed from his password, or as it stands in the file."""
    lines = _lines(path, name)
    hashed = _hashed(lines)
    if hashed is None:
        return {
            algorithm: Private(ha1(algorithm, user, peer.realm, lines[0])) for algorithm in peer.algorithms
        }
    for algorithm in peer.algorithms:
        if len(hashed.get(algorithm, "")) != _LENGTHS[algorithm]:
            raise StartError(
                f"the password file {path} of peer {name} has no {algorithm} line",
                remedy="write one for each of its algorithms, or the password",
            )
    return {algorithm: Private(hashed[algorithm]) for algorithm in peer.algorithms}


def _hashed(lines: list[str]) -> Mapping[str, str] | None:
    """The hashes of a file that holds nothing else."""
    found = [_HASHED.match(line.strip()) for line in lines if line.strip()]
    if not found or None in found:
        return None
    return {one[1]: one[2].lower() for one in found if one is not None and one[1] in ALGORITHMS}


def _lines(path: Path, name: str) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    if not lines or not lines[0]:
        raise StartError(
            f"cannot read the password file {path} of peer {name}",
            remedy="put the password on its first line",
        )
    return lines
