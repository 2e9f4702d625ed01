"""Who may listen or play, for everybody to read (KSF15-3.3.3), by ids: `monitors`. And whom to ask (3.7.4)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qm_sip.config import Config, Monitor
from qm_sip.control.requests import word
from qm_sip.policy.facts import PersonId
from qm_sip.policy.grants import grant_lacks
from qm_sip.policy.listening import cannot_listen

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]


def handlers(state: ServerState) -> dict[str, Handler]:
    async def monitors(request: Row, peer: PeerCredentials) -> Row:
        """Everybody, or those who may listen to one agent."""
        config, now = state.config, datetime.now(UTC)
        agent = word(request, "agent") if "agent" in request else None
        found = [
            _row(config, PersonId(person), monitor, now)
            for person, monitor in config.people.monitor.items()
            if agent is None or _listens_to(monitor, agent)
        ]
        return {"monitors": found, "questions_to": list(config.regulation.regulation.questions_to)}

    return {"monitors": monitors}


def _listens_to(monitor: Monitor, agent: str) -> bool:
    return "listen" in monitor.may and ("*" in monitor.agents or agent in monitor.agents)


def _row(config: Config, person: PersonId, monitor: Monitor, now: datetime) -> Row:
    """One person; whether he can do anything of it today, and if not, why."""
    lacks = grant_lacks(monitor, person, now.date())
    because = lacks.code if lacks else ""
    if not because and "listen" in monitor.may:
        refused = cannot_listen(config, person, now)
        because = refused.code if refused else "" if monitor.code_hash else "no-code"
    expires = monitor.expires.after(monitor.granted) if monitor.granted else None
    return {
        "person": person,
        "capacity": monitor.capacity,
        "client": monitor.client,
        "may": list(monitor.may),
        "purposes": list(monitor.purposes),
        "modes": list(monitor.modes),
        "agents": list(monitor.agents),
        "granted_by": monitor.granted_by,
        "expires": expires.isoformat() if expires else None,
        "usable": not because,
        "because": because,
    }
