"""Loop-through with a real Asterisk 22 over TCP, set up as config/asterisk/README.md says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import SNIPPETS, Asterisk
from qm_sip.demo.server import EXAMPLES, Server
from tests.asterisk.test_loop_through import BEFORE, assert_marker_tones, prompt_seconds, say_after
from tests.support import recorded
from tests.support.site import Site
from tests.support.wire import Wire

RECORDER = "127.0.0.2"


def changed(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def pbx(tree: Path, site: Site, tmp_path: Path) -> Iterator[Asterisk]:
    files = Path(shutil.copytree(SNIPPETS / "site", tmp_path / "over-tcp"))
    shutil.copy(SNIPPETS / "pjsip_qm_sip.conf", files)
    changed(
        files / "pjsip.conf",
        ("[udp]\n", "[tcp]\ntype=transport\nprotocol=tcp\nbind=127.0.0.1:5060\n\n[udp]\n"),
    )
    changed(
        files / "pjsip_qm_sip.conf",
        ("contact=sip:127.0.0.2:5080", "contact=sip:127.0.0.2:5080\\;transport=tcp"),
        ("match=127.0.0.2:5080", "match=127.0.0.2"),
    )
    with Asterisk(tree, tmp_path / "asterisk", network=site.network, site=files) as running:
        yield running


@pytest.fixture
def server(site: Site, pbx: Asterisk, tmp_path: Path) -> Iterator[Server]:
    config = Path(shutil.copytree(EXAMPLES / "demo", tmp_path / "config"))
    changed(config / "qm_sip.toml", ("trusted = true", 'trusted = true\ntransport = "tcp"'))
    listen = {"QM_SIP_SIP_LISTEN": f"udp:{RECORDER}:5080,tcp:{RECORDER}:5080"}
    with Server(config, tmp_path / "server", network=site.network, environment=listen) as running:
        pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        yield running


def test_a_queue_over_tcp_is_announced_and_recorded(site: Site, server: Server, tmp_path: Path) -> None:
    waiting = audio.tone_wav(site.sounds / "400.wav", (BEFORE, 5.0))
    customer, agent = site.customer(say=waiting), site.phone("1001", answer_after=0.8)
    with Wire(site.network, tmp_path / "queue.pcap") as wire:
        talk = site.connect(customer, "3001", agent)
        say_after(customer, site, talk.caller_call, talk.answered_at + prompt_seconds("K2-all-short") - 0.2)
        recorded.tap(server)
        talk.talk(2.0)
        talk.end()
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"], row["direction"]) == ("recorded", "sales", "inbound")
    assert_marker_tones(recorded.opened(server, row["recordings"][0], tmp_path))
    udp = [p for p in wire.packets() if p.sip and RECORDER in (p.source[0], p.destination[0])]
    assert udp == []  # not one message between Asterisk and us went by UDP


def held(server: Server, *, paused: bool) -> None:
    recorded.until(
        lambda: [t for t in server.ask("taps")["taps"] if t["paused"] is paused], 5, "hold or resume"
    )


def test_hold_goes_along_and_after_a_restart_of_ours_the_next_call_finds_us(
    site: Site, pbx: Asterisk, server: Server
) -> None:
    customer, agent = site.customer(), site.phone("1001", answer_after=0.3)
    for _ in range(2):
        talk = site.connect(customer, "3001", agent)
        recorded.tap(server)
        agent.hold(call=talk.called_call)
        held(server, paused=True)
        agent.unhold(call=talk.called_call)
        held(server, paused=False)
        talk.end()
        server.stop()
        pbx.wait_device("PJSIP/qm-sip", "UNAVAILABLE", 15)
        server.start()
        pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
