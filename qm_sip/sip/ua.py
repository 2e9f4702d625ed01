"""The user agent: INVITE usages over transactions and dialogs, sans-IO.

Bytes and `now` in by `receive`, wishes in by the commands, time in by `advance`; events out by
`take_events`, bytes out by `take_datagrams`, and `next_timer` says when to come back. Nothing in here
knows a socket or a clock, and nothing a peer sends makes it raise.

A command to a leg that is over, or in a state in which it means nothing any more, does nothing: the other
side may have been faster. A command of the wrong kind (answering a call we make) is a bug of the
caller's: `BrokenInvariant`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from qm_sip.errors import BrokenInvariant
from qm_sip.sip import door, events
from qm_sip.sip.address import Uri
from qm_sip.sip.admission import Admitted, OpenDoor, Porter, Refused
from qm_sip.sip.asking import Phase
from qm_sip.sip.core import Core, HeaderList
from qm_sip.sip.dialog import Dialog, DialogId
from qm_sip.sip.digest import Credentials
from qm_sip.sip.events import Address, Datagram, LegId, UaEvent
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.incoming import IncomingLeg
from qm_sip.sip.leg import Leg
from qm_sip.sip.message import Header, MalformedMessage, Request, Response, header, parse
from qm_sip.sip.outgoing import Calling, OutgoingLeg
from qm_sip.sip.publishing import Package, Watches, WatchLimits
from qm_sip.sip.reply import mark_arrival, reply, reply_address
from qm_sip.sip.settings import Prack, UserAgentSettings
from qm_sip.sip.transaction import Event
from qm_sip.sip.validate import check_request, check_response
from qm_sip.sip.watch import Watch

__all__ = ["Admit", "Credentials", "HeaderList", "Prack", "UserAgent", "UserAgentSettings"]

Admit = Callable[[Request, Address], int | None]
"""Whether a request outside any dialog may come in: None, or the status it gets (403)."""


class Found(NamedTuple):
    """A leg that somebody named by its dialog."""

    leg: LegId
    phase: Phase
    called_by_us: bool


class UserAgent:
    """See the module's docstring. Every command takes `now` last."""

    def __init__(
        self,
        settings: UserAgentSettings,
        rng: random.Random,
        admit: Admit | Porter,
        prack: Callable[[Address], Prack] = lambda source: Prack.YES,
    ) -> None:
        self._core = Core(settings, rng)
        self._porter: Porter = OpenDoor(admit) if callable(admit) else admit
        self._prack = prack
        self._closed: int | None = None
        self._watches = Watches(self._core)

    # ------------------------------------------------------------------ the world

    def receive(self, data: bytes, source: Address, local: Address, now: float) -> None:
        """One message that arrived at the socket `local`: a datagram, or a frame of a connection that it took or made.
        Never raises for what stands in it.
        """
        counts = self._core.counts
        counts["received"] += 1
        if not self._porter.hears(source, now):
            counts["unheard"] += 1
            return
        if not data.strip(b"\r\n\0"):
            counts["keep-alive"] += 1  # RFC 5626 4.4.1; over UDP nothing is owed
            return
        try:
            message = parse(data)
            if isinstance(message, Response):
                self._response(message, source, now)
            else:
                self._request(message, source, local, now)
        except MalformedMessage as error:
            self._malformed(error.partial, error.status, source, local, now)
        except SipParseError:
            counts["garbage"] += 1

    def advance(self, now: float) -> None:
        """Let everything happen that is due."""
        due = self._core.timers.next()
        if due is not None and due < now:
            self._porter.late(now - due, now)
        self._core.timers.advance(now)

    def next_timer(self) -> float | None:
        """When `advance` is wanted next, or None."""
        return self._core.timers.next()

    def take_events(self) -> list[UaEvent]:
        """What has happened since the last time, in order."""
        taken, self._core.events = self._core.events, []
        return taken

    def take_datagrams(self) -> list[Datagram]:
        """What is to be sent, in order."""
        taken, self._core.datagrams = self._core.datagrams, []
        return taken

    def transport_failed(self, destination: Address, local: Address, now: float) -> None:
        """The network said that nothing listens there (ICMP, a connection refused): what waits for an answer from
        there fails with 503, or goes another way if there is one.
        """
        self._core.layer.unreachable(destination, local, now)

    def connection_lost(self, remote: Address, local: Address, now: float) -> None:
        """A connection that stood has ended: see `TransactionLayer.lost`."""
        self._core.layer.lost(remote, local, now)

    def listens(self, sockets: Sequence[Address]) -> None:
        """Where we are heard. Without being told, a request leaves by the socket that its leg was given."""
        self._core.sockets = tuple(sockets)

    def talks_over(self, remote: Address, local: Address) -> bool:
        """Whether a call would be cut off from its peer without this connection."""
        legs = any(leg.talks_over(remote, local) for leg in self._core.legs.values())
        return legs or self._watches.talks_over(remote, local)

    def heard_by(self, listener: Callable[[LegId, Request | Response], None]) -> None:
        """Who is shown every message of a leg before the leg acts on it, and may `stamp` what it says then."""
        self._core.heard = listener

    @property
    def counts(self) -> Counter[str]:
        """Messages received, refused and thrown away, by kind; no address in it."""
        return self._core.counts

    @property
    def legs(self) -> int:
        """How many legs are not gone yet."""
        return len(self._core.legs)

    @property
    def transactions(self) -> int:
        """How many transactions have not terminated, of all legs."""
        return len(self._core.layer)

    def transactions_of(self, leg: LegId) -> int:
        """How many of them are this leg's."""
        found = self._core.legs.get(leg)
        return len(found.live) if found is not None else 0

    def legs_with(self, call_id: str) -> tuple[LegId, ...]:
        """The legs that are not gone yet of this Call-ID: one as a rule, of several forks more."""
        return tuple(self._core.named.get(call_id, ()))

    # ------------------------------------------------------------------ what is shown to subscribers

    def publish(self, package: Package, limits: WatchLimits) -> None:
        """Show this to those who SUBSCRIBE to it, from now on within these limits."""
        self._core.take_also("SUBSCRIBE")
        self._watches.package, self._watches.limits = package, limits

    def looks_different(self, resource: Hashable, now: float) -> None:
        """Whoever watches it is told, if it is so."""
        self._watches.changed(resource, now)

    def review_watches(self, now: float) -> None:
        """Who may watch what may be another question now."""
        self._watches.review(now)

    def end_watches(self, reason: str, now: float) -> None:
        """End every subscription, for this reason (RFC 6665 4.1.3)."""
        self._watches.end(reason, now)

    @property
    def watches(self) -> int:
        """How many subscriptions there are."""
        return len(self._watches)

    @property
    def watch_counts(self) -> Counter[str]:
        """What became of subscriptions, by kind."""
        return self._watches.counts

    def is_watch(self, call_id: str) -> bool:
        """Whether this Call-ID is that of a subscription."""
        return self._watches.has(call_id)

    # ------------------------------------------------------------------ commands

    def reject_new(self, status: int | None) -> None:
        """From now on answer new INVITEs with this status (503 with Retry-After); None: take calls again."""
        self._closed = status

    def invite(
        self,
        leg: LegId,
        uri: str,
        *,
        to: str,
        from_: str,
        headers: HeaderList = (),
        body: bytes | None,
        destination: Address,
        others: Sequence[Address] = (),
        local: Address,
        credentials: Credentials | None = None,
        max_forwards: int = 70,
        stamped: HeaderList = (),
        prack: Prack = Prack.YES,
        now: float,
    ) -> None:
        """Call `uri` from the socket `local`. `to` and `from_` are header values without tag. No body:
        late offer. `others`: addresses to try in turn if nobody is at the destination.
        """
        if leg in self._core.legs:
            raise BrokenInvariant("a leg of that name exists")
        Uri.parse(uri)
        calling = Calling(uri, to, from_, destination, max_forwards, prack, tuple(others))
        OutgoingLeg(leg, self._core, calling, headers, body, local, credentials, now, stamped)

    def stamp(self, leg: LegId, headers: HeaderList) -> None:
        """What every message of that leg carries from now on, those that we send unasked included; a 100 does not."""
        if (found := self._core.legs.get(leg)) is not None:
            found.stamped = headers

    def provisional(
        self,
        leg: LegId,
        status: int,
        *,
        headers: HeaderList = (),
        body: bytes | None = None,
        anew: bool = False,
        reliably: bool = False,
        now: float,
    ) -> None:
        """180, 183 ... to a call offered. Repeated every minute. `anew`: in an early dialog of its own, because it
        brings another answer than the last. With a body, or `reliably`, it is sent reliably if the caller knows how.
        """
        if (found := self._incoming(leg)) is not None:
            found.provisional(status, headers, body, now, anew=anew, reliably=reliably)

    def takes_reliably(self, leg: LegId) -> bool:
        """Whether provisional responses to this caller can be made sure to arrive."""
        found = self._incoming(leg)
        return found is not None and found.takes_reliably

    def answer(
        self, leg: LegId, body: bytes | None, *, headers: HeaderList = (), anew: bool = False, now: float
    ) -> None:
        """200, repeated until its ACK. `anew`: in a dialog of its own, as for `provisional`."""
        if (found := self._incoming(leg)) is not None:
            found.answer(body, headers, now, anew=anew)

    def reject(
        self, leg: LegId, status: int, *, reason: str = "", headers: HeaderList = (), now: float
    ) -> None:
        """A 3xx to 6xx to a call offered; a Contact for 302 stands in `headers`."""
        if (found := self._incoming(leg)) is not None:
            found.reject(status, reason, headers, now)

    def cancel(self, leg: LegId, *, headers: HeaderList = (), now: float) -> None:
        """Give up a call of ours: CANCEL, or BYE if it has just been answered. `Rejected` 487 follows."""
        found = self._core.legs.get(leg)
        if isinstance(found, IncomingLeg):
            raise BrokenInvariant("a call that was offered to us is rejected, not cancelled")
        if isinstance(found, OutgoingLeg):
            found.cancel(headers, now)

    def bye(self, leg: LegId, *, headers: HeaderList = (), now: float) -> None:
        """End a leg in whatever state it is. Only `LegGone` follows (and `Rejected`, if it was not yet
        answered).
        """
        if (found := self._core.legs.get(leg)) is not None:
            found.bye(headers, now)

    def reoffer(self, leg: LegId, body: bytes | None, *, headers: HeaderList = (), now: float) -> None:
        """A re-INVITE, sent as soon as no other offer is under way; without body a late offer. Before the INVITE is
        answered an UPDATE, now or not at all (`OfferRejected` 504).
        """
        if (found := self._core.legs.get(leg)) is not None:
            found.reoffer(body, headers, now)

    def offers(self, leg: LegId) -> bool:
        """Whether an offer of ours is on its way there, and not only waits for its turn."""
        found = self._core.legs.get(leg)
        return found is not None and found.offering is not None

    def answer_offer(self, leg: LegId, body: bytes | None, *, headers: HeaderList = (), now: float) -> None:
        """200 to an `OfferReceived`; to a late offer the body is our offer, and the answer comes
        `Acknowledged`.
        """
        if (found := self._core.legs.get(leg)) is not None:
            found.answer_offer(body, headers, now)

    def reject_offer(self, leg: LegId, status: int, *, headers: HeaderList = (), now: float) -> None:
        """A failure (488, 491 ...) to an `OfferReceived`."""
        if (found := self._core.legs.get(leg)) is not None:
            found.reject_offer(status, headers, now)

    def ack(self, leg: LegId, body: bytes, *, tag: str = "", now: float) -> None:
        """The ACK to a 2xx, or PRACK to a 1xx, that brought an offer; every other is sent without asking. `tag`: of
        the answering end that is meant, if several have made offers before the answer.
        """
        if (found := self._core.legs.get(leg)) is not None:
            found.acknowledge(body, now, tag)

    def request(
        self,
        leg: LegId,
        method: str,
        headers: HeaderList = (),
        body: bytes | None = None,
        *,
        ticket: int = 0,
        now: float,
    ) -> None:
        """INFO, UPDATE ... in the dialog. `RequestAnswered` follows, with the same ticket."""
        if (found := self._core.legs.get(leg)) is not None:
            found.request(method, headers, body, now, ticket)

    def respond(
        self,
        leg: LegId,
        token: int,
        status: int,
        headers: HeaderList = (),
        body: bytes | None = None,
        *,
        now: float,
    ) -> None:
        """The answer to an `InDialogRequest`."""
        if (found := self._core.legs.get(leg)) is not None:
            found.respond(token, status, headers, body, now)

    # ------------------------------------------------------------------ dialogs, by name

    def find(self, dialog: DialogId) -> Found | None:
        """The leg that this dialog belongs to, and how far it is. Of one that has ended it is known for a while."""
        leg = self._core.dialogs.get(dialog)
        return None if leg is None else Found(leg.name, leg.phase, called_by_us=leg.owns_call_id)

    def knows(self, leg: LegId) -> bool:
        """Whether more will be heard of that leg: `LegGone`, if nothing else."""
        return leg in self._core.legs

    def dialog(self, leg: LegId) -> Dialog | None:
        """The dialog of a leg; None: it has none yet."""
        found = self._core.legs.get(leg)
        return found.dialog if found is not None else None

    def _incoming(self, leg: LegId) -> IncomingLeg | None:
        found = self._core.legs.get(leg)
        if found is not None and not isinstance(found, IncomingLeg):
            raise BrokenInvariant("only a call that was offered can be answered or rejected")
        return found

    # ------------------------------------------------------------------ messages

    def _response(self, response: Response, source: Address, now: float) -> None:
        asked = self._core.layer.find_client(response)
        if asked is not None:
            response.knows(asked.request, "from", "cseq")
        check_response(response)
        if asked is not None:
            asked.receive(response, now)
            self._porter.met(source, now)
        else:
            self._core.counts["stray-response"] += 1

    def _request(self, request: Request, source: Address, local: Address, now: float) -> None:
        try:
            check_request(request)
        except SipParseError as error:
            raise MalformedMessage(error.problem, error.status, request) from None
        request = mark_arrival(request, source)
        if request.method == "ACK":
            self._ack(request, source, now)
            return
        transaction = self._core.layer.find_server(request)
        if transaction is not None:
            transaction.fire(Event.GOT_REQUEST, now)
        elif request.method == "CANCEL":
            self._cancel(request, source, local, now)
        elif request.to.tag is not None:
            self._in_dialog(request, source, local, now)
        else:
            self._outside_dialog(request, source, local, now)

    def _malformed(self, request: object, status: int, source: Address, local: Address, now: float) -> None:
        """At most an answer: if enough can be read to send one, and never to an ACK (17) or a response."""
        self._core.counts["garbage"] += 1
        if not isinstance(request, Request) or request.method == "ACK":
            return
        try:
            marked = mark_arrival(request, source)
            if (refused := self._porter.unknown(request.method, source, now)) is not None:
                self._turn_away(marked, refused, local)
                return
            tag = self._core.stateless_tag(marked)
            response = reply(marked, status, tag=tag, headers=self._core.plain_headers(()))
            self._core.send(response.to_bytes(), reply_address(marked, local), local)
        except SipParseError:
            self._core.counts["unanswerable"] += 1

    def _turn_away(self, request: Request, refused: Refused, local: Address) -> None:
        """Without a transaction; perhaps without a word."""
        if refused.status:
            self._core.refuse(request, refused.status, local, refused.headers, bare=refused.bare)
        else:
            self._core.counts["unanswered"] += 1

    def _no_such_call(self, request: Request, source: Address, local: Address, now: float) -> None:
        """481; a stranger is not told even that."""
        refused = self._porter.unknown(request.method, source, now)
        self._turn_away(request, refused or Refused(481), local)

    def _ack(self, request: Request, source: Address, now: float) -> None:
        transaction = self._core.layer.find_server(request)
        if transaction is not None:
            transaction.fire(Event.GOT_ACK, now, request)
        elif (found := self._leg_of(request)) is not None:
            self._porter.met(source, now)
            found.ack_received(request, now)
        else:
            self._core.counts["stray-ack"] += 1

    def _cancel(self, request: Request, source: Address, local: Address, now: float) -> None:
        """9.2: 200 if there is such an INVITE, whether or not it is too late for it; else 481."""
        invite = self._core.layer.find_invite(request)
        if invite is None:
            self._no_such_call(request, source, local, now)
            return
        leg = invite.user
        assert isinstance(leg, Leg)
        response = reply(request, 200, tag=leg.tag(), headers=self._core.plain_headers(()))
        self._core.send(response.to_bytes(), reply_address(request, local), local)
        if not invite.answered:
            leg.cancelled(invite, request, now)

    def _leg_of(self, request: Request) -> Leg | None:
        tag = request.to.tag or ""
        return self._core.dialogs.get(DialogId(request.call_id, tag, request.from_.tag or ""))

    def _in_dialog(self, request: Request, source: Address, local: Address, now: float) -> None:
        leg = self._leg_of(request)
        dialog = leg.dialog_of(request) if leg is not None else None
        if leg is None and (watch := self._watches.find(request)) is not None:
            self._in_subscription(watch, request, source, local, now)
            return
        if leg is None or dialog is None:
            self._no_such_call(request, source, local, now)
            return
        self._porter.met(source, now)
        if (refused := self._porter.admits_again(request, source, leg.origin, now)) is not None:
            self._turn_away(request, refused, local)
        elif (refusal := door.dialog_request(self._core, request, leg.prack)) is not None:
            self._core.refuse(request, refusal[0], local, refusal[1])
        elif request.method == "SUBSCRIBE":
            self._core.refuse(request, 403, local)  # a subscription has a dialog of its own (RFC 6665 4.5.2)
        else:
            leg.received(request, dialog, local, now)

    def _in_subscription(
        self, watch: Watch, request: Request, source: Address, local: Address, now: float
    ) -> None:
        """Whoever goes on with it shows anew who he is: it may last for days."""
        verdict = self._porter.admits(request, source, self._core.calls, now)
        if isinstance(verdict, Refused):
            self._turn_away(request, verdict, local)
        elif request.method != "SUBSCRIBE":
            self._core.refuse(request, 481, local)  # no other usage of that dialog exists (RFC 5057)
        elif (refusal := door.dialog_request(self._core, request)) is not None:
            self._core.refuse(request, refusal[0], local, refusal[1])
        else:
            self._watches.asked_again(watch, request, source, local, verdict, now)

    def _outside_dialog(self, request: Request, source: Address, local: Address, now: float) -> None:
        verdict = self._porter.admits(request, source, self._core.calls, now)
        if isinstance(verdict, Refused):
            self._turn_away(request, verdict, local)
        elif (refusal := door.new_request(self._core, request, prack := self._prack(source))) is not None:
            self._core.refuse(request, refusal[0], local, refusal[1])
        elif request.method == "OPTIONS":
            self._options(request, local, prack)
        elif request.method == "INVITE":
            self._offer(request, source, local, verdict.account, prack, now)
        elif request.method == "SUBSCRIBE":
            self._subscribe(request, source, local, verdict, now)
        else:
            self._core.refuse(request, 405, local, [self._core.allow()])

    def _subscribe(self, request: Request, source: Address, local: Address, by: Admitted, now: float) -> None:
        if self._closed is None:
            self._watches.offered(request, source, local, by, now)
        else:
            self._core.refuse(request, self._closed, local, self._wait(self._closed))

    def _wait(self, status: int) -> list[Header]:
        return [header("Retry-After", str(self._core.settings.retry_after))] if status == 503 else []

    def _options(self, request: Request, local: Address, prack: Prack) -> None:
        """11.2: what we would answer an INVITE, and what we can do."""
        core = self._core
        status = self._closed or 200
        headers = core.response_headers(
            local,
            [
                ("Accept", "application/sdp"),
                ("Supported", core.supported(prack)),
                *self._watches.allow_events,
            ],
            None,
        )
        response = reply(request, status, tag=core.stateless_tag(request), headers=headers)
        core.send(response.to_bytes(), reply_address(request, local), local)

    def _offer(
        self, request: Request, source: Address, local: Address, account: str, prack: Prack, now: float
    ) -> None:
        core = self._core
        status = self._closed or (503 if len(core.legs) >= core.settings.max_legs else None)
        if status is not None:
            core.refuse(request, status, local, self._wait(status))
            return
        name = f"in-{core.token()}"
        IncomingLeg(name, core, request, source, local, prack, now, account=account)
        core.emit(events.CallOffered(name, request, source, local))
