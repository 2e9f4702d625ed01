"""qm_sip in the loop of a real Asterisk 22: the proofs of what is recorded, and of what is not.

Tones tell who is who: the customer 400 Hz during the announcement and 1000 Hz afterwards, the agent 2000 Hz.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import HOLD_MUSIC_HZ, Asterisk
from qm_sip.demo.counter import RtpCounter
from qm_sip.demo.phone import Phone
from qm_sip.demo.server import EXAMPLES, TREE, Server
from tests.support import recorded
from tests.support.recorded import Heard
from tests.support.site import ADDRESSES, CUSTOMER, TONES, Site, Talk
from tests.support.wire import Packet, Wire, first

RECORDER = "127.0.0.2"
BEFORE, CUSTOMER_HZ, AGENT_HZ = 400.0, 1000.0, 2000.0
ABSENT = -60.0  # dBFS
PLAYOUT_S = 0.2  # after the prompt's end nothing is kept for so long
PACKET_S = 0.02


@pytest.fixture
def server(site: Site, pbx: Asterisk, tmp_path: Path) -> Iterator[Server]:
    with Server(EXAMPLES / "demo", tmp_path / "server", network=site.network) as running:
        pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        yield running


def prompt_seconds(name: str) -> float:
    return len(audio.read_wav(TREE / "config" / "prompts" / "nl" / f"{name}.wav")) / audio.RATE


def say_after(customer: Phone, site: Site, call: int, at: float) -> None:
    """From `at` (monotonic) on the customer says 1000 Hz."""
    time.sleep(max(0.0, at - time.monotonic()))
    customer.play(site.tone(CUSTOMER), loop=True, call=call)


def assert_marker_tones(heard: Heard) -> None:
    """400 Hz nowhere, each of the others on its own side only, all along."""
    middle = heard.samples[800:-800]  # a window over the first or last packet's edge would smear it
    for name, side in (("left", middle[:, 0]), ("right", middle[:, 1])):
        assert audio.loudest_dbfs(side, BEFORE) < ABSENT, f"the time of the announcement is on the {name}"
        assert audio.loudest_dbfs(side, HOLD_MUSIC_HZ) < ABSENT, f"hold music is on the {name}"
    for mine, other, hz in (
        (middle[:, 0], middle[:, 1], CUSTOMER_HZ),
        (middle[:, 1], middle[:, 0], AGENT_HZ),
    ):
        assert audio.level_dbfs(mine, hz) == pytest.approx(-12.0, abs=1.5)
        assert audio.level_dbfs(other, hz) < ABSENT


def quietest_dbfs(samples: audio.Samples, hz: float) -> float:
    size = round(0.1 * audio.RATE)
    return min(audio.level_dbfs(samples[s : s + size], hz) for s in range(0, len(samples) - size, size))


def when_ended(packets: list[Packet]) -> float:
    """When the BYE that ended the call reached qm_sip."""
    bye = first(packets, lambda p: p.sip.startswith("BYE ") and p.destination == (RECORDER, 5080), "BYE")
    return bye.at


def prompt_ended(packets: list[Packet], name: str) -> float:
    """When the prompt's last packet had been played: the n-th packet that qm_sip sent on the customer's leg.

    The leg on which nothing was sent before the announcement: of the ports of qm_sip, the one whose sending goes
    on for the whole prompt at exactly its length is found by the first leg that was offered to it.
    """
    offer = first(
        packets, lambda p: p.sip.startswith("INVITE ") and p.destination == (RECORDER, 5080), "INVITE"
    )
    lines = offer.payload.decode().splitlines()
    port = int(next(line for line in lines if line.startswith("m=audio")).split()[1])
    to_customer = [p for p in packets if p.is_rtp and p.source[0] == RECORDER and p.destination[1] == port]
    count = round(prompt_seconds(name) / PACKET_S + 0.49)
    assert len(to_customer) > count
    return to_customer[count - 1].at


# --------------------------------------------------------------------------- recorded


def test_queue_announced_on_answer_and_recorded(site: Site, server: Server, tmp_path: Path) -> None:
    """Loop-through with a queue: marker tones, and a length that is right to 40 ms by the packets' own clock."""
    waiting = audio.tone_wav(site.sounds / "400.wav", (BEFORE, 5.0))
    customer, agent = site.customer(say=waiting), site.phone("1001", answer_after=0.8)
    with Wire(site.network, tmp_path / "queue.pcap") as wire:
        talk = site.connect(customer, "3001", agent)
        say_after(customer, site, talk.caller_call, talk.answered_at + prompt_seconds("K2-all-short") - 0.2)
        recorded.tap(server)
        talk.talk(3.0)
        talk.end()
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"], row["direction"]) == ("recorded", "sales", "inbound")
    heard = recorded.opened(server, row["recordings"][0], tmp_path)
    assert_marker_tones(heard)
    assert quietest_dbfs(heard.left[1600:-1600], CUSTOMER_HZ) > -20
    assert quietest_dbfs(heard.right[1600:-1600], AGENT_HZ) > -20
    packets = wire.packets()
    expected = when_ended(packets) - prompt_ended(packets, "K2-all-short") - PLAYOUT_S
    assert heard.seconds == pytest.approx(expected, abs=0.04)
    assert row["recorded_seconds"] == pytest.approx(expected, abs=0.04)
    assert_both_heard(talk)


