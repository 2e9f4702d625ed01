"""What will go when, and letting it go: `retention_due`, `retention_run`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qm_sip.control.requests import count
from qm_sip.recorder.reaper import GRACE
from qm_sip.recorder.retention import Due

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]


def handlers(state: ServerState) -> dict[str, Handler]:
    retention = Retention(state)
    return {"retention_due": retention.due, "retention_run": retention.run}


class Retention:
    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def due(self, request: Row, peer: PeerCredentials) -> Row:
        """When each purpose of each recording ends, by which rule, the nearest first. The day, not the minute: that
        would tell when the call was.
        """
        plan, now = await self._state.reaper.schedule(), datetime.now(UTC)
        limit = count(request, "limit", 1000, most=100_000)
        return {
            "due": [_due(due, now) for due in plan[:limit]],
            "recordings": len({d.recording for d in plan}),
        }

    async def run(self, request: Row, peer: PeerCredentials) -> Row:
        """Destroy what is due, now. Nobody can destroy anything else by it."""
        done = await self._state.reaper.run(datetime.now(UTC))
        return {
            "purposes": done.purposes,
            "recordings": done.recordings,
            "calls": done.calls,
            "failed": done.failed,
        }


def _due(due: Due, now: datetime) -> Row:
    return {
        "recording": due.recording,
        "purpose": due.purpose,
        "rule": due.rule,
        "day": due.at.date().isoformat(),
        "last": due.last,
        "held": due.held,
        "restricted": due.restricted,
        "overdue": due.at + GRACE <= now,
    }
