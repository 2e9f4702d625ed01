"""A phone that watches one lamp, as real ones do: repeats what gets no answer, renews, begins anew. RFC 6665 4.1.

It shares nothing with `qm_sip.sip` but the reading of messages, and can stand among the agents of a `Network`.
"""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from itertools import count

from qm_sip.sip.events import Address, Datagram, UaEvent
from qm_sip.sip.message import Request, Response, parse

NAMESPACE = "{urn:ietf:params:xml:ns:dialog-info}"
T1, T2, GIVE_UP = 0.5, 4.0, 32.0


@dataclass
class Shown:
    """What one document says."""

    version: int
    entity: str
    lit: bool

    @classmethod
    def read(cls, body: bytes) -> Shown:
        root = ElementTree.fromstring(body)
        assert root.tag == f"{NAMESPACE}dialog-info" and root.get("state") == "full"
        (dialog,) = root
        (state,) = dialog
        assert set(dialog.attrib) == {"id"} and not state.attrib, "nothing of a call stands in it"
        assert state.text in ("confirmed", "terminated")
        return cls(int(root.get("version", "")), root.get("entity", ""), state.text == "confirmed")


@dataclass
class Asked:
    """A SUBSCRIBE that waits for its answer."""

    data: bytes
    branch: str
    again: float
    interval: float
    until: float


@dataclass
class Dialog:
    call_id: str
    mine: str
    theirs: str = ""
    cseq: int = 0
    heard: int = 0  # the CSeq of his last NOTIFY
    version: int = -1
    target: str = ""


