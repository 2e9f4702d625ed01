"""How an INVITE becomes a call: its peer, what was dialled, its route and facts, and what is meant to happen with it.

    peer -> a code of ours? -> route -> facts (private beforehand? drawn?) -> receipt -> intent -> Call

Whatever stands in the way is a `CallRefused` with the status it is answered with.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qm_sip.announce.choose import prompt_for
from qm_sip.announce.prompts import Prompt
from qm_sip.announce.receipts import Receipt
from qm_sip.call import headers, reasons
from qm_sip.call.aware import wish_of
from qm_sip.call.book import Blank, Book
from qm_sip.call.call import ACCEPT, Call
from qm_sip.call.capture import Capture
from qm_sip.call.headers import Border, privacy
from qm_sip.call.headers.session_id import NIL, Pair, new_uuid
from qm_sip.call.media_plan import voices_of
from qm_sip.call.security import security_of
from qm_sip.call.session import read_sdp, unreadable, unrecordable
from qm_sip.call.way import Way
from qm_sip.config import Config, Peer, Route
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    Decision,
    Direction,
    LineKind,
    Offered,
    Party,
    Reason,
    SpanState,
    Use,
)
from qm_sip.policy.gate import decide
from qm_sip.policy.identify import Identified, identify, line_of
from qm_sip.policy.path import MediaPath, path_for, uses_if_told
from qm_sip.policy.reasons import AGREED, OBJECTED, PRIVATE_REFUSED
from qm_sip.private import Private
from qm_sip.sip import events as sip
from qm_sip.sip.address import Uri
from qm_sip.sip.body import place
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request

if TYPE_CHECKING:
    from qm_sip.call.switchboard import Switchboard

UNRECORDABLE = {
    "encrypted": reasons.MEDIA_ENCRYPTED,
    "codec": reasons.CODEC_NOT_RECORDABLE,
    "address": reasons.MEDIA_ADDRESS,
    "engine": reasons.ENGINE_FAILED,
}


class CallRefused(Exception):
    """This INVITE gets a final failure at once."""

    def __init__(self, status: int, why: str, more: headers.Headers | None = None) -> None:
        self.status, self.why, self.headers = status, why, more or []
        super().__init__(why)


@dataclass(frozen=True)
class Intent:
    """What is meant to happen with a call's audio, before anybody has been told."""

    decision: Decision  # supposing that everybody is told
    prompt: Prompt | None  # by which they are; None: it will not be recorded
    why_not: tuple[Reason, ...]
    idle: SpanState
    uses: frozenset[Use] = frozenset()  # for which he is told


