"""On the wire: reliable ringing, early media of two phones, offers before the answer, sessions that are refreshed."""

from __future__ import annotations

import time

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import Leg, Message, Party

pytestmark = pytest.mark.wire

KNOWS = [("Supported", "100rel, timer"), ("Allow", "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE")]
DIRECT = "7000"


def ring(callee: Leg, rseq: int, sdp: str | None = "") -> None:
    """A reliable 183 of the callee's."""
    body = callee.sdp() if sdp == "" else sdp or ""
    callee.reply(183, headers=[("Require", "100rel"), ("RSeq", str(rseq)), KNOWS[1]], body=body)


def pracked(callee: Leg) -> Message:
    """The server has acknowledged it."""
    prack = callee.expect("PRACK")
    callee.reply(200, prack)
    return prack


def acknowledge(caller: Leg, ringing: Message, body: str = "") -> Message:
    """The caller's PRACK, and the answer to it."""
    caller.request("PRACK", headers=[("RAck", f"{ringing.get('RSeq')} {ringing.get('CSeq')}")], body=body)
    return caller.expect(200, "PRACK")


def another(party: Party, callee: Leg) -> Leg:
    """Another phone that the same INVITE has reached."""
    leg = Leg(party, callee.call_id, f"{callee.tag}x", target=callee.target)
    leg.learn(callee.invite)
    leg.local = callee.invite.get("To") + f";tag={leg.tag}"
    leg.invite = callee.invite
    party.legs.append(leg)
    return leg


def connected(caller: Leg) -> Message:
    """Answered, and acknowledged under the INVITE's number: a PRACK has come between."""
    ok = caller.expect(200, "INVITE")
    caller.request("ACK", cseq=int(ok.get("CSeq").split()[0]))
    return ok


def test_ringing_with_early_media_is_acknowledged_on_both_legs_each_with_numbers_of_its_own(
    scene: Scene,
) -> None:
    caller = scene.pbx.call(DIRECT, headers=KNOWS)
    callee = scene.agents.called()
    assert "100rel" in callee.invite.get("Supported") and not callee.invite.get("Require")
    ring(callee, 4_000)
    prack = pracked(callee)
    assert prack.get("RAck") == f"4000 {callee.invite.get('CSeq')}"
    first = caller.expect(183)
    assert first.get("Require") == "100rel" and first.media == (scene.agents.address, scene.agents.rtp)
    assert first.get("RSeq") != "4000"
    until = time.monotonic() + 3
    while max(caller.party.copies.values()) < 2:  # repeated, for want of a PRACK
        assert time.monotonic() < until, caller.party.kinds()
        caller.party.pump(0.1)
    callee.answer()
    callee.expect("ACK")
    caller.party.pump(0.2)
    assert not caller.hears("200 INVITE")  # it waits for the PRACK
    acknowledge(caller, first)
    ok = connected(caller)
    assert ok.body == "" and ok.get("To") == first.get("To")
    scene.end(caller, callee)


def test_without_100rel_the_caller_gets_it_as_ever(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT)
    callee = scene.agents.called()
    ring(callee, 1)
    pracked(callee)
    ringing = caller.expect(183)
    assert not ringing.get("Require") and not ringing.get("RSeq") and ringing.body
    callee.answer(callee.sdp())
    assert caller.connected().body
    callee.expect("ACK")
    scene.end(caller, callee)


def test_of_two_phones_each_has_an_early_dialog_of_its_own(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT)
    first = scene.agents.called()
    second = another(scene.agents, first)
    first.reply(183, body=first.sdp())
    one = caller.expect(183)
    second.reply(183, body=second.sdp(address=scene.site.at(21)))
    two = caller.expect(183)
    assert one.get("To") != two.get("To")
    assert (one.media[0], two.media[0]) == (scene.site.at(20), scene.site.at(21))
    second.reply(200, body=second.sdp(address=scene.site.at(21)))
    ok = caller.connected()
    assert ok.get("To") == two.get("To") and ok.media[0] == scene.site.at(21)
    second.expect("ACK")
    caller.hang_up()
    second.hung_up()


def test_who_wants_one_dialog_keeps_the_first_and_is_told_of_the_other_when_it_picks_up(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT, headers=[("Request-Disposition", "no-fork")])
    first = scene.agents.called()
    second = another(scene.agents, first)
    first.reply(183, body=first.sdp())
    one = caller.expect(183)
    there = scene.site.at(21)
    second.reply(200, body=second.sdp(address=there))
    ok = caller.connected()
    assert (ok.get("To"), ok.media) == (one.get("To"), one.media)
    second.expect("ACK")
    offer = caller.expect("INVITE")
    assert offer.media[0] == there
    caller.answer(to=offer)
    again = second.expect("INVITE")
    second.answer(second.sdp(address=there), to=again)
    caller.expect("ACK")
    second.expect("ACK")
    caller.hang_up()
    second.hung_up()


