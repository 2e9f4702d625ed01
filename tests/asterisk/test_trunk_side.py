"""qm_sip on the trunk side: carrier's phone, qm_sip, Asterisk. The carrier's phone speaks SIP with qm_sip alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.counter import RtpCounter
from qm_sip.demo.phone import Phone
from qm_sip.demo.server import EXAMPLES, Server
from tests.asterisk.test_loop_through import BEFORE, assert_marker_tones, prompt_seconds, say_after
from tests.support import recorded
from tests.support.site import CARRIER_CUSTOMER, CUSTOMER, TONES, Site

RECORDER, CARRIER = "127.0.0.3", "127.0.0.30"
QM_SIP = f"{RECORDER}:5080"


@pytest.fixture
def server(site: Site, pbx: Asterisk, tmp_path: Path) -> Iterator[Server]:
    with Server(EXAMPLES / "trunk", tmp_path / "server", network=site.network) as running:
        pbx.wait_device("PJSIP/qm-trunk", "NOT_INUSE", 15)
        yield running


def carrier_phone(site: Site, **options: object) -> Phone:
    waiting = audio.tone_wav(site.sounds / "400.wav", (BEFORE, 5.0))
    return site.phone(CARRIER_CUSTOMER, address=CARRIER, say=waiting, **options)  # type: ignore[arg-type]


def test_inbound_dial_is_announced_before_it_rings_and_recorded(
    site: Site, server: Server, tmp_path: Path
) -> None:
    customer, agent = carrier_phone(site), site.phone("1001", answer_after=0.5)
    before = agent.mark()
    mine = customer.call(f"sip:3003@{QM_SIP}")
    told = customer.wait_for("confirmed", call=mine)["at"]
    theirs = agent.wait_for("incoming", 15, since=before)
    assert theirs["at"] - told > prompt_seconds("K1-all-short-key") - 0.1
    customer.play(site.tone(CUSTOMER), loop=True, call=mine)
    recorded.tap(server)
    time.sleep(2.0)
    customer.hangup(call=mine)
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"], row["direction"]) == ("recorded", "support", "inbound")
    assert_marker_tones(recorded.opened(server, row["recordings"][0], tmp_path))
    assert audio.hears(audio.read_wav(customer.recording_path(mine))[-audio.RATE :], TONES["1001"])


def test_outbound_is_announced_and_recorded(site: Site, server: Server, tmp_path: Path) -> None:
    customer, agent = carrier_phone(site, answer_after=0.5), site.phone("1001")
    talk = site.connect(agent, "80687654321", customer)
    say_after(customer, site, talk.called_call, talk.answered_at + prompt_seconds("K11-all-key") - 0.2)
    recorded.tap(server)
    talk.talk(2.0)
    talk.end()
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"], row["direction"]) == ("recorded", "outbound", "outbound")
    assert_marker_tones(recorded.opened(server, row["recordings"][0], tmp_path))


def test_a_works_council_call_over_the_trunk_goes_direct(site: Site, server: Server, tmp_path: Path) -> None:
    customer, council = carrier_phone(site), site.phone("1900")
    with RtpCounter(site.network, [RECORDER, CARRIER]) as counter:
        talk = site.connect(customer, "3900", council, to=QM_SIP)
        talk.talk(1.5)
        talk.end()
        assert counter.packets(RECORDER) == 0
        assert counter.packets(CARRIER) > 100
    assert audio.hears(talk.heard(customer), TONES["1900"])
    assert audio.hears(talk.heard(council), BEFORE)
    counted = recorded.until(lambda: server.ask("ledger")["confidential"], 5, "count")
    assert [row["count"] for row in counted] == [1]
    assert server.ask("calls")["calls"] == []
    server.stop()
    assert recorded.clear_text_in(tmp_path / "server", CARRIER_CUSTOMER, "3900", "1900") == []
