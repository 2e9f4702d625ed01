"""The keys that mean something to us, on which leg, and when (people.md 4B, 4C, 5A).

The engine matches what is pressed as RTP events (RFC 4733) and swallows it; what comes as SIP INFO is matched
here, in the same way: a key that begins a code waits until the code is complete, cannot become one any more, or
1.5 s have passed. The customer's keys are obeyed on his leg alone, the agent's on his.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from qm_sip.config import Config
from qm_sip.config.lines import Customer

GAP_MS = 1500


class Word(StrEnum):
    """What a code asks for. The engine obeys `private` by itself; the others it only reports."""

    PRIVATE = "private"
    NOT_PRIVATE = "not-private"  # the same key where the law requires a recording: refused aloud (A7)
    OBJECT = "object"  # the customer
    OBJECT_FOR_HIM = "object-for-him"  # the agent, because the customer said so
    INFORM = "inform"
    PAUSE = "pause"
    REQUEST = "request"


Codes = Mapping[str, str]


def agents_codes(config: Config, line: Customer) -> Codes:
    """What the agent's leg may press during the call."""
    lines = config.lines
    return {
        lines.private.code: Word.NOT_PRIVATE if line.legal_duty else Word.PRIVATE,
        line.objection_key: Word.OBJECT_FOR_HIM,
        lines.pause.code: Word.PAUSE,
        **({lines.request.code: Word.REQUEST} if line.capture == "on-request" else {}),
    }


def notice_codes(line: Customer) -> Codes:
    """What the customer may press while the notice plays: one key."""
    return {line.opt_out_key: Word.OBJECT, line.info_key: Word.INFORM}


def customers_codes(line: Customer) -> Codes:
    """What he may press later: two keys, so that a menu digit destroys nothing."""
    return {line.opt_out_key_in_call: Word.OBJECT, line.info_key_in_call: Word.INFORM}


class CodeReader:
    """Key presses of one leg that came as SIP INFO. Give it keys; it gives back what they mean."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._held = ""

    def press(self, key: str) -> tuple[str | None, int]:
        """One more key: how many of those held, this one included, begin no code and are let go; the word that the
        rest completes, if it does.
        """
        self._held += key
        let_go = 0
        while self._held and not any(code.startswith(self._held) for code in self.codes):
            self._held, let_go = self._held[1:], let_go + 1
        word = self.codes.get(self._held)
        if word is not None:
            self._held = ""
        return word, let_go

    def give_up(self) -> int:
        """No key came for too long: how many are let go."""
        let_go, self._held = len(self._held), ""
        return let_go

    @property
    def waiting(self) -> bool:
        """Whether a key is held that may yet become a code."""
        return bool(self._held)
