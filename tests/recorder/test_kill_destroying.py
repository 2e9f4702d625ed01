"""kill -9 in the middle of destroying, with renderers at work on the same recordings: what was condemned is destroyed
after the restart, what was said to be destroyed already was, and what was not condemned is all there (I7).

QM_SIP_DESTROY_KILLS sets how many; a hundred take about two minutes.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qm_sip.recorder.export import open_sealed, verify
from qm_sip.recorder.rows import State
from tests.recorder.facts import HOLDER
from tests.recorder.stage import catalog_in, enter, put, store_in

DEEP = os.environ.get("QM_SIP_TEST_DEPTH") == "deep"
KILLS = int(os.environ.get("QM_SIP_DESTROY_KILLS", "100" if DEEP else "30"))
EACH_ROUND = 6


def bring(directory: Path, names: list[str]) -> None:
    store, catalog = store_in(directory), catalog_in(directory)
    for name in names:
        put(store, name, seconds=3.0)
        enter(catalog, name)
    catalog.close()


def start(directory: Path, seed: int, names: list[str]) -> subprocess.Popen[str]:
    driver = [
        sys.executable,
        "-m",
        "tests.recorder.kill_destroying_driver",
        str(directory),
        str(seed),
        *names,
    ]
    return subprocess.Popen(driver, stdout=subprocess.PIPE, text=True, start_new_session=True)


def said_until_killed(process: subprocess.Popen[str], delay: float, *, alone: bool) -> list[list[str]]:
    """Kill it, with its renderers or alone, and return what it had promised."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    return [line.split() for line in said.splitlines() if line.count(" ")]


def bytes_of(directory: Path, name: str) -> list[str]:
    """What can be found of a recording, but for its tomb."""
    return [path.name for path in directory.rglob(f"{name}.*") if not path.name.startswith(f"{name}.tomb")]


def wrapped_keys(directory: Path, name: str) -> int:
    """Asked without the catalog's own code."""
    with sqlite3.connect(directory / "data" / "catalog.db") as db:
        return int(db.execute("select count(*) from wrapped_keys where recording = ?", [name]).fetchone()[0])


@pytest.mark.timeout(120 + 5 * KILLS)
def test_whenever_it_is_killed_what_had_to_go_is_gone_and_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(11)
    condemned: set[str] = set()
    brought: set[str] = set()
    for round_ in range(KILLS):
        names = [f"rec-{round_}-{n}" for n in range(EACH_ROUND)]
        bring(tmp_path, names)
        brought |= set(names)
        process = start(tmp_path, round_, names[::2])
        said = said_until_killed(process, chance.uniform(0, 1.0), alone=chance.random() < 0.3)
        condemned |= {name for what, name in said if what == "condemned"}
        for name in (name for what, name in said if what == "destroyed"):
            assert bytes_of(tmp_path, name) == []
            assert wrapped_keys(tmp_path, name) == 0
    for _ in range(2):  # the second time there is nothing left to do
        process = start(tmp_path, 0, [])
        assert process.communicate(timeout=120 + KILLS)[0] == "ready\ndone\n"
    assert condemned, "nothing was destroyed at all"
    assert len(condemned) < KILLS * EACH_ROUND / 2, "nothing was ever killed in time"
    check(tmp_path, brought, condemned)


def check(directory: Path, brought: set[str], condemned: set[str]) -> None:
    store, catalog = store_in(directory), catalog_in(directory)
    rows = {row.id: row for row in catalog.recordings(limit=10_000)}
    assert set(rows) == brought
    for name, row in rows.items():
        if row.state is State.DESTROYED:  # also one whose tomb was durable before it could say so
            assert (row.facts["reason"], row.wrapped) == ("customer-objected", {})
            assert bytes_of(directory, name) == []
            assert [c["rule"] for c in catalog.certificates(name)] == ["customer-objected"]
            continue
        assert name not in condemned, "it came back"
        assert row.state is State.SEALED
        assert (
            verify(open_sealed(store.sealed(str(row.file)), row.wrapped["coaching"], str(HOLDER)), row).wrong
            == []
        )
    assert list(store.journals.iterdir()) == []
    assert list(store.keys.iterdir()) == []
    kept = {str(row.file) for row in rows.values() if row.state is State.SEALED}
    assert {path.name for path in store.recordings.iterdir()} == kept
    catalog.close()
