"""The catalog's writer: what nobody waits for rides along, in order, and is never kept from the disk for long."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qm_sip.recorder import writer
from qm_sip.recorder.writer import BATCH, PATIENCE, Writer, connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.db"
    connect(path).execute("create table seen (what)")
    return path


@pytest.fixture
def one(path: Path) -> Iterator[Writer]:
    made = Writer(path)
    yield made
    made.close()


def enter(what: object) -> Callable[[sqlite3.Connection], None]:
    return lambda db: [db.execute("insert into seen values (?)", [what])].clear()


def seen(path: Path) -> list[object]:
    return [what for (what,) in connect(path).execute("select what from seen order by rowid")]


def test_a_change_that_nobody_waits_for_is_committed_with_the_next_that_somebody_does(
    one: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 60.0)
    patient = [one.submit(enter(n), patient=True) for n in range(3)]
    time.sleep(0.05)
    assert seen(path) == [] and not any(future.done() for future in patient)
    one.submit(enter("now")).result(5)
    assert seen(path) == [0, 1, 2, "now"] and all(future.done() for future in patient)


def test_it_is_committed_by_itself_when_its_time_is_over(one: Writer, path: Path) -> None:
    began = time.monotonic()
    one.submit(enter("late"), patient=True).result(5)
    assert seen(path) == ["late"] and time.monotonic() - began >= PATIENCE * 0.9


def test_closing_writes_all_that_was_queued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 60.0)
    one = Writer(path)
    for n in range(2 * BATCH + 3):
        one.submit(enter(n), patient=True)
    one.close()
    assert seen(path) == list(range(2 * BATCH + 3))
    with pytest.raises(RuntimeError, match="closed"):
        one.submit(enter("more"))


def test_a_change_that_raises_is_undone_alone(one: Writer, path: Path) -> None:
    def broken(db: sqlite3.Connection) -> None:
        db.execute("insert into seen values ('half')")
        raise ValueError("no")

    before = one.submit(enter("before"), patient=True)
    failed = one.submit(broken, patient=True)
    one.submit(enter("after")).result(5)
    assert before.result(0) is None and isinstance(failed.exception(0), ValueError)
    assert seen(path) == ["before", "after"]
