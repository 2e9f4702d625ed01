"""Offers during the call: refresh, hold, resume, a new address, and going direct (RFC 3264, RFC 6337).

An offer of one side is passed to the other and its answer back, hop by hop, each leg with its own o= line.
Only one such exchange is in transit at a time; whoever offers meanwhile is told 491 and tries again (RFC 3261
section 14.2). Nothing that arrives by an offer can make a direct call a relayed one (I5).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from qm_sip.call import headers
from qm_sip.call.book import Book
from qm_sip.call.media_plan import Direct, Plan, Relay, Send, other
from qm_sip.call.session import SILENCED, LegSession, as_many_streams, holds, only, read_sdp, unrecordable
from qm_sip.call.statuses import passable
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import SpanState
from qm_sip.sip.body import description
from qm_sip.sip.codecs import COMPANIONS, EVERY, Voices
from qm_sip.sip.events import LegId
from qm_sip.sip.message import Message, Request, Response
from qm_sip.sip.sdp import Direction, Sdp, with_direction
from qm_sip.sip.ua import UserAgent

log = logging.getLogger("qm_sip.call")

Done = Callable[[float, bool], None]
"""`now`, and whether the two talk directly."""


@dataclass
class Trying:
    """Both sides have been offered each other; the plan that stands if one of them will not."""

    before: Plan
    done: Done
    agreed: set[LegName] = field(default_factory=set)


class Exchange:
    """Both legs' descriptions, the plan that joins them, and the offer in transit if there is one."""

    def __init__(self, ua: UserAgent, send: Send, book: Book, plan: Plan, legs: dict[LegName, LegId]) -> None:
        self.ua, self.plan, self.book, self.legs = ua, plan, book, legs
        self.sessions: dict[LegName, LegSession] = {}
        self._send = send
        self._asker: LegName | None = None  # whose re-INVITE is being passed on
        self._withdrawn = False  # he has taken it back, and the other side has not answered yet
        self._late: LegName | None = None  # whose ACK will carry the answer
        self._held: set[LegName] = set()
        self._ours: set[LegName] = set()  # which sides have been made an offer that nobody asked for
        self._trying: Trying | None = (
            None  # to go direct, with the relay still there in case one side will not
        )
        self.carry: Callable[[LegName, Message], headers.Headers] = lambda leg, message: []
        self._wish: Done | None = None  # to try it as soon as no offer is in transit
        self._absent: LegName | None = None  # whose place is empty, or being taken by another leg
        self._follow: set[LegName] = set()  # whose answer may change what the other has been told

    @property
    def voices(self) -> Voices:
        """What the two may speak."""
        return self.plan.voices if isinstance(self.plan, Relay) else EVERY

    # ---------------------------------------------------------------- the first exchange

    def learn(self, leg: LegName, sdp: Sdp | None) -> None:
        """A leg has described itself. What cannot be relayed on a relayed call changes nothing: what stood stands."""
        if sdp is None or self.cannot_relay(leg, sdp):
            return
        self.sessions[leg].theirs = sdp
        self.plan.learned(self.sessions[leg], sdp)

    def cannot_relay(self, leg: LegName, sdp: Sdp) -> bool:
        """Whether the call is relayed, and what that leg says cannot be."""
        return isinstance(self.plan, Relay) and bool(
            unrecordable(sdp, self.sessions[leg].security, self.plan.voices)
        )

    def towards(self, leg: LegName, sdp: Sdp | None, *, answers: bool = False) -> bytes | None:
        return None if sdp is None else self.plan.towards(self.sessions[leg], sdp, answers=answers)

    def answer_will_be_late(self, leg: LegName) -> None:
        """We offered in our 200: this leg's ACK carries the answer."""
        self._late = leg

    def acknowledged(self, leg: LegName, request: Request, now: float) -> bool:
        """The ACK or PRACK that answers a late offer: that is learned, and on a direct call handed on. One without an
        answer that can be read leaves all as it stood (RFC 3261 14.1). False: nothing has ever stood.
        """
        if self._late != leg:
            return True
        self._late, said = None, read_sdp(request)
        theirs = said or self.sessions[leg].theirs
        if theirs is None:
            return False
        if said is not None:
            self._takes_up(leg, said, now)
        if isinstance(self.plan, Direct):
            across = other(leg)
            self.ua.ack(self.legs[across], self.plan.towards(self.sessions[across], theirs), now=now)
        self._perhaps_try(now)
        return True

    def _takes_up(self, leg: LegName, said: Sdp, now: float) -> None:
        if holds(said):
            self._hold(leg, now)
        else:
            self._resume(leg, now)
        self.learn(leg, said)

    @property
    def busy(self) -> bool:
        """Whether an offer is in transit, or one of ours under way."""
        return self._asker is not None or bool(self._ours)

    def correct(self, leg: LegName, theirs: Sdp, now: float) -> None:
        """Tell one leg that the other has changed; nobody waits for its answer."""
        body = self.towards(leg, theirs)
        self._ours.add(leg)
        self.ua.reoffer(self.legs[leg], body, headers=[headers.SDP], now=now)

    def join_anew(self, now: float) -> None:
        """Tell both what the other has said last: one of them has not been told yet, or by nobody who counts."""
        for leg in sorted(self.sessions):
            if (theirs := self.sessions[other(leg)].theirs) is not None:
                self.correct(leg, theirs, now)

    def refreshed(self, leg: LegName, response: Response, now: float) -> None:
        """The answer to a refresh of ours (RFC 4028). As a rule it repeats what stands; else he has changed, and the
        other side is told.
        """
        theirs = read_sdp(response)
        if theirs is None or self.sessions[leg].repeats(theirs) or self.busy or self._late is not None:
            return
        self.learn(leg, theirs)
        if isinstance(self.plan, Direct):
            self.correct(other(leg), theirs, now)

    # ---------------------------------------------------------------- later ones

    def offered(self, leg: LegName, request: Request, now: float, *, talking: bool) -> None:
        """A re-INVITE, or an UPDATE with SDP."""
        session, theirs = self.sessions[leg], read_sdp(request)
        busy = not talking or self.busy
        if description(request) is None:
            self._asked_to_offer(leg, now, busy=busy)
        elif theirs is None or self.cannot_relay(leg, theirs):
            self.ua.reject_offer(self.legs[leg], 488, now=now)
        elif session.repeats(theirs) and session.said is not None:
            self.ua.answer_offer(self.legs[leg], session.again("answer"), headers=[headers.SDP], now=now)
        elif busy:
            self.ua.reject_offer(self.legs[leg], 491, now=now)
        else:
            self._pass_on(leg, request, theirs, now)

    def _asked_to_offer(self, leg: LegName, now: float, *, busy: bool) -> None:
        """A re-INVITE without an offer: relayed, we offer what stands; direct, the other side is asked."""
        said = self.sessions[leg].again() if isinstance(self.plan, Relay) else None
        if said is not None:
            self._late = leg
            self.ua.answer_offer(self.legs[leg], said, headers=[headers.SDP], now=now)
        elif busy:
            self.ua.reject_offer(self.legs[leg], 491, now=now)
        else:
            self._asker = leg
            self.ua.reoffer(self.legs[other(leg)], None, now=now)

    def _pass_on(self, leg: LegName, request: Request, theirs: Sdp, now: float) -> None:
        if holds(theirs):
            self._hold(leg, now)
        self._asker = leg
        self.sessions[leg].offering = theirs
        body = self.towards(other(leg), theirs)
        passed = [*self.carry(leg, request), headers.SDP]
        self.ua.reoffer(self.legs[other(leg)], body, headers=passed, now=now)

    def answered(self, leg: LegName, response: Response, now: float) -> None:
        """Our re-INVITE on that leg was answered: hand the answer to whoever offered."""
        theirs = read_sdp(response)
        if leg in self._ours and self._asker != other(leg):  # what the other side asked for was sent first
            self._ours.discard(leg)
            self.learn(leg, theirs)
            self._tried(leg, now, agreed=theirs is not None)
            self._follow_up(leg, now)
            return
        asker, self._asker = self._asker, None
        if asker is None:
            return
        offer, self.sessions[asker].offering = self.sessions[asker].offering, None
        if self._withdrawn:
            self._undo(leg, theirs, now, late=offer is None)
            return
        if theirs is None or self.cannot_relay(leg, theirs):
            self.ua.reject_offer(self.legs[asker], 488, now=now)
            return
        self.learn(leg, theirs)
        if offer is None:
            self._late = asker  # he asked for an offer: this is it, and his ACK answers
        self.learn(asker, offer)
        body = self.towards(asker, theirs, answers=offer is not None)
        passed = [*self.carry(leg, response), headers.SDP]
        self.ua.answer_offer(self.legs[asker], body, headers=passed, now=now)
        if offer is not None and not holds(offer):
            self._resume(asker, now)
        self._perhaps_try(now)

    def indicate(self, leg: LegName, now: float) -> bool:
        """Offer that leg what stands, because what is said in it of recording has changed. False: not now."""
        session = self.sessions[leg]
        busy = (
            self._asker is not None or self._late is not None or self._trying is not None or leg in self._ours
        )
        if busy or session.said is None:
            return False
        self._ours.add(leg)
        self.ua.reoffer(self.legs[leg], session.again(), headers=[headers.SDP], now=now)
        return True

    def withdrawn(self, leg: LegName, now: float) -> None:
        """Whoever offered has cancelled it (9.2). The other side has been asked already: its answer is undone."""
        if self._asker != leg:
            return
        self._withdrawn = True
        self._as_before(leg, now)

    def _undo(self, leg: LegName, theirs: Sdp | None, now: float, *, late: bool) -> None:
        """That side has agreed to what nobody wants any more: tell it what stood before."""
        self._withdrawn = False
        standing = self.sessions[other(leg)].theirs
        self.learn(leg, theirs)
        if standing is None:
            return
        body = self.plan.towards(self.sessions[leg], standing)
        if late:
            self.ua.ack(self.legs[leg], body, now=now)
            return
        self._ours.add(leg)
        self.ua.reoffer(self.legs[leg], body, headers=[headers.SDP], now=now)

    def rejected(self, leg: LegName, status: int, now: float) -> None:
        """Our re-INVITE on that leg failed: the session stands as before."""
        if leg in self._ours and self._asker != other(leg):
            self._ours.discard(leg)
            if not self.book.silent and status != 504:  # that one never left us: the peer takes no UPDATE
                log.warning("call %s: the %s refused our offer (%d)", self.book.call, leg, status)
            self._tried(leg, now, agreed=False)
            return
        asker, self._asker = self._asker, None
        if asker is None:
            return
        self.sessions[asker].offering, self._withdrawn = None, False
        passed = passable(status, ours=False) if 400 <= status <= 699 else 488
        self.ua.reject_offer(self.legs[asker], passed, now=now)
        self._as_before(asker, now)
        self._perhaps_try(now)

    # ---------------------------------------------------------------- hold

    @property
    def held(self) -> bool:
        """Whether one of the two holds the other."""
        return bool(self._held)

    def _hold(self, leg: LegName, now: float) -> None:
        """Whoever holds, nothing is kept from this moment (EXT-1)."""
        if not self._held:
            if isinstance(self.plan, Relay):
                self._send(protocol.Hold(self.book.call, on=True))
            self.book.gap(SpanState.HOLD, now)
        self._held.add(leg)

    def _as_before(self, leg: LegName, now: float) -> None:
        """Its offer has come to nothing: it holds only if it did so before."""
        standing = self.sessions[leg].theirs
        if standing is not None and not holds(standing):
            self._resume(leg, now)

    def _resume(self, leg: LegName, now: float) -> None:
        if leg not in self._held:
            return
        self._held.discard(leg)
        if self._held:
            return
        if isinstance(self.plan, Relay):
            self._send(protocol.Hold(self.book.call, on=False))
        self.book.gap_over(SpanState.HOLD, now)

    # ---------------------------------------------------------------- another leg in the place of one

    @property
    def idle(self) -> bool:
        """Whether no offer is in transit, and both places are taken."""
        return self.quiet and self._absent is None

    @property
    def quiet(self) -> bool:
        """Whether no offer is in transit."""
        return not (self._asker or self._ours or self._late)

    @property
    def waiting(self) -> bool:
        """Whether one of the two waits for somebody to take the other place."""
        return self._absent is not None

    def left(self, leg: LegName, now: float) -> None:
        """That side has gone, and the other waits for somebody else: nothing is kept meanwhile (EXT-1)."""
        self._vacate(leg, now)
        self._hold(leg, now)

    def _vacate(self, leg: LegName, now: float) -> None:
        """What was in transit from or to that side will not be answered any more."""
        self._absent, rest = leg, other(leg)
        if self._asker == rest:
            self.ua.reject_offer(self.legs[rest], 491, now=now)
        if self._asker is not None:
            self.sessions[self._asker].offering = None
        self._asker, self._withdrawn = None, False
        self._late = None if self._late == leg else self._late
        if leg in self._ours:
            self._ours.discard(leg)
            self._tried(leg, now, agreed=False)

    def description_for(self, session: LegSession) -> Sdp | None:
        """What that leg, or one that is to take its place, is offered: the other side, as if nobody held it."""
        rest = self.sessions[other(session.name)]
        if rest.theirs is None:
            return None
        theirs = rest.theirs
        if session.name in self._held and theirs.audio and theirs.direction_of(theirs.audio) in SILENCED:
            theirs = with_direction(theirs, Direction.SENDRECV)
        return as_many_streams(self._spoken(theirs, rest), session.theirs)

    def _spoken(self, theirs: Sdp, rest: LegSession) -> Sdp:
        """Relayed, both sides must speak the same: nothing is transcoded."""
        if not isinstance(self.plan, Relay):
            return theirs
        return only(theirs, (*(rest.agreed or self.plan.voices.names), *COMPANIONS))

    def put(self, session: LegSession, now: float) -> None:
        """Another leg is in that place from now on. Nothing is sent until `joined`: who it is comes first (I5)."""
        self._vacate(session.name, now)
        self.sessions[session.name] = session

    def joined(self, leg: LegName, now: float, *, told: bool) -> None:
        """Tell each of the two of the other; `told`: the newcomer has been."""
        self._absent, held = None, leg in self._held
        self.learn(leg, self.sessions[leg].theirs)
        if not told:
            self._offer_if_changed(leg, now)
        if held or isinstance(self.plan, Direct):
            self._offer_if_changed(other(leg), now)
        self._follow = set(self._ours) if isinstance(self.plan, Direct) else set()
        self._resume(leg, now)
        self._perhaps_try(now)

    def _offer_if_changed(self, leg: LegName, now: float) -> None:
        session = self.sessions[leg]
        before, sdp = session.said, self.description_for(session)
        if sdp is None or self.plan.towards(session, sdp) == before:
            return
        self._ours.add(leg)
        self.ua.reoffer(self.legs[leg], session.said, headers=[headers.SDP], now=now)

    def _follow_up(self, leg: LegName, now: float) -> None:
        """His answer may name another address than the other was told when the two were joined."""
        if leg in self._follow:
            self._follow.discard(leg)
            self._offer_if_changed(other(leg), now)

    # ---------------------------------------------------------------- going direct

    def go_direct(self, now: float) -> None:
        """Join the two without us: both re-INVITEs at once, each side's address to the other.

        At once, because each 100 ms between them is 100 ms of one-way silence at a peer with strict RTP.
        """
        self.plan = Direct()
        self._offer_each_other(now)

    def _offer_each_other(self, now: float) -> None:
        if self._absent is not None:
            return  # whoever takes that place is told then
        self._forget_waiting(now)
        self._ours = {leg for leg in self.sessions if self.sessions[other(leg)].theirs is not None}
        for leg in sorted(self._ours):
            theirs = self.sessions[other(leg)].theirs
            assert theirs is not None
            body = self.sessions[leg].dress(only(theirs))
            self.ua.reoffer(self.legs[leg], body, headers=[headers.SDP], now=now)

    def _forget_waiting(self, now: float) -> None:
        """An offer that has not been passed on yet, because its leg was busy, is replaced by ours: he may try again."""
        asker = self._asker
        if asker is not None and not self.ua.offers(self.legs[other(asker)]):
            self._asker, self.sessions[asker].offering = None, None
            self.ua.reject_offer(self.legs[asker], 491, now=now)

    def try_direct(self, now: float, done: Done) -> None:
        """The same with a way back: where one side will not, both stay on the relay. `done` says which it was.

        Not before an offer that is in transit has been answered: it was made to the relay.
        """
        if not self.idle:
            self._wish = done
            return
        self._wish = None
        if any(session.theirs is None for session in self.sessions.values()):
            done(now, False)
            return
        self._trying = Trying(self.plan, done)
        self.go_direct(now)

    def _perhaps_try(self, now: float) -> None:
        if self._wish is not None:
            self.try_direct(now, self._wish)

    def _tried(self, leg: LegName, now: float, *, agreed: bool) -> None:
        """One side has answered. When both have: direct, or back to the relay, whose sockets were kept for that."""
        trying = self._trying
        if trying is None:
            self._perhaps_try(now)
            return
        if agreed:
            trying.agreed.add(leg)
        if self._ours:
            return
        self._trying = None
        if len(trying.agreed) == len(self.sessions):
            trying.done(now, True)
            return
        self.plan = trying.before
        for went in sorted(trying.agreed):
            theirs = self.sessions[other(went)].theirs
            assert theirs is not None
            self._ours.add(went)
            body = self.plan.towards(self.sessions[went], theirs)
            self.ua.reoffer(self.legs[went], body, headers=[headers.SDP], now=now)
        trying.done(now, False)
