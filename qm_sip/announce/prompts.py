"""A prompt: a WAV file, and beside it a TOML file (the sidecar) that says what is said in it.

`config/prompts/<language>/<id>.wav` and `.toml`. The sidecar is what the gate believes: which name is spoken,
which uses and purposes are named, "may" or "does" (KSF15-6.6a, FAQ-A.17). The WAV is named by its SHA-256,
which goes into the proof of each announcement, so nobody can later swap what was said.

A tone is a prompt without words, `config/prompts/tones/<id>.toml`: a sentence over a talking customer would be an
insult to both, so in mid-call staff hear tones. It has no language.
"""

from __future__ import annotations

import hashlib
import struct
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from qm_sip.announce.wav import WavError, read_wav
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import Digest, Use

SLOT = "{identity}"
WEBSITE = "{website}"
NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content
TONES = "tones"  # the folder of what has no language

# The keys that the running program obeys while a notice plays: 9 objects, 8 asks for more information. A text may
# promise no other: say only what the machine has made true.
HONOURED_KEYS = frozenset({"8", "9"})
NOTICE_MS = 3000  # what an agent hears while somebody talks to him lasts no longer


class PromptKind(StrEnum):
    """For whom a prompt is, and when."""

    CUSTOMER_NOTICE = "customer-notice"  # before any use; stands alone
    CUSTOMER_INSERT = "customer-insert"  # a sentence that follows a notice; never enough by itself
    CUSTOMER_CONFIRMATION = "customer-confirmation"
    AGENT = "agent"
    SUPERVISOR = "supervisor"


class Part(BaseModel):
    """A part of a tone: a sound, or without `hz` a pause."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hz: int | None = Field(default=None, ge=300, le=3400)  # what a telephone passes
    to_hz: int | None = Field(default=None, ge=300, le=3400)  # where it glides to, if it does
    ms: int = Field(ge=20, le=NOTICE_MS)
    level_dbfs: int = Field(default=-16, ge=-60, le=-6)  # 0 is the loudest sine there can be

    def __str__(self) -> str:
        if self.hz is None:
            return f"pause {self.ms} ms"
        glide = f" to {self.to_hz}" if self.to_hz else ""
        return f"{self.hz}{glide} Hz {self.ms} ms at {self.level_dbfs} dBFS"


class Sidecar(BaseModel):
    """The TOML beside a WAV. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")
    language: str = Field(default=NO_LANGUAGE, pattern=r"^[a-z]{2,3}$")
    kind: PromptKind
    when: str = ""  # when it is heard, for docs/prompts.md
    text: str = Field(default="", max_length=1000)  # what is said; {identity} stands for the name
    tone: tuple[Part, ...] = Field(default=(), max_length=20)  # instead of a text
    identity: str = ""  # the controller or client whose name is spoken (KSF15-6.6a)
    website: str = ""  # what {website} stands for, as it is spoken: "voorbeeld punt nl"
    uses: frozenset[Use] = frozenset()
    purposes: frozenset[str] = frozenset()
    says: Literal["may", "does"] | None = None  # of the recording; of listening if only that is named
    keys: tuple[str, ...] = ()  # choice keys the text promises
    length: float | None = Field(default=None, gt=0, le=60)  # seconds, exactly; the voice hurries to keep it
    recorded_by: str = ""  # who spoke it, if a person did: `prompts build` then leaves the WAV alone
    approved_by: str = ""
    approved_on: date | None = None

    @field_validator("text")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return " ".join(text.split())

    @field_validator("tone")
    @classmethod
    def _short(cls, tone: tuple[Part, ...]) -> tuple[Part, ...]:
        if sum(part.ms for part in tone) > NOTICE_MS:
            raise ValueError(f"a tone lasts at most {NOTICE_MS} ms")
        return tone

    @property
    def spoken(self) -> str:
        """Exactly what is to be heard: the text with the names in their places, or the tone's parts."""
        if self.tone:
            return ", ".join(map(str, self.tone))
        return self.text.replace(SLOT, self.identity).replace(WEBSITE, self.website)

    @property
    def text_digest(self) -> str:
        """What a built WAV carries, so that a text changed after the build is noticed.

        A tone's has its id in it: two that sound alike stay two prompts, since a prompt is named by its bytes.
        """
        recipe = f"{self.language}\n{self.spoken}\n{self.id if self.tone else self.length or ''}"
        return hashlib.sha256(recipe.encode()).hexdigest()


