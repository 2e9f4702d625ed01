"""Asterisk's own configuration files: sections, `key = value` and `key => value`, templates, `#include`.

    [phone](!)           a template
    [1001](phone)        takes over what it says
    member => PJSIP/...  may come more than once

A `;` begins a comment unless a backslash stands before it; `;--` to `--;` is one over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qm_sip.asterisk.check.fault import Where
from qm_sip.errors import ConfigError

DEEPEST: Final = 10  # includes in one another
MOST: Final = 200_000  # lines altogether
_SECTION: Final = re.compile(r"\[([^\]]+)\]\s*(?:\(([^)]*)\))?")
_SETTING: Final = re.compile(r"([^=\s][^=]*?)\s*=>?\s*(.*)")
_INCLUDE: Final = re.compile(r"#(?:try)?include\s+[\"<]?([^\">]+)[\">]?")
_COMMENT: Final = re.compile(r"(?<!\\);.*")


@dataclass(frozen=True)
class Setting:
    """One line."""

    key: str
    value: str
    where: Where


@dataclass(frozen=True)
class Section:
    """One section, with what its templates gave it."""

    name: str
    where: Where
    template: bool = False
    settings: tuple[Setting, ...] = ()

    def get(self, key: str) -> Setting | None:
        """The last line with that key: it counts."""
        return next((setting for setting in reversed(self.settings) if setting.key == key), None)

    def value(self, key: str, default: str = "") -> str:
        found = self.get(key)
        return default if found is None else found.value

    def all(self, key: str) -> list[Setting]:
        return [setting for setting in self.settings if setting.key == key]

    def yes(self, key: str, default: str = "no") -> bool:
        """What Asterisk takes for yes."""
        return self.value(key, default).lower() in ("yes", "true", "y", "t", "1", "on")


@dataclass
class _Open:
    name: str
    where: Where
    template: bool
    bases: Sequence[str]
    settings: list[Setting] = field(default_factory=list)


def read(directory: Path, name: str) -> list[Section]:
    """The sections of a file and what it includes, in order; none if there is no such file. Raises ConfigError."""
    found: list[Section] = []
    current: _Open | None = None
    for where, text in _lines(directory, name, 0):
        if section := _SECTION.match(text):
            found += _closed(current, found)
            words = [word.strip() for word in (section[2] or "").split(",") if word.strip()]
            bases = [word for word in words if word not in ("!", "+")]
            current = _Open(section[1].strip(), where, "!" in words, bases)
        elif (setting := _SETTING.match(text)) and current is not None:
            current.settings.append(Setting(setting[1].strip(), setting[2].strip(), where))
    return [*found, *_closed(current, found)]


def _closed(current: _Open | None, before: Sequence[Section]) -> list[Section]:
    if current is None:
        return []
    given = [
        setting for base in current.bases for one in before if one.name == base for setting in one.settings
    ]
    whole = (*given, *current.settings)
    return [Section(current.name, current.where, current.template, whole)]


def _lines(directory: Path, name: str, depth: int) -> Iterator[tuple[Where, str]]:
    base = Path("/") if name.startswith("/") else directory
    for file in sorted(base.glob(name.lstrip("/") or "none")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as wrong:
            raise ConfigError(f"cannot be read: {wrong.strerror}", file=file) from None
        for number, text in enumerate(_without_comments(lines[:MOST]), start=1):
            if (included := _INCLUDE.match(text)) and depth < DEEPEST:
                yield from _lines(directory, included[1].strip(), depth + 1)
            elif text:
                yield Where(str(file), number), text


def _without_comments(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if not inside and line.lstrip().startswith(";--"):
            inside = True
        if inside:
            inside = "--;" not in line
            yield ""
        else:
            yield _COMMENT.sub("", line).strip().replace("\\;", ";")
