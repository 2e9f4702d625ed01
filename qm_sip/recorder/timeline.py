"""Every packet finds its place on one time axis.

The axis is the recording's own: sample 0 is the instant from which the engine kept audio, measured on the
engine's monotonic clock at the rate that keeps all that was said (`codecs.file_rate`). Both channels lie on
it, so a word and its answer stand as far apart as they were.

A sender's RTP timestamp (RFC 3550, 5.1) says how its packets lie relative to each other, to the sample;
the arrival clock says where they lie on our axis, but with the network's jitter on top. So a stretch of
packets is laid by its timestamps, and *anchored* where its fastest packets arrived: the least of
(arrival - timestamp) over the next `WINDOW` packets. A stretch ends where the timestamp jumps
(`_jumps`), and is anchored anew where that stops being true by more than `SLACK_S`:

- a packet would lie later than it arrived: the sender's clock runs fast. Never fill past the arrival
  clock: one jump would be hours of silence;
- no packet of the next `WINDOW` would lie near its arrival: its clock runs slow, or the path became longer.

Order is restored by sequence number (RFC 3550, A.1); a sender that begins anew begins a run of its own.
What was lost, held, cut or paused is silence: the axis is kept, and what is missing is counted or
listed. A sender's own silence (comfort noise, RFC 3389) is silence too, but nothing is missing: it is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qm_sip.recorder.codecs import CLOCKS, CN, NUMBERS, file_rate, spans
from qm_sip.recorder.journal import Gap, Journal, JournalError, Packet
from qm_sip.recorder.speech import Speech

CHANNELS = 2
SLACK_S = 0.04  # seconds: how far a packet may lie from where its arrival says
WINDOW = 250  # packets, five seconds at 20 ms: a stall shorter than this does not move the axis
PAYLOAD_MOST_S = 0.2  # seconds: the longest packet time in use (RFC 3551, 4.5 lets a sender go far beyond)
LONGEST_S = 24 * 3600
BLOCK_S = 60
MAX_DROPOUT, MAX_MISORDER = 3000, 100  # RFC 3550, A.1

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Track:
    """One channel laid out: packet i is `sizes[i]` of `octets` from `starts[i]`, heard for `spans[i]` samples at
    `places[i]`.
    """

    octets: NDArray[np.uint8]
    laws: NDArray[np.uint8]  # of each packet: its codec's number
    senders: Ints  # whose it is: one decoder each
    starts: Ints
    sizes: Ints
    spans: Ints
    places: Ints  # ascending
    lost: int  # sequence numbers that never came, outside of gaps
    duplicates: int
    anchors: int  # how often the stretch had to be anchored, at least once if there is any packet
    unusable: int  # of a codec that nobody here knows, or longer than any packet is
    comfort: int  # samples of which the sender said that they are silence


@dataclass(frozen=True)
class Timeline:
    rate: int  # samples a second
    length: int  # samples
    tracks: tuple[Track, ...]
    gaps: tuple[tuple[str, int, int], ...]  # state, from, to in samples


def samples_between(begin_ns: int, end_ns: int, rate: int) -> int:
    """Samples from one instant to another, rounded."""
    return ((end_ns - begin_ns) * rate + 500_000_000) // 1_000_000_000


def lay_out(journal: Journal) -> Timeline:
    """Place every packet of a journal. Raises JournalError if the journal spans more time than a call can."""
    origin, rate = journal.header.kept_from_ns, file_rate(journal.packets)
    length = samples_between(origin, journal.end_ns, rate)
    if length > LONGEST_S * rate:
        raise JournalError("the journal spans more than a day")
    channels = [_of_channel(journal.packets, channel) for channel in range(CHANNELS)]
    tracks = tuple(_track(packets, origin, journal.gaps, rate) for packets in channels)
    gaps = tuple(_in_samples(gap, origin, rate) for gap in journal.gaps)
    return Timeline(rate, _with_tail(length, tracks, rate), tracks, gaps)


def _in_samples(gap: Gap, origin: int, rate: int) -> tuple[str, int, int]:
    return gap.state, samples_between(origin, gap.from_ns, rate), samples_between(origin, gap.to_ns, rate)


def _of_channel(packets: Sequence[Packet], channel: int) -> list[Packet]:
    return [packet for packet in packets if packet.channel == channel]


def _with_tail(length: int, tracks: Sequence[Track], rate: int) -> int:
    """Let the last packet sound to its end, if that is within what rounding allows."""
    last = max((int((track.places + track.spans).max()) for track in tracks if len(track.places)), default=0)
    return max(length, min(last, length + round(SLACK_S * rate)))


def _track(packets: list[Packet], origin: int, gaps: Sequence[Gap], rate: int) -> Track:
    usable, laws, sizes, lengths, octets = _usable(packets, rate)
    starts = np.cumsum(sizes) - sizes
    placed = _Placed.of(usable, laws, lengths, _Axis(origin, rate), gaps)
    by_place = np.argsort(placed.places, kind="stable")
    order, places = placed.packets[by_place], placed.places[by_place]
    return Track(
        octets=octets,
        laws=laws[order],
        senders=placed.senders[by_place],
        starts=starts[order],
        sizes=sizes[order],
        spans=lengths[order],
        places=places,
        lost=placed.lost,
        duplicates=len(usable) - len(placed.packets),
        anchors=placed.anchors,
        unusable=len(packets) - len(usable),
        comfort=int(np.diff(places, append=places[-1:])[laws[order] >= CN].sum()),
    )


def _usable(
    packets: list[Packet], rate: int
) -> tuple[list[Packet], NDArray[np.uint8], Ints, Ints, NDArray[np.uint8]]:
    """Packets that can be heard: they, their codecs, octets, samples, and all the octets one after the other."""
    known = [p for p in packets if p.law in NUMBERS and p.payload]
    laws = np.fromiter((NUMBERS[p.law] for p in known), np.uint8, len(known))
    sizes = np.fromiter((len(p.payload) for p in known), np.int64, len(known))
    octets = np.frombuffer(b"".join([p.payload for p in known]), np.uint8)
    lengths = spans(laws, sizes, octets, rate)
    fits = (lengths <= round(PAYLOAD_MOST_S * rate)) & ((lengths > 0) | (laws >= CN))
    if fits.all():
        return known, laws, sizes, lengths, octets
    octets = octets[np.repeat(fits, sizes)]
    usable = [packet for packet, fit in zip(known, fits.tolist(), strict=True) if fit]
    return usable, laws[fits], sizes[fits], lengths[fits], octets


@dataclass(frozen=True)
class _Axis:
    origin: int  # the instant of sample 0, ns
    rate: int

    @property
    def slack(self) -> int:
        return round(SLACK_S * self.rate)


@dataclass(frozen=True)
class _Placed:
    """Which packets are used (by index, duplicates left out) and the sample each begins at."""

    packets: Ints
    places: Ints
    senders: Ints
    lost: int
    anchors: int

    @classmethod
    def of(
        cls,
        packets: Sequence[Packet],
        laws: NDArray[np.uint8],
        lengths: Ints,
        axis: _Axis,
        gaps: Sequence[Gap],
    ) -> _Placed:
        ssrcs = np.fromiter((p.ssrc for p in packets), np.int64, len(packets))
        sequences = np.fromiter((p.sequence for p in packets), np.int64, len(packets))
        stamps = np.fromiter((p.timestamp for p in packets), np.int64, len(packets))
        arrivals = np.fromiter((p.arrival_ns - axis.origin for p in packets), np.int64, len(packets))
        clocks = CLOCKS[laws]
        pieces = [
            _lay_run(run, *_unwrap(run, sequences, stamps, clocks, axis), arrivals, lengths, axis)
            for run in _runs(ssrcs, sequences, clocks)
        ]
        lost = sum(_lost(piece.sequences, arrivals[piece.packets] + axis.origin, gaps) for piece in pieces)
        return cls(
            _joined([piece.packets for piece in pieces]),
            _joined([piece.places for piece in pieces]),
            _joined([np.full(len(piece.packets), number) for number, piece in enumerate(pieces)]),
            lost,
            sum(piece.anchors for piece in pieces),
        )


@dataclass(frozen=True)
class _Run:
    """One sender's packets without interruption of its numbering, in sequence order."""

    packets: Ints
    sequences: Ints
    places: Ints
    anchors: int


