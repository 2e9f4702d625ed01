"""Token buckets: how much of one kind each source may send, in a table that cannot grow without end.

A source is an IPv4 address or an IPv6 /64: whoever has one address of such a network has them all (RFC 6177). When the
table is full, whoever has been silent for longest is forgotten; against very many sources there is one bucket more,
that all of them share.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address
from math import ceil
from typing import Final

MOST_SOURCES: Final = 10_000


def source_key(host: str) -> str:
    """Who a source is to a limit. What is no IPv6 address is itself."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


class Bucket:
    """`rate` a second, `burst` at once. With `debt`, whoever goes on when it is empty gets nothing until he rests."""

    __slots__ = ("_at", "_burst", "_floor", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float, *, debt: bool = False) -> None:
        self._rate, self._burst = rate, max(1.0, burst)
        self._floor = -self._burst if debt else 0.0
        self._left, self._at = self._burst, now

    def take(self, now: float) -> bool:
        """Whether there was one."""
        left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = max(now, self._at)
        if left >= 1.0:
            self._left = left - 1.0
            return True
        self._left = left if self._floor == 0.0 else max(self._floor, left - 1.0)
        return False

    def wait(self) -> int:
        """Whole seconds until there is one again, at least one."""
        return max(1, ceil((1.0 - self._left) / self._rate)) if self._rate else 1


class Buckets:
    """One bucket for each source."""

    def __init__(self, rate: float, burst: float, *, most: int = MOST_SOURCES) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float) -> bool:
        """Whether this source had one left. One that goes on regardless is in debt."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, now, debt=True)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now)


class Seen:
    """Who was last seen when, as far as it is remembered."""

    def __init__(self, memory: float, *, most: int = MOST_SOURCES) -> None:
        self._memory, self._most = memory, most
        self._at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def see(self, key: str, now: float) -> None:
        self._at[key] = now
        self._at.move_to_end(key)
        if len(self._at) > self._most:
            self._at.popitem(last=False)

    def knows(self, key: str, now: float) -> bool:
        """Whether he was seen within that time."""
        at = self._at.get(key)
        return at is not None and now - at < self._memory


class Bans:
    """Who has failed too often: `after` failures within `lasts` seconds, and he is not heard for as long."""

    def __init__(self, after: int, lasts: float, *, most: int = MOST_SOURCES) -> None:
        self._after, self._lasts, self._most = after, lasts, most
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._banned = Seen(lasts, most=most)

    def __len__(self) -> int:
        return len(self._failures)

    def fail(self, key: str, now: float) -> bool:
        """One failure more; True if a ban begins with it."""
        if not self._after:
            return False
        recent = [at for at in self._failures.get(key, ()) if now - at < self._lasts]
        self._failures[key] = [*recent, now]
        self._failures.move_to_end(key)
        if len(self._failures) > self._most:
            self._failures.popitem(last=False)
        if len(recent) + 1 < self._after:
            return False
        del self._failures[key]
        self._banned.see(key, now)
        return True

    def bans(self, key: str, now: float) -> bool:
        return self._banned.knows(key, now)
