"""What commonly goes wrong in B2BUAs, II: what two legs have to do with one another. One number, one behaviour.

Each test is the script of a call through the whole B2BUA between two peers who speak by hand (`between.py`). Numbers
1-7 and 20-25 are in `tests/sip/test_the_list.py`. Elsewhere:

| number | more of it |
|---|---|
| 8-13 | `tests/sip/test_ua.py`, one leg at a time; `tests/simulation`, all of it at random |
| 14-16 | `test_early.py`, `test_journeys.py`; `tests/sip/test_sdp.py` |
| 17-18 | `tests/sip/test_reliable.py`, `tests/wire/test_early.py` |
| 19 | `tests/sip/test_session_timer.py` |
| 26-27 | `test_replacing.py`, `test_referral.py`, `test_transfer.py`, `test_attended.py` |
| 28, 30, 31 | `test_passing.py`, `test_headers.py`, `tests/wire/test_headers.py`; `tests/sip/test_body.py` |
"""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote, unquote

import pytest

from qm_sip.sip.message import Message, Request, Response
from qm_sip.sip.sdp import Sdp
from tests.call import test_the_list as here
from tests.call.between import (
    ANSWER,
    HERE,
    LEFT,
    OFFER,
    OUTSIDE,
    RIGHT,
    STRANGER,
    Between,
    Talk,
    kind_of,
    sdp,
)
from tests.call.test_journeys import answering
from tests.call.world import World
from tests.lamps.keys import Key, lighten
from tests.sip import test_the_list as first_half
from tests.sip.subscriber import Shown

