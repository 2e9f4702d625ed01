"""Where the demo plays: network, Asterisk (or none), `qm-sip serve`, phones; and who tells what happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from qm_sip.demo import audio, chroot
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.counter import CounterError, RtpCounter
from qm_sip.demo.namespace import HostNetwork, Namespace, NamespaceError, Network
from qm_sip.demo.phone import Happening, Phone
from qm_sip.demo.server import EXAMPLES, Server

RECORDER = "127.0.0.2"
ASTERISK = "127.0.0.1:5060"


@dataclass(frozen=True)
class Person:
    """Somebody with a phone, and what he or she says in every call."""

    name: str
    user: str
    address: str
    voice: str
    says: str
    rings: float  # seconds until he or she answers


CUSTOMER = Person(
    "customer", "0612345678", "127.0.0.20", "nl+m3",
    "Goedemiddag. Ik heb een vraag over mijn rekening. Het bedrag is hoger dan ik had verwacht.",
    1.0,
)  # fmt: skip
AGENT = Person(
    "agent 1001", "1001", "127.0.0.11", "nl+f2",
    "Goedemiddag, wat kan ik voor u doen? Ik kijk het even voor u na. Een ogenblik alstublieft.", 1.0,
)  # fmt: skip
COLLEAGUE = Person(
    "colleague 1003", "1003", "127.0.0.13", "nl+m5",
    "Met de administratie. Ja, dat dossier heb ik hier voor mij liggen.", 0.8,
)  # fmt: skip
COUNCIL = Person(
    "works council 1900", "1900", "127.0.0.19", "nl+f4",
    "U spreekt met de ondernemingsraad. Wat u zegt blijft onder ons.", 0.8,
)  # fmt: skip
COACH = Person(
    "coach 1050", "1050", "127.0.0.50", "nl+m7", "Dit mag niemand horen. Ik luister alleen maar mee.", 1.0
)
NEW_COACH = Person("new coach 1051", "1051", "127.0.0.51", "nl+f1", "Ook dit mag niemand horen.", 1.0)
PEOPLE = (CUSTOMER, AGENT, COLLEAGUE, COUNCIL, COACH, NEW_COACH)


class Stage:
    """Everything that runs during the demo. `asterisk` is None when only phones play."""

    def __init__(self, output: Path, *, phones_only: bool, tell: Callable[[str], None]) -> None:
        self.output, self.phones_only = output, phones_only
        self._print, self._begun = tell, time.monotonic()
        self._stack = ExitStack()
        self.asterisk: Asterisk | None = None
        self.asterisk_version = ""
        self.counter: RtpCounter | None = None
        self.server: Server
        self.phones: dict[str, Phone] = {}

    def tell(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._begun:6.1f} s  {text}")

    # ---- setting up

    def __enter__(self) -> Stage:
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _set_up(self) -> None:
        self.network = self._make_network()
        self._stack.callback(self.network.close)
        if not self.phones_only:
            self._start_asterisk()
            self._start_counter()
        self._start_server()
        for person in PEOPLE:
            self._start_phone(person)
        if self.asterisk is not None:
            self.asterisk.wait_device("PJSIP/qm-sip", "NOT_INUSE")

    def _make_network(self) -> Network:
        if os.geteuid() != 0:
            return HostNetwork()
        try:
            return Namespace()
        except NamespaceError as error:
            self.tell(f"no network of our own ({error}): the machine's loopback addresses are used")
            return HostNetwork()

    def _start_asterisk(self) -> None:
        tree = chroot.ensure()
        self.asterisk_version = chroot.version(tree)
        self.asterisk = self._stack.enter_context(
            Asterisk(tree, self.output / "asterisk", network=self.network)
        )
        self.tell(f"Asterisk {self.asterisk_version} runs on {ASTERISK}")

    def _start_counter(self) -> None:
        try:
            self.counter = self._stack.enter_context(RtpCounter(self.network, [RECORDER]))
        except CounterError as error:
            self.tell(f"{error}: what the phones see must do")

    def _start_server(self) -> None:
        config = EXAMPLES / ("phones" if self.phones_only else "demo")
        self.server = Server(config, self.output / "server", network=self.network)
        self._stack.enter_context(self.server)
        self.tell(f"qm-sip serve runs on {RECORDER}:5080, with {config}")

    def _start_phone(self, person: Person) -> None:
        words = audio.speech(self.said_by(person), person.says, voice=person.voice)
        phone = Phone(
            person.user,
            person.address,
            output=self.output / "phones",
            name=person.name,
            answer_after=person.rings,
            say=words,
            network=self.network,
            on_event=lambda phone, happening: self._watch(person, happening),
        )
        self.phones[person.name] = self._stack.enter_context(phone)

    def said_by(self, person: Person) -> Path:
        """What this person says, as a WAV."""
        return self.output / "phones" / f"says-{person.user}.wav"

    # ---- watching

    def _watch(self, person: Person, happening: Happening) -> None:
        text = _words_for(happening)
        if text:
            self.tell(f"  {person.name}: {text}")

    def rtp(self) -> int | None:
        """RTP packets from and to the recorder's address so far, as the kernel counts them."""
        return None if self.counter is None else self.counter.packets(RECORDER)


def _words_for(happening: Happening) -> str:
    match happening["event"], happening.get("state"):
        case "incoming", _:
            return "rings"
        case "state", "calling":
            return "dials"
        case "state", "confirmed":
            return "is connected"
        case "state", "disconnected":
            status = happening["status"]
            return "call ended" if status == 200 else f"call ended ({status} {happening['reason']})"
    return ""
