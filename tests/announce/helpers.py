"""Small prompts made in a second: a sidecar and a WAV of silence but for two samples, so that no two are one."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from qm_sip.announce.wav import write_wav

NOTICE = {
    "kind": "customer-notice",
    "text": "Welkom bij {identity}. Dit gesprek wordt opgenomen om onze medewerkers te coachen.",
    "identity": "Voorbeeld Energie",
    "uses": ["record"],
    "purposes": ["coaching"],
    "says": "does",
}


def put(
    directory: Path, prompt_id: str, language: str = "nl", *, seconds: float = 1.0, **values: object
) -> Path:
    """Write a sidecar with its WAV; a value of None leaves the key out. Returns the sidecar's path."""
    folder = directory / language
    folder.mkdir(parents=True, exist_ok=True)
    merged = {"id": prompt_id, "language": language, **NOTICE, **values}
    sidecar = folder / f"{prompt_id}.toml"
    sidecar.write_text("".join(f"{k} = {toml(v)}\n" for k, v in merged.items() if v is not None))
    samples = np.zeros(int(seconds * 8000), dtype=np.int16)
    own = zlib.crc32(f"{language}/{prompt_id}".encode()).to_bytes(4)
    samples[:2] = np.frombuffer(own, dtype=np.int16) // 64
    sidecar.with_suffix(".wav").write_bytes(write_wav(samples))
    return sidecar


def toml(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
