"""Reliable provisional responses on one leg (RFC 3262), and offers before the INVITE is answered (RFC 3311)."""

from __future__ import annotations

import pytest

from qm_sip.sip import events as ev
from qm_sip.sip.events import Address, UaEvent
from qm_sip.sip.message import Request, Response
from qm_sip.sip.ua import Prack, UserAgentSettings
from tests.sip.network import ALICE, BOB, SDP, Network, Weather, answer_to, request
from tests.sip.test_ua import MD5, SECRET, methods, net, offered, out, statuses, take, up

__all__ = ["net", "out"]  # fixtures

OTHER = SDP.replace(b"4000", b"4444")
KNOWS = ("Supported: 100rel",)
WANTS = ("Require: 100rel",)
UPDATES = "Allow: INVITE, ACK, UPDATE, PRACK"


def last(net: Network, at: Address = ALICE) -> Response:
    found = take(net, at)[-1]
    assert isinstance(found, Response)
    return found


def prack(
    response: Response, *, rack: str = "", branch: str = "z9hG4bK-p", cseq: int = 2, **kw: bytes
) -> bytes:
    """Alice's PRACK of a response of Bob's."""
    text = rack or f"{response.get('rseq')} {response.get('cseq')}"
    tag = response.to.tag or ""
    return request("PRACK", branch=branch, to_tag=tag, cseq=cseq, extra=(f"RAck: {text}",), **kw)  # type: ignore[arg-type]


def reliable(invite: bytes, status: int, rseq: int, **kw: object) -> bytes:
    """A reliable response of raw Bob's to our INVITE."""
    extra = ("Require: 100rel", f"RSeq: {rseq}", UPDATES)
    return answer_to(invite, status, extra=extra, **kw)  # type: ignore[arg-type]


def rung(
    net: Network, body: bytes | None = SDP, extra: tuple[str, ...] = KNOWS, **kw: object
) -> tuple[str, Response]:
    """Alice's call rings with this description: leg and the 183."""
    leg = offered(net, extra=extra, **kw)
    net.agents[BOB].provisional(leg, 183, body=body, now=net.now)
    net.settle()
    return leg, last(net)


# ---------------------------------------------------------------------- we are called


@pytest.mark.parametrize(
    ("extra", "body", "wish", "expected"),
    [
        ((), SDP, True, False),
        (KNOWS, SDP, False, True),
        (KNOWS, None, False, False),
        (KNOWS, None, True, True),
        (WANTS, None, False, True),
        (("k: timer, 100REL",), SDP, False, True),
    ],
)
def test_when_a_1xx_is_sent_reliably(
    net: Network, extra: tuple[str, ...], body: bytes | None, wish: bool, expected: bool
) -> None:
    leg = offered(net, extra=extra)
    net.agents[BOB].provisional(leg, 183, body=body, reliably=wish, now=0)
    net.settle()
    ringing = last(net)
    assert (ringing.get("require") == "100rel") is expected
    assert (ringing.get("rseq") is not None) is expected
    if expected:
        assert 1 <= int(ringing.get("rseq") or "") < 2**31


def test_a_peer_with_whom_it_is_not_spoken_gets_420_or_plain_responses() -> None:
    net = Network()
    net.agent(BOB, prack=lambda source: Prack.NO)
    net.peer(ALICE)
    net.inject(request(body=SDP, extra=WANTS), ALICE, BOB)
    refused = last(net)
    assert (refused.status, refused.get("unsupported")) == (420, "100rel")
    _, ringing = rung(net, branch="z9hG4bK-2", call_id="c2", extra=KNOWS)
    assert ringing.status == 183 and ringing.get("rseq") is None and ringing.body == SDP


def test_it_is_repeated_after_t1_doubling_and_after_64_t1_the_call_is_given_up(net: Network) -> None:
    leg, _ = rung(net)
    net.run(40)
    assert net.times(BOB, "183") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert net.times(BOB, "504")[0] == 32.0
    assert [e.reason for e in net.of(ev.Ended, leg)] == ["no-prack"]
    net.drain()
    assert net.gone(leg)


def test_over_tcp_it_is_repeated_too() -> None:
    here, there = BOB._replace(transport="tcp"), ALICE._replace(transport="tcp")
    net = Network()
    net.agent(here)
    net.peer(there)
    via = "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-t"
    net.inject(request(body=SDP, extra=KNOWS, via=via), there, here)
    net.agents[here].provisional(net.of(ev.CallOffered)[0].leg, 183, body=SDP, now=0)
    net.run(2)
    assert net.times(here, "183") == [0, 0.5, 1.5]


