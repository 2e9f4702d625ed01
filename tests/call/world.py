"""A world in one process: a PBX with its phones, the switchboard, and the real engine, all on virtual time.

The PBX is a second real user agent; both ends of every call are its legs, as in loop-through. The network has
delay and, if asked for, loss. The keeper answers like the catalog does, a little later. Nothing here stands in for
product code but the catalog's disk.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
import random
import shutil
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from qm_sip.announce import prompts
from qm_sip.announce.wav import write_wav
from qm_sip.call.switchboard import Settings, Switchboard
from qm_sip.call.words import (
    CloseRecording,
    CountConfidential,
    DestroyFailed,
    DestroyRecording,
    DropRecording,
    FinishRow,
    ForgetCall,
    KeeperEvent,
    LoseRecording,
    NotePrivate,
    OpenRecording,
    OpenRow,
    OpenSession,
    RecordingDestroyed,
    RecordingFailed,
    RecordingOpened,
    RowFailed,
    RowOpened,
    SessionFailed,
    SessionOpened,
    Word,
)
from qm_sip.config import Config, load
from qm_sip.features import Features
from qm_sip.media import protocol
from qm_sip.media.sim import SimEngine
from qm_sip.monitor.room import Tell
from qm_sip.monitor.session import Checked
from qm_sip.policy.codes import code_fits
from qm_sip.policy.facts import PersonId
from qm_sip.policy.listening import Usage
from qm_sip.privateline.presets import Presets
from qm_sip.sip import events as sip
from qm_sip.sip.body import Part, compose
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, Response
from qm_sip.sip.refer import SIPFRAG, sipfrag, status_in
from qm_sip.sip.sdp import Direction, Sdp, offer, with_direction
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.media.helpers import RECIPIENT

HERE = Path(__file__).parents[2]
QM, PBX = Address("127.0.0.2", 5080), Address("127.0.0.1", 5060)
TICK = 0.02
NS = 1_000_000_000
PROMPT_SECONDS = 0.4  # a notice
SENTENCE_SECONDS = 0.2  # a confirmation, a tone
SDP = ("Content-Type", "application/sdp")


@functools.cache
def settings() -> Settings:
    """The demo's lines, people and regulation, with prompts of 0.4 s so that a history is short."""
    home = Path(tempfile.mkdtemp(prefix="qm_sip-world-"))
    shutil.copytree(HERE / "config/examples/demo", home, dirs_exist_ok=True)
    for number, sidecar in enumerate(sorted((HERE / "config/prompts").glob("*/*.toml"))):
        folder = home / "prompts" / sidecar.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        text = sidecar.read_text(encoding="utf-8")
        (folder / sidecar.name).write_text(f'recorded_by = "the test"\n{text}', encoding="utf-8")
        seconds = PROMPT_SECONDS if '"customer-notice"' in text else SENTENCE_SECONDS
        ramp = np.arange(int(8000 * seconds), dtype=np.int16) + np.int16(number)  # no two are the same file
        (folder / f"{sidecar.stem}.wav").write_bytes(write_wav(ramp))
    environ = {
        "QM_SIP_PROMPTS_DIRECTORY": str(home / "prompts"),
        "QM_SIP_KEYS_COACHING_RECIPIENTS": RECIPIENT,
    }
    config = load(home, environ)
    return Settings(config, prompts.load(home / "prompts"))


def with_peer(using: Settings, **changes: object) -> Settings:
    """The same settings, but for the one peer of this world."""
    config = using.config
    peer = config.server.peers["asterisk"].model_copy(update=changes)
    server = config.server.model_copy(update={"peers": {**config.server.peers, "asterisk": peer}})
    return Settings(replace(config, server=server), using.library)


def named(ua: UserAgent, phone: Phone) -> str:
    """A phone's dialog as whoever is at its other end is told of it (RFC 3891)."""
    dialog = ua.dialog(phone.leg)
    assert dialog is not None
    return f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"


