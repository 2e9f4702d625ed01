"""RAck: which reliable provisional response a PRACK acknowledges (RFC 3262 7.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

from qm_sip.sip.cseq import CSeq
from qm_sip.sip.grammar import SipParseError, digits

HIGHEST: Final = 2**32 - 1


class RAck(NamedTuple):
    """The response's RSeq, and the CSeq of the request that it answered."""

    rseq: int
    cseq: CSeq

    @classmethod
    def parse(cls, text: str) -> RAck:
        """`response-num LWS CSeq-num LWS Method`."""
        first, _, rest = text.strip().partition(" ")
        if not rest.strip():
            raise SipParseError("RAck is not two numbers and a method")
        return cls(digits(first, HIGHEST, "the RAck number"), CSeq.parse(rest))

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq}"
