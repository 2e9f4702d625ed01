"""What is kept of signalling: in memory, for hours, up to so many MiB, oldest call first to go.

Nothing of it is ever on a disk: I6 is kept by there being no byte, and whatever must be dropped is gone at once (I8).
A call that never ends cannot push out all others: of each the first and the last messages are kept, and how many
between them were left out is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from qm_sip.sip.events import Address
from qm_sip.trace.pseudonyms import Pseudonyms

OVERHEAD = 300
"""Bytes that a kept message costs beside its own."""
FIRST, LAST = 200, 200
"""Messages kept of one call: so many from its beginning, so many up to now."""
ATTEMPTS = 200
"""INVITEs refused before they became a call."""


class Heading(NamedTuple):
    """Method, or status and phrase; and the CSeq. Nobody is in it."""

    what: str
    cseq: str


class Line(NamedTuple):
    """One message in one direction. `data` is None where only that it passed may be kept (`bare` says what)."""

    number: int
    at: float
    leg: str
    inbound: bool
    data: bytes | None
    peer: Address
    local: Address
    bare: Heading | None = None


class Trace:
    """The messages of one call, or of one INVITE that became none."""

    def __init__(self, id: str, now: float) -> None:
        self.id, self.began, self.last = id, now, now
        self.private = False
        self.dropped = False
        """It may not be shown any more, not even by whoever holds it still."""
        self.over = False
        self.exported = 0
        """The number of the last message that went to the collector, or was to."""
        self.call_ids: set[str] = set()
        self.shut: set[str] = set()
        """Call-IDs of it under which nothing more is kept: another call has them too."""
        self.pseudonyms = Pseudonyms()
        self.bytes = 0
        self.count = 0
        self._first: list[Line] = []
        self._last: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        yield from self._first
        yield from self._last

    @property
    def left_out(self) -> int:
        """How many messages between the first and the last ones were not kept."""
        return self.count - len(self._first) - len(self._last)

    def add(self, line: Line) -> None:
        self.count += 1
        self.last = max(self.last, line.at)
        self.bytes += _cost(line)
        if len(self._first) < FIRST:
            self._first.append(line)
            return
        self._last.append(line)
        if len(self._last) > LAST:
            self.bytes -= _cost(self._last.popleft())

    def replace(self, lines: list[Line]) -> None:
        """The same messages, with less of each."""
        self._first, self._last = lines[: len(self._first)], deque(lines[len(self._first) :])
        self.bytes = sum(map(_cost, lines))
        self.pseudonyms = Pseudonyms()

    def wipe(self) -> None:
        self.dropped = True
        self.replace([])


def _cost(line: Line) -> int:
    return OVERHEAD + (len(line.data) if line.data is not None else 0)


class Store:
    """All traces, in the order in which they began."""

    def __init__(self, keep_for: float, keep_bytes: int) -> None:
        self.keep_for, self.keep_bytes = keep_for, keep_bytes
        self.calls: dict[str, Trace] = {}
        self.attempts: dict[str, Trace] = {}
        self.pushed_out = 0
        """Traces that went before their time, for want of room."""
        self._by_call_id: dict[str, Trace] = {}

    def call(self, id: str, now: float) -> Trace:
        return self.calls.get(id) or self.calls.setdefault(id, Trace(id, now))

    def attempt(self, id: str, now: float) -> Trace:
        while len(self.attempts) >= ATTEMPTS:
            self.drop(next(iter(self.attempts.values())))
        return self.attempts.setdefault(id, Trace(id, now))

    def named(self, call_id: str) -> Trace | None:
        """The trace in which this Call-ID was seen."""
        return self._by_call_id.get(call_id)

    def name(self, call_id: str, trace: Trace) -> None:
        trace.call_ids.add(call_id)
        self._by_call_id[call_id] = trace

    def unname(self, call_id: str) -> None:
        """Whatever comes under this Call-ID belongs to no trace any more."""
        self._by_call_id.pop(call_id, None)

    def drop(self, trace: Trace) -> None:
        """Nothing of it is left."""
        for table in (self.calls, self.attempts):
            if table.get(trace.id) is trace:
                del table[trace.id]
        for call_id in trace.call_ids:
            if self._by_call_id.get(call_id) is trace:
                del self._by_call_id[call_id]
        trace.wipe()

    def clear(self) -> None:
        for trace in [*self.calls.values(), *self.attempts.values()]:
            self.drop(trace)

    @property
    def bytes(self) -> int:
        return sum(trace.bytes for table in (self.calls, self.attempts) for trace in table.values())

    def trim(self, now: float) -> None:
        """Let go of what is too old, and of the oldest calls while there is too much."""
        for trace in [*self.calls.values(), *self.attempts.values()]:
            if trace.last < now - self.keep_for:
                self.drop(trace)
        size = self.bytes
        for trace in sorted([*self.attempts.values(), *self.calls.values()], key=lambda one: one.last):
            if size <= self.keep_bytes:
                return
            size -= trace.bytes
            self.drop(trace)
            self.pushed_out += 1