class Engine:
    """The switchboard's media, and everything that was asked of it."""

    def __init__(self, world: World, seed: int) -> None:
        self.sim, self.world = SimEngine(seed), world
        self.commands: list[protocol.Command] = []
        self.dead = False
        self.send(protocol.Configure("127.0.0.2", 20000, 20999, "/journals", "/keys"))
        self._load(world.settings)

    def _load(self, using: Settings) -> None:
        for prompt in using.library:
            self.sim.add_file(prompt.path, prompt.path.read_bytes())
            self.send(
                protocol.LoadPrompt(
                    prompt.digest,
                    str(prompt.path),
                    prompt.identity,
                    prompt.language,
                    sorted(prompt.uses),
                    sorted(prompt.purposes),
                )
            )
        for name, line in using.config.lines.line.items():
            found = [using.library.find(line.prompt, language) for language in line.languages]
            self.send(protocol.LoadLine(name, [prompt.digest for prompt in found if prompt]))

    def send(self, command: protocol.Command) -> None:
        self.commands.append(command)
        if not self.dead:
            self.sim.command(command, int(self.world.now * NS))

    def asked(self, kind: type[protocol.Command]) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]


class Clerk:
    """Checks codes as the real one does, only that the past sessions are those of this world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wrong = 0

    def check(self, monitor: PersonId, code: str, agent: PersonId | None, tell: Tell) -> None:
        account = self.world.config.people.monitor.get(monitor)
        fits = account is not None and code_fits(code, account.code_hash)
        self.wrong = 0 if fits else self.wrong + 1
        locked = account is None or self.wrong > account.tries
        found = Checked(fits, locked=locked, usage=Usage())
        self.world.later(0.05, lambda: tell(found, self.world.now))

    def last_private(self, person: PersonId, tell: Callable[[bool, float], None]) -> None:
        notes = self.world.keeper.said(NotePrivate)
        whole = bool(notes) and notes[-1].since_ms == 0 and notes[-1].path == "direct"
        self.world.later(0.05, lambda: tell(whole, self.world.now))


class Keeper:
    """Answers as the catalog does, when its disk has synced: a few milliseconds later. Can be made to fail."""

    def __init__(self, world: World) -> None:
        self.words: list[Word] = []
        self.world = world
        self.fails = False

    def keep(self, word: Word) -> None:
        self.words.append(word)
        if isinstance(word, OpenRow):
            call = word.facts.call
            self._answer(RowFailed(call, "full") if self.fails else RowOpened(call))
        elif isinstance(word, OpenRecording):
            pair = (word.call, word.recording)
            self._answer(RecordingFailed(*pair, "full") if self.fails else RecordingOpened(*pair))
        elif isinstance(word, DestroyRecording):
            pair = (word.call, word.recording)
            self._answer(DestroyFailed(*pair, "full") if self.fails else RecordingDestroyed(*pair))
        elif isinstance(word, OpenSession):
            self._answer(
                SessionFailed(word.row.session, None, "full")
                if self.fails
                else SessionOpened(word.row.session, None)
            )

    def _answer(self, event: KeeperEvent) -> None:
        delay = self.world.rng.choice([0.001, 0.004, 0.03])
        self.world.later(delay, lambda: self.world.switchboard.on_kept(event, self.world.now))

    def said(self, kind: type[Word]) -> list[Any]:
        return [word for word in self.words if isinstance(word, kind)]


@dataclass
class Phone:
    """One party's phone: a leg of the PBX's user agent, and an RTP source once it knows where to send."""

    leg: str
    host: str
    port: int
    session: int
    target: tuple[str, int] | None = None
    version: int = 0
    sends: bool = True
    late: bool = False  # he made no offer: his ACK answers ours
    up: bool = False
    gone: bool = False
    heard: list[bytes] = field(default_factory=list)
    offers_answered: int = 0
    offers_refused: list[int] = field(default_factory=list)
    sequence: int = 0
    news: list[int] = field(default_factory=list)  # what it was told of its REFERs
    answers: list[tuple[str, int]] = field(default_factory=list)  # to its requests in the call
    asked: list[Request] = field(default_factory=list)
    leaves: bool = True  # it hangs up when it is told that its transfer is done
    reports: tuple[int, ...] = ()  # what it tells by NOTIFY when it is sent somewhere
    wish: str = ""  # its recordpref
    aware: bool = False  # it says that it knows of recording, and wants to be told
    told: list[str] = field(default_factory=list)  # what it was told of that, in each description

    @property
    def says(self) -> list[tuple[str, str]]:
        return [("Supported", "record-aware, timer")] if self.aware else []

    def sealed(self, packet: bytes) -> bytes:
        """As it leaves this phone."""
        return packet

    def opened(self, packet: bytes) -> bytes:
        """As this phone reads it."""
        return packet

    def sdp(self, direction: Direction = Direction.SENDRECV) -> bytes:
        self.version += 1
        ours = offer(self.session, self.version, self.host, self.port, names=("PCMA", "telephone-event"))
        wish = f"a=recordpref:{self.wish}\r\n".encode() if self.wish else b""
        return with_direction(ours, direction).to_bytes() + wish


class World:
    """See the module's docstring."""

    def __init__(self, seed: int = 0, *, loss: float = 0.0, refer: str = "refuse") -> None:
        self.rng = random.Random(seed)
        self.now, self.loss = 1000.0, loss
        self.settings = with_peer(settings(), refer=refer)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.ua = UserAgent(UserAgentSettings(), random.Random(seed + 1), lambda request, source: None)
        self.pbx = UserAgent(UserAgentSettings(), random.Random(seed + 2), lambda request, source: None)
        self.engine, self.keeper = Engine(self, seed), Keeper(self)
        self.switchboard = Switchboard(
            self.ua,
            self.engine,
            self.keeper,
            self.settings,
            random.Random(seed + 3),
            lambda: datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        )
        self.features = Features(self.switchboard, Clerk(self), Presets())
        self.switchboard.features = self.features
        self.phones: list[Phone] = []
        self.offered: list[Request] = []  # the INVITEs that came to the PBX
        self.agent: Phone | None = None
        self.on_ringing: Callable[[Phone], None] = lambda phone: None
        self.on_answered: Callable[[Response], None] = lambda response: None
        self.rejected: list[int] = []
        self.leases, self._leased = True, 0.0
        self.refuses_offers: set[str] = set()  # legs whose phone answers 488 to every re-INVITE
        self.refuses_refer = 0  # with this status
        self.late_answers = 0.0  # seconds until a re-INVITE is answered
        self.late_refer = 0.0  # seconds until a REFER is answered
        self.unreachable = False  # what we send to the PBX is lost
        self.others: dict[Address, Callable[[bytes], None]] = {}  # who else hears what we send, and where

    @property
    def config(self) -> Config:
        return self.settings.config

    # ---------------------------------------------------------------- phones

    def _phone(self, leg: str, host: str) -> Phone:
        number = self.rng.randrange(10_000, 40_000)
        phone = Phone(leg, host, number * 2 % 50_000 + 2_000, self.rng.randrange(1, 1 << 30))
        self.phones.append(phone)
        return phone

    def dial(
        self,
        number: str,
        *,
        line: str = "",
        caller: str = "0612345678",
        asserted: str = "",
        body: bytes | None = b"",
        more: Sequence[tuple[str, str]] = (),
        aside: bool = False,
        parts: Sequence[Part] = (),
        aware: bool = False,
        wish: str = "",
    ) -> Phone:
        """The PBX offers us a call, as its dialplan does. `aside`: another call than the one the world is about."""
        host = "127.0.0.50" if aside else "127.0.0.20"
        phone = self._phone(f"out{len(self.rejected)}-{next(self._order)}", host)
        if not aside:
            self.caller = phone
        phone.aware, phone.wish = aware, wish
        headers = [*more, *phone.says]
        headers += [("P-Asserted-Identity", asserted or f"<sip:{caller}@127.0.0.1>")]
        headers += [("X-QM-Line", line)] if line else []
        sdp = phone.sdp() if body == b"" else body
        phone.late = sdp is None
        content, whole = compose(sdp, parts, before=1)
        self.pbx.invite(
            phone.leg,
            f"sip:{number}@127.0.0.2:5080",
            to=f"<sip:{number}@127.0.0.2:5080>",
            from_=f'"Somebody" <sip:{caller}@127.0.0.1>',
            headers=[*headers, *content],
            body=whole,
            destination=QM,
            local=PBX,
            now=self.now,
        )
        return phone

    def answer(self, phone: Phone, identity: str = "") -> None:
        """The called phone answers."""
        extra = [("P-Asserted-Identity", f"<sip:{identity}@127.0.0.1>")] if identity else []
        phone.up = True
        self.pbx.answer(phone.leg, phone.sdp(), headers=[SDP, *phone.says, *extra], now=self.now)

    def hang_up(self, phone: Phone) -> None:
        phone.gone = True
        if phone.leg.startswith("out") and not phone.up:
            self.pbx.cancel(phone.leg, now=self.now)
        else:
            self.pbx.bye(phone.leg, now=self.now)

    def hold(self, phone: Phone, direction: Direction) -> None:
        self.pbx.reoffer(phone.leg, phone.sdp(direction), headers=[SDP], now=self.now)

    def becomes(self, phone: Phone, identity: str) -> None:
        """The PBX tells that somebody else is on that leg now (connected line)."""
        headers = [("P-Asserted-Identity", f"<sip:{identity}@127.0.0.1>")]
        self.pbx.request(phone.leg, "UPDATE", headers, now=self.now)

    def refer(
        self, phone: Phone, to: str, second: Phone | None = None, more: Sequence[tuple[str, str]] = ()
    ) -> None:
        """A phone transfers: to a number, or, with `second`, to whomever its other call is with."""
        replaces = f"?Replaces={quote(named(self.pbx, second))}" if second is not None else ""
        headers = [("Refer-To", f"<sip:{to}@127.0.0.2:5080{replaces}>"), *more]
        self.pbx.request(phone.leg, "REFER", headers, now=self.now)

    def press(self, phone: Phone, keys: str, *, every: float = 0.12) -> None:
        """Keys as RFC 4733 events: 40 ms each, the end three times, as phones send them."""
        for number, key in enumerate(keys):
            self.later(number * every, functools.partial(self._key, phone, key))

    def _key(self, phone: Phone, key: str) -> None:
        event, stamp = "0123456789*#ABCD".index(key), (phone.sequence + 1) * 160
        for step, (end, length) in enumerate([(0, 160), (0, 320), (0x80, 320), (0x80, 320), (0x80, 320)]):
            payload = struct.pack("!BBH", event, end | 10, length)
            self.later(min(step, 2) * 0.02, functools.partial(self._event, phone, stamp, payload))

    def _event(self, phone: Phone, stamp: int, payload: bytes) -> None:
        if self.engine.dead or phone.target is None or phone.gone:
            return
        phone.sequence += 1
        header = struct.pack("!BBHII", 0x80, 101, phone.sequence, stamp, phone.session & 0xFFFF)
        source, data = (phone.host, phone.port), phone.sealed(header + payload)
        self.engine.sim.packet(phone.target[1], source, data, int(self.now * NS))

    # ---------------------------------------------------------------- time

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let time pass. RTP flows every 20 ms, everything else when it is due."""
        end = self.now + seconds
        tick = self.now + TICK
        while self.now < end:
            self._until(min(tick, end))
            if self.now >= tick - 1e-9:
                self._media()
                tick += TICK

    def settle(self) -> None:
        """Let every transaction end (64*T1 and more), without media."""
        for phone in self.phones:
            phone.sends = False
        for _ in range(400):
            self._until(self.now + 0.5)
            if not self._queue and not self.ua.legs and not self.pbx.legs:
                break

    def _until(self, moment: float) -> None:
        while True:
            self._exchange()
            due = [self._queue[0][0]] if self._queue else []
            clocks = (self.ua, self.pbx, self.switchboard)
            due += [at for at in (clock.next_timer() for clock in clocks) if at is not None]
            if not due or min(due) > moment:
                break
            self.now = max(self.now, min(due))
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            self.ua.advance(self.now)
            self.pbx.advance(self.now)
            self.switchboard.advance(self.now)
        self.now = moment
        self._engine_time()

    def _engine_time(self) -> None:
        if self.engine.dead:
            return
        self.engine.sim.advance(int(self.now * NS))
        self._exchange()

    def _exchange(self) -> None:
        """Carry datagrams, SIP events and engine events until nothing is left."""
        while True:
            sent = self._carry(self.ua, self.pbx) + self._carry(self.pbx, self.ua)
            happened = self.ua.take_events()
            for event in happened:
                self.switchboard.on_sip(event, self.now)
            at_pbx = self.pbx.take_events()
            for event in at_pbx:
                self._on_pbx(event)
            from_engine = [] if self.engine.dead else self.engine.sim.take_events()
            for reported in from_engine:
                self.switchboard.on_media(reported, self.now)
            if not (sent or happened or at_pbx or from_engine):
                return

    def _carry(self, sender: UserAgent, receiver: UserAgent) -> int:
        taken = sender.take_datagrams()
        for datagram in taken:
            if self.loss and self.rng.random() < self.loss:
                continue
            if self.unreachable and datagram.data.startswith(b"INVITE") and sender is self.ua:
                continue
            delay = self.rng.choice([0.0005, 0.001, 0.002])
            self.later(delay, functools.partial(self._deliver, receiver, datagram))
        return len(taken)

    def _deliver(self, receiver: UserAgent, datagram: sip.Datagram) -> None:
        if (other := self.others.get(datagram.destination)) is not None:
            other(datagram.data)
        else:
            receiver.receive(datagram.data, datagram.local, datagram.destination, self.now)

    def _media(self) -> None:
        """One packet of each phone that is up; what the engine sends reaches the phone it is for."""
        if self.engine.dead:
            return
        if self.leases and self.now >= self._leased + 1.0:
            self._leased = self.now
            self.engine.sim.command(protocol.Lease(), int(self.now * NS))
        for phone in self.phones:
            if phone.sends and phone.up and not phone.gone and phone.target:
                phone.sequence += 1
                header = struct.pack(
                    "!BBHII", 0x80, 8, phone.sequence, phone.sequence * 160, phone.session & 0xFFFF
                )
                payload = header + bytes([phone.sequence & 0xFF]) * 160
                source, data = (phone.host, phone.port), phone.sealed(payload)
                self.engine.sim.packet(phone.target[1], source, data, int(self.now * NS))
        self._engine_time()
        for packet in self.engine.sim.take_packets():
            for phone in self.phones:
                if packet.destination == (phone.host, phone.port):
                    phone.heard.append(phone.opened(packet.data))

    # ---------------------------------------------------------------- what happens at the PBX

    def thinks(self, phone: Phone, seconds: float) -> None:
        """That phone takes its time over an offer, from now on."""
        at_once = self._on_pbx

        def later(event: sip.UaEvent) -> None:
            if isinstance(event, sip.OfferReceived) and event.leg == phone.leg:
                self.later(seconds, lambda: at_once(event))
            else:
                at_once(event)

        self._on_pbx = later  # type: ignore[method-assign]

    def _on_pbx(self, event: sip.UaEvent) -> None:
        phone = self._of(event.leg)
        match event:
            case sip.CallOffered():
                self.offered.append(event.request)
                self.agent = self._phone(event.leg, "127.0.0.11")
                self._learn(self.agent, event.request.body)
                self.on_ringing(self.agent)
            case sip.Answered() if phone:
                phone.up = True
                self.on_answered(event.response)
                self._learn(phone, event.response.body)
                if phone.late:
                    self.pbx.ack(phone.leg, phone.sdp(), now=self.now)
                if phone.gone:
                    self.pbx.bye(phone.leg, now=self.now)
            case sip.Rejected() if phone:
                phone.gone = True
                self.rejected.append(event.status)
            case sip.OfferReceived() if phone and phone.leg in self.refuses_offers:
                self.pbx.reject_offer(phone.leg, 488, now=self.now)
            case sip.OfferReceived() if phone:
                self.later(
                    self.late_answers, functools.partial(self._answer_offer, phone, event.request.body)
                )
            case sip.OfferAnswered() if phone:
                phone.offers_answered += 1
                self._learn(phone, event.response.body)
            case sip.InDialogRequest() if phone and event.request.method in ("REFER", "NOTIFY"):
                self._asked(phone, event)
            case sip.RequestAnswered() if phone:
                phone.answers.append((event.method, event.status))
            case sip.OfferRejected() if phone:
                phone.offers_refused.append(event.status)
            case sip.Cancelled() | sip.Ended() if phone:
                phone.gone = True
            case _:
                pass

    def _answer_offer(self, phone: Phone, body: bytes) -> None:
        self._learn(phone, body)
        self.pbx.answer_offer(phone.leg, phone.sdp(), headers=[SDP], now=self.now)

    def _asked(self, phone: Phone, event: sip.InDialogRequest) -> None:
        """A NOTIFY tells of a transfer; a REFER sends this phone elsewhere, and it tells how that goes."""
        phone.asked.append(event.request)
        if event.request.method == "REFER":
            status, token = self.refuses_refer or 202, event.token
            self.later(self.late_refer, lambda: self.pbx.respond(phone.leg, token, status, now=self.now))
        else:
            self.pbx.respond(phone.leg, event.token, 200, now=self.now)
        if event.request.method == "NOTIFY":
            phone.news.append(status_in(event.request.body) or 0)
            if phone.news[-1] == 200 and phone.leaves:
                self.hang_up(phone)
        elif event.request.method == "REFER":
            for number, report in enumerate(phone.reports):
                self.later(0.01 + number * 0.1, functools.partial(self._report, phone, report))

    def _report(self, phone: Phone, status: int) -> None:
        state = "terminated;reason=noresource" if status >= 200 else "active"
        headers = [("Event", "refer"), ("Subscription-State", state), ("Content-Type", SIPFRAG)]
        self.pbx.request(phone.leg, "NOTIFY", headers, sipfrag(status), now=self.now)

    def _of(self, leg: str) -> Phone | None:
        return next((phone for phone in self.phones if phone.leg == leg), None)

    def _learn(self, phone: Phone, body: bytes) -> None:
        sdp = Sdp.parse(body) if body else None
        phone.told += [line[9:] for line in body.decode().split("\r\n") if line.startswith("a=record:")]
        audio = sdp.audio if sdp else None
        if sdp and audio and not audio.rejected:
            phone.target = (sdp.address_of(audio) or "", audio.port)

    caller: Phone = None  # type: ignore[assignment]  # set by the first dial()

    # ---------------------------------------------------------------- what was kept

    def outcomes(self) -> list[FinishRow]:
        return self.keeper.said(FinishRow)

    def recordings(self) -> tuple[list[OpenRecording], list[Word]]:
        ended = [
            w for w in self.keeper.words if isinstance(w, CloseRecording | LoseRecording | DropRecording)
        ]
        return self.keeper.said(OpenRecording), ended

    def confidential(self) -> int:
        return len(self.keeper.said(CountConfidential)) + len(self.keeper.said(ForgetCall))

    def digest(self) -> str:
        """What happened, as one value: the same seed gives the same history."""
        return hashlib.sha256(repr(self.keeper.words).encode()).hexdigest()
