"""G.711 decoding by table, bit-exact: ITU-T G.711 (11/88), tables 1a (A-law) and 2a (µ-law).

Values are the uniform codes of the tables scaled to 16 bits: A-law is 13 bits (times 8), µ-law 14 bits
(times 4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PCMU, PCMA = 0, 1
LAWS = {"PCMU": PCMU, "PCMA": PCMA}


def alaw_value(code: int) -> int:
    """Decode one A-law octet. Even bits are inverted on the line (G.711, 3.1); sign bit 1 is positive."""
    code ^= 0x55
    segment, step = (code >> 4) & 7, code & 15
    # Segments 0 and 1 have steps of 2 (of 4096), each later one twice the step of the one before.
    magnitude = (2 * step + 1) if segment == 0 else (2 * step + 33) << (segment - 1)
    return 8 * magnitude if code & 0x80 else -8 * magnitude


def ulaw_value(code: int) -> int:
    """Decode one µ-law octet. All bits are inverted on the line (G.711, 3.2); sign bit 1 is negative."""
    code ^= 0xFF
    segment, step = (code >> 4) & 7, code & 15
    magnitude = ((2 * step + 33) << segment) - 33
    return -4 * magnitude if code & 0x80 else 4 * magnitude


# TABLE[law][octet], rows in the order PCMU, PCMA.
TABLE: NDArray[np.int16] = np.array(
    [[ulaw_value(code) for code in range(256)], [alaw_value(code) for code in range(256)]], dtype=np.int16
)
