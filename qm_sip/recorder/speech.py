"""What a laid-out channel says, block after block: G.711 by table, all else by the engine's own decoders.

Decoders remember what was said before (G.722, Opus), so every packet is decoded once, in the order it is heard, by its
sender's decoder. What reaches into the next block is kept until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qm_sip._media import Decoder
from qm_sip.recorder.codecs import CN, KINDS, LEAST
from qm_sip.recorder.g711 import LAWS, TABLE

Ints = NDArray[np.int64]
SENDERS_MOST = 8  # decoders that are remembered: senders do not take turns


class LaidOut(Protocol):
    """One channel: see `timeline.Track`."""

    @property
    def octets(self) -> NDArray[np.uint8]: ...
    @property
    def laws(self) -> NDArray[np.uint8]: ...
    @property
    def senders(self) -> Ints: ...
    @property
    def starts(self) -> Ints: ...
    @property
    def sizes(self) -> Ints: ...
    @property
    def spans(self) -> Ints: ...
    @property
    def places(self) -> Ints: ...


class Speech:
    """One channel's audio at one rate, asked for from its beginning to its end."""

    def __init__(self, track: LaidOut, rate: int) -> None:
        self._track, self._rate = track, rate
        self._next = 0
        self._decoders: dict[int, Decoder] = {}
        self._left: list[tuple[int, NDArray[np.int16]]] = []  # where it begins, and what is said

    def fill(self, target: NDArray[np.int16], begin: int) -> None:
        """Write what is said from `begin` on. Where packets overlap the later place wins."""
        end = begin + len(target)
        last = int(np.searchsorted(self._track.places, end, side="left"))
        said = [*self._left, *map(self._said, self._stretches(self._next, last))]
        self._next = max(self._next, last)
        for place, samples in said:
            left, right = max(place, begin), min(place + len(samples), end)
            if left < right:
                target[left - begin : right - begin] = samples[left - place : right - place]
        self._left = [(place, samples) for place, samples in said if place + len(samples) > end]

    def _said(self, run: slice) -> tuple[int, NDArray[np.int16]]:
        track = self._track
        place, law = int(track.places[run.start]), int(track.laws[run.start])
        first = int(track.starts[run.start])
        octets = track.octets[first : first + int(track.sizes[run].sum())]
        if law >= CN:
            return place, np.empty(0, np.int16)
        if law in LAWS.values() and self._rate == LEAST:
            return place, TABLE[law][octets]
        decoder = self._decoder(int(track.senders[run.start]))
        sizes, spans = track.sizes[run].tolist(), track.spans[run].tolist()
        samples = decoder.decode(KINDS[law].name, octets.tobytes(), sizes, spans)
        return place, np.frombuffer(samples, np.int16)

    def _decoder(self, sender: int) -> Decoder:
        if sender not in self._decoders:
            if len(self._decoders) >= SENDERS_MOST:
                self._decoders.pop(next(iter(self._decoders)))
            self._decoders[sender] = Decoder(self._rate)
        return self._decoders[sender]

    def _stretches(self, first: int, last: int) -> Iterator[slice]:
        """Packets that follow each other without a break, so that they are taken at once."""
        if first >= last:
            return
        track = self._track
        inner, after = slice(first, last - 1), slice(first + 1, last)
        breaks = (
            (track.places[after] != track.places[inner] + track.spans[inner])
            | (track.starts[after] != track.starts[inner] + track.sizes[inner])
            | (track.laws[after] != track.laws[inner])
            | (track.senders[after] != track.senders[inner])
        )
        edges = [first, *(np.flatnonzero(breaks) + first + 1).tolist(), last]
        yield from map(slice, edges[:-1], edges[1:])
