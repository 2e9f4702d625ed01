"""Keys in a session description: a=crypto (RFC 4568), with the suites of RFC 6188 and RFC 7714.

    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31

A line is taken if all of it can be obeyed. One with a master key identifier, with several keys, with a lifetime that a
working day could outlast, or with a session parameter that changes what a packet looks like is as if it were not there;
if none is left, the stream is one that cannot be opened. WSH is advice about a window and changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from qm_sip.private import Private
from qm_sip.sip.sdp_model import Media

KEY_OCTETS: Final = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
"""Octets of key and salt."""

SHORTEST_LIFE: Final = 2**21
"""Packets: some twelve hours of 20 ms."""

_TAG: Final = re.compile(r"\d{1,9}", re.ASCII)
_LIFE: Final = re.compile(r"2\^(\d{1,2})|(\d{1,15})", re.ASCII)
_ADVICE: Final = re.compile(r"WSH=\d{1,4}", re.ASCII)


class Crypto(NamedTuple):
    """One line that can be obeyed."""

    tag: int
    suite: str
    key: Private[str]  # what stands after `inline:`

    def line(self) -> str:
        return f"a=crypto:{self.tag} {self.suite} inline:{self.key.reveal()}"


def offered(media: Media, suites: Collection[str]) -> list[Crypto]:
    """The lines of a stream that can be obeyed, in the order of whoever wrote them."""
    found = [_read(value) for value in media.attributes("crypto")]
    return [crypto for crypto in found if crypto is not None and crypto.suite in suites]


def _read(value: str) -> Crypto | None:
    words = value.split()
    if len(words) < 3 or any(not _ADVICE.fullmatch(word) for word in words[3:]):
        return None
    tag, suite, (method, _, rest) = words[0], words[1], words[2].partition(":")
    key, *more = rest.split("|")
    if not _TAG.fullmatch(tag) or method.lower() != "inline" or len(more) > 1 or not all(map(_lasts, more)):
        return None
    return Crypto(int(tag), suite, Private(key)) if _octets(key) == KEY_OCTETS.get(suite) else None


def _octets(key: str) -> int | None:
    try:
        return len(base64.b64decode(key + "=" * (-len(key) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _lasts(life: str) -> bool:
    """Whether this is a lifetime (an identifier has a colon), and one that no call outlives."""
    found = _LIFE.fullmatch(life)
    return found is not None and (2 ** int(found[1]) if found[1] else int(found[2])) >= SHORTEST_LIFE


_KEYS: Final = re.compile(
    rb"(inline:[ \t]*|\n(?:a=key-mgmt:|k=)[ \t]*)((?<=inline:)[^\s|;]+|[^\r\n]+)", re.IGNORECASE
)
_HOLDS_KEYS: Final = re.compile(rb"inline:|\n(?:a=key-mgmt:|k=)", re.IGNORECASE)


def without_keys(data: bytes) -> bytes:
    """A message without the keys in it, octet for octet as long. For whoever keeps or shows it."""
    if _HOLDS_KEYS.search(data) is None:
        return data
    return _KEYS.sub(lambda found: found[1] + b"x" * len(found[2]), data)
