"""Customers and agents over real sockets, in a thread of this process: SIP by our own user agent, RTP by hand.

phones = Phones(customers="127.1.2.3", agents="127.1.2.4", server=Address("127.1.2.5", 5080))
call = phones.call("0201110001"); call.wait_until_talking(); call.hang_up()
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from qm_sip.sip import events as sip
from qm_sip.sip.address import NameAddr
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request
from qm_sip.sip.sdp import Sdp, offer
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.faults import rtp

PACE = 0.02
SDP = ("Content-Type", "application/sdp")
CUSTOMER, AGENT = 0, 1


@dataclass
class Heard:
    """One packet that a phone got, of the other phone."""

    at: float
    number: int
    source: Address


@dataclass
class Phone:
    """One end of a call."""

    side: int
    host: str
    socket: socket.socket
    leg: str = ""
    target: tuple[str, int] | None = None
    targets: list[tuple[str, int]] = field(default_factory=list)
    up: float | None = None
    gone: bool = False
    sent: list[float] = field(default_factory=list)  # when packet n was sent
    heard: list[Heard] = field(default_factory=list)
    reoffers: int = 0
    ssrc: int = 0

    @property
    def address(self) -> Address:
        return Address(*self.socket.getsockname())

    def sdp(self) -> bytes:
        return offer(self.ssrc, 1, self.host, self.address.port, names=("PCMA", "telephone-event")).to_bytes()

    def learn(self, body: bytes) -> None:
        """Send there from now on."""
        described = Sdp.parse(body) if body else None
        audio = described.audio if described else None
        if described is not None and audio is not None:
            self.target = (described.address_of(audio) or "", audio.port)
            self.targets.append(self.target)


@dataclass
class Call:
    """A customer's call, and the agent's phone once it has been called."""

    phones: Phones
    number: int
    caller: str
    customer: Phone
    agent: Phone | None = None
    rang: float | None = None  # when the agent's phone was called
    statuses: list[int] = field(default_factory=list)  # what the customer's INVITE came to
    retry_after: list[str] = field(default_factory=list)

    @property
    def talking(self) -> bool:
        """Each has heard the other."""
        return self.agent is not None and bool(self.customer.heard) and bool(self.agent.heard)

    @property
    def over(self) -> bool:
        return self.customer.gone and (self.agent is None or self.agent.gone)

    @property
    def bridged(self) -> float | None:
        """When the first of them heard the other."""
        first = [phone.heard[0].at for phone in self.both if phone.heard]
        return min(first, default=None)

    @property
    def both(self) -> list[Phone]:
        return [self.customer, *([self.agent] if self.agent else [])]

    def wait(self, look: Callable[[Call], object], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not look(self):
            assert time.monotonic() < end, f"call {self.number}: not {what} within {seconds} s"
            time.sleep(0.01)

    def wait_until_talking(self, seconds: float = 15) -> None:
        self.wait(lambda call: call.talking, seconds, "talking")

    def wait_until_over(self, seconds: float = 15) -> None:
        self.wait(lambda call: call.over, seconds, "over")

    def hang_up(self, side: int = CUSTOMER) -> None:
        self.phones.hang_up(self, side)
        self.wait_until_over()

    def hear_each_other(self, since: float, seconds: float = 10, *, direct: bool = False) -> None:
        """Wait until both get what the other sends after `since`; `direct`: from the other's own socket."""
        self.wait(lambda call: all(call.hears(phone, since, direct=direct) for phone in call.both),
                  seconds, "hearing each other" + (" directly" if direct else ""))  # fmt: skip

    def hears(self, phone: Phone, since: float, *, direct: bool) -> bool:
        other = self.agent if phone is self.customer else self.customer
        assert other is not None
        return any(
            heard.at >= since
            and other.sent[heard.number] >= since
            and (heard.source == other.address) >= direct
            for heard in phone.heard[-25:]
        )


