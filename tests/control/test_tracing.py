"""`trace` over the control socket: redacted for everybody, unredacted for whoever may, and entered first."""

from __future__ import annotations

import json
import math
import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qm_sip.control.client import ServerSaid, call
from qm_sip.errors import Refused
from tests.announce.site import rewrite, site
from tests.control.state import State, make_state, serving
from tests.trace.world import TracedWorld, talking

NUMBERS = ("0612345678", "1001", "127.0.0.1", "Somebody")
WHY = "case 4711: calls of klinkers fail"


@pytest.fixture
def world() -> TracedWorld:
    world = TracedWorld()
    world.store.keep_for = math.inf  # its clock is not ours
    return world


@pytest.fixture
def state(tmp_path: Path, world: TracedWorld) -> State:
    home = site(tmp_path, people=('may = ["play", "export", "listen"]', 'may = ["play", "trace"]'))
    rewrite(home / "people.toml", 'may = ["listen"]', 'may = ["trace"]')  # m2, who has signed nothing
    state = make_state(home)
    state.tap = world.tap
    return state


@pytest.fixture
def socket(state: State) -> Iterator[Path]:
    with serving(state) as path:
        yield path


def uses(state: State, call_id: str) -> list[dict[str, Any]]:
    return state.catalog.uses(call_id)


def test_a_call_is_shown_redacted_by_its_id_or_the_beginning_of_it(world: TracedWorld, socket: Path) -> None:
    trace = talking(world)
    answer = call(socket, "trace", call=trace.id, raw=True, packets=True)
    assert answer == call(socket, "trace", call=trace.id[:6], raw=True, packets=True)
    assert answer["running"] and not answer["unredacted"]
    first = answer["rows"][0]
    assert (first["what"], first["leg"], first["way"], first["at"]) == ("INVITE", "caller", "in", 0.0)
    assert first["sdp"].startswith("sendrecv RTP/AVP PCMA")
    assert first["packet"]["at"] == 0.0 and first["packet"]["source"][0].startswith("192.0.2.")
    assert b64decode(first["packet"]["bytes"]).decode() == first["raw"]
    said = json.dumps(answer).replace(trace.id, "")
    assert not [number for number in NUMBERS if number in said]


def test_what_is_followed_is_what_came_after(world: TracedWorld, socket: Path) -> None:
    trace = talking(world)
    last = call(socket, "trace", call=trace.id)["rows"][-1]["number"]
    assert call(socket, "trace", call=trace.id, after=last)["rows"] == []
    world.hang_up(world.caller)
    world.run(1.0)
    later = call(socket, "trace", call=trace.id, after=last)
    assert later["rows"][0]["number"] == last + 1 and not later["running"]


def test_the_list_names_nobody(world: TracedWorld, socket: Path) -> None:
    trace = talking(world)
    (row,) = call(socket, "trace")["traces"]
    assert row["call"] == trace.id and row["first"] == "INVITE" and row["answer"] == "200 OK"
    assert call(socket, "trace", refused=True)["traces"] == []


@pytest.mark.parametrize(
    ("person", "code"),
    [("a1", "trace-not-granted"), ("m2", "secrecy-not-signed"), ("x", "trace-not-granted")],
)
def test_unredacted_is_refused_to_whoever_may_not_and_that_is_entered(
    world: TracedWorld, socket: Path, state: State, person: str, code: str
) -> None:
    trace = talking(world)
    with pytest.raises(Refused) as refused:
        call(socket, "trace", call=trace.id, unredacted=True, reason=WHY, raw=True, **{"as": person})
    assert refused.value.code == code
    (use,) = uses(state, trace.id)
    assert (use["person"], use["allowed"], use["reasons"], use["note"]) == (person, False, [code], WHY)


