"""The live engine: a process of its own, real sockets on loopback, real files, real deaths."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from qm_sip.media import protocol as p
from qm_sip.media.client import MediaEngine
from tests.media.helpers import PROMPT, PROMPT_WAV, RECIPIENT, TYPES, configure, open_journal, rtp

pytestmark = pytest.mark.wire
E = TypeVar("E", bound=p.Event)


class Live:
    """A running engine and what it said."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.engine, self.events = directory, MediaEngine(), list[p.Event]()
        self.deaths: list[int] = []
        self.phones: dict[str, socket.socket] = {}
        self.engine.on_event = self.events.append
        self.engine.on_death = self.deaths.append

    async def event(self, kind: type[E], count: int = 1, seconds: float = 5.0) -> E:
        """Wait for the n-th event of a kind."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [event for event in self.events if isinstance(event, kind)]
            if len(found) >= count:
                return found[count - 1]
            await asyncio.sleep(0.005)
        raise AssertionError(f"no {kind.__name__} in {[type(e).__name__ for e in self.events]}")

    async def open(self) -> dict[str, int]:
        """A call between two phones."""
        self.engine.send(p.OpenCall("c", "main"))
        for channel, leg in enumerate(("caller", "callee")):
            phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            phone.bind(("127.0.0.1", 0))
            phone.setblocking(False)
            self.phones[leg] = phone
            port = phone.getsockname()[1]
            self.engine.send(p.OpenLeg("c", leg, outside=leg == "caller", channel=channel))  # type: ignore[arg-type]
            self.engine.send(p.SetRemote("c", leg, "127.0.0.1", port, port + 1, TYPES, 8))  # type: ignore[arg-type]
        await self.event(p.LegOpened, 2)
        return {e.leg: e.port for e in self.events if isinstance(e, p.LegOpened)}

    def heard(self, leg: str) -> list[bytes]:
        """What that phone has been sent."""
        packets = []
        with contextlib.suppress(BlockingIOError):
            while True:
                packets.append(self.phones[leg].recv(2048))
        return packets

    async def record(self) -> dict[str, int]:
        """Up to a running recording."""
        ports = await self.open()
        self.engine.send(p.Play("c", "caller", "k", PROMPT))
        finished = await self.event(p.PromptFinished)
        self.engine.send(p.Bridge("c", True))
        header = {"class": "quality"}
        self.engine.send(
            p.OpenTap("c", "t", "record", ["coaching"], [finished.proof], {"coaching": [RECIPIENT]}, header)
        )
        await self.event(p.TapOpened)
        await asyncio.sleep(0.21)
        return ports

    async def talk(self, ports: dict[str, int], packets: int) -> None:
        """Both talk, 20 ms a packet."""
        for number in range(packets):
            for leg, port in ports.items():
                self.phones[leg].sendto(rtp(number, leg.encode() * 20, ssrc=len(leg)), ("127.0.0.1", port))
            await asyncio.sleep(0.02)

    def kept(self) -> list[tuple[Any, ...]]:
        """Packets in the journal as it lies on the disk."""
        data, key = (self.directory / "t.qmj").read_bytes(), (self.directory / "t.key").read_bytes()
        return open_journal(data, key).packets


Scenario = Callable[[Live], Awaitable[None]]


def run(directory: Path, scenario: Scenario) -> Live:
    """Start an engine, load a prompt and a line, play the scenario, stop the engine."""

    async def whole() -> Live:
        live = Live(directory)
        (directory / "k1.wav").write_bytes(PROMPT_WAV)
        await live.engine.start()
        try:
            live.engine.send(configure(str(directory), port_low=31000, port_high=31200))
            wav = str(directory / "k1.wav")
            live.engine.send(p.LoadPrompt(PROMPT, wav, "Voorbeeld", "nl", ["record"], ["coaching"]))
            live.engine.send(p.LoadLine("main", [PROMPT]))
            await live.event(p.PromptLoaded)
            await scenario(live)
        finally:
            await live.engine.stop()
            for phone in live.phones.values():
                phone.close()
        return live

    return asyncio.run(whole())


def test_a_call_is_announced_relayed_and_recorded(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        ports = await live.record()
        assert 45 <= len(live.heard("caller")) <= 55
        live.heard("callee")
        await live.talk(ports, 50)
        live.engine.send(p.CloseTap("c", "t", "ended"))
        closed = await live.event(p.TapClosed)
        assert closed.packets == [50, 50]
        assert [packet[12:] for packet in live.heard("callee")] == [b"caller" * 20] * 50
        assert [packet[12:] for packet in live.heard("caller")] == [b"callee" * 20] * 50
        assert len(live.kept()) == 100
        assert (tmp_path / "t.key").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "t.qmj").stat().st_size == closed.bytes

    live = run(tmp_path, scenario)
    assert live.deaths == []


def test_kernel_arrival_times_are_on_the_monotonic_clock(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        ports = await live.record()
        before = time.monotonic_ns()
        await live.talk(ports, 10)
        after = time.monotonic_ns()
        live.engine.send(p.CloseTap("c", "t", "ended"))
        await live.event(p.TapClosed)
        arrivals = [packet[5] for packet in live.kept()]
        assert before - 1_000_000 <= min(arrivals) <= max(arrivals) <= after

    run(tmp_path, scenario)


def test_a_refusal_by_icmp_fails_the_prompt(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        await live.open()
        live.phones["caller"].close()
        live.engine.send(p.Play("c", "caller", "k", PROMPT))
        failed = await live.event(p.PromptFailed)
        assert failed.reason == "icmp"
        assert not [e for e in live.events if isinstance(e, p.PromptFinished)]

    run(tmp_path, scenario)


def test_strangers_on_a_live_port_are_dropped(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        ports = await live.open()
        live.engine.send(p.Bridge("c", True))
        await live.talk(ports, 2)
        live.heard("callee")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(rtp(9), ("127.0.0.1", ports["caller"]))
            stranger.sendto(b"x" * 1500, ("127.0.0.1", ports["caller"]))
            stranger.sendto(b"", ("127.0.0.1", ports["caller"]))
        await asyncio.sleep(0.05)
        live.engine.send(p.CloseLeg("c", "caller"))
        assert (await live.event(p.LegClosed)).strangers == 3
        assert live.heard("callee") == []

    run(tmp_path, scenario)


def test_a_killed_engine_is_noticed_and_its_journal_is_whole_to_the_last_half_second(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        ports = await live.record()
        await live.talk(ports, 60)
        assert live.engine.pid is not None
        os.kill(live.engine.pid, signal.SIGKILL)
        for _ in range(200):
            if live.deaths:
                break
            await asyncio.sleep(0.01)
        assert live.deaths == [-signal.SIGKILL]
        assert len(live.kept()) >= 2 * (60 - 30)

    run(tmp_path, scenario)


def precedences(pid: int | None) -> dict[str, int]:
    """The niceness of each thread of an engine, by its name; the first one is that of the packets."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = "packets" if task.name == str(pid) else (task / "comm").read_text().strip()
        found[name] = os.getpriority(os.PRIO_PROCESS, int(task.name))
    return found


