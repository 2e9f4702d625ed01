"""The one audio format of prompts: RIFF/WAVE, PCM, 8 kHz, mono, 16 bit. Read strictly.

The media engine reads the same format and knows no other. A built file carries, in a LIST/INFO comment after
the samples, the digest of the text it was spoken from; without that comment it is somebody's own recording.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 8000
MARK = "qm_sip prompt text sha256:"
PCM = 1


class WavError(ValueError):
    """The bytes are not a WAV of the one format; the message says how they differ."""


@dataclass(frozen=True)
class Wav:
    samples: NDArray[np.int16]
    comment: str | None  # digest of the text it was built from; None for somebody's own recording

    @property
    def duration(self) -> float:
        return len(self.samples) / RATE


def read_wav(data: bytes) -> Wav:
    """Parse a WAV file. Raises WavError unless it is 8 kHz mono 16-bit PCM."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("not a RIFF/WAVE file")
    chunks = dict(_chunks(data[12:]))
    if b"fmt " not in chunks or b"data" not in chunks:
        raise WavError("no format or no samples in it")
    _check_format(chunks[b"fmt "])
    raw = chunks[b"data"]
    if len(raw) < 2:
        raise WavError("no samples in it")
    return Wav(np.frombuffer(raw[: len(raw) & ~1], dtype="<i2"), _read_mark(chunks.get(b"LIST", b"")))


def _chunks(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a RIFF body, in order. A chunk longer than the file is a torn file."""
    while len(rest) >= 8:
        name, size = struct.unpack("<4sI", rest[:8])
        if size > len(rest) - 8:
            raise WavError("the file ends before its samples do")
        yield name, rest[8 : 8 + size]
        rest = rest[8 + size + (size & 1) :]


def _check_format(fmt: bytes) -> None:
    if len(fmt) < 16:
        raise WavError("its format is cut off")
    encoding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    if (encoding, channels, rate, bits) != (PCM, 1, RATE, 16):
        kind = "PCM" if encoding == PCM else f"encoding {encoding}"
        raise WavError(
            f"{kind}, {channels} channel(s), {rate} Hz, {bits} bit instead of PCM, 1 channel, 8000 Hz, 16 bit"
        )


def _read_mark(info: bytes) -> str | None:
    at = info.find(MARK.encode())
    return None if at < 0 else info[at + len(MARK) :].split(b"\0")[0].decode("ascii", "replace")


def write_wav(samples: NDArray[np.int16], text_digest: str | None = None) -> bytes:
    """The bytes of a WAV file; the same samples give the same bytes."""
    raw = samples.astype("<i2").tobytes()
    fmt = struct.pack("<HHIIHH", PCM, 1, RATE, RATE * 2, 2, 16)
    body = b"WAVE" + _chunk(b"fmt ", fmt) + _chunk(b"data", raw)
    if text_digest is not None:
        body += _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", f"{MARK}{text_digest}\0".encode()))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
