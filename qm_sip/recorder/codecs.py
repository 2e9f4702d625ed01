"""What a journal's codecs are in time: how many ticks and samples a payload is, and which rate a recording deserves.

A packet's `law` is its encoding name with the clock where that is not 8000. The RTP clock is not the audio's rate:
G.722 ticks 8000 times a second and has twice as many samples (RFC 3551 4.5.2), Opus ticks 48000 times whatever was
encoded (RFC 7587 4.1); how much it has to say stands in each packet's first octet (RFC 6716 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qm_sip.recorder.g711 import PCMA, PCMU
from qm_sip.recorder.journal import Packet

Ints = NDArray[np.int64]

G722, L16, L16_WIDE, OPUS, CN, CN_WIDE = 2, 3, 4, 5, 6, 7


class Kind(NamedTuple):
    law: str
    name: str  # as the engine's decoder knows it; empty: nothing to decode
    clock: int
    rate: int  # 0: it says so itself, or needs none


KINDS: Final = {
    PCMU: Kind("PCMU", "PCMU/8000", 8000, 8000),
    PCMA: Kind("PCMA", "PCMA/8000", 8000, 8000),
    G722: Kind("G722", "G722/8000", 8000, 16000),
    L16: Kind("L16", "L16/8000", 8000, 8000),
    L16_WIDE: Kind("L16/16000", "L16/16000", 16000, 16000),
    OPUS: Kind("OPUS/48000/2", "opus/48000/2", 48000, 0),
    CN: Kind("CN", "", 8000, 0),
    CN_WIDE: Kind("CN/16000", "", 16000, 0),
}
NUMBERS: Final = {kind.law: number for number, kind in KINDS.items()}
CLOCKS: Final = np.array([KINDS[number].clock for number in sorted(KINDS)], np.int64)
LEAST, MOST = 8000, 48000

# RFC 6716 table 2, by the first octet's five highest bits: the band, and a frame's length in ticks of 48 kHz.
_BANDS: Final = (
    [8000] * 4
    + [16000] * 8
    + [24000] * 2
    + [48000] * 2
    + [8000] * 4
    + [16000] * 4
    + [24000] * 4
    + [48000] * 4
)
_FRAMES: Final = np.array([480, 960, 1920, 2880] * 3 + [480, 960] * 2 + [120, 240, 480, 960] * 4, np.int64)


def file_rate(packets: Iterable[Packet]) -> int:
    """The rate that keeps all that was there: wideband stays wideband, a narrowband call is not blown up."""
    packets = list(packets)
    laws = {packet.law for packet in packets}
    rates = {KINDS[NUMBERS[law]].rate for law in laws if law in NUMBERS}
    if KINDS[OPUS].law in laws:
        opus = KINDS[OPUS].law
        rates |= {
            _BANDS[packet.payload[0] >> 3] for packet in packets if packet.law == opus and packet.payload
        }
    best = max(rates, default=0) or LEAST
    return best if all(best % rate == 0 for rate in rates if rate) else MOST


def spans(laws: NDArray[np.uint8], sizes: Ints, octets: NDArray[np.uint8], rate: int) -> Ints:
    """How many samples of that rate each payload is; -1 for what is no payload of its codec. `octets`: all of them, one
    after the other.
    """
    length = sizes * rate // 8000
    for law, per_second in ((L16, 16000), (L16_WIDE, 32000)):
        np.copyto(length, np.where(sizes % 2, -1, sizes * rate // per_second), where=laws == law)
    np.copyto(length, 0, where=laws >= CN)
    where = np.flatnonzero(laws == OPUS)
    if len(where):
        starts = (np.cumsum(sizes) - sizes)[where]
        length[where] = _opus_ticks(octets, starts, sizes[where]) * rate // 48000
    return length


def _opus_ticks(octets: NDArray[np.uint8], starts: Ints, sizes: Ints) -> Ints:
    first = octets[starts]
    second = octets[np.minimum(starts + 1, len(octets) - 1)] & 63
    many = np.where(sizes > 1, second, 0)
    frames = np.choose(first & 3, [1, 2, 2, many]).astype(np.int64)
    ticks: Ints = frames * _FRAMES[first >> 3]
    return np.where((ticks > 0) & (ticks <= 5760), ticks, -48000)
