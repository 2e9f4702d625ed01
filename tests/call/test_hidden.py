"""A confidential party is recognised wherever a trusted peer names it, however it is written, in whatever message.

And a stranger's word changes nothing: else whoever likes could have his call go unrecorded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from qm_sip.call.words import CountConfidential, FinishRow, ForgetCall, OpenRecording, OpenRow
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome
from qm_sip.sip import events as sip
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import answering, ended
from tests.call.world import SDP, Phone, World, named, with_peer

COUNCIL = "1900"
HEADERS = [
    ("Diversion", f"<sip:{COUNCIL}@pbx.example>;reason=unconditional"),
    ("Diversion", f"tel:{COUNCIL}"),
    ("History-Info", f"<sip:{COUNCIL}@pbx.example>;index=1, <sip:1001@pbx.example>;index=1.1"),
    (
        "History-Info",
        "<sip:1001@pbx.example?Reason=SIP%3Bcause%3D302>;index=1, <sip:19%300@pbx.example>;index=1.1",
    ),
    ("History-Info", f'"half quoted <sip:{COUNCIL}@pbx.example>;index=1'),
    ("Remote-Party-ID", f'"Council" <sip:{COUNCIL}@pbx.example>;party=calling'),
]
ASSERTED = [
    f"<sip:{COUNCIL}@pbx.example>",
    f"<tel:{COUNCIL};phone-context=pbx.example>",
    "<sip:1-9.0(0)@pbx.example;user=phone>",
    "<sip:%31900@pbx.example>",
    "<sip:1900:secret@pbx.example>",
    "<SIP:1900;isub=5@pbx.example>",
    f"<sip:0201111111@pbx.example>, <tel:{COUNCIL}>",
    f'"no end <sip:{COUNCIL}@pbx.example>',
]


def dialled(world: World, more: Sequence[tuple[str, str]] = (), **how: str) -> Phone:
    answering(world)
    phone = world.dial("1001", line="sales", more=more, **how)  # type: ignore[arg-type]
    world.run(3.0)
    return phone


def nothing_is_said(world: World) -> bool:
    """Neither a row nor a socket nor a proof, but one more in the day's count."""
    opened = {word.facts.call for word in world.keeper.said(OpenRow)}
    forgotten = {word.call for word in world.keeper.said(ForgetCall)}
    rows = world.keeper.said(FinishRow)
    sockets = len(world.engine.asked(protocol.OpenCall)) - len(world.engine.asked(protocol.CloseCall))
    counted = len(world.keeper.said(CountConfidential)) or len(forgotten)
    return opened == forgotten and not rows and not sockets and counted == 1


@pytest.mark.parametrize(("name", "value"), HEADERS)
def test_the_call_came_by_a_confidential_number(name: str, value: str) -> None:
    world = World()
    phone = dialled(world, [(name, value)])
    assert phone.up and not world.engine.asked(protocol.OpenCall)
    assert nothing_is_said(world)
    world.hang_up(phone)
    ended(world)
    assert nothing_is_said(world)


@pytest.mark.parametrize("value", ASSERTED)
def test_the_caller_is_confidential_however_it_is_written(value: str) -> None:
    world = World()
    phone = dialled(world, asserted=value)
    assert phone.up and nothing_is_said(world)


@pytest.mark.parametrize(("name", "value"), HEADERS)
def test_a_stranger_does_not_decide_what_is_recorded(name: str, value: str) -> None:
    world = World()
    world.settings = with_peer(world.settings, trusted=False)
    world.switchboard.settings = world.settings
    dialled(world, [(name, value)])
    assert not world.keeper.said(CountConfidential) and len(world.keeper.said(OpenRow)) == 1


# --------------------------------------------------------------------------- during the call


def talking(world: World) -> tuple[Phone, Phone]:
    customer = dialled(world)
    assert world.agent is not None and world.keeper.said(OpenRecording)
    return customer, world.agent


def nothing_more_is_kept(world: World) -> bool:
    (call,) = world.switchboard
    closed = world.engine.asked(protocol.CloseTap) or world.engine.asked(protocol.CloseCall)
    return call.unsaid and not call.in_engine and bool(closed)


BEHIND = [
    [("P-Asserted-Identity", f"<sip:1001@pbx.example>, <tel:{COUNCIL}>")],
    [
        ("P-Asserted-Identity", "<sip:1001@pbx.example>"),
        ("History-Info", f"<sip:{COUNCIL}@pbx.example>;index=1"),
    ],
    [("P-Asserted-Identity", f'"no end <sip:{COUNCIL}@pbx.example>')],
]


@pytest.mark.parametrize("who", BEHIND)
def test_behind_an_identity_that_is_known_stands_another(who: list[tuple[str, str]]) -> None:
    world = World()
    _, agent = talking(world)
    world.pbx.request(agent.leg, "UPDATE", who, now=world.now)
    world.run(0.5)
    assert nothing_more_is_kept(world)


def test_the_answer_to_a_passed_offer_says_that_somebody_else_is_there() -> None:
    """A hold of the customer's is passed on; by the time it is answered the agent has given the call to the council."""
    world = World()
    customer, agent = talking(world)
    identity = ("P-Asserted-Identity", f"<sip:{COUNCIL}@pbx.example>")
    world._answer_offer = lambda phone, _: world.pbx.answer_offer(  # type: ignore[method-assign]
        phone.leg, phone.sdp(), headers=[SDP, identity] if phone is agent else [SDP], now=world.now
    )
    world.hold(customer, Direction.SENDONLY)
    world.run(0.5)
    assert nothing_more_is_kept(world)


