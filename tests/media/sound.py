"""Calls whose parties say marker tones, and ears that measure how loud each is."""

from __future__ import annotations

import hashlib
import io
import wave
from typing import Any

import numpy as np

from qm_sip.media import protocol as p
from qm_sip.recorder.g711 import PCMA, TABLE
from tests.media.helpers import AGENT, CUSTOMER, Script, rtp
from tests.recorder.journal_writer import alaw, tone

PARTIES = {"caller": (CUSTOMER, 11), "callee": (AGENT, 22)}
SILENCE = b"\xd5" * 160


def wav_of(samples: np.ndarray) -> bytes:
    """A prompt that says that."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


BEEP_HZ = 430
BEEP_WAV = wav_of(tone(BEEP_HZ, 0.5, level=4000))
BEEP = hashlib.sha256(BEEP_WAV).hexdigest()
"""A prompt of half a second that names no uses."""


def said(hertz: float, level: float = 8000) -> list[bytes]:
    """A second of a tone in packets; whole turns, so that it goes on without a seam."""
    octets = alaw(tone(hertz, 1.0, level=level))
    return [octets[i : i + 160] for i in range(0, 8000, 160)]


def decibels(samples: np.ndarray, hertz: float) -> float:
    """How loud that tone is, against the loudest there can be (dBFS)."""
    assert len(samples), "there is nothing to be heard"
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8000)
    amplitude = 2 * abs(np.mean(samples * np.hanning(len(samples)) * 2 * turns))
    return float(20 * np.log10(max(amplitude, 1e-3) / 32768))


def decoded(payloads: list[bytes]) -> np.ndarray:
    """A-law payloads one after another, as samples."""
    return TABLE[PCMA][np.frombuffer(b"".join(payloads), np.uint8)].astype(float)


class Sounding(Script):
    """A script in which each party says a tone of its own: the customer 1000 Hz, the agent 2100 Hz."""

    def __init__(self, seed: int = 1, **changes: Any) -> None:
        super().__init__(seed, **changes)
        self.tones = {"caller": said(1000), "callee": said(2100)}
        self.numbers = {"caller": 0, "callee": 0}
        self.engine.add_file("beep.wav", BEEP_WAV)
        self.do(p.LoadPrompt(BEEP, "beep.wav", "Voorbeeld", "nl", [], []))

    def speak(self, milliseconds: int, *legs: str) -> None:
        """These parties (or both) say their tones; the others send nothing, and their time goes on."""
        for _ in range(milliseconds // 20):
            for leg, (source, ssrc) in PARTIES.items():
                self.numbers[leg] += 1
                number = self.numbers[leg]
                if leg in (legs or PARTIES):
                    self.packet(leg, rtp(number, self.tones[leg][number % 50], ssrc=ssrc), source)
            self.wait(20)

    def beep(self, play: str = "o", leg: str = "callee", **changes: Any) -> None:
        """Play the short tone over what a leg hears."""
        self.do(p.Play("c", leg, play, BEEP, **({"overlay": True} | changes)))  # type: ignore[arg-type]

    def heard(self, destination: tuple[str, int], since: int = 0) -> np.ndarray:
        """What arrived there from the sent packet of that number on."""
        audio = [s for s in self.sent[since:] if s.destination == destination and s.data[1] & 0x7F == 8]
        return decoded([s.data[12:] for s in audio])
