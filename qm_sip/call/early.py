"""Before the answer: what each answering end has said, and what the caller was told of it (RFC 3261 13.2.1, RFC 3262).

One INVITE may reach several phones, and each may describe itself before anybody answers: with an announcement, a
queue's music, a ringing tone of its own. On a direct call the caller hears them end to end, and the newest counts. In
one dialog the answer to his offer cannot be changed, so another answer has a dialog of its own (a To tag, as if a proxy
had forked his call); if he asked for one dialog only (`no-fork`, RFC 3841 9.1), the change is offered by UPDATE if he
takes that, else he keeps the first, and learns of the last by a re-INVITE when they are connected. On a relayed call
the caller hears his own phone ring. Either way nothing of it can be kept or heard: a tap needs an answered leg (I2).

If he has made no offer, the first end that makes one reliably is answered by his PRACK; the others are given an answer
that turns everything off, and whoever of them picks up is joined with him anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qm_sip.call import headers
from qm_sip.call.media_plan import Relay
from qm_sip.call.session import read_sdp, same, unrecordable
from qm_sip.media.protocol import LegName
from qm_sip.sip.body import description
from qm_sip.sip.message import Request, Response
from qm_sip.sip.reliable import ReliableReceiver
from qm_sip.sip.sdp import Sdp, reject_stream
from qm_sip.sip.ua import Prack

if TYPE_CHECKING:
    from qm_sip.call.call import Call

_END_OF_AN_END = 199  # RFC 6228: one of several has given up; towards the caller it would end our dialog


class Early:
    """See the module's docstring."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._said: dict[str, Sdp] = {}  # by the end's tag, the newest
        self._shown: tuple[str, Sdp] | None = None  # whose description the caller has, and which
        self._told: bytes | None = None  # the same, in our words
        self._changing: tuple[str, Sdp] | None = None  # what an UPDATE has offered him instead
        self._updated: str | None = None  # the end that took a newer offer of his
        self._off: set[str] = set()  # ends whose offer was answered with nothing
        self._answered: str | None = None  # the end that picked up
        self._other_callee = False  # than all of these is on his leg now
        self._one_dialog = False  # is all that the caller wants
        self._late = False  # he has made no offer

    def begin(self, request: Request) -> None:
        """His INVITE."""
        wishes = request.values("request-disposition")
        self._one_dialog = any(wish.lower() == "no-fork" for wish in wishes)
        self._late = description(request) is None

    @property
    def has_told(self) -> bool:
        """Whether the caller was given an answer, and may be given another in a dialog of its own."""
        return self._shown is not None and not self._one_dialog

    def prack(self, peer: Prack, *, offers: bool) -> Prack:
        """How the callee may answer. A reliable offer of his needs a caller who can take one."""
        takes = offers or self._call.desk.ua.takes_reliably(self._call.legs["caller"])
        return peer if takes else Prack.NO

    # ---------------------------------------------------------------- ringing

    def heard(self, response: Response) -> None:
        """A 1xx of one of the ends."""
        theirs = read_sdp(response)
        if theirs is not None:
            self._said[response.to.tag or ""] = theirs

    def pass_on(self, response: Response, now: float) -> None:
        """A 1xx on a call whose caller has no final answer yet."""
        if response.status == _END_OF_AN_END:
            return
        theirs = None if self._call.relayed else read_sdp(response)
        if theirs is None:
            self._ring(response, None, now)
        elif self._late:
            self._ring(response, self._late_offer(response, theirs, now), now)
        else:
            self._pass_answer(response, theirs, now)

    def _pass_answer(self, response: Response, theirs: Sdp, now: float) -> None:
        tag = response.to.tag or ""
        anew = self._shown is not None and not same(self._shown[1], theirs)
        if anew and self._one_dialog:
            self._change(tag, theirs, now)
        else:
            self._ring(response, self._show(tag, theirs), now, anew=anew)

    def _ring(self, response: Response, body: bytes | None, now: float, *, anew: bool = False) -> None:
        call, status = self._call, response.status
        if status == 183 and body is None and self._shown is None:
            status = 180  # there is nothing to hear: let his phone ring
        passed = call.way.borders["callee"].carry(response, headers.In.PROGRESS)
        content, whole = call.beside(response, body)
        extra, reliably = [*passed, *content], ReliableReceiver.number(response) is not None
        call.desk.ua.provisional(
            call.legs["caller"], status, headers=extra, body=whole, anew=anew, reliably=reliably, now=now
        )

    def _show(self, tag: str, theirs: Sdp) -> bytes | None:
        self._shown = (tag, theirs)
        self._told = self._call.exchange.towards("caller", theirs)
        return self._told

    def _change(self, tag: str, theirs: Sdp, now: float) -> None:
        """Another answer for one who wants one dialog: an UPDATE, if there can be one."""
        if not self._call.exchange.busy:
            self._changing = (tag, theirs)
            self._call.exchange.correct("caller", theirs, now)

    def _late_offer(self, response: Response, theirs: Sdp, now: float) -> bytes | None:
        """An offer, for a caller who has made none. It must not get lost, and there can be only one."""
        if ReliableReceiver.number(response) is None:
            return None
        tag, call = response.to.tag or "", self._call
        if self._shown is None:
            call.exchange.answer_will_be_late("caller")
            return self._show(tag, theirs)
        self._off.add(tag)
        nothing = replace(theirs, media=tuple(reject_stream(stream) for stream in theirs.media))
        body = call.exchange.sessions["callee"].dress(nothing)
        call.desk.ua.ack(call.legs["callee"], body, tag=tag, now=now)
        return None

    # ---------------------------------------------------------------- offers meanwhile

    def offered(self, leg: LegName, request: Request, now: float) -> None:
        """An UPDATE or PRACK with an offer, before anybody has picked up (RFC 3311 5)."""
        call, theirs = self._call, read_sdp(request)
        if theirs is None:
            call.desk.ua.reject_offer(call.legs[leg], 488, now=now)
        elif isinstance(call.exchange.plan, Relay):
            self._answer_ourselves(leg, call.exchange.plan, request, theirs, now)
        elif leg == "callee" and (self._shown is None or self._shown[0] != request.from_.tag):
            call.desk.ua.reject_offer(call.legs[leg], 504, now=now)  # the caller hears another end
        else:
            call.exchange.offered(leg, request, now, talking=True)

    def _answer_ourselves(self, leg: LegName, plan: Relay, request: Request, theirs: Sdp, now: float) -> None:
        """On a relayed call its audio ends here, and nobody hears it yet: the engine learns of it at the answer."""
        call, session = self._call, self._call.exchange.sessions[leg]
        if unrecordable(theirs, session.security, plan.voices) is not None or leg == "caller":
            call.desk.ua.reject_offer(call.legs[leg], 488, now=now)
            return
        self._said[request.from_.tag or ""] = session.theirs = theirs
        call.desk.ua.answer_offer(call.legs[leg], plan.answer(session), headers=[headers.SDP], now=now)

    def callee_replaced(self) -> None:
        """By a transfer or a pickup: none of the ends that rang is there any more."""
        self._other_callee = True

    def agreed(self, leg: LegName, response: Response, now: float) -> bool:
        """An UPDATE of ours was answered. False if by an end that counts no more."""
        theirs = read_sdp(response)
        if leg == "caller" and self._changing is not None:
            self._shown, self._changing = self._changing, None
            self._told = self._call.exchange.sessions["caller"].said
        if leg == "caller" or theirs is None or self._other_callee:
            return True
        tag = response.to.tag or ""
        if self._answered is not None and tag != self._answered:
            return False
        if self._answered is None:
            self._said[tag], self._shown, self._updated = theirs, (tag, theirs), tag
        return True

    # ---------------------------------------------------------------- the answer

    def answered(self, response: Response) -> Sdp | None:
        """The 200: its description, or the one that came reliably before it."""
        self._answered = response.to.tag or ""
        return read_sdp(response) or self._said.get(self._answered)

    def answer(self, response: Response, theirs: Sdp | None, now: float) -> bool:
        """Answer the caller of a direct call in kind. True if the two must be offered each other once he is there."""
        call, shown = self._call, self._shown
        changed = shown is not None and theirs is not None and not same(shown[1], theirs)
        stale = self._answered in self._off or (self._updated is not None and self._updated != self._answered)
        anew = changed and not self._one_dialog and not stale
        keeps = shown is not None and not anew  # what he has been told already is said word for word
        asked = call.exchange.sessions["caller"].theirs is not None
        body = self._told if keeps else call.exchange.towards("caller", theirs, answers=asked)
        passed = call.way.borders["callee"].carry(response, headers.In.ANSWER)
        content, whole = call.beside(response, body)
        call.answer_caller(whole, [*passed, *content], now, anew=anew)
        return stale or (changed and not anew)
