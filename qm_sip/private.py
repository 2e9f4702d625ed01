"""`Private[T]`: a value that redacts itself wherever it could be printed.

Names, numbers and addresses of people travel through the program inside this type, so that a log line,
a traceback or an f-string shows `‹private›` (invariant I10). `reveal()` is the one door, easy to search for.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Private(Generic[T]):
    """Holds one private value; equal and hashable by that value, never printable."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value. Call it only where the value itself is the point (SIP on the wire, sealed rows)."""
        return self._value

    def __repr__(self) -> str:
        return "‹private›"

    def __str__(self) -> str:
        return "‹private›"

    def __format__(self, spec: str) -> str:
        return "‹private›"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Private) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(("Private", self._value))

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Private value is not pickled: reveal() it where it may go")
