"""One call through this program: two legs, the table of `states`, and the gate of `capture`.

Every method takes an event and `now` (seconds of the monotonic clock), moves the joint state through the
table, and acts at once on the user agent, the engine and the book, all of them plain objects. Nothing is
awaited here.

A call that may be recorded is *relayed*: row and sockets first, then the customer is told, then a tap is
asked for. Every other call is *direct*. If anything on the recording side fails, the call goes on as a direct
or untapped one and the failure is its outcome (invariant I9).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from qm_sip.announce.choose import language_of_staff
from qm_sip.announce.prompts import PromptLibrary
from qm_sip.call import headers, reasons
from qm_sip.call.aware import Aware, wish_of
from qm_sip.call.book import Book
from qm_sip.call.capture import Capture, as_it_came
from qm_sip.call.desk import Desk
from qm_sip.call.early import Early
from qm_sip.call.exchange import Exchange
from qm_sip.call.headers import In, reason
from qm_sip.call.headers.session_id import SessionIds
from qm_sip.call.keypad import Keypad
from qm_sip.call.listening import Listening
from qm_sip.call.media_plan import Direct, Relay, other, voices_of
from qm_sip.call.objection import Objections
from qm_sip.call.passing import Passing
from qm_sip.call.pausing import Pausing
from qm_sip.call.pbx import Pbx
from qm_sip.call.private import PrivateCall
from qm_sip.call.recording import Recording
from qm_sip.call.security import Security, security_of
from qm_sip.call.session import LegSession, read_sdp, unreadable
from qm_sip.call.states import CALLEE_PENDING, CALLEE_UP, CALLER_PENDING, CALLER_UP, Happening, State, step
from qm_sip.call.statuses import passable
from qm_sip.call.transfer import Transfers
from qm_sip.call.voice import Tongue, Voice
from qm_sip.call.way import Way
from qm_sip.call.who import Who
from qm_sip.call.words import NoteDecision, NoteObjection, NotePrivate, NoteTold
from qm_sip.config import Config
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import CallFacts, Decision, LineKind, Party, SpanState, Use
from qm_sip.policy.identify import line_of
from qm_sip.policy.reasons import PRIVATE_CALL
from qm_sip.sip import events as sip
from qm_sip.sip.body import compose, place
from qm_sip.sip.message import Request, Response
from qm_sip.sip.sdp import Sdp
from qm_sip.sip.ua import Prack

log = logging.getLogger("qm_sip.call")
BOTH: tuple[LegName, LegName] = ("caller", "callee")
ACCEPT = ("Accept", "application/sdp, multipart/mixed")


class Call:
    """See the module's docstring."""

    def __init__(
        self,
        desk: Desk,
        book: Book,
        config: Config,
        facts: CallFacts,
        way: Way,
        caller_leg: sip.LegId,
        *,
        customer: LegName,
        intent: Decision,
        capture: Capture | None,
        before_ring: bool,
        library: PromptLibrary,
        private_refused: bool = False,
        private_wish: Party | None = None,
    ) -> None:
        self.desk, self.book, self.config, self.way = desk, book, config, way
        self.id, self._facts = facts.call, facts
        self.customer, self._intent, self.before_ring = customer, intent, before_ring
        self.legs: dict[LegName, sip.LegId] = {"caller": caller_leg, "callee": f"{self.id}/callee"}
        self.state = State.ARRIVED
        self.voice = Voice(self.id, desk.media.send, desk.new_id, library, tongue_of(config, facts, capture))
        self.recording = self._recording_of(capture) if capture else None
        self.who, self.keypad = Who(self), Keypad(self)
        self.session_ids, self.passing = SessionIds(way.session_id, desk.new_id), Passing(self)
        self.aware = Aware(self)
        book.changed = self._changed
        self.private, self.objections, self.pausing = PrivateCall(self), Objections(self), Pausing(self)
        self.transfers, self.pbx = Transfers(self), Pbx(self)
        self.listeners: dict[str, Listening] = {}  # by the tap that each hears
        voices = voices_of(config, facts)
        plan = Relay(self.id, desk.media.send, voices) if capture else Direct()
        self.exchange = Exchange(desk.ua, desk.media.send, book, plan, self.legs)
        self.exchange.carry = lambda leg, message: self.way.borders[leg].carry(message, In.OFFER)
        for leg in BOTH:
            self.exchange.sessions[leg] = session = LegSession(
                leg, desk.session_id(), way.our_host(leg, config.server.media), self._security(leg)
            )
            session.indicate = partial(self.aware.indication, leg)
        self.early = Early(self)
        self._row = False  # durable, or known not to be
        self._engine_open = False  # the engine knows this call
        self._heard_of_callee = False  # its side has answered something
        self.unsaid = book.silent  # nothing that is shown may count it (I8)
        self._misled = False  # somebody was told of sockets of ours that are gone
        self._to_join = False  # what one was told of the other is not what counts
        self._to_say: list[str] = []  # to the customer, when the notice has ended
        self._round = 0  # of saying it
        self._heard = False  # somebody has listened to it
        self._private_refused = private_refused  # the agent wanted it, and the law does not allow it
        self._private_wish = private_wish  # whose wish it was, set beforehand: used up when the two talk

    def _recording_of(self, capture: Capture) -> Recording:
        desk, tone = self.desk, self.config.regulation.notices.agent_recording_tone
        return Recording(capture, self.book, desk.media.send, desk.new_id, self.voice, tone=tone)

    def _security(self, leg: LegName) -> Security:
        """What the two peers' settings say of SRTP: on the caller's leg by the transport that his INVITE came by."""
        peer = self.config.peer(self.way.peer_of(leg))
        return security_of(peer, self.way.local.transport if leg == "caller" else peer.transport)

    @property
    def facts(self) -> CallFacts:
        """What is known of the call now; with what the customer has been told, once he has."""
        return self.recording.capture.facts if self.recording else self._facts

    @facts.setter
    def facts(self, facts: CallFacts) -> None:
        self._facts = facts
        if self.recording:
            self.recording.capture.facts = facts
        self.desk.touched(self)

    def _changed(self) -> None:
        """The book has turned a page."""
        self.aware.changed()
        self.desk.touched(self)

    @property
    def agents_leg(self) -> LegName:
        return other(self.customer)

    @property
    def in_engine(self) -> bool:
        """Whether its media passes through the engine: only then can anything be said, kept or heard."""
        return self._engine_open

    @property
    def may_be_used(self) -> bool:
        """Whether anything of it could be kept or heard."""
        return self._engine_open and not self.private.on

    @property
    def relayed(self) -> bool:
        return isinstance(self.exchange.plan, Relay)

    # ================================================================ beginning

    def begin(self, request: Request, now: float) -> None:
        """The INVITE has arrived: open the row and, for a relayed call, the sockets."""
        self.desk.ua.stamp(self.legs["caller"], self.session_ids.towards("caller"))
        self.passing.heard("caller", request)
        self.aware.heard("caller", request)
        self.exchange.sessions["caller"].theirs = read_sdp(request)
        self.early.begin(request)
        self.who.asserted("caller", request)
        if self.recording:
            self._open_sockets()
        if self.book.silent:
            self.row_opened(now)
            return
        self.book.open(as_it_came(self.facts))
        self.book.note(NoteDecision(self.id, self._intent, now, "if-told"))
        if self.facts.private_by_agent and not self.relayed:
            self.book.note(NotePrivate(self.id, since_ms=0, cut_ms=0, path="direct", direct_ms=0))
        for party in self.facts.parties:
            if party.objects_to:
                how = "recordpref" if self._wished(request) else "key"
                self.book.note(NoteObjection(self.id, self.customer, party.objects_to, how, now))
        if not self._wished(request):
            self.aware.wishes("caller", request, now)
        if self.recording and self.recording.capture.told:
            self.book.note(NoteTold(self.id, self.customer, self.recording.capture.told))

    def _wished(self, request: Request) -> bool:
        """Whether the customer's own phone, which calls, does not want it recorded (`arrival` has obeyed it)."""
        may = self.customer == "caller" and line_of(self.config, self.facts).opt_out
        return may and wish_of(request) == "off"

    def _open_sockets(self) -> None:
        self._engine_open = True
        subject = self.recording.capture.subject if self.recording else None
        self.desk.media.send(
            protocol.OpenCall(self.id, self.facts.line, subject.reveal() if subject else None)
        )
        for leg in BOTH:
            outside = leg == self.customer
            self.desk.media.send(
                protocol.OpenLeg(
                    self.id,
                    leg,
                    outside=outside,
                    channel=0 if outside else 1,
                    address=self.way.media_host(
                        leg, self.exchange.sessions[leg].theirs, self.config.server.media
                    ),
                )
            )
        self.keypad.agent_is_there()

    def row_opened(self, now: float) -> None:
        self._row = True
        self._proceed(now)

    def row_failed(self, reason: str, now: float) -> None:
        """The catalog cannot be written: nothing is recorded, and the call goes on (I9)."""
        log.error("call %s: no row in the catalog (%s); it goes on unrecorded", self.id, reason)
        self._row = True
        if self.recording and self.state is State.ARRIVED:
            self.recording.stop(reasons.CATALOG_FAILED, SpanState.FAILED, now)
            self._give_up_relay()
        self._proceed(now)

    def leg_opened(self, event: protocol.LegOpened, now: float) -> None:
        self.exchange.sessions[event.leg].socket = event
        self._proceed(now)

    def no_sockets(self, event: protocol.CommandFailed, now: float) -> None:
        """The engine cannot do it: no port left, or it does not know the call."""
        log.error("call %s: the media engine could not %s: %s", self.id, event.do, event.reason)
        if self.recording and self.state is State.ARRIVED:
            self.recording.stop(reasons.ENGINE_FAILED, SpanState.FAILED, now)
            self._give_up_relay()
            self._proceed(now)

    def _proceed(self, now: float) -> None:
        """Leave ARRIVED once the row is durable and the sockets, if any, are open."""
        if self.state is not State.ARRIVED or not self._row:
            return
        if self.relayed and not all(session.socket for session in self.exchange.sessions.values()):
            return
        if self.relayed and self.before_ring:
            self._move(Happening.READY_TO_ANSWER)
            self._answer_first(now)
        else:
            self._move(Happening.READY_TO_CALL)
            self._call(now)

    def _answer_first(self, now: float) -> None:
        """Before-ring: the customer's leg is answered by us, in the first codec that can be recorded."""
        plan, session = self.exchange.plan, self.exchange.sessions["caller"]
        assert isinstance(plan, Relay)
        if session.theirs is None:
            self.exchange.answer_will_be_late("caller")
            body = plan.offer(session)
        else:
            self.exchange.learn("caller", session.theirs)
            body = plan.answer(session)
        self.answer_caller(body, [headers.SDP], now)

    def _call(self, now: float) -> None:
        way = self.way
        offer = self._offer_to_callee()
        content, whole = compose(offer, way.beside, before=way.before)
        self.desk.calling(self)
        self.desk.ua.invite(
            self.legs["callee"],
            way.uri,
            to=way.to,
            from_=way.from_,
            headers=[*way.headers, *content],
            body=whole,
            destination=way.places[0],
            others=way.places[1:],
            local=way.local,
            credentials=self.desk.credentials(way.peer),
            max_forwards=way.max_forwards,
            stamped=self.session_ids.towards("callee"),
            prack=self.early.prack(Prack(self.config.peer(way.peer).prack), offers=offer is not None),
            now=now,
        )

    def _offer_to_callee(self) -> bytes | None:
        """The caller's own offer, handed on; an offer of ours if he was answered already or made none."""
        plan, caller = self.exchange.plan, self.exchange.sessions["caller"]
        if isinstance(plan, Direct):
            return self.exchange.towards("callee", caller.theirs)
        if caller.said is None and caller.theirs is not None:
            return self.exchange.towards("callee", caller.theirs)
        return plan.offer(self.exchange.sessions["callee"], caller.agreed)

    def heard(self, leg: LegName, message: Request | Response) -> None:
        """Every message of either leg, before it is acted upon."""
        self.passing.heard(leg, message)
        self.aware.heard(leg, message)
        if self.session_ids.heard(leg, message):
            for each in BOTH:
                self.desk.ua.stamp(self.legs[each], self.session_ids.towards(each))

    # ================================================================ the callee's progress

    def progressed(self, response: Response, now: float) -> None:
        """A 1xx. Early media proves nothing; on a direct call it goes end to end, a relayed caller hears it ring."""
        self._heard_of_callee = True
        if self._move(Happening.PROGRESS) is None:
            return
        self.early.heard(response)
        self.who.rings(response)
        if self.state is State.SEEKING:
            self._tone("caller", "ringback")
        else:
            self.early.pass_on(response, now)

    def early_answer(self, request: Request, now: float) -> None:
        """The caller has answered, by PRACK, an offer that the callee made before picking up."""
        self.exchange.acknowledged("caller", request, now)

    def beside(self, response: Response, body: bytes | None) -> tuple[headers.Headers, bytes | None]:
        """What the caller gets of the callee's body: the description as it is for him, and the parts that may cross."""
        beside = self.way.borders["callee"].beside(response)
        return compose(body, beside, before=place(response, beside))

    def callee_answered(self, response: Response, now: float) -> None:
        was = self.state
        if self._move(Happening.CALLEE_ANSWERED) is None:
            return
        if was is State.CANCELLED:
            self.desk.ua.bye(self.legs["callee"], headers=reason.ours("unanswered"), now=now)
            self._close(now)
            return
        theirs = self.early.answered(response)
        if self._unusable(response, theirs):
            self._give_back(was, now)
            return
        self.exchange.learn("callee", theirs)
        if self.state is State.JOINING:
            self._pass_answer(response, theirs, now)
        self.who.answers(response, now)
        self.aware.wishes("callee", response, now)
        self.connect_if_both_are_there(now)

    def another_answers(self) -> None:
        """Not on the phone that rings: somebody has picked the call up."""
        self._move(Happening.CALLEE_ANSWERED)

    def connect_if_both_are_there(self, now: float) -> None:
        if self.state is State.TALKING:
            self._connect(now)

    def _unusable(self, response: Response, theirs: Sdp | None) -> bool:
        """An answer that cannot be read, or, on a relayed call, not be relayed (RFC 3261 13.2.2.4: ACK, then
        BYE).
        """
        if self.relayed:
            return theirs is None or self.exchange.cannot_relay("callee", theirs)
        return unreadable(response)

    def _give_back(self, was: State, now: float) -> None:
        """The callee answered with what nobody can use: end it, and tell the caller so."""
        why = reason.ours("media")
        self.desk.ua.bye(self.legs["callee"], headers=why, now=now)
        self._end_caller(was, 488, why, now)
        self._move(Happening.CALLEE_GONE)
        self._wind_up(now)

    def _pass_answer(self, response: Response, theirs: Sdp | None, now: float) -> None:
        caller = self.exchange.sessions["caller"]
        if caller.theirs is None:
            self.exchange.answer_will_be_late("caller")
        else:
            self.exchange.learn("caller", caller.theirs)
        self._to_join |= self.early.answer(response, theirs, now)

    def answer_caller(
        self, body: bytes | None, extra: headers.Headers, now: float, *, anew: bool = False
    ) -> None:
        """200 to the caller; `anew`: with another answer than he was given before."""
        self.book.answered = now
        self.desk.ua.answer(self.legs["caller"], body, headers=extra, anew=anew, now=now)

    def callee_refused(self, status: int, response: Response | None, now: float) -> None:
        was = self.state
        if self._move(Happening.CALLEE_REFUSED) is None:
            return
        passed = self.way.borders["callee"].carry(response, In.FAILURE) if response else []
        if was is State.CALLING:
            self.desk.ua.reject(
                self.legs["caller"], passable(status, ours=response is None), headers=passed, now=now
            )
        elif was is State.SEEKING:
            why = [header for header in passed if header[0] == "Reason"] or reason.of_status(status)
            self.desk.ua.bye(self.legs["caller"], headers=why, now=now)
        silence = response is None and not self._heard_of_callee and status in (408, 503)
        if silence:
            self.desk.unreachable(self.way.peer)
        self.book.add_reason(reasons.PEER_UNREACHABLE if silence else reasons.NOT_ANSWERED)
        self._close(now)

    # ================================================================ telling, then talking

    def acknowledged(self, leg: LegName, request: Request, now: float, *, late: bool = False) -> None:
        """An ACK: he is really there. Without the answer that he owes there is no session to be in (13.2.1)."""
        if late and not self.exchange.acknowledged(leg, request, now):
            self.hang_up(now, "media")
            return
        self.resumed(now)
        if leg != "caller" or self.state not in (State.ANSWERED, State.JOINING):
            return
        if self.in_engine and self.exchange.sessions["caller"].theirs is None:
            self.hang_up(now, "media")  # his ACK was to tell where he can be heard
            return
        if self.recording and self.recording.to_tell:
            if self._move(Happening.ACKED_UNTOLD) is State.TELLING:
                self._tone(other(self.customer), "waiting")
            self.keypad.notice_begins()
            self.recording.tell()
        elif self.state is State.ANSWERED:  # told nothing, because the engine died meanwhile
            self._move(Happening.ACKED_UNTOLD)
            self._after_prompt(Happening.NOT_TOLD, now)
        else:
            self._move(Happening.ACKED)
            self._connect(now)

    def prompt_finished(self, event: protocol.PromptFinished, now: float) -> None:
        if self.recording and self.recording.heard(event, now):
            self._say_the_rest(Happening.TOLD, now)
        else:
            self.voice.finished(event, now)

    def prompt_failed(self, event: protocol.PromptFailed, now: float) -> None:
        if self.recording and self.recording.not_heard(event, now):
            self._say_the_rest(Happening.NOT_TOLD, now)
        else:
            self.voice.failed(event, now)

    def _say_the_rest(self, happening: Happening, now: float) -> None:
        """What the customer asked for while the notice played (K16, K21) comes after it, and before the agent."""
        if self._to_say:
            sentence = self._to_say.pop(0)
            self._round = this = self._round + 1  # a sentence that another has replaced leads nowhere
            self.voice.to_customer(
                self.customer,
                sentence,
                now,
                lambda at, _: self._say_the_rest(happening, at) if this == self._round else None,
            )
        else:
            self._after_prompt(happening, now)

    def _after_prompt(self, happening: Happening, now: float) -> None:
        state = self._move(happening)
        if state is State.SEEKING:
            self._call(now)
        elif state is State.TALKING:
            self._connect(now)

    def _connect(self, now: float) -> None:
        """Both are there and whoever must be told has been: let them talk, and record if the gate is open.

        If the sockets that they were told of have gone on the way here, they are joined directly.
        """
        if self._misled or (self.relayed and not self._engine_open):
            self._misled = False
            self.exchange.go_direct(now)
        elif self.relayed:
            self.desk.media.send(protocol.Bridge(self.id, on=True))
            self._talk(now)
        elif self._to_join:
            self.exchange.join_anew(now)

    def _talk(self, now: float) -> None:
        """Connected by the relay: what the agent and the customer may press, and what may be kept."""
        self.keypad.conversation_begins(now)
        if self.recording and self.recording.not_completed:
            self.voice.to_agent(self.agents_leg, "A15", now)
        self.pausing.connected(now)
        if self.recording:
            self.recording.start("recording", now)
        if self._private_refused:
            self.private.refuse(now)
        self.private.go_on(now)
        self.desk.ready(self, now)

    def _tone(self, leg: LegName, tone: protocol.ToneName) -> None:
        if self.relayed and self._engine_open:
            self.desk.media.send(protocol.Tone(self.id, leg, tone))

    # ================================================================ what keys ask for

    def inform(self, now: float) -> None:
        """The customer wants to know more (KSF15-6.6b)."""
        if self.state in (State.GREETING, State.TELLING):
            self._to_say += ["K21"] if "K21" not in self._to_say else []
        elif self.in_engine:
            self.voice.to_customer(self.customer, "K21", now)

    def request_recording(self, now: float) -> bool:
        """The agent asks for this call to be recorded: capture mode on-request (KSF15-0.2). False: it cannot be.

        What was refused because somebody listened may be asked for again when he has gone.
        """
        on_request = line_of(self.config, self.facts).capture == "on-request"
        if not self.may_be_used or not on_request or not self.recording or self.recording.is_refused:
            return False
        self.facts = replace(self.facts, requested=True)
        if self.state is not State.TALKING:
            return True
        if not self.recording.runs_or_waits:
            self.recording.start("requested", now)
        return self.recording.runs_or_waits

    def who_hears(self) -> None:
        """Somebody has begun to listen, or no longer does: the gate's facts follow (KSF15-1.2b)."""
        self.desk.touched(self)
        listeners = self.listeners.values()
        self._heard = self._heard or any(one.hearing for one in listeners)
        purposes = frozenset(one.heard_for for one in listeners if one.heard_for)
        if purposes != self.facts.heard_for:
            self.facts = replace(self.facts, heard_for=purposes)

    def object(self, uses: frozenset[Use], now: float) -> None:
        """The customer objects to these uses, from now on."""
        parties = tuple(replace(p, objects_to=uses) if p.outside else p for p in self.facts.parties)
        self.facts = replace(self.facts, parties=parties)
        if self.recording and self.recording.telling and Use.RECORD in uses:
            self.desk.media.send(protocol.StopPlay(self.id, self.customer))

    def after_objection(self, sentence: str | None, now: float) -> None:
        """What the customer asked for is done: tell him, and the agent if he is there."""
        telling = self.state in (State.GREETING, State.TELLING)
        if Use.RECORD in self.objections.uses and self.state in CALLEE_UP and sentence:
            self.voice.to_agent(self.agents_leg, "A3", now)
        if telling and self.recording and self.recording.telling:
            self._to_say += [sentence] if sentence else []
            return
        if telling:
            self._to_say = [sentence] if sentence else []
            self._say_the_rest(Happening.NOT_TOLD, now)
        elif sentence:
            self.voice.to_customer(self.customer, sentence, now)

    def close_engine(self, now: float) -> None:
        """The two talk directly, or no more: no socket of ours stays open."""
        self.voice.fall_silent(now)
        if self._engine_open:
            self._engine_open = False
            self.desk.media.send(protocol.CloseCall(self.id))

    # ================================================================ during the call

    def offer_received(self, leg: LegName, request: Request, now: float) -> None:
        """A re-INVITE, or UPDATE with SDP. Who is there is looked at first (I5)."""
        self.who.is_there(leg, request, now)
        if self.way.borders[leg].refuses(request):
            self.desk.ua.reject_offer(self.legs[leg], 415, headers=[ACCEPT], now=now)
            return
        self.aware.wishes(leg, request, now)
        if self.state in CALLEE_PENDING and (leg == "callee" or self.state is State.CALLING):
            self.early.offered(leg, request, now)
        else:
            talking = self.state is State.TALKING and not self.exchange.waiting
            self.exchange.offered(leg, request, now, talking=talking)

    def offer_answered(self, leg: LegName, response: Response, now: float) -> None:
        """Our re-INVITE was answered: who is there (I5)? If that ended a hold, what had to wait for it goes on."""
        self.who.is_there(leg, response, now)
        self.aware.wishes(leg, response, now)
        if self.early.agreed(leg, response, now):
            self.exchange.answered(leg, response, now)
        else:
            self.exchange.rejected(leg, 504, now)
        self.resumed(now)

    def offer_rejected(self, leg: LegName, status: int, now: float) -> None:
        self.exchange.rejected(leg, status, now)
        self.resumed(now)

    def refreshed(self, leg: LegName, response: Response, now: float) -> None:
        """The session timer of that leg was refreshed: nothing changes, unless its peer has changed something."""
        self.who.is_there(leg, response, now)
        self.exchange.refreshed(leg, response, now)

    def resumed(self, now: float) -> None:
        """Perhaps nobody holds any more, and nothing is paused: what had to wait goes on."""
        if self.state is not State.TALKING or self.book.interrupted:
            return
        self.pausing.resumed(now)
        if self.recording:
            self.recording.resumed(now)
        for listening in list(self.listeners.values()):
            listening.resumed(now)

    def answered_in_dialog(self, leg: LegName, event: sip.RequestAnswered, now: float) -> None:
        """A request of ours was answered: an UPDATE by whoever is there now."""
        if event.method == "UPDATE" and event.response is not None and event.status < 300:
            self.who.is_there(leg, event.response, now)

    def told_in_dialog(self, leg: LegName, token: int, request: Request, now: float) -> None:
        """INFO, MESSAGE, REFER, UPDATE without SDP and the like."""
        if request.method == "REFER":
            self.transfers.referred(leg, token, request, now)
        elif request.method == "NOTIFY":
            self.transfers.notified(leg, token, request, now)
        else:
            self.passing.asked(leg, token, request, now)

    def become_confidential(self, now: float) -> None:
        """From this moment no media socket is open here, and nothing more is written of this call (I1, I8).

        If somebody else was recorded or listened to in it before, the row of that part ends here, and does not say why.
        """
        self.unsaid = True
        self.desk.touched(self)
        self.desk.leave_unsaid(self)
        for listening in list(self.listeners.values()):
            listening.stop("call-ended", now)
        if self._heard or (self.recording and self.recording.began):
            self.book.end(now)
            self.desk.count_confidential()
        else:
            self.book.forget(now)
        if self.recording:
            self.desk.media.send(protocol.VoidProofs(self.id, None, "call-ended"))
            self.recording.leave_unsaid(reasons.BECAME_CONFIDENTIAL)
        self._leave_engine(now)
        self.stop_telling(now)
        self._finish()

    def become_private(self, now: float) -> None:
        """Somebody comes whose calls are nobody's business: nothing more is kept or heard (row 5)."""
        if self.unsaid or self.facts.kind is LineKind.PRIVATE:
            return
        for listening in list(self.listeners.values()):
            listening.stop("private", now)
        self.facts = replace(self.facts, kind=LineKind.PRIVATE)
        if self.recording:
            self.desk.media.send(protocol.VoidProofs(self.id, None, PRIVATE_CALL.code))
            self.recording.stop(PRIVATE_CALL, SpanState.PRIVATE, now)
            self._leave_engine(now)
            self.stop_telling(now)
        else:
            self.book.add_reason(PRIVATE_CALL)
            self.book.span(SpanState.PRIVATE, now, PRIVATE_CALL.code)

    def faltered(self, now: float) -> None:
        """Something of it met a fault of ours: what cannot be judged is not kept or heard (I4), and it goes on (I9)."""
        for listening in list(self.listeners.values()):
            listening.stop("engine-failed", now)
        if self.recording and not self.unsaid:
            self.desk.media.send(protocol.VoidProofs(self.id, None, reasons.SERVER_FAULT.code))
            self.recording.stop(reasons.SERVER_FAULT, SpanState.FAILED, now)

    # ================================================================ going direct

    def engine_died(self, now: float) -> None:
        """The media engine is gone: the two are joined directly, and what was kept is recovered (I7, I9)."""
        if not self.recording:
            return
        for listening in list(self.listeners.values()):
            listening.over("engine-failed", now)
        if not self._engine_open:
            self.recording.lose_taps()  # its last journals were being closed
            self._finish()
            return
        self._engine_open = False
        self.voice.fall_silent(now)
        self.recording.engine_died(now, failed=not self.private.on)
        if self.state is State.ARRIVED:
            self._give_up_relay()
            self._proceed(now)
        elif self.state is State.TALKING:
            self.exchange.go_direct(now)
        self.stop_telling(now)
        self._finish()

    def not_authentic(self, leg: LegName, now: float) -> None:
        """Of what that leg sends nothing is protected with the key it announced: nobody can hear it, and a recording of
        it would be silence. The call goes on (I9).
        """
        if self.private.on or self.unsaid or self.recording is None:
            return
        log.warning("call %s: what the %s sends is not protected with the key it announced", self.id, leg)
        telling = self.recording.telling
        self.recording.stop(reasons.MEDIA_NOT_AUTHENTIC, SpanState.FAILED, now)
        if telling:
            self.desk.media.send(protocol.StopPlay(self.id, self.customer))

    def stop_telling(self, now: float) -> None:
        """The prompt that is playing is for nobody any more: the call goes on without its end."""
        if self.state in (State.GREETING, State.TELLING):
            self._after_prompt(Happening.NOT_TOLD, now)

    def _leave_engine(self, now: float) -> None:
        """Close the sockets and join the two directly: now, or as soon as both are there. Who is direct stays so."""
        if not self.relayed:
            return
        self._give_up_relay()
        if self.state is State.TALKING:
            self.exchange.go_direct(now)
        else:
            self._misled = True
        self.voice.fall_silent(now)

    def _give_up_relay(self) -> None:
        if self._engine_open:
            self._engine_open = False
            self.desk.media.send(protocol.CloseCall(self.id))
        self.exchange.plan = Direct()

    # ================================================================ ending

    def ended_by(self, leg: LegName, request: Request | None, why: str, now: float) -> None:
        """CANCEL, BYE or a dead dialog on that leg: end the other, then close what is open."""
        was = self.state
        if self.transfers.outlives(leg, now):
            return
        if self._move(Happening.CALLER_GONE if leg == "caller" else Happening.CALLEE_GONE) is None:
            return
        passed = self.way.borders[leg].carry(request, In.ENDING) if request else []
        if not any(name == "Reason" for name, _ in passed):
            passed += reason.ours(why)
        if leg == "caller":
            self._end_callee(was, passed, now)
        else:
            self._end_caller(was, 480, passed, now)
        self._wind_up(now)

    def only(self, leg: LegName, now: float) -> None:
        """Whoever was on that leg before has stopped sending: what comes now is of the one who is there (I2)."""
        if self.state is State.TALKING and self.in_engine:
            self.exchange.learn(leg, self.exchange.sessions[leg].theirs)

    def hand_over(self, leg: LegName, now: float) -> None:
        """Whoever is on that leg goes on in another call; this one is over, and its other leg is seen to."""
        if self._move(Happening.CALLER_GONE if leg == "caller" else Happening.CALLEE_GONE) is not None:
            self._wind_up(now)

    def hang_up(self, now: float, why: str = "stopped") -> None:
        """End both legs: the server is told to stop now, or nothing can come of this call."""
        was = self.state
        if self._move(Happening.CALLER_GONE) is None:
            return
        self._end_caller(was, 503, reason.ours(why), now)
        self._end_callee(was, reason.ours(why), now)
        self._wind_up(now)

    def _end_callee(self, was: State, passed: headers.Headers, now: float) -> None:
        if was in CALLEE_PENDING:
            self.desk.ua.cancel(self.legs["callee"], headers=passed, now=now)
        elif was in CALLEE_UP:
            self.desk.ua.bye(self.legs["callee"], headers=passed, now=now)

    def _end_caller(self, was: State, status: int, passed: headers.Headers, now: float) -> None:
        if was in CALLER_PENDING:
            self.desk.ua.reject(self.legs["caller"], status, headers=passed, now=now)
        elif was in CALLER_UP:
            self.desk.ua.bye(self.legs["caller"], headers=passed, now=now)

    def _wind_up(self, now: float) -> None:
        self.transfers.call_over(now)
        if self.recording:
            self.recording.give_up_telling(now)
        if self.state is State.CLOSING:
            self._close(now)
        else:
            self.book.end(now)  # CANCELLED: the caller's call is over, the callee's INVITE is not yet

    def _close(self, now: float) -> None:
        """Both legs have ended. Taps first; the outcome when the last journal is closed (I8)."""
        self.book.end(now)
        self.pausing.end()
        self.aware.end()
        for listening in list(self.listeners.values()):
            listening.stop("call-ended", now)
        if self.recording:
            self.recording.close("call-ended", keep_held_back=True)
        self.close_engine(now)
        self._finish()

    def tap_over(self, now: float) -> None:
        """A journal was closed, or will never be."""
        self.desk.touched(self)
        self.private.go_on(now)
        self._finish()

    def _finish(self) -> None:
        if (self.recording and not self.recording.closed) or self.listeners:
            return
        self.book.finish()
        if self.state is State.CLOSING and self._move(Happening.CLOSED):
            self.desk.over(self)

    def _move(self, happening: Happening) -> State | None:
        """The one door of the joint state. None: late news, nothing changes."""
        new = step(self.state, happening)
        if not (self.book.silent or self.book.ended) and new is not self.state:
            log.debug("call %s: %s, %s -> %s", self.id, happening, self.state, new or "late news")
        if new is not None:
            self.state = new
            self.desk.touched(self)
        if new is State.TALKING:
            self._use_the_wish_up()
        return new

    def _use_the_wish_up(self) -> None:
        """Whoever wanted this to be private talks now; unless somebody else has picked up for him."""
        wish, self._private_wish = self._private_wish, None
        if wish is None:
            return
        if any(party.id == wish.id and party.person == wish.person for party in self.facts.parties):
            self.desk.takes_private(wish)


def tongue_of(config: Config, facts: CallFacts, capture: Capture | None) -> Tongue:
    """Who is spoken to in which language; the customer in that of his notice."""
    staff = language_of_staff(config)
    speech = config.regulation.notices.agent_mid_call == "speech"
    return Tongue(capture.prompt.language if capture else staff, staff, speech)
