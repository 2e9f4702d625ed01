"""So many in so much time: what strangers may make us do, or say in the log."""

from __future__ import annotations


class Sparing:
    """At most `most` times in any period of `seconds` that begins with the first of them."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._begun, self._count = float("-inf"), 0

    def allows(self, now: float) -> bool:
        """Whether once more is not too often; if so, it counts."""
        if now - self._begun >= self._seconds:
            self._begun, self._count = now, 0
        self._count += 1
        return self._count <= self._most
