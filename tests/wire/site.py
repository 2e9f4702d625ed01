"""A running `qm-sip serve` with neighbours on loopback addresses of their own, for tests that look at the wire.

    .1  the server          .10 pbx, trusted, sends calls       .20 agents, trusted, is called
    .30 carrier, a stranger to our people       .40 strict, asks for a digest       .50 nobody is there
    .45 stream, trusted, over TCP       .46 both, trusted, over UDP and TCP       .47 deaf, over TCP: nobody is there
    .48 locked, shows a password       .49 eager, may bring three calls, five a second
    .60 and on: SIPp pairs behind lines that spoil packets; who is called there may transfer to 8... of his own

Numbers: 20... before-ring, 21... on-answer, 1900 confidential, 4... strict, 5... nobody, everything else goes direct.
6... stream (62... on-answer), 8... both, 9... deaf. A REFER of .10 is passed on, one of .20 is carried out here.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qm_sip.announce.wav import write_wav
from qm_sip.control.client import call
from qm_sip.sip.digest_server import ALGORITHMS, ha1
from tests.announce.helpers import toml

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from qm_sip.cli.main import main; main()"]
PROMPT_SECONDS = 0.3
SIP, RTP = 5060, 30_000  # every neighbour's ports
PASSWORD = "open sesame"
PAIRS = 14  # of SIPp behind lines that lose, double and swap packets

RULES = """
[line.before]
kind = "customer-facing"
match = { numbers = ["2000"] }
controller = "Test"
purposes = ["contract_evidence"]
prompt = "short"
languages = ["en"]
announce = "before-ring"
capture = "all"

[line.answer]
kind = "customer-facing"
match = { numbers = ["2100", "6200"] }
controller = "Test"
purposes = ["contract_evidence"]
prompt = "short"
languages = ["en"]
announce = "on-answer"
capture = "all"

[never]
confidential = [{ name = "works council", numbers = ["1900"], reason = "KSF15-2.1l", since = 2024-01-01 }]
"""
AGENT = """
[agent.a{number}]
extensions = ["100{number}"]
monitorable = true
reason = "Test"
"""
PROMPT = {
    "id": "short",
    "language": "en",
    "kind": "customer-notice",
    "text": "{identity}. This call is recorded as proof.",
    "identity": "Test",
    "uses": ["record"],
    "purposes": ["contract_evidence"],
    "says": "does",
    "recorded_by": "the test",
}


class Site:
    """The server, and where everybody is. `ask` is the control socket."""

    def __init__(self, home: Path, network: str) -> None:
        self.home, self.network = home, network
        self.server = (f"{network}.1", 5080)
        self.left = 0  # calls that were running already

    def at(self, host: int) -> str:
        return f"{self.network}.{host}"

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        return call(self.home / "run" / "control", what, **arguments)

    def log(self) -> str:
        return (self.home / "log").read_text()

    @contextlib.contextmanager
    def settings(self, *changes: tuple[str, str]) -> Iterator[None]:
        """Other settings for a while, by reload. What the door knows of sources is forgotten at both ends."""
        file = self.home / "qm_sip.toml"
        before = file.read_text()
        text = before
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        try:
            file.write_text(text)
            self.ask("reload")
            yield
        finally:
            file.write_text(before)
            self.ask("reload")

    def cpu(self) -> float:
        """Seconds that the serving process has used."""
        pid = int((self.home / "ready").read_text())
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counts(self) -> dict[str, int]:
        """What was refused at the door so far, by kind."""
        found = self.ask("status")["counts"].items()
        return {name.removeprefix("door_"): n for name, n in found if name.startswith("door_")}

    def calls_end(self, within: float = 5.0) -> None:
        """No call runs any more; its legs may linger for their last retransmissions."""
        until = time.monotonic() + within
        while (status := self.ask("status"))["calls"] > self.left:
            assert time.monotonic() < until, (
                f"a call never ends: {status['calls']}, {self.ask('calls', limit=3)}"
            )
            time.sleep(0.05)

    def outcomes(self) -> list[str | None]:
        """The outcome of every call so far, the newest first."""
        return [row["outcome"] for row in self.ask("calls", limit=1000)["calls"]]


def free_network() -> str:
    """The first three numbers of a loopback network on which nobody else's server is."""
    choice = random.SystemRandom()
    while True:
        network = f"127.{choice.randint(100, 199)}.{choice.randint(1, 254)}"
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((f"{network}.1", 5080))
            return network


def and_more(tables: str) -> Callable[[Site], str]:
    """The usual qm_sip.toml and these tables."""
    return lambda site: _settings(site) + tables


