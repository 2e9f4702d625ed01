"""Where the audio of a call goes: through the engine, or from one party straight to the other.

A plan turns what one leg describes into what the other leg is told. `Direct` hands a description over
unchanged but for its o= line: no socket is opened here (people.md section 1, rules 2 and 5). `Relay` names
our own sockets, keeps the codecs that can be recorded, and tells the engine where each peer is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from qm_sip.call.security import PLAIN, Security
from qm_sip.call.session import VOICES, LegSession, first_voice, only, remote
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.sip import sdp as sdp_text
from qm_sip.sip.sdp import Sdp

Send = Callable[[protocol.Command], None]


def other(leg: LegName) -> LegName:
    return "callee" if leg == "caller" else "caller"


class Direct:
    """The two descriptions change hands; nothing of the audio comes here."""

    kind: Literal["direct"] = "direct"

    def towards(self, leg: LegSession, sdp: Sdp, *, answers: bool = False) -> bytes:
        """What `leg` is told when the other leg has said `sdp`: the same, with the keys that are in it."""
        return leg.dress(sdp)

    def learned(self, leg: LegName, sdp: Sdp, security: Security = PLAIN) -> None:
        """Nothing here needs to know."""


class Relay:
    """The audio passes through the engine's sockets."""

    kind: Literal["relay"] = "relay"

    def __init__(self, call: str, send: Send) -> None:
        self.call, self._send = call, send

    def towards(self, leg: LegSession, sdp: Sdp, *, answers: bool = False) -> bytes:
        """The other's description with our socket for this leg in it, reduced to what can be recorded."""
        ours = sdp_text.without_record(only(sdp))
        return leg.dress(self._with_socket(leg, ours), "answer" if answers else "offer")

    def offer(self, leg: LegSession, voices: tuple[str, ...] = VOICES) -> bytes:
        """An offer of our own, for a leg whose other side has offered nothing yet."""
        socket = self._socket(leg)
        names = (*voices, "telephone-event")
        ours = sdp_text.offer(0, 0, socket.address, socket.port, names=names, rtcp_port=socket.rtcp_port)
        return leg.dress(ours, "offer")

    def answer(self, leg: LegSession) -> bytes:
        """Our own answer to what this leg offered: the first codec it names that can be recorded."""
        assert leg.theirs is not None
        voice, socket = first_voice(leg.theirs), self._socket(leg)
        names = (voice.name, "telephone-event") if voice else VOICES
        ours = sdp_text.answer(
            leg.theirs, 0, 0, socket.address, socket.port, names=names, rtcp_port=socket.rtcp_port
        )
        return leg.dress(ours, "answer")

    def learned(self, leg: LegName, sdp: Sdp, security: Security = PLAIN) -> None:
        """Tell the engine where this leg's peer is, and with which keys it speaks."""
        command = remote(self.call, leg, sdp, security)
        if command is not None:
            self._send(command)

    def _with_socket(self, leg: LegSession, sdp: Sdp) -> Sdp:
        socket = self._socket(leg)
        return sdp_text.with_media(sdp, socket.address, socket.port, socket.rtcp_port)

    @staticmethod
    def _socket(leg: LegSession) -> protocol.LegOpened:
        assert leg.socket is not None, "a relayed leg is described before its socket is open"
        return leg.socket


Plan = Direct | Relay
