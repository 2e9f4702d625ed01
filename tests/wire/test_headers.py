"""What one side can learn of the other by headers: what was planted on one leg is looked for on the other."""

from __future__ import annotations

import re

import pytest

from qm_sip.sip.hop import OURS
from tests.wire.conftest import Scene
from tests.wire.party import Leg, Message, Party

pytestmark = pytest.mark.wire

PLANTED = "planted.inside.example"
MARK = "10.66.6.6"
# What a message must have to be one, and what would be refused or would steer it elsewhere.
_NEEDED = {
    *("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Type", "Content-Length"),
    *("Route", "Record-Route", "Require", "Proxy-Require", "Expires", "Accept", "Content-Encoding"),
    *("Content-Disposition", "Event", "Subscription-State", "Session-Expires", "Min-SE"),
    *("Replaces", "Join"),  # RFC 3891: these ask for a place in a call; tests/wire/test_transfer.py
}
HOP = [name for name in OURS if name not in _NEEDED]
NAMED = (
    *("P-Preferred-Identity", "Remote-Party-ID", "Referred-By", "History-Info", "Call-Info", "Alert-Info"),
    *(
        "Subject",
        "Organization",
        "Geolocation",
        "User-to-User",
        "Warning",
        "Recv-Info",
        "Identity",
        "Reply-To",
    ),
    *("P-Charging-Vector", "P-Visited-Network-ID", "X-Anything", "In-Reply-To", "Target-Dialog"),
)


def planted(names: tuple[str, ...] | list[str]) -> list[tuple[str, str]]:
    return [(name, f"<sip:{MARK}@{PLANTED}>") for name in names]


def everything() -> list[tuple[str, str]]:
    return [
        *planted([*HOP, *NAMED]),
        ("Reason", f'SIP;cause=200;text="at {PLANTED} {MARK}"'),
        ("Privacy", f"none;{PLANTED}"),
        ("Session-ID", f"{PLANTED}"),
        ("Retry-After", f"5 ({PLANTED});duration=1"),
        ("P-Asserted-Identity", f"<sip:1001@{PLANTED}>"),
    ]


def clean(message: Message, *more: str) -> None:
    text = "\n".join([message.start, *(f"{name}: {value}" for name, value in message.headers), message.body])
    for secret in (PLANTED, MARK, *more):
        assert secret not in text, secret


def outward(scene: Scene, headers: list[tuple[str, str]]) -> tuple[Leg, Leg]:
    """A call of the trusted exchange to a peer that is not trusted."""
    caller = scene.pbx.call("4000", headers=headers)
    return caller, scene.strict.called()


def through(caller: Leg, callee: Leg, party: Party) -> None:
    """Ring, answer, offer again and end, with something planted in each of the callee's messages."""
    callee.reply(183, headers=everything())
    clean(caller.expect(180), party.address)
    callee.reply(200, headers=everything(), body=callee.sdp())
    ok = caller.connected()
    clean(ok)
    callee.expect("ACK")


def test_outside_nothing_of_the_inside_is_seen_and_inside_nothing_of_the_outside(scene: Scene) -> None:
    caller, callee = outward(scene, everything())
    for name in ("Via", "Contact", "From", "To", "Call-ID", "Record-Route", "Route"):
        assert scene.pbx.address not in callee.invite.get(name), name
    clean(callee.invite)
    server = scene.site.at(1)
    assert callee.invite.all("P-Asserted-Identity") == [f"<sip:1001@{server}:5080>"]
    through(caller, callee, scene.strict)
    caller.request("INFO", headers=everything())
    caller.request("BYE", headers=everything())
    bye = callee.hung_up()
    clean(bye, scene.pbx.address)
    assert bye.all("Reason") == ["SIP;cause=200"]
    caller.expect(200, "BYE")


