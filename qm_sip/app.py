"""The wiring: the one place where real things are put together.

    settings, prompts -> store, catalog, renderers -> recovery -> engine -> SIP -> control socket -> ready

Each step can stop the start with one clear error. Stopping goes the other way round. What runs in between is
in the folders; here is only who is told of what.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from qm_sip.announce.coverage import load_for
from qm_sip.announce.prompts import PromptLibrary
from qm_sip.beside import Beside
from qm_sip.call.call import Call
from qm_sip.call.capture import agent_of
from qm_sip.call.media_plan import codecs_in_use
from qm_sip.call.states import State
from qm_sip.call.switchboard import Settings, Switchboard
from qm_sip.call.words import KeeperEvent, Word
from qm_sip.config import Config, load
from qm_sip.control.handlers import handlers
from qm_sip.control.server import ControlServer
from qm_sip.doorway import rules_of
from qm_sip.entropy import Entropy
from qm_sip.errors import QmSipError, Refused, StartError
from qm_sip.features import Features
from qm_sip.lamps.board import Lamps
from qm_sip.media import protocol
from qm_sip.media.client import MediaEngine
from qm_sip.monitor.clerk import CatalogClerk
from qm_sip.net.alarm import Alarm
from qm_sip.net.endpoint import SipEndpoint
from qm_sip.net.limits import Limits
from qm_sip.net.trust import Trust, expiries
from qm_sip.policy.draw import new_secret
from qm_sip.policy.facts import CallId, PersonId
from qm_sip.private import Private
from qm_sip.privateline.presets import Presets
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import Store
from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.keeper import CatalogKeeper
from qm_sip.recorder.keys import load_host_key
from qm_sip.recorder.pool import RendererPool, StorageTrouble
from qm_sip.recorder.reaper import Reaper
from qm_sip.recorder.recovery import recover
from qm_sip.sip.admission import Doorkeeper
from qm_sip.sip.events import Address
from qm_sip.sip.incidents import SecurityLog
from qm_sip.sip.ua import Credentials, Prack, UserAgent, UserAgentSettings
from qm_sip.trace.tap import Tap
from qm_sip.tracer import Tracer
from qm_sip.whereabouts import Whereabouts

log = logging.getLogger("qm_sip")
security = logging.getLogger("qm_sip.security")

RESTART_WAIT = (0.1, 0.5, 2.0, 5.0)  # seconds before an engine that died is started again
ENGINE_WAIT = 10.0  # seconds the engine gets to load its prompts
LOCK_WAIT = 6.0  # seconds the engine of a server that died gets to close its journals
SEED_PAUSE = 3600.0  # seconds between looks at the seeds: tomorrow's is there long before its first call
LAST_WORDS = 1.0  # seconds that phones get to hear that their lamps go out
RENDER_WAIT = 20.0  # seconds that renderers get when the server stops


def serve(directory: Path, ready_file: Path | None = None) -> int:
    """Run the server with the settings of `directory` until SIGTERM or SIGINT. Raises QmSipError if it cannot
    start.
    """
    logging.basicConfig(
        level=os.environ.get("QM_SIP_LOG", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(directory, ready_file))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


async def _serve(directory: Path, ready_file: Path | None) -> int:
    server = Server(directory)
    try:
        await server.start()
        _calm_collector()
        log.info("settings of %s: %s", directory, in_force(server.config))
        _say_ready(ready_file, server.config)
        await server.run()
    finally:
        await server.stop()
    return 0


class Server:
    """Everything that runs. `ServerState` of the control handlers is this."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started = datetime.now(UTC)
        self.run_id = f"{random.SystemRandom().getrandbits(64):016x}"
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._stopping = False
        self._reloading = asyncio.Lock()
        self._closers: list[Any] = []  # what to undo, last first
        self._tasks: set[asyncio.Task[None]] = set()
        self._engine_answers: asyncio.Future[None] | None = None  # while the engine starts
        self._prompts_wanted: set[str] = set()
        self._prompts_sent: dict[str, protocol.LoadPrompt] = {}  # to the engine that runs, by digest
        self._engine_deaths = 0
        self._strangers = 0  # RTP packets that were of no call

    # ---------------------------------------------------------------- starting

    async def start(self) -> None:
        config = load(self.directory)
        if config.server.unsafe.load_test:
            config = await _with_keys_of_its_own(config)
        self.settings = Settings(config, load_for(config))
        self.whereabouts = Whereabouts(config, random.SystemRandom())
        self._closers.append(self.whereabouts.stop)
        self._trust = _trusted(config, self.whereabouts)
        await self._start_recorder(config)
        self._make_switchboard(config)
        await self._start_engine()
        await self.tracer.start()
        self._closers.append(self.tracer.stop)
        await self.beside.start()
        self._closers.append(self.beside.stop)
        await self.whereabouts.use(config)
        await self.endpoint.start()
        self._closers.append(self.endpoint.stop)
        self.control = ControlServer(config.server.control.socket, handlers(self))
        await self.control.start()
        self._closers.append(self.control.stop)

    async def _start_recorder(self, config: Config) -> None:
        storage = config.server.storage
        self.store = Store(storage.directory, storage.key_directory)
        self.store.prepare()
        await asyncio.to_thread(self.store.lock, LOCK_WAIT)
        _warn_about_keys(storage.key_directory)
        key = load_host_key(storage.host_key, create=True)
        self.catalog = Catalog(storage.directory / "catalog.db", key)
        self._closers.append(self._close_catalog)
        pool = RendererPool(workers=1, on_try=self.catalog.tried)
        self.finisher = Finisher(self.catalog, self.store, pool)
        self._closers.append(self._stop_finisher)
        try:
            await recover(self.catalog, self.store, self.finisher)
        except (sqlite3.Error, OSError, StorageTrouble) as error:
            raise StartError(
                f"cannot bring what the last run left to its end: {error}", remedy="make room on the disk"
            ) from None

    async def _close_catalog(self) -> None:
        await asyncio.to_thread(self.catalog.close)

    async def _stop_finisher(self) -> None:
        await self.finisher.stop(RENDER_WAIT)

    def _make_switchboard(self, config: Config) -> None:
        external = config.server.sip.external_address
        settings = UserAgentSettings(
            external_address=Address(external, 0) if external else None,
            max_legs=config.server.sip.max_legs,
            session_expires=config.server.sip.session_expires,
            min_se=config.server.sip.min_se,
            next_hop_wait=config.server.sip.next_hop_wait.seconds,
        )
        if config.server.sip.messages == "refused":
            settings = replace(settings, allow=tuple(one for one in settings.allow if one != "MESSAGE"))
        rng = Entropy()
        security_log = SecurityLog(security)
        self.door = Doorkeeper(rules_of(config, self._identities), rng, security_log)
        self.ua = UserAgent(settings, rng, self.door, self._prack)
        self.engine = MediaEngine(keeps=[self.store.lock_handle])
        self.engine.on_event, self.engine.on_death = self._on_media, self._on_engine_death
        self.keeper = CatalogKeeper(self.catalog, self.finisher, self._config, self.run_id, self._on_kept)
        self._closers.append(self.keeper.stop)
        self.presets = Presets(self.catalog.presets())
        for over in self.presets.expire(datetime.now(UTC)):
            self.keep(over)
        self.reaper = Reaper(self.catalog, self.store, self.finisher, self._config)
        self._spawn(self.reaper.keep_running())
        self.switchboard = Switchboard(
            self.ua, self.engine, self.keeper, self.settings, rng, lambda: datetime.now(UTC)
        )
        self.switchboard.set_credentials(_credentials(config))
        self.switchboard.locate = self.whereabouts.locate
        clerk = CatalogClerk(self.catalog, self._config, self._spawn, self._after)
        self.features = Features(self.switchboard, clerk, self.presets)
        self.switchboard.features = self.features
        self.switchboard.onlooker = self.lamps = Lamps(self.switchboard, self.presets)
        self.presets.changed = self._preset_changed
        self._alarm = Alarm(self.switchboard, self._after)
        self._spawn(self._keep_seeds())
        listen = [Address(at.host, at.port, at.transport) for at in config.server.sip.listen]
        self.endpoint = SipEndpoint(
            self.ua, listen, self._on_sip, self._is_peer, _limits(config), self._trust, security_log
        )
        self.switchboard.identities = self._identities
        self.tracer = Tracer(self.switchboard, self.endpoint, self._config)
        self.beside = Beside(self.switchboard, self._config, self._after, lambda: self.lamps.lit)

    def _config(self) -> Config:
        return self.settings.config

    async def _keep_seeds(self) -> None:
        """Commit to the seeds of today and tomorrow before anything is drawn by them; reveal those of past days."""
        while True:
            today = datetime.now(UTC).date()
            try:
                for day in self.switchboard.seeds.wanted(today):
                    seed = await asyncio.wrap_future(self.catalog.commit_draw(day, new_secret()))
                    self.switchboard.seeds.add(day, seed)
                await asyncio.wrap_future(self.catalog.reveal_draws(today))
            except sqlite3.Error as error:
                log.error("no seed could be committed to: samples are not drawn: %s", type(error).__name__)
            await asyncio.sleep(SEED_PAUSE)

    async def _start_engine(self) -> None:
        self._closers.append(self.engine.stop)
        await self._run_engine()

    async def _run_engine(self) -> None:
        """Start the engine and hand it what it must know before the first call. Raises StartError if it
        cannot.
        """
        config, library = self.settings
        media = config.server.media
        await self.engine.start()
        self._prompts_sent.clear()
        self.engine.send(
            protocol.Configure(
                address=media.address,
                port_low=media.ports[0],
                port_high=media.ports[1],
                journal_directory=str(self.store.journals),
                key_directory=str(self.store.keys),
                codecs=codecs_in_use(config),
            )
        )
        wanted = self._load_prompts(library, config)
        self._engine_answers = asyncio.get_running_loop().create_future()
        self._prompts_wanted = wanted
        try:
            await asyncio.wait_for(self._engine_answers, ENGINE_WAIT)
        except TimeoutError:
            raise StartError("the media engine does not answer", remedy="see its lines in this log") from None

    def _load_prompts(self, library: PromptLibrary, config: Config) -> set[str]:
        """Tell the engine which prompts there are and which a line may use. Returns their digests.

        Those that tell of no use (confirmations, what staff hear) belong to no line. What the engine has it is not
        told again: encoding all of them takes it some 40 ms, in which no packet would pass.
        """
        for prompt in library:
            told = protocol.LoadPrompt(
                prompt=prompt.digest,
                path=str(prompt.path.absolute()),
                identity=prompt.identity,
                language=prompt.language,
                uses=sorted(prompt.uses),
                purposes=sorted(prompt.purposes),
            )
            if self._prompts_sent.get(prompt.digest) != told:
                self.engine.send(told)
                self._prompts_sent[prompt.digest] = told
        for name, line in config.lines.line.items():
            found = [library.find(line.prompt, language) for language in line.languages]
            digests = {prompt.digest for prompt in found if prompt} | self.switchboard.prompts_in_use(name)
            self.engine.send(protocol.LoadLine(line=name, prompts=sorted(digests)))
        return {prompt.digest for prompt in library}

    def _on_engine_answer(self, event: protocol.Event) -> None:
        """While the engine starts: every prompt must be loaded, and nothing may fail."""
        if isinstance(event, protocol.PromptLoaded):
            self._prompts_wanted.discard(event.prompt)
        failed = isinstance(event, protocol.PromptRefused | protocol.CommandFailed)
        waiting = self._engine_answers
        if waiting is None or waiting.done():
            return
        if failed:
            waiting.set_exception(
                StartError(f"the media engine cannot start: {getattr(event, 'reason', '')}")
            )
        elif not self._prompts_wanted and isinstance(event, protocol.PromptLoaded | protocol.Configured):
            waiting.set_result(None)

    # ---------------------------------------------------------------- running

    async def run(self) -> None:
        """Until SIGTERM: then no new calls, running ones finish; a second signal ends them with BYE."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        await self._stop.wait()
        log.info("stopping: no new calls; %d running", self.switchboard.calls_shown)
        while self.switchboard.busy:
            self._idle.clear()
            await self._idle.wait()
        await self._darken()
        await asyncio.sleep(0.1)  # the last responses and retransmissions leave

    async def _darken(self) -> None:
        """Phones that watch lamps are told that we go; they get a moment to say that they have heard it."""
        self.ua.end_watches("deactivated", time.monotonic())
        until = time.monotonic() + LAST_WORDS
        while self.ua.watches and time.monotonic() < until:
            self._after()
            await asyncio.sleep(0.02)

    def _on_signal(self) -> None:
        if not self._stopping:
            self._stopping = True
            self.ua.reject_new(503)
            self.features.room.nobody_waits(time.monotonic())
            self._after()
            _notify("STOPPING=1")
            self._stop.set()
            return
        log.warning("a second signal: ending %d calls", self.switchboard.calls_shown)
        self.switchboard.hang_up_all(time.monotonic())
        self._after()

    def _on_hangup(self) -> None:
        self._spawn(self._reload_and_log())

    async def _reload_and_log(self) -> None:
        try:
            await self.reload()
        except (OSError, QmSipError) as error:
            log.error("not reloaded, the old settings stay in force: %s", error)

    async def stop(self) -> None:
        """Undo what was started, last first. An error of one step does not keep the others from it."""
        for task in list(self._tasks):
            task.cancel()
        for close in reversed(self._closers):
            try:
                await close()
            except (OSError, QmSipError) as error:
                log.error("while stopping: %s", error)
        self._closers.clear()

    # ---------------------------------------------------------------- who is told of what

    def _prack(self, source: Address) -> Prack:
        """Whether provisional responses to a caller are acknowledged."""
        peer = self.door.rules.find(source)
        return Prack(self.settings.config.peer(peer).prack) if peer is not None else Prack.NO

    def _identities(self, source: Address) -> Collection[str]:
        return self.endpoint.identities(source)

    def _is_peer(self, host: str, identities: Collection[str] | None) -> bool:
        return self.settings.config.peer_of(host, None, identities) is not None

    def _on_sip(self, events: Sequence[Any]) -> None:
        now = time.monotonic()
        try:
            for event in events:
                self.switchboard.on_sip(event, now)
        finally:
            self._after()

    def _on_media(self, event: protocol.Event) -> None:
        if isinstance(event, protocol.PromptRefused):
            log.error("the engine refused a prompt: %s", event.reason)
        if isinstance(event, protocol.LegClosed):
            self._strangers += event.strangers
        self._on_engine_answer(event)
        try:
            self.switchboard.on_media(event, time.monotonic())
        finally:
            self._after()

    def _preset_changed(self, person: PersonId) -> None:
        self.lamps.preset(person, time.monotonic())
        self._after()

    def _on_kept(self, event: KeeperEvent) -> None:
        try:
            self.switchboard.on_kept(event, time.monotonic())
        finally:
            self._after()

    def _after(self) -> None:
        """Send what the calls said, and notice when the last one is over."""
        self.switchboard.settle(time.monotonic())
        if self.endpoint.addresses:  # not while the engine starts: the door is closed yet
            self.endpoint.flush()
        self._alarm.set()
        if not self.switchboard.busy:
            self._idle.set()

    def _on_engine_death(self, status: int) -> None:
        self._engine_deaths += 1
        log.error(
            "the media engine died (status %d); %d calls go on without it",
            status,
            self.switchboard.calls_shown,
        )
        self.switchboard.engine_died(time.monotonic())
        self._after()
        starting = self._engine_answers
        if starting is not None and not starting.done():  # whoever started it tries again
            starting.set_exception(StartError(f"the media engine died while it started (status {status})"))
        elif not self._stopping:
            self._spawn(self._restart_engine())

    async def _restart_engine(self) -> None:
        for attempt, wait in enumerate((*RESTART_WAIT, *[RESTART_WAIT[-1]] * 1000)):
            await asyncio.sleep(wait)
            try:
                await self._run_engine()
            except (OSError, QmSipError) as error:
                log.error("the media engine did not start (try %d): %s", attempt + 1, error)
                await self.engine.stop()  # one that hangs must not stay beside the next
                continue
            self.switchboard.engine_started()
            log.info("the media engine runs again")
            return

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Whatever runs by itself ends in the log, if it ends badly: nobody else would hear of it."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the server failed", exc_info=error)

    # ---------------------------------------------------------------- what the command line sees

    @property
    def config(self) -> Config:
        return self.settings.config

    @property
    def library(self) -> PromptLibrary:
        return self.settings.library

    @property
    def tap(self) -> Tap | None:
        return self.tracer.tap

    @property
    def asterisk(self) -> str:
        return self.beside.status()

    def keep(self, word: Word) -> None:
        self.keeper.keep(word)

    def live_calls(self) -> Sequence[Mapping[str, Any]]:
        now = time.monotonic()
        return [
            {
                "call": call.id,
                "line": call.facts.line,
                "state": call.state.value,
                "relayed": call.relayed,
                "seconds": round(now - call.book.started, 1),
            }
            for call in self.switchboard
            if not call.book.silent and not call.book.ended
        ]

    def live_taps(self) -> Sequence[Mapping[str, Any]]:
        now = time.monotonic()
        taps = [row for session in self.features.room.sessions.values() if (row := session.tap(now))]
        for call in self.switchboard:
            running = call.recording.capture.running if call.recording else None
            if running is not None and running.kept_from is not None and call.state is State.TALKING:
                taps.append(
                    {
                        "tap": running.recording,
                        "call": call.id,
                        "use": running.decision.use.value,
                        "purposes": [purpose.name for purpose in running.decision.purposes],
                        "seconds": round(max(0.0, now - running.kept_from), 1),
                        "paused": call.book.state.value not in ("recorded", "told"),
                    }
                )
        return taps

    # ---------------------------------------------------------------- what a command may do to a call

    def pause(self, call: str, *, on: bool) -> bool | None:
        found = self._shown_call(call)
        if found is None:
            return None
        now = time.monotonic()
        done = found.pausing.pause(now) if on else found.pausing.resume(now)
        self._after()
        return done

    def request_recording(self, call: str, agent: PersonId) -> bool | None:
        found = self._shown_call(call)
        if found is None:
            return None
        party = agent_of(found.facts)
        if party is None or party.person != agent:
            raise Refused(
                "not-your-call", "only the agent of a call has it recorded at his request (KSF15-0.2)"
            )
        done = found.request_recording(time.monotonic())
        self._after()
        return done

    def listen(self, monitor: PersonId, extension: str, purpose: str) -> str:
        session = self.features.call_monitor(monitor, extension, purpose, time.monotonic())
        self._after()
        return session

    def stop_listening(self, session: str) -> bool:
        found = self.features.room.sessions.get(session)
        if found is not None:
            found.stop("stopped", time.monotonic())
            self._after()
        return found is not None

    def listeners(self) -> Sequence[Mapping[str, Any]]:
        return [session.shown(time.monotonic()) for session in self.features.room.sessions.values()]

    def _shown_call(self, call: str) -> Call | None:
        """A running call that may be spoken of (I8)."""
        found = self.switchboard.calls.get(CallId(call))
        return None if found is None or found.unsaid else found

    def counts(self) -> Mapping[str, int]:
        here = {
            "sip_legs": self.switchboard.legs_shown,
            "sip_transactions": self.switchboard.transactions_shown,
            "lamps_watched": self.ua.watches,
            **{f"lamps_{kind}": n for kind, n in sorted(self.ua.watch_counts.items())},
            "sip_garbage": self.ua.counts["garbage"],
            "sip_connections_refused": self.endpoint.streams.refused,
            "sip_tls_refused": self.endpoint.streams.counts["tls"],
            "sip_unsent": self.endpoint.lost,
            **{f"door_{kind.replace('-', '_')}": n for kind, n in sorted(self.door.counts.items())},
            "rtp_strangers": self._strangers,
            "engine_deaths": self._engine_deaths,
            **self.tracer.counts(),
            **self.beside.counts(),
        }
        return {**here, **dict(sorted(self.keeper.counts.items()))}

    async def reload(self) -> None:
        """Read the files again, certificates among them. Addresses, ports and storage need a restart; the old ones are
        kept. Raises ConfigError, and then everything is as it was. One at a time: names are looked up meanwhile, and
        who began first must not have the last word with files that are older.
        """
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        config = load(self.directory)
        if config.server.unsafe.load_test:
            config = config.with_recipients({n: k.recipients for n, k in self.config.server.keys.items()})
        if _fixed(config) != _fixed(self.config):
            log.warning(
                "reload: changes of sip.listen, external_address, nameservers, next_hop_wait, max_legs or connections,"
                " of [media], [storage], [control] or [hep] need a restart"
            )
        settings, trust = Settings(config, load_for(config)), _trusted(config, self.whereabouts)
        rules, credentials = rules_of(config, self._identities), _credentials(config)
        await self.whereabouts.use(config)
        await self.beside.use(config)
        self.settings = settings
        self.door.use(rules)
        self.endpoint.use(trust)
        self.switchboard.set_credentials(credentials)
        self._load_prompts(self.settings.library, config)
        self.switchboard.use(self.settings, time.monotonic())
        self.features.room.reloaded(time.monotonic())
        self.lamps.reloaded(time.monotonic())
        self.tracer.configure()
        self._after()
        log.info("reloaded: %s", in_force(config))


# --------------------------------------------------------------------------- small things


def _fixed(config: Config) -> tuple[object, ...]:
    """What a reload does not change."""
    server, sip = config.server, config.server.sip
    own = (
        sip.listen,
        sip.external_address,
        sip.nameservers,
        sip.next_hop_wait,
        sip.max_legs,
        sip.connections,
    )
    return own, server.media, server.storage, server.control, server.hep


def _limits(config: Config) -> Limits:
    most = config.server.sip.connections
    return Limits(
        most=most.most,
        of_a_peer=most.of_a_peer,
        of_a_stranger=most.of_a_stranger,
        of_strangers=most.of_strangers,
        idle=most.idle.seconds,
        keep_alive=most.keep_alive.seconds,
    )


def _trusted(config: Config, whereabouts: Whereabouts) -> Trust | None:
    """The certificates of these settings; a word in the log of those that end soon. Raises ConfigError."""
    trust = Trust.of(config, whereabouts.owner)
    for one in expiries(config):
        if (warning := one.warning(datetime.now(UTC))) is not None:
            log.warning("the certificate %s %s", one.file, warning)
    return trust


def _credentials(config: Config) -> dict[str, Credentials]:
    """Who we are to each peer that may challenge us. The password is read at the start, from its own file."""
    found = {}
    for name, peer in config.server.peers.items():
        if not peer.username or peer.password_file is None:
            continue
        try:
            password = peer.password_file.read_text(encoding="utf-8").splitlines()[0]
        except (OSError, IndexError, UnicodeDecodeError):
            raise StartError(
                f"cannot read the password file {peer.password_file} of peer {name}",
                remedy="put the password on its first line",
            ) from None
        found[name] = Credentials(peer.username, Private(password))
    return found


async def _with_keys_of_its_own(config: Config) -> Config:
    """A load test seals to keys that were made a moment ago and are kept beside its recordings."""
    directory = config.server.storage.directory / "load-test-keys"
    purposes = sorted({purpose for line in config.lines.line.values() for purpose in line.purposes})
    # In a process of its own: age's library holds the GIL, and has no business in the serving process.
    program = (
        "import sys; from pathlib import Path; from qm_sip.recorder.keys import generate;"
        "[print(key.purpose, key.recipient) for key in generate(Path(sys.argv[1]), sys.argv[2:])]"
    )
    for old in directory.glob("*.agekey"):
        old.unlink()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(directory), *purposes],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StartError(f"cannot make the load test's keys: {done.stderr.strip().splitlines()[-1:]}")
    made = dict(line.split() for line in done.stdout.splitlines())
    return config.with_recipients({purpose: (recipient,) for purpose, recipient in made.items()})


def _warn_about_keys(directory: Path) -> None:
    """A key directory that survives the power is not what the design promises: say so, loudly."""
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
        place = directory.resolve()
        fitting = [(len(m[1]), m[2]) for m in mounts if place.is_relative_to(m[1])]
        kind = max(fitting, default=(0, ""))[1]
        if kind not in ("tmpfs", "ramfs"):
            log.warning(
                "the key directory %s is on %s, not in memory: keys would outlive a power cut", place, kind
            )


def _calm_collector() -> None:
    """What was made at the start stays: keep the garbage collector from going over it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def in_force(config: Config) -> str:
    """What the settings do, in a few words: the first thing to look at when nothing is recorded."""
    lines = config.lines.line
    recording = sorted(name for name, line in lines.items() if line.capture != "none")
    regulation = config.regulation.regulation
    lacks = regulation.lacks(datetime.now(UTC).date())
    recorded = ", ".join(recording) or "none"
    return f"lines: {len(lines)}; switched to record: {recorded}; regulation: {lacks or 'in force'}"


def _say_ready(ready_file: Path | None, config: Config) -> None:
    if ready_file is not None:
        ready_file.write_text(f"{os.getpid()}\n", encoding="ascii")
    _notify("READY=1")
    listen = ", ".join(f"{at.transport} {at.host} port {at.port}" for at in config.server.sip.listen)
    log.info("ready: SIP on %s, control socket %s", listen, config.server.control.socket)


def _notify(state: str) -> None:
    """Tell systemd, if it started us (sd_notify)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.connect("\0" + path[1:] if path.startswith("@") else path)
        notifier.sendall(state.encode())
