"""Opening what a test's server recorded, as its key holder may, and waiting for what the server says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from qm_sip.demo import audio
from qm_sip.demo.server import Server, qm_sip

T = TypeVar("T")
Row = dict[str, Any]


def until(look: Callable[[], T], seconds: float, what: str) -> T:
    """Look again and again until there is something; AssertionError when the time is over."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.05)
    return found


def tap(server: Server, seconds: float = 20) -> Row:
    """The one tap that is open, once it is."""
    return until(lambda: server.ask("taps")["taps"], seconds, "tap")[0]


def ended_calls(server: Server) -> list[Row]:
    return [row for row in server.ask("calls")["calls"] if row["state"] == "ended"]


def one_call(server: Server, seconds: float = 15) -> Row:
    """The only call of this test, once it has ended and what it gave is sealed."""

    def look() -> Row | None:
        rows = ended_calls(server)
        states = {row["recording"]: row["state"] for row in server.ask("recordings")["recordings"]}
        return rows[0] if rows and set(states.values()) <= {"sealed", "failed"} else None

    row = until(look, seconds, "ended call")
    assert len(server.ask("calls")["calls"]) == 1
    return row


@dataclass(frozen=True)
class Heard:
    """A recording, opened."""

    samples: npt.NDArray[np.float64]  # (length, 2): left the customer, right the agent
    rate: int

    @property
    def left(self) -> npt.NDArray[np.float64]:
        return self.samples[:, 0]

    @property
    def right(self) -> npt.NDArray[np.float64]:
        return self.samples[:, 1]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def opened(
    server: Server, recording: str, directory: Path, *, person: str = "m1", purpose: str = "coaching"
) -> Heard:
    """What `recordings export` gives to whoever holds the key."""
    path = directory / f"{recording}.flac"
    qm_sip("recordings", "export", recording, "--as", person, "--purpose", purpose,
           "--identity", str(server.identity), "--out", str(path), "--socket", str(server.socket))  # fmt: skip
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return Heard(samples, rate)


ABSENT = -60.0  # dBFS


def assert_only(samples: audio.Samples, hz: float, *absent: float) -> None:
    """This tone all along, and the others nowhere."""
    middle = samples[800:-800]
    assert audio.level_dbfs(middle, hz) == pytest.approx(-12.0, abs=1.5)
    if absent:
        assert_absent(middle, *absent)


SHORTEST = 0.2  # seconds of which it can be said what is not in them


def assert_absent(samples: audio.Samples, *tones: float) -> None:
    """None of these tones anywhere, not for one packet: 20 ms of one would still be -46 dBFS in a window of a second.

    A shorter window would take the edge of another tone, where it begins or ends, for a trace of this one. Of next to
    nothing nothing can be said.
    """
    assert tones, "no tone is looked for"
    assert len(samples) >= SHORTEST * audio.RATE, f"only {len(samples)} samples to look in"
    for hz in tones:
        loudest = audio.loudest_dbfs(samples, hz, window_s=1.0)
        assert loudest < ABSENT, f"{hz} Hz is in there, at {loudest:.0f} dBFS"


def clear_text_in(directory: Path, *texts: str) -> list[str]:
    """Files below a directory that hold one of the texts as it is, in name or content."""
    found, paths = [], sorted(directory.rglob("*"))
    assert any(path.is_file() and path.stat().st_size for path in paths), "there is no file to look in"
    assert texts and all(texts), "no text is looked for"
    for path in paths:
        content = path.read_bytes() if path.is_file() else b""
        found += [f"{text} in {path}" for text in texts if text in path.name or text.encode() in content]
    return found
