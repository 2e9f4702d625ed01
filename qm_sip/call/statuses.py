"""Final statuses of one leg, as the other leg may be told them (RFC 3261 16.7)."""

from __future__ import annotations


def passable(status: int, *, ours: bool) -> int:
    """A final status that may be passed on. `ours`: nobody answered, we say it ourselves.

    A 503 of the callee is not our own unavailability (RFC 3261 16.7): a dialplan would go around us for it.
    """
    if status == 408:
        return 480
    if ours:
        return status if 400 <= status <= 699 else 503
    return status if 400 <= status <= 699 and status not in (401, 407, 503) else 500
