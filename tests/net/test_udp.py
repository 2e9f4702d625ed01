"""The UDP shell on loopback: real sockets, real clock, real ICMP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from qm_sip.errors import StartError
from qm_sip.net.endpoint import SipEndpoint
from qm_sip.sip import events as ev
from qm_sip.sip.events import Address, UaEvent
from qm_sip.sip.grammar import format_host
from qm_sip.sip.message import Response, parse
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.sip.network import SDP, request
from tests.support.cost import ticking

LOOP = Address("127.0.0.1", 0)
SHORT = UserAgentSettings(t1=0.05, t2=0.2, t4=0.1, timer_d=0.3)


class Party:
    """A user agent on a socket, and what happened to it."""

    def __init__(
        self,
        settings: UserAgentSettings = SHORT,
        seed: int = 1,
        listen: tuple[Address, ...] = (LOOP,),
        **endpoint: Any,
    ) -> None:
        self.ua = UserAgent(settings, random.Random(seed), lambda request, source: None)
        self.events: list[UaEvent] = []
        self.react: Callable[[UaEvent], None] = lambda event: None
        self.endpoint = SipEndpoint(self.ua, listen, self._on_events, **endpoint)

    def _on_events(self, happened: list[UaEvent]) -> None:
        for event in happened:
            self.events.append(event)
            self.react(event)

    @property
    def now(self) -> float:
        return self.endpoint.now()

    def call(self, leg: str, to: Address) -> None:
        local = self.endpoint.addresses[0]
        uri = f"sip:x@{format_host(to.host)}:{to.port}"
        self.ua.invite(
            leg, uri, to=f"<{uri}>", from_="<sip:a@b>", body=SDP, destination=to, local=local, now=self.now
        )
        self.endpoint.flush()

    async def until(self, kind: type, within: float = 5.0, number: int = 1) -> UaEvent:
        """Wait for the n-th event of a kind: so long in the loop's own time, which a busy machine cannot shorten."""
        async with asyncio.timeout(10 * within), ticking() as ticks:
            while True:
                found = [event for event in self.events if isinstance(event, kind)]
                if len(found) >= number:
                    return found[number - 1]
                if ticks.seconds > within:
                    raise TimeoutError
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(*parties: Party):  # type: ignore[no-untyped-def]
    for party in parties:
        await party.endpoint.start()
    try:
        yield
    finally:
        for party in parties:
            await party.endpoint.stop()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_whole_call_over_loopback(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        caller, callee = Party(seed=1), Party(seed=2)

        def answer(event: UaEvent) -> None:
            if isinstance(event, ev.CallOffered):
                callee.ua.provisional(event.leg, 180, now=callee.now)
                callee.ua.answer(event.leg, SDP, now=callee.now)

        callee.react = answer
        async with running(caller, callee):
            caller.call("c", callee.endpoint.addresses[0])
            await callee.until(ev.Acknowledged)
            caller.ua.bye("c", now=caller.now)
            caller.endpoint.flush()
            await callee.until(ev.Ended)
            await caller.until(ev.LegGone)
            await callee.until(ev.LegGone)
        names = [type(e).__name__ for e in caller.events]
        assert names == ["Progressed", "Answered", "LegGone"]

    run(scenario())


def test_the_answer_leaves_by_the_socket_of_the_request() -> None:
    async def scenario() -> None:
        both = Party(listen=(LOOP, Address("127.0.0.2", 0)))
        async with running(both):
            for address in both.endpoint.addresses:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                    phone.bind(("127.0.0.1", 0))
                    phone.setblocking(False)
                    via = "Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKo"
                    phone.sendto(request("OPTIONS", via=via), address[:2])
                    loop = asyncio.get_running_loop()
                    data, source = await asyncio.wait_for(loop.sock_recvfrom(phone, 4096), 3)
                    message = parse(data)
                    assert isinstance(message, Response) and message.status == 200
                    assert Address(*source) == address
                    assert f"{address.host}:{address.port}" in (message.get("contact") or "")

    asyncio.run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_peer_that_is_not_there_fails_at_once(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        caller = Party(UserAgentSettings())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = Address("127.0.0.1", taken.getsockname()[1])
        async with running(caller):
            caller.call("c", nobody)
            event = await caller.until(ev.Rejected, within=2)
            assert isinstance(event, ev.Rejected) and event.status == 503

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_after_a_peer_that_is_not_there_the_socket_still_hears_others(run: Callable[..., None]) -> None:
    """libuv stops watching a socket that polls as an error, which an ICMP message makes it."""

    async def scenario() -> None:
        caller, callee = Party(UserAgentSettings(), seed=1), Party(seed=2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = Address("127.0.0.1", taken.getsockname()[1])
        async with running(caller, callee):
            caller.call("dead", nobody)
            await caller.until(ev.Rejected, within=2)
            callee.call("live", caller.endpoint.addresses[0])
            await caller.until(ev.CallOffered, within=2)

    run(scenario())


def test_one_dead_peer_does_not_disturb_the_call_of_another() -> None:
    async def scenario() -> None:
        caller, callee = Party(UserAgentSettings(), seed=1), Party(seed=2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = Address("127.0.0.1", taken.getsockname()[1])
        async with running(caller, callee):
            for n in range(5):
                caller.call(f"dead{n}", nobody)
                caller.call(f"live{n}", callee.endpoint.addresses[0])
            await caller.until(ev.Rejected, within=3, number=5)
            await callee.until(ev.CallOffered, within=3, number=5)
            assert {e.leg[:4] for e in caller.events if isinstance(e, ev.Rejected)} == {"dead"}
            assert caller.endpoint.lost == 0

    asyncio.run(scenario())


def test_retransmission_runs_on_the_real_clock() -> None:
    async def scenario() -> None:
        caller = Party()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            async with running(caller):
                caller.call("c", Address("127.0.0.1", silent.getsockname()[1]))
                event = await caller.until(ev.Rejected, within=6)
                assert isinstance(event, ev.Rejected) and event.status == 408
            silent.setblocking(False)
            copies = 0
            with contextlib.suppress(BlockingIOError):
                while silent.recv(4096).startswith(b"INVITE"):
                    copies += 1
            assert copies == 7

    asyncio.run(scenario())


def test_a_port_that_is_taken_and_an_address_that_is_none_are_clear_errors() -> None:
    async def scenario(address: Address) -> None:
        await Party(listen=(LOOP, address)).endpoint.start()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StartError, match="cannot listen on udp"):
            asyncio.run(scenario(Address("127.0.0.1", taken.getsockname()[1])))
    with pytest.raises(StartError, match="not an IP address"):
        asyncio.run(scenario(Address("localhost", 5060)))


def test_garbage_does_not_stop_it_and_a_bug_above_does_not_either(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        callee = Party()

        def fail(event: UaEvent) -> None:
            raise RuntimeError("a bug of the user's")

        callee.react = fail
        async with running(callee):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.bind(("127.0.0.1", 0))
                here = Address("127.0.0.1", phone.getsockname()[1])
                via = f"Via: SIP/2.0/UDP 127.0.0.1:{here.port};branch=z9hG4bK"
                rng = random.Random(1)
                there = callee.endpoint.addresses[0][:2]
                for _ in range(200):
                    phone.sendto(rng.randbytes(rng.randint(0, 200)), there)
                phone.sendto(request(via=via + "1", body=SDP), there)
                await callee.until(ev.CallOffered)
                phone.sendto(request("OPTIONS", via=via + "2", call_id="c2"), there)
                phone.setblocking(False)
                loop = asyncio.get_running_loop()
                statuses = set()
                async with asyncio.timeout(3):
                    while not {200, 500} <= statuses:  # the call it cost is told so; the next is answered
                        message = parse((await loop.sock_recvfrom(phone, 4096))[0])
                        assert isinstance(message, Response)
                        statuses.add(message.status)

    asyncio.run(scenario())
    assert "handling a SIP event failed" in caplog.text
