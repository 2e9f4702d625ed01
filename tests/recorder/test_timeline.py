"""The timeline: by timestamp, anchored to arrival, never past it; whatever the network does."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.recorder.g711 import PCMA, PCMU, TABLE
from qm_sip.recorder.journal import JournalError, read_journal
from qm_sip.recorder.timeline import SLACK_S, Timeline, blocks, lay_out
from tests.recorder.journal_writer import (
    KEPT_FROM,
    Writer,
    codec,
    cut,
    end,
    gap,
    merge,
    packet,
    stream,
)

MS = 1_000_000
SECOND = 1000 * MS


def noise(seconds: float, seed: int = 1) -> bytes:
    """Octets that all decode to something, never to silence."""
    return bytes(np.random.default_rng(seed).integers(0, 100, round(seconds * 8000), dtype=np.uint8))


def timeline(*streams: list[tuple[int, bytes]], seconds: float, extra: tuple[bytes, ...] = ()) -> Timeline:
    writer = Writer().add(codec(0, 8, "PCMA/8000"), codec(1, 8, "PCMA/8000"))
    writer.add(*merge(*streams)).add(*extra, end(KEPT_FROM + round(seconds * SECOND)))
    return lay_out(read_journal(writer.to_bytes(), writer.key))


def heard(line: Timeline, frames: int = 480_000) -> np.ndarray:
    return np.concatenate([np.empty((0, 2), np.int16), *blocks(line, frames)])


def decoded(octets: bytes) -> np.ndarray:
    return TABLE[PCMA][np.frombuffer(octets, np.uint8)]


def test_nothing_lost_is_bit_exact() -> None:
    left, right = noise(3, 1), noise(3, 2)
    line = timeline(stream(0, left), stream(1, right, ssrc=9), seconds=3)
    sound = heard(line)
    assert line.length == 24000
    assert np.array_equal(sound[:, 0], decoded(left))
    assert np.array_equal(sound[:, 1], decoded(right))


@pytest.mark.parametrize("frames", [1, 7, 160, 1000, 8000])
def test_the_size_of_the_blocks_does_not_matter(frames: int) -> None:
    line = timeline(stream(0, noise(0.4)), seconds=0.5)
    assert np.array_equal(heard(line, frames), heard(line))


def test_jitter_does_not_move_a_sample() -> None:
    jitter = random.Random(5)
    octets = noise(20)
    delays = [jitter.randrange(0, 60 * MS) for _ in range(1000)]
    delays[0] = 0
    line = timeline(stream(0, octets, delays=delays), seconds=20)
    assert line.tracks[0].anchors == 1
    assert np.array_equal(heard(line)[:, 0], decoded(octets))


def test_a_stall_of_three_seconds_does_not_move_a_sample() -> None:
    octets = noise(20)
    delays = [0] * 400 + [(150 - i) * 20 * MS for i in range(150)] + [0] * 450
    line = timeline(stream(0, octets, delays=delays), seconds=20)
    assert np.array_equal(heard(line)[:, 0], decoded(octets))


def test_sequence_and_timestamp_wrap() -> None:
    octets = noise(2)
    line = timeline(stream(0, octets, seq=65500, ts=2**32 - 3000), seconds=2)
    assert line.tracks[0].lost == 0
    assert np.array_equal(heard(line)[:, 0], decoded(octets))


def test_what_is_lost_is_silence_of_its_length_and_counted() -> None:
    octets = noise(2)
    packets = stream(0, octets)
    del packets[30:40]
    line = timeline(packets, seconds=2)
    sound, whole = heard(line)[:, 0], decoded(octets).copy()
    whole[30 * 160 : 40 * 160] = 0
    assert line.tracks[0].lost == 10
    assert np.array_equal(sound, whole)


def test_duplicates_are_used_once_and_the_first_counts() -> None:
    octets = noise(1)
    again = stream(0, noise(1, 9), delays=[5 * MS] * 50)
    line = timeline(stream(0, octets), again, seconds=1)
    assert line.tracks[0].duplicates == 50
    assert np.array_equal(heard(line)[:, 0], decoded(octets))


def test_reordering_is_undone() -> None:
    octets = noise(2)
    delays = [70 * MS if i % 7 == 3 else 0 for i in range(100)]
    line = timeline(stream(0, octets, delays=delays), seconds=2)
    assert (line.tracks[0].lost, line.tracks[0].anchors) == (0, 1)
    assert np.array_equal(heard(line)[:, 0], decoded(octets))


@pytest.mark.parametrize("jump", [30_000, -30_000, 8000 * 3600, -8000 * 3600, 2**31 - 1])
def test_a_timestamp_jump_is_anchored_anew_to_the_arrival(jump: int) -> None:
    a, b = noise(2, 1), noise(2, 2)
    after = stream(0, b, seq=100, ts=16000 + jump, begin=KEPT_FROM + 2 * SECOND)
    line = timeline(stream(0, a), after, seconds=4)
    assert (line.length, line.tracks[0].anchors) == (32000, 2)
    assert np.array_equal(heard(line)[:, 0], decoded(a + b))


def test_a_new_source_begins_where_it_arrives() -> None:
    a, b = noise(1, 1), noise(1, 2)
    second = stream(0, b, ssrc=99, seq=4711, ts=123456, begin=KEPT_FROM + 2 * SECOND)
    line = timeline(stream(0, a), second, seconds=3)
    assert np.array_equal(
        heard(line)[:, 0], np.concatenate([decoded(a), np.zeros(8000, np.int16), decoded(b)])
    )
    assert line.tracks[0].lost == 0


def test_a_sender_that_begins_its_numbering_anew_loses_nothing() -> None:
    a, b = noise(4, 1), noise(4, 2)
    second = stream(0, b, begin=KEPT_FROM + 4 * SECOND)
    line = timeline(stream(0, a), second, seconds=8)
    assert (line.tracks[0].duplicates, line.tracks[0].lost) == (0, 0)
    assert np.array_equal(heard(line)[:, 0], decoded(a + b))


def test_silence_suppression_keeps_its_pauses() -> None:
    a, b = noise(1, 1), noise(1, 2)
    after = stream(0, b, seq=50, ts=8000 * 6, begin=KEPT_FROM + 6 * SECOND)
    line = timeline(stream(0, a), after, seconds=7)
    assert (line.tracks[0].lost, line.tracks[0].anchors) == (0, 1)
    assert np.array_equal(heard(line)[48000:, 0], decoded(b))


def test_a_senders_clock_that_runs_wrong_is_followed_to_40_ms() -> None:
    octets = noise(60)
    for ppm in (-2000, 2000):
        packets = [
            (arrival, packet(0, i, i * 160, arrival, octets[i * 160 : i * 160 + 160]))
            for i, arrival in ((i, KEPT_FROM + round(i * 20 * MS * (1 + ppm / 1e6))) for i in range(3000))
        ]
        line = timeline(packets, seconds=60 * (1 + ppm / 1e6))
        arrivals = (np.array([a for a, _ in packets]) - KEPT_FROM) * 8000 // SECOND
        assert np.abs(np.sort(line.tracks[0].places) - arrivals).max() <= round(SLACK_S * 8000) + 4


def test_hold_and_cut_are_silence_on_the_axis_and_listed() -> None:
    octets = noise(4)
    packets = [p for i, p in enumerate(stream(0, octets)) if not 50 <= i < 100]
    hold = gap(1, KEPT_FROM + SECOND, KEPT_FROM + 2 * SECOND)
    away = cut(KEPT_FROM + 3 * SECOND, KEPT_FROM + 3 * SECOND + 499 * MS)
    line = timeline(packets, seconds=4, extra=(hold, away))
    whole = decoded(octets).copy()
    whole[8000:16000] = 0
    whole[24000:28000] = 0
    assert line.gaps == (("hold", 8000, 16000), ("private", 24000, 27992))
    assert line.tracks[0].lost == 0
    assert np.array_equal(heard(line)[:, 0], whole)


def test_a_codec_may_change_in_mid_call() -> None:
    a, u = noise(1, 1), noise(1, 2)
    writer = Writer().add(codec(0, 8, "PCMA/8000"), *merge(stream(0, a)), codec(0, 0, "pcmu/8000"))
    for i in range(50):
        at = KEPT_FROM + SECOND + i * 20 * MS
        writer.add(packet(0, 50 + i, 8000 + i * 160, at, u[i * 160 : i * 160 + 160], pt=0))
    line = lay_out(read_journal(writer.add(end(KEPT_FROM + 2 * SECOND)).to_bytes(), writer.key))
    expected = np.concatenate([decoded(a), TABLE[PCMU][np.frombuffer(u, np.uint8)]])
    assert np.array_equal(heard(line)[:, 0], expected)


def test_what_nobody_knows_is_counted_and_left_out() -> None:
    writer = Writer().add(codec(0, 8, "G729/8000"), *merge(stream(0, noise(1))))
    writer.add(packet(1, 1, 0, KEPT_FROM, b"x" * 160, pt=77), end(KEPT_FROM + SECOND))
    line = lay_out(read_journal(writer.to_bytes(), writer.key))
    assert [track.unusable for track in line.tracks] == [50, 1]
    assert not heard(line).any()


def test_a_journal_of_a_day_and_more_is_refused() -> None:
    writer = Writer().add(end(KEPT_FROM + 25 * 3600 * SECOND))
    with pytest.raises(JournalError):
        lay_out(read_journal(writer.to_bytes(), writer.key))


@pytest.mark.parametrize("size", [80, 160, 240, 480])
def test_the_packet_time_does_not_matter(size: int) -> None:
    octets = noise(0.96)
    line = timeline(stream(0, octets, size=size), seconds=0.96)
    assert np.array_equal(heard(line)[:, 0], decoded(octets))


hostile = st.tuples(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 3),
    st.integers(0, 5000),
    st.integers(0, 2000),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(hostile, max_size=60))
def test_nothing_lies_later_than_it_arrived_whatever_is_sent(packets) -> None:
    sent = [
        (at, packet(0, seq, ts, KEPT_FROM + at * MS, b"\x11" * size, ssrc=ssrc))
        for seq, ts, ssrc, at, size in sorted(packets, key=lambda p: p[3])
    ]
    line = timeline(sent, seconds=5)
    assert 40000 <= line.length <= 40000 + round(SLACK_S * 8000)
    latest = max((p[3] * 8 for p in packets), default=0)
    assert all(track.places.max(initial=0) <= latest + round(SLACK_S * 8000) for track in line.tracks)
    assert heard(line).shape == (line.length, 2)


def test_a_sender_whose_every_timestamp_is_a_lie_costs_no_more_than_seconds() -> None:
    liar = random.Random(3)
    packets = [
        (i, packet(0, i, liar.randrange(2**32), KEPT_FROM + i * 20 * MS, b"\x11" * 160))
        for i in range(45_000)
    ]
    line = timeline(packets, seconds=900)
    assert line.tracks[0].anchors > 40_000
    assert line.length == 900 * 8000
