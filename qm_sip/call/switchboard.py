"""The switchboard: who is calling, where it goes, and which call an event belongs to. A plain object.

A call begins here: its peer, its route, its facts (`qm_sip.policy`), whether it may be recorded once the
customer has been told, and by which prompt. From then on the switchboard only hands each event to its call.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from qm_sip.announce.choose import prompt_for
from qm_sip.announce.prompts import Prompt, PromptLibrary
from qm_sip.call import headers, reasons
from qm_sip.call.book import Blank, Book
from qm_sip.call.call import Call, Way
from qm_sip.call.capture import Capture
from qm_sip.call.desk import Media, Met
from qm_sip.call.recording import Recording
from qm_sip.call.session import read_sdp, unreadable, unrecordable
from qm_sip.call.words import (
    CountConfidential,
    Keeper,
    KeeperEvent,
    RecordingFailed,
    RecordingOpened,
    RowFailed,
    RowOpened,
)
from qm_sip.config import Config, Peer, Route
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    Decision,
    Direction,
    LineKind,
    Offered,
    Reason,
    SpanState,
    Use,
)
from qm_sip.policy.gate import decide
from qm_sip.policy.identify import line_of, meet, read_facts
from qm_sip.policy.path import MediaPath, path_for
from qm_sip.private import Private
from qm_sip.sip import events as sip
from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request
from qm_sip.sip.ua import Credentials, UserAgent

log = logging.getLogger("qm_sip.call")

UNRECORDABLE = {
    "encrypted": reasons.MEDIA_ENCRYPTED,
    "codec": reasons.CODEC_NOT_RECORDABLE,
    "engine": reasons.ENGINE_FAILED,
}


COMPLAIN_EVERY = 30.0  # seconds between log lines about the same silent peer


class CallRefused(Exception):
    """This INVITE gets a final failure at once."""

    def __init__(self, status: int, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


@dataclass(frozen=True)
class Intent:
    """What is meant to happen with a call's audio, before anybody has been told."""

    decision: Decision  # supposing that everybody is told
    prompt: Prompt | None  # by which they are; None: it will not be recorded
    why_not: tuple[Reason, ...]
    idle: SpanState


