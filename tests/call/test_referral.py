"""A REFER that is passed through: dialogs under the names the other side knows, news in order, nothing told twice."""

from __future__ import annotations

import pytest

from qm_sip.call.words import NoteTransfer
from qm_sip.sip.message import Request
from qm_sip.sip.refer import SIPFRAG, ReferTo, sipfrag
from tests.call.test_attended import consulting
from tests.call.test_journeys import ended
from tests.call.test_transfer import agents, hear_each_other, stranger, talking
from tests.call.world import Phone, World


def sent_on(phone: Phone) -> Request:
    (found,) = [request for request in phone.asked if request.method == "REFER"]
    return found


def test_blind_it_goes_to_the_other_side_and_the_news_comes_back() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    customer.reports = (100, 180, 200)
    world.refer(agent, "1002", more=[("Referred-By", "<sip:1001@127.0.0.1>")])
    world.run(1.5)
    refer = sent_on(customer)
    assert ReferTo.of(refer).address.uri.number == "1002"
    assert refer.get("Referred-By") == "<sip:1001@127.0.0.1>"
    assert agent.answers[0] == ("REFER", 202) and agent.news == [100, 180, 200]
    assert agent.gone and customer.gone, "the transferor hangs up, and that is passed on"
    assert world.agent is agent, "we call nobody"
    (moved,) = world.keeper.said(NoteTransfer)
    assert (moved.how, moved.gone, moved.came) == ("passed", "agent", None)
    ended(world)
    assert agents(world) == ["a1"]


def test_the_dialog_to_replace_has_the_name_that_the_other_side_knows() -> None:
    world = World(refer="pass")
    customer, agent, second, asked = consulting(world, "1002")
    world.refer(agent, "1002", second)
    world.run(0.5)
    refer = ReferTo.of(sent_on(customer))
    wish = refer.replaces
    assert refer.address.uri.host == "127.0.0.1", "he is called where he is, not at our address"
    at_the_end = world.pbx.dialog(asked.leg)
    assert wish is not None and at_the_end is not None
    assert wish.dialog == at_the_end.id, "whoever was asked finds his own dialog by it"
    mine = world.pbx.dialog(second.leg)
    assert mine is not None and wish.call_id != mine.call_id


def test_a_dialog_that_is_none_of_ours_keeps_its_name() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    to = "<sip:1002@pbx.example?Replaces=abc%40x%3Bto-tag%3Dt%3Bfrom-tag%3Df&Route=evil>"
    world.pbx.request(agent.leg, "REFER", [("Refer-To", to)], now=world.now)
    world.run(0.5)
    refer = sent_on(customer).get("refer-to")
    assert refer == "<sip:1002@pbx.example?Replaces=abc%40x%3Bto-tag%3Dt%3Bfrom-tag%3Df>"


def test_the_target_dialog_has_it_too() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    mine, theirs = world.pbx.dialog(agent.leg), world.pbx.dialog(customer.leg)
    assert mine is not None and theirs is not None
    value = f"{mine.call_id};remote-tag={mine.remote_tag};local-tag={mine.local_tag}"
    world.refer(agent, "1002", more=[("Target-Dialog", value)])
    world.run(0.5)
    expected = f"{theirs.call_id};remote-tag={theirs.local_tag};local-tag={theirs.remote_tag}"
    assert sent_on(customer).get("Target-Dialog") == expected


def test_between_peers_that_are_not_both_trusted_nobody_is_named() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    call = next(iter(world.switchboard))
    call.way = call.way.with_other("caller", "asterisk", stranger(world), call.way.from_)
    world.refer(agent, "1002", more=[("Referred-By", "<sip:1001@127.0.0.1>")])
    world.run(0.5)
    assert sent_on(customer).get("Referred-By") is None


@pytest.mark.parametrize("status", [403, 603, 481])
def test_a_refusal_comes_back_and_the_call_stands(status: int) -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    world.refuses_refer = status
    world.refer(agent, "1002")
    world.run(0.5)
    assert agent.answers == [("REFER", status)]
    if status == 481:  # he does not know the call any more (RFC 5057)
        assert agent.gone
    else:
        assert hear_each_other(world, customer, agent)
        world.refuses_refer = 0
        world.refer(agent, "1002")
        world.run(0.5)
        assert agent.answers[-1] == ("REFER", 202), "the next one is looked at anew"


def test_a_target_that_failed_is_told_and_the_call_stands() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    customer.reports = (100, 486)
    world.refer(agent, "1002")
    world.run(1.0)
    assert agent.news == [100, 486] and not agent.gone and not customer.gone


def test_news_that_overtakes_the_202_waits_for_it() -> None:
    """RFC 6665 4.1.2.4: a NOTIFY may come before the answer that makes its subscription."""
    world = World(refer="pass")
    _, agent = talking(world)
    call = next(iter(world.switchboard))
    world.late_refer = 0.3
    world.refer(agent, "1002")
    world.run(0.05)
    headers = [("Event", "refer"), ("Subscription-State", "active"), ("Content-Type", SIPFRAG)]
    world.pbx.request(world.caller.leg, "NOTIFY", headers, sipfrag(100), now=world.now)
    world.run(0.1)
    assert agent.news == [] and agent.answers == []
    world.run(0.5)
    assert agent.answers == [("REFER", 202)] and agent.news == [100]
    assert call.transfers.under_way


def test_what_a_sipfrag_says_of_people_stays_here() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    world.refer(agent, "1002")
    world.run(0.2)
    headers = [("Event", "refer"), ("Subscription-State", "active"), ("Content-Type", SIPFRAG)]
    body = b"SIP/2.0 180 Ringing\r\nContact: <sip:somebody@192.0.2.9>\r\n"
    world.pbx.request(customer.leg, "NOTIFY", headers, body, now=world.now)
    world.run(0.2)
    told = [request.body for request in agent.asked if request.method == "NOTIFY"]
    assert told == [b"SIP/2.0 180 Ringing\r\n"]


def test_who_wants_no_news_is_told_that_there_will_be_none() -> None:
    world = World(refer="pass")
    customer, agent = talking(world)
    world.refer(agent, "1002", more=[("Refer-Sub", "false")])
    world.run(0.3)
    assert sent_on(customer).get("Refer-Sub") == "false"
