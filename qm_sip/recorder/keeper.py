"""The keeper: turns what calls say into rows of the catalog and work for the renderers.

Calls speak in monotonic seconds; the catalog keeps wall time in UTC, read once at the start as a pair
with the monotonic clock, so that a step of the wall clock cannot bend a call.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

from qm_sip.call.words import (
    ClearPreset,
    CloseRecording,
    CloseSession,
    CondemnRecording,
    CountConfidential,
    DestroyFailed,
    DestroyRecording,
    DropRecording,
    FinishRow,
    ForgetCall,
    KeeperEvent,
    Listening,
    LoseRecording,
    NoteDecision,
    NoteObjection,
    NoteParty,
    NotePrivate,
    NoteSession,
    NoteSpans,
    NoteTold,
    NoteTransfer,
    OpenRecording,
    OpenRow,
    OpenSession,
    RecordingDestroyed,
    RecordingFailed,
    RecordingOpened,
    RowFailed,
    RowOpened,
    SessionFailed,
    SessionOpened,
    SetPreset,
    Word,
)
from qm_sip.config import Config
from qm_sip.policy.facts import CallFacts, CallId, Digest, Party, Role, Version
from qm_sip.recorder.backlog import Backlog, Change
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.finish import RETRY_FIRST, RETRY_MOST, Finisher
from qm_sip.recorder.pool import StorageTrouble
from qm_sip.recorder.rows import CallRow, Objection, PartyRow, PresetRow, RecordingRow, SessionRow
from qm_sip.recorder.writer import is_storage_trouble

log = logging.getLogger(__name__)

NOTICE_AFTER = timedelta(days=1)  # until regulation.toml says it


class CatalogKeeper:
    """See the module's docstring. Used from the event loop only; `on_kept` is called there."""

    def __init__(
        self,
        catalog: Catalog,
        finisher: Finisher,
        settings: Callable[[], Config],
        run: str,
        on_kept: Callable[[KeeperEvent], None],
    ) -> None:
        self._catalog, self._finisher, self._settings, self._run = catalog, finisher, settings, run
        self._on_kept = on_kept
        self.counts: Counter[str] = Counter()  # outcomes and failures since the start: what `status` shows
        self._loop = asyncio.get_running_loop()
        self._wall, self._mono = datetime.now(UTC), time.monotonic()
        self._party: dict[CallId, CallFacts] = {}
        self._backlog = Backlog(self._loop)
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, word: Word) -> None:
        self._count(word)
        match word:
            case OpenRow():
                self._open_row(word)
            case NoteDecision():
                at = self._at(word.at)
                self._watch(
                    lambda: self._catalog.record_decision(
                        word.call, word.decision, at, word.about, patient=True
                    )
                )
            case NoteTold():
                party = self._told_party(word.call)
                self._watch(lambda: self._catalog.add_told(word.call, party, word.told, patient=True))
            case NoteParty():
                row = self._party_row(word.party, None)
                self._watch(lambda: self._catalog.add_party(word.call, row))
            case NoteTransfer():
                self._watch(lambda: self._catalog.add_transfer(word))
            case NoteSpans():
                self._watch(lambda: self._catalog.add_spans(word.call, word.spans, patient=True))
            case FinishRow():
                self._finish_row(word)
            case CountConfidential():
                today = datetime.now(UTC).date()
                self._watch(lambda: self._catalog.count_confidential(today))
            case ForgetCall():
                self._party.pop(word.call, None)
                today = datetime.now(UTC).date()
                self._watch(lambda: self._catalog.forget_confidential(word.call, today))
            case NoteObjection():
                self._note_objection(word)
            case NotePrivate():
                self._watch(
                    lambda: self._catalog.note_private(
                        word.call, word.since_ms, word.cut_ms, word.path, word.direct_ms
                    )
                )
            case OpenSession() | NoteSession() | CloseSession() | SetPreset() | ClearPreset():
                self._keep_listening(word)
            case _:
                self._keep_recording(word)

    def _note_objection(self, word: NoteObjection) -> None:
        """One row for each use: recording and listening are two objections (WP-26)."""
        since = self._at(word.at)
        for use in sorted(word.uses):
            objection = Objection(word.party, use, word.how, since)
            self._watch(lambda objection=objection: self._catalog.add_objection(word.call, objection))  # type: ignore[misc]

    def _keep_listening(
        self, word: OpenSession | NoteSession | CloseSession | SetPreset | ClearPreset
    ) -> None:
        match word:
            case OpenSession():
                self._open_session(word.row)
            case NoteSession():
                self._note_session(word)
            case CloseSession():
                self._close_session(word)
            case SetPreset():
                row = PresetRow(word.person, word.device, word.mode, word.until)
                self._watch(lambda: self._catalog.set_preset(row))
            case ClearPreset():
                self._watch(lambda: self._catalog.clear_preset(word.person, word.device))

    def _open_session(self, asked: Listening) -> None:
        """Nobody listens before it is on disk who does, to whom and why."""
        row = SessionRow(
            id=asked.session,
            agent=asked.agent,
            monitor=asked.monitor,
            account=asked.account,
            device=asked.device,
            capacity=asked.capacity,
            purpose=asked.purpose,
            requested=self._at(asked.requested),
            decided=self._at(asked.decided),
            allowed=asked.allowed,
            reasons=asked.reasons,
            call=asked.call,
            plan=asked.plan,
            grant=asked.grant,
        )
        self._tell(
            lambda: self._catalog.open_session(row),
            SessionOpened(asked.session, asked.call),
            lambda error: SessionFailed(asked.session, asked.call, type(error).__name__),
        )

    def _note_session(self, word: NoteSession) -> None:
        times = {"notice_began": word.notice_began, "notice_ended": word.notice_ended, "first": word.first}
        facts: dict[str, Any] = {name: self._at(time) for name, time in times.items() if time is not None}
        if word.call is not None:
            facts["call"] = word.call
        self._watch(lambda: self._catalog.update_session(word.session, **facts))

    def _close_session(self, word: CloseSession) -> None:
        """Whoever was listened to is told so afterwards, within what regulation.toml says (FAQ-A.8)."""
        closed = self._at(word.at)
        last = None if word.last is None else self._at(word.last)
        due = self._notice_after(closed) if last is not None else None
        self._watch(
            lambda: self._catalog.close_session(
                word.session, closed, word.ended_by, last=last, heard_ms=word.heard_ms, notice_due=due
            )
        )

    def _notice_after(self, closed: datetime) -> datetime:
        notices = getattr(self._settings().regulation, "notices", None)
        return notices.agent_after.after(closed) if notices is not None else closed + NOTICE_AFTER

    def _count(self, word: Word) -> None:
        """A failure is an outcome, a log line, and a number that an administrator can watch (I9).

        Confidential calls are not counted here: a number that is watched would tell the minute of each (I8).
        """
        if isinstance(word, FinishRow):
            self.counts[f"calls_{word.outcome}"] += 1
        elif isinstance(word, LoseRecording):
            self.counts["recordings_lost"] += 1
        elif isinstance(word, DropRecording):
            self.counts["recordings_dropped"] += 1

    def _keep_recording(self, word: Word) -> None:
        match word:
            case OpenRecording():
                self._open_recording(word)
            case CloseRecording():
                ended = self._at(word.closed.last_ns / 1e9) if word.closed.last_ns else None
                self._render(word.recording, ended, word.closed.reason)
            case LoseRecording():
                self._render(word.recording, None, word.reason)
            case DropRecording():
                self._watch(lambda: self._catalog.failed(word.recording, word.reason))
            case CondemnRecording():
                self._spawn(self._condemn(word))
            case DestroyRecording():
                self._spawn(self._destroy(word))

    async def _condemn(self, word: CondemnRecording) -> None:
        try:
            await self._finisher.condemn(word.recording, word.reason)
        except OSError as error:
            self._complain(error)

    async def _destroy(self, word: DestroyRecording) -> None:
        """Say so when it is done. If it cannot be done, say that, and try again until it is."""
        delay, said = RETRY_FIRST, False
        while True:
            try:
                await self._finisher.destroy(word.recording, word.reason)
                break
            except (OSError, sqlite3.Error, StorageTrouble) as error:
                self._complain(error)
                if not said:
                    self._on_kept(DestroyFailed(word.call, word.recording, type(error).__name__))
                said = True
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST)
        self.counts["recordings_destroyed"] += 1
        self._on_kept(RecordingDestroyed(word.call, word.recording))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------- rows

    def _open_row(self, word: OpenRow) -> None:
        facts = word.facts
        self._party[facts.call] = facts
        parties = [self._party_row(party, facts.language) for party in facts.parties]
        row = CallRow(facts, self._run, zone=str(datetime.now().astimezone().tzinfo), parties=parties)

        def open_call() -> Future[None]:
            return self._catalog.open_call(row)

        def failed(error: BaseException) -> RowFailed:
            """The call goes on unrecorded; its row, which says so, comes when there is room."""
            if is_storage_trouble(error):
                self._backlog.keep(open_call, self._complain, error)
            return RowFailed(facts.call, type(error).__name__)

        if self._backlog.trouble is not None:
            self._watch(open_call)  # before anything else the call says
            self._loop.call_soon(self._on_kept, RowFailed(facts.call, "no-room"))
            return
        self._tell(open_call, RowOpened(facts.call), failed)

    def _finish_row(self, word: FinishRow) -> None:
        self._party.pop(word.call, None)
        ended = self._at(word.ended)
        self._watch(
            lambda: self._catalog.finish_call(word.call, ended, word.spans, word.reasons, patient=True)
        )

    def _open_recording(self, word: OpenRecording) -> None:
        facts = self._party.get(word.call)
        row = RecordingRow(
            id=word.recording,
            call=word.call,
            decision=word.decision,
            party=word.agent.id if word.agent else "",
            person=word.agent.person if word.agent else None,
            started=self._at(time.monotonic()),
            regulation=facts.regulation if facts else Version(""),
            announcement=tuple(Digest(told.prompt) for told in word.told if told.prompt),
            recipients=word.recipients,
            draw=word.decision.draw,
            seed=word.decision.seed,
        )
        self._tell(
            lambda: self._catalog.open_recording(row),
            RecordingOpened(word.call, word.recording),
            lambda error: RecordingFailed(word.call, word.recording, type(error).__name__),
        )

    def _party_row(self, party: Party, language: str | None) -> PartyRow:
        """A party with what people.toml says of the person: manager, notice, population (section 3A)."""
        agent = self._settings().people.agent.get(party.person) if party.person else None
        if agent is None:
            return PartyRow(party, language=language)
        return PartyRow(
            party,
            language=language,
            manager=agent.manager or None,  # type: ignore[arg-type]
            notice_version=agent.notice.version or None,
            population=agent.reason or None,
            confidential_scope=agent.confidential or None,
        )

    def _told_party(self, call: CallId) -> str:
        facts = self._party.get(call)
        outside = (party.id for party in facts.parties if party.outside) if facts else iter(())
        return next(outside, Role.CUSTOMER.value)

    # ---------------------------------------------------------------- futures

    def _tell(
        self, change: Change, done: KeeperEvent, failed: Callable[[BaseException], KeeperEvent]
    ) -> None:
        """Report on the event loop when the change is durable, or could not be made: a call waits for it."""
        if self._backlog.trouble is not None:
            self._loop.call_soon(self._report, done, failed, self._backlog.trouble)
            return

        def report(future: Future[Any]) -> None:
            self._loop.call_soon_threadsafe(self._report, done, failed, future.exception())

        change().add_done_callback(report)

    def _report(
        self,
        done: KeeperEvent,
        failed: Callable[[BaseException], KeeperEvent],
        error: BaseException | None,
    ) -> None:
        self._complain(error)
        self._on_kept(done if error is None else failed(error))

    def _watch(self, change: Change) -> None:
        """A change nobody waits for still must not fail silently, and waits for room itself."""
        self._backlog.make(change, self._complain, only_trouble=True)

    def _complain(self, error: BaseException | None) -> None:
        if error is None:
            return
        self.counts["catalog_errors"] += 1
        trace = None if is_storage_trouble(error) else error
        log.error("the catalog could not be written: %s", type(error).__name__, exc_info=trace)

    def _render(self, recording: str, ended: datetime | None, reason: str) -> None:
        """Render once the closed recording is in the catalog."""

        def start(error: BaseException | None) -> None:
            if error is None:
                self._finisher.start(recording)
            else:
                self._complain(error)

        self._backlog.make(lambda: self._catalog.close_recording(recording, ended, reason), start)

    async def stop(self) -> None:
        """Write what still waits, if there is room. What is not destroyed yet has its tomb."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._backlog.stop()

    def _at(self, monotonic: float) -> datetime:
        return self._wall + timedelta(seconds=monotonic - self._mono)
