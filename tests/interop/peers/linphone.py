"""linphonec, the console of liblinphone, told in lines what a user would type; what it prints is waited for."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from qm_sip.demo import audio
from tests.interop.ground import NAME, PEER_HZ, RECORDER
from tests.interop.peers.base import Peer

RC = """[sip]
bind_address={at}
{port}
guess_hostname=0
incoming_calls_early_media=1
use_info=0
use_rfc2833=1
session_expires_enabled=1
session_expires_value=90
session_expires_min_value=90
session_expires_refresher_value=2
100rel_support_level=1
[rtp]
bind_address={at}
audio_rtp_port=10000
[sound]
echocancellation=0
"""
# It looks for a name in our certificate, never for an address: so it is given one that leads to us.
WITH_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
CODECS = {"PCMU": 3, "PCMA": 4}  # by their numbers in its list
SAID = {
    "incoming": r"Receiving new incoming call",
    "ringing": r"Call \d+ (to .* ringing|with .* early media)\.",
    "up": r"Call \d+ with .* connected\.",
    "over": r"Call \d+ with .* (ended \(|error)",
    "held": r"is now paused",
    "resumed": r"Media streams established",
}


class Linphone(Peer):
    name = "linphone"
    what = "a softphone (liblinphone's console)"
    quick = False
    refusal = 603  # its `terminate` declines
    fails: ClassVar[dict[str, str]] = {
        "tls outbound": "It takes the connection and resets it at our ClientHello: it is no TLS server."
    }
    transports: ClassVar[tuple[str, ...]] = ("udp", "tcp", "tls")

    def start(self) -> None:
        self.version = _version()
        self._said, self._mark, self._calls = "", 0, 0
        self._give_it_a_way_out()
        home = self.ground.work / "linphone"
        (home / ".local/share/linphone").mkdir(parents=True)
        (home / "rc").write_text(RC.format(port=self._ports(), at=self.at))
        (home / "hosts").write_text(f"{RECORDER} {NAME}\n")
        line = [*WITH_HOSTS, str(home / "hosts"), "linphonec", "-c", str(home / "rc")]
        self._console = self.ground.drive(line, "linphone", self._read, HOME=str(home))
        self._tell("soundcard use files")
        self._tell(f"play {audio.tone_wav(self.ground.sounds / 'minute.wav', (PEER_HZ, 60.0))}")
        self._use(*CODECS)
        self._console.wait(lambda: "Using wav files" in self._said, 10, "start of linphone")

    def _ports(self) -> str:
        if self.ground.transport != "tls":
            return {"udp": "sip_port=5060", "tcp": "sip_tcp_port=5060"}[self.ground.transport]
        files = self.ground.files()
        keys = (
            f"root_ca={files['ca']}\nclient_cert_chain={files['certificate']}\nclient_cert_key={files['key']}"
        )
        return f"sip_tls_port=5061\n{keys}\nverify_server_certs=1"

    @property
    def _face(self) -> str:
        return (
            self.ground.face.replace(RECORDER, NAME) if self.ground.transport == "tls" else self.ground.face
        )

    def _give_it_a_way_out(self) -> None:
        """With nothing but a loopback it believes that there is no network, and closes its door."""
        self.ground.ip("addr add 192.0.2.1/32 dev lo")
        self.ground.ip("route add default dev lo src 192.0.2.1")

    def _read(self, data: bytes) -> None:
        self._said += data.decode("utf-8", "replace")

    def _tell(self, text: str) -> None:
        self._console.tell(text.encode() + b"\n")

    def _use(self, *codecs: str) -> None:
        self._tell("codec disable all")
        for name in codecs:
            self._tell(f"codec enable {CODECS[name]}")

    def _hear(self, what: str, since: int, seconds: float = 8) -> None:
        self._console.wait(lambda: re.search(SAID[what], self._said[since:]), seconds, what)

    @property
    def _wav(self) -> Path:
        return self.ground.work / f"linphone-{self._calls}.wav"

    # ---- the verbs

    def tidy(self) -> None:
        self._tell("terminate")

    def expect(self, scenario: str) -> None:
        self._calls += 1
        self._tell(f"record {self._wav}")
        self._mark = len(self._said)
        self.ground.require_prack(scenario == "peer gets PRACK")
        by_info = scenario == "keys by INFO"  # a parameter can be changed that its file names
        self._tell(f"param sip use_info {int(by_info)}")
        self._tell(f"param sip use_rfc2833 {int(not by_info)}")

    def call(self, number: str) -> None:
        self._tell(f"call sip:{number}@{self._face} --audio-only --early-media")

    def wait(self, state: str, seconds: float = 8) -> None:
        self._hear(state, self._mark, seconds)

    def progress(self) -> None:
        """It does so by itself."""

    def answer(self) -> None:
        self._tell("answer")

    def reject(self) -> None:
        self._tell("terminate")

    def hang_up(self) -> None:
        self._tell("terminate")

    def hold(self) -> None:
        since = len(self._said)
        self._tell("pause")
        self._hear("held", since)

    def resume(self) -> None:
        since = len(self._said)
        self._tell("resume")
        self._hear("resumed", since)

    def reoffer(self, codec: str) -> None:
        """It makes an offer of its own only for a hold and for its end: the latter has the new codec."""
        self.hold()
        self._use(codec)
        self.resume()
        self._use(*CODECS)

    def dtmf(self, keys: str) -> None:
        for key in keys:
            self._tell(key)
            time.sleep(0.3)

    def info(self, keys: str) -> None:
        self.dtmf(keys)

    def refer(self, number: str) -> None:
        self._tell(f"transfer sip:{number}@{self._face}")

    def consult(self, number: str) -> None:
        self.hold()
        since = len(self._said)
        self.call(number)
        self._hear("up", since)

    def join(self) -> None:
        first, second = self._ids()
        self._tell(f"transfer {first} --to-call {second}")

    def _ids(self) -> list[str]:
        """Of the calls there are, the oldest first."""
        since = len(self._said)
        self._tell("calls")
        time.sleep(0.3)
        return re.findall(r"^ *(\d+) *\|", self._said[since:], re.MULTILINE)

    def heard(self) -> audio.Samples:
        return audio.read_wav(self._wav)

    def pressed(self) -> str:
        return "".join(re.findall(r"Receiving tone (\S)", self._said[self._mark :]))


def _version() -> str:
    said = subprocess.run(["linphonec", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version: *(\S+)", said.stdout + said.stderr)
    return found[1] if found else "?"