def assert_both_heard(talk: Talk) -> None:
    assert audio.hears(talk.heard(talk.caller)[-audio.RATE :], TONES[talk.called.user])
    assert audio.hears(talk.heard(talk.called)[-audio.RATE :], CUSTOMER_HZ)


def test_customer_hears_the_announcement_and_the_agent_does_not(site: Site, server: Server) -> None:
    silence = audio.write_wav(site.sounds / "silence.wav", audio.tone(0, 5.0))
    customer, agent = site.customer(say=silence), site.phone("1001", say=silence)
    talk = site.connect(customer, "3001", agent)
    talk.talk(prompt_seconds("K2-all-short") + 1.0)
    talk.end()
    prompt = audio.read_wav(TREE / "config" / "prompts" / "nl" / "K2-all-short.wav")
    assert audio.likeness(talk.heard(customer), prompt) > 0.85
    assert audio.likeness(talk.heard(agent), prompt) < 0.75


def test_dial_announced_before_it_rings_and_recorded(site: Site, server: Server, tmp_path: Path) -> None:
    """Loop-through with Dial: the agent's phone rings only when the customer has been told."""
    waiting = audio.tone_wav(site.sounds / "400.wav", (BEFORE, 5.0))
    customer, agent = site.customer(say=waiting), site.phone("1001", answer_after=1.0)
    before = agent.mark()
    mine = customer.call("sip:3003@127.0.0.1:5060")
    told = customer.wait_for("confirmed", call=mine)["at"]
    theirs = agent.wait_for("incoming", 15, since=before)
    assert theirs["at"] - told > prompt_seconds("K1-all-short-key") - 0.1
    customer.play(site.tone(CUSTOMER), loop=True, call=mine)
    answered = agent.wait_for("confirmed", call=theirs["call"])["at"]
    recorded.tap(server)
    time.sleep(3.0)
    hung_up = time.monotonic()
    customer.hangup(call=mine)
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"]) == ("recorded", "support")
    heard = recorded.opened(server, row["recordings"][0], tmp_path)
    assert_marker_tones(heard)
    assert heard.seconds == pytest.approx(hung_up - answered, abs=0.15)


def test_outbound_is_announced_and_recorded_with_the_customer_on_the_left(
    site: Site, server: Server, tmp_path: Path
) -> None:
    waiting = audio.tone_wav(site.sounds / "400.wav", (BEFORE, 5.0))
    customer, agent = site.customer(answer_after=0.5, say=waiting), site.phone("1001")
    talk = site.connect(agent, "0687654321", customer)
    say_after(customer, site, talk.called_call, talk.answered_at + prompt_seconds("K11-all-key") - 0.2)
    recorded.tap(server)
    talk.talk(2.0)
    talk.end()
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"], row["direction"]) == ("recorded", "outbound", "outbound")
    assert_marker_tones(recorded.opened(server, row["recordings"][0], tmp_path))


# --------------------------------------------------------------------------- not recorded


def test_a_works_council_call_brings_no_packet_here_and_leaves_no_trace(
    site: Site, server: Server, tmp_path: Path
) -> None:
    """Counted by the kernel on the recorder's own address; searched for in every file that the server has."""
    customer, council = site.customer(), site.phone("1900")
    with RtpCounter(site.network, [RECORDER, ADDRESSES["1900"]]) as counter:
        talk = site.connect(customer, "3901", council)
        talk.talk(2.0)
        talk.end()
        assert counter.packets(RECORDER) == 0
        assert counter.packets(ADDRESSES["1900"]) > 150  # the counter does count
    assert audio.hears(talk.heard(customer), TONES["1900"])
    assert audio.hears(talk.heard(council), CUSTOMER_HZ)
    counted = recorded.until(lambda: server.ask("ledger")["confidential"], 5, "count")
    assert [row["count"] for row in counted] == [1]
    assert set(counted[0]) <= {"day", "count"}
    assert server.ask("calls")["calls"] == []
    assert server.ask("ledger")["calls"] == []
    assert server.ask("recordings")["recordings"] == []
    server.stop()
    assert recorded.clear_text_in(tmp_path / "server", CUSTOMER, "1900", "works council") == []


