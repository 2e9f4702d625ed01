"""The user agent against a raw peer, one behaviour of `domain` and RFC each."""

from __future__ import annotations

import random
import re

import pytest

from qm_sip.errors import BrokenInvariant
from qm_sip.private import Private
from qm_sip.sip import events as ev
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, Response, parse
from qm_sip.sip.ua import Credentials, UserAgent, UserAgentSettings
from tests.sip.network import ALICE, BOB, SDP, Network, answer_to, request


@pytest.fixture
def net() -> Network:
    """Bob is ours; Alice is a raw peer."""
    network = Network()
    network.agent(BOB)
    network.peer(ALICE)
    return network


@pytest.fixture
def out() -> Network:
    """Alice is ours; Bob is a raw peer."""
    network = Network()
    network.agent(ALICE)
    network.peer(BOB)
    return network


def take(net: Network, at: Address) -> list[Request | Response]:
    got = [parse(data) for data in net.raw[at]]
    net.raw[at].clear()
    return got


def statuses(net: Network, at: Address = ALICE) -> list[int]:
    return [m.status for m in take(net, at) if isinstance(m, Response)]


def methods(net: Network, at: Address = BOB) -> list[str]:
    return [m.method for m in take(net, at) if isinstance(m, Request)]


def offered(net: Network, **kw: object) -> str:
    net.inject(request(**{"body": SDP, **kw}), ALICE, BOB)  # type: ignore[arg-type]
    return net.of(ev.CallOffered)[-1].leg


def up(net: Network) -> tuple[str, str]:
    """A call of Alice's that Bob has answered and Alice has acknowledged: leg and Bob's tag."""
    leg = offered(net)
    net.agents[BOB].answer(leg, SDP, now=net.now)
    net.settle()
    tag = take(net, ALICE)[-1].to.tag or ""
    net.inject(request("ACK", branch="z9hG4bK-ack", to_tag=tag), ALICE, BOB)
    return leg, tag


def calling_up(net: Network, **kw: object) -> tuple[bytes, Request]:
    """A call of ours that raw Bob has answered: the INVITE and the ACK."""
    net.call(**kw)  # type: ignore[arg-type]
    invite = net.raw[BOB].pop()
    net.inject(answer_to(invite, 200, body=SDP), BOB, ALICE)
    ack = take(net, BOB)[-1]
    assert isinstance(ack, Request)
    return invite, ack


# ---------------------------------------------------------------------- a call that comes in


def test_an_offered_call_gets_100_at_once_and_one_event_however_often_it_is_sent(net: Network) -> None:
    for _ in range(3):
        net.inject(request(body=SDP), ALICE, BOB)
    assert statuses(net) == [100, 100, 100]
    assert len(net.of(ev.CallOffered)) == 1


def test_all_answers_but_100_bear_the_same_tag_and_those_of_a_dialog_a_contact(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].provisional(leg, 180, now=0)
    net.agents[BOB].provisional(leg, 183, body=SDP, now=0)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.settle()
    first, *rest = take(net, ALICE)
    assert first.to.tag is None
    assert len({r.to.tag for r in rest}) == 1 and rest[0].to.tag
    assert all(r.get("contact") == "<sip:qm@192.0.2.2:5060>" for r in rest)
    assert [r.body for r in rest] == [b"", SDP, SDP]


def test_record_route_and_all_via_come_back_as_they_came(net: Network) -> None:
    extra = (
        "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>",
        "Via: SIP/2.0/UDP p1;branch=z9hG4bKp",
    )
    leg = offered(net, extra=extra)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.settle()
    answer = take(net, ALICE)[-1]
    assert answer.all("record-route") == ["<sip:p2.example.com;lr>, <sip:p1.example.com;lr>"]
    assert [v.host for v in answer.vias] == ["192.0.2.1", "p1"]


