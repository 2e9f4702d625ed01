"""A server's state for the control socket: real settings, prompts and catalog, two past calls and one now."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from qm_sip.announce.coverage import load_for
from qm_sip.announce.prompts import PromptLibrary
from qm_sip.call.spans import Span
from qm_sip.call.words import Word
from qm_sip.config import Config
from qm_sip.control.handlers import handlers
from qm_sip.control.server import ControlServer
from qm_sip.errors import Refused
from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    Cause,
    Decision,
    Digest,
    Direction,
    How,
    Kind,
    LineKind,
    Party,
    PersonId,
    Purpose,
    Reason,
    RecordingClass,
    Role,
    SpanState,
    Tell,
    Told,
    Use,
    Version,
)
from qm_sip.private import Private
from qm_sip.privateline.presets import Presets
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.jobs import RenderResult
from qm_sip.recorder.pool import RendererPool
from qm_sip.recorder.reaper import Reaper
from qm_sip.recorder.rows import CallRow, RecordingRow
from qm_sip.trace.tap import Tap
from tests.announce.site import RECIPIENT, load

NOW = datetime.now(UTC)
NUMBER = "+31612345678"
SECRETS = (NUMBER, "sip:1001", "linked-77", NOW.strftime("%H:%M"))
SEALED = b"ciphertext " * 1000


@dataclass
class State:
    """What `qm_sip.app` shows to the handlers."""

    home: Path
    config: Config
    library: PromptLibrary
    catalog: Catalog
    started: datetime = NOW
    reloads: int = 0
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    taps: list[Mapping[str, Any]] = field(default_factory=list)
    presets: Presets = field(default_factory=Presets)
    kept: list[Word] = field(default_factory=list)
    paused: bool = False
    asterisk: str = "heard"
    requested: bool = False
    sessions: list[Mapping[str, Any]] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    tap: Tap | None = None

    def __post_init__(self) -> None:
        self.store = Store(self.config.server.storage.directory, self.config.server.storage.key_directory)
        self.store.prepare()
        finisher = Finisher(self.catalog, self.store, RendererPool())
        self.reaper = Reaper(self.catalog, self.store, finisher, lambda: self.config)

    def keep(self, word: Word) -> None:
        self.kept.append(word)

    def pause(self, call: str, *, on: bool) -> bool | None:
        """c3 is recorded."""
        if call != "c3":
            return None if call != "c2" else False
        before, self.paused = self.paused, on
        return on or before

    def request_recording(self, call: str, agent: PersonId) -> bool | None:
        """c3 is a1's, on a line that records at his request; c2 was his too."""
        if call not in ("c2", "c3"):
            return None
        if agent != "a1":
            raise Refused("not-your-call", "only the agent")
        self.requested = self.requested or call == "c3"
        return call == "c3"

    def listen(self, monitor: PersonId, extension: str, purpose: str) -> str:
        if not self.config.people.monitor[monitor].extensions:
            raise Refused("no-phone", "no phone")
        row = {"monitor": monitor, "agent": "a1", "purpose": purpose, "step": "asking", "seconds": 0.0}
        self.sessions.append({"session": f"s{len(self.sessions)}", **row})
        self.dialled.append(extension)
        return str(self.sessions[-1]["session"])

    def stop_listening(self, session: str) -> bool:
        before = len(self.sessions)
        self.sessions = [row for row in self.sessions if row["session"] != session]
        return len(self.sessions) < before

    def listeners(self) -> Sequence[Mapping[str, Any]]:
        return self.sessions

    def live_calls(self) -> Sequence[Mapping[str, Any]]:
        return self.calls

    def live_taps(self) -> Sequence[Mapping[str, Any]]:
        return self.taps

    def counts(self) -> Mapping[str, int]:
        return {"sip_legs": 2 * len(self.calls)}

    async def reload(self) -> None:
        config = load(self.home)
        self.config, self.library = config, load_for(config)
        self.reloads += 1


def make_state(home: Path) -> State:
    """A state with a finished recorded call c1 (recording r1), a blocked call c2 and a running call c3."""
    config = load(home)
    storage = config.server.storage
    state = State(
        home, config, load_for(config), Catalog(storage.directory / "catalog.db", secrets.token_bytes(32))
    )
    recorded_call(state, storage.directory)
    other_call(state, "c2", finished=True)
    other_call(state, "c3", finished=False)
    state.catalog.count_confidential(NOW.date()).result(5)
    state.calls = [{"call": "c3", "line": "support", "state": "talking", "seconds": 3.5}]
    state.taps = [
        {
            "tap": "r9",
            "call": "c3",
            "use": "record",
            "purposes": ["coaching"],
            "seconds": 1.5,
            "paused": False,
        }
    ]
    return state