def _joined(pieces: Sequence[Ints]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *pieces])


def _wrapped_steps(values: Ints, bits: int) -> Ints:
    """Steps between consecutive values of a counter that wraps, each taken the short way round."""
    half = 1 << (bits - 1)
    return (np.diff(values, prepend=values[:1]) + half) % (2 * half) - half


def _runs(ssrcs: Ints, sequences: Ints, clocks: Ints) -> Iterator[Ints]:
    """Split packets, in order of arrival, by sender and where its numbering begins anew (RFC 3550, A.1), or its clock
    ticks at another rate.
    """
    if not len(ssrcs):
        return
    by_sender = np.argsort(ssrcs, kind="stable")
    for sender in np.split(by_sender, np.flatnonzero(np.diff(ssrcs[by_sender])) + 1):
        steps, other_clock = _wrapped_steps(sequences[sender], 16), np.zeros(len(sender), bool)
        other_clock[1:] = np.diff(clocks[sender]) != 0
        anew = (steps > MAX_DROPOUT) | (steps < -MAX_MISORDER) | other_clock
        yield from np.split(sender, np.flatnonzero(anew))


def _unwrap(run: Ints, sequences: Ints, stamps: Ints, clocks: Ints, axis: _Axis) -> tuple[Ints, Ints]:
    """Sequence numbers and, in samples of the axis, timestamps, both from where the run begins."""
    ticks = np.cumsum(_wrapped_steps(stamps[run], 32))
    return np.cumsum(_wrapped_steps(sequences[run], 16)), ticks * axis.rate // clocks[run[0]]


