"""On which line of a TOML text a key stands. `tomllib` parses but forgets; an administrator wants the line.

A small scanner, not a parser: it is only asked about texts that `tomllib` has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)


class KeyLines:
    """Maps the path of a key, as pydantic names it, to its line (1-based)."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        table: Path = ()
        for number, statement in _statements(text):
            table = self._take(number, statement.strip(), table)

    def of(self, path: Path) -> int:
        """Return the line of the key, or of the nearest table that holds it; 0 if nothing is known."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return self._lines[path[:end]]
        return 0

    def _take(self, number: int, statement: str, table: Path) -> Path:
        if statement.startswith("["):
            return self._open_table(number, statement)
        path = table + _key_path(statement)
        for end in range(len(table) + 1, len(path) + 1):
            self._lines.setdefault(path[:end], number)
        return table

    def _open_table(self, number: int, statement: str) -> Path:
        repeated = statement.startswith("[[")
        path = self._indexed(_key_path(statement.lstrip("[")))
        if repeated:
            index = self._arrays.get(path, -1) + 1
            self._arrays[path] = index
            self._lines.setdefault(path, number)
            path = (*path, index)
        for end in range(1, len(path) + 1):
            self._lines.setdefault(path[:end], number)
        return path

    def _indexed(self, path: Path) -> Path:
        """Insert the running index of each array of tables that the path goes through (not the last part)."""
        done: Path = ()
        for position, part in enumerate(path):
            done = (*done, part)
            if position < len(path) - 1 and done in self._arrays:
                done = (*done, self._arrays[done])
        return done


def _key_path(statement: str) -> Path:
    parts: list[str | int] = []
    position = 0
    while match := _KEY_PART.match(statement, position):
        parts.append(next(group for group in match.groups() if group is not None))
        position = match.end()
        if statement[position : position + 1] != ".":
            break
        position += 1
    return tuple(parts)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each key or table header with its first line; values that go over several lines are one
    statement.
    """
    start, depth, position = 0, 0, 0
    header = False
    while position < len(text):
        character = text[position]
        if text[start:position].strip() == "" and depth == 0:
            header = character == "["
        if character in "\"'" and (string := _STRING.match(text, position)):
            position = string.end()
            continue
        if character == "#":
            position = _end_of_line(text, position)
            if text[start:position].lstrip().startswith("#"):
                start = position
            continue
        if character == "\n" and depth == 0:
            yield from _statement(text, start, position)
            start = position + 1
        elif not header:
            depth += (character in "[{") - (character in "]}")
        position += 1
    yield from _statement(text, start, len(text))


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _statement(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    statement = text[start:end]
    if statement.strip():
        leading = len(statement) - len(statement.lstrip())
        yield text.count("\n", 0, start + leading) + 1, statement
