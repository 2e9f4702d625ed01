"""Loop-through with a real Asterisk 22 over TLS, both sides with certificates, as docs/beside-your-pbx.md says."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import SNIPPETS, Asterisk
from qm_sip.demo.server import EXAMPLES, Server
from tests.asterisk.test_loop_through import BEFORE, assert_marker_tones, prompt_seconds, say_after
from tests.asterisk.test_tcp import RECORDER, changed, held
from tests.support import recorded
from tests.support.certificates import Authority
from tests.support.site import Site
from tests.support.wire import Wire

GUIDE = Path(__file__).parents[2] / "docs" / "beside-your-pbx.md"


def of_the_guide(begins: str) -> str:
    """The block of the guide that begins so: what is tried here is what it says."""
    found = re.search(rf"```ini\n({re.escape(begins)}.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found, begins
    return found[1]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    home = tmp_path / "keys"
    home.mkdir()
    made = Authority(home)
    made.issue("asterisk", "127.0.0.1", "pbx.example")
    made.issue("qm_sip", RECORDER, "qm.example")
    return made


@pytest.fixture
def pbx(tree: Path, site: Site, authority: Authority, tmp_path: Path) -> Iterator[Asterisk]:
    files = files_over_tls(authority, tmp_path)
    with Asterisk(tree, tmp_path / "asterisk", network=site.network, site=files) as running:
        yield running


def files_over_tls(authority: Authority, tmp_path: Path) -> Path:
    """Asterisk's files, as the guide says."""
    files = Path(shutil.copytree(SNIPPETS / "site", tmp_path / "over-tls"))
    shutil.copy(SNIPPETS / "pjsip_qm_sip.conf", files)
    transport = of_the_guide("[tls]\ntype=transport")
    for file in ("ca.pem", "asterisk.pem", "asterisk.key"):
        shutil.copy(authority.home / file, files / f"{file}.conf")  # the testbed brings in what is called so
        transport = transport.replace(f"/etc/asterisk/{file}", f"@RUN@/etc/{file}.conf")
    changed(files / "pjsip.conf", ("[udp]\n", f"{transport}\n[udp]\n"))
    changed(
        files / "pjsip_qm_sip.conf",
        ("contact=sip:127.0.0.2:5080", "contact=sip:127.0.0.2:5081\\;transport=tls"),
        ("match=127.0.0.2:5080", "match=127.0.0.2"),
    )
    return files


@pytest.fixture
def server(site: Site, pbx: Asterisk, authority: Authority, tmp_path: Path) -> Iterator[Server]:
    with Server(
        config_over_tls(authority, tmp_path),
        tmp_path / "server",
        network=site.network,
        environment=LISTEN,
    ) as running:
        pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        yield running


LISTEN = {"QM_SIP_SIP_LISTEN": f"udp:{RECORDER}:5080,tls:{RECORDER}:5081"}


def config_over_tls(authority: Authority, tmp_path: Path, more: str = "") -> Path:
    """Our settings; `more` of the peer."""
    config = Path(shutil.copytree(EXAMPLES / "demo", tmp_path / "config"))
    peer = 'trusted = true\ntransport = "tls"\ntls_name = "pbx.example"\ntls_identity = ["pbx.example"]'
    peer += more
    changed(
        config / "qm_sip.toml",
        ("trusted = true", peer),
        ('next_hop = "127.0.0.1:5060"', 'next_hop = "127.0.0.1:5061"'),
    )
    text = (config / "qm_sip.toml").read_text()
    keys = authority.home
    table = f'[sip.tls]\ncertificate = "{keys}/qm_sip.pem"\nprivate_key = "{keys}/qm_sip.key"\n'
    table += f'ca_file = "{keys}/ca.pem"\nclient_certificate = "required"\n'
    (config / "qm_sip.toml").write_text(f'{text}\n{table}[sip.connections]\nkeep_alive = "5s"\n')
    return config


def test_a_queue_over_tls_is_announced_and_recorded(site: Site, server: Server, tmp_path: Path) -> None:
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
    assert server.ask("status")["counts"]["sip_tls_refused"] == 0


def test_hold_goes_along_and_a_call_outlives_our_pings(site: Site, server: Server) -> None:
    customer, agent = site.customer(), site.phone("1001", answer_after=0.3)
    talk = site.connect(customer, "3001", agent)
    recorded.tap(server)
    time.sleep(12)
    agent.hold(call=talk.called_call)
    held(server, paused=True)
    agent.unhold(call=talk.called_call)
    held(server, paused=False)
    talk.end()