def test_an_offer_before_the_answer_is_passed_on_and_back(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT, headers=KNOWS)
    callee = scene.agents.called()
    ring(callee, 1)
    pracked(callee)
    acknowledge(caller, caller.expect(183))
    caller.request("UPDATE", body=caller.sdp("sendonly"))
    update = callee.expect("UPDATE")
    assert update.direction == "sendonly"
    callee.reply(200, update, body=callee.sdp("recvonly"))
    assert caller.expect(200, "UPDATE").direction == "recvonly"
    callee.answer(None)
    connected(caller)
    callee.expect("ACK")
    scene.end(caller, callee)


def test_an_offer_before_his_last_is_answered_gets_500_and_when_to_come_again(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT, headers=KNOWS)
    callee = scene.agents.called()
    callee.reply(180)
    caller.expect(180)
    caller.request("UPDATE", body=caller.sdp("sendonly"))
    assert 0 <= int(caller.expect(500, "UPDATE").get("Retry-After")) <= 10
    scene.agents.not_called(0.1)
    callee.answer()
    connected(caller)
    callee.expect("ACK")
    scene.end(caller, callee)


def test_a_late_offer_is_answered_by_prack_from_end_to_end(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT, headers=KNOWS, sdp=None)
    callee = scene.agents.called()
    assert callee.invite.body == "" and "100rel" in callee.invite.get("Supported")
    ring(callee, 7)
    offer = caller.expect(183)
    assert offer.media == (scene.agents.address, scene.agents.rtp)
    assert not callee.hears("PRACK")  # it waits for the answer
    acknowledge(caller, offer, caller.sdp())
    assert pracked(callee).media == (scene.pbx.address, scene.pbx.rtp)
    callee.answer(None)
    connected(caller)
    callee.expect("ACK")
    scene.end(caller, callee)


@pytest.mark.parametrize("number", ["2000", "2100"])
def test_early_media_of_a_recorded_call_is_neither_heard_nor_kept(scene: Scene, number: str) -> None:
    caller = scene.pbx.call(number, headers=KNOWS)
    if number == "2000":
        connected(caller)
    callee = scene.agents.called()
    ring(callee, 1)
    pracked(callee)
    if number == "2100":
        ringing = caller.expect(180)
        assert ringing.body == ""
        acknowledge(caller, ringing)
    assert scene.site.ask("taps")["taps"] == []
    callee.answer(None)  # what he said before counts
    callee.expect("ACK")
    if number == "2100":
        connected(caller)
    scene.recording()
    scene.end(caller, callee)
    assert scene.ended() == "recorded"


# ---------------------------------------------------------------------- sessions


@pytest.mark.parametrize(
    ("asked", "agreed", "required"),
    [("90;refresher=uac", "90;refresher=uac", "timer"), ("1200", "1200;refresher=uas", "")],
)
def test_a_session_is_agreed_and_a_refresh_stays_on_its_leg(
    scene: Scene, asked: str, agreed: str, required: str
) -> None:
    caller = scene.pbx.call("2100", headers=[*KNOWS, ("Session-Expires", asked)])
    callee = scene.agents.called()
    assert callee.invite.get("Session-Expires") == "1800"
    callee.answer(headers=[("Session-Expires", "600;refresher=uas"), ("Require", "timer")])
    ok = caller.connected()
    assert (ok.get("Session-Expires"), ok.get("Require")) == (agreed, required)
    callee.expect("ACK")
    scene.recording()
    before = ok.origin
    caller.request("UPDATE", headers=[*KNOWS, ("Session-Expires", "90;refresher=uac")])
    assert caller.expect(200, "UPDATE").get("Session-Expires") == "90;refresher=uac"
    caller.version -= 1  # word for word what he said before
    caller.request("INVITE", headers=KNOWS, body=caller.sdp())
    refreshed = caller.connected()
    assert refreshed.origin == before and refreshed.media == ok.media
    callee.party.pump(0.2)
    assert not callee.hears("INVITE") and not callee.hears("UPDATE")
    callee.request("UPDATE", headers=[*KNOWS, ("Session-Expires", "600;refresher=uac")])
    assert callee.expect(200, "UPDATE").get("Session-Expires") == "600;refresher=uac"
    scene.end(caller, callee)
    assert scene.ended() == "recorded"


def test_a_session_that_is_too_short_gets_422(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT, headers=[*KNOWS, ("Session-Expires", "60")])
    refused = caller.expect(422)
    assert refused.get("Min-SE") == "90"
    caller.request("ACK", cseq=101, branch=caller.branch)
    scene.agents.not_called(0.1)


def test_a_callee_that_wants_a_longer_session_is_asked_again(scene: Scene) -> None:
    caller = scene.pbx.call(DIRECT)
    callee = scene.agents.called()
    callee.reply(422, headers=[("Min-SE", "3600")])
    callee.expect("ACK")
    again = callee.expect("INVITE")
    assert (again.get("Session-Expires"), again.get("Min-SE")) == ("3600", "3600")
    assert again.get("CSeq") != callee.invite.get("CSeq")
    callee.invite = again
    callee.answer()
    caller.connected()
    callee.expect("ACK")
    scene.end(caller, callee)
