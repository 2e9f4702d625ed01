"""A real DNS server (dnsmasq) for tests, with the records that a test gives it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAM = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"


class NameServer:
    """It runs between `start` and `stop`, on an address and port of its own; every record is good for a second."""

    def __init__(self, home: Path, host: str = "127.0.0.1") -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            self.at = probe.getsockname()

    def start(self, zone: str) -> None:
        rules = self._home / "dnsmasq.conf"
        rules.write_text(zone)
        line = [PROGRAM, "--keep-in-foreground", "--no-resolv", "--no-hosts", "--local=/example/", "--user="]
        line += [
            "--bind-interfaces",
            f"--listen-address={self.at[0]}",
            f"--port={self.at[1]}",
            f"--conf-file={rules}",
        ]
        line += ["--pid-file=", "--local-ttl=1"]
        self._process = subprocess.Popen(line, stderr=subprocess.PIPE)
        until = time.monotonic() + 5
        while not self._listens():
            assert self._process.poll() is None and time.monotonic() < until, "dnsmasq does not start"
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:  # it answers over TCP as well
            return probe.connect_ex(self.at) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
