"""Transfers on the wire: who is sent what, in which order, and under which names (RFC 3515, 3891, 5589)."""

from __future__ import annotations

import re
import time
from urllib.parse import unquote

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import Leg, Message, user

pytestmark = pytest.mark.wire

NEWS = "message/sipfrag"


def tag(value: str) -> str:
    found = re.search(r";tag=([^;>\s]+)", value)
    assert found
    return found[1]


def named(leg: Leg) -> str:
    """This dialog, as whoever is at its other end is told of it."""
    return f"{leg.call_id};to-tag={tag(leg.remote)};from-tag={leg.tag}"


def told(leg: Leg) -> str:
    """What the next NOTIFY says; it is answered."""
    notify = leg.expect("NOTIFY")
    assert notify.get("Event").startswith("refer") and notify.get("Content-Type").startswith(NEWS)
    leg.reply(200, notify)
    return notify.body.split()[1]


def in_order(leg: Leg, *kinds: str) -> None:
    """These have come in this order, whatever came between."""
    until = time.monotonic() + 4
    while True:
        leg.party.pump(0.05)
        found = [m.kind for m in leg.party.heard if m.get("Call-ID") == leg.call_id and m.kind in kinds]
        if len(found) >= len(kinds):
            break
        assert time.monotonic() < until, found
    assert found[: len(kinds)] == list(kinds)


def taken(second: Leg, agent: Leg, customer: Leg) -> None:
    """The transfer is done: the old agent hangs up, the new one and the customer go on."""
    assert told(agent) == "200"
    agent.hang_up()
    customer.hang_up()
    second.hung_up()


# --------------------------------------------------------------------------- carried out here


def test_blind_the_customer_of_a_recorded_call_is_not_even_asked(scene: Scene) -> None:
    """Relayed, it is our socket that he talks to: nothing changes for him. What is kept is another recording."""
    caller, callee, ok = scene.talk("2100")
    callee.request("REFER", headers=[("Refer-To", "<sip:7001@anywhere>"), ("Referred-By", "<sip:7000@pbx>")])
    callee.expect(202, "REFER")
    assert told(callee) == "100"
    second = scene.agents.called()
    assert user(second.invite.start.split()[1]) == "7001"
    assert second.invite.get("Referred-By") == "<sip:7000@pbx>"
    assert int(second.invite.get("Max-Forwards")) < 70 - 1
    assert second.invite.media[0] == scene.site.at(1) and "From" in dict(second.invite.headers)
    second.reply(180)
    assert told(callee) == "180"
    second.answer()
    second.expect("ACK")
    assert told(callee) == "200"
    callee.hang_up()
    assert not caller.hears("INVITE") and ok.media[0] == scene.site.at(1)
    call = scene.site.ask("calls", limit=1)["calls"][0]["call"]
    scene.end(caller, second)
    (moved,) = scene.site.ask("explain", call=call)["transfers"]
    assert (moved["how"], moved["came"]) == ("blind", "third") and moved["at"] > 0
    assert "7001" not in scene.site.log()


def test_blind_in_a_direct_call_each_is_told_where_the_other_is(scene: Scene) -> None:
    caller, callee, _ = scene.talk("7000")
    callee.request("REFER", headers=[("Refer-To", "<sip:7001@anywhere>")])
    second = scene.agents.called()
    assert second.invite.media == (scene.pbx.address, scene.pbx.rtp)
    second.answer(second.sdp(address=scene.carrier.address))
    second.expect("ACK")
    again = caller.expect("INVITE")
    assert again.media == (scene.carrier.address, scene.agents.rtp) and again.origin[1] > 0
    caller.answer(to=again)
    caller.expect("ACK")
    in_order(callee, "202 REFER", "NOTIFY")
    callee.expect(202, "REFER")
    assert told(callee) == "100"
    taken(second, callee, caller)


