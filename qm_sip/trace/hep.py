"""HEP version 3 (EEP, as HOMER's collectors take it): one message and what is known of it, as chunks.

    "HEP3"  length(2)   { vendor(2) = 0  type(2)  length(2)  payload }*

Chunk types: 1 address family, 2 IP protocol, 3-6 addresses, 7-8 ports, 9-10 time, 11 what it is (1 = SIP), 12 which
agent captured it, 14 key, 15 payload, 17 correlation id.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Final, NamedTuple

_SIP: Final = 1
_PROTOCOLS: Final = {"udp": 17}  # all else runs over TCP
_TCP: Final = 6
MOST: Final = 65_000
"""Bytes of a payload that fit one packet with its chunks."""


class Captured(NamedTuple):
    """One message as the collector is to see it."""

    at: float
    transport: str
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    correlation: str


def encode(one: Captured, agent: int, key: bytes = b"") -> bytes:
    """The whole packet."""
    here, there = ip_address(one.source[0]), ip_address(one.destination[0])
    six = here.version == 6
    seconds, micro = divmod(round(one.at * 1_000_000), 1_000_000)
    chunks = [
        _chunk(1, struct.pack("!B", 10 if six else 2)),
        _chunk(2, struct.pack("!B", _PROTOCOLS.get(one.transport, _TCP))),
        _chunk(5 if six else 3, here.packed),
        _chunk(6 if six else 4, there.packed),
        _chunk(7, struct.pack("!H", one.source[1])),
        _chunk(8, struct.pack("!H", one.destination[1])),
        _chunk(9, struct.pack("!I", seconds)),
        _chunk(10, struct.pack("!I", micro)),
        _chunk(11, struct.pack("!B", _SIP)),
        _chunk(12, struct.pack("!I", agent)),
        *([_chunk(14, key)] if key else []),
        _chunk(17, one.correlation.encode()),
        _chunk(15, one.payload[:MOST]),
    ]
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def _chunk(kind: int, payload: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, 6 + len(payload)) + payload
