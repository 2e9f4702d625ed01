"""SIPp, a SIP stack that is not ours, calls us and is called by us; also with every n-th packet lost."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
from collections import Counter
from pathlib import Path

import pytest

from qm_sip.net.endpoint import SipEndpoint
from qm_sip.sip import events as ev
from qm_sip.sip.events import Address, UaEvent
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.sip.network import SDP

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp is not installed (Debian: sip-tester)"),
]

CALLS = 60
# Of the calls over a bad wire; the built-in scenarios of SIPp give up where a copy comes that they do not
# expect (an INVITE again while they wait for the ACK), so its verdict is no measure there. Ours is: every leg
# must end, whatever SIPp does.
MOST = int(CALLS * 0.7)
QUICK = UserAgentSettings(t1=0.1, t2=0.8, t4=1.0, timer_d=6.4, ring_timeout=5.0)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A user agent that answers every call, or makes some, and counts what happened."""

    def __init__(self, transport: str = "udp") -> None:
        self.ua = UserAgent(QUICK, random.Random(7), lambda request, source: None)
        self.endpoint = SipEndpoint(self.ua, [Address("127.0.0.1", 0, transport)], self.on_events)
        self.hang_up = True
        self.seen: Counter[str] = Counter()
        self.status: Counter[int] = Counter()

    def on_events(self, happened: list[UaEvent]) -> None:
        now = self.endpoint.now()
        for event in happened:
            self.seen[type(event).__name__] += 1
            if isinstance(event, ev.CallOffered):
                self.ua.provisional(event.leg, 180, now=now)
                self.ua.answer(event.leg, SDP, now=now)
            elif isinstance(event, ev.Answered) and self.hang_up:
                self.ua.bye(event.leg, now=now)
            elif isinstance(event, ev.Rejected):
                self.status[event.status] += 1

    async def all_gone(self) -> None:
        """Until the last leg has ended."""
        async with asyncio.timeout(40):
            while True:
                if self.seen["LegGone"] == CALLS:
                    return
                await asyncio.sleep(0.05)

    def call(self, leg: str, to: Address) -> None:
        here = self.endpoint.addresses[0]
        uri = f"sip:service@{to.host}:{to.port}"
        me = f"<sip:caller@{here.host}:{here.port}>"
        self.ua.invite(
            leg,
            uri,
            to=f"<{uri}>",
            from_=me,
            body=SDP,
            destination=to,
            local=here,
            now=self.endpoint.now(),
        )
        self.endpoint.flush()


