"""`qm-sip serve` in a process of its own, with its storage, socket and keys under one directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from qm_sip.control import client
from qm_sip.demo.namespace import HostNetwork, Network
from qm_sip.errors import QmSipError

TREE = Path(__file__).resolve().parents[2]
EXAMPLES = TREE / "config" / "examples"
READY_S, STOP_S = 20.0, 15.0
COMMAND = (sys.executable, "-c", "from qm_sip.cli.main import main; main()")


class ServerError(QmSipError):
    """The server did not start, or did not end when told to."""


def qm_sip(*arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60) -> str:
    """Run one `qm-sip` command; its standard output. Raises ServerError with what it said."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=_environment(environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(f"qm-sip {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Server:
    """`with Server(config, work, network=here) as server:`, ready for calls; `server.ask("calls")`.

    `work` holds storage and log; recordings are sealed to a key pair of our own in `work/keys`.
    """

    def __init__(
        self,
        config: Path,
        work: Path,
        *,
        network: Network | None = None,
        purposes: tuple[str, ...] = ("coaching",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config, self.work = config, work
        self.network = network or HostNetwork()
        self.log = work / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []
        work.mkdir(parents=True, exist_ok=True)
        # Keys of running journals live in memory, and a Unix socket's path is short: neither fits in `work`.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._memory = Path(tempfile.mkdtemp(prefix="qm_sip-", dir=memory))
        self.socket = self._memory / "control"
        self.environment = {
            "QM_SIP_STORAGE_DIRECTORY": str(work / "storage"),
            "QM_SIP_STORAGE_KEY_DIRECTORY": str(self._memory / "keys"),
            "QM_SIP_STORAGE_HOST_KEY": str(work / "host.key"),
            "QM_SIP_CONTROL_SOCKET": str(self.socket),
            "QM_SIP_PROMPTS_DIRECTORY": str(TREE / "config" / "prompts"),
            **(environment or {}),
        }
        (self._memory / "keys").mkdir(mode=0o700)
        for purpose in purposes:
            self._make_keys(purpose)

    # ---- keys

    def _make_keys(self, purpose: str) -> None:
        from qm_sip.recorder import keys

        (made,) = keys.generate(self.work / "keys", [purpose])
        self.environment[f"QM_SIP_KEYS_{purpose.upper()}_RECIPIENTS"] = made.recipient
        self.identity = made.path

    # ---- start and stop

    def start(self) -> None:
        ready = self._memory / "ready"
        ready.unlink(missing_ok=True)
        command = [*COMMAND, "serve", "--config", str(self.config), "--ready-file", str(ready)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.network.inside(command),
                env=_environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._groups.append(self._process.pid)
        until = time.monotonic() + READY_S
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise ServerError(f"qm-sip serve did not start: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        said = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(said[-4:]) or "it said nothing"

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        return client.call(self.socket, what, **arguments)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9 of the server process, as a crash would: nothing is said, nothing is tidied."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=STOP_S)

    def stop(self) -> None:
        """SIGTERM, as an administrator would; then whatever is left of the process groups we made."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=STOP_S)
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._groups.clear()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._memory, ignore_errors=True)

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our own environment, this checkout importable, and the settings."""
    paths = [str(TREE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}
