"""A call with one leg: somebody dials a feature code, a menu or the announcement; or we call a supervisor to listen.

    ARRIVED -> ANSWERED -> UP -> OVER          offered to us
    ARRIVED -> CALLING  -> UP -> OVER          made by us

What happens on it is a `Script`'s affair: it is told that somebody is there, which keys he presses, that he has gone;
it may say prompts, one after another, and hang up. The leg is an engine call of its own with no second leg: what its
phone sends is heard by nobody and kept nowhere (I10).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Protocol

from qm_sip.announce.prompts import Prompt
from qm_sip.call import headers
from qm_sip.call.desk import Desk
from qm_sip.call.keypad import info_key
from qm_sip.call.media_plan import Relay
from qm_sip.call.security import Security
from qm_sip.call.session import LegSession, read_sdp, unrecordable
from qm_sip.media import protocol
from qm_sip.sip import events as sip
from qm_sip.sip.message import Request, Response
from qm_sip.sip.sdp import Sdp

log = logging.getLogger("qm_sip.call")

Said = Callable[[float], None]


class Script(Protocol):
    """What a one-leg call is for."""

    def up(self, now: float) -> None:
        """Somebody is there and hears us."""

    def key(self, key: str, now: float) -> None:
        """He has pressed a key."""

    def said(self, event: protocol.PromptFinished, now: float) -> None:
        """The engine has sent the last of a prompt."""

    def gone(self, now: float) -> None:
        """He has hung up, or was never reached. Said once, also after our own hang-up."""


class Phase(Enum):
    ARRIVED = auto()
    ANSWERED = auto()
    CALLING = auto()
    UP = auto()
    OVER = auto()


class ServiceCall:
    """See the module's docstring. `line` and `outside` are set where the customer himself is told something here."""

    def __init__(
        self,
        desk: Desk,
        leg: sip.LegId,
        local: sip.Address,
        *,
        line: str = "",
        outside: bool = False,
        answer_headers: Sequence[tuple[str, str]] = (),
        receipt: tuple[str, dict[str, Any]] | None = None,
        security: Security | None = None,
    ) -> None:
        self._receipt = receipt  # the prompt (digest) for whose hearing the engine keeps a receipt, and which
        self.desk, self.leg, self.line, self.outside = desk, leg, line, outside
        self.id = desk.new_id()
        self.script: Script
        self.phase = Phase.ARRIVED
        self._session = LegSession("caller", desk.session_id(), local.host, security)
        self._plan = Relay(self.id, desk.media.send)
        self._extra = list(answer_headers)
        self._dial: dict[str, Any] | None = None  # how to call him, if we do
        self._queue: list[Prompt] = []
        self._then: Said | None = None
        self._playing = ""

    # ---------------------------------------------------------------- beginning

    def begin(self, request: Request, now: float) -> None:
        """It was offered to us: open the sockets, then answer."""
        self._session.theirs = read_sdp(request)
        self._open()

    def dial(
        self,
        uri: str,
        from_: str,
        places: Sequence[sip.Address],
        local: sip.Address,
        now: float,
        **more: Any,
    ) -> None:
        """Call somebody ourselves, as soon as the sockets are open."""
        there = {"destination": places[0], "others": places[1:], "local": local}
        self._dial = {"uri": uri, "to": f"<{uri}>", "from_": from_, **there, **more}
        self._open()

    def _open(self) -> None:
        send = self.desk.media.send
        send(protocol.OpenCall(self.id, self.line))
        send(protocol.OpenLeg(self.id, "caller", outside=self.outside, channel=0))

    def leg_opened(self, event: protocol.LegOpened, now: float) -> None:
        if self.phase is not Phase.ARRIVED:
            return
        self._session.socket = event
        if self._dial is not None:
            self.phase = Phase.CALLING
            body = self._plan.offer(self._session)
            self.desk.ua.invite(self.leg, headers=[headers.SDP], body=body, now=now, **self._dial)
            return
        theirs = self._session.theirs
        if theirs is not None and self._unusable(theirs):
            self._refuse(488, now)
            return
        if theirs is None:
            body = self._plan.offer(self._session)
        else:
            self._learn(theirs)
            body = self._plan.answer(self._session)
        self.phase = Phase.ANSWERED
        self.desk.ua.answer(self.leg, body, headers=[headers.SDP, *self._extra], now=now)

    def _learn(self, theirs: Sdp) -> None:
        self._session.theirs = theirs
        self._plan.learned(self._session, theirs)

    def _unusable(self, theirs: Sdp) -> bool:
        return unrecordable(theirs, self._session.security, self._plan.voices) is not None

    def no_sockets(self, now: float) -> None:
        """The engine cannot: the caller gets 503."""
        if self.phase is Phase.ARRIVED:
            self._refuse(503, now)

    def _refuse(self, status: int, now: float) -> None:
        if self._dial is None:
            self.desk.ua.reject(self.leg, status, now=now)
        self._over(now)

    # ---------------------------------------------------------------- SIP

    def answered(self, response: Response, now: float) -> None:
        """Our own call was answered."""
        theirs = read_sdp(response)
        if self.phase is not Phase.CALLING or theirs is None or self._unusable(theirs):
            self.hang_up(now)
            return
        self._learn(theirs)
        self._up(now)

    def acknowledged(self, request: Request, now: float) -> None:
        theirs = read_sdp(request) if self._session.theirs is None else None
        if theirs is not None and not self._unusable(theirs):
            self._learn(theirs)
        if self.phase is Phase.ANSWERED:
            self._up(now)

    def _up(self, now: float) -> None:
        self.phase = Phase.UP
        self.script.up(now)

    def offered(self, request: Request, now: float) -> None:
        """A re-INVITE: a refresh, a hold, another address."""
        theirs = read_sdp(request)
        if theirs is None or self._unusable(theirs):
            self.desk.ua.reject_offer(self.leg, 488, now=now)
            return
        self._learn(theirs)
        body = self._plan.answer(self._session)
        self.desk.ua.answer_offer(self.leg, body, headers=[headers.SDP], now=now)

    def asked(self, token: int, request: Request, now: float) -> None:
        """INFO and the like: a key is a key, however it comes."""
        key = info_key(request) if request.method == "INFO" else None
        known = key is not None or request.method == "UPDATE"
        status = 200 if known else 415 if request.method == "INFO" else 501
        self.desk.ua.respond(self.leg, token, status, now=now)
        if key is not None and self.phase is Phase.UP:
            self.script.key(key, now)

    def ended(self, now: float) -> None:
        """CANCEL, BYE, a refusal, or a dead dialog."""
        self._over(now)

    # ---------------------------------------------------------------- the engine

    def digit(self, event: protocol.Digit, now: float) -> None:
        if self.phase is Phase.UP:
            self.script.key(event.digit, now)

    def prompt_finished(self, event: protocol.PromptFinished, now: float) -> None:
        """Said to its end: here is the proof, for a script that wants it."""
        if event.play == self._playing:
            self.script.said(event, now)
        self.prompt_over(event.play, now)

    def prompt_over(self, play: str, now: float) -> None:
        """Said, or not to be said: on to the next."""
        if play == self._playing:
            self._next(now)

    def engine_died(self, now: float) -> None:
        self.hang_up(now)

    # ---------------------------------------------------------------- what a script may ask

    def say(self, prompts: Sequence[Prompt | None], now: float, then: Said | None = None) -> None:
        """These, one after another; what was being said before is not said to its end."""
        self._queue, self._then = [prompt for prompt in prompts if prompt is not None], then
        if self._playing:
            self._playing = ""
            self.desk.media.send(protocol.StopPlay(self.id, "caller"))
        self._next(now)

    def _next(self, now: float) -> None:
        self._playing = ""
        if self.phase is not Phase.UP:
            return
        if self._queue:
            prompt = self._queue.pop(0)
            self._playing = self.desk.new_id()
            kept = self._receipt[1] if self._receipt and self._receipt[0] == prompt.digest else None
            self.desk.media.send(protocol.Play(self.id, "caller", self._playing, prompt.digest, receipt=kept))
            return
        then, self._then = self._then, None
        if then is not None:
            then(now)

    def hang_up(self, now: float) -> None:
        """End it."""
        if self.phase is Phase.CALLING:
            self.desk.ua.cancel(self.leg, now=now)
        elif self.phase in (Phase.ANSWERED, Phase.UP):
            self.desk.ua.bye(self.leg, now=now)
        elif self.phase is Phase.ARRIVED and self._dial is None:
            self.desk.ua.reject(self.leg, 503, now=now)
        self._over(now)

    def _over(self, now: float) -> None:
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        self._queue, self._then, self._playing = [], None, ""
        self.desk.media.send(protocol.CloseCall(self.id))
        self.desk.service_over(self)
        self.script.gone(now)
