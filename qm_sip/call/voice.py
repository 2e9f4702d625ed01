"""What we say into one leg's ear while a call runs: confirmations, tones, notices; and what follows when it is said.

Everything is an overlay: the engine mixes it into what that leg hears, behind the point where taps listen, so
it is in no recording (people.md 4C). Say only what is true already: whoever asks for a sentence has done the
thing before, and what must come after the sentence is handed in as `then`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qm_sip.announce.prompts import Prompt, PromptLibrary
from qm_sip.call.media_plan import Send
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName

Then = Callable[[float, str | None], None]
"""`now`, and the engine's proof that it was said to its end; None if it was not."""


@dataclass(frozen=True)
class Tongue:
    """In which language whom is spoken to, and whether staff hear tones or sentences in mid-call (4C)."""

    customer: str
    staff: str
    speech: bool


@dataclass(frozen=True)
class Saying:
    """One sentence or tone, waiting or being said."""

    leg: LegName
    prompt: Prompt
    then: Then | None
    for_tap: str | None


class Voice:
    """The sentences and tones of one call: of each leg one at a time, the others wait for their turn."""

    def __init__(
        self, call: str, send: Send, new_id: Callable[[], str], library: PromptLibrary, tongue: Tongue
    ) -> None:
        self.call, self.library, self.tongue = call, library, tongue
        self._send, self._new_id = send, new_id
        self._waiting: list[Saying] = []
        self._now: dict[str, Saying] = {}  # by play: at most one of each leg
        self._mute = False

    def to_customer(self, leg: LegName, prompt: str, now: float, then: Then | None = None) -> None:
        """A confirmation, in the language he was told in. It does not wait: he has just asked for it."""
        self._say(leg, self.library.find(prompt, self.tongue.customer), now, then, at_once=True)

    def to_agent(
        self,
        leg: LegName,
        about: str,
        now: float,
        then: Then | None = None,
        *,
        for_tap: str | None = None,
        at_once: bool = False,
    ) -> None:
        """A tone, or a sentence where the council asked for speech; `about` is the sentence's id (A1, A4 ...)."""
        tone = None if self.tongue.speech else self.library.tone(f"T-{about}")
        prompt = tone or self.library.find(about, self.tongue.staff)
        self._say(leg, prompt, now, then, for_tap, at_once=at_once)

    def _say(
        self,
        leg: LegName,
        prompt: Prompt | None,
        now: float,
        then: Then | None,
        for_tap: str | None = None,
        *,
        at_once: bool,
    ) -> None:
        """A prompt that is not there counts as not said. At once: what is being said, or waits, on that leg is not."""
        if prompt is None or self._mute:
            if then is not None:
                then(now, None)
            return
        if at_once:
            self._drop(leg, now)
        self._waiting.append(Saying(leg, prompt, then, for_tap))
        self._next(leg)

    def _next(self, leg: LegName) -> None:
        if any(saying.leg == leg for saying in self._now.values()):
            return
        for saying in self._waiting:
            if saying.leg == leg:
                self._waiting.remove(saying)
                self._begin(saying)
                return

    def _begin(self, saying: Saying) -> None:
        play = self._new_id()
        self._now[play] = saying
        self._send(
            protocol.Play(
                self.call, saying.leg, play, saying.prompt.digest, overlay=True, for_tap=saying.for_tap
            )
        )

    def _drop(self, leg: LegName, now: float) -> None:
        """The engine stops an overlay for the next one by itself."""
        dropped = [play for play, saying in self._now.items() if saying.leg == leg]
        sayings = [self._now.pop(play) for play in dropped] + [s for s in self._waiting if s.leg == leg]
        self._waiting = [saying for saying in self._waiting if saying.leg != leg]
        for saying in sayings:
            if saying.then is not None:
                saying.then(now, None)

    def finished(self, event: protocol.PromptFinished, now: float) -> None:
        """The engine has sent the last of it."""
        self._over(event.play, event.proof, now)

    def failed(self, event: protocol.PromptFailed, now: float) -> None:
        """It was not said to its end."""
        self._over(event.play, None, now)

    def _over(self, play: str, proof: str | None, now: float) -> None:
        saying = self._now.pop(play, None)
        if saying is None:
            return
        if saying.then is not None:
            saying.then(now, proof)
        self._next(saying.leg)

    def fall_silent(self, now: float) -> None:
        """Nothing can be said any more: what waits for a sentence goes on without it."""
        self._mute = True
        sayings, self._now, self._waiting = [*self._now.values(), *self._waiting], {}, []
        for saying in sayings:
            if saying.then is not None:
                saying.then(now, None)
