"""At the start: bring whatever the last run left to its end. Doing it twice does no more than doing it once.

Order matters. Tombs come before everything (what was destroyed stays destroyed, I7). Then what killed
renderers left half written goes. Then every journal is settled by what its catalog row says and whether
its key is still there:

    row                  key     what happens
    open, closed         there   rendered like any other
    open, closed         gone    the power was cut: the journal is the sealed recording
    sealed               any     it was rendered; what is left of the journal goes
    failed, nothing kept any     there was nothing to render; the journal goes
    quarantined          any     set aside
    none, failed else    any     nobody decided about it: set aside

Last, rows whose journal is gone have failed, calls that were open have ended with a span `failed`, and sessions that
were open have ended too: an agent who was listened to is still owed his notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from qm_sip.call.spans import Span
from qm_sip.policy.facts import CallId, Reason, SpanState
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import PART, SEALED, Store
from qm_sip.recorder.finish import NOTHING_KEPT, Finisher
from qm_sip.recorder.rows import UNFINISHED, State

log = logging.getLogger(__name__)

SERVER_DIED = Reason("server-died", "I8")


@dataclass
class Recovered:
    """What was done. `rendering` are the renders that recovery began and did not wait for."""

    counts: Counter[str] = field(default_factory=Counter)
    rendering: list[asyncio.Task[State | None]] = field(default_factory=list)


async def recover(catalog: Catalog, store: Store, finisher: Finisher, *, wait: bool = False) -> Recovered:
    """Recover from whatever happened. Call it before the engine starts; rendering goes on behind it."""
    done = Recovered()
    for recording in list(store.found(".tomb")):
        await finisher.destroy(recording)  # for the reason that stands on it
        done.counts["destroyed"] += 1
    _remove_leftovers(catalog, store, done)
    written = {recording: store.journal(recording).stat().st_mtime for recording in store.found(".qmj")}
    for recording in list(store.found(".qmj")):
        done.counts[await _settle(recording, catalog, store, finisher, done)] += 1
    for recording in catalog.unfinished():
        done.counts[await _without_journal(recording, catalog, store)] += 1
    for call in catalog.open_calls():
        await _end_call(CallId(call), catalog, written)
        done.counts["calls-ended"] += 1
    for session in catalog.open_sessions():
        await _end_session(session, catalog)
        done.counts["sessions-ended"] += 1
    if wait:
        await asyncio.gather(*done.rendering)
    log.info("recovered: %s", dict(done.counts))
    return done


def _remove_leftovers(catalog: Catalog, store: Store, done: Recovered) -> None:
    """Remove half-written files, attempts that no row names, and keys of journals that are gone.

    A finished file without a row is left: it is not ours to judge.
    """
    for path in sorted(store.recordings.iterdir()):
        row = catalog.recording(path.name.split(".")[0])
        stale = row is not None and path.name.endswith(SEALED) and path.name != row.file
        if stale or path.name.endswith(PART):
            path.unlink(missing_ok=True)
            done.counts["leftovers-removed"] += 1
    for folder in (store.journals, store.quarantine):
        for path in folder.glob(f"*{PART}"):
            path.unlink(missing_ok=True)
    for key in sorted(store.keys.glob("*.key")):
        if not store.journal(key.stem).exists():
            key.unlink(missing_ok=True)
            done.counts["keys-removed"] += 1


async def _settle(recording: str, catalog: Catalog, store: Store, finisher: Finisher, done: Recovered) -> str:
    """Settle one journal; the name of what was done."""
    row = catalog.recording(recording)
    if row is not None and row.facts["reason"] == NOTHING_KEPT:
        store.destroy_journal(recording)
        return "journal-destroyed"
    if row is None or row.state in (State.QUARANTINED, State.FAILED):
        store.set_aside(recording)
        return "set-aside"
    if row.state is State.SEALED_JOURNAL:
        store.keep_as_sealed(recording)
        return "sealed-journal"
    if row.state not in UNFINISHED:
        store.destroy_journal(recording)
        return "journal-destroyed"
    if store.key(recording).exists():
        done.rendering.append(finisher.start(recording))
        return "rendering"
    await asyncio.wrap_future(catalog.sealed_journal(recording))
    store.keep_as_sealed(recording)
    return "sealed-journal"


async def _without_journal(recording: str, catalog: Catalog, store: Store) -> str:
    """An unfinished row: its journal is being rendered, or it never had one."""
    if store.journal(recording).exists():
        return "waiting"
    row = catalog.recording(recording)
    if row is None or row.state not in UNFINISHED:  # it was finished while we looked
        return "finished"
    await asyncio.wrap_future(catalog.failed(recording, "journal-missing"))
    return "journal-missing"


async def _end_call(call: CallId, catalog: Catalog, written: Mapping[str, float]) -> None:
    """A call of a dead run: the spans it had entered stand, the last as long as its journal was written (wall clock);
    from there it failed, nobody knows how long.
    """
    known = [
        Span(SpanState(row["state"]), row["from_ms"], row["to_ms"], row["reason"])
        for row in catalog.spans(call)
    ]
    end = known[-1].to_ms if known else 0
    if known and known[-1].state is SpanState.RECORDED:
        end = max(end, _last_written(call, catalog, written))
        known[-1] = replace(known[-1], to_ms=end)
    spans = [*known, Span(SpanState.FAILED, end, end, SERVER_DIED.code)]
    await asyncio.wrap_future(catalog.finish_call(call, None, spans, [SERVER_DIED]))


async def _end_session(session: str, catalog: Catalog) -> None:
    """A session of a dead run: nobody knows how long was listened, but if anybody heard anything the agent is told."""
    known, now = catalog.session(session), datetime.now(UTC)
    heard = known is not None and known.get("first") is not None
    due = now + timedelta(days=1) if heard else None
    await asyncio.wrap_future(catalog.close_session(session, now, SERVER_DIED.code, notice_due=due))


def _last_written(call: CallId, catalog: Catalog, written: Mapping[str, float]) -> int:
    """When the last chunk of the call's journals was written, in milliseconds from its start; 0 if they are gone."""
    told = catalog.explain(call)
    last = max((written.get(recording.id, 0.0) for recording in catalog.recordings_of(call)), default=0.0)
    if told is None or not last:
        return 0
    return round((last - datetime.fromisoformat(told["call"]["started"]).timestamp()) * 1000)
