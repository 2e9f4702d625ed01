"""Loop-through with a real Asterisk 22 whose audio is encrypted (`media_encryption=sdes`), as the guide says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.server import Server
from tests.asterisk.test_loop_through import BEFORE, assert_marker_tones, prompt_seconds, say_after
from tests.asterisk.test_tcp import RECORDER, changed, held
from tests.asterisk.test_tls import LISTEN, authority, config_over_tls, files_over_tls, of_the_guide
from tests.support import recorded
from tests.support.certificates import Authority
from tests.support.site import Site
from tests.support.wire import ALAW, Wire, rtp

__all__ = ["authority"]  # a fixture


@pytest.fixture
def pbx(tree: Path, site: Site, authority: Authority, tmp_path: Path) -> Iterator[Asterisk]:
    files = files_over_tls(authority, tmp_path)
    changed(files / "modules.conf", ("[modules]\n", "[modules]\nload = res_srtp.so\n"))
    says = of_the_guide("media_encryption=sdes")
    changed(files / "pjsip_qm_sip.conf", ("rtp_symmetric=yes\n", f"rtp_symmetric=yes\n{says}"))
    with Asterisk(tree, tmp_path / "asterisk", network=site.network, site=files) as running:
        yield running


@pytest.fixture(params=["require", "opportunistic"])
def server(
    request: pytest.FixtureRequest,
    site: Site,
    pbx: Asterisk,
    authority: Authority,
    tmp_path: Path,
) -> Iterator[Server]:
    config = config_over_tls(authority, tmp_path, f'\nsrtp = "{request.param}"')
    with Server(config, tmp_path / "server", network=site.network, environment=LISTEN) as running:
        pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        yield running


def test_a_queue_over_srtp_is_announced_and_recorded_and_nobody_reads_along(
    site: Site, server: Server, tmp_path: Path
) -> None:
    waiting = audio.tone_wav(site.sounds / "400.wav", (BEFORE, 5.0))
    customer, agent = site.customer(say=waiting), site.phone("1001", answer_after=0.8)
    with Wire(site.network, tmp_path / "queue.pcap") as wire:
        talk = site.connect(customer, "3001", agent)
        say_after(customer, site, talk.caller_call, talk.answered_at + prompt_seconds("K2-all-short") - 0.2)
        recorded.tap(server)
        talk.talk(2.0)
        talk.end()
    row = recorded.one_call(server)
    assert (row["outcome"], row["line"], row["reasons"]) == ("recorded", "sales", ["recorded"])
    assert_marker_tones(recorded.opened(server, row["recordings"][0], tmp_path))
    ours = [packet for packet in rtp(wire.packets(), at=RECORDER) if packet.rtp_type == ALAW]
    assert len(ours) > 300
    assert {len(packet.payload) - 12 - 160 for packet in ours} <= {10, 16}, "each has a tag"
    assert all(noise(packet.payload[12:172]) for packet in ours), "and none is to be read"


def test_hold_goes_along_and_the_same_keys_go_on(site: Site, server: Server) -> None:
    customer, agent = site.customer(), site.phone("1001", answer_after=0.3)
    talk = site.connect(customer, "3001", agent)
    recorded.tap(server)
    for _ in range(2):
        agent.hold(call=talk.called_call)
        held(server, paused=True)
        agent.unhold(call=talk.called_call)
        held(server, paused=False)
        more_is_kept(server)
    talk.end()
    assert recorded.one_call(server)["outcome"] == "recorded"


def more_is_kept(server: Server) -> None:
    before = recorded.tap(server)["seconds"]
    recorded.until(lambda: recorded.tap(server)["seconds"] > before + 1, 5, "more of it")


def noise(octets: bytes) -> bool:
    """A tone and silence have few different octets in 20 ms, a cipher has many."""
    return len(set(octets)) > 50
