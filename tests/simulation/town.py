"""Two users and the B2BUA between them, joined by wires that lose, delay, double and reorder, on a clock of their own.

Everybody has a real user agent; the middle has the switchboard and the media engine on virtual time as well. Whoever
is restarted forgets everything, and what was on its way to him still arrives. Nothing stands in for the product but
the catalog's disk, which answers after a few milliseconds.
"""

from __future__ import annotations

import functools
import heapq
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np

from qm_sip.announce import prompts
from qm_sip.announce.wav import write_wav
from qm_sip.call.switchboard import Settings, Switchboard
from qm_sip.call.words import KeeperEvent, OpenRecording, OpenRow, RecordingOpened, RowOpened, Word
from qm_sip.config import load
from qm_sip.media import protocol
from qm_sip.media.sim import SimEngine
from qm_sip.sip.events import Address, Datagram, LegId, UaEvent
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.announce.helpers import toml
from tests.media.helpers import RECIPIENT
from tests.sip.network import Weather
from tests.wire.site import AGENT, PROMPT, ROOT, RULES

LEFT, RIGHT, MIDDLE = (Address(f"127.0.7.{host}", 5060) for host in (1, 2, 9))
NS = 1_000_000_000
TICK = 0.25  # seconds between looks at the engine while it has a call
PROMPT_SECONDS = 0.3
FOR_EVER = 5000.0  # seconds after which nothing of a town may still be going on

NEIGHBOURS = """
[sip]
listen = ["udp:127.0.7.9:5060"]
[media]
address = "127.0.7.9"
[peers.left]
addresses = ["127.0.7.1"]
trusted = true
next_hop = "127.0.7.1:5060"
refer = "pass"
[peers.right]
addresses = ["127.0.7.2"]
trusted = true
next_hop = "127.0.7.2:5060"
refer = "here"
[[routes]]
from = "left"
to = "right"
direction = "inbound"
[[routes]]
from = "right"
to = "left"
direction = "inbound"
"""


OUTSIDE = """
[peers.right]
addresses = ["127.0.7.2"]
next_hop = "127.0.7.2:5060"
send_identity = true
carry = ["Diversion", "History-Info"]
"""


