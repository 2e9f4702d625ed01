"""Codes that would be taken for one another: ours on one leg of a call, and ours with Asterisk's.

A code that begins like another on the same leg is never read: the shorter one is complete first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qm_sip.errors import ConfigError

if TYPE_CHECKING:
    from qm_sip.config.base import Model
    from qm_sip.config.lines import Customer, Lines
    from qm_sip.config.whole import Config

Loc = tuple[str, ...]


class Pressed(NamedTuple):
    """A code that is pressed during a call, and the setting that says so."""

    loc: Loc
    code: str
    written: bool = False  # in the file, and not only our default


def clash(one: str, other: str) -> bool:
    """Say whether one of the two begins with the other."""
    return one.startswith(other) or other.startswith(one)


def agents_codes(lines: Lines, line: Customer, loc: Loc) -> tuple[Pressed, ...]:
    """What means something on the agent's leg."""
    return (
        _pressed(("private",), lines.private, "code"),
        _pressed(("pause",), lines.pause, "code"),
        _pressed(("request",), lines.request, "code"),
        _pressed(loc, line, "objection_key"),
    )


def customers_codes(line: Customer, loc: Loc) -> tuple[Pressed, ...]:
    """What means something on the customer's leg, during the notice and later."""
    keys = ("opt_out_key", "info_key", "opt_out_key_in_call", "info_key_in_call")
    return tuple(_pressed(loc, line, key) for key in keys)


def _pressed(loc: Loc, table: Model, key: str) -> Pressed:
    return Pressed((*loc, key), getattr(table, key), key in table.model_fields_set)


def legs(lines: Lines) -> Iterator[tuple[Pressed, ...]]:
    """Yield the codes of each leg: of what all lines inherit, then of each line."""
    for loc, line in _customers(lines):
        yield agents_codes(lines, line, loc)
        yield customers_codes(line, loc)


def _customers(lines: Lines) -> Iterator[tuple[Loc, Customer]]:
    yield ("customer",), lines.customer
    for name, line in lines.line.items():
        yield ("line", name), line


def clashes(lines: Lines) -> Iterator[tuple[Loc, str]]:
    """Yield where two codes of ours clash, and the problem. What all lines inherit is said once."""
    said: set[tuple[str, str, str, str]] = set()
    for pressed in legs(lines):
        for one, other in combinations(pressed, 2):
            what = (one.loc[-1], one.code, other.loc[-1], other.code)
            if clash(one.code, other.code) and what not in said:
                said.add(what)
                here, there = (one, other) if one.written and not other.written else (other, one)
                yield here.loc, f"begins like {'.'.join(there.loc)}: one of the two would never be read"


# --------------------------------------------------------------------------- Asterisk's codes (features.conf)

# As Asterisk has them when features.conf says nothing (`features show`); the others are empty.
FEATUREMAP: Mapping[str, str] = {"blindxfer": "#", "disconnect": "*"}
PICKUP = "*8"

_SECTION = re.compile(r"\[([^\]]+)\]")
_SETTING = re.compile(r"([\w-]+)\s*=>?\s*(.*)")
_INCLUDE = re.compile(r"#(?:try)?include\s+[\"<]?([^\">]+)[\">]?")
_DEEPEST = 10


class AsteriskFeatures(NamedTuple):
    """The codes Asterisk itself obeys: during a call, by their names, and dialled to pick a call up."""

    in_call: Mapping[str, str]
    pickup: str


DEFAULTS = AsteriskFeatures(FEATUREMAP, PICKUP)


def read_features(directory: Path) -> AsteriskFeatures:
    """Read features.conf of Asterisk's directory and what it includes; without one Asterisk has its defaults. Raises
    ConfigError if it cannot be read.
    """
    if not directory.is_dir():
        raise ConfigError(
            "is not a directory", file=directory, remedy="Asterisk's is /etc/asterisk, as a rule"
        )
    in_call, pickup, section = dict(FEATUREMAP), PICKUP, ""
    for text in _lines(directory, "features.conf", 0):
        if found := _SECTION.match(text):
            section = found[1]
        elif setting := _SETTING.match(text):
            name, value = setting[1], setting[2].strip()
            if section == "featuremap":
                in_call[name] = value
            elif section == "applicationmap":
                in_call[name] = value.split(",")[0].strip()
            elif section == "general" and name == "pickupexten":
                pickup = value
    return AsteriskFeatures({name: code for name, code in in_call.items() if code}, pickup)


def _lines(directory: Path, name: str, depth: int) -> Iterator[str]:
    """Yield the lines of a file, and of those it includes, whose names count from Asterisk's directory."""
    base = Path("/") if name.startswith("/") else directory
    for file in sorted(base.glob(name.lstrip("/") or "none")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as wrong:
            raise ConfigError(f"cannot be read: {wrong.strerror}", file=file) from None
        for line in text.splitlines():
            line = line.split(";")[0].strip()
            if (included := _INCLUDE.match(line)) and depth < _DEEPEST:
                yield from _lines(directory, included[1].strip(), depth + 1)
            elif line:
                yield line


def with_asterisk(config: Config, theirs: AsteriskFeatures) -> Iterator[tuple[Loc, str, str]]:
    """Yield each code of Asterisk's that takes some of ours: one of the settings, the problem, what to do."""
    ours = {pressed.code: pressed.loc for leg in legs(config.lines) for pressed in leg}
    for name, code in theirs.in_call.items():
        taken = sorted(one for one in ours if clash(one, code))
        if taken:
            problem = (
                f"Asterisk reads {code} as {name} (features.conf): {', '.join(taken)} may never reach qm_sip"
            )
            yield ours[taken[0]], problem, f"include features_qm_sip.conf, or give {name} another code"
    for code, feature in config.index.features.items():
        if code == theirs.pickup:
            problem = f"the code for {feature.kind} is Asterisk's pickupexten ({code})"
            yield ("private",), problem, "give one of the two another code"
