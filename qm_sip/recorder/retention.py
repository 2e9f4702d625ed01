"""What is due to go, and when: the clocks of each recording as a plain calculation (KSF15-2.1i, WP-18).

Each purpose of a recording has clocks of its own, and the first that strikes ends that purpose:

    destroy-by      the ceiling (I3)
    not-selected    nobody picked it out by then (KSF15-0.7)
    not-evaluated   it was picked out and not evaluated by then (KSF15-4.10)
    evaluated       it has been evaluated: it goes at once (KSF15-4.9)

Only a recorded hold puts this off, until the day it ends, and for the whole recording. A restriction (FAQ-A.4) keeps
a recording from being used, not from being destroyed: whoever needs it longer asks for a hold.

With its last purpose a recording goes; with its last recording, what says who took part in a call and when. A call
that never gave a recording is forgotten after `[clocks] ledger_parties`, and so is one whose recordings went for
another reason than a clock (an objection is evidence for that long).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

RULES = ("destroy-by", "not-selected", "not-evaluated", "evaluated")


@dataclass(frozen=True)
class Clock:
    """One purpose of a recording that has not ended."""

    purpose: str
    destroy_by: datetime
    select_by: datetime | None = None
    evaluate_by: datetime | None = None
    selected: datetime | None = None
    evaluated: datetime | None = None


@dataclass(frozen=True)
class Kept:
    """A recording of which something is left."""

    recording: str
    clocks: tuple[Clock, ...]
    held_until: datetime | None = None
    restricted: bool = False


@dataclass(frozen=True)
class Due:
    """That purpose of that recording ends then, by that rule. `last`: and with it the recording."""

    recording: str
    purpose: str
    rule: str
    at: datetime
    last: bool
    held: bool = False
    restricted: bool = False


@dataclass(frozen=True)
class EndedCall:
    """A call that is over and of which somebody could still say who took part."""

    call: str
    started: datetime
    living: int  # recordings of it that have not gone
    outlived: bool  # a recording of it went because its time had come


def schedule(kept: Iterable[Kept]) -> list[Due]:
    """When each purpose of each recording ends, if nothing changes; the nearest first."""
    return sorted((due for recording in kept for due in _of(recording)), key=lambda due: due.at)


def due(kept: Iterable[Kept], now: datetime) -> list[Due]:
    """What has to go now."""
    return [one for one in schedule(kept) if one.at <= now]


def _of(kept: Kept) -> Iterator[Due]:
    ends = sorted(((*_end(clock), clock.purpose) for clock in kept.clocks), key=lambda end: end[0])
    for place, (at, rule, purpose) in enumerate(ends):
        held = kept.held_until is not None and kept.held_until > at
        until = kept.held_until if held and kept.held_until else at
        last = place == len(ends) - 1
        yield Due(kept.recording, purpose, rule, until, last, held=held, restricted=kept.restricted)


def _end(clock: Clock) -> tuple[datetime, str]:
    """When a purpose ends, and by which rule: the first clock that strikes."""
    ends = [(clock.destroy_by, "destroy-by")]
    if clock.select_by is not None and not _by(clock.selected, clock.select_by):
        ends.append((clock.select_by, "not-selected"))
    if clock.evaluate_by is not None and not _by(clock.evaluated, clock.evaluate_by):
        ends.append((clock.evaluate_by, "not-evaluated"))
    if clock.evaluated is not None:
        ends.append((clock.evaluated, "evaluated"))
    return min(ends)


def _by(happened: datetime | None, limit: datetime) -> bool:
    return happened is not None and happened <= limit


def forgettable(calls: Iterable[EndedCall], now: datetime, keep: Callable[[datetime], datetime]) -> list[str]:
    """The calls of which nobody may say any more who took part; `keep` says until when, from their start."""
    return [call.call for call in calls if not call.living and (call.outlived or keep(call.started) <= now)]
