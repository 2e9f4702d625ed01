"""Opening what was sealed: with an age identity, on a machine and in a process of its holder.

The server cannot do this (I6); these functions run in the command line, after `permit` said yes and the
use was entered. What they return is plaintext in memory; what the caller does with it is the use that
was permitted.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyrage
import soundfile

from qm_sip.errors import Refused
from qm_sip.recorder import flac
from qm_sip.recorder.journal import KEY_BYTES, JournalError, read_envelope, read_journal
from qm_sip.recorder.render import Rendered, render
from qm_sip.recorder.rows import Recording
from qm_sip.recorder.timeline import CHANNELS


@dataclass(frozen=True)
class Verdict:
    """What was checked of a recording, and what was found wrong (nothing, if it is as it was made)."""

    checked: Sequence[str]
    wrong: Sequence[str]

    @property
    def sound(self) -> bool:
        return not self.wrong


def open_sealed(path: Path, wrapped: str, identity: str) -> bytes:
    """Open a sealed recording with the identity of one of its purpose's recipients; returns the FLAC file."""
    inner = _decrypt(base64.b64decode(wrapped), identity).decode()
    return _decrypt(path.read_bytes(), inner)


def open_sealed_journal(path: Path, purpose: str, identity: str) -> Rendered:
    """Open a journal that became the sealed recording (its key died with the power), and render it now."""
    data = path.read_bytes()
    envelope, _ = read_envelope(data)
    if purpose not in envelope.wrapped:
        raise Refused("other-purpose", "this journal was not sealed for that purpose")
    key = _decrypt(envelope.wrapped[purpose], identity)
    if len(key) != KEY_BYTES:
        raise JournalError("the journal's wrapped key is malformed")
    return render(read_journal(data, key))


def _decrypt(data: bytes, identity: str) -> bytes:
    try:
        return bytes(pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(identity)]))
    except pyrage.IdentityError:
        raise Refused("not-an-identity", "this is not an age identity") from None
    except pyrage.DecryptError:
        raise Refused("not-a-recipient", "this identity does not open the recording") from None


def to_wav(data: bytes) -> bytes:
    """The same samples as a WAV file, for programs that do not read FLAC. Tags do not go with it."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    memory = io.BytesIO()
    soundfile.write(memory, samples, rate, format="WAV", subtype="PCM_16")
    return memory.getvalue()


def verify_sealed(path: Path, recording: Recording) -> Verdict:
    """Check the file as it lies there, which anybody may: is it the one that was written?"""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return Verdict(["file"], ["file-missing"])
    wrong = [] if digest == recording.sealed_sha256 else ["sealed-sha256"]
    return Verdict(["file", "sealed-sha256"], wrong)


def verify(data: bytes, recording: Recording) -> Verdict:
    """Check an opened recording against the catalog: digest, tags, channels, rate and length."""
    checks = {"sha256": hashlib.sha256(data).hexdigest() == recording.sha256}
    try:
        checks |= _check_tags(flac.read_tags(data), recording)
        sound = soundfile.info(io.BytesIO(data))
        checks["channels"] = sound.channels == CHANNELS
        checks["rate"] = sound.samplerate == recording.facts.get("rate", 8000)
        checks["length"] = sound.frames == recording.facts.get("frames")
    except (flac.FlacError, soundfile.LibsndfileError):
        checks["flac"] = False
    return Verdict(list(checks), [name for name, good in checks.items() if not good])


def _check_tags(tags: Sequence[tuple[str, str]], recording: Recording) -> Mapping[str, bool]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in tags:
        found[name].append(value)
    until = [f"{name} {when.isoformat()}" for name, when in sorted(recording.purposes.items()) if when]
    return {
        "tag-recording": found["QM_RECORDING_ID"] == [recording.id],
        "tag-class": found["QM_CLASS"] == [recording.cls or "unknown"],
        "tag-purposes": sorted(found["QM_PURPOSE"]) == sorted(recording.purposes),
        "tag-regulation": found["QM_REGULATION"] == [recording.regulation or "unknown"],
        "tag-announcement": found["QM_ANNOUNCEMENT_SHA256"] == list(recording.announcement),
        "tag-destroy-by": found["QM_DELETE_AFTER"] == until,
    }
