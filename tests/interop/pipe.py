"""`python -m tests.interop.pipe HOST PORT`: standard input to a TCP port and back, for a port inside a namespace."""

from __future__ import annotations

import os
import select
import socket
import sys


def main() -> None:
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as line:
        print("connected", file=sys.stderr, flush=True)
        while True:
            for ready in select.select([0, line], [], [])[0]:
                data = os.read(0, 65536) if ready == 0 else line.recv(65536)
                if not data:
                    return
                if ready == 0:
                    line.sendall(data)
                else:
                    os.write(1, data)


if __name__ == "__main__":
    main()
