"""Recordings for whoever may have them: `recordings`, `recording` (show, export), `verify`.

What goes out is always sealed: the server cannot open it (I6). Who asked, for what, and whether he got it is
in the catalog before anything goes out (KSF15-3.4, 0.12).
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qm_sip.control.permit import speaker
from qm_sip.control.requests import BadRequest, NotFound, count, word
from qm_sip.control.server import Reply
from qm_sip.control.telling import refusal
from qm_sip.errors import Refused
from qm_sip.policy.facts import PersonId
from qm_sip.policy.playback import Action, Playback, decide_playback
from qm_sip.recorder.files import Store, sha256_of
from qm_sip.recorder.permit import Permission, permit
from qm_sip.recorder.rows import Recording, State

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]
ACTIONS: dict[str, Action] = {"show": "play", "select": "play", "export": "export"}


def handlers(state: ServerState) -> dict[str, Handler]:
    playback = Recordings(state)
    return {"recordings": playback.recordings, "recording": playback.recording, "verify": playback.verify}


class Recordings:
    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def recordings(self, request: Row, peer: PeerCredentials) -> Row:
        """The newest recordings, without whose they are."""
        limit = count(request, "limit", 50, most=10_000)
        found = await asyncio.to_thread(self._state.catalog.recordings, limit)
        return {"recordings": [_listed(recording) for recording in found]}

    async def recording(self, request: Row, peer: PeerCredentials) -> Row | Reply:
        """One recording, for a person and a purpose: what is known of it, or the sealed file as well; or it is picked
        out to be evaluated (KSF15-0.7).
        """
        person, purpose = speaker(self._state.config, request, peer), word(request, "purpose")
        action = word(request, "action")
        if action not in ACTIONS:
            raise BadRequest(f"action must be one of {', '.join(ACTIONS)}")
        name = word(request, "recording")
        recording = await asyncio.to_thread(self._state.catalog.recording, name)
        await self._permit(person, purpose, action, name, recording)
        if recording is None:
            raise NotFound(f"no recording {name!r}: see `qm-sip recordings list`")
        if action == "select" and purpose not in recording.purposes:
            raise BadRequest("a recording is selected for a purpose that it was made for")
        if action == "select":
            at = datetime.now(UTC)
            await asyncio.wrap_future(self._state.catalog.select(name, purpose, at))
            return {"recording": name, "purpose": purpose, "selected": True}
        if action == "show":
            return await asyncio.to_thread(self._shown, recording)
        return Reply(_opening(recording, purpose), self._file(recording))

    async def _permit(
        self, person: PersonId, purpose: str, action: str, name: str, recording: Recording | None
    ) -> None:
        """Decide, and write down what was decided, whatever it was."""
        now, config = datetime.now(UTC), self._state.config
        answer: Permission | Playback
        if recording is None:
            # Nothing to hand out, but a stranger must not learn that from another answer than his own refusal.
            answer = decide_playback(
                config, person, purpose, ACTIONS[action], recorded_for={purpose}, destroy_by=None, now=now
            )
        else:
            answer = permit(config, recording, person, purpose, ACTIONS[action], now)
        if recording is not None:
            log = self._state.catalog.log_use(
                name, person, action, purpose, answer.allowed, [answer.reason], now
            )
            await asyncio.wrap_future(log)
        if not answer.allowed:
            reason = answer.reason
            text = refusal(reason.code, reason.requirement)
            if recording is not None and recording.state is State.DESTROYED:
                text = f"it was destroyed: {recording.facts['reason']} ({reason.requirement})"
            raise Refused(reason.code, text)

    async def verify(self, request: Row, peer: PeerCredentials) -> Row:
        """Whether the sealed file is there and is the one that was sealed. Opens nothing."""
        name = word(request, "recording")
        recording = await asyncio.to_thread(self._state.catalog.recording, name)
        if recording is None:
            raise NotFound(f"no recording {name!r}: see `qm-sip recordings list`")
        problem = await asyncio.to_thread(self._problem, recording)
        because = recording.facts["reason"]
        return {
            "recording": name,
            "state": recording.state,
            "ok": not problem,
            "problem": problem,
            "because": because,
        }

    def _problem(self, recording: Recording) -> str:
        """What is wrong with a recording's file; empty if nothing is."""
        if recording.state is State.DESTROYED:
            return self._left_over(recording)
        if recording.state not in (State.SEALED, State.SEALED_JOURNAL):
            return "" if recording.state is State.FAILED else f"it is {recording.state}"
        try:
            digest = sha256_of(self._file(recording))
        except OSError as error:
            return f"the file cannot be read: {error.strerror}"
        if recording.state is State.SEALED and digest != recording.sealed_sha256:
            return "the file is not the one that was sealed"
        return ""

    def _left_over(self, recording: Recording) -> str:
        """Destroyed means: no wrapped key, and no file of it anywhere."""
        if recording.wrapped or self._store().remains(recording.id):
            return "it was destroyed, and something of it is still there"
        return ""

    def _store(self) -> Store:
        storage = self._state.config.server.storage
        return Store(storage.directory, storage.key_directory)

    def _file(self, recording: Recording) -> Path:
        store = self._store()
        if recording.state is State.SEALED_JOURNAL:
            return store.sealed_journal(recording.id)
        if recording.state is State.SEALED and recording.file:
            return store.sealed(Path(recording.file).name)
        raise NotFound(f"this recording has no sealed file: it is {recording.state}")

    def _shown(self, recording: Recording) -> Row:
        purposes = [
            {
                "purpose": row["purpose"],
                "ground_agent": row["ground_agent"],
                "ground_customer": row["ground_customer"],
                "destroy_by": row["destroy_by"],
            }
            for row in self._state.catalog.purposes(recording.id)
        ]
        return _listed(recording) | {
            "agent": recording.person,
            "started": recording.started.isoformat() if recording.started else None,
            "cause": recording.facts["cause"],
            "regulation": recording.regulation,
            "announcement": list(recording.announcement),
            "purposes": purposes,
            "lost_packets": recording.facts["lost"],
            "gaps": json.loads(recording.facts["gaps"] or "[]"),
            "sha256": recording.sha256,
            "sealed_sha256": recording.sealed_sha256,
        }


def _opening(recording: Recording, purpose: str) -> Row:
    """What the holder of a key needs to open the file."""
    return {
        "recording": recording.id,
        "state": recording.state,
        "purpose": purpose,
        "wrapped": recording.wrapped.get(purpose),
        "sha256": recording.sha256,
        "sealed_sha256": recording.sealed_sha256,
    }


def _listed(recording: Recording) -> Row:
    facts = recording.facts
    rate = facts["rate"]
    return {
        "recording": recording.id,
        "call": recording.call,
        "state": recording.state,
        "class": recording.cls,
        "purposes": sorted(recording.purposes),
        "destroy_by": {
            purpose: until.date().isoformat() for purpose, until in recording.purposes.items() if until
        },
        "seconds": facts["frames"] / rate if rate else None,
        "bytes": facts["bytes"],
        "restricted": recording.restricted,
        "because": facts["reason"],
    }
