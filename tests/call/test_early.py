"""Before the answer, and refreshes during the call: what crosses the two legs, and what never may."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest

from qm_sip.call.states import State
from qm_sip.media import protocol
from qm_sip.policy.facts import SpanState
from qm_sip.sip import events as sip
from qm_sip.sip.message import Message, Request, Response, parse
from qm_sip.sip.sdp import Direction, Sdp
from qm_sip.sip.ua import Prack
from tests.call.test_journeys import answering, ended, kept, states
from tests.call.world import SDP, Phone, World


class Watched(World):
    """A world whose PBX answers late early offers, and which keeps every message."""

    def __init__(self, seed: int = 0, *, loss: float = 0.0) -> None:
        super().__init__(seed, loss=loss)
        self.wire: list[tuple[bool, Message]] = []  # whether it is ours
        self.progress: list[Response] = []

    @property
    def commands(self) -> list[protocol.Command]:
        return self.engine.commands

    def _carry(self, sender: object, receiver: object) -> int:
        ours = sender is self.ua
        for datagram in sender._core.datagrams:  # type: ignore[attr-defined]
            self.wire.append((ours, parse(datagram.data)))
        return super()._carry(sender, receiver)  # type: ignore[arg-type]

    def _on_pbx(self, event: sip.UaEvent) -> None:
        if isinstance(event, sip.Progressed):
            self.progress.append(event.response)
            phone = self._of(event.leg)
            if phone is not None and event.response.body:
                self._learn(phone, event.response.body)
                if phone.late:
                    self.pbx.ack(phone.leg, phone.sdp(), now=self.now)
                    phone.late = False
        elif isinstance(event, sip.EarlyAnswer | sip.Acknowledged):
            phone = self._of(event.leg)
            assert phone is not None
            self._learn(phone, event.request.body)
        elif isinstance(event, sip.InDialogRequest):
            self.pbx.respond(event.leg, event.token, 200, now=self.now)
        super()._on_pbx(event)

    def said(self, what: str, *, ours: bool = True) -> list[Message]:
        """Messages of that method or status."""
        found = []
        for mine, message in self.wire:
            word = message.method if isinstance(message, Request) else str(message.status)  # type: ignore[attr-defined]
            if mine is ours and word == what:
                found.append(message)
        return found

    def describes(self, leg: str, phone: Phone, *, anew: bool = False, host: str = "") -> None:
        """The end that is called rings, with a description."""
        phone.host = host or phone.host
        self.pbx.provisional(leg, 183, headers=[SDP], body=phone.sdp(), anew=anew, now=self.now)


def talking_directly(world: World) -> None:
    """What each sends reaches the other, not us."""
    assert world.agent is not None
    assert world.caller.target == (world.agent.host, world.agent.port)
    assert world.agent.target == (world.caller.host, world.caller.port)


def finish(world: World) -> None:
    world.hang_up(world.caller)
    world.run(0.3)
    ended(world)


def direct(world: World, **kw: object) -> None:
    """A colleague calls another: nothing of it is recorded."""
    world.dial("1003", caller="1001", **kw)  # type: ignore[arg-type]
    world.run(0.1)
    assert world.agent is not None


# ---------------------------------------------------------------------- early media


def test_early_media_of_a_direct_call_goes_end_to_end_and_arrives_for_certain() -> None:
    world = Watched()
    direct(world)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.1)
    (ringing,) = world.progress
    assert ringing.status == 183 and ringing.get("rseq")
    talking_directly(world)
    theirs = world.said("183", ours=False)[0]
    assert ringing.get("rseq") != theirs.get("rseq")  # of each leg its own
    world.pbx.answer(agent.leg, agent.sdp(), headers=[SDP], now=world.now)
    agent.up = True
    world.run(0.3)
    assert [m.body for m in world.said("200") if m.cseq.method == "INVITE"] == [b""]
    talking_directly(world)
    finish(world)


@pytest.mark.parametrize("first", [True, False])
def test_the_caller_hears_the_newest_of_several_ends_and_whoever_picks_up(first: bool) -> None:
    world = Watched()
    direct(world)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.1)
    if first:
        world.describes(agent.leg, agent, anew=True, host="127.0.0.77")
        world.run(0.1)
        assert [len({r.to.tag for r in world.progress}), len(world.progress)] == [2, 2]
        assert world.caller.target == ("127.0.0.77", agent.port)
    agent.host = "127.0.0.78"  # a third, of whom nothing was heard before
    agent.up = True
    world.pbx.answer(agent.leg, agent.sdp(), headers=[SDP], anew=True, now=world.now)
    world.run(0.3)
    (ok,) = [m for m in world.said("200") if m.cseq.method == "INVITE"]
    assert ok.to.tag not in {r.to.tag for r in world.progress} and ok.body
    talking_directly(world)
    finish(world)


def test_who_wants_one_dialog_only_is_told_of_another_end_by_update() -> None:
    world = Watched()
    direct(world, more=[("Request-Disposition", "no-fork")])
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.1)
    world.describes(agent.leg, agent, anew=True, host="127.0.0.77")
    world.run(0.1)
    (update,) = world.said("UPDATE")
    assert update.body and len(world.progress) == 1
    assert world.caller.target == ("127.0.0.77", agent.port)
    agent.up = True
    world.pbx.answer(agent.leg, agent.sdp(), headers=[SDP], now=world.now)
    world.run(0.3)
    assert len(world.said("INVITE")) == 1
    talking_directly(world)
    finish(world)


def test_who_cannot_be_told_keeps_the_first_and_is_told_when_they_are_connected() -> None:
    world = Watched()
    without_update(world)
    direct(world, more=[("Request-Disposition", "no-fork")])
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    first = agent.host
    world.run(0.1)
    world.describes(agent.leg, agent, anew=True, host="127.0.0.77")
    world.run(0.1)
    assert world.caller.target == (first, agent.port) and not world.said("UPDATE")
    agent.up = True
    world.pbx.answer(agent.leg, agent.sdp(), headers=[SDP], now=world.now)
    world.run(0.5)
    assert len({r.to.tag for r in world.progress}) == 1
    talking_directly(world)
    finish(world)


def test_the_end_of_one_of_several_does_not_end_the_callers_dialog() -> None:
    world = Watched()
    direct(world)
    assert world.agent is not None
    world.pbx.provisional(world.agent.leg, 199, now=world.now)
    world.run(0.1)
    assert world.progress == []
    finish(world)


@pytest.mark.parametrize("line", ["sales", "support"])
def test_nothing_of_early_media_is_relayed_kept_or_told_of(line: str) -> None:
    world = Watched()
    number = {"sales": "1001", "support": "1002"}[line]
    world.dial(number, line=line)
    for _ in range(100):
        world.run(0.1)
        if world.agent is not None:
            break
    agent = world.agent
    assert agent is not None
    answered = world.caller.up  # before-ring: he is with us already
    for number_of_end in range(2):
        world.describes(agent.leg, agent, anew=bool(number_of_end), host=f"127.0.0.{77 + number_of_end}")
        world.run(0.3)
    assert all(not r.body for r in world.progress)
    assert [r.status for r in world.progress] == ([] if answered else [180, 180])
    assert len(world.said("PRACK")) == 2
    agent.up = True
    world.run(1.0)  # it sends, and nobody has picked up
    assert not world.engine.asked(protocol.Bridge) and not world.engine.asked(protocol.OpenTap)
    assert all(remote.leg == "caller" for remote in world.engine.asked(protocol.SetRemote))
    begun = world.now
    world.pbx.answer(agent.leg, None, now=world.now)  # the description came before
    world.run(3.0)
    assert next(iter(world.switchboard)).state is State.TALKING
    world.hang_up(world.caller)
    world.run(0.5)
    ended(world)
    packets = kept(world)
    assert packets and min(at for _, at in packets) > begun
    assert SpanState.RECORDED in states(world)


# ---------------------------------------------------------------------- offers before the answer


def ringing(world: Watched, **kw: object) -> Phone:
    """A direct call that rings with a description, acknowledged on both legs."""
    direct(world, **kw)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.2)
    return agent


@pytest.mark.parametrize("who", ["caller", "agent"])
def test_an_update_before_the_answer_is_passed_to_the_other_and_back(who: str) -> None:
    world = Watched()
    agent = ringing(world)
    asker = world.caller if who == "caller" else agent
    asker.host = "127.0.0.91"
    world.pbx.reoffer(asker.leg, asker.sdp(), headers=[SDP], now=world.now)
    world.run(0.2)
    assert asker.offers_answered == 1 and len(world.said("UPDATE")) == 1
    talking_directly(world)
    agent.up = True
    world.pbx.answer(agent.leg, agent.sdp(), headers=[SDP], now=world.now)
    world.run(0.3)
    assert len(world.said("INVITE")) == 1
    talking_directly(world)
    finish(world)


def test_an_update_that_the_other_cannot_take_gets_504_and_both_go_on() -> None:
    world = Watched()
    direct(world)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.2)
    callee = world.ua._core.legs[next(iter(world.switchboard)).legs["callee"]]
    callee.peer_allow = "INVITE, ACK, BYE, CANCEL, PRACK"
    world.caller.host = "127.0.0.91"
    world.pbx.reoffer(world.caller.leg, world.caller.sdp(), headers=[SDP], now=world.now)
    world.run(0.2)
    assert world.caller.offers_refused == [504]
    agent.up = True
    world.pbx.answer(agent.leg, agent.sdp(), headers=[SDP], now=world.now)
    world.run(0.3)
    assert next(iter(world.switchboard)).state is State.TALKING
    finish(world)


def test_on_a_relayed_call_an_early_update_of_the_callee_is_answered_here() -> None:
    world = Watched()
    world.dial("1001", line="sales")
    world.run(0.5)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.2)
    before = len(world.commands)
    agent.host = "127.0.0.91"
    world.pbx.reoffer(agent.leg, agent.sdp(), headers=[SDP], now=world.now)
    world.run(0.2)
    assert agent.offers_answered == 1 and not world.said("UPDATE")
    assert world.commands[before:] == []
    agent.up = True
    world.pbx.answer(agent.leg, None, now=world.now)
    world.run(0.5)
    remotes = [remote for remote in world.engine.asked(protocol.SetRemote) if remote.leg == "callee"]
    assert [remote.address for remote in remotes] == ["127.0.0.91"]
    finish(world)


def test_a_late_offer_may_be_answered_before_anybody_picks_up() -> None:
    world = Watched()
    direct(world, body=None)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.3)
    theirs, ours = world.said("PRACK", ours=False), world.said("PRACK")
    assert [bool(m.body) for m in (*theirs, *ours)] == [True, True]
    assert Sdp.parse(ours[0].body).media == Sdp.parse(theirs[0].body).media
    talking_directly(world)
    agent.up = True
    world.pbx.answer(agent.leg, None, now=world.now)
    world.run(0.3)
    assert next(iter(world.switchboard)).state is State.TALKING
    assert all(not m.body for m in world.said("200") if m.cseq.method == "INVITE")
    finish(world)


def test_of_several_late_offers_one_is_answered_and_the_others_are_joined_when_they_pick_up() -> None:
    world = Watched()
    direct(world, body=None)
    agent = world.agent
    assert agent is not None
    world.describes(agent.leg, agent)
    world.run(0.3)
    world.describes(agent.leg, agent, anew=True, host="127.0.0.77")
    world.run(0.3)
    first, second = world.said("PRACK")
    assert Sdp.parse(second.body).audio.rejected and not Sdp.parse(first.body).audio.rejected  # type: ignore[union-attr]
    agent.up = True
    world.pbx.answer(agent.leg, None, now=world.now)
    world.run(1.0)
    talking_directly(world)
    finish(world)


def test_a_caller_who_cannot_take_an_early_offer_is_not_the_reason_to_ask_for_one() -> None:
    world = Watched()
    world.pbx.invite = functools.partial(world.pbx.invite, prack=Prack.NO)  # type: ignore[method-assign]
    direct(world, body=None)
    (invite,) = world.said("INVITE")
    assert invite.body == b"" and invite.values("supported") == ["timer"]
    assert world.agent is not None
    world.answer(world.agent)
    world.run(0.3)
    talking_directly(world)
    finish(world)


# ---------------------------------------------------------------------- refreshes


def short(world: World) -> None:
    """Sessions of a minute and a half, on all legs that begin now."""
    for ua in (world.ua, world.pbx):
        ua._core.settings = replace(ua._core.settings, session_expires=90)


def without_update(world: World) -> None:
    """The PBX takes no UPDATE."""
    core = world.pbx._core
    allow = tuple(method for method in core.settings.allow if method != "UPDATE")
    core.settings = replace(core.settings, allow=allow)
    core._allow = core._allow._replace(value=", ".join(allow), raw=f"Allow: {', '.join(allow)}")


def quietly(world: Watched) -> list[object]:
    """What the engine and the keeper are told while three sessions are over, and nobody does anything."""
    began, words = len(world.commands), len(world.keeper.words)
    world.run(100.0)
    # What the agent may press changes half a minute into the call, whatever else happens.
    commands = [c for c in world.commands[began:] if not isinstance(c, protocol.WatchKeys)]
    return [*commands, *world.keeper.words[words:]]


@pytest.mark.parametrize("update", [True, False])
def test_a_refresh_while_recording_changes_nothing_and_interrupts_nothing(update: bool) -> None:
    world = Watched()
    short(world)
    if not update:
        without_update(world)
    answering(world)
    world.dial("1001", line="sales")
    world.run(4.0)
    assert next(iter(world.switchboard)).state is State.TALKING
    assert quietly(world) == []
    verb = "UPDATE" if update else "INVITE"
    assert len(world.said(verb)) >= (2 if update else 3)
    versions = {Sdp.parse(m.body).origin.version for m in world.said("INVITE") if m.body and m.to.tag}
    assert len(versions) <= 2  # of each leg one: the description is word for word the same
    world.hang_up(world.caller)
    world.run(0.5)
    ended(world)
    assert states(world) == [SpanState.UNTOLD, SpanState.TOLD, SpanState.RECORDED]
    arrivals = sorted(at for channel, at in kept(world) if channel == 0)
    assert max(b - a for a, b in itertools.pairwise(arrivals)) < 0.05


@pytest.mark.parametrize("update", [True, False])
def test_a_refresh_of_a_private_call_opens_nothing(update: bool) -> None:
    world = Watched()
    short(world)
    if not update:
        without_update(world)
    answering(world)
    world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    world.press(world.agent, "*1")
    world.run(3.0)
    (call,) = world.switchboard
    assert call.private.on and not call.in_engine
    talking_directly(world)
    assert quietly(world) == []
    talking_directly(world)
    assert not call.in_engine and not call.relayed
    finish(world)


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("line", ["sales", ""])
def test_a_refresh_during_hold_does_not_end_it(update: bool, line: str) -> None:
    world = Watched()
    short(world)
    if not update:
        without_update(world)
    answering(world)
    world.dial("1001" if line else "1003", line=line, caller="0612345678" if line else "1001")
    world.run(4.0)
    assert world.agent is not None
    world.hold(world.agent, Direction.SENDONLY)
    world.run(1.0)
    (call,) = world.switchboard
    assert call.exchange.held
    assert quietly(world) == []
    assert call.exchange.held
    finish(world)


def test_a_peer_who_moves_in_the_answer_to_a_refresh_is_followed() -> None:
    world = Watched()
    short(world)
    without_update(world)
    direct(world)
    assert world.agent is not None
    world.answer(world.agent)
    world.run(0.5)
    world.caller.host = "127.0.0.99"
    world.run(50.0)
    talking_directly(world)
    assert not next(iter(world.switchboard)).relayed
    finish(world)


def test_a_call_whose_one_end_has_vanished_ends_on_both() -> None:
    world = Watched()
    short(world)
    answering(world)
    world.dial("1001", line="sales")
    world.run(4.0)
    gone = world.caller.leg
    world.pbx._core.legs.pop(gone)
    for identifier in [i for i, leg in world.pbx._core.dialogs.items() if leg.name == gone]:
        del world.pbx._core.dialogs[identifier]
    world.run(60.0)
    assert world.agent is not None and world.agent.gone
    assert len(world.switchboard.calls) == 0
    assert states(world)[-1] is SpanState.RECORDED