def test_its_prack_stops_it_and_gets_200_every_copy_and_any_other_481(net: Network) -> None:
    leg, ringing = rung(net)
    number = int(ringing.get("rseq") or "")
    net.inject(prack(ringing, rack=f"{number + 1} 1 INVITE", branch="z9hG4bK-x"), ALICE, BOB)
    net.inject(prack(ringing, rack=f"{number} 2 INVITE", branch="z9hG4bK-y", cseq=3), ALICE, BOB)
    net.inject(prack(ringing, rack=f"{number} 1 OPTIONS", branch="z9hG4bK-z", cseq=4), ALICE, BOB)
    assert statuses(net) == [481, 481, 481]
    for _ in range(2):
        net.inject(prack(ringing, cseq=5), ALICE, BOB)
    assert statuses(net) == [200, 200]
    net.inject(prack(ringing, branch="z9hG4bK-again", cseq=6), ALICE, BOB)
    assert statuses(net) == [481]
    net.run(40)
    assert len(net.times(BOB, "183")) == 1 and net.kinds(leg) == ["CallOffered"]


@pytest.mark.parametrize("rack", ["1 INVITE", "x 1 INVITE", "99999999999 1 INVITE", "1 1 1 1"])
def test_a_prack_that_names_nothing_gets_400(net: Network, rack: str) -> None:
    _, ringing = rung(net)
    net.inject(prack(ringing, rack=rack), ALICE, BOB)
    assert statuses(net) == [400]


def test_the_next_one_waits_for_the_prack_and_its_number_is_one_more(net: Network) -> None:
    leg, first = rung(net)
    net.agents[BOB].provisional(leg, 180, reliably=True, now=0)
    net.agents[BOB].provisional(leg, 181, now=0)
    net.settle()
    assert statuses(net) == []
    net.inject(prack(first), ALICE, BOB)
    ok, second, third = take(net, ALICE)
    assert isinstance(ok, Response) and ok.cseq.method == "PRACK"
    assert int(second.get("rseq") or "") == int(first.get("rseq") or "") + 1
    assert isinstance(third, Response) and (third.status, third.get("rseq")) == (181, None)


def test_the_200_waits_for_the_prack_of_a_description_and_does_not_repeat_it(net: Network) -> None:
    leg, ringing = rung(net)
    net.agents[BOB].answer(leg, SDP, headers=[("Content-Type", "application/sdp")], now=0)
    net.settle()
    assert statuses(net) == []
    net.inject(prack(ringing), ALICE, BOB)
    _, ok = take(net, ALICE)
    assert isinstance(ok, Response) and (ok.status, ok.cseq.method, ok.body) == (200, "INVITE", b"")
    assert ok.get("content-type") is None and ok.to.tag == ringing.to.tag


def test_without_a_description_it_does_not_hold_the_200_back_and_its_prack_may_still_come(
    net: Network,
) -> None:
    leg = offered(net, extra=WANTS)
    net.agents[BOB].provisional(leg, 180, now=0)
    net.settle()
    ringing = last(net)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.settle()
    ok = last(net)
    assert ok.status == 200 and ok.body == SDP
    net.inject(prack(ringing), ALICE, BOB)
    assert statuses(net) == [200]
    net.run(3)
    assert len(net.times(BOB, "180")) == 1


def test_a_caller_who_gives_up_meanwhile_gets_487_and_no_200(net: Network) -> None:
    leg, _ = rung(net)
    net.agents[BOB].answer(leg, SDP, now=0)
    net.inject(request("CANCEL"), ALICE, BOB)
    assert sorted(statuses(net)) == [200, 487]
    assert net.kinds(leg) == ["CallOffered", "Cancelled"]
    net.run(40)
    assert len(net.times(BOB, "183")) == 1


def test_a_rejection_waits_for_nothing(net: Network) -> None:
    leg, ringing = rung(net)
    net.agents[BOB].reject(leg, 486, now=0)
    net.settle()
    assert statuses(net) == [486]
    net.inject(prack(ringing), ALICE, BOB)
    assert statuses(net) == [200]
    net.drain()
    assert net.gone(leg) and len(net.times(BOB, "183")) == 1


