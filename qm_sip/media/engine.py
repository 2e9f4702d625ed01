"""The engine's process: `python -m qm_sip.media.engine FD`. Started by `MediaEngine`, never forked.

Signals are not for it: it ends when the server says so or is gone (the socket closes), and then closes its
journals first. It leaves no core file: the keys of running journals are in its memory.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys

from qm_sip import _media


def main(arguments: list[str]) -> int:
    """Serve on the descriptor named by the one argument."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        print("usage: python -m qm_sip.media.engine FD (started by qm-sip serve)", file=sys.stderr)  # noqa: T201
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_many_sockets()
    _media.run(int(arguments[0]), _come_first)
    return 0


def _allow_many_sockets() -> None:
    """Four sockets a call: raise the soft limit as far as the hard one allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _come_first() -> None:
    """Audio does not wait for signalling, sealing or rendering, where we may say so (root, or systemd's LimitNICE=-10).

    Linux takes it of this thread, the one of the packets: its threads that write the disk have begun by now.
    """
    with contextlib.suppress(PermissionError):
        os.nice(-10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
