"""The few statements that every change of the catalog is made of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from qm_sip.errors import BrokenInvariant

Connection = sqlite3.Connection


def names(values: Iterable[str]) -> str:
    """A set of words as a column."""
    return json.dumps(sorted(str(value) for value in values))


def insert(db: Connection, table: str, row: Mapping[str, Any], *, replace: bool = False) -> int:
    columns = ", ".join(f"[{name}]" for name in row)
    marks = ", ".join("?" * len(row))
    verb = "insert or replace" if replace else "insert"
    done = db.execute(f"{verb} into [{table}] ({columns}) values ({marks})", list(row.values()))
    return int(done.lastrowid or 0)


def run_insert(db: Connection, table: str, row: Mapping[str, Any], *, replace: bool = False) -> None:
    insert(db, table, row, replace=replace)


def update(db: Connection, table: str, row: str, columns: Mapping[str, Any]) -> None:
    sets = ", ".join(f"[{name}] = ?" for name in columns)
    db.execute(f"update [{table}] set {sets} where id = ?", [*columns.values(), row])


def run(db: Connection, sql: str, *values: Any) -> None:
    db.execute(sql, values)


def one(db: Connection, sql: str, *values: Any) -> Any:
    """The one value that must be there."""
    found = db.execute(sql, values).fetchone()
    if found is None:
        raise BrokenInvariant("the catalog was asked to change a row it does not have")
    return found[0]