def test_to_the_works_council_the_tap_is_closed_before_its_phone_rings(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    callee.request("REFER", headers=[("Refer-To", "<sip:1900@anywhere>")])
    council = scene.agents.called()
    until = time.monotonic() + 1  # the engine was told before; its word that it is so may come later
    while scene.site.ask("taps")["taps"]:
        assert time.monotonic() < until
    assert council.invite.media == (scene.pbx.address, scene.pbx.rtp), "no media socket here (I1)"
    for leg in (caller, callee):  # those who still talk are joined directly at once
        leg.answer(to=leg.expect("INVITE"))
        leg.expect("ACK")
    council.answer(council.sdp(address=scene.carrier.address))
    council.expect("ACK")
    again = caller.expect("INVITE")
    assert again.media == (scene.carrier.address, scene.agents.rtp)
    caller.answer(to=again)
    caller.expect("ACK")
    assert told(callee) == "100"
    taken(council, callee, caller)
    assert "1900" not in scene.site.log()


def test_who_does_not_hang_up_is_hung_up_after_the_last_news(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    callee.request("REFER", headers=[("Refer-To", "<sip:7001@anywhere>")])
    second = scene.agents.called()
    second.answer()
    assert [told(callee), told(callee)] == ["100", "200"]
    assert not callee.hears("BYE")
    callee.hung_up()
    scene.end(caller, second)


def test_attended_the_two_who_are_left_are_joined(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    asking = scene.agents.call("7002")
    asked = scene.agents.called()
    asked.answer()
    asking.connected()
    to = f"<sip:7002@anywhere?Replaces={named(asking).replace(';', '%3B').replace('=', '%3D').replace('@', '%40')}>"
    callee.request("REFER", headers=[("Refer-To", to)])
    callee.expect(202, "REFER")
    again = asked.expect("INVITE")
    assert again.media[0] == scene.site.at(1), "he talks to the socket of the customer's call now"
    asked.answer(to=again)
    asked.expect("ACK")
    asking.hung_up()
    assert told(callee) == "100"
    taken(asked, callee, caller)


# --------------------------------------------------------------------------- passed through


def passed(scene: Scene, to: str) -> tuple[Leg, Leg, Message]:
    """A REFER of the caller's has reached the callee."""
    caller, callee, _ = scene.talk("7000")
    caller.request("REFER", headers=[("Refer-To", to), ("Referred-By", "<sip:boss@pbx>")])
    return caller, callee, callee.expect("REFER")


def test_it_is_passed_on_and_the_news_comes_back_before_the_bye(scene: Scene) -> None:
    caller, callee, refer = passed(scene, "<sip:9999@elsewhere>")
    assert refer.get("Refer-To") == "<sip:9999@elsewhere>" and refer.get("Referred-By") == "<sip:boss@pbx>"
    assert refer.get("Call-ID") != caller.call_id
    callee.reply(202, refer)
    state = [("Event", "refer"), ("Subscription-State", "active")]
    callee.request("NOTIFY", headers=state, body="SIP/2.0 100 Trying\r\n", kind=NEWS)
    callee.expect(200, "NOTIFY")
    caller.expect(202, "REFER")
    assert told(caller) == "100"
    state[1] = ("Subscription-State", "terminated;reason=noresource")
    callee.request("NOTIFY", headers=state, body="SIP/2.0 200 OK\r\n", kind=NEWS)
    callee.request("BYE")
    in_order(caller, "NOTIFY", "BYE")
    scene.site.calls_end()
    notify = caller.expect("NOTIFY")
    assert "200 OK" in notify.body and notify.get("Subscription-State").startswith("terminated")
    caller.reply(200, notify)
    caller.reply(200, caller.expect("BYE"))


def test_news_that_comes_before_the_202_goes_after_it(scene: Scene) -> None:
    caller, callee, refer = passed(scene, "<sip:9999@elsewhere>")
    state = [("Event", "refer"), ("Subscription-State", "active")]
    callee.request("NOTIFY", headers=state, body="SIP/2.0 100 Trying\r\n", kind=NEWS)
    callee.expect(200, "NOTIFY")
    callee.reply(202, refer)
    in_order(caller, "202 REFER", "NOTIFY")
    assert told(caller) == "100"
    scene.end(caller, callee)


def test_the_dialog_in_replaces_has_the_name_its_far_end_knows(scene: Scene) -> None:
    asking = scene.pbx.call("7002")
    asked = scene.agents.called()
    asked.answer()
    asking.connected()
    wish = named(asking).replace(";", "%3B").replace("=", "%3D").replace("@", "%40")
    caller, callee, refer = passed(scene, f"<sip:7002@anywhere?Replaces={wish}>")
    value = refer.get("Refer-To")
    assert scene.agents.address in value, "at the address where he is called"
    found = unquote(value.partition("?Replaces=")[2].rstrip(">"))
    assert found == f"{asked.call_id};to-tag={asked.tag};from-tag={tag(asked.remote)}"
    callee.reply(603, refer)
    caller.expect(603, "REFER")
    asking.hang_up()
    asked.hung_up()
    scene.end(caller, callee)


# --------------------------------------------------------------------------- replaced, refused


def test_an_invite_with_replaces_takes_a_leg_over(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2100")
    newcomer = scene.agents.call("2100", headers=[("Replaces", named(callee)), ("Require", "replaces")])
    ok = newcomer.connected()
    assert ok.media == callee.invite.media, "at the socket of that leg"
    callee.hung_up()
    assert not caller.hears("INVITE")
    scene.end(caller, newcomer)


@pytest.mark.parametrize(
    ("more", "status"),
    [(";early-only", 486), ("x", 481), (";to-tag=again", 400)],
)
def test_one_that_names_nothing_it_could_have(scene: Scene, more: str, status: int) -> None:
    caller, callee, _ = scene.talk("7000")
    refused = scene.agents.call("7000", headers=[("Replaces", named(callee) + more)])
    refused.expect(status, "INVITE")
    refused.ack()
    scene.end(caller, callee)


def test_a_carrier_takes_nobodys_place_and_sends_nobody_anywhere(scene: Scene) -> None:
    caller, callee, _ = scene.talk("7000", by=scene.carrier)
    caller.request("REFER", headers=[("Refer-To", "<sip:0900@anywhere>")])
    caller.expect(403, "REFER")
    refused = scene.carrier.call("7000", headers=[("Replaces", named(callee))])
    refused.expect(403, "INVITE")
    refused.ack()
    scene.end(caller, callee)


@pytest.mark.parametrize(("method", "status"), [("REFER", 403), ("NOTIFY", 481)])
def test_outside_a_call(scene: Scene, method: str, status: int) -> None:
    stray = scene.pbx.call("7000", request=method, sdp=None, headers=[("Refer-To", "<sip:7001@x>")])
    stray.expect(status, method)
