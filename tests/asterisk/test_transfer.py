"""Transfers beside a real Asterisk 22: by a phone's REFER towards Asterisk, and of Asterisk's towards us.

Each agent says a tone of his own (`TONES`), so what is kept of whom can be heard.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.server import EXAMPLES, Server
from tests.support import recorded
from tests.support.house import House
from tests.support.recorded import assert_absent, assert_only
from tests.support.site import CARRIER_CUSTOMER, CUSTOMER, TONES, Site, Talk

FIRST, SECOND, COUNCIL = TONES["1001"], TONES["1002"], TONES["1900"]
MIDDLE = slice(2400, -2400)  # not the edges, where a tone begins


def talking(house: House) -> Talk:
    """Long enough that there is something to hear of the first agent: what is held back when he goes is dropped."""
    talk = house.begin("3001")
    time.sleep(2.0)
    return talk


def goes_on_with(house: House, talk: Talk, user: str, since: int) -> int:
    """Whoever was called has answered, and talks with the customer for a while; the transferor is out."""
    third = house.phone(user)
    theirs = int(third.wait_for("confirmed", since=since)["call"])
    talk.called.hang_up_all()  # a pjsua2 phone stays on until it is told to go
    talk.called.wait_for("disconnected", call=talk.called_call)
    time.sleep(1.5)
    talk.caller.hangup(call=talk.caller_call)
    third.wait_for("disconnected", call=theirs)
    return theirs


def recordings(house: House, count: int) -> list[recorded.Heard]:
    row = house.ended(house.new_calls()[0]["call"])
    assert len(row["recordings"]) == count, row
    return [house.opened(name) for name in row["recordings"]]


def test_blind_each_agent_has_a_recording_of_his_own(house: House) -> None:
    house.phone("1002")
    talk = talking(house)
    since = house.phone("1002").mark()
    talk.called.transfer("sip:1002@127.0.0.1:5060", call=talk.called_call)
    theirs = goes_on_with(house, talk, "1002", since)
    assert audio.hears(house.heard(talk.caller, talk.caller_call)[-audio.RATE :], SECOND)
    assert audio.hears(house.heard(house.phone("1002"), theirs)[-audio.RATE :], TONES[CUSTOMER])
    first, second = recordings(house, 2)
    assert_only(first.right[MIDDLE], FIRST, SECOND)
    assert_only(second.right[MIDDLE], SECOND, FIRST)


def test_blind_to_the_works_council_nothing_of_it_is_kept(house: House) -> None:
    house.phone("1900")
    talk = talking(house)
    since = house.phone("1900").mark()
    talk.called.transfer("sip:1900@127.0.0.1:5060", call=talk.called_call)
    goes_on_with(house, talk, "1900", since)
    (first,) = recordings(house, 1)
    assert_only(first.right[MIDDLE], FIRST, COUNCIL)
    assert_absent(first.left, COUNCIL)


def test_attended_whoever_was_asked_is_recorded_only_with_the_customer(house: House) -> None:
    asked = house.phone("1002")
    talk = talking(house)
    agent, since = talk.called, asked.mark()
    agent.hold(call=talk.called_call)
    second = agent.call("sip:1002@127.0.0.1:5060")
    agent.wait_for("confirmed", call=second)
    time.sleep(1.0)
    agent.transfer_to(second, call=talk.called_call)
    goes_on_with(house, talk, "1002", since)
    assert audio.hears(house.heard(talk.caller, talk.caller_call)[-audio.RATE :], SECOND)
    first, joined = recordings(house, 2)
    assert_only(first.right[2400 : audio.RATE + 4000], FIRST, SECOND)
    consulting = first.right[-audio.RATE :]  # he held the customer meanwhile: a gap, silent in both channels
    assert not consulting.any() and not first.left[-audio.RATE :].any()
    assert_absent(first.right, SECOND)
    assert_absent(first.left, SECOND)
    assert_only(joined.right[MIDDLE], SECOND, FIRST)


# --------------------------------------------------------------------------- of Asterisk's, towards us


@pytest.fixture
def passing(site: Site, pbx: Asterisk, tmp_path: Path) -> Iterator[Server]:
    """qm_sip on the trunk side, which hands a REFER of Asterisk's to the carrier."""
    config = tmp_path / "passing"
    config.mkdir()
    for file in (EXAMPLES / "trunk").glob("*.toml"):
        text = file.read_text().replace('"../../prompts"', f'"{EXAMPLES.parent / "prompts"}"')
        text = re.sub(r"(\[peers\.asterisk\]\n)", r'\1refer = "pass"\n', text)
        (config / file.name).write_text(text)
    with Server(config, tmp_path / "server", network=site.network) as running:
        pbx.wait_device("PJSIP/qm-trunk", "NOT_INUSE", 15)
        yield running


def test_asterisks_own_refer_reaches_the_carrier_who_calls_the_target(
    site: Site, pbx: Asterisk, passing: Server
) -> None:
    for step in ("1,Answer()", "2,Wait(1)", "3,Transfer(PJSIP/sip:elsewhere@127.0.0.40:5060)"):
        pbx.rx(f"dialplan add extension 3990,{step} into from-carrier")
    pbx.rx("dialplan add extension 3990,4,NoOp(${TRANSFERSTATUS}) into from-carrier")
    customer = site.phone(CARRIER_CUSTOMER, address="127.0.0.30")
    target = site.phone("elsewhere", address="127.0.0.40")
    since = target.mark()
    mine = customer.call("sip:3990@127.0.0.3:5080")
    theirs = target.wait_for("confirmed", 15, since=since)["call"]
    customer.wait_for("disconnected", 10, call=mine)
    time.sleep(0.7)
    target.hangup(call=theirs)
    (row,) = passing.ask("calls")["calls"]
    (moved,) = passing.ask("explain", call=row["call"])["transfers"]
    assert (moved["how"], moved["came"]) == ("passed", None)
