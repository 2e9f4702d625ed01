"""Only one audio format is a prompt; everything else is refused with what is different about it."""

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.announce.wav import WavError, read_wav, write_wav

SAMPLES = np.array([0, 1000, -1000, 32767, -32768], dtype=np.int16)


def of(rate: int = 8000, channels: int = 1, width: int = 2, frames: bytes = b"\0\0\1\0") -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(frames)
    return out.getvalue()


def test_what_is_written_is_read_again_with_its_mark() -> None:
    back = read_wav(write_wav(SAMPLES, "ab12"))
    assert back.samples.tolist() == SAMPLES.tolist()
    assert back.comment == "ab12"
    assert back.duration == 5 / 8000


def test_the_python_library_reads_what_we_write() -> None:
    with wave.open(io.BytesIO(write_wav(SAMPLES, "ab12"))) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 5)
        assert file.readframes(5) == SAMPLES.tobytes()


def test_somebody_elses_file_has_no_mark() -> None:
    assert read_wav(of()).comment is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (of(rate=16000), "16000 Hz"),
        (of(channels=2), "2 channel"),
        (of(width=1), "8 bit"),
        (of(frames=b""), "no samples"),
        (of().replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 7, 1), 1), "encoding 7"),
        (of()[:-2], "ends before"),
        (b"OggS" + bytes(100), "RIFF"),
        (b"", "RIFF"),
        (b"RIFF\0\0\0\0WAVE", "no format"),
    ],
)
def test_another_format_is_named(data: bytes, says: str) -> None:
    with pytest.raises(WavError, match=says):
        read_wav(data)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_bytes_break_the_reader(noise: bytes, at: int) -> None:
    data = bytearray(write_wav(SAMPLES, "ab12"))
    data[at : at + len(noise)] = noise
    try:
        wav = read_wav(bytes(data))
    except (WavError, struct.error):
        return
    assert len(wav.samples) > 0
