"""A network namespace of our own: loopback addresses, ports and packet counters that meet nothing else here.

Asterisk, qm_sip and the phones of one run all live in it, so a PBX that already listens on port 5060 of
this machine is neither in the way nor disturbed, two runs do not meet, and the rules that count packets
vanish with it. It lives as long as its holder process, and that one as long as the pipe from us: nothing is
left behind.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

from qm_sip.errors import QmSipError

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


class NamespaceError(QmSipError):
    """This machine does not let us make a network namespace (not root, or a container that forbids it)."""


class Namespace:
    """Start with `with Namespace() as here:`; run a program inside with `here.inside([...])`."""

    def __init__(self) -> None:
        command = ["unshare", "--net", "--", sys.executable, "-m", "qm_sip.demo.namespace"]
        try:
            self._holder = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise NamespaceError(f"cannot make a network namespace: {error}") from error
        assert self._holder.stdout is not None
        if self._holder.stdout.readline().strip() != "up":
            _, said = self._holder.communicate(timeout=10)
            raise NamespaceError(f"cannot make a network namespace: {said.strip()}")

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in here; the process keeps its pid (nsenter execs)."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--", *command]

    def close(self) -> None:
        self._holder.communicate(timeout=10)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class HostNetwork:
    """The same face, for who may not make a namespace: the machine's own loopback."""

    def inside(self, command: Sequence[str]) -> list[str]:
        return list(command)

    def close(self) -> None:
        """Nothing to undo."""

    def __enter__(self) -> HostNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Network = Namespace | HostNetwork


def bring_loopback_up() -> None:
    """A new namespace's `lo` is down; `ip link set lo up` in two ioctls (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        request = fcntl.ioctl(channel, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack("16xH14x", request)
        fcntl.ioctl(channel, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def hold() -> None:
    """The holder: make `lo` usable, say so, and stay until the other end of the pipe is gone."""
    bring_loopback_up()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    hold()
