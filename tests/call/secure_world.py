"""The world of `tests/call` with phones that speak SRTP, and a trace of its signalling."""

from __future__ import annotations

from dataclasses import dataclass, field

from qm_sip.sip import events as sip
from qm_sip.sip.sdp import Direction, Sdp
from tests.call.world import Phone, with_peer
from tests.support.srtp import NotAuthentic, Srtp, new_key
from tests.trace.world import TracedWorld

CM, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"


@dataclass
class SecurePhone(Phone):
    """With a key of its own in every description, and the other side's as it was told."""

    suite: str = CM  # empty: it speaks plain RTP
    profile: str = "RTP/SAVP"  # that it offers
    extra: str = ""  # after its key
    more: str = ""  # lines of its own
    key: str = ""
    offered: Sdp | None = None  # what it has to answer
    srtp: Srtp | None = None
    crypto: list[str] = field(default_factory=list)  # the lines it was told, each time anew
    profiles: list[str] = field(default_factory=list)
    unreadable: int = 0
    lies: bool = False  # it seals with another key than it said

    def sdp(self, direction: Direction = Direction.SENDRECV) -> bytes:
        text = super().sdp(direction).decode()
        asked, self.offered = self.offered.audio if self.offered else None, None
        profile, tag = self.profile, "1"
        if asked is not None:
            lines = [line.split() for line in asked.attributes("crypto")]
            tag = next((words[0] for words in lines if words[1] == self.suite), "")
            profile = asked.protocol
        elif not self.suite and not self.more:
            profile = "RTP/AVP"
        if self.suite and tag:
            self.key = self.key or new_key(self.suite)
            text += f"a=crypto:{tag} {self.suite} inline:{self.key}{self.extra}\r\n"
        return (text.replace(" RTP/AVP ", f" {profile} ") + self.more).encode()

    def learn(self, body: bytes) -> None:
        audio = Sdp.parse(body).audio if body else None
        if audio is None:
            return
        self.crypto, self.srtp = audio.attributes("crypto"), None
        self.profiles.append(audio.protocol)
        for words in (line.split() for line in self.crypto):
            if words[1] == self.suite:
                self.key = self.key or new_key(self.suite)
                theirs = words[2].removeprefix("inline:").partition("|")[0]
                self.srtp = Srtp(self.suite, "" if self.lies else self.key, theirs)

    def sealed(self, packet: bytes) -> bytes:
        return self.srtp.seal(packet) if self.srtp else packet

    def opened(self, packet: bytes) -> bytes:
        if self.srtp is None:
            return packet
        try:
            return self.srtp.open(packet)
        except NotAuthentic:
            self.unreadable += 1
            return b""


class SecureWorld(TracedWorld):
    """`policy`: the peer's `srtp`. Phones are made by `kinds`, in the order in which they come."""

    def __init__(self, policy: str = "require", *kinds: dict[str, object], refer: str = "refuse") -> None:
        super().__init__()
        because = "" if policy == "off" else "a test without TLS"
        using = with_peer(self.settings, srtp=policy, srtp_without_tls_because=because, refer=refer)
        self.settings = self.switchboard.settings = using
        self.kinds = list(kinds)

    def _phone(self, leg: str, host: str) -> Phone:
        plain = super()._phone(leg, host)
        kind = self.kinds.pop(0) if self.kinds else {}
        phone = SecurePhone(plain.leg, plain.host, plain.port, plain.session, **kind)  # type: ignore[arg-type]
        self.phones[-1] = phone
        return phone

    def _on_pbx(self, event: sip.UaEvent) -> None:
        super()._on_pbx(event)
        if isinstance(event, sip.CallOffered) and self.agent is not None:
            self._has_to_answer(self.agent, event.request.body)

    def _answer_offer(self, phone: Phone, body: bytes) -> None:
        self._has_to_answer(phone, body)
        super()._answer_offer(phone, body)

    @staticmethod
    def _has_to_answer(phone: Phone, body: bytes) -> None:
        assert isinstance(phone, SecurePhone)
        phone.offered = Sdp.parse(body) if body else None

    def _learn(self, phone: Phone, body: bytes) -> None:
        super()._learn(phone, body)
        assert isinstance(phone, SecurePhone)
        phone.learn(body)

    @property
    def both(self) -> tuple[SecurePhone, SecurePhone]:
        customer, agent = self.caller, self.agent
        assert isinstance(customer, SecurePhone)
        assert isinstance(agent, SecurePhone)
        return customer, agent
