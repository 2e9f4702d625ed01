"""A server of one test: its settings, its own loopback addresses, and what must be true of what it leaves behind."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from qm_sip.demo.server import Server
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.export import open_sealed, verify
from qm_sip.recorder.keys import load_host_key, read_identity
from qm_sip.recorder.rows import Recording, State
from qm_sip.sip.events import Address
from tests.announce.helpers import put, put_rest
from tests.faults import rtp
from tests.faults.phones import Call, Phones

T = TypeVar("T")
BEFORE, ON_ANSWER = "0201110001", "0201110002"
PURPOSE = "contract_evidence"
PROMPT_SECONDS = 0.4
DEEP = os.environ.get("QM_SIP_TEST_DEPTH") == "deep"

LINES = f"""
[line.before]
kind = "customer-facing"
match = {{ numbers = ["{BEFORE}"] }}
controller = "Test"
purposes = ["{PURPOSE}"]
prompt = "short"
languages = ["en"]
announce = "before-ring"
capture = "all"

[line.answered]
kind = "customer-facing"
match = {{ numbers = ["{ON_ANSWER}"] }}
controller = "Test"
purposes = ["{PURPOSE}"]
prompt = "short"
languages = ["en"]
announce = "on-answer"
capture = "all"
"""

REGULATION = f"""
[regulation]
version = "test"
controller = "Test"

[purposes.{PURPOSE}]
class = "logging"
ground = {{ agent = "f", customer = "b" }}
balancing = "a test"

[clocks]
{PURPOSE} = "P1D"
"""

SERVER = """
[sip]
max_lag = "10s"
listen = ["udp:{server}:5080"]

[media]
address = "{server}"
ports = [20000, 29999]

[prompts]
directory = "prompts"

[peers.customers]
addresses = ["{customers}"]
may = ["carry"]

[peers.agents]
addresses = ["{agents}"]
may = ["carry"]
next_hop = "{agents}:5060"

[[routes]]
from = "customers"
to = "agents"
direction = "inbound"
"""


@dataclass(frozen=True)
class Where:
    """Four loopback addresses that no other test uses."""

    server: str
    customers: str
    agents: str
    strangers: str

    @classmethod
    def somewhere(cls) -> Where:
        net = f"127.{random.randrange(16, 250)}.{random.randrange(250)}"
        return cls(*(f"{net}.{host}" for host in range(1, 5)))


class Site:
    """Settings in `work/config`; the server is started by `with site.running()` or `site.server.start()`."""

    def __init__(self, work: Path, *, storage: Path | None = None) -> None:
        self.work, self.where = work, Where.somewhere()
        config = work / "config"
        config.mkdir(parents=True)
        (config / "qm_sip.toml").write_text(SERVER.format(**vars(self.where)))
        (config / "lines.toml").write_text(LINES)
        (config / "regulation.toml").write_text(REGULATION)
        (config / "people.toml").write_text("")
        put(config / "prompts", "short", "en", seconds=PROMPT_SECONDS, identity="Test", purposes=[PURPOSE],
            text="{identity}. This call is recorded as proof.")  # fmt: skip
        put_rest(config / "prompts")
        environment = {"QM_SIP_PROMPTS_DIRECTORY": str(config / "prompts")}
        if storage is not None:
            environment["QM_SIP_STORAGE_DIRECTORY"] = str(storage)
        self.server = Server(config, work / "server", purposes=(PURPOSE,), environment=environment)
        self.storage = Path(self.server.environment["QM_SIP_STORAGE_DIRECTORY"])
        self.keys = Path(self.server.environment["QM_SIP_STORAGE_KEY_DIRECTORY"])

    @property
    def address(self) -> Address:
        return Address(self.where.server, 5080)

    @property
    def log(self) -> str:
        return self.server.log.read_text(errors="replace")

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        with self.server as server:
            yield server

    def phones(self, *, rings: float = 0.0) -> Phones:
        """New phones: what older ones still retransmit is not theirs."""
        return Phones(self.where.customers, self.where.agents, self.address, ports=(0, 5060), rings=rings)

    # ---------------------------------------------------------------- processes

    def child(self, module: str) -> int | None:
        """The server's child process that runs this module."""
        return next((pid for pid in children(self.server.pid) if module in command_of(pid)), None)

    def engine(self) -> int:
        return until(lambda: self.child("qm_sip.media.engine"), 10, "engine process")

    def engine_ready(self) -> int:
        """The engine's process once a call could be recorded."""
        until(lambda: self.log.count("ready") + self.log.count("runs again"), 10, "engine")
        return self.engine()

    # ---------------------------------------------------------------- what was kept

    @contextlib.contextmanager
    def catalog(self) -> Iterator[Catalog]:
        host_key = load_host_key(Path(self.server.environment["QM_SIP_STORAGE_HOST_KEY"]))
        catalog = Catalog(self.storage / "catalog.db", host_key, readonly=True)
        try:
            yield catalog
        finally:
            catalog.close()

    def settled(self, seconds: float = 30) -> None:
        """Wait until no call is open and every recording has come to its end."""
        with self.catalog() as catalog:
            until(lambda: not catalog.open_calls() and not catalog.unfinished(), seconds, "settled catalog")
        until(lambda: not any(self.keys.iterdir()), 10, "end of all keys")

    def kept(self) -> dict[str, Kept]:
        """What the catalog knows of each caller's call."""
        with self.catalog() as catalog:
            return {found.caller: found for found in map(self._kept(catalog), catalog.calls(10_000))}

    def _kept(self, catalog: Catalog) -> Callable[[dict[str, object]], Kept]:
        def read(row: dict[str, object]) -> Kept:
            told = catalog.explain(str(row["id"]))
            assert told is not None
            caller = next(str(party["address"]) for party in told["parties"] if party["outside"])
            reasons = [reason["code"] for reason in told["reasons"]]
            return Kept(
                caller, str(told["outcome"]), reasons, told["spans"], catalog.recordings_of(str(row["id"]))
            )

        return read

    def samples(self, recording: Recording) -> NDArray[np.int16]:
        """The recording, opened as its key holder may, and found to be as it was made."""
        assert recording.file is not None
        identity = read_identity(self.server.identity)
        data = open_sealed(self.storage / "recordings" / recording.file, recording.wrapped[PURPOSE], identity)
        assert verify(data, recording).wrong == []
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
        return np.asarray(samples)

    def nothing_left_over(self, recordings: list[Recording]) -> None:
        """One file for each sealed recording, and nothing else: no journal, no key, nothing half written."""
        sealed = sorted(str(recording.file) for recording in recordings if recording.state is State.SEALED)
        assert sorted(path.name for path in (self.storage / "recordings").iterdir()) == sealed
        assert list((self.storage / "journals").iterdir()) == []
        assert list((self.storage / "quarantine").iterdir()) == [], (recordings, self.log)
        assert list(self.keys.iterdir()) == []

    def nothing_in_clear(self, *numbers: str) -> None:
        """Neither audio nor who phoned, in any file that the server wrote, its log included."""
        never = [*rtp.mark_in_clear(), b"fLaC", b"RIFF", b"QM_RECORDING_ID", *(n.encode() for n in numbers)]
        for path in [*self.storage.rglob("*"), *self.keys.rglob("*"), self.server.log]:
            try:
                data = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:
                continue  # a journal that has just been rendered
            assert [word for word in never if word in data] == [], path


