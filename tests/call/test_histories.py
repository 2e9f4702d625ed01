"""Random call histories against the invariants: whoever calls, whatever happens, in whatever order.

One history is one call in the simulated world with random lines, delays, loss, hang-ups, holds, transfers, a failing
catalog, a dying engine. What must hold afterwards is the same for all of them. A seed that fails prints itself.
"""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from qm_sip.announce.receipts import Receipts
from qm_sip.call.arrival import Arrival, Intent
from qm_sip.call.book import Book
from qm_sip.call.call import Call
from qm_sip.call.exchange import Exchange
from qm_sip.call.keypad import Keypad
from qm_sip.call.listening import Listening
from qm_sip.call.objection import Objections
from qm_sip.call.pausing import Pausing
from qm_sip.call.private import PrivateCall
from qm_sip.call.recording import Recording
from qm_sip.call.spans import add_up
from qm_sip.call.transfer import Transfers
from qm_sip.call.who import Who
from qm_sip.call.words import (
    CloseSession,
    CountConfidential,
    DestroyRecording,
    DropRecording,
    FinishRow,
    ForgetCall,
    NoteObjection,
    NotePrivate,
    NoteSession,
    NoteTold,
    OpenRecording,
    OpenRow,
    OpenSession,
)
from qm_sip.errors import BrokenInvariant
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.monitor.session import Session
from qm_sip.policy.facts import CallFacts, Decision, Outcome, PersonId, SpanState, Use
from qm_sip.privateline.presets import PresetMode
from qm_sip.sip.dialog import DialogId
from qm_sip.sip.sdp import Direction
from tests.call import (
    test_beforehand,
    test_listening,
    test_objection,
    test_pausing,
    test_private,
    test_transfer,
)
from tests.call import test_journeys as journeys
from tests.call.world import SDP, Phone, World, named, settings
from tests.media.helpers import open_journal

DEEP = os.environ.get("QM_SIP_TEST_DEPTH") == "deep"
HISTORIES = 60_000 if DEEP else 6_000
BATCHES = 40

LINES = {  # number, line, caller: what the call is
    "sales": ("1001", "sales", "0612345678"),
    "support": ("1002", "support", "0612345678"),
    "outbound": ("0201234567", "outbound", "1001"),
    "colleague": ("1003", "", "1001"),
    "unlisted": ("2222", "", "0612345678"),
    "council": ("1900", "sales", "0612345678"),
    "from-council": ("1001", "sales", "1900"),
    "emergency": ("112", "outbound", "1001"),
    "unknown-agent": ("1777", "sales", "0612345678"),
}
MORE = ("keys", "keys", "listen", "preset", "direct-refused")
MOVES = ("refer", "refer", "consult", "attended", "take-over")  # in calls that something is written of
MOVED = ("sales", "support", "outbound", "colleague", "unlisted", "unknown-agent")
KEYS = ("*1", "*1", "*8", "9", "*9", "*2", "8", "*8", "*", "5*1", "**9", "123")
DAY = timedelta(days=1)
RECORDABLE = {"sales", "support", "outbound"}
IDENTITIES = ["1001", "1002", "1003", "1900", "0687654321", "1777"]