def facts(call: str, line: str, config: Config) -> CallFacts:
    customer = Party("customer", Role.CUSTOMER, outside=True, address=Private(NUMBER))
    agent = Party(
        "agent", Role.AGENT, outside=False, person=PersonId("a1"), device="sip:1001", known_by="static"
    )
    return CallFacts(
        call=CallId(call),
        started=NOW,
        direction=Direction.INBOUND,
        line=line,
        kind=LineKind.CUSTOMER_FACING,
        controller="Voorbeeld Energie",
        client=None,
        campaign=None,
        queue=line,
        duty=None,
        must_record=False,
        parties=(customer, agent),
        language="nl",
        regulation=Version("sha256:r"),
        lines=config.versions.lines,
        people=config.versions.people,
        linkedid="linked-77",
    )


def decision(*, allowed: bool, reason: str) -> Decision:
    purpose = Purpose(
        "coaching", {Kind.AGENT: "b", Kind.CUSTOMER: "f"}, "balance-1", destroy_by=NOW + timedelta(days=60)
    )
    return Decision(
        use=Use.RECORD,
        allowed=allowed,
        cls=RecordingClass.QUALITY,
        purposes=(purpose,),
        cause=Cause.ALL,
        plan=None,
        reasons=(
            Reason(reason, "KSF15-0.2"),
            Reason("told-to-nobody", "KSF15-2.1l", frozenset({Tell.AGENT})),
        ),
    )


def recorded_call(state: State, directory: Path) -> None:
    catalog, call = state.catalog, CallId("c1")
    catalog.open_call(CallRow(facts("c1", "sales", state.config), run="run1")).result(5)
    told = Told(
        identity="Voorbeeld Energie",
        uses=frozenset({Use.RECORD}),
        purposes=frozenset({"coaching"}),
        language="nl",
        how=How.PROMPT,
        prompt=Digest("d" * 64),
        began=100.0,
        ended=105.8,
        packets=290,
    )
    catalog.add_told(call, "customer", told)
    yes = decision(allowed=True, reason="capture-all")
    catalog.record_decision(call, yes, NOW)
    row = RecordingRow(
        id="r1",
        call=call,
        decision=yes,
        party="agent",
        person=PersonId("a1"),
        started=NOW,
        regulation=Version("sha256:r"),
        announcement=(Digest("d" * 64),),
        recipients={"coaching": [RECIPIENT]},
    )
    catalog.open_recording(row).result(5)
    catalog.close_recording("r1", NOW, "hung-up").result(5)
    sealed(state, directory)
    spans = (
        Span(SpanState.TOLD, 0, 6000, "announcement"),
        Span(SpanState.RECORDED, 6000, 26000, "capture-all"),
    )
    catalog.finish_call(call, NOW, spans, [Reason("capture-all", "KSF15-0.2")]).result(5)


def sealed(state: State, directory: Path, data: bytes = SEALED) -> None:
    (directory / "recordings").mkdir(exist_ok=True)
    (directory / "recordings" / "r1.0.flac.age").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    state.catalog.rendered(
        RenderResult(
            recording="r1",
            output="r1.0.flac.age",
            bytes=len(data),
            sha256="e" * 64,
            sealed_sha256=digest,
            frames=160_000,
            rate=8000,
            packets=2000,
            lost=3,
            duplicates=0,
            anchors=1,
            unusable=0,
            gaps=[],
            ended="hung-up",
            cpu_seconds=0.1,
            wrapped={"coaching": "d3JhcHBlZA=="},
        )
    ).result(5)


def other_call(state: State, call: str, *, finished: bool) -> None:
    state.catalog.open_call(CallRow(facts(call, "support", state.config), run="run1")).result(5)
    no = decision(allowed=False, reason="not-told")
    state.catalog.record_decision(CallId(call), no, NOW).result(5)
    if finished:
        spans = (Span(SpanState.UNTOLD, 0, 2500, "announcement-not-completed"),)
        why = [
            Reason("announcement-not-completed", "KSF15-6.6a"),
            Reason("told-to-nobody", "KSF15-2.1l", frozenset({Tell.AGENT})),
        ]
        state.catalog.finish_call(CallId(call), NOW, spans, why).result(5)


@contextlib.contextmanager
def serving(state: State) -> Iterator[Path]:
    """The state behind a real control socket, on a thread and a uvloop of its own."""
    path = state.config.server.control.socket
    control = ControlServer(path, handlers(state))
    ready, loop = threading.Event(), uvloop.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        await control.start()
        ready.set()
        await stop.wait()
        await control.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield path
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
        state.catalog.close()
