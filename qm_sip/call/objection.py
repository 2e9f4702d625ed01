"""The customer does not want it: recording stops and what was captured is gone, listening stops (WP-26).

By his own key, or by the agent's on his behalf. Two objections, to recording and to listening; where the law or an
agreement needs the recording, only the listening stops, and he is told why (K16, K17). The order is fixed by rule 6
of people.md section 4: first it is done, durably, then it is said.

    forbidden in the engine -> tombs on the disk -> taps closed -> keys and bytes destroyed -> K14 or K15

A crash in between leaves the tombs, and the next start obeys them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qm_sip.call.words import NoteObjection
from qm_sip.media import protocol
from qm_sip.policy.facts import Use
from qm_sip.policy.identify import line_of

if TYPE_CHECKING:
    from qm_sip.call.call import Call

log = logging.getLogger("qm_sip.call")


class Objections:
    """What the customer of one call has objected to, and what is still to be said about it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.uses: frozenset[Use] = frozenset()
        self._waiting = False  # for what was captured to be destroyed

    def press(self, how: str, now: float, to: frozenset[Use] = frozenset(Use)) -> None:
        """A key: his (`key`), or the agent's because he said so (`said-to-agent`); or his phone's (`recordpref`)."""
        call = self._call
        if call.unsaid or call.recording is None or self._waiting:
            return
        uses = self._possible() & to
        new = uses - self.uses
        self.uses |= uses
        if new:
            call.object(self.uses, now)
            if call.in_engine:
                call.desk.media.send(protocol.Forbid(call.id, sorted(new), "objected"))
            call.book.note(NoteObjection(call.id, call.customer, new, how, now))
        if Use.RECORD in new and call.recording:
            self._waiting = True
            call.recording.objected(now, self._destroyed)
        else:
            self._confirm(now)

    def _possible(self) -> frozenset[Use]:
        line = line_of(self._call.config, self._call.facts)
        return frozenset(Use) if line.opt_out else frozenset({Use.LISTEN})

    def _destroyed(self, now: float, done: bool) -> None:
        """Everything that was captured is gone; or it could not be destroyed now, and that is not claimed."""
        self._waiting = False
        if done:
            self._confirm(now)
        else:
            log.error("call %s: not destroyed yet; the next start will", self._call.id)
            self._tell(None, now)

    def _confirm(self, now: float) -> None:
        self._tell(self._sentence(), now)

    def _tell(self, sentence: str | None, now: float) -> None:
        """Where the two talk directly, or have gone, it is done all the same, and nobody can be told."""
        if self._call.in_engine:
            self._call.after_objection(sentence, now)

    def _sentence(self) -> str:
        """What has just become true. K15: something was captured, and is gone; K14: nothing was. Where recording goes
        on: why.
        """
        call = self._call
        line, recording = line_of(call.config, call.facts), call.recording
        if Use.RECORD in self.uses:
            return "K15" if recording and recording.captured else "K14"
        if recording is None or not recording.goes_on:
            return "K15b"
        return "K16" if line.legal_duty else "K17"
