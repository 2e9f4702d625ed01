"""Small prompts made in a second: a sidecar and a WAV of silence but for two samples, so that no two are one."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np

from qm_sip.announce.wav import write_wav

SHIPPED = Path(__file__).parents[2] / "config" / "prompts"
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
    voice(sidecar, seconds)
    return sidecar


def voice(sidecar: Path, seconds: float) -> None:
    """The WAV beside a sidecar."""
    samples = np.zeros(int(seconds * 8000), dtype=np.int16)
    own = zlib.crc32(f"{sidecar.parent.name}/{sidecar.stem}".encode()).to_bytes(4)
    samples[:2] = np.frombuffer(own, dtype=np.int16) // 64
    sidecar.with_suffix(".wav").write_bytes(write_wav(samples))


def put_rest(directory: Path, *, seconds: float = 0.2) -> None:
    """All that is shipped beside the notices: confirmations, what staff hear, tones."""
    for shipped in SHIPPED.glob("*/*.toml"):
        if 'kind = "customer-notice"' not in shipped.read_text():
            (directory / shipped.parent.name).mkdir(parents=True, exist_ok=True)
            voice(Path(shutil.copy(shipped, directory / shipped.parent.name)), seconds)


def toml(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
