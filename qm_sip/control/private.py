"""Private calls, for the agent whose they are: `private_on`, `private_status`, `private_proof`.

There is no way here to end what an agent set: that is done at his own phone (KSF15-3.9). Nobody else learns anything,
not even whether a call was private; that somebody asked is entered like every use of a recording.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from qm_sip.config import Config
from qm_sip.control.permit import speaker
from qm_sip.control.requests import BadRequest, word
from qm_sip.errors import Refused
from qm_sip.policy.facts import PersonId, Reason
from qm_sip.privateline.presets import PresetMode
from qm_sip.recorder.permit import INSPECTION

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]

OWN_CALL = Reason("own-call", "KSF15-3.9")
NOT_YOURS = Reason("not-your-call", "KSF15-3.9")


def handlers(state: ServerState) -> dict[str, Handler]:
    private = Private(state)
    return {"private_on": private.on, "private_status": private.status, "private_proof": private.proof}


class Private:
    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def on(self, request: Row, peer: PeerCredentials) -> Row:
        """The agent's next call is private, or all until he switches it off at his phone."""
        config = self._state.config
        person = _agent(config, speaker(config, request, peer))
        try:
            mode = PresetMode(request.get("mode", PresetMode.NEXT_CALL))
        except ValueError:
            raise BadRequest(f"mode must be one of {', '.join(PresetMode)}") from None
        until = config.lines.private.preset_max.after(datetime.now(UTC))
        self._state.keep(self._state.presets.set(person, None, mode, until))
        return self._said(person)

    async def status(self, request: Row, peer: PeerCredentials) -> Row:
        """What the agent has set beforehand."""
        config = self._state.config
        return self._said(_agent(config, speaker(config, request, peer)))

    def _said(self, person: PersonId) -> Row:
        preset = self._state.presets.active(person, None, datetime.now(UTC))
        return {
            "private": preset is not None,
            "mode": preset.mode.value if preset else None,
            "until": preset.until.isoformat() if preset else None,
        }

    async def proof(self, request: Row, peer: PeerCredentials) -> Row:
        """What was kept, heard and seen of a call after its agent made it private: for him alone."""
        person, call = speaker(self._state.config, request, peer), word(request, "call")
        known = await asyncio.to_thread(self._state.catalog.private_proof, call)
        yours = known is not None and person in known["agents"]
        if known is not None:
            reason, now = (OWN_CALL if yours else NOT_YOURS), datetime.now(UTC)
            log = self._state.catalog.log_use(call, person, "proof", INSPECTION, yours, [reason], now)
            await asyncio.wrap_future(log)
        if known is None or not yours:
            raise Refused(NOT_YOURS.code, "this is for the agent of that call alone (KSF15-3.9)")
        return _proof(known)


def _agent(config: Config, person: PersonId) -> PersonId:
    if person not in config.people.agent:
        raise Refused("not-an-agent", "only an agent of people.toml makes his calls private")
    return person


def _proof(known: Row) -> Row:
    since, back = known["private_since_ms"], known["private_cut_ms"] or 0
    if since is None:
        return {"call": known["id"], "private": False}
    cut = max(0, since - back)
    return {
        "call": known["id"],
        "private": True,
        "since": since / 1000,
        "cut_back": (since - cut) / 1000,
        "recorded_after": _recorded(known["spans"], cut) / 1000,
        "listened_after": _listened(known, since),
        "path": known["private_path"] or "here",
        "packets_end": None if known["private_direct_ms"] is None else known["private_direct_ms"] / 1000,
        "seconds": None if known["length_ms"] is None else known["length_ms"] / 1000,
    }


def _recorded(spans: Iterable[Row], since: int) -> int:
    """Milliseconds recorded after that instant."""
    kept = [span for span in spans if span["state"] == "recorded"]
    return sum(max(0, span["to_ms"] - max(span["from_ms"], since)) for span in kept)


def _listened(known: Row, since_ms: int) -> float:
    """Seconds listened after that instant."""
    since = datetime.fromisoformat(known["started"]) + timedelta(milliseconds=since_ms)
    heard = [(row.get("first"), row.get("last")) for row in known["sessions"]]
    times = [(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in heard if a and b]
    return sum(max(0.0, (end - max(begin, since)).total_seconds()) for begin, end in times)
