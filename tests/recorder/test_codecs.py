"""What a recording's codecs make of its file: the rate it deserves, every sample in its place, Opus at its speed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from qm_sip.recorder.codecs import file_rate
from qm_sip.recorder.journal import Packet, read_journal
from qm_sip.recorder.render import render, seal
from qm_sip.recorder.timeline import Timeline, blocks, lay_out
from tests.media.test_codecs import opus_packets, share, tone
from tests.recorder.facts import RECIPIENT
from tests.recorder.journal_writer import KEPT_FROM, Writer, alaw, codec, end, packet

SECOND = 10**9


def laid(writer: Writer, seconds: float) -> Timeline:
    writer.add(end(KEPT_FROM + round(seconds * SECOND)))
    return lay_out(read_journal(writer.to_bytes(), writer.key))


def heard(line: Timeline, frames: int = 0) -> np.ndarray:
    return np.concatenate([np.empty((0, 2), np.int16), *blocks(line, frames)])


def said(payloads: list[bytes], step: int, pt: int, *, channel: int = 0, begin: int = 0) -> list[bytes]:
    """Packets 20 ms apart, from packet number `begin` on."""
    return [
        packet(channel, begin + i, (begin + i) * step, KEPT_FROM + (begin + i) * 20_000_000, payload, pt=pt)
        for i, payload in enumerate(payloads)
    ]


def of(law: str, payload: bytes = b"\0") -> Packet:
    return Packet(0, 0, 0, 0, 0, law, payload)


@pytest.mark.parametrize(
    ("packets", "rate"),
    [
        ([], 8000),
        ([of("PCMA"), of("CN")], 8000),
        ([of("L16")], 8000),
        ([of("PCMU"), of("G722")], 16000),
        ([of("L16/16000")], 16000),
        ([of("OPUS/48000/2", b"\x08")], 8000),  # narrowband
        ([of("OPUS/48000/2", b"\x48")], 16000),  # wideband
        ([of("OPUS/48000/2", b"\x68")], 24000),  # superwideband
        ([of("OPUS/48000/2", b"\x78")], 48000),  # fullband
        ([of("OPUS/48000/2", b"\x68"), of("G722")], 48000),  # no other rate holds both
    ],
)
def test_the_file_has_the_rate_that_keeps_all(packets: list[Packet], rate: int) -> None:
    assert file_rate(packets) == rate


def test_a_call_that_becomes_wideband_stays_on_one_axis() -> None:
    narrow, wide = tone(1000, 8000, 1.0), tone(3000, 16000, 1.0).astype(">i2").tobytes()
    writer = Writer().add(codec(0, 8, "PCMA/8000"), codec(0, 97, "L16/16000"))
    octets = alaw(narrow.astype(np.int32))
    writer.add(*said([octets[i : i + 160] for i in range(0, 8000, 160)], 160, 8))
    writer.add(*said([wide[i : i + 640] for i in range(0, 32000, 640)], 320, 97, begin=50))
    line = laid(writer, 2.0)
    sound = heard(line)[:, 0]
    assert (line.rate, line.length, line.tracks[0].lost) == (16000, 32000, 0)
    assert share(sound[1000:15000], 1000, 16000) > 0.99
    assert np.array_equal(sound[16000:32000], tone(3000, 16000, 1.0))


def test_opus_lost_packets_are_silence_of_their_length() -> None:
    payloads = opus_packets(tone(1000, 48000, 2.0), 48000)[:100]
    packets = said(payloads, 960, 96)
    del packets[40:50]
    line = laid(Writer().add(codec(0, 96, "opus/48000/2")).add(*packets), 2.0)
    sound = heard(line)[:, 0]
    rate = line.rate
    assert line.tracks[0].lost == 10
    assert not sound[rate * 80 // 100 : rate].any()
    assert share(sound[rate // 10 : rate * 7 // 10], 1000, rate) > 0.98


@pytest.mark.parametrize("frames", [7, 997, 48000])
def test_the_size_of_the_blocks_does_not_matter_to_a_decoder(frames: int) -> None:
    payloads = opus_packets(tone(1000, 48000, 0.4), 48000)[:20]
    writer = Writer().add(codec(0, 96, "opus/48000/2")).add(*said(payloads, 960, 96))
    line = laid(writer, 0.4)
    assert np.array_equal(heard(line, frames), heard(line))


def test_what_is_no_payload_of_its_codec_is_counted() -> None:
    writer = Writer().add(codec(0, 96, "opus/48000/2"), codec(1, 97, "L16/16000"))
    writer.add(*said([b"\x1b\x3f"], 960, 96), *said([b"odd"], 320, 97, channel=1))
    assert [track.unusable for track in laid(writer, 1.0).tracks] == [1, 1]


def test_how_many_hours_of_opus_a_cpu_hour_renders(capsys: pytest.CaptureFixture[str]) -> None:
    rng, seconds = np.random.default_rng(1), 60
    n = np.arange(seconds * 48000) / 48000
    burst = np.clip(np.sin(2 * np.pi * 0.25 * n), 0, 1)
    voice = (burst * (rng.normal(0, 400, len(n)) + 4000 * np.sin(2 * np.pi * 220 * n))).astype(np.int16)
    payloads = opus_packets(voice, 48000)[: seconds * 50]
    writer = Writer().add(codec(0, 96, "opus/48000/2"), codec(1, 96, "opus/48000/2"))
    writer.add(
        *said(payloads, 960, 96), *said(payloads, 960, 96, channel=1), end(KEPT_FROM + seconds * SECOND)
    )
    data = writer.to_bytes()
    began = time.process_time()
    made = render(read_journal(data, writer.key))
    seal(made.flac, {"coaching": [RECIPIENT]})
    took = time.process_time() - began
    with capsys.disabled():
        print(f"\nrendering: {seconds / took:.0f} hours of Opus calls ({made.timeline.rate} Hz) per CPU hour")
    assert made.timeline.length == seconds * made.timeline.rate
    assert seconds / took > 60
