"""Fair samples: which calls are recorded is drawn by a seed that was committed to before the day's first draw
(KSF15-0.2).

The lot of a call is the HMAC of its id and line under the day's seed. Before the first draw the catalog holds the
seed's SHA-256, which everybody may see; afterwards the seed itself is revealed, and anybody can draw again and see
that nobody was picked out. Call ids are random and made here: whoever calls cannot choose his lot.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import date, timedelta

from qm_sip.policy.facts import CallId, Lot
from qm_sip.private import Private

_WHOLE = 2**64


@dataclass(frozen=True)
class Seed:
    """The seed of one day (UTC). Its secret is in no log."""

    day: date
    secret: Private[bytes]

    @property
    def commitment(self) -> str:
        return commitment(self.secret.reveal())

    def lot(self, call: CallId, line: str) -> Lot:
        """Return the lot of a call on a line."""
        return Lot(self.commitment, draw(self.secret.reveal(), call, line))


def new_secret() -> bytes:
    """Return a seed that nobody knows."""
    return secrets.token_bytes(32)


def commitment(secret: bytes) -> str:
    """Return what everybody may see of a seed before it is revealed."""
    return hashlib.sha256(secret).hexdigest()


def draw(secret: bytes, call: CallId, line: str) -> int:
    """Return the lot of a call: a whole number below 2^64."""
    lot = hmac.digest(secret, f"{line}\0{call}".encode(), hashlib.sha256)
    return int.from_bytes(lot[:8], "big")


def is_in(lot: int, share: float) -> bool:
    """Say whether a lot is below the share."""
    return lot < share * _WHOLE


class Seeds:
    """The seeds of today and tomorrow. Whoever fills it has the commitment durable in the catalog first."""

    def __init__(self) -> None:
        self._seeds: dict[date, Seed] = {}

    def of(self, day: date) -> Seed | None:
        """Return the seed of a day; None: no commitment stands, so nothing may be drawn."""
        return self._seeds.get(day)

    def wanted(self, today: date) -> list[date]:
        """Return the days whose seeds should be there and are not: tomorrow's before its first call."""
        return [day for day in (today, today + timedelta(days=1)) if day not in self._seeds]

    def add(self, day: date, secret: bytes) -> None:
        """Keep a seed whose commitment is durable; those of past days are forgotten."""
        kept = {known: seed for known, seed in self._seeds.items() if known >= day - timedelta(days=1)}
        self._seeds = {**kept, day: Seed(day, Private(secret))}
