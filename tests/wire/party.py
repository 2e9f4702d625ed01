"""A party that speaks SIP by hand: one socket, plain text, every message looked at. Shares nothing with `qm_sip.sip`.

caller = pbx.call("7000");  callee = agents.called()
callee.reply(180);          caller.expect(180)
"""

from __future__ import annotations

import itertools
import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

Address = tuple[str, int]
Headers = Sequence[tuple[str, str]]
WAIT = 4.0  # seconds until something that should happen at once counts as not happened
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Message:
    start: str
    headers: tuple[tuple[str, str], ...]
    body: str
    source: Address = ("", 0)

    @classmethod
    def read(cls, data: bytes, source: Address) -> Message:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start, tuple((name.strip(), value.strip()) for name, _, value in pairs), body, source)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        found = self.all(name)
        return found[0] if found else ""

    @property
    def status(self) -> int:
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Of a response: of the request it answers."""
        return self.get("CSeq").split()[1]

    @property
    def kind(self) -> str:
        return f"{self.status} {self.method}" if self.status else self.method

    @property
    def branch(self) -> str:
        return _param(self.get("Via"), "branch")

    @property
    def contact(self) -> str:
        found = re.search(r"<([^>]+)>", self.get("Contact"))
        assert found, f"no Contact in {self.start}"
        return found[1]

    # ---- its SDP

    def sdp(self, key: str) -> list[str]:
        return [line[2:] for line in self.body.split("\r\n") if line.startswith(f"{key}=")]

    @property
    def origin(self) -> tuple[str, int, str]:
        """Session id, version, address."""
        _, session, version, _, _, address = self.sdp("o")[0].split()
        return session, int(version), address

    @property
    def direction(self) -> str:
        ways = {"sendrecv", "sendonly", "recvonly", "inactive"}
        return next((value for value in self.sdp("a") if value in ways), "sendrecv")

    @property
    def media(self) -> Address:
        return self.sdp("c")[0].split()[-1], int(self.sdp("m")[0].split()[1])


def _param(value: str, name: str) -> str:
    found = re.search(rf";\s*{name}=([^;>\s]+)", value)
    return found[1] if found else ""


def user(value: str) -> str:
    found = re.search(r"sips?:([^@>;]+)@", value)
    return found[1] if found else ""


class Party:
    """One address. `heard` is every message that came, in order; copies are counted, not repeated."""

    transport = "UDP"

    def __init__(self, address: str, server: Address, *, port: int = 5060, rtp: int = 30_000) -> None:
        self.address, self.server, self.port, self.rtp = address, server, port, rtp
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.host = f"[{address}]" if ":" in address else address
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.ear = socket.socket(family, socket.SOCK_DGRAM)
        self.ear.bind((address, rtp))  # a closed port would say by ICMP that nobody hears the prompt
        self.heard: list[Message] = []
        self.copies: dict[bytes, int] = {}
        self.legs: list[Leg] = []

    def __enter__(self) -> Party:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        self.ear.close()

    @property
    def contact(self) -> str:
        return f"<sip:me@{self.host}:{self.port}>"

    def send(self, text: str | bytes, to: Address | None = None) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.socket.sendto(data, to or self.server)

    def pump(self, seconds: float) -> None:
        """Take in what has come; wait up to so long for the first packet."""
        ready, _, _ = select.select([self.socket], [], [], max(seconds, 0))
        while ready:
            data, source = self.socket.recvfrom(65_536)
            source = source[:2]
            self.copies[data] = self.copies.get(data, 0) + 1
            if self.copies[data] == 1:
                self.heard.append(Message.read(data, source))
            ready, _, _ = select.select([self.socket], [], [], 0)

    def wait(self, wanted: Callable[[Message], bool], what: str, within: float = WAIT) -> Message:
        """The first message that is wanted, taken off the list."""
        until = time.monotonic() + within
        while True:
            for message in self.heard:
                if wanted(message):
                    self.heard.remove(message)
                    return message
            left = until - time.monotonic()
            assert left > 0, f"{self.address}: no {what} within {within} s; there are {self.kinds()}"
            self.pump(left)

    def kinds(self) -> list[str]:
        return [message.kind for message in self.heard]

    def call(
        self,
        number: str,
        *,
        headers: Headers = (),
        sdp: str | None = "",
        request: str = "INVITE",
        **changes: str,
    ) -> Leg:
        """Call a number of the server's. `sdp` None: no offer; `changes` replace a header of ours, by its name."""
        leg = Leg(self, f"call{next(_numbers)}@{self.address}", f"t{next(_numbers)}")
        host = f"[{self.server[0]}]" if ":" in self.server[0] else self.server[0]
        leg.target = f"sip:{number}@{host}:{self.server[1]}"
        leg.remote = f"<{leg.target}>"
        leg.local = f"<sip:0612345678@{self.host}>;tag={leg.tag}"
        self.legs.append(leg)
        body = leg.sdp() if sdp == "" else sdp
        leg.request(request, headers=headers, body=body or "", **changes)
        return leg

    def called(self, within: float = WAIT) -> Leg:
        """An INVITE of a new call has come."""
        known = {leg.call_id for leg in self.legs}

        def new(message: Message) -> bool:
            begins = message.kind == "INVITE" and ";tag=" not in message.get("To")
            return begins and message.get("Call-ID") not in known

        invite = self.wait(new, "INVITE", within)
        leg = Leg(self, invite.get("Call-ID"), f"t{next(_numbers)}")
        leg.learn(invite)
        self.legs.append(leg)
        leg.invite = invite
        return leg

    def not_called(self, during: float) -> None:
        until = time.monotonic() + during
        while (left := until - time.monotonic()) > 0:
            self.pump(left)
        assert "INVITE" not in self.kinds()


