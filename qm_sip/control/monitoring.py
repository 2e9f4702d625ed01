"""Who listened to whom, when and why: `monitor_history`, `monitor_notices` (KSF15-0.6, FAQ-A.8).

For the agent himself, the privacy officer and the works council. The notices that are still to be given are listed
for everybody by session only; whom they are for is for the officer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qm_sip.control.permit import oversees, speaker
from qm_sip.control.requests import NotFound, count, word
from qm_sip.errors import Refused
from qm_sip.policy.facts import PersonId

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]

ABOUT = ("capacity", "purpose", "plan", "grant", "allowed", "reasons", "ended_by", "notice")  # names nobody
TIMES = ("requested", "notice_began", "notice_ended", "first", "last", "closed", "notice_due", "notice_sent")


def handlers(state: ServerState) -> dict[str, Handler]:
    monitoring = Monitoring(state)
    return {"monitor_history": monitoring.history, "monitor_notices": monitoring.notices}


class Monitoring:
    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def history(self, request: Row, peer: PeerCredentials) -> Row:
        """Every time somebody asked to listen to an agent, the newest first."""
        config, agent = self._state.config, word(request, "agent")
        person = speaker(config, request, peer)
        if person != agent and not oversees(config, person):
            text = "who listened to whom is for the agent himself, the officer and the works council"
            raise Refused("not-your-history", text)
        limit = count(request, "limit", 100, most=10_000)
        catalog = self._state.catalog
        found = await asyncio.to_thread(lambda: catalog.sessions(agent=agent, limit=limit))
        return {"sessions": [session(row) | _who_and_when(row) for row in found]}

    async def notices(self, request: Row, peer: PeerCredentials) -> Row:
        """The notices afterwards that are owed; with `sent`, that one has been given."""
        config, named = self._state.config, False
        if request.get("as") or "sent" in request:
            person = speaker(config, request, peer)
            named = oversees(config, person)
            if "sent" in request:
                await self._sent(word(request, "sent"), person, named=named)
            elif not named:
                raise Refused(
                    "not-the-officer", "whom notices are for is for the officer and the works council"
                )
        now = datetime.now(UTC)
        due = await asyncio.to_thread(self._state.catalog.notices_due)
        rows = [
            session(row) | {"overdue": _past(row, now)} | (_who_and_when(row) if named else {}) for row in due
        ]
        return {"notices": rows, "overdue": sum(1 for row in due if _past(row, now))}

    async def _sent(self, name: str, person: PersonId, *, named: bool) -> None:
        """Whoever listened tells it, or whoever oversees."""
        found = await asyncio.to_thread(self._state.catalog.session, name)
        if not named and (found is None or found["monitor"] != person):
            raise Refused(
                "not-your-session", "only who listened, the officer or the council gives that notice"
            )
        if not await asyncio.wrap_future(self._state.catalog.notice_sent(name, datetime.now(UTC))):
            raise NotFound(f"no notice is due for session {name!r}: see `qm-sip monitor notices`")


def session(row: Mapping[str, Any]) -> Row:
    """A session without who and when."""
    about = {name: row[name] for name in ABOUT} | {"allowed": bool(row["allowed"])}
    return {"session": row["id"], "call": row["call"], **about, "heard": row["heard_ms"] / 1000}


def _who_and_when(row: Mapping[str, Any]) -> Row:
    names = {name: row[name] for name in ("agent", "monitor", "account")}
    return names | {name: row.get(name) for name in TIMES}


def _past(row: Mapping[str, Any], now: datetime) -> bool:
    return datetime.fromisoformat(row["notice_due"]) < now
