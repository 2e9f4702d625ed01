"""Errors, named by whose fault they are. Each says what was wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path


class QmSipError(Exception):
    """The base of every error this program raises on purpose."""


class ConfigError(QmSipError):
    """The administrator's configuration cannot be used.

    `file`, `key` and `line` (1-based, 0 if unknown) say where; `problem` what; `remedy` what to do.
    """

    def __init__(
        self, problem: str, *, file: Path | str = "", key: str = "", line: int = 0, remedy: str = ""
    ) -> None:
        self.problem, self.file, self.key, self.line, self.remedy = problem, str(file), key, line, remedy
        where = self.file + (f":{line}" if line else "") + (f": {key}" if key else "")
        super().__init__(": ".join(filter(None, [where, problem])) + (f" ({remedy})" if remedy else ""))


class StartError(QmSipError):
    """The server cannot start for a reason outside its configuration files (port taken, disk full, no tool)."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem + (f" ({remedy})" if remedy else ""))


class Refused(QmSipError):
    """Somebody asked for what he may not have. `code` is a stable reason code."""

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(f"{text} [{code}]")


class BrokenInvariant(QmSipError):
    """The program caught itself about to do what may never happen. Always a bug of ours: loud."""
