"""What an age public key looks like: Bech32 (BIP 173) of 32 bytes after `age1`.

Checked without age's own library: that one holds the GIL, and the serving process never imports it.
"""

from __future__ import annotations

from collections.abc import Iterable

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def is_recipient(text: str) -> bool:
    """Is this an X25519 age recipient? Checked without age itself: Bech32 (BIP 173), `age1`, 32 bytes."""
    if text != text.lower() or not text.startswith("age1"):
        return False
    values = [_BECH32.find(character) for character in text[4:]]
    prefix = [ord(c) >> 5 for c in "age"] + [0] + [ord(c) & 31 for c in "age"]
    return len(values) == 58 and -1 not in values and _polymod(prefix + values) == 1


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_BECH32_GENERATOR):
            check ^= generator if (top >> i) & 1 else 0
    return check