class Arrival:
    """One new INVITE. See the module's docstring."""

    def __init__(self, board: Switchboard, event: sip.CallOffered, now: float) -> None:
        self.board, self.event, self.request, self.now = board, event, event.request, now
        self.config, self.library = board.settings
        peer = peer_of(self.config, event.source, board.identities(event.source))
        if peer is None:
            raise CallRefused(403, "its source is no peer")
        self.peer = peer
        self.security = security_of(self.config.peer(peer), event.source.transport)
        pair = Pair.of(self.request)
        given = pair.local if pair is not None and pair.local != NIL else None
        self.session_id = given or new_uuid(board.new_id())

    def call(self) -> Call | None:
        """The call; None if it was a code of ours, or a private call that may not be one. Raises CallRefused."""
        config, features = self.config, self.board.features
        dialled = called_number(self.request)
        if features is not None and features.serve(self.event, self.peer, config, dialled, self.now):
            return None
        bare = config.private_prefix(dialled)
        called = dialled if bare is None else bare
        route = self._route(called)
        found = self._identified(route, called, private=bare is not None)
        if found.refused is not None and bare is not None:
            self._refuse_private(found.refused)
            return None
        return self._made(found, self._way(route, called, found.facts))

    def _route(self, called: str) -> Route:
        if "carry" not in self.config.peer(self.peer).may:
            raise CallRefused(403, f"peer {self.peer} may not carry calls")
        route = self.config.route(self.peer, called)
        if route is None:
            raise CallRefused(404, f"no route for a call from peer {self.peer}")
        if unreadable(self.request):
            raise CallRefused(488, "its SDP cannot be read")
        if self.security.forbids(read_sdp(self.request)):
            raise CallRefused(488, f"peer {self.peer} must encrypt its audio")
        return route

    def _identified(self, route: Route, called: str, *, private: bool) -> Identified:
        """What it is; nothing is used up by it yet."""
        board, wall = self.board, self.board.wall()
        offered = read_offered(self.request, self.config, self.peer, route, called)
        offered = replace(
            offered, private=private, headers={**offered.headers, "session-id": self.session_id}
        )
        seed = board.seeds.of(wall.date())
        id = CallId(board.new_id())
        return identify(self.config, offered, id, wall, wants_private=self._wants_private, seed=seed)

    def _made(self, found: Identified, way: Way) -> Call:
        facts, receipt = found.facts, self._receipt(found.facts)
        if receipt is not None and receipt.objects_to:
            facts = objecting(facts, receipt.objects_to)
        customer: LegName = "callee" if facts.direction is Direction.OUTBOUND else "caller"
        if customer == "caller" and line_of(self.config, facts).opt_out and wish_of(self.request) == "off":
            facts = objecting(facts, frozenset({Use.RECORD}))
        intent = self._intent(facts)
        capture = self._capture(facts, intent, customer, receipt)
        if way.borders["caller"].cannot_meet(self.request, relayed=capture is not None):
            raise CallRefused(500, "its Privacy is critical, and cannot be met")
        to_tell_first = capture is not None and capture.told is None and customer == "caller"
        return Call(
            self.board,
            self._book(facts, intent),
            self.config,
            facts,
            way,
            self.event.leg,
            customer=customer,
            intent=intent.decision,
            capture=capture,
            before_ring=to_tell_first and line_of(self.config, facts).announce == "before-ring",
            library=self.library,
            private_refused=found.refused is not None,
            private_wish=found.wished_by if found.facts.private_by_agent else None,
        )

    def _capture(
        self, facts: CallFacts, intent: Intent, customer: LegName, receipt: Receipt | None
    ) -> Capture | None:
        if intent.prompt is None:
            return None
        records = Use.RECORD in intent.uses
        capture = Capture(self.config, facts, intent.prompt, customer, records=records)
        if receipt is not None and receipt.told is not None:
            capture.was_told(receipt.told, f"receipt:{receipt.token}", receipt.customer)
        return capture

    def _wants_private(self, party: Party) -> bool:
        return self.board.features is not None and self.board.features.wants_private(party)

    def _refuse_private(self, reason: Reason) -> None:
        """A private call was dialled and cannot be one: say so to the agent (A7); to anybody else say nothing."""
        if reason != PRIVATE_REFUSED or self.board.features is None:
            raise CallRefused(403, "a private call may be dialled by our own people only")
        self.board.features.refuse_private(self.event, self.peer, self.now)

    def _receipt(self, facts: CallFacts) -> Receipt | None:
        """What the customer was told while he waited; only a line that says so believes it."""
        if self.board.features is None or line_of(self.config, facts).announce != "receipt":
            return None
        trusted = self.config.peer(self.peer).trusted
        return self.board.features.receipt_for(self.request, facts, self.now) if trusted else None

    def _book(self, facts: CallFacts, intent: Intent) -> Book:
        """Of a confidential call only a count exists; of an emergency call nothing (I8, people.md section 1)."""
        if facts.kind is LineKind.CONFIDENTIAL:
            self.board.count_confidential()
        if facts.kind in (LineKind.CONFIDENTIAL, LineKind.EMERGENCY):
            return Blank(facts.call, self.now)
        return Book(facts.call, self.board.keeper, intent.idle, intent.why_not, self.now)

    def _intent(self, facts: CallFacts) -> Intent:
        config = self.config
        decision = decide(config, facts, Use.RECORD, suppose_told=True)
        uses = uses_if_told(config, facts, decision)
        idle = idle_span(facts, decision)
        if path_for(facts, uses) is not MediaPath.RELAY:
            return Intent(decision, None, decision.reasons, idle)
        offer = read_sdp(self.request)
        problem = (unrecordable(offer, self.security, voices_of(config, facts)) if offer else None) or (
            None if self.board.engine_up else "engine"
        )
        if problem == "no-audio":
            raise CallRefused(488, "its SDP has no audio")
        if problem is not None:
            span = SpanState.FAILED if problem == "engine" else SpanState.REFUSED
            return Intent(decision, None, (UNRECORDABLE[problem],), span)
        prompt = prompt_for(config, self.library, facts, line_of(config, facts).purposes, uses)
        if prompt is None:
            return Intent(decision, None, (reasons.PROMPT_MISSING,), SpanState.REFUSED)
        if Use.RECORD not in uses:  # told because somebody may listen; not recorded, and that is why
            return Intent(decision, prompt, decision.reasons, idle, uses)
        return Intent(decision, prompt, (), SpanState.UNTOLD, uses)

    def _way(self, route: Route, called: str, facts: CallFacts) -> Way:
        config, request, local = self.config, self.request, self.event.local
        target = config.peer(route.to)
        if target.next_hop is None:
            raise CallRefused(503, f"peer {route.to} has no next_hop")
        out, back = self._borders(config.peer(self.peer), target, facts)
        if out.refuses(request):
            raise CallRefused(415, "a part of its body is required, and does not cross", [ACCEPT])
        found = self.board.locate(target)
        if not found:
            raise CallRefused(503, f"the next_hop of peer {route.to} has no address")
        host, port = target.next_hop
        user = user_part(request.uri) if called == called_number(request) else called
        over = () if target.transport == "udp" else (("transport", target.transport),)
        uri = str(Uri.sip(host, port, user, over))
        return Way(
            uri=uri,
            to=f"<{uri}>",
            from_=privacy.from_value(request, local, hidden=out.hides(request)),
            headers=out.carry(request, headers.In.INVITE),
            places=found,
            local=local,
            beside=(beside := out.beside(request)),
            before=place(request, beside),
            max_forwards=max_forwards(request) - 1,
            borders={"caller": out, "callee": back},
            reliable=self.event.source.reliable and target.transport != "udp",
            session_id=self.session_id,
            peer=route.to,
            caller_peer=self.peer,
        )

    def _borders(self, source: Peer, target: Peer, facts: CallFacts) -> tuple[Border, Border]:
        """For what the caller's side sends, and for what the callee's does."""
        emergency = facts.kind is LineKind.EMERGENCY
        everywhere, ours = self.config.server.sip.carry_headers, self.event.local
        out = Border(source, target, everywhere, ours, emergency)
        return out, replace(out, source=target, target=source)


