"""Whole calls through a running server, message by message: who is asked what, and who is told how it ended."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import user
from tests.wire.site import PASSWORD, PROMPT_SECONDS

pytestmark = pytest.mark.wire


def test_a_direct_call_hands_each_side_the_others_media_and_says_nothing_of_its_own(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    assert callee.invite.media == (scene.pbx.address, scene.pbx.rtp)
    callee.reply(180)
    caller.expect(180)
    callee.answer()
    ok = caller.connected()
    assert ok.media == (scene.agents.address, scene.agents.rtp)
    callee.expect("ACK")
    assert scene.site.ask("status")["counts"]["sip_legs"] >= 2
    scene.end(caller, callee)
    assert scene.ended() == "bypassed"


def test_before_ring_the_caller_is_answered_before_the_callee_is_called(scene: Scene) -> None:
    caller = scene.pbx.call("2000")
    ok = caller.connected()
    assert ok.media[0] == scene.site.at(1)
    scene.agents.not_called(PROMPT_SECONDS / 2)
    callee = scene.agents.called()
    assert callee.invite.media[0] == scene.site.at(1)
    callee.reply(180)
    callee.answer()
    callee.expect("ACK")
    scene.recording()
    scene.end(caller, callee)
    assert not caller.hears("180 INVITE")
    assert scene.ended() == "recorded"


def test_on_answer_the_callee_is_called_first(scene: Scene) -> None:
    caller = scene.pbx.call("2100")
    callee = scene.agents.called()
    callee.reply(180)
    caller.expect(180)
    callee.answer()
    ok = caller.connected()
    callee.expect("ACK")
    assert ok.media[0] == callee.invite.media[0] == scene.site.at(1)
    assert ok.media != callee.invite.media
    scene.recording()
    scene.end(caller, callee)
    assert scene.ended() == "recorded"


@pytest.mark.parametrize("number", ["7000", "2000", "2100"])
def test_the_callee_hangs_up(scene: Scene, number: str) -> None:
    caller, callee, _ = scene.talk(number)
    callee.request("BYE", headers=[("Reason", "Q.850;cause=16")])
    assert caller.hung_up().get("Reason") == "Q.850;cause=16"
    callee.expect(200, "BYE")


@pytest.mark.parametrize("number", ["7000", "2000", "2100"])
def test_the_caller_hangs_up_and_the_reason_goes_along(scene: Scene, number: str) -> None:
    caller, callee, _ = scene.talk(number)
    caller.request("BYE", headers=[("Reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    assert callee.hung_up().get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    caller.expect(200, "BYE")


def test_both_hang_up_at_once_and_each_is_answered(scene: Scene) -> None:
    caller, callee, _ = scene.talk()
    caller.request("BYE")
    callee.request("BYE")
    caller.expect(200, "BYE")
    callee.expect(200, "BYE")


def test_the_caller_hangs_up_during_the_prompt_and_nobody_is_called(scene: Scene) -> None:
    caller = scene.pbx.call("2000")
    caller.connected()
    caller.hang_up()
    scene.site.calls_end()
    scene.agents.not_called(PROMPT_SECONDS * 1.5)
    assert scene.ended() == "blocked"


# --------------------------------------------------------------------------- calls that come to nothing


@pytest.mark.parametrize("number", ["7000", "2100"])
def test_cancelled_while_it_rings(scene: Scene, number: str) -> None:
    caller = scene.pbx.call(number)
    callee = scene.agents.called()
    callee.reply(180)
    caller.expect(180)
    caller.cancel([("Reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    cancel = callee.expect("CANCEL")
    assert cancel.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert cancel.get("Via") == callee.invite.get("Via")
    assert cancel.get("CSeq").split()[0] == callee.invite.get("CSeq").split()[0]
    callee.reply(200, cancel)
    callee.reply(487)
    assert callee.expect("ACK").branch == callee.invite.branch
    caller.expect(200, "CANCEL")
    refused = caller.expect(487, "INVITE")
    caller.request("ACK", cseq=caller.cseq, branch=refused.branch)


def test_cancelled_before_the_callee_said_anything_the_cancel_waits_for_a_1xx(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    caller.cancel()
    caller.expect(487, "INVITE")
    scene.agents.pump(0.3)
    assert not callee.hears("CANCEL")
    callee.reply(100)
    callee.reply(200, callee.expect("CANCEL"))
    callee.reply(487)
    callee.expect("ACK")


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    callee.reply(180)
    caller.expect(180)
    caller.cancel()
    cancel = callee.expect("CANCEL")
    callee.answer()
    callee.expect("ACK")
    callee.reply(200, cancel)
    callee.hung_up()
    caller.expect(487, "INVITE")


def test_an_answer_whose_ack_is_lost_is_acknowledged_again(scene: Scene) -> None:
    caller, callee, _ = scene.talk()
    ack = scene.agents.copies.copy()
    callee.reply(200, body=callee.sdp())
    scene.agents.pump(1)
    assert sum(scene.agents.copies.values()) == sum(ack.values()) + 1
    scene.end(caller, callee)


@pytest.mark.parametrize(
    ("status", "told"),
    [(486, 486), (480, 480), (404, 404), (603, 603), (408, 480), (302, 500), (401, 500), (503, 500)],
)
def test_refused_by_the_callee(scene: Scene, status: int, told: int) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    callee.reply(status, headers=[("Reason", "Q.850;cause=17")])
    callee.expect("ACK")
    refused = caller.expect(told, "INVITE")
    assert refused.get("Reason") == "Q.850;cause=17"
    caller.request("ACK", cseq=caller.cseq, branch=refused.branch)


def test_refused_after_the_prompt_the_caller_hears_bye(scene: Scene) -> None:
    caller = scene.pbx.call("2000")
    caller.connected()
    callee = scene.agents.called()
    callee.reply(486, headers=[("Reason", "Q.850;cause=17")])
    callee.expect("ACK")
    assert caller.hung_up().get("Reason") == "Q.850;cause=17"


def test_nobody_listens_there(scene: Scene) -> None:
    scene.pbx.call("5000").expect(503, "INVITE", within=1.0)


# --------------------------------------------------------------------------- early media, forks, late offers


def test_early_media_of_a_direct_call_goes_along(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    callee.reply(183, body=callee.sdp())
    early = caller.expect(183)
    assert early.media == (scene.agents.address, scene.agents.rtp)
    callee.answer(callee.sdp())
    late = caller.connected()
    assert late.get("To") == early.get("To")
    assert late.origin[0] == early.origin[0]
    callee.expect("ACK")
    scene.end(caller, callee)


def test_early_media_of_a_relayed_call_becomes_ringing(scene: Scene) -> None:
    caller = scene.pbx.call("2100")
    callee = scene.agents.called()
    callee.reply(183, body=callee.sdp())
    assert caller.expect(180).body == ""
    callee.reply(480)
    callee.expect("ACK")
    caller.expect(480, "INVITE")


def test_a_second_end_that_answers_is_acknowledged_and_ended_and_the_first_call_stands(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    callee.reply(180)
    callee.answer()
    caller.connected()
    callee.expect("ACK")
    first, callee.tag = callee.tag, "another"
    callee.answer()
    assert callee.expect("ACK").get("To").endswith("tag=another")
    bye = callee.hung_up()
    assert bye.get("To").endswith("tag=another")
    callee.tag = first
    assert scene.site.ask("status")["calls"] == 1
    scene.end(caller, callee)


def test_an_offerless_call_goes_direct_with_the_answer_in_the_acks(scene: Scene) -> None:
    caller = scene.pbx.call("7000", sdp=None)
    callee = scene.agents.called()
    assert callee.invite.body == ""
    callee.answer()
    ok = caller.expect(200, "INVITE")
    assert ok.media == (scene.agents.address, scene.agents.rtp)
    assert not callee.hears("ACK")
    caller.ack(caller.sdp())
    assert callee.expect("ACK").media == (scene.pbx.address, scene.pbx.rtp)
    scene.end(caller, callee)


@pytest.mark.parametrize("number", ["2000", "2100"])
def test_an_offerless_call_is_offered_our_own_sockets_when_it_is_relayed(scene: Scene, number: str) -> None:
    caller = scene.pbx.call(number, sdp=None)
    callee = None
    if number == "2100":
        callee = scene.agents.called()
        assert callee.invite.media[0] == scene.site.at(1)
        callee.answer()
    ok = caller.expect(200, "INVITE")
    assert ok.media[0] == scene.site.at(1)
    caller.ack(caller.sdp())
    if callee is None:
        callee = scene.agents.called()
        callee.answer()
    callee.expect("ACK")
    scene.recording()
    scene.end(caller, callee)


def test_an_answer_without_audio_ends_the_call_with_488(scene: Scene) -> None:
    caller = scene.pbx.call("2100")
    callee = scene.agents.called()
    callee.answer(callee.sdp().replace(f"m=audio {scene.agents.rtp}", "m=audio 0"))
    callee.expect("ACK")
    callee.hung_up()
    caller.expect(488, "INVITE")


# --------------------------------------------------------------------------- headers


def test_headers_cross_between_trusted_peers_and_hops_are_counted(scene: Scene) -> None:
    carried = [
        ("P-Asserted-Identity", '"A. Nother" <sip:0612345678@example.net>'),
        ("Diversion", "<sip:0201111111@example.net>;reason=no-answer"),
        ("X-Colour", "green"),
        ("Session-ID", f"ab30317f1a784dc48ff824d0d3715d86;remote={'0' * 32}"),
        ("Subject", "lunch"),
    ]
    others = [("X-Shape", "round"), ("In-Reply-To", "an-older-call"), ("P-Early-Media", "supported")]
    caller = scene.pbx.call("7000", headers=[*carried, *others], Max_Forwards="17")
    callee = scene.agents.called()
    assert [(name, callee.invite.get(name)) for name, _ in carried] == carried
    assert [callee.invite.get(name) for name, _ in others] == ["", "", ""]
    assert callee.invite.get("Max-Forwards") == "16"
    assert user(callee.invite.get("From")) == "0612345678"
    assert scene.pbx.address not in "".join(value for name, value in callee.invite.headers)
    assert caller.call_id != callee.call_id
    callee.answer(headers=[("P-Asserted-Identity", "<sip:1001@example.net>"), ("X-Colour", "blue")])
    ok = caller.connected()
    assert (ok.get("P-Asserted-Identity"), ok.get("X-Colour")) == ("<sip:1001@example.net>", "")
    callee.expect("ACK")
    scene.end(caller, callee)


def test_a_peer_that_is_not_trusted_names_nobody(scene: Scene) -> None:
    said = [("P-Asserted-Identity", "<sip:1@x>"), ("Diversion", "<sip:2@x>"), ("X-Colour", "green")]
    caller = scene.carrier.call("7000", headers=said)
    callee = scene.agents.called()
    assert [callee.invite.get(name) for name, _ in said] == ["", "", ""]
    callee.answer(headers=[("P-Asserted-Identity", "<sip:1001@example.net>")])
    assert caller.connected().get("P-Asserted-Identity") == ""
    callee.expect("ACK")
    scene.end(caller, callee)


# --------------------------------------------------------------------------- digest


def test_a_callee_that_challenges_gets_our_password_once(scene: Scene) -> None:
    caller = scene.pbx.call("4000")
    callee = scene.strict.called()
    challenge = ("Proxy-Authenticate", 'Digest realm="strict", nonce="n1", qop="auth", algorithm=MD5')
    callee.reply(407, headers=[challenge])
    callee.expect("ACK")
    second = callee.expect("INVITE")
    login = second.get("Proxy-Authorization")
    assert 'username="qm"' in login and 'nonce="n1"' in login
    assert digest_is_right(login, "INVITE", second.start.split()[1])
    assert int(second.get("CSeq").split()[0]) == int(callee.invite.get("CSeq").split()[0]) + 1
    assert second.get("From") == callee.invite.get("From")
    callee.invite = second
    callee.answer()
    caller.connected()
    assert callee.expect("ACK").get("Proxy-Authorization") == login
    scene.end(caller, callee)


def test_a_wrong_password_is_not_tried_twice(scene: Scene) -> None:
    caller = scene.pbx.call("4000")
    callee = scene.strict.called()
    challenge = ("WWW-Authenticate", 'Digest realm="strict", nonce="n1", algorithm=MD5')
    callee.reply(401, headers=[challenge])
    callee.expect("ACK")
    callee.invite = callee.expect("INVITE")
    callee.reply(401, headers=[challenge])
    callee.expect("ACK")
    caller.expect(500, "INVITE")
    scene.strict.not_called(0.2)


def digest_is_right(login: str, method: str, uri: str) -> bool:
    """RFC 2617 3.2.2, reckoned here once more."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    said = {
        name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', login)
    }
    secret = md5(f"qm:{said['realm']}:{PASSWORD}")
    middle = f"{said['nonce']}:{said['nc']}:{said['cnonce']}:auth"
    return said["uri"] == uri and said["response"] == md5(f"{secret}:{middle}:{md5(f'{method}:{uri}')}")
