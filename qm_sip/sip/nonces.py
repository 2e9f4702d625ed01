"""Nonces that need no memory until somebody has used one rightly (RFC 7616 3.3, 5.4).

A nonce is the moment of its making, a random part and a HMAC over both and the source it was given to. So a flood of
requests without credentials costs no table, a nonce of another's is no nonce, and one that is too old shows it. What
is kept is, of each nonce that a right answer came with, which nonce-counts were used: a copy of a request is refused.
When that table is full, the oldest entry goes, and with it every nonce as old that is not in the table: a replay is
never let in because there was no room to remember it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
import struct
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MOST: Final = 4096
_WINDOW: Final = 64  # nonce-counts: UDP may bring them out of order
_MADE: Final = struct.Struct(">QQ")
_MAC_BYTES: Final = 16


class Standing(Enum):
    """What a nonce is to the one who brings it."""

    FRESH = auto()
    STALE = auto()  # ours and given to him, but too old
    FOREIGN = auto()  # not ours, or given to somebody else


@dataclass(slots=True)
class _Used:
    made: float
    highest: int = 0
    before: int = 0  # bit n: highest - n was used


class Nonces:
    """See the module's docstring. `age` in seconds."""

    def __init__(self, age: float, rng: random.Random, *, most: int = MOST) -> None:
        self.age, self._rng, self._most = age, rng, most
        self._key = rng.getrandbits(256).to_bytes(32, "big")
        self._used: OrderedDict[str, _Used] = OrderedDict()
        self._forgotten = (
            -1.0
        )  # made no later than this, and not in the table: who knows how often it was used

    def __len__(self) -> int:
        return len(self._used)

    def issue(self, host: str, now: float) -> str:
        """A new one for this source."""
        made = _MADE.pack(int(now * 1000), self._rng.getrandbits(64))
        return base64.urlsafe_b64encode(made + self._mac(made, host)).decode("ascii").rstrip("=")

    def judge(self, nonce: str, host: str, now: float) -> Standing:
        made = self._made(nonce, host)
        if made is None:
            return Standing.FOREIGN
        lost = nonce not in self._used and made <= self._forgotten
        return Standing.STALE if lost or now - made > self.age else Standing.FRESH

    def spend(self, nonce: str, host: str, count: int, now: float) -> bool:
        """Use a nonce-count of a fresh nonce. False: it was used before, or nobody knows any more."""
        used = self._used.get(nonce)
        if used is None:
            made = self._made(nonce, host)
            if made is None:
                return False
            used = self._used[nonce] = _Used(made)
            self._make_room(now)
        return _mark(used, count)

    def _made(self, nonce: str, host: str) -> float | None:
        try:
            data = base64.b64decode(nonce + "=" * (-len(nonce) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        made, mac = data[: _MADE.size], data[_MADE.size :]
        if len(data) != _MADE.size + _MAC_BYTES or not hmac.compare_digest(mac, self._mac(made, host)):
            return None
        return float(_MADE.unpack(made)[0]) / 1000

    def _mac(self, made: bytes, host: str) -> bytes:
        text = made + host.encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, hashlib.sha256)[:_MAC_BYTES]

    def _make_room(self, now: float) -> None:
        while len(self._used) > self._most:
            _, gone = self._used.popitem(last=False)
            if now - gone.made <= self.age:
                self._forgotten = max(self._forgotten, gone.made)


def _mark(used: _Used, count: int) -> bool:
    if count > used.highest:
        shift = count - used.highest
        used.before = 1 if shift >= _WINDOW else ((used.before << shift) | 1) & ((1 << _WINDOW) - 1)
        used.highest = count
        return True
    bit = 1 << (used.highest - count) if used.highest - count < _WINDOW else 0
    if count < 1 or not bit or used.before & bit:
        return False
    used.before |= bit
    return True
