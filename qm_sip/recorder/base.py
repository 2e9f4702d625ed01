"""The catalog's door: one connection that reads, one thread that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from qm_sip.errors import BrokenInvariant, StartError
from qm_sip.recorder.reading import Reading
from qm_sip.recorder.rowseal import RowSeal
from qm_sip.recorder.schema import migrations
from qm_sip.recorder.sql import Connection
from qm_sip.recorder.writer import Writer, connect

T = TypeVar("T")


class Base(Reading):
    """Opened with the path of the database and the host key."""

    def __init__(self, path: Path, key: bytes, *, readonly: bool = False) -> None:
        self._seal = RowSeal(key)
        self._writer: Writer | None = None
        try:
            if not readonly:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _migrate(path)
                self._writer = Writer(path)
            super().__init__(path, self._seal)
        except (sqlite3.Error, OSError) as error:
            raise StartError(f"cannot open the catalog {path}: {error}") from None

    def submit(self, change: Callable[[Connection], T], *, patient: bool = False) -> Future[T]:
        """Queue a change; the Future is done when it is durable. `patient`: nobody waits for it, it may ride along
        with the next.
        """
        if self._writer is None:
            raise BrokenInvariant("a catalog opened for reading was asked to write")
        return self._writer.submit(change, patient=patient)

    def close(self) -> None:
        """Write what is queued, then close."""
        if self._writer is not None:
            self._writer.close()
        super().close()


def _migrate(path: Path) -> None:
    connection = connect(path)
    try:
        migrations.apply(Database(connection))
    finally:
        connection.close()
    path.chmod(0o600)
