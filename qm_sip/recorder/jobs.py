"""What the server asks of a renderer and what it gets back: one JSON line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RenderJob:
    """Render the journal at `journal`, opened with the key at `key`, into the sealed file `output`."""

    recording: str
    journal: Path
    key: Path
    output: Path
    recipients: Mapping[str, Sequence[str]]  # purpose -> age recipients

    def to_json(self) -> dict[str, Any]:
        paths = {name: str(Path(getattr(self, name)).absolute()) for name in ("journal", "key", "output")}
        return {**asdict(self), **paths}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> RenderJob:
        paths = {name: Path(raw[name]) for name in ("journal", "key", "output")}
        return cls(recording=raw["recording"], recipients=raw["recipients"], **paths)


@dataclass(frozen=True)
class RenderResult:
    """The sealed file is written and synced. Counts are summed over both channels."""

    recording: str
    output: str
    bytes: int
    sha256: str  # of the FLAC within
    sealed_sha256: str  # of the file as it lies on disk
    wrapped: Mapping[str, str]  # purpose -> base64 of the wrapped identity
    frames: int
    rate: int
    packets: int
    lost: int
    duplicates: int
    anchors: int
    unusable: int
    gaps: Sequence[Sequence[Any]]  # [state, from, to] in frames
    ended: str | None
    cpu_seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"ok": True, **asdict(self)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> RenderResult:
        return cls(**{field.name: raw[field.name] for field in fields(cls)})