def test_a_2xx_is_repeated_from_t1_up_to_t2_until_its_ack(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.run(12)
    assert net.times(BOB, "200") == [0, 0.5, 1.5, 3.5, 7.5, 11.5]
    tag = take(net, ALICE)[-1].to.tag or ""
    for _ in range(2):
        net.inject(request("ACK", branch="z9hG4bK-ack", to_tag=tag), ALICE, BOB)
    net.run(40)
    assert len(net.times(BOB, "200")) == 6
    assert len(net.of(ev.Acknowledged, leg)) == 1


def test_without_ack_the_call_is_ended_with_bye_after_64_t1(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.run(33)
    assert [e.reason for e in net.of(ev.Ended, leg)] == ["no-ack"]
    assert net.times(BOB, "BYE")[0] == 32.0


def test_a_bye_of_ours_waits_for_the_ack_of_our_2xx(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.agents[BOB].bye(leg, now=0)
    net.settle()
    assert net.sent(BOB, "BYE") == []
    tag = take(net, ALICE)[-1].to.tag or ""
    net.inject(request("ACK", branch="z9hG4bK-ack", to_tag=tag), ALICE, BOB)
    assert len(net.sent(BOB, "BYE")) == 1


def test_ringing_is_repeated_every_minute(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].provisional(leg, 180, now=0)
    net.run(130)
    assert net.times(BOB, "180") == [0, 60, 120]


def test_a_rejection_is_repeated_until_its_ack_and_then_not(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].reject(leg, 486, reason="Do Not Disturb", headers=[("Reason", "Q.850;cause=17")], now=0)
    net.run(2)
    assert net.times(BOB, "486") == [0, 0.5, 1.5]
    answer = take(net, ALICE)[-1]
    assert isinstance(answer, Response) and answer.reason == "Do Not Disturb"
    assert answer.get("reason") == "Q.850;cause=17"
    net.inject(request("ACK", to_tag=answer.to.tag or ""), ALICE, BOB)
    net.run(40)
    assert len(net.times(BOB, "486")) == 3 and net.gone(leg)


def test_cancel_gets_200_and_the_invite_487_with_the_same_tag(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].provisional(leg, 180, now=0)
    net.settle()
    ringing = take(net, ALICE)[-1]
    net.inject(request("CANCEL"), ALICE, BOB)
    final = {m.cseq.method: m for m in take(net, ALICE) if isinstance(m, Response)}
    assert final["CANCEL"].status == 200 and final["INVITE"].status == 487
    assert final["CANCEL"].to.tag == final["INVITE"].to.tag == ringing.to.tag
    assert len(net.of(ev.Cancelled, leg)) == 1


def test_a_cancel_too_late_gets_200_and_changes_nothing(net: Network) -> None:
    leg, _ = up(net)
    net.inject(request("CANCEL"), ALICE, BOB)
    assert statuses(net) == [200]
    assert net.kinds(leg) == ["CallOffered", "Acknowledged"]


def test_a_cancel_of_nothing_gets_481(net: Network) -> None:
    net.inject(request("CANCEL"), ALICE, BOB)
    assert statuses(net) == [481]


def test_expires_ends_an_unanswered_invite(net: Network) -> None:
    leg = offered(net, extra=("Expires: 20",))
    net.run(25)
    assert net.times(BOB, "487")[0] == 20 and len(net.of(ev.Cancelled, leg)) == 1


def test_a_bye_in_the_early_dialog_means_cancel(net: Network) -> None:
    leg = offered(net)
    net.agents[BOB].provisional(leg, 180, now=0)
    net.settle()
    tag = take(net, ALICE)[-1].to.tag or ""
    net.inject(request("BYE", branch="z9hG4bK-bye", to_tag=tag, cseq=2), ALICE, BOB)
    assert sorted(statuses(net)) == [200, 487] and len(net.of(ev.Cancelled, leg)) == 1


def test_an_invite_without_offer_is_answered_with_one_and_the_ack_brings_the_answer(net: Network) -> None:
    leg = offered(net, body=b"")
    net.agents[BOB].answer(leg, SDP, now=0)
    net.settle()
    tag = take(net, ALICE)[-1].to.tag or ""
    net.inject(request("ACK", branch="z9hG4bK-a", to_tag=tag, body=SDP), ALICE, BOB)
    assert net.of(ev.Acknowledged, leg)[0].request.body == SDP


# ---------------------------------------------------------------------- what is refused at the door


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("REGISTER"), 405),
        (request("SUBSCRIBE"), 405),
        (request("FROBNICATE"), 501),
        (request("BYE"), 481),
        (request("INFO"), 481),
        (request("BYE", to_tag="nobody"), 481),
        (request("INVITE", to_tag="nobody", body=SDP), 481),
        (request(extra=("Require: timer, precondition",)), 420),
        (request(extra=("Max-Forwards: 0",)), 483),
        (request(extra=("Max-Forwards: 256",)), 400),
        (request(uri="nobody:bob@192.0.2.2"), 416),
        (
            request(body=b"x", extra=("Content-Type: text/plain",)).replace(
                b"Content-Type: application/sdp\r\n", b""
            ),
            415,
        ),
        (request(cseq_method="OPTIONS"), 400),
        (request().replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1), 505),
        (request().replace(b"Content-Length: 0", b"Content-Length: 9"), 400),
        (request("OPTIONS"), 200),
        (request("OPTIONS", extra=("Max-Forwards: 0",)), 200),
    ],
)
def test_the_door(net: Network, raw: bytes, status: int) -> None:
    net.inject(raw, ALICE, BOB)
    (answer,) = take(net, ALICE)
    assert isinstance(answer, Response) and answer.status == status
    assert answer.to.tag
    if status in (405, 501):
        assert "INVITE" in (answer.get("allow") or "")
    if status == 420:
        assert answer.get("unsupported") == "precondition"
    assert net.all_events == [] and net.agents[BOB].legs == 0


def test_a_stranger_gets_403_and_a_closed_door_503(net: Network) -> None:
    strict = Network()
    strict.peer(ALICE)
    strict.agent(BOB, admit=lambda request, source: None if source.host == "192.0.2.9" else 403)
    strict.inject(request(body=SDP), ALICE, BOB)
    strict.inject(request("OPTIONS", branch="z9hG4bK-2"), ALICE, BOB)
    assert statuses(strict) == [403, 403] and strict.all_events == []
    net.agents[BOB].reject_new(503)
    net.inject(request(body=SDP), ALICE, BOB)
    (answer,) = take(net, ALICE)
    assert isinstance(answer, Response) and answer.status == 503 and answer.get("retry-after") == "30"
    net.agents[BOB].reject_new(None)
    offered(net, branch="z9hG4bK-3", call_id="c2")


