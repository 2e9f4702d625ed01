"""Build, once, a Debian tree that holds an Asterisk for the demo and the tests.

    python3 -m qm_sip.demo.chroot            # prints the tree's path, builds it first if need be
    python3 -m qm_sip.demo.chroot 16         # the same for Asterisk 16, which only the interop tests want

Debian stable has no Asterisk package; unstable has Asterisk 22, and `bullseye` still has 16. A tree lies outside
the checkout, in `~/.cache/qm_sip/asterisk-22` (`QM_SIP_TESTBED` names another place, `QM_SIP_TESTBED_16` one for
16), about 400 MB. The mirror is the one that apt on this machine already uses (`QM_SIP_DEBIAN_MIRROR` names
another). Only the standard library is used here,
so that this runs before anything else is installed. Two builders at once: the second waits for the first
and uses its tree.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SERIES = "22"  # the demo's, and of every test that does not ask for another
SUITES = {"22": "sid", "16": "bullseye"}  # where Debian keeps each series
FORMAT = "1"  # raise it when a tree built by an older version of this file must not be used again
MARKER = "etc/qm_sip-testbed"
TRIES = 4
LOCK_WAIT_S = 900.0
APT_SETTINGS = ('Acquire::Retries "3";', 'Acquire::Languages "none";', 'Acquire::Check-Valid-Until "false";')


class ChrootError(Exception):
    """The tree cannot be built here; the text says why and what to do."""


def home(series: str = SERIES) -> Path:
    """Where the tree is, or will be."""
    named = os.environ.get("QM_SIP_TESTBED" if series == SERIES else f"QM_SIP_TESTBED_{series}")
    return Path(named) if named else Path.home() / ".cache" / "qm_sip" / f"asterisk-{series}"


def is_built(root: Path) -> bool:
    try:
        return (root / MARKER).read_text().split()[0] == FORMAT
    except (OSError, IndexError):
        return False


def ensure(root: Path | None = None, *, series: str = SERIES) -> Path:
    """Return the tree, built if it was not there. Raises ChrootError with a text for people."""
    if series not in SUITES:
        raise ChrootError(f"no Debian suite is known for Asterisk {series}: there are {', '.join(SUITES)}")
    root = root or home(series)
    if is_built(root):
        return root
    if os.geteuid() != 0:
        raise ChrootError("building the Asterisk tree needs root: run it once with sudo, then go on")
    with _locked(root.with_name(root.name + ".lock")):
        if not is_built(root):
            _build(root, series)
    return root


def version(root: Path) -> str:
    """The Asterisk version in the tree, as its marker says (`22.10.1`)."""
    return (root / MARKER).read_text().split()[1]


# --------------------------------------------------------------------------- building


def _build(root: Path, series: str) -> None:
    suite = SUITES[series]
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(root.name + ".partial")
    _install_debootstrap()
    mirror = find_mirror()
    _say(f"building {root} from {mirror} (once, one to three minutes)")
    _retry(lambda: _debootstrap(partial, mirror, suite))
    _prepare(partial, mirror, suite)
    _retry(lambda: _install_asterisk(partial))
    found = _installed_version(partial, series)
    (partial / MARKER).write_text(f"{FORMAT} {found}\n")
    _remove_tree(root)
    partial.rename(root)
    _say(f"Asterisk {found} is ready in {root}")


def find_mirror() -> str:
    """The Debian mirror of this machine's own apt configuration, which also holds the other suites."""
    named = os.environ.get("QM_SIP_DEBIAN_MIRROR")
    if named:
        return named
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ChrootError(
            f"apt cannot be asked for its mirror ({error}): set QM_SIP_DEBIAN_MIRROR"
        ) from error
    mirror = choose_mirror(listed.splitlines())
    if mirror is None:
        raise ChrootError("apt's configuration names no Debian mirror: set QM_SIP_DEBIAN_MIRROR")
    return mirror


def choose_mirror(uris: Sequence[str]) -> str | None:
    """The first archive that is Debian's main one: not security, not somebody's own repository beside it."""
    for uri in uris:
        path = uri.rstrip("/")
        if re.search(r"/debian$", path):
            return path
    return next((uri.rstrip("/") for uri in uris if "debian" in uri and "security" not in uri), None)