class Settings(NamedTuple):
    """What a reload replaces. A call keeps the settings it began with (I3)."""

    config: Config
    library: PromptLibrary


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
        self.engine_up = True
        self.calls: dict[CallId, Call] = {}
        self._legs: dict[sip.LegId, tuple[Call, LegName]] = {}
        self._credentials: dict[str, Credentials] = {}
        self._complained: dict[str, float] = {}  # peer -> when its silence was last logged
        self._rng, self._wall = rng, wall

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
        kind, party = meet(config, facts, who)
        return Met(kind is LineKind.CONFIDENTIAL, party)

    def count_confidential(self) -> None:
        self.keeper.keep(CountConfidential())

    def unreachable(self, peer: str) -> None:
        now = self._wall().timestamp()
        if now - self._complained.get(peer, 0.0) >= COMPLAIN_EVERY:
            self._complained[peer] = now
            log.warning("peer %s does not answer: calls to it fail (is it up, and next_hop right?)", peer)

    def calling(self, call: Call) -> None:
        self._legs[call.legs["callee"]] = (call, "callee")

    def over(self, call: Call) -> None:
        self.calls.pop(call.id, None)

    # ---------------------------------------------------------------- events

    def on_sip(self, event: sip.UaEvent, now: float) -> None:
        if isinstance(event, sip.CallOffered):
            self._offered(event, now)
            return
        known = self._legs.get(event.leg)
        if known is None:
            return
        call, leg = known
        if isinstance(event, sip.LegGone):
            del self._legs[event.leg]
        else:
            self._hand_on(event, call, leg, now)

    def _hand_on(self, event: sip.UaEvent, call: Call, leg: LegName, now: float) -> None:
        match event:
            case sip.Progressed():
                call.progressed(event.response, now)
            case sip.Answered():
                call.callee_answered(event.response, now)
            case sip.Rejected():
                call.callee_refused(event.status, event.response, now)
            case sip.Acknowledged():
                call.acknowledged(leg, event.request, now)
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
            case sip.Cancelled() | sip.Ended():
                call.ended_by(leg, event.request, now)

    def on_media(self, event: protocol.Event, now: float) -> None:
        call = self.calls.get(CallId(getattr(event, "call", "")))
        if call is None:
            return
        match event:
            case protocol.LegOpened():
                call.leg_opened(event, now)
            case protocol.PromptFinished():
                call.prompt_finished(event, now)
            case protocol.PromptFailed():
                call.prompt_failed(event, now)
            case protocol.CommandFailed():
                call.no_sockets(event, now)
            case _ if call.recording:
                self._on_tap(event, call, call.recording, now)

    @staticmethod
    def _on_tap(event: protocol.Event, call: Call, recording: Recording, now: float) -> None:
        match event:
            case protocol.TapOpened():
                recording.opened(event, now)
            case protocol.TapPaused():
                recording.paused(event)
            case protocol.TapRefused():
                recording.refused(event, now)
                call.tap_over()
            case protocol.TapClosed():
                recording.tap_closed(event)
                call.tap_over()
            case protocol.TapFailed():
                recording.failed(event, now)
                call.tap_over()

    def on_kept(self, event: KeeperEvent, now: float) -> None:
        """The keeper has written something down, or could not."""
        call = self.calls.get(event.call) if event.call else None
        if call is None:
            return
        match event:
            case RowOpened():
                call.row_opened(now)
            case RowFailed():
                call.row_failed(event.reason, now)
            case RecordingOpened() if call.recording:
                call.recording.entered(event.recording)
                call.tap_over()
            case RecordingFailed() if call.recording:
                call.recording.not_entered(event.recording, event.reason, now)
                call.tap_over()

    def engine_died(self, now: float) -> None:
        self.engine_up = False
        for call in list(self.calls.values()):
            call.engine_died(now)

    def engine_started(self) -> None:
        self.engine_up = True

    def hang_up_all(self, now: float) -> None:
        for call in list(self.calls.values()):
            call.hang_up(now)

    @property
    def legs_known(self) -> int:
        """How many legs belong to a call. Goes back to zero."""
        return len(self._legs)

    def prompts_in_use(self, line: str) -> set[str]:
        """What running calls of this line play or have played: after a reload the engine must still know it."""
        captures = [call.recording.capture for call in self.calls.values() if call.recording]
        return {capture.prompt.digest for capture in captures if capture.facts.line == line}

    @property
    def legs_shown(self) -> int:
        """SIP legs that may be counted aloud: who watched those of a confidential call would know its time (I8)."""
        return self.ua.legs - sum(call.unsaid for call, _ in self._legs.values())

    @property
    def calls_shown(self) -> int:
        """Calls that may be counted aloud: the same without those of which only a count per day exists (I8)."""
        return sum(not call.unsaid for call in self.calls.values())

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls.values())

    # ---------------------------------------------------------------- a new call

    def _offered(self, event: sip.CallOffered, now: float) -> None:
        try:
            call = self._new_call(event, now)
        except CallRefused as refused:
            log.warning("an INVITE was answered %d: %s", refused.status, refused.why)
            self.ua.reject(event.leg, refused.status, now=now)
            return
        self.calls[call.id] = call
        self._legs[event.leg] = (call, "caller")
        call.begin(event.request, now)

    def _new_call(self, event: sip.CallOffered, now: float) -> Call:
        config, library = self.settings
        peer = peer_of(config, event.source)
        if peer is None:
            raise CallRefused(403, "its source is no peer")
        called = called_number(event.request)
        route = config.route(peer, called)
        if route is None:
            raise CallRefused(404, f"no route for a call from peer {peer}")
        if unreadable(event.request):
            raise CallRefused(488, "its SDP cannot be read")
        offered = read_offered(event.request, config, peer, route, called)
        facts = read_facts(config, offered, CallId(self.new_id()), self._wall())
        intent = self._intent(event.request, config, library, facts)
        customer: LegName = "callee" if facts.direction is Direction.OUTBOUND else "caller"
        capture = None
        if intent.prompt is not None:
            capture = Capture(config, facts, intent.prompt, customer)
        return Call(
            self,
            self._book(facts, intent, now),
            config,
            facts,
            self._way(event, config, peer, route, called),
            event.leg,
            customer=customer,
            intent=intent.decision,
            capture=capture,
            before_ring=capture is not None
            and customer == "caller"
            and line_of(config, facts).announce == "before-ring",
        )

    def _book(self, facts: CallFacts, intent: Intent, now: float) -> Book:
        """Of a confidential call only a count exists; of an emergency call nothing (I8, people.md section 1)."""
        if facts.kind is LineKind.CONFIDENTIAL:
            self.count_confidential()
        if facts.kind in (LineKind.CONFIDENTIAL, LineKind.EMERGENCY):
            return Blank(facts.call, now)
        return Book(facts.call, self.keeper, intent.idle, intent.why_not, now)

    def _intent(self, request: Request, config: Config, library: PromptLibrary, facts: CallFacts) -> Intent:
        decision = decide(config, facts, Use.RECORD, suppose_told=True)
        if path_for(facts, decision) is not MediaPath.RELAY:
            return Intent(decision, None, decision.reasons, idle_span(facts))
        offer = read_sdp(request)
        problem = (unrecordable(offer) if offer else None) or (None if self.engine_up else "engine")
        if problem == "no-audio":
            raise CallRefused(488, "its SDP has no audio")
        if problem is not None:
            span = SpanState.FAILED if problem == "engine" else SpanState.REFUSED
            return Intent(decision, None, (UNRECORDABLE[problem],), span)
        prompt = prompt_for(config, library, facts, [p.name for p in decision.purposes], [Use.RECORD])
        if prompt is None:
            return Intent(decision, None, (reasons.PROMPT_MISSING,), SpanState.REFUSED)
        return Intent(decision, prompt, (), SpanState.UNTOLD)

    def _way(self, event: sip.CallOffered, config: Config, peer: str, route: Route, called: str) -> Way:
        target = config.peer(route.to)
        if target.next_hop is None:
            raise CallRefused(503, f"peer {route.to} has no next_hop")
        peers: dict[LegName, Peer] = {"caller": config.peer(peer), "callee": target}
        believed = frozenset(leg for leg, known in peers.items() if known.trusted)
        request = event.request
        host, port = target.next_hop
        user = user_part(request.uri)
        over = () if target.transport == "udp" else (("transport", target.transport),)
        uri = str(Uri.sip(host, port, user, over))
        return Way(
            uri=uri,
            to=f"<{uri}>",
            from_=from_value(request, event.local),
            headers=headers.of_invite(request, config.server.sip.carry_headers, trusted=len(believed) == 2),
            destination=sip.Address(host, port, target.transport),
            local=event.local,
            max_forwards=max_forwards(request) - 1,
            believed=believed,
            peer=route.to,
        )