def test_a_stranger_tells_a_trusted_peer_nothing_it_would_believe(scene: Scene) -> None:
    caller = scene.carrier.call("7000", headers=[*everything(), ("X-Shade", "1"), ("X-QM-Line", "sales")])
    callee = scene.agents.called()
    clean(callee.invite)
    for name in ("Via", "Contact", "From", "To", "Call-ID"):
        assert scene.carrier.address not in callee.invite.get(name), name
    assert not callee.invite.all("P-Asserted-Identity") and not callee.invite.all("X-QM-Line")
    assert callee.invite.get("Privacy") == "none"
    through(caller, callee, scene.agents)
    callee.request("BYE", headers=everything())
    assert caller.hung_up().all("Reason") == ["SIP;cause=200"]
    callee.expect(200, "BYE")


def test_who_asks_for_privacy_is_nobody_outside(scene: Scene) -> None:
    headers = [("Privacy", "id"), ("P-Asserted-Identity", "<sip:1001@pbx>"), ("Diversion", "<sip:1002@pbx>")]
    caller, callee = outward(scene, headers)
    assert callee.invite.get("From").partition(";")[0] == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert callee.invite.get("Privacy") == "id"
    clean(callee.invite, "1001", "1002", "0612345678")
    callee.reply(486, headers=[("Reason", "Q.850;cause=17"), ("Retry-After", "9;duration=3")])
    refused = caller.expect(486)
    assert refused.get("Reason") == "Q.850;cause=17" and refused.get("Retry-After") == "9"
    assert callee.expect("ACK")


def test_who_does_not_is_shown_at_our_address_and_within_trust_as_he_is(scene: Scene) -> None:
    headers = [
        ("P-Asserted-Identity", "<sip:1001@pbx>, <tel:+3120>"),
        ("Diversion", "<sip:1@pbx>;reason=no-answer"),
    ]
    headers += [("Diversion", "<sip:2@pbx>"), ("History-Info", "<sip:1@pbx>;index=1"), ("Subject", "hello")]
    server = f"{scene.site.at(1)}:5080"
    caller, callee = outward(scene, headers)
    assert callee.invite.all("P-Asserted-Identity") == [f"<sip:1001@{server}>", "<tel:+3120>"]
    assert callee.invite.all("Diversion") == [f"<sip:1@{server}>;reason=no-answer", f"<sip:2@{server}>"]
    assert not callee.invite.all("History-Info") and not callee.invite.all("Subject")
    callee.reply(486)
    caller.expect(486)
    inside = scene.pbx.call("7000", headers=headers)
    called = scene.agents.called()
    assert [(name, value) for name, value in called.invite.headers if (name, value) in headers] == headers
    called.reply(486)
    inside.expect(486)


def test_both_legs_show_one_pair_of_session_ids_in_every_message(scene: Scene) -> None:
    ours, theirs = "a" * 32, "b" * 32
    caller = scene.pbx.call("7000", headers=[("Session-ID", f"{ours};remote={'0' * 32}")])
    callee = scene.agents.called()
    assert callee.invite.get("Session-ID") == f"{ours};remote={'0' * 32}"
    callee.answer(headers=[("Session-ID", f"{theirs};remote={ours}")])
    assert caller.connected().get("Session-ID") == f"{theirs};remote={ours}"
    assert callee.expect("ACK").get("Session-ID") == f"{ours};remote={theirs}"
    caller.request("BYE")
    assert caller.expect(200, "BYE").get("Session-ID") == f"{theirs};remote={ours}"
    assert callee.hung_up().get("Session-ID") == f"{ours};remote={theirs}"


def test_for_who_sends_no_session_id_we_speak_and_the_row_knows_it(scene: Scene) -> None:
    caller, callee, ok = scene.talk("7000")
    found = re.fullmatch(r"([0-9a-f]{32});remote=([0-9a-f]{32})", ok.get("Session-ID"))
    assert found and callee.invite.get("Session-ID") == f"{found[2]};remote={'0' * 32}"
    scene.end(caller, callee)
    assert found[1] not in scene.site.log()


