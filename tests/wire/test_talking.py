"""What happens while two talk: offers from either side, INFO, UPDATE, and who is on the line."""

from __future__ import annotations

import time

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import Leg, Message

pytestmark = pytest.mark.wire

BOTH = pytest.mark.parametrize("side", ["caller", "callee"])
MIRRORED = {"sendonly": "recvonly", "inactive": "inactive", "sendrecv": "sendrecv", "recvonly": "sendonly"}


def reoffers(by: Leg, to: Leg, direction: str) -> tuple[Message, Message]:
    """One side re-INVITEs and the other agrees. What each of them was told: (the offer, the answer)."""
    by.request("INVITE", body=by.sdp(direction))
    offer = to.expect("INVITE")
    to.answer(to.sdp(MIRRORED[offer.direction]), to=offer)
    to.expect("ACK")
    answer = by.expect(200, "INVITE")
    by.ack()
    return offer, answer


@BOTH
@pytest.mark.parametrize("number", ["7000", "2000", "2100"])
def test_hold_and_resume_from_either_side(scene: Scene, number: str, side: str) -> None:
    caller, callee, ok = scene.talk(number)
    by, to = (caller, callee) if side == "caller" else (callee, caller)
    first = {"caller": ok.origin, "callee": callee.invite.origin}
    held = reoffers(by, to, "sendonly")
    again = reoffers(by, to, "sendrecv")
    assert [message.direction for message in (*held, *again)] == [
        "sendonly",
        "recvonly",
        "sendrecv",
        "sendrecv",
    ]
    other = "callee" if side == "caller" else "caller"
    assert_grows(first[other], held[0], again[0])
    assert_grows(first[side], held[1], again[1])
    if number != "7000":
        assert held[0].media == again[0].media
        assert held[0].media[0] == held[1].media[0] == scene.site.at(1)
        scene.recording()
        assert not [tap for tap in scene.site.ask("taps")["taps"] if tap["paused"]]
    scene.end(caller, callee)


def assert_grows(first: tuple[str, int, str], *later: Message) -> None:
    """RFC 3264 section 8: one session id for the leg's life, its version up by one at each change."""
    session, version, address = first
    assert [message.origin for message in later] == [
        (session, version + number, address) for number in range(1, len(later) + 1)
    ]


