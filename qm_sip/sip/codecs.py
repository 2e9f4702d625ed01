"""The voices that can be relayed, recorded and spoken here, and which of them a call may use.

A voice is an encoding at one clock: G.711 and G.722 at 8000 (RFC 3551 4.5.2: G.722 too, though its samples come twice
as often), Opus at 48000 in two channels (RFC 7587 4.1, whatever is spoken), L16 of one channel at 8000 or 16000.
Telephone events (RFC 4733 2.1) and comfort noise (RFC 3389) go with a voice of the same clock. Everything else, RED
(RFC 2198) among it, is negotiated away: whoever offers it offers what it carries too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from qm_sip.sip.sdp_model import Format

EVENTS: Final = "telephone-event"
NOISE: Final = "CN"
COMPANIONS: Final = (EVENTS, NOISE)

_SHAPES: Final = {
    ("PCMA", 8000, 1): "PCMA",
    ("PCMU", 8000, 1): "PCMU",
    ("G722", 8000, 1): "G722",
    ("OPUS", 48000, 2): "OPUS",
    ("L16", 8000, 1): "L16/8000",
    ("L16", 16000, 1): "L16/16000",
}
VOICES: Final = tuple(_SHAPES.values())
KEPT: Final = (*VOICES, *COMPANIONS)

# Payload types of offers of ours: static ones (RFC 3551 6), and others where nothing is assigned.
_OFFERED: Final = {
    "PCMU": Format(0, "PCMU", 8000, 1, ""),
    "PCMA": Format(8, "PCMA", 8000, 1, ""),
    "G722": Format(9, "G722", 8000, 1, ""),
    "OPUS": Format(96, "OPUS", 48000, 2, ""),
    "L16/8000": Format(97, "L16", 8000, 1, ""),
    "L16/16000": Format(98, "L16", 16000, 1, ""),
}
_EVENTS_AT: Final = {8000: 101, 48000: 102, 16000: 103}


@dataclass(frozen=True)
class Voices:
    """Which voices a call may use. `ordered`: the first is wanted most, whatever the parties prefer."""

    names: tuple[str, ...] = ("PCMA", "PCMU", "G722", "OPUS")
    ordered: bool = False

    @property
    def kept(self) -> tuple[str, ...]:
        """The same with what goes with them."""
        return (*self.names, *COMPANIONS)

    def best(self, formats: Iterable[Format]) -> Format | None:
        """Which one we answer with, if nobody else is asked. Unless we have an order of our own it is a G.711 one if
        there is any, because the other side has that too; of equals the one named first.
        """
        ours = [one for one in formats if voice_of(one) in self.names]
        return min(ours, key=self._rank, default=None)

    def _rank(self, one: Format) -> int:
        return self.names.index(voice_of(one) or "") if self.ordered else one.name not in ("PCMA", "PCMU")


EVERY: Final = Voices(VOICES)


def voices_named(names: Iterable[str]) -> Voices:
    """What an administrator wrote: `L16` stands for both its clocks. Nothing: the usual ones, in nobody's order."""
    wanted = [name.upper() for name in names]
    both = [["L16/16000", "L16/8000"] if name == "L16" else [name] for name in wanted]
    return Voices(tuple(name for pair in both for name in pair), ordered=True) if wanted else Voices()


def voice_of(one: Format) -> str | None:
    """What a payload type says, if it is a voice of ours."""
    return _SHAPES.get((one.name, one.clock, one.channels))


def spoken(formats: Iterable[Format], names: Collection[str], *, ordered: bool = False) -> list[Format]:
    """Those of the voices that are named, with the telephone events and comfort noise of their clocks."""
    every = [one for one in formats if one.channels == 1 or voice_of(one)]
    voices = [one for one in every if voice_of(one) in names]
    if ordered:
        order = list(names)
        voices.sort(key=lambda one: order.index(voice_of(one) or ""))
    clocks = {one.clock for one in voices}
    beside = [one for one in every if one.name in COMPANIONS and one.name in names]
    fitting = [one for one in beside if one.clock in clocks]
    if not any(one.name == EVENTS for one in fitting):
        # Opus with events at 8000 only: not as RFC 4733 has it, but better than no key at all.
        fitting += [one for one in beside if one.name == EVENTS and one.clock == 8000]
    if ordered:
        return [*voices, *fitting]
    kept = {one.payload_type for one in (*voices, *fitting)}
    return [one for one in every if one.payload_type in kept]


def offered(names: Iterable[str]) -> list[Format]:
    """The payload types of an offer of ours: these voices, and events for each of their clocks if they are named."""
    wanted = list(names)
    voices = [_OFFERED[name] for name in wanted if name in _OFFERED]
    clocks = dict.fromkeys(one.clock for one in voices) if EVENTS in wanted else {}
    return [*voices, *(Format(_EVENTS_AT[clock], EVENTS, clock, 1, "0-16") for clock in clocks)]


def rtpmap(one: Format) -> str:
    """Its encoding name, clock and channels (RFC 8866 6.6)."""
    name = "opus" if one.name == "OPUS" else one.name
    return f"{name}/{one.clock}" + (f"/{one.channels}" if one.channels > 1 else "")