def test_ringing_goes_on_every_minute_reliably_and_without_the_description(net: Network) -> None:
    _, ringing = rung(net)
    net.inject(prack(ringing), ALICE, BOB)
    take(net, ALICE)
    net.run(60.1)
    again = last(net)
    assert again.status == 183 and again.body == b"" and again.get("content-type") is None
    assert int(again.get("rseq") or "") == int(ringing.get("rseq") or "") + 1


def test_an_offer_of_ours_is_answered_in_the_prack(net: Network) -> None:
    late = offered(net, body=b"", extra=KNOWS, branch="z9hG4bK-l", call_id="late")
    net.agents[BOB].provisional(late, 183, body=SDP, now=0)
    net.settle()
    offer = last(net)
    assert offer.body == SDP
    raw = prack(offer, branch="z9hG4bK-lp", body=OTHER).replace(b"Call-ID: c1", b"Call-ID: late")
    net.inject(raw, ALICE, BOB)
    assert statuses(net) == [200]
    assert [e.request.body for e in net.of(ev.EarlyAnswer, late)] == [OTHER]
    net.agents[BOB].answer(late, SDP, now=0)
    net.settle()
    assert last(net).body == b""


def test_an_offer_is_not_sent_where_it_might_get_lost(net: Network) -> None:
    leg = offered(net, body=b"")
    net.agents[BOB].provisional(leg, 183, body=SDP, headers=[("Content-Type", "application/sdp")], now=0)
    net.settle()
    ringing = last(net)
    assert ringing.body == b"" and ringing.get("content-type") is None


def test_a_prack_may_bring_another_offer_and_is_answered_with_a_description(net: Network) -> None:
    leg, ringing = rung(net)
    net.inject(prack(ringing, body=OTHER), ALICE, BOB)
    assert statuses(net) == [] and net.of(ev.OfferReceived, leg)[0].request.body == OTHER
    net.agents[BOB].answer_offer(leg, OTHER, now=0)
    net.settle()
    ok = last(net)
    assert (ok.status, ok.cseq.method, ok.body) == (200, "PRACK", OTHER)


def test_an_offer_in_a_prack_that_nobody_wants_is_answered_with_what_stands(net: Network) -> None:
    leg, ringing = rung(net)
    net.inject(prack(ringing, body=OTHER), ALICE, BOB)
    net.agents[BOB].reject_offer(leg, 488, now=0)
    net.settle()
    ok = last(net)
    assert (ok.status, ok.cseq.method, ok.body) == (200, "PRACK", SDP)


def test_an_answer_that_changes_has_an_early_dialog_of_its_own(net: Network) -> None:
    leg, first = rung(net)
    net.inject(prack(first), ALICE, BOB)
    take(net, ALICE)
    net.agents[BOB].provisional(leg, 183, body=OTHER, anew=True, now=0)
    net.settle()
    second = last(net)
    assert second.to.tag != first.to.tag and second.body == OTHER
    net.inject(prack(first, rack=f"{second.get('rseq')} 1 INVITE", branch="z9hG4bK-w", cseq=3), ALICE, BOB)
    assert statuses(net) == [481]  # the number of one dialog is nothing in another
    net.inject(prack(second, branch="z9hG4bK-q"), ALICE, BOB)
    assert statuses(net) == [200]
    net.agents[BOB].answer(leg, OTHER, now=0)
    net.settle()
    ok = last(net)
    assert ok.to.tag == second.to.tag and ok.body == b""
    net.inject(request("ACK", branch="z9hG4bK-a", to_tag=ok.to.tag or ""), ALICE, BOB)
    net.inject(request("BYE", branch="z9hG4bK-b1", to_tag=first.to.tag or "", cseq=5), ALICE, BOB)
    net.inject(request("BYE", branch="z9hG4bK-b2", to_tag=ok.to.tag or "", cseq=5), ALICE, BOB)
    assert statuses(net) == [481, 200] and net.of(ev.Ended, leg)
    net.drain()
    assert net.gone(leg) and not net.agents[BOB]._core.dialogs


def test_a_200_may_have_a_dialog_of_its_own(net: Network) -> None:
    leg, ringing = rung(net, extra=())
    net.agents[BOB].answer(leg, OTHER, anew=True, now=0)
    net.settle()
    ok = last(net)
    assert ok.to.tag != ringing.to.tag and ok.body == OTHER
    net.inject(request("ACK", branch="z9hG4bK-a", to_tag=ok.to.tag or ""), ALICE, BOB)
    net.agents[BOB].bye(leg, now=0)
    net.settle()
    (bye,) = take(net, ALICE)
    assert bye.from_.tag == ok.to.tag


