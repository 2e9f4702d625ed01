"""Transfers: what a REFER in a call is answered with, and what becomes of it (RFC 3515, RFC 5589).

Per peer (`refer` in its settings) a REFER is *refused* (403, the default); *passed* to the other side, which then
calls the target itself (`referral`); or carried out *here*:

    blind:     the target is called; when it answers it takes the place of whoever sent the REFER (`seat`)
    attended:  Refer-To names another call of ours: whoever is left in the two calls is joined (`joining`)

Until the target answers, the old call stands: if it does not, nothing has changed. A transferor who hangs up at once
leaves the other waiting: he hears ringing, and nothing of it is kept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qm_sip.call import headers, target
from qm_sip.call.joining import join
from qm_sip.call.media_plan import other
from qm_sip.call.referral import Referral
from qm_sip.call.seat import Leaving, Newcomer, take
from qm_sip.call.security import security_of
from qm_sip.call.session import LegSession, read_sdp, unrecordable
from qm_sip.call.states import State
from qm_sip.call.target import NotSent, Target
from qm_sip.call.who import MOST_ENDS
from qm_sip.config import Peer
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import SpanState
from qm_sip.sip import events as sip
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, Response
from qm_sip.sip.refer import ReferTo, Replaces
from qm_sip.sip.subscription import Subscription

if TYPE_CHECKING:
    from qm_sip.call.call import Call

log = logging.getLogger("qm_sip.call")

MOST = 10  # transfers of one call: more is a circle, or a storm
AGAIN = 0.1  # seconds until an exchange of offers that stands in the way is looked at again
PATIENCE = 32.0  # seconds that it may (64*T1)


class Transfers:
    """Those of one call, one at a time."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._begun = 0
        self._numbers: dict[sip.LegId, int] = {}  # REFERs that came on each leg
        self._current: Referral | Blind | None = None

    @property
    def under_way(self) -> bool:
        """Whether one has not come to its end."""
        return self._current is not None and not self._current.over

    @property
    def carried_out(self) -> bool:
        """Whether we are calling somebody, or have called him."""
        return isinstance(self._current, Blind) and not self._current.over

    def referred(self, leg: LegName, token: int, request: Request, now: float) -> None:
        """A REFER on that leg."""
        try:
            self._take(leg, token, request, now)
        except (NotSent, SipParseError) as refused:
            self._call.desk.ua.respond(self._call.legs[leg], token, refused.status, now=now)

    def _take(self, leg: LegName, token: int, request: Request, now: float) -> None:
        call = self._call
        how = call.config.peer(call.way.peer_of(leg)).refer
        if how == "refuse":
            raise NotSent(403)
        refer = ReferTo.of(request)
        if refer.replaces is not None and not self._may_name(leg, refer.replaces):
            raise NotSent(403)
        if call.state is not State.TALKING or self.under_way:
            raise NotSent(491)
        if self._begun >= MOST:
            raise NotSent(403)
        told = self._subscription(leg, request)
        if how == "pass":
            self._begun += 1
            self._current = passing = Referral(call, leg, token, request, told)
            passing.begin(refer, now)
            return
        self._here(leg, token, request, refer, told, now)

    def _may_name(self, leg: LegName, wish: Replaces) -> bool:
        """Whoever is not trusted may name dialogs of calls of his own alone: another's, in the mouth of a peer that is
        trusted, would open a door that is shut to him (RFC 3891 5).
        """
        way = self._call.way
        known = self._call.desk.call_of(wish.dialog)
        return way.borders[leg].source.trusted or (
            known is not None and known[0].way.peer_of(known[1]) == way.peer_of(leg)
        )

    def _subscription(self, leg: LegName, request: Request) -> Subscription:
        at = self._call.legs[leg]
        self._numbers[at] = self._numbers.get(at, 0) + 1
        return Subscription(self._call.desk.ua, at, request, numbered=self._numbers[at] > 1)

    def _here(
        self, leg: LegName, token: int, request: Request, refer: ReferTo, told: Subscription, now: float
    ) -> None:
        call = self._call
        known = call.desk.call_of(refer.replaces.dialog) if refer.replaces else None
        if known is not None:
            self._begun += 1
            join(call, leg, *known, lambda: told.accept(token, now), told, now)
            return
        goal = target.find(call, leg, refer, request)
        if call.exchange.sessions[other(leg)].theirs is None:
            raise NotSent(491)  # whoever stays has not said yet where he can be heard
        self._begun += 1
        told.accept(token, now)
        wish = [("Replaces", str(refer.replaces))] if refer.replaces else []
        self._current = blind = Blind(call, leg, goal, told, now)
        blind.begin(wish, now)

    # ---------------------------------------------------------------- news

    def notified(self, leg: LegName, token: int, request: Request, now: float) -> None:
        """A NOTIFY on that leg: of a REFER that we have passed on, or of nothing we know (481)."""
        current = self._current
        known = isinstance(current, Referral) and leg != current.leg and current.notified(request, now)
        self._call.desk.ua.respond(self._call.legs[leg], token, 200 if known else 481, now=now)

    def answered(self, leg: LegName, event: sip.RequestAnswered, now: float) -> None:
        """A request of ours was answered: a REFER, a NOTIFY."""
        if self._current is not None:
            self._current.answered(event, now)

    def outlives(self, leg: LegName, now: float) -> bool:
        """That leg has ended. True: its call goes on without it, because somebody is being called to take its place."""
        current = self._current
        return isinstance(current, Blind) and not current.over and current.transferor_left(leg, now)

    def call_over(self, now: float) -> None:
        """Nobody is there any more to be connected to anybody."""
        if isinstance(self._current, Blind):
            self._current.give_up(now)


