"""The testbed's site in a test: network, Asterisk, phones by extension, and what was heard.

site = Site(network, tmp_path)
customer, agent = site.customer(), site.phone("1001", answer_after=0.5)
call = site.connect(customer, "3001", agent)
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from qm_sip.demo import audio
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.namespace import HostNetwork, Namespace, NamespaceError, Network
from qm_sip.demo.phone import Phone

ADDRESSES = {
    "1001": "127.0.0.11",
    "1002": "127.0.0.12",
    "1003": "127.0.0.13",
    "1050": "127.0.0.50",
    "1051": "127.0.0.51",
    "1900": "127.0.0.19",
}
CUSTOMER, CARRIER_CUSTOMER = "0612345678", "0698765432"
# What each of them says when nothing else is asked: a tone by which it is known.
TONES = {
    CUSTOMER: 1000.0,
    CARRIER_CUSTOMER: 1000.0,
    "1001": 2000.0,
    "1002": 2500.0,
    "1003": 1500.0,
    "1050": 3100.0,
    "1051": 3100.0,
    "1900": 1700.0,
}
ASTERISK = "127.0.0.1:5060"


def network() -> Network:
    """A namespace of our own where the machine allows it."""
    try:
        return Namespace()
    except NamespaceError:
        return HostNetwork()


@dataclass(frozen=True)
class Talk:
    """A call that both phones see as up: each phone with its own number for it."""

    caller: Phone
    called: Phone
    caller_call: int
    called_call: int
    asked_at: float
    answered_at: float

    def talk(self, seconds: float) -> None:
        time.sleep(seconds)

    def end(self, by: Phone | None = None) -> None:
        """Hang up (the caller does, unless told otherwise) and wait until both phones know."""
        by = by or self.caller
        by.hangup(call=self.caller_call if by is self.caller else self.called_call)
        self.caller.wait_for("disconnected", call=self.caller_call)
        self.called.wait_for("disconnected", call=self.called_call)

    def heard(self, phone: Phone) -> audio.Samples:
        """What this phone heard in the call; after its end."""
        number = self.caller_call if phone is self.caller else self.called_call
        return audio.read_wav(phone.recording_path(number))


class Site:
    """Everything of one test, ended with it."""

    def __init__(self, here: Network, work: Path, stack: ExitStack) -> None:
        self.network, self.work, self._stack = here, work, stack
        self.sounds = work / "sounds"

    def asterisk(self, root: Path) -> Asterisk:
        return self._stack.enter_context(Asterisk(root, self.work / "asterisk", network=self.network))

    def phone(self, user: str, *, answer_after: float | None = 0.3, address: str = "", port: int = 5060,
              say: Path | None = None, codec: str = "PCMA") -> Phone:  # fmt: skip
        phone = Phone(
            user, address or ADDRESSES[user], port=port, output=self.work / "phones", network=self.network,
            answer_after=answer_after, say=say or self.tone(user), codec=codec,
        )  # fmt: skip
        return self._stack.enter_context(phone)

    def customer(self, *, answer_after: float | None = 0.3, say: Path | None = None) -> Phone:
        """The carrier's phone: whoever calls in, and whoever an agent calls outside."""
        return self.phone(CUSTOMER, address="127.0.0.20", answer_after=answer_after, say=say)

    def tone(self, user: str) -> Path:
        path = self.sounds / f"{user}.wav"
        return path if path.exists() else audio.tone_wav(path, (TONES.get(user, 1200.0), 5.0))

    def connect(self, caller: Phone, number: str, called: Phone, *, to: str = ASTERISK, timeout: float = 15,
                headers: tuple[tuple[str, str], ...] = ()) -> Talk:  # fmt: skip
        """Call, and wait until both have answered. Returns when both phones see the call as up."""
        before = called.mark()
        asked = time.monotonic()
        mine = caller.call(f"sip:{number}@{to}", headers)
        theirs = called.wait_for("incoming", timeout, since=before)["call"]
        answered = called.wait_for("confirmed", timeout, call=theirs)
        caller.wait_for("confirmed", timeout, call=mine)
        return Talk(caller, called, mine, theirs, asked, answered["at"])