@functools.cache
def settings(neighbours: str = NEIGHBOURS, *, trusted: bool = True) -> Settings:
    """Numbers 2000 before-ring, 2100 on-answer, 1900 confidential; everything else goes direct. `trusted`: the right
    peer, which is a carrier otherwise.
    """
    home = Path(tempfile.mkdtemp(prefix="qm_sip-town-"))
    shutil.copy(ROOT / "config/examples/load/regulation.toml", home)
    (home / "people.toml").write_text("".join(AGENT.format(number=number) for number in (1, 2)))
    (home / "lines.toml").write_text(RULES)
    begin, end = neighbours.index("[peers.right]"), neighbours.index("[[routes]]")
    text = neighbours if trusted else neighbours[:begin] + OUTSIDE + neighbours[end:]
    (home / "qm_sip.toml").write_text(text)
    folder = home / "prompts" / "en"
    folder.mkdir(parents=True)
    (folder / "short.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in PROMPT.items()))
    (folder / "short.wav").write_bytes(write_wav(np.arange(int(8000 * PROMPT_SECONDS), dtype=np.int16)))
    config = load(home, {"QM_SIP_KEYS_CONTRACT_EVIDENCE_RECIPIENTS": RECIPIENT})
    return Settings(config, prompts.load(home / "prompts"))


def often_refreshed(rng: random.Random) -> UserAgent:
    """That of the middle: everybody may come in, and some sessions are short."""
    often = UserAgentSettings(session_expires=rng.choice([90, 1800]))
    return UserAgent(often, rng, lambda request, source: None)


class Middle:
    """One life of the B2BUA: user agent, switchboard, engine, and a keeper whose disk takes a moment."""

    def __init__(
        self,
        town: Town,
        life: int,
        using: Settings | None = None,
        agent: Callable[[random.Random], UserAgent] | None = None,
    ) -> None:
        self._using = using or settings()
        rng = random.Random(f"{town.seed} middle {life}")
        self.ua = (agent or often_refreshed)(rng)
        self.told: Counter[str] = Counter()  # events of its user agent, by kind
        self.words: list[Word] = []
        self.commands: list[protocol.Command] = []
        self._open = 0  # calls that the engine has
        self._engine: SimEngine | None = None  # started when the first call wants it: few do
        self._town, self._leased = town, 0.0
        wall = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        self.switchboard = Switchboard(self.ua, self, self, self._using, rng, lambda: wall)

    def send(self, command: protocol.Command) -> None:
        """The switchboard's media."""
        self.commands.append(command)
        if isinstance(command, protocol.OpenCall):
            self._open += 1
        elif isinstance(command, protocol.CloseCall):
            self._open -= 1
        if self._engine is None:
            self._engine = self._started()
        self._engine.command(command, self._town.ns)
        self._town.wants_ticks = True

    def _started(self) -> SimEngine:
        engine, using, now = SimEngine(self._town.seed), self._using, self._town.ns
        address = using.config.server.media.address
        engine.command(protocol.Configure(address, 20000, 20999, "/journals", "/keys"), now)
        engine.command(protocol.Lease(), now)
        for prompt in using.library:
            engine.add_file(prompt.path, prompt.path.read_bytes())
            uses, purposes = sorted(prompt.uses), sorted(prompt.purposes)
            told = protocol.LoadPrompt(
                prompt.digest, str(prompt.path), prompt.identity, prompt.language, uses, purposes
            )
            engine.command(told, now)
        for name in using.config.lines.line:
            engine.command(protocol.LoadLine(name, [prompt.digest for prompt in using.library]), now)
        return engine

    def keep(self, word: Word) -> None:
        """The switchboard's keeper."""
        self.words.append(word)
        if isinstance(word, OpenRow):
            self._answer(RowOpened(word.facts.call))
        elif isinstance(word, OpenRecording):
            self._answer(RecordingOpened(word.call, word.recording))

    def _answer(self, event: KeeperEvent) -> None:
        def tell() -> None:
            if self._town.middle is self:
                self.switchboard.on_kept(event, self._town.now)

        self._town.later(0.003, tell)

    def advance(self, now: float) -> None:
        self.ua.advance(now)
        self.switchboard.advance(now)
        if self._engine is not None:
            if now >= self._leased + 1:
                self._leased = now
                self._engine.command(protocol.Lease(), self._town.ns)
            self._engine.advance(self._town.ns)

    def next_timer(self) -> float | None:
        times = [at for at in (self.ua.next_timer(), self.switchboard.next_timer()) if at is not None]
        return min(times, default=None)

    def settle(self) -> bool:
        """Carry events until none is left. True: there were some."""
        happened = self.ua.take_events()
        for event in happened:
            self.told[type(event).__name__] += 1
            self.switchboard.on_sip(event, self._town.now)
        reported = self._engine.take_events() if self._engine is not None else []
        for told in reported:
            self.switchboard.on_media(told, self._town.now)
        return bool(happened or reported)

    @property
    def media_runs(self) -> bool:
        """Whether the engine has a call."""
        return self._open > 0


@dataclass
class User:
    """One of the two ends: a real user agent, and everything that it was told."""

    address: Address
    ua: UserAgent
    events: dict[LegId, list[UaEvent]]


class Town:
    """See the module's docstring. `react` is what the users do with an event."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.seed, self.weather, self.now = seed, weather, 100.0
        self.rng = random.Random(seed)
        self.wants_ticks = False
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._lives = count()
        self.middle = Middle(self, next(self._lives))
        self.users = {at: self._new_user(at) for at in (LEFT, RIGHT)}

    @property
    def ns(self) -> int:
        return int(self.now * NS)

    def _new_user(self, address: Address) -> User:
        rng = random.Random(f"{self.seed} {address.host} {next(self._lives)}")
        ua = UserAgent(self.habits(address), rng, lambda request, source: None)
        return User(address, ua, defaultdict(list))

    def habits(self, address: Address) -> UserAgentSettings:
        """How this user's agent behaves."""
        return UserAgentSettings()

    def react(self, user: User, event: UaEvent) -> None:
        """What the user does with an event."""

    # ---------------------------------------------------------------- restarts

    def restart_middle(self) -> None:
        """kill -9, and a new one at once: the calls that ran are of nobody."""
        self.middle = Middle(self, next(self._lives))

    def restart(self, address: Address) -> None:
        """The same of a user; his legs are gone without a word."""
        self.users[address] = self._new_user(address)

    # ---------------------------------------------------------------- time

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def run(self) -> None:
        """Let time pass until nothing happens any more."""
        while True:
            self._settle()
            due = self._due()
            if due is None:
                return
            assert due < FOR_EVER, "something never ends"
            self.now = max(self.now, due)
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            for user in self.users.values():
                user.ua.advance(self.now)
            self.middle.advance(self.now)

    def _due(self) -> float | None:
        times = [user.ua.next_timer() for user in self.users.values()]
        times += [self.middle.next_timer(), self._queue[0][0] if self._queue else None]
        known = [at for at in times if at is not None]
        if self.wants_ticks:
            self.wants_ticks = self.middle.media_runs
            known.append(self.now + TICK)
        return min(known, default=None)

    def _settle(self) -> None:
        busy = True
        while busy:
            busy = self.middle.settle()
            for user in self.users.values():
                for event in user.ua.take_events():
                    user.events[event.leg].append(event)
                    self.react(user, event)
            for ua in (self.middle.ua, *(user.ua for user in self.users.values())):
                for datagram in ua.take_datagrams():
                    busy = True
                    self._launch(datagram)

    def _launch(self, datagram: Datagram) -> None:
        weather, rng = self.weather, self.rng
        for _ in range(2 if rng.random() < weather.double else 1):
            if rng.random() >= weather.loss:
                delay = weather.delay + rng.random() * weather.jitter
                self.later(delay, functools.partial(self._deliver, datagram))

    def _deliver(self, datagram: Datagram) -> None:
        to = datagram.destination
        if to == MIDDLE:
            self.middle.ua.receive(datagram.data, datagram.local, to, self.now)
        elif to in self.users:
            self.users[to].ua.receive(datagram.data, datagram.local, to, self.now)
