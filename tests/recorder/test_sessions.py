"""Listening sessions, presets, locks and draws: found again by those who may, and unreadable in the file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from qm_sip.errors import BrokenInvariant
from qm_sip.policy.facts import CallId, PersonId, Reason
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.rows import Objection, PartyRow, PresetRow, SessionRow, State
from tests.recorder.facts import SECRETS, STARTED, call_row, facts, recording_row
from tests.recorder.test_catalog import KEY, result, whole_call

NAMES = ["monitor-bakker", "agent-jansen", "account-901", "phone-901"]
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def catalog(tmp_path: Path):
    made = Catalog(tmp_path / "catalog.db", KEY)
    made.open_call(call_row()).result()
    yield made
    made.close()


def session(name: str = "s-1", *, allowed: bool = True, call: str | None = "c-1") -> SessionRow:
    return SessionRow(
        id=name,
        agent=PersonId("agent-jansen"),
        monitor=PersonId("monitor-bakker"),
        account="account-901",
        device="phone-901",
        capacity="monitor",
        purpose="coaching",
        requested=STARTED,
        decided=STARTED + MINUTE,
        allowed=allowed,
        reasons=[Reason("granted", "KSF15-3.3.1")],
        call=CallId(call) if call else None,
        plan="march",
        grant="monitor.bakker",
    )


def test_a_session_is_found_by_agent_monitor_and_call_and_by_nobody_in_the_file(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.open_session(session()).result()
    catalog.open_session(session("s-2", allowed=False, call=None)).result()
    catalog.update_session("s-1", notice_began=STARTED, notice_ended=STARTED + MINUTE, first=STARTED).result()
    over = {"last": STARTED, "heard_ms": 5000, "notice_due": STARTED + DAY}
    catalog.close_session("s-1", STARTED + MINUTE, "private", **over).result()  # type: ignore[arg-type]
    assert [row["id"] for row in catalog.sessions(agent="agent-jansen")] == ["s-2", "s-1"]
    assert [row["id"] for row in catalog.sessions(monitor="monitor-bakker", call="c-1")] == ["s-1"]
    assert catalog.sessions(agent="somebody") == []
    row = catalog.session("s-1")
    assert row is not None
    assert (row["monitor"], row["account"], row["heard_ms"], row["ended_by"]) == (
        "monitor-bakker", "account-901", 5000, "private",
    )  # fmt: skip
    assert (row["reasons"], row["requested"]) == (["granted"], STARTED.isoformat())
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [secret for secret in [*NAMES, *SECRETS] if secret.encode() in raw] == []


def test_a_notice_is_due_until_it_is_sent_and_is_sent_once(catalog: Catalog) -> None:
    for name in ("s-1", "s-2"):
        catalog.open_session(session(name)).result()
    assert catalog.open_sessions() == ["s-1", "s-2"]
    catalog.close_session("s-1", STARTED, "listener", last=STARTED, notice_due=STARTED + DAY).result()
    catalog.close_session("s-2", STARTED, "listener").result()  # nothing was heard: nothing is owed
    assert [row["id"] for row in catalog.notices_due()] == ["s-1"]
    assert catalog.notice_sent("s-1", STARTED).result() is True
    assert catalog.notice_sent("s-1", STARTED).result() is False
    assert catalog.notice_sent("s-none", STARTED).result() is False
    assert catalog.notices_due() == []
    assert catalog.open_sessions() == []


def test_a_session_of_a_call_nobody_entered_is_not_opened(catalog: Catalog) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        catalog.open_session(session(call="c-none")).result()


def test_a_preset_is_the_persons_and_outlives_the_catalogs_process(catalog: Catalog, tmp_path: Path) -> None:
    until = STARTED + DAY
    catalog.set_preset(PresetRow(PersonId("agent-jansen"), "phone-901", "next-call", until)).result()
    catalog.set_preset(PresetRow(PersonId("agent-jansen"), "phone-902", "until-off", until)).result()
    catalog.set_preset(PresetRow(None, "phone-903", "next-call", until)).result()
    other = Catalog(tmp_path / "catalog.db", KEY, readonly=True)
    assert {(row.person, row.device, row.mode) for row in other.presets()} == {
        ("agent-jansen", "phone-902", "until-off"),
        (None, "phone-903", "next-call"),
    }
    other.close()
    catalog.clear_preset("agent-jansen", None).result()
    assert [row.device for row in catalog.presets()] == ["phone-903"]
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [name for name in [*NAMES, "phone-903"] if name.encode() in raw] == []


def test_the_third_wrong_code_locks_and_the_right_one_forgets(catalog: Catalog) -> None:
    until = STARTED + 30 * MINUTE
    assert [catalog.add_try("account-901", until, allowed=3).result() for _ in range(2)] == [1, 2]
    assert catalog.locked("account-901", STARTED) is None
    catalog.add_try("account-901", until, allowed=3).result()
    assert catalog.locked("account-901", STARTED) == until
    assert catalog.locked("account-901", until) is None
    assert catalog.locked("account-902", STARTED) is None
    catalog.clear_tries("account-901").result()
    assert catalog.add_try("account-901", until, allowed=3).result() == 1


def test_a_days_seed_is_committed_once_and_revealed_afterwards(catalog: Catalog, tmp_path: Path) -> None:
    today, seed = date(2026, 3, 3), bytes(range(32))
    assert catalog.commit_draw(today, seed).result() == seed
    assert (
        catalog.commit_draw(today, bytes(32)).result() == seed
    )  # after a restart: the day goes on with its seed
    commitment = hashlib.sha256(seed).hexdigest()
    assert catalog.draws() == [{"day": "2026-03-03", "commitment": commitment, "seed": None}]
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert seed not in raw
    assert seed.hex().encode() not in raw
    assert catalog.reveal_draws(today).result() == 0
    assert catalog.reveal_draws(today + DAY).result() == 1
    assert catalog.draws()[0]["seed"] == seed.hex()


def test_the_private_proof_says_since_when_and_which_way(catalog: Catalog) -> None:
    catalog.note_private(CallId("c-1"), 20_000, 10_000).result()
    catalog.note_private(CallId("c-1"), 99_000, 0, "direct", 20_400).result()  # since when stays
    known = catalog.private_proof("c-1")
    assert known is not None
    assert known["agents"] == ["person-jansen"]
    assert [known[f"private_{name}"] for name in ("since_ms", "cut_ms", "path", "direct_ms")] == [
        20_000, 10_000, "direct", 20_400,
    ]  # fmt: skip
    assert catalog.private_proof("c-none") is None


def test_the_proof_is_his_who_made_the_call_private_whoever_he_put_it_through_to(catalog: Catalog) -> None:
    catalog.note_private(CallId("c-1"), 20_000, 10_000).result()
    agent = next(party for party in facts().parties if party.person == "person-jansen")
    put_through = replace(agent, person=PersonId("person-devries"))
    catalog.add_party(CallId("c-1"), PartyRow(put_through, language="nl")).result()
    catalog.note_private(CallId("c-1"), 99_000, 0, "direct", 20_400).result()
    known = catalog.private_proof("c-1")
    assert known is not None
    assert known["agents"] == ["person-jansen"]


def test_the_last_private_call_is_looked_for_by_its_agent(catalog: Catalog) -> None:
    assert catalog.last_private("person-jansen") is None
    catalog.note_private(CallId("c-1"), 0, 0, "direct", 0).result()
    found = catalog.last_private("person-jansen")
    assert found is not None and found["id"] == "c-1"
    assert catalog.last_private("person-devries") is None


# ------------------------------------------------------------------------------ forgetting


def test_who_took_part_is_gone_from_row_and_file_and_the_rest_stays(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.db", KEY)
    whole_call(catalog)
    catalog.open_session(session()).result()
    catalog.destroyed("rec-1", "destroy-by", STARTED).result()
    catalog.forget_call("c-1").result()
    told = catalog.explain("c-1")
    assert told is not None
    assert (told["call"]["line"], told["call"]["started"], told["outcome"]) == (None, None, "recorded")
    assert [party["person"] for party in told["parties"]] == [None, None]
    assert [told["objections"][0]["since"], told["decisions"][0]["at"]] == [None, None]
    assert [reason["code"] for reason in told["decisions"][0]["reasons"]] == ["told", "capture-all"]
    gone = catalog.recording("rec-1")
    assert gone is not None
    assert (gone.person, gone.started, gone.purposes) == (None, None, {"coaching": None})
    assert len(catalog.calls()) == len(catalog.recordings()) == 1
    assert catalog.sessions(agent="agent-jansen")[0]["monitor"] == "monitor-bakker"
    assert list(catalog.ended_calls()) == []
    catalog.close()


def test_a_call_that_runs_and_a_recording_that_lives_are_not_forgotten(catalog: Catalog) -> None:
    catalog.open_recording(recording_row()).result()
    catalog.forget_call("c-1").result()
    told, living = catalog.explain("c-1"), catalog.recording("rec-1")
    assert told is not None
    assert living is not None
    assert told["call"]["line"] == "line-klantenservice"
    assert living.person == "person-jansen"


def test_a_decision_can_be_forgotten_and_still_not_be_edited(catalog: Catalog) -> None:
    whole_call_again(catalog)
    for change in ("[class] = 'logging'", "sealed = x'00'", "sealed = x'', allowed = 1"):
        with pytest.raises(Exception, match="fixed before the first sample"):
            catalog.submit(
                lambda db, change=change: db.execute(f"update decisions set {change}") and None
            ).result()


def whole_call_again(catalog: Catalog) -> None:
    from tests.recorder.facts import decision

    catalog.record_decision(CallId("c-1"), decision(), STARTED).result()


def test_a_purpose_ends_alone_and_never_the_last_one(catalog: Catalog) -> None:
    catalog.open_recording(recording_row()).result()
    with pytest.raises(BrokenInvariant):
        catalog.end_purpose("rec-1", "coaching", "destroy-by", STARTED).result()
    assert catalog.certificates("rec-1") == []


def test_what_is_selected_evaluated_or_held_stands_beside_its_clocks(catalog: Catalog) -> None:
    catalog.open_recording(recording_row()).result()
    catalog.select("rec-1", "coaching", STARTED).result()
    catalog.select("rec-1", "coaching", STARTED + DAY).result()  # the first time counts
    catalog.evaluate("rec-1", "coaching", STARTED + DAY).result()
    catalog.hold(
        "rec-1", "complaint", approver="manager", agreed=STARTED, since=STARTED, until=STARTED + DAY
    ).result()
    (kept,) = catalog.kept()
    assert (kept.clocks[0].selected, kept.clocks[0].evaluated) == (STARTED, STARTED + DAY)
    assert kept.held_until == STARTED + DAY
    catalog.release("rec-1").result()
    assert next(iter(catalog.kept())).held_until is None
    catalog.destroyed("rec-1", "evaluated", STARTED).result()
    assert list(catalog.kept()) == []
    with pytest.raises(BrokenInvariant):
        catalog.hold("rec-1", "x", approver="m", agreed=STARTED, since=STARTED, until=STARTED).result()


def test_what_comes_after_the_destruction_changes_nothing(catalog: Catalog) -> None:
    catalog.open_recording(recording_row()).result()
    catalog.destroyed("rec-1", "customer-objected", STARTED).result()
    for late in (
        catalog.close_recording("rec-1", STARTED, "objected"),
        catalog.failed("rec-1", "hold"),
        catalog.sealed_journal("rec-1"),
    ):
        late.result()
    with pytest.raises(BrokenInvariant):
        catalog.rendered(result()).result()
    row = catalog.recording("rec-1")
    assert row is not None
    assert (row.state, row.facts["reason"], row.wrapped) == (State.DESTROYED, "customer-objected", {})


def test_a_call_found_confidential_takes_its_sessions_along(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.db", KEY)
    whole_call(catalog)
    catalog.open_session(session()).result()
    catalog.add_objection(CallId("c-1"), Objection("customer", "record", "key", STARTED)).result()
    catalog.destroyed("rec-1", "customer-objected", STARTED).result()
    catalog.forget_confidential(CallId("c-1"), date(2026, 3, 2)).result()
    assert (catalog.sessions(), catalog.certificates(), catalog.explain("c-1")) == ([], [], None)
    catalog.close()
    raw = (tmp_path / "catalog.db").read_bytes()
    assert b"rec-1" not in raw
    assert b"s-1" not in raw
