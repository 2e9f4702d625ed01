"""The switchboard: who is calling, where it goes, and which call an event belongs to. A plain object.

A call begins here: its peer, its route, its facts (`qm_sip.policy`), whether it may be recorded once the
customer has been told, and by which prompt. From then on the switchboard only hands each event to its call.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import NamedTuple, Protocol

from qm_sip.announce.prompts import PromptLibrary
from qm_sip.announce.receipts import Receipt
from qm_sip.call.arrival import Arrival, CallRefused, where_it_says
from qm_sip.call.call import Call
from qm_sip.call.desk import Listener, Media, Met
from qm_sip.call.listening import Listening
from qm_sip.call.recording import Recording
from qm_sip.call.replacing import asks_for_a_leg, replace_leg
from qm_sip.call.service import ServiceCall
from qm_sip.call.words import (
    CountConfidential,
    DestroyFailed,
    Keeper,
    KeeperEvent,
    RecordingDestroyed,
    RecordingFailed,
    RecordingOpened,
    RowFailed,
    RowOpened,
    SessionFailed,
    SessionOpened,
)
from qm_sip.config import Config, Peer
from qm_sip.config.registry import day_of
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.draw import Seeds
from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    LineKind,
    Party,
)
from qm_sip.policy.identify import duty_forbids_private, meet
from qm_sip.private import Private
from qm_sip.privateline.match import has_agreed, match_parties
from qm_sip.sip import events as sip
from qm_sip.sip.dialog import DialogId
from qm_sip.sip.message import Request, Response
from qm_sip.sip.timers import Timers
from qm_sip.sip.ua import Credentials, UserAgent

log = logging.getLogger("qm_sip.call")

COMPLAIN_EVERY = 30.0  # seconds between log lines about the same silent peer


Identities = Callable[[sip.Address], Collection[str]]
"""The names in the verified certificate of whoever is there."""


class Settings(NamedTuple):
    """What a reload replaces. A call keeps the settings it began with (I3)."""

    config: Config
    library: PromptLibrary


class Features(Protocol):
    """Whoever serves those who dial a code instead of a number (`qm_sip/features.py`)."""

    def serve(self, event: sip.CallOffered, peer: str, config: Config, called: str, now: float) -> bool:
        """Serve it, if what was dialled is a code of ours. Raises CallRefused."""

    def receipt_for(self, request: Request, facts: CallFacts, now: float) -> Receipt | None:
        """What the customer of this call was told a while ago, while he waited."""

    def wants_private(self, party: Party) -> bool:
        """Whether this agent wants his next call to be private. Uses nothing up."""

    def takes_private(self, party: Party) -> bool:
        """The same, and a wish for one call is used up by it."""

    def refuse_private(self, event: sip.CallOffered, peer: str, now: float) -> None:
        """Tell whoever dialled it that the law requires a recording (A7)."""

    def ready(self, call: Call, now: float) -> None:
        """An agent and a customer talk."""

    def record_kept(self, event: SessionOpened | SessionFailed, now: float) -> None:
        """A listening session was written down, or could not be."""


class Onlooker(Protocol):
    """Whoever shows what a call is (`qm_sip/lamps`)."""

    def look(self, call: Call, now: float) -> None:
        """It may look different; or it is over."""


class Switchboard:
    def __init__(
        self,
        ua: UserAgent,
        media: Media,
        keeper: Keeper,
        settings: Settings,
        rng: random.Random,
        wall: Callable[[], datetime],
    ) -> None:
        self.ua, self.media, self.keeper, self.settings = ua, media, keeper, settings
        ua.heard_by(self.heard)
        self.locate: Callable[[Peer], tuple[sip.Address, ...]] = where_it_says
        """Where calls to a peer go now, the first address to try first; empty if nobody knows."""
        self.engine_up = True
        self.timers = Timers()
        self.features: Features | None = None
        self.identities: Identities = lambda source: frozenset()
        self.on_unsaid: Callable[[CallId], None] = lambda call: None
        self.on_call: Callable[[Call, float], None] = lambda call, now: None
        self.onlooker: Onlooker | None = None
        self._touched: dict[CallId, Call] = {}  # in this step
        self.seeds = Seeds()  # to draw samples by
        self.services: dict[str, ServiceCall] = {}  # by engine call
        self._service_legs: dict[sip.LegId, ServiceCall] = {}
        self._now = 0.0  # of the last event
        self.calls: dict[CallId, Call] = {}
        self._legs: dict[sip.LegId, tuple[Call, LegName]] = {}
        # Those that come into a call, or go out of one: who listens to them, and whose they are.
        self._loose: dict[sip.LegId, tuple[Listener | None, Call, LegName]] = {}
        self._credentials: dict[str, Credentials] = {}
        self._complained: dict[str, float] = {}  # peer -> when its silence was last logged
        self._rng, self._wall = rng, wall

    def use(self, settings: Settings, now: float) -> None:
        """Another reading of the files. New calls are decided by it; running ones keep what they began with, but
        for the registry, which only ever takes away.
        """
        self.settings, self._now = settings, now
        day = day_of(self._wall())
        for call in list(self.calls.values()):
            try:
                with self._watched(call, now):
                    self._obey_registry(call, day, now)
            except Exception:  # the others' calls have to obey all the same
                log.exception("call %s: what the registry says now could not be done", call.id)
        self.settle(now)

    def _obey_registry(self, call: Call, day: date, now: float) -> None:
        """Somebody in a running call may have come onto a list since it began."""
        config, facts = self.settings.config, call.facts
        if call.unsaid:
            return
        never = match_parties(config, facts.parties, day, call.who.everybody())
        if never is not None and never.kind is LineKind.CONFIDENTIAL:
            call.become_confidential(now)
        elif never is not None:
            call.become_private(now)
        elif has_agreed(config, facts.parties, day) and not duty_forbids_private(config, facts):
            call.objections.press("list", now)

    # ---------------------------------------------------------------- the desk of a call

    def new_id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    def session_id(self) -> int:
        return self._rng.getrandbits(40)

    def credentials(self, peer: str) -> Credentials | None:
        return self._credentials.get(peer)

    def set_credentials(self, credentials: dict[str, Credentials]) -> None:
        self._credentials = credentials

    def identify(self, config: Config, facts: CallFacts, who: Private[str]) -> Met:
        kind, party = meet(config, facts, who, self._wall())
        private = kind in (LineKind.PRIVATE, LineKind.EMERGENCY) and kind is not facts.kind
        return Met(kind is LineKind.CONFIDENTIAL, party, private)

    def count_confidential(self) -> None:
        self.keeper.keep(CountConfidential())

    def leave_unsaid(self, call: Call) -> None:
        """It has turned confidential: whoever keeps anything of it lets go now (I8)."""
        self.on_unsaid(call.id)

    def unreachable(self, peer: str) -> None:
        now = self._wall().timestamp()
        if now - self._complained.get(peer, 0.0) >= COMPLAIN_EVERY:
            self._complained[peer] = now
            log.warning("peer %s does not answer: calls to it fail (is it up, and next_hop right?)", peer)

    def takes_private(self, party: Party) -> bool:
        return self.features is not None and self.features.takes_private(party)

    def ready(self, call: Call, now: float) -> None:
        if self.features is not None:
            self.features.ready(call, now)

    def wall(self) -> datetime:
        return self._wall()

    def now(self) -> float:
        """Monotonic seconds, as of the last event."""
        return self._now

    def enter(self, service: ServiceCall) -> None:
        """A one-leg call begins: events of its leg and of its engine call are its own."""
        self.services[service.id] = service
        self._service_legs[service.leg] = service

    def service_over(self, service: ServiceCall) -> None:
        self.services.pop(service.id, None)

    def calling(self, call: Call) -> None:
        self._legs[call.legs["callee"]] = (call, "callee")

    def seated(self, call: Call, at: LegName, was: sip.LegId) -> None:
        self._loose.pop(call.legs[at], None)
        self._legs.pop(was, None)
        self._legs[call.legs[at]] = (call, at)

    def loose(self, leg: sip.LegId, listener: Listener | None, call: Call, at: LegName) -> None:
        self._legs.pop(leg, None)
        if self.ua.knows(leg):
            self._loose[leg] = (listener, call, at)

    def call_of(self, dialog: DialogId) -> tuple[Call, LegName] | None:
        found = self.ua.find(dialog)
        return self._legs.get(found.leg) if found is not None else None

    def touched(self, call: Call) -> None:
        self._touched[call.id] = call

    def over(self, call: Call) -> None:
        self.calls.pop(call.id, None)

    def settle(self, now: float) -> None:
        """A step is over: let whoever looks on see what it has changed, and nothing that was so only on the way.
        Looking on never costs a call anything.
        """
        while self._touched:
            _, call = self._touched.popitem()
            try:
                if self.onlooker is not None:
                    self.onlooker.look(call, now)
            except Exception:
                log.exception("showing what a call looks like failed")

    # ---------------------------------------------------------------- events

    def next_timer(self) -> float | None:
        """When `advance` is wanted next."""
        return self.timers.next()

    def advance(self, now: float) -> None:
        """Do what is due."""
        self._now = now
        self.timers.advance(now)
        self.settle(now)

    def on_sip(self, event: sip.UaEvent, now: float) -> None:
        self._now = now
        self._on_sip(event, now)
        self.settle(now)

    def _on_sip(self, event: sip.UaEvent, now: float) -> None:
        if isinstance(event, sip.CallOffered):
            self._offered(event, now)
            return
        known = self._legs.get(event.leg)
        if known is None and event.leg in self._loose:
            self._on_loose(event, now)
            return
        if known is None:
            self._on_service(event, now)
            return
        call, leg = known
        if isinstance(event, sip.LegGone):
            del self._legs[event.leg]
            return
        with self._watched(call, now):
            self._hand_on(event, call, leg, now)

    @contextmanager
    def _watched(self, call: Call, now: float) -> Iterator[None]:
        """A fault of ours in what is done for a call is told on, and nothing of that call is kept or heard any more."""
        try:
            yield
        except Exception:
            call.faltered(now)
            raise

    def heard(self, leg: sip.LegId, message: Request | Response) -> None:
        """A message of a leg, before the leg acts on it."""
        if (known := self._legs.get(leg)) is not None:
            known[0].heard(known[1], message)

    def _on_loose(self, event: sip.UaEvent, now: float) -> None:
        listener, _, _ = self._loose[event.leg]
        if isinstance(event, sip.LegGone):
            del self._loose[event.leg]
        if listener is not None:
            listener(event, now)

    def _hand_on(self, event: sip.UaEvent, call: Call, leg: LegName, now: float) -> None:
        match event:
            case sip.Progressed():
                call.progressed(event.response, now)
            case sip.Answered():
                call.callee_answered(event.response, now)
            case sip.Rejected():
                call.callee_refused(event.status, event.response, now)
            case sip.Acknowledged():
                call.acknowledged(leg, event.request, now, late=event.late)
            case sip.EarlyAnswer():
                call.early_answer(event.request, now)
            case sip.Refreshed():
                call.refreshed(leg, event.response, now)
            case sip.OfferReceived():
                call.offer_received(leg, event.request, now)
            case sip.OfferWithdrawn():
                call.exchange.withdrawn(leg, now)
            case sip.OfferAnswered():
                call.offer_answered(leg, event.response, now)
            case sip.OfferRejected():
                call.offer_rejected(leg, event.status, now)
            case sip.InDialogRequest():
                call.told_in_dialog(leg, event.token, event.request, now)
            case sip.RequestAnswered():
                call.answered_in_dialog(leg, event, now)
                call.passing.answered(event.ticket, event.status, now, ours=event.response is None)
                call.transfers.answered(leg, event, now)
            case sip.Cancelled():
                call.ended_by(leg, event.request, "cancel", now)
            case sip.Ended():
                call.ended_by(leg, event.request, event.reason, now)

    def _on_service(self, event: sip.UaEvent, now: float) -> None:
        service = self._service_legs.get(event.leg)
        if service is None:
            return
        match event:
            case sip.LegGone():
                del self._service_legs[event.leg]
            case sip.Answered():
                service.answered(event.response, now)
            case sip.Acknowledged():
                service.acknowledged(event.request, now)
            case sip.OfferReceived():
                service.offered(event.request, now)
            case sip.InDialogRequest():
                service.asked(event.token, event.request, now)
            case sip.Rejected() | sip.Cancelled() | sip.Ended():
                service.ended(now)

    def on_media(self, event: protocol.Event, now: float) -> None:
        self._now = now
        self._on_media(event, now)
        self.settle(now)

    def _on_media(self, event: protocol.Event, now: float) -> None:
        name = getattr(event, "call", "")
        if (service := self.services.get(name)) is not None:
            self._on_service_media(event, service, now)
            return
        call = self.calls.get(CallId(name))
        if call is not None:
            with self._watched(call, now):
                self._on_call_media(event, call, now)

    def _on_call_media(self, event: protocol.Event, call: Call, now: float) -> None:
        listening = call.listeners.get(getattr(event, "tap", ""))
        if listening is not None:
            self._on_listening(event, listening, now)
            call.tap_over(now)
            return
        match event:
            case protocol.CodeMatched():
                call.keypad.matched(event, now)
            case protocol.MadePrivate():
                call.private.made(event, now)
            case protocol.LegOpened():
                call.leg_opened(event, now)
            case protocol.PromptFinished():
                call.prompt_finished(event, now)
            case protocol.PromptFailed():
                call.prompt_failed(event, now)
            case protocol.CommandFailed():
                call.no_sockets(event, now)
            case protocol.MediaNotAuthentic():
                call.not_authentic(event.leg, now)
            case _ if call.recording:
                self._on_tap(event, call, call.recording, now)

    @staticmethod
    def _on_service_media(event: protocol.Event, service: ServiceCall, now: float) -> None:
        match event:
            case protocol.LegOpened():
                service.leg_opened(event, now)
            case protocol.Digit():
                service.digit(event, now)
            case protocol.PromptFinished():
                service.prompt_finished(event, now)
            case protocol.PromptFailed():
                service.prompt_over(event.play, now)
            case protocol.CommandFailed():
                service.no_sockets(now)

    @staticmethod
    def _on_listening(event: protocol.Event, listening: Listening, now: float) -> None:
        match event:
            case protocol.TapOpened():
                listening.opened(event, now)
            case protocol.TapRefused():
                listening.refused(event, now)
            case protocol.TapPaused():
                listening.paused(event, now)
            case protocol.TapClosed():
                listening.closed(event, now)

    @staticmethod
    def _on_tap(event: protocol.Event, call: Call, recording: Recording, now: float) -> None:
        match event:
            case protocol.TapOpened():
                recording.opened(event, now)
                call.resumed(now)
            case protocol.TapPaused():
                recording.paused(event)
            case protocol.TapRefused():
                recording.refused(event, now)
                call.tap_over(now)
            case protocol.TapClosed():
                recording.tap_closed(event)
                call.tap_over(now)
            case protocol.TapFailed():
                recording.failed(event, now)
                call.tap_over(now)

    def on_kept(self, event: KeeperEvent, now: float) -> None:
        """The keeper has written something down, or could not."""
        self._now = now
        self._on_kept(event, now)
        self.settle(now)

    def _on_kept(self, event: KeeperEvent, now: float) -> None:
        if isinstance(event, SessionOpened | SessionFailed):
            if self.features is not None:
                self.features.record_kept(event, now)
            return
        call = self.calls.get(event.call) if event.call else None
        if call is not None:
            with self._watched(call, now):
                self._on_call_kept(event, call, now)

    @staticmethod
    def _on_call_kept(event: KeeperEvent, call: Call, now: float) -> None:
        match event:
            case RowOpened():
                call.row_opened(now)
            case RowFailed():
                call.row_failed(event.reason, now)
            case RecordingOpened() if call.recording:
                call.recording.entered(event.recording)
                call.tap_over(now)
            case RecordingFailed() if call.recording:
                call.recording.not_entered(event.recording, event.reason, now)
                call.tap_over(now)
            case RecordingDestroyed() if call.recording:
                call.recording.destroyed(event.recording, now, done=True)
            case DestroyFailed() if call.recording:
                call.recording.destroyed(event.recording, now, done=False)

    def engine_died(self, now: float) -> None:
        self.engine_up, self._now = False, now
        for service in list(self.services.values()):
            service.engine_died(now)
        for call in list(self.calls.values()):
            call.engine_died(now)
        self.settle(now)

    def engine_started(self) -> None:
        self.engine_up = True

    def hang_up_all(self, now: float) -> None:
        for service in list(self.services.values()):
            service.hang_up(now)
        for call in list(self.calls.values()):
            call.hang_up(now)
        self.settle(now)

    def leg_of(self, leg: sip.LegId) -> tuple[Call, LegName] | None:
        """The call that a leg belongs to, or comes into, or goes out of; and which of its legs it is."""
        loose = self._loose.get(leg)
        return self._legs.get(leg) if loose is None else (loose[1], loose[2])

    def place_of(self, call_id: str) -> tuple[Call, LegName] | None:
        """Which place in which call a leg with that Call-ID has; what is on its way in or out has none."""
        places = (self._legs.get(leg) for leg in self.ua.legs_with(call_id))
        return next((place for place in places if place is not None), None)

    def serves(self, leg: sip.LegId) -> bool:
        """Whether it is the leg of a one-leg call."""
        return leg in self._service_legs

    @property
    def legs_known(self) -> int:
        """How many legs belong to a call. Goes back to zero."""
        return len(self._legs) + len(self._loose) + len(self._service_legs)

    @property
    def busy(self) -> bool:
        """Whether anybody is on any call, with one leg or two."""
        return bool(self.calls or self.services)

    def prompts_in_use(self, line: str) -> set[str]:
        """What running calls of this line play or have played: after a reload the engine must still know it."""
        captures = [call.recording.capture for call in self.calls.values() if call.recording]
        return {capture.prompt.digest for capture in captures if capture.facts.line == line}

    @property
    def legs_shown(self) -> int:
        """SIP legs that may be counted aloud: who watched those of a confidential call would know its time (I8)."""
        return self.ua.legs - len(self._loose) - sum(call.unsaid for call, _ in self._legs.values())

    @property
    def transactions_shown(self) -> int:
        """SIP transactions that may be counted aloud: those of the same legs (I8)."""
        unsaid = [leg for leg, (call, _) in self._legs.items() if call.unsaid]
        return self.ua.transactions - sum(self.ua.transactions_of(leg) for leg in (*unsaid, *self._loose))

    @property
    def calls_shown(self) -> int:
        """Calls that may be counted aloud: the same without those of which only a count per day exists (I8)."""
        return sum(not call.unsaid for call in self.calls.values())

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls.values())

    # ---------------------------------------------------------------- a new call

    def _offered(self, event: sip.CallOffered, now: float) -> None:
        try:
            if asks_for_a_leg(event.request):
                replace_leg(self, event, now)
                return
            call = Arrival(self, event, now).call()
            if call is None:
                return
        except CallRefused as refused:
            log.warning("an INVITE was answered %d: %s", refused.status, refused.why)
            self.ua.reject(event.leg, refused.status, headers=refused.headers, now=now)
            return
        self._consults(call.facts, now)
        self.calls[call.id] = call
        self.touched(call)
        self._legs[event.leg] = (call, "caller")
        call.begin(event.request, now)
        self.on_call(call, now)

    def _consults(self, facts: CallFacts, now: float) -> None:
        """Whoever of our people holds a call and begins another consults. There may be many calls, and few are held."""
        ours = [party for party in facts.parties if not party.outside and party.person is not None]
        for other in self.calls.values() if ours else ():
            if other.exchange.held:
                for party in ours:
                    other.who.may_consult(party, now)
