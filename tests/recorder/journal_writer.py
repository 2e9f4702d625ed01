"""A reference writer of the journal, written from its description and apart from the engine's own.

Every part of the file can be written wrongly on purpose: chunks are plain bytes until they are joined.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

PACKET_NS = 20_000_000
KEPT_FROM = 5_000_000_000_000


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("<BH", kind, len(body)) + body


def packet(
    channel: int, seq: int, ts: int, arrival: int, payload: bytes, *, ssrc: int = 7, pt: int = 8
) -> bytes:
    head = struct.pack("<BBHIIQ", channel, pt, seq & 0xFFFF, ts & 0xFFFFFFFF, ssrc, arrival)
    return record(1, head + payload)


def codec(channel: int, pt: int, name: str) -> bytes:
    return record(2, bytes([channel, pt]) + name.encode())


def cut(begin: int, end: int) -> bytes:
    return record(3, struct.pack("<QQ", begin, end))


def gap(state: int, begin: int, end: int) -> bytes:
    return record(4, struct.pack("<BQQ", state, begin, end))


def end(at: int, reason: str = "closed") -> bytes:
    return record(5, struct.pack("<Q", at) + reason.encode())


def header(**changes: Any) -> dict[str, Any]:
    """The plaintext of chunk 0."""
    return {
        "header": {
            "class": "quality",
            "regulation": "sha256:abc",
            "announcement": ["d1" * 32],
            "destroy_by": {"coaching": "2026-05-01T00:00:00+00:00"},
        },
        "opened_ns": KEPT_FROM - 1_000_000,
        "kept_from_ns": KEPT_FROM,
        "wall_ns_at_mono": {"mono_ns": KEPT_FROM, "wall_ns": 1_767_225_600_000_000_000},
        "purposes": ["coaching"],
        "use": "record",
        "hold_back_ms": 200,
        **changes,
    }


@dataclass
class Writer:
    """Collects records into chunks and seals them."""

    recording: str = "rec-1"
    key: bytes = bytes(range(32))
    wrapped: Mapping[str, bytes] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=header)
    chunks: list[bytes] = field(default_factory=list)

    def add(self, *records: bytes) -> Writer:
        """Write the records as one chunk."""
        self.chunks.append(b"".join(records))
        return self

    def envelope(self) -> bytes:
        wrapped = {purpose: base64.b64encode(key).decode() for purpose, key in self.wrapped.items()}
        fields = {"v": 1, "recording": self.recording, "aead": "chacha20poly1305", "wrapped": wrapped}
        text = json.dumps(fields).encode()
        return b"QMJ1\n" + struct.pack("<I", len(text)) + text

    def sealed(self, index: int, plain: bytes) -> bytes:
        number = struct.pack("<Q", index)
        cipher = ChaCha20Poly1305(self.key).encrypt(
            bytes(4) + number, plain, self.recording.encode() + number
        )
        return struct.pack("<I", len(cipher)) + number + cipher

    def parts(self) -> list[bytes]:
        """The envelope and each sealed chunk."""
        plain = [json.dumps(self.head).encode(), *self.chunks]
        return [self.envelope(), *(self.sealed(i, chunk) for i, chunk in enumerate(plain))]

    def to_bytes(self) -> bytes:
        return b"".join(self.parts())


def alaw(samples: np.ndarray) -> bytes:
    """Encode by looking for the nearest value of the decoding table: slow and obviously right."""
    from qm_sip.recorder.g711 import PCMA, TABLE

    table = TABLE[PCMA].astype(np.int32)
    order = np.argsort(table)
    middles = (table[order][1:] + table[order][:-1]) / 2
    return bytes(order[np.searchsorted(middles, samples)].astype(np.uint8))


def tone(hertz: float, seconds: float, *, level: float = 8000, start: int = 0) -> np.ndarray:
    n = np.arange(start, start + round(seconds * 8000))
    return np.round(level * np.sin(2 * np.pi * hertz * n / 8000)).astype(np.int32)


def stream(
    channel: int,
    octets: bytes,
    *,
    seq: int = 0,
    ts: int = 0,
    ssrc: int = 7,
    begin: int = KEPT_FROM,
    delays: Iterable[int] | None = None,
    size: int = 160,
) -> list[tuple[int, bytes]]:
    """Packets of a sender: (arrival, record) each, `size` octets in a packet, each delayed as told."""
    count = len(octets) // size
    late = list(delays) if delays is not None else [0] * count
    return [
        (
            begin + i * size * 125_000 + late[i],
            packet(
                channel,
                seq + i,
                ts + i * size,
                begin + i * size * 125_000 + late[i],
                octets[i * size : (i + 1) * size],
                ssrc=ssrc,
                pt=8,
            ),
        )
        for i in range(count)
    ]


def merge(*streams: list[tuple[int, bytes]]) -> list[bytes]:
    """All packets in order of arrival."""
    return [raw for _, raw in sorted((item for one in streams for item in one), key=lambda item: item[0])]


def two_tones(seconds: float = 2.0, **changes: Any) -> Writer:
    """A recording: 1000 Hz from the customer, 2000 Hz from the agent."""
    writer = Writer(**changes)
    left = stream(0, alaw(tone(1000, seconds)), ssrc=1, seq=65530, ts=2**32 - 800)
    right = stream(1, alaw(tone(2000, seconds)), ssrc=2)
    writer.add(codec(0, 8, "PCMA/8000"), codec(1, 8, "PCMA/8000"))
    packets = merge(left, right)
    for i in range(0, len(packets), 25):
        writer.add(*packets[i : i + 25])
    return writer.add(end(KEPT_FROM + round(seconds * 1e9)))