def _install_debootstrap() -> None:
    if shutil.which("debootstrap"):
        return
    _say("installing debootstrap")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _retry(lambda: _run(["apt-get", "update", "-q"], env=environment))
    _retry(
        lambda: _run(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", "debootstrap"], env=environment
        )
    )


def _debootstrap(partial: Path, mirror: str, suite: str) -> None:
    _remove_tree(partial)
    include = ["--include=ca-certificates"] if mirror.startswith("https:") else []
    try:
        _run(["debootstrap", "--variant=minbase", *include, suite, str(partial), mirror], timeout=600)
    finally:
        _unmount_below(partial)


def _prepare(partial: Path, mirror: str, suite: str) -> None:
    """What a chroot needs from its host: names, apt's proxy, and the rule that no package starts services."""
    (partial / "etc/apt/sources.list").write_text(f"deb {mirror} {suite} main\n")
    (partial / "etc/apt/apt.conf.d/90qm_sip").write_text(apt_settings(_apt_configuration()))
    shutil.copyfile("/etc/resolv.conf", partial / "etc/resolv.conf")
    # Without the host's own name in /etc/hosts Asterisk asks the DNS in every call: nine seconds, not 5 ms.
    (partial / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n::1 localhost\n")
    policy = partial / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def apt_settings(host: str) -> str:
    """Retries, no languages, and the proxy that the host's apt uses (a chroot does not see its files).

    A frozen or slow mirror's list is often older than its week of validity; its signature is checked all the
    same.
    """
    proxies = [line for line in host.splitlines() if re.match(r"Acquire::https?::Proxy\b", line)]
    return "\n".join([*proxies, *APT_SETTINGS, ""])


def _apt_configuration() -> str:
    command = ["apt-config", "dump"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _install_asterisk(partial: Path) -> None:
    environment = {
        "DEBIAN_FRONTEND": "noninteractive",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
    }
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        if name in os.environ:
            environment[name] = os.environ[name]
    inside = ["chroot", str(partial), "apt-get", "-q", "-y"]
    _run([*inside, "update"], env=environment, timeout=300)
    _run([*inside, "install", "--no-install-recommends", "asterisk"], env=environment, timeout=600)
    _run([*inside, "clean"], env=environment)


def _installed_version(partial: Path, series: str) -> str:
    printed = subprocess.run(
        ["chroot", str(partial), "asterisk", "-V"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    match = re.match(r"Asterisk ([0-9.]+)", printed)
    if not match or match[1].split(".")[0] != series:
        raise ChrootError(
            f"Debian {SUITES[series]} now has {printed.strip()!r}; this testbed is written for Asterisk {series}"
        )
    return match[1]


# --------------------------------------------------------------------------- small helpers


def _run(command: Sequence[str], *, env: dict[str, str] | None = None, timeout: float = 300) -> None:
    """Run a command, its output to our standard error: on standard output is only the path."""
    subprocess.run(command, check=True, env=env, timeout=timeout, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _retry(step: Callable[[], None]) -> None:
    """Mirrors fail for a moment now and then: try a step a few times before giving up."""
    for attempt in range(1, TRIES + 1):
        try:
            step()
            return
        except subprocess.SubprocessError as error:
            if attempt == TRIES:
                raise ChrootError(f"gave up after {TRIES} tries: {error}") from error
            _say(f"try {attempt} of {TRIES} failed ({error}); again in {5 * attempt} s")
            time.sleep(5 * attempt)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        until = time.monotonic() + LOCK_WAIT_S
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise ChrootError(f"another build holds {path} for too long") from None
                if not told:
                    _say("another build of the tree is running; waiting for it")
                    told = True
                time.sleep(1)
        yield


def _unmount_below(directory: Path) -> None:
    """An interrupted debootstrap leaves /proc and /sys mounted in its tree: unmount before removing it."""
    prefix = str(directory.resolve()) + "/"
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(prefix)), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, timeout=30)


def _remove_tree(directory: Path) -> None:
    if directory.exists():
        _unmount_below(directory)
        shutil.rmtree(directory)


def _say(text: str) -> None:
    print(f"asterisk: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command of its own


def main() -> int:
    try:
        print(ensure(series=sys.argv[1] if sys.argv[1:] else SERIES))  # noqa: T201 - the path is this command's answer
    except ChrootError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
