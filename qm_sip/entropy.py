"""The operating system's randomness, read in blocks: a set-up takes some twenty numbers, and each read is a call of it.

A number is used once and then gone; a fork would hand out the rest twice, so a child begins with a block of its own.
"""

from __future__ import annotations

import os
import random

BLOCK = 4096


class Entropy(random.SystemRandom):
    """`random.SystemRandom` for many small numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._block, self._at = b"", 0

    def getrandbits(self, k: int, /) -> int:
        """So many random bits."""
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        size = (k + 7) // 8
        if size > BLOCK:
            return super().getrandbits(k)
        if self._at + size > len(self._block):
            self._block, self._at = os.urandom(BLOCK), 0
        taken = self._block[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken, "big") >> (size * 8 - k)
