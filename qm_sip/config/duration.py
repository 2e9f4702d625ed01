"""Lengths of time as written in the settings: ISO 8601 ("P2M", "PT72H") or a plain number with s, m, h or d
("90s", "1d").

A duration with years or months depends on the calendar, so it has no fixed number of seconds: only
`after(moment)` says what it means (ISO 8601-1:2019, 5.5.2.2).
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

Moment = TypeVar("Moment", date, datetime)

_ISO = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z",
    re.ASCII,
)
_PLAIN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)\Z", re.ASCII)
_PLAIN_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_MONTHS = 1200  # a hundred years: beyond that it is a slip of the hand


@dataclass(frozen=True)
class Duration:
    """A length of time: whole months, whole days, and seconds. `text` is how it was written."""

    text: str
    months: int = 0
    days: int = 0
    seconds_part: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read one duration; ValueError says how it should look."""
        plain, iso = _PLAIN.match(text), _ISO.match(text)
        if plain:
            duration = cls(text, seconds_part=float(plain[1]) * _PLAIN_SECONDS[plain[2]])
        elif iso:
            years, months, weeks, days, hours, minutes = (int(iso[i] or 0) for i in range(1, 7))
            seconds = hours * 3600 + minutes * 60 + float(iso[7] or 0)
            duration = cls(text, years * 12 + months, weeks * 7 + days, seconds)
        else:
            raise ValueError(f'{text!r} is not a length of time: write "P2M", "P14D", "PT72H" or "10s"')
        if duration.months + duration.days / 28 + duration.seconds_part / 2.4e6 > _LONGEST_MONTHS:
            raise ValueError(f"{text!r} is longer than a hundred years")
        return duration

    @property
    def seconds(self) -> float:
        """The length in seconds; only for a duration that does not depend on the calendar."""
        if self.months:
            raise ValueError(f"{self.text} has no fixed length: months differ")
        return self.days * 86400 + self.seconds_part

    def after(self, moment: Moment) -> Moment:
        """Return the moment this long after `moment`; 31 December + P2M is the last day of February."""
        month = moment.month - 1 + self.months
        year, month = moment.year + month // 12, month % 12 + 1
        day = min(moment.day, monthrange(year, month)[1])
        shifted = moment.replace(year=year, month=month, day=day)
        return shifted + timedelta(days=self.days, seconds=self.seconds_part)

    def __str__(self) -> str:
        return self.text
