"""Writes docs/settings.md from the settings themselves: `python -m qm_sip.config.document >
docs/settings.md`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from qm_sip.config.base import Model
from qm_sip.config.environment import variables
from qm_sip.config.lines import Customer, Line
from qm_sip.config.reading import NOT_BUILT
from qm_sip.config.whole import FILES

_INTRO = """# Settings

Four TOML files in one directory, read by `qm-sip serve --config DIR` and judged by `qm-sip check --config
DIR`. Every error names file, line and key, and what to do. An unknown key is an error. A reload (`SIGHUP` or
`qm-sip reload`) reads all four again; if anything is wrong with them, the settings in force stay.

Lengths of time are ISO 8601 (`"P2M"`, `"P14D"`, `"PT72H"`; months follow the calendar) or a number with `ms`,
`s`, `m`, `h` or `d` (`"10s"`, `"1d"`). Dates are TOML dates (`2026-03-02`); `""` means none. Paths count from
the file's directory. Numbers may hold spaces, dots and dashes; with `numbering.country` set, `0201234567`, `0031 20 123
4567` and `+31201234567` are one number.

*Only* marks a place kept: the value says what the program does today, and any other is refused as not built
yet.

This page is written from the program: `python -m qm_sip.config.document > docs/settings.md`.
"""

_ENVIRONMENT = """## The environment

A variable replaces one key of qm_sip.toml; lists are separated by commas, relative paths count from the
working directory. Beside those below: `QM_SIP_PEER_<NAME>_NEXT_HOP` and `QM_SIP_PEER_<NAME>_ADDRESSES` (name
in capitals, `-` as `_`), `QM_SIP_ROUTE_NEXT_HOP` (the next hop of the one peer that calls go to), and
`QM_SIP_KEYS_<PURPOSE>_RECIPIENTS`. `QM_SIP_ASTERISK_SECRET` is the secret itself, instead of `asterisk.secret_file`.
"""

_NOT_BUILT = """## Not built yet

These keys of the design are refused, each with this reason, so that no file promises what nothing does.

| file | key | waits for |
|---|---|---|
"""


def document() -> str:
    """Return the whole page."""
    parts = [_INTRO]
    for name, model in FILES.items():
        parts += [f"## {name}\n", *_tables(model)]
    parts += [
        _ENVIRONMENT,
        *(f"- `{variable}`" for variable, _, _ in variables()),
        "",
        _NOT_BUILT.rstrip("\n"),
    ]
    parts += [
        f"| {file} | `{'.'.join(place)}` | {why} |"
        for file, places in NOT_BUILT.items()
        for place, why in places.items()
    ]
    return "\n".join(parts) + "\n"


def _tables(model: type[Model]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield from _table(info.alias or name, info.annotation)


def _table(path: str, annotation: Any) -> Iterator[str]:
    """Yield one table and those inside it."""
    model, shape = _model_of(annotation)
    if model is None:
        return
    path += {"table": ".NAME", "list": "[]", "one": ""}[shape]
    header = f"[[{path[:-2]}]]" if shape == "list" and "." not in path else f"[{path}]"
    yield f"### `{header}`\n\n{_one_line(model.__doc__)}\n"
    yield "| key | default | meaning |\n|---|---|---|"
    inner = []
    own = _own(model)
    for key, info in own.items():
        name = info.alias or key
        yield f"| `{name}` | {_default(info)} | {_one_line(info.description)} |"
        if _model_of(info.annotation)[0]:
            inner.append((f"{path}.{name}", info.annotation))
    yield "\nAnd every key of `[customer]`.\n" if len(own) < len(model.model_fields) else ""
    for name, annotation in inner:
        yield from _table(name, annotation)


def _own(model: type[Model]) -> dict[str, FieldInfo]:
    """A line inherits every key of [customer]: those are documented once."""
    inherited = Customer.model_fields if model is Line else {}
    return {key: info for key, info in model.model_fields.items() if key not in inherited}


def _model_of(annotation: Any) -> tuple[type[Model] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation, "one"
    origin = get_origin(annotation)
    for argument in get_args(annotation):
        model, _ = _model_of(argument)
        if model:
            return model, "list" if origin is tuple else "table" if origin is Mapping else "one"
    return _aliased(annotation)


def _aliased(annotation: Any) -> tuple[type[Model] | None, str]:
    """Look through a named alias such as Table[Line]."""
    inner = getattr(annotation, "__value__", None)
    return _model_of(inner) if inner is not None else (None, "one")


def _default(info: FieldInfo) -> str:
    only = "*only* " if _has_one_value(info.annotation) else ""
    if info.is_required():
        return "required"
    return only + _shown(info.get_default(call_default_factory=True))


def _has_one_value(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _shown(value: Any) -> str:
    if isinstance(value, Model):
        return "see below"
    if value is None:
        return '`""`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple) and type(value) is tuple:
        return "`[" + ", ".join(_bare(part) for part in value) + "]`"
    if isinstance(value, Mapping):
        return "`{}`"
    return f"`{_bare(value)}`"


def _bare(value: Any) -> str:
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return f'"{":".join(map(str, value))}"'
    return f'"{value}"'


def _one_line(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip().replace("|", "\\|")


if __name__ == "__main__":
    page = document()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
