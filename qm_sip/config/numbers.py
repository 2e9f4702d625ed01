"""Telephone numbers compared without patterns: whole numbers, ranges, prefixes, each found by a table
look-up.

A number is brought to one form first (`Numbering`), so that a confidential adviser written +31 20 123 4567 is
also found when the agent dials 0201234567.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from qm_sip.config.lines import Numbering

T = TypeVar("T")

_INTERNATIONAL = 9  # digits, country code and all, that no extension of ours has
_SEPARATORS = str.maketrans("", "", " -./()\u00a0")


def normal(number: str, numbering: Numbering) -> str:
    """Return the international form of a number; one that is not a number comes back as it is, stripped.

    `+31 (0)20 ...` is how people write what is dialled +3120 from abroad and 020 at home.
    """
    if "(" in number and number.lstrip().startswith(("+", numbering.international_prefix)):
        number = number.replace(f"({numbering.national_prefix})", "")
    digits = number if number.isdigit() else number.translate(_SEPARATORS)
    if not numbering.country or not digits.isascii() or not digits.isdigit():
        return digits
    if digits.startswith(numbering.international_prefix):
        return "+" + digits[len(numbering.international_prefix) :]
    national = numbering.national_prefix
    if national and digits.startswith(national):
        return "+" + numbering.country + digits[len(national) :]
    return digits


def forms(number: str, numbering: Numbering) -> tuple[str, ...]:
    """Every form a number may have been meant in. Carriers write an international number without its +, too."""
    form = normal(number, numbering)
    whole = form.isascii() and form.isdigit() and len(form) >= _INTERNATIONAL
    return (form, f"+{form}") if numbering.country and whole else (form,)


def is_number(number: str) -> bool:
    """Say whether it is digits, with a leading + at most (also * and #, as in feature codes)."""
    digits = number.translate(_SEPARATORS).removeprefix("+")
    return bool(digits) and all(character in "0123456789*#" for character in digits)


@dataclass(frozen=True)
class NumberRange:
    """First to last of one length; `plus` whether they are international."""

    first: int
    last: int
    length: int
    plus: bool

    @classmethod
    def parse(cls, text: str, numbering: Numbering) -> NumberRange:
        """Read `1000-1999`; ValueError says what is wrong."""
        first, separator, last = text.partition("-")
        low, high = normal(first, numbering), normal(last, numbering)
        plus = low.startswith("+")
        if not separator or not _all_digits(low) or not _all_digits(high):
            raise ValueError('must be two numbers with a dash between, such as "1000-1999"')
        if len(low) != len(high) or plus != high.startswith("+"):
            raise ValueError("the two numbers of a range must be of one length and form")
        if int(low) > int(high):
            raise ValueError("the first number of a range must not be above the last")
        return cls(int(low), int(high), len(low), plus)

    @property
    def width(self) -> int:
        return self.last - self.first

    @property
    def family(self) -> tuple[int, bool]:
        return self.length, self.plus

    def overlaps(self, other: NumberRange) -> bool:
        return self.family == other.family and self.first <= other.last and other.first <= self.last

    def holds(self, number: str) -> bool:
        """Say whether a number in its normal form lies in it."""
        same = (len(number), number.startswith("+")) == self.family
        return same and _all_digits(number) and self.first <= int(number) <= self.last

    def holds_strictly(self, other: NumberRange) -> bool:
        return self.width > other.width and self.first <= other.first and other.last <= self.last


def _all_digits(number: str) -> bool:
    digits = number.removeprefix("+")
    return digits.isascii() and digits.isdigit()


class NumberTable(Generic[T]):
    """Finds what a number belongs to: exact before range before prefix; the narrowest range, the longest
    prefix.
    """

    def __init__(self) -> None:
        self.exact: dict[str, T] = {}
        self.prefixes: dict[str, T] = {}
        self._lengths: list[int] = []
        self._ranges: dict[tuple[int, bool], list[tuple[NumberRange, T]]] = {}
        self._segments: dict[tuple[int, bool], tuple[list[int], list[T | None]]] = {}

    def add_number(self, number: str, value: T) -> T | None:
        """Enter a whole number; returns what it already belonged to, if anything else."""
        return _add(self.exact, number, value)

    def add_prefix(self, prefix: str, value: T) -> T | None:
        """Enter a beginning; returns what it already belonged to, if anything else."""
        taken = _add(self.prefixes, prefix, value)
        self._lengths = sorted({len(known) for known in self.prefixes}, reverse=True)
        return taken

    def add_range(self, numbers: NumberRange, value: T) -> T | None:
        """Enter a range; returns the owner of one that overlaps it so that neither is inside the other."""
        known = self._ranges.setdefault(numbers.family, [])
        clash = next((owner for other, owner in known if owner != value and _clash(numbers, other)), None)
        known.append((numbers, value))
        self._segments[numbers.family] = _segments(known)
        return clash

    def find(self, number: str) -> T | None:
        """Return the owner of a number in its normal form."""
        found = self.exact.get(number)
        if found is not None:
            return found
        if self._segments and (found := self._in_range(number)) is not None:
            return found
        for length in self._lengths:
            if (found := self.prefixes.get(number[:length])) is not None and len(number) >= length:
                return found
        return None

    def _in_range(self, number: str) -> T | None:
        segments = self._segments.get((len(number), number.startswith("+")))
        if segments is None or not _all_digits(number):
            return None
        starts, owners = segments
        position = bisect_right(starts, int(number)) - 1
        return owners[position] if position >= 0 else None

    def __bool__(self) -> bool:
        return bool(self.exact or self.prefixes or self._ranges)


def _add(table: dict[str, T], key: str, value: T) -> T | None:
    taken = table.get(key)
    if taken is not None and taken != value:
        return taken
    table[key] = value
    return None


def _clash(one: NumberRange, other: NumberRange) -> bool:
    return one.overlaps(other) and not one.holds_strictly(other) and not other.holds_strictly(one)


def _segments(ranges: list[tuple[NumberRange, T]]) -> tuple[list[int], list[T | None]]:
    """Cut nested ranges into stretches that each have one owner, the narrowest, for a binary search."""
    starts = sorted(set(_edges(ranges)))
    owners: list[T | None] = []
    for start in starts:
        here = [(numbers.width, owner) for numbers, owner in ranges if numbers.first <= start <= numbers.last]
        owners.append(min(here, key=lambda pair: pair[0])[1] if here else None)
    return starts, owners


def _edges(ranges: list[tuple[NumberRange, T]]) -> Iterator[int]:
    for numbers, _ in ranges:
        yield numbers.first
        yield numbers.last + 1
