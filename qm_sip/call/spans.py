"""Keeping book of a call's spans: stretches in one state, which add up to the call's length (I8). Pure.

A call is told what happens to it as changes: "from this instant on, the state is X". A change may be
dated back (the private part began before the finger reached the key): then it replaces what was said of
that time and after. The one outcome of a call is that of its heaviest span; the order of weights stands
in `WEIGHT`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qm_sip.errors import BrokenInvariant
from qm_sip.policy.facts import Outcome, SpanState


@dataclass(frozen=True)
class Change:
    """From `at` (seconds, monotonic) the call is in `state`, for the reason with this code."""

    state: SpanState
    at: float
    reason: str


@dataclass(frozen=True)
class Span:
    """A stretch of a call in one state, in whole milliseconds from the call's start."""

    state: SpanState
    from_ms: int
    to_ms: int
    reason: str

    @property
    def length_ms(self) -> int:
        return self.to_ms - self.from_ms


# From heavy to light. A failure is never hidden by anything (I9); what was recorded is never hidden by
# what was not; then what somebody refused or was refused, then what was left alone, then what merely had
# not happened yet.
WEIGHT = (
    SpanState.FAILED,
    SpanState.RECORDED,
    SpanState.OBJECTED,
    SpanState.REFUSED,
    SpanState.PRIVATE,
    SpanState.NOT_SELECTED,
    SpanState.TOLD,
    SpanState.UNTOLD,
    SpanState.PAUSE,
    SpanState.HOLD,
)

OUTCOME = {
    SpanState.FAILED: Outcome.FAILED,
    SpanState.RECORDED: Outcome.RECORDED,
    SpanState.OBJECTED: Outcome.BLOCKED,
    SpanState.REFUSED: Outcome.BLOCKED,
    SpanState.PRIVATE: Outcome.BYPASSED,
    SpanState.NOT_SELECTED: Outcome.BYPASSED,
    SpanState.TOLD: Outcome.BLOCKED,
    SpanState.UNTOLD: Outcome.BLOCKED,
    SpanState.PAUSE: Outcome.BLOCKED,
    SpanState.HOLD: Outcome.BLOCKED,
}


class SpanBook:
    """The changes of one call, as they happen."""

    def __init__(self, state: SpanState, at: float, reason: str) -> None:
        self.started = at
        self._changes = [Change(state, at, reason)]

    @property
    def state(self) -> SpanState:
        return self._changes[-1].state

    def change(self, state: SpanState, at: float, reason: str) -> None:
        """From `at` on the call is in `state`. Dated back, it replaces what was said of later time."""
        self._changes.append(Change(state, at, reason))

    def spans(self, until: float) -> tuple[Span, ...]:
        """The spans from the call's start to `until`."""
        return spans_of(self._changes, until)


def spans_of(changes: Sequence[Change], until: float) -> tuple[Span, ...]:
    """Turn changes, in the order they were made, into spans that add up to the call's length.

    Equal neighbours are one span. A call that took no time has one span of no length, so that it has an
    outcome.
    """
    if not changes:
        raise BrokenInvariant("a call without a state has no spans")
    length = max(0, _ms(changes[0], until))
    starts: list[tuple[int, Change]] = []
    for change in changes:
        begin = min(max(0, _ms(changes[0], change.at)), length)
        while starts and starts[-1][0] >= begin:
            starts.pop()
        starts.append((begin, change))
    return _joined(starts, length)


def _ms(first: Change, at: float) -> int:
    return round((at - first.at) * 1000)


def _joined(starts: Sequence[tuple[int, Change]], length: int) -> tuple[Span, ...]:
    ends = [begin for begin, _ in starts[1:]] + [length]
    spans: list[Span] = []
    for (begin, change), end in zip(starts, ends, strict=True):
        if spans and (begin == end or (spans[-1].state, spans[-1].reason) == (change.state, change.reason)):
            spans[-1] = Span(spans[-1].state, spans[-1].from_ms, end, spans[-1].reason)
        else:
            spans.append(Span(change.state, begin, end, change.reason))
    return tuple(spans)


def heaviest(spans: Iterable[Span]) -> Span:
    """The span that decides: of the heaviest state, the first. Its reason is the outcome's reason."""
    return min(spans, key=lambda span: (WEIGHT.index(span.state), span.from_ms))


def outcome(spans: Iterable[Span]) -> Outcome:
    """The one outcome of a call (I8)."""
    return OUTCOME[heaviest(spans).state]


def add_up(spans: Sequence[Span]) -> bool:
    """Do the spans follow each other without gap or overlap, from 0?"""
    begins = [0] + [span.to_ms for span in spans[:-1]]
    return bool(spans) and all(
        span.from_ms == begin and span.to_ms >= begin for span, begin in zip(spans, begins, strict=True)
    )