class History:
    """One random call."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.early = random.Random(f"early {seed}")  # what happens before the answer
        self.kind = self.rng.choice([*LINES, *sorted(RECORDABLE)])  # a set has another order in each process
        loss, refer = self.rng.choice([0.0, 0.0, 0.0, 0.05, 0.2]), self.rng.choice(["here", "here", "pass"])
        self.world = World(seed, loss=loss, refer=refer)
        self.nothing_after: float | None = None  # a party came who must not be kept, or has not been told
        self.supervisor: Phone | None = None
        self.second: Phone | None = None  # the agent's other call
        self.took: list[
            tuple[Phone, float, str]
        ] = []  # who called to take a place, and nothing of that call after it
        self.numbers: dict[int, set[str]] = {}  # by what each phone is known, by its SSRC

    def play(self) -> None:
        world, rng = self.world, self.rng
        world.keeper.fails = rng.random() < 0.05
        world.on_ringing = self._ring
        number, line, caller = LINES[self.kind]
        self._known(
            world.dial(number, line=line, caller=caller, body=None if rng.random() < 0.1 else b""), caller
        )
        for _ in range(rng.randrange(1, 7)):
            world.run(rng.choice([0.02, 0.1, 0.3, 0.7, 1.5]))
            self._something()
        world.run(rng.choice([0.02, 0.5, 1.0]))
        first = [phone for phone in (world.caller, world.agent, self.supervisor) if phone is not None]
        for phone in (*first, *world.phones):
            if not phone.gone and (phone.up or phone.leg.startswith("out")):
                world.hang_up(phone)
                world.run(rng.choice([0.0, 0.02, 0.3]))
        world.run(0.3)
        world.settle()

    def _ring(self, phone: Phone) -> None:
        world, rng = self.world, self.rng
        number = world.offered[-1].target.number
        phone.reports = rng.choice([(), (100, 200), (100, 486)])
        if number == "1900" and self.kind in MOVED:
            self.nothing_after = self.nothing_after or (world.now if self.second is None else None)
        self._known(phone, number)
        if rng.random() < 0.7:
            world.pbx.provisional(phone.leg, rng.choice([180, 183]), now=world.now)
        for end in range(self.early.choice([0, 0, 0, 1, 2])):  # early media, of one phone or of two
            body = phone.sdp()
            world.pbx.provisional(phone.leg, 183, headers=[SDP], body=body, anew=end > 0, now=world.now)
        for who in (world.caller, phone):
            if self.early.random() < 0.15:
                world.later(self.early.choice([0.02, 0.05, 0.3]), functools.partial(self._offer_early, who))
        if rng.random() < 0.1:
            world.pbx.reject(phone.leg, rng.choice([486, 480, 603, 500]), now=world.now)
        elif rng.random() < 0.9:
            identity = rng.choice(["", "1001", "1001", "1002"])
            self._known(phone, identity)
            delay = rng.choice([0.0, 0.05, 0.4, 1.0])
            world.later(delay, lambda: None if phone.gone or phone.up else world.answer(phone, identity))

    def _offer_early(self, phone: Phone) -> None:
        """An UPDATE with an offer, if nobody has picked up yet."""
        if not phone.up and not phone.gone:
            body = phone.sdp(self.early.choice(list(Direction)))
            self.world.pbx.reoffer(phone.leg, body, headers=[SDP], now=self.world.now)

    def _something(self) -> None:
        world, rng = self.world, self.rng
        phones = [phone for phone in (world.caller, world.agent) if phone and phone.up and not phone.gone]
        what = rng.choice(
            ["nothing", "hold", "resume", "refresh", "becomes", "hang-up", "engine", "stall", *MORE, *MORE]
            + [*MOVES, *MOVES] * (self.kind in MOVED)
        )
        if what == "engine" and rng.random() < 0.3 and not world.engine.dead:
            world.engine.dead = True
            world.switchboard.engine_died(world.now)
        elif what == "stall" and rng.random() < 0.3:
            world.leases = not world.leases
        elif what == "hang-up" and rng.random() < 0.4:
            world.hang_up(rng.choice([world.caller, *phones]))
        elif what == "preset" and rng.random() < 0.3:
            world.features.presets.set(
                PersonId("a1"), None, PresetMode.NEXT_CALL, world.switchboard.wall() + DAY
            )
        elif what == "listen" and self.supervisor is None and not world.engine.dead:
            self.supervisor = world.dial("*55", caller="1050", aside=True)
            world.later(0.6, lambda: world.press(self.supervisor, "1001#1246813"))
        elif what == "keys" and phones:
            world.press(rng.choice(phones), rng.choice(KEYS))
        elif what == "direct-refused" and phones:
            world.refuses_offers.add(rng.choice(phones).leg)
        elif what in MOVES and phones:
            self._move(what)
        elif phones and what not in MORE:
            self._signal(what, rng.choice(phones))

    @property
    def customer(self) -> Phone | None:
        """Whoever the call began with who is not ours."""
        called = [phone for phone in self.world.phones if phone.leg.startswith("in-")]
        return (called[0] if called else None) if self.kind == "outbound" else self.world.caller

    def _known(self, phone: Phone, number: str) -> None:
        self.numbers.setdefault(phone.session & 0xFFFF, set()).add(number)

    def _move(self, what: str) -> None:
        """Transfers by whoever is not the customer, and those who take somebody's place."""
        world, rng = self.world, self.rng
        ours = [p for p in world.phones if p.up and not p.gone and p not in (self.customer, self.supervisor)]
        number = rng.choice(IDENTITIES)
        if what == "take-over":
            self._take_over(rng.choice([*ours, self.customer]), number)
        elif what == "consult" and self.second is None and ours:
            self.second = world.dial(number, caller="1001", aside=True)
            self._known(self.second, "1001")
        elif what == "attended" and self.second is not None and self.second in ours:
            asking = [phone for phone in ours if phone is not self.second]
            if asking:
                self._refer(*rng.choice([(asking[0], number, self.second), (self.second, number, asking[0])]))
        elif what == "refer" and ours:
            self._refer(rng.choice(ours), number, None)

    def _refer(self, phone: Phone, number: str, second: Phone | None) -> None:
        """Whoever transfers says nothing more: an engine that is older than that would take him for his successor."""
        phone.sends = False
        self.world.refer(phone, number, second)

    def _take_over(self, phone: Phone | None, number: str) -> None:
        world = self.world
        if phone is None or world.pbx.dialog(phone.leg) is None:
            return
        taken = self._call_of(phone)
        newcomer = world.dial("2222", caller=number, more=[("Replaces", named(world.pbx, phone))], aside=True)
        self._known(newcomer, number)
        phone.sends = False
        if number == "1900" or phone is self.customer:
            self.took.append((newcomer, world.now, taken))

    def _call_of(self, phone: Phone) -> str:
        """The call that a phone is in. An agent may be in two, and what happens in one says nothing of the other."""
        dialog = self.world.pbx.dialog(phone.leg)
        assert dialog is not None
        theirs = DialogId(dialog.call_id, dialog.remote_tag, dialog.local_tag)
        found = self.world.switchboard.call_of(theirs)
        return found[0].id if found else ""  # "": of every call

    def _signal(self, what: str, phone: Phone) -> None:
        world, rng = self.world, self.rng
        if what == "hold":
            world.hold(phone, rng.choice([Direction.SENDONLY, Direction.INACTIVE]))
        elif what in ("resume", "refresh"):
            world.hold(phone, Direction.SENDRECV)
        elif what == "becomes":
            identity = rng.choice(IDENTITIES)
            customers = (phone is world.caller) == (self.kind != "outbound")
            if identity == "1900" or (customers and self.kind in RECORDABLE and self.kind != "outbound"):
                self.nothing_after = self.nothing_after or world.now
            world.becomes(phone, identity)


