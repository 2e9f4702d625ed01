"""Session-Expires and Min-SE: how long a session lasts without a refresh (RFC 4028 4, 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qm_sip.sip.grammar import digits, param, parse_params
from qm_sip.sip.message import Message

SHORTEST: Final = 90
"""Seconds: what Min-SE is if nobody says (5)."""
LONGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """An interval, and perhaps who of a transaction's two ends is to refresh: `uac` or `uas`."""

    seconds: int
    refresher: str = ""

    @classmethod
    def of(cls, message: Message) -> SessionExpires | None:
        """What a message says, or None. Raises SipParseError on what is no number."""
        text = message.get("session-expires")
        if text is None:
            return None
        first, *rest = text.split(";")
        who = (param(parse_params([part.strip() for part in rest]), "refresher") or "").lower()
        seconds = digits(first.strip(), LONGEST, "Session-Expires")
        return cls(seconds, who if who in ("uac", "uas") else "")

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else str(self.seconds)


def min_se(message: Message) -> int:
    """The shortest interval that the sender lets pass. Raises SipParseError on what is no number."""
    text = message.get("min-se")
    return SHORTEST if text is None else digits(text.partition(";")[0].strip(), LONGEST, "Min-SE")


def knows_timers(message: Message) -> bool:
    """Whether its sender does session timers (option tag `timer`)."""
    tags = (*message.values("supported"), *message.values("require"))
    return any(tag.lower() == "timer" for tag in tags)
