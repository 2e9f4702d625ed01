"""What really went over the wire: a capture on loopback by tshark, read back as values. Bounded in time and size."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from qm_sip.demo.namespace import Network
from qm_sip.recorder.g711 import PCMA, TABLE

MOST_S, MOST_KB = 120, 200_000
ALAW, TELEPHONE_EVENT, KEYS = 8, 101, "0123456789*#ABCD"


@dataclass(frozen=True)
class Packet:
    """One UDP packet; `at` is the kernel's wall clock."""

    at: float
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes

    @property
    def is_rtp(self) -> bool:
        """RTP, not RTCP: version 2, and no payload type of RFC 5761 section 4."""
        return len(self.payload) >= 12 and self.payload[0] >> 6 == 2 and not 192 <= self.payload[1] <= 223

    @property
    def rtp_type(self) -> int:
        return self.payload[1] & 0x7F

    @property
    def key(self) -> str:
        """The key of an RTP event (RFC 4733), as Asterisk and the phones number that payload type; or nothing."""
        event = self.is_rtp and self.rtp_type == TELEPHONE_EVENT and len(self.payload) == 16
        return KEYS[self.payload[12]] if event and self.payload[12] < len(KEYS) else ""

    @property
    def sip(self) -> str:
        """The first line of a SIP message, or nothing."""
        first = self.payload.split(b"\r\n", 1)[0]
        return first.decode(errors="replace") if b"SIP/2.0" in first else ""

    @property
    def cseq_method(self) -> str:
        lines = (line for line in self.payload.split(b"\r\n") if line.lower().startswith(b"cseq:"))
        return next((line.decode().split()[-1] for line in lines), "")


class Wire:
    """`with Wire(network, path) as wire: ...; wire.packets()` (after the end of the block)."""

    def __init__(self, network: Network, path: Path) -> None:
        self._network, self._path = network, path

    def __enter__(self) -> Wire:
        command = ["tshark", "-i", "lo", "-f", "udp", "-w", str(self._path), "-n", "-P",
                   "-a", f"duration:{MOST_S}", "-a", f"filesize:{MOST_KB}"]  # fmt: skip
        self._process = subprocess.Popen(
            self._network.inside(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 10
        while not self._path.exists() or self._path.stat().st_size == 0:
            assert time.monotonic() < until, "tshark does not capture"
            time.sleep(0.05)
        time.sleep(0.3)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        time.sleep(0.5)  # what the kernel still holds for tshark
        self._process.terminate()
        self._process.wait(timeout=15)

    def packets(self) -> list[Packet]:
        fields = ("frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "udp.payload")
        command = ["tshark", "-r", str(self._path), "-n", "-Y", "udp && !icmp", "-T", "fields"]
        command += [part for field in fields for part in ("-e", field)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return list(_read(done.stdout))


def _read(text: str) -> Iterator[Packet]:
    for line in text.splitlines():
        at, source, source_port, destination, port, payload = line.split("\t")
        yield Packet(float(at), (source, int(source_port)), (destination, int(port)), bytes.fromhex(payload))


def first(packets: list[Packet], wanted: Callable[[Packet], bool], what: str) -> Packet:
    found = next((packet for packet in packets if wanted(packet)), None)
    assert found is not None, f"no {what} on the wire"
    return found


def rtp(packets: list[Packet], *, to: str = "", source: str = "", at: str = "") -> list[Packet]:
    """RTP packets to, from, or on either side of (`at`) an address."""
    return [
        packet
        for packet in packets
        if packet.is_rtp
        and (not to or packet.destination[0] == to)
        and (not source or packet.source[0] == source)
        and (not at or at in (packet.destination[0], packet.source[0]))
    ]


def largest_gap(packets: list[Packet], begin: float, end: float) -> float:
    """Seconds: the longest time in which none of these arrived, between two instants on the kernel's wall clock."""
    times = [begin, *(packet.at for packet in packets if begin <= packet.at <= end), end]
    return max(later - earlier for earlier, later in pairwise(times))


def wall(monotonic: float) -> float:
    """A phone's instant (CLOCK_MONOTONIC) on the clock of the packets."""
    return monotonic + time.time() - time.monotonic()


def mono(wall_clock: float) -> float:
    """The other way round."""
    return wall_clock - time.time() + time.monotonic()


def loud(packets: list[Packet], *, above: float = 0.02) -> list[Packet]:
    """Those RTP packets (A-law) in which something is to be heard, of full scale."""
    return [
        packet
        for packet in packets
        if packet.rtp_type == ALAW and np.max(np.abs(np.frombuffer(_decoded(packet), "<i2"))) > above * 32768
    ]


def kept(packets: list[Packet], samples: npt.NDArray[np.float64]) -> list[Packet]:
    """Those RTP packets (A-law) whose very sound is in a recording's channel.

    Only for a sound that never repeats, noise: then a packet's 20 ms are found in it once or not at all.
    """
    whole = (samples * 32768).astype("<i2").tobytes()
    return [packet for packet in packets if packet.rtp_type == ALAW and _decoded(packet) in whole]


def _decoded(packet: Packet) -> bytes:
    return TABLE[PCMA][np.frombuffer(packet.payload[12:], np.uint8)].astype("<i2").tobytes()
