"""Keep-alives of our own, and what becomes of words whose connection breaks. On loopback, over TCP and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from qm_sip.net.limits import Limits
from qm_sip.net.trust import Trust
from qm_sip.sip import events as ev
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, parse
from qm_sip.sip.ua import UserAgentSettings
from tests.net.test_tcp import TCP, Hand, answering, both_loops, party
from tests.net.test_tls import TLS, trust
from tests.net.test_udp import SHORT, Party, running
from tests.sip.network import SDP, request
from tests.support.certificates import Authority

QUICK = Limits(keep_alive=0.2, pong=0.3)
PING = b"\r\n\r\n"


class Callee:
    """A peer by hand that takes our call, and counts pings. `pongs` says of each whether it is answered."""

    def __init__(self, *pongs: bool) -> None:
        self.pongs, self.pings = list(pongs), 0
        self.heard: list[bytes] = []
        self.ended = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Address]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with server:
            yield Address(*server.sockets[0].getsockname(), "tcp")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if data == PING:
                    self.pings += 1
                    if self.pongs.pop(0) if self.pongs else False:
                        writer.write(b"\r\n")
                    continue
                self.heard.append(data)
                message = parse(data)
                if isinstance(message, Request) and message.method == "INVITE":
                    writer.write(answer(message))
        self.ended.set()
        writer.close()


def answer(invite: Request) -> bytes:
    kept = [f"{name}: {invite.get(name)}" for name in ("Via", "From", "Call-ID", "CSeq")]
    lines = [
        "SIP/2.0 200 OK",
        *kept,
        f"To: {invite.get('To')};tag=t",
        "Contact: <sip:x@127.0.0.1:9;transport=tcp>",
    ]
    lines += ["Content-Type: application/sdp", f"Content-Length: {len(SDP)}", "", ""]
    return "\r\n".join(lines).encode() + SDP


async def until(done: Callable[[], bool], within: float = 3.0) -> None:
    async with asyncio.timeout(within):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@both_loops
def test_a_connection_that_a_call_needs_is_pinged_and_one_that_none_needs_is_not(
    run: Callable[..., None],
) -> None:
    async def scenario() -> None:
        callee, us = Callee(*[True] * 99), party(limits=QUICK)
        async with callee.listening() as there, running(us):
            us.call("c", there)
            await us.until(ev.Answered)
            await until(lambda: callee.pings >= 3)
            assert us.ua.counts["garbage"] == 0 and not us.endpoint.streams.counts
            us.ua.bye("c", now=us.now)
            us.endpoint.flush()
            await us.until(ev.LegGone)
            pings = callee.pings
            await asyncio.sleep(0.6)
            assert callee.pings <= pings + 1

    run(scenario())


def test_who_answered_once_must_answer_again() -> None:
    async def scenario() -> None:
        callee, us = Callee(True, True, False), party(limits=QUICK)
        async with callee.listening() as there, running(us):
            us.call("c", there)
            await us.until(ev.Answered)
            await asyncio.wait_for(callee.ended.wait(), 3)
            assert callee.pings == 3 and us.endpoint.streams.counts["no-pong"] == 1

    asyncio.run(scenario())


def test_who_never_answered_may_not_know_of_pings() -> None:
    async def scenario() -> None:
        callee, us = Callee(), party(limits=QUICK)
        async with callee.listening() as there, running(us):
            us.call("c", there)
            await us.until(ev.Answered)
            await until(lambda: callee.pings >= 4)
            assert not callee.ended.is_set() and not us.endpoint.streams.counts

    asyncio.run(scenario())


def test_it_is_silent_only_if_nothing_is_heard_and_0_is_never() -> None:
    async def scenario(limits: Limits) -> int:
        callee, us = Callee(), party(limits=limits)
        async with callee.listening() as there, running(us):
            us.call("c", there)
            await us.until(ev.Answered)
            await asyncio.sleep(0.5)
        return callee.pings

    assert asyncio.run(scenario(Limits(keep_alive=0))) == 0
    assert asyncio.run(scenario(Limits(keep_alive=1))) == 0


def counted(party: Party) -> list[bytes]:
    """The pongs that its one connection sends from now on."""
    (connection,) = party.endpoint.streams._all
    say, pongs = connection._say, []

    def saying(data: bytes) -> None:
        if data == b"\r\n":
            pongs.append(data)
        say(data)

    connection._say = saying  # type: ignore[method-assign]
    return pongs


def test_two_of_us_ping_each_other_for_long_without_noise() -> None:
    """Each pong is taken for what it is: two of them are no ping."""

    async def scenario() -> None:
        caller, callee = party(1, limits=QUICK), answering(party(2, limits=QUICK))
        async with running(caller, callee):
            caller.call("c", callee.endpoint.addresses[0])
            await callee.until(ev.Acknowledged)
            pongs = [counted(one) for one in (caller, callee)]
            await asyncio.sleep(2)
            assert len(pongs[0]) == 0 and 3 <= len(pongs[1]) <= 5
            assert not caller.endpoint.streams.counts and not callee.endpoint.streams.counts

    asyncio.run(scenario())


# --------------------------------------------------------------------------- words whose connection breaks


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return trust(authority.issue("ours", "127.0.0.1"), authority.ca)


@pytest.fixture(params=["tcp", "tls"])
def two(request: pytest.FixtureRequest, trusted: Trust) -> tuple[Party, Party]:
    listen = TCP if request.param == "tcp" else TLS
    return Party(SHORT, 1, (listen,), trust=trusted), answering(Party(SHORT, 2, (listen,), trust=trusted))


def broken(party: Party) -> None:
    """As if its host had lost every connection."""
    for connection in list(party.endpoint.streams._all):
        connection.cut("test")


def test_an_ack_that_was_lost_with_its_connection_is_sent_again(two: tuple[Party, Party]) -> None:
    async def scenario() -> None:
        caller, callee = two
        async with running(caller, callee):
            say = caller.endpoint.streams.send

            def lose_first_ack(data: bytes, destination: Address, local: Address) -> None:
                if data.startswith(b"ACK"):
                    caller.endpoint.streams.send = say  # type: ignore[method-assign]
                    broken(caller)
                    return
                say(data, destination, local)

            caller.endpoint.streams.send = lose_first_ack  # type: ignore[method-assign]
            caller.call("c", callee.endpoint.addresses[0])
            await callee.until(ev.Acknowledged)
            assert not [event for event in callee.events if isinstance(event, ev.Ended)]

    asyncio.run(scenario())


def test_a_2xx_that_was_lost_with_its_connection_is_sent_again(two: tuple[Party, Party]) -> None:
    async def scenario() -> None:
        caller, callee = two
        async with running(caller, callee):
            callee.react = lambda event: None
            caller.call("c", callee.endpoint.addresses[0])
            offer = await callee.until(ev.CallOffered)
            assert isinstance(offer, ev.CallOffered)
            broken(callee)
            callee.ua.answer(offer.leg, SDP, now=callee.now)
            callee.endpoint.flush()
            await caller.until(ev.Answered)
            await callee.until(ev.Acknowledged)

    asyncio.run(scenario())


def test_a_failure_whose_connection_breaks_before_its_ack_is_sent_again(two: tuple[Party, Party]) -> None:
    async def scenario() -> None:
        caller, callee = two
        async with running(caller, callee):
            callee.react = lambda event: None
            caller.call("c", callee.endpoint.addresses[0])
            offer = await callee.until(ev.CallOffered)
            assert isinstance(offer, ev.CallOffered)
            await asyncio.sleep(0.05)  # the 100 has come: the caller will not ask again
            say = callee.endpoint.streams.send

            def lose(data: bytes, destination: Address, local: Address) -> None:
                callee.endpoint.streams.send = say  # type: ignore[method-assign]
                broken(callee)

            callee.endpoint.streams.send = lose  # type: ignore[method-assign]
            callee.ua.reject(offer.leg, 486, now=callee.now)
            callee.endpoint.flush()
            event = await caller.until(ev.Rejected, within=2)
            assert isinstance(event, ev.Rejected) and event.status == 486
            await callee.until(ev.LegGone)
            await caller.until(ev.LegGone)

    asyncio.run(scenario())


def test_what_waits_for_a_connection_that_never_stands_is_counted_and_fails(trusted: Trust) -> None:
    async def scenario() -> None:
        us = Party(UserAgentSettings(), 1, (TLS,), trust=trusted)
        plain = await asyncio.start_server(lambda r, w: w.write(b"SIP/2.0 400 What?\r\n\r\n"), "127.0.0.1", 0)
        async with plain, running(us):
            for number in range(3):
                us.call(f"c{number}", Address(*plain.sockets[0].getsockname(), "tls"))
            event = await us.until(ev.Rejected, number=3, within=2)
            assert isinstance(event, ev.Rejected) and event.status == 503
            assert us.endpoint.lost == 3

    asyncio.run(scenario())


# --------------------------------------------------------------------------- IPv6


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_whole_call_over_ipv6(transport: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusted = trust(authority.issue("six", "::1"), authority.ca)

    async def scenario() -> None:
        listen = (Address("::1", 0, transport),)
        caller, callee = (
            Party(SHORT, 1, listen, trust=trusted),
            answering(Party(SHORT, 2, listen, trust=trusted)),
        )
        async with running(caller, callee):
            there = callee.endpoint.addresses[0]
            local = caller.endpoint.addresses[0]
            caller.ua.invite(
                "c", f"sip:x@[::1]:{there.port}", to="<sip:x@y>", from_="<sip:a@b>", body=SDP,
                destination=there, local=local, now=caller.now,
            )  # fmt: skip
            caller.endpoint.flush()
            offer = await callee.until(ev.CallOffered)
            assert isinstance(offer, ev.CallOffered) and offer.source.host == "::1"
            via = str(offer.request.via)
            assert (
                via.startswith(f"SIP/2.0/{transport.upper()} [::1]:{local.port};") and ";received=::1" in via
            )
            assert f"@[::1]:{local.port}" in offer.request.require("contact")
            await callee.until(ev.Acknowledged)
            caller.ua.bye("c", now=caller.now)
            caller.endpoint.flush()
            await callee.until(ev.LegGone)
            await caller.until(ev.LegGone)

    asyncio.run(scenario())


def test_nobody_at_an_ipv6_address_is_a_503_at_once() -> None:
    async def scenario() -> None:
        us = Party(UserAgentSettings(), 1, (Address("::1", 0), Address("::1", 0, "tcp")))
        with socket.socket(socket.AF_INET6) as taken:
            taken.bind(("::1", 0))
            port = taken.getsockname()[1]
            async with running(us):
                for number, transport in enumerate(("udp", "tcp")):
                    began = time.monotonic()
                    us.call(f"c{number}", Address("::1", port, transport))
                    event = await us.until(ev.Rejected, number=number + 1, within=5)
                    assert isinstance(event, ev.Rejected) and event.status == 503
                    assert time.monotonic() - began < 10  # timer B rings after 32 s

    asyncio.run(scenario())


@both_loops
def test_both_families_on_one_port_and_each_answers_in_its_own(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
            port = probe.getsockname()[1]
        us = party(listen=(Address("::", port, "tcp"), Address("127.0.0.1", port, "tcp")))
        async with running(us):
            for host in ("::1", "127.0.0.1"):
                hand = Hand(*await asyncio.open_connection(host, port))
                hand.say(request("OPTIONS", via="Via: SIP/2.0/TCP x;branch=z9hG4bKx", call_id=host))
                via = (await hand.hears()).get("via") or ""
                assert f"received={host}" in via
                hand.close()

    run(scenario())