NUMBERS = range(1, 32)
OTHER = sdp(5002, version=2, host="192.0.2.2")
RELIABLE = ("Supported: 100rel", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO")
UPDATES = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO"


def test_every_number_of_the_list_has_a_test() -> None:
    names = [name for module in (first_half, here) for name in vars(module) if name.startswith("test_")]
    numbered = {int(found[1]) for name in names if (found := re.match(r"test_(\d\d)_", name))}
    assert numbered == set(NUMBERS)


def origin(message: Message) -> tuple[str, int]:
    """Session id and version of its o= line."""
    (line,) = (line for line in message.body.decode().split("\r\n") if line.startswith("o="))
    return line.split()[1], int(line.split()[2])


def ports(message: Message) -> list[int]:
    return [stream.port for stream in Sdp.parse(message.body).media]


def reliably(number: int, *more: str) -> tuple[str, ...]:
    return ("Require: 100rel", f"RSeq: {number}", UPDATES, *more)


# ---------------------------------------------------------------------- CANCEL and forks


def test_08_a_cancel_waits_for_a_1xx_and_is_the_invites_own() -> None:
    """Elsewhere it is sent before any response, when nobody may have the INVITE yet, so that it finds nothing and the
    phone rings on; or with another branch, CSeq or route.
    """
    between = Between()
    a = between.dial()
    b = between.called()
    a.cancel()
    assert a.heard() == ["200 CANCEL", "487 INVITE"]
    a.ask("ACK", cseq=1, branch=a.invite.via.branch)
    between.run(2.0)
    assert set(b.heard()) == {"INVITE"}
    b.reply(b.invite, 100, tag="")
    cancel = b.request("CANCEL")
    assert cancel.uri == b.invite.uri and cancel.all("via") == b.invite.all("via")
    assert cancel.cseq == (b.invite.cseq.number, "CANCEL") and cancel.all("route") == b.invite.all("route")
    assert (cancel.get("from"), cancel.get("to")) == (b.invite.get("from"), b.invite.get("to"))
    b.reply(cancel, 200)
    b.reply(b.invite, 487)
    assert b.heard() == ["ACK"]
    between.over()


def test_08_a_200_that_crosses_the_cancel_is_acknowledged_and_ended() -> None:
    """Elsewhere the 200 finds nobody, and a phone is off the hook with nobody at the other end."""
    between = Between()
    a, b = between.ringing()
    a.cancel("Reason: SIP;cause=200")
    b.reply(b.invite, 200, ANSWER)
    _, ack, bye = b.hear()
    assert (kind_of(ack), kind_of(bye)) == ("ACK", "BYE")
    assert bye.to.tag == "b1" and bye.cseq.number > ack.cseq.number and not ack.body  # type: ignore[attr-defined]
    b.reply(bye, 200)
    b.reply(b.invite, 200, ANSWER)
    assert b.heard() == ["ACK"], "a copy is acknowledged too"
    assert a.heard() == ["200 CANCEL", "487 INVITE"]
    a.ask("ACK", cseq=1, branch=a.invite.via.branch)
    between.over()


def test_08_a_cancel_that_comes_too_late_ends_nothing() -> None:
    """Elsewhere a CANCEL that crosses our 200 is 481, or gets a 487 after the 200."""
    between = Between()
    a, b = between.ringing()
    b.reply(b.invite, 200, ANSWER)
    a.cancel()
    assert a.heard() == ["200 INVITE", "200 CANCEL"]
    a.remote = between.said[-1].message.get("to") or ""
    a.ack()
    between.run(2.0)
    assert not a.heard() and b.heard() == ["ACK"], "the two are talking"
    a.ask("BYE")
    b.reply(b.request("BYE"), 200)
    between.over()


def test_08_a_cancel_that_nobody_heeds_is_given_up() -> None:
    """Elsewhere a call whose CANCEL is answered, but whose INVITE never is, lives for ever."""
    between = Between()
    a, b = between.ringing()
    a.cancel()
    a.ask("ACK", cseq=1, branch=a.invite.via.branch)
    b.reply(b.request("CANCEL"), 200)
    began = between.now
    between.over()
    assert between.now - began < 70


def test_09_of_several_who_answer_one_is_kept_and_each_counts_for_itself() -> None:
    """Elsewhere a second 200 with another tag is never acknowledged, or takes the first one's place; and the RSeq of
    one end is held against the other's.
    """
    between = Between()
    a = between.dial("7000", OFFER, *RELIABLE)
    b = between.called()
    for tag, number in (("b1", 900), ("b2", 17), ("b2", 18)):
        b.reply(b.invite, 180, b"", *reliably(number), tag=tag, contact=f"<sip:{tag}@192.0.2.2>")
        prack = b.request("PRACK")
        assert prack.get("rack") == f"{number} {b.invite.cseq.number} INVITE"
        assert prack.to.tag == tag and prack.uri == f"sip:{tag}@192.0.2.2"
        b.reply(prack, 200)
    b.reply(b.invite, 180, b"", *reliably(903), tag="b1")
    assert not b.heard(), "901 and 902 of that end are missing"
    for _ in range(2):
        b.reply(b.invite, 200, ANSWER, tag="b2")
        b.reply(b.invite, 200, OTHER, tag="b1")
    said = [(kind_of(message), message.to.tag) for message in b.hear()]
    assert [one for one in said if one[1] == "b2"] == [("ACK", "b2")] * 2
    assert [one for one in said if one[1] == "b1"] == [("ACK", "b1"), ("BYE", "b1"), ("ACK", "b1")]
    answers = [message for message in a.hear() if kind_of(message) == "200 INVITE"]
    assert len({message.body for message in answers}) == 1 and ports(answers[0]) == [5000]
    a.ack()
    a.ask("BYE")
    assert b.request("BYE").to.tag == "b2"
    between.middle.ua.connection_lost(RIGHT, HERE, between.now)
    between.over()


# ---------------------------------------------------------------------- the dialog


def test_10_all_answers_but_100_have_one_tag_and_those_that_make_a_dialog_a_contact() -> None:
    """Elsewhere 180 and 200 have tags of their own, so that the peer takes them for two phones; or a 180 without
    Contact leaves PRACK and UPDATE nowhere to go.
    """
    between = Between()
    a = between.dial()
    trying = between.said[0].message
    assert isinstance(trying, Response) and trying.status == 100 and trying.to.tag is None
    b = between.called()
    for status in (180, 181, 182):
        b.reply(b.invite, status)
    b.reply(b.invite, 200, ANSWER)
    between.run(1.0)
    said = [message for message in a.hear() if isinstance(message, Response)]
    assert {message.status for message in said} == {180, 181, 182, 200}
    assert len({message.to.tag for message in said}) == 1 and said[0].to.tag
    assert all(str(message.contacts[0].uri) == "sip:qm@192.0.2.9:5060" for message in said)
    a.ack()
    a.cancel()
    assert a.response("200 CANCEL").to.tag == said[0].to.tag
    a.ask("BYE")
    assert a.response("200 BYE").to.tag == said[0].to.tag
    b.hear()
    between.over()


ROUTES = ("Record-Route: <sip:192.0.2.71;lr>", "Record-Route: <sip:192.0.2.72;lr;x=1>, <sip:192.0.2.73;lr>")
INNER = ("Record-Route: <sip:192.0.2.81;lr>", "Record-Route: <sip:192.0.2.82;lr>")
LIST = ["<sip:192.0.2.71;lr>", "<sip:192.0.2.72;lr;x=1>", "<sip:192.0.2.73;lr>"]


def test_11_the_callee_keeps_the_route_in_order_the_caller_reverses_it_and_it_stays() -> None:
    """Elsewhere both sides have it the same way round, the route of a 180 outlives that of the 200, or one in a
    re-INVITE changes it.
    """
    between = Between()
    a = between.dial("7000", OFFER, *ROUTES)
    b = between.called()
    assert b.invite.get("record-route") is None and b.invite.get("route") is None, "a route is of one leg"
    b.reply(b.invite, 180, b"", "Record-Route: <sip:192.0.2.99;lr>")
    b.reply(b.invite, 200, ANSWER, *INNER)
    assert a.hear()[-1].all("record-route") == [line.partition(": ")[2] for line in ROUTES]
    a.ack()
    a.reinvite(sdp(4002, version=2), "Record-Route: <sip:192.0.2.99;lr>")
    (passed,) = (
        said for said in between.said if said.to.host == "192.0.2.82" and kind_of(said.message) == "INVITE"
    )
    assert passed.message.all("route") == ["<sip:192.0.2.82;lr>", "<sip:192.0.2.81;lr>"]
    b.reply(passed.message, 200, ANSWER, "Record-Route: <sip:192.0.2.99;lr>")
    a.ack()
    b.ask("BYE")
    bye = between.said[-1]
    assert (kind_of(bye.message), bye.to.host) == ("BYE", "192.0.2.71") and bye.message.all("route") == LIST
    assert between.said[-2].message.get("route") is None
    a.reply(bye.message, 200)
    between.over()


def test_11_only_an_invite_or_update_moves_the_target_and_a_strict_router_gets_its_due() -> None:
    """Elsewhere the Contact of an INFO sends the BYE astray; or a route without `lr` is treated as if it had one."""
    between = Between()
    a, b = between.talking()
    b.contact = "<sip:elsewhere@192.0.2.99>"
    b.ask("INFO")
    b.heard()
    a.reinvite(sdp(4002, version=2))
    asked = b.request("INVITE")
    assert asked.uri == "sip:me@192.0.2.2:5060"
    b.contact = "<sip:moved@192.0.2.2:5066>"
    b.reply(asked, 200, ANSWER)
    a.hear()
    a.ack()
    assert b.request("ACK").uri == "sip:moved@192.0.2.2:5066"
    b.contact = "<sip:again@192.0.2.2:5067>"
    b.ask("UPDATE")
    b.expect("200 UPDATE")
    a.ask("BYE")
    assert between.said[-1].to == RIGHT._replace(port=5067)
    assert b.request("BYE").uri == "sip:again@192.0.2.2:5067"
    between = Between()
    a, b = between.talking(
        "7000", OFFER, "Record-Route: <sip:192.0.2.71>", "Record-Route: <sip:192.0.2.72;lr>"
    )
    b.ask("BYE")
    bye = between.said[-1]
    assert (
        isinstance(bye.message, Request)
        and bye.message.uri == "sip:192.0.2.71"
        and bye.to.host == "192.0.2.71"
    )
    assert bye.message.all("route") == ["<sip:192.0.2.72;lr>", "<sip:me@192.0.2.1:5060>"]


def test_12_a_request_belongs_to_a_dialog_by_its_names_wherever_it_comes_from() -> None:
    """Elsewhere a BYE by another path of the provider's is refused as a stranger's, and the call stays up; or one for
    another dialog ends this.
    """
    between = Between()
    a, b = between.talking()
    for wrong in ({"to": "<sip:7000@x>;tag=no"}, {"to": f"{a.remote}x"}):
        a.ask("BYE", **wrong)  # type: ignore[arg-type]
        assert a.heard() == ["481 BYE"] and not b.heard()
    a.ask("BYE", source=STRANGER._replace(port=4444))
    assert [kind_of(said.message) for said in between.hear(STRANGER)] == ["200 BYE"] or a.heard() == [
        "200 BYE"
    ]
    b.reply(b.request("BYE"), 200)
    a.ask("INFO")
    assert a.heard() == ["481 INFO"], "what comes after it"
    between.over()


def test_12_when_both_hang_up_at_once_both_are_answered() -> None:
    """Elsewhere the BYE that crosses ours is dropped, and the peer repeats it for half a minute."""
    between = Between()
    a, b = between.talking()
    a.ask("BYE")
    b.ask("BYE")
    b.ask("BYE", cseq=b.cseq)  # another copy, by another branch
    assert a.heard() == ["200 BYE"]
    asked, *answers = b.hear()
    assert kind_of(asked) == "BYE"
    assert {kind_of(answer) for answer in answers} <= {"200 BYE", "481 BYE", "500 BYE"} and len(answers) == 2
    b.reply(asked, 481)
    between.over()


def test_13_what_is_out_of_order_is_500_and_offers_that_meet_are_told_so() -> None:
    """Elsewhere an old request is carried out a second time, two offers are both accepted, or the second re-INVITE
    before the answer to the first is taken for its copy.
    """
    between = Between()
    a, b = between.talking()
    a.ask("INFO")
    a.ask("INFO", cseq=a.cseq)
    a.ask("INFO", cseq=1)
    assert a.heard() == ["200 INFO", "500 INFO", "500 INFO"]
    a.reinvite(sdp(4002, version=2))
    assert a.heard() == ["100 INVITE"]
    asked = b.request("INVITE")
    a.ask("INVITE", sdp(4004, version=3))
    again = a.response("500 INVITE")
    assert 0 <= int(again.get("retry-after") or "") <= 10
    b.ask("INVITE", OTHER)
    assert b.heard() == ["491 INVITE"]
    b.reply(asked, 200, ANSWER)
    assert a.heard() == ["200 INVITE"]


@pytest.mark.parametrize(("asker", "low", "high"), [("a", 2.1, 4.0), ("b", 0.0, 2.0)])
def test_13_a_491_is_of_one_leg_and_tried_again_there(asker: str, low: float, high: float) -> None:
    """Elsewhere a 491 is handed to the other leg, whose peer never met any other offer, or both sides try again in the
    same instant for ever. Who owns the Call-ID of that leg waits 2.1 to 4 s, the other at most 2 (14.1).
    """
    waited = set()
    for seed in range(4):
        between = Between(seed=seed)
        a, b = between.talking()
        one, other = (a, b) if asker == "a" else (b, a)
        one.reinvite(sdp(4002, version=2))
        refused = other.request("INVITE")
        other.reply(refused, 491)
        assert other.heard() == ["ACK"] and one.heard() == ["100 INVITE"]
        between.run(4.1)
        again = other.hear()[0]
        at = next(said.at for said in between.said if said.message is again)
        waited.add(round(at - between.times(other.at, "ACK")[-1], 2))
        assert isinstance(again, Request) and again.body == refused.body
        assert again.cseq.number == refused.cseq.number + 1
        other.reply(again, 200, ANSWER)
        assert one.heard() == ["200 INVITE"]
    assert all(low <= wait <= high for wait in waited) and len(waited) > 1, waited


# ---------------------------------------------------------------------- offer and answer


@pytest.mark.parametrize("number", ["7000", "2100"])
def test_14_the_origin_is_ours_on_each_leg_and_its_version_counts_changes(number: str) -> None:
    """Elsewhere the peer's o= goes across, so that a transfer shows another session under the same dialog; or the
    version goes up with every refresh, or does not when something has changed.
    """
    between = Between()
    a, b = between.ringing(number)
    b.reply(b.invite, 200, ANSWER)
    ok = a.answered()
    between.run(2.0)
    seen = {
        "a": [origin(ok)],
        "b": [origin(b.invite), *(origin(m) for m in b.hear() if kind_of(m) == "INVITE")],
    }
    assert len({*(one for one, _ in seen["a"]), *(one for one, _ in seen["b"]), "77"}) == 3

    def offers(body: bytes) -> None:
        a.reinvite(body)
        for asked in b.hear():
            if kind_of(asked) == "INVITE":
                seen["b"].append(origin(asked))
                b.reply(asked, 200, ANSWER)
        said = a.hear()[-1]
        assert kind_of(said) == "200 INVITE"
        seen["a"].append(origin(said))
        a.ack()

    offers(OFFER)
    assert seen["a"][-1] == seen["a"][0], "a refresh says the same again"
    offers(sdp(4002, version=2, more="a=sendonly\r\n"))
    offers(sdp(4002, version=3))
    for said in seen.values():
        versions = [version for _, version in said]
        assert len({session for session, _ in said}) == 1
        assert all(after - before in (0, 1) for before, after in itertools.pairwise(versions))
    assert seen["b"][-1][1] - seen["b"][0][1] == 2 and seen["a"][-1][1] > seen["a"][0][1] - 1


VIDEO = "m=video 4010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


def test_14_an_answer_of_our_own_refuses_by_port_0_and_mirrors_the_direction() -> None:
    """The same where we answer before anybody rings, to tell the caller of the recording."""
    for direction, mirrored in (("sendrecv", b"sendrecv"), ("sendonly", b"recvonly")):
        between = Between()
        a = between.dial("2000", sdp(more=f"a={direction}\r\n{VIDEO}"))
        ok = a.answered()
        assert len(ports(ok)) == 2 and ports(ok)[0] > 0 and ports(ok)[1] == 0
        assert b"a=" + mirrored in ok.body


@pytest.mark.parametrize("number", ["7000", "2100"])
def test_14_as_many_streams_as_were_offered_and_hold_goes_by_direction(number: str) -> None:
    """Elsewhere a video that is not wanted is left out of the answer, and everything after it shifts; or hold is
    written as 0.0.0.0, or answered with `sendrecv`.
    """
    between = Between()
    a, b = between.ringing(number, sdp(more=VIDEO))
    b.reply(b.invite, 200, ANSWER + b"m=video 0 RTP/AVP 96\r\n" if len(ports(b.invite)) == 2 else ANSWER)
    ok = a.answered()
    assert len(ports(ok)) == 2 and ports(ok)[0] > 0 and ports(ok)[1] == 0
    between.run(2.0)
    b.hear()
    a.reinvite(sdp(4000, version=2, more="a=sendonly\r\n" + VIDEO.replace("4010", "0")))
    asked = b.request("INVITE")
    assert b"a=sendonly" in asked.body and b"0.0.0.0" not in asked.body
    streams = b"m=video 0 RTP/AVP 96\r\n" if len(ports(asked)) == 2 else b""
    b.reply(asked, 200, ANSWER + b"a=recvonly\r\n" + streams)
    held = a.hear()[-1]
    assert kind_of(held) == "200 INVITE" and b"a=recvonly" in held.body
    assert len(ports(held)) == 2 and ports(held)[0] > 0 and ports(held)[1] == 0


def test_15_an_invite_without_offer_is_passed_on_as_one_and_the_ack_waits_for_the_answer() -> None:
    """Elsewhere the B2BUA makes an offer up, or acknowledges the callee's offer at once, without an answer to it."""
    between = Between()
    a = between.dial("7000", b"")
    b = between.called()
    assert not b.invite.body
    for _ in range(2):
        b.reply(b.invite, 200, ANSWER)
        between.run(0.2)
    assert not b.heard()
    ok = a.expect("200 INVITE")
    assert ports(ok) == [5000] and origin(ok)[0] != "77"
    a.ack(body=OFFER)
    first = b.request("ACK")
    assert ports(first) == [4000] and first.get("content-type") == "application/sdp"
    b.reply(b.invite, 200, ANSWER)
    assert b.request("ACK") == first
    a.ask("BYE")
    b.reply(b.request("BYE"), 200)
    between.over()


@pytest.mark.parametrize("how", ["never acknowledges", "acknowledges without an answer", "hangs up"])
def test_15_who_owes_an_answer_and_gives_none_ends_both_legs(how: str) -> None:
    """Elsewhere the callee's 200 is never acknowledged, and he is off the hook with nobody for ever."""
    between = Between()
    a = between.dial("7000", b"")
    b = between.called()
    b.reply(b.invite, 200, ANSWER)
    a.expect("200 INVITE")
    if how == "acknowledges without an answer":
        a.ack()
    elif how == "hangs up":
        a.ask("BYE")
    between.run(33.0)
    kinds = b.heard()
    assert kinds[0] == "ACK" and "BYE" in kinds, kinds
    assert "BYE" in a.heard() or how == "hangs up"
    between.over()


def test_16_another_answer_has_another_tag_and_if_he_wants_one_dialog_a_reinvite() -> None:
    """Elsewhere a queue's music and the agent's phone are two answers in one dialog, where the first one is final: the
    caller goes on hearing the first, or nobody.
    """
    for extra, tags in ((), 3), (("Request-Disposition: no-fork",), 1):
        between = Between()
        a = between.dial("7000", OFFER, *extra)
        b = between.called()
        for port in (6000, 6000, 6002):
            b.reply(b.invite, 183, sdp(port, host="192.0.2.60"))
        b.reply(b.invite, 200, ANSWER)
        said = [message for message in a.hear() if isinstance(message, Response) and message.body]
        by_tag: dict[str | None, set[bytes]] = {}
        for message in said:
            by_tag.setdefault(message.to.tag, set()).add(message.body)
        assert len(by_tag) == tags and all(len(bodies) == 1 for bodies in by_tag.values()), (
            "one answer in each"
        )
        a.ack()
        heard = ports(said[-1])
        if tags == 1:
            assert heard == [6000]
            asked = a.request("INVITE")
            assert ports(asked) == [5000]
            a.reply(asked, 200, OFFER)
            heard = ports(asked)
        assert heard == [5000]


# ---------------------------------------------------------------------- 100rel, UPDATE, session timers


def test_17_acknowledging_a_1xx_is_of_one_leg() -> None:
    """Elsewhere RSeq and RAck go across, where their numbers mean nothing; PRACK goes to the wrong end; or the 200
    overtakes the PRACK of a description.
    """
    between = Between()
    a = between.dial("7000", OFFER, *RELIABLE)
    b = between.called()
    b.reply(b.invite, 183, ANSWER, *reliably(77_000), contact="<sip:early@192.0.2.2:5077>")
    prack = b.request("PRACK")
    assert (prack.uri, prack.to.tag) == ("sip:early@192.0.2.2:5077", "b1")
    assert prack.get("rack") == f"77000 {b.invite.cseq.number} INVITE" and between.said[-1].to.port in (
        5077,
        5060,
    )
    b.reply(prack, 200)
    ringing = a.response("183 INVITE")
    assert ringing.get("require") == "100rel" and ringing.get("rseq") != "77000"
    b.reply(b.invite, 200)
    assert not a.heard(), "the 200 waits until he has the description for certain"
    a.ask("PRACK", b"", "RAck: 77000 1 INVITE")
    assert a.heard() == ["481 PRACK"], "that number is of the other leg"
    a.ask("PRACK", b"", f"RAck: {ringing.get('rseq')} 1 INVITE")
    ok, answer = a.hear()
    assert (kind_of(ok), kind_of(answer)) == ("200 PRACK", "200 INVITE") and answer.to.tag == ringing.to.tag
    a.ack()
    a.ask("BYE")
    b.hear()
    between.over()


def test_17_who_knows_none_of_it_gets_none_and_who_never_acknowledges_is_given_up() -> None:
    """Elsewhere `Require: 100rel` is copied to a phone that has never heard of it; or a call whose PRACK never comes
    rings on for ever.
    """
    between = Between()
    a = between.dial()
    b = between.called()
    b.reply(b.invite, 183, ANSWER, *reliably(5))
    b.reply(b.request("PRACK"), 200)
    plain = a.response("183 INVITE")
    assert plain.get("require") is None and plain.get("rseq") is None and ports(plain) == [5000]
    between = Between()
    a = between.dial("7000", OFFER, *RELIABLE)
    b = between.called()
    b.reply(b.invite, 183, ANSWER, *reliably(5))
    b.reply(b.request("PRACK"), 200)
    between.run(33.0)
    assert "504 INVITE" in a.heard() and b.heard()[0] == "CANCEL"
    b.reply(b.invite, 487)
    between.over()


def test_18_updates_that_meet_and_what_is_not_known() -> None:
    """Elsewhere an UPDATE before the first offer is answered takes its place, two that meet are both taken, or an
    extension that nobody here has is quietly ignored.
    """
    between = Between()
    a = between.dial("7000", OFFER, *RELIABLE)
    b = between.called()
    b.reply(b.invite, 180, b"", *reliably(1))
    b.reply(b.request("PRACK"), 200)
    ringing = a.hear()[-1]
    if ringing.get("rseq"):
        a.ask("PRACK", b"", f"RAck: {ringing.get('rseq')} 1 INVITE")
        a.hear()
    a.ask("UPDATE", sdp(4002, version=2))
    early = a.response("500 UPDATE")
    assert 0 <= int(early.get("retry-after") or "") <= 10, "we owe him the first answer still"
    b.ask("UPDATE", OTHER)
    assert b.heard() == ["491 UPDATE"], "he owes us his"
    b.reply(b.invite, 183, ANSWER, *reliably(2))
    b.reply(b.request("PRACK"), 200)
    a.ask("PRACK", b"", f"RAck: {a.hear()[-1].get('rseq')} 1 INVITE")
    a.hear()
    a.ask("UPDATE", sdp(4002, version=2))
    passed = b.request("UPDATE")
    assert ports(passed) == [4002] and not a.heard()
    b.ask("UPDATE", OTHER)
    assert b.heard() == ["491 UPDATE"]
    a.ask("UPDATE", sdp(4004, version=3))
    assert a.heard() == ["500 UPDATE"]
    b.reply(passed, 200, ANSWER)
    assert a.heard() == ["200 UPDATE"]
    a.ask("INFO", b"", "Require: x-nobody, timer")
    assert a.response("420 INFO").get("unsupported") == "x-nobody"


def test_18_an_update_does_not_overtake_the_prack_before_it() -> None:
    """Elsewhere the PRACK is lost, the UPDATE after it is not, and the PRACK that comes again has too low a CSeq: 500.
    The description is never acknowledged, and so the call is given up.
    """
    between = Between()
    a = between.dial("7000", OFFER, *RELIABLE)
    b = between.called()
    b.reply(b.invite, 183, ANSWER, *reliably(2))
    prack = b.request("PRACK")
    a.ask("PRACK", b"", f"RAck: {a.hear()[-1].get('rseq')} 1 INVITE")
    a.ask("UPDATE", sdp(4002, version=2))
    assert a.heard() == ["200 PRACK"] and not b.heard()
    between.run(0.6)
    assert b.request("PRACK") == prack, "it was lost, and is said again"
    b.reply(prack, 200)
    update = b.request("UPDATE")
    assert update.cseq.number > prack.cseq.number and ports(update) == [4002]
    b.reply(update, 200, OTHER)
    assert a.heard() == ["200 UPDATE"]
    b.reply(b.invite, 200)
    a.answered()
    a.ask("BYE")
    b.hear()
    between.over()


def test_18_an_update_that_the_other_side_does_not_take_is_504() -> None:
    """Elsewhere it is accepted for a peer who never hears of it."""
    between = Between()
    a = between.dial("7000", OFFER, *RELIABLE)
    b = between.called()
    b.reply(b.invite, 183, ANSWER, "Require: 100rel", "RSeq: 2", "Allow: INVITE, ACK, BYE, CANCEL, PRACK")
    b.reply(b.request("PRACK"), 200)
    a.ask("PRACK", b"", f"RAck: {a.hear()[-1].get('rseq')} 1 INVITE")
    a.hear()
    a.ask("UPDATE", sdp(4002, version=2))
    assert a.heard() == ["504 UPDATE"] and not b.heard()
    b.reply(b.invite, 200)
    stranger = Talk(between, LEFT, "extension", "a1", "7000")
    stranger.ask("INVITE", OFFER, "Require: x-nobody")
    assert stranger.response("420 INVITE").get("unsupported") == "x-nobody" and not between.hear(RIGHT)[1:]


def test_19_each_leg_has_a_session_timer_of_its_own() -> None:
    """Elsewhere Session-Expires is copied, so that each side waits for the other to refresh; a too short one is taken;
    or `Require: timer` is missing where the caller is to refresh.
    """
    between = Between()
    short = Talk(between, LEFT, "short", "a1", "7000")
    short.ask("INVITE", OFFER, "Supported: timer", "Session-Expires: 50")
    assert short.response("422 INVITE").get("min-se") == "90"
    a = between.dial("7000", OFFER, "Supported: timer", "Session-Expires: 100;refresher=uac")
    b = between.called()
    assert b.invite.get("session-expires") == "1800", "that leg is ours"
    b.reply(b.invite, 422, b"", "Min-SE: 2000")
    _, again = b.hear()
    assert isinstance(again, Request) and (again.get("session-expires"), again.get("min-se")) == (
        "2000",
        "2000",
    )
    assert (
        again.call_id == b.invite.call_id and again.cseq.number == b.invite.cseq.number + 1 and not a.heard()
    )
    b.is_called(again)
    b.reply(b.invite, 200, ANSWER, "Session-Expires: 2000;refresher=uac", "Require: timer")
    ok = a.answered()
    assert ok.get("session-expires") == "100;refresher=uac" and ok.get("require") == "timer"
    b.hear()
    between.run(66.0)
    assert not a.heard() and not b.heard()
    between.run(3.0)  # min(32, 100 / 3) before its end
    assert a.heard()[0] == "BYE" and b.heard()[0] == "BYE", "he has not refreshed it"
    between.over()


@pytest.mark.parametrize("update", [True, False])
def test_19_half_way_we_refresh_and_describe_nothing_new(update: bool) -> None:
    """Elsewhere the refresh comes at the end, its o= says that something has changed, or its failure ends the call."""
    between = Between()
    a = between.dial()
    b = between.called()
    allow = UPDATES if update else "Allow: INVITE, ACK, BYE, CANCEL"
    b.reply(b.invite, 200, ANSWER, "Session-Expires: 90;refresher=uac", "Require: timer", allow)
    a.answered()
    b.hear()
    between.run(44.9)
    assert not b.heard()
    between.run(0.2)
    refresh = b.request("UPDATE" if update else "INVITE")
    assert refresh.get("session-expires") == "90;refresher=uac"
    assert not refresh.body if update else origin(refresh) == origin(b.invite)
    b.reply(refresh, 500)
    between.run(4.0)
    assert not a.heard() and "BYE" not in b.heard(), "there is time to try again"
    between.run(60.0)
    assert "BYE" in b.heard() and "BYE" in a.heard()
    between.over()


# ---------------------------------------------------------------------- services


def named(talk: Talk) -> tuple[str, str, str]:
    """A party's dialog with us: Call-ID, our tag, his."""
    ours = re.search(r";tag=([^;]+)", talk.remote)
    assert ours
    return talk.call_id, ours[1], talk.tag


def test_26_an_invite_with_replaces_takes_the_place_of_the_leg_that_it_names() -> None:
    """Elsewhere the dialog is looked for on the wrong leg, or the header is passed on to somebody who knows nothing of
    it: a pick-up rings a third phone, and an attended transfer ends in silence.
    """
    between = Between()
    a, b = between.talking()
    call_id, ours, his = named(b)
    c = Talk(between, RIGHT, "pickup", "c1", "7000")
    c.invite = c.ask(
        "INVITE", sdp(6000, host="192.0.2.2"), f"Replaces: {call_id};to-tag={ours};from-tag={his}"
    )
    said = c.hear()
    assert (kind_of(said[0]), kind_of(said[-1])) == ("100 INVITE", "200 INVITE")
    c.ack()
    assert b.heard()[0] == "BYE" and between.count(RIGHT)["INVITE"] == 1
    (moved,) = (message for message in a.hear() if kind_of(message) == "INVITE")
    assert ports(moved) == [6000]
    for wrong in (f"{call_id};to-tag={his};from-tag={ours}", f"x{call_id};to-tag={ours};from-tag={his}"):
        d = Talk(between, RIGHT, f"wrong-{len(wrong)}", "d1", "7000")
        d.ask("INVITE", OFFER, f"Replaces: {wrong}")
        assert d.heard()[-1] == "481 INVITE"
    call_id, ours, his = named(c)
    e = Talk(between, RIGHT, "joins", "e1", "7000")
    e.ask("INVITE", OFFER, f"Join: {call_id};to-tag={ours};from-tag={his}")
    assert e.heard()[-1] == "488 INVITE", "nobody is mixed in unannounced"


def test_26_the_dialog_in_a_refer_to_is_told_as_its_far_end_knows_it() -> None:
    """Elsewhere Refer-To crosses with the tags of this side, which mean nothing on the other; or its `;` and `=` stand
    bare in a URI header.
    """
    between = Between()
    a, b = between.talking()
    asks = between.dial("7001")
    second = between.called()
    second.reply(second.invite, 200, sdp(6000, host="192.0.2.2"))
    asks.answered()
    second.hear()
    call_id, ours, his = named(asks)
    wish = quote(f"{call_id};to-tag={ours};from-tag={his}")
    target = f"Target-Dialog: {a.call_id};local-tag={a.tag};remote-tag={named(a)[1]}"
    a.ask("REFER", b"", f"Refer-To: <sip:7001@192.0.2.9?Replaces={wish}>", target)
    refer = b.request("REFER")
    value = refer.get("refer-to") or ""
    there = re.search(r"Replaces=([^>&]+)", value)
    assert there and not set(";=@") & set(there[1])
    far_id, far_ours, far_his = named(second)
    assert unquote(there[1]) == f"{far_id};to-tag={far_his};from-tag={far_ours}"
    assert call_id not in value and ours not in value
    found = (refer.get("target-dialog") or "").split(";")
    assert found[0] == b.call_id and set(found[1:]) == {f"remote-tag={b.tag}", f"local-tag={named(b)[1]}"}


@pytest.mark.parametrize("event", ["dialog", "refer", "presence"])
def test_26_no_subscription_shows_anybody_our_dialogs(event: str) -> None:
    """Elsewhere dialog-info of one leg is served on the other, with ids that nobody can use. Here it is of lamps alone,
    for those who may watch them (number 27).
    """
    between = Between()
    a, b = between.talking()
    watcher = Talk(between, LEFT, "watch", "w1", "7000")
    for talk in (watcher, a):
        talk.ask("SUBSCRIBE", b"", f"Event: {event}", "Expires: 60")
        (answer,) = talk.hear()
        assert isinstance(answer, Response) and answer.status in (405, 489)
    watcher.ask("NOTIFY", b"<dialog-info/>", f"Event: {event}", "Subscription-State: active")
    assert watcher.heard() == ["481 NOTIFY"] and not b.heard()


def test_27_the_news_of_a_transfer_come_after_its_202_and_before_the_bye() -> None:
    """Elsewhere a NOTIFY that is faster than its 202 is 481 (and the transferor never hears how it went), or the BYE
    leaves first.
    """
    between = Between()
    a, b = between.talking()
    a.ask("REFER", b"", "Refer-To: <sip:7001@192.0.2.9>")
    refer = b.request("REFER")
    frag = ("Event: refer", "Content-Type: message/sipfrag;version=2.0")
    b.ask("NOTIFY", b"SIP/2.0 100 Trying\r\n", *frag, "Subscription-State: active;expires=60")
    assert b.heard() == ["200 NOTIFY"] and not a.heard(), "it is heard, and waits for the 202"
    b.reply(refer, 202)
    accepted, news = a.hear()
    assert (kind_of(accepted), kind_of(news)) == ("202 REFER", "NOTIFY")
    assert news.body.startswith(b"SIP/2.0 100") and (news.get("event") or "").startswith("refer")
    a.reply(news, 200)
    b.ask("NOTIFY", b"SIP/2.0 200 OK\r\n", *frag, "Subscription-State: terminated;reason=noresource")
    b.ask("BYE")
    (last,) = [message for message in a.hear() if kind_of(message) == "NOTIFY"] or [None]
    assert last is not None and last.body.startswith(b"SIP/2.0 200")
    said = [kind_of(one.message) for one in between.said if one.to == LEFT]
    assert "BYE" not in said[: said.index("NOTIFY")]
    a.reply(last, 200)
    between.run(1.0)
    assert between.count(LEFT)["BYE"] >= 1
    between.middle.ua.connection_lost(LEFT, HERE, between.now)
    between.over()


def test_27_a_481_ends_the_subscription_and_not_the_call() -> None:
    """Elsewhere a transferor that has forgotten its REFER has its call ended, or is told on and on."""
    between = Between()
    a, b = between.talking()
    a.ask("REFER", b"", "Refer-To: <sip:7001@192.0.2.9>")
    b.reply(b.request("REFER"), 202)
    frag = ("Event: refer", "Content-Type: message/sipfrag", "Subscription-State: active")
    b.ask("NOTIFY", b"SIP/2.0 180 Ringing\r\n", *frag)
    news = a.hear()[-1]
    a.reply(news, 481)
    b.ask("NOTIFY", b"SIP/2.0 181 X\r\n", *frag)
    between.run(1.0)
    assert not a.heard() and "BYE" not in b.heard()
    a.ask("INFO")
    assert a.heard() == ["200 INFO"]


def test_27_the_version_of_a_dialog_info_only_rises_and_no_dialog_of_a_call_is_in_it() -> None:
    """Elsewhere the version begins anew with each call, and a phone throws away as old what its lamp should show."""
    world = World()
    lighten(world)
    answering(world)
    key = Key(world, "recording-1001", "1001")
    for _ in range(2):
        world.dial("1001", line="sales")
        world.run(4.5)
        world.hang_up(world.caller)
        world.run(1.5)
    told = [Shown.read(notify.body) for notify in key.notified]
    assert [shown.lit for shown in told] == [False, True, False, True, False]
    assert [shown.version for shown in told] == [0, 1, 2, 3, 4]
    ids = [invite.call_id.encode() for invite in world.offered]
    assert len(ids) == 2 and not any(one in notify.body for one in ids for notify in key.notified)


@pytest.mark.parametrize(
    ("kind", "body", "there"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", b"5"),
        ("application/dtmf", b"5", b"5"),
    ],
)
def test_28_keys_by_info_go_across(kind: str, body: bytes, there: bytes) -> None:
    """Elsewhere a B2BUA answers 200 and the bank's menu on the other side hears nothing."""
    between = Between()
    a, b = between.talking()
    for one, other in ((a, b), (b, a)):
        one.ask("INFO", body, f"Content-Type: {kind}")
        assert one.heard() == ["200 INFO"]
        passed = other.request("INFO")
        assert passed.get("content-type") == kind and there in passed.body
        other.reply(passed, 200)


def test_28_a_package_goes_to_who_takes_it_and_why_a_call_ends_goes_along() -> None:
    """Elsewhere a package is 200 here and lost, and a Reason stops at the B2BUA: a ring group logs every call that
    somebody else took as missed.
    """
    between = Between()
    a, b = between.talking("7000", OFFER, "Recv-Info: conference")
    b.ask("INFO", b"<x/>", "Info-Package: conference", "Content-Type: application/xml")
    passed = a.request("INFO")
    assert (passed.get("info-package"), passed.body) == ("conference", b"<x/>") and not b.heard()
    a.reply(passed, 200)
    assert b.heard() == ["200 INFO"]
    b.ask("INFO", b"<x/>", "Info-Package: other", "Content-Type: application/xml")
    assert b.heard() == ["469 INFO"] and not a.heard()
    reason = 'Q.850;cause=26;text="elsewhere"'
    a.ask("BYE", b"", f"Reason: {reason}")
    assert b.request("BYE").all("reason") == [reason]
    between = Between()
    a, b = between.ringing()
    a.cancel('Reason: SIP;cause=200;text="Call completed elsewhere"')
    assert 'SIP;cause=200;text="Call completed elsewhere"' in b.request("CANCEL").all("reason")


def test_29_nobody_registers_here_and_we_nowhere() -> None:
    """Elsewhere a B2BUA answers a REGISTER with which it does nothing, so that a phone believes it can be called, or
    passes it on with a Contact that leads past itself. Here a peer is told what there is, and a stranger nothing.
    """
    between = Between()
    phone = Talk(between, LEFT, "register", "r1", "7000")
    for expires in (3600, 0):
        phone.ask("REGISTER", b"", f"Expires: {expires}", uri="sip:192.0.2.9", to="<sip:1001@192.0.2.9>")
        (answer,) = phone.hear()
        assert isinstance(answer, Response) and answer.status == 405 and not answer.contacts
        assert "REGISTER" not in (answer.get("allow") or "REGISTER")
    stranger = Talk(between, STRANGER, "stranger", "s1", "7000")
    stranger.ask("REGISTER", b"", "Expires: 3600", uri="sip:192.0.2.9")
    assert stranger.heard() in ([], ["403 REGISTER"])
    between.run(4000.0)
    assert {kind_of(said.message) for said in between.said} <= {"405 REGISTER", "403 REGISTER"}


LISTS = (
    "P-Asserted-Identity: <sip:1001@pbx.inside>",
    "History-Info: <sip:a@pbx.inside>;index=1",
    "History-Info: <sip:b@pbx.inside>;index=1.1, <sip:c@pbx.inside>;index=1.2",
    "Diversion: <sip:new@pbx.inside>;reason=no-answer",
    "Diversion: <sip:old@pbx.inside>;reason=unconditional",
)


def test_30_who_somebody_is_crosses_only_within_trust_and_lists_keep_their_order() -> None:
    """Elsewhere an asserted identity leaves for the carrier although its owner asked for privacy, or a stranger's is
    believed; and a list is turned round, so that the last to divert counts as the first.
    """
    between = Between()
    between.dial("7000", OFFER, *LISTS)
    b = between.called()
    assert b.invite.values("p-asserted-identity") == ["<sip:1001@pbx.inside>"]
    assert [value.partition(";")[2] for value in b.invite.values("history-info")] == [
        "index=1",
        "index=1.1",
        "index=1.2",
    ]
    assert [value.partition(";")[2] for value in b.invite.values("diversion")] == [
        "reason=no-answer",
        "reason=unconditional",
    ]
    between.dial("3000", OFFER, *LISTS)
    carrier = between.called(OUTSIDE)
    assert b"pbx.inside" not in carrier.invite.to_bytes(), "whether he asks for privacy or not"
    between.dial("3000", OFFER, *LISTS, "Privacy: id")
    out = between.called(OUTSIDE)
    text = out.invite.to_bytes()
    assert out.invite.get("p-asserted-identity") is None and out.invite.get("privacy") == "id"
    assert b"pbx.inside" not in text and b"1001" not in text and b"0612345678" not in text
    assert "anonymous" in (out.invite.get("from") or "").lower()
    between.dial("7000", OFFER, "P-Asserted-Identity: <sip:boss@pbx.inside>", at=OUTSIDE)
    b = between.called()
    assert b.invite.get("p-asserted-identity") is None and b"boss" not in b.invite.to_bytes()


ISUP = b"\x01\x00\r\n--\xff\x00binary"


def part(kind: str, body: bytes, *more: str) -> bytes:
    return "\r\n".join([f"Content-Type: {kind}", *more, "", ""]).encode() + body


def mixed(boundary: str, *parts: bytes) -> bytes:
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + b"--\r\n"


def test_31_the_description_is_found_at_any_depth_and_other_parts_keep_their_bytes() -> None:
    """Elsewhere a multipart INVITE has no description, or its binary part goes through a text codec; and a part that
    must be understood is dropped without a word.
    """
    between = Between()
    inner = mixed("in", part("text/html", b"<p>"), part("application/sdp", OFFER))
    isup = part("application/isup;version=itu-t92+", ISUP, "Content-Disposition: signal;handling=optional")
    body = mixed("out", isup, part('multipart/alternative;boundary="in"', inner))
    a = between.dial("7000", body, "Content-Type: multipart/mixed;boundary=out")
    b = between.called()
    assert (b.invite.get("content-type") or "").startswith("multipart/mixed")
    assert ISUP in b.invite.body and b"m=audio 4000" in b.invite.body and b"<p>" not in b.invite.body
    assert b"handling=optional" in b.invite.body and b"o=- 77 " not in b.invite.body
    b.reply(b.invite, 200, ANSWER)
    a.answered()
    strange = part("application/x-strange", b"x", "Content-Disposition: signal;handling=required")
    c = Talk(between, LEFT, "strange", "c1", "7000")
    c.ask(
        "INVITE",
        mixed("out", part("application/sdp", OFFER), strange),
        "Content-Type: multipart/mixed;boundary=out",
    )
    assert c.heard()[-1] == "415 INVITE" and not between.hear(RIGHT)[1:]
