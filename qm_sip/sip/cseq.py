"""CSeq: a number and a method (RFC 3261 20.16, 8.1.1.5)."""

from __future__ import annotations

from typing import NamedTuple

from qm_sip.sip.grammar import SipParseError, digits, is_token

LARGEST = 2**31 - 1


class CSeq(NamedTuple):
    """Orders the requests of a dialog and names the transaction's method."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """`1*DIGIT LWS Method`."""
        words = text.split()
        if len(words) != 2 or not is_token(words[1]):
            raise SipParseError("CSeq is not a number and a method")
        return cls(digits(words[0], LARGEST, "the CSeq number"), words[1])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