@dataclass(frozen=True)
class Prompt:
    """A prompt that can be played: its WAV was read and is of the right format."""

    id: str
    language: str
    path: Path
    digest: Digest  # SHA-256 of the WAV file
    identity: str
    uses: frozenset[Use]
    purposes: frozenset[str]
    says: Literal["may", "does"] | None
    text: str  # with the name in its place; of a tone its parts
    duration: float  # seconds
    kind: PromptKind = PromptKind.CUSTOMER_NOTICE
    keys: tuple[str, ...] = ()
    own_recording: bool = False

    def covers(self, uses: Iterable[Use], purposes: Iterable[str]) -> bool:
        """Whether somebody who heard this to its end was told of all these uses and purposes (I2)."""
        return self.uses >= frozenset(uses) and self.purposes >= frozenset(purposes)


def describe(prompt: Prompt) -> dict[str, object]:
    """A prompt as listings show it."""
    return {
        "id": prompt.id,
        "language": prompt.language,
        "kind": prompt.kind,
        "identity": prompt.identity,
        "uses": sorted(prompt.uses),
        "purposes": sorted(prompt.purposes),
        "says": prompt.says,
        "keys": list(prompt.keys),
        "seconds": round(prompt.duration, 2),
        "own_recording": prompt.own_recording,
        "digest": prompt.digest,
        "text": prompt.text,
    }


@dataclass(frozen=True)
class PromptLibrary:
    """All prompts of a directory, by id and language."""

    directory: Path
    prompts: dict[tuple[str, str], Prompt] = field(default_factory=dict)

    def get(self, prompt_id: str, language: str) -> Prompt:
        """The prompt, or ConfigError: for places that have checked that it must exist."""
        found = self.find(prompt_id, language)
        if found is None:
            wav = self.directory / folder_of(language) / f"{prompt_id}.wav"
            raise ConfigError(
                f"no prompt {prompt_id!r} in language {language!r}", file=wav, remedy=_known(self, prompt_id)
            )
        return found

    def find(self, prompt_id: str, language: str) -> Prompt | None:
        return self.prompts.get((prompt_id, language))

    def tone(self, prompt_id: str) -> Prompt | None:
        return self.find(prompt_id, NO_LANGUAGE)

    def languages(self, prompt_id: str) -> list[str]:
        return sorted(language for known, language in self.prompts if known == prompt_id)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts[key] for key in sorted(self.prompts))

    def __len__(self) -> int:
        return len(self.prompts)


def _known(library: PromptLibrary, prompt_id: str) -> str:
    there = library.languages(prompt_id)
    if there:
        return f"it exists in: {', '.join(there)}; add a sidecar and a WAV, or take the language off the line"
    return "see `qm-sip prompts list` for the ids there are"


def load(directory: Path) -> PromptLibrary:
    """Read every prompt below `directory`. Raises ConfigError for the first that cannot be used."""
    library, errors = load_all_errors(directory)
    if errors:
        raise errors[0]
    return library


def load_all_errors(directory: Path) -> tuple[PromptLibrary, list[ConfigError]]:
    """Read every prompt; return those that can be used and every error (for `check`)."""
    if not directory.is_dir():
        remedy = "set [prompts] directory in qm_sip.toml"
        return PromptLibrary(directory), [
            ConfigError("no such prompt directory", file=directory, remedy=remedy)
        ]
    errors: list[ConfigError] = [*_lone_wavs(directory)]
    prompts: dict[tuple[str, str], Prompt] = {}
    by_digest: dict[Digest, Prompt] = {}
    for path in sorted(directory.glob("*/*.toml")):
        try:
            prompt = load_prompt(path)
            _check_twin(prompt, by_digest.setdefault(prompt.digest, prompt))
        except ConfigError as error:
            errors.append(error)
        else:
            prompts[prompt.id, prompt.language] = prompt
    return PromptLibrary(directory, prompts), errors


def _check_twin(prompt: Prompt, twin: Prompt) -> None:
    """A proof names a prompt by its bytes, so the same bytes cannot tell two things."""
    told = [(one.identity, one.uses, one.purposes) for one in (prompt, twin)]
    if told[0] != told[1]:
        problem = f"sounds exactly like {twin.id} ({twin.language}), of which the sidecar says something else"
        raise ConfigError(problem, file=prompt.path, remedy="record it, or make both sidecars say the same")