def test_more_legs_than_allowed_get_503() -> None:
    net = Network()
    net.agent(BOB, UserAgentSettings(max_legs=1))
    net.peer(ALICE)
    offered(net)
    net.inject(request(branch="z9hG4bK-2", call_id="c2", body=SDP), ALICE, BOB)
    assert statuses(net) == [100, 503]


def test_a_merged_request_gets_482(net: Network) -> None:
    offered(net)
    net.inject(request(branch="z9hG4bK-other-path", body=SDP), ALICE, BOB)
    assert statuses(net) == [100, 482]


def test_our_own_via_in_an_arriving_request_is_a_loop() -> None:
    net = Network()
    net.agent(ALICE)
    net.peer(BOB)
    net.call()
    ours = net.raw[BOB].pop()
    net.inject(
        ours.replace(b"Via:", b"Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKp\r\nVia:", 1), BOB, ALICE
    )
    assert statuses(net, BOB) == [482] and net.of(ev.CallOffered) == []


def test_an_ack_is_never_answered(net: Network) -> None:
    net.inject(request("ACK", to_tag="x"), ALICE, BOB)
    net.inject(request("ACK", to_tag="x").replace(b"CSeq: 1 ACK", b"CSeq: one ACK"), ALICE, BOB)
    net.inject(request("ACK", extra=("Require: 100rel",)), ALICE, BOB)
    assert take(net, ALICE) == []
    assert net.agents[BOB].counts["stray-ack"] == 2


def test_rport_and_received_lead_the_answer_back_through_a_nat(net: Network) -> None:
    nat = Address("198.51.100.7", 40_000)
    net.peer(nat)
    net.inject(request(via="Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKn", body=SDP), nat, BOB)
    via = take(net, nat)[0].via
    assert via.reply_to() == ("198.51.100.7", 40_000) and via.host == "10.0.0.1"


def test_without_rport_the_answer_goes_to_the_source_address_at_the_port_of_the_via(net: Network) -> None:
    there = Address("198.51.100.7", 5070)
    net.peer(there)
    via = "Via: SIP/2.0/UDP pbx.example.com:5070;branch=z9hG4bKn"
    net.inject(request(via=via, body=SDP), Address("198.51.100.7", 9), BOB)
    assert statuses(net, there) == [100]


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"\0", b"hello", b"\xff" * 100, b"SIP/2.0 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"],
)
def test_garbage_is_counted_and_not_answered(net: Network, data: bytes) -> None:
    net.inject(data, ALICE, BOB)
    assert take(net, ALICE) == [] and net.agents[BOB].counts["received"] == 1


# ---------------------------------------------------------------------- in the dialog


def test_bye_is_answered_and_told(net: Network) -> None:
    leg, tag = up(net)
    net.inject(
        request("BYE", branch="z9hG4bK-b", to_tag=tag, cseq=2, extra=("Reason: Q.850;cause=16",)), ALICE, BOB
    )
    assert statuses(net) == [200]
    (ended,) = net.of(ev.Ended, leg)
    assert (
        ended.reason == "bye"
        and ended.request is not None
        and ended.request.get("reason") == "Q.850;cause=16"
    )
    net.drain()
    assert net.gone(leg)


def test_bye_may_come_from_anywhere(net: Network) -> None:
    leg, tag = up(net)
    elsewhere = Address("203.0.113.5", 5060)
    net.peer(elsewhere)
    via = "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-b"
    net.inject(request("BYE", via=via, to_tag=tag, cseq=2), elsewhere, BOB)
    assert statuses(net, elsewhere) == [200] and net.of(ev.Ended, leg)


def test_bye_glare_is_answered_on_both_sides(net: Network) -> None:
    leg, tag = up(net)
    net.agents[BOB].bye(leg, now=0)
    net.settle()
    net.inject(request("BYE", branch="z9hG4bK-b", to_tag=tag, cseq=2), ALICE, BOB)
    assert [m.status for m in take(net, ALICE) if isinstance(m, Response)] == [200]
    assert net.of(ev.Ended, leg) == []
    net.drain()
    assert net.gone(leg)


def test_a_lower_cseq_gets_500(net: Network) -> None:
    leg, tag = up(net)
    net.inject(request("INFO", branch="z9hG4bK-i", to_tag=tag, cseq=5), ALICE, BOB)
    net.agents[BOB].respond(leg, 1, 200, now=0)
    net.inject(request("INFO", branch="z9hG4bK-j", to_tag=tag, cseq=4), ALICE, BOB)
    assert statuses(net) == [200, 500]


