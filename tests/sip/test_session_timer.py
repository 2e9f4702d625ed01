"""Session timers of one leg (RFC 4028): who refreshes, when, and what happens if nobody does."""

from __future__ import annotations

import pytest

from qm_sip.sip import events as ev
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, Response
from qm_sip.sip.ua import UserAgentSettings
from tests.sip.network import ALICE, BOB, SDP, Network, Weather, answer_to, request
from tests.sip.test_ua import methods, offered, take

KNOWS = "Supported: timer"


def callee(**settings: int) -> Network:
    """Bob is ours; Alice is a raw peer."""
    net = Network()
    net.agent(BOB, UserAgentSettings(**settings))  # type: ignore[arg-type]
    net.peer(ALICE)
    return net


def caller(**settings: int) -> Network:
    net = Network()
    net.agent(ALICE, UserAgentSettings(**settings))  # type: ignore[arg-type]
    net.peer(BOB)
    return net


def answered(net: Network, *extra: str) -> Response:
    """Alice's call is answered and acknowledged: the 200."""
    leg = offered(net, extra=extra)
    net.agents[BOB].answer(leg, SDP, now=net.now)
    net.settle()
    ok = take(net, ALICE)[-1]
    assert isinstance(ok, Response)
    net.inject(request("ACK", branch="z9hG4bK-ack", to_tag=ok.to.tag or ""), ALICE, BOB)
    return ok


def calling(net: Network, *extra: str) -> Request:
    """Our call is answered by raw Bob with these headers: the INVITE."""
    net.call()
    invite = net.raw[BOB].pop()
    net.inject(answer_to(invite, 200, body=SDP, extra=extra), BOB, ALICE)
    (ack,) = take(net, BOB)
    assert isinstance(ack, Request)
    sent = net.sent(ALICE, "INVITE")[0]
    assert isinstance(sent, Request)
    return sent


# ---------------------------------------------------------------------- we are asked


@pytest.mark.parametrize(
    ("asked", "agreed", "required"),
    [
        ((KNOWS, "Session-Expires: 1200"), "1200;refresher=uas", False),
        ((KNOWS, "Session-Expires: 1200;refresher=uac"), "1200;refresher=uac", True),
        ((KNOWS, "Session-Expires: 1200;refresher=uas"), "1200;refresher=uas", False),
        (("k: timer", "x: 1200"), "1200;refresher=uas", False),
        ((KNOWS,), "1800;refresher=uas", False),
        ((KNOWS, "Min-SE: 2400"), "2400;refresher=uas", False),
        ((KNOWS, "Session-Expires: 7200", "Min-SE: 90"), "1800;refresher=uas", False),
        ((KNOWS, "Session-Expires: 7200", "Min-SE: 3600"), "3600;refresher=uas", False),
        (("Session-Expires: 1200",), "1200;refresher=uas", False),  # a proxy wants it
        (("Session-Expires: 10",), None, False),
        ((), None, False),
    ],
)
def test_what_is_agreed_when_we_are_asked(asked: tuple[str, ...], agreed: str | None, required: bool) -> None:
    ok = answered(callee(), *asked)
    assert ok.get("session-expires") == agreed
    assert (ok.get("require") == "timer") is required
    assert "timer" in ok.values("supported")


def test_an_interval_that_is_too_short_gets_422_and_the_shortest_we_agree_to() -> None:
    net = callee(min_se=120)
    net.inject(request(body=SDP, extra=(KNOWS, "Session-Expires: 100")), ALICE, BOB)
    (refused,) = take(net, ALICE)
    assert isinstance(refused, Response) and (refused.status, refused.get("min-se")) == (422, "120")
    assert net.all_events == []


@pytest.mark.parametrize("text", ["soon", "-1", "1e3", "99999999999", ""])
def test_an_interval_that_is_no_number_gets_400(text: str) -> None:
    net = callee()
    net.inject(request(body=SDP, extra=(KNOWS, f"Session-Expires: {text}")), ALICE, BOB)
    assert [m.status for m in take(net, ALICE) if isinstance(m, Response)] == [400]


