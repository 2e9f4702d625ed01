"""What a command may do to a running call: less for anybody, more only in the name of whom it is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qm_sip.control.client import ServerSaid, call
from qm_sip.errors import Refused
from tests.announce.site import site
from tests.control.state import State, make_state, serving

COACH = {"as": "m1", "extension": "1001", "purpose": "coaching"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make_state(site(tmp_path))


@pytest.fixture
def socket(state: State) -> Iterator[Path]:
    with serving(state) as path:
        yield path


def code_of(socket: Path, what: str, **asked: Any) -> str:
    """How a request is refused."""
    with pytest.raises((Refused, ServerSaid)) as said:
        call(socket, what, **asked)
    return str(said.value.code)  # type: ignore[attr-defined]


def test_a_call_is_paused_and_goes_on(socket: Path, state: State) -> None:
    assert call(socket, "pause", call="c3") == {"call": "c3", "paused": True}
    assert state.paused
    assert call(socket, "pause", call="c3") == {"call": "c3", "paused": True}  # it stays so
    assert call(socket, "pause", call="c3", on=False) == {"call": "c3", "paused": False}
    assert not state.paused
    assert code_of(socket, "pause", call="c3", on=False) == "not-paused"


def test_what_is_not_kept_cannot_be_paused(socket: Path) -> None:
    assert code_of(socket, "pause", call="c2") == "not-recorded"
    assert code_of(socket, "pause", call="c99") == "not-found"
    for wrong in ({}, {"call": "c3", "on": "yes"}, {"call": "c3", "on": 1}):
        assert code_of(socket, "pause", **wrong) == "bad-request"


def test_only_its_agent_asks_for_a_recording(socket: Path, state: State) -> None:
    assert code_of(socket, "record", call="c3") == "bad-request"
    for other in ("a2", "m1", "o1"):
        assert code_of(socket, "record", call="c3", **{"as": other}) == "not-your-call"
    assert not state.requested
    assert call(socket, "record", call="c3", **{"as": "a1"}) == {"call": "c3", "requested": True}
    assert state.requested
    assert code_of(socket, "record", call="c2", **{"as": "a1"}) == "not-on-request"
    assert code_of(socket, "record", call="c99", **{"as": "a1"}) == "not-found"


def test_a_session_begins_in_the_name_of_whoever_listens(socket: Path, state: State) -> None:
    assert call(socket, "monitor_start", **COACH) == {"session": "s0"}
    assert (state.dialled, state.sessions[0]["monitor"]) == (["1001"], "m1")
    for lacking in COACH:
        asked = {name: value for name, value in COACH.items() if name != lacking}
        assert code_of(socket, "monitor_start", **asked) == "bad-request"
    assert code_of(socket, "monitor_start", **{**COACH, "purpose": "complaint"}) == "bad-request"
    assert len(state.sessions) == 1


def test_anybody_may_end_a_session(socket: Path, state: State) -> None:
    session = call(socket, "monitor_start", **COACH)["session"]
    assert call(socket, "monitor_stop", session=session) == {"session": session, "stopped": True}
    assert state.sessions == []
    assert code_of(socket, "monitor_stop", session=session) == "not-found"


@pytest.mark.parametrize(
    ("person", "named"), [("", False), ("a1", True), ("m1", True), ("o1", True), ("a2", False), ("m2", False)]
)
def test_who_listens_is_named_to_the_two_and_to_who_oversees_it(
    socket: Path, person: str, named: bool
) -> None:
    call(socket, "monitor_start", **COACH)
    (row,) = call(socket, "monitor_list", **({"as": person} if person else {}))["sessions"]
    assert {"session", "purpose", "step", "seconds"} <= set(row)
    assert ("monitor" in row, "agent" in row) == (named, named)
