"""A next hop that is a name: its addresses are tried in turn, through a running server and a real DNS server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.nameserver import NameServer
from tests.wire import site as sites
from tests.wire.conftest import Scene
from tests.wire.party import Party
from tests.wire.site import Site

pytestmark = pytest.mark.wire

ZONE = """
host-record=nobody.phones.example,{nobody}
host-record=silent.phones.example,{silent}
host-record=agents.phones.example,{agents}
srv-host=_sip._udp.phones.example,nobody.phones.example,5060,10
srv-host=_sip._udp.phones.example,silent.phones.example,5060,20
srv-host=_sip._udp.phones.example,agents.phones.example,5060,30
"""
NAMED = """
[peers.named]
addresses = ["{silent}"]
next_hop = "phones.example"
[peers.unknown]
addresses = ["{unknown}"]
next_hop = "nowhere.example:5060"
[[routes]]
from = "pbx"
to = "named"
direction = "inbound"
called = "05"
[[routes]]
from = "pbx"
to = "unknown"
direction = "inbound"
called = "06"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that knows two peers by name; the DNS server is one of its network."""
    servers: list[NameServer] = []

    def settings(site: Site) -> str:
        at = {"nobody": site.at(50), "silent": site.at(55), "agents": site.at(20), "unknown": site.at(56)}
        names = NameServer(tmp_path_factory.mktemp("names"), site.at(1))
        servers.append(names)
        names.start(ZONE.format(**at))
        asked = f'[sip]\nnameservers = ["{names.at[0]}:{names.at[1]}"]\nnext_hop_wait = "1s"'
        return sites._settings(site).replace("[sip]", asked, 1) + NAMED.format(**at)

    try:
        with sites.running(settings) as site:
            yield site
    finally:
        for names in servers:
            names.stop()


def test_past_who_is_not_there_and_who_says_nothing_the_call_reaches_the_third(scene: Scene) -> None:
    with Party(scene.site.at(55), scene.site.server) as silent:
        began = time.monotonic()
        caller = scene.pbx.call("0500")
        callee = scene.agents.called(within=6)
        took = time.monotonic() - began
        assert 0.9 < took < 3, "at once past the first, a second for the second"
        left = silent.called()
        assert left.invite.get("Call-ID") == callee.invite.get("Call-ID")
        assert left.invite.start == callee.invite.start == "INVITE sip:0500@phones.example SIP/2.0"
        callee.answer()
        caller.connected()
        callee.expect("ACK")
        left.reply(180)  # he wakes up: nobody waits for him any more
        left.expect("CANCEL")
        scene.end(caller, callee)
        again = scene.pbx.call("0501")
        callee = scene.agents.called(within=0.8)  # who was silent is tried last
        callee.answer()
        again.connected()
        callee.expect("ACK")
        scene.end(again, callee)


def test_a_name_that_nobody_knows_is_said_once_and_its_calls_get_503(scene: Scene) -> None:
    assert "the next_hop of peer unknown cannot be looked up" in scene.site.log()
    caller = scene.pbx.call("0600")
    caller.expect(503)
    assert "nowhere.example" not in scene.site.log()
