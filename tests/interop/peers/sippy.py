"""sippy's `b2bua_simple`, one on the way to us and one on the way from us, and a phone behind the two."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from typing import ClassVar

from tests.interop.ground import BEHIND, PEER, RECORDER, SIP
from tests.interop.peers.base import Lack
from tests.interop.peers.behind import Behind
from tests.support.recorded import until

TOWARDS_US = 5062
PACKAGE = str(importlib.metadata.distribution("sippy").locate_file("sippy"))
CORE = f"{PACKAGE}/U*.py"
NO_PRACK = Lack("It knows no PRACK", "its `U*.py`", CORE, ("'PRACK'",))


class Sippy(Behind):
    name = "sippy"
    what = "a B2BUA (`b2bua_simple`), a phone behind it"
    transports: ClassVar[tuple[str, ...]] = ("udp",)
    without: ClassVar[dict[str, Lack]] = {
        name: Lack(
            "It has UDP and WSS alone",
            "its `*_server.py`",
            f"{PACKAGE}/*_server.py",
            ("SOCK_STREAM",),
        )
        for name in ("tcp", "tls")
    }
    fails: ClassVar[dict[str, str]] = {
        "udp attended transfer": "Its REFER has a Replaces that names dialogs of its other side (the third "
        "says 481), and it hangs up before it is told so."
    }
    lacks: ClassVar[dict[str, Lack]] = {
        "peer sends PRACK": NO_PRACK,
        "peer gets PRACK": NO_PRACK,
        "session timer": Lack("It knows no session timers", "its `U*.py`", CORE, ("Session-Expires",)),
    }

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
