"""linphonec, the console of liblinphone, told in lines what a user would type; what it prints is waited for."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from qm_sip.demo import audio
from tests.interop.ground import PEER_HZ, RECORDER, SIP
from tests.interop.peers.base import Peer

RC = """[sip]
{port}
guess_hostname=0
[rtp]
audio_rtp_port=10000
[sound]
echocancellation=0
"""
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
    transports: ClassVar[tuple[str, ...]] = (
        "tcp",
    )  # told to use UDP it does not: it calls us over TCP all the same
    at = "127.0.0.1"  # it binds to every address, so the kernel chooses

    def start(self) -> None:
        self.version = _version()
        self._said, self._mark, self._calls = "", 0, 0
        self._give_it_a_way_out()
        home = self.ground.work / "linphone"
        (home / ".local/share/linphone").mkdir(parents=True)
        port = {"udp": "sip_port=5060", "tcp": "sip_tcp_port=5060"}[self.ground.transport]
        (home / "rc").write_text(RC.format(port=port))
        line = ["linphonec", "-c", str(home / "rc")]
        self._console = self.ground.drive(line, "linphone", self._read, HOME=str(home))
        self._tell("soundcard use files")
        self._tell(f"play {audio.tone_wav(self.ground.sounds / 'minute.wav', (PEER_HZ, 60.0))}")
        self._use(*CODECS)
        self._console.wait(lambda: "Using wav files" in self._said, 10, "start of linphone")

    def _give_it_a_way_out(self) -> None:
        """With nothing but a loopback it believes that there is no network, and closes its door."""
        for words in ("addr add 192.0.2.1/32 dev lo", "route add default dev lo src 192.0.2.1"):
            subprocess.run(
                self.ground.network.inside(["ip", *words.split()]), check=True, capture_output=True
            )

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

    def call(self, number: str) -> None:
        transport = f";transport={self.ground.transport}" if self.ground.transport != "udp" else ""
        self._tell(f"call sip:{number}@{RECORDER}:{SIP}{transport} --audio-only --early-media")

    def wait(self, state: str, seconds: float = 8) -> None:
        self._hear(state, self._mark, seconds)

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
        self._press(keys, by_info=False)

    def info(self, keys: str) -> None:
        self._press(keys, by_info=True)

    def _press(self, keys: str, *, by_info: bool) -> None:
        self._tell(f"param sip use_info {int(by_info)}")
        self._tell(f"param sip use_rfc2833 {int(not by_info)}")
        for key in keys:
            self._tell(key)
            time.sleep(0.3)

    def refer(self, number: str) -> None:
        self._tell(f"transfer sip:{number}@{RECORDER}:{SIP}")

    def heard(self) -> audio.Samples:
        return audio.read_wav(self._wav)

    def pressed(self) -> str:
        return "".join(re.findall(r"Receiving tone (\S)", self._said[self._mark :]))


def _version() -> str:
    said = subprocess.run(["linphonec", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version: *(\S+)", said.stdout + said.stderr)
    return found[1] if found else "?"
