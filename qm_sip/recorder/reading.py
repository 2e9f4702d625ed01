"""Reading the catalog: plain data out, with who-and-when opened for whoever holds the host key."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from qm_sip.recorder.rows import UNFINISHED, Recording, State
from qm_sip.recorder.rowseal import RowSeal
from qm_sip.recorder.schema import SEALED

Row = dict[str, Any]


class Reading:
    """The reading half of the catalog, on a connection of its own; may be used from any thread."""

    def __init__(self, path: Path, seal: RowSeal) -> None:
        self._rowseal = seal
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        connection.execute("pragma query_only = on")
        self._reader = Database(connection)
        self._reading = threading.Lock()

    def close(self) -> None:
        self._reader.close()

    def _rows(self, sql: str, *values: Any) -> list[Row]:
        with self._reading:
            return [dict(row) for row in self._reader.query(sql, list(values))]

    def _opened(self, table: str, owner: str, rows: Sequence[Row]) -> Iterator[Row]:
        """Rows with their sealed column opened in place, its facts None where they were forgotten. `owner` names the
        columns the seal is bound to.
        """
        for row in rows:
            bound = "/".join(str(row[name]) for name in owner.split("/"))
            sealed = row.pop("sealed")
            yield row | (self._rowseal.open(table, bound, sealed) if sealed else dict.fromkeys(SEALED[table]))

    def calls(self, limit: int = 100) -> list[Row]:
        """The latest calls, newest first."""
        rows = self._rows("select * from calls order by rowid desc limit ?", limit)
        return list(self._opened("calls", "id", rows))

    def open_calls(self) -> list[str]:
        """Calls that have not been ended: at start, those of a run that died."""
        return [row["id"] for row in self._rows("select id from calls where state = 'open'")]

    def spans(self, call: str) -> list[Row]:
        return self._rows("select state, from_ms, to_ms, reason from spans where call = ? order by seq", call)

    def transfers(self, call: str) -> list[Row]:
        return self._rows("select how, gone, came, at_ms from transfers where call = ? order by id", call)

    def ledger(self) -> dict[str, Any]:
        """One line and outcome per call; sums that add up; of confidential calls a count per day (I8)."""
        lines = self._rows("select * from ledger")
        sums = """select outcome, count(*) as calls, sum(length_ms) as length_ms from calls
                  where state = 'ended' group by outcome order by outcome"""
        states = "select state, sum(to_ms - from_ms) as ms from spans group by state order by state"
        return {
            "lines": lines,
            "outcomes": self._rows(sums),
            "states": self._rows(states),
            "confidential": self._rows("select day, count from confidential_counts order by day"),
        }

    def recordings(self, limit: int = 100) -> list[Recording]:
        """The latest recordings, newest first."""
        rows = self._rows("select id from recordings order by rowid desc limit ?", limit)
        return [found for row in rows if (found := self.recording(row["id"])) is not None]

    def recordings_of(self, call: str) -> list[Recording]:
        rows = self._rows("select id from recordings where call = ? order by rowid", call)
        return [found for row in rows if (found := self.recording(row["id"])) is not None]

    def unfinished(self) -> list[str]:
        """Recordings whose journal has not been rendered yet."""
        marks = ", ".join("?" * len(UNFINISHED))
        rows = self._rows(f"select id from recordings where state in ({marks}) order by rowid", *UNFINISHED)
        return [row["id"] for row in rows]

    def recording(self, recording: str) -> Recording | None:
        """One recording with its purposes and wrapped keys, or None."""
        rows = self._rows("select * from recordings where id = ?", recording)
        if not rows:
            return None
        row = next(self._opened("recordings", "id", rows))
        purposes = list(self.purposes(recording))
        keys = self._rows("select purpose, wrapped from wrapped_keys where recording = ?", recording)
        return Recording(
            id=row["id"],
            call=row["call"],
            state=State(row["state"]),
            cls=row["class"],
            party=row["party"],
            person=row["person"],
            started=_time(row["started"]),
            purposes={p["purpose"]: _time(p["destroy_by"]) for p in purposes},
            recipients={p["purpose"]: json.loads(p["recipients"]) for p in purposes},
            wrapped={key["purpose"]: key["wrapped"] for key in keys},
            restricted=bool(row["restricted"]),
            regulation=row["regulation"],
            announcement=json.loads(row["announcement"]),
            file=row["file"],
            sha256=row["sha256"],
            sealed_sha256=row["sealed_sha256"],
            facts=row,
        )

    def purposes(self, recording: str) -> Iterator[Row]:
        rows = self._rows("select * from purposes where recording = ? order by rowid", recording)
        return self._opened("purposes", "recording/purpose", rows)

    def uses(self, recording: str) -> list[Row]:
        """Who used a recording or was refused it, in order."""
        rows = self._rows("select * from uses where recording = ? order by id", recording)
        return [_parsed(row, "reasons") for row in self._opened("uses", "recording", rows)]

    def explain(self, call: str) -> Row | None:
        """All that is known of one call, in the order in which it came about; None if unknown."""
        found = self._rows("select * from calls where id = ?", call)
        if not found:
            return None
        return {
            "call": next(self._opened("calls", "id", found)),
            "parties": self._parties(call),
            "told": self._told(call),
            "objections": self._of("objections", "call", call),
            "decisions": self._decisions(call),
            "transfers": self.transfers(call),
            "spans": self.spans(call),
            "outcome": found[0]["outcome"],
            "reasons": self._reasons(call, None),
            "sessions": self.sessions_of(call),
            "recordings": [self._explained(recording) for recording in self.recordings_of(call)],
        }

    def _of(self, table: str, owner: str, call: str) -> list[Row]:
        rows = self._rows(f"select * from {table} where call = ? order by rowid", call)
        return list(self._opened(table, owner, rows))

    def _parties(self, call: str) -> list[Row]:
        return self._of("parties", "call/party", call)

    def _told(self, call: str) -> list[Row]:
        return [_parsed(row, "uses", "purposes") for row in self._of("told", "call", call)]

    def _decisions(self, call: str) -> list[Row]:
        rows = self._of("decisions", "call", call)
        return [_parsed(row, "purposes") | {"reasons": self._reasons(call, row["id"])} for row in rows]

    def _reasons(self, call: str, decision: int | None) -> list[Row]:
        sql = "select code, requirement, tell from reasons where call = ? and decision is ? order by id"
        return [_parsed(row, "tell") for row in self._rows(sql, call, decision)]

    def _explained(self, recording: Recording) -> Row:
        hidden = {"announcement"}
        facts = {name: value for name, value in recording.facts.items() if name not in hidden}
        purposes = {name: until.isoformat() if until else None for name, until in recording.purposes.items()}
        ended = self._rows("select purpose, rule from certificates where recording = ?", recording.id)
        return facts | {
            "announcement": recording.announcement,
            "purposes": purposes,
            "ended": {row["purpose"]: row["rule"] for row in ended},
        }

    def sessions_of(self, call: str) -> list[Row]:
        """Who listened to a call, or asked to, in order."""
        rows = self._rows("select * from sessions where call = ? order by rowid", call)
        return [_parsed(row, "reasons") for row in self._opened("sessions", "id", rows)]

    # ------------------------------------------------------------------- samples

    def drawn_by(self, commitment: str) -> list[Row]:
        """Recordings that were drawn by the seed with this commitment: {call, draw}, and the call's facts."""
        sql = """select recordings.call, recordings.draw, calls.id, calls.sealed from recordings
                 join calls on calls.id = recordings.call where recordings.seed = ? order by recordings.rowid"""
        return list(self._opened("calls", "id", self._rows(sql, commitment)))

    def calls_because(self, code: str) -> list[Row]:
        """Calls of which this reason was given."""
        sql = "select * from calls where id in (select call from reasons where code = ?) order by rowid"
        return list(self._opened("calls", "id", self._rows(sql, code)))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _parsed(row: Row, *columns: str) -> Row:
    """Columns that hold JSON, read."""
    read = {name: json.loads(row[name]) for name in columns if row[name] is not None}
    return row | read
