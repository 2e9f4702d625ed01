"""SIPp with our own scenarios, straight or behind a line that loses, doubles and swaps every n-th packet.

The line has the address and port by which the server knows the party, and SIPp sits behind it on the same address:
its Via and Contact name the line, so that every message of a call takes it.
"""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.wire.party import Address
from tests.wire.scenario import written

PROGRAM = shutil.which("sipp")
SCENARIOS = Path(__file__).parent / "scenarios"
LINE, BEHIND, PHONE, RTP = 5060, 5065, 5070, 30_000


LATEST = 0.08  # seconds that a packet is held back for the next one to overtake it


class Spoils(NamedTuple):
    """What a line does to every n-th packet; 0 is nothing."""

    drop: int = 0
    double: int = 0
    swap: int = 0

    def __str__(self) -> str:
        return f"1/{self.drop} lost, 1/{self.double} doubled, 1/{self.swap} swapped".replace("1/0", "none")


FAIR = Spoils()


class Line:
    """Carries datagrams between the server and a SIPp, and spoils some."""

    def __init__(self, address: str, server: Address, spoils: Spoils) -> None:
        self._server, self._phone, self._spoils = server, (address, PHONE), spoils
        self.carried, self.spoiled = 0, Counter[str]()
        self._held: dict[
            socket.socket, tuple[float, bytes]
        ] = {}  # by the end that it came to, and until when
        self._front, self._back, self._ear = (_bound(address, port) for port in (LINE, BEHIND, RTP))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(5)
        for end in (self._front, self._back, self._ear):
            end.close()

    def _run(self) -> None:
        ends = [self._front, self._back]
        while not self._done.is_set():
            ready, _, _ = select.select(ends, [], [], LATEST / 4 if self._held else 0.1)
            for end in ready:
                try:
                    data = end.recv(65_536)
                except ConnectionError:
                    continue  # SIPp has gone
                self._carry(end, data)
            for end, (until, _) in list(self._held.items()):
                if time.monotonic() >= until:
                    self._let_go(end)

    def _carry(self, end: socket.socket, data: bytes) -> None:
        self.carried += 1
        drop, double, swap = (bool(every) and self.carried % every == 0 for every in self._spoils)
        if drop:
            self.spoiled["drop"] += 1
        elif swap and end not in self._held:
            self.spoiled["swap"] += 1
            self._held[end] = time.monotonic() + LATEST, data
        else:
            if double:
                self.spoiled["double"] += 1
                self._pass(end, data)
            self._pass(end, data)
            self._let_go(end)

    def _let_go(self, end: socket.socket) -> None:
        if end in self._held:
            self._pass(end, self._held.pop(end)[1])

    def _pass(self, end: socket.socket, data: bytes) -> None:
        out, to = (self._back, self._phone) if end is self._front else (self._front, self._server)
        out.sendto(data, to)


def _bound(address: str, port: int) -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind((address, port))
    return end


@dataclass(frozen=True)
class Flow:
    """Who calls which number, who answers, and what both lines do."""

    number: str
    caller: str
    callee: str
    spoils: Spoils = FAIR
    called: int = 1  # how many calls reach the callee for each of the caller's

    def __str__(self) -> str:
        return f"{self.number}, {self.caller}, {self.callee}, {self.spoils}"


class Pair:
    """The two SIPp of one flow."""

    def __init__(self, flow: Flow, near: str, far: str, server: Address, work: Path, *, calls: int, rate: int,
                 hold_ms: int, within: int) -> None:  # fmt: skip
        self.flow, self._stack = flow, ExitStack()
        self._work = work / f"{flow.number}-{flow.caller}-{near}"
        self._work.mkdir()
        common = ["-d", str(hold_ms), "-nostdin", "-trace_err", "-timeout", f"{within}s",
                  "-timeout_error", "-p", str(PHONE)]  # fmt: skip
        try:
            self.lines = [self._stack.enter_context(Line(at, server, flow.spoils)) for at in (near, far)]
            self._callee = self._start(flow.callee, far, ["-m", str(calls * flow.called), *common])
            dial = [
                *common,
                "-m",
                str(calls),
                "-s",
                flow.number,
                "-r",
                str(rate),
                "-l",
                "10000",
                f"{near}:{BEHIND}",
            ]
            self._caller = self._start(flow.caller, near, dial)
        except BaseException:
            self.close()
            raise

    def _start(self, scenario: str, address: str, options: list[str]) -> subprocess.Popen[bytes]:
        assert PROGRAM is not None
        line = [PROGRAM, "-sf", str(self._path(scenario)), "-i", address, *options]
        with (self._work / f"{scenario}.out").open("wb") as out:
            process = subprocess.Popen(line, cwd=self._work, stdout=out, stderr=subprocess.STDOUT)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def _path(self, scenario: str) -> Path:
        text = written(scenario)
        if text is None:
            return SCENARIOS / f"{scenario}.xml"
        path = self._work / f"{scenario}.xml"
        path.write_text(text)
        return path

    def failures(self, within: float) -> str:
        """What SIPp says went wrong; nothing if every call went as its scenario says."""
        ended = {"caller": self.caller_ended(within), "callee": _ended(self._callee, within)}
        wrong = [f"{self.flow}: the {who} ended with {status}\n" for who, status in ended.items() if status]
        logs = [path.read_text(errors="replace")[:1500] for path in self._work.glob("*errors.log")]
        return "".join([*wrong, *logs]) if wrong else ""

    def caller_ended(self, within: float) -> int:
        """0: every call went as its scenario says; 1: not all did; 255 or -1: one of them never ended."""
        return _ended(self._caller, within)

    def close(self) -> None:
        self._stack.close()


def _ended(process: subprocess.Popen[bytes], within: float) -> int:
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        return -1
