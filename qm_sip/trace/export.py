"""What goes to a HEP collector, and when: a call when it has ended, an INVITE that was refused a moment after.

Not before: a call that is still running may yet turn out to be confidential, and what a collector has cannot be taken
back (I8). The messages keep the times at which they passed. A private call is never exported, and nothing at all is
redacted for a collector that is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from qm_sip.trace.hep import Captured, encode
from qm_sip.trace.shown import show
from qm_sip.trace.store import Store, Trace

QUIET = 2.0
"""Seconds after its last message until a refused INVITE is exported."""


class Collector(Protocol):
    """Whoever takes the packets (`qm_sip/net/collector.py`)."""

    @property
    def ready(self) -> bool: ...

    def send(self, packet: bytes) -> bool: ...


class Exporter:
    """Takes traces, gives HEP packets. `ready` says whether somebody is there to take them."""

    def __init__(
        self,
        store: Store,
        *,
        agent: int,
        key: bytes,
        own: Collection[str],
        unredacted: bool,
    ) -> None:
        self.sent = self.dropped = 0
        self._store, self._agent, self._key = store, agent, key
        self._own, self._unredacted = own, unredacted

    def due(self, now: float) -> list[Trace]:
        """Traces with something to send."""
        over = [one for one in self._store.calls.values() if one.over and not one.private]
        quiet = [one for one in self._store.attempts.values() if one.last < now - QUIET]
        return [one for one in (*over, *quiet) if one.exported < one.count]

    def export(self, trace: Trace, collector: Collector) -> Iterator[None]:
        """Send what has not been sent; each step is one message, and little work."""
        for line in list(trace):
            if line.number <= trace.exported or trace.dropped or trace.private:
                continue
            trace.exported = line.number
            shown = show(line, trace, self._own, unredacted=self._unredacted) if collector.ready else None
            if shown is None:
                self.dropped += 1
                continue
            packet = encode(Captured(*shown, trace.id), self._agent, self._key)
            if collector.send(packet):
                self.sent += 1
            else:
                self.dropped += 1
            yield
        trace.exported = trace.count
