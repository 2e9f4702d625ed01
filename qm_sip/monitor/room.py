"""All who listen or want to: begins sessions, finds them their call, and tells them when one is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from qm_sip.announce.prompts import PromptLibrary
from qm_sip.call.capture import agent_of
from qm_sip.call.service import ServiceCall
from qm_sip.call.states import State
from qm_sip.call.words import Word
from qm_sip.config import Config
from qm_sip.config.numbers import normal
from qm_sip.monitor.menu import Menu
from qm_sip.monitor.session import Checked, Session
from qm_sip.policy.facts import PersonId
from qm_sip.policy.listening import Past
from qm_sip.private import Private
from qm_sip.sip.timers import Timers

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.switchboard import Switchboard


class Clerk(Protocol):
    """Whoever looks things up: slowly, and elsewhere."""

    def check(self, monitor: PersonId, code: str, agent: PersonId | None, tell: Tell) -> None:
        """Whether the code is his, and what has been listened to so far."""

    def last_private(self, person: PersonId, tell: Callable[[bool, float], None]) -> None:
        """Whether his last private call was so from its first packet to its last: what B1 says."""


Tell = Callable[[Checked, float], None]


class Room:
    """See the module's docstring."""

    def __init__(self, switchboard: Switchboard, clerk: Clerk) -> None:
        self._board, self._clerk = switchboard, clerk
        self.sessions: dict[str, Session] = {}

    # ---------------------------------------------------------------- what sessions see

    @property
    def config(self) -> Config:
        return self._board.settings.config

    @property
    def library(self) -> PromptLibrary:
        return self._board.settings.library

    @property
    def timers(self) -> Timers:
        return self._board.timers

    @property
    def wait_max(self) -> float:
        return self.config.lines.monitoring.wait_max.seconds

    def new_id(self) -> str:
        return self._board.new_id()

    def wall(self) -> datetime:
        return self._board.wall()

    def now(self) -> float:
        return self._board.now()

    def agent_at(self, extension: str) -> PersonId | None:
        """The person whose phone that is."""
        form = normal(extension, self.config.lines.numbering)
        return self.config.index.persons.get(form)

    def allowed_now(self, but: Session) -> list[Past]:
        """Sessions of the same agent that are under way, with the minutes they may still come to."""
        live = (one for one in self.sessions.values() if one is not but and one.agent == but.agent)
        return [Past(one.purpose, self.wall(), one.budget / 60, one.id) for one in live if one.allowed]

    def call_of(self, agent: PersonId | None) -> Call | None:
        """The call this person talks in now, if its media is here."""
        if agent is None:
            return None
        return next((call for call in self._board if _talks(call, agent)), None)

    # ---------------------------------------------------------------- beginning and ending

    def enter(self, service: ServiceCall, caller: Private[str]) -> Session | None:
        """Somebody has dialled the code. None: his phone is no monitor's."""
        device = normal(caller.reveal(), self.config.lines.numbering)
        monitor = self.config.index.monitors.get(device)
        return self._session(service, monitor, device) if monitor else None

    def invite(
        self, service: ServiceCall, monitor: PersonId, device: str, extension: str, purpose: str
    ) -> Session:
        """We call him, because he asked for that by a command."""
        return self._session(service, monitor, device, extension, purpose)

    def _session(
        self, service: ServiceCall, monitor: PersonId, device: str, extension: str = "", purpose: str = ""
    ) -> Session:
        length = self.config.people.monitor[monitor].code_length
        menu = Menu(length, extension=extension, purpose=purpose)
        session = Session(self, service, monitor, device, menu)
        service.script = session
        self.sessions[session.id] = session
        return session

    def check(self, session: Session, code: str, agent: PersonId | None) -> None:
        def tell(found: Checked, now: float) -> None:
            self._board.advance(now)
            session.checked(found, now)

        self._clerk.check(session.monitor, code, agent, tell)

    def keep(self, word: Word) -> None:
        """Have it written down."""
        self._board.keeper.keep(word)

    def record_opened(self, session: str, now: float) -> None:
        if (found := self.sessions.get(session)) is not None:
            found.opened(now)

    def record_failed(self, session: str, now: float) -> None:
        if (found := self.sessions.get(session)) is not None:
            found.not_opened(now)

    def over(self, session: Session) -> None:
        """Forget it."""
        self.sessions.pop(session.id, None)

    def reloaded(self, now: float) -> None:
        """Other settings are in force: a grant that was withdrawn ends at once, and not with the call."""
        for session in list(self.sessions.values()):
            session.reconsider(now)

    def nobody_waits(self, now: float) -> None:
        """The server stops: who hears a call hears its end, everybody else is told that it is over."""
        for session in list(self.sessions.values()):
            if session.listening is None:
                session.stop("server-stops", now)

    # ---------------------------------------------------------------- calls

    def call_ready(self, call: Call, now: float) -> None:
        """An agent and a customer talk: whoever waits for that agent may begin."""
        agent = agent_of(call.facts)
        for session in list(self.sessions.values()):
            if agent is not None and agent.person is not None and session.agent == agent.person:
                session.call_ready(call, now)


def _talks(call: Call, agent: PersonId) -> bool:
    party = agent_of(call.facts)
    return call.state is State.TALKING and call.in_engine and party is not None and party.person == agent