def test_a_colleague_is_called_without_media_here(site: Site, server: Server) -> None:
    agent, colleague = site.phone("1001"), site.phone("1003")
    with RtpCounter(site.network, [RECORDER]) as counter:
        talk = site.connect(agent, "1003", colleague)
        talk.talk(1.0)
        talk.end()
        assert counter.packets(RECORDER) == 0
    assert audio.hears(talk.heard(colleague), AGENT_HZ)
    row = recorded.one_call(server)
    assert (row["outcome"], row["recorded_seconds"], row["recordings"]) == ("bypassed", 0, [])


@pytest.mark.parametrize("number", ["3001", "3003"])
def test_hung_up_during_the_announcement_nothing_is_kept(
    site: Site, server: Server, tmp_path: Path, number: str
) -> None:
    customer, agent = site.customer(), site.phone("1001")
    before = agent.mark()
    mine = customer.call(f"sip:{number}@127.0.0.1:5060")
    if number == "3001":
        agent.wait_for("confirmed", 15, since=before)
    customer.wait_for("confirmed", call=mine)
    time.sleep(1.5)
    customer.hangup(call=mine)
    row = recorded.one_call(server)
    assert row["outcome"] == "blocked"
    assert "announcement-not-completed" in row["reasons"]
    assert row["recordings"] == []
    assert not list((tmp_path / "server" / "storage").rglob("*.qmj"))


def test_no_number_of_a_recorded_call_stands_in_clear_anywhere(
    site: Site, server: Server, tmp_path: Path
) -> None:
    customer, agent = site.customer(), site.phone("1001")
    talk = site.connect(customer, "3001", agent)
    recorded.tap(server)
    talk.talk(0.5)
    talk.end()
    recorded.one_call(server)
    server.stop()
    assert recorded.clear_text_in(tmp_path / "server", CUSTOMER) == []


# --------------------------------------------------------------------------- when qm_sip is gone


def test_killed_between_two_calls_the_next_customer_still_reaches_an_agent(
    site: Site, server: Server, pbx: Asterisk
) -> None:
    customer, agent = site.customer(), site.phone("1001", answer_after=0.2)
    server.kill()
    talk = site.connect(customer, "3001", agent)
    assert talk.answered_at - talk.asked_at < 5.5
    talk.talk(0.5)
    talk.end()
    assert audio.hears(talk.heard(agent), CUSTOMER_HZ)
    server.start()
    pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    pbx.wait_idle()
    again = site.connect(customer, "3001", agent)
    recorded.tap(server)
    again.talk(1.0)
    again.end()
    # Asterisk goes on asking for the rescued call until it has an answer: the new server may see it, cancelled.
    recorded.until(
        lambda: "recorded" in [row["outcome"] for row in recorded.ended_calls(server)], 10, "recording"
    )


def test_killed_while_the_agents_phone_rings_the_customer_still_reaches_him(
    site: Site, server: Server, pbx: Asterisk
) -> None:
    """The phone rings twice then: once for the dead qm_sip, once directly. The agent takes the second."""
    customer, agent = site.customer(), site.phone("1001", answer_after=None)
    customer.call("sip:3001@127.0.0.1:5060")
    dead = agent.wait_for("incoming", 10)["call"]
    server.kill()
    killed = time.monotonic()
    direct = agent.wait(lambda h: h["event"] == "incoming" and h["call"] != dead, 10, "direct call")
    assert direct["at"] - killed < 5.5
    agent.answer(call=direct["call"])
    time.sleep(1.0)
    customer.hangup()
    assert audio.hears(audio.read_wav(agent.recording_path(direct["call"])), CUSTOMER_HZ)


@pytest.mark.parametrize("number", ["3001", "3003"])
def test_while_qm_sip_is_being_stopped_new_customers_are_connected_directly(
    site: Site, server: Server, number: str
) -> None:
    """It answers 503 and is reachable all the same: a queue would go on asking it until its time is over."""
    customer, agent, other = site.customer(), site.phone("1001"), site.phone("1002")
    running = site.connect(customer, "3004", other)
    os.kill(server.pid, signal.SIGTERM)
    time.sleep(0.5)
    talk = site.connect(customer, number, agent, timeout=5)
    talk.talk(0.5)
    talk.end()
    assert audio.hears(talk.heard(agent), CUSTOMER_HZ)
    running.end()


@pytest.mark.parametrize("status", [486, 503, 603])
def test_an_agent_who_does_not_take_the_call_is_not_dialled_around_qm_sip(
    site: Site, server: Server, pbx: Asterisk, status: int
) -> None:
    customer, council = site.customer(), site.phone("1900", answer_after=None)
    mine = customer.call("sip:3901@127.0.0.1:5060")
    council.wait_for("incoming")
    before = council.mark()
    council.hangup(status=status)
    customer.wait_for("disconnected", 5, call=mine)
    pbx.wait_idle()
    assert "incoming" not in [happening["event"] for happening in council.happened[before:]]
