"""The catalog: durable, complete, and silent about who and when to whoever has only the file."""

import subprocess
import sys
import time
from concurrent.futures import wait
from datetime import date, timedelta
from pathlib import Path

import pytest

from qm_sip.call.spans import Span
from qm_sip.call.words import NoteTransfer
from qm_sip.errors import BrokenInvariant, StartError
from qm_sip.policy.facts import CallId, LineKind, Outcome, PersonId, Reason, Role, SpanState
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.jobs import RenderResult
from qm_sip.recorder.rows import Objection, State
from qm_sip.recorder.rowseal import RowSeal, RowSealError
from tests.recorder.facts import DESTROY_BY, RECIPIENT, SECRETS, STARTED, call_row, decision, recording_row

KEY = bytes(range(32))
CALL = CallId("c-1")
SPANS = [Span(SpanState.UNTOLD, 0, 9000, "new"), Span(SpanState.RECORDED, 9000, 60000, "capture-all")]


@pytest.fixture
def catalog(tmp_path: Path):
    made = Catalog(tmp_path / "catalog.db", KEY)
    yield made
    made.close()


def result(recording: str = "rec-1") -> RenderResult:
    return RenderResult(
        recording=recording,
        output=f"{recording}.aa.flac.age",
        bytes=10,
        sha256="s",
        sealed_sha256="t",
        wrapped={"coaching": "d3JhcHBlZA=="},
        frames=480,
        rate=8000,
        packets=3,
        lost=1,
        duplicates=0,
        anchors=1,
        unusable=0,
        gaps=[["hold", 0, 80]],
        ended="closed",
        cpu_seconds=0.1,
    )


def whole_call(catalog: Catalog) -> None:
    catalog.open_call(call_row()).result()
    catalog.record_decision(CALL, decision(), STARTED).result()
    catalog.add_objection(CALL, Objection("customer", "listen", "key", STARTED)).result()
    catalog.add_transfer(NoteTransfer(CALL, 30_000, "blind", Role.AGENT, None)).result()
    catalog.open_recording(recording_row()).result()
    catalog.close_recording("rec-1", STARTED + timedelta(seconds=60), "hung-up").result()
    catalog.rendered(result()).result()
    catalog.finish_call(CALL, STARTED + timedelta(seconds=60), SPANS).result()
    reason = Reason("granted", "KSF15-3.3.1")
    catalog.log_use("rec-1", "player-officer", "export", "coaching", True, [reason], STARTED).result()


def test_a_call_is_explained_with_all_that_was_entered(catalog: Catalog) -> None:
    whole_call(catalog)
    told = catalog.explain("c-1")
    assert told is not None
    assert told["call"]["line"] == "line-klantenservice"
    assert told["call"]["ended"] == (STARTED + timedelta(seconds=60)).isoformat()
    assert [(p["party"], p["person"], p["manager"]) for p in told["parties"]] == [
        ("customer", None, "manager-devries"),
        ("agent", "person-jansen", "manager-devries"),
    ]
    assert told["told"][0]["identity"] == "Voorbeeld Energie"
    assert told["told"][0]["purposes"] == ["coaching"]
    assert [r["code"] for r in told["decisions"][0]["reasons"]] == ["told", "capture-all"]
    assert told["objections"][0]["use"] == "listen"
    assert [(s["state"], s["from_ms"], s["to_ms"]) for s in told["spans"]] == [
        ("untold", 0, 9000),
        ("recorded", 9000, 60000),
    ]
    assert told["transfers"] == [{"how": "blind", "gone": "agent", "came": None, "at_ms": 30_000}]
    assert told["outcome"] == Outcome.RECORDED
    assert [r["code"] for r in told["reasons"]] == ["capture-all"]
    assert told["recordings"][0]["purposes"] == {"coaching": DESTROY_BY.isoformat()}


def test_a_recording_is_found_with_its_purposes_and_keys(catalog: Catalog) -> None:
    whole_call(catalog)
    found = catalog.recording("rec-1")
    assert found is not None
    assert (found.state, found.cls, found.person) == (State.SEALED, "quality", "person-jansen")
    assert found.purposes == {"coaching": DESTROY_BY}
    assert found.recipients == {"coaching": [RECIPIENT]}
    assert found.wrapped == {"coaching": "d3JhcHBlZA=="}
    assert [r.id for r in catalog.recordings()] == ["rec-1"]
    use = catalog.uses("rec-1")[0]
    assert (use["person"], use["allowed"], use["reasons"]) == ("player-officer", 1, ["granted"])