def test_info_is_handed_up_and_answered_once_by_the_user(net: Network) -> None:
    leg, tag = up(net)
    raw = request("INFO", branch="z9hG4bK-i", to_tag=tag, cseq=2, body=b"Signal=1")
    net.inject(raw, ALICE, BOB)
    (asked,) = net.of(ev.InDialogRequest, leg)
    assert asked.request.body == b"Signal=1" and statuses(net) == []
    net.agents[BOB].respond(leg, asked.token, 200, now=0)
    net.settle()
    net.inject(raw, ALICE, BOB)
    net.agents[BOB].respond(leg, asked.token, 500, now=0)
    net.settle()
    assert statuses(net) == [200, 200]


def test_an_update_with_sdp_is_an_offer_and_without_a_request(net: Network) -> None:
    leg, tag = up(net)
    net.inject(request("UPDATE", branch="z9hG4bK-u", to_tag=tag, cseq=2), ALICE, BOB)
    net.inject(request("UPDATE", branch="z9hG4bK-v", to_tag=tag, cseq=3, body=SDP), ALICE, BOB)
    assert net.kinds(leg)[-2:] == ["InDialogRequest", "OfferReceived"]
    net.agents[BOB].answer_offer(leg, SDP, now=0)
    net.settle()
    assert statuses(net) == [200]


def test_a_reinvite_is_offered_answered_and_acknowledged(net: Network) -> None:
    leg, tag = up(net)
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP, extra=()), ALICE, BOB)
    net.agents[BOB].answer_offer(leg, SDP, now=0)
    net.settle()
    assert statuses(net) == [100, 200]
    net.inject(request("ACK", branch="z9hG4bK-ra", to_tag=tag, cseq=2), ALICE, BOB)
    assert net.kinds(leg)[-2:] == ["OfferReceived", "Acknowledged"]


def test_a_reinvite_can_be_refused_and_the_call_goes_on(net: Network) -> None:
    leg, tag = up(net)
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    net.agents[BOB].reject_offer(leg, 488, now=0)
    net.settle()
    assert statuses(net) == [100, 488]
    net.inject(request("ACK", branch="z9hG4bK-r", to_tag=tag, cseq=2), ALICE, BOB)
    net.inject(request("BYE", branch="z9hG4bK-b", to_tag=tag, cseq=3), ALICE, BOB)
    assert statuses(net) == [200]


def test_a_reinvite_that_is_cancelled_is_withdrawn(net: Network) -> None:
    leg, tag = up(net)
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    net.inject(request("CANCEL", branch="z9hG4bK-r", to_tag=tag, cseq=2), ALICE, BOB)
    net.agents[BOB].answer_offer(leg, SDP, now=0)
    net.settle()
    assert sorted(statuses(net)) == [100, 200, 487]
    assert net.kinds(leg)[-2:] == ["OfferReceived", "OfferWithdrawn"]


def test_a_second_offer_while_one_is_open_gets_500_with_retry_after(net: Network) -> None:
    _, tag = up(net)
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    net.inject(request(branch="z9hG4bK-s", to_tag=tag, cseq=3, body=SDP), ALICE, BOB)
    answer = take(net, ALICE)[-1]
    assert isinstance(answer, Response) and answer.status == 500
    assert 0 <= int(answer.get("retry-after") or "") <= 10


def test_an_offer_that_meets_ours_gets_491(net: Network) -> None:
    leg, tag = up(net)
    net.agents[BOB].reoffer(leg, SDP, now=0)
    net.settle()
    take(net, ALICE)
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    assert statuses(net) == [491]


def test_while_our_late_offer_waits_for_its_answer_no_other_may_come(net: Network) -> None:
    leg = offered(net, body=b"")
    net.agents[BOB].answer(leg, SDP, now=0)
    net.settle()
    tag = take(net, ALICE)[-1].to.tag or ""
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    assert statuses(net) == [491]


def test_the_same_branch_from_two_senders_is_two_requests(net: Network) -> None:
    other = Address("192.0.2.3", 5060)
    net.peer(other)
    net.inject(request(body=SDP), ALICE, BOB)
    via = "Via: SIP/2.0/UDP 192.0.2.3:5060;branch=z9hG4bK-1"
    net.inject(request(body=SDP, via=via, call_id="c2", from_tag="f2"), other, BOB)
    assert len(net.of(ev.CallOffered)) == 2 and statuses(net, other) == [100]


def test_the_target_is_refreshed_by_a_reinvite_that_we_accept(net: Network) -> None:
    leg, tag = up(net)
    moved = Address("192.0.2.77", 5099)
    net.peer(moved)
    raw = request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP)
    net.inject(
        raw.replace(b"Contact: <sip:alice@192.0.2.1:5060>", b"Contact: <sip:a@192.0.2.77:5099>"), ALICE, BOB
    )
    net.agents[BOB].answer_offer(leg, SDP, now=0)
    net.settle()
    net.inject(request("ACK", branch="z9hG4bK-ra", to_tag=tag, cseq=2), ALICE, BOB)
    net.agents[BOB].bye(leg, now=0)
    net.settle()
    (bye,) = take(net, moved)
    assert isinstance(bye, Request) and bye.uri == "sip:a@192.0.2.77:5099"


