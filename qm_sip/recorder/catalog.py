"""The catalog: what is known of every call and recording, in SQLite, with who-and-when sealed.

Every change goes through one writer thread and is a Future that is done when the change is durable.
Reading is done on a connection of its own and returns plain data. The tables are drawn in `schema.py`. What is
forgotten, and how, is in `forgetting.py`; listening and private calls are in `sessions.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import date, datetime
from typing import Any

from qm_sip.call import spans as book
from qm_sip.call.spans import Span
from qm_sip.call.words import NoteTransfer
from qm_sip.errors import BrokenInvariant
from qm_sip.policy.facts import CallId, Decision, LineKind, Outcome, PersonId, Purpose, Reason, Told
from qm_sip.recorder.forgetting import Forgetting, advance, ended_purposes, gone
from qm_sip.recorder.jobs import RenderResult
from qm_sip.recorder.rows import UNFINISHED, CallRow, Objection, PartyRow, RecordingRow, State
from qm_sip.recorder.sessions import Sessions
from qm_sip.recorder.sql import Connection, insert, names, one, run, run_insert, update


class Catalog(Forgetting, Sessions):
    """Open with the path of the database and the host key. `readonly` is for a command beside a server."""

    # ------------------------------------------------------------------ calls

    def open_call(self, row: CallRow) -> Future[None]:
        """Enter a call; wait for it before the first final answer (I8). A confidential call has no row."""
        if row.facts.kind is LineKind.CONFIDENTIAL:
            raise BrokenInvariant("a confidential call was about to be entered in the catalog (I8)")
        parties = () if row.facts.kind is LineKind.EMERGENCY else row.all_parties()

        def change(db: Connection) -> None:
            self._insert_call(db, row)
            for party in parties:
                self._insert_party(db, row.facts.call, party)
                for told in party.party.told:
                    self._insert_told(db, row.facts.call, party.party.id, told, ())

        return self.submit(change)

    def _insert_call(self, db: Connection, row: CallRow) -> None:
        facts = row.facts
        who_and_when = {
            "started": facts.started,
            "ended": None,
            "zone": row.zone,
            "line": facts.line,
            "controller": facts.controller,
            "client": facts.client,
            "campaign": facts.campaign,
            "queue": facts.queue,
            "session_id": facts.session_id,
            "linkedid": facts.linkedid,
        }
        insert(
            db,
            "calls",
            {
                "id": facts.call,
                "run": row.run,
                "state": "open",
                "direction": facts.direction,
                "kind": facts.kind,
                "language": facts.language,
                "duty": facts.duty,
                "must_record": facts.must_record,
                "regulation": facts.regulation,
                "lines": facts.lines,
                "people": facts.people,
                "sealed": self._seal.seal("calls", facts.call, who_and_when),
            },
        )

    def add_party(self, call: CallId, row: PartyRow) -> Future[None]:
        """Enter a party that joined, or anew what is now known of one; not what it was told."""
        return self.submit(lambda db: self._insert_party(db, call, row))

    def _insert_party(self, db: Connection, call: CallId, row: PartyRow) -> None:
        party = row.party
        who_and_when = {
            "address": party.address,
            "person": party.person,
            "device": party.device,
            "manager": row.manager,
            "mandated_by": party.mandated_by,
            "joined": party.joined,
            "left": party.left,
        }
        columns = {
            "call": call,
            "party": party.id,
            "role": party.role,
            "outside": party.outside,
            "known_by": party.known_by,
            "language": row.language,
            "notice_version": row.notice_version,
            "population": row.population,
            "confidential_scope": row.confidential_scope,
            "sealed": self._seal.seal("parties", f"{call}/{party.id}", who_and_when),
        }
        insert(db, "parties", columns, replace=True)

    def add_told(
        self,
        call: CallId,
        party: str,
        told: Told,
        receipts: Sequence[Any] = (),
        *,
        patient: bool = False,
    ) -> Future[None]:
        """Enter what a party has been told; `receipts` are the RTCP receiver reports of that time."""

        def change(db: Connection) -> None:
            self._insert_told(db, call, party, told, receipts)

        return self.submit(change, patient=patient)

    def _insert_told(
        self, db: Connection, call: CallId, party: str, told: Told, receipts: Sequence[Any]
    ) -> None:
        when = {
            "identity": told.identity,
            "began": told.began,
            "ended": told.ended,
            "receipts": list(receipts),
        }
        columns = {
            "call": call,
            "party": party,
            "uses": names(told.uses),
            "purposes": names(told.purposes),
            "language": told.language,
            "how": told.how,
            "prompt": told.prompt,
            "document": told.document,
            "packets": told.packets,
            "sealed": self._seal.seal("told", call, when),
        }
        insert(db, "told", columns)

    def add_transfer(self, word: NoteTransfer) -> Future[None]:
        """Enter that somebody came in the place of another. The row names no more than their roles."""
        columns = {"call": word.call, "how": word.how, "gone": word.gone, "came": word.came}
        return self.submit(lambda db: run_insert(db, "transfers", {**columns, "at_ms": word.at_ms}))

    def add_objection(self, call: CallId, objection: Objection) -> Future[None]:
        """Enter that a party objects to one use."""
        sealed = self._seal.seal("objections", call, {"since": objection.since, "undone": None})
        columns = {"party": objection.party, "use": objection.use, "how": objection.how}
        row = {"call": call, **columns, "undone": 0, "sealed": sealed}
        return self.submit(lambda db: run_insert(db, "objections", row))

    def note_private(
        self, call: CallId, since_ms: int, cut_ms: int, path: str | None = None, direct_ms: int | None = None
    ) -> Future[None]:
        """Enter that the agent made the call private: since when, how far that reached back, where its media went; and
        which agent, for the proof is his, whoever he puts the call through to. Only the path and its time may be told
        anew.
        """
        columns = {"private_path": path, "private_direct_ms": direct_ms}
        first = {"private_since_ms": since_ms, "private_cut_ms": cut_ms}

        def change(db: Connection) -> None:
            if one(db, "select private_since_ms is not null from calls where id = ?", call):
                update(db, "calls", call, columns)
                return
            facts = self._seal.open("calls", call, one(db, "select sealed from calls where id = ?", call))
            sealed = self._seal.seal("calls", call, facts | {"private_by": self._agents(db, call)})
            update(db, "calls", call, columns | first | {"sealed": sealed})

        return self.submit(change)

    def _agents(self, db: Connection, call: CallId) -> list[str | None]:
        """Who is the agent of a call at this moment."""
        found = db.execute("select party, sealed from parties where call = ? and role = 'agent'", [call])
        return [self._seal.open("parties", f"{call}/{party}", sealed)["person"] for party, sealed in found]

    def record_decision(
        self,
        call: CallId,
        decision: Decision,
        at: datetime,
        about: str = "recording",
        *,
        patient: bool = False,
    ) -> Future[int]:
        """Enter a decision with its reasons, in order. `about`: what was asked (if-told, recording, new-agent)."""
        row = {
            "call": call,
            "about": about,
            "use": decision.use,
            "allowed": decision.allowed,
            "class": decision.cls,
            "cause": decision.recorded_cause,
            "plan": decision.plan,
            "purposes": names(purpose.name for purpose in decision.purposes),
            "sealed": self._seal.seal("decisions", call, {"at": at}),
        }

        def change(db: Connection) -> int:
            number = insert(db, "decisions", row)
            _insert_reasons(db, call, number, decision.reasons)
            return number

        return self.submit(change, patient=patient)

    def add_spans(self, call: CallId, spans: Sequence[Span], *, patient: bool = False) -> Future[None]:
        """Enter the spans so far: what a crash would otherwise take. `finish_call` replaces them, for good."""

        def change(db: Connection) -> None:
            if one(db, "select state from calls where id = ?", call) == "open":
                _replace_spans(db, call, spans)

        return self.submit(change, patient=patient)

    def finish_call(
        self,
        call: CallId,
        ended: datetime | None,
        spans: Sequence[Span],
        reasons: Sequence[Reason] = (),
        *,
        patient: bool = False,
    ) -> Future[Outcome]:
        """End a call. Its outcome follows from its spans, which must add up (I8)."""
        if not book.add_up(spans):
            raise BrokenInvariant("the spans of a call do not add up to its length (I8)")
        outcome, decisive = book.outcome(spans), book.heaviest(spans)
        given = list(reasons) or [Reason(decisive.reason, "")]

        def change(db: Connection) -> Outcome:
            found = db.execute("select state, sealed from calls where id = ?", [call]).fetchone()
            if found is None or found[0] != "open":
                raise BrokenInvariant("a call that is not open was ended")
            facts = {**self._seal.open("calls", call, found[1]), "ended": ended}
            columns = {"state": "ended", "outcome": outcome, "length_ms": spans[-1].to_ms}
            update(db, "calls", call, {**columns, "sealed": self._seal.seal("calls", call, facts)})
            _replace_spans(db, call, spans)
            _insert_reasons(db, call, None, given)
            return outcome

        return self.submit(change, patient=patient)

    # ------------------------------------------------------------- confidential

    def count_confidential(self, day: date) -> Future[None]:
        """Count a confidential call: the one thing that is ever kept of it (I8)."""
        return self.submit(lambda db: _count_confidential(db, day))

    def forget_confidential(self, call: CallId, day: date) -> Future[None]:
        """A call turned out to be confidential: forget that it was here, and count it. Its audio is not
        ours to forget: put a tomb beside its journals first."""

        def change(db: Connection) -> None:
            owned = "recording in (select id from recordings where call = ?)"
            for table in ("wrapped_keys", "purposes", "holds", "certificates", "uses"):
                db.execute(f"delete from {table} where {owned}", [call])
            db.execute("delete from uses where recording = ?", [call])
            for table in (
                "sessions",
                "recordings",
                "reasons",
                "decisions",
                "transfers",
                "spans",
                "objections",
                "told",
                "parties",
            ):
                db.execute(f"delete from {table} where call = ?", [call])
            db.execute("delete from calls where id = ?", [call])
            _count_confidential(db, day)

        return self.submit(change)

    # --------------------------------------------------------------- recordings

    def open_recording(self, row: RecordingRow) -> Future[None]:
        """Enter a recording, before its first sample: class, purposes, grounds, cause, versions (I3)."""
        when = {"person": row.person, "started": row.started, "ended": None}
        columns = {
            "id": row.id,
            "call": row.call,
            "party": row.party,
            "class": row.decision.cls,
            "cause": row.decision.recorded_cause,
            "plan": row.decision.plan,
            "draw": row.draw,
            "seed": row.seed,
            "regulation": row.regulation,
            "announcement": json.dumps(list(row.announcement)),
            "state": State.OPEN,
            "tries": 0,
            "restricted": 0,
            "held": 0,
            "derived_from": row.derived_from,
            "sealed": self._seal.seal("recordings", row.id, when),
        }
        missing = [p.name for p in row.decision.purposes if not row.recipients.get(p.name)]
        if missing or not row.decision.purposes:
            raise BrokenInvariant("a recording without recipients for each of its purposes was opened (I6)")

        def change(db: Connection) -> None:
            insert(db, "recordings", columns)
            for purpose in row.decision.purposes:
                self._insert_purpose(db, row.id, purpose, row.recipients[purpose.name])

        return self.submit(change)

    def _insert_purpose(self, db: Connection, recording: str, purpose: Purpose, to: Sequence[str]) -> None:
        ground = {str(kind): text for kind, text in purpose.ground.items()}
        clocks = {
            "destroy_by": purpose.destroy_by,
            "select_by": purpose.select_by,
            "evaluate_by": purpose.evaluate_by,
        }
        columns = {
            "recording": recording,
            "purpose": purpose.name,
            "ground_agent": ground.get("agent"),
            "ground_customer": ground.get("customer"),
            "balancing": purpose.balancing,
            "recipients": json.dumps(list(to)),
            "sealed": self._seal.seal("purposes", f"{recording}/{purpose.name}", clocks),
        }
        insert(db, "purposes", columns)

    def close_recording(self, recording: str, ended: datetime | None, reason: str) -> Future[None]:
        """The journal is whole and waits to be rendered. One that was destroyed meanwhile stays destroyed."""

        def change(db: Connection) -> None:
            sealed = one(db, "select sealed from recordings where id = ?", recording)
            facts = {**self._seal.open("recordings", recording, sealed), "ended": ended}
            columns = {"ended_by": reason, "sealed": self._seal.seal("recordings", recording, facts)}
            if not gone(db, recording):
                advance(db, recording, State.CLOSED, {State.OPEN}, columns)

        return self.submit(change)

    def rendered(self, result: RenderResult) -> Future[None]:
        """The sealed file is on the disk. Only once this Future is done may the journal be destroyed."""
        columns = {
            "file": result.output,
            "bytes": result.bytes,
            "sha256": result.sha256,
            "sealed_sha256": result.sealed_sha256,
            "frames": result.frames,
            "rate": result.rate,
            "packets": result.packets,
            "lost": result.lost,
            "gaps": json.dumps(list(result.gaps)),
        }

        def change(db: Connection) -> None:
            advance(db, result.recording, State.SEALED, set(UNFINISHED), columns)
            ended = ended_purposes(db, result.recording)
            for purpose, wrapped in result.wrapped.items():
                if purpose in ended:
                    continue
                insert(
                    db,
                    "wrapped_keys",
                    {"recording": result.recording, "purpose": purpose, "wrapped": wrapped},
                )

        return self.submit(change)

    def tried(self, recording: str) -> Future[None]:
        """Count a try to render."""
        return self.submit(
            lambda db: run(db, "update recordings set tries = tries + 1 where id = ?", recording)
        )

    def sealed_journal(self, recording: str) -> Future[None]:
        """The journal's key died with the power: the journal itself is the sealed recording (I7)."""
        return self._end(recording, State.SEALED_JOURNAL, "key-gone", set(UNFINISHED))

    def failed(self, recording: str, reason: str) -> Future[None]:
        """Nothing was kept, or what was kept is gone."""
        return self._end(recording, State.FAILED, reason, set(UNFINISHED))

    def quarantined(self, recording: str, reason: str) -> Future[None]:
        """Renderers failed on it; the journal is set aside for its recipients."""
        return self._end(recording, State.QUARANTINED, reason, set(UNFINISHED))

    def _end(self, recording: str, state: State, reason: str, before: set[State]) -> Future[None]:
        def change(db: Connection) -> None:
            if not gone(db, recording):
                advance(db, recording, state, before, {"reason": reason})

        return self.submit(change)

    # --------------------------------------------------------------------- uses

    def log_use(
        self,
        recording: str,
        person: PersonId | str,
        action: str,
        purpose: str,
        allowed: bool,
        reasons: Sequence[Reason],
        at: datetime,
        note: str = "",
    ) -> Future[None]:
        """Enter that somebody used a recording, or was refused it (KSF15-3.4, 0.12). `note`: why, in his own words."""
        row = {
            "recording": recording,
            "action": action,
            "purpose": purpose,
            "allowed": allowed,
            "reasons": json.dumps([reason.code for reason in reasons]),
            "sealed": self._seal.seal(
                "uses", recording, {"person": person, "at": at} | ({"note": note} if note else {})
            ),
        }
        return self.submit(lambda db: run_insert(db, "uses", row))


def _replace_spans(db: Connection, call: str, spans: Sequence[Span]) -> None:
    db.execute("delete from spans where call = ?", [call])
    rows = [(call, i, s.state, s.from_ms, s.to_ms, s.reason) for i, s in enumerate(spans)]
    db.executemany("insert into spans values (?, ?, ?, ?, ?, ?)", rows)


def _insert_reasons(db: Connection, call: str, decision: int | None, reasons: Sequence[Reason]) -> None:
    for reason in reasons:
        row = {"call": call, "decision": decision, "code": reason.code, "requirement": reason.requirement}
        insert(db, "reasons", {**row, "tell": names(reason.tell)})


def _count_confidential(db: Connection, day: date) -> None:
    db.execute(
        "insert into confidential_counts values (?, 1) on conflict (day) do update set count = count + 1",
        [day.isoformat()],
    )
