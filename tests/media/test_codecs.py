"""Every codec through the engine and into the file: passed on byte for byte, announced, kept, heard again as it was."""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from qm_sip.media import protocol as p
from qm_sip.recorder.journal import read_journal
from qm_sip.recorder.render import encode
from qm_sip.recorder.timeline import lay_out
from tests.media.helpers import AGENT, CUSTOMER, Script, rtp

HERTZ = 1100.0


@dataclass(frozen=True)
class Spoken:
    name: str
    clock: int
    rate: int  # of the file
    step: int  # of the timestamp in 20 ms
    highest: float  # a tone it carries


CODECS = (
    Spoken("PCMA/8000", 8000, 8000, 160, 2900),
    Spoken("PCMU/8000", 8000, 8000, 160, 2900),
    Spoken("G722/8000", 8000, 16000, 160, 5900),
    Spoken("L16/8000", 8000, 8000, 160, 2900),
    Spoken("L16/16000", 16000, 16000, 320, 5900),
    Spoken("opus/48000/2", 48000, 48000, 960, 5900),
)
each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


def tone(hertz: float, rate: int, seconds: float) -> np.ndarray:
    n = np.arange(round(seconds * rate))
    return (9000 * np.sin(2 * np.pi * hertz * n / rate)).astype(np.int16)


def tone_wav(hertz: float, seconds: float) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone(hertz, 8000, seconds).tobytes())
    return out.getvalue()


NOTICE = tone_wav(HERTZ, 1.0)
DIGEST = hashlib.sha256(NOTICE).hexdigest()


def share(samples: np.ndarray, hertz: float, rate: int) -> float:
    """How much of a sound is that tone: 1 is all of it."""
    wave_ = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    energy = float(np.sum(samples.astype(float) ** 2))
    return float(2 * abs(np.sum(samples * wave_)) ** 2 / (len(samples) * max(energy, 1.0)))


