"""The keys of one call: which are watched on which leg at the moment, and who obeys them.

What is pressed as RTP events (RFC 4733) the engine matches and swallows; what comes as SIP INFO (RFC 6086, and the
older way of Asterisk) is matched here with the same codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qm_sip.call.keys import (
    GAP_MS,
    CodeReader,
    Codes,
    Word,
    agents_codes,
    customers_codes,
    notice_codes,
)
from qm_sip.call.media_plan import other
from qm_sip.call.states import State
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.identify import line_of
from qm_sip.sip.message import Request

if TYPE_CHECKING:
    from qm_sip.call.call import Call

FINGER = 5.0  # seconds after the notice in which the one key it named still counts (people.md 4, rule 5)
KINDS = ("application/dtmf-relay", "application/dtmf")


class Keypad:
    """See the module's docstring."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._readers: dict[LegName, CodeReader] = {}
        self._held: dict[LegName, list[Request]] = {}
        self._pressed: dict[LegName, int] = {}  # keys so far

    # ---------------------------------------------------------------- which keys, when

    def agent_is_there(self) -> None:
        """The agent's codes hold from the first moment of his leg to the last."""
        call = self._call
        self._watch(call.agents_leg, agents_codes(call.config, line_of(call.config, call.facts)))

    def notice_begins(self) -> None:
        """While the notice plays, one key is enough."""
        self._watch(self._call.customer, notice_codes(line_of(self._call.config, self._call.facts)))

    def conversation_begins(self, now: float) -> None:
        """Two keys from now on; the one key for as long as a finger needs after the voice has ended."""
        line = line_of(self._call.config, self._call.facts)
        later = customers_codes(line)
        self._watch(self._call.customer, {**notice_codes(line), **later})
        self._call.desk.timers.start(now + FINGER, lambda at: self._finger_is_late(later))

    def _finger_is_late(self, codes: Codes) -> None:
        if self._call.state is State.TALKING:
            self._watch(self._call.customer, codes)

    def _watch(self, leg: LegName, codes: Codes) -> None:
        call = self._call
        self._readers.setdefault(
            leg, CodeReader(codes)
        ).codes = codes  # what is half pressed goes on, as in the engine
        drop = int(call.config.lines.private.drop_before.seconds * 1000)
        if call.in_engine:
            call.desk.media.send(protocol.WatchKeys(call.id, leg, dict(codes), GAP_MS, drop))

    # ---------------------------------------------------------------- what they ask for

    def matched(self, event: protocol.CodeMatched, now: float) -> None:
        """The engine has read and swallowed one of our codes. `private` it obeys by itself, and says so."""
        if event.word != Word.PRIVATE:
            self._obey(event.word, now)

    def _obey(self, word: str, now: float) -> None:
        call = self._call
        match word:
            case Word.PRIVATE:
                call.private.press(now)
            case Word.NOT_PRIVATE:
                call.private.refuse(now)
            case Word.OBJECT:
                call.objections.press("key", now)
            case Word.OBJECT_FOR_HIM:
                call.objections.press("said-to-agent", now)
            case Word.INFORM:
                call.inform(now)
            case Word.PAUSE:
                call.pausing.press(now)
            case Word.REQUEST:
                call.request_recording(now)

    # ---------------------------------------------------------------- keys by INFO

    def by_info(self, leg: LegName, request: Request, now: float) -> None:
        """A key press as INFO: ours if it completes a code, passed on if it cannot (any more), or if nothing here is
        obeyed any more.
        """
        reader, key = self._readers.get(leg), info_key(request)
        held = self._held.setdefault(leg, [])
        held.append(request)
        if reader is None or key is None or self._call.unsaid:
            self._pass_on(leg, len(held), now)
            return
        word, let_go = reader.press(key)
        self._pass_on(leg, let_go, now)
        if word is not None:
            held.clear()
            self._obey(word, now)
        count = self._pressed[leg] = self._pressed.get(leg, 0) + 1
        if reader.waiting:
            self._call.desk.timers.start(now + GAP_MS / 1000, lambda at: self._came_alone(leg, count, at))

    def _came_alone(self, leg: LegName, count: int, now: float) -> None:
        reader = self._readers[leg]
        if reader.waiting and self._pressed[leg] == count:
            self._pass_on(leg, reader.give_up(), now)

    def _pass_on(self, leg: LegName, count: int, now: float) -> None:
        call, held = self._call, self._held[leg]
        for request in held[:count]:
            if call.state is State.TALKING:
                kind = request.get("Content-Type") or ""
                across = call.legs[other(leg)]
                call.desk.ua.request(across, "INFO", [("Content-Type", kind)], request.body, now=now)
        del held[:count]


def is_dtmf(request: Request) -> bool:
    """Whether an INFO brings a key press."""
    return (request.get("Content-Type") or "").partition(";")[0].strip().lower() in KINDS


def info_key(request: Request) -> str | None:
    """The key of an INFO: `Signal=5` (application/dtmf-relay) or the body itself (application/dtmf)."""
    if not is_dtmf(request):
        return None
    text = request.body.decode("ascii", "replace")
    for line in text.splitlines():
        name, mark, value = line.partition("=")
        if mark and name.strip().lower() == "signal":
            text = value
    key = {"10": "*", "11": "#"}.get(text.strip(), text.strip().upper())
    return key if len(key) == 1 and key in "0123456789*#ABCD" else None
