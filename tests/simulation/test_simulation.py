"""Random call histories on a bad network: every leg ends in a lawful state, and nothing is left behind.

Each town has a weather, perhaps a restart, and a number of overlapping calls in which the two users ring, answer,
refuse, give up, hold, re-offer, ask, and hang up at random moments. Its seed is printed when it fails:
`QM_SIP_SEED=... pytest tests/simulation -k one` plays it again.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from qm_sip.call.call import Call
from qm_sip.call.exchange import Exchange
from qm_sip.call.switchboard import Switchboard
from qm_sip.call.words import CountConfidential, FinishRow, ForgetCall, OpenRecording, OpenRow
from qm_sip.errors import BrokenInvariant
from qm_sip.media import protocol
from qm_sip.sip import events as sip
from qm_sip.sip.asking import Asking, Phase
from qm_sip.sip.events import Address, LegId, UaEvent
from qm_sip.sip.incoming import IncomingLeg
from qm_sip.sip.layer import TransactionLayer
from qm_sip.sip.leg import Leg
from qm_sip.sip.offering import Offering
from qm_sip.sip.outgoing import OutgoingLeg
from qm_sip.sip.sdp import Direction, offer, with_direction
from qm_sip.sip.ua import UserAgentSettings
from tests.simulation.town import LEFT, MIDDLE, RIGHT, Town, User
from tests.sip.network import Weather
from tests.support.leftovers import left_in, unlawful

DEEP = os.environ.get("QM_SIP_TEST_DEPTH") == "deep"
CALLS = 25  # in one town
TOWNS = 40_000 if DEEP else 4_000
BATCHES = 40

WEATHERS = (
    Weather(delay=0.001, jitter=0.001),
    Weather(delay=0.02, jitter=0.02),
    Weather(loss=0.05, delay=0.01, jitter=0.03),
    Weather(loss=0.2, delay=0.02, jitter=0.02),
    Weather(double=0.5, delay=0.02, jitter=0.1),
    Weather(loss=0.05, double=0.1, delay=0.01, jitter=0.8),
    Weather(loss=0.4, double=0.3, delay=0.1, jitter=1.0),
)
NUMBERS = ("3000",) * 12 + ("2000", "2100", "1900", "1900")
SDP = ("Content-Type", "application/sdp")
TALKING = ("hold", "resume", "refresh", "late offer", "info", "identity", "transfer", "nothing", "nothing")
RINGING = ("ring", "ring reliably", "early media", "another's early media")
ANSWERS = ("answer", "answer", "answer", "answer", "reject", "nothing")
TALKING_SECONDS, PATIENCE = 60.0, 30.0
LONGEST = 300.0  # longer than a phone rings (180 s) and a message is repeated (32 s)


class Restless(Town):
    """Two users who do anything at any moment."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"plan {seed}")
        super().__init__(seed, rng.choice(WEATHERS))
        self.will = rng
        self.restarted = False
        self.late: set[LegId] = set()  # legs that were called without an offer
        self.ender: dict[str, Address] = {}  # who of the two will hang up, by the caller's number
        self.number: dict[LegId, str] = {}
        self.moved: set[str] = set()  # calls that were transferred: who hangs up is not known any more
        self.orphans: list[LegId] = []  # still up, or ringing, when nobody can be at the other end
        self.unanswered: list[LegId] = []  # an offer made there was neither taken nor refused
        self._version = 0

    def play(self) -> None:
        for number in range(CALLS):
            self.later(self.will.random() * 60, lambda number=number: self._call(number))
        if self.will.random() < 0.2:
            who = self.will.choice([MIDDLE, MIDDLE, LEFT, RIGHT])
            self.later(self.will.random() * 60, lambda: self._restart(who))
        self.run()

    def _restart(self, who: Address) -> None:
        self.restarted = True
        if who == MIDDLE:
            self.restart_middle()
        else:
            self.restart(who)

    def _call(self, number: int) -> None:
        will, leg = self.will, f"out{number}"
        caller = self.users[will.choice([LEFT, LEFT, RIGHT])]
        body = None if will.random() < 0.15 else self._sdp()
        if body is None:
            self.late.add(leg)
        dialled = will.choice(NUMBERS)
        self.number[leg] = f"06{number:08}"
        self.ender[self.number[leg]] = will.choice([LEFT, RIGHT])
        caller.ua.invite(
            leg,
            f"sip:{dialled}@{MIDDLE.host}:5060",
            to=f"<sip:{dialled}@{MIDDLE.host}>",
            from_=f"<sip:{self.number[leg]}@{caller.address.host}>",
            headers=[SDP] if body else [],
            body=body,
            destination=MIDDLE,
            local=caller.address,
            now=self.now,
        )
        if will.random() < 0.2:
            self._plan(caller, leg, "cancel", will.choice([0.0, 0.1, 1.0, 4.0]))

    def _sdp(self, direction: Direction = Direction.SENDRECV) -> bytes:
        self._version += 1
        port = 10_000 + 2 * self.will.randrange(10_000)
        ours = offer(7, self._version, "127.0.7.100", port, names=("PCMA", "telephone-event"))
        return with_direction(ours, direction).to_bytes()

    def habits(self, address: Address) -> UserAgentSettings:
        """Some refresh their sessions every 45 s, some not at all; not all know reliable responses."""
        habits = random.Random(f"habits {self.seed} {address.host}")
        supported = habits.choice([("100rel", "timer"), ("100rel", "timer", "replaces"), ("timer",), ()])
        plain = UserAgentSettings(session_expires=habits.choice([0, 90, 1800]), supported=supported)
        without = tuple(method for method in plain.allow if method != "UPDATE")  # he refreshes by re-INVITE
        return plain if habits.random() < 0.7 else replace(plain, allow=without)

    # ---------------------------------------------------------------- what they do

    def react(self, user: User, event: UaEvent) -> None:
        will, leg = self.will, event.leg
        match event:
            case sip.CallOffered():
                self.number[leg] = event.request.from_.uri.number
                if will.random() < 0.8:
                    self._plan(user, leg, will.choice(RINGING), 0.3)
                self._plan(user, leg, will.choice(ANSWERS), 4)
                self.later(LONGEST, lambda: self._waited(user, leg))
            case sip.Progressed() if will.random() < 0.3:
                if event.response.body and leg in self.late:
                    user.ua.ack(leg, self._sdp(), now=self.now)
                self._plan(user, leg, will.choice(["resume", "info", "nothing"]), 2)
            case sip.Answered():
                if leg in self.late:
                    user.ua.ack(leg, self._sdp(), now=self.now)
                self._talk(user, leg)
            case sip.Acknowledged() if leg.startswith("in-"):
                self._talk(user, leg)
            case sip.OfferReceived():
                self._plan(user, leg, will.choice(["answer offer", "answer offer", "reject offer"]), 0.5)
            case sip.OfferAnswered():
                user.ua.ack(leg, self._sdp(), now=self.now)
            case sip.InDialogRequest() if will.random() < 0.9:
                user.ua.respond(leg, event.token, will.choice([200, 200, 500]), now=self.now)
            case _:
                pass

    def _talk(self, user: User, leg: LegId) -> None:
        self._plan(user, leg, self.will.choice(TALKING), 3)
        self._plan(user, leg, self.will.choice(TALKING), 6)
        if self.ender.get(self.number[leg]) == user.address:
            self._plan(user, leg, "hang up", TALKING_SECONDS)
        self.later(LONGEST, lambda: self._waited(user, leg))

    def _waited(self, user: User, leg: LegId) -> None:
        """Nobody talks or rings that long: the other has gone, and this one was not told."""
        left = user.ua._core.legs.get(leg)
        if self.users[user.address] is user and left is not None and left.phase is not Phase.OVER:
            number = self.number[
                leg
            ]  # of a leg that a transfer made it is nobody's call: nobody hangs up in it
            if number in self.ender and number not in self.moved:
                self.orphans.append(leg)
            user.ua.bye(leg, now=self.now)

    def _offer(self, user: User, leg: LegId, body: bytes | None) -> None:
        """A re-INVITE, and a look at what has become of it."""
        left, before = user.ua._core.legs.get(leg), len(user.events[leg])
        if left is None or left.phase is not Phase.UP or left.wanted is not None:
            return  # too early, too late, or in place of one that waits

        def look() -> None:
            since = user.events[leg][before:]
            answered = any(isinstance(event, sip.OfferAnswered | sip.OfferRejected) for event in since)
            if self.users[user.address] is user and left.phase is Phase.UP and not answered:
                self.unanswered.append(leg)

        user.ua.reoffer(leg, body, headers=[SDP] if body else [], now=self.now)
        self.later(LONGEST if self.weather.loss else PATIENCE, look)

    def _plan(self, user: User, leg: LegId, verb: str, within: float) -> None:
        def act() -> None:
            if self.users[user.address] is user:  # else he has been restarted meanwhile
                self._act(user, leg, verb)

        self.later(self.will.random() * within, act)

    def _act(self, user: User, leg: LegId, verb: str) -> None:
        ua, now, sdp = user.ua, self.now, self._sdp
        match verb:
            case "ring":
                ua.provisional(leg, 180, now=now)
            case "early media":
                ua.provisional(leg, 183, headers=[SDP], body=sdp(), now=now)
            case "ring reliably":
                ua.provisional(leg, 180, reliably=True, now=now)
            case "another's early media":
                ua.provisional(leg, 183, headers=[SDP], body=sdp(), anew=True, now=now)
            case "answer":
                ua.answer(leg, sdp(), headers=[SDP], now=now)
            case "reject":
                ua.reject(leg, self.will.choice([486, 480, 603, 500]), now=now)
            case "cancel":
                ua.cancel(leg, now=now)
            case "hold" | "resume":
                direction = Direction.SENDONLY if verb == "hold" else Direction.SENDRECV
                self._offer(user, leg, sdp(direction))
            case "refresh":
                ua.request(leg, "UPDATE", [SDP], sdp(), now=now)
            case "late offer":
                self._offer(user, leg, None)
            case "info":
                ua.request(
                    leg, "INFO", [("Content-Type", "application/dtmf-relay")], b"Signal=1\r\n", now=now
                )
            case "identity":
                ua.request(leg, "UPDATE", [("P-Asserted-Identity", "<sip:1002@127.0.7.1>")], now=now)
            case "transfer":
                to = self.will.choice(["3001", "1900", "2000"])
                self.moved.add(self.number[leg])
                ua.request(leg, "REFER", [("Refer-To", f"<sip:{to}@{MIDDLE.host}>")], now=now)
            case "answer offer":
                ua.answer_offer(leg, sdp(), headers=[SDP], now=now)
            case "reject offer":
                ua.reject_offer(leg, 488, now=now)
            case "hang up":
                ua.bye(leg, now=now)