# ---------------------------------------------------------------------- we call


def test_a_reliable_1xx_gets_a_prack_in_its_dialog_and_a_copy_gets_nothing(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    for _ in range(2):
        out.inject(reliable(invite, 183, 77, body=SDP, contact="<sip:b@192.0.2.2:5060;x>"), BOB, ALICE)
    (sent,) = take(out, BOB)
    assert isinstance(sent, Request) and (sent.method, sent.uri) == ("PRACK", "sip:b@192.0.2.2:5060;x")
    was = out.sent(ALICE, "INVITE")[0]
    assert sent.get("rack") == f"77 {was.get('cseq')}" and sent.to.tag == "b1" and sent.body == b""
    assert sent.cseq.number == was.cseq.number + 1
    assert len(out.of(ev.Progressed)) == 1
    out.inject(answer_to(sent.to_bytes(), 200), BOB, ALICE)
    assert out.kinds("a") == ["Progressed"]


def test_they_are_taken_in_order_per_answering_end(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    for rseq, tag in [(5, "b1"), (7, "b1"), (900, "b2"), (6, "b1"), (5, "b1"), (901, "b2"), (7, "b1")]:
        out.inject(reliable(invite, 180, rseq, tag=tag), BOB, ALICE)
    racks = [(m.to.tag, (m.get("rack") or "").split()[0]) for m in take(out, BOB)]
    assert racks == [("b1", "5"), ("b2", "900"), ("b1", "6"), ("b2", "901"), ("b1", "7")]
    assert len(out.of(ev.Progressed)) == 5


def test_what_calls_itself_reliable_without_a_number_is_an_ordinary_one(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    for extra in [("Require: 100rel",), ("Require: 100rel", "RSeq: x"), ("RSeq: 5",)]:
        out.inject(answer_to(invite, 180, extra=extra), BOB, ALICE)
    assert take(out, BOB) == [] and len(out.of(ev.Progressed)) == 3


@pytest.mark.parametrize(
    ("prack", "supported", "required"),
    [
        (Prack.NO, ["timer"], None),
        (Prack.YES, ["100rel", "timer"], None),
        (Prack.REQUIRED, ["100rel", "timer"], "100rel"),
    ],
)
def test_what_our_invite_says(out: Network, prack: Prack, supported: list[str], required: str | None) -> None:
    out.call(prack=prack)
    (invite,) = take(out, BOB)
    assert invite.values("supported") == supported and invite.get("require") == required
    assert "PRACK" in (invite.get("allow") or "") and "UPDATE" in (invite.get("allow") or "")


def test_an_offer_in_a_1xx_is_answered_in_its_prack(out: Network) -> None:
    out.call(body=None)
    invite = out.raw[BOB].pop()
    for _ in range(2):
        out.inject(reliable(invite, 183, 1, body=SDP), BOB, ALICE)
    assert take(out, BOB) == [] and len(out.of(ev.Progressed)) == 1
    out.agents[ALICE].ack("a", OTHER, now=0)
    out.settle()
    (sent,) = take(out, BOB)
    assert isinstance(sent, Request) and (sent.method, sent.body) == ("PRACK", OTHER)
    assert sent.content_type == "application/sdp"
    out.inject(answer_to(sent.to_bytes(), 200), BOB, ALICE)
    out.inject(answer_to(invite, 200), BOB, ALICE)
    (ack,) = take(out, BOB)
    assert isinstance(ack, Request) and (ack.method, ack.body) == ("ACK", b"")


def test_a_prack_is_challenged_like_any_other(out: Network) -> None:
    out.call(credentials=SECRET)
    out.inject(reliable(out.raw[BOB].pop(), 180, 1), BOB, ALICE)
    out.inject(answer_to(out.raw[BOB].pop(), 401, extra=(MD5.format(1),)), BOB, ALICE)
    (again,) = take(out, BOB)
    assert isinstance(again, Request) and again.method == "PRACK" and again.get("authorization")


def test_a_prack_to_one_who_calls_is_about_nothing(out: Network) -> None:
    out.call()
    invite = out.raw[BOB].pop()
    out.inject(answer_to(invite, 180), BOB, ALICE)
    was = out.sent(ALICE, "INVITE")[0]
    raw = request(
        "PRACK",
        via="Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-p",
        from_tag="b1",
        to_tag=was.from_.tag or "",
        call_id=was.call_id,
        extra=("RAck: 1 1 INVITE",),
    )
    out.inject(raw, BOB, ALICE)
    assert statuses(out, BOB) == [481]


# ---------------------------------------------------------------------- offers before the answer


def from_bob(
    out: Network, method: str, body: bytes = SDP, *, tag: str = "b1", cseq: int = 1, branch: str = "u"
) -> None:
    """A request of raw Bob's in the dialog of our call."""
    was = out.sent(ALICE, "INVITE")[0]
    raw = request(
        method,
        via=f"Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-{branch}",
        from_tag=tag,
        to_tag=was.from_.tag or "",
        call_id=was.call_id,
        cseq=cseq,
        body=body,
    )
    out.inject(raw.replace(b"<sip:alice@192.0.2.1:5060>", b"<sip:bob@192.0.2.2:5060>"), BOB, ALICE)


def early(out: Network, *tags: str) -> bytes:
    """Our call rings with a description from these ends, each acknowledged: the INVITE."""
    out.call()
    invite = out.raw[BOB].pop()
    for tag in tags or ("b1",):
        out.inject(reliable(invite, 183, 1, body=SDP, tag=tag), BOB, ALICE)
    for raw in list(out.raw[BOB]):
        out.inject(answer_to(raw, 200), BOB, ALICE)
    out.raw[BOB].clear()
    return invite


def test_before_our_offer_is_answered_another_gets_491(out: Network) -> None:
    out.call()
    out.inject(answer_to(out.raw[BOB].pop(), 183, body=SDP), BOB, ALICE)
    from_bob(out, "UPDATE")
    assert statuses(out, BOB) == [491]


def test_before_we_have_answered_his_another_offer_gets_500_and_when_to_try_again(net: Network) -> None:
    _, ringing = rung(net, extra=())
    raw = request("UPDATE", branch="z9hG4bK-u", to_tag=ringing.to.tag or "", cseq=2, body=SDP)
    net.inject(raw, ALICE, BOB)
    answer = last(net)
    assert answer.status == 500 and 0 <= int(answer.get("retry-after") or "") <= 10


def test_while_our_early_offer_waits_for_its_answer_his_gets_491(net: Network) -> None:
    leg = offered(net, body=b"", extra=KNOWS)
    net.agents[BOB].provisional(leg, 183, body=SDP, now=0)
    net.settle()
    tag = last(net).to.tag or ""
    net.inject(request("UPDATE", branch="z9hG4bK-u", to_tag=tag, cseq=2, body=SDP), ALICE, BOB)
    assert statuses(net) == [491]


def test_once_it_is_settled_either_side_may_offer_anew(out: Network) -> None:
    early(out)
    from_bob(out, "UPDATE", OTHER)
    assert out.of(ev.OfferReceived)[0].request.body == OTHER
    from_bob(out, "UPDATE", OTHER, cseq=2, branch="v")
    second = last(out, BOB)
    assert second.status == 500 and second.get("retry-after") is not None
    out.agents[ALICE].answer_offer("a", OTHER, now=0)
    out.settle()
    ok = last(out, BOB)
    assert (ok.status, ok.body) == (200, OTHER) and ok.get("session-expires") is None
    out.agents[ALICE].reoffer("a", SDP, now=0)
    out.settle()
    (update,) = take(out, BOB)
    assert isinstance(update, Request) and (update.method, update.body) == ("UPDATE", SDP)
    assert update.get("session-expires") is None
    from_bob(out, "UPDATE", OTHER, cseq=3, branch="w")
    assert statuses(out, BOB) == [491]
    out.inject(answer_to(update.to_bytes(), 200, body=OTHER), BOB, ALICE)
    assert [e.response.body for e in out.of(ev.OfferAnswered)] == [OTHER]


def test_each_end_has_its_own_offers(out: Network) -> None:
    invite = early(out, "b1")
    out.inject(
        answer_to(invite, 183, tag="b2", body=SDP), BOB, ALICE
    )  # not reliable: nothing is settled there
    from_bob(out, "UPDATE", OTHER, tag="b2")
    assert statuses(out, BOB) == [491]
    from_bob(out, "UPDATE", OTHER, tag="b1", branch="v")
    assert len(out.of(ev.OfferReceived)) == 1


@pytest.mark.parametrize("why", ["unsettled", "not-allowed", "no-body"])
def test_an_early_offer_that_cannot_be_made_is_rejected_at_once(out: Network, why: str) -> None:
    if why == "unsettled":
        out.call()
        out.inject(answer_to(out.raw[BOB].pop(), 183, body=SDP, extra=(UPDATES,)), BOB, ALICE)
    elif why == "not-allowed":
        out.call()
        out.inject(
            answer_to(out.raw[BOB].pop(), 183, body=SDP, extra=("Require: 100rel", "RSeq: 1")), BOB, ALICE
        )
    else:
        early(out)
    take(out, BOB)
    out.agents[ALICE].reoffer("a", None if why == "no-body" else SDP, now=0)
    out.settle()
    assert [e.status for e in out.of(ev.OfferRejected)] == [504] and take(out, BOB) == []


def test_the_caller_may_be_offered_something_else_by_update(net: Network) -> None:
    leg, ringing = rung(net, extra=(*KNOWS, UPDATES))
    net.agents[BOB].reoffer(leg, OTHER, now=0)
    net.settle()
    assert [e.status for e in net.of(ev.OfferRejected, leg)] == [504]  # not acknowledged yet
    net.inject(prack(ringing), ALICE, BOB)
    net.agents[BOB].reoffer(leg, OTHER, now=0)
    net.settle()
    update = take(net, ALICE)[-1]
    assert isinstance(update, Request) and (update.method, update.body) == ("UPDATE", OTHER)
    assert update.to.tag == "f1" and update.from_.tag == ringing.to.tag
    net.inject(answer_to(update.to_bytes(), 200, body=SDP), ALICE, BOB)
    assert [e.response.body for e in net.of(ev.OfferAnswered, leg)] == [SDP]


def test_the_answer_may_cross_our_early_offer(out: Network) -> None:
    invite = early(out)
    out.agents[ALICE].reoffer("a", OTHER, now=0)
    out.settle()
    (update,) = take(out, BOB)
    out.inject(answer_to(invite, 200), BOB, ALICE)
    out.agents[ALICE].reoffer("a", SDP, now=0)
    assert methods(out) == ["ACK"]  # the next waits
    out.inject(answer_to(update.to_bytes(), 200, body=SDP), BOB, ALICE)
    assert methods(out) == ["INVITE"]
    assert out.kinds("a") == ["Progressed", "Answered", "OfferAnswered"]


def test_an_offer_in_the_call_is_not_an_early_one(net: Network) -> None:
    leg, _ = up(net)
    net.agents[BOB].reoffer(leg, SDP, now=0)
    net.settle()
    assert methods(net, ALICE) == ["INVITE"]


# ---------------------------------------------------------------------- two of ours


class Early(Network):
    """Bob rings with a description, then without, then answers; Alice answers late offers."""

    def react(self, address: Address, event: UaEvent) -> None:
        if isinstance(event, ev.CallOffered):
            ua = self.agents[BOB]
            ua.provisional(event.leg, 183, body=SDP, now=self.now)
            ua.provisional(event.leg, 180, reliably=True, now=self.now)
            ua.provisional(event.leg, 183, body=OTHER, anew=True, now=self.now)
            ua.answer(event.leg, OTHER, now=self.now)
        elif isinstance(event, ev.Progressed) and event.response.body and self.late:
            self.agents[ALICE].ack(event.leg, SDP, now=self.now)

    late = False


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_over_a_bad_line_all_of_it_arrives_once_and_in_order(seed: int, late: bool) -> None:
    net = Early(Weather(loss=0.3, double=0.3, delay=0.05, jitter=0.9), seed)
    net.late = late
    net.agent(ALICE)
    net.agent(BOB)
    net.call(body=None if late else SDP)
    net.drain()
    kinds = net.kinds("a")
    if "Answered" not in kinds or kinds[-1] == "LegGone":
        return  # lost altogether: `test_weather` looks after that
    told = [(e.response.status, e.response.body) for e in net.of(ev.Progressed, "a")]
    assert told == [(183, SDP), (180, b""), (183, OTHER)]
    assert len(net.of(ev.EarlyAnswer)) == (2 if late else 0)


def test_settings_say_which_options_are_ours() -> None:
    assert {"100rel", "timer"} <= set(UserAgentSettings().supported)
    net = Network()
    net.agent(BOB)
    net.peer(ALICE)
    net.inject(request("OPTIONS"), ALICE, BOB)
    said = last(net)
    assert said.values("supported") == ["100rel", "timer"]
    assert {"PRACK", "UPDATE"} <= set(said.values("allow"))
