"""The catalog's share of listening and of private calls: sessions, presets, locks, draws, the private proof.

Whose a row is, is sealed; it is found again by a mark (`RowSeal.mark`), so that nobody reads in the file who listens
to whom, who goes private, or who mistyped a code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import date, datetime
from typing import Any

from qm_sip.recorder.base import Base
from qm_sip.recorder.rows import PresetRow, SessionRow
from qm_sip.recorder.sql import Connection, insert, one, run, run_insert, update

Row = dict[str, Any]

CLEAR = (
    "call",
    "ended_by",
    "heard_ms",
    "notice",
)  # columns of a session that may change; all else of it is sealed


class Sessions(Base):
    """See the module's docstring."""

    # ----------------------------------------------------------------- sessions

    def open_session(self, row: SessionRow) -> Future[None]:
        """Enter that somebody asked to listen, and what was decided; before the agent hears the notice."""
        who_and_when = {
            "agent": row.agent,
            "monitor": row.monitor,
            "account": row.account,
            "device": row.device,
            "requested": row.requested,
            "decided": row.decided,
        }
        columns = {
            "id": row.id,
            "call": row.call,
            "agent_mark": self._mark("person", row.agent),
            "monitor_mark": self._mark("person", row.monitor),
            "capacity": row.capacity,
            "purpose": row.purpose,
            "plan": row.plan,
            "grant": row.grant,
            "allowed": row.allowed,
            "reasons": json.dumps([reason.code for reason in row.reasons]),
            "heard_ms": 0,
            "notice": "none",
            "sealed": self._seal.seal("sessions", row.id, who_and_when),
        }
        return self.submit(lambda db: run_insert(db, "sessions", columns))

    def update_session(self, session: str, **facts: Any) -> Future[None]:
        """Enter what has become known of a session: `call`, `ended_by`, `heard_ms`, `notice`, and the sealed times
        notice_began, notice_ended, first, last, closed, notice_due, notice_sent.
        """
        return self.submit(lambda db: self._update_session(db, session, facts))

    def _update_session(self, db: Connection, session: str, facts: Mapping[str, Any]) -> None:
        sealed = one(db, "select sealed from sessions where id = ?", session)
        clear = {name: value for name, value in facts.items() if name in CLEAR}
        secret = {name: value for name, value in facts.items() if name not in CLEAR}
        known = {**self._seal.open("sessions", session, sealed), **secret}
        update(db, "sessions", session, {**clear, "sealed": self._seal.seal("sessions", session, known)})

    def close_session(
        self,
        session: str,
        closed: datetime,
        ended_by: str,
        *,
        last: datetime | None = None,
        heard_ms: int = 0,
        notice_due: datetime | None = None,
    ) -> Future[None]:
        """It is over. With `notice_due` the agent is owed a notice by then (FAQ-A.8)."""
        facts: Row = {"closed": closed, "ended_by": ended_by, "last": last, "heard_ms": heard_ms}
        if notice_due is not None:
            facts |= {"notice": "due", "notice_due": notice_due}
        return self.update_session(session, **facts)

    def notice_sent(self, session: str, at: datetime) -> Future[bool]:
        """The agent has been told afterwards. False: none was due."""

        def change(db: Connection) -> bool:
            found = db.execute("select notice from sessions where id = ?", [session]).fetchone()
            if found is None or found[0] != "due":
                return False
            self._update_session(db, session, {"notice": "sent", "notice_sent": at})
            return True

        return self.submit(change)

    def sessions(
        self,
        *,
        agent: str | None = None,
        monitor: str | None = None,
        call: str | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        """Sessions, the newest first: of an agent, a monitor or a call."""
        wanted = {
            "agent_mark": self._mark("person", agent),
            "monitor_mark": self._mark("person", monitor),
            "call": call,
        }
        wanted = {column: value for column, value in wanted.items() if value is not None}
        where = " and ".join(f"{column} = ?" for column in wanted) or "1"
        sql = f"select * from sessions where {where} order by rowid desc limit ?"
        return self._sessions(sql, *wanted.values(), limit)

    def session(self, session: str) -> Row | None:
        return next(iter(self._sessions("select * from sessions where id = ?", session)), None)

    def notices_due(self) -> list[Row]:
        """Sessions of which the agent has not been told afterwards."""
        return self._sessions("select * from sessions where notice = 'due' order by rowid")

    def open_sessions(self) -> list[str]:
        """Sessions that were allowed and have not ended: at the start, those of a run that died."""
        rows = self._rows("select id from sessions where allowed and ended_by is null")
        return [row["id"] for row in rows]

    def _sessions(self, sql: str, *values: Any) -> list[Row]:
        rows = []
        for row in self._opened("sessions", "id", self._rows(sql, *values)):
            row["reasons"] = json.loads(row["reasons"])
            row["allowed"] = bool(row["allowed"])
            rows.append({name: value for name, value in row.items() if not name.endswith("_mark")})
        return rows

    # ------------------------------------------------------------ private calls

    def private_proof(self, call: str) -> Row | None:
        """What is known of a call that an agent made private; None if there is no such call. `agents`: who made it so;
        of any other call, who was its agent.
        """
        sql = """select id, length_ms, private_since_ms, private_cut_ms, private_path, private_direct_ms, sealed
                 from calls where id = ?"""
        found = list(self._opened("calls", "id", self._rows(sql, call)))
        if not found:
            return None
        agents = self._rows("select * from parties where call = ? and role = 'agent'", call)
        last = [row["person"] for row in self._opened("parties", "call/party", agents)]
        return found[0] | {
            "agents": found[0].get("private_by") or last,
            "spans": self.spans(call),
            "sessions": self.sessions(call=call),
        }

    def last_private(self, person: str) -> Row | None:
        """The proof of the newest private call of which this person was the agent, among the last hundred."""
        sql = "select id from calls where private_since_ms is not null order by rowid desc limit 100"
        proofs = (self.private_proof(row["id"]) for row in self._rows(sql))
        return next((proof for proof in proofs if proof is not None and person in proof["agents"]), None)

    def set_preset(self, row: PresetRow) -> Future[None]:
        """This person's, or this device's, calls are private: the next, or all until then."""
        mark = self._preset_mark(row.person, row.device)
        facts = {"person": row.person, "device": row.device, "until": row.until}
        columns = {"mark": mark, "mode": row.mode, "sealed": self._seal.seal("presets", mark, facts)}
        return self.submit(lambda db: run_insert(db, "presets", columns, replace=True))

    def clear_preset(self, person: str | None, device: str | None) -> Future[None]:
        mark = self._preset_mark(person, device)
        return self.submit(lambda db: run(db, "delete from presets where mark = ?", mark))

    def presets(self) -> list[PresetRow]:
        """What was set beforehand and has not been taken back: it holds across a restart."""
        return [
            PresetRow(row["person"], row["device"], row["mode"], datetime.fromisoformat(row["until"]))
            for row in self._opened("presets", "mark", self._rows("select * from presets"))
        ]

    def _preset_mark(self, person: str | None, device: str | None) -> str:
        """A person takes his preset along to another desk; only where no person is known it is the device's."""
        return self._seal.mark("person", person) if person else self._seal.mark("device", device or "")

    # -------------------------------------------------------------------- locks

    def add_try(self, account: str, locked_until: datetime, *, allowed: int) -> Future[int]:
        """A wrong code; how many there have been. The one that uses up `allowed` locks the account until then."""
        mark = self._seal.mark("account", account)

        def change(db: Connection) -> int:
            found = db.execute("select tries, sealed from locks where mark = ?", [mark]).fetchone()
            tries = (found[0] if found else 0) + 1
            before = self._seal.open("locks", mark, found[1])["until"] if found else None
            until = locked_until if tries >= allowed else before
            sealed = self._seal.seal("locks", mark, {"account": account, "until": until})
            insert(db, "locks", {"mark": mark, "tries": tries, "sealed": sealed}, replace=True)
            return tries

        return self.submit(change)

    def clear_tries(self, account: str) -> Future[None]:
        """The right code: what was mistyped before is forgotten."""
        mark = self._seal.mark("account", account)
        return self.submit(lambda db: run(db, "delete from locks where mark = ?", mark))

    def locked(self, account: str, now: datetime) -> datetime | None:
        """Until when an account is locked, if it is."""
        mark = self._seal.mark("account", account)
        for row in self._opened("locks", "mark", self._rows("select * from locks where mark = ?", mark)):
            until = datetime.fromisoformat(row["until"]) if row["until"] else None
            if until is not None and until > now:
                return until
        return None

    # -------------------------------------------------------------------- draws

    def commit_draw(self, day: date, seed: bytes) -> Future[bytes]:
        """The seed that this day's samples are drawn by: this one, or the one the day was begun with. Its SHA-256 is
        durable when this is done, and everybody may see that; the seed itself is revealed afterwards (KSF15-0.2).
        """
        key = day.isoformat()

        def change(db: Connection) -> bytes:
            found = db.execute("select sealed from draws where day = ?", [key]).fetchone()
            if found is not None:
                return bytes.fromhex(self._seal.open("draws", key, found[0])["seed"])
            sealed = self._seal.seal("draws", key, {"seed": seed.hex()})
            commitment = hashlib.sha256(seed).hexdigest()
            insert(db, "draws", {"day": key, "commitment": commitment, "seed": None, "sealed": sealed})
            return seed

        return self.submit(change)

    def reveal_draws(self, before: date) -> Future[int]:
        """Reveal the seeds of the days before this one; how many."""

        def change(db: Connection) -> int:
            sql = "select day, sealed from draws where seed is null and day < ?"
            hidden = db.execute(sql, [before.isoformat()]).fetchall()
            for day, sealed in hidden:
                run(
                    db,
                    "update draws set seed = ? where day = ?",
                    self._seal.open("draws", day, sealed)["seed"],
                    day,
                )
            return len(hidden)

        return self.submit(change)

    def draws(self) -> list[Row]:
        """Each day's commitment, and the seed of those that were revealed (hex)."""
        return self._rows("select day, commitment, seed from draws order by day")

    def _mark(self, kind: str, value: str | None) -> str | None:
        return None if value is None else self._seal.mark(kind, value)
