"""A user agent alone, between a peer that says anything and a user who does anything: `agent` of `targets.py`.

Afterwards the user hangs up everything and time passes: whatever was said, every leg has ended as a leg must, and
nothing of it is left.
"""

from __future__ import annotations

import random
from collections import defaultdict
from ipaddress import ip_address
from typing import Final

from qm_sip.sip import events as ev
from qm_sip.sip.events import Address, LegId, UaEvent
from qm_sip.sip.message import MAX_BYTES
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.support.leftovers import left_in, unlawful
from tests.torture.script import MOST_SECONDS, Mailbox, Step, lines, seconds_of, steps

US = Address("192.0.2.9", 5060)
PEER, STRANGER = Address("192.0.2.1", 5060), Address("192.0.2.77", 5060)
SDP: Final = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\n"
)
MOST_ANSWERS: Final = 4
"""Messages that one message may bring forth: 200 to a CANCEL, 487, and what had to wait for it."""
_TURNS: Final = 3_000


class Agent:
    """One play."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ua = UserAgent(UserAgentSettings(), random.Random(1), lambda request, source: None)
        self.box = Mailbox()
        self.events: dict[LegId, list[UaEvent]] = defaultdict(list)
        self.calls = 0

    def play(self, data: bytes) -> None:
        for step in steps(data):
            self._one(step)
            self._settle()
        self._end()

    def _one(self, step: Step) -> None:
        match step.verb:
            case "<" | ">":
                self._hear(lines(self.box.fill(step.text)), PEER if step.verb == "<" else STRANGER)
            case "=" | "-":
                answer = self.box.answer(step.text)
                if answer is not None:
                    self._hear(answer, PEER)
            case "~":
                self._wait(seconds_of(step.text))
            case "!":
                self._user(step.text[:1].decode("latin-1"))

    def _hear(self, data: bytes, source: Address) -> None:
        self.ua.receive(data, source, US, self.now)
        sent = len(self.ua._core.datagrams)
        assert sent <= MOST_ANSWERS, f"{sent} messages for one"

    def _wait(self, seconds: float | None) -> None:
        due = self.ua.next_timer()
        until = self.now + seconds if seconds is not None else due
        if until is None or until > MOST_SECONDS:
            return
        while due is not None and due <= until:
            self.now = max(self.now, due)
            self.ua.advance(self.now)
            self._settle()
            due = self.ua.next_timer()
        self.now = max(self.now, until)

    def _settle(self) -> None:
        for event in self.ua.take_events():
            self.events[event.leg].append(event)
        for data, destination, local in self.ua.take_datagrams():
            assert local == US and len(data) <= MAX_BYTES
            ip_address(destination.host)  # a name would be looked up by the socket
            assert 0 <= destination.port < 65_536  # 0, which a Via may name, is refused by the socket
            self.box.take(data)

    def _user(self, verb: str) -> None:
        """What our own user does with the newest leg."""
        ua, now, leg = self.ua, self.now, next(reversed(self.events), "")
        incoming = leg.startswith("in-")
        if verb in "iI":
            self._call(SDP if verb == "i" else None)
        elif verb == "a" and incoming:
            ua.answer(leg, SDP, now=now)
        elif verb == "p" and incoming:
            ua.provisional(leg, 180, now=now)
        elif verb == "P" and incoming:
            ua.provisional(leg, 183, body=SDP, reliably=True, now=now)
        elif verb == "N" and incoming:
            ua.provisional(leg, 183, body=SDP, anew=True, now=now)
        elif verb == "r" and incoming:
            ua.reject(leg, 486, now=now)
        elif verb == "c" and leg and not incoming:
            ua.cancel(leg, now=now)
        elif leg:
            self._in_dialog(verb, leg)

    def _in_dialog(self, verb: str, leg: LegId) -> None:
        ua, now = self.ua, self.now
        match verb:
            case "b":
                ua.bye(leg, now=now)
            case "o":
                ua.reoffer(leg, SDP, now=now)
            case "l":
                ua.reoffer(leg, None, now=now)
            case "k":
                ua.answer_offer(leg, SDP, now=now)
            case "x":
                ua.reject_offer(leg, 488, now=now)
            case "K":
                ua.ack(leg, SDP, now=now)
            case "q":
                ua.request(leg, "INFO", [("Content-Type", "text/plain")], b"x", now=now)
            case "s":
                for event in self.events[leg]:
                    if isinstance(event, ev.InDialogRequest):
                        ua.respond(leg, event.token, 200, now=now)

    def _call(self, body: bytes | None) -> None:
        self.calls += 1
        leg = f"out{self.calls}"
        self.events[leg] = self.events.pop(leg, [])
        self.ua.invite(
            leg,
            "sip:b@192.0.2.1",
            to="<sip:b@192.0.2.1>",
            from_="<sip:a@192.0.2.9>",
            body=body,
            destination=PEER,
            local=US,
            now=self.now,
        )

    def _end(self) -> None:
        for leg in self.events:
            self.ua.bye(leg, now=self.now)
        self._settle()
        for _ in range(_TURNS):
            due = self.ua.next_timer()
            if due is None:
                break
            self.now = max(self.now, due)
            self.ua.advance(self.now)
            self._settle()
        assert not list(left_in(self.ua)), list(left_in(self.ua))
        for leg, happened in self.events.items():
            assert not list(unlawful(leg, happened)), list(unlawful(leg, happened))


def play_agent(data: bytes) -> None:
    """A script, and then the end of everything."""
    Agent().play(data)
