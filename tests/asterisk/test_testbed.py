"""The testbed proves itself: phone to phone, phones through Asterisk, and the dialplan without qm_sip."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import HOLD_MUSIC_HZ, Asterisk
from qm_sip.demo.counter import RtpCounter
from qm_sip.demo.namespace import Namespace
from qm_sip.demo.phone import PhoneError
from tests.support.site import CUSTOMER, TONES, Site, network

ALL_TONES = sorted({*TONES.values(), HOLD_MUSIC_HZ})


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
def test_two_phones_hear_each_other_without_asterisk(site: Site, codec: str) -> None:
    customer = site.phone(CUSTOMER, address="127.0.0.20", codec=codec)
    agent = site.phone("1001", codec=codec)
    talk = site.connect(customer, "1001", agent, to="127.0.0.11:5060")
    talk.talk(1.5)
    report = customer.report()
    talk.end()
    assert report["source"].startswith("127.0.0.11:")
    assert report["lost"] == 0
    assert report["received"] > 60
    assert audio.tones_heard(talk.heard(customer), ALL_TONES) == {TONES["1001"]}
    assert audio.tones_heard(talk.heard(agent), ALL_TONES) == {TONES[CUSTOMER]}


def test_keys_hold_and_a_change_of_tone(site: Site) -> None:
    customer, agent = site.phone(CUSTOMER, address="127.0.0.20"), site.phone("1001")
    talk = site.connect(customer, "1001", agent, to="127.0.0.11:5060")
    talk.talk(0.3)
    customer.dtmf("42")
    for digit in "42":
        agent.wait(lambda h, digit=digit: h["event"] == "dtmf" and h["digit"] == digit, 5, f"key {digit}")
    agent.hold()
    customer.wait_for("media:remote-hold")
    before = customer.mark()
    agent.unhold()
    customer.wait_for("media:active", since=before)
    agent.play(audio.tone_wav(site.sounds / "other.wav", (700, 5)))
    talk.talk(0.6)
    talk.end(by=agent)
    assert audio.tones_heard(talk.heard(customer), [700, 2000]) == {700, 2000}


def test_a_phone_says_what_it_waited_for_in_vain(site: Site) -> None:
    customer, agent = site.phone(CUSTOMER, address="127.0.0.20"), site.phone("1001", answer_after=None)
    customer.call(agent.uri)
    agent.wait_for("incoming")
    with pytest.raises(PhoneError, match=r"phone 0612345678: no confirmed in 0\.5 s; it saw"):
        customer.wait_for("confirmed", 0.5)
    agent.hangup(status=486)
    assert customer.wait_for("disconnected")["status"] == 486


@pytest.mark.parametrize("number", ["3999", "3900"])
def test_customer_reaches_queue_and_works_council_through_asterisk(
    site: Site, pbx: Asterisk, number: str
) -> None:
    extension = {"3999": "1001", "3900": "1900"}[number]
    customer, other = site.customer(), site.phone(extension, answer_after=0.8)
    talk = site.connect(customer, number, other)
    talk.talk(1.0)
    talk.end()
    pbx.wait_idle()
    music = {HOLD_MUSIC_HZ} if number == "3999" else set()
    assert audio.tones_heard(talk.heard(customer), ALL_TONES) == {TONES[extension], *music}
    assert audio.tones_heard(talk.heard(other), ALL_TONES) == {TONES[CUSTOMER]}


def test_counting_from_outside_sees_the_packets_of_both_directions(site: Site, pbx: Asterisk) -> None:
    with RtpCounter(site.network, ["127.0.0.11", "127.0.0.2"]) as counter:
        customer, agent = site.customer(), site.phone("1001")
        talk = site.connect(customer, "3999", agent)
        talk.talk(1.0)
        report = agent.report()
        talk.end()
        seen = counter.packets("127.0.0.11")
        assert counter.packets("127.0.0.2") == 0
    assert seen >= report["received"] + report["sent"]
    assert seen <= report["received"] + report["sent"] + 30  # RTCP, and the packets until the end


# --------------------------------------------------------------------------- the dialplan without qm_sip

GONE = [("3001", "1001"), ("3003", "1001"), ("3004", "1002"), ("3901", "1900")]


@pytest.mark.parametrize(("number", "extension"), GONE)
def test_without_qm_sip_a_customer_is_connected_directly(
    site: Site, pbx: Asterisk, number: str, extension: str
) -> None:
    customer, other = site.customer(), site.phone(extension)
    talk = site.connect(customer, number, other)
    assert talk.answered_at - talk.asked_at < 2.0
    talk.talk(0.5)
    talk.end()
    assert audio.hears(talk.heard(customer), TONES[extension])


def test_without_qm_sip_an_agent_reaches_customer_and_colleague(site: Site, pbx: Asterisk) -> None:
    agent, customer, colleague = site.phone("1001"), site.customer(), site.phone("1003")
    for number, other in (("0687654321", customer), ("1003", colleague)):
        talk = site.connect(agent, number, other)
        talk.talk(0.5)
        talk.end()
        assert audio.hears(talk.heard(other), TONES["1001"])


@pytest.mark.parametrize(("number", "extension"), [("3001", "1001"), ("3003", "1001")])
def test_qm_sip_dies_while_it_rings_and_the_call_is_rescued(
    site: Site, pbx: Asterisk, number: str, extension: str
) -> None:
    """The worst case: Asterisk has just asked whether it lives. A phone stands in for qm_sip and is killed."""
    customer, agent = site.customer(), site.phone(extension, answer_after=0.2)
    stand_in = site.phone("stand-in", address="127.0.0.2", port=5080, answer_after=None)
    pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    mine = customer.call(f"sip:{number}@127.0.0.1:5060")
    stand_in.wait_for("incoming")
    stand_in.kill()
    killed = time.monotonic()
    answered = agent.wait_for("confirmed", 15)["at"]
    assert answered - killed < 5.5
    customer.wait_for("confirmed", call=mine)
    time.sleep(0.5)
    customer.hangup()
    assert audio.hears(audio.read_wav(customer.recording_path(mine)), TONES[extension])
    pbx.wait_idle()


def test_a_stopping_qm_sip_refuses_with_503_and_the_agent_is_dialled_directly(
    site: Site, pbx: Asterisk
) -> None:
    customer, agent = site.customer(), site.phone("1001")
    stand_in = site.phone("stand-in", address="127.0.0.2", port=5080, answer_after=None)
    pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    customer.call("sip:3003@127.0.0.1:5060")
    stand_in.wait_for("incoming")
    stand_in.hangup(status=503)
    agent.wait_for("confirmed", 3)
    customer.wait_for("confirmed", 3)


@pytest.mark.parametrize("status", [486, 603])
def test_an_agent_who_declines_is_not_dialled_around_qm_sip(site: Site, pbx: Asterisk, status: int) -> None:
    customer, agent = site.customer(), site.phone("1001")
    stand_in = site.phone("stand-in", address="127.0.0.2", port=5080, answer_after=None)
    pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    customer.call("sip:3003@127.0.0.1:5060")
    stand_in.wait_for("incoming")
    stand_in.hangup(status=status)
    customer.wait_for("disconnected", 3)
    pbx.wait_idle()
    assert not [h for h in agent.happened if h["event"] == "incoming"]


def test_what_asterisk_tells_qm_sip_about_a_call(site: Site, pbx: Asterisk) -> None:
    """The X-QM- headers and the customer's number, on the leg that qm_sip gets."""
    customer = site.customer()
    stand_in = site.phone("stand-in", address="127.0.0.2", port=5080, answer_after=None)
    pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    customer.call("sip:3001@127.0.0.1:5060")
    message = stand_in.wait_for("incoming")["message"]
    lines = dict(line.split(": ", 1) for line in message.split("\r\n") if ": " in line)
    assert message.startswith("INVITE sip:1001@127.0.0.2:5080 SIP/2.0\r\n")
    assert lines["X-QM-Line"] == "sales"
    assert lines["X-QM-Call"]
    assert lines["X-QM-Linkedid"]
    assert CUSTOMER in lines["P-Asserted-Identity"]
    assert "X-QM-Parent" not in lines
    customer.hangup()