# ------------------------------------------------------------------ what must hold


def faults(town: Restless) -> Iterator[str]:
    """Everything that is not as it must be when nothing happens any more."""
    agents = {"left": town.users[LEFT].ua, "right": town.users[RIGHT].ua, "middle": town.middle.ua}
    for name, ua in agents.items():
        yield from (f"{what} left at {name}" for what in left_in(ua))
    for user in town.users.values():
        for leg, happened in user.events.items():
            yield from (f"{leg}: {fault}" for fault in unlawful(leg, happened))
    yield from _left_in_the_middle(town)
    if (
        town.orphans and not town.restarted and town.weather.loss < 0.4
    ):  # else all eleven copies of a BYE can be lost
        yield f"nobody told {town.orphans} that the other had gone"
    if town.unanswered and not town.restarted:
        yield f"offers got no answer at all: {town.unanswered}"


def _left_in_the_middle(town: Restless) -> Iterator[str]:
    board, words, commands = town.middle.switchboard, town.middle.words, town.middle.commands
    for name, left in (
        ("calls", len(board.calls)),
        ("known legs", board.legs_known),
        ("services", len(board.services)),
        ("timers of calls", len(board.timers)),
    ):
        if left:
            yield f"{left} {name} left in the switchboard"
    opened = {one.call for one in commands if isinstance(one, protocol.OpenCall)}
    closed = {one.call for one in commands if isinstance(one, protocol.CloseCall)}
    if opened != closed:
        yield f"{len(opened ^ closed)} calls are still in the engine"
    rows, ends, forgotten = (
        sum(isinstance(word, kind) for word in words) for kind in (OpenRow, FinishRow, ForgetCall)
    )
    if rows != ends + forgotten:
        yield f"{rows} rows were opened, {ends} finished and {forgotten} forgotten"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_whatever_is_lost_late_doubled_or_restarted_every_call_ends_and_leaves_nothing(batch: int) -> None:
    for number in range(TOWNS // BATCHES):
        seed = batch * 1_000_003 + number
        town = Restless(seed)
        town.play()
        found = list(faults(town))
        assert not found, f"seed {seed} ({town.weather}): {found}"


def test_one_town_by_its_seed() -> None:
    town = Restless(int(os.environ.get("QM_SIP_SEED", "11")))
    town.play()
    assert not list(faults(town))


def test_the_towns_are_not_asleep() -> None:
    """Of all that can happen everything does, and often: else the histories prove nothing."""
    seen: Counter[str] = Counter()
    recordings = confidential = restarts = 0
    for seed in range(120):
        town = Restless(seed)
        town.play()
        restarts += town.restarted
        recordings += sum(isinstance(word, OpenRecording) for word in town.middle.words)
        confidential += sum(isinstance(word, CountConfidential) for word in town.middle.words)
        seen += town.middle.told
        for user in town.users.values():
            seen.update(type(event).__name__ for happened in user.events.values() for event in happened)
    assert min(recordings, confidential, restarts) >= 10
    withdrawn = {"OfferWithdrawn"}  # only after three minutes without an answer
    assert set(seen) | withdrawn == {kind.__name__ for kind in sip.UaEvent.__args__} | withdrawn, seen
    assert min(seen.values()) >= 10, seen


# ------------------------------------------------------------------ would we notice?


def _nobody(*args: object, **kwargs: object) -> None:
    """A guard that was taken out."""


GUARDS: dict[str, tuple[type, str, object]] = {
    "a 2xx is repeated until its ACK": (Leg, "_await_ack", _nobody),
    "a copy of a 2xx is acknowledged again": (Asking, "_ack_again", _nobody),
    "an INVITE nobody answers is cancelled": (Asking, "_guard", _nobody),
    "one that is cancelled in vain is given up": (OutgoingLeg, "on_guard", _nobody),
    "a CANCEL gets its 487": (IncomingLeg, "_give_up", _nobody),
    "two offers at once are told apart": (Leg, "_glare", lambda self, dialog: 0),
    "an offer that had to wait is made": (Offering, "_try_offer", _nobody),
    "a refused offer is refused across": (Exchange, "rejected", _nobody),
    "a transaction that is over is forgotten": (TransactionLayer, "forget", _nobody),
    "the callee is ended with the caller": (Call, "_end_callee", _nobody),
    "the caller is ended with the callee": (Call, "ended_by", _nobody),
    "a refusal goes back": (Call, "callee_refused", _nobody),
    "a call that is over is forgotten": (Switchboard, "over", _nobody),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_out_is_noticed(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, without = GUARDS[guard]
    monkeypatch.setattr(owner, name, without)
    for seed in range(60):
        town = Restless(seed)
        try:
            town.play()
        except (AssertionError, BrokenInvariant):
            return  # it never ended, or the program itself noticed
        if any(True for _ in faults(town)):
            return
    pytest.fail("60 towns without this guard, and nothing was noticed")