def test_the_answer_to_an_update_of_ours_says_so() -> None:
    world = World()
    customer, agent = talking(world)
    at_once = world._on_pbx

    def answer(event: sip.UaEvent) -> None:
        if isinstance(event, sip.InDialogRequest) and event.request.method == "UPDATE":
            identity = [("P-Asserted-Identity", f"<sip:{COUNCIL}@pbx.example>")]
            world.pbx.respond(event.leg, event.token, 200, identity, now=world.now)
        else:
            at_once(event)

    world._on_pbx = answer  # type: ignore[method-assign]
    world.becomes(customer, "0699999999")
    world.run(0.5)
    assert agent.up and nothing_more_is_kept(world)


@pytest.mark.parametrize("line", ["sales", "support"])
def test_whoever_said_so_while_he_rang_need_not_repeat_it(line: str) -> None:
    world = World()

    def ring(phone: Phone) -> None:
        identity = [("P-Asserted-Identity", f"<sip:{COUNCIL}@pbx.example>")]
        world.pbx.provisional(phone.leg, 180, headers=identity, now=world.now)
        world.later(0.3, lambda: world.answer(phone))

    world.on_ringing = ring
    phone = world.dial("1001", line=line)
    world.run(3.0)
    assert phone.up and nothing_is_said(world) and not world.keeper.said(OpenRecording)
    assert world.agent is not None and phone.target == (world.agent.host, world.agent.port)


def test_of_two_that_rang_it_is_who_answers_that_counts() -> None:
    world = World()

    def ring(phone: Phone) -> None:
        identity = [("P-Asserted-Identity", f"<sip:{COUNCIL}@pbx.example>")]
        world.pbx.provisional(phone.leg, 180, headers=identity, now=world.now)
        world.later(0.3, lambda: world.answer(phone, "1001"))

    world.on_ringing = ring
    phone = world.dial("1001", line="sales")
    world.run(3.0)
    world.hang_up(phone)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


# --------------------------------------------------------------------------- transfers and keys


@pytest.mark.parametrize("to", [COUNCIL, "19%300", "1-9-0-0", "1900;x=1"])
@pytest.mark.parametrize("how", ["here", "pass"])
def test_a_transfer_to_it(how: str, to: str) -> None:
    world = World(refer=how)
    _, agent = talking(world)
    answering(world, identity="")
    world.refer(agent, to)
    world.run(2.0)
    if how == "here":
        assert nothing_more_is_kept(world)
    (call, *_) = world.switchboard
    assert call.unsaid or how == "pass"


def test_of_a_call_that_has_turned_confidential_no_key_means_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They reach the other side, whatever they would have meant, and nothing is written of them."""
    world = World()
    customer, agent = talking(world)
    world.becomes(agent, COUNCIL)
    world.run(1.0)
    words, commands = len(world.keeper.words), len(world.engine.commands)
    heard: list[bytes] = []
    at_once = world._on_pbx

    def listen(event: sip.UaEvent) -> None:
        if isinstance(event, sip.InDialogRequest) and event.request.method == "INFO":
            heard.append(event.request.body)
            world.pbx.respond(event.leg, event.token, 200, now=world.now)
        else:
            at_once(event)

    world._on_pbx = listen  # type: ignore[method-assign]
    caplog.set_level(logging.DEBUG)
    pressed = [(customer, key) for key in "99"] + [(agent, key) for key in "*1"]
    for phone, key in pressed:
        body = f"Signal={key}\r\n".encode()
        world.pbx.request(
            phone.leg, "INFO", [("Content-Type", "application/dtmf-relay")], body, now=world.now
        )
        world.run(0.1)
    assert [body.decode()[7] for body in heard] == ["9", "9", "*", "1"]
    assert (len(world.keeper.words), len(world.engine.commands)) == (words, commands)
    assert not [record for record in caplog.records if record.name.startswith("qm_sip")]


def test_a_transfer_to_somebody_who_sends_it_on_to_it() -> None:
    """He says so while it rings there, and not again when it is answered."""
    world = World(refer="here")
    customer, agent = talking(world)

    def ring(phone: Phone) -> None:
        identity = [("P-Asserted-Identity", f"<sip:{COUNCIL}@pbx.example>")]
        world.pbx.provisional(phone.leg, 180, headers=identity, now=world.now)
        world.later(0.3, lambda: world.answer(phone))

    world.on_ringing = ring
    world.refer(agent, "1002")
    world.run(1.5)
    assert nothing_more_is_kept(world)
    world.hang_up(customer)
    ended(world)
    assert len(world.keeper.said(OpenRecording)) == 1


def test_whoever_takes_a_leg_over_on_behalf_of_it() -> None:
    world = World()
    _, agent = talking(world)
    more = [("Replaces", named(world.pbx, agent)), ("History-Info", f"<sip:{COUNCIL}@pbx.example>;index=1")]
    taken = world.dial("2222", caller="1002", more=more, aside=True)
    world.run(1.0)
    assert taken.up and nothing_more_is_kept(world)
