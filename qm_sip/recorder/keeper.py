"""The keeper: turns what calls say into rows of the catalog and work for the renderers.

Calls speak in monotonic seconds; the catalog keeps wall time in UTC, read once at the start as a pair
with the monotonic clock, so that a step of the wall clock cannot bend a call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

from qm_sip.call.words import (
    CloseRecording,
    CountConfidential,
    DropRecording,
    FinishRow,
    KeeperEvent,
    LoseRecording,
    NoteDecision,
    NoteParty,
    NoteSpans,
    NoteTold,
    OpenRecording,
    OpenRow,
    RecordingFailed,
    RecordingOpened,
    RowFailed,
    RowOpened,
    Word,
)
from qm_sip.config import Config
from qm_sip.policy.facts import CallFacts, CallId, Digest, Party, Role, Version
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.rows import CallRow, PartyRow, RecordingRow

log = logging.getLogger(__name__)


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

    def keep(self, word: Word) -> None:
        self._count(word)
        match word:
            case OpenRow():
                self._open_row(word)
            case NoteDecision():
                self._watch(self._catalog.record_decision(word.call, word.decision, self._at(word.at)))
            case NoteTold():
                self._watch(self._catalog.add_told(word.call, self._told_party(word.call), word.told))
            case NoteParty():
                self._watch(self._catalog.add_party(word.call, self._party_row(word.party, None)))
            case NoteSpans():
                self._watch(self._catalog.add_spans(word.call, word.spans))
            case FinishRow():
                self._finish_row(word)
            case CountConfidential():
                self._watch(self._catalog.count_confidential(datetime.now(UTC).date()))
            case _:
                self._keep_recording(word)

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
                self._render(
                    word.recording, self._catalog.close_recording(word.recording, ended, word.closed.reason)
                )
            case LoseRecording():
                self._render(word.recording, self._catalog.close_recording(word.recording, None, word.reason))
            case DropRecording():
                self._watch(self._catalog.failed(word.recording, word.reason))

    # ---------------------------------------------------------------- rows

    def _open_row(self, word: OpenRow) -> None:
        facts = word.facts
        self._party[facts.call] = facts
        parties = [self._party_row(party, facts.language) for party in facts.parties]
        row = CallRow(facts, self._run, zone=str(datetime.now().astimezone().tzinfo), parties=parties)
        self._tell(
            self._catalog.open_call(row),
            RowOpened(facts.call),
            lambda error: RowFailed(facts.call, type(error).__name__),
        )

    def _finish_row(self, word: FinishRow) -> None:
        self._party.pop(word.call, None)
        self._watch(self._catalog.finish_call(word.call, self._at(word.ended), word.spans, word.reasons))

    def _open_recording(self, word: OpenRecording) -> None:
        facts = self._party.get(word.call)
        config = self._settings()
        row = RecordingRow(
            id=word.recording,
            call=word.call,
            decision=word.decision,
            party=word.agent.id if word.agent else "",
            person=word.agent.person if word.agent else None,
            started=self._at(time.monotonic()),
            regulation=facts.regulation if facts else Version(""),
            announcement=tuple(Digest(told.prompt) for told in word.told if told.prompt),
            recipients={purpose.name: config.recipients(purpose.name) for purpose in word.decision.purposes},
        )
        self._tell(
            self._catalog.open_recording(row),
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
        self, future: Future[Any], done: KeeperEvent, failed: Callable[[BaseException], KeeperEvent]
    ) -> None:
        """Report on the event loop when the change is durable, or could not be made."""

        def report(future: Future[Any]) -> None:
            error = future.exception()
            event = failed(error) if error else done
            self._loop.call_soon_threadsafe(self._report, event, error)

        future.add_done_callback(report)

    def _report(self, event: KeeperEvent, error: BaseException | None) -> None:
        if error is not None:
            self.counts["catalog_errors"] += 1
            log.error("the catalog could not be written: %s", type(error).__name__, exc_info=error)
        self._on_kept(event)

    def _watch(self, future: Future[Any]) -> None:
        """A change nobody waits for still must not fail silently."""

        def report(future: Future[Any]) -> None:
            error = future.exception()
            if error is not None:
                self.counts["catalog_errors"] += 1
                log.error("the catalog could not be written: %s", type(error).__name__, exc_info=error)

        future.add_done_callback(report)

    def _render(self, recording: str, future: Future[Any]) -> None:
        """Render once the closed recording is in the catalog."""

        def start(future: Future[Any]) -> None:
            error = future.exception()
            if error is not None:
                log.error("recording %s was not closed in the catalog", recording, exc_info=error)
            else:
                self._loop.call_soon_threadsafe(self._finisher.start, recording)

        future.add_done_callback(start)

    def _at(self, monotonic: float) -> datetime:
        return self._wall + timedelta(seconds=monotonic - self._mono)