@dataclass
class Kept:
    """One call as the catalog tells it."""

    caller: str
    outcome: str
    reasons: list[str]
    spans: list[dict[str, object]]
    recordings: list[Recording] = field(default_factory=list)

    @property
    def recording(self) -> Recording:
        (only,) = self.recordings
        return only

    @property
    def recorded(self) -> float:
        """Seconds of the call that were recorded, by its spans."""
        spans = [span for span in self.spans if span["state"] == "recorded"]
        return sum(int(str(span["to_ms"])) - int(str(span["from_ms"])) for span in spans) / 1000

    @property
    def seconds(self) -> float:
        """Length of its recording."""
        facts = self.recording.facts
        return float(facts["frames"] or 0) / float(facts["rate"] or 8000)

    def state_of(self, reason: str) -> str:
        return next(str(span["state"]) for span in self.spans if span["reason"] == reason)


def lost(site: Site, call: Call, kept: Kept, *, until: float) -> float:
    """How much of what both said up to then is missing at the end of the recording, in seconds; nothing else may be.

    Whoever was heard a second before must be in the file: both channels, each packet, none from before the other
    side was connected.
    """
    recording = kept.recording
    if recording.state is not State.SEALED:
        assert recording.state is State.FAILED, recording.state
        return until - call.bridged if call.bridged else 0.0
    samples = site.samples(recording)
    missing = 0.0
    for phone in call.both:
        found = rtp.in_samples(samples[:, phone.side])
        numbers = [number for at, side, number in found if (at, side) == (call.number, phone.side)]
        assert len(numbers) == len(found), "a channel holds somebody else"
        end = max((number for number, sent in enumerate(phone.sent) if sent <= until), default=-1)
        if not numbers:
            missing = max(missing, until - (call.bridged or until))
            continue
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a hole within the recording"
        assert phone.sent[numbers[0]] >= told(call), "kept from before the customer was told"
        if numbers[-1] < end:
            missing = max(missing, until - phone.sent[numbers[-1] + 1])
    return missing


def told(call: Call) -> float:
    """Not before this moment had the customer heard the prompt (less what a packet may take)."""
    assert call.bridged is not None
    return call.bridged - 0.1


def children(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return found


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def running(pid: int) -> bool:
    """Whether this process is still at work: not gone, and not waiting to be buried."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.02)
    return found
