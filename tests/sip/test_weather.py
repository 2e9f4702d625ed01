"""Two user agents over a bad network: whatever is lost, doubled or late, every leg ends lawfully."""

from __future__ import annotations

import random

import pytest

from qm_sip.sip import events as ev
from qm_sip.sip.events import Address, UaEvent
from qm_sip.sip.message import Request, parse
from qm_sip.sip.ua import Prack, UserAgentSettings
from tests.sip.network import ALICE, BOB, SDP, Network, Weather

WEATHERS = {
    "fair": Weather(delay=0.01, jitter=0.01),
    "lossy": Weather(loss=0.2, delay=0.02, jitter=0.02),
    "doubling": Weather(double=0.5, delay=0.02, jitter=0.1),
    "reordering": Weather(loss=0.05, double=0.1, delay=0.01, jitter=0.8),
    "awful": Weather(loss=0.4, double=0.3, delay=0.1, jitter=1.0),
    "dead": Weather(loss=0.9, delay=0.1, jitter=1.0),
}
EARLY = ["ring reliably", "describe", "describe", "describe anew", "reoffer", "info", "nothing"]


class Restless(Network):
    """Two users who ring, answer, refuse, cancel, offer early and late, ask, refresh and hang up at random moments."""

    def __init__(self, weather: Weather, seed: int, *, busy: bool = False) -> None:
        super().__init__(weather, seed)
        self.will = random.Random(seed + 1)
        self.plans: list[tuple[float, Address, str, str]] = []
        for at in (ALICE, BOB):
            prack = self.will.choice(list(Prack)) if busy else Prack.YES
            self.agent(at, self._settings() if busy else None, prack=lambda source, how=prack: how)
        self.busy = busy

    def _settings(self) -> UserAgentSettings:
        """Intervals so short that a call is refreshed several times, or dies of it."""
        allow = UserAgentSettings().allow
        if self.will.random() < 0.6:
            allow = tuple(method for method in allow if method != "UPDATE")
        return UserAgentSettings(session_expires=self.will.choice([0, 6, 9]), min_se=3, allow=allow)

    def plan(self, address: Address, leg: str, verb: str, within: float) -> None:
        self.plans.append((self.now + self.will.random() * within, address, leg, verb))

    def react(self, address: Address, event: UaEvent) -> None:
        ua, leg = self.agents[address], event.leg
        if isinstance(event, ev.CallOffered):
            self.plan(address, leg, "ring", 0.2)
            for _ in range(3 if self.busy else 0):
                self.plan(address, leg, self.will.choice(EARLY), 4)
            self.plan(address, leg, self.will.choice(["answer", "answer", "answer", "reject"]), 5)
        elif isinstance(event, (ev.Answered, ev.Acknowledged)):
            if isinstance(event, ev.Answered) and event.response.body and self.late:
                ua.ack(leg, SDP, now=self.now)
            self.plan(address, leg, self.will.choice(["reoffer", "late reoffer", "info", "nothing"]), 3)
            self.plan(address, leg, "bye", 20)
        elif isinstance(event, ev.OfferReceived):
            self.plan(address, leg, self.will.choice(["answer offer", "answer offer", "reject offer"]), 1)
        elif isinstance(event, ev.OfferAnswered):
            ua.ack(leg, SDP, now=self.now)
        elif isinstance(event, ev.Progressed) and self.busy:
            if event.response.body and self.late and self.will.random() < 0.8:
                ua.ack(leg, SDP, now=self.now)
            self.plan(address, leg, self.will.choice(["reoffer", "info", "nothing"]), 2)
        elif isinstance(event, ev.InDialogRequest) and self.will.random() < 0.8:
            ua.respond(leg, event.token, 200, now=self.now)

    late = False

    def act(self, address: Address, leg: str, verb: str) -> None:
        ua, now = self.agents[address], self.now
        {
            "ring": lambda: ua.provisional(leg, 180, now=now),
            "ring reliably": lambda: ua.provisional(leg, 180, reliably=True, now=now),
            "describe": lambda: ua.provisional(leg, 183, body=SDP, now=now),
            "describe anew": lambda: ua.provisional(leg, 183, body=SDP, anew=True, now=now),
            "answer": lambda: ua.answer(leg, SDP, now=now),
            "reject": lambda: ua.reject(leg, 486, now=now),
            "cancel": lambda: ua.cancel(leg, now=now),
            "reoffer": lambda: ua.reoffer(leg, SDP, now=now),
            "late reoffer": lambda: ua.reoffer(leg, None, now=now),
            "answer offer": lambda: ua.answer_offer(leg, SDP, now=now),
            "reject offer": lambda: ua.reject_offer(leg, 488, now=now),
            "info": lambda: ua.request(leg, "INFO", [("Content-Type", "x/y")], b"x", now=now),
            "bye": lambda: ua.bye(leg, now=now),
            "nothing": lambda: None,
        }[verb]()

    def live(self) -> None:
        """Time passes, plans are carried out, until nothing is left."""
        while True:
            self.settle()
            due = self.next_due()
            first = min((p[0] for p in self.plans), default=None)
            if due is None and first is None:
                return
            assert self.now < 3000, "something never ends"
            if first is not None and (due is None or first <= due):
                plan = min(self.plans)
                self.plans.remove(plan)
                self.run(max(plan[0], self.now))
                self.act(*plan[1:])
            else:
                assert due is not None
                self.run(due)


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("busy", [False, True])
def test_every_leg_ends_lawfully(weather: str, seed: int, busy: bool) -> None:
    net = Restless(WEATHERS[weather], seed, busy=busy)
    net.late = bool(seed % 2)
    for number in range(6):
        net.run(net.now + net.will.random() * 3)
        net.call(f"a{number}", body=None if net.late else SDP)
        if net.will.random() < 0.25:
            net.plan(ALICE, f"a{number}", "cancel", 4)
    net.live()
    assert [leg for leg in net.events if not net.gone(leg)] == []
    for ua in net.agents.values():
        core = ua._core
        assert not core.legs and not core.dialogs and not core.layer.clients and not core.layer.servers
        assert not core.layer._merges and not core.layer._towards
        assert len(core.timers) == 0
    for leg in net.events:
        assert_lawful(net, leg)


