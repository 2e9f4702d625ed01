"""What agents, officers and administrators can ask about private calls, listening, and what is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qm_sip.call.words import SetPreset
from qm_sip.control.client import ServerSaid, call, fetch
from qm_sip.control.permit import speaker
from qm_sip.control.server import PeerCredentials
from qm_sip.errors import Refused
from qm_sip.policy.facts import CallId, PersonId, Reason
from qm_sip.recorder.rows import SessionRow
from tests.announce.site import rewrite, site
from tests.control.state import NOW, State, make_state, serving

A1 = {"as": "a1"}
A2 = {"as": "a2"}
OFFICER = {"as": "o1"}
COUNCIL = {"as": "w1"}
MONITOR = {"as": "m1"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    home = site(tmp_path)
    rewrite(home / "regulation.toml", 'officer = "o1"', 'officer = "o1"\ncouncil = ["w1"]')
    return make_state(home)


@pytest.fixture
def socket(state: State) -> Iterator[Path]:
    with serving(state) as path:
        yield path


def listened(state: State, name: str = "s1", *, heard: bool = True) -> None:
    row = SessionRow(
        id=name, call=CallId("c1"), agent=PersonId("a1"), monitor=PersonId("m1"), account="901", device=None,
        capacity="monitor", purpose="coaching", requested=NOW, decided=NOW, allowed=True,
        reasons=[Reason("granted", "KSF15-3.3.1")],
    )  # fmt: skip
    state.catalog.open_session(row).result(5)
    state.catalog.update_session(name, first=NOW + timedelta(seconds=10)).result(5)
    last = NOW + timedelta(seconds=15)
    due = NOW - timedelta(hours=1) if heard else None
    state.catalog.close_session(name, last, "private", last=last, heard_ms=5000, notice_due=due).result(5)


# ------------------------------------------------------------------------------ private


def test_the_proof_is_for_the_agent_alone(socket: Path, state: State) -> None:
    state.catalog.note_private(CallId("c1"), 26_000, 10_000, "direct", 26_300).result(5)
    listened(state)
    proof = call(socket, "private_proof", call="c1", **A1)
    assert proof == {
        "call": "c1", "private": True, "since": 26, "cut_back": 10, "recorded_after": 10, "listened_after": 0,
        "path": "direct", "packets_end": 26.3, "seconds": 26,
    }  # fmt: skip
    answers = []
    for asked in (
        {"call": "c1", **A2},
        {"call": "c1", **OFFICER},
        {"call": "c2", **A2},
        {"call": "c-none", **A1},
    ):
        with pytest.raises(Refused) as refused:
            call(socket, "private_proof", **asked)
        answers.append((refused.value.code, refused.value.text))
    assert len(set(answers)) == 1  # nobody learns from the answer whether there is anything to learn
    uses = [(use["person"], use["action"], use["allowed"]) for use in state.catalog.uses("c1")]
    assert uses == [("a1", "proof", 1), ("a2", "proof", 0), ("o1", "proof", 0)]


def test_a_proof_that_would_be_bad_says_so(socket: Path, state: State) -> None:
    """It is counted from what stands in the catalog, not asserted."""
    state.catalog.note_private(CallId("c1"), 12_000, 2_000).result(5)
    listened(state)  # from the 10th to the 15th second
    proof = call(socket, "private_proof", call="c1", **A1)
    assert (proof["recorded_after"], proof["listened_after"], proof["path"]) == (16, 3, "here")


def test_explain_tells_the_agent_and_nobody_else_that_he_made_it_private(socket: Path, state: State) -> None:
    state.catalog.note_private(CallId("c1"), 26_000, 10_000, "direct", 26_300).result(5)
    assert call(socket, "explain", call="c1", **A1)["private"] == {
        "since": 26,
        "cut_back": 10,
        "path": "direct",
    }
    for viewer in ({}, OFFICER):
        told = call(socket, "explain", call="c1", **viewer)
        assert "private" not in told
        assert "26.3" not in json.dumps(told)
    with pytest.raises(Refused):
        call(socket, "explain", call="c1", **A2)


def test_a_preset_is_set_for_oneself_and_cannot_be_taken_back_here(socket: Path, state: State) -> None:
    assert call(socket, "private_status", **A1) == {"private": False, "mode": None, "until": None}
    said = call(socket, "private_on", mode="until-off", **A1)
    assert (said["private"], said["mode"]) == (True, "until-off")
    (word,) = state.kept
    assert isinstance(word, SetPreset)
    assert (word.person, word.mode) == ("a1", "until-off")
    assert call(socket, "private_status", **A1) == said
    assert call(socket, "private_status", **A2)["private"] is False
    with pytest.raises(Refused) as refused:
        call(socket, "private_on", **OFFICER)
    assert refused.value.code == "not-an-agent"
    with pytest.raises(ServerSaid) as wrong:
        call(socket, "private_on", mode="off", **A1)
    assert wrong.value.code == "bad-request"
    with pytest.raises(ServerSaid):
        call(socket, "private_off", **A1)


def test_an_agents_unix_user_speaks_for_him_and_for_nobody_else(state: State) -> None:
    people = state.config.people
    mine = people.agent["a1"].model_copy(update={"unix_user": "nobody"})
    config = replace(state.config, people=people.model_copy(update={"agent": {**people.agent, "a1": mine}}))
    nobody = PeerCredentials(pid=1, uid=65534, gid=65534)
    assert speaker(config, A1, nobody) == "a1"
    for other in (A2, OFFICER, MONITOR, {"as": "stranger"}):
        with pytest.raises(Refused) as refused:
            speaker(config, other, nobody)
        assert refused.value.code == "not-you"


# --------------------------------------------------------------------------- monitoring


@pytest.mark.parametrize("viewer", [A1, OFFICER, COUNCIL])
def test_who_listened_is_for_the_agent_the_officer_and_the_council(
    socket: Path, state: State, viewer: dict[str, str]
) -> None:
    listened(state)
    (row,) = call(socket, "monitor_history", agent="a1", **viewer)["sessions"]
    assert (row["monitor"], row["purpose"], row["heard"], row["ended_by"]) == ("m1", "coaching", 5, "private")
    assert row["requested"] == NOW.isoformat()


@pytest.mark.parametrize("viewer", [A2, MONITOR])
def test_and_for_nobody_else(socket: Path, state: State, viewer: dict[str, str]) -> None:
    listened(state)
    with pytest.raises(Refused) as refused:
        call(socket, "monitor_history", agent="a1", **viewer)
    assert refused.value.code == "not-your-history"


def test_explain_says_that_somebody_listened_and_who_only_to_the_officer(socket: Path, state: State) -> None:
    listened(state)
    (row,) = call(socket, "explain", call="c1")["sessions"]
    assert (row["capacity"], row["allowed"], row["heard"]) == ("monitor", True, 5)
    assert "m1" not in json.dumps(row)
    assert call(socket, "explain", call="c1", **OFFICER)["sessions"][0]["monitor"] == "m1"


def test_notices_owed_are_listed_without_names_until_they_are_given(socket: Path, state: State) -> None:
    listened(state)
    listened(state, "s2", heard=False)
    told = call(socket, "monitor_notices")
    assert ([row["session"] for row in told["notices"]], told["overdue"]) == (["s1"], 1)
    assert "agent" not in told["notices"][0]
    assert call(socket, "monitor_notices", **COUNCIL)["notices"][0]["agent"] == "a1"
    for stranger in (A2, MONITOR | {"as": "m2"}):
        with pytest.raises(Refused):
            call(socket, "monitor_notices", sent="s1", **stranger)
    assert call(socket, "monitor_notices", sent="s1", **MONITOR)["notices"] == []
    with pytest.raises(ServerSaid) as said:
        call(socket, "monitor_notices", sent="s1", **OFFICER)
    assert said.value.code == "not-found"


# ---------------------------------------------------------------------------- retention


def test_what_goes_when_is_said_without_saying_when_the_call_was(socket: Path) -> None:
    told = call(socket, "retention_due")
    assert told["recordings"] == 1
    (row,) = told["due"]
    assert (row["recording"], row["purpose"], row["rule"], row["last"]) == (
        "r1",
        "coaching",
        "destroy-by",
        True,
    )
    assert (row["day"], row["overdue"]) == ((NOW + timedelta(days=60)).date().isoformat(), False)
    assert call(socket, "retention_run") == {"purposes": 0, "recordings": 0, "calls": 0, "failed": 0}
    assert call(socket, "status")["overdue"] == 0


def test_destroyed_is_said_with_its_reason_wherever_somebody_asks(socket: Path, state: State) -> None:
    state.catalog.destroyed("r1", "customer-objected", NOW).result(5)
    listed = call(socket, "recordings")["recordings"][0]
    assert (listed["state"], listed["because"]) == ("destroyed", "customer-objected")
    explained = call(socket, "explain", call="c1")["recordings"][0]
    assert (explained["state"], explained["reason"], explained["ended"]) == (
        "destroyed", "customer-objected", {"coaching": "customer-objected"},
    )  # fmt: skip
    asked = {"recording": "r1", "as": "m1", "purpose": "coaching", "action": "export"}
    with pytest.raises(Refused, match="destroyed: customer-objected"):
        fetch(socket, "recording", open("/dev/null", "wb"), **asked)  # noqa: SIM115


def test_verify_looks_for_what_is_left_of_it(socket: Path, state: State) -> None:
    state.catalog.destroyed("r1", "customer-objected", NOW).result(5)
    wrong = call(socket, "verify", recording="r1")  # its file still lies there
    assert (wrong["state"], wrong["ok"]) == ("destroyed", False)
    state.store.erase("r1")
    assert call(socket, "verify", recording="r1") == {
        "recording": "r1", "state": "destroyed", "ok": True, "problem": "", "because": "customer-objected",
    }  # fmt: skip


def test_one_that_was_picked_out_stays_until_its_ceiling(socket: Path, state: State) -> None:
    asked = {"recording": "r1", "action": "select", "purpose": "coaching"}
    assert call(socket, "recording", **asked, **MONITOR)["selected"] is True
    (kept,) = state.catalog.kept()
    assert kept.clocks[0].selected is not None
    assert [use["action"] for use in state.catalog.uses("r1")] == ["select"]
    with pytest.raises(Refused):
        call(socket, "recording", **asked, **OFFICER)
    with pytest.raises(ServerSaid):  # the agent may inspect his own, and not keep it for that
        call(socket, "recording", **{**asked, "purpose": "inspection"}, **A1)
