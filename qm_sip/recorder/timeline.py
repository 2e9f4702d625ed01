"""Every packet finds its place on one time axis.

The axis is the recording's own: sample 0 is the instant from which the engine kept audio, one sample is
125 µs of the engine's monotonic clock. Both channels lie on it, so a word and its answer stand as far
apart as they were.

A sender's RTP timestamp (RFC 3550, 5.1) says how its packets lie relative to each other, to the sample;
the arrival clock says where they lie on our axis, but with the network's jitter on top. So a stretch of
packets is laid by its timestamps, and *anchored* where its fastest packets arrived: the least of
(arrival - timestamp) over the next `WINDOW` packets. A stretch ends where the timestamp jumps
(`_jumps`), and is anchored anew where that stops being true by more than `SLACK`:

- a packet would lie later than it arrived: the sender's clock runs fast. Never fill past the arrival
  clock: one jump would be hours of silence;
- no packet of the next `WINDOW` would lie near its arrival: its clock runs slow, or the path became longer.

Order is restored by sequence number (RFC 3550, A.1); a sender that begins anew begins a run of its own.
What was lost, held, cut or paused is silence: the axis is kept, and what is missing is counted or
listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qm_sip.recorder.g711 import LAWS, TABLE
from qm_sip.recorder.journal import Gap, Journal, JournalError, Packet

RATE = 8000
CHANNELS = 2
SLACK = 320  # samples, 40 ms: how far a packet may lie from where its arrival says
WINDOW = 250  # packets, five seconds at 20 ms: a stall shorter than this does not move the axis
# Samples, 200 ms: the longest packet time in use (RFC 3551, 4.5 lets a sender go far beyond).
PAYLOAD_MOST = 1600
LONGEST = 24 * 3600 * RATE
MINUTE = 60 * RATE
MAX_DROPOUT, MAX_MISORDER = 3000, 100  # RFC 3550, A.1

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Track:
    """One channel laid out: packet i is `sizes[i]` of `octets` from `starts[i]`, heard at `places[i]`."""

    octets: NDArray[np.uint8]
    laws: NDArray[np.uint8]  # of each packet: row of g711.TABLE
    starts: Ints
    sizes: Ints
    places: Ints  # ascending
    lost: int  # sequence numbers that never came, outside of gaps
    duplicates: int
    anchors: int  # how often the stretch had to be anchored, at least once if there is any packet
    unusable: int  # of a codec that is not G.711, or longer than any packet is


@dataclass(frozen=True)
class Timeline:
    length: int  # samples
    tracks: tuple[Track, ...]
    gaps: tuple[tuple[str, int, int], ...]  # state, from, to in samples


def samples_between(begin_ns: int, end_ns: int) -> int:
    """Samples from one instant to another, rounded."""
    return ((end_ns - begin_ns) * RATE + 500_000_000) // 1_000_000_000


def lay_out(journal: Journal) -> Timeline:
    """Place every packet of a journal. Raises JournalError if the journal spans more time than a call can."""
    origin = journal.header.kept_from_ns
    length = samples_between(origin, journal.end_ns)
    if length > LONGEST:
        raise JournalError("the journal spans more than a day")
    tracks = tuple(
        _track(_of_channel(journal.packets, channel), origin, journal.gaps) for channel in range(CHANNELS)
    )
    return Timeline(
        _with_tail(length, tracks), tracks, tuple(_in_samples(gap, origin) for gap in journal.gaps)
    )


def _in_samples(gap: Gap, origin: int) -> tuple[str, int, int]:
    return gap.state, samples_between(origin, gap.from_ns), samples_between(origin, gap.to_ns)


def _of_channel(packets: Sequence[Packet], channel: int) -> list[Packet]:
    return [packet for packet in packets if packet.channel == channel]


def _with_tail(length: int, tracks: Sequence[Track]) -> int:
    """Let the last packet sound to its end, if that is within what rounding allows."""
    last = max((int((track.places + track.sizes).max()) for track in tracks if len(track.places)), default=0)
    return max(length, min(last, length + SLACK))


def _track(packets: list[Packet], origin: int, gaps: Sequence[Gap]) -> Track:
    usable = [p for p in packets if p.law in LAWS and 0 < len(p.payload) <= PAYLOAD_MOST]
    unusable = len(packets) - len(usable)
    sizes = np.fromiter((len(p.payload) for p in usable), np.int64, len(usable))
    octets = np.frombuffer(b"".join([p.payload for p in usable]), np.uint8)
    starts = np.cumsum(sizes) - sizes
    laws = np.fromiter((LAWS[p.law] for p in usable), np.uint8, len(usable))
    placed = _Placed.of(usable, origin, gaps)
    order = placed.packets[np.argsort(placed.places, kind="stable")]
    return Track(
        octets=octets,
        laws=laws[order],
        starts=starts[order],
        sizes=sizes[order],
        places=np.sort(placed.places, kind="stable"),
        lost=placed.lost,
        duplicates=len(usable) - len(placed.packets),
        anchors=placed.anchors,
        unusable=unusable,
    )


@dataclass(frozen=True)
class _Placed:
    """Which packets are used (by index, duplicates left out) and the sample each begins at."""

    packets: Ints
    places: Ints
    lost: int
    anchors: int

    @classmethod
    def of(cls, packets: Sequence[Packet], origin: int, gaps: Sequence[Gap]) -> _Placed:
        ssrcs = np.fromiter((p.ssrc for p in packets), np.int64, len(packets))
        sequences = np.fromiter((p.sequence for p in packets), np.int64, len(packets))
        stamps = np.fromiter((p.timestamp for p in packets), np.int64, len(packets))
        sizes = np.fromiter((len(p.payload) for p in packets), np.int64, len(packets))
        arrivals = np.fromiter((p.arrival_ns - origin for p in packets), np.int64, len(packets))
        pieces = [
            _lay_run(run, *_unwrap(run, sequences, stamps), arrivals, sizes)
            for run in _runs(ssrcs, sequences)
        ]
        lost = sum(_lost(piece.sequences, arrivals[piece.packets] + origin, gaps) for piece in pieces)
        return cls(
            _joined([piece.packets for piece in pieces]),
            _joined([piece.places for piece in pieces]),
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


def _runs(ssrcs: Ints, sequences: Ints) -> Iterator[Ints]:
    """Split packets, in order of arrival, by sender and where its numbering begins anew (RFC 3550, A.1)."""
    if not len(ssrcs):
        return
    by_sender = np.argsort(ssrcs, kind="stable")
    for sender in np.split(by_sender, np.flatnonzero(np.diff(ssrcs[by_sender])) + 1):
        steps = _wrapped_steps(sequences[sender], 16)
        yield from np.split(sender, np.flatnonzero((steps > MAX_DROPOUT) | (steps < -MAX_MISORDER)))


def _unwrap(run: Ints, sequences: Ints, stamps: Ints) -> tuple[Ints, Ints]:
    return np.cumsum(_wrapped_steps(sequences[run], 16)), np.cumsum(_wrapped_steps(stamps[run], 32))


def _lay_run(run: Ints, sequences: Ints, stamps: Ints, arrivals: Ints, sizes: Ints) -> _Run:
    """Sort a run by sequence number, leave duplicates out (the first to arrive stays), and anchor it."""
    order = np.lexsort((stamps, sequences))  # stable: of equal ones the first to arrive comes first
    alike = (np.diff(sequences[order]) == 0) & (np.diff(stamps[order]) == 0)
    order = order[np.concatenate([[True], ~alike])]
    run, sequences, stamps = run[order], sequences[order], stamps[order]
    delays = arrivals[run] * RATE // 1_000_000_000 - stamps
    stretches = np.split(delays, _jumps(sequences, stamps, delays, sizes[run]))
    anchored = [_anchors(stretch) for stretch in stretches]
    anchors = _joined([anchors for anchors, _ in anchored])
    return _Run(run, sequences, stamps + anchors, sum(count for _, count in anchored))


def _jumps(sequences: Ints, stamps: Ints, delays: Ints, sizes: Ints) -> Ints:
    """Where the timestamp jumps.

    Back: it may not fall behind what the sequence numbers count. Ahead: of both what they count and what the
    arrival clock saw pass; a sender that pauses is ahead of the first only.
    """
    passed, counted = np.diff(stamps), np.diff(sequences) * sizes[:-1]
    back = passed < counted - SLACK
    ahead = (passed > counted + SLACK) & (np.diff(delays) < -SLACK)
    return np.flatnonzero(back | ahead) + 1


def _anchors(delays: Ints) -> tuple[Ints, int]:
    """The anchor of each packet: constant over a stretch, moved only where `SLACK` is exceeded."""
    if len(delays) == 1:
        return delays, 1
    floor = _least_ahead(delays)
    anchors = np.empty_like(delays)
    begin, count = 0, 0
    while begin < len(delays):
        anchor = floor[begin]
        end = _first_misplaced(delays, floor, begin + 1, anchor)
        anchors[begin:end] = anchor
        begin, count = end, count + 1
    return anchors, count


def _first_misplaced(delays: Ints, floor: Ints, begin: int, anchor: np.int64) -> int:
    """Search in steps that double: a sender whose every timestamp is a lie costs little more than others."""
    step = 64
    while begin < len(delays):
        part = slice(begin, begin + step)
        wrong = np.flatnonzero((delays[part] < anchor - SLACK) | (floor[part] > anchor + SLACK))
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


def blocks(timeline: Timeline, frames: int = MINUTE) -> Iterator[NDArray[np.int16]]:
    """The audio in blocks of (frames, 2): customer left, agent right, silence where nothing is."""
    for begin in range(0, timeline.length, frames):
        block = np.zeros((min(frames, timeline.length - begin), CHANNELS), np.int16)
        for channel, track in enumerate(timeline.tracks):
            _fill(block[:, channel], track, begin)
        yield block


def _fill(target: NDArray[np.int16], track: Track, begin: int) -> None:
    """Write what a track has from `begin` on. Where packets overlap the later place wins."""
    first = np.searchsorted(track.places, begin - PAYLOAD_MOST, side="right")
    last = np.searchsorted(track.places, begin + len(target), side="left")
    for run in _stretches(track, int(first), int(last)):
        place, law = int(track.places[run.start]) - begin, track.laws[run.start]
        source, size = int(track.starts[run.start]), int(track.sizes[run].sum())
        left, right = max(place, 0), min(place + size, len(target))
        if left < right:
            octets = track.octets[source + left - place : source + right - place]
            target[left:right] = TABLE[law][octets]


def _stretches(track: Track, first: int, last: int) -> Iterator[slice]:
    """Packets that follow each other without a break, so that they are copied at once."""
    if first >= last:
        return
    inner, after = slice(first, last - 1), slice(first + 1, last)
    sizes = track.sizes[inner]
    breaks = (
        (track.places[after] != track.places[inner] + sizes)
        | (track.starts[after] != track.starts[inner] + sizes)
        | (track.laws[after] != track.laws[inner])
    )
    edges = [first, *(np.flatnonzero(breaks) + first + 1).tolist(), last]
    yield from map(slice, edges[:-1], edges[1:])
