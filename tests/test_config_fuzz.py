"""Whatever somebody writes into a file at night: one error with file, key and line, or settings that can be put to use.

Every setting there is gets values that are not meant for it. Nothing but a ConfigError may come of that, neither when
the files are read nor when what was accepted is handed to those who run by it.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qm_sip.app import _limits
from qm_sip.config import load
from qm_sip.config.base import Model
from qm_sip.config.document import _model_of
from qm_sip.config.whole import FILES, load_all_errors
from qm_sip.doorway import rules_of

SITE = Path(__file__).parent / "cases/site"
PER_FILE = 60


def words(text: str) -> list[str]:
    return text.split()


VALUES = words(
    '"" "x" 0 -1 99999999999999999999 3.5 true [] [""] ["x"] [1] {} {a=1} 2026-01-01 12:00:00 nan inf "P1Y" "P1M"'
    ' "-5s" "99999999999d" "0s" "../../../etc/passwd" [["a"]] [{}] "udp:192.0.2.4:99999" ["udp:[::1]:5060"] "²" "٣"'
    ' "1e9" 0x7fffffffffffffff "a\\nb" "\\u0000"'
)
Place = tuple[tuple[str, str], ...]


def places(model: type[Model], path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every key of every table, and how to get there."""
    for name, info in model.model_fields.items():
        key = info.alias or name
        yield path, key
        inner, shape = _model_of(info.annotation)
        if inner is not None:
            yield from places(inner, (*path, (key, shape)))


def table_at(raw: dict[str, Any], path: Place) -> dict[str, Any] | None:
    """That table, made if there is none."""
    here: Any = raw
    for key, shape in path:
        if shape == "one":
            here = here.setdefault(key, {})
        elif shape == "table":
            here = next(iter(here.setdefault(key, {}).values()), None) or here[key].setdefault("new", {})
        else:
            entries = here.setdefault(key, [])
            entries.extend([] if entries else [{}])
            here = entries[0]
        if not isinstance(here, dict):
            return None
    return here


class Written(str):
    """A value as it stands in the file."""


def toml(value: Any) -> str:
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


def spoilt(file: str, rng: random.Random) -> str:
    """The file with one value in it that is not meant for its key. On one line each table: which one is plain."""
    raw = copy.deepcopy(tomllib.loads((SITE / file).read_text(encoding="utf-8")))
    path, key = rng.choice(list(places(FILES[file])))
    table = table_at(raw, path)
    if table is not None:
        table[key] = Written(rng.choice(VALUES))
    return "".join(f"{json.dumps(name)} = {toml(value)}\n" for name, value in raw.items())


@pytest.mark.parametrize("file", FILES)
def test_whatever_stands_there_it_is_said_where(file: str, tmp_path: Path) -> None:
    site, rng, refused = Path(shutil.copytree(SITE, tmp_path / "site")), random.Random(file), 0
    for _ in range(PER_FILE):
        text = spoilt(file, rng)
        (site / file).write_text(text, encoding="utf-8")
        errors = load_all_errors(site, {})
        refused += bool(errors)
        for error in errors:
            said = str(error)
            assert "\n" not in said and "\0" not in said and len(said) < 500, (said, text)
            assert error.line is not None or "missing" in said, (said, text)
        if not errors:
            config = load(site, {})
            assert rules_of(config) and _limits(config), text
    assert refused > PER_FILE / 2
