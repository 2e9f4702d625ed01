"""What every settings model shares: frozen, unknown keys refused, a sentence (and a unit) under each field.

A field's docstring is its documentation: docs/settings.md is written from it (`config/document.py`). A
`Literal` with one value is a place kept for something not built yet: its default is true of the program
today, any other value is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator

from qm_sip.config.duration import Duration
from qm_sip.config.network import (
    Listen,
    NextHop,
    PeerAddress,
    SocketAddress,
    parse_host,
    parse_listen,
    parse_name,
    parse_next_hop,
    parse_peer_address,
    parse_socket_address,
)

V = TypeVar("V")


class Model(BaseModel):
    """Settings of one table: read only, nothing unknown accepted, no silent conversion between types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
    )


def text(value: object) -> str:
    """Return a TOML string as it is; anything else is a plain error."""
    if not isinstance(value, str):
        raise ValueError(f"must be text in quotes, not {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """Name the kind of a TOML value in words an administrator uses."""
    names = {bool: "true/false", int: "a number", float: "a number", str: "text", dict: "a table"}
    if isinstance(value, list | tuple):
        return "a list"
    return names.get(type(value), "a date" if isinstance(value, date) else type(value).__name__)


def not_built(*values: str) -> BeforeValidator:
    """Refuse values whose place is kept but which nothing obeys yet."""

    def refuse(value: object) -> object:
        if value in values:
            raise ValueError(f"{value!r} is not built yet")
        return value

    return BeforeValidator(refuse)


def _date(value: object) -> date | None:
    if value == "" or value is None:
        return None
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    try:
        return date.fromisoformat(text(value))
    except ValueError:
        raise ValueError("must be a date such as 2026-03-02, or empty") from None


def _duration(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(text(value))


def _optional_duration(value: object) -> Duration | None:
    return None if value in ("", None) else _duration(value)


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not text(value):
        raise ValueError("must name a file or directory, not be empty")
    return Path(text(value))


def _optional_path(value: object) -> Path | None:
    return None if value in ("", None) else _path(value)


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


Table = Annotated[Mapping[str, V], AfterValidator(lambda table: MappingProxyType(dict(table)))]
Filled = Annotated[str, AfterValidator(_filled)]
OptionalDate = Annotated[date | None, PlainValidator(_date)]
DurationSetting = Annotated[Duration, PlainValidator(_duration)]
OptionalDuration = Annotated[Duration | None, PlainValidator(_optional_duration)]
PathSetting = Annotated[Path, PlainValidator(_path)]
OptionalPath = Annotated[Path | None, PlainValidator(_optional_path)]
ListenSetting = Annotated[Listen, PlainValidator(lambda value: parse_listen(text(value)))]
PeerAddressSetting = Annotated[PeerAddress, PlainValidator(lambda value: parse_peer_address(text(value)))]
SocketSetting = Annotated[SocketAddress, PlainValidator(lambda value: parse_socket_address(text(value)))]
HostSetting = Annotated[str, PlainValidator(lambda value: parse_host(text(value)))]


def _optional_host(value: object) -> str | None:
    return None if value in ("", None) else parse_host(text(value))


def _optional_socket(value: object) -> SocketAddress | None:
    return None if value in ("", None) else parse_socket_address(text(value))


def _optional_next_hop(value: object) -> NextHop | None:
    return None if value in ("", None) else parse_next_hop(text(value))


NameSetting = Annotated[str, PlainValidator(lambda value: parse_name(text(value)))]
OptionalName = Annotated[str, PlainValidator(lambda value: value and parse_name(text(value)))]
OptionalHost = Annotated[str | None, PlainValidator(_optional_host)]
OptionalSocketAddress = Annotated[SocketAddress | None, PlainValidator(_optional_socket)]
OptionalNextHop = Annotated[NextHop | None, PlainValidator(_optional_next_hop)]


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that names the same thing twice."""
    if len(set(values)) != len(values):
        raise ValueError("names the same thing twice")
    return values


Names = Annotated[tuple[Filled, ...], AfterValidator(unique)]