@contextlib.contextmanager
def running(settings: Callable[[Site], str] | None = None) -> Iterator[Site]:
    """A server that is ready, with its files in memory; everything is gone afterwards. `settings` gives another
    qm_sip.toml.
    """
    with tempfile.TemporaryDirectory(prefix="qm_sip-wire-", dir=_memory()) as directory:
        site = Site(Path(directory), free_network())
        _write(site, settings or _settings)
        with _served(site):
            yield site


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _write(site: Site, settings: Callable[[Site], str]) -> None:
    load = ROOT / "config" / "examples" / "load"
    shutil.copy(load / "regulation.toml", site.home)
    (site.home / "people.toml").write_text("".join(AGENT.format(number=number) for number in (1, 2)))
    (site.home / "lines.toml").write_text(RULES)
    (site.home / "qm_sip.toml").write_text(settings(site))
    (site.home / "password").write_text(PASSWORD + "\n")
    (site.home / "hep.key").write_text("sesame\n")
    hashes = (f"{name} {ha1(name, 'bea', 'wire', PASSWORD)}\n" for name in ALGORITHMS)
    (site.home / "hashes").write_text("".join(hashes))
    prompts = site.home / "prompts" / "en"
    prompts.mkdir(parents=True)
    (prompts / "short.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in PROMPT.items()))
    ramp = np.arange(int(8000 * PROMPT_SECONDS), dtype=np.int16)
    (prompts / "short.wav").write_bytes(write_wav(ramp))


def _settings(site: Site) -> str:
    at = site.at
    text = f"""
[sip]
max_lag = "10s"
listen = ["udp:{at(1)}:5080", "tcp:{at(1)}:5080"]
carry_headers = ["X-QM-Line", "X-Colour"]
[media]
address = "{at(1)}"
ports = [20000, 29999]
[storage]
directory = "storage"
key_directory = "keys"
host_key = "host.key"
[control]
socket = "run/control"
[prompts]
directory = "prompts"
[unsafe]
load_test = true
[peers.pbx]
addresses = ["{at(10)}"]
may = ["carry", "toggle"]
trusted = true
refer = "pass"
[peers.carrier]
addresses = ["{at(30)}"]
strip = ["X-Shade"]
[peers.agents]
addresses = ["{at(20)}"]
trusted = true
refer = "here"
bodies = ["application/isup"]
next_hop = "{at(20)}:{SIP}"
[peers.strict]
addresses = ["{at(40)}"]
next_hop = "{at(40)}:{SIP}"
carry = ["Diversion"]
send_identity = true
username = "qm"
password_file = "password"
[peers.nobody]
addresses = ["{at(50)}"]
next_hop = "{at(50)}:{SIP}"
[peers.stream]
addresses = ["{at(45)}:{SIP}"]
trusted = true
next_hop = "{at(45)}:{SIP}"
transport = "tcp"
[peers.both]
addresses = ["{at(46)}"]
trusted = true
next_hop = "{at(46)}:{SIP}"
[peers.locked]
addresses = ["{at(48)}"]
auth = "digest"
auth_in_dialog = true
realm = "wire"
algorithms = ["SHA-512-256", "SHA-256", "MD5"]
[peers.locked.users]
alice = "password"
bea = "hashes"
[peers.eager]
addresses = ["{at(49)}"]
max_calls = 3
max_setups = 5
[peers.deaf]
addresses = ["{at(47)}"]
next_hop = "{at(47)}:{SIP}"
transport = "tcp"
[[routes]]
from = "stream"
to = "agents"
direction = "inbound"
[[routes]]
from = "both"
to = "agents"
direction = "inbound"
[[routes]]
from = "locked"
to = "agents"
direction = "inbound"
[[routes]]
from = "eager"
to = "agents"
direction = "inbound"
[[routes]]
from = "pbx"
to = "agents"
direction = "inbound"
[[routes]]
from = "carrier"
to = "agents"
direction = "inbound"
[[routes]]
from = "agents"
to = "agents"
direction = "inbound"
"""
    for to, prefix in (("strict", "4"), ("nobody", "5"), ("stream", "6"), ("both", "8"), ("deaf", "9")):
        text += f'[[routes]]\nfrom = "pbx"\nto = "{to}"\ndirection = "inbound"\ncalled = "{prefix}"\n'
    text += '[[routes]]\nfrom = "stream"\nto = "stream"\ndirection = "inbound"\ncalled = "6"\n'
    for pair in range(PAIRS):
        text += f"""
[peers.far{pair}]
addresses = ["{at(60 + 2 * pair)}"]
next_hop = "{at(60 + 2 * pair)}:{SIP}"
refer = "here"
[peers.near{pair}]
addresses = ["{at(61 + 2 * pair)}"]
[[routes]]
from = "near{pair}"
to = "far{pair}"
direction = "inbound"
[[routes]]
from = "far{pair}"
to = "far{pair}"
direction = "inbound"
called = "8"
"""
    return text


@contextlib.contextmanager
def _served(site: Site) -> Iterator[None]:
    ready = site.home / "ready"
    line = [*PROGRAM, "serve", "--config", str(site.home), "--ready-file", str(ready)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with (site.home / "log").open("w") as log:
        server = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 40
        while not ready.exists():
            assert server.poll() is None and time.monotonic() < until, site.log()
            time.sleep(0.05)
        yield
        assert "Traceback" not in site.log(), site.log()
    finally:
        server.kill()
        server.wait(10)