def test_the_ledger_adds_up_in_calls_and_in_milliseconds(catalog: Catalog) -> None:
    whole_call(catalog)
    catalog.open_call(call_row("c-2")).result()
    catalog.finish_call(CallId("c-2"), STARTED, [Span(SpanState.PRIVATE, 0, 5000, "agent")]).result()
    for _ in range(3):
        catalog.count_confidential(date(2026, 3, 3)).result()
    ledger = catalog.ledger()
    assert [(line["call"], line["outcome"], line["recorded_ms"]) for line in ledger["lines"]] == [
        ("c-1", "recorded", 51000),
        ("c-2", "bypassed", 0),
    ]
    assert sum(line["length_ms"] for line in ledger["lines"]) == sum(row["ms"] for row in ledger["states"])
    assert sum(row["calls"] for row in ledger["outcomes"]) == 2
    assert ledger["confidential"] == [{"day": "2026-03-03", "count": 3}]


def test_nobody_reads_who_or_when_in_the_file_or_its_log(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.db", KEY)
    whole_call(catalog)
    files = list(tmp_path.iterdir())
    assert {"catalog.db", "catalog.db-wal"} <= {path.name for path in files}
    raw = b"".join(path.read_bytes() for path in files)
    assert b"quality" in raw  # what is looked at is what was written
    assert [secret for secret in SECRETS if secret.encode() in raw] == []
    catalog.close()
    raw = (tmp_path / "catalog.db").read_bytes()
    assert b"quality" in raw
    assert [secret for secret in SECRETS if secret.encode() in raw] == []


def test_what_is_no_text_is_kept_all_the_same() -> None:
    seal, number = RowSeal(KEY), b"06\xff".decode("utf-8", "surrogateescape")
    sealed = seal.seal("calls", "c-1", {"number": number})
    assert seal.open("calls", "c-1", sealed) == {"number": number}
    assert seal.mark("person", number) != seal.mark("person", "06")


def test_another_host_key_opens_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.db", KEY)
    whole_call(catalog)
    catalog.close()
    other = Catalog(tmp_path / "catalog.db", bytes(32), readonly=True)
    with pytest.raises(RowSealError):
        other.calls()
    other.close()


def test_a_sealed_value_cannot_be_moved_to_another_row(catalog: Catalog) -> None:
    catalog.open_call(call_row("c-1")).result()
    catalog.open_call(call_row("c-2")).result()
    move = "update calls set sealed = (select sealed from calls where id = 'c-1') where id = 'c-2'"
    catalog.submit(lambda db: db.execute(move) and None).result()
    with pytest.raises(RowSealError):
        catalog.calls()


def test_a_confidential_call_has_no_row(catalog: Catalog) -> None:
    with pytest.raises(BrokenInvariant):
        catalog.open_call(call_row(kind=LineKind.CONFIDENTIAL))
    assert catalog.calls() == []


def test_a_call_found_confidential_later_is_forgotten_but_for_a_count(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.db", KEY)
    whole_call(catalog)
    catalog.forget_confidential(CALL, date(2026, 3, 2)).result()
    assert catalog.explain("c-1") is None
    assert catalog.recordings() == []
    assert catalog.ledger()["confidential"] == [{"day": "2026-03-02", "count": 1}]
    catalog.close()
    raw = (tmp_path / "catalog.db").read_bytes()
    assert b"rec-1" not in raw
    assert b"capture-all" not in raw
    assert b"blind" not in raw


def test_an_emergency_call_has_a_row_without_parties(catalog: Catalog) -> None:
    catalog.open_call(call_row(kind=LineKind.EMERGENCY)).result()
    told = catalog.explain("c-1")
    assert told is not None
    assert (told["parties"], told["told"]) == ([], [])


@pytest.mark.parametrize("column", ["class", "cause", "regulation", "announcement", "party", "draw"])
def test_what_was_fixed_before_the_first_sample_cannot_be_edited(catalog: Catalog, column: str) -> None:
    whole_call(catalog)
    with pytest.raises(Exception, match="fixed before the first sample"):
        catalog.submit(lambda db: db.execute(f"update recordings set [{column}] = 'x'") and None).result()


def test_a_call_is_ended_once_and_its_spans_must_add_up(catalog: Catalog) -> None:
    catalog.open_call(call_row()).result()
    with pytest.raises(BrokenInvariant):
        catalog.finish_call(CALL, STARTED, [Span(SpanState.TOLD, 5, 9, "x")])
    catalog.finish_call(CALL, STARTED, SPANS).result()
    with pytest.raises(BrokenInvariant):
        catalog.finish_call(CALL, STARTED, SPANS).result()


def test_a_recording_without_recipients_is_never_opened(catalog: Catalog) -> None:
    catalog.open_call(call_row()).result()
    row = recording_row()
    with pytest.raises(BrokenInvariant):
        catalog.open_recording(type(row)(**{**row.__dict__, "recipients": {"coaching": []}}))


def test_a_recording_moves_only_the_way_recordings_move(catalog: Catalog) -> None:
    whole_call(catalog)
    for backwards in (
        lambda: catalog.close_recording("rec-1", None, "again"),
        lambda: catalog.failed("rec-1", "x"),
        lambda: catalog.quarantined("rec-1", "x"),
        lambda: catalog.rendered(result()),
        lambda: catalog.failed("rec-none", "x"),
    ):
        with pytest.raises(BrokenInvariant):
            backwards().result()
    catalog.destroyed("rec-1", "asked", STARTED).result()
    found = catalog.recording("rec-1")
    assert found is not None
    assert (found.state, found.wrapped) == (State.DESTROYED, {})


def test_a_change_that_fails_takes_no_other_with_it(catalog: Catalog) -> None:
    catalog.open_call(call_row("c-0")).result()
    futures = [catalog.open_call(call_row(f"c-{n}")) for n in range(20)]  # c-0 is there already
    wait(futures)
    assert [n for n, future in enumerate(futures) if future.exception()] == [0]
    assert len(catalog.calls()) == 20


def test_what_is_done_survives_kill_9(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
from qm_sip.recorder.catalog import Catalog
from tests.recorder.facts import call_row
catalog = Catalog(Path({str(tmp_path / "catalog.db")!r}), bytes(range(32)))
for n in range(50):
    catalog.open_call(call_row(f"c-{{n}}")).result()
    print(n, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    said = len(done.stdout.split())
    catalog = Catalog(tmp_path / "catalog.db", KEY)
    assert len(catalog.open_calls()) == said == 50
    catalog.close()


def test_a_catalog_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StartError, match="cannot open the catalog"):
        Catalog(path, KEY)


def test_reading_beside_a_running_server(catalog: Catalog, tmp_path: Path) -> None:
    reader = Catalog(tmp_path / "catalog.db", KEY, readonly=True)
    catalog.open_call(call_row()).result()
    assert [row["id"] for row in reader.calls()] == ["c-1"]
    with pytest.raises(BrokenInvariant):
        reader.open_call(call_row("c-2"))
    reader.close()


def test_how_many_calls_a_second(catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    """A figure, not a limit: machines differ. docs/storage.md names what was measured."""
    began, count = time.perf_counter(), 500
    wait([catalog.open_call(call_row(f"c-{n}")) for n in range(count)])
    wait([catalog.finish_call(CallId(f"c-{n}"), STARTED, SPANS) for n in range(count)])
    took = time.perf_counter() - began
    with capsys.disabled():
        print(f"\ncatalog: {count / took:.0f} calls opened and finished a second")
    assert len(catalog.calls(limit=1000)) == count


def test_a_party_that_left_is_entered_anew(catalog: Catalog) -> None:
    row = call_row()
    catalog.open_call(row).result()
    agent = row.parties[1]
    left = type(agent)(
        **{**agent.__dict__, "party": type(agent.party)(**{**agent.party.__dict__, "left": 60.0})}
    )
    catalog.add_party(CALL, left).result()
    told = catalog.explain("c-1")
    assert told is not None
    parties = {party["party"]: party for party in told["parties"]}
    assert len(told["told"]) == 1
    assert (parties["agent"]["left"], parties["agent"]["person"]) == (60.0, PersonId("person-jansen"))
