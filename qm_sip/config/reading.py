"""One TOML file becomes one model, or a list of errors that each name file, line and key."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qm_sip.config.base import Model, kind_of
from qm_sip.config.toml_lines import KeyLines
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import Version

M = TypeVar("M", bound=Model)
Loc = tuple[str | int, ...]

_LATEST_SIZE = 16 * 1024 * 1024


@dataclass(frozen=True)
class Source:
    """One file as read: its tables, the line of each key, its version."""

    path: Path
    raw: dict[str, Any]
    lines: KeyLines
    version: Version
    moved: Mapping[Loc, Loc] = field(default_factory=dict)  # inherited key -> where it was really written
    variables: Mapping[Any, str] = field(default_factory=dict)  # replaced by the environment

    def error(self, problem: str, loc: Loc, remedy: str = "", *, inherited: bool = True) -> ConfigError:
        """Return a ConfigError that names where `loc` was written; if not `inherited`, the entry that has it."""
        for end in range(len(loc), 0, -1):
            if loc[:end] in self.variables:
                return ConfigError(problem, file="environment", key=self.variables[loc[:end]], remedy=remedy)
            if inherited and loc[:end] in self.moved:
                loc = self.moved[loc[:end]] + loc[end:]
                break
        return ConfigError(problem, file=self.path, key=dotted(loc), line=self.lines.of(loc), remedy=remedy)


def dotted(loc: Sequence[str | int]) -> str:
    """Write a path as in TOML: `line.sales.capture`, `routes[0].to`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def read_source(path: Path) -> Source:
    """Read one file. Raises ConfigError if it is absent, too large, not UTF-8 or not TOML."""
    try:
        with path.open("rb") as file:
            data = file.read(_LATEST_SIZE + 1)
        if len(data) > _LATEST_SIZE:
            raise ConfigError("is larger than 16 MiB", file=path)
        text = data.decode("utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            "is missing", file=path, remedy="config/ of the package holds one to begin with"
        ) from None
    except OSError as wrong:
        raise ConfigError(f"cannot be read: {wrong.strerror}", file=path) from None
    except UnicodeDecodeError as wrong:
        line = wrong.object[: wrong.start].count(b"\n") + 1
        raise ConfigError("is not UTF-8 text", file=path, line=line) from None
    except tomllib.TOMLDecodeError as wrong:
        raise _syntax_error(str(wrong), text, path) from None
    return Source(path, raw, KeyLines(text), Version("sha256:" + hashlib.sha256(data).hexdigest()))


def _syntax_error(message: str, text: str, path: Path) -> ConfigError:
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    problem = message.split(" (at ")[0]
    return ConfigError(f"is not TOML: {problem[:1].lower()}{problem[1:]}", file=path, line=line)


def build(source: Source, model: type[M]) -> tuple[M | None, list[ConfigError]]:
    """Make the model of a file, or say everything that is wrong with it."""
    try:
        return model.model_validate(_frozen_lists(source.raw)), []
    except ValidationError as wrong:
        details = wrong.errors(include_url=False)
        errors = [_explain(source, model, detail) for detail in details if not _follows(detail, details)]
        return None, list({str(error): error for error in errors}.values())


def _follows(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Pydantic counts a list without its wrong items: too short only because of another error."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc and other is not detail for other in details
    )


def _frozen_lists(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen_lists(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen_lists(item) for key, item in value.items()}
    return value


def _explain(source: Source, model: type[Model], detail: ErrorDetails) -> ConfigError:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return _unknown(source, model, loc)
    if kind == "too_short":
        return source.error(f"must hold at least {detail['ctx']['min_length']}", loc)
    if kind == "missing":
        return source.error("is required and missing", loc)
    if kind == "literal_error":
        return _not_one_of(source, loc, detail["ctx"]["expected"], value)
    if kind == "enum":
        return _not_one_of(source, loc, detail["ctx"]["expected"], value)
    if kind == "value_error":
        return source.error(detail["msg"].removeprefix("Value error, "), loc)
    if kind.endswith("_type"):
        return source.error(f"must be {_WANTED.get(kind, kind)}, not {kind_of(value)}", loc)
    return source.error(detail["msg"][:1].lower() + detail["msg"][1:], loc)


_WANTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a table",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "is_instance_of": "a name",
}


def _not_one_of(source: Source, loc: Loc, expected: str, value: object) -> ConfigError:
    if " or " in expected or "," in expected:
        return source.error(f"must be {expected}, not {value!r}", loc)
    return source.error(f"only {expected} is built: anything else is not built yet", loc, "leave the key out")


# Names of the domain's settings whose place is kept but which nothing obeys yet.
NOT_BUILT: Mapping[str, Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        "lines.toml": {
            ("private", "report"): "reports",
            ("failover", "timeout"): "the time is set in Asterisk's dialplan",
        },
        "people.toml": {
            ("monitor", "*", "mfa"): "a third factor beside his phone and his code",
        },
        "regulation.toml": {
            ("notices", "client_listening"): "letting the agent switch that notice off",
            ("notices", "client_notice_days"): "keeping time of it",
            ("reports",): "reports",
            ("breach",): "the register of breaches",
            ("regulation", "change_not_before"): "guarding the time between changes",
            ("purposes", "*", "playback"): "a second approver at playback",
            ("purposes", "*", "recordings_max"): "fault tracing",
            ("purposes", "*", "snippet"): "fault tracing",
            ("purposes", "*", "closes_after"): "fault tracing",
            ("purposes", "*", "actor_considered"): "training copies",
            **{
                ("clocks", key): "keeping time of it"
                for key in (
                    "evaluate_within",
                    "after_evaluation",
                    "hold_max",
                    "security_log",
                    "subject_request",
                    "breach_notice",
                )
            },
        },
        "qm_sip.toml": {},
    }
)


def _unknown(source: Source, model: type[Model], loc: Loc) -> ConfigError:
    shape = tuple("*" if _is_name(loc, position) else str(part) for position, part in enumerate(loc))
    inherited = ("customer", *shape[2:]) if shape[:1] == ("line",) else shape
    places = NOT_BUILT.get(source.path.name, {})
    for place in (shape, inherited):
        if place in places:
            return source.error(f"is not built yet: {places[place]}", loc, "leave the key out")
    return source.error("is not a setting", loc, _suggest(model, loc))


def _is_name(loc: Loc, position: int) -> bool:
    return position == 1 and loc[0] in (
        "purposes",
        "line",
        "agent",
        "monitor",
        "scopes",
        "plan",
        "peers",
        "keys",
    )


def _suggest(model: type[Model], loc: Loc) -> str:
    close = difflib.get_close_matches(str(loc[-1]), _names_beside(model, loc), n=1)
    return f"did you mean {close[0]}?" if close else "docs/settings.md lists all"


def _names_beside(model: type[Model], loc: Loc) -> Sequence[str]:
    here: type[Model] | None = model
    for part in loc[:-1]:
        if here is None or isinstance(part, int) or part not in (fields := _by_key(here)):
            continue
        here = next(_models_in(fields[str(part)]), None)
    return list(_by_key(here)) if here else []


def _by_key(model: type[Model]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    """Yield the models that a field's annotation holds, itself or inside a list or table."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
