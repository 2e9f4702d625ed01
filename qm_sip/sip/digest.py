"""Digest authentication, the client's side (RFC 3261 22, RFC 2617, RFC 7616, RFC 8760)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from qm_sip.private import Private
from qm_sip.sip.grammar import SipParseError, param, parse_params, quote, split_outside
from qm_sip.sip.message import Response


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a peer that challenges us. An empty realm fits every challenge."""

    username: str
    password: Private[str]
    realm: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate."""

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str  # as it stood; "" if it was left out
    qop: tuple[str, ...]  # empty: the peer is of RFC 2069
    stale: bool
    proxy: bool

    @classmethod
    def parse(cls, text: str, *, proxy: bool) -> Challenge:
        """`Digest name=value, ...`. Another scheme is an error to the caller, who passes on to the next
        challenge.
        """
        scheme, _, rest = text.strip().partition(" ")
        if scheme.lower() != "digest":
            raise SipParseError("the challenge is not of scheme Digest")
        params = parse_params(split_outside(rest, ","))
        nonce = param(params, "nonce")
        if nonce is None:
            raise SipParseError("the challenge has no nonce")
        qop = tuple(word.strip().lower() for word in (param(params, "qop") or "").split(",") if word.strip())
        return cls(
            realm=param(params, "realm") or "",
            nonce=nonce,
            opaque=param(params, "opaque"),
            algorithm=param(params, "algorithm") or "",
            qop=qop,
            stale=(param(params, "stale") or "").lower() == "true",
            proxy=proxy,
        )

    @property
    def supported(self) -> bool:
        """Whether we can answer it: a known algorithm, and qop auth or none."""
        return self.algorithm.upper() in HASHES and (not self.qop or "auth" in self.qop)


_Hash = Callable[[str], str]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _sha512_256(text: str) -> str:
    return hashlib.new("sha512_256", text.encode("utf-8", "surrogateescape")).hexdigest()


HASHES: Final[dict[str, _Hash]] = {
    "": _md5,
    "MD5": _md5,
    "MD5-SESS": _md5,
    "SHA-256": _sha256,
    "SHA-256-SESS": _sha256,
}
if "sha512_256" in hashlib.algorithms_available:
    HASHES.update({"SHA-512-256": _sha512_256, "SHA-512-256-SESS": _sha512_256})


def challenges(response: Response) -> list[Challenge]:
    """Every challenge of a 401 or 407, in order; what is not a Digest challenge is passed over."""
    found = []
    for name, proxy in (("www-authenticate", False), ("proxy-authenticate", True)):
        for value in response.all(name):
            try:
                found.append(Challenge.parse(value, proxy=proxy))
            except SipParseError:
                continue
    return found


def digest_response(
    challenge: Challenge, credentials: Credentials, *, method: str, uri: str, cnonce: str, nc: int
) -> str:
    """The `response` value (RFC 7616 3.4.1)."""
    hashed = HASHES[challenge.algorithm.upper()]
    a1 = hashed(f"{credentials.username}:{challenge.realm}:{credentials.password.reveal()}")
    if challenge.algorithm.upper().endswith("-SESS"):
        a1 = hashed(f"{a1}:{challenge.nonce}:{cnonce}")
    a2 = hashed(f"{method}:{uri}")
    if not challenge.qop:
        return hashed(f"{a1}:{challenge.nonce}:{a2}")
    return hashed(f"{a1}:{challenge.nonce}:{nc:08x}:{cnonce}:auth:{a2}")


@dataclass(slots=True)
class _Answered:
    challenge: Challenge
    nc: int = 0


Place = tuple[bool, str]
"""Where credentials belong: proxy or server, and the realm."""

_MOST_TRIES: Final = 4


@dataclass(slots=True)
class DigestClient:
    """Answers the challenges of one leg and keeps counting nc, one state per proxy or server and realm."""

    credentials: Credentials | None
    rng: random.Random
    _known: dict[Place, _Answered] = field(default_factory=dict)

    def learn(self, response: Response, tried: list[Place]) -> bool:
        """Take up the challenges of a 401 or 407. True if it is worth to send the request (again).

        Per realm the topmost algorithm we know (RFC 8760 2.4). `tried` belongs to the request: a second
        challenge for the same realm means that the password was wrong, unless only the nonce was stale
        (RFC 7616 3.3).
        """
        if self.credentials is None:
            return False
        chosen: dict[Place, Challenge] = {}
        for challenge in challenges(response):
            if challenge.supported and self.credentials.realm in ("", challenge.realm):
                chosen.setdefault((challenge.proxy, challenge.realm), challenge)
        taken = [self._take(place, challenge, tried) for place, challenge in chosen.items()]
        return any(taken)

    def _take(self, place: Place, challenge: Challenge, tried: list[Place]) -> bool:
        known = self._known.get(place)
        if known is not None and known.challenge.nonce == challenge.nonce:
            return False
        if len(tried) >= _MOST_TRIES or (place in tried and not challenge.stale):
            return False
        tried.append(place)
        self._known[place] = _Answered(challenge)
        return True

    def headers(self, method: str, uri: str) -> list[tuple[str, str]]:
        """The credentials for a new request: Authorization and Proxy-Authorization of every realm met."""
        if self.credentials is None:
            return []
        return [self._header(known, method, uri) for known in self._known.values()]

    def _header(self, known: _Answered, method: str, uri: str) -> tuple[str, str]:
        assert self.credentials is not None
        known.nc += 1
        challenge = known.challenge
        cnonce = f"{self.rng.getrandbits(64):016x}"
        response = digest_response(
            challenge, self.credentials, method=method, uri=uri, cnonce=cnonce, nc=known.nc
        )
        fields = [
            f"username={quote(self.credentials.username)}",
            f"realm={quote(challenge.realm)}",
            f"nonce={quote(challenge.nonce)}",
            f'uri="{uri}"',
            f'response="{response}"',
            *_optional(challenge, cnonce, known.nc),
        ]
        name = "Proxy-Authorization" if challenge.proxy else "Authorization"
        return name, "Digest " + ", ".join(fields)


def _optional(challenge: Challenge, cnonce: str, nc: int) -> Iterable[str]:
    if challenge.algorithm:
        yield f"algorithm={challenge.algorithm}"
    if challenge.opaque is not None:
        yield f"opaque={quote(challenge.opaque)}"
    if challenge.qop:
        # qop and nc are tokens in the answer, quoted only in the challenge (RFC 7616 3.4).
        yield f'qop=auth, nc={nc:08x}, cnonce="{cnonce}"'
    elif challenge.algorithm.upper().endswith("-SESS"):
        yield f'cnonce="{cnonce}"'