@pytest.mark.parametrize("person", ["m1", "o1"])
def test_unredacted_for_whoever_may_is_entered_before_it_is_shown(
    world: TracedWorld, socket: Path, state: State, person: str
) -> None:
    trace = talking(world)
    answer = call(socket, "trace", call=trace.id, unredacted=True, reason=WHY, raw=True, **{"as": person})
    assert "0612345678" in answer["rows"][0]["raw"]
    (use,) = uses(state, trace.id)
    assert (use["action"], use["person"], bool(use["allowed"])) == ("trace", person, True)
    assert use["reasons"] == ["trace-granted"]


def test_the_reason_and_the_person_are_sealed_on_the_disk(
    world: TracedWorld, socket: Path, state: State
) -> None:
    trace = talking(world)
    call(socket, "trace", call=trace.id, unredacted=True, reason=WHY, **{"as": "m1"})
    stored = b"".join(path.read_bytes() for path in (state.home / "storage").glob("catalog.db*"))
    assert trace.id.encode() in stored and b"klinkers" not in stored


def test_if_it_cannot_be_entered_it_is_not_shown(
    world: TracedWorld, socket: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = talking(world)

    def full(*arguments: Any) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr("qm_sip.recorder.catalog.run_insert", full)
    with pytest.raises(ServerSaid):
        call(socket, "trace", call=trace.id, unredacted=True, reason=WHY, raw=True, **{"as": "m1"})


@pytest.mark.parametrize("lacking", ["as", "reason"])
def test_unredacted_needs_a_person_and_a_reason(world: TracedWorld, socket: Path, lacking: str) -> None:
    trace = talking(world)
    asked = {"as": "m1", "reason": WHY, lacking: ""}
    with pytest.raises(ServerSaid) as error:
        call(socket, "trace", call=trace.id, unredacted=True, **asked)
    assert error.value.code == "bad-request"


def test_a_confidential_call_is_like_one_that_never_was(
    world: TracedWorld, socket: Path, state: State
) -> None:
    trace = talking(world)
    assert world.agent is not None
    world.becomes(world.agent, "1900")
    world.run(0.1)
    messages = []
    for wanted in (trace.id, "f" * 32):
        with pytest.raises(ServerSaid) as error:
            call(socket, "trace", call=wanted, unredacted=True, reason=WHY, **{"as": "o1"})
        messages.append(str(error.value).replace(wanted, ""))
    assert messages[0] == messages[1]
    assert call(socket, "trace")["traces"] == [] and not uses(state, trace.id)


def test_of_a_private_call_nobody_sees_more_than_the_bare_ladder(world: TracedWorld, socket: Path) -> None:
    trace = talking(world)
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(3.0)
    asked = {"unredacted": True, "reason": WHY, "as": "o1", "raw": True, "packets": True}
    answer = call(socket, "trace", call=trace.id, **asked)
    assert answer["rows"] and answer["peers"] == {"caller": "", "callee": ""}
    assert {row["raw"] for row in answer["rows"]} == {row["packet"] for row in answer["rows"]} == {None}
    assert not [number for number in NUMBERS if number in json.dumps(answer).replace(trace.id, "")]


def test_an_attempt_is_never_unredacted(world: TracedWorld, socket: Path, state: State) -> None:
    world.ua.reject_new(503)
    world.dial("1001", line="sales")
    world.run(1.0)
    (row,) = call(socket, "trace", refused=True)["traces"]
    assert row["answer"] == "503 Service Unavailable"
    assert call(socket, "trace", call=row["call"], raw=True)["rows"][0]["raw"].startswith(
        "INVITE sip:user-1@"
    )
    with pytest.raises(Refused) as refused:
        call(socket, "trace", call=row["call"], unredacted=True, reason=WHY, **{"as": "o1"})
    assert refused.value.code == "always-redacted" and not uses(state, row["call"])


def test_switched_off_it_says_so(socket: Path, state: State) -> None:
    state.tap = None
    with pytest.raises(ServerSaid) as error:
        call(socket, "trace")
    assert "[trace] on" in str(error.value)