def test_a_call_that_no_reason_was_given_for_ends_as_normal(scene: Scene) -> None:
    caller, callee, _ = scene.talk("7000")
    caller.request("BYE")
    assert callee.hung_up().all("Reason") == ["Q.850;cause=16"]
    caller.expect(200, "BYE")


def test_a_critical_wish_that_a_direct_call_cannot_meet_is_refused_on_the_way_out(scene: Scene) -> None:
    wish = [("Privacy", "session;critical")]
    caller = scene.pbx.call("4000", headers=wish)
    caller.expect(500)
    scene.strict.not_called(0.2)
    inside = scene.pbx.call("7000", headers=wish)
    called = scene.agents.called()
    assert called.invite.get("Privacy") == "session;critical"
    called.reply(486)
    inside.expect(486)


# --------------------------------------------------------------------------- bodies


ISUP = "--b\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x02\x7f\r\n"
STRANGE = "--b\r\nContent-Type: application/vnd.x\r\nContent-Disposition: signal{}\r\n\r\n<x/>\r\n"


def several(scene: Scene, by: Party, *parts: str) -> Leg:
    """A call whose description stands among other parts."""
    description = Leg(by, "", "").sdp()
    middle = f"--b\r\nContent-Type: application/sdp\r\n\r\n{description}\r\n"
    body = "".join([parts[0], middle, *parts[1:], "--b--\r\n"])
    return by.call("7000", sdp=body, kind='multipart/mixed; boundary="b"')


def test_a_part_that_a_trusted_peer_asks_for_goes_along_in_its_place(scene: Scene) -> None:
    caller = several(scene, scene.pbx, ISUP, STRANGE.format(""))
    invite = scene.agents.called()
    got = invite.invite
    assert got.get("Content-Type").startswith("multipart/mixed;boundary=")
    assert got.body.index("application/isup;version=itu-t92+") < got.body.index("application/sdp")
    assert "\x01\x02\x7f\r\n--" in got.body and "vnd.x" not in got.body
    assert got.media == (scene.pbx.address, scene.pbx.rtp) and got.origin[2] == scene.site.at(1)
    invite.answer()
    caller.connected()
    invite.expect("ACK")
    scene.end(caller, invite)


def test_a_strangers_parts_end_here_and_one_that_must_be_understood_ends_the_call(scene: Scene) -> None:
    caller = several(scene, scene.carrier, ISUP, STRANGE.format(";handling=optional"))
    callee = scene.agents.called()
    assert callee.invite.get("Content-Type") == "application/sdp" and "isup" not in callee.invite.body
    callee.reply(486)
    caller.expect(486)
    refused = several(scene, scene.carrier, ISUP, STRANGE.format(";handling=required")).expect(415)
    assert "application/sdp" in refused.get("Accept")
    scene.agents.not_called(0.2)


# --------------------------------------------------------------------------- phones that know of recording


def test_a_phone_that_knows_of_recording_is_told_and_the_other_is_not(scene: Scene) -> None:
    caller = scene.pbx.call("2100", headers=[("Supported", "record-aware")])
    callee = scene.agents.called()
    assert "record:" not in callee.invite.body
    callee.answer()
    assert "record:off" in caller.connected().sdp("a")
    callee.expect("ACK")
    scene.recording()
    caller.request("INVITE", body=caller.sdp("sendonly"))
    held = callee.expect("INVITE")
    assert "record:" not in held.body
    callee.answer(callee.sdp("recvonly"), to=held)
    callee.expect("ACK")
    assert "record:paused" in caller.connected().sdp("a")
    scene.end(caller, callee)


def test_what_the_customers_phone_wishes_is_an_objection(scene: Scene) -> None:
    caller = scene.pbx.call("2100", sdp=Leg(scene.pbx, "", "").sdp() + "a=recordpref:off\r\n")
    callee = scene.agents.called()
    callee.answer()
    caller.connected()
    callee.expect("ACK")
    assert scene.site.ask("taps")["taps"] == []
    scene.end(caller, callee)
    assert scene.ended() == "blocked"
