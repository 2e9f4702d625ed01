"""The same engine on virtual time, for tests: a minute of a call costs no waiting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, NamedTuple

from qm_sip._media import Sim
from qm_sip.media import protocol
from qm_sip.media.protocol import Command, Event


class SentPacket(NamedTuple):
    """A datagram that left the engine."""

    from_port: int
    destination: tuple[str, int]
    data: bytes
    at_ns: int


class SimEngine:
    """Commands and packets with the time they come at (ns); events, packets, journals out. Repeatable by seed."""

    def __init__(self, seed: int = 0) -> None:
        self._sim = Sim(seed)

    def command(self, command: Command, now_ns: int) -> None:
        """Give a command at that time."""
        self._sim.command(json.dumps(command.to_json()), now_ns)

    def raw_command(self, message: str, now_ns: int) -> None:
        """Give a message as it is, well-formed or not."""
        self._sim.command(message, now_ns)

    def packet(self, local_port: int, source: tuple[str, int], data: bytes, now_ns: int) -> None:
        """A datagram arrives on one of the engine's ports, and is read at once."""
        self._sim.packet(local_port, source[0], source[1], data, now_ns)

    def packet_read_late(
        self, local_port: int, source: tuple[str, int], data: bytes, arrival_ns: int
    ) -> None:
        """A datagram that the kernel got earlier is read only now (at the last time handed in)."""
        self._sim.packet_read_late(local_port, source[0], source[1], data, arrival_ns)

    def icmp_refused(self, local_port: int, destination: tuple[str, int], now_ns: int) -> None:
        """A host says that nobody listens where that port sent to."""
        self._sim.icmp_refused(local_port, destination[0], destination[1], now_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass; all that falls due happens on time."""
        self._sim.advance(now_ns)

    def stall(self, now_ns: int) -> None:
        """The engine's process stood still until then."""
        self._sim.stall(now_ns)

    def abandon(self) -> None:
        """The server has died: its end of the socket has closed."""
        self._sim.abandon()

    def add_file(self, path: Path | str, data: bytes) -> None:
        """A file the engine may read, in place of the file system's."""
        self._sim.add_file(str(path), data)

    def take_port(self, port: int) -> None:
        """Somebody else has bound that port."""
        self._sim.take_port(port)

    def set_disk(self, state: Literal["works", "full", "stalled"]) -> None:
        """What the disk under the journals does from now on."""
        self._sim.set_disk(state)

    def take_events(self) -> list[Event]:
        """What happened since the last time."""
        return [protocol.read_event(json.loads(text)) for text in self._sim.take_events()]

    def take_packets(self) -> list[SentPacket]:
        """What was sent since the last time."""
        return [SentPacket(port, (ip, to), data, at) for port, ip, to, data, at in self._sim.take_packets()]

    def journals(self) -> dict[str, bytes]:
        """Journals by tap, as they would lie on the disk."""
        return self._sim.journals()

    def keys(self) -> dict[str, bytes]:
        """Their keys, as they would lie in the key directory."""
        return self._sim.keys()
