"""Where one peer is tried: a network of its own, a running `qm-sip serve`, and the phone on the other side of it.

    127.0.0.2   the server          127.0.0.30   the partner, a pjsua2 phone that is known to work
    127.0.0.20  the peer's face towards us           127.0.0.31   a third one, for transfers
    127.0.0.24, .25  what else the peer needs (a phone behind a proxy)

Numbers: 2100 calls the partner and 2200 the peer, on a line that is recorded (audio passes through us); 7100 and
7200 call the same two, on a line that is nobody's (audio goes directly); 2300 and 7300 call the third.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from qm_sip.demo import audio
from qm_sip.demo.namespace import Namespace, Network
from qm_sip.demo.phone import Phone
from qm_sip.demo.server import EXAMPLES, TREE, Server
from tests.announce.helpers import toml
from tests.interop.driven import Driven
from tests.support import site
from tests.support.certificates import Authority, Pair
from tests.support.recorded import until

T = TypeVar("T")
Row = dict[str, Any]
RECORDER, PEER, INSIDE, BEHIND = "127.0.0.2", "127.0.0.20", "127.0.0.24", "127.0.0.25"
PARTNER, THIRD = "127.0.0.30", "127.0.0.31"
SIP, SIP_TLS = 5080, 5081
NAME = "qm.example"  # the server's, in its certificate
RECORDED, DIRECT, TRANSFERRED = "21", "71", "23"  # the first two figures of a number: see above
# What each says. In G.711 a tone has overtones; of these none is near another of these.
PEER_HZ, PARTNER_HZ, THIRD_HZ, NOTICE_HZ = 1000.0, 1600.0, 2500.0, 480.0
NOTICE_S = 0.4

LINES = """
[line.seen]
kind = "customer-facing"
match = { numbers = ["2100", "2200", "2300"] }
controller = "Test"
purposes = ["contract_evidence"]
prompt = "short"
languages = ["en"]
announce = "on-answer"
capture = "all"
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
# Asterisk asserts who answered; a callee of whom nothing is known would be an outsider, and nothing recorded.
AGENT = """
[agent.a1]
extensions = ["1001"]
monitorable = true
reason = "Test"
"""
SETTINGS = """
[sip]
listen = [{listen}]
session_expires = 90
[media]
address = "{recorder}"
ports = [20000, 20999]
[unsafe]
load_test = true
"""
NEIGHBOUR = """
[peers.{name}]
prack = "yes"
addresses = ["{address}"]
may = ["carry"]
trusted = true
next_hop = "{address}:{port}"
transport = "{transport}"
refer = "here"
"""
# Both show a certificate, and both look at the other's.
TLS = """
[sip.tls]
certificate = "{us.certificate}"
private_key = "{us.key}"
ca_file = "{ca}"
client_certificate = "required"
"""
TLS_PEER = """tls_name = "{name}"
tls_identity = ["{name}"]
"""
ROUTE = """
[[routes]]
from = "{origin}"
to = "{to}"
direction = "inbound"
called = "{called}"
"""