async def sipp(*arguments: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sipp",
        *arguments,
        "-i",
        "127.0.0.1",
        "-nostdin",
        "-timeout",
        "60",
        "-trace_err",
        cwd=cwd,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def end(process: asyncio.subprocess.Process) -> int:
    try:
        return await asyncio.wait_for(process.wait(), 70)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("lost", [0, 10], ids=["all arrive", "one in ten lost"])
def test_sipp_calls_us(tmp_path: Path, lost: int) -> None:
    async def scenario() -> None:
        server = Server()
        await server.endpoint.start()
        try:
            host, port, _ = server.endpoint.addresses[0]
            loss = ["-lost", str(lost)] if lost else []
            rate = ["-m", str(CALLS), "-r", "60", "-d", "100"]
            caller = await sipp(
                "-sn", "uac", f"{host}:{port}", "-p", str(free_port()), *rate, *loss, cwd=tmp_path
            )
            assert await end(caller) == 0 or lost
            await server.all_gone()
        finally:
            await server.endpoint.stop()
        assert server.seen["CallOffered"] == server.seen["Ended"] == CALLS
        assert server.seen["Acknowledged"] >= (MOST if lost else CALLS)

    asyncio.run(scenario())


@pytest.mark.parametrize("lost", [0, 10], ids=["all arrive", "one in ten lost"])
def test_we_call_sipp(tmp_path: Path, lost: int) -> None:
    async def scenario() -> None:
        server = Server()
        await server.endpoint.start()
        port = free_port()
        loss = ["-lost", str(lost)] if lost else []
        callee = await sipp("-sn", "uas", "-p", str(port), "-m", str(CALLS), *loss, cwd=tmp_path)
        try:
            await asyncio.sleep(0.5)
            for number in range(CALLS):
                server.call(f"c{number}", Address("127.0.0.1", port))
                await asyncio.sleep(0.01)
            await server.all_gone()
            if not lost:
                assert await end(callee) == 0
        finally:
            if callee.returncode is None:
                callee.kill()
            await server.endpoint.stop()
        assert server.seen["Answered"] + server.seen["Rejected"] == CALLS
        assert server.seen["Answered"] >= (MOST if lost else CALLS)

    asyncio.run(scenario())


# --------------------------------------------------------------------------- over TCP

RATE = ["-m", str(CALLS), "-r", "60", "-d", "100"]
SOCKETS = ["-max_socket", "500"]
MODES = pytest.mark.parametrize("mode", ["t1", "tn"], ids=["one connection", "one a call"])


@MODES
def test_sipp_calls_us_over_tcp(tmp_path: Path, mode: str) -> None:
    async def scenario() -> None:
        server = Server("tcp")
        await server.endpoint.start()
        try:
            host, port, _ = server.endpoint.addresses[0]
            caller = await sipp("-sn", "uac", f"{host}:{port}", "-t", mode, *SOCKETS, *RATE, cwd=tmp_path)
            most = 0
            while caller.returncode is None and server.seen["LegGone"] < CALLS:
                most = max(most, len(server.endpoint.streams))
                await asyncio.sleep(0.02)
            assert await end(caller) == 0
            await server.all_gone()
            assert most == 1 if mode == "t1" else most > 3
        finally:
            await server.endpoint.stop()
        assert server.seen["CallOffered"] == server.seen["Ended"] == server.seen["Acknowledged"] == CALLS
        assert server.ua.counts["garbage"] == 0 and not server.endpoint.streams.counts

    asyncio.run(scenario())


@MODES
def test_we_call_sipp_over_tcp(tmp_path: Path, mode: str) -> None:
    async def scenario() -> None:
        server = Server("tcp")
        await server.endpoint.start()
        port = free_port()
        callee = await sipp(
            "-sn", "uas", "-p", str(port), "-t", mode, *SOCKETS, "-m", str(CALLS), cwd=tmp_path
        )
        try:
            await asyncio.sleep(0.5)
            for number in range(CALLS):
                server.call(f"c{number}", Address("127.0.0.1", port, "tcp"))
                await asyncio.sleep(0.01)
            await server.all_gone()
            assert await end(callee) == 0
        finally:
            if callee.returncode is None:
                callee.kill()
            await server.endpoint.stop()
        assert server.seen["Answered"] == CALLS and server.endpoint.lost == 0

    asyncio.run(scenario())


def test_when_sipp_dies_in_mid_call_its_calls_end_and_the_next_fail_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Server("tcp")
        server.hang_up = False
        await server.endpoint.start()
        port = free_port()
        there = Address("127.0.0.1", port, "tcp")
        callee = await sipp("-sn", "uas", "-p", str(port), "-t", "t1", cwd=tmp_path)
        try:
            await asyncio.sleep(0.5)
            for number in range(20):
                server.call(f"c{number}", there)
            while server.seen["Answered"] < 20:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            callee.kill()
            await callee.wait()
            began = server.endpoint.now()
            for number in range(20):
                server.ua.bye(f"c{number}", now=server.endpoint.now())
            server.call("late", there)
            while server.status[503] < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert server.endpoint.now() - began < 1
            while server.ua.legs:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert server.endpoint.now() - began < 10
        finally:
            if callee.returncode is None:
                callee.kill()
            await server.endpoint.stop()

    asyncio.run(asyncio.wait_for(scenario(), 30))
