"""`qm-sip prompts build`: speak each sidecar's text with espeak-ng into the WAV beside it, or sound its tone.

The same text and the same espeak-ng give the same bytes, so the digest in old proofs can be made again. What
a person recorded is never written over: neither a sidecar with `recorded_by`, nor a WAV without our mark.
"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from qm_sip.announce.prompts import Sidecar, read_sidecar
from qm_sip.announce.tones import sound
from qm_sip.announce.wav import RATE, WavError, read_wav, write_wav
from qm_sip.errors import ConfigError, StartError

VOICES = {"en": "en-gb"}  # otherwise the language's own code: "nl"
WORDS_PER_MINUTE = 160
FASTEST = 450  # the highest rate espeak-ng documents
SPEECH_LEVEL_DBFS = -20.0  # RMS of what is speech; telephone speech lies here
PEAK = 0.89  # -1 dBFS
PAD = 0.05  # seconds of silence at each end, so that no telephone clips the first or last sound

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Built:
    """What became of one prompt."""

    path: Path
    action: Literal["built", "unchanged", "own-recording"]
    seconds: float


def build_all(directory: Path, only: frozenset[str] = frozenset()) -> list[Built]:
    """Build every prompt below `directory`, or those ids. The first problem is raised."""
    sidecars = [(path, read_sidecar(path)) for path in sorted(directory.glob("*/*.toml"))]
    unknown = only - {sidecar.id for _, sidecar in sidecars}
    if unknown or not sidecars:
        problem = f"no such prompt: {', '.join(sorted(unknown))}" if unknown else "no prompt sidecars here"
        raise ConfigError(problem, file=directory, remedy="a prompt is <language>/<id>.toml below it")
    return [build(path, sidecar) for path, sidecar in sidecars if not only or sidecar.id in only]


def build(path: Path, sidecar: Sidecar) -> Built:
    """Build the WAV beside one sidecar, unless a person recorded it or it is there already."""
    wav = path.with_suffix(".wav")
    before = wav.read_bytes() if wav.exists() else b""
    if sidecar.recorded_by or (before and not _is_ours(before)):
        return Built(wav, "own-recording", _seconds(before))
    samples = sound(sidecar.tone) if sidecar.tone else speak(sidecar)
    data = write_wav(samples, sidecar.text_digest)
    if data == before:
        return Built(wav, "unchanged", _seconds(data))
    _write(wav, data)
    return Built(wav, "built", _seconds(data))


def _is_ours(data: bytes) -> bool:
    try:
        return read_wav(data).comment is not None
    except WavError:
        return False  # not ours to judge or to overwrite: `check` will say what is wrong with it


def _seconds(data: bytes) -> float:
    try:
        return read_wav(data).duration
    except WavError:
        return 0.0


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: a server that starts meanwhile never sees half a prompt."""
    half = path.with_suffix(".wav.new")
    try:
        half.write_bytes(data)
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise StartError(
            f"cannot write {path}: {error.strerror}", remedy="check permissions and space"
        ) from None


def speak(sidecar: Sidecar) -> NDArray[np.int16]:
    """The samples of a text, at telephone rate and level."""
    if sidecar.length is None:
        return _finish(_say(sidecar, WORDS_PER_MINUTE))
    return _finish(_say_within(sidecar, sidecar.length), sidecar.length)


def _say_within(sidecar: Sidecar, seconds: float) -> Samples:
    """The slowest speech that fits, pads included."""
    for rate in range(WORDS_PER_MINUTE, FASTEST + 1, 10):
        speech = _say(sidecar, rate)
        if len(speech) / RATE + 2 * PAD <= seconds:
            return speech
    raise StartError(
        f"{sidecar.id} ({sidecar.language}) cannot be said in {seconds} s", remedy="shorten its text"
    )


def _say(sidecar: Sidecar, words_per_minute: int) -> Samples:
    """Let espeak-ng say it; return the speech alone, at 8 kHz."""
    voice = VOICES.get(sidecar.language, sidecar.language)
    audio, rate = soundfile.read(
        io.BytesIO(_espeak(sidecar.spoken, voice, words_per_minute)), dtype="float64"
    )
    return _trim(resample(audio, rate, RATE))


def _espeak(text: str, voice: str, words_per_minute: int) -> bytes:
    program = shutil.which("espeak-ng")
    if program is None:
        raise StartError("espeak-ng is not installed", remedy="apt install espeak-ng")
    command = [program, "-v", voice, "-s", str(words_per_minute), "--stdin", "--stdout"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=False)
    if done.returncode or len(done.stdout) < 100:
        why = done.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise StartError(
            f"espeak-ng failed for voice {voice!r}: {' '.join(why)}", remedy="espeak-ng --voices"
        )
    return _with_length(done.stdout)


def _with_length(wav: bytes) -> bytes:
    """espeak-ng writes to a pipe before it knows the length: put the true sizes into the header."""
    at = wav.find(b"data") + 4
    sizes = (len(wav) - 8).to_bytes(4, "little"), (len(wav) - at - 4).to_bytes(4, "little")
    return wav[:4] + sizes[0] + wav[8:at] + sizes[1] + wav[at + 4 :]


def resample(audio: Samples, rate: int, wanted: int) -> Samples:
    """Band-limited resampling, polyphase: each output sample is a Hann-windowed sinc over its neighbours.

    Output n lies at input n * down / up, so there are only `up` different sets of weights.
    """
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    cutoff = 0.92 * min(1.0, wanted / rate)  # of the input's Nyquist; room for the filter's slope
    half = math.ceil(32 / cutoff)
    count = len(audio) * up // down
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (half, half + down)), 2 * half + 1)
    out = np.zeros(count)
    for phase in range(min(up, count)):
        nearest, rest = divmod(phase * down, up)
        places = out[phase::up]
        places[:] = windows[nearest::down][: len(places)] @ _weights(rest / up, half, cutoff)
    return out


def _weights(fraction: float, half: int, cutoff: float) -> Samples:
    """The filter for an output sample that lies `fraction` of an input sample after its nearest."""
    distance = np.arange(-half, half + 1) - fraction
    return np.asarray(
        cutoff * np.sinc(cutoff * distance) * (0.5 + 0.5 * np.cos(np.pi * distance / (half + 1)))
    )


def _trim(audio: Samples) -> Samples:
    """Cut silence off both ends: below -46 dB of the loudest sample."""
    loud = np.flatnonzero(np.abs(audio) > 0.005 * np.max(np.abs(audio), initial=0.0))
    if not len(loud):
        raise StartError("espeak-ng gave silence", remedy="try: espeak-ng -v nl hallo")
    return audio[loud[0] : loud[-1] + 1]


def _finish(speech: Samples, length: float | None = None) -> NDArray[np.int16]:
    """Bring speech to the level of telephone speech, with a little silence around it."""
    active = speech[np.abs(speech) > 0.01 * np.max(np.abs(speech))]
    gain = 10 ** (SPEECH_LEVEL_DBFS / 20) / float(np.sqrt(np.mean(active**2)))
    gain = min(gain, PEAK / float(np.max(np.abs(speech))))
    pad = np.zeros(int(PAD * RATE))
    whole = np.concatenate([pad, speech * gain, pad])
    if length is not None:
        whole = np.pad(whole, (0, max(0, round(length * RATE) - len(whole))))
    return np.asarray(np.rint(whole * 32767), dtype=np.int16)