def test_packets_come_before_the_disk_and_the_disk_before_nobody(tmp_path: Path) -> None:
    """Precedence is the packet thread's alone; sealing and syncing stand in line with everything else."""
    nice: dict[str, int] = {}

    async def scenario(live: Live) -> None:
        for _ in range(200):
            found = precedences(live.engine.pid)
            if "python" not in found:
                break
            await asyncio.sleep(0.01)  # a thread names itself once it runs
        nice.update(found)

    run(tmp_path, scenario)
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    may = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - (ours - 10)
    assert nice == {
        "packets": ours - 10 if may else ours,
        "qm-append": ours,
        "qm-sync": ours,
        "prompts": ours,
    }


def test_signals_do_not_end_the_engine(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        assert live.engine.pid is not None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(live.engine.pid, number)
        live.engine.send(p.Stats())
        counters = (await live.event(p.StatsReport)).counters
        assert counters["calls"] == 0

    assert run(tmp_path, scenario).deaths == []


def test_when_the_server_dies_the_engine_closes_its_journals_and_ends(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        ports = await live.record()
        await live.talk(ports, 40)
        assert live.engine._socket is not None
        assert live.engine._process is not None
        live.engine._socket.shutdown(socket.SHUT_RDWR)
        assert await asyncio.wait_for(live.engine._process.wait(), 5) == 0
        data, key = (tmp_path / "t.qmj").read_bytes(), (tmp_path / "t.key").read_bytes()
        kind, body = open_journal(data, key).records[-1]
        assert (kind, body[8:]) == (5, b"control-lost")

    run(tmp_path, scenario)


def test_without_leases_the_live_engine_pauses(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        live.engine.send(configure(str(tmp_path), lease_ms=300))
        await live.record()
        paused = await live.event(p.TapPaused)
        assert (paused.on, paused.reason) == (True, "lease")
        await live.event(p.TapPaused, 2)

    run(tmp_path, scenario)


def test_an_existing_journal_is_never_written_over(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        (tmp_path / "t.qmj").write_bytes(b"an older journal")
        await live.open()
        live.engine.send(p.Play("c", "caller", "k", PROMPT))
        proof = (await live.event(p.PromptFinished)).proof
        live.engine.send(p.OpenTap("c", "t", "record", ["coaching"], [proof], {"coaching": [RECIPIENT]}, {}))
        assert (await live.event(p.TapRefused)).reason == "journal-failed"
        assert (tmp_path / "t.qmj").read_bytes() == b"an older journal"
        assert not (tmp_path / "t.key").exists()

    run(tmp_path, scenario)


def test_a_taken_port_is_passed_over(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 31001))
            ports = await live.open()
            low, high = sorted(ports.values())
            assert 31000 < low < high and low % 2 == high % 2 == 0  # a pair is free only if both of it are

    run(tmp_path, scenario)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system of its own needs root")
def test_a_full_disk_fails_the_tap_and_not_the_call(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=16k tmpfs {small}") != 0:
        pytest.skip("mounting is not allowed here")

    async def scenario(live: Live) -> None:
        ports = await live.record()
        await live.talk(ports, 80)
        assert (await live.event(p.TapFailed)).reason == "disk-full"
        live.heard("callee")
        await live.talk(ports, 5)
        await asyncio.sleep(0.05)
        assert len(live.heard("callee")) == 5

    def on_small(live: Live) -> Awaitable[None]:
        live.engine.send(configure(str(small), port_low=31000, port_high=31200))
        return scenario(live)

    try:
        run(tmp_path, on_small)
    finally:
        os.system(f"umount {small}")


def test_the_agent_s_code_makes_the_call_private_and_its_cut_is_on_the_disk(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        ports = await live.record()
        live.engine.send(p.WatchKeys("c", "callee", {"*1": "private"}, drop_before_ms=200))
        await live.talk(ports, 25)
        live.heard("caller")
        began = time.monotonic_ns()
        for stamp, event in ((5000, 10), (6000, 1)):
            for flags in (0x0A, 0x8A, 0x8A, 0x8A):
                packet = rtp(stamp, bytes([event, flags, 0, 160]), pt=101, ts=stamp, ssrc=6)
                live.phones["callee"].sendto(packet, ("127.0.0.1", ports["callee"]))
        made = await live.event(p.MadePrivate)
        closed = await live.event(p.TapClosed)
        assert closed.reason == "private"
        assert closed.bytes == (tmp_path / "t.qmj").stat().st_size
        assert began <= made.at_ns < began + 50_000_000
        data, key = (tmp_path / "t.qmj").read_bytes(), (tmp_path / "t.key").read_bytes()
        cuts = [struct.unpack("<QQ", body) for kind, body in open_journal(data, key).records if kind == 3]
        assert cuts == [(made.cut_from_ns, made.at_ns)]
        assert max(packet[5] for packet in live.kept()) < made.cut_from_ns, "held back, and dropped"
        await live.talk(ports, 10)
        assert [packet[12:] for packet in live.heard("caller")] == [b"callee" * 20] * 10, "no key of the code"
        live.engine.send(p.CloseCall("c"))
        counted = {e.leg: e.received for e in [await live.event(p.LegClosed, n) for n in (1, 2)]}
        assert counted["caller"] == 25

    run(tmp_path, scenario)


def test_a_supervisor_hears_a_live_call(tmp_path: Path) -> None:
    async def scenario(live: Live) -> None:
        wav = str(tmp_path / "k1.wav")
        live.engine.send(p.LoadPrompt(PROMPT, wav, "Voorbeeld", "nl", ["listen"], ["coaching"]))
        ports = await live.open()
        phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.bind(("127.0.0.1", 0))
        phone.setblocking(False)
        live.phones["ear"] = phone
        live.engine.send(p.OpenCall("ear", ""))
        live.engine.send(p.OpenLeg("ear", "caller", outside=False, channel=0))
        port = phone.getsockname()[1]
        live.engine.send(p.SetRemote("ear", "caller", "127.0.0.1", port, port + 1, TYPES, 8))
        live.engine.send(p.Play("c", "caller", "k", PROMPT))
        live.engine.send(p.Play("c", "callee", "n", PROMPT, for_tap="l"))
        proofs = {e.play: e.proof for e in [await live.event(p.PromptFinished, n) for n in (1, 2)]}
        live.engine.send(p.Bridge("c", True))
        to = {"call": "ear", "leg": "caller"}
        live.engine.send(p.OpenTap("c", "l", "listen", ["coaching"], [proofs["k"]], {}, {}, proofs["n"], to))
        await live.event(p.TapOpened)
        await asyncio.sleep(0.2)
        live.heard("ear")
        begun = time.monotonic()
        for number in range(40):
            loud = rtp(number, b"\xaa" * 160, ssrc=6)
            live.phones["caller"].sendto(loud, ("127.0.0.1", ports["caller"]))
            await asyncio.sleep(max(0.0, begun + 0.02 * (number + 1) - time.monotonic()))
        await asyncio.sleep(0.6)
        said = b"".join(packet[12:] for packet in live.heard("ear"))
        # A busy machine may hold a packet up for longer than a listener waits.
        assert 35 * 160 <= said.count(b"\xaa") <= 40 * 160

    run(tmp_path, scenario)
