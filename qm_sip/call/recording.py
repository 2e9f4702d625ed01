"""The recording side of a relayed call: telling the customer, asking for taps, and what becomes of them.

Everything here can fail without the call noticing (invariant I9): a failure is a span, a reason and a log
line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from qm_sip.call import reasons
from qm_sip.call.book import Book
from qm_sip.call.capture import NS, Capture, Closed, Open, Refused, Telling, refusal_of
from qm_sip.call.media_plan import Send, other
from qm_sip.call.words import (
    CloseRecording,
    CondemnRecording,
    DestroyRecording,
    DropRecording,
    LoseRecording,
    NoteDecision,
    NoteTold,
    OpenRecording,
)
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import Decision, Party, Reason, SpanState
from qm_sip.policy.reasons import OBJECTED, PRIVATE_CALL

if TYPE_CHECKING:
    from qm_sip.call.voice import Voice

log = logging.getLogger("qm_sip.call")


class Recording:
    """The gate, and the taps that were asked for through it."""

    def __init__(
        self, capture: Capture, book: Book, send: Send, new_id: Callable[[], str], voice: Voice, *, tone: bool
    ) -> None:
        self.capture, self.book, self.voice = capture, book, voice
        self._send, self._new_id = send, new_id
        self._tone = tone  # the agent hears that a recording begins
        self.waits_for_resume = False
        self.began = False  # it was decided, at least once, with both connected
        self._taps: set[str] = set()  # decided, and not yet closed
        self._asked: set[str] = set()  # of these: the engine was asked
        self._closed: list[str] = []  # closed, and on their way to be rendered
        self._first_kept: float | None = None
        self._let_go = 0.0  # when a recording of this call was last closed before the call's end
        self._condemned: set[str] = set()  # to be destroyed, and not yet
        self._undestroyed = False  # one of them could not be
        self._then: Callable[[float, bool], None] | None = None  # when the last is destroyed

    @property
    def customer(self) -> LegName:
        return self.capture.customer

    @property
    def agent(self) -> LegName:
        return other(self.customer)

    @property
    def to_tell(self) -> bool:
        """Whether the customer has yet to be told, and still may be recorded then."""
        return isinstance(self.capture.gate, Closed)

    @property
    def telling(self) -> bool:
        return isinstance(self.capture.gate, Telling)

    @property
    def kept(self) -> bool:
        """Whether a tap is open and keeps what arrives."""
        running = self.capture.running
        return running is not None and running.kept_from is not None

    @property
    def captured(self) -> bool:
        """Whether anything of this call has ever been kept."""
        return self._first_kept is not None

    @property
    def goes_on(self) -> bool:
        """Whether it is being recorded, or will be when the two are connected, or nobody holds any more."""
        if self.began:
            return self.runs_or_waits
        return self.capture.records and not self.is_refused

    @property
    def runs_or_waits(self) -> bool:
        """Whether a recording is under way, or waits for the end of a hold."""
        return self.capture.running is not None or self.waits_for_resume

    @property
    def is_refused(self) -> bool:
        """Whether nothing more of this call can be recorded."""
        return isinstance(self.capture.gate, Refused)

    @property
    def objected_to(self) -> bool:
        """Whether the customer does not want it."""
        return isinstance(self.capture.gate, Refused) and OBJECTED in self.capture.gate.reasons

    @property
    def not_completed(self) -> bool:
        """Whether the customer is there and has not heard the notice to its end."""
        gate = self.capture.gate
        return isinstance(gate, Refused) and reasons.ANNOUNCEMENT_NOT_COMPLETED in gate.reasons

    @property
    def closed(self) -> bool:
        """Whether every journal is closed."""
        return not self._taps

    # ---------------------------------------------------------------- telling

    def tell(self) -> None:
        self._send(self.capture.tell(self._new_id()))

    def heard(self, event: protocol.PromptFinished, now: float) -> bool:
        """The prompt was sent to its end. False: it is not the one that was being played."""
        told = self.capture.heard(event)
        if told is None:
            return False
        self.book.note(NoteTold(self.book.call, self.customer, told))
        self.book.span(SpanState.TOLD, now, "told")
        return True

    def not_heard(self, event: protocol.PromptFailed, now: float) -> bool:
        gate = self.capture.gate
        if not isinstance(gate, Telling) or event.play != gate.play:
            return False
        self.give_up_telling(now)
        return True

    def give_up_telling(self, now: float) -> None:
        """The customer hung up, or was lost, before the prompt ended: nothing will be kept (KSF15-6.6a)."""
        if self.telling:
            self._say_no(reasons.ANNOUNCEMENT_NOT_COMPLETED, SpanState.REFUSED, now)

    # ---------------------------------------------------------------- taps

    def start(self, about: str, now: float) -> None:
        """The two are connected: decide with what is known now, and ask the engine for a tap."""
        if not isinstance(self.capture.gate, Open):
            return
        if not self.capture.records:
            self.book.span(self.book.idle, now, self.book.why[0].code if self.book.why else "not-recorded")
            return
        self.began = True
        decision = self.capture.decide()
        self.book.note(NoteDecision(self.book.call, decision, now, about))
        if decision.allowed:
            self._ask(decision)
            return
        for reason in decision.reasons:
            self.book.add_reason(reason)
        self.book.span(SpanState.REFUSED, now, decision.reasons[0].code)

    def _ask(self, decision: Decision) -> None:
        """Enter the recording; the tap is opened when that is durable."""
        running = self.capture.intend(self._new_id(), decision)
        assert isinstance(self.capture.gate, Open)
        self._taps.add(running.recording)
        told = (self.capture.gate.told,)
        to = self.capture.recipients(decision)
        self.book.note(OpenRecording(self.book.call, running.recording, decision, running.agent, told, to))

    def entered(self, recording: str) -> None:
        """Why it exists is on disk. Ask for the tap, unless the call has moved on meanwhile."""
        wanted = self._is_running(recording) and isinstance(self.capture.gate, Open)
        if wanted and not self.book.interrupted:
            self._asked.add(recording)
            self._send(self.capture.open())
            return
        self.waits_for_resume = self.waits_for_resume or wanted
        self.book.note(DropRecording(self.book.call, recording, "hold" if wanted else "call-moved-on"))
        self._over(recording)

    def not_entered(self, recording: str, reason: str, now: float) -> None:
        """The catalog cannot be written: nothing is kept, and the call goes on (I9)."""
        log.error("call %s: no recording, the catalog cannot be written: %s", self.book.call, reason)
        if self._is_running(recording):
            self._say_no(reasons.CATALOG_FAILED, SpanState.FAILED, now)
        self._over(recording)

    def opened(self, event: protocol.TapOpened, now: float) -> None:
        running = self.capture.running
        if running is None or running.recording != event.tap or not isinstance(self.capture.gate, Open):
            return  # it is being closed already
        running.kept_from = event.kept_from_ns / NS
        if self._first_kept is None:
            self._first_kept = max(now, running.kept_from)
        self.book.span(SpanState.RECORDED, max(now, running.kept_from), "recorded")
        if self._tone:
            self.voice.to_agent(self.agent, "A1", now)

    def refused(self, event: protocol.TapRefused, now: float) -> None:
        """The engine holds the gate too, and it says no."""
        self.book.note(DropRecording(self.book.call, event.tap, event.reason))
        if self._is_running(event.tap) and isinstance(self.capture.gate, Open):
            log.error("call %s: the engine refused to record: %s", self.book.call, event.reason)
            self._say_no(refusal_of(event.reason), SpanState.FAILED, now)
        self._over(event.tap)
        self.destroyed(event.tap, now, done=True)  # nothing was kept

    def paused(self, event: protocol.TapPaused) -> None:
        """Without news from us for 3 s the engine keeps nothing (I4)."""
        if event.reason != "lease" or not self._is_running(event.tap):
            return
        if not isinstance(self.capture.gate, Open):
            return
        at = event.at_ns / NS  # not `now`: this is read when the silence that caused it is over
        if event.on:
            self.book.add_reason(reasons.NO_LEASE)
            self.book.span(SpanState.FAILED, at, reasons.NO_LEASE.code)
        else:
            self.book.span(SpanState.RECORDED, at, "recorded")

    def tap_closed(self, event: protocol.TapClosed) -> None:
        if event.tap in self._condemned:
            self.book.note(DestroyRecording(self.book.call, event.tap, OBJECTED.code))
        else:
            self._closed.append(event.tap)
            self._let_go = max(self._let_go, event.last_ns / NS if event.reason != "private" else 0.0)
            self.book.note(CloseRecording(self.book.call, event.tap, event))
        self._over(event.tap)

    def failed(self, event: protocol.TapFailed, now: float) -> None:
        """The journal cannot be written: never silent, and the call goes on (I9)."""
        log.error(
            "call %s: recording %s failed: %s; the call goes on", self.book.call, event.tap, event.reason
        )
        self._lose(event.tap, event.reason)
        if self._is_running(event.tap) and isinstance(self.capture.gate, Open):
            self._say_no(reasons.JOURNAL_FAILED, SpanState.FAILED, now)
        self._over(event.tap)

    def _lose(self, tap: str, reason: str) -> None:
        """What was kept so far is rendered, unless it is to be destroyed."""
        if tap in self._condemned:
            self.book.note(DestroyRecording(self.book.call, tap, OBJECTED.code))
        else:
            self._closed.append(tap)
            self.book.note(LoseRecording(self.book.call, tap, reason))

    def stop(self, reason: Reason, span: SpanState, now: float) -> None:
        """No more recording in this call; what ran is closed without its last, unconfirmed part."""
        self._let_go = now if self.capture.running else self._let_go
        self.close(reason.code, keep_held_back=False)
        self._say_no(reason, span, now)

    def leave_unsaid(self, reason: Reason) -> None:
        """As `stop`, but neither the row nor the journal says why."""
        self.close("call-ended", keep_held_back=False)
        self.capture.refuse(reason)

    def close(self, reason: str, *, keep_held_back: bool) -> None:
        running = self.capture.running
        if running is None:
            return
        if running.asked:
            self._send(self.capture.close(reason, keep_held_back=keep_held_back))
        else:
            self.capture.running = None  # `entered` finds it gone, and drops it

    # ---------------------------------------------------------------- private, and objections

    def made_private(self, cut_from: float) -> float:
        """The engine has closed every tap, and will open none again. What these held from `cut_from` on is cut; a
        recording that was closed before, of the agent before him as a rule, is not: gives how far it really reached.
        """
        cut_from = max(cut_from, self._let_go)
        running = self.capture.running
        if running is not None and not running.asked:
            self.capture.running = None  # `entered` finds it gone, and drops it
        self.book.add_reason(PRIVATE_CALL)
        self.book.span(SpanState.PRIVATE, cut_from, PRIVATE_CALL.code)
        self.capture.refuse(PRIVATE_CALL)
        return cut_from

    def objected(self, now: float, then: Callable[[float, bool], None]) -> None:
        """The customer objects: nothing more, and what there is of this call is destroyed; `then`, when it is."""
        self._then = then
        running = self.capture.running
        if running is not None and not running.asked:
            self.capture.running = None
        self.book.add_reason(OBJECTED)
        self.book.span(SpanState.OBJECTED, self._first_kept or now, OBJECTED.code)
        self.capture.refuse(OBJECTED)
        self._condemned = {*self._closed, *(self._taps & self._asked)}
        for recording in sorted(self._condemned):
            self.book.note(CondemnRecording(self.book.call, recording, OBJECTED.code))
        for recording in self._closed:
            self.book.note(DestroyRecording(self.book.call, recording, OBJECTED.code))
        self._perhaps_destroyed(now)

    def destroyed(self, recording: str, now: float, *, done: bool) -> None:
        """It is gone; or it could not be destroyed now."""
        if recording in self._condemned:
            self._condemned.discard(recording)
            self._undestroyed = self._undestroyed or not done
            self._perhaps_destroyed(now)

    def _perhaps_destroyed(self, now: float) -> None:
        if not self._condemned and self._then is not None:
            then, self._then = self._then, None
            then(now, not self._undestroyed)

    def engine_died(self, now: float, *, failed: bool) -> None:
        """What was kept is recovered as after a crash (I7); nothing more is kept. A private call loses nothing."""
        self.lose_taps()
        if failed and not self.objected_to:
            self._say_no(reasons.ENGINE_FAILED, SpanState.FAILED, now)

    def lose_taps(self) -> None:
        """No journal will be closed any more: what they hold is rendered as after a crash."""
        for tap in sorted(self._taps):
            self._lose(tap, reasons.ENGINE_FAILED.code)
        self._taps.clear()
        self.capture.running = None

    # ---------------------------------------------------------------- parties

    def agent_is(self, party: Party, now: float, *, talking: bool) -> None:
        """Another person is the agent: his part is another recording, decided anew (3B.1).

        A transfer usually comes while the customer is on hold; then the new recording waits for the end of that.
        """
        self.capture.with_agent(party)
        if self.capture.running is not None:
            self._let_go = now
            self.close("agent-changed", keep_held_back=False)
            self.capture.running = None
            self.book.span(SpanState.TOLD, now, "agent-changed")
        self.waits_for_resume = self.book.interrupted
        if talking and not self.book.interrupted:
            self.start("new-agent", now)

    def resumed(self, now: float) -> None:
        """Nobody holds any more: ask for the recording that had to wait."""
        if self.waits_for_resume and not self.book.interrupted:
            self.waits_for_resume = False
            self.start("resumed", now)

    def new_customer(self, leg: LegName, now: float) -> None:
        """A new outside party has not been told (I2): what was told on that leg is void."""
        self.capture.proof = None
        self._send(protocol.VoidProofs(self.book.call, leg, reasons.NEW_PARTY_NOT_TOLD.code))
        self.stop(reasons.NEW_PARTY_NOT_TOLD, SpanState.UNTOLD, now)

    # ---------------------------------------------------------------- small things

    def _is_running(self, tap: str) -> bool:
        running = self.capture.running
        return running is not None and running.recording == tap

    def _over(self, tap: str) -> None:
        self._taps.discard(tap)
        if self._is_running(tap):
            self.capture.running = None

    def _say_no(self, reason: Reason, span: SpanState, now: float) -> None:
        self.book.add_reason(reason)
        self.book.span(span, now, reason.code)
        self.capture.refuse(reason)
        if span is SpanState.FAILED:
            self.voice.to_agent(self.agent, "A14", now)
