"""sippy's `b2bua_simple`, one on the way to us and one on the way from us, and a phone behind the two."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from typing import ClassVar

from tests.interop.ground import BEHIND, PEER, RECORDER, SIP
from tests.interop.peers.behind import Behind
from tests.support.recorded import until

TOWARDS_US = 5062


class Sippy(Behind):
    name = "sippy"
    what = "a B2BUA (`b2bua_simple`), a phone behind it"
    transports: ClassVar[tuple[str, ...]] = ("udp",)  # it has no other but WSS

    @property
    def face(self) -> str:
        return f"{PEER}:{TOWARDS_US}"

    def launch(self) -> None:
        self.version = importlib.metadata.version("sippy")
        self._run(TOWARDS_US, f"{RECORDER}:{SIP}")
        self._run(5060, f"{BEHIND}:5060")
        until(self._both_listen, 10, "sippy")

    def _run(self, port: int, next_hop: str) -> None:
        line = [sys.executable, "-m", "sippy.b2bua_simple", "-f", "-l", PEER, "-p", str(port), "-n", next_hop]
        environment = {**os.environ, "SIPLOG_LOGFILE_FILE": str(self.ground.work / f"sippy-{port}.log")}
        self.ground.start(line, f"sippy-{port}", env=environment)

    def _both_listen(self) -> bool:
        shown = subprocess.run(
            self.ground.network.inside(["ss", "-lun"]), capture_output=True, text=True, check=True
        )
        return all(f"{PEER}:{port}" in shown.stdout for port in (TOWARDS_US, 5060))
