"""Names become addresses: a real DNS server (dnsmasq) that is changed, stopped and started again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qm_sip.net import resolver as under_test
from qm_sip.net.resolver import Name, Resolver
from qm_sip.sip.events import Address
from tests.support.nameserver import NameServer

ZONE = """
host-record=one.example,192.0.2.1
host-record=two.example,192.0.2.2
host-record=both.example,192.0.2.3,2001:db8::3
srv-host=_sip._udp.carrier.example,one.example,5070,10,50
srv-host=_sip._udp.carrier.example,two.example,5080,20,50
srv-host=_sip._tcp.carrier.example,two.example,5081,10
srv-host=_sips._tcp.carrier.example,one.example,5061,10
srv-host=_sip._udp.half.example,gone.example,5060,10
srv-host=_sip._udp.half.example,two.example,5060,20
srv-host=_sip._udp.shut.example
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NameServer]:
    server = NameServer(tmp_path)
    server.start(ZONE)
    yield server
    server.stop()


def look_up(server: NameServer, *names: Name, versions: tuple[int, ...] = (4,)) -> list[tuple[Address, ...]]:
    async def run() -> list[tuple[Address, ...]]:
        resolver = Resolver(random.Random(1), [server.at], versions)
        await resolver.follow(names)
        found = [resolver.addresses(name) for name in names]
        await resolver.stop()
        return found

    return asyncio.run(run())


def test_a_service_is_its_targets_in_the_order_of_their_priority(server: NameServer) -> None:
    (found,) = look_up(server, Name("carrier.example", None, "udp"))
    assert found == (Address("192.0.2.1", 5070), Address("192.0.2.2", 5080))


def test_each_transport_has_records_of_its_own(server: NameServer) -> None:
    tcp, tls = look_up(server, Name("carrier.example", None, "tcp"), Name("carrier.example", None, "tls"))
    assert tcp == (Address("192.0.2.2", 5081, "tcp"),)
    assert tls == (Address("192.0.2.1", 5061, "tls"),)


def test_without_records_of_a_service_it_is_the_name_itself_at_the_usual_port(server: NameServer) -> None:
    udp, tls, port = look_up(
        server,
        Name("one.example", None, "udp"),
        Name("one.example", None, "tls"),
        Name("carrier.example", 5099, "udp"),
    )
    assert udp == (Address("192.0.2.1", 5060),)
    assert tls == (Address("192.0.2.1", 5061, "tls"),)
    assert port == ()  # with a port no service is asked for, and the name has no address of its own


def test_only_addresses_that_we_have_a_socket_for(server: NameServer) -> None:
    name = Name("both.example", 5060, "udp")
    assert look_up(server, name) == [(Address("192.0.2.3", 5060),)]
    assert look_up(server, name, versions=(4, 6)) == [
        (Address("192.0.2.3", 5060), Address("2001:db8::3", 5060))
    ]


def test_a_target_that_does_not_exist_does_not_take_the_others_with_it(server: NameServer) -> None:
    assert look_up(server, Name("half.example", None, "udp")) == [(Address("192.0.2.2", 5060),)]


def test_what_the_dns_does_not_know_may_stand_in_the_systems_own_files(server: NameServer) -> None:
    assert look_up(server, Name("localhost", 5060, "udp")) == [(Address("127.0.0.1", 5060),)]


def test_a_service_that_says_it_is_not_there_is_not_called(
    server: NameServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert look_up(server, Name("shut.example", None, "udp")) == [()]
    assert "calls to it get 503" in caplog.text


def test_records_that_change_are_followed_and_a_server_that_is_gone_takes_nothing_away(
    server: NameServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "SHORTEST", 0.1)
    monkeypatch.setattr(under_test, "AFTER_FAILURE", 0.1)
    monkeypatch.setattr(under_test, "PATIENCE", 0.3)
    caplog.set_level(logging.INFO)
    name = Name("one.example", 5060, "udp")

    async def seen(condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            await asyncio.sleep(0.02)
        pytest.fail("not within 10 s")

    def says(words: str) -> bool:
        return words in caplog.text

    async def run() -> None:
        resolver = Resolver(random.Random(1), [server.at])
        await resolver.follow({name: "carrier"})
        await seen(lambda: resolver.addresses(name) == (Address("192.0.2.1", 5060),))
        server.stop()
        await seen(lambda: says("what it was goes on being used"))
        assert resolver.addresses(name) == (Address("192.0.2.1", 5060),)
        server.start(ZONE.replace("192.0.2.1", "192.0.2.9"))
        await seen(lambda: resolver.addresses(name) == (Address("192.0.2.9", 5060),))
        await seen(lambda: says("is found again"))
        await resolver.follow({})
        assert resolver.addresses(name) == ()
        await resolver.stop()

    asyncio.run(run())
    assert caplog.text.count("goes on being used") == 1, "the administrator is told once"
    assert "one.example" not in caplog.text
