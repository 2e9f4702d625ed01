"""The whole B2BUA between two peers that say anything: `call` of `targets.py`.

User agent with its door, switchboard, lamps and media engine are the real ones on virtual time
(`tests/simulation/town.py`); the peers are the script, and so is what Asterisk tells. Afterwards the B2BUA hangs
up everything and time passes: rows that were opened are finished or forgotten, the engine has no call, and nothing is
left anywhere.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from ipaddress import ip_address
from itertools import count
from typing import Final

from qm_sip.asterisk.ear import Ear
from qm_sip.asterisk.manager import Told
from qm_sip.asterisk.message import Message
from qm_sip.call.words import FinishRow, ForgetCall, OpenRow, Word
from qm_sip.doorway import rules_of
from qm_sip.lamps.board import Lamps
from qm_sip.media import protocol
from qm_sip.privateline.presets import Presets
from qm_sip.sip.admission import Doorkeeper
from qm_sip.sip.events import Address
from qm_sip.sip.message import MAX_BYTES
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.simulation.town import LEFT, MIDDLE, NEIGHBOURS, NS, RIGHT, TICK, Middle, settings
from tests.support.leftovers import left_in
from tests.torture.script import MOST_SECONDS, Mailbox, Step, lines, seconds_of, steps

_TURNS: Final = 6_000
MAY_WATCH: Final = NEIGHBOURS.replace('refer = "pass"', 'refer = "pass"\nmay = ["carry", "toggle", "watch"]')
DISK: Final = 0.01
"""Seconds that pass between two lines of a script: the catalog has answered."""


class Street:
    """One play."""

    def __init__(self, *, trusted: bool = True) -> None:
        self.seed, self.now, self.wants_ticks = 1, 100.0, False
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.boxes: dict[Address, Mailbox] = defaultdict(Mailbox)
        using = settings(MAY_WATCH, trusted=trusted)
        rules = rules_of(using.config)

        def agent(rng: random.Random) -> UserAgent:
            door = Doorkeeper(rules, rng, lambda incident, now: None)
            return UserAgent(UserAgentSettings(session_expires=90), rng, door)

        self.middle = Middle(self, 0, using, agent)  # type: ignore[arg-type]
        board = self.middle.switchboard
        board.onlooker, self.ear = Lamps(board, Presets()), Ear(board)
        self.failed: list[str] = []
        self._listen()

    def _listen(self) -> None:
        """The engine refuses no command of a switchboard that keeps its own books."""
        board = self.middle.switchboard
        tell = board.on_media

        def told(event: protocol.Event, now: float) -> None:
            if isinstance(event, protocol.CommandFailed):
                self.failed.append(f"{event.do}: {event.reason}")
            tell(event, now)

        board.on_media = told  # type: ignore[method-assign]
        keep = self.middle.keep

        def kept(word: Word) -> None:
            for party in word.facts.parties if isinstance(word, OpenRow) else ():
                _ = party.address.reveal().encode() if party.address else None  # text, as a catalog takes it
            keep(word)

        self.middle.keep = kept  # type: ignore[method-assign]

    # ---------------------------------------------------------------- what the middle wants of a town

    @property
    def ns(self) -> int:
        return int(self.now * NS)

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    # ---------------------------------------------------------------- the play

    def play(self, data: bytes) -> None:
        for step in steps(data):
            self._one(step)
            self._settle()
            self._wait(DISK)
        self._end()

    def _one(self, step: Step) -> None:
        match step.verb:
            case "<" | ">":
                who = LEFT if step.verb == "<" else RIGHT
                self._hear(lines(self.boxes[who].fill(step.text)), who)
            case "=" | "-":
                who = RIGHT if step.verb == "=" else LEFT
                answer = self.boxes[who].answer(step.text)
                if answer is not None:
                    self._hear(answer, who)
            case "~":
                self._wait(seconds_of(step.text))
            case "#":
                self._tell(self.boxes[RIGHT].fill(step.text))

    def _tell(self, text: bytes) -> None:
        """An event of Asterisk's manager."""
        pairs = (line.decode("utf-8", "replace").partition(":") for line in text.split(b"\n"))
        fields = tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon)
        self.ear.hear(Told(Message(fields), late=text.startswith(b"late")), self.now)

    def _hear(self, data: bytes, source: Address) -> None:
        self.middle.ua.receive(data, source, MIDDLE, self.now)

    def _wait(self, seconds: float | None) -> None:
        due = self._due()
        until = self.now + seconds if seconds is not None else due
        if until is None or until > 100 + MOST_SECONDS:
            return
        while due is not None and due <= until:
            self._turn(due)
            due = self._due()
        self.now = max(self.now, until)

    def _turn(self, due: float) -> None:
        self.now = max(self.now, due)
        while self._queue and self._queue[0][0] <= self.now:
            heapq.heappop(self._queue)[2]()
        self.middle.advance(self.now)
        self._settle()

    def _due(self) -> float | None:
        times = [self.middle.next_timer(), self._queue[0][0] if self._queue else None]
        known = [at for at in times if at is not None]
        if self.wants_ticks:
            self.wants_ticks = self.middle.media_runs
            known.append(self.now + TICK)
        return min(known, default=None)

    def _settle(self) -> None:
        busy = True
        while busy:
            busy = self.middle.settle()
            for data, destination, local in self.middle.ua.take_datagrams():
                busy = True
                assert local == MIDDLE and len(data) <= MAX_BYTES
                ip_address(destination.host)  # a name would be looked up by the socket
                assert 0 <= destination.port < 65_536  # 0, which a Via may name, is refused by the socket
                self.boxes[destination].take(data)

    # ---------------------------------------------------------------- the end

    def _end(self) -> None:
        self.middle.switchboard.hang_up_all(self.now)
        self.middle.ua.end_watches("noresource", self.now)
        self._settle()
        for _ in range(_TURNS):
            due = self._due()
            if due is None:
                break
            self._turn(due)
        assert not self.failed, self.failed
        assert not list(left_in(self.middle.ua)), list(left_in(self.middle.ua))
        board = self.middle.switchboard
        assert not self.middle.ua.watches, "somebody still watches a lamp"
        left = (len(board.calls), board.legs_known, len(board.services), len(board.timers))
        assert left == (0, 0, 0, 0), f"calls, legs, services, timers: {left}"
        self._books_are_closed()

    def _books_are_closed(self) -> None:
        commands, words = self.middle.commands, self.middle.words
        opened = {one.call for one in commands if isinstance(one, protocol.OpenCall)}
        assert opened == {one.call for one in commands if isinstance(one, protocol.CloseCall)}
        rows, *ends = (sum(isinstance(w, kind) for w in words) for kind in (OpenRow, FinishRow, ForgetCall))
        assert rows == sum(ends), f"{rows} rows were opened, {ends} finished and forgotten"


def play_call(data: bytes) -> None:
    """A script, and then the end of everything. One that begins with @% has a carrier as the right peer."""
    Street(trusted=not data.startswith(b"@%")).play(data)