def test_what_is_unanswered_when_the_call_ends_gets_487(net: Network) -> None:
    _, tag = up(net)
    net.inject(request("INFO", branch="z9hG4bK-i", to_tag=tag, cseq=2), ALICE, BOB)
    net.inject(request("BYE", branch="z9hG4bK-b", to_tag=tag, cseq=3), ALICE, BOB)
    assert statuses(net) == [200, 487]


def test_a_callee_keeps_the_route_in_order(net: Network) -> None:
    proxy = Address("192.0.2.50", 5060)
    net.peer(proxy)
    rr = ("Record-Route: <sip:192.0.2.50;lr>", "Record-Route: <sip:192.0.2.51;lr;x=1>")
    leg = offered(net, extra=rr)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.settle()
    tag = take(net, ALICE)[-1].to.tag or ""
    net.inject(request("ACK", branch="z9hG4bK-a", to_tag=tag), ALICE, BOB)
    net.agents[BOB].bye(leg, now=0)
    net.settle()
    (bye,) = take(net, proxy)
    assert bye.all("route") == ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51;lr;x=1>"]


# ---------------------------------------------------------------------- a call we make


def test_an_invite_is_repeated_without_cap_and_given_up_after_64_t1(out: Network) -> None:
    out.call()
    out.run(40)
    assert out.times(ALICE, "INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert [(e.status, e.response) for e in out.of(ev.Rejected)] == [(408, None)]
    assert out.gone("a") and out.now == 40


def test_after_a_1xx_nothing_times_out_but_the_ring_timeout(out: Network) -> None:
    out.call()
    out.inject(answer_to(out.raw[BOB][0], 180), BOB, ALICE)
    out.run(179)
    assert out.kinds("a") == ["Progressed"] and len(out.times(ALICE, "INVITE")) == 1
    out.run(181)
    assert [e.status for e in out.of(ev.Rejected)] == [408]
    assert out.times(ALICE, "CANCEL")[0] == 180
    out.drain()
    assert out.gone("a")


def test_a_failure_is_acknowledged_for_every_copy_on_the_same_branch(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    for _ in range(3):
        out.inject(answer_to(invite, 486), BOB, ALICE)
    acks = take(out, BOB)
    sent = parse(invite)
    assert len(acks) == 3 and len(out.of(ev.Rejected)) == 1
    for ack in acks:
        assert isinstance(ack, Request) and isinstance(sent, Request)
        assert (ack.method, ack.uri, ack.via.branch) == ("ACK", sent.uri, sent.via.branch)
        assert ack.to.tag == "b1" and ack.cseq == (sent.cseq.number, "ACK") and len(ack.vias) == 1
    out.run(31)
    assert not out.gone("a")  # timer D: a late copy still meets its ACK
    out.drain()
    assert out.gone("a")


def test_every_copy_of_a_2xx_is_acknowledged_with_the_same_ack(out: Network) -> None:
    invite, ack = calling_up(out)
    for _ in range(2):
        out.inject(answer_to(invite, 200, body=SDP), BOB, ALICE)
    copies = take(out, BOB)
    assert copies == [ack, ack] and len(out.of(ev.Answered)) == 1
    assert ack.via.branch != parse(invite).via.branch and ack.uri == "sip:bob@192.0.2.2:5060"


def test_a_caller_reverses_the_route_and_follows_the_contact(out: Network) -> None:
    proxy = Address("192.0.2.51", 5060)
    out.peer(proxy)
    out.call()
    rr = ("Record-Route: <sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>",)
    out.inject(
        answer_to(out.raw[BOB].pop(), 200, body=SDP, extra=rr, contact="<sip:b@10.1.1.1:5090>"), BOB, ALICE
    )
    (ack,) = take(out, proxy)
    assert isinstance(ack, Request) and ack.uri == "sip:b@10.1.1.1:5090"
    assert ack.all("route") == ["<sip:192.0.2.51;lr>", "<sip:192.0.2.50;lr>"]


def test_a_strict_router_gets_the_request_uri_and_the_target_goes_last(out: Network) -> None:
    proxy = Address("192.0.2.51", 5060)
    out.peer(proxy)
    out.call()
    rr = ("Record-Route: <sip:192.0.2.50;lr>, <sip:192.0.2.51>",)
    out.inject(answer_to(out.raw[BOB].pop(), 200, body=SDP, extra=rr, contact="<sip:b@10.1.1.1>"), BOB, ALICE)
    (ack,) = take(out, proxy)
    assert isinstance(ack, Request) and ack.uri == "sip:192.0.2.51"
    assert ack.all("route") == ["<sip:192.0.2.50;lr>", "<sip:b@10.1.1.1>"]


def test_a_contact_with_a_name_is_reached_over_the_first_hop(out: Network) -> None:
    out.call()
    out.inject(answer_to(out.raw[BOB].pop(), 200, body=SDP, contact="<sip:b@pbx.example.com>"), BOB, ALICE)
    (ack,) = take(out, BOB)
    assert isinstance(ack, Request) and ack.uri == "sip:b@pbx.example.com"


def test_cancel_waits_for_a_1xx_and_matches_its_invite(out: Network) -> None:
    out.call(headers=[("Route", "<sip:192.0.2.2;lr>")])
    invite = out.raw[BOB].pop()
    out.agents[ALICE].cancel("a", headers=[("Reason", "SIP;cause=200")], now=0)
    out.settle()
    assert out.sent(ALICE, "CANCEL") == []
    out.inject(answer_to(invite, 100, tag=""), BOB, ALICE)
    (cancel,) = take(out, BOB)
    sent = parse(invite)
    assert isinstance(cancel, Request) and isinstance(sent, Request)
    assert cancel.method == "CANCEL" and cancel.uri == sent.uri and cancel.all("via") == sent.all("via")
    assert cancel.cseq == (sent.cseq.number, "CANCEL") and cancel.to.tag is None
    assert cancel.all("route") == ["<sip:192.0.2.2;lr>"] and cancel.get("reason") == "SIP;cause=200"
    out.inject(answer_to(out.seen[-1][3], 200), BOB, ALICE)
    out.inject(answer_to(invite, 487), BOB, ALICE)
    assert [e.status for e in out.of(ev.Rejected)] == [487]
    out.drain()
    assert out.gone("a")


def test_the_200_to_a_cancel_is_not_taken_for_the_invites(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    out.inject(answer_to(invite, 100, tag=""), BOB, ALICE)
    out.agents[ALICE].cancel("a", now=0)
    out.settle()
    out.inject(answer_to(out.raw[BOB].pop(), 200), BOB, ALICE)
    assert out.of(ev.Answered) == [] and out.sent(ALICE, "ACK") == []


def test_a_200_that_crosses_our_cancel_is_acknowledged_and_ended(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    out.inject(answer_to(invite, 180), BOB, ALICE)
    out.agents[ALICE].cancel("a", now=0)
    out.inject(answer_to(invite, 200, body=SDP), BOB, ALICE)
    assert methods(out) == ["CANCEL", "ACK", "BYE"]
    assert [(e.status, e.response) for e in out.of(ev.Rejected)] == [(487, None)]
    assert out.of(ev.Answered) == []
    out.drain()
    assert out.gone("a")


def test_a_cancel_that_nobody_heeds_is_given_up(out: Network) -> None:
    out.call()
    out.inject(answer_to(out.raw[BOB].pop(), 180), BOB, ALICE)
    out.agents[ALICE].cancel("a", now=0)
    out.drain()
    assert [e.status for e in out.of(ev.Rejected)] == [487] and out.gone("a") and out.now < 70


def test_a_second_fork_that_answers_is_acknowledged_and_ended(out: Network) -> None:
    invite, _ = calling_up(out)
    for _ in range(2):
        out.inject(answer_to(invite, 200, tag="b2", body=SDP, contact="<sip:two@192.0.2.2>"), BOB, ALICE)
    got = take(out, BOB)
    assert [m.method for m in got if isinstance(m, Request)] == ["ACK", "BYE", "ACK"]
    assert {m.to.tag for m in got} == {"b2"}
    assert out.kinds("a") == ["Answered"]


def test_early_dialogs_of_several_forks_are_told_apart(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    for tag in ("b1", "b2"):
        out.inject(answer_to(invite, 183, tag=tag, body=SDP), BOB, ALICE)
    out.inject(answer_to(invite, 200, tag="b1", body=SDP), BOB, ALICE)
    assert [e.response.to.tag for e in out.of(ev.Progressed)] == ["b1", "b2"]
    out.agents[ALICE].bye("a", now=0)
    out.settle()
    assert [m.to.tag for m in take(out, BOB)] == ["b1", "b1"]


def test_a_late_offer_of_ours_waits_for_the_users_ack(out: Network) -> None:
    out.call(body=None)
    invite = out.raw[BOB].pop()
    for _ in range(2):
        out.inject(answer_to(invite, 200, body=SDP), BOB, ALICE)
    assert take(out, BOB) == [] and len(out.of(ev.Answered)) == 1
    out.agents[ALICE].ack("a", SDP, now=0)
    out.inject(answer_to(invite, 200, body=SDP), BOB, ALICE)
    acks = take(out, BOB)
    assert len(acks) == 2 and acks[0] == acks[1] and acks[0].body == SDP


def test_a_bye_pays_the_ack_that_is_owed_and_drops_the_offer_that_waits(out: Network) -> None:
    out.call(body=None)
    out.inject(answer_to(out.raw[BOB].pop(), 200, body=SDP), BOB, ALICE)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    out.agents[ALICE].bye("a", now=0)
    out.settle()
    assert methods(out) == ["ACK", "BYE"]


def test_a_reoffer_gets_its_ack_and_the_next_waits_for_it(out: Network) -> None:
    calling_up(out)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    out.agents[ALICE].reoffer("a", SDP + b"a=sendonly\r\n", now=0)
    out.settle()
    first = out.raw[BOB].pop()
    assert out.raw[BOB] == []
    out.inject(answer_to(first, 200, body=SDP), BOB, ALICE)
    ack, second = take(out, BOB)
    assert isinstance(ack, Request) and ack.method == "ACK" and ack.cseq.number == parse(first).cseq.number
    assert second.body.endswith(b"a=sendonly\r\n") and second.cseq.number == ack.cseq.number + 1
    out.inject(answer_to(first, 200, body=SDP), BOB, ALICE)
    assert take(out, BOB) == [ack]
    assert len(out.of(ev.OfferAnswered)) == 1


@pytest.mark.parametrize(("ours", "low", "high"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_a_491_is_tried_again_after_the_back_off_of_its_side(ours: bool, low: float, high: float) -> None:
    net = Network()
    net.agent(ALICE if ours else BOB)
    net.peer(BOB if ours else ALICE)
    here, there = (ALICE, BOB) if ours else (BOB, ALICE)
    leg = "a" if ours else ""
    if ours:
        calling_up(net)
    else:
        leg, _ = up(net)
    net.agents[here].reoffer(leg, SDP, now=0)
    net.settle()
    net.inject(answer_to(net.raw[there].pop(), 491), there, here)
    net.run(5)
    times = [t for t in net.times(here, "INVITE") if t > 0] if not ours else net.times(here, "INVITE")[2:]
    assert low <= times[0] <= high
    assert net.of(ev.OfferRejected) == []


def test_a_500_that_says_when_is_tried_again_then_and_one_that_does_not_is_final(out: Network) -> None:
    calling_up(out)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    out.settle()
    out.inject(answer_to(out.raw[BOB].pop(), 500, extra=("Retry-After: 3 (busy)",)), BOB, ALICE)
    out.run(5)
    assert out.times(ALICE, "INVITE")[2:] == [3.0, 3.5, 4.5]
    assert out.of(ev.OfferRejected) == []
    for extra in [("Retry-After: 11",), ("Retry-After: x",), ()]:
        out.agents[ALICE].reoffer("a", SDP, now=out.now)
        last = [raw for raw in out.raw[BOB] if raw.startswith(b"INVITE")][-1]
        out.inject(answer_to(last, 500, extra=extra), BOB, ALICE)
        out.settle()
    assert [e.status for e in out.of(ev.OfferRejected)] == [500, 500, 500]
    assert out.of(ev.Ended) == []


def test_an_offer_that_we_cannot_take_now_may_come_again(net: Network) -> None:
    leg, tag = up(net)
    net.inject(request(branch="z9hG4bK-r", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    net.agents[BOB].reject_offer(leg, 500, now=0)
    net.settle()
    assert 0 <= int(take(net, ALICE)[-1].get("retry-after") or "") <= 10


def test_a_peer_that_always_says_491_is_given_up(out: Network) -> None:
    calling_up(out)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    for _ in range(6):
        out.run(out.now + 5)
        invites = [d for d in out.raw[BOB] if d.startswith(b"INVITE")]
        out.raw[BOB].clear()
        out.inject(answer_to(invites[-1], 491), BOB, ALICE)
    assert [e.status for e in out.of(ev.OfferRejected)] == [491]
    assert out.of(ev.Ended) == []


@pytest.mark.parametrize(("status", "reason", "byes"), [(481, "gone", 0), (408, "timeout", 1)])
def test_481_and_408_to_a_reinvite_end_the_call(out: Network, status: int, reason: str, byes: int) -> None:
    calling_up(out)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    out.settle()
    out.inject(answer_to(out.raw[BOB].pop(), status), BOB, ALICE)
    assert [e.reason for e in out.of(ev.Ended)] == [reason]
    assert methods(out).count("BYE") == byes
    out.drain()
    assert out.gone("a")


def test_a_request_in_the_dialog_brings_its_answer(out: Network) -> None:
    calling_up(out)
    out.agents[ALICE].request("a", "INFO", [("Content-Type", "application/dtmf-relay")], b"Signal=5", now=0)
    out.settle()
    raw = out.raw[BOB].pop()
    assert parse(raw).content_type == "application/dtmf-relay"
    out.inject(answer_to(raw, 200), BOB, ALICE)
    assert [(e.method, e.status) for e in out.of(ev.RequestAnswered)] == [("INFO", 200)]


def test_an_unreachable_peer_fails_at_once_with_503(out: Network) -> None:
    out.call()
    out.agents[ALICE].transport_failed(BOB, ALICE, 0.0)
    out.settle()
    assert [(e.status, e.response) for e in out.of(ev.Rejected)] == [(503, None)] and out.gone("a")


def test_what_the_caller_gives_is_carried_and_what_is_ours_stays_ours(out: Network) -> None:
    extra = [
        ("User-Agent", "other"),
        ("P-Asserted-Identity", '"A" <sip:1@x>'),
        ("X-QM-Line", "5"),
        ("Via", "evil"),
        ("Call-ID", "evil"),
    ]
    out.call(headers=extra, max_forwards=12)
    sent = parse(out.raw[BOB].pop())
    assert sent.get("p-asserted-identity") == '"A" <sip:1@x>' and sent.get("x-qm-line") == "5"
    assert sent.max_forwards == 12 and len(sent.vias) == 1 and sent.call_id != "evil"
    assert [h.key for h in sent.headers].count("contact") == 1
    assert sent.all("user-agent") == ["other"]


def test_a_header_with_a_line_break_cannot_be_sent(out: Network) -> None:
    with pytest.raises(ValueError, match="one line"):
        out.call(headers=[("X-A", "1\r\nEvil: 2")])


def test_a_command_of_the_wrong_kind_is_loud_and_a_late_one_does_nothing(out: Network, net: Network) -> None:
    out.call()
    with pytest.raises(BrokenInvariant):
        out.agents[ALICE].answer("a", SDP, now=0)
    with pytest.raises(BrokenInvariant):
        out.call()
    with pytest.raises(BrokenInvariant):
        net.agents[BOB].cancel(offered(net), now=0)
    for command in ("bye", "cancel"):
        getattr(out.agents[ALICE], command)("no such leg", now=0)


def test_the_outside_address_stands_in_via_and_contact() -> None:
    net = Network()
    net.agent(ALICE, UserAgentSettings(external_address=Address("203.0.113.1", 0)))
    net.peer(BOB)
    net.call()
    sent = parse(net.raw[BOB].pop())
    assert sent.via.sent_by == ("203.0.113.1", 5060) and sent.get("contact") == "<sip:qm@203.0.113.1:5060>"


# ---------------------------------------------------------------------- challenges

SECRET = Credentials("qm", Private("zanzibar"))
MD5 = 'WWW-Authenticate: Digest realm="pbx", nonce="n{}", qop="auth", algorithm=MD5'


def test_a_challenge_is_answered_with_a_new_cseq_and_branch_in_the_same_call(out: Network) -> None:
    out.call(credentials=SECRET)
    first = out.raw[BOB].pop()
    out.inject(answer_to(first, 401, extra=(MD5.format(1),)), BOB, ALICE)
    ack, second = take(out, BOB)
    was = parse(first)
    assert isinstance(ack, Request) and ack.method == "ACK"
    assert second.call_id == was.call_id and second.from_.tag == was.from_.tag
    assert second.cseq.number == was.cseq.number + 1 and second.via.branch != was.via.branch
    assert second.to.tag is None
    login = second.get("authorization") or ""
    assert 'username="qm"' in login and "qop=auth" in login and "nc=00000001" in login
    out.inject(answer_to(second.to_bytes(), 200, body=SDP), BOB, ALICE)
    (last,) = take(out, BOB)
    assert last.get("authorization") == login  # 22.1: the ACK repeats the INVITE's credentials
    out.agents[ALICE].bye("a", now=0)
    out.settle()
    (bye,) = take(out, BOB)
    assert "nc=00000002" in (bye.get("authorization") or "")


def test_a_wrong_password_is_tried_once(out: Network) -> None:
    out.call(credentials=SECRET)
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(1),)), BOB, ALICE)
    second = out.raw[BOB].pop()
    out.inject(answer_to(second, 401, extra=(MD5.format(2),)), BOB, ALICE)
    assert [e.status for e in out.of(ev.Rejected)] == [401]


def test_a_stale_nonce_is_tried_again(out: Network) -> None:
    out.call(credentials=SECRET)
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(1),)), BOB, ALICE)
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(2) + ", stale=true",)), BOB, ALICE)
    assert 'nonce="n2"' in (parse(out.raw[BOB].pop()).get("authorization") or "")


