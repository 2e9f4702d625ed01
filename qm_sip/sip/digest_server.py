"""Digest authentication, the server's side (RFC 3261 22, RFC 7616, RFC 8760): who is asking.

One challenge for each algorithm, the best first. An answer must use one of them, qop=auth, a nonce that we gave to that
source, a nonce-count not used before, and the Request-URI. Whoever is in no list costs the same work and gets the
same answer as one with a wrong password.

A wrong answer counts as a failure only if its nonce is ours: who sends under another's address never saw one, and
cannot have him banned. So a nonce that is not ours is asked for anew without being looked at; it tells nothing of
the password either. `stale` is said only to a right answer.
"""

from __future__ import annotations

import hmac
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from qm_sip.private import Private
from qm_sip.sip.address import Uri
from qm_sip.sip.digest import HASHES
from qm_sip.sip.grammar import Params, SipParseError, param, parse_params, quote, split_outside
from qm_sip.sip.message import Header, Request, header
from qm_sip.sip.nonces import Nonces, Standing

ALGORITHMS: Final = ("SHA-512-256", "SHA-256", "MD5")
"""What we can check, the best first. (Session variants are not offered: they need memory for every nonce.)"""

Secrets = Mapping[str, Private[str]]
"""HA1 of one user, by algorithm."""


class Answer(Enum):
    """What the credentials of a request are worth."""

    RIGHT = auto()
    NONE = auto()  # none for this realm, or with a nonce that is not ours
    WRONG = auto()
    STALE = auto()  # right, but with a nonce that is too old
    REPLAYED = auto()  # right, but not for the first time


@dataclass(frozen=True)
class Realm:
    """Whom one peer may be."""

    name: str
    algorithms: Sequence[str]
    users: Mapping[str, Secrets]


def ha1(algorithm: str, user: str, realm: str, password: str) -> str:
    """H(user:realm:password), which may stand in a file instead of the password (RFC 7616 3.4.2)."""
    return HASHES[algorithm](f"{user}:{realm}:{password}")


class DigestServer:
    """Challenges, and judges the answers. Knows no peers: the realm is handed in."""

    def __init__(self, age: float, rng: random.Random) -> None:
        self._nonces = Nonces(age, rng)
        self._opaque = f"{rng.getrandbits(64):016x}"
        self._nobody = f"{rng.getrandbits(256):064x}"  # the HA1 of whoever is in no list

    @property
    def age(self) -> float:
        """Seconds that a nonce is good for."""
        return self._nonces.age

    @age.setter
    def age(self, seconds: float) -> None:
        self._nonces.age = seconds

    def challenge(self, realm: Realm, host: str, now: float, *, stale: bool = False) -> list[Header]:
        """WWW-Authenticate, once for each algorithm (RFC 8760 2.3)."""
        nonce = self._nonces.issue(host, now)
        rest = f'nonce="{nonce}", opaque="{self._opaque}", qop="auth"' + (", stale=true" if stale else "")
        return [
            header("WWW-Authenticate", f"Digest realm={quote(realm.name)}, algorithm={algorithm}, {rest}")
            for algorithm in realm.algorithms
        ]

    def judge(self, realm: Realm, request: Request, host: str, now: float) -> Answer:
        """What the credentials for this realm are worth."""
        given = _credentials(request, realm.name)
        nonce = param(given, "nonce") or ""
        standing = self._nonces.judge(nonce, host, now) if given else Standing.FOREIGN
        if standing is Standing.FOREIGN:
            return Answer.NONE
        if not self._fits(realm, given, request) or not self._is_right(realm, given, request.method):
            return Answer.WRONG
        if standing is Standing.STALE:
            return Answer.STALE
        spent = self._nonces.spend(nonce, host, _count(given), now)
        return Answer.RIGHT if spent else Answer.REPLAYED

    def _fits(self, realm: Realm, given: Params, request: Request) -> bool:
        """Whether it answers what was asked, and for this request (RFC 7616 3.4.6)."""
        return (
            _algorithm(given) in realm.algorithms
            and (param(given, "qop") or "").lower() == "auth"
            and param(given, "opaque") == self._opaque
            and bool(param(given, "cnonce"))
            and _count(given) > 0
            and _same_target(param(given, "uri") or "", request)
        )

    def _is_right(self, realm: Realm, given: Params, method: str) -> bool:
        algorithm = _algorithm(given)
        hashed = HASHES[algorithm]
        known = realm.users.get(param(given, "username") or "")
        secret = known[algorithm].reveal() if known is not None else self._nobody
        a2 = hashed(f"{method}:{param(given, 'uri')}")
        middle = (
            f"{param(given, 'nonce')}:{param(given, 'nc')}:{param(given, 'cnonce')}:{param(given, 'qop')}"
        )
        expected = hashed(f"{secret}:{middle}:{a2}")
        response = (param(given, "response") or "").lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(expected.encode("ascii"), response) and known is not None


def user_of(request: Request, realm: str) -> str:
    """Whose credentials a request carries; to be asked only when they were right."""
    return param(_credentials(request, realm), "username") or ""


def _credentials(request: Request, realm: str) -> Params:
    """The parameters of the one Authorization for this realm; of several or none, nothing."""
    found: list[Params] = []
    for value in request.all("authorization"):
        scheme, _, rest = value.partition(" ")
        if scheme.lower() != "digest":
            continue
        try:
            params = parse_params(split_outside(rest, ","))
        except SipParseError:
            continue
        if param(params, "realm") == realm:
            found.append(params)
    return found[0] if len(found) == 1 else ()


def _algorithm(given: Params) -> str:
    return (param(given, "algorithm") or "MD5").upper()


def _count(given: Params) -> int:
    """The nonce-count, or 0 if it is none: eight hexadecimal digits (RFC 7616 3.4)."""
    text = param(given, "nc") or ""
    if len(text) != 8 or not all(char in "0123456789abcdefABCDEF" for char in text):
        return 0
    return int(text, 16)


def _same_target(uri: str, request: Request) -> bool:
    if uri == request.uri:
        return True
    try:
        return _place(Uri.parse(uri)) == _place(request.target)
    except SipParseError:
        return False


def _place(uri: Uri) -> tuple[str, str | None, str, int]:
    """What a proxy on the way does not change; some clients leave the parameters out."""
    return uri.scheme, uri.user, uri.host.lower(), uri.port or 5060
