"""The book of one call: its spans, its reasons, and the one row they become (invariant I8).

A confidential or emergency call has no book at all (`Blank`): nothing that could name it is ever written.
"""

from __future__ import annotations

from collections.abc import Callable

from qm_sip.call.spans import Span, SpanBook, outcome
from qm_sip.call.words import FinishRow, ForgetCall, Keeper, NoteSpans, NoteTransfer, OpenRow, Word
from qm_sip.policy.facts import CallFacts, CallId, Outcome, Reason, Role, SpanState

# Nothing comes after these: what the agent or the customer decided holds to the end of the call, held or not.
FINAL = frozenset({SpanState.PRIVATE, SpanState.OBJECTED})


class Book:
    """What is written down of a call, in the order it happens."""

    silent = False

    def __init__(
        self, call: CallId, keeper: Keeper, idle: SpanState, why: tuple[Reason, ...], now: float
    ) -> None:
        self.call, self.idle, self.why = call, idle, why
        self.answered: float | None = None
        self._keeper, self.started = keeper, now
        self._spans = SpanBook(idle, now, why[0].code if why else "arrived")
        self._gaps: dict[SpanState, str] = {}  # what interrupts the call now: hold, pause; and why
        self._under: tuple[SpanState, str] | None = None  # what goes on when the last of them ends
        self._ends: float | None = None
        self._late: str | None = None  # what failed after the end, while journals were being closed
        self._finished = False
        self.changed: Callable[[], None] = lambda: None  # whoever is to hear that the state is another now

    def open(self, facts: CallFacts) -> None:
        """Ask for the row; `RowOpened` says when it is durable."""
        self._keeper.keep(OpenRow(facts))

    def ms(self, at: float) -> int:
        """A monotonic moment on the call's own axis, milliseconds from its start."""
        return max(0, round((at - self.started) * 1000))

    def note(self, word: Word) -> None:
        self._keeper.keep(word)

    def span(self, state: SpanState, at: float, reason: str) -> None:
        """From `at` on the call is in this state. While it is interrupted that waits for its end, but a failure, and
        what is final, does not.
        """
        if self._spans.state in FINAL and state not in FINAL:
            return
        if self._under is not None:
            self._under = (state, reason)
            if state in FINAL:
                self._change(state, at, reason)
                return
            if state is not SpanState.FAILED:
                if self._spans.state is SpanState.FAILED:  # that has passed, and the interruption goes on
                    self._interrupted(at)
                return
        self._change(state, at, reason)

    def gap(self, state: SpanState, at: float, reason: str = "") -> None:
        """From `at` on somebody holds, or it is paused; what the call was in before goes on afterwards."""
        if self._under is None:
            self._under = (self._spans.state, "resumed")
        if state not in self._gaps:
            self._gaps[state] = reason or state.value
            self._interrupted(at)

    def gap_is(self, state: SpanState, at: float, reason: str) -> None:
        """That interruption turns out to be something more particular: a hold is for a consultation."""
        if state in self._gaps and self._gaps[state] != reason:
            self._gaps[state] = reason
            self._interrupted(at)

    def gap_over(self, state: SpanState, at: float) -> None:
        """That interruption has ended; another may still stand."""
        if self._gaps.pop(state, None) is None or self._under is None:
            return
        if self._gaps:
            self._interrupted(at)
            return
        (under, reason), self._under = self._under, None
        if self._spans.state not in FINAL:
            self._change(under, at, reason)

    def _interrupted(self, at: float) -> None:
        """Of several interruptions the book shows the first that began."""
        if self._spans.state in FINAL:
            return
        state, reason = next(iter(self._gaps.items()))
        self._change(state, at, reason)

    def _change(self, state: SpanState, at: float, reason: str) -> None:
        pressed_before_the_end = state in FINAL and self._ends is not None and at < self._ends
        if self._ends is not None and not pressed_before_the_end:
            if state is SpanState.FAILED:
                self._late = reason
            return
        self._spans.change(state, at, reason)
        self.changed()
        if state is not SpanState.TOLD:  # a moment between the prompt and the first sample
            self._keeper.keep(NoteSpans(self.call, _up_to(self._spans.spans(at), state, reason)))

    def moved(self, how: str, gone: Role | None, came: Role | None, at: float) -> None:
        """Somebody else has come in the place of one of the two."""
        if not self.ended:
            self._keeper.keep(NoteTransfer(self.call, self.ms(at), how, gone, came))

    @property
    def interrupted(self) -> bool:
        """Whether somebody holds, or it is paused: nothing is kept or heard for now."""
        return bool(self._gaps)

    @property
    def indication(self) -> str:
        """What a phone that knows of recording shows (RFC 7866 6.1.2): on, paused, off."""
        under = self._under[0] if self._under is not None else None
        if self.state in self._gaps and under is SpanState.RECORDED:
            return "paused"
        return "on" if self.state is SpanState.RECORDED else "off"

    @property
    def state(self) -> SpanState:
        return self._spans.state

    def add_reason(self, reason: Reason) -> None:
        if reason not in self.why:
            self.why = (*self.why, reason)

    def end(self, at: float) -> None:
        """What the row tells of ends here. The first end counts."""
        if self._ends is None:
            self._ends = at

    @property
    def ended(self) -> bool:
        return self._ends is not None

    def forget(self, at: float) -> None:
        """It was a confidential call all the time: it has no row (I8)."""
        self.end(at)
        self._finished = True
        self._keeper.keep(ForgetCall(self.call))

    def finish(self) -> None:
        """Write the outcome, once: the call has ended and its journals are closed."""
        if self._ends is None or self._finished:
            return
        self._finished = True
        spans = self._spans.spans(self._ends)
        if self._late and outcome(spans) is not Outcome.FAILED:
            spans = _up_to(spans, SpanState.FAILED, self._late)
        self._keeper.keep(
            FinishRow(self.call, self.started, self.answered, self._ends, spans, outcome(spans), self.why)
        )


def _up_to(spans: tuple[Span, ...], state: SpanState, reason: str) -> tuple[Span, ...]:
    """The spans up to a moment, and what begins in it: a span of no length yet."""
    end = spans[-1].to_ms
    return spans if spans[-1].state is state else (*spans, Span(state, end, end, reason))


class Nowhere:
    """The keeper of calls of which nothing may be kept."""

    def keep(self, word: Word) -> None:
        """Forget it."""


class Blank(Book):
    """The book of a call of which nothing may be kept."""

    silent = True

    def __init__(self, call: CallId, now: float) -> None:
        super().__init__(call, Nowhere(), SpanState.PRIVATE, (), now)
