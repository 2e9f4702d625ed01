"""The media engine alone: the real process, told what `qm-sip serve` would tell it, without SIP.

Each call has two legs, hears a short prompt, is recorded with the proof of it, and is bridged. Then the load
program sends media through. What this costs is what of a recorded call's cost is media.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import pyrage

from bench import processes
from bench.load import ROOT, BenchBroke, LoadProgram, Report, losses, trustworthy
from bench.machine import cpus, pinned
from qm_sip.media import protocol as say

CODECS = {"8": "PCMA/8000", "101": "telephone-event/8000"}
LINE, PURPOSE = "bench", "contract_evidence"
CUSTOMERS, AGENTS = ("127.20.0.1", 6000), ("127.40.0.1", 6002)  # the load program's own places
ANSWER_WITHIN = 20.0
Heard = TypeVar("Heard", bound=say.Event)


@dataclass
class Engine:
    """The engine's process and the socket to it. A thread listens and renews the lease."""

    directory: Path
    events: list[say.Event] = field(default_factory=list)

    def __enter__(self) -> Engine:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, "-m", "qm_sip.media.engine", str(theirs.fileno())]
        self.process = subprocess.Popen(pinned(words, cpus().tested), cwd=ROOT, pass_fds=[theirs.fileno()])
        theirs.close()
        self.news = threading.Condition()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.leases = threading.Event()
        self.lessor = threading.Thread(target=self._renew, daemon=True)
        self.listener.start()
        self.lessor.start()
        return self

    def do(self, *commands: say.Command) -> None:
        for command in commands:
            self.socket.send(json.dumps(command.to_json()).encode())

    def _listen(self) -> None:
        while data := self.socket.recv(1 << 16):
            event = say.read_event(json.loads(data))
            with self.news:
                self.events.append(event)
                self.news.notify_all()

    def _renew(self) -> None:
        while not self.leases.wait(1.0):
            self.do(say.Lease())

    def wait_for(self, kind: type[Heard], how_many: int) -> list[Heard]:
        """All events of that kind so far, once there are so many; what went wrong is raised."""
        deadline = time.monotonic() + ANSWER_WITHIN
        with self.news:
            while True:
                failed = [one for one in self.events if isinstance(one, FAILURES)]
                if failed:
                    raise BenchBroke(f"the engine said: {failed[0]}")
                found = [one for one in self.events if isinstance(one, kind)]
                if len(found) >= how_many:
                    return found
                if not self.news.wait(deadline - time.monotonic()):
                    raise BenchBroke(f"the engine: {len(found)} of {how_many} {kind.__name__}")

    def usage(self) -> processes.Usage:
        return processes.usage(self.process.pid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leases.set()
        self.lessor.join()
        try:
            self.do(say.Shutdown())
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.socket.close()


FAILURES = (say.CommandFailed, say.PromptRefused, say.PromptFailed, say.TapRefused, say.TapFailed)


def _prompt(directory: Path) -> say.LoadPrompt:
    """A fifth of a second of silence, as a WAV."""
    path = directory / "prompt.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 1600))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return say.LoadPrompt(digest, str(path), "Bench", "en", ["record"], [PURPOSE])


def _start(engine: Engine, directory: Path) -> str:
    journals, keys = directory / "journals", directory / "keys"
    journals.mkdir()
    keys.mkdir()
    prompt = _prompt(directory)
    engine.do(
        say.Configure("127.0.0.1", 20_000, 59_998, str(journals), str(keys)),
        say.Lease(),
        prompt,
        say.LoadLine(LINE, [prompt.prompt]),
    )
    engine.wait_for(say.PromptLoaded, 1)
    return prompt.prompt


def _address(side: tuple[str, int], call: int) -> tuple[str, int]:
    """The load program's phone number `call` of that side."""
    number = int.from_bytes(socket.inet_aton(side[0]), "big") + call
    return socket.inet_ntoa(number.to_bytes(4, "big")), side[1]


def _remote(name: str, leg: say.LegName, at: tuple[str, int]) -> say.SetRemote:
    return say.SetRemote(name, leg, at[0], at[1], at[1] + 1, CODECS, 8)


def _open(engine: Engine, calls: int, prompt: str) -> list[dict[str, str]]:
    """Open every call and play its prompt. Returns where the phones send to, in order."""
    for call in range(calls):
        name = f"c{call}"
        engine.do(
            say.OpenCall(name, LINE),
            say.OpenLeg(name, "caller", True, 0),
            say.OpenLeg(name, "callee", False, 1),
            _remote(name, "caller", _address(CUSTOMERS, call)),
            _remote(name, "callee", _address(AGENTS, call)),
            say.Play(name, "caller", f"p{call}", prompt),
        )
        engine.wait_for(say.LegOpened, 2 * call + 2)  # not faster than it can follow
    opened = engine.wait_for(say.LegOpened, 2 * calls)
    ports = {(event.call, event.leg): f"{event.address}:{event.port}" for event in opened}
    return [
        {"customer": ports[f"c{call}", "caller"], "agent": ports[f"c{call}", "callee"]}
        for call in range(calls)
    ]


@contextmanager
def _phones_ring() -> Iterator[None]:
    """Somebody listens at the phones' ports until the calls are bridged: a refused prompt is no proof."""
    ports = [side[1] + plus for side in (CUSTOMERS, AGENTS) for plus in (0, 1)]
    with ExitStack() as stack:
        for port in ports:
            phone = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            phone.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            phone.bind(("", port))
        yield


def _connect(engine: Engine, calls: int, *, recorded: bool) -> None:
    """When a call's prompt has been played it is tapped, with that proof, and bridged."""
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    for done in engine.wait_for(say.PromptFinished, calls):
        if recorded:
            proofs, recipients = [done.proof], {PURPOSE: [recipient]}
            tap = say.OpenTap(done.call, f"t-{done.call}", "record", [PURPOSE], proofs, recipients, {})
            engine.do(tap)
        engine.do(say.Bridge(done.call, True))
    engine.wait_for(say.TapOpened, calls if recorded else 0)


def measure(load: LoadProgram, calls: int, seconds: float, *, recorded: bool = True) -> Report:
    """`calls` through a fresh engine for `seconds`; recorded, or only relayed."""
    with tempfile.TemporaryDirectory(prefix="qm_sip-bench-") as name, Engine(Path(name)) as engine:
        with _phones_ring():
            pairs = _open(engine, calls, _start(engine, Path(name)))
            _connect(engine, calls, recorded=recorded)
        time.sleep(0.5)
        marks: list[tuple[float, processes.Usage]] = []
        window = threading.Thread(target=_read_window, args=(engine, seconds, marks))
        window.start()
        report = load.run("rtp", {"seconds": seconds}, text=json.dumps(pairs))
        window.join()
        kept = _close(engine, calls) if recorded else 0
    (began, before), (ended, after) = marks
    used, minutes = after.since(before), calls * (ended - began) / 60
    carrying = used.carrying / minutes
    return {
        "calls": calls,
        "connected": report["connected"],
        "recorded": recorded,
        "losses": losses(report),
        "packets": report["to_agent"]["received"] + report["to_customer"]["received"],
        "packets_kept": kept,
        "delay": report["delay_steady"],
        "load": report["own"],
        "doubts": trustworthy(report),
        "cpu": {
            "carrying_s_per_call_minute": carrying,
            "calls_per_core": 60 / carrying if carrying else 0.0,
            "cpu_us_per_packet": carrying / 60 / 100 * 1e6,
            "by_thread_s": used.busiest(8),
            "window_s": ended - began,
        },
    }


def _read_window(engine: Engine, seconds: float, marks: list[tuple[float, processes.Usage]]) -> None:
    """The engine's CPU one second after the media began, and half a second before it ends."""
    time.sleep(1.0)
    marks.append((time.monotonic(), engine.usage()))
    time.sleep(seconds - 1.5)
    marks.append((time.monotonic(), engine.usage()))


def _close(engine: Engine, calls: int) -> int:
    """End every call; the packets that stand in the journals."""
    for call in range(calls):
        engine.do(say.CloseTap(f"c{call}", f"t-c{call}", "ended"), say.CloseCall(f"c{call}"))
    return sum(sum(event.packets) for event in engine.wait_for(say.TapClosed, calls))
