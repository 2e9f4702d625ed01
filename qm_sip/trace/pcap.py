"""A capture file of signalling alone, for Wireshark, tshark or sngrep.

The classic format, raw IP (LINKTYPE_RAW). Each message is one UDP datagram, whatever it travelled over: what a
connection carried cannot be written as a connection truthfully, since only its messages are known here. The Via of
the message says which it was.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

_LINKTYPE_RAW = 101
_MOST = 65_507
_UDP = 17


def file_header() -> bytes:
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, _LINKTYPE_RAW)


def record(at: float, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """One message as a packet; one too long for a datagram is cut, and says so by its length."""
    packet = _packet(source, destination, payload[:_MOST])
    seconds, micro = divmod(round(at * 1_000_000), 1_000_000)
    whole = len(packet) + max(0, len(payload) - _MOST)
    return struct.pack("<IIII", seconds, micro, len(packet), whole) + packet


def _packet(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    here, there = ip_address(source[0]).packed, ip_address(destination[0]).packed
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", source[1], destination[1], length, 0)
    pseudo = here + there + struct.pack("!IHH", length, 0, _UDP)
    check = _sum(pseudo + udp + payload) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", check) + payload
    if len(here) == 16:
        return struct.pack("!IHBB", 6 << 28, length, _UDP, 64) + here + there + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, _UDP, 0) + here + there
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + udp


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