def assert_lawful(net: Network, leg: str) -> None:
    """One beginning, one end, nothing impossible between."""
    kinds = net.kinds(leg)
    if leg.startswith("a"):
        assert kinds.count("Answered") + kinds.count("Rejected") == 1
        if "Rejected" in kinds:
            assert "Ended" not in kinds
    else:
        assert kinds[0] == "CallOffered"
        if "Cancelled" in kinds:
            assert "Acknowledged" not in kinds
    assert kinds.count("Ended") <= 1


def test_the_restless_do_all_of_it() -> None:
    """Else the test above would prove nothing of it."""
    seen: set[str] = set()
    for seed in range(20):
        net = Restless(WEATHERS["doubling"], seed, busy=True)
        net.late = bool(seed % 2)
        for number in range(6):
            net.run(net.now + 1)
            net.call(f"a{number}", body=None if net.late else SDP)
        net.live()
        seen |= {f"{type(e).__name__} {getattr(e, 'reason', '')}".strip() for _, e in net.all_events}
        for _, _, _, data in net.seen:
            message = parse(data)
            early = isinstance(message, Request) and message.method in ("PRACK", "UPDATE")
            seen |= {f"{message.method} {bool(message.body)}"} if early else set()  # type: ignore[union-attr]
            seen |= {"reliable"} if message.get("rseq") else set()
    wanted = {"EarlyAnswer", "Refreshed", "Ended expired", "reliable", "PRACK False", "PRACK True"}
    assert seen >= wanted | {"UPDATE False", "UPDATE True"}


def test_in_fair_weather_every_answer_is_acknowledged_and_nothing_times_out() -> None:
    net = Restless(WEATHERS["fair"], 7)
    for number in range(20):
        net.run(net.now + 1)
        net.call(f"a{number}")
    net.live()
    answered = [leg for leg in net.events if "Answered" in net.kinds(leg)]
    acknowledged = [leg for leg in net.events if leg.startswith("in-") and "Acknowledged" in net.kinds(leg)]
    assert len(answered) == len(acknowledged) > 5
    assert not [e for e in net.of(ev.Ended) if e.reason != "bye"]
    assert not [e for e in net.of(ev.Rejected) if e.status == 408]
