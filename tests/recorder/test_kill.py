"""kill -9 of recorder and renderers at random moments: nothing is lost, doubled, or left in clear (I6, I7).

QM_SIP_KILLS sets how many; a hundred take about a minute.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qm_sip.recorder.export import open_sealed, verify
from qm_sip.recorder.rows import State
from tests.recorder.facts import HOLDER
from tests.recorder.stage import catalog_in, enter, journal_of, put, store_in

KILLS = int(os.environ.get("QM_SIP_KILLS", "20"))
EACH_ROUND = 4
CHUNK_SAMPLES = 2000  # 25 packets of two voices: 250 ms


def bring(directory: Path, names: list[str], chance: random.Random) -> dict[str, int]:
    """What the engine and the last server left: journals, some torn, of recordings closed or not.
    Expected lengths.
    """
    store, catalog = store_in(directory), catalog_in(directory)
    expected = {}
    for name in names:
        whole = journal_of(name, 1.0).to_bytes()
        torn = chance.randrange(0, 1500) if chance.random() < 0.5 else 0
        put(store, name, data=whole[: len(whole) - torn])
        enter(catalog, name, closed=torn == 0)
        expected[name] = 8000 if not torn else 8000 - CHUNK_SAMPLES
    catalog.close()
    return expected


def start(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.recorder.kill_driver", str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def kill(process: subprocess.Popen[str], delay: float, *, alone: bool) -> None:
    """Kill the recorder, with its renderers or alone, `delay` seconds after it began to recover."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def no_plaintext(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file() and path.suffix != ".key":
            data = path.read_bytes()
            assert b"fLaC" not in data, path.name
            assert b"RIFF" not in data, path.name
            assert b"QM_RECORDING_ID" not in data, path.name


@pytest.mark.timeout(120 + 3 * KILLS)
def test_whenever_it_is_killed_everything_is_completed_exactly_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    expected: dict[str, int] = {}
    for kills in range(KILLS):
        names = [f"rec-{kills}-{n}" for n in range(EACH_ROUND)]
        expected |= bring(tmp_path, names, chance)
        kill(start(tmp_path), chance.uniform(0, 0.9), alone=chance.random() < 0.3)
        no_plaintext(tmp_path)
    for _ in range(2):  # the second time there is nothing left to do
        last = start(tmp_path)
        said, _ = last.communicate(timeout=120)
        assert said == "ready\ndone\n"
    check(tmp_path, expected)


def check(directory: Path, expected: dict[str, int]) -> None:
    store, catalog = store_in(directory), catalog_in(directory)
    rows = {row.id: row for row in catalog.recordings(limit=10_000)}
    assert set(rows) == set(expected)
    assert {row.state for row in rows.values()} == {State.SEALED}
    assert list(store.journals.iterdir()) == []
    assert list(store.keys.iterdir()) == []
    assert list(store.quarantine.iterdir()) == []
    assert sorted(p.name for p in store.recordings.iterdir()) == sorted(
        str(row.file) for row in rows.values()
    )
    for name, row in rows.items():
        data = open_sealed(store.sealed(str(row.file)), row.wrapped["coaching"], str(HOLDER))
        assert verify(data, row).wrong == []
        assert row.facts["frames"] >= expected[name], "more than the unsealed tail was lost"
    assert catalog.open_calls() == []
    assert sum(row["calls"] for row in catalog.ledger()["outcomes"]) == len(expected)
    catalog.close()