class Phones:
    """All phones of a test. Everything that moves is behind one lock."""

    def __init__(self, customers: str, agents: str, server: Address, *, ports: tuple[int, int] = (0, 0),
                 rings: float = 0.0) -> None:  # fmt: skip
        self.server, self.rings = server, rings
        self.calls: list[Call] = []
        rng = random.Random()
        self._rng, self._lock, self._stop = rng, threading.RLock(), threading.Event()
        self._selector = selectors.DefaultSelector()
        self._agents_of: dict[str, UserAgent] = {}
        self._sides = [self._side(host, port) for host, port in zip((customers, agents), ports, strict=True)]
        self._legs: dict[tuple[int, str], tuple[Call, Phone]] = {}
        self._later: list[tuple[float, Callable[[float], None]]] = []
        self._thread = threading.Thread(target=self._run, name="phones", daemon=True)
        self._thread.start()

    def _side(self, host: str, port: int) -> tuple[UserAgent, socket.socket]:
        sock = _bound(host, port)
        self._selector.register(sock, selectors.EVENT_READ, None)
        ua = UserAgent(UserAgentSettings(user_agent="phone"), self._rng, lambda request, source: None)
        return ua, sock

    def address(self, side: int) -> Address:
        return Address(*self._sides[side][1].getsockname())

    # ---------------------------------------------------------------- what a test does

    def call(self, called: str) -> Call:
        """A customer calls."""
        with self._locked() as now:
            caller = f"06{self._rng.randrange(10**8):08d}"
            call = Call(self, len(self.calls) + 1, caller, self._phone(CUSTOMER))
            self.calls.append(call)
            phone = call.customer
            self._watch(call, phone)
            phone.leg = f"customer-{call.number}"
            self._legs[CUSTOMER, phone.leg] = (call, phone)
            ua, local = self._sides[CUSTOMER][0], self.address(CUSTOMER)
            there = f"sip:{called}@{self.server.host}:{self.server.port}"
            ua.invite(phone.leg, there, to=f"<{there}>", from_=f'"Jan Jansen" <sip:{caller}@{local.host}>',
                      headers=[SDP], body=phone.sdp(), destination=self.server, local=local, now=now)  # fmt: skip
        return call

    def hang_up(self, call: Call, side: int) -> None:
        with self._locked() as now:
            phone = call.both[side]
            phone.gone = True
            ua = self._sides[side][0]
            (ua.bye if phone.up else ua.cancel)(phone.leg, now=now)

    def say(self, data: bytes, side: int = CUSTOMER) -> None:
        """Anything at all to the server's SIP port, from this side's socket."""
        self._sides[side][1].sendto(data, self.server[:2])

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def __enter__(self) -> Phones:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------- the thread

    @contextmanager
    def _locked(self) -> Iterator[float]:
        with self._lock:
            yield time.monotonic()
            self._exchange(time.monotonic())

    def _run(self) -> None:
        tick = time.monotonic()
        while not self._stop.is_set():
            with self._lock:
                keys = self._selector.select(0)
                for key, _ in keys:
                    self._receive(key.fileobj, key.data)  # type: ignore[arg-type]
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._later.pop(0)[1](now)
                for ua, _ in self._sides:
                    ua.advance(now)
                if now >= tick:
                    self._talk()
                    tick += PACE
                self._exchange(now)
            time.sleep(0 if keys else 0.002)

    def _receive(self, sock: socket.socket, owner: tuple[Call, Phone] | None) -> None:
        try:
            data, source = sock.recvfrom(65535)
        except OSError:
            return
        now = time.monotonic()
        if owner is not None:
            for _, side, number in rtp.tags(data[12:]):
                if side != owner[1].side:
                    owner[1].heard.append(Heard(now, number, Address(*source)))
            return
        for ua, own in self._sides:
            if own is sock:
                ua.receive(data, Address(*source), Address(*own.getsockname()), now)

    def _talk(self) -> None:
        for call in self.calls:
            for phone in call.both:
                if phone.up is not None and not phone.gone and phone.target:
                    number = len(phone.sent)
                    body = rtp.payload(call.number, phone.side, number)
                    phone.sent.append(time.monotonic())
                    phone.socket.sendto(rtp.packet(phone.ssrc, number, body), phone.target)

    def _exchange(self, now: float) -> None:
        for side, (ua, sock) in enumerate(self._sides):
            for event in ua.take_events():
                self._on(side, ua, event, now)
            for datagram in ua.take_datagrams():
                sock.sendto(datagram.data, datagram.destination[:2])

    # ---------------------------------------------------------------- what happens to a phone

    def _on(self, side: int, ua: UserAgent, event: sip.UaEvent, now: float) -> None:
        if isinstance(event, sip.CallOffered):
            self._ring(ua, event, now)
            return
        if (side, event.leg) not in self._legs:
            return
        call, phone = self._legs[side, event.leg]
        match event:
            case sip.Answered():
                call.statuses.append(200)
                phone.learn(event.response.body)
                phone.up = now
                if phone.gone:
                    ua.bye(phone.leg, now=now)
            case sip.Rejected():
                call.statuses.append(event.status)
                if event.response is not None:
                    call.retry_after += event.response.all("Retry-After")
                phone.gone = True
            case sip.Acknowledged() if phone.up is None:
                phone.up = now
            case sip.OfferReceived():
                phone.reoffers += 1
                phone.learn(event.request.body)
                ua.answer_offer(phone.leg, phone.sdp(), headers=[SDP], now=now)
            case sip.Cancelled() | sip.Ended():
                phone.gone = True
            case _:
                pass

    def _ring(self, ua: UserAgent, event: sip.CallOffered, now: float) -> None:
        call = self._called(event.request)
        if call is None:
            ua.reject(event.leg, 486, now=now)
            return
        phone = call.agent = self._phone(AGENT)
        call.rang = now
        phone.leg = event.leg
        self._legs[AGENT, event.leg] = (call, phone)
        self._watch(call, phone)
        phone.learn(event.request.body)
        ua.provisional(event.leg, 180, now=now)
        answer = lambda at: ua.answer(event.leg, phone.sdp(), headers=[SDP], now=at)  # noqa: E731
        self._later.append((now + self.rings, answer))
        self._later.sort(key=lambda due: due[0])

    def _called(self, request: Request) -> Call | None:
        caller = NameAddr.parse(request.get("From") or "").uri.number
        return next((call for call in self.calls if call.caller == caller), None)

    def _phone(self, side: int) -> Phone:
        host = self.address(side).host
        return Phone(side, host, _bound(host, 0), ssrc=self._rng.getrandbits(31))

    def _watch(self, call: Call, phone: Phone) -> None:
        self._selector.register(phone.socket, selectors.EVENT_READ, (call, phone))


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, port))
    return sock
