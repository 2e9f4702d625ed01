"""baresip, driven over its two control ports: commands and events as JSON, a telephone's keys as they are.

Its `ctrl_tcp` module speaks netstrings (`12:{"event": ...},`), its `cons` module takes what a keyboard would give.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any, ClassVar

from qm_sip.demo import audio
from tests.interop.ground import PEER, PEER_HZ
from tests.interop.peers.base import Lack, Peer
from tests.support.recorded import until

PROGRAM, MENU = "/usr/bin/baresip", "/usr/lib/baresip/modules/menu.so"
RE = "/usr/lib/*/libre.so.0"
NO_PRACK = Lack("It knows no 100rel", "libre", RE, ("100rel", "PRACK"))
CONTROL, KEYS = 4444, 5555
CONFIG = """
module_path /usr/lib/baresip/modules
sip_listen {peer}:5060
net_interface {peer}
audio_player aubridge,nowhere
audio_source aufile,{tone}
audio_alert aubridge,nowhere
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports 10000-10200
snd_path {heard}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
module cons.so
ctrl_tcp_listen 127.0.0.1:{control}
cons_listen 127.0.0.1:{keys}
"""
ACCOUNT = "<sip:2200@{peer}:5060>;regint=0;answermode=manual;audio_codecs=PCMA/8000/1,PCMU/8000/1\n"
STATES = {
    "incoming": {"CALL_INCOMING"},
    "ringing": {"CALL_RINGING", "CALL_PROGRESS"},
    "up": {"CALL_ESTABLISHED"},
    "over": {"CALL_CLOSED"},
}


class Baresip(Peer):
    name = "baresip"
    what = "a softphone (libre)"
    transports: ClassVar[tuple[str, ...]] = ("udp", "tcp", "tls")
    lacks: ClassVar[dict[str, Lack]] = {
        "keys by INFO": Lack(
            "It sends RFC 4733 events alone",
            "the program",
            PROGRAM,
            ("dtmfmode",),
        ),
        "peer changes codec": Lack(
            "It has no command that changes the codec of a call", "its menu's module", MENU, ("codec",)
        ),
        "attended transfer": Lack(
            "It transfers blindly alone", "its menu's module", MENU, ("atransfer", "Replaces")
        ),
        "peer sends PRACK": NO_PRACK,
        "peer gets PRACK": NO_PRACK,
        "session timer": Lack("It knows no session timers", "libre", RE, ("Session-Expires",)),
    }

    def start(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._unread = b""
        self._answered = False
        self._heard = self.ground.work / "heard"
        self._configure()
        self.ground.start(["baresip", "-f", str(self.ground.work / "baresip")], "baresip")
        self._control = self.ground.port(CONTROL, "baresip-control", self._read)
        self._command("listcalls")
        self._control.wait(lambda: self._answered, 8, "answer of baresip")
        self._keyboard = self.ground.port(KEYS, "baresip-keys", lambda said: None)
        self.version = _version()
        self._mark = 0

    def _configure(self) -> None:
        home = self.ground.work / "baresip"
        home.mkdir()
        self._heard.mkdir()
        tone = audio.tone_wav(self.ground.sounds / "minute.wav", (PEER_HZ, 60.0))
        facts = {"peer": PEER, "tone": tone, "heard": self._heard, "control": CONTROL, "keys": KEYS}
        (home / "config").write_text(CONFIG.format(**facts) + self._tls())
        (home / "accounts").write_text(ACCOUNT.format(peer=PEER))
        (home / "contacts").write_text("")

    def _tls(self) -> str:
        """Its certificate and key are one file."""
        if self.ground.transport != "tls":
            return ""
        files = {name: Path(path) for name, path in self.ground.files().items()}
        both = self.ground.work / "baresip" / "both.pem"
        both.write_bytes(files["certificate"].read_bytes() + files["key"].read_bytes())
        return f"sip_certificate {both}\nsip_cafile {files['ca']}\n"

    def _read(self, data: bytes) -> None:
        self._unread += data
        while match := re.match(rb"(\d+):", self._unread):
            end = match.end() + int(match[1])
            if len(self._unread) <= end:
                return
            message = json.loads(self._unread[match.end() : end])
            self._unread = self._unread[end + 1 :]
            self._answered = self._answered or "response" in message
            if message.get("event"):
                self._events.append(message)

    def _command(self, name: str, parameters: str = "") -> None:
        text = json.dumps({"command": name, "params": parameters}).encode()
        self._control.tell(b"%d:%s," % (len(text), text))

    # ---- the verbs

    def tidy(self) -> None:
        self._command("hangup")

    def expect(self, scenario: str) -> None:
        self._mark = len(self._events)
        self._known = set(self._heard.iterdir())

    def call(self, number: str) -> None:
        self._command("dial", f"sip:{number}@{self.ground.face}")

    def wait(self, state: str, seconds: float = 8) -> None:
        def look() -> bool:
            return any(event["type"] in STATES[state] for event in self._events[self._mark :])

        self._control.wait(look, seconds, state)

    def answer(self) -> None:
        self._command("accept")

    def reject(self) -> None:
        self._command("hangup")

    def hang_up(self) -> None:
        self._command("hangup")

    def hold(self) -> None:
        self._command("hold")

    def resume(self) -> None:
        self._command("resume")

    def dtmf(self, keys: str) -> None:
        for key in keys:
            self._keyboard.tell(key.encode())
            _pause()

    def refer(self, number: str) -> None:
        self._command("transfer", f"sip:{number}@{self.ground.face}")

    def heard(self) -> audio.Samples:
        """The decoder's side of what its `sndfile` module dumped."""

        def look() -> Path | None:
            new = [path for path in self._heard.glob("*-dec.wav") if path not in self._known]
            return new[0] if new and new[0].stat().st_size > 44 else None

        return audio.read_wav(until(look, 3, "dump of baresip"))

    def pressed(self) -> str:
        starts = [event for event in self._events[self._mark :] if event["type"] == "CALL_DTMF_START"]
        return "".join(event["param"] for event in starts)


def _pause() -> None:
    time.sleep(0.25)  # a finger's


def _version() -> str:
    said = subprocess.run(["baresip", "-h"], capture_output=True, text=True, check=False)
    found = re.search(r"baresip v?(\d[\d.]*)", said.stdout + said.stderr)
    return found[1] if found else "?"
