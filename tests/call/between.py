"""The B2BUA on virtual time, between peers who speak SIP by hand: each byte that they say stands in the test, and each
that they hear is asked for. Nobody answers by himself, so that anything can cross anything.

    between = Between()
    a = between.dial("7000");  b = between.called()
    b.reply(b.invite, 180);    a.expect("180 INVITE")

The user agent, its door, the switchboard and the engine (as Sim) are the real ones; only the catalog's disk is not.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from qm_sip.doorway import rules_of
from qm_sip.private import Private
from qm_sip.sip.admission import Doorkeeper
from qm_sip.sip.events import Address
from qm_sip.sip.incidents import SecurityLog
from qm_sip.sip.message import Message, Request, Response, parse
from qm_sip.sip.ua import Credentials, Prack, UserAgent, UserAgentSettings
from tests.simulation.town import NS, Middle, settings

LEFT, RIGHT, OUTSIDE, STRANGER = (Address(f"192.0.2.{host}", 5060) for host in (1, 2, 3, 66))
HERE = Address("192.0.2.9", 5060)
PASSWORD = "open sesame"
NEIGHBOURS = """
[sip]
listen = ["udp:192.0.2.9:5060", "tcp:192.0.2.9:5060"]
max_lag = "10s"
[media]
address = "192.0.2.9"
[peers.left]
addresses = ["192.0.2.1"]
trusted = true
next_hop = "192.0.2.1:5060"
refer = "pass"
[peers.right]
addresses = ["192.0.2.2"]
trusted = true
next_hop = "192.0.2.2:5060"
refer = "here"
bodies = ["application/isup"]
[peers.outside]
addresses = ["192.0.2.3"]
next_hop = "192.0.2.3:5060"
[[routes]]
from = "left"
to = "outside"
direction = "outbound"
called = "3"
[[routes]]
from = "left"
to = "right"
direction = "inbound"
[[routes]]
from = "right"
to = "left"
direction = "inbound"
[[routes]]
from = "outside"
to = "right"
direction = "inbound"
"""


def sdp(port: int = 4000, *, version: int = 1, more: str = "", host: str = "192.0.2.1") -> bytes:
    """A description of one audio stream and, if said, of more."""
    return (
        f"v=0\r\no=- 77 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n{more}"
    ).encode()


OFFER, ANSWER = sdp(), sdp(5000, host="192.0.2.2")


@dataclass(frozen=True)
class Said:
    """One message that left us."""

    at: float  # seconds since the beginning
    to: Address
    by: Address  # the socket
    message: Message


class Between:
    """See the module's docstring. `tables` goes to the end of qm_sip.toml; `changes` replaces parts of it."""

    def __init__(
        self,
        *changes: tuple[str, str],
        tables: str = "",
        agent: UserAgentSettings | None = None,
        seed: int = 1,
    ) -> None:
        text = NEIGHBOURS
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        self.using = settings(text + tables)
        self.seed, self.now, self.wants_ticks = seed, 100.0, False
        self._agent = agent or UserAgentSettings()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.said: list[Said] = []
        self._unheard: list[Said] = []
        self.middle = Middle(self, 0, self.using, self._made)  # type: ignore[arg-type]
        self.middle.switchboard.set_credentials({"outside": Credentials("qm", Private(PASSWORD))})

    # ---- what the middle asks of whoever it lives with

    @property
    def ns(self) -> int:
        return int(self.now * NS)

    def _made(self, rng: random.Random) -> UserAgent:
        config = self.using.config
        self.door = Doorkeeper(rules_of(config), rng, SecurityLog(logging.getLogger("qm_sip.security")))
        ua = UserAgent(self._agent, rng, self.door, self._prack)
        ua.listens([Address(at.host, at.port, at.transport) for at in config.server.sip.listen])
        return ua

    def _prack(self, source: Address) -> Prack:
        peer = self.door.rules.find(source)
        return Prack(self.using.config.peer(peer).prack) if peer is not None else Prack.NO

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    # ---- time

    def receive(self, data: bytes, source: Address = LEFT, local: Address = HERE) -> None:
        """A message arrives, and a moment passes in which the catalog answers."""
        self.middle.ua.receive(data, source, local, self.now)
        self.run(0.01)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        self._settle()
        while (due := self._due()) is not None and due <= end:
            self.now = max(self.now, due)
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            self.middle.advance(self.now)
            self._settle()
        self.now = end

    def _due(self) -> float | None:
        times = [self.middle.next_timer(), self._queue[0][0] if self._queue else None]
        times.append(self.now + 0.02 if self.middle.media_runs else None)
        return min((at for at in times if at is not None), default=None)

    def _settle(self) -> None:
        while self.middle.settle():
            pass
        for data, to, by in self.middle.ua.take_datagrams():
            said = Said(round(self.now - 100, 3), to, by, parse(data))
            self.said.append(said)
            self._unheard.append(said)

    def over(self) -> None:
        """Every leg and transaction comes to its end, and no call is left."""
        for _ in range(200):
            self.run(1.0)
            if not self.middle.ua.legs and not self.middle.switchboard.calls:
                break
        ua = self.middle.ua
        assert (ua.legs, ua.transactions, len(self.middle.switchboard.calls)) == (0, 0, 0)

    # ---- who was told what

    def hear(self, at: Address, call_id: str = "") -> list[Said]:
        """What was said to that party since it was last asked for, of one call or of all."""
        found = [
            said
            for said in self._unheard
            if said.to.host == at.host and call_id in ("", said.message.call_id)
        ]
        self._unheard = [said for said in self._unheard if said not in found]
        return found

    def times(self, at: Address, what: str) -> list[float]:
        """When that was said to that party, seconds since the beginning."""
        return [said.at for said in self.said if said.to.host == at.host and kind_of(said.message) == what]

    def count(self, at: Address) -> Counter[str]:
        """How often each kind of message was said to that party."""
        return Counter(kind_of(said.message) for said in self.said if said.to.host == at.host)

    # ---- calls

    def dial(self, number: str = "7000", body: bytes = OFFER, *extra: str, at: Address = LEFT) -> Talk:
        """A call to that number."""
        talk = Talk(self, at, f"call-{next(self._order)}", "a1", number)
        talk.invite = talk.ask("INVITE", body, *extra)
        trying = next(said for said in self._unheard if said.message.call_id == talk.call_id)
        assert kind_of(trying.message) == "100 INVITE"
        self._unheard.remove(trying)
        return talk

    def called(self, at: Address = RIGHT) -> Talk:
        """The call that has come to that party."""
        (first,) = [
            said for said in self._unheard if said.to.host == at.host and kind_of(said.message) == "INVITE"
        ]
        self._unheard.remove(first)
        assert isinstance(first.message, Request)
        talk = Talk(self, at, first.message.call_id, "b1", "")
        talk.is_called(first.message)
        return talk

    def ringing(
        self, number: str = "7000", body: bytes = OFFER, *extra: str, to: Address = RIGHT
    ) -> tuple[Talk, Talk]:
        a = self.dial(number, body, *extra)
        b = self.called(to)
        b.reply(b.invite, 180)
        a.expect("180 INVITE")
        return a, b

    def talking(
        self, number: str = "7000", body: bytes = OFFER, *extra: str, to: Address = RIGHT
    ) -> tuple[Talk, Talk]:
        """A call that both sides are in; nothing is left unheard."""
        a, b = self.ringing(number, body, *extra, to=to)
        b.reply(b.invite, 200, ANSWER)
        a.answered()
        b.expect("ACK")
        return a, b


