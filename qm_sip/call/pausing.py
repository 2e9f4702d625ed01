"""A pause: a card number is about to be said (EXT-3). Nothing is kept or heard meanwhile, and it ends by itself.

A call also *rests* for what its PBX tells of it (`pbx`): for as long as that stands, and nobody hears a word of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qm_sip.call.states import State
from qm_sip.media import protocol
from qm_sip.policy.facts import SpanState
from qm_sip.policy.identify import line_of
from qm_sip.sip.timers import Timer

if TYPE_CHECKING:
    from qm_sip.call.call import Call


class Pausing:
    """The pause of one call. `on` again does not prolong it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._timer: Timer | None = None
        self._said = False  # that it is paused; not yet that it goes on
        self._rests: list[str] = []  # why it rests, the first first
        self._resting = False  # and the engine knows

    @property
    def on(self) -> bool:
        """Whether it is paused."""
        return self._timer is not None

    def press(self, now: float) -> None:
        """The agent's key: pause, or go on."""
        if self.on:
            self.resume(now)
        else:
            self.pause(now)

    def pause(self, now: float) -> bool:
        """Keep nothing until further notice, at most `pause_resume_after`. False: there is nothing to pause."""
        call = self._call
        if self.on or call.state is not State.TALKING or not call.may_be_used:
            return self.on
        after = line_of(call.config, call.facts).pause_resume_after.seconds
        self._timer = call.desk.timers.start(now + after, self._ring)
        call.desk.media.send(protocol.Pause(call.id, on=True, reason="pause"))
        call.book.gap(SpanState.PAUSE, now)
        if call.recording and call.recording.kept:
            self._said = True
            call.voice.to_customer(call.customer, "K18", now)
        return True

    def resume(self, now: float) -> bool:
        """Go on. False: it was not paused."""
        if self._timer is None:
            return False
        self._timer.cancel()
        self._ring(now)
        return True

    def _ring(self, now: float) -> None:
        self._timer = None
        if self._rests:
            self._call.book.gap_is(SpanState.PAUSE, now, self._rests[0])
        else:
            self._go_on(now)

    def _go_on(self, now: float) -> None:
        call = self._call
        if call.state is not State.TALKING or not call.in_engine or call.private.on:
            return
        call.desk.media.send(protocol.Pause(call.id, on=False, reason="pause"))
        call.book.gap_over(SpanState.PAUSE, now)
        call.resumed(now)

    # ---------------------------------------------------------------- rests

    def rest(self, why: str, now: float) -> None:
        """Keep nothing while that stands."""
        if why not in self._rests:
            self._rests.append(why)
            self.connected(now)

    def rest_over(self, why: str, now: float) -> None:
        """That stands no more; something else may."""
        if why not in self._rests:
            return
        self._rests.remove(why)
        if self._rests and not self.on:
            self._call.book.gap_is(SpanState.PAUSE, now, self._rests[0])
        elif self._resting and not self._rests:
            self._resting = False
            if self.on:
                self._call.book.gap_is(SpanState.PAUSE, now, "pause")
            else:
                self._go_on(now)

    def connected(self, now: float) -> None:
        """The two talk: if something has made the call rest before, it counts from here."""
        call = self._call
        if self._rests and not self._resting and call.state is State.TALKING and call.may_be_used:
            self._resting = True
            call.desk.media.send(protocol.Pause(call.id, on=True, reason="pause"))
            call.book.gap(SpanState.PAUSE, now, self._rests[0])

    def resumed(self, now: float) -> None:
        """Nothing interrupts the call any more, no hold either, or what had to wait for that is kept now: only then
        does the recording go on (K19).
        """
        call = self._call
        if self._said and call.recording and call.recording.kept:
            self._said = False
            call.voice.to_customer(call.customer, "K19", now)

    def end(self) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
