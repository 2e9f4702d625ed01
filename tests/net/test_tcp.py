"""The TCP shell on loopback: real connections, real clock, and peers that are not friends."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from qm_sip.errors import StartError
from qm_sip.net.limits import Limits
from qm_sip.sip import events as ev
from qm_sip.sip.events import Address, UaEvent
from qm_sip.sip.message import MAX_BYTES, Response, parse
from qm_sip.sip.ua import UserAgentSettings
from tests.net.test_udp import SHORT, Party, running
from tests.sip.network import SDP, request
from tests.support.cost import ticking

TCP, UDP = Address("127.0.0.1", 0, "tcp"), Address("127.0.0.1", 0)
Scenario = Callable[[], Awaitable[None]]
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def party(
    seed: int = 1, listen: tuple[Address, ...] = (TCP,), settings: UserAgentSettings = SHORT, **endpoint: Any
) -> Party:
    return Party(settings, seed, listen, **endpoint)


def answering(callee: Party) -> Party:
    def answer(event: UaEvent) -> None:
        if isinstance(event, ev.CallOffered):
            callee.ua.provisional(event.leg, 180, now=callee.now)
            callee.ua.answer(event.leg, SDP, now=callee.now)

    callee.react = answer
    return callee


def options(number: int = 0, body: bytes = b"") -> bytes:
    via = f"Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{number}"
    return request("OPTIONS", via=via, call_id=f"c{number}", body=body)


class Hand:
    """A connection held by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, where: Party | Address, host: str = "127.0.0.1") -> Hand:
        address = where if isinstance(where, Address) else where.endpoint.addresses[0]
        return cls(*await asyncio.open_connection(*address[:2], local_addr=(host, 0)))

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hears(self, within: float = 10.0) -> Response:
        async with asyncio.timeout(within):
            message = parse(await self.reader.readuntil(b"\r\n\r\n"))
        assert isinstance(message, Response)
        return message

    async def is_cut(self, within: float) -> float:
        """How long until the other side ends it, in the loop's own time; in real time it may be some more."""
        async with ticking() as ticks, asyncio.timeout(5 * within):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
            return ticks.seconds

    def close(self) -> None:
        self.writer.close()


