"""pyVoIP, a SIP stack in Python that knows INVITE, ACK, BYE and CANCEL and no more."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

from qm_sip.demo import audio
from tests.interop.ground import PEER, PEER_HZ, RECORDER, SIP
from tests.interop.peers.base import Lack, Peer

PHONE, STACK = (
    f"{importlib.metadata.distribution('pyVoIP').locate_file('pyVoIP')}/{name}"
    for name in ("VoIP/VoIP.py", "SIP.py")
)


def _no(says: str, *words: str, file: str = STACK) -> Lack:
    return Lack(says, f"its {Path(file).name}", file, words)


NO_REFER = _no("It cannot transfer", "Refer-To")
NO_HOLD = _no("It makes no offer in a call", "def hold", "reinvite", file=PHONE)
NO_PRACK = _no("It knows no 100rel", "PRACK")


class PyVoip(Peer):
    name = "pyVoIP"
    what = "a softphone library in Python"
    quick = False
    transports: ClassVar[tuple[str, ...]] = ("udp",)  # it has no other
    without: ClassVar[dict[str, Lack]] = {
        name: _no("It has UDP alone", "SOCK_STREAM", "ssl.") for name in ("tcp", "tls")
    }
    lacks: ClassVar[dict[str, Lack]] = {
        "peer cancels": _no("It cannot take a call back while it rings", "gen_cancel", "CANCEL sip:"),
        "peer holds": NO_HOLD,
        "peer changes codec": NO_HOLD,
        "keys by RFC 4733": _no("It hears keys and cannot press them", "send_dtmf", "sendDTMF", file=PHONE),
        "keys by INFO": _no("It sends no INFO", "INFO sip:", "gen_info"),
        "blind transfer": NO_REFER,
        "attended transfer": NO_REFER,
        "peer sends PRACK": NO_PRACK,
        "peer gets PRACK": NO_PRACK,
        "session timer": _no("It knows no session timers", "Session-Expires"),
    }
    fails: ClassVar[dict[str, str]] = {
        "udp peer is cancelled": "It answers the CANCEL and never the INVITE (RFC 3261 section 9.2 wants a 487).",
        "udp early media": "It throws away a 183.",
    }

    def start(self) -> None:
        self.version = importlib.metadata.version("pyVoIP")
        self._events: list[dict[str, Any]] = []
        self._rest = b""
        self._wav = self.ground.work / "pyvoip.wav"
        self._starts = 0

    def _read(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._events += [json.loads(line) for line in lines if line.startswith(b"{")]

    def _tell(self, text: str) -> None:
        self._phone.tell(text.encode() + b"\n")

    # ---- the verbs

    def tidy(self) -> None:
        self._tell("hangup")
        self._phone.end()

    def expect(self, scenario: str) -> None:
        """A new process each time: what it waits for at the end of a call takes the next call's first message."""
        self._mark, self._rest = len(self._events), b""
        self._starts += 1
        facts = [PEER, RECORDER, str(SIP), str(PEER_HZ), str(self._wav)]
        line = [sys.executable, "-m", "tests.interop.pyvoip_phone", *facts]
        self._phone = self.ground.drive(line, f"pyvoip-{self._starts}", self._read)
        self.wait("ready")

    def wait(self, state: str, seconds: float = 8) -> None:
        def look() -> bool:
            return any(event.get("state") == state for event in self._events[self._mark :])

        self._phone.wait(look, seconds, state)

    def call(self, number: str) -> None:
        self._tell(f"call {number}")

    def answer(self) -> None:
        self._tell("answer")

    def reject(self) -> None:
        self._tell("deny")

    def hang_up(self) -> None:
        self._tell("hangup")

    def heard(self) -> audio.Samples:
        return audio.read_wav(self._wav)

    def pressed(self) -> str:
        return "".join(event["key"] for event in self._events[self._mark :] if "key" in event)
