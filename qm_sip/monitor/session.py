"""One supervisor who wants to listen, from dialling to the last sample.

    Asking -> Checking -> Opening -> Seeking -> Waiting | Listening -> Ending

- `Asking`: the menu (W0). Started from the command line, extension and purpose are known and only the code is asked.
- `Checking`: the code is checked and his past sessions are counted, elsewhere, because both take time.
- `Opening`: what was decided is being written down. No session begins that is not on the disk.
- `Seeking`: is there a call of this agent that may be heard? Only now, and last: nobody learns by trying who is in a
  private or confidential call (4D). Private, confidential, objected and idle sound the same (W7).
- `Waiting`: for the agent's next call, if he asked for that.
- `Listening`: `call/listening.py` does it: the agent is told first, then he hears.
- `Ending`: the last sentence is being said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from qm_sip.announce.choose import language_of_staff
from qm_sip.announce.prompts import Prompt
from qm_sip.call import reasons as of_calls
from qm_sip.call.listening import Listening, Wish
from qm_sip.call.service import Phase, ServiceCall
from qm_sip.call.words import CloseSession, NoteSession, OpenSession
from qm_sip.call.words import Listening as Row
from qm_sip.media.protocol import PromptFinished
from qm_sip.monitor.menu import PATIENCE, PAUSE, Asked, Menu
from qm_sip.policy import reasons
from qm_sip.policy.facts import Decision, PersonId, Reason
from qm_sip.policy.listening import SAME, Usage, may_hear, may_listen, notice_for, spoken, time_left
from qm_sip.sip.timers import Timer

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.monitor.room import Room

log = logging.getLogger("qm_sip.monitor")

OFFER_WAIT = 10.0  # seconds to press 1 and wait for the next call


class Step(Enum):
    ASKING = auto()
    CHECKING = auto()
    OPENING = auto()
    SEEKING = auto()
    OFFERING = auto()  # to wait for the next call
    WAITING = auto()
    LISTENING = auto()
    ENDING = auto()


@dataclass(frozen=True)
class Checked:
    """What was found out elsewhere: whether the code is his, and what he and others have listened to so far."""

    code_fits: bool
    locked: bool
    usage: Usage


class Session:
    """See the module's docstring. It is the `Script` of its one-leg call and the `Hearer` of its listening."""

    def __init__(self, room: Room, service: ServiceCall, monitor: PersonId, device: str, menu: Menu) -> None:
        self.room, self.service, self.monitor, self.device = room, service, monitor, device
        self.menu = menu
        self.step = Step.ASKING
        self.id = room.new_id()
        self.agent: PersonId | None = None
        self.purpose = ""
        self.plan: str | None = None
        self.budget = 0.0  # seconds he may listen; reserved of the plan's minutes until he has gone
        self.listening: Listening | None = None
        self.call: Call | None = None
        self._timer: Timer | None = None
        self._requested = room.now()
        self._never = False  # a confidential agent: as if he were always idle, to the ear
        self._usage = Usage()  # by others and by him, before this session
        self._entered = False  # what was decided has been written down, or is being
        self._cause = ""
        self._last: float | None = None
        self._heard = 0.0  # seconds, without interruptions
        self._hearing_since: float | None = None
        self._until: float | None = None  # he heard nothing later than this, as far as is known here

    # ---------------------------------------------------------------- the menu

    def up(self, now: float) -> None:
        """He is there."""
        self._ask(now)

    def _ask(self, now: float) -> None:
        question = self.menu.question
        if question is None:
            self._check(self.menu.asked, now)
            return
        self._alarm(PATIENCE, now, lambda at: self._say_and_go("no-answer", (), at))
        self.service.say([self._prompt(question)], now)

    def key(self, key: str, now: float) -> None:
        """One key: an answer, or his wish to wait."""
        if self.step is Step.OFFERING:
            if key == "1":
                self._wait(now)
            return
        if self.step is not Step.ASKING:
            return
        before = self.menu.question
        self.menu.press(key)
        if self.menu.question != before:
            self._ask(now)
        else:
            self._alarm(PAUSE if self.menu.half else PATIENCE, now, self._paused)

    def _paused(self, now: float) -> None:
        if self.menu.half:
            self.menu.pause()
            self._ask(now)
        else:
            self._say_and_go("no-answer", (), now)

    # ---------------------------------------------------------------- who is he, and may he

    def _check(self, asked: Asked, now: float) -> None:
        self.step = Step.CHECKING
        self._quiet()
        agent = self.room.agent_at(asked.extension)
        self.agent, self.purpose = agent, asked.purpose
        self.room.check(self, asked.code, agent)

    def checked(self, found: Checked, now: float) -> None:
        """The order of 4D: who you are, may you, purpose, plan, cap."""
        if self.step is not Step.CHECKING:
            return
        if found.locked or not found.code_fits:
            self._refused((reasons.WRONG_CODE,), now)
            return
        self._usage = found.usage.and_now(self.room.allowed_now(self))
        decision = self._decide()
        self._never = not decision.allowed and spoken(decision.reasons[0]) == SAME
        if not decision.allowed and not self._never:
            self._refused(decision.reasons, now)
            return
        self.plan = decision.plan
        self.budget = time_left(self.room.config, self.plan, self._usage, self.room.wall())
        self.step = Step.OPENING
        self._enter(now, allowed=decision.allowed, why=decision.reasons)

    def _decide(self) -> Decision:
        agent, wall = self.agent or PersonId(""), self.room.wall()
        return may_listen(self.room.config, self.monitor, agent, self.purpose, self._usage, wall)

    def reconsider(self, now: float) -> None:
        """The settings were read again, or time has passed: what he may no more ends now (KSF15-3.3.2)."""
        begun = self._entered and not self._never and self.step is not Step.ENDING
        if begun and not self._decide().allowed:
            self._stop("not-allowed-any-more", now)

    def _enter(self, now: float, *, allowed: bool, why: tuple[Reason, ...]) -> None:
        """Write down what was decided: who, whom, why, and that it was refused if it was (KSF15-3.3, FAQ-A.8)."""
        self._entered = True
        config = self.room.config
        account = config.people.monitor.get(self.monitor)
        row = Row(
            session=self.id,
            agent=self.agent,
            monitor=self.monitor,
            account=f"phone {self.device}",
            device=self.device,
            capacity=account.capacity if account else "",
            purpose=self.purpose or None,
            requested=self._requested,
            decided=now,
            allowed=allowed,
            reasons=why,
            plan=self.plan,
            grant=f"monitor.{self.monitor} {config.versions.people}",
        )
        self.room.keep(OpenSession(row))

    @property
    def allowed(self) -> bool:
        """Whether it counts for the plan's cap from now on, heard or not yet."""
        begun = self.step in (Step.OPENING, Step.SEEKING, Step.OFFERING, Step.WAITING, Step.LISTENING)
        return begun and not self._never

    def opened(self, now: float) -> None:
        """What was decided is on the disk."""
        if self.step is Step.OPENING:
            self._seek(now)

    def not_opened(self, now: float) -> None:
        """It could not be written down, so it does not begin."""
        if self.step is Step.OPENING:
            log.error("a listening session could not be written down: it does not begin")
            self._say_and_go(of_calls.CATALOG_FAILED.code, (SAME,), now)

    # ---------------------------------------------------------------- is there a call

    def _seek(self, now: float) -> None:
        self.step = Step.SEEKING
        call = None if self._never else self.room.call_of(self.agent)
        reason = None if call is None else self._not_hearable(call)
        if call is None or (reason is not None and spoken(reason) == SAME):
            self.step = Step.OFFERING
            self._alarm(OFFER_WAIT, now, lambda at: self._say_and_go("not-available", (), at))
            self.service.say([self._prompt(SAME), self._prompt("W13")], now)
        elif reason is not None:
            self._refused((reason,), now)
        else:
            self._begin(call, now)

    def _not_hearable(self, call: Call) -> Reason | None:
        decision = may_hear(call.config, call.facts, self.monitor, self.purpose)
        return None if decision.allowed else decision.reasons[0]

    def _wait(self, now: float) -> None:
        """For the agent's next call: one, and not for ever."""
        self.step = Step.WAITING
        self._alarm(self.room.wait_max, now, lambda at: self._say_and_go("waited-too-long", ("S4",), at))
        self.service.say([self._prompt("S1")], now)

    def call_ready(self, call: Call, now: float) -> None:
        """The agent talks with a customer. One that may not be heard goes by unsaid."""
        if self.step is Step.WAITING:
            self.reconsider(now)
        if self.step is Step.WAITING and not self._never and self._not_hearable(call) is None:
            self._begin(call, now)

    # ---------------------------------------------------------------- listening

    def _begin(self, call: Call, now: float) -> None:
        waited = self.step is Step.WAITING
        self.step, self.call = Step.LISTENING, call
        self._quiet()
        notice = notice_for(self.room.config, self.monitor, self.purpose)
        wish = Wish(self.monitor, self.agent or PersonId(""), self.purpose, notice, self.service.id)
        self.listening = Listening(call, wish, self)
        self.service.say([] if waited else [self._prompt("S1")], now, self._tell_the_agent)

    def _tell_the_agent(self, now: float) -> None:
        if self.step is Step.LISTENING and self.listening is not None:
            self.listening.begin(now)

    def noticed(self, began: float, ended: float) -> None:
        self.room.keep(NoteSession(self.id, notice_began=began, notice_ended=ended))

    def hears(self, since: float, now: float) -> None:
        self._hearing_since = max(since, now)
        assert self.call is not None
        self.room.keep(
            NoteSession(self.id, self.call.id, first=since)
        )  # a call not heard may yet be forgotten
        self._alarm(self.budget, now, lambda at: self._stop("session-max", at))
        self.service.say([self._prompt("S2")], now)

    def interrupted(self, now: float) -> None:
        self._count(now)
        self.service.say([self._prompt("S3")], now)

    def goes_on(self, now: float) -> None:
        self._hearing_since = now

    def _count(self, now: float) -> None:
        if self._hearing_since is not None:
            self._heard += now - self._hearing_since
            self._hearing_since, self._until = None, now

    def refused(self, reason: Reason, now: float) -> None:
        self.listening = None
        self._refused((reason,), now)

    def over(self, cause: str, last: float | None, now: float) -> None:
        self.listening, self._last = None, last
        self._count(now)
        self._say_and_go(cause, ("S4",), now)

    def stop(self, cause: str, now: float) -> None:
        """From outside: the server stops, or somebody with the right to."""
        self._stop(cause, now)

    def _stop(self, cause: str, now: float) -> None:
        if self.listening is not None:
            self.listening.stop(cause, now)
        else:
            self._say_and_go(cause, ("S4",), now)

    # ---------------------------------------------------------------- the end

    def _refused(self, why: tuple[Reason, ...], now: float) -> None:
        if not self._entered:
            self._enter(now, allowed=False, why=why)
        self._say_and_go(why[0].code, (spoken(why[0]),), now)

    def _say_and_go(self, cause: str, prompts: tuple[str, ...], now: float) -> None:
        if self.step is Step.ENDING:
            return
        self.step, self._cause = Step.ENDING, cause
        self._quiet()
        if self.service.phase is not Phase.UP:  # nobody is there to be told
            self.service.hang_up(now)
            return
        self.service.say([self._prompt(prompt) for prompt in prompts], now, self.service.hang_up)

    def said(self, event: PromptFinished, now: float) -> None:
        """Nothing hangs on what he has heard."""

    def gone(self, now: float) -> None:
        """His leg is over."""
        self._quiet()
        self.step = Step.ENDING
        listening, self.listening = self.listening, None
        if listening is not None:
            listening.stop("listener", now)
        self._count(now)
        if self._entered:
            ended_by, last = self._cause or "listener", self._until if self._last is None else self._last
            self.room.keep(CloseSession(self.id, now, ended_by, last, round(self._heard * 1000)))
        self.room.over(self)

    # ---------------------------------------------------------------- shown to whoever asks

    def shown(self, now: float) -> dict[str, object]:
        """As `qm-sip monitor list` shows it: persons by their ids, and nothing of the call."""
        return {
            "session": self.id,
            "monitor": self.monitor,
            "agent": self.agent,
            "purpose": self.purpose,
            "step": "listening" if self._hearing_since is not None else self.step.name.lower(),
            "seconds": round(now - self._requested, 1),
        }

    def tap(self, now: float) -> dict[str, object] | None:
        """As `qm-sip taps` shows it; None while he hears nothing (KSF15-1.3a)."""
        if self.listening is None or self.call is None or not self.listening.hearing:
            return None
        return {
            "tap": self.id,
            "call": self.call.id,
            "use": "listen",
            "purposes": [self.purpose],
            "seconds": round(self._heard + (now - self._hearing_since if self._hearing_since else 0.0), 1),
            "paused": self._hearing_since is None,
        }

    # ---------------------------------------------------------------- small things

    def _alarm(self, seconds: float, now: float, wake: Callable[[float], None]) -> None:
        self._quiet()
        self._timer = self.room.timers.start(now + seconds, wake)

    def _quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _prompt(self, prompt: str) -> Prompt | None:
        return self.room.library.find(prompt, language_of_staff(self.room.config))
