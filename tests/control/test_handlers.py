"""What the running server answers: everything that was decided, and of nobody who or when."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qm_sip.control.client import ServerSaid, call, fetch
from qm_sip.control.permit import speaker
from qm_sip.control.requests import BadRequest
from qm_sip.control.server import PeerCredentials
from qm_sip.errors import Refused
from tests.announce.helpers import put
from tests.announce.site import RECIPIENT, rewrite, site
from tests.control.state import NUMBER, SEALED, SECRETS, State, make_state, serving

OFFICER = {"as": "o1"}
COACH = {"as": "m1", "purpose": "coaching"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make_state(site(tmp_path))


@pytest.fixture
def socket(state: State) -> Iterator[Path]:
    with serving(state) as path:
        yield path


def test_calls_say_what_became_of_them(socket: Path) -> None:
    rows = {row["call"]: row for row in call(socket, "calls")["calls"]}
    assert list(rows) == ["c3", "c2", "c1"]
    assert (rows["c1"]["outcome"], rows["c1"]["seconds"], rows["c1"]["recorded_seconds"]) == (
        "recorded",
        26,
        20,
    )
    assert (rows["c1"]["line"], rows["c1"]["recordings"]) == ("sales", ["r1"])
    assert (rows["c2"]["outcome"], rows["c2"]["reasons"]) == ("blocked", ["announcement-not-completed"])
    assert (rows["c3"]["state"], rows["c3"]["seconds"], rows["c3"]["outcome"]) == ("talking", 3.5, None)


ASKED: list[dict[str, Any]] = [
    {"what": "calls"},
    {"what": "explain", "call": "c1"},
    {"what": "ledger"},
    {"what": "recordings"},
    {"what": "lines"},
    {"what": "people"},
    {"what": "prompts"},
    {"what": "keys"},
    {"what": "taps"},
    {"what": "status"},
    {"what": "verify", "recording": "r1"},
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked["what"])
def test_no_answer_names_who_or_when(socket: Path, asked: dict[str, Any]) -> None:
    answer = call(socket, asked["what"], **{key: value for key, value in asked.items() if key != "what"})
    answer.pop("started", None)  # the server's own
    said = re.sub(r"[0-9a-f]{64}", "", json.dumps(answer))  # in a digest anything may stand by chance
    assert [secret for secret in (*SECRETS, "1900", "1001") if secret in said] == []


def test_the_officer_sees_who_phoned_whom_and_nobody_else_does(socket: Path) -> None:
    (newest, *_) = call(socket, "calls", limit=1, **OFFICER)["calls"]
    assert newest["parties"] == [f"customer {NUMBER}", "agent -"]
    parties = call(socket, "explain", call="c1", **OFFICER)["parties"]
    assert {party["role"]: party["person"] for party in parties} == {"customer": None, "agent": "a1"}
    for what in ("calls", "explain"):
        with pytest.raises(Refused) as refused:
            call(socket, what, call="c1", **{"as": "m1"})
        assert refused.value.code == "not-the-officer"


def test_a_reason_is_told_only_to_whom_it_may_be_told(socket: Path) -> None:
    told = call(socket, "explain", call="c2")
    assert told["call"]["reasons"] == ["announcement-not-completed"]
    assert told["decisions"][0]["reasons"] == [
        "not-told: An outside party has been told nothing yet. (KSF15-0.2)"
    ]
    assert "told-to-nobody" not in json.dumps(told)


def test_explain_tells_all_in_order(socket: Path) -> None:
    told = call(socket, "explain", call="c1")
    assert told["told"][0]["prompt"] == "d" * 64
    assert told["told"][0]["seconds"] == pytest.approx(5.8)
    assert told["told"][0]["uses"] == ["record"]
    assert [(span["state"], span["seconds"]) for span in told["spans"]] == [("told", 6), ("recorded", 20)]
    assert sum(span["seconds"] for span in told["spans"]) == told["call"]["seconds"]
    assert told["decisions"][0]["allowed"] is True
    assert told["recordings"][0]["id"] == "r1"


def test_what_does_not_exist_is_said_so(socket: Path) -> None:
    for what, field in (("explain", "call"), ("verify", "recording")):
        with pytest.raises(ServerSaid) as said:
            call(socket, what, **{field: "nothing"})
        assert said.value.code == "not-found"


def test_the_ledger_adds_up_and_only_counts_confidential_calls(socket: Path, state: State) -> None:
    book = call(socket, "ledger")
    assert {line["call"]: line["outcome"] for line in book["calls"]} == {
        "c1": "recorded",
        "c2": "blocked",
        "c3": None,
    }
    assert sum(total["calls"] for total in book["totals"]) == 2
    seconds = sum(total["seconds"] for total in book["totals"])
    assert seconds == sum(span["seconds"] for span in book["spans"]) == 28.5
    assert book["confidential"] == [{"day": state.started.date().isoformat(), "count": 1}]


def test_lines_people_prompts_keys_and_taps(socket: Path) -> None:
    lines = {line["line"]: line for line in call(socket, "lines")["lines"]}
    assert lines["sales"]["matches"] == {"queues": 1}
    assert lines["sales"]["prompt"] == "K2-all-short"
    people = call(socket, "people")
    assert [(agent["person"], agent["devices"]) for agent in people["agents"]] == [("a1", 1), ("a2", 1)]
    assert [(monitor["person"], monitor["usable"]) for monitor in people["monitors"]] == [
        ("m1", True),
        ("m2", False),  # has signed no statement of secrecy
    ]
    assert {prompt["id"] for prompt in call(socket, "prompts")["prompts"]} >= {
        "K1-all-short-key",
        "K11-all-key",
        "K14",
    }
    (keys,) = call(socket, "keys")["keys"]
    assert keys == {
        "purpose": "coaching",
        "recipients": [RECIPIENT],
        "lines": ["sales", "waiting", "support", "outbound"],
    }
    assert [tap["tap"] for tap in call(socket, "taps")["taps"]] == ["r9"]


def test_status_says_whether_the_regulation_is_in_force(socket: Path) -> None:
    status = call(socket, "status")
    assert (status["calls"], status["taps"], status["regulation_status"]) == (1, 1, "in-force")
    assert status["regulation_lacks"] == ""


def test_a_reload_takes_effect_or_says_why_not(socket: Path, state: State) -> None:
    put(state.home / "prompts", "K1-all-short-key", "nl", seconds=3.0)
    assert call(socket, "reload")["reloaded"] is True
    prompts = {(p["id"], p["language"]): p["seconds"] for p in call(socket, "prompts")["prompts"]}
    assert prompts["K1-all-short-key", "nl"] == 3.0
    rewrite(state.home / "lines.toml", 'capture = "all"', 'capture = "everything"')
    with pytest.raises(ServerSaid) as said:
        call(socket, "reload")
    assert said.value.code == "config"
    assert "lines.toml" in str(said.value)
    assert {line["capture"] for line in call(socket, "lines")["lines"]} == {"all"}


def test_a_recording_goes_out_sealed_and_who_asked_is_logged_first(socket: Path, state: State) -> None:
    sink = io.BytesIO()
    answer = fetch(socket, "recording", sink, recording="r1", action="export", **COACH)
    assert sink.getvalue() == SEALED
    assert (answer["wrapped"], answer["purpose"]) == ("d3JhcHBlZA==", "coaching")
    (use,) = state.catalog.uses("r1")
    assert (use["person"], use["action"], use["purpose"], use["allowed"]) == ("m1", "export", "coaching", 1)


def test_show_tells_what_is_known_and_logs_it(socket: Path, state: State) -> None:
    shown = call(socket, "recording", recording="r1", action="show", **COACH)
    assert (shown["agent"], shown["seconds"], shown["lost_packets"]) == ("a1", 20, 3)
    assert shown["purposes"][0]["ground_customer"] == "f"
    assert [use["action"] for use in state.catalog.uses("r1")] == ["show"]


@pytest.mark.parametrize(
    ("asked", "people", "code"),
    [
        ({"as": "m9"}, ("", ""), "player-unknown"),
        ({"as": "a1"}, ("", ""), "player-unknown"),
        ({"purpose": "complaint"}, ("", ""), "player-not-for-purpose"),
        ({}, ('may = ["play", "export", "listen"]', 'may = ["play"]'), "export-not-granted"),
        ({}, ('granted_by = "m0"', ""), "grant-missing"),
        ({}, ("secrecy_signed = 2024-01-08", ""), "secrecy-not-signed"),
        ({}, ("secrecy_signed", "qualified_until = 2024-02-01\nsecrecy_signed"), "not-qualified"),
        ({}, ('expires = "P50Y"', 'expires = "P1M"'), "grant-expired"),
    ],
)
def test_a_refusal_has_its_reason_and_is_logged(
    tmp_path: Path, asked: dict[str, str], people: tuple[str, str], code: str
) -> None:
    state = make_state(site(tmp_path, people=people))
    with serving(state) as socket:
        with pytest.raises(Refused) as refused:
            fetch(
                socket, "recording", io.BytesIO(), **{"recording": "r1", "action": "export", **COACH, **asked}
            )
        uses = state.catalog.uses("r1")
    assert refused.value.code == code
    assert [(use["allowed"], use["reasons"]) for use in uses] == [(0, [code])]


def test_somebody_without_a_grant_does_not_learn_which_recordings_exist(socket: Path) -> None:
    said = []
    for name in ("r1", "r2"):
        with pytest.raises(Refused) as refused:
            call(socket, "recording", recording=name, action="show", purpose="coaching", **{"as": "m9"})
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_what_was_recorded_for_another_purpose_is_refused(tmp_path: Path) -> None:
    home = site(tmp_path, people=('purposes = ["coaching"]', 'purposes = ["coaching", "complaint"]'))
    rule = '[purposes.complaint]\nclass = "logging"\nground = { agent = "f", customer = "b" }\n\n'
    rewrite(home / "regulation.toml", "[scopes.customers]", f"{rule}[scopes.customers]")
    with serving(make_state(home)) as socket, pytest.raises(Refused) as refused:
        call(socket, "recording", recording="r1", action="show", purpose="complaint", **{"as": "m1"})
    assert refused.value.code == "recorded-for-other"


def test_verify_sees_a_changed_and_a_missing_file(socket: Path, state: State) -> None:
    file = state.config.server.storage.directory / "recordings" / "r1.0.flac.age"
    assert call(socket, "verify", recording="r1")["ok"] is True
    file.write_bytes(SEALED[:-1] + b"x")
    assert "not the one that was sealed" in call(socket, "verify", recording="r1")["problem"]
    file.unlink()
    assert "cannot be read" in call(socket, "verify", recording="r1")["problem"]


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        ("calls", {"limit": 0}),
        ("calls", {"limit": "many"}),
        ("calls", {"limit": True}),
        ("explain", {}),
        ("explain", {"call": 3}),
        ("explain", {"call": "x" * 1000}),
        ("recording", {"recording": "r1"}),
        ("recording", {"recording": "r1", **COACH, "action": "erase"}),
    ],
)
def test_a_wrong_request_is_the_clients_fault(socket: Path, what: str, asked: dict[str, Any]) -> None:
    with pytest.raises(ServerSaid) as said:
        call(socket, what, **asked)
    assert said.value.code == "bad-request"


def test_only_root_the_server_and_the_person_himself_may_ask_in_a_name(tmp_path: Path) -> None:
    people = ('granted_by = "m0"', 'granted_by = "m0"\nunix_user = "nobody"')
    state = make_state(site(tmp_path, people=people))
    try:
        nobody, stranger = PeerCredentials(1, 65534, 65534), PeerCredentials(1, 54321, 54321)
        for peer in (PeerCredentials(1, 0, 0), PeerCredentials(1, os.geteuid(), 0), nobody):
            assert speaker(state.config, {"as": "m1"}, peer) == "m1"
        daemon = PeerCredentials(1, 1, 1)
        others = (("m1", stranger), ("m1", daemon), ("m9", nobody), ("o1", nobody))
        for person, peer in others:
            with pytest.raises(Refused) as refused:
                speaker(state.config, {"as": person}, peer)
            assert refused.value.code == "not-you"
        for wrong in ({}, {"as": ""}, {"as": 3}):
            with pytest.raises(BadRequest):
                speaker(state.config, wrong, nobody)
    finally:
        state.catalog.close()