def idle_span(facts: CallFacts, decision: Decision) -> SpanState:
    """What the whole of an unrecorded call is, for the book: private, objected to, or left alone."""
    if facts.kind is LineKind.PRIVATE:
        return SpanState.PRIVATE
    return SpanState.NOT_SELECTED if {OBJECTED, AGREED}.isdisjoint(decision.reasons) else SpanState.OBJECTED


def objecting(facts: CallFacts, uses: frozenset[Use]) -> CallFacts:
    """The same call, with a customer who has objected already."""
    parties = tuple(
        replace(party, objects_to=party.objects_to | uses) if party.outside else party
        for party in facts.parties
    )
    return replace(facts, parties=parties)


def read_offered(request: Request, config: Config, peer: str, route: Route | None, called: str) -> Offered:
    """What SIP showed of a new call. Identity and X- headers are read only from a trusted peer."""
    known = config.peer(peer)
    sender = headers.user_of(request.get("From")) or ""
    asserted = headers.identities(request, known)
    diverted = _users(request, "Diversion") if known.trusted else []
    beside = [*asserted[1:], sender, *_users(request, "To")]
    beside += headers.named(request, known)
    carried = headers.received(request, config.server.sip.carry_headers) if known.trusted else {}
    return Offered(
        peer=peer,
        direction=route.direction if route else None,
        called=Private(called),
        caller=Private([*asserted, sender][0]),
        also=tuple(Private(user) for user in beside if user),
        diverted_from=tuple(map(Private, diverted)),
        headers=carried,
    )


def _users(request: Request, name: str) -> list[str]:
    return [user for value in headers.values(request, name) if (user := headers.user_of(value))]


def where_it_says(peer: Peer) -> tuple[sip.Address, ...]:
    """The addresses of a next hop that is none but itself; a name is nowhere before somebody looks it up."""
    hop = peer.next_hop
    if hop is None or hop.port is None or hop.is_name:
        return ()
    return (sip.Address(hop.host, hop.port, peer.transport),)


def peer_of(config: Config, source: sip.Address, identities: Collection[str]) -> str | None:
    """The peer that a request came from. Of a connection the port says nothing, and over TLS a certificate may say more
    than the address.
    """
    port = None if source.reliable else source.port
    return config.peer_of(source.host, port, identities if source.transport == "tls" else None)


def called_number(request: Request) -> str:
    """The number or user that is called: the user part of the Request-URI, without its parameters."""
    try:
        return Uri.parse(request.uri).number
    except SipParseError:
        raise CallRefused(416, "its Request-URI cannot be read") from None


def user_part(uri: str) -> str:
    return Uri.parse(uri).number


def max_forwards(request: Request) -> int:
    """Max-Forwards as received, 70 if there is none (RFC 7332: a B2BUA keeps counting)."""
    value = (request.get("Max-Forwards") or "").strip()
    return int(value) if value.isdigit() else 70