def _lay_run(run: Ints, sequences: Ints, stamps: Ints, arrivals: Ints, lengths: Ints, axis: _Axis) -> _Run:
    """Sort a run by sequence number, leave duplicates out (the first to arrive stays), and anchor it."""
    order = np.lexsort((stamps, sequences))  # stable: of equal ones the first to arrive comes first
    alike = (np.diff(sequences[order]) == 0) & (np.diff(stamps[order]) == 0)
    order = order[np.concatenate([[True], ~alike])]
    run, sequences, stamps = run[order], sequences[order], stamps[order]
    delays = arrivals[run] * axis.rate // 1_000_000_000 - stamps
    stretches = np.split(delays, _jumps(sequences, stamps, delays, lengths[run], axis.slack))
    anchored = [_anchors(stretch, axis.slack) for stretch in stretches]
    anchors = _joined([anchors for anchors, _ in anchored])
    return _Run(run, sequences, stamps + anchors, sum(count for _, count in anchored))


def _jumps(sequences: Ints, stamps: Ints, delays: Ints, lengths: Ints, slack: int) -> Ints:
    """Where the timestamp jumps.

    Back: it may not fall behind what the sequence numbers count. Ahead: of both what they count and what the
    arrival clock saw pass; a sender that pauses is ahead of the first only.
    """
    passed, counted = np.diff(stamps), np.diff(sequences) * lengths[:-1]
    back = passed < counted - slack
    ahead = (passed > counted + slack) & (np.diff(delays) < -slack)
    return np.flatnonzero(back | ahead) + 1


def _anchors(delays: Ints, slack: int) -> tuple[Ints, int]:
    """The anchor of each packet: constant over a stretch, moved only where the slack is exceeded."""
    if len(delays) == 1:
        return delays, 1
    floor = _least_ahead(delays)
    anchors = np.empty_like(delays)
    begin, count = 0, 0
    while begin < len(delays):
        anchor = floor[begin]
        end = _first_misplaced(delays, floor, begin + 1, anchor, slack)
        anchors[begin:end] = anchor
        begin, count = end, count + 1
    return anchors, count


def _first_misplaced(delays: Ints, floor: Ints, begin: int, anchor: np.int64, slack: int) -> int:
    """Search in steps that double: a sender whose every timestamp is a lie costs little more than others."""
    step = 64
    while begin < len(delays):
        part = slice(begin, begin + step)
        wrong = np.flatnonzero((delays[part] < anchor - slack) | (floor[part] > anchor + slack))
        if len(wrong):
            return begin + int(wrong[0])
        begin, step = begin + step, step * 2
    return len(delays)


def _least_ahead(values: Ints) -> Ints:
    """Minimum of each value and the WINDOW - 1 after it, in linear time (van Herk's two running minima)."""
    count = len(values)
    blocks = -(-(count + WINDOW) // WINDOW)
    padded = np.full(blocks * WINDOW, np.iinfo(np.int64).max)
    padded[:count] = values
    table = padded.reshape(blocks, WINDOW)
    after = np.minimum.accumulate(table[:, ::-1], axis=1)[:, ::-1].ravel()
    before = np.minimum.accumulate(table, axis=1).ravel()
    least: Ints = np.minimum(after[:count], before[WINDOW - 1 : count + WINDOW - 1])
    return least


def _lost(sequences: Ints, arrivals: Ints, gaps: Sequence[Gap]) -> int:
    """Count the numbers that never came, but not those that a gap of ours swallowed."""
    steps = np.diff(sequences)
    lost = 0
    for i in np.flatnonzero(steps > 1):
        if not any(gap.from_ns <= arrivals[i + 1] and gap.to_ns >= arrivals[i] for gap in gaps):
            lost += int(steps[i]) - 1
    return lost


def blocks(timeline: Timeline, frames: int = 0) -> Iterator[NDArray[np.int16]]:
    """The audio in blocks of (frames, 2): customer left, agent right, silence where nothing is."""
    frames = frames or BLOCK_S * timeline.rate
    voices = [Speech(track, timeline.rate) for track in timeline.tracks]
    for begin in range(0, timeline.length, frames):
        block = np.zeros((min(frames, timeline.length - begin), CHANNELS), np.int16)
        for channel, voice in enumerate(voices):
            voice.fill(block[:, channel], begin)
        yield block
