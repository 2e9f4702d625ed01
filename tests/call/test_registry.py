"""The registry changes while a call runs: what came onto a list is obeyed at once, what left it only by new calls."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from qm_sip.call.arrival import read_offered
from qm_sip.call.switchboard import Settings
from qm_sip.call.words import CountConfidential, DestroyRecording, ForgetCall, NoteObjection
from qm_sip.config import Config
from qm_sip.config.index import build_index
from qm_sip.config.lines import Listed
from qm_sip.policy.facts import CallId, LineKind, SpanState
from qm_sip.policy.identify import identify
from qm_sip.sip.message import Request, parse
from tests.call.test_journeys import kept, states
from tests.call.test_private import end, talking
from tests.call.world import World
from tests.policy.site import NOON, site

AGENT, CUSTOMER = "1001", "+31612345678"


def listed(config: Config, **lists: Listed) -> Config:
    never = config.lines.never.model_copy(update={name: (entry,) for name, entry in lists.items()})
    lines = config.lines.model_copy(update={"never": never})
    return replace(config, lines=lines, index=build_index(lines, config.people, lambda *_: None))


def entry(number: str, **dates: date) -> Listed:
    return Listed(name="somebody", numbers=(number,), reason="for this test", **dates)


def reload(world: World, **lists: Listed) -> None:
    config, library = world.settings
    world.switchboard.use(Settings(listed(config, **lists), library), world.now)


def customer_of(world: World) -> str:
    call = next(iter(world.switchboard))
    (address,) = [party.address for party in call.facts.parties if party.outside]
    assert address is not None
    return address.reveal()


@pytest.mark.parametrize("side", ["agent", "customer"])
def test_somebody_in_it_becomes_confidential(side: str) -> None:
    world = talking()
    number = AGENT if side == "agent" else customer_of(world)
    changed = world.now
    reload(world, confidential=entry(number))
    world.run(3.0)
    call = next(iter(world.switchboard))
    assert call.unsaid and not call.relayed  # no socket of ours
    assert max(at for _, at in kept(world)) < changed + 0.001
    end(world)
    assert len(world.keeper.said(CountConfidential)) == 1
    assert len(world.outcomes()) == 1  # of the part before, which does not say why it ends


def test_of_a_call_that_was_not_recorded_no_row_is_left() -> None:
    world = World()
    world.dial("1003", line="")
    world.run(3.0)
    reload(world, confidential=entry("1003"))
    world.run(1.0)
    assert world.keeper.said(ForgetCall)
    world.hang_up(world.caller)
    world.run(1.0)
    assert not world.outcomes() and not world.keeper.said(CountConfidential)  # forgetting it counts it


def test_his_phone_becomes_one_of_the_break_room() -> None:
    world = talking()
    changed = world.now
    reload(world, break_room=entry(AGENT))
    world.run(3.0)
    assert not next(iter(world.switchboard)).relayed
    end(world)
    assert states(world)[-1] is SpanState.PRIVATE
    assert max(at for _, at in kept(world)) < changed + 0.001


def test_it_is_agreed_with_the_customer_and_what_was_recorded_is_destroyed() -> None:
    world = talking()
    reload(world, agreed=entry(customer_of(world)))
    world.run(3.0)
    (note,) = world.keeper.said(NoteObjection)
    assert note.how == "list"
    assert world.keeper.said(DestroyRecording)
    end(world)
    assert states(world)[-1] is SpanState.OBJECTED


@pytest.mark.parametrize("list_", ["confidential", "break_room", "private_reach", "agreed"])
@pytest.mark.parametrize("dates", [{"since": date(2999, 1, 1)}, {"until": date(1999, 1, 1)}])
def test_an_entry_that_does_not_hold_today_changes_nothing(list_: str, dates: dict[str, date]) -> None:
    world = talking()
    for number in (AGENT, customer_of(world)):
        reload(world, **{list_: entry(number, **dates)})
    world.run(2.0)
    assert next(iter(world.switchboard)).relayed
    end(world)
    assert SpanState.RECORDED in states(world) and states(world)[-1] is SpanState.RECORDED


def test_what_leaves_the_list_is_still_obeyed_by_the_call_that_runs() -> None:
    world = talking()
    config, library = world.settings
    reload(world, break_room=entry(AGENT))
    world.run(1.0)
    world.switchboard.use(Settings(config, library), world.now)
    world.run(2.0)
    assert not next(iter(world.switchboard)).relayed
    end(world)
    assert states(world)[-1] is SpanState.PRIVATE


INVITE = """INVITE sip:1001@127.0.0.2 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1
From: <sip:{From}@example.org>;tag=x
To: <sip:{To}@example.org>
Call-ID: 1
CSeq: 1 INVITE
P-Asserted-Identity: <sip:+31612345678@example.org>, <tel:{second}>
Diversion: <sip:{Diversion}@example.org>;reason=unconditional
History-Info: <sip:{old}@example.org>;index=1, <sip:1001@example.org>;index=1.1
Content-Length: 0

"""
SOMEBODY = dict.fromkeys(("From", "To", "second", "Diversion", "old"), "+31201234567")


@pytest.mark.parametrize("where", SOMEBODY)
@pytest.mark.parametrize("form", ["1900", "+31-20-123.09.00", "0031201230900", "020%31230900"])
def test_a_confidential_number_is_found_wherever_an_invite_shows_it(where: str, form: str) -> None:
    text = INVITE.format(**SOMEBODY | {where: form}).replace("\n", "\r\n")
    request = parse(text.encode())
    assert isinstance(request, Request)
    offered = read_offered(request, site(), "asterisk", None, "1001")
    assert identify(site(), offered, CallId("c"), NOON).facts.kind is LineKind.CONFIDENTIAL


def test_and_not_where_there_is_none() -> None:
    request = parse(INVITE.format(**SOMEBODY).replace("\n", "\r\n").encode())
    assert isinstance(request, Request)
    offered = read_offered(request, site(), "asterisk", None, "1001")
    assert identify(site(), offered, CallId("c"), NOON).facts.kind is not LineKind.CONFIDENTIAL


# --------------------------------------------------------------------------- a reload, again


def test_somebody_who_was_named_behind_another_since_is_found_as_well() -> None:
    world = talking()
    assert world.agent is not None
    shown = [
        ("P-Asserted-Identity", "<sip:1001@127.0.0.1>"),
        ("History-Info", "<sip:1950@127.0.0.1>;index=1"),
    ]
    world.pbx.request(world.agent.leg, "UPDATE", shown, now=world.now)
    world.run(1.0)
    assert not next(iter(world.switchboard)).unsaid
    reload(world, confidential=entry("1950"))
    assert next(iter(world.switchboard)).unsaid


def test_a_fault_in_one_call_does_not_keep_the_others_from_obeying(monkeypatch: pytest.MonkeyPatch) -> None:
    world = talking()
    world.dial("1003", line="", caller="0699999999", aside=True)
    world.run(1.0)
    first, second = world.switchboard
    monkeypatch.setattr(type(first), "become_private", lambda call, now: 1 / 0)
    reload(world, break_room=entry(AGENT), confidential=entry("0699999999"))
    assert second.unsaid
    world.run(0.5)
    assert (
        first.recording is not None and not first.recording.goes_on
    )  # it could not obey, so nothing is kept