def test_with_an_interval_of_0_we_ask_for_none_but_keep_what_is_asked_of_us() -> None:
    assert answered(callee(session_expires=0), KNOWS).get("session-expires") is None
    ok = answered(callee(session_expires=0), KNOWS, "Session-Expires: 7200;refresher=uac")
    assert ok.get("session-expires") == "7200;refresher=uac"
    net = caller(session_expires=0)
    invite = calling(net)
    assert invite.get("session-expires") is None and "timer" in invite.values("supported")
    assert net.agents[ALICE].next_timer() is None or net.agents[ALICE].next_timer() < 100  # type: ignore[operator]


def test_a_caller_who_does_not_refresh_as_he_said_is_hung_up_a_little_before_the_end() -> None:
    net = callee()
    answered(net, KNOWS, "Session-Expires: 90;refresher=uac")
    net.run(59.9)
    assert net.sent(BOB, "BYE") == [] and net.sent(BOB, "UPDATE") == []
    net.run(60.1)  # 90 - min(32, 90 / 3)
    assert net.times(BOB, "BYE") == [60.0]
    assert [e.reason for e in net.of(ev.Ended)] == ["expired"]


def test_an_update_without_a_description_starts_the_interval_anew() -> None:
    net = callee()
    ok = answered(net, KNOWS, "Session-Expires: 90;refresher=uac")
    net.run(50)
    said = (KNOWS, "Session-Expires: 90;refresher=uac")
    net.inject(request("UPDATE", branch="z9hG4bK-u", to_tag=ok.to.tag or "", cseq=2, extra=said), ALICE, BOB)
    (asked,) = net.of(ev.InDialogRequest)
    net.agents[BOB].respond(asked.leg, asked.token, 200, now=net.now)
    net.settle()
    answer = take(net, ALICE)[-1]
    assert answer.get("session-expires") == "90;refresher=uac" and answer.get("require") == "timer"
    net.run(109.9)
    assert net.sent(BOB, "BYE") == []
    net.run(110.1)
    assert net.times(BOB, "BYE") == [110.0]


def test_a_reinvite_that_says_nothing_of_it_turns_the_timer_off() -> None:
    net = callee()
    ok = answered(net, KNOWS, "Session-Expires: 90;refresher=uac")
    net.inject(request(branch="z9hG4bK-r", to_tag=ok.to.tag or "", cseq=2, body=SDP), ALICE, BOB)
    (offer,) = net.of(ev.OfferReceived)
    net.agents[BOB].answer_offer(offer.leg, SDP, now=net.now)
    net.settle()
    assert take(net, ALICE)[-1].get("session-expires") is None
    net.inject(request("ACK", branch="z9hG4bK-ra", to_tag=ok.to.tag or "", cseq=2), ALICE, BOB)
    net.run(500)
    assert net.sent(BOB, "BYE") == []


# ---------------------------------------------------------------------- we ask


def test_our_invite_asks_for_half_an_hour() -> None:
    invite = calling(caller())
    assert invite.get("session-expires") == "1800" and invite.get("min-se") is None
    assert {"timer", "100rel"} <= set(invite.values("supported"))


@pytest.mark.parametrize("said", ["Session-Expires: 200;refresher=uac", "Session-Expires: 200"])
def test_half_way_we_refresh_with_an_update_that_describes_nothing(said: str) -> None:
    net = caller()
    calling(net, "Allow: INVITE, UPDATE", said)
    net.run(99.9)
    assert net.raw[BOB] == []
    net.run(100.0)
    (update,) = take(net, BOB)
    assert isinstance(update, Request) and update.method == "UPDATE" and update.body == b""
    assert update.get("session-expires") == "200;refresher=uac"
    ok = answer_to(update.to_bytes(), 200, extra=("Session-Expires: 200;refresher=uac",))
    net.inject(ok, BOB, ALICE)
    net.run(199.9)
    assert net.raw[BOB] == []
    net.run(200.0)
    assert methods(net) == ["UPDATE"]
    assert "RequestAnswered" not in net.kinds("a")


