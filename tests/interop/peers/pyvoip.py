"""pyVoIP, a SIP stack in Python that knows INVITE, ACK, BYE and CANCEL and no more."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any, ClassVar

from qm_sip.demo import audio
from tests.interop.ground import PEER, PEER_HZ, RECORDER, SIP
from tests.interop.peers.base import Peer

NO_METHOD = "It has no call for it: answer, deny, hangup and read and write audio are all there is."


class PyVoip(Peer):
    name = "pyVoIP"
    what = "a softphone library in Python"
    transports: ClassVar[tuple[str, ...]] = ("udp",)  # it has no other
    lacks: ClassVar[dict[str, str]] = {
        "peer cancels": "Its `hangup` refuses a call that is not answered: it cannot send CANCEL.",
        "peer is cancelled": "It answers the CANCEL and never the INVITE (no 487, RFC 3261 section 9.2); we give it up "
        "after 64*T1.",
        "early media": "It throws away a 183.",
        "peer is held": "It answers the first re-INVITE of a call and fails on the second, so it is not taken back.",
        "blind transfer": NO_METHOD,
        "peer holds": NO_METHOD,
        "peer changes codec": NO_METHOD,
        "keys by RFC 4733": NO_METHOD,
        "keys by INFO": NO_METHOD,
    }

    def start(self) -> None:
        self.version = importlib.metadata.version("pyVoIP")
        self._events: list[dict[str, Any]] = []
        self._rest = b""
        self._wav = self.ground.work / "pyvoip.wav"
        facts = [PEER, RECORDER, str(SIP), str(PEER_HZ), str(self._wav)]
        self._phone = self.ground.drive(
            [sys.executable, "-m", "tests.interop.pyvoip_phone", *facts], "pyvoip", self._read
        )
        self._mark = 0
        self.wait("ready")

    def _read(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._events += [json.loads(line) for line in lines if line.startswith(b"{")]

    def _tell(self, text: str) -> None:
        self._phone.tell(text.encode() + b"\n")

    # ---- the verbs

    def tidy(self) -> None:
        self._tell("hangup")

    def expect(self, scenario: str) -> None:
        self._mark = len(self._events)

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
