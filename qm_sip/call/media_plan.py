"""Where the audio of a call goes: through the engine, or from one party straight to the other.

A plan turns what one leg describes into what the other leg is told. `Direct` hands a description over
unchanged but for its o= line: no socket is opened here (people.md section 1, rules 2 and 5). `Relay` names
our own sockets, keeps the codecs that the line allows and that can be recorded, each under the number the leg knows it
by, and tells the engine where each peer is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from qm_sip.call.session import LegSession, codecs, only, remote
from qm_sip.config import Config
from qm_sip.media import protocol
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import CallFacts
from qm_sip.policy.identify import line_of
from qm_sip.sip import sdp as sdp_text
from qm_sip.sip.codecs import COMPANIONS, EVENTS, Voices, offered, rtpmap, voice_of, voices_named
from qm_sip.sip.sdp import Sdp

Send = Callable[[protocol.Command], None]


def other(leg: LegName) -> LegName:
    return "callee" if leg == "caller" else "caller"


def voices_of(config: Config, facts: CallFacts) -> Voices:
    """What the call's line may speak when it is relayed."""
    return voices_named(line_of(config, facts).codecs)


def codecs_in_use(config: Config) -> list[str]:
    """What prompts must be ready in: every codec that a line may speak, or that a listener may."""
    lines = (config.lines.customer, *config.lines.line.values())
    names = {name for line in lines for name in voices_named(line.codecs).names} | set(Voices().names)
    return [rtpmap(one) for one in offered(sorted(names))]


class Direct:
    """The two descriptions change hands; nothing of the audio comes here."""

    kind: Literal["direct"] = "direct"

    def towards(self, leg: LegSession, sdp: Sdp, *, answers: bool = False) -> bytes:
        """What `leg` is told when the other leg has said `sdp`: the same, with the keys that are in it."""
        return leg.dress(sdp)

    def learned(self, leg: LegSession, sdp: Sdp) -> None:
        """Nothing here needs to know."""


class Relay:
    """The audio passes through the engine's sockets."""

    kind: Literal["relay"] = "relay"

    def __init__(self, call: str, send: Send, voices: Voices | None = None) -> None:
        self.call, self._send, self.voices = call, send, voices or Voices()

    def towards(self, leg: LegSession, sdp: Sdp, *, answers: bool = False) -> bytes:
        """The other's description with our socket for this leg in it, reduced to what can be recorded."""
        kept = only(sdp, self.voices.kept, ordered=self.voices.ordered)
        ours = sdp_text.with_numbers_of(sdp_text.without_record(kept), leg.theirs)
        return leg.dress(self._with_socket(leg, ours), "answer" if answers else "offer")

    def offer(self, leg: LegSession, agreed: tuple[str, ...] = ()) -> bytes:
        """An offer of our own, for a leg whose other side has offered nothing yet, or agreed on one voice already."""
        socket = self._socket(leg)
        names = (*(agreed or self.voices.names), EVENTS)
        ours = sdp_text.offer(0, 0, socket.address, socket.port, names=names, rtcp_port=socket.rtcp_port)
        return leg.dress(ours, "offer")

    def answer(self, leg: LegSession) -> bytes:
        """Our own answer to what this leg offered: one voice."""
        assert leg.theirs is not None
        voice, socket = self.voices.best(codecs(leg.theirs)), self._socket(leg)
        names = ((voice_of(voice) or "") if voice else "", *COMPANIONS)
        ours = sdp_text.answer(
            leg.theirs, 0, 0, socket.address, socket.port, names=names, rtcp_port=socket.rtcp_port
        )
        return leg.dress(ours, "answer")

    def learned(self, leg: LegSession, sdp: Sdp) -> None:
        """Tell the engine where this leg's peer is, and with which keys it speaks."""
        command = remote(self.call, leg, sdp)
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
