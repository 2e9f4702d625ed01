"""Settings of `qm_sip.toml` given by the environment instead: for tests, containers and the load example.

`QM_SIP_<TABLE>_<KEY>` replaces one key, e.g. QM_SIP_MEDIA_PORTS=20000-20999 (lists: parts separated by
commas). `QM_SIP_PEER_<NAME>_NEXT_HOP` and `_ADDRESSES` replace a peer's; `QM_SIP_ROUTE_NEXT_HOP` the next hop
of the one peer that calls go to; `QM_SIP_KEYS_<PURPOSE>_RECIPIENTS` a purpose's keys. Paths count from the
working directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qm_sip.config.base import Model
from qm_sip.config.server import Server
from qm_sip.errors import ConfigError

Raw = dict[str, Any]

_TABLES = ("sip", "media", "storage", "control", "prompts", "asterisk")
_SECRETS = ("QM_SIP_ASTERISK_SECRET",)  # no settings: read where they are needed, and shown nowhere
_LISTS = {("sip", "listen"), ("sip", "carry_headers"), ("asterisk", "lamps")}
_PEER_KEYS = {"_NEXT_HOP": "next_hop", "_ADDRESSES": "addresses"}


def variables() -> Iterator[tuple[str, str, str]]:
    """Yield (variable, table, key) for every setting of a plain table; a table within it has no variables."""
    for table in _TABLES:
        model = Server.model_fields[table].annotation
        for key, info in getattr(model, "model_fields", {}).items():
            if isinstance(info.default, Model):
                continue
            yield f"QM_SIP_{table}_{key}".upper(), table, key


def override(raw: Raw, environ: Mapping[str, str]) -> tuple[Raw, dict[tuple[str, ...], str]]:
    """Return the tables with the environment's values, and which variable each replaced path came from."""
    merged: Raw = {name: dict(part) if isinstance(part, dict) else part for name, part in raw.items()}
    sources: dict[tuple[str, ...], str] = {}
    known = {variable: (table, key) for variable, table, key in variables()}
    for variable in sorted(name for name in environ if name.startswith("QM_SIP_")):
        value = environ[variable]
        path: tuple[str, ...] | None = None
        if variable in _SECRETS:
            continue
        if variable in known:
            path = known[variable]
            _set(merged, path, _value(path, value))
        elif variable == "QM_SIP_ROUTE_NEXT_HOP":
            path = ("peers", _only_target(merged), "next_hop")
            _set(merged, path, value)
        elif variable.startswith("QM_SIP_PEER_"):
            path = _peer_path(variable, merged)
            _set(merged, path, value if path[-1] == "next_hop" else _parts(value))
        elif variable.startswith("QM_SIP_KEYS_") and variable.endswith("_RECIPIENTS"):
            purpose = variable.removeprefix("QM_SIP_KEYS_").removesuffix("_RECIPIENTS").lower()
            path = ("keys", purpose, "recipients")
            _set(merged, path, _parts(value))
        elif variable.startswith(tuple(f"QM_SIP_{table}_".upper() for table in (*_TABLES, "route"))):
            raise ConfigError(
                "no such setting", file="environment", key=variable, remedy="docs/settings.md lists them"
            )
        if path is not None:
            sources[path] = variable
    return merged, sources


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _value(path: tuple[str, ...], value: str) -> object:
    if path == ("media", "ports"):
        parts = value.replace("-", ",").split(",")
        return [int(part) if part.strip().isdigit() else part for part in parts]
    if path in _LISTS:
        return _parts(value)
    default = getattr(Server.model_fields[path[0]].default, path[1])
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(value.lower(), value)
    if value and isinstance(default, Path):  # settings whose default is a path are paths; numbers, numbers
        return str(Path(value).absolute())
    return int(value) if isinstance(default, int) and value.isascii() and value.isdigit() else value


def _set(merged: Raw, path: tuple[str, ...], value: object) -> None:
    table = merged
    for part in path[:-1]:
        inner = table.get(part)
        table[part] = dict(inner) if isinstance(inner, dict) else {}
        table = table[part]
    table[path[-1]] = value


def _only_target(merged: Raw) -> str:
    routes = merged.get("routes")
    targets = {route.get("to") for route in routes if isinstance(route, dict)} if routes else set()
    if len(targets) != 1:
        raise ConfigError(
            "there is not exactly one peer that calls go to",
            file="environment",
            key="QM_SIP_ROUTE_NEXT_HOP",
            remedy="name the peer: QM_SIP_PEER_<NAME>_NEXT_HOP",
        )
    return str(targets.pop())


def _peer_path(variable: str, merged: Raw) -> tuple[str, ...]:
    for suffix, key in _PEER_KEYS.items():
        if variable.endswith(suffix):
            name = variable.removeprefix("QM_SIP_PEER_").removesuffix(suffix)
            for peer in merged.get("peers", {}):
                if peer.upper().replace("-", "_") == name:
                    return ("peers", peer, key)
    raise ConfigError(
        "no such peer or setting", file="environment", key=variable, remedy="see [peers] in qm_sip.toml"
    )