# ------------------------------------------------------------------ what must hold


def faults(history: History) -> Iterator[str]:
    """Everything that went against an invariant in this history."""
    yield from _left_over(history.world)
    yield from _the_book(history)
    yield from _what_was_kept(history)
    yield from _what_keys_promise(history.world)


def _left_over(world: World) -> Iterator[str]:
    """Both legs end in a lawful state and nothing leaks."""
    if (world.ua.legs, world.pbx.legs) != (0, 0):
        yield f"legs left: {world.ua.legs} here, {world.pbx.legs} at the PBX"
    if world.switchboard.calls:
        yield f"a call is still {next(iter(world.switchboard)).state}"
    if world.switchboard.legs_known:
        yield "the switchboard remembers a leg that is gone"
    over: set[str] = set()
    for command in world.engine.commands:
        if isinstance(command, protocol.CloseCall):
            over.add(command.call)
        elif isinstance(command, protocol.Play) and command.call in over:
            yield "something is said into a call that is closed"
    opened = {command.call for command in world.engine.asked(protocol.OpenCall)}
    closed = {command.call for command in world.engine.asked(protocol.CloseCall)}
    if not world.engine.dead and opened != closed:
        yield "the engine was not told that a call is over"


def _what_keys_promise(world: World) -> Iterator[str]:
    """I5, WP-26, I10: private is for good, an objection leaves nothing, nobody listens to whom was not told."""
    words, commands = world.keeper.words, world.engine.commands
    alive = not world.engine.dead
    for private in world.keeper.said(NotePrivate)[:1]:
        row = next((word for word in world.keeper.said(FinishRow) if word.call == private.call), None)
        since = row.started + private.since_ms / 1000 if row else world.now
        kept = journeys.kept(world, private.call)
        late = [at for _, at in kept if at > since - private.cut_ms / 1000 + 0.001]
        if late and alive:
            yield f"{len(late)} packets of a private call are kept, the last at {max(late):.3f}, since {since:.3f}"
        if row and row.spans[-1].state not in (SpanState.PRIVATE, SpanState.OBJECTED):
            yield f"a private call ends as {row.spans[-1].state}"
    objected = [word for word in world.keeper.said(NoteObjection) if Use.RECORD in word.uses]
    if objected:
        entered = {word.recording for word in world.keeper.said(OpenRecording)}
        dropped = {word.recording for word in world.keeper.said(DropRecording)}
        destroyed = {word.recording for word in world.keeper.said(DestroyRecording)}
        if entered - dropped - destroyed:
            yield "a recording outlived the customer's objection"
        at = words.index(objected[0])
        if any(isinstance(word, OpenRecording) for word in words[at:]):
            yield "a recording was begun after the customer had objected"
        confirmed = [play for play in world.engine.asked(protocol.Play) if play.prompt in CONFIRMS()]
        if world.keeper.fails and destroyed and confirmed:
            yield "the customer was told that it is erased, and it is not"
    for tap in world.engine.asked(protocol.OpenTap):
        if tap.use == "listen" and not any(
            isinstance(play, protocol.Play) and play.for_tap == tap.tap
            for play in commands[: commands.index(tap)]
        ):
            yield "a listener's tap was asked for before the agent's notice"
    opened = [word.row.session for word in world.keeper.said(OpenSession)]
    closed = [word.session for word in world.keeper.said(CloseSession)]
    if sorted(opened) != sorted(closed):
        yield f"{len(opened)} listening sessions were opened, {len(closed)} closed"
    if world.features.room.sessions or world.switchboard.services:
        yield "a session is left"


