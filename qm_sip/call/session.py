"""The SDP side of one leg: what it said, what we said, and an o= line that is ours alone.

The o= line of a leg keeps one session id for the leg's life and its version grows by one when, and only when, the
description changes (RFC 3264 section 8), whoever's media it describes at the moment. So a call that goes from relayed to
direct looks to each side like one session whose address changed.
"""

from __future__ import annotations

from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.sip.message import Message
from qm_sip.sip.sdp import Sdp, SdpError, rewrite_origin

AUDIO = frozenset({"PCMA", "PCMU"})
KEPT = frozenset({"PCMA", "PCMU", "telephone-event"})
HELD = frozenset({"sendonly", "inactive"})


class LegSession:
    """One leg's half of the offer/answer exchange."""

    def __init__(self, name: LegName, session_id: int, address: str) -> None:
        self.name, self.address = name, address
        self.theirs: Sdp | None = None
        self.offering: Sdp | None = None  # an offer of theirs that has not been answered yet
        self.socket: protocol.LegOpened | None = None
        self._session_id, self._version = session_id, 0
        self._said: bytes | None = None

    def dress(self, sdp: Sdp) -> bytes:
        """Return this description as ours on this leg: with our o= line, its version grown if anything changed."""
        same = rewrite_origin(sdp, self._session_id, self._version, self.address).to_bytes()
        if same == self._said:
            return same
        self._version += 1
        self._said = rewrite_origin(sdp, self._session_id, self._version, self.address).to_bytes()
        return self._said

    @property
    def said(self) -> bytes | None:
        """What we said last on this leg."""
        return self._said

    @property
    def codecs(self) -> tuple[str, ...]:
        """The codecs to offer elsewhere so that nothing needs transcoding: the one agreed here, both if none is."""
        audio = Sdp.parse(self._said).audio if self._said else None
        agreed = [audio.encodings[pt].partition("/")[0] for pt in audio.formats] if audio else []
        return tuple(name for name in agreed if name in AUDIO)[:1] or ("PCMA", "PCMU")

    def repeats(self, sdp: Sdp) -> bool:
        """Whether the peer offers again what stands already: a session refresh (RFC 4028 section 7.4)."""
        return self.theirs is not None and _core(self.theirs) == _core(sdp)


def _core(sdp: Sdp) -> list[bytes]:
    return [line for line in sdp.to_bytes().splitlines() if not line.startswith(b"o=")]


def read_sdp(message: Message) -> Sdp | None:
    """The description in a message, or None if there is none that can be read."""
    if not message.body:
        return None
    try:
        return Sdp.parse(message.body)
    except SdpError:
        return None


def holds(sdp: Sdp) -> bool:
    """Whether the sender of this description does not want to hear the other: hold (RFC 3264 section 8.4)."""
    audio = sdp.audio
    return audio is not None and (audio.direction in HELD or audio.address == "0.0.0.0")


def recordable(sdp: Sdp) -> str | None:
    """None if the engine can relay and record what this offers, else why not."""
    audio = sdp.audio
    if audio is None or audio.port == 0:
        return "no-audio"
    if audio.proto.upper() not in ("RTP/AVP", "RTP/AVPF"):
        return "encrypted"
    if not AUDIO & set(names(sdp).values()):
        return "codec"
    return None


def names(sdp: Sdp) -> dict[int, str]:
    """Payload types of the audio stream by upper-case encoding name, static ones included (RFC 3551 section 6)."""
    audio = sdp.audio
    if audio is None:
        return {}
    return {int(pt): audio.encodings[pt].partition("/")[0] for pt in audio.formats if pt in audio.encodings}


def remote(call: str, leg: LegName, sdp: Sdp) -> protocol.SetRemote | None:
    """What the engine must know of this leg's peer; None if there is no audio to relay."""
    audio = sdp.audio
    if audio is None or audio.port == 0:
        return None
    known = {str(pt): audio.encodings[str(pt)] for pt, name in names(sdp).items() if name in KEPT}
    voice = next((pt for pt, name in names(sdp).items() if name in AUDIO), None)
    if voice is None:
        return None
    return protocol.SetRemote(
        call=call,
        leg=leg,
        address=audio.address,
        port=audio.port,
        rtcp_port=audio.rtcp_port,
        payload_types=known,
        send_payload_type=voice,
        ptime_ms=audio.ptime or 20,
        direction=OURS[audio.direction],
    )


# What the peer may do as it says it, seen from our side.
OURS: dict[str, protocol.Directionality] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
