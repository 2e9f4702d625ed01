"""RTP whose every packet can be known again: in what a phone heard, in a rendered recording, in a file on disk."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qm_sip.recorder.g711 import PCMA, TABLE

MARK = b"\x93\x1d\x5a\xe7\x48\xb2"
"""Begins each copy of a packet's tag. Looked for on disk, where it may never stand in clear (I6)."""

SAMPLES = 160
_TAG = struct.Struct("!6sHBBIH")  # mark, call, side, copy, number, sum: ten copies a packet
_COPIES = SAMPLES // _TAG.size
# A-law has no two codes of one value, so what was decoded can be encoded again without loss.
_CODE = {int(value): code for code, value in enumerate(TABLE[PCMA])}
Tag = tuple[int, int, int]  # call, side, number


def payload(call: int, side: int, number: int) -> bytes:
    """20 ms of A-law that says which packet it is."""
    return b"".join(
        _TAG.pack(MARK, call, side, copy, number, _sum(call, side, copy, number)) for copy in range(_COPIES)
    )


def _sum(*values: int) -> int:
    return (sum(values) * 40503 + 12345) & 0xFFFF


def packet(ssrc: int, sequence: int, body: bytes) -> bytes:
    header = struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, sequence * SAMPLES & 0xFFFFFFFF, ssrc)
    return header + body


def tags(data: bytes) -> Iterator[Tag]:
    """The packets of which at least one copy of the tag stands in these bytes, in order, each once."""
    at, last = data.find(MARK), None
    while at >= 0:
        if at + _TAG.size <= len(data):
            _, call, side, copy, number, check = _TAG.unpack_from(data, at)
            tag = (call, side, number)
            if check == _sum(call, side, copy, number) and tag != last:
                last = tag
                yield tag
        at = data.find(MARK, at + 1)


def in_samples(samples: NDArray[np.int16]) -> list[Tag]:
    """The packets in one channel of a recording."""
    return list(tags(bytes(_CODE.get(value, 0xD5) for value in samples.tolist())))


def mark_in_clear() -> list[bytes]:
    """How the mark would look in a file that leaked: as received, or decoded."""
    decoded = np.array([TABLE[PCMA][code] for code in MARK], dtype="<i2").tobytes()
    return [MARK, decoded]