def test_while_held_nothing_is_kept(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    reoffers(callee, caller, "sendonly")
    assert [tap["paused"] for tap in scene.site.ask("taps")["taps"]] == [True]
    reoffers(callee, caller, "inactive")
    assert [tap["paused"] for tap in scene.site.ask("taps")["taps"]] == [True]
    scene.end(caller, callee)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_that_changes_nothing_is_answered_here_with_the_same_o_line(
    scene: Scene, method: str
) -> None:
    caller, callee, ok = scene.talk("2100")
    caller.version -= 1
    caller.request(method, body=caller.sdp())
    answer = caller.expect(200, method)
    if method == "INVITE":
        caller.ack()
    assert (answer.origin, answer.body) == (ok.origin, ok.body)
    scene.agents.pump(0.2)
    assert not callee.hears("INVITE")
    scene.end(caller, callee)


def test_an_update_with_an_offer_is_passed_on_like_a_reinvite(scene: Scene) -> None:
    caller, callee, _ = scene.talk()
    caller.request("UPDATE", body=caller.sdp("sendonly"))
    offer = callee.expect("INVITE")
    assert offer.direction == "sendonly"
    callee.answer(callee.sdp("recvonly"), to=offer)
    callee.expect("ACK")
    assert caller.expect(200, "UPDATE").direction == "recvonly"
    scene.end(caller, callee)


@pytest.mark.parametrize("number", ["7000", "2100"])
def test_an_offer_the_other_side_refuses_leaves_everything_as_it_was(scene: Scene, number: str) -> None:
    caller, callee, ok = scene.talk(number)
    caller.request("INVITE", body=caller.sdp("sendonly"))
    offer = callee.expect("INVITE")
    callee.reply(488, offer)
    callee.expect("ACK")
    refused = caller.expect(488, "INVITE")
    caller.request("ACK", cseq=caller.cseq, branch=refused.branch)
    _, answer = reoffers(caller, callee, "inactive")
    assert answer.origin[:2] == (ok.origin[0], ok.origin[1] + 1)
    scene.end(caller, callee)


@pytest.mark.parametrize("number", ["7000", "2100"])
def test_a_reinvite_without_an_offer_is_given_one(scene: Scene, number: str) -> None:
    caller, callee, ok = scene.talk(number)
    caller.request("INVITE")
    if number == "7000":
        asked = callee.expect("INVITE")
        assert asked.body == ""
        callee.answer(to=asked)
    offer = caller.expect(200, "INVITE")
    assert offer.origin[0] == ok.origin[0]
    caller.ack(caller.sdp())
    if number == "7000":
        assert callee.expect("ACK").media == (scene.pbx.address, scene.pbx.rtp)
    scene.end(caller, callee)


def test_two_offers_at_once_are_told_to_wait(scene: Scene) -> None:
    caller, callee, _ = scene.talk()
    caller.request("INVITE", body=caller.sdp("sendonly"))
    offer = callee.expect("INVITE")
    callee.request("INVITE", body=callee.sdp("sendonly"))
    glare = callee.expect(491, "INVITE")
    callee.request("ACK", cseq=callee.cseq, branch=glare.branch)
    callee.answer(callee.sdp("recvonly"), to=offer)
    callee.expect("ACK")
    caller.expect(200, "INVITE")
    caller.ack()
    scene.end(caller, callee)


def test_an_offer_that_waits_is_taken_back_and_the_next_one_is_heard(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    caller.request("INVITE", body=caller.sdp("sendonly"))
    offer = callee.expect("INVITE")
    caller.cancel()
    caller.expect(200, "CANCEL")
    refused = caller.expect(487, "INVITE")
    caller.request("ACK", cseq=caller.cseq, branch=refused.branch)
    callee.answer(callee.sdp("recvonly"), to=offer)
    callee.expect("ACK")
    back = callee.expect("INVITE")
    assert back.direction == "sendrecv"
    callee.answer(to=back)
    callee.expect("ACK")
    scene.recording()
    assert not [tap for tap in scene.site.ask("taps")["taps"] if tap["paused"]]
    reoffers(caller, callee, "sendonly")
    scene.end(caller, callee)


def test_encryption_offered_to_a_relayed_call_is_refused_and_the_call_goes_on(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    caller.request("INVITE", body=caller.sdp().replace("RTP/AVP", "RTP/SAVP"))
    refused = caller.expect(488, "INVITE")
    caller.request("ACK", cseq=caller.cseq, branch=refused.branch)
    scene.end(caller, callee)


@BOTH
def test_hang_up_while_an_offer_waits(scene: Scene, side: str) -> None:
    caller, callee, _ = scene.talk()
    caller.request("INVITE", body=caller.sdp("sendonly"))
    callee.expect("INVITE")
    by, to = (caller, callee) if side == "caller" else (callee, caller)
    by.request("BYE")
    by.expect(200, "BYE")
    to.hung_up()
    caller.expect(487, "INVITE")


# --------------------------------------------------------------------------- INFO and other requests


@BOTH
@pytest.mark.parametrize("number", ["7000", "2100"])
def test_keys_by_info_go_to_the_other_side(scene: Scene, number: str, side: str) -> None:
    caller, callee, _ = scene.talk(number)
    by, to = (caller, callee) if side == "caller" else (callee, caller)
    by.request("INFO", body="Signal=5\r\nDuration=160\r\n", kind="application/dtmf-relay")
    by.expect(200, "INFO")
    passed = to.expect("INFO")
    assert (passed.body, passed.get("Content-Type")) == (
        "Signal=5\r\nDuration=160\r\n",
        "application/dtmf-relay",
    )
    to.reply(200, passed)
    scene.end(caller, callee)


def test_an_info_nobody_knows_is_refused_here(scene: Scene) -> None:
    caller, callee, _ = scene.talk()
    caller.request("INFO", body="<x/>", kind="application/media_control+xml")
    caller.expect(415, "INFO")
    scene.agents.pump(0.2)
    assert not callee.hears("INFO")
    scene.end(caller, callee)


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", 200), ("REFER", 400), ("NOTIFY", 481), ("JUMP", 501)]
)
def test_other_requests_in_a_call(scene: Scene, method: str, status: int) -> None:
    caller, callee, _ = scene.talk()
    caller.request(method)
    answer = caller.expect(status, method)
    assert status in (400, 481) or "INVITE" in answer.get("Allow")
    scene.end(caller, callee)


@BOTH
def test_a_message_goes_to_the_other_side_and_he_answers_it(scene: Scene, side: str) -> None:
    caller, callee, _ = scene.talk()
    by, to = (caller, callee) if side == "caller" else (callee, caller)
    by.request("MESSAGE", body="Where are you?", kind="text/plain")
    passed = to.expect("MESSAGE")
    assert (passed.body, passed.get("Content-Type")) == ("Where are you?", "text/plain")
    assert not by.hears("200 MESSAGE")
    to.reply(202, passed)
    by.expect(202, "MESSAGE")
    assert "Where are you" not in scene.site.log()
    scene.end(caller, callee)


def test_a_message_of_a_stranger_ends_here(scene: Scene) -> None:
    caller, callee, _ = scene.talk(by=scene.carrier)
    caller.request("MESSAGE", body="hello", kind="text/plain")
    caller.expect(403, "MESSAGE")
    assert not callee.hears("MESSAGE")
    scene.end(caller, callee)


def test_a_copy_of_a_request_gets_a_copy_of_its_answer_and_an_old_one_gets_500(scene: Scene) -> None:
    caller, callee, _ = scene.talk()
    caller.request("OPTIONS")
    caller.expect(200, "OPTIONS")
    caller.again()
    scene.pbx.pump(1)
    assert 2 in scene.pbx.copies.values()
    caller.request("OPTIONS", cseq=caller.cseq - 1)
    caller.expect(500, "OPTIONS")
    scene.end(caller, callee)


# --------------------------------------------------------------------------- who is there


def test_an_update_that_names_the_works_council_makes_the_call_direct_at_once(scene: Scene) -> None:
    caller, callee, ok = scene.talk("2100")
    before = scene.site.ask("ledger")["confidential"]
    callee.request("UPDATE", headers=[("P-Asserted-Identity", "<sip:1900@example.net>")])
    callee.expect(200, "UPDATE")
    at_caller, at_callee = caller.expect("INVITE"), callee.expect("INVITE")
    assert at_caller.media == (scene.agents.address, scene.agents.rtp)
    assert at_callee.media == (scene.pbx.address, scene.pbx.rtp)
    assert at_caller.origin[:2] == (ok.origin[0], ok.origin[1] + 1)
    for leg, offer in ((caller, at_caller), (callee, at_callee)):
        leg.answer(to=offer)
        leg.expect("ACK")
    assert scene.site.ask("taps")["taps"] == []
    assert scene.site.ask("status")["calls"] == 0
    caller.hang_up()
    callee.hung_up()
    assert counted(scene) == counted_in(before) + 1


def counted(scene: Scene) -> int:
    until = time.monotonic() + 1
    while time.monotonic() < until:
        time.sleep(0.05)
    return counted_in(scene.site.ask("ledger")["confidential"])


def counted_in(rows: list[dict[str, int]]) -> int:
    return sum(row["count"] for row in rows)


def test_an_update_that_names_another_agent_is_answered_and_the_call_goes_on(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    callee.request("UPDATE", headers=[("P-Asserted-Identity", "<sip:1002@example.net>")])
    callee.expect(200, "UPDATE")
    scene.recording()
    scene.end(caller, callee)
    assert len(scene.site.ask("calls", limit=1)["calls"][0]["recordings"]) == 2
