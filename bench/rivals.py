"""The programs that set-ups are compared with: Asterisk 22 bridging, and sippy's back-to-back user agent.

Each is a context with the face of `bench.server.Server`: a target to call, CPU and memory so far, ready when entered.
Both run as kindly as we can: nothing logged but trouble, no call records, of Asterisk only the modules it needs.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from bench import processes
from bench.load import ROOT, BenchBroke
from bench.machine import cpus, pinned
from qm_sip.demo import chroot
from qm_sip.demo.asterisk import Asterisk, AsteriskError
from qm_sip.demo.namespace import HostNetwork

AGENT = "127.0.0.1:5072"  # where the load program's agents are


class Missing(Exception):
    """This program is not here to be compared with; the text says why."""


class Pinned(HostNetwork):
    """The machine's own network, and one CPU of it."""

    def inside(self, command: Sequence[str]) -> list[str]:
        return pinned(list(command), cpus().tested)


class AsteriskBridge:
    """Asterisk 22 from the demo's tree: `Dial`, media through it, no recording."""

    target = "127.0.0.1:5060"

    def __init__(self) -> None:
        root = chroot.home()
        if not chroot.is_built(root) or os.geteuid() != 0:
            raise Missing("its tree is not built (`make asterisk`), or we are not root")
        self.version = f"Asterisk {chroot.version(root)}"
        self._root = root

    def __enter__(self) -> AsteriskBridge:
        self._work = tempfile.TemporaryDirectory(prefix="qm_sip-bench-")
        site = ROOT / "bench" / "asterisk"
        self._pbx = Asterisk(self._root, Path(self._work.name), network=Pinned(), site=site)
        try:
            self._pbx.start()
        except AsteriskError as error:
            self._work.cleanup()
            raise BenchBroke(str(error)) from None
        return self

    def usage(self) -> processes.Usage:
        return processes.usage(self._pbx.pid)

    def memory(self) -> int:
        return processes.memory(self._pbx.pid)

    def settled(self) -> None:
        """Nothing is left to do once a call has ended."""

    def said(self) -> str:
        return self._pbx.log.read_text(errors="replace")[-500:]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pbx.stop()
        self._work.cleanup()


class Sippy:
    """`b2bua_simple` of sippy: each call is handed on with its SDP as it is; media goes past it."""

    target = "127.0.0.1:5080"

    def __init__(self) -> None:
        if importlib.util.find_spec("sippy") is None:
            raise Missing("it is not installed (`pip install -c constraints.txt '.[bench]'`)")
        self.version = f"sippy {importlib.metadata.version('sippy')}"

    def __enter__(self) -> Sippy:
        host, port = self.target.split(":")
        words = [sys.executable, "-m", "sippy.b2bua_simple", "-f", "-l", host, "-p", port, "-n", AGENT]
        quiet = os.environ | {"SIPLOG_BEND": "none"}
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            pinned(words, cpus().tested), env=quiet, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 20
        while not _listens(int(port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise BenchBroke(f"sippy did not start: {self.said()}")
            time.sleep(0.1)
        return self

    def usage(self) -> processes.Usage:
        return processes.usage(self._process.pid)

    def memory(self) -> int:
        return processes.memory(self._process.pid)

    def settled(self) -> None:
        """Nothing is left to do once a call has ended."""

    def said(self) -> str:
        self._log.seek(0)
        return re.sub(rb"[^\x20-\x7e\n]", b"?", self._log.read())[-500:].decode()

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._log.close()


def _listens(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
