"""An imaginary network: user agents on wires that lose, delay, double and reorder, on a clock of its own."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from qm_sip.sip.events import Address, LegGone, LegId, UaEvent
from qm_sip.sip.message import Request, Response, parse
from qm_sip.sip.ua import Prack, UserAgent, UserAgentSettings

E = TypeVar("E")

ALICE, BOB = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


@dataclass(frozen=True)
class Weather:
    """How the wire behaves."""

    loss: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0


class Network:
    """Clock, wires and the user agents on them."""

    def __init__(self, weather: Weather = Weather(), seed: int = 1) -> None:
        self.now = 0.0
        self.weather, self.rng = weather, random.Random(seed)
        self.agents: dict[Address, UserAgent] = {}
        self.raw: dict[Address, list[bytes]] = {}
        self.seen: list[tuple[float, Address, Address, bytes]] = []
        self.events: dict[LegId, list[UaEvent]] = defaultdict(list)
        self.all_events: list[tuple[Address, UaEvent]] = []
        self._flying: list[tuple[float, int, Address, Address, bytes]] = []
        self._order = count()

    def agent(self, address: Address, settings: UserAgentSettings | None = None, **kw: Any) -> UserAgent:
        admit = kw.get("admit", lambda request, source: None)
        prack = kw.get("prack", lambda source: Prack.YES)
        ua = UserAgent(settings or UserAgentSettings(), random.Random(address.host), admit, prack)
        self.agents[address] = ua
        return ua

    def peer(self, address: Address) -> list[bytes]:
        """A raw party: what is sent to it is kept in the list."""
        return self.raw.setdefault(address, [])

    def inject(self, data: bytes, source: Address, destination: Address) -> None:
        """A raw party sends, without weather."""
        self.agents[destination].receive(data, source, destination, self.now)
        self.settle()

    def _launch(self, data: bytes, source: Address, destination: Address) -> None:
        self.seen.append((self.now, source, destination, data))
        copies = 2 if self.rng.random() < self.weather.double else 1
        for _ in range(copies):
            if self.rng.random() >= self.weather.loss:
                due = self.now + self.weather.delay + self.rng.random() * self.weather.jitter
                heapq.heappush(self._flying, (due, next(self._order), source, destination, data))

    def _collect(self) -> None:
        for address, ua in self.agents.items():
            for event in ua.take_events():
                self.events[event.leg].append(event)
                self.all_events.append((address, event))
                self.react(address, event)
            for data, destination, local in ua.take_datagrams():
                assert local == address
                self._launch(data, local, destination)

    def react(self, address: Address, event: UaEvent) -> None:
        """What the user does with an event: a test overrides this."""

    def settle(self) -> None:
        """Deliver all that is due at this moment."""
        while True:
            self._collect()
            if not self._flying or self._flying[0][0] > self.now:
                if any(ua._core.datagrams or ua._core.events for ua in self.agents.values()):
                    continue
                return
            _, _, source, destination, data = heapq.heappop(self._flying)
            if destination in self.agents:
                self.agents[destination].receive(data, source, destination, self.now)
            elif destination in self.raw:
                self.raw[destination].append(data)

    def next_due(self) -> float | None:
        times = [t for ua in self.agents.values() if (t := ua.next_timer()) is not None]
        times += [self._flying[0][0]] if self._flying else []
        return min(times, default=None)

    def run(self, until: float) -> None:
        """Let time pass."""
        self.settle()
        while (due := self.next_due()) is not None and due <= until:
            self.now = max(self.now, due)
            for ua in self.agents.values():
                ua.advance(self.now)
            self.settle()
        self.now = until

    def drain(self, limit: float = 2000.0) -> None:
        """Let time pass until nothing happens any more."""
        self.settle()
        while (due := self.next_due()) is not None:
            assert due < limit, "something never ends"
            self.run(due)

    def of(self, kind: type[E], leg: LegId | None = None) -> list[E]:
        """The events of one kind, of one leg or of all."""
        found = [e for _, e in self.all_events if isinstance(e, kind)]
        return [e for e in found if leg is None or e.leg == leg]  # type: ignore[attr-defined]

    def kinds(self, leg: LegId) -> list[str]:
        return [type(e).__name__ for e in self.events[leg]]

    def sent(self, source: Address, what: str) -> list[Request | Response]:
        """What `source` has sent: `INVITE` (requests of that method) or `180` (responses of that status)."""
        found = []
        for _, origin, _, data in self.seen:
            if origin == source:
                message = parse(data)
                word = message.method if isinstance(message, Request) else str(message.status)
                if word == what:
                    found.append(message)
        return found

    def times(self, source: Address, what: str) -> list[float]:
        """When."""
        found = []
        for at, origin, _, data in self.seen:
            if origin == source:
                message = parse(data)
                word = message.method if isinstance(message, Request) else str(message.status)
                if word == what:
                    found.append(round(at, 3))
        return found

    def gone(self, leg: LegId) -> bool:
        """Whether the leg has ended as every leg must: LegGone, once, last."""
        events = self.events[leg]
        return isinstance(events[-1], LegGone) and sum(isinstance(e, LegGone) for e in events) == 1

    def call(self, leg: LegId = "a", body: bytes | None = SDP, **kw: Any) -> None:
        """Alice calls Bob."""
        self.agents[ALICE].invite(
            leg,
            "sip:bob@192.0.2.2",
            to="<sip:bob@192.0.2.2>",
            from_="<sip:alice@192.0.2.1>",
            body=body,
            destination=BOB,
            local=ALICE,
            now=self.now,
            **kw,
        )
        self.settle()


def request(
    method: str = "INVITE",
    *,
    uri: str = "sip:bob@192.0.2.2",
    branch: str = "z9hG4bK-1",
    from_tag: str = "f1",
    to_tag: str = "",
    call_id: str = "c1",
    cseq: int = 1,
    body: bytes = b"",
    extra: tuple[str, ...] = (),
    via: str = "",
    cseq_method: str = "",
) -> bytes:
    """A request of a raw peer at ALICE."""
    to = "<sip:bob@192.0.2.2>" + (f";tag={to_tag}" if to_tag else "")
    lines = [
        f"{method} {uri} SIP/2.0",
        via or f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}",
        "Max-Forwards: 70" if not any(e.startswith("Max-Forwards") for e in extra) else "",
        f"From: <sip:alice@192.0.2.1>;tag={from_tag}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {cseq_method or method}",
        "Contact: <sip:alice@192.0.2.1:5060>",
        *extra,
        "Content-Type: application/sdp" if body else "",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([line for line in lines if line] + ["", ""]).encode() + body


def answer_to(
    data: bytes,
    status: int,
    *,
    tag: str = "b1",
    body: bytes = b"",
    extra: tuple[str, ...] = (),
    contact: str = "",
) -> bytes:
    """A response of a raw peer at BOB to a request it got."""
    got = parse(data)
    lines = [f"SIP/2.0 {status} X", *[f"Via: {v}" for v in got.all("via")], f"From: {got.get('from')}"]
    to = got.get("to") or ""
    lines += [f"To: {to}" + (f";tag={tag}" if tag and "tag=" not in to else ""), f"Call-ID: {got.call_id}"]
    lines += [f"CSeq: {got.get('cseq')}", f"Contact: {contact or '<sip:bob@192.0.2.2:5060>'}", *extra]
    lines += ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
