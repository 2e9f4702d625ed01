"""SIPp with our own scenarios, straight or behind a line that loses every n-th packet.

The line has the address and port by which the server knows the party, and SIPp sits behind it on the same address:
its Via and Contact name the line, so that every message of a call takes it.
"""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.wire.party import Address

PROGRAM = shutil.which("sipp")
SCENARIOS = Path(__file__).parent / "scenarios"
LINE, BEHIND, PHONE, RTP = 5060, 5065, 5070, 30_000


class Line:
    """Carries datagrams between the server and a SIPp, but every n-th; 0 loses none."""

    def __init__(self, address: str, server: Address, every: int) -> None:
        self._server, self._phone, self._every = server, (address, PHONE), every
        self.carried = self.dropped = 0
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
        across = {self._front: (self._back, self._phone), self._back: (self._front, self._server)}
        while not self._done.is_set():
            ready, _, _ = select.select(list(across), [], [], 0.1)
            for end in ready:
                try:
                    data = end.recv(65_536)
                except ConnectionError:
                    continue  # SIPp has gone
                self.carried += 1
                if self._every and self.carried % self._every == 0:
                    self.dropped += 1
                else:
                    across[end][0].sendto(data, across[end][1])


def _bound(address: str, port: int) -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind((address, port))
    return end


@dataclass(frozen=True)
class Flow:
    """Who calls which number, who answers, and which packets are lost on both lines."""

    number: str
    caller: str
    callee: str
    every: int = 0

    def __str__(self) -> str:
        return f"{self.number}, {self.caller}, {self.callee}, every {self.every}. packet lost"


class Pair:
    """The two SIPp of one flow."""

    def __init__(self, flow: Flow, near: str, far: str, server: Address, work: Path, *, calls: int, rate: int,
                 hold_ms: int, within: int) -> None:  # fmt: skip
        self.flow, self._stack = flow, ExitStack()
        self._work = work / f"{flow.number}-{flow.caller}-{flow.every}-{near}"
        self._work.mkdir()
        common = ["-m", str(calls), "-d", str(hold_ms), "-nostdin", "-trace_err", "-timeout", f"{within}s",
                  "-timeout_error", "-p", str(PHONE)]  # fmt: skip
        try:
            self.lines = [self._stack.enter_context(Line(at, server, flow.every)) for at in (near, far)]
            self._callee = self._start(flow.callee, far, common)
            dial = [*common, "-s", flow.number, "-r", str(rate), "-l", "10000", f"{near}:{BEHIND}"]
            self._caller = self._start(flow.caller, near, dial)
        except BaseException:
            self.close()
            raise

    def _start(self, scenario: str, address: str, options: list[str]) -> subprocess.Popen[bytes]:
        assert PROGRAM is not None
        line = [PROGRAM, "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", address, *options]
        with (self._work / f"{scenario}.out").open("wb") as out:
            process = subprocess.Popen(line, cwd=self._work, stdout=out, stderr=subprocess.STDOUT)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

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
