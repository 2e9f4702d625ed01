"""The catalog's share of forgetting: ending a purpose, destroying, holding, and taking who-and-when away.

What is destroyed leaves a certificate: which recording, for which purpose, by which rule, when. It names nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from qm_sip.errors import BrokenInvariant
from qm_sip.recorder.base import Base
from qm_sip.recorder.retention import RULES, Clock, EndedCall, Kept
from qm_sip.recorder.rows import State
from qm_sip.recorder.sql import Connection, insert, one, run, update

Row = dict[str, Any]

GONE = (State.DESTROYED, State.FAILED)  # nothing of it is left, but for a failed one that was set aside


class Forgetting(Base):
    """See the module's docstring."""

    # --------------------------------------------------------------- destroying

    def destroyed(
        self, recording: str, reason: str, at: datetime, rules: Mapping[str, str] | None = None
    ) -> Future[bool]:
        """Destroyed: whatever its state was, its wrapped keys go with it. False if it is not in the catalog.
        `rules`: by which rule each purpose ended, where that is another than the reason.
        """

        def change(db: Connection) -> bool:
            found = db.execute("select state from recordings where id = ?", [recording]).fetchone()
            run(db, "delete from wrapped_keys where recording = ?", recording)
            if found is None:
                return False
            if found[0] != State.DESTROYED:
                columns = {"reason": reason, "file": None, "held": 0}
                advance(db, recording, State.DESTROYED, set(State), columns)
                for purpose in purposes_left(db, recording):
                    self._certify(db, recording, purpose, (rules or {}).get(purpose, reason), at)
            return True

        return self.submit(change)

    def end_purpose(self, recording: str, purpose: str, rule: str, at: datetime) -> Future[None]:
        """A purpose has ended: its wrapped key goes, and nobody who has only that purpose's identity opens it any more.
        With the last one the recording itself must go: `destroyed`.
        """

        def change(db: Connection) -> None:
            left = purposes_left(db, recording)
            if left == [purpose]:
                raise BrokenInvariant("the last purpose of a recording ended, and the recording stayed")
            if purpose in left:
                run(db, "delete from wrapped_keys where recording = ? and purpose = ?", recording, purpose)
                self._certify(db, recording, purpose, rule, at)

        return self.submit(change)

    def _certify(self, db: Connection, recording: str, purpose: str, rule: str, at: datetime) -> None:
        sealed = self._seal.seal("certificates", recording, {"at": at})
        row = {"recording": recording, "purpose": purpose, "rule": rule, "sealed": sealed}
        insert(db, "certificates", row)

    def certificates(self, recording: str | None = None) -> list[Row]:
        """What was destroyed, in order."""
        only = " where recording = ?" if recording is not None else ""
        values = [recording] if recording is not None else []
        rows = self._rows(f"select * from certificates{only} order by id", *values)
        return list(self._opened("certificates", "recording", rows))

    # ------------------------------------------------------------------- clocks

    def select(self, recording: str, purpose: str, at: datetime) -> Future[None]:
        """Somebody picked it out for this purpose: it need not go for not being selected (KSF15-0.7)."""
        return self._note_clock(recording, purpose, "selected", at)

    def evaluate(self, recording: str, purpose: str, at: datetime) -> Future[None]:
        """It has been evaluated for this purpose: it goes (KSF15-4.9)."""
        return self._note_clock(recording, purpose, "evaluated", at)

    def _note_clock(self, recording: str, purpose: str, what: str, at: datetime) -> Future[None]:
        def change(db: Connection) -> None:
            where = "recording = ? and purpose = ?"
            sealed = one(db, f"select sealed from purposes where {where}", recording, purpose)
            bound = f"{recording}/{purpose}"
            clocks = self._seal.open("purposes", bound, sealed)
            if clocks.get(what) is None:
                again = self._seal.seal("purposes", bound, {**clocks, what: at})
                run(db, f"update purposes set sealed = ? where {where}", again, recording, purpose)

        return self.submit(change)

    def hold(
        self,
        recording: str,
        reason: str,
        *,
        approver: str,
        agreed: datetime,
        since: datetime,
        until: datetime,
    ) -> Future[None]:
        """Put off its destruction: for urgent reasons *and* with the agent's consent, which is `agreed` (KSF15-4.9)."""
        who_and_when = {"approver": approver, "agreed": agreed, "since": since, "until": until}
        row = {"recording": recording, "reason": reason, "ended": 0}

        def change(db: Connection) -> None:
            if gone(db, recording):
                raise BrokenInvariant("a recording that was destroyed was to be held")
            insert(db, "holds", {**row, "sealed": self._seal.seal("holds", recording, who_and_when)})
            update(db, "recordings", recording, {"held": 1})

        return self.submit(change)

    def release(self, recording: str) -> Future[None]:
        """The hold ends: its time is over, or the agent withdrew."""

        def change(db: Connection) -> None:
            run(db, "update holds set ended = 1 where recording = ?", recording)
            update(db, "recordings", recording, {"held": 0})

        return self.submit(change)

    def kept(self, *also: str) -> Iterator[Kept]:
        """Every recording of which something is left, with its clocks. `also`: failed ones that lie in quarantine."""
        marks = ", ".join("?" * len(GONE))
        sql = f"select id, restricted, held from recordings where state not in ({marks}) order by rowid"
        rows = self._rows(sql, *GONE)
        for recording in also:
            one_more = "select id, restricted, held from recordings where id = ? and state = ?"
            rows += self._rows(one_more, recording, State.FAILED)
        for row in rows:
            clocks = tuple(self._clocks(row["id"]))
            held_until = self._held_until(row["id"]) if row["held"] else None
            yield Kept(row["id"], clocks, held_until, bool(row["restricted"]))

    def _clocks(self, recording: str) -> Iterator[Clock]:
        sql = """select * from purposes where recording = ? and purpose not in
                 (select purpose from certificates where certificates.recording = purposes.recording)"""
        for row in self._opened("purposes", "recording/purpose", self._rows(sql, recording)):
            yield Clock(
                purpose=row["purpose"],
                destroy_by=datetime.fromisoformat(row["destroy_by"]),
                select_by=_time(row["select_by"]),
                evaluate_by=_time(row["evaluate_by"]),
                selected=_time(row.get("selected")),
                evaluated=_time(row.get("evaluated")),
            )

    def _held_until(self, recording: str) -> datetime | None:
        rows = self._rows("select * from holds where recording = ? and ended = 0", recording)
        times = [datetime.fromisoformat(row["until"]) for row in self._opened("holds", "recording", rows)]
        return max(times, default=None)

    # -------------------------------------------------------------- who and when

    def ended_calls(self) -> Iterator[EndedCall]:
        """Calls that are over and have not been forgotten, the oldest first."""
        sql = f"""
            select id, sealed,
              (select count(*) from recordings where recordings.call = calls.id
                 and recordings.state not in ({_quoted(GONE)})) as living,
              exists (select 1 from recordings join certificates on certificates.recording = recordings.id
                 where recordings.call = calls.id and certificates.rule in ({_quoted(RULES)})) as outlived
            from calls where state = 'ended' and length(sealed) > 0 order by rowid
        """
        for row in self._opened("calls", "id", self._rows(sql)):
            started = datetime.fromisoformat(row["started"])
            yield EndedCall(row["id"], started, row["living"], bool(row["outlived"]))

    def forget_call(self, call: str) -> Future[None]:
        """Take away who took part in a call and when. What was decided, and how long it took, stays; so do sessions."""
        of_gone = f"call = ? and state in ({_quoted(GONE)})"

        def change(db: Connection) -> None:
            run(db, "update calls set sealed = x'' where id = ? and state = 'ended'", call)
            for table in ("parties", "told", "objections", "decisions"):
                run(db, f"update [{table}] set sealed = x'' where call = ?", call)
            inner = f"recording in (select id from recordings where {of_gone})"
            run(db, f"update purposes set sealed = x'' where {inner}", call)
            run(db, f"update recordings set sealed = x'' where {of_gone}", call)

        return self.submit(change)


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def advance(
    db: Connection, recording: str, state: State, before: set[State], columns: Mapping[str, Any]
) -> None:
    """Move a recording to another state, from one it may come from."""
    now = State(one(db, "select state from recordings where id = ?", recording))
    if now not in before:
        raise BrokenInvariant(f"a recording that is {now} cannot become {state}")
    update(db, "recordings", recording, {"state": state, **columns})


def gone(db: Connection, recording: str) -> bool:
    """Whether it has been destroyed: what is said of it afterwards changes nothing."""
    return bool(one(db, "select state from recordings where id = ?", recording) == State.DESTROYED)


def ended_purposes(db: Connection, recording: str) -> set[str]:
    """Purposes of a recording that have ended."""
    return {row[0] for row in db.execute("select purpose from certificates where recording = ?", [recording])}


def purposes_left(db: Connection, recording: str) -> list[str]:
    """Purposes of a recording that have not ended."""
    ended = ended_purposes(db, recording)
    rows = db.execute("select purpose from purposes where recording = ? order by rowid", [recording])
    return [row[0] for row in rows if row[0] not in ended]
