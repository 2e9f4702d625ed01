"""What never becomes a call: strangers, loops, spent hops, unknown extensions, nonsense."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.wire.conftest import Scene
from tests.wire.party import Leg, Party, user

pytestmark = pytest.mark.wire


@pytest.fixture
def stranger(scene: Scene) -> Iterator[Party]:
    with Party(scene.site.at(99), scene.site.server) as party:
        yield party


def refused(leg: Leg, status: int, method: str = "INVITE") -> None:
    answer = leg.expect(status, method)
    assert ";tag=" in answer.get("To")
    if method == "INVITE":
        leg.request("ACK", cseq=leg.cseq, branch=answer.branch)


def test_a_stranger_gets_403_and_no_call_begins(scene: Scene, stranger: Party) -> None:
    refused(stranger.call("7000"), 403)
    refused(stranger.call("7000", request="OPTIONS", sdp=None), 403, "OPTIONS")
    scene.agents.not_called(0.2)


def test_a_peer_without_a_route_gets_404(scene: Scene) -> None:
    refused(scene.strict.call("7000"), 404)


def odd(scene: Scene, uri: str) -> Leg:
    """A call to a Request-URI of another kind."""
    leg = Leg(scene.pbx, f"{uri}@odd", "odd")
    leg.target, leg.remote, leg.local = uri, f"<{uri}>", f"<sip:x@{scene.pbx.address}>;tag=odd"
    leg.request("INVITE", body=leg.sdp())
    return leg


def test_a_telephone_uri_is_called_as_a_number(scene: Scene) -> None:
    leg = odd(scene, "tel:+31201234567")
    callee = scene.agents.called()
    assert user(callee.invite.start) == "+31201234567"
    callee.reply(486)
    callee.expect("ACK")
    refused(leg, 486)


def test_an_address_of_a_kind_we_do_not_know_gets_416(scene: Scene) -> None:
    refused(odd(scene, "http://example.net/"), 416)


def test_no_hops_left_gets_483(scene: Scene) -> None:
    refused(scene.pbx.call("7000", Max_Forwards="0"), 483)


def test_one_hop_left_is_enough_for_one_more(scene: Scene) -> None:
    caller = scene.pbx.call("7000", Max_Forwards="1")
    callee = scene.agents.called()
    assert callee.invite.get("Max-Forwards") == "0"
    callee.reply(486)
    callee.expect("ACK")
    refused(caller, 486)


def test_a_call_that_comes_back_to_us_gets_482(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    ours = callee.invite.get("Via")
    mine = f"SIP/2.0/UDP {scene.pbx.address}:5060;branch=z9hG4bKcameback"
    refused(scene.pbx.call("7001", Via=mine, headers=[("Via", ours)]), 482)
    callee.reply(486)
    callee.expect("ACK")
    refused(caller, 486)


def test_one_call_over_two_paths_is_one_call(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    callee = scene.agents.called()
    leg = Leg(scene.pbx, caller.call_id, caller.tag, caller.target, caller.local, caller.remote)
    leg.request("INVITE", body=caller.sdp(), cseq=caller.cseq)
    refused(leg, 482)
    scene.agents.not_called(0.2)
    callee.reply(486)
    callee.expect("ACK")
    refused(caller, 486)


def test_a_copy_of_an_invite_is_not_a_second_call(scene: Scene) -> None:
    caller = scene.pbx.call("7000")
    for _ in range(3):
        caller.again()
    callee = scene.agents.called()
    scene.agents.not_called(0.2)
    callee.reply(486)
    callee.expect("ACK")
    refused(caller, 486)
    caller.again()
    scene.pbx.pump(1)
    assert not scene.agents.heard


def test_an_extension_we_do_not_have_gets_420_and_its_name(scene: Scene) -> None:
    leg = scene.pbx.call("7000", headers=[("Require", "100rel, join, timer")])
    answer = leg.expect(420, "INVITE")
    assert answer.get("Unsupported") == "join"
    leg.request("ACK", cseq=leg.cseq, branch=answer.branch)


@pytest.mark.parametrize("number", ["7000", "2000"])
def test_a_session_without_audio_or_that_nobody_can_read(scene: Scene, number: str) -> None:
    for sdp in ("this is no session", "v=0\r\n\r\n<html>"):
        refused(scene.pbx.call(number, sdp=sdp), 488)
    video = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 9 RTP/AVP 34\r\n"
    )
    leg = scene.pbx.call(number, sdp=video)
    if number == "7000":
        callee = scene.agents.called()
        callee.reply(488)
        callee.expect("ACK")
    refused(leg, 488)


def test_a_session_among_other_bodies_is_found(scene: Scene) -> None:
    leg = Leg(scene.pbx, "many@bodies", "many", f"sip:2100@{scene.site.at(1)}:5080")
    leg.remote, leg.local = f"<{leg.target}>", f"<sip:x@{scene.pbx.address}>;tag=many"
    parts = "--b\r\nContent-Type: application/qsig\r\n\r\nsetup\r\n"
    parts += f"--b\r\nContent-Type: application/sdp\r\n\r\n{leg.sdp()}\r\n--b--"
    leg.request("INVITE", body=parts, kind="multipart/mixed;boundary=b")
    scene.pbx.legs.append(leg)
    callee = scene.agents.called()
    assert callee.invite.media[0] == scene.site.at(1)
    assert callee.invite.get("Content-Type") == "application/sdp"
    callee.reply(486)
    callee.expect("ACK")
    refused(leg, 486)


def test_options_says_what_we_can(scene: Scene) -> None:
    leg = scene.pbx.call("anything", request="OPTIONS", sdp=None)
    answer = leg.expect(200, "OPTIONS")
    assert answer.get("Accept") == "application/sdp"
    assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"} <= set(answer.get("Allow").split(", "))


@pytest.mark.parametrize(
    ("method", "status"),
    [("BYE", 481), ("INFO", 481), ("UPDATE", 481), ("CANCEL", 481), ("REGISTER", 405), ("SUBSCRIBE", 403),
     ("MESSAGE", 403), ("JUMP", 501)],
)  # fmt: skip
def test_requests_that_belong_to_no_call(scene: Scene, method: str, status: int) -> None:
    refused(scene.pbx.call("7000", request=method, sdp=None), status, method)


@pytest.mark.parametrize("method", ["BYE", "INVITE", "OPTIONS", "INFO"])
def test_a_dialog_we_do_not_know_gets_481(scene: Scene, method: str) -> None:
    to = f"<sip:7000@{scene.site.at(1)}>;tag=unheard-of"
    leg = scene.pbx.call("7000", request=method, To=to)
    leg.expect(481, method)


def test_garbage_is_thrown_away_and_the_next_call_is_heard(scene: Scene) -> None:
    for data in (
        b"\r\n\r\n",
        b"\0" * 40,
        b"\xff" * 1400,
        b"INVITE",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        scene.pbx.send(data)
    caller, callee, _ = scene.talk()
    scene.end(caller, callee)


def test_nothing_comes_to_the_log_that_names_anybody(scene: Scene, stranger: Party) -> None:
    refused(stranger.call("0687654321"), 403)
    caller, callee, _ = scene.talk("2100")
    scene.end(caller, callee)
    time.sleep(0.1)
    log = scene.site.log()
    assert "refused: kind=stranger method=INVITE" in log
    assert not [number for number in ("0687654321", "0612345678", "2100") if number in log]