@functools.cache
def CONFIRMS() -> frozenset[str]:
    """What says that everything is erased: K14 promises nothing of the past, K15 does."""
    library = settings().library
    found = (library.find("K15", language) for language in ("nl", "en"))
    return frozenset(prompt.digest for prompt in found if prompt)


def _the_book(history: History) -> Iterator[str]:
    """I8: one row, one outcome, spans that add up; of a confidential call a count and nothing else."""
    words = history.world.keeper.words
    rows, ends = history.world.keeper.said(OpenRow), history.world.keeper.said(FinishRow)
    if history.kind in ("council", "from-council", "emergency"):
        expected = 0 if history.kind == "emergency" else 1
        words = [word for word in words if not isinstance(word, OpenSession | NoteSession | CloseSession)]
        if len(words) != expected or not all(isinstance(word, CountConfidential) for word in words):
            yield f"of a {history.kind} call this was kept: {[type(word).__name__ for word in words]}"
        if [one for one in history.world.engine.asked(protocol.OpenCall) if one.line]:
            yield "a socket was opened for a call that must not come here (I1)"
        return
    forgotten = history.world.keeper.said(ForgetCall)
    if len(rows) != len(ends) + len(forgotten):
        yield f"{len(rows)} rows opened, {len(ends)} finished, {len(forgotten)} forgotten"
    for word in forgotten:
        if [late for late in words[words.index(word) + 1 :] if getattr(late, "call", None) == word.call]:
            yield "something was written of a call after it was forgotten"
    unwritten = {word.call for word in forgotten}
    if any(word.call in unwritten for word in history.world.keeper.said(OpenRecording)):
        yield "a call was forgotten of which something may have been kept"
    for row in ends:
        if not add_up(row.spans) or abs(row.spans[-1].to_ms - (row.ended - row.started) * 1000) > 1:
            yield "the spans do not add up to the call's length"
        if row.outcome is Outcome.RECORDED and history.kind not in RECORDABLE | {"unknown-agent"}:
            yield f"a {history.kind} call was recorded"
    entered, over = history.world.recordings()
    if any(word.agent is None or word.agent.person not in ("a1", "a2") for word in entered):
        yield "somebody outside the population was recorded (KSF15-3.2a)"
    ends_of = {word.recording for word in (*over, *history.world.keeper.said(DestroyRecording))}
    if {word.recording for word in entered} != ends_of:
        yield f"{len(entered)} recordings entered, {len(ends_of)} ended"