@both_loops
def test_a_whole_call_over_one_connection(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        caller, callee = party(1), answering(party(2))
        async with running(caller, callee):
            caller.call("c", callee.endpoint.addresses[0])
            await callee.until(ev.Acknowledged)
            assert len(callee.endpoint.streams) == 1
            callee_leg = callee.events[0]
            assert isinstance(callee_leg, ev.CallOffered) and callee_leg.source.transport == "tcp"
            caller.ua.bye("c", now=caller.now)
            caller.endpoint.flush()
            await callee.until(ev.LegGone)
            await caller.until(ev.LegGone)
        assert [type(e).__name__ for e in caller.events] == ["Progressed", "Answered", "LegGone"]

    run(scenario())


@both_loops
def test_calls_both_ways_between_two_share_connections(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        one, two = answering(party(1)), answering(party(2))
        async with running(one, two):
            for number in range(20):
                one.call(f"a{number}", two.endpoint.addresses[0])
                two.call(f"b{number}", one.endpoint.addresses[0])
            await two.until(ev.Answered, number=20)
            await one.until(ev.Answered, number=20)
            await one.until(ev.Acknowledged, number=20)
            await two.until(ev.Acknowledged, number=20)
            assert len(one.endpoint.streams) <= 2 and len(two.endpoint.streams) <= 2

    run(scenario())


def test_udp_and_tcp_on_one_port_and_each_answers_as_it_was_asked() -> None:
    async def scenario() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        both = party(listen=(Address("127.0.0.1", port), Address("127.0.0.1", port, "tcp")))
        async with running(both):
            hand = await Hand.to(both)
            hand.say(options(1))
            answer = await hand.hears()
            assert answer.status == 200 and f":{port};transport=tcp>" in (answer.get("contact") or "")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.bind(("127.0.0.1", 0))
                phone.setblocking(False)
                via = "Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKo"
                phone.sendto(request("OPTIONS", via=via), ("127.0.0.1", port))
                data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(phone, 4096), 3)
                assert f"<sip:qm@127.0.0.1:{port}>".encode() in data
            hand.close()

    asyncio.run(scenario())


def nobody() -> Address:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", taken.getsockname()[1], "tcp")


@both_loops
def test_a_peer_that_is_not_there_is_a_503_at_once(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        caller = party(settings=UserAgentSettings())
        async with running(caller):
            began = caller.now
            caller.call("c", nobody())
            event = await caller.until(ev.Rejected, within=2)
            assert isinstance(event, ev.Rejected) and event.status == 503
            assert caller.now - began < 0.5 and len(caller.endpoint.streams) == 0

    run(scenario())


def test_a_peer_that_answers_no_connection_is_a_503_soon() -> None:

    async def scenario() -> None:
        caller = party(settings=UserAgentSettings(), limits=Limits(connect=0.3))
        with socket.socket() as full:  # its queue is full: SYNs are dropped
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            there = Address("127.0.0.1", full.getsockname()[1], "tcp")
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(there[:2])
            async with running(caller):
                caller.call("c", there)
                event = await caller.until(ev.Rejected, within=2)
                assert isinstance(event, ev.Rejected) and event.status == 503
            for filler in fillers:
                filler.close()

    asyncio.run(scenario())


@both_loops
def test_who_takes_calls_and_hangs_up_at_once_is_asked_twice(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        heard: list[bytes] = []

        async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        server = await asyncio.start_server(slam, "127.0.0.1", 0)
        caller = party(settings=UserAgentSettings())
        async with server, running(caller):
            caller.call("c", Address(*server.sockets[0].getsockname(), "tcp"))
            event = await caller.until(ev.Rejected, within=3)
            assert isinstance(event, ev.Rejected) and event.status == 503
        assert len(heard) == 2 and heard[0] == heard[1]

    run(scenario())


@both_loops
def test_a_connection_dropped_in_mid_call_costs_nothing(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        caller, callee = party(1), answering(party(2))
        async with running(caller, callee):
            caller.call("c", callee.endpoint.addresses[0])
            await callee.until(ev.Acknowledged)
            for connection in list(callee.endpoint.streams._all):
                connection.cut("test")
            await asyncio.sleep(0.1)
            assert len(caller.endpoint.streams) == len(callee.endpoint.streams) == 0
            assert not [e for e in (*caller.events, *callee.events) if isinstance(e, ev.Ended | ev.LegGone)]
            offer = next(e for e in callee.events if isinstance(e, ev.CallOffered))
            callee.ua.bye(offer.leg, now=callee.now)  # by a connection of his own
            callee.endpoint.flush()
            await caller.until(ev.Ended)
            await callee.until(ev.LegGone)
            await caller.until(ev.LegGone)

    run(scenario())


@both_loops
def test_bytes_one_by_one_two_messages_at_once_and_keep_alives(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        us = party()
        async with running(us):
            hand = await Hand.to(us)
            for byte in b"\r\n" + options(1):
                hand.say(bytes([byte]))
                await asyncio.sleep(0)
            assert (await hand.hears()).call_id == "c1"
            hand.say(options(2, b"\r\n\r\nx") + b"\r\n\r\n" + options(3))
            assert [(await hand.hears()).call_id for _ in range(2)] == [
                "c2",
                "c3",
            ]  # the pong stands before one of them
            hand.say(b"\r\n\r\n")
            assert await asyncio.wait_for(hand.reader.readexactly(2), 1) == b"\r\n"
            assert us.ua.counts["received"] == 3 and us.ua.counts["garbage"] == 0
            hand.close()

    run(scenario())


@pytest.mark.parametrize(
    "data",
    [options(1).replace(b"Content-Length: 0\r\n", b""), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
     b"\xff" * (MAX_BYTES + 1), options(1).replace(b"Length: 0", b"Length: 99999")],
    ids=["no length", "http", "no end", "too long"],
)  # fmt: skip
def test_a_stream_without_edges_is_closed_and_what_came_before_answered(data: bytes) -> None:
    async def scenario() -> None:
        us = party()
        async with running(us):
            hand, other = await Hand.to(us), await Hand.to(us)
            hand.say(options(0) + data)
            assert (await hand.hears()).call_id == "c0"
            assert await hand.is_cut(2) < 1
            other.say(options(5))
            assert (await other.hears()).call_id == "c5"
            assert us.endpoint.streams.counts["unframed"] == 1
            other.close()

    asyncio.run(scenario())


def test_garbage_does_not_stop_it() -> None:
    async def scenario() -> None:
        us, rng = party(), random.Random(1)
        async with running(us):
            for _ in range(200):
                with contextlib.suppress(ConnectionError):
                    hand = await Hand.to(us)
                    data = bytearray(options(1) * 2)
                    for _ in range(rng.randint(0, 9)):
                        data[rng.randrange(len(data))] = rng.randrange(256)
                    hand.say(bytes(data) if rng.random() < 0.7 else rng.randbytes(rng.randint(0, 500)))
                    hand.close()
            hand = await Hand.to(us)
            hand.say(options(2))
            assert (await hand.hears()).call_id == "c2"
            hand.close()
            await asyncio.sleep(0.2)
            assert len(us.endpoint.streams) <= 1

    asyncio.run(scenario())


@both_loops
def test_bytes_that_drip_in_do_not_hold_a_connection(
    run: Callable[..., None],
) -> None:

    async def scenario() -> None:
        us = party(limits=Limits(slow=0.5))
        async with running(us):
            hand, steady = await Hand.to(us), await Hand.to(us)
            began = time.monotonic()
            async with ticking() as ticks:
                with contextlib.suppress(ConnectionError):
                    for number, byte in enumerate(options(1) * 3):
                        hand.say(bytes([byte]))
                        await hand.writer.drain()
                        if number % 5 == 0:  # whole messages, but each takes two writes
                            half = len(options(number)) // 2
                            steady.say(options(number)[:half])
                            await asyncio.sleep(0.05)
                            steady.say(options(number)[half:])
                            await steady.hears()
                        if us.endpoint.streams.counts["slow"]:
                            break
                assert ticks.seconds < 1.5
            assert time.monotonic() - began > 0.4
            assert await hand.is_cut(1) < 0.5
            steady.say(options(99999))
            assert (await steady.hears()).call_id == "c99999"
            steady.close()

    run(scenario())


@both_loops
def test_who_always_has_half_a_message_under_way_is_not_slow(
    run: Callable[..., None],
) -> None:

    async def scenario() -> None:
        us = party(limits=Limits(slow=0.3))
        async with running(us):
            hand, half = await Hand.to(us), len(options(1)) // 2
            hand.say(options(1)[:half])
            for number in range(1, 9):
                await asyncio.sleep(0.1)
                hand.say(options(number)[half:] + options(number + 1)[:half])
                assert (await hand.hears()).call_id == f"c{number}"
            assert await hand.is_cut(2) < 0.5

    run(scenario())


def test_a_large_request_for_which_there_is_no_connection_leaves_by_udp_at_once() -> None:

    async def scenario() -> None:
        caller, callee = party(1, (UDP, TCP), UserAgentSettings(), limits=Limits(most=0)), party(2, (UDP,))
        async with running(caller, callee):
            to, local = callee.endpoint.addresses[0], caller.endpoint.addresses[0]
            caller.ua.invite(
                "c",
                "sip:x@y",
                to="<sip:x@y>",
                from_="<sip:a@b>",
                headers=[("X-Long", "x" * 1300)],
                body=SDP,
                destination=to,
                local=local,
                now=caller.now,
            )
            caller.endpoint.flush()
            await callee.until(ev.CallOffered, within=0.3)

    asyncio.run(scenario())


@both_loops
def test_a_peer_that_reads_nothing_is_cut_and_nobody_waits_for_it(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        us = party()
        async with running(us):
            ear = socket.socket()
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            ear.connect(us.endpoint.addresses[0][:2])
            deaf, other = Hand(*await asyncio.open_connection(sock=ear)), await Hand.to(us)
            deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]
            slowest = 0.0
            async with ticking() as ticks:
                for number in range(100_000):
                    deaf.writer.write(options(number) * 40)
                    if number % 10 == 0:
                        began = ticks.seconds
                        other.say(options(10**6 + number))
                        await other.hears()
                        slowest = max(slowest, ticks.seconds - began)
                    await asyncio.sleep(0)
                    if us.endpoint.streams.counts["stalled"]:
                        break
            assert us.endpoint.streams.counts["stalled"] == 1
            assert slowest < 0.5
            await asyncio.sleep(0.05)
            assert len(us.endpoint.streams) == 1
            other.close()
            deaf.close()

    run(scenario())


@both_loops
def test_an_idle_connection_is_closed_unless_a_call_goes_over_it(
    run: Callable[..., None],
) -> None:

    async def scenario() -> None:
        caller, callee = party(1), answering(party(2, limits=Limits(idle=0.3)))
        async with running(caller, callee):
            idle = await Hand.to(callee)
            caller.call("c", callee.endpoint.addresses[0])
            await callee.until(ev.Acknowledged)
            began = time.monotonic()
            assert await idle.is_cut(2) < 1 and time.monotonic() - began > 0.2
            await asyncio.sleep(0.5)
            assert len(callee.endpoint.streams) == 1
            caller.ua.bye("c", now=caller.now)
            caller.endpoint.flush()
            await callee.until(ev.LegGone)
            async with asyncio.timeout(3):
                while len(callee.endpoint.streams):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    run(scenario())


@both_loops
def test_strangers_get_few_connections_and_short_ones(
    run: Callable[..., None],
) -> None:

    async def scenario() -> None:
        limits = Limits(stranger_idle=0.5, of_strangers=6)
        us = party(known=lambda host, names: host == "127.0.0.1", limits=limits)
        async with running(us):
            one = [await Hand.to(us, "127.0.0.2") for _ in range(limits.of_a_stranger + 2)]
            two = [await Hand.to(us, "127.0.0.3") for _ in range(limits.of_a_stranger)]
            three = [await Hand.to(us, "127.0.0.4") for _ in range(2)]
            friends = [await Hand.to(us) for _ in range(20)]
            await asyncio.sleep(0.1)
            assert us.endpoint.streams.counts["too-many"] == 2 + 2 + 2
            assert len(us.endpoint.streams) == 26
            for number, friend in enumerate(friends):
                friend.say(options(number))
                await friend.hears()
            assert max([await hand.is_cut(2) for hand in (*one, *two, *three)]) < 1
            assert len(us.endpoint.streams) == 20
            for friend in friends:
                friend.close()

    run(scenario())


def test_of_one_peer_and_altogether_there_are_only_so_many() -> None:

    async def scenario() -> None:
        us = party(settings=UserAgentSettings(), limits=Limits(of_a_peer=5, most=8))
        async with running(us):
            hands = [await Hand.to(us, f"127.0.0.{host}") for host in (2, 3) for _ in range(6)]
            await asyncio.sleep(0.1)
            assert len(us.endpoint.streams) == 8
            us.call("c", nobody())  # nor do we make one
            event = await us.until(ev.Rejected, within=1)
            assert isinstance(event, ev.Rejected) and event.status == 503
            for hand in hands:
                hand.close()
            await asyncio.sleep(0.1)
            assert len(us.endpoint.streams) == 0
            hand = await Hand.to(us)
            hand.say(options(1))
            assert (await hand.hears()).status == 200
            hand.close()

    asyncio.run(scenario())


def test_what_is_said_on_one_connection_arrives_in_order() -> None:
    """Item 22: 18x before 200, before anything that follows, even where the connection had to be made first."""

    async def scenario() -> None:
        order: list[str] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not reader.at_eof():
                with contextlib.suppress(asyncio.IncompleteReadError):
                    head = await reader.readuntil(b"\r\n\r\n")
                    order.append(parse(head + await reader.readexactly(len(SDP))).call_id)
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        caller = party(settings=UserAgentSettings())
        async with server, running(caller):
            for number in range(200):
                caller.call(f"c{number}", Address(*server.sockets[0].getsockname(), "tcp"))
            said = [leg.invite.request.call_id for leg in caller.ua._core.legs.values()]  # type: ignore[attr-defined]
            async with asyncio.timeout(5):
                while len(order) < 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert order == said

    asyncio.run(scenario())


@both_loops
def test_the_last_words_leave_when_it_stops(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        us = party()
        await us.endpoint.start()
        hand = await Hand.to(us)
        hand.say(options(1))
        await hand.hears()
        caller_sees = request("INVITE", via="Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKi", body=SDP)
        hand.say(caller_sees)
        offer = await us.until(ev.CallOffered)
        assert isinstance(offer, ev.CallOffered)
        us.ua.reject(offer.leg, 486, now=us.now)
        await us.endpoint.stop()
        assert [(await hand.hears()).status for _ in range(2)] == [100, 486]
        assert await hand.is_cut(1) < 0.5
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await Hand.to(us)

    run(scenario())


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    async def scenario(address: Address) -> None:
        await party(listen=(UDP, address)).endpoint.start()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartError, match="cannot listen on tcp"):
            asyncio.run(scenario(Address("127.0.0.1", taken.getsockname()[1], "tcp")))
    with pytest.raises(StartError, match="not an IP address"):
        asyncio.run(scenario(Address("localhost", 5060, "tcp")))
