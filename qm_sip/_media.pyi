"""The media engine in Rust (`rust/qm-media`, bound by `rust/qm-media-py`).

Use it through `qm_sip.media.client.MediaEngine` (live) and `qm_sip.media.sim.SimEngine` (tests);
the messages are those of `qm_sip.media.protocol` as JSON.
"""

from collections.abc import Callable
from typing import Literal

def run(fd: int, begun: Callable[[], None] | None = None) -> None:
    """Serve the engine on a connected SOCK_SEQPACKET socket, which it takes over, until it is told to end.

    `begun` is called by the packet thread, which is this one, once the other threads have begun.
    """

class Decoder:
    """One sender's payloads as samples of one rate, in the order they are heard (the renderer's)."""

    def __init__(self, rate: int) -> None: ...
    def decode(self, codec: str, payloads: bytes, sizes: list[int], spans: list[int]) -> bytes:
        """Payloads of these sizes, one after the other: 16-bit samples of this machine's order, so many for each; what
        cannot be decoded is silence of its length.
        """

class Sim:
    """The engine on virtual time (ns): sockets, journals are memory; ids, keys, SSRCs follow the seed."""

    def __init__(self, seed: int = 0) -> None: ...
    def command(self, message: str, now_ns: int) -> None: ...
    def packet(self, local_port: int, source_ip: str, source_port: int, data: bytes, now_ns: int) -> None: ...
    def packet_read_late(
        self, local_port: int, source_ip: str, source_port: int, data: bytes, arrival_ns: int
    ) -> None:
        """A datagram that the kernel got at `arrival_ns` is read only now (the last time handed in)."""

    def icmp_refused(self, local_port: int, ip: str, port: int, now_ns: int) -> None: ...
    def advance(self, now_ns: int) -> None: ...
    def stall(self, now_ns: int) -> None:
        """Time jumps: the engine's process stood still, whatever was due is late."""

    def abandon(self) -> None:
        """The control socket has closed."""

    def add_file(self, path: str, data: bytes) -> None:
        """A file the engine may read, in place of the file system's."""

    def take_port(self, port: int) -> None:
        """Somebody else has that port."""

    def set_disk(self, state: Literal["works", "full", "stalled"]) -> None: ...
    def take_events(self) -> list[str]: ...
    def take_packets(self) -> list[tuple[int, str, int, bytes, int]]: ...
    def journals(self) -> dict[str, bytes]: ...
    def keys(self) -> dict[str, bytes]: ...