class Blind:
    """One target that is being called. See the module's docstring."""

    def __init__(self, call: Call, leg: LegName, goal: Target, told: Subscription, now: float) -> None:
        self._call, self.leg, self._goal, self._told = call, leg, goal, told
        self._new = f"{call.id}/{call.desk.new_id()[:8]}"
        peer = call.config.peer(goal.peer)
        security = security_of(peer, peer.transport)
        self._session = LegSession(leg, call.desk.session_id(), call.way.local.host, security)
        self._alone = False  # the transferor has hung up
        self._until = now
        self._answer: Response | None = None
        self._told_by = call.exchange.plan
        self._rang: dict[str, Response] = {}  # by the tag of an end that said who it is
        self.over = False

    def begin(self, more: list[tuple[str, str]], now: float) -> None:
        """Who it is comes first, then his phone rings (I1)."""
        call, goal, session = self._call, self._goal, self._session
        call.who.will_be([goal.number], now)
        if goal.private:
            call.become_private(now)
        session.socket = call.exchange.sessions[self.leg].socket
        self._told_by = call.exchange.plan
        sdp = call.exchange.description_for(session)
        call.desk.ua.invite(
            self._new,
            goal.uri,
            to=f"<{goal.uri}>",
            from_=goal.from_,
            headers=[*goal.headers, *more, ("Content-Type", "application/sdp")],
            body=self._told_by.towards(session, sdp) if sdp else None,
            destination=goal.places[0],
            others=goal.places[1:],
            local=call.way.local,
            credentials=call.desk.credentials(goal.peer),
            max_forwards=goal.max_forwards,
            stamped=call.session_ids.towards(self.leg),
            now=now,
        )
        call.desk.loose(self._new, self.on_sip, call, self.leg)

    def on_sip(self, event: sip.UaEvent, now: float) -> None:
        """What the target does before it has a place."""
        ua = self._call.desk.ua
        match event:
            case sip.Progressed():
                self._rings(event.response)
                self._told.tell(180, now)
            case sip.Answered():
                self._answered(event.response, now)
            case sip.Rejected():
                self._failed(event.status, now)
            case sip.Ended():
                self._failed(480, now)
            case sip.OfferReceived():
                ua.reject_offer(self._new, 491, now=now)
            case sip.InDialogRequest():
                ua.respond(self._new, event.token, 491, now=now)

    def answered(self, event: sip.RequestAnswered, now: float) -> None:
        if event.method == "NOTIFY":
            self._told.answered(event.status, now)

    def _answered(self, response: Response, now: float) -> None:
        theirs = read_sdp(response)
        if (
            self.over
            or theirs is None
            or (
                self._call.relayed
                and unrecordable(theirs, self._session.security, self._call.exchange.voices)
            )
        ):
            self._call.desk.ua.bye(self._new, now=now)
            self._failed(487 if self.over else 488, now)
            return
        self._session.theirs = theirs
        self._answer = response
        self._until = now + PATIENCE
        self._take_place(now)

    def _take_place(self, now: float) -> None:
        """As soon as no offer is in transit between the two who are there."""
        call = self._call
        if self.over:
            return
        if not call.exchange.quiet and now < self._until:
            call.desk.timers.start(now + AGAIN, self._take_place)
            return
        self.over = True
        goal = self._goal
        call.way = call.way.after(goal.max_forwards)
        known, address = call.config.peer(goal.peer), f"<{goal.uri}>"
        names = self._who(known)
        newcomer = Newcomer(
            self._new, self._session, goal.peer, known, address, names, "blind", told=self._told_by
        )
        was = take(call, newcomer, now)
        self._told.tell(200, now)
        Leaving(call, self.leg, was, now, lambda at: call.only(self.leg, at), told=self._told)

    def _rings(self, response: Response) -> None:
        """An end that is called may say who it is before anybody has picked up there, and not again."""
        if len(self._rang) < MOST_ENDS and _names(response, self._call.config.peer(self._goal.peer)):
            self._rang[response.to.tag or ""] = response

    def _who(self, peer: Peer) -> tuple[str, ...]:
        """Whoever has answered, if it is said; else the number that was called. And everybody who is named with him."""
        answer = self._answer
        if answer is not None and not _names(answer, peer):
            answer = self._rang.get(answer.to.tag or "")
        if answer is None:
            return (self._goal.number,)
        return (*headers.identities(answer, peer), self._goal.number, *_names(answer, peer))

    def _failed(self, status: int, now: float) -> None:
        """The old call stands; unless he who asked for it has gone, and nobody is left to talk to."""
        if self.over:
            return
        self.over = True
        self._told.tell(status, now)
        if self._alone:
            self._call.ended_by(self.leg, None, "bye", now)

    def transferor_left(self, leg: LegName, now: float) -> bool:
        """Whether the call waits for the target now."""
        if leg != self.leg:
            return False
        call, self._alone, self._told.over = self._call, True, True
        call.exchange.left(leg, now)
        call.book.gap_is(SpanState.HOLD, now, "transfer")
        if call.relayed and call.in_engine:
            call.desk.media.send(protocol.Bridge(call.id, on=False))
            call.desk.media.send(protocol.Tone(call.id, other(leg), "ringback"))
        return True

    def give_up(self, now: float) -> None:
        """Whoever was to be connected has hung up."""
        if not self.over:
            self.over = True
            self._told.tell(487, now)
            self._call.desk.ua.bye(self._new, now=now)


def _names(response: Response, peer: Peer) -> list[str]:
    """Everybody whom it names; not whom we called, who stands in its To."""
    return headers.named(response, peer, headers.WAYS)