def idle_span(facts: CallFacts) -> SpanState:
    """What the whole of a direct call is, for the book: left alone, or refused because a rule said no."""
    if facts.kind is LineKind.PRIVATE:
        return SpanState.PRIVATE
    return SpanState.NOT_SELECTED


def read_offered(request: Request, config: Config, peer: str, route: Route, called: str) -> Offered:
    """What SIP showed of a new call. Identity and X- headers are read only from a trusted peer."""
    trusted = config.peer(peer).trusted
    sender = headers.user_of(request.get("From")) or ""
    asserted = headers.identities(request) if trusted else []
    diverted = [headers.user_of(value) for value in request.values("Diversion")] if trusted else []
    carried = headers.received(request, config.server.sip.carry_headers) if trusted else {}
    session = request.get("Session-ID")
    return Offered(
        peer=peer,
        direction=route.direction,
        called=Private(called),
        caller=Private([*asserted, sender][0]),
        also=tuple(Private(user) for user in (*asserted[1:], sender) if user),
        diverted_from=tuple(Private(user) for user in diverted if user),
        headers={**carried, **({"session-id": session} if session else {})},
    )


def peer_of(config: Config, source: sip.Address) -> str | None:
    """The peer that a request came from. Of a connection the port says nothing."""
    return config.peer_of(source.host, None if source.reliable else source.port)


def called_number(request: Request) -> str:
    """The number or user that is called: the user part of the Request-URI, without its parameters."""
    try:
        return Uri.parse(request.uri).number
    except SipParseError:
        raise CallRefused(416, "its Request-URI cannot be read") from None


def user_part(uri: str) -> str:
    return Uri.parse(uri).number


def from_value(request: Request, local: sip.Address) -> str:
    """The caller's display name and user, at our own address: the peer answers us, not him."""
    try:
        sender = NameAddr.parse(request.get("From") or "")
    except SipParseError:
        return f"<{Uri.sip(local.host, local.port, 'anonymous')}>"
    ours = Uri.sip(local.host, local.port, sender.uri.number or "anonymous")
    return str(replace(sender, uri=ours, params=()))


def max_forwards(request: Request) -> int:
    """Max-Forwards as received, 70 if there is none (RFC 7332: a B2BUA keeps counting)."""
    value = (request.get("Max-Forwards") or "").strip()
    return int(value) if value.isdigit() else 70