class Ground:
    """`with Ground(work) as ground:`; `transport` is the one between the server and the peer."""

    def __init__(self, work: Path, transport: str = "udp", peer_at: str = PEER, *, of_peer: str = "") -> None:
        """`of_peer`: more settings of the peer."""
        self.work, self.transport, self.peer_at, self._of_peer = work, transport, peer_at, of_peer
        self._stack = ExitStack()
        self._people = ExitStack()  # phones and the peer, who go before the server
        self.network: Network
        self.server: Server
        self.authority: Authority
        self.certified: dict[str, Pair] = {}  # ours and the peer's, over TLS
        self.partner: Phone
        self._third: Phone | None = None
        self.sounds = work / "sounds"

    def __enter__(self) -> Ground:
        self.work.mkdir(parents=True, exist_ok=True)
        with self._stack:
            self.network = self._stack.enter_context(site.network())
            self._come_from_the_peer()
            self._trace()
            self.server = self._stack.enter_context(
                Server(self._configured(), self.work / "server", network=self.network, purposes=(),
                       environment={"QM_SIP_PROMPTS_DIRECTORY": str(self.work / "prompts")})
            )  # fmt: skip
            self.partner = self.phone("partner", PARTNER, PARTNER_HZ, codec="PCMA,PCMU")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *wrong: object) -> None:
        self.send_home()
        self._stack.close()

    def send_home(self) -> None:
        """End phones and peer. The server stays: its last legs linger for copies that come late."""
        self._people.close()

    def wait_still(self, seconds: float = 45) -> None:
        """Not one leg is left, 64*T1 after the last message."""
        until(lambda: self.server.ask("status")["counts"]["sip_legs"] == 0, seconds, "end of the last leg")

    def _come_from_the_peer(self) -> None:
        """Who leaves the choice of his own address to the kernel (baresip's TCP, linphone) calls us from the peer's."""
        self.ip(f"route replace local {RECORDER} dev lo table local src {self.peer_at}")

    def ip(self, words: str) -> None:
        """`ip` in here, in a network of our own alone."""
        if isinstance(self.network, Namespace):
            command = self.network.inside(["ip", *words.split()])
            subprocess.run(command, check=True, capture_output=True)

    def _trace(self) -> None:
        """With QM_SIP_INTEROP_TRACE=directory: every packet of SIP there, for who looks for a fault."""
        where = os.environ.get("QM_SIP_INTEROP_TRACE")
        if where and (program := shutil.which("dumpcap")):
            path = Path(where) / f"{self.work.parent.name}-{self.work.name}.pcap"
            command = [program, "-q", "-i", "lo", "-f", "portrange 5060-5099", "-w", str(path)]
            self.start(command, "trace")
            until(path.exists, 5, "trace")

    # ---- the server's files

    def _configured(self) -> Path:
        home = self.work / "config"
        home.mkdir(parents=True)
        shutil.copy(EXAMPLES / "load" / "regulation.toml", home)
        (home / "people.toml").write_text(AGENT)
        (home / "lines.toml").write_text(LINES)
        (home / "qm_sip.toml").write_text(self._settings())
        prompts = self.work / "prompts" / "en"
        prompts.mkdir(parents=True)
        (prompts / "short.toml").write_text(
            "".join(f"{key} = {toml(value)}\n" for key, value in PROMPT.items())
        )
        audio.write_wav(prompts / "short.wav", audio.tone(NOTICE_HZ, NOTICE_S, dbfs=-16))
        return home

    def _certify(self) -> None:
        """An authority of the trial's own, and what it vouches for: us and the peer."""
        keys = self.work / "keys"
        keys.mkdir()
        self.authority = Authority(keys)
        names = {"us": (RECORDER, NAME), "peer": (self.peer_at, "peer.example")}
        self.certified = {who: self.authority.issue(who, *them) for who, them in names.items()}

    def files(self, who: str = "peer") -> dict[str, str]:
        """What a program over TLS needs, as paths."""
        pair = self.certified[who]
        return {"ca": str(self.authority.ca), "certificate": str(pair.certificate), "key": str(pair.key)}

    def _tls(self) -> str:
        return TLS.format(us=self.certified["us"], ca=self.authority.ca) if self.certified else ""

    def _settings(self) -> str:
        listen = ", ".join(f'"{kind}:{RECORDER}:{SIP}"' for kind in ("udp", "tcp"))
        if self.transport == "tls":
            listen += f', "tls:{RECORDER}:{SIP_TLS}"'
            self._certify()
        places = {
            "peer": (self.peer_at, self.transport),
            "partner": (PARTNER, "udp"),
            "third": (THIRD, "udp"),
        }
        text = SETTINGS.format(listen=listen, recorder=RECORDER) + self._tls()
        for name, (address, transport) in places.items():
            port = 5061 if transport == "tls" else 5060
            text += NEIGHBOUR.format(name=name, address=address, port=port, transport=transport)
            text += TLS_PEER.format(name="peer.example") if transport == "tls" else ""
            text += self._of_peer if name == "peer" else ""
        ways = {"21": "partner", "71": "partner", "22": "peer", "72": "peer", "23": "third", "73": "third"}
        for origin in places:
            for called, to in ways.items():
                if origin != to:
                    text += ROUTE.format(origin=origin, to=to, called=called)
        return text

    # ---- who is here

    def phone(self, user: str, address: str, hz: float, **more: Any) -> Phone:
        """One more phone, which says this tone in every call."""
        phone = Phone(
            user, address, output=self.work / "phones", network=self.network, say=self.tone(hz), **more
        )
        return self._people.enter_context(phone)

    @property
    def face(self) -> str:
        """Where the peer finds us: host, port and transport, as a URI has them."""
        port = SIP_TLS if self.transport == "tls" else SIP
        return f"{RECORDER}:{port}" + (f";transport={self.transport}" if self.transport != "udp" else "")

    @property
    def third(self) -> Phone:
        if self._third is None:
            self._third = self.phone("third", THIRD, THIRD_HZ, codec="PCMA,PCMU", answer_after=0.2)
        return self._third

    def tone(self, hz: float) -> Path:
        path = self.sounds / f"hz-{hz:.0f}.wav"
        return path if path.exists() else audio.tone_wav(path, (hz, 5.0))

    def start(self, command: list[str], name: str, **more: Any) -> subprocess.Popen[bytes]:
        """Run a program in here, its output in a file, until the end."""
        out = self._people.enter_context((self.work / f"{name}.out").open("wb"))
        more = {"stdin": subprocess.DEVNULL, "stdout": out, "cwd": self.work, **more}
        process = subprocess.Popen(self.network.inside(command), stderr=out, **more)
        self._people.callback(_end, process)
        return process

    def drive(
        self, command: list[str], name: str, said: Callable[[bytes], Any], **environment: str
    ) -> Driven:
        """Run a program that is told what to do on its standard input."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, "PYTHONPATH": str(TREE), **environment}
        return Driven(self.start(command, name, env=environment, **pipes), said)

    def port(self, number: int, name: str, said: Callable[[bytes], Any]) -> Driven:
        """A TCP port in here, once it listens."""
        shown = self.network.inside(["ss", "-Hltn", f"sport = :{number}"])
        until(lambda: subprocess.run(shown, capture_output=True, check=True).stdout, 10, f"port of {name}")
        return self.drive([sys.executable, "-m", "tests.interop.pipe", "127.0.0.1", str(number)], name, said)

    def enter(self, thing: Any) -> Any:
        """Let something end when this ends."""
        return self._people.enter_context(thing)

    # ---- what the server says

    def calls(self) -> list[Row]:
        """Every call of the books, the oldest first."""
        return list(reversed(self.server.ask("calls", limit=1000)["calls"]))

    def require_prack(self, on: bool) -> None:
        """Whether a call to the peer fails unless it knows 100rel."""
        path = self.work / "config" / "qm_sip.toml"
        told = (f'[peers.peer]\nprack = "{word}"\n' for word in ("yes", "required"))
        words = list(told)[:: 1 if on else -1]
        text = path.read_text()
        if words[0] in text:
            path.write_text(text.replace(*words))
            self.server.ask("reload")

    def messages(self, call: str, peer: str) -> list[Row]:
        """What passed on this peer's leg of a call, as the server traced it."""
        told = self.server.ask("trace", call=call)
        legs = {leg for leg, name in told["peers"].items() if name == peer}
        return [row for row in told["rows"] if row["leg"] in legs]

    def wait_idle(self, seconds: float = 5) -> None:
        until(lambda: self.server.ask("status")["calls"] == 0, seconds, "end of the calls")

    def wait_recording(self, seconds: float = 5) -> None:
        """A tap is open and has kept something."""
        until(lambda: any(t["seconds"] > 0.05 for t in self.server.ask("taps")["taps"]), seconds, "recording")

    def wait_paused(self, paused: bool, seconds: float = 5) -> None:
        def look() -> bool:
            taps = self.server.ask("taps")["taps"]
            return bool(taps) and all(bool(tap["paused"]) is paused for tap in taps)

        until(look, seconds, "hold" if paused else "end of the hold")

    def ended(self, call: str, seconds: float = 8) -> Row:
        """What the books say of a call: its outcome and spans, once it has ended."""

        def look() -> Row | None:
            row = next(row for row in self.calls() if row["call"] == call)
            if row["state"] != "ended":
                return None
            return {**row, "spans": self.server.ask("explain", call=call)["spans"]}

        return until(look, seconds, "ended call")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(3)


def patient(look: Callable[[], T], seconds: float, what: str) -> T:
    """As `until`, for what may raise while it is not there yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except (OSError, AssertionError):
            if time.monotonic() > end:
                raise AssertionError(f"no {what} within {seconds} s") from None
            time.sleep(0.1)