def _lone_wavs(directory: Path) -> Iterator[ConfigError]:
    """A WAV of which nobody says what is said in it can open no gate: say so, instead of passing it by."""
    for wav in sorted(directory.glob("*/*.wav")):
        if not wav.with_suffix(".toml").exists():
            remedy = f"write {wav.stem}.toml beside it: docs/commands.md, prompts"
            yield ConfigError("a WAV without a sidecar", file=wav, remedy=remedy)


def load_prompt(sidecar_path: Path) -> Prompt:
    """Read one sidecar and its WAV."""
    sidecar = read_sidecar(sidecar_path)
    path = sidecar_path.with_suffix(".wav")
    digest, duration, built_from = _read_audio(path)
    if built_from is not None and not sidecar.recorded_by and built_from != sidecar.text_digest:
        raise ConfigError("the WAV speaks another text than its sidecar", file=path, remedy=_build(path))
    return Prompt(
        id=sidecar.id,
        language=sidecar.language,
        path=path,
        digest=digest,
        identity=sidecar.identity,
        uses=sidecar.uses,
        purposes=sidecar.purposes,
        says=sidecar.says,
        text=sidecar.spoken,
        duration=duration,
        kind=sidecar.kind,
        keys=sidecar.keys,
        own_recording=built_from is None,
    )


def _build(path: Path) -> str:
    """The command that makes this WAV from its sidecar."""
    return f"qm-sip prompts build --directory {path.parent.parent} {path.stem}"


def _read_audio(path: Path) -> tuple[Digest, float, str | None]:
    """SHA-256, seconds, and the mark of the build if there is one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        remedy = f"{_build(path)}, or put your own recording there"
        raise ConfigError("the prompt's WAV is missing", file=path, remedy=remedy) from None
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", file=path, remedy="check its permissions"
        ) from None
    try:
        wav = read_wav(data)
    except (WavError, struct.error) as error:
        remedy = f"sox YOUR.wav -r 8000 -c 1 -b 16 -e signed-integer {path.name}"
        raise ConfigError(f"not a prompt: {error}", file=path, remedy=remedy) from None
    return Digest(hashlib.sha256(data).hexdigest()), wav.duration, wav.comment


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar. Its id and language must be those of its file name and folder."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", file=path, remedy="check its permissions"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", file=path, remedy="put texts between double quotes") from None
    try:
        sidecar = Sidecar.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(first["msg"], file=path, key=key, remedy="docs/commands.md, prompts") from None
    _check_place(path, sidecar)
    return sidecar


def folder_of(language: str) -> str:
    """The folder in which prompts of a language lie."""
    return TONES if language == NO_LANGUAGE else language


def _check_place(path: Path, sidecar: Sidecar) -> None:
    if sidecar.id != path.stem:
        raise ConfigError(f"id {sidecar.id!r} is not the file's name", file=path, key="id", remedy=path.stem)
    if bool(sidecar.text) == bool(sidecar.tone):
        raise ConfigError("needs a text or a tone, one of them", file=path, key="text", remedy="see K1-short")
    folder, remedy = path.parent.name, f"{path.parent.name}, or move the file"
    if sidecar.tone and (folder, sidecar.language) != (TONES, NO_LANGUAGE):
        remedy = f"put it into {TONES}/, without a language"
        raise ConfigError("a tone has no language", file=path, key="language", remedy=remedy)
    if sidecar.text and sidecar.language != folder:
        raise ConfigError("language is not the folder's name", file=path, key="language", remedy=remedy)
    if sidecar.kind is PromptKind.CUSTOMER_NOTICE:
        _check_notice(path, sidecar)
    elif sidecar.kind is not PromptKind.CUSTOMER_INSERT:
        _check_opens_nothing(path, sidecar)


def _check_notice(path: Path, sidecar: Sidecar) -> None:
    """A notice opens gates: it must state what it tells (I2)."""
    for key in ("identity", "uses", "purposes", "says"):
        if not getattr(sidecar, key):
            remedy = 'says = "may" or "does"' if key == "says" else f"{key} = what the text names"
            raise ConfigError("a customer notice must state it", file=path, key=key, remedy=remedy)
    if sidecar.tone:
        raise ConfigError("a tone tells nobody anything", file=path, key="tone", remedy="write a text")


def _check_opens_nothing(path: Path, sidecar: Sidecar) -> None:
    """What is heard in the middle of a call, or by staff, is no notice to a customer."""
    for key in ("uses", "purposes", "says"):
        if getattr(sidecar, key):
            raise ConfigError(
                f"{sidecar.kind} tells of no use", file=path, key=key, remedy=f"leave {key} out"
            )
