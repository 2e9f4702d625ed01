"""What tests of the engine share: RTP by hand, a WAV, a journal reader of its own, a call as a script."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import wave
from dataclasses import dataclass, field
from typing import Any

import pyrage
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from qm_sip.media import protocol as p
from qm_sip.media.sim import SentPacket, SimEngine

MS = 1_000_000
SECOND = 1000 * MS
CUSTOMER = ("192.0.2.10", 40000)
AGENT = ("192.0.2.20", 50000)
KEYS = "0123456789*#ABCD"
TYPES = {"8": "PCMA/8000", "101": "telephone-event/8000"}
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())


def rtp(
    sequence: int, payload: bytes = b"\xd5" * 160, *, pt: int = 8, ssrc: int = 1, ts: int | None = None
) -> bytes:
    """One RTP packet."""
    stamp = sequence * 160 if ts is None else ts
    return struct.pack("!BBHII", 0x80, pt, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc) + payload


def wav(seconds: float = 1.0, rate: int = 8000) -> bytes:
    """A prompt: a ramp, so that each packet of it differs."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(
            b"".join(struct.pack("<h", (i * 37) % 20000 - 10000) for i in range(int(rate * seconds)))
        )
    return out.getvalue()


PROMPT_WAV = wav()
PROMPT = hashlib.sha256(PROMPT_WAV).hexdigest()


def configure(directory: str = "/nowhere", **changes: Any) -> p.Configure:
    """A configuration for tests."""
    settings: dict[str, Any] = {"address": "127.0.0.1", "port_low": 30000, "port_high": 30100}
    return p.Configure(journal_directory=directory, key_directory=directory, **(settings | changes))


@dataclass
class Journal:
    """A journal as far as it is whole."""

    envelope: dict[str, Any]
    header: dict[str, Any] = field(default_factory=dict)
    records: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def packets(self) -> list[tuple[int, int, int, int, int, int, bytes]]:
        """(channel, payload type, sequence, timestamp, ssrc, arrival, payload) of each packet kept."""
        return [(*struct.unpack("<BBHIIQ", body[:20]), body[20:]) for kind, body in self.records if kind == 1]

    @property
    def cuts(self) -> list[tuple[int, int]]:
        """(from_ns, to_ns) of what is dropped before anything else is read."""
        return [struct.unpack("<QQ", body) for kind, body in self.records if kind == 3]

    @property
    def gaps(self) -> list[tuple[int, int, int]]:
        """(state, from, to) of each gap record."""
        return [struct.unpack("<BQQ", body) for kind, body in self.records if kind == 4]


def open_journal(data: bytes, key: bytes) -> Journal:
    """Read a journal the way its description says, with no help from the engine."""
    assert data[:5] == b"QMJ1\n"
    (length,) = struct.unpack_from("<I", data, 5)
    journal = Journal(json.loads(data[9 : 9 + length]))
    identity, at, cipher, expected = (
        journal.envelope["recording"].encode(),
        9 + length,
        ChaCha20Poly1305(key),
        0,
    )
    while at + 12 <= len(data):
        size, index = struct.unpack_from("<IQ", data, at)
        if at + 12 + size > len(data):
            break
        assert index == expected
        number = struct.pack("<Q", index)
        plain = cipher.decrypt(bytes(4) + number, data[at + 12 : at + 12 + size], identity + number)
        if index == 0:
            journal.header = json.loads(plain)
        else:
            journal.records += _records(plain)
        at, expected = at + 12 + size, expected + 1
    return journal


