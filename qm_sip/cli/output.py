"""Tables for people, JSON for programs: every listing is made here, from the same rows."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class Status(IntEnum):
    """Exit statuses (docs/commands.md)."""

    OK = 0
    NO = 1  # the answer is no: a check that failed, a recording that is damaged, a call that ended otherwise
    USAGE = 2  # the command line itself is wrong
    CONFIG = 3  # the configuration cannot be used
    FAILED = 4  # port taken, disk full, tool missing, server error
    AWAY = 5  # no server answers
    REFUSED = 6  # asked for what may not be had; the reason is in the text


def console() -> Console:
    """A console on today's stdout; never narrower than a listing needs when it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def error(message: str) -> None:
    """One error, once, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"qm-sip: {message}"))


def say(message: str) -> None:
    console().print(Text(message), soft_wrap=True)


def emit_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def listing(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    title: str = "",
    empty: str = "none",
) -> None:
    """Print rows: all they hold as JSON, or these columns as a table."""
    if as_json:
        emit_json(list(rows))
        return
    if not rows:
        say(empty)
        return
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(column))) for column in columns))
    console().print(table)


def cell(value: object) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell(item)}" for key, item in value.items()) or "-"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(cell(item) for item in value) or "-"
    return str(value)


def brief(value: Any) -> Any:
    """The same, with each SHA-256 cut to its first twelve digits: enough to tell two apart. JSON holds all."""
    if isinstance(value, str):
        return DIGEST.sub(r"\1", value)
    if isinstance(value, Mapping):
        return {key: brief(item) for key, item in value.items()}
    return [brief(item) for item in value] if isinstance(value, list) else value


def record(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: as JSON, or a line for each value."""
    if as_json:
        emit_json(values)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in values.items():
        table.add_row(Text(key.replace("_", " "), style="bold"), Text(cell(value)))
    console().print(table)