def test_to_a_peer_without_update_the_refresh_is_a_reinvite_word_for_word() -> None:
    net = caller()
    invite = calling(net, "Allow: INVITE, ACK, BYE", "Session-Expires: 200;refresher=uac")
    net.run(100.0)
    (again,) = take(net, BOB)
    assert isinstance(again, Request) and again.method == "INVITE" and again.body == invite.body == SDP
    ok = answer_to(again.to_bytes(), 200, body=SDP, extra=("Session-Expires: 200;refresher=uac",))
    net.inject(ok, BOB, ALICE)
    assert methods(net) == ["ACK"]
    assert net.kinds("a")[-1] == "Refreshed" and net.of(ev.OfferAnswered) == []
    net.run(200.0)
    assert methods(net) == ["INVITE"]


@pytest.mark.parametrize("status", [405, 501])
def test_an_update_that_is_not_taken_after_all_is_followed_by_a_reinvite(status: int) -> None:
    net = caller()
    calling(net, "Allow: INVITE, UPDATE", "Session-Expires: 200;refresher=uac")
    net.run(100.0)
    net.inject(answer_to(net.raw[BOB].pop(), status), BOB, ALICE)
    assert methods(net) == ["INVITE"]


@pytest.mark.parametrize(("status", "reason", "byes"), [(481, "gone", 0), (408, "timeout", 1)])
def test_a_refresh_of_a_dialog_that_is_gone_ends_the_call(status: int, reason: str, byes: int) -> None:
    net = caller()
    calling(net, "Allow: UPDATE", "Session-Expires: 200;refresher=uac")
    net.run(100.0)
    net.inject(answer_to(net.raw[BOB].pop(), status), BOB, ALICE)
    assert [e.reason for e in net.of(ev.Ended)] == [reason]
    assert methods(net).count("BYE") == byes


def test_a_refresh_that_is_refused_is_tried_again_until_the_session_ends() -> None:
    net = caller()
    calling(net, "Allow: UPDATE", "Session-Expires: 200;refresher=uac")
    for _ in range(500):
        net.run(net.now + 0.4)
        for raw in [raw for raw in net.raw[BOB] if raw.startswith(b"UPDATE")]:
            net.inject(answer_to(raw, 500, extra=("Retry-After: 15",)), BOB, ALICE)
        net.raw[BOB].clear()
    assert net.times(ALICE, "UPDATE")[:3] == [100.0, 115.0, 130.2]
    assert net.times(ALICE, "BYE")[0] == 168.0
    assert [e.reason for e in net.of(ev.Ended)] == ["expired"]


def test_an_offer_of_ours_that_is_on_its_way_is_the_refresh() -> None:
    net = caller()
    calling(net, "Allow: INVITE", "Session-Expires: 200;refresher=uac")
    net.run(99.0)
    net.agents[ALICE].reoffer("a", SDP, now=net.now)
    net.run(99.5)
    offer = net.raw[BOB].pop()
    net.raw[BOB].clear()
    net.inject(answer_to(offer, 100, tag=""), BOB, ALICE)
    net.run(105.0)
    assert methods(net) == []
    ok = answer_to(offer, 200, body=SDP, extra=("Session-Expires: 200;refresher=uac",))
    net.inject(ok, BOB, ALICE)
    net.run(204.9)
    assert methods(net) == ["ACK"]


def test_422_is_tried_again_with_the_interval_that_the_peer_can_live_with() -> None:
    net = caller()
    net.call()
    first = net.raw[BOB].pop()
    net.inject(answer_to(first, 422, extra=("Min-SE: 4000",)), BOB, ALICE)
    ack, again = take(net, BOB)
    assert isinstance(again, Request) and again.get("session-expires") == "4000"
    assert again.get("min-se") == "4000" and again.to.tag is None
    assert again.cseq.number == ack.cseq.number + 1 and again.call_id == ack.call_id
    assert net.of(ev.Rejected) == []


