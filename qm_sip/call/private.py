"""A call that its agent makes private while it runs: from the key to the last packet that comes here.

    Off -> Cutting -> Saying -> Switching -> Settled

- `Cutting`: the engine has let go of every tap and listener, and can have none again; we wait until each journal's
  cut is on the disk.
- `Saying`: the agent hears A4. It comes before the switch, for after it we can play nothing; and it is true already.
- `Switching`: both sides have been asked, at once, to send their audio to each other.
- `Settled`: *direct*, and our sockets are closed; or a *blind relay*, because one side would not: packets pass, and
  nothing here could listen. The agent's proof says which.

There is no way back (I5, KSF15-3.9): private lasts until the call ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qm_sip.call.states import State
from qm_sip.call.words import NotePrivate
from qm_sip.media import protocol
from qm_sip.policy.reasons import PRIVATE_REFUSED
from qm_sip.privateline.toggle import made_private, why_not_private

if TYPE_CHECKING:
    from qm_sip.call.call import Call

NS = 1_000_000_000
# Seconds the disk gets to sync the cut; later the switch is not kept waiting, and A4 is not said.
CUT_WAIT = 2.0


@dataclass(frozen=True)
class Off:
    """Not private."""


@dataclass(frozen=True)
class Cutting:
    since: float
    reminder: bool


@dataclass(frozen=True)
class Saying:
    since: float


@dataclass(frozen=True)
class Switching:
    since: float


@dataclass(frozen=True)
class Settled:
    since: float
    path: str  # direct | blind-relay


class PrivateCall:
    """See the module's docstring."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._state: Off | Cutting | Saying | Switching | Settled = Off()
        self._preset = False
        self._cut_from = 0.0

    @property
    def on(self) -> bool:
        """Whether the call is private."""
        return not isinstance(self._state, Off)

    def press(self, now: float, *, preset: bool = False) -> None:
        """The agent wants it, by INFO or beforehand. The engine is asked, and says when it is so."""
        call = self._call
        if self.on or not call.in_engine:
            return
        if why_not_private(call.config, call.facts) is not None:
            self.refuse(now)
            return
        self._preset = preset
        drop = 0.0 if preset else call.config.lines.private.drop_before.seconds
        call.desk.media.send(protocol.MakePrivate(call.id, int(drop * 1000)))

    def refuse(self, now: float) -> None:
        """The law requires this recording: say so (A7)."""
        call = self._call
        call.book.add_reason(PRIVATE_REFUSED)
        call.voice.to_agent(call.agents_leg, "A7", now)

    def made(self, event: protocol.MadePrivate, now: float) -> None:
        """The engine has let go of everything. From here on nothing can be kept or heard."""
        if self.on or self._call.unsaid:
            return
        call, since = self._call, event.at_ns / NS
        self._state, self._cut_from = Cutting(since, self._preset), event.cut_from_ns / NS
        call.facts = made_private(call.facts)
        if call.recording:
            if call.recording.telling:
                call.desk.media.send(protocol.StopPlay(call.id, call.customer))
            self._cut_from = call.recording.made_private(self._cut_from)
        self._note(None, None)
        call.desk.timers.start(now + CUT_WAIT, self._give_up_waiting)
        call.stop_telling(now)
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """A tap has closed, or the two have just been connected: is it time for A4?"""
        call, state = self._call, self._state
        closed = call.recording is None or call.recording.closed
        if isinstance(state, Cutting) and closed and call.state is State.TALKING:
            self._state = Saying(state.since)
            about = "A6" if state.reminder else "A4"
            call.voice.to_agent(call.agents_leg, about, now, lambda at, _: self._switch(at), at_once=True)

    def _give_up_waiting(self, now: float) -> None:
        """The disk stands still: A4 would not be true yet, and the switch must not wait for it."""
        if isinstance(self._state, Cutting) and self._call.state is State.TALKING:
            self._switch(now)

    def _switch(self, now: float) -> None:
        talking = self._call.state is State.TALKING and not self._call.unsaid
        if talking and not isinstance(self._state, Switching | Settled | Off):
            self._state = Switching(self._state.since)
            self._call.exchange.try_direct(now, self._switched)

    def _switched(self, now: float, direct: bool) -> None:
        if not isinstance(self._state, Switching):
            return
        self._state = Settled(self._state.since, "direct" if direct else "blind-relay")
        if direct:
            self._call.close_engine(now)
        self._note(self._state.path, now if direct else None)

    def _note(self, path: str | None, direct_at: float | None) -> None:
        assert not isinstance(self._state, Off)
        since, book = self._state.since, self._call.book
        cut_ms = max(0, book.ms(since) - book.ms(self._cut_from))  # to the millisecond of the span
        direct_ms = None if direct_at is None else book.ms(direct_at)
        book.note(NotePrivate(self._call.id, book.ms(since), cut_ms, path, direct_ms))