def test_401_and_407_in_one_call(out: Network) -> None:
    out.call(credentials=SECRET)
    out.inject(
        answer_to(out.raw[BOB].pop(), 407, extra=(MD5.format(1).replace("WWW-", "Proxy-"),)), BOB, ALICE
    )
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(9),)), BOB, ALICE)
    sent = parse(out.raw[BOB].pop())
    assert sent.get("proxy-authorization") and sent.get("authorization")


def test_bye_and_reinvite_may_be_challenged_too(out: Network) -> None:
    calling_up(out, credentials=SECRET)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    out.settle()
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(1),)), BOB, ALICE)
    again = out.raw[BOB].pop()
    assert parse(again).get("authorization")
    out.inject(answer_to(again, 200, body=SDP), BOB, ALICE)
    assert len(out.of(ev.OfferAnswered)) == 1
    out.agents[ALICE].bye("a", now=0)
    out.settle()
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(2),)), BOB, ALICE)
    bye = parse(out.raw[BOB].pop())
    assert (
        isinstance(bye, Request) and bye.method == "BYE" and 'nonce="n2"' in (bye.get("authorization") or "")
    )


def test_without_credentials_a_challenge_is_a_rejection(out: Network) -> None:
    out.call()
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(1),)), BOB, ALICE)
    assert [e.status for e in out.of(ev.Rejected)] == [401]


# ---------------------------------------------------------------------- privacy and memory


def test_a_message_shows_nobody_in_a_log(net: Network) -> None:
    leg = offered(net)
    text = repr(net.events[leg])
    assert not re.search(r"alice|bob|192\.0", text)


def test_two_agents_with_the_same_seed_do_the_same() -> None:
    def run() -> list[bytes]:
        ua = UserAgent(UserAgentSettings(), random.Random(3), lambda r, s: None)
        ua.receive(request(body=SDP), ALICE, BOB, 0.0)
        return [d.data for d in ua.take_datagrams()]

    assert run() == run()
