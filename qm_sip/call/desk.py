"""What a call needs from around it. The switchboard is the one that gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qm_sip.config import Config, Peer
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import CallFacts, Party
from qm_sip.private import Private
from qm_sip.sip.dialog import DialogId
from qm_sip.sip.events import Address, LegId, UaEvent
from qm_sip.sip.timers import Timers
from qm_sip.sip.ua import Credentials, UserAgent

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.service import ServiceCall


Listener = Callable[["UaEvent", float], None]


class Media(Protocol):
    """Whoever carries commands to the media engine."""

    def send(self, command: protocol.Command) -> None: ...


@dataclass(frozen=True)
class Met:
    """Who a connected-line identity turned out to be."""

    confidential: bool
    party: Party
    private: bool = False  # a number whose calls are nobody's business, or one for emergencies (rows 1 and 5)


class Desk(Protocol):
    ua: UserAgent
    media: Media
    timers: Timers
    locate: Callable[[Peer], tuple[Address, ...]]
    """Where calls to a peer go now, the first address to try first; empty if nobody knows."""

    def now(self) -> float:
        """Monotonic seconds, as of the last event."""

    def new_id(self) -> str:
        """A random id: for recordings and prompts played."""

    def session_id(self) -> int:
        """A random session id for an o= line."""

    def credentials(self, peer: str) -> Credentials | None:
        """Who we are when that peer challenges us."""

    def identify(self, config: Config, facts: CallFacts, who: Private[str]) -> Met:
        """Who is that, as a party of this call?"""

    def count_confidential(self) -> None:
        """One more today."""

    def leave_unsaid(self, call: Call) -> None:
        """It has turned confidential: nothing outside its own books may know of it any more."""

    def unreachable(self, peer: str) -> None:
        """Nothing at all was heard from that peer: the administrator should know."""

    def calling(self, call: Call) -> None:
        """The callee leg is about to begin: its events are the call's."""

    def seated(self, call: Call, at: LegName, was: LegId) -> None:
        """Another leg has taken that place in the call; whoever had it is on his way out."""

    def loose(self, leg: LegId, listener: Listener | None, call: Call, at: LegName) -> None:
        """A leg that has no place in its call yet, or no more: its events go there."""

    def call_of(self, dialog: DialogId) -> tuple[Call, LegName] | None:
        """Whose dialog that is, as its peer names it."""

    def takes_private(self, party: Party) -> bool:
        """Whether this agent wanted his next call to be private; a wish for one call is used up by it."""

    def ready(self, call: Call, now: float) -> None:
        """The two talk: whoever waits to listen may ask."""

    def service_over(self, service: ServiceCall) -> None:
        """A one-leg call is over; forget it."""

    def touched(self, call: Call) -> None:
        """Something of it is not as it was: at the end of this step whoever looks on looks again."""

    def over(self, call: Call) -> None:
        """The call is over; forget it."""