@pytest.mark.parametrize("extra", [(), ("Min-SE: 90",), ("Min-SE: x",)])
def test_a_422_that_leaves_nothing_to_try_is_a_rejection(extra: tuple[str, ...]) -> None:
    net = caller()
    net.call()
    net.inject(answer_to(net.raw[BOB].pop(), 422, extra=extra), BOB, ALICE)
    assert [e.status for e in net.of(ev.Rejected)] == [422]


def test_a_peer_that_always_wants_longer_is_given_up() -> None:
    net = caller()
    net.call()
    for longer in range(2000, 2010):
        if not net.raw[BOB]:
            break
        net.inject(answer_to(net.raw[BOB].pop(), 422, extra=(f"Min-SE: {longer}",)), BOB, ALICE)
        net.raw[BOB] = [raw for raw in net.raw[BOB] if raw.startswith(b"INVITE")]
    assert len(net.sent(ALICE, "INVITE")) == 4
    assert [e.status for e in net.of(ev.Rejected)] == [422]


@pytest.mark.parametrize("said", [(), ("Session-Expires: nonsense",)])
def test_a_peer_without_timers_is_asked_for_nothing_more(said: tuple[str, ...]) -> None:
    net = caller()
    calling(net, "Allow: UPDATE", *said)
    net.run(5000)
    assert net.raw[BOB] == []


def test_a_peer_who_says_that_it_refreshes_is_hung_up_if_it_does_not() -> None:
    net = caller()
    calling(net, "Session-Expires: 200;refresher=uas")
    net.run(200)
    assert net.times(ALICE, "BYE")[0] == 168.0  # 200 - min(32, 200 / 3)


def test_who_refreshes_stays_the_same_whoever_asks_next() -> None:
    net = caller()
    calling(net, "Allow: INVITE", "Session-Expires: 200;refresher=uas")
    net.agents[ALICE].reoffer("a", SDP, now=0)
    net.settle()
    (offer,) = take(net, BOB)
    assert offer.get("session-expires") == "200;refresher=uas"


# ---------------------------------------------------------------------- two of ours


class Answering(Network):
    def react(self, address: Address, event: ev.UaEvent) -> None:
        if isinstance(event, ev.InDialogRequest):
            self.agents[address].respond(event.leg, event.token, 200, now=self.now)


@pytest.mark.parametrize("seed", range(6))
def test_over_a_bad_line_a_session_is_kept_for_hours_and_dies_when_the_line_does(seed: int) -> None:
    net = Answering(Weather(loss=0.25, double=0.2, delay=0.02, jitter=0.6), seed)
    net.agent(ALICE)
    net.agent(BOB)
    net.call()
    while not net.of(ev.CallOffered):
        net.run(net.now + 1)
    leg = net.of(ev.CallOffered)[0].leg
    net.agents[BOB].answer(leg, SDP, now=net.now)
    net.run(net.now + 4 * 3600)
    if not net.of(ev.Acknowledged):
        return  # the call itself did not come about
    assert net.of(ev.Ended) == []
    refreshes = {m.cseq.number for at in (ALICE, BOB) for m in net.sent(at, "UPDATE")}
    assert len(refreshes) >= 4 * 3600 / 900 - 1
    net.weather = Weather(loss=1.0)
    died = net.now
    net.drain(died + 2000)
    assert net.gone("a") and net.gone(leg)
    assert {e.reason for e in net.of(ev.Ended)} <= {"timeout", "expired"}
    assert net.now < died + 1800 + 100


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_told_of_a_refresh_but_to_whom_it_is_sent(seed: int) -> None:
    net = Answering(Weather(delay=0.01), seed)
    net.agent(ALICE)
    net.agent(BOB)
    net.call()
    net.run(1)
    leg = net.of(ev.CallOffered)[0].leg
    net.agents[BOB].answer(leg, SDP, now=net.now)
    net.run(2000)
    told = {kind for leg in net.events for kind in net.kinds(leg)}
    assert told == {"CallOffered", "Answered", "Acknowledged", "InDialogRequest"}
