"""An agent's key that is pressed: his phone dials the lamp's name.

| pressed | and he | what happens | he hears |
|---|---|---|---|
| `private-1001` | is in a call of ours | it is made private, as by the code in it | A4, once so; A7: against the law |
| | whose call is private already | nothing: it is so until it ends (KSF15-3.9) | A4 |
| | whose call nothing here could keep or hear | nothing | A2 |
| `private-1001` | is in none | as below | as below |
| `preset-1001` | | his next call is private; pressed again, no longer | A4, A5 |

The phone holds the call that he is in while it dials; that does no harm, the engine lets go of it all the same. What is
said is said when it has become true. If it does not within `PATIENCE`, nothing is said, and the lamp stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from qm_sip.config.features import FeatureKind
from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.policy.facts import LineKind, PersonId, Role
from qm_sip.private import Private
from qm_sip.privateline.toggle import why_not_private

if TYPE_CHECKING:
    from qm_sip.announce.prompts import Prompt
    from qm_sip.call.call import Call
    from qm_sip.call.service import ServiceCall
    from qm_sip.call.switchboard import Switchboard
    from qm_sip.media import protocol
    from qm_sip.privateline.presets import Presets

PATIENCE: Final = 2.0  # seconds
LOOK: Final = 0.05


class Features(Protocol):
    """Whoever keeps presets and finds prompts (`qm_sip/features.py`)."""

    board: Switchboard
    presets: Presets

    def set_preset(self, kind: FeatureKind, caller: Private[str]) -> Prompt | None: ...

    def staff(self, prompt: str) -> Prompt | None: ...


class Press:
    """See the module's docstring. It is the `Script` of its one-leg call."""

    def __init__(self, features: Features, service: ServiceCall, lamp: Lamp, device: Private[str]) -> None:
        self._features, self._service, self._lamp, self._device = features, service, lamp, device

    def up(self, now: float) -> None:
        calls = self._calls() if self._lamp.kind is Kind.PRIVATE else []
        here = [call for call in calls if call.in_engine and not _is_private(call)]
        pressed = [call for call in here if why_not_private(call.config, call.facts) is None]
        for call in pressed:
            call.private.press(now)
        if not calls:
            self._toggle(now)
        elif pressed != here:
            self._say("A7", now)
        elif here or any(map(_is_private, calls)):
            self._wait(pressed, now + PATIENCE, now)
        else:
            self._say("A2", now)

    def _calls(self) -> list[Call]:
        """Those that this agent is in, or that ring at his phone."""
        shown = (call for call in self._features.board if not (call.unsaid or call.book.ended))
        return [call for call in shown if _is_his(call, self._lamp.person)]

    def _toggle(self, now: float) -> None:
        features, wall = self._features, self._features.board.wall()
        on = features.presets.active(self._lamp.person, self._device.reveal(), wall) is not None
        prompt = features.set_preset(FeatureKind.OFF if on else FeatureKind.NEXT_CALL, self._device)
        self._service.say([prompt], now, self._service.hang_up)

    def _wait(self, pressed: list[Call], until: float, now: float) -> None:
        if all(_is_private(call) or call.book.ended for call in pressed):
            self._say("A4", now)
        elif now >= until:
            self._service.hang_up(now)
        else:
            self._features.board.timers.start(now + LOOK, lambda at: self._wait(pressed, until, at))

    def _say(self, prompt: str, now: float) -> None:
        self._service.say([self._features.staff(prompt)], now, self._service.hang_up)

    def key(self, key: str, now: float) -> None:
        """No key means anything here."""

    def said(self, event: protocol.PromptFinished, now: float) -> None:
        """Then it hangs up."""

    def gone(self, now: float) -> None:
        """What was pressed stays pressed."""


def _is_private(call: Call) -> bool:
    return call.facts.kind is LineKind.PRIVATE


def _is_his(call: Call, person: PersonId) -> bool:
    return any(
        party.person == person and party.left is None and party.role in (Role.AGENT, Role.COLLEAGUE)
        for party in call.facts.parties
    )
