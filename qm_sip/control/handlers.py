"""The answers to the command line's requests (docs/control.md has their shapes).

Default answers hold no number, name or address of anybody; who phoned whom is for the privacy officer only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from qm_sip.announce.needs import uses_of
from qm_sip.announce.prompts import PromptLibrary, describe
from qm_sip.call.words import Word
from qm_sip.config import Config, Line
from qm_sip.control import (
    authorised,
    drawing,
    history,
    monitoring,
    playback,
    private,
    retention,
    steering,
    tracing,
)
from qm_sip.control.server import Handler, PeerCredentials
from qm_sip.policy.facts import PersonId
from qm_sip.policy.grants import grant_lacks
from qm_sip.policy.playback import decide_playback
from qm_sip.privateline.presets import Presets
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.reaper import Reaper
from qm_sip.trace.tap import Tap

Answer = dict[str, Any]


class ServerState(steering.Steered, Protocol):
    """What the running server shows of itself. `config` and `library` are replaced by a reload."""

    @property
    def library(self) -> PromptLibrary: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def started(self) -> datetime: ...

    @property
    def reaper(self) -> Reaper: ...

    @property
    def presets(self) -> Presets: ...

    @property
    def tap(self) -> Tap | None:
        """Whoever looks at signalling; None: nothing is traced."""

    @property
    def asterisk(self) -> str:
        """How it stands with Asterisk's manager, in one line."""

    def keep(self, word: Word) -> None:
        """Have something written down."""

    def live_calls(self) -> Sequence[Mapping[str, Any]]:
        """Running calls: {call, line, state, seconds}. None of them confidential."""

    def live_taps(self) -> Sequence[Mapping[str, Any]]:
        """Open taps: {tap, call, use, purposes, seconds, paused}."""

    def counts(self) -> Mapping[str, int]:
        """Outcomes and failures since the start, and how many SIP legs there are."""

    async def reload(self) -> None:
        """Read the files again; on a ConfigError the old settings stay in force."""


def handlers(state: ServerState) -> dict[str, Handler]:
    """Every request the server answers."""
    live = Live(state)
    return {
        "status": live.status,
        "taps": live.taps,
        "lines": live.lines,
        "people": live.people,
        "prompts": live.prompts,
        "keys": live.keys,
        "reload": live.reload,
        **history.handlers(state),
        **playback.handlers(state),
        **retention.handlers(state),
        **private.handlers(state),
        **monitoring.handlers(state),
        **authorised.handlers(state),
        **drawing.handlers(state),
        **steering.handlers(state),
        **tracing.handlers(state),
    }


class Live:
    """What is in force and what runs, now."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def status(self, request: Answer, peer: PeerCredentials) -> Answer:
        config = self._state.config
        return {
            "started": self._state.started.isoformat(),
            "calls": len(self._state.live_calls()),
            "taps": len(self._state.live_taps()),
            "prompts": len(self._state.library),
            "regulation": config.regulation.regulation.version,
            "regulation_status": config.regulation.regulation.status,
            "regulation_lacks": config.regulation.regulation.lacks(datetime.now(UTC).date()),
            "asterisk": self._state.asterisk,
            "versions": config.versions._asdict(),
            "overdue": await self._state.reaper.overdue(datetime.now(UTC)),
            "counts": dict(self._state.counts()),
        }

    async def taps(self, request: Answer, peer: PeerCredentials) -> Answer:
        return {"taps": [dict(tap) for tap in self._state.live_taps()]}

    async def lines(self, request: Answer, peer: PeerCredentials) -> Answer:
        return {"lines": [_line(name, line) for name, line in self._state.config.lines.line.items()]}

    async def people(self, request: Answer, peer: PeerCredentials) -> Answer:
        config, now = self._state.config, datetime.now(UTC)
        people = config.people
        agents = [
            {
                "person": person,
                "role": "agent",
                "monitorable": agent.monitorable,
                "notice": agent.notice.version,
                "devices": len(agent.extensions),
                "because": agent.reason,
            }
            for person, agent in people.agent.items()
        ]
        monitors = [
            {
                "person": person,
                "role": "monitor",
                "may": list(monitor.may),
                "purposes": list(monitor.purposes),
                **_usable(config, PersonId(person), monitor.purposes, now),
            }
            for person, monitor in people.monitor.items()
        ]
        return {"agents": agents, "monitors": monitors}

    async def prompts(self, request: Answer, peer: PeerCredentials) -> Answer:
        return {"prompts": [describe(prompt) for prompt in self._state.library]}

    async def keys(self, request: Answer, peer: PeerCredentials) -> Answer:
        config = self._state.config
        lines = config.lines.line
        used = {name: {p for p in line.purposes if uses_of(line)} for name, line in lines.items()}
        purposes = set(config.server.keys) | {p for wanted in used.values() for p in wanted}
        return {
            "keys": [
                {
                    "purpose": purpose,
                    "recipients": list(config.recipients(purpose)),
                    "lines": [name for name, wanted in used.items() if purpose in wanted],
                }
                for purpose in sorted(purposes)
            ]
        }

    async def reload(self, request: Answer, peer: PeerCredentials) -> Answer:
        await self._state.reload()
        return {"reloaded": True, **self._state.config.versions._asdict()}


def _usable(config: Config, person: PersonId, purposes: Sequence[str], now: datetime) -> Answer:
    """Whether a grant works today, and if not, why."""
    monitor = config.people.monitor[person]
    if not purposes and not set(monitor.may) <= {"trace", "watch"}:
        return {"usable": False, "because": "no purposes"}
    if "play" not in monitor.may:
        lacks = grant_lacks(monitor, person, now.date())
        return {"usable": lacks is None, "because": lacks.code if lacks else ""}
    purpose = purposes[0]
    answer = decide_playback(
        config, person, purpose, "play", recorded_for={purpose}, destroy_by=None, now=now
    )
    return {"usable": answer.allowed, "because": "" if answer.allowed else answer.reason.code}


def _line(name: str, line: Line) -> Answer:
    """A line without its numbers: a private or confidential one would name somebody."""
    match = line.match.model_dump(exclude={"direction"})
    return {
        "line": name,
        "kind": line.kind,
        "capture": line.capture,
        "listen": line.listen,
        "purposes": list(line.purposes),
        "prompt": line.prompt,
        "languages": list(line.languages),
        "announce": line.announce,
        "controller": line.controller,
        "scope": line.scope,
        "matches": {kind: len(values) for kind, values in match.items() if values},
    }