# --------------------------------------------------------------------------- two runs at once


def test_two_runs_in_namespaces_of_their_own_do_not_meet(tree: Path, tmp_path: Path) -> None:
    with Namespace() as one, Namespace() as two:
        with (
            Asterisk(tree, tmp_path / "1", network=one) as first,
            Asterisk(tree, tmp_path / "2", network=two) as second,
        ):
            first.rx("database put qm_sip here first")
            assert "first" in first.rx("database get qm_sip here")
            assert "first" not in second.rx("database get qm_sip here")
        assert not first.running
        assert not second.running


SECOND_RUN = """
import sys
from pathlib import Path
from qm_sip.demo.asterisk import Asterisk, AsteriskError
tree, work = Path(sys.argv[1]), Path(sys.argv[2])
with Asterisk(tree, work / "1"):
    try:
        Asterisk(tree, work / "2").start()
    except AsteriskError as error:
        print(error)
with Asterisk(tree, work / "3"):
    print("free again")
"""


def test_a_second_run_on_the_same_addresses_is_refused_clearly(tree: Path, tmp_path: Path) -> None:
    with network() as here:
        command = here.inside([sys.executable, "-c", SECOND_RUN, str(tree), str(tmp_path)])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "already runs on 127.0.0.1:5060" in done.stdout
    assert "free again" in done.stdout


def test_nothing_is_left_in_the_tree_after_a_run(tree: Path, tmp_path: Path) -> None:
    with Namespace() as here, Asterisk(tree, tmp_path, network=here) as pbx:
        directory = pbx.run_directory
        assert directory.exists()
    assert not directory.exists()
    assert "Asterisk cleanly ending" in pbx.log.read_text()
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if str(tree) in line]
