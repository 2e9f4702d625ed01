"""Told while he waits, beside a real Asterisk 22: the customer hears the notice from the announcement service, and the
agent is recorded from the moment he is connected. Whoever brings no receipt of his own is told then.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from tests.support import recorded
from tests.support.house import BEFORE, NOTICE_HZ, NOTICE_S, House
from tests.support.recorded import assert_absent, assert_only
from tests.support.site import ASTERISK, TONES, Talk
from tests.support.wire import Wire

AT_ONCE_S = 1.0
SECOND_AGENT = "PJSIP/1002@qm-sip"


@pytest.fixture
def house(house: House) -> Iterator[House]:
    """With a short notice on the line that tells while one waits."""
    house.settings(changes={'prompt = "K2-all-long"': 'prompt = "notice"'})
    yield house
    house.pbx.rx(f"queue remove member {SECOND_AGENT} from sales")


def dialplan(house: House, number: str, *steps: str) -> None:
    """A number more at the trunk's side, for this Asterisk's life."""
    for priority, step in enumerate(steps, start=1):
        answer = house.pbx.rx(f"dialplan add extension {number},{priority},{step} into from-trunk replace")
        assert answer.startswith("Extension "), answer


def waits(house: House, number: str, agents: tuple[str, ...]) -> tuple[Talk, float]:
    """A customer calls, says nothing until he has been connected; when the tap was open."""
    house.know()
    customer = house.customer
    phones = [
        house.phone(agent, answer_after=after) for agent, after in zip(agents, (0.8, 1.6), strict=False)
    ]
    customer.say(house.tone(0))
    try:
        marks = [phone.mark() for phone in phones]
        asked = time.monotonic()
        mine = customer.call(f"sip:{number}@{ASTERISK}")
        rings = [
            phone.wait_for("incoming", 15, since=mark) for phone, mark in zip(phones, marks, strict=True)
        ]
        answered = phones[0].wait_for("confirmed", call=rings[0]["call"])
        recorded.tap(house.server)
        opened = time.monotonic()
        house.say(customer, BEFORE[0], call=mine)
    finally:
        customer.say(house.site.tone(customer.user))
    return Talk(customer, phones[0], mine, rings[0]["call"], asked, answered["at"]), opened


def assert_told_while_waiting(house: House, talk: Talk) -> None:
    before = house.heard(talk.caller, talk.caller_call, 0, talk.answered_at)
    assert audio.hears(before, NOTICE_HZ)
    after = house.heard(talk.caller, talk.caller_call, talk.answered_at)
    assert audio.loudest_dbfs(after, NOTICE_HZ) < -40
    assert_absent(talk.heard(talk.called), NOTICE_HZ)


def told_how(house: House, call: str) -> list[str]:
    return [told["how"] for told in house.explain(call)["told"]]


def test_the_agents_time_is_not_spent_on_the_notice(house: House) -> None:
    talk, opened = waits(house, "3002", ("1001",))
    time.sleep(2.5)
    talk.end()
    ended = time.monotonic()
    print(f"\nfrom the agent's answer to the open tap: {1000 * (opened - talk.answered_at):.0f} ms")
    assert opened - talk.answered_at < AT_ONCE_S
    assert_told_while_waiting(house, talk)
    row = house.ended()
    assert (row["outcome"], row["line"]) == ("recorded", "waiting")
    assert told_how(house, row["call"]) == ["receipt"]
    heard = house.opened(row["recordings"][0])
    assert heard.seconds > ended - talk.answered_at - AT_ONCE_S
    assert_only(heard.right, TONES["1001"], NOTICE_HZ)


def test_ring_all_redeems_the_same_receipt_on_every_leg(house: House, tmp_path: Path) -> None:
    """Two phones ring, each with a leg of its own to qm_sip; whoever answers is recorded at once."""
    added = house.pbx.rx(
        f'queue add member {SECOND_AGENT} to sales penalty 0 as "Agent Two" state_interface PJSIP/1002'
    )
    assert "Added" in added, added
    with Wire(house.site.network, tmp_path / "p") as wire:
        talk, opened = waits(house, "3002", ("1001", "1002"))
        time.sleep(1.5)
        talk.end()
    assert opened - talk.answered_at < AT_ONCE_S
    assert_told_while_waiting(house, talk)
    brought = [token for packet in wire.packets() if (token := receipt_in(packet.payload, "INVITE "))]
    assert len(brought) >= 2
    assert len(set(brought)) == 1
    rows = house.new_calls()
    outcomes = [house.ended(row["call"])["outcome"] for row in rows]
    assert sorted(outcomes) == ["blocked", "recorded"]  # the other phone was not answered
    heard = [house.opened(name) for row in rows for name in row["recordings"]]
    assert len(heard) == 1
    assert_only(heard[0].right, TONES["1001"], TONES["1002"])


def receipt_in(payload: bytes, start: str) -> str | None:
    """The receipt of a SIP message that begins so, on its way to qm_sip or from it."""
    text = payload.decode(errors="replace")
    found = re.search(r"^X-QM-Receipt: *(\S+)", text, re.MULTILINE)
    return found[1] if found and text.startswith(start) else None


@pytest.mark.parametrize("brings", ["none", "another's"])
def test_who_brings_no_receipt_of_his_own_is_told_when_the_agent_answers(
    house: House, tmp_path: Path, brings: str
) -> None:
    steps = ["Set(__QM_LINE=waiting)", "Set(__QM_CID=${CHANNEL(pjsip,call-id)})", "Answer()"]
    if brings == "another's":
        steps.append(f"Set(__QM_RECEIPT={somebodys(house, tmp_path)})")
    dialplan(house, "3005", *steps, "Queue(sales,b(qm-hdr^s^1))")
    talk, opened = waits(house, "3005", ("1001",))
    time.sleep(1.5)
    talk.end()
    assert opened - talk.answered_at > NOTICE_S
    assert audio.hears(house.heard(talk.caller, talk.caller_call, talk.answered_at), NOTICE_HZ)
    row = house.ended()
    assert row["outcome"] == "recorded"
    assert told_how(house, row["call"]) == ["prompt"]
    recording = house.opened(row["recordings"][0])
    assert_absent(recording.left, NOTICE_HZ)
    assert_only(recording.right, TONES["1001"])


def somebodys(house: House, tmp_path: Path) -> str:
    """A receipt that qm_sip gave to another customer, who has been told to the end."""
    with Wire(house.site.network, tmp_path / "other") as wire:
        talk, _ = waits(house, "3002", ("1001",))
        talk.end()
    tokens = [token for packet in wire.packets() if (token := receipt_in(packet.payload, "SIP/2.0 200"))]
    assert tokens
    house.pbx.wait_idle()
    return tokens[0]
