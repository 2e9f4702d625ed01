"""pjsua2, and whatever stands between such a phone and us: one phone, whose calls go by `face`."""

from __future__ import annotations

import importlib.metadata
import time
from typing import ClassVar

from qm_sip.demo import audio
from qm_sip.demo.phone import Phone
from tests.interop.ground import PEER, PEER_HZ
from tests.interop.peers.base import Peer

STATES = {"incoming": "incoming", "ringing": "early", "up": "confirmed", "over": "disconnected"}


class Pjsua2(Peer):
    name = "pjsua2"
    what = "a softphone library (PJSIP)"
    address = PEER
    transports: ClassVar[tuple[str, ...]] = ("udp", "tcp", "tls")

    def start(self) -> None:
        self.version = importlib.metadata.version("pjsua2-python")
        self.begin()

    def begin(self, transport: str | None = None) -> None:
        used = transport or self.ground.transport
        self.phone: Phone = self.ground.phone(
            "peer", self.address, PEER_HZ, codec="PCMA,PCMU", transport=used, prack=True, session_expires=90,
            **({"port": 5061, "tls": self.ground.files()} if used == "tls" else {}),
        )  # fmt: skip
        self._mark = 0
        self._call: int | None = None
        self._other: int | None = None

    @property
    def face(self) -> str:
        """Where the phone sends its calls."""
        return self.ground.face

    def tidy(self) -> None:
        self.phone.hang_up_all()

    def expect(self, scenario: str) -> None:
        self._mark, self._call = self.phone.mark(), None

    def call(self, number: str) -> None:
        self._call = self.phone.call(f"sip:{number}@{self.face}")

    def wait(self, state: str, seconds: float = 8) -> None:
        if state == "incoming":
            self._call = self.phone.wait_for("incoming", seconds, since=self._mark)["call"]
        else:
            self.phone.wait_for(STATES[state], seconds, call=self._call, since=self._mark)

    def answer(self) -> None:
        self.phone.answer(call=self._call)

    def progress(self) -> None:
        self.phone.answer(183, call=self._call)

    def reject(self) -> None:
        self.phone.hangup(status=486, call=self._call)

    def hang_up(self) -> None:
        self.phone.hangup(call=self._call)

    def hold(self) -> None:
        mark = self.phone.mark()
        self.phone.hold(call=self._call)
        self.phone.wait_for("media:local-hold", call=self._call, since=mark)

    def resume(self) -> None:
        mark = self.phone.mark()
        self.phone.unhold(call=self._call)
        self.phone.wait_for("media:active", call=self._call, since=mark)

    def reoffer(self, codec: str) -> None:
        mark = self.phone.mark()
        self.phone.reoffer(codec, call=self._call)
        self.phone.wait_for("media:active", call=self._call, since=mark)

    def dtmf(self, keys: str) -> None:
        self.phone.dtmf(keys, call=self._call)

    def info(self, keys: str) -> None:
        for key in keys:
            self.phone.info(key, call=self._call)
            time.sleep(
                0.2
            )  # a finger's: sippy takes requests that come at once in any order, and says 500 to the late

    def refer(self, number: str) -> None:
        self.phone.transfer(f"sip:{number}@{self.face}", call=self._call)

    def consult(self, number: str) -> None:
        self.hold()
        self._other = self.phone.call(f"sip:{number}@{self.face}")
        self.phone.wait_for("confirmed", call=self._other)

    def join(self) -> None:
        assert self._other is not None
        self.phone.transfer_to(self._other, call=self._call)

    def heard(self) -> audio.Samples:
        assert self._call is not None
        return audio.read_wav(self.phone.recording_path(self._call))

    def pressed(self) -> str:
        return pressed(self.phone, self._mark)


def pressed(phone: Phone, since: int) -> str:
    return "".join(h["digit"] for h in phone.happened[since:] if h["event"] == "dtmf")
