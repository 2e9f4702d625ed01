"""A party over TCP or TLS, by hand: it listens, it connects, and it cuts what it says where it likes."""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from pathlib import Path

from tests.wire.party import WAIT, Address, Message, Party


class StreamParty(Party):
    """As `Party`, on connections. What is said goes by the newest connection to the server that stands, else by a new
    one; an answer by the connection of its request, else to where the request's Via says.
    """

    transport = "TCP"

    def __init__(
        self, address: str, server: Address, *, also_udp: bool = False, port: int = 5060, rtp: int = 30_000
    ) -> None:
        super().__init__(address, server, port=port, rtp=rtp)
        self._also_udp = also_udp
        self.cut = 0  # bytes of a piece; 0: all at once
        self.pongs = 0
        self.refused = 0  # connections that ended without a word of ours
        self.ends: dict[Address, socket.socket] = {}
        self._rest: dict[Address, bytes] = {}
        self._held: list[bytes] | None = None
        self._door = socket.socket(self.socket.family)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._door.bind((address, self.port))
        self._door.listen()

    def __exit__(self, *wrong: object) -> None:
        self.drop()
        self._door.close()
        super().__exit__(None, None, None)

    @property
    def contact(self) -> str:
        return f"<sip:me@{self.host}:{self.port};transport={self.transport.lower()}>"

    # ---- saying

    def send(self, text: str | bytes, to: Address | None = None) -> None:
        data = text.encode() if isinstance(text, str) else text
        if self._held is not None:
            self._held.append(data)
            return
        end = self.ends.get(to) if to is not None else next(reversed(self.ends.values()), None)
        self._write(end or self.connect(), data)

    def _write(self, end: socket.socket, data: bytes) -> None:
        size = self.cut or len(data)
        for at in range(0, len(data), size):
            end.sendall(data[at : at + size])
            if self.cut:
                time.sleep(0.0005)  # a segment of its own

    def connect(self) -> socket.socket:
        """One more connection to the server, from any port that is free."""
        end = socket.socket(self.socket.family)
        end.bind((self.address, 0))
        end.settimeout(WAIT)
        end.connect(self.server)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Its own port tells our connections apart; the server's, those that the server made.
        name = end.getsockname()[:2]
        self.ends[name] = end = self.secured(end, server=False)
        return end

    def secured(self, end: socket.socket, *, server: bool) -> socket.socket:
        """What is spoken through: over TCP the connection itself."""
        return end

    def hold_back(self) -> None:
        """Say nothing until `let_go`, and then all at once."""
        self._held = []

    def let_go(self) -> None:
        held, self._held = self._held or [], None
        self.send(b"".join(held))

    def drop(self) -> None:
        """End every connection, as a peer does that has crashed."""
        for end in self.ends.values():
            end.close()
        self.ends.clear()
        self._rest.clear()

    # ---- hearing

    def pump(self, seconds: float) -> None:
        until = time.monotonic() + max(seconds, 0)
        before = len(self.heard)
        while True:
            sockets = {end: name for name, end in self.ends.items()}
            extra = [self.socket] if self._also_udp else []
            left = max(0.0, until - time.monotonic()) if len(self.heard) == before else 0
            ready, _, _ = select.select([self._door, *sockets, *extra], [], [], left)
            if not ready:
                return
            for end in ready:
                if end is self._door:
                    made, source = self._door.accept()
                    self.ends[source[:2]] = self.secured(made, server=True)
                elif end is self.socket:
                    super().pump(0)
                else:
                    self._read(end, sockets[end])

    def _read(self, end: socket.socket, name: Address) -> None:
        try:
            data = end.recv(65_536)
            while isinstance(end, ssl.SSLSocket) and end.pending():
                data += end.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.refused += 1
            self.ends.pop(name, None)
            end.close()
            return
        data = self._rest.pop(name, b"") + data
        while data:
            if data.startswith(b"\r\n"):
                self.pongs += 1
                data = data[2:]
                continue
            head, blank, rest = data.partition(b"\r\n\r\n")
            found = re.search(rb"\r\nContent-Length: (\d+)", head)
            if not blank or (found and len(rest) < int(found[1])):
                self._rest[name] = data
                return
            assert found, "a message on a stream without Content-Length"
            size = int(found[1])
            self._take(head + blank + rest[:size], name)
            data = rest[size:]

    def _take(self, data: bytes, name: Address) -> None:
        self.copies[data] = self.copies.get(data, 0) + 1
        if self.copies[data] == 1:
            self.heard.append(Message.read(data, name))


class TlsParty(StreamParty):
    """As `StreamParty`, with a certificate, and with a look at the server's."""

    transport = "TLS"

    def __init__(
        self, address: str, server: Address, ca: Path, certificate: Path, key: Path, **more: int
    ) -> None:
        super().__init__(address, server, **{"port": 5061, **more})
        self.calls = ssl.create_default_context(cafile=str(ca))
        self.takes = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.takes.load_verify_locations(ca)
        self.takes.verify_mode = ssl.CERT_REQUIRED
        for context in (self.calls, self.takes):
            context.load_cert_chain(certificate, key)

    def secured(self, end: socket.socket, *, server: bool) -> socket.socket:
        end.settimeout(WAIT)
        if server:
            return self.takes.wrap_socket(end, server_side=True)
        return self.calls.wrap_socket(end, server_hostname=self.server[0])