def _records(plain: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(plain):
        kind, size = struct.unpack_from("<BH", plain, at)
        found.append((kind, plain[at + 3 : at + 3 + size]))
        at += 3 + size
    return found


class Script:
    """A call told line by line on virtual time. `now` moves only by `wait` and `talk`."""

    def __init__(
        self, seed: int = 1, *, uses: list[str] | None = None, purposes: list[str] | None = None
    ) -> None:
        self.engine, self.now, self.events, self.sent = (
            SimEngine(seed),
            SECOND,
            list[p.Event](),
            list[SentPacket](),
        )
        self.ports: dict[str, int] = {}
        self.sequence = self.stamp = 0
        self.engine.add_file("k1.wav", PROMPT_WAV)
        self.do(configure())
        self.do(
            p.LoadPrompt(PROMPT, "k1.wav", "Voorbeeld", "nl", uses or ["record"], purposes or ["coaching"])
        )
        self.do(p.LoadLine("main", [PROMPT]))

    def do(self, *commands: p.Command) -> None:
        """Give commands now."""
        for command in commands:
            self.engine.command(command, self.now)
        self._collect()

    def _collect(self) -> None:
        self.events += self.engine.take_events()
        self.sent += self.engine.take_packets()

    def happened(self, kind: type[Any]) -> list[Any]:
        """Every event of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def wait(self, milliseconds: float, *, leased: bool = True) -> None:
        """Let time pass; Python stays alive unless told."""
        end = self.now + int(milliseconds * MS)
        while leased and self.now + SECOND < end:
            self.now += SECOND
            self.engine.command(p.Lease(), self.now)
        self.now = end
        self.engine.advance(self.now)
        if leased:
            self.engine.command(p.Lease(), self.now)
        self._collect()

    def open(self, *, symmetric: bool = True) -> None:
        """A call with an outside caller and an agent, both announced."""
        self.do(
            p.OpenCall("c", "main"),
            p.OpenLeg("c", "caller", outside=True, channel=0),
            p.OpenLeg("c", "callee", outside=False, channel=1),
        )
        self.ports = {event.leg: event.port for event in self.happened(p.LegOpened)}
        for leg, (ip, port) in (("caller", CUSTOMER), ("callee", AGENT)):
            self.do(p.SetRemote("c", leg, ip, port, port + 1, TYPES, 8, symmetric=symmetric))  # type: ignore[arg-type]

    def tell(self, play: str = "k") -> str:
        """Play the prompt to the customer, whole; the proof's id."""
        self.do(p.Play("c", "caller", play, PROMPT))
        self.wait(1000)
        proofs: list[p.PromptFinished] = [e for e in self.happened(p.PromptFinished) if e.play == play]
        assert len(proofs) == 1, self.events
        return proofs[0].proof

    def tap(self, proof: str, tap: str = "t", **changes: Any) -> None:
        """Ask for a recording tap."""
        wanted: dict[str, Any] = {
            "use": "record",
            "purposes": ["coaching"],
            "proofs": [proof],
            "recipients": {"coaching": [RECIPIENT]},
            "header": {"class": "quality"},
        }
        self.do(p.OpenTap("c", tap, **(wanted | changes)))

    def packet(self, leg: str, data: bytes, source: tuple[str, int] | None = None) -> None:
        """A datagram on a leg's RTP port, now."""
        self.engine.packet(
            self.ports[leg], source or (CUSTOMER if leg == "caller" else AGENT), data, self.now
        )
        self._collect()

    def talk(self, milliseconds: int) -> None:
        """Both talk for a while."""
        for _ in range(milliseconds // 20):
            self.sequence += 1
            self.packet("caller", rtp(self.sequence, self.now.to_bytes(8, "big") + b"c" * 152, ssrc=11))
            self.packet("callee", rtp(self.sequence, self.now.to_bytes(8, "big") + b"a" * 152, ssrc=22))
            self.wait(20)

    def key(self, leg: str, key: str, *, held_down: int = 60) -> list[bytes]:
        """Press one key for so many milliseconds, as phones do: start, updates, three ends. The packets."""
        self.stamp += 1600
        event, packets = KEYS.index(key), list[bytes]()
        for step in range(held_down // 20 + 3):
            end = step >= held_down // 20
            self.sequence += 1
            payload = bytes([event, 0x8A if end else 0x0A, 0, 160])
            packets.append(rtp(self.sequence, payload, pt=101, ts=self.stamp, ssrc=22))
            self.packet(leg, packets[-1])
            if not end:
                self.wait(20)
        return packets

    def passed(self, destination: tuple[str, int]) -> list[bytes]:
        """Key packets that went there, but for the octet that says payload type and marker."""
        events = [s for s in self.sent if s.destination == destination and s.data[1] & 0x7F == 101]
        return [s.data[2:] for s in events]

    def recorded(self) -> str:
        """Up to a running recording: told, tapped, bridged. The proof's id."""
        self.open()
        proof = self.tell()
        self.do(p.Bridge("c", True))
        self.tap(proof)
        self.wait(200)
        return proof

    def journal(self, tap: str = "t") -> Journal:
        """The tap's journal, opened with its running key."""
        return open_journal(self.engine.journals()[tap], self.engine.keys()[tap])
