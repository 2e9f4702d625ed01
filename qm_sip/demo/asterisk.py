"""Run the Asterisk 22 of the tree that `chroot` built, with a site's configuration, as long as it is needed.

Each run has a directory of its own inside the tree (configuration, database, control socket, logs), so a
stale socket of an earlier run is never met and nothing outlives the run but the log, which is copied out.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

from qm_sip.demo import audio
from qm_sip.demo.namespace import HostNetwork, Network
from qm_sip.errors import QmSipError

SNIPPETS = Path(__file__).resolve().parents[2] / "config" / "asterisk"
START_S, STOP_S = 20.0, 8.0
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
HOLD_MUSIC_HZ = 440.0
# What Asterisk wants to read besides the site's own files, as Debian ships it.
SHIPPED = ("indications", "stasis", "ccss", "cel", "acl", "udptl", "pjproject")

# The new mount namespace gives Asterisk a /proc that vanishes with it; where it may not be made, it does
# without.
LAUNCH = r"""
root=$1; shift
if unshare --mount true 2>/dev/null; then
    exec unshare --mount -- sh -c 'mount -t proc proc "$0/proc" 2>/dev/null; exec chroot "$0" "$@"' \
        "$root" "$@"
fi
exec chroot "$root" "$@"
"""


class AsteriskError(QmSipError):
    """Asterisk cannot be started, or did not do what it was told."""


class Asterisk:
    """`with Asterisk(root, work, network=here) as pbx:`, booted and ready; `pbx.rx("core show channels")`.

    `root`: the tree. `work`: where its log goes at the end. `site`: its *.conf join the administrator's
    snippets of `config/asterisk`.
    """

    def __init__(
        self, root: Path, work: Path, *, network: Network | None = None, site: Path = SNIPPETS / "site"
    ) -> None:
        self.root, self.work, self.site = root, work, site
        self.network = network or HostNetwork()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: TextIOWrapper | None = None
        self._inside = Path("/run/qm_sip") / f"{os.getpid()}-{time.monotonic_ns()}"

    @property
    def run_directory(self) -> Path:
        return self.root / self._inside.relative_to("/")

    @property
    def log(self) -> Path:
        """Asterisk's own log; after `stop` in `work`."""
        running = self.run_directory / "log" / "full.log"
        return running if running.exists() else self.work / "asterisk.log"

    # ---- start

    def start(self) -> None:
        if os.geteuid() != 0:
            raise AsteriskError("Asterisk runs in a chroot, which needs root")
        self._take_lock()
        try:
            self._write_configuration()
            self._launch()
            self._wait_booted()
        except BaseException:
            self.stop()
            raise

    def _take_lock(self) -> None:
        """Two Asterisks on the same addresses cannot be: without a namespace the second run is refused."""
        if not isinstance(self.network, HostNetwork):
            return
        path = self.root.with_name(self.root.name + ".running")
        self._lock = path.open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            other = self._lock.read().strip()
            self._lock.close()
            self._lock = None
            raise AsteriskError(
                f"the testbed's Asterisk already runs on 127.0.0.1:5060 (process {other}): wait for its end"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _write_configuration(self) -> None:
        for name in ("etc", "var", "spool", "run", "log", "moh"):
            (self.run_directory / name).mkdir(parents=True)
        self._remove_dead_runs()
        for name in SHIPPED:
            shutil.copy(self.root / "etc/asterisk" / f"{name}.conf", self.run_directory / "etc")
        modules = next(
            self.root.glob("usr/lib/**/asterisk/modules")
        )  # with or without the machine in the path
        for source in [*SNIPPETS.glob("*.conf"), *self.site.glob("*.conf")]:
            text = source.read_text().replace("@RUN@", str(self._inside))
            text = text.replace("@MODULES@", "/" + str(modules.relative_to(self.root)))
            (self.run_directory / "etc" / source.name).write_text(text)
        audio.write_wav(self.run_directory / "moh" / "hold.wav", audio.tone(HOLD_MUSIC_HZ, 5.0, dbfs=-20))

    def _remove_dead_runs(self) -> None:
        """A run that was killed left its directory; its name begins with its pid."""
        for other in self.run_directory.parent.iterdir():
            pid = int(other.name.partition("-")[0])
            if not Path(f"/proc/{pid}").exists():
                shutil.rmtree(other, ignore_errors=True)

    def _launch(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        command = ["/bin/sh", "-c", LAUNCH, "launch", str(self.root), *self._asterisk("-f")]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        with (self.work / "asterisk.out").open("wb") as out:
            self._process = subprocess.Popen(
                self.network.inside(command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _asterisk(self, *arguments: str) -> list[str]:
        return ["/usr/sbin/asterisk", "-C", f"{self._inside}/etc/asterisk.conf", *arguments]

    def _wait_booted(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if not self.running:
                break
            if (self.run_directory / "run" / "asterisk.ctl").exists():
                answer = self.rx("core waitfullybooted")
                if "fully booted" in answer:
                    return
            time.sleep(0.05)
        raise AsteriskError(f"Asterisk did not start: {self._last_words()}")

    def _last_words(self) -> str:
        texts = [
            path.read_text(errors="replace")
            for path in (self.work / "asterisk.out", self.log)
            if path.exists()
        ]
        lines = [line for line in "\n".join(texts).splitlines() if "ERROR" in line or "Unable" in line]
        return "; ".join(lines[-3:]) or "it said nothing"

    # ---- while it runs

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def rx(self, command: str) -> str:
        """One command on Asterisk's console; its output without colours."""
        done = subprocess.run(
            ["chroot", str(self.root), *self._asterisk("-rx", command)],
            capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip
        return ESCAPES.sub("", done.stdout)

    def device_state(self, device: str) -> str:
        """What the dialplan sees as `${DEVICE_STATE(device)}`: NOT_INUSE, INUSE, UNAVAILABLE ..."""
        answer = self.rx(f"dialplan eval function DEVICE_STATE({device})")
        found = re.search(r"^Result: *(\S*)", answer, re.MULTILINE)
        return found[1] if found else ""

    def wait_device(self, device: str, state: str, timeout: float = 10.0) -> float:
        """Wait until a device is in a state; returns the seconds it took."""
        begun = time.monotonic()
        while (found := self.device_state(device)) != state:
            if time.monotonic() - begun > timeout:
                raise AsteriskError(f"{device} is {found or 'unknown'}, not {state}, after {timeout} s")
            time.sleep(0.1)
        return time.monotonic() - begun

    def channels(self) -> int:
        """How many channels are up: 0 when every call has ended."""
        return int(self.rx("core show channels count").split(maxsplit=1)[0])

    def wait_idle(self, timeout: float = 8.0) -> None:
        """Wait until no channel is left."""
        until = time.monotonic() + timeout
        while left := self.channels():
            if time.monotonic() > until:
                raise AsteriskError(f"{left} channels are still up: {self.rx('core show channels concise')}")
            time.sleep(0.1)

    # ---- stop

    def stop(self) -> None:
        """End this Asterisk (by its pid), keep its log, remove what it wrote into the tree."""
        if self.running:
            self._end_process()
        log = self.run_directory / "log" / "full.log"
        if log.exists():
            shutil.copyfile(log, self.work / "asterisk.log")
        shutil.rmtree(self.run_directory, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_process(self) -> None:
        assert self._process is not None
        self.rx("core stop now")
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=STOP_S)

    def __enter__(self) -> Asterisk:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
