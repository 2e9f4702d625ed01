"""Calls that an agent made private before they came: his next one, or all until he says so.

A person takes his preset along to another desk; only where nobody is known at a phone it is the phone's. It ends on
the agent's own phone, by being used, or by itself, at most a day later; it survives a restart, because what `set`,
`clear` and `take` give is for the keeper to write down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from qm_sip.call.words import ClearPreset, SetPreset
from qm_sip.policy.facts import PersonId


class PresetMode(StrEnum):
    NEXT_CALL = "next-call"
    UNTIL_OFF = "until-off"


@dataclass(frozen=True)
class Preset:
    person: PersonId | None
    device: str | None
    mode: PresetMode
    until: datetime


class PresetRow(Protocol):
    """A preset as the catalog gives it back."""

    @property
    def person(self) -> PersonId | None: ...
    @property
    def device(self) -> str | None: ...
    @property
    def mode(self) -> str: ...
    @property
    def until(self) -> datetime: ...


class Presets:
    """In memory; no clock, no disk. What it returns is to be kept."""

    def __init__(self, rows: Iterable[PresetRow] = ()) -> None:
        self._set = {
            _key(row.person, row.device): Preset(row.person, row.device, PresetMode(row.mode), row.until)
            for row in rows
        }
        self.changed: Callable[[PersonId], None] = lambda person: None
        """Whoever is to hear that somebody's preset is another now."""

    def __len__(self) -> int:
        return len(self._set)

    def __iter__(self) -> Iterator[Preset]:
        return iter(self._set.values())

    def set(
        self, person: PersonId | None, device: str | None, mode: PresetMode, until: datetime
    ) -> SetPreset:
        """From now on. A second one takes the place of the first."""
        if person is None and device is None:
            raise ValueError("a preset is of a person or of a phone")
        self._set[_key(person, device)] = Preset(person, device, mode, until)
        self._tell(person)
        return SetPreset(person, device, mode.value, until)

    def clear(self, person: PersonId | None, device: str | None) -> list[ClearPreset]:
        """Taken back, on the agent's own phone: his, and the phone's."""
        cleared = []
        for key in _keys(person, device):
            preset = self._set.pop(key, None)
            if preset is not None:
                cleared.append(ClearPreset(preset.person, preset.device))
                self._tell(preset.person)
        return cleared

    def active(self, person: PersonId | None, device: str | None, now: datetime) -> Preset | None:
        """What holds for this person, or this phone, now."""
        found = (self._set.get(key) for key in _keys(person, device))
        return next((preset for preset in found if preset is not None and preset.until > now), None)

    def take(
        self, person: PersonId | None, device: str | None, now: datetime
    ) -> tuple[Preset | None, list[ClearPreset]]:
        """A call begins: is it private? A preset for the next call is used up by it."""
        preset = self.active(person, device, now)
        if preset is None or preset.mode is PresetMode.UNTIL_OFF:
            return preset, []
        del self._set[_key(preset.person, preset.device)]
        self._tell(preset.person)
        return preset, [ClearPreset(preset.person, preset.device)]

    def expire(self, now: datetime) -> list[ClearPreset]:
        """Drop what has run out."""
        over = [preset for preset in self._set.values() if preset.until <= now]
        for preset in over:
            del self._set[_key(preset.person, preset.device)]
        return [ClearPreset(preset.person, preset.device) for preset in over]

    def _tell(self, person: PersonId | None) -> None:
        if person is not None:
            self.changed(person)


def _key(person: PersonId | None, device: str | None) -> tuple[str, str]:
    return ("person", person) if person else ("device", device or "")


def _keys(person: PersonId | None, device: str | None) -> Iterator[tuple[str, str]]:
    """Where to look: the person first, then the phone."""
    if person:
        yield "person", person
    if device:
        yield "device", device