@dataclass
class Subscriber:
    """`lit`: what its lamp shows; None: it is dark because nobody tells it anything."""

    address: Address
    server: Address
    lamp: str = "private-1001"
    expires: int = 600
    seed: int = 0
    retries: bool = True  # begins anew when a subscription ends
    deaf: bool = False  # hears nothing for now
    event: str = "dialog"
    extra: tuple[str, ...] = ()
    lit: bool | None = None
    answers: list[int] = field(default_factory=list)  # to its SUBSCRIBEs
    notified: list[Request] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # reasons

    def __post_init__(self) -> None:
        self._rng, self._number = random.Random(f"{self.address}{self.seed}"), count(1)
        self.dialog: Dialog | None = None
        self.asked: Asked | None = None
        self._renew: float | None = None
        self.datagrams: list[Datagram] = []
        self._now = 0.0

    # ---------------------------------------------------------------- what it wants

    def subscribe(self, now: float) -> None:
        """Begin anew: a Call-ID of its own each time."""
        self.lit = None
        self.dialog = Dialog(
            f"s{next(self._number)}@{self.address.host}", f"t{self._rng.getrandbits(40):010x}"
        )
        self.ask(now)

    def ask(self, now: float, expires: int | None = None) -> None:
        """SUBSCRIBE, in the dialog if there is one."""
        dialog, branch = self.dialog, f"z9hG4bK{self._rng.getrandbits(60):015x}"
        assert dialog is not None
        dialog.cseq += 1
        there = f"sip:{self.lamp}@{self.server.host}"
        to = f"<{there}>" + (f";tag={dialog.theirs}" if dialog.theirs else "")
        lines = [
            f"SUBSCRIBE {dialog.target or there} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address.host}:{self.address.port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:1001@{self.server.host}>;tag={dialog.mine}",
            f"To: {to}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {dialog.cseq} SUBSCRIBE",
            f"Contact: <sip:1001@{self.address.host}:{self.address.port}>",
            f"Event: {self.event}",
            "Accept: application/dialog-info+xml",
            f"Expires: {self.expires if expires is None else expires}",
            *self.extra,
            "Content-Length: 0",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.asked = Asked(data, branch, now + T1, T1, now + GIVE_UP)
        self._send(data)

    def restart(self) -> None:
        """It loses its power, and everything it knew."""
        self.dialog, self.asked, self._renew, self.lit = None, None, None, None

    # ---------------------------------------------------------------- as a UserAgent among others

    @property
    def _core(self) -> Subscriber:
        """Where the network looks whether anything is left to be sent."""
        return self

    @property
    def events(self) -> list[UaEvent]:
        return []

    def take_datagrams(self) -> list[Datagram]:
        out, self.datagrams = self.datagrams, []
        return out

    def take_events(self) -> list[UaEvent]:
        return []

    def next_timer(self) -> float | None:
        asked = [self.asked.again, self.asked.until] if self.asked else []
        return min([*asked, *([self._renew] if self._renew is not None else [])], default=None)

    def advance(self, now: float) -> None:
        self._now = now
        if self.asked is not None and now >= self.asked.until:
            self._answered(408, now)
        elif self.asked is not None and now >= self.asked.again:
            self.asked.interval = min(2 * self.asked.interval, T2)
            self.asked.again = now + self.asked.interval
            self._send(self.asked.data)
        if self._renew is not None and now >= self._renew:
            self._renew = None
            self.ask(now) if self.dialog is not None else self.subscribe(now)

    def receive(self, data: bytes, source: Address, local: Address, now: float) -> None:
        self._now = now
        if self.deaf:
            return
        message = parse(data)
        if isinstance(message, Response):
            if self.asked is not None and message.via.branch == self.asked.branch:
                self._learn(message)
                self._answered(message.status, now, int(message.get("expires") or 0))
        elif message.method == "NOTIFY":
            self._reply(message, self._told(message, now))

    # ---------------------------------------------------------------- answers

    def _learn(self, response: Response) -> None:
        if self.dialog is not None and response.status < 300:
            self.dialog.theirs = response.to.tag or ""
            self.dialog.target = response.contacts[0].uri.text

    def _answered(self, status: int, now: float, granted: int = 0) -> None:
        self.asked = None
        self.answers.append(status)
        if status < 300:
            self._renew = now + granted / 2 if granted else None
        elif status in (408, 481, 500, 503):
            self._over(now)
        else:
            self.dialog, self.lit = None, None

    def _over(self, now: float) -> None:
        self.dialog, self.asked, self.lit = None, None, None
        self._renew = now + 1.0 + self._rng.random() if self.retries else None

    # ---------------------------------------------------------------- NOTIFY

    def _told(self, notify: Request, now: float) -> int:
        dialog = self.dialog
        if dialog is None or (notify.call_id, notify.to.tag) != (dialog.call_id, dialog.mine):
            return 481
        dialog.theirs = dialog.theirs or notify.from_.tag or ""  # it may come before the 200 (4.1.2.4)
        if notify.from_.tag != dialog.theirs:
            return 481
        if notify.cseq.number <= dialog.heard:
            return 200 if notify.cseq.number == dialog.heard else 500  # a copy; or one that was overtaken
        dialog.heard = notify.cseq.number
        self.notified.append(notify)
        state = notify.get("subscription-state") or ""
        if notify.body:
            shown = Shown.read(notify.body)
            assert shown.version > dialog.version, "versions grow"
            dialog.version, self.lit = shown.version, shown.lit
        if state.startswith("terminated"):
            self.ended.append(state.partition("reason=")[2])
            self._ended(self.ended[-1], now)
        return 200

    def _ended(self, reason: str, now: float) -> None:
        if reason in ("rejected", "noresource"):
            self.dialog, self.asked, self.lit, self._renew = None, None, None, None
        else:
            self._over(now)

    def _reply(self, notify: Request, status: int) -> None:
        copied = [f"{h.raw}" for h in notify.headers if h.key in ("via", "from", "to", "call-id", "cseq")]
        self._send("\r\n".join([f"SIP/2.0 {status} X", *copied, "Content-Length: 0", "", ""]).encode())

    def _send(self, data: bytes) -> None:
        self.datagrams.append(Datagram(data, self.server, self.address))