def _what_was_kept(history: History) -> Iterator[str]:
    """I2, I4, I5: nothing before everybody was told, nothing while held, nothing of a call that turned confidential."""
    world = history.world
    arrivals = [at for _, at in journeys.kept(world)]
    told = [word.told for word in world.keeper.said(NoteTold)]
    asked = [tap for tap in world.engine.asked(protocol.OpenTap) if tap.use == "record"]
    if len(asked) > len(world.keeper.said(OpenRecording)):
        yield "a tap was asked for before its recording was entered (I3)"
    if arrivals and not told:
        yield "audio was kept though nobody was told (I2)"
    if arrivals and told and min(arrivals) < min(t.ended for t in told) + 0.2:
        yield "audio was kept from before the end of the prompt (I2)"
    yield from _one_voice_each(history)
    ends = [("", history.nothing_after), *((call, at) for phone, at, call in history.took if phone.up)]
    for call, since in ends:
        kept = [at for _, at in journeys.kept(world, call)]
        if since and not world.loss and kept and max(kept) > since + 0.02:
            yield "audio was kept after a party came who must not be, or was not told (I1, I2)"
    rows = world.keeper.said(FinishRow)
    recorded = [
        (row.started + span.from_ms / 1000, row.started + span.to_ms / 1000)
        for row in rows
        for span in row.spans
        if span.state is SpanState.RECORDED
    ]
    outside = [at for at in arrivals if not any(a - 0.021 <= at <= b + 0.021 for a, b in recorded)]
    # What an engine kept that died, or a failing lease, is recovered or cut as after a crash: not judged by spans.
    if outside and not world.engine.dead and world.leases:
        yield f"{len(outside)} packets were kept outside every recorded span, first at {outside[0]:.3f}: {recorded}"