@dataclass
class Leg:
    """One dialog of a party, from its side."""

    party: Party
    call_id: str
    tag: str
    target: str = ""
    local: str = ""
    remote: str = ""
    cseq: int = 100
    session: int = field(default_factory=lambda: next(_numbers) + 5_000)
    version: int = 0
    invite: Message = field(default_factory=lambda: Message("", (), ""))
    sent: str = ""  # our last request, to send it again
    branch: str = ""

    # ---- writing

    def sdp(self, direction: str = "sendrecv", *, address: str = "", formats: str = "8 0 101") -> str:
        self.version += 1
        address = address or self.party.address
        family = "IP6" if ":" in address else "IP4"
        lines = ["v=0", f"o=- {self.session} {self.version} IN {family} {address}", "s=-"]
        lines += [
            f"c=IN {family} {address}",
            "t=0 0",
            f"m=audio {self.party.rtp} RTP/AVP {formats}",
            "a=rtpmap:8 PCMA/8000",
        ]
        lines += ["a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16"]
        return "\r\n".join([*lines, f"a={direction}", ""])

    def request(
        self,
        method: str,
        *,
        headers: Headers = (),
        body: str = "",
        kind: str = "application/sdp",
        cseq: int | None = None,
        branch: str = "",
        **changes: str,
    ) -> None:
        """A request in this dialog, or the one that begins it."""
        if cseq is None:
            self.cseq += method not in ("ACK", "CANCEL")
            cseq = self.cseq
        self.branch = branch or f"z9hG4bK{next(_numbers)}x{self.tag}"
        party = self.party
        fields = {
            "Via": f"SIP/2.0/{party.transport} {party.host}:{party.port};branch={self.branch}",
            "Max_Forwards": "70",
            "From": self.local,
            "To": self.remote,
            "Call_ID": self.call_id,
            "CSeq": f"{cseq} {method}",
            "Contact": party.contact,
        } | changes
        lines = [f"{method} {self.target} SIP/2.0"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Type: {kind}"] if body else []
        self.sent = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        party.send(self.sent)

    def again(self) -> None:
        """A copy of our last request."""
        self.party.send(self.sent)

    def reply(self, status: int, to: Message | None = None, *, headers: Headers = (), body: str = "") -> None:
        """Answer a request; the INVITE if none is named."""
        request = to or self.invite
        tagged = (
            request.get("To")
            if ";tag=" in request.get("To") or status == 100
            else f"{request.get('To')};tag={self.tag}"
        )
        lines = [f"SIP/2.0 {status} It Is So"]
        lines += [f"{name}: {value}" for name, value in request.headers if name in ("Via", "Record-Route")]
        lines += [f"{name}: {request.get(name)}" for name in ("From", "Call-ID", "CSeq")]
        lines += [f"To: {tagged}", f"Contact: {self.party.contact}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += ["Content-Type: application/sdp"] if body else []
        lines += [f"Content-Length: {len(body)}", "", body]
        self.party.send("\r\n".join(lines), request.source)

    def answer(self, sdp: str | None = "", *, headers: Headers = (), to: Message | None = None) -> None:
        """200 with our SDP."""
        self.reply(200, to, headers=headers, body=self.sdp() if sdp == "" else sdp or "")

    def ack(self, body: str = "") -> None:
        """To a 2xx."""
        self.request("ACK", body=body, cseq=self.cseq)

    def cancel(self, headers: Headers = ()) -> None:
        """The INVITE that was our last request."""
        self.request("CANCEL", cseq=self.cseq, branch=self.branch, headers=headers, Contact="")

    # ---- reading

    def learn(self, message: Message) -> None:
        """Tags and target, as a message of the other side gives them."""
        if message.status:
            self.remote = message.get("To")
        else:
            self.remote, self.local = message.get("From"), message.get("To")
            self.local += "" if ";tag=" in self.local else f";tag={self.tag}"
        if message.get("Contact"):
            self.target = message.contact

    def expect(self, what: int | str, method: str = "", within: float = WAIT) -> Message:
        """A response by its status (and method), or a request by its method."""

        def wanted(message: Message) -> bool:
            if message.get("Call-ID") != self.call_id:
                return False
            if isinstance(what, str):
                return message.kind == what
            return message.status == what and method in ("", message.method)

        found = self.party.wait(wanted, f"{what} {method}".strip(), within)
        if 100 < found.status < 300 and found.method == "INVITE":
            self.learn(found)
        return found

    def hears(self, kind: str) -> bool:
        """Whether such a message has come."""
        self.party.pump(0)
        return any(m.kind == kind and m.get("Call-ID") == self.call_id for m in self.party.heard)

    # ---- whole steps

    def connected(self) -> Message:
        """Our call is answered, and acknowledged by us."""
        ok = self.expect(200, "INVITE")
        self.ack()
        return ok

    def hang_up(self, headers: Headers = ()) -> None:
        self.request("BYE", headers=headers)
        self.expect(200, "BYE")

    def give_up(self) -> None:
        """Whatever state a test that failed has left us in, end it."""
        if self.invite.start:
            self.reply(480)
        self.request("BYE")

    def hung_up(self) -> Message:
        """The other side has hung up."""
        bye = self.expect("BYE")
        self.reply(200, bye)
        return bye
