"""A place in a call: one leg goes, another takes it. Every transfer ends here, whoever asked for it and however.

    put -> who is it (I1, I2, I5) -> answer, if it called us -> joined -> what had to wait goes on

Who it is comes before anything of its audio can arrive: nothing is asked of the engine, and nothing is said to either
side, until the change of party has been decided like any other (`who`). So the old agent's recording is closed, and
what the customer was told is void where it must be, before the newcomer's address is known to the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qm_sip.call import headers
from qm_sip.call.media_plan import Plan
from qm_sip.call.session import LegSession, answering
from qm_sip.call.states import State
from qm_sip.config import Peer
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import Role
from qm_sip.sip import events as sip
from qm_sip.sip.message import Request, Response
from qm_sip.sip.subscription import Subscription

if TYPE_CHECKING:
    from qm_sip.call.call import Call

LINGER = 2.0  # seconds a transferor gets to hang up by himself once he has been told (RFC 5589 6)
SILENT = 0.3  # seconds after a BYE of ours until nothing comes any more from where it went

Then = Callable[[float], None]


@dataclass(frozen=True)
class Newcomer:
    """A leg that is to take a place in a call."""

    leg: sip.LegId
    session: LegSession
    peer: str
    known: Peer  # of that name: since a reload it may be one that the call has never heard of
    address: str  # as From or To of a later request: without tag
    names: Sequence[str]  # by which he is looked up
    how: str  # blind | attended | taken-over | picked-up
    message: Request | Response | None = None  # by which he came
    told: Plan | None = None  # by which he has been told of the other side
    unsaid: bool = False  # he comes from a call of which nothing may be said
    private: bool = False  # from one of which nothing may be kept


def take(call: Call, newcomer: Newcomer, now: float, *, answers: bool = False) -> sip.LegId:
    """Put that leg in the place its session names; `answers`: it called us for that. Gives the leg that was there: its
    end is the caller's affair.
    """
    at, exchange = newcomer.session.name, call.exchange
    gone = call.who.role_on(at)
    exchange.put(newcomer.session, now)
    was, call.legs[at] = call.legs[at], newcomer.leg
    settle(call, newcomer)
    call.desk.seated(call, at, was)
    if newcomer.unsaid and not call.unsaid:
        call.become_confidential(now)
    elif newcomer.private:
        call.become_private(now)
    call.who.is_another(at, newcomer.names, now)
    call.book.moved(newcomer.how, gone, came(call, at), now)
    if answers:
        answer(call, newcomer, now)
    exchange.joined(at, now, told=answers or newcomer.told is exchange.plan)
    if call.relayed and call.in_engine:
        call.desk.media.send(protocol.Bridge(call.id, on=True))
    call.resumed(now)
    return was


def pick_up(call: Call, newcomer: Newcomer, now: float) -> None:
    """Somebody else answers in the callee's stead, while his phone still rings."""
    was, rang = call.state, call.legs["callee"]
    call.legs["callee"] = newcomer.leg
    call.exchange.sessions["callee"] = newcomer.session
    settle(call, newcomer)
    call.desk.seated(call, "callee", rang)
    call.desk.loose(rang, None, call, "callee")
    call.desk.ua.cancel(rang, now=now)
    gone = call.who.role_on("callee")
    call.who.is_another("callee", newcomer.names, now)
    call.book.moved(newcomer.how, gone, came(call, "callee"), now)
    call.another_answers()
    answer(call, newcomer, now)
    call.exchange.learn("callee", newcomer.session.theirs)
    caller = call.exchange.sessions["caller"]
    if was is State.CALLING and caller.theirs is not None and newcomer.session.theirs is not None:
        call.exchange.learn("caller", caller.theirs)
        agreed = answering(caller.theirs, newcomer.session.theirs, relayed=call.relayed)
        anew = call.early.has_told  # of the phone that rang, which is not the one that answers
        call.answer_caller(call.exchange.towards("caller", agreed, answers=True), [], now, anew=anew)
    call.connect_if_both_are_there(now)


def answer(call: Call, newcomer: Newcomer, now: float) -> None:
    """200 to whoever called us to take a place: his audio is wanted where the other side's goes."""
    session = newcomer.session
    sdp = call.exchange.description_for(session)
    agreed = answering(session.theirs, sdp, relayed=call.relayed) if session.theirs and sdp else None
    body = call.exchange.plan.towards(session, agreed, answers=True) if agreed else None
    call.desk.ua.answer(newcomer.leg, body, headers=[headers.SDP] if body else [], now=now)


def settle(call: Call, newcomer: Newcomer) -> None:
    """What was known of that side was known of somebody else."""
    at, session = newcomer.session.name, newcomer.session
    call.config = call.config.with_peer(newcomer.peer, newcomer.known)
    call.way = call.way.with_other(at, newcomer.peer, call.config.peer(newcomer.peer), newcomer.address)
    call.aware.left(at)
    call.pbx.left(at, call.desk.now())
    if at == "callee":
        call.early.callee_replaced()
    session.indicate = partial(call.aware.indication, at)
    if newcomer.message is not None:
        call.heard(at, newcomer.message)


def came(call: Call, at: LegName) -> Role | None:
    """What a newcomer is: in the customer's place a third, whom nobody knows (I2)."""
    role = call.who.role_on(at)
    return Role.THIRD if role is Role.CUSTOMER else role


class Leaving:
    """A leg that has lost its place. It is told how its REFER ended, if it sent one, and then it ends.

    `then` is called when nothing comes from it any more: until then it may be sending to a socket of ours.
    """

    def __init__(
        self,
        call: Call,
        at: LegName,
        leg: sip.LegId,
        now: float,
        then: Then,
        *,
        told: Subscription | None = None,
    ) -> None:
        self._desk, self._leg, self._told, self._then = call.desk, leg, told, then
        self._desk.loose(leg, self.on_sip, call, at)
        wait = LINGER if told is not None and told.wanted else 0.0
        self._timer = self._desk.timers.start(now + wait, self._bye)

    def on_sip(self, event: sip.UaEvent, now: float) -> None:
        ua = self._desk.ua
        match event:
            case sip.RequestAnswered() if event.method == "NOTIFY" and self._told is not None:
                self._told.answered(event.status, now)
            case sip.InDialogRequest():
                ua.respond(self._leg, event.token, 481, now=now)
            case sip.OfferReceived():
                ua.reject_offer(self._leg, 488, now=now)
            case sip.Ended() if self._timer.running:
                self._timer.cancel()
                self._then(now)
            case sip.LegGone():
                self._timer.cancel()

    def _bye(self, now: float) -> None:
        self._desk.ua.bye(self._leg, now=now)
        self._desk.timers.start(now + SILENT, self._then)


def called_now(call: Call, at: LegName) -> str:
    """The address of whoever is on that leg, as From of a call to somebody else."""
    return call.way.from_ if at == "caller" else call.way.to


def renamed(session: LegSession, at: LegName, socket: protocol.LegOpened | None) -> LegSession:
    """A leg's own session, at a place of another call: o= goes on counting (RFC 3264 8)."""
    session.name, session.socket, session.offering = at, socket, None
    session.security = session.security.renewed()
    return session