def _one_voice_each(history: History) -> Iterator[str]:
    """3B.1: a recording is of one customer and one agent; whoever takes a place is in another, or in none."""
    journals, keys = history.world.engine.sim.journals(), history.world.engine.sim.keys()
    for tap, data in journals.items():
        packets = open_journal(data, keys[tap]).packets
        customers, agents = ({p[4] for p in packets if p[0] == channel} for channel in (0, 1))
        if len(customers) > 1:
            yield "two customers are in one recording"
        if len(agents) > 1 and not set.intersection(*(history.numbers.get(one, set()) for one in agents)):
            yield "two agents are in one recording"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_histories_keep_the_invariants(batch: int) -> None:
    for number in range(HISTORIES // BATCHES):
        seed = batch * 1_000_003 + number
        history = History(seed)
        history.play()
        found = list(faults(history))
        assert not found, f"seed {seed} ({history.kind}): {found}"


# ------------------------------------------------------------------ would we notice?


def _no_hold(self: Exchange, leg: LegName, now: float) -> None:
    self._held.add(leg)


def _book_of_everybody(self: Arrival, facts: CallFacts, intent: Intent) -> Book:
    return Book(facts.call, self.board.keeper, intent.idle, intent.why_not, self.now)


def _ask_at_once(self: Recording, decision: Decision) -> None:
    running = self.capture.intend(self._new_id(), decision)
    self._taps.add(running.recording)
    self._send(self.capture.open())


def _as_if_agreed(self: Exchange, leg: LegName, now: float, *, agreed: bool) -> None:
    if self._trying is not None and not self._ours:
        trying, self._trying = self._trying, None
        trying.done(now, True)


def _nobody(*args: object, **kwargs: object) -> None:
    """A guard that was taken out."""


GUARDS: dict[str, tuple[type, str, object]] = {
    "the engine is told of a hold": (Exchange, "_hold", _no_hold),
    "a confidential call has no book": (Arrival, "_book", _book_of_everybody),
    "a tap waits for its recording's row": (Recording, "_ask", _ask_at_once),
    "a new customer voids what was told": (Recording, "new_customer", _nobody),
    "a call that turns confidential leaves the engine": (Call, "become_confidential", _nobody),
    "a row is finished when the call is over": (Book, "finish", _nobody),
    "the callee is ended with the caller": (Call, "_end_callee", _nobody),
    "taps are closed with the call": (Recording, "close", _nobody),
    "what was captured is destroyed": (Recording, "objected", lambda self, now, then: then(now, True)),
    "he is told that it is erased when it is": (
        Objections,
        "_destroyed",
        lambda self, now, done: self._confirm(now),
    ),
    "an objection is kept with his call": (Call, "object", _nobody),
    "a private call refuses every new recording": (
        Recording,
        "made_private",
        lambda self, cut_from: cut_from,
    ),
    "a private call goes direct": (PrivateCall, "_switch", _nobody),
    "both sides must agree to it": (Exchange, "_tried", _as_if_agreed),
    "the disk does not hold up the switch": (PrivateCall, "_give_up_waiting", _nobody),
    "one key means nothing later on": (Keypad, "_finger_is_late", _nobody),
    "a session that is not on the disk does not begin": (
        Session,
        "not_opened",
        lambda self, now: self.opened(now),
    ),
    "a listener is refused for a reason": (Session, "_not_hearable", _nobody),
    "listeners end with the agent they were for": (Listening, "agent_changed", _nobody),
    "a receipt is one customer's": (Receipts, "find", lambda self, token, *who: self._held.get(token)),
    "a pause ends by itself": (Pausing, "_ring", _nobody),
    "whoever takes a place is looked at": (Who, "is_another", _nobody),
    "whoever is called for a transfer is looked at before he rings": (Who, "will_be", _nobody),
    "nobody is kept while he waits for another": (Exchange, "left", Exchange._vacate),
    "a call that goes on with somebody else is not ended": (Transfers, "outlives", lambda *who: False),
    "a target is not left ringing": (Transfers, "call_over", _nobody),
    "old and new are each told of the other": (Exchange, "joined", _nobody),
}


def _fails(journey: Callable[[], None]) -> bool:
    try:
        journey()
    except (AssertionError, IndexError, ValueError):  # no row, or no word, where one is due
        return True
    return False


JOURNEYS = (
    journeys.test_what_is_said_on_hold_is_not_kept,
    journeys.test_a_hang_up_of_either_side_ends_the_other,
    test_objection.test_star_nine_destroys_what_there_is_and_only_then_says_so,
    test_objection.test_where_it_could_not_be_destroyed_nobody_is_told_that_it_was,
    test_objection.test_the_single_key_still_counts_just_after_the_notice_and_no_longer_in_a_menu_later,
    test_private.test_nothing_after_the_key_and_nothing_of_the_ten_seconds_before_it_is_in_the_journal,
    test_private.test_the_agent_hears_that_it_is_so_and_then_both_are_asked_at_once_to_talk_directly,
    test_private.test_where_one_side_will_not_talk_directly_both_stay_on_a_relay_that_nobody_can_tap,
    test_private.test_a_disk_that_stands_still_does_not_keep_the_call_from_becoming_direct,
    test_listening.test_a_customer_who_was_not_told_of_listening_is_not_listened_to,
    test_listening.test_idle_private_and_objected_sound_the_same,
    test_listening.test_it_ends_when_another_agent_takes_over,
    test_listening.test_a_session_that_cannot_be_written_down_does_not_begin,
    test_pausing.test_it_ends_by_itself,
    test_transfer.test_to_the_works_council_nothing_more_is_kept_before_its_phone_rings,
    test_transfer.test_a_transferor_who_leaves_at_once_leaves_the_customer_with_ringing_and_nothing_is_kept,
    lambda: test_transfer.test_if_nobody_is_left_to_talk_to_the_call_ends("customer"),
    test_transfer.test_a_direct_call_is_joined_again_directly_also_from_hold,
    lambda: test_beforehand.test_whoever_brings_no_receipt_of_his_own_is_told_when_the_agent_answers(
        "customer"
    ),
)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_out_is_noticed(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, without = GUARDS[guard]
    monkeypatch.setattr(owner, name, without)
    if any(_fails(journey) for journey in JOURNEYS):
        return
    for seed in range(400):
        history = History(seed)
        try:
            history.play()
        except (AssertionError, BrokenInvariant):
            return  # the program itself noticed
        if any(True for _ in faults(history)):
            return
    pytest.fail("400 histories without this guard, and nothing was noticed")


def test_a_history_is_repeatable() -> None:
    digests = []
    for _ in range(2):
        history = History(7)
        history.play()
        digests.append(history.world.digest())
    assert digests[0] == digests[1]