class Talk:
    """One call of a party, spoken by hand."""

    def __init__(self, between: Between, at: Address, call_id: str, tag: str, number: str) -> None:
        self.between, self.at, self.call_id, self.tag = between, at, call_id, tag
        self.local, self.remote = f"<sip:0612345678@{at.host}>;tag={tag}", f"<sip:{number}@{HERE.host}>"
        self.target = f"sip:{number}@{HERE.host}"
        self.contact = f"<sip:me@{at.host}:{at.port}>"
        self.routes: tuple[str, ...] = ()
        self.cseq = 0
        self.answer: Message | None = None

    invite: Request

    def is_called(self, invite: Request) -> None:
        """The other end of an INVITE of ours."""
        self.invite = invite
        self.local, self.remote = f"{invite.get('to')};tag={self.tag}", invite.get("from") or ""
        self.target = str(invite.contacts[0].uri)

    # ---- saying

    def ask(
        self,
        method: str,
        body: bytes = b"",
        *extra: str,
        cseq: int = 0,
        branch: str = "",
        uri: str = "",
        to: str = "",
        via: str = "",
        max_forwards: int = 70,
        source: Address | None = None,
    ) -> Request:
        """A request of this party's. `extra`: header lines; a Content-Type among them replaces ours."""
        if not cseq:
            self.cseq += method not in ("ACK", "CANCEL")
            cseq = self.cseq
        transport = self.at.transport.upper()
        way = via or f"SIP/2.0/{transport} {self.at.host}:{self.at.port};branch={branch or new_branch()}"
        lines = [
            f"{method} {uri or self.target} SIP/2.0",
            f"Via: {way}",
            *(f"Route: {route}" for route in self.routes),
            f"Max-Forwards: {max_forwards}",
            f"From: {self.local}",
            f"To: {to or self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: {self.contact}",
        ]
        data = whole(lines, extra, body)
        self._send(data, source)
        made = parse(data)
        assert isinstance(made, Request)
        return made

    def reply(
        self,
        request: Message,
        status: int,
        body: bytes = b"",
        *extra: str,
        tag: str | None = None,
        contact: str = "",
    ) -> None:
        """A response of this party's; `tag` of another end than ours, "" for none."""
        to = request.get("to") or ""
        said = self.tag if tag is None else tag
        lines = [
            f"SIP/2.0 {status} X",
            *(f"Via: {via}" for via in request.all("via")),
            f"From: {request.get('from')}",
            f"To: {to}" + (f";tag={said}" if said and ";tag=" not in to else ""),
            f"Call-ID: {request.call_id}",
            f"CSeq: {request.get('cseq')}",
            f"Contact: {contact or self.contact}",
        ]
        self._send(whole(lines, extra, body))

    def _send(self, data: bytes, source: Address | None = None) -> None:
        here = HERE._replace(transport=self.at.transport)
        self.between.receive(data, source or self.at, here)

    def ack(self, *extra: str, body: bytes = b"") -> Request:
        """The ACK to the 200 of the newest INVITE, or to its failure."""
        failed = isinstance(self.answer, Response) and self.answer.status >= 300
        branch = self.invite.via.branch if failed else ""
        to = (self.answer.get("to") or "") if failed and self.answer else ""
        return self.ask("ACK", body, *extra, cseq=self.invite.cseq.number, branch=branch, to=to)

    def cancel(self, *extra: str) -> Request:
        """CANCEL of the newest INVITE."""
        return self.ask(
            "CANCEL",
            b"",
            *extra,
            cseq=self.invite.cseq.number,
            branch=self.invite.via.branch,
            uri=self.invite.uri,
            to=self.invite.get("to") or "",
        )

    def reinvite(self, body: bytes = b"", *extra: str, **kw: str) -> Request:
        self.invite = self.ask("INVITE", body, *extra, **kw)  # type: ignore[arg-type]
        return self.invite

    def answered(self, *extra: str, body: bytes = b"") -> Message:
        """Hears the 200, and acknowledges it."""
        ok = self.expect("200 INVITE")
        self.ack(*extra, body=body)
        return ok

    # ---- hearing

    def hear(self) -> list[Message]:
        return [self._learn(said.message) for said in self.between.hear(self.at, self.call_id)]

    def heard(self) -> list[str]:
        """The kinds of what was said to us and not asked for yet."""
        return [kind_of(message) for message in self.hear()]

    def expect(self, kind: str) -> Message:
        """The one thing that has been said to us since."""
        found = self.hear()
        assert [kind_of(message) for message in found] == [kind], f"{kind} expected"
        return found[0]

    def request(self, method: str) -> Request:
        found = self.expect(method)
        assert isinstance(found, Request)
        return found

    def response(self, kind: str) -> Response:
        found = self.expect(kind)
        assert isinstance(found, Response)
        return found

    def _learn(self, message: Message) -> Message:
        if isinstance(message, Response) and message.cseq.method == "INVITE" and message.status > 100:
            if message.status >= 200:
                self.answer = message
            if message.status < 300:
                self.remote = message.get("to") or ""
                self.target = str(message.contacts[0].uri) if message.contacts else self.target
        return message


_branches = itertools.count()


def new_branch() -> str:
    return f"z9hG4bK-hand-{next(_branches)}"


def whole(lines: list[str], extra: tuple[str, ...], body: bytes) -> bytes:
    typed = any(line.lower().startswith("content-type:") for line in extra)
    more = ["Content-Type: application/sdp"] if body and not typed else []
    return "\r\n".join([*lines, *extra, *more, f"Content-Length: {len(body)}", "", ""]).encode() + body


def kind_of(message: Message) -> str:
    """`INVITE`, or `200 INVITE`."""
    if isinstance(message, Request):
        return message.method
    assert isinstance(message, Response)
    return f"{message.status} {message.cseq.method}"
