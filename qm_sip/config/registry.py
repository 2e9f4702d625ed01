"""The registry: numbers that beat every rule, each with a reason, a source and its dates (KSF15-2.1l, WP-17, FAQ-B.7).

Several entries may hold one number, and an entry may have ended or not yet begun; so unlike a line's numbers nothing
here hides anything else: the first entry that is in force on the day in question is found, whole numbers before ranges
before prefixes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from qm_sip.config.numbers import NumberRange


def day_of(moment: datetime) -> date:
    """The day that a moment lies in where this machine stands: entries begin and end at its midnight."""
    return moment.astimezone().date()


@dataclass(frozen=True)
class Entry:
    """Why a number is in the registry, and when. `rule` names the list, or a line; never whose number it is."""

    rule: str
    since: date | None = None
    until: date | None = None
    reason: str = ""
    source: str = ""

    def in_force(self, day: date | None) -> bool:
        """On that day; without one: ever."""
        if day is None:
            return True
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


@dataclass
class Registry:
    """The entries of one kind, by number in normal form."""

    numbers: dict[str, list[Entry]] = field(default_factory=dict)
    ranges: list[tuple[NumberRange, Entry]] = field(default_factory=list)
    prefixes: dict[str, list[Entry]] = field(default_factory=dict)

    def add_number(self, number: str, entry: Entry) -> None:
        self.numbers.setdefault(number, []).append(entry)

    def add_range(self, numbers: NumberRange, entry: Entry) -> None:
        self.ranges.append((numbers, entry))

    def add_prefix(self, prefix: str, entry: Entry) -> None:
        self.prefixes.setdefault(prefix, []).append(entry)

    def find(self, number: str, day: date | None = None) -> str | None:
        """The rule by which a number in its normal form is here on that day; without a day, on any."""
        return next((entry.rule for entry in self.entries(number) if entry.in_force(day)), None)

    def entries(self, number: str) -> Iterator[Entry]:
        """Every entry that holds a number, in force or not, the most specific first."""
        yield from self.numbers.get(number, ())
        for numbers, entry in self.ranges:
            if numbers.holds(number):
                yield entry
        if self.prefixes:
            for length in range(len(number), 0, -1):
                yield from self.prefixes.get(number[:length], ())