def opus_packets(samples: np.ndarray, rate: int) -> list[bytes]:
    """By libsndfile's encoder, out of the Ogg file it makes (RFC 3533: a packet ends at the first short segment)."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="OGG", subtype="OPUS")
    data, at, packets, packet = file.getvalue(), 0, list[bytes](), b""
    while data[at : at + 4] == b"OggS":
        count = data[at + 26]
        table = data[at + 27 : at + 27 + count]
        at += 27 + count
        for size in table:
            packet, at = packet + data[at : at + size], at + size
            if size < 255:
                packets, packet = [*packets, packet], b""
    return packets[2:]  # OpusHead, OpusTags


class Call(Script):
    """A call in one codec, which each leg knows under a number of its own."""

    def __init__(self, codec: Spoken) -> None:
        super().__init__()
        self.codec, self.numbers = codec, {"caller": 96, "callee": 111}
        self.engine.add_file("tone.wav", NOTICE)
        self.do(
            p.LoadPrompt(DIGEST, "tone.wav", "Voorbeeld", "nl", ["record"], ["coaching"]),
            p.LoadLine("main", [DIGEST]),
        )
        self.open()
        for leg, (ip, port) in (("caller", CUSTOMER), ("callee", AGENT)):
            number = self.numbers[leg]
            types = {str(number): codec.name, "101": f"telephone-event/{codec.clock}"}
            self.do(p.SetRemote("c", leg, ip, port, port + 1, types, number))  # type: ignore[arg-type]
        self.sent.clear()
        self.do(p.Play("c", "caller", "k", DIGEST))
        self.wait(1000)
        (self.finished,) = self.happened(p.PromptFinished)
        self.notice = [packet for packet in self.sent if packet.destination == CUSTOMER]

    def recorded_from_now(self) -> None:
        self.do(p.Bridge("c", True))
        self.tap(self.finished.proof)
        self.wait(400)
        self.sent.clear()

    def speak(self, leg: str, payloads: list[bytes]) -> None:
        for payload in payloads:
            self.sequence += 1
            stamp = self.sequence * self.codec.step
            self.packet(leg, rtp(self.sequence, payload, pt=self.numbers[leg], ts=stamp))
            self.wait(20)

    def samples(self) -> tuple[np.ndarray, int]:
        """The finished file."""
        self.do(p.CloseTap("c", "t", "over"))
        self.wait(100)
        journal = read_journal(self.engine.journals()["t"], self.engine.keys()["t"])
        file = encode(lay_out(journal))
        samples, rate = soundfile.read(io.BytesIO(file), dtype="int16", always_2d=True)
        return samples, rate


def payloads_of(codec: Spoken, call: Call, hertz: float) -> list[bytes]:
    """A second of a tone in that codec. What the engine says itself is the source where no other encoder is at hand."""
    if codec.name.startswith("L16"):
        octets = tone(hertz, codec.clock, 1.0).astype(">i2").tobytes()
        return [octets[i : i + 2 * codec.step] for i in range(0, len(octets), 2 * codec.step)]
    if codec.name.startswith("opus"):
        return opus_packets(tone(hertz, 48000, 1.0), 48000)[:50]
    return [packet.data[12:] for packet in call.notice][:50]


@each_codec
def test_a_prompt_is_said_in_it_at_its_pace(codec: Spoken) -> None:
    call = Call(codec)
    assert call.finished.packets == 50
    heads = [(s.data[1] & 0x7F, int.from_bytes(s.data[4:8], "big")) for s in call.notice]
    assert {number for number, _ in heads} == {96}
    assert {(b - a) % 2**32 for (_, a), (_, b) in pairwise(heads)} == {codec.step}


@each_codec
def test_it_is_passed_on_byte_for_byte_under_the_other_legs_number(codec: Spoken) -> None:
    call = Call(codec)
    call.recorded_from_now()
    said = payloads_of(codec, call, HERTZ)
    call.speak("caller", said)
    passed = [s.data for s in call.sent if s.destination == AGENT]
    assert [data[12:] for data in passed] == said
    assert {data[1] & 0x7F for data in passed} == {111}
    assert call.engine.journals().keys() == {"t"}


@each_codec
def test_what_was_said_is_what_the_file_says(codec: Spoken) -> None:
    call = Call(codec)
    call.recorded_from_now()
    hertz = codec.highest if codec.name[:4] in ("L16/", "opus") else HERTZ
    call.speak("caller", payloads_of(codec, call, hertz))
    samples, rate = call.samples()
    assert rate == codec.rate
    left, right = samples[:, 0], samples[:, 1]
    begin = int(np.flatnonzero(np.abs(left) > 2000)[0])
    heard = left[begin + rate // 5 : begin + rate * 4 // 5]
    assert share(heard, hertz, rate) > 0.95
    assert not right.any()
    assert abs(int(np.count_nonzero(left[begin:])) - rate) < rate // 10
    if codec.name.startswith("L16"):
        assert np.array_equal(np.trim_zeros(left), np.trim_zeros(tone(hertz, rate, 1.0)))


@each_codec
def test_a_number_of_ours_is_understood_too(codec: Spoken) -> None:
    call = Call(codec)
    types = {"111": codec.name}
    call.do(p.SetRemote("c", "callee", *AGENT, 50001, types, 111, our_payload_types={"97": codec.name}))
    call.do(p.Bridge("c", True))
    call.sent.clear()
    call.packet("callee", rtp(1, b"\x08" * 40, pt=97))
    assert [s.data[1] & 0x7F for s in call.sent if s.destination == CUSTOMER] == [96]


@each_codec
def test_an_overlay_comes_to_its_end_and_is_heard_over_speech(codec: Spoken) -> None:
    call = Call(codec)
    call.do(p.Bridge("c", True))
    said = payloads_of(codec, call, HERTZ)
    call.speak("caller", said[:5])
    call.do(p.Play("c", "callee", "over", DIGEST, overlay=True))
    call.sent.clear()
    call.speak("caller", said * 2)
    ended = [e for e in call.happened(p.PromptFinished) if e.play == "over"]
    assert len(ended) == 1
    passed = [s.data for s in call.sent if s.destination == AGENT]
    assert passed[0][12:] != said[0]
    assert passed[-1][12:] == said[-1]
    assert len(passed) == 2 * len(said)


def noise(rng: np.random.Generator) -> Iterator[bytes]:
    while True:
        yield rng.bytes(int(rng.integers(0, 60)))


def test_an_overlay_ends_though_nobody_understands_what_is_said() -> None:
    call = Call(CODECS[-1])
    call.do(p.Bridge("c", True), p.Play("c", "callee", "over", DIGEST, overlay=True))
    source = noise(np.random.default_rng(1))
    call.speak("caller", [next(source) for _ in range(200)])
    assert [e.play for e in call.happened(p.PromptFinished)] == ["k", "over"]


def test_comfort_noise_is_passed_on_kept_and_no_gap() -> None:
    call = Call(CODECS[0])
    types = {"96": "PCMA/8000", "13": "CN/8000"}
    for leg, (ip, port) in (("caller", CUSTOMER), ("callee", AGENT)):
        call.do(p.SetRemote("c", leg, ip, port, port + 1, types, 96))  # type: ignore[arg-type]
    call.numbers = {"caller": 96, "callee": 96}
    call.recorded_from_now()
    said = payloads_of(call.codec, call, HERTZ)
    call.speak("caller", said[:20])
    call.sequence += 1
    call.packet("caller", rtp(call.sequence, b"\x40", pt=13, ts=call.sequence * 160))
    call.wait(1000)
    before = call.sequence
    for i, payload in enumerate(said[:20]):
        call.sequence += 1
        call.packet("caller", rtp(call.sequence, payload, pt=96, ts=(before + 51 + i) * 160))
        call.wait(20)
    call.do(p.CloseTap("c", "t", "over"))
    line = lay_out(read_journal(call.engine.journals()["t"], call.engine.keys()["t"]))
    track = line.tracks[0]
    assert (track.lost, track.unusable, line.gaps) == (0, 0, ())
    assert abs(track.comfort - 8160) <= 320
    assert [s.data[1] & 0x7F for s in call.sent if s.destination == AGENT].count(13) == 1
