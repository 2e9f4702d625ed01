"""The four files together: `load` gives a `Config` or raises the first error; `load_all_errors` gives them
all.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from qm_sip.config import checks
from qm_sip.config.base import Model
from qm_sip.config.environment import override
from qm_sip.config.features import Feature
from qm_sip.config.index import Index, build_index
from qm_sip.config.lines import Line, Lines
from qm_sip.config.people import People
from qm_sip.config.reading import Source, build, read_source
from qm_sip.config.regulation import RegulationFile
from qm_sip.config.server import Keys, Peer, Route, Server
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import Version

M = TypeVar("M", bound=Model)

FILES: Mapping[str, type[Server] | type[Lines] | type[People] | type[RegulationFile]] = MappingProxyType(
    {"qm_sip.toml": Server, "lines.toml": Lines, "people.toml": People, "regulation.toml": RegulationFile}
)


class Versions(NamedTuple):
    """SHA-256 of each file that rules hang on, as kept with every call."""

    lines: Version
    people: Version
    regulation: Version


@dataclass(frozen=True)
class Config:
    """All settings, checked. Never changed: a reload makes another one."""

    directory: Path
    server: Server
    lines: Lines
    people: People
    regulation: RegulationFile
    versions: Versions
    index: Index

    def peer_of(self, host: str, port: int | None, identities: Collection[str] | None = None) -> str | None:
        """Name the peer that packets from host:port come from, or, without a port, connections from host; None: a
        stranger. `identities`: it came over TLS, by a verified certificate of these names. A peer that has names of its
        own is known by them alone then.
        """
        best: tuple[tuple[int, bool], str] | None = None
        for name, peer in self.server.peers.items():
            if identities is not None and peer.tls_identity:
                if not set(peer.tls_identity).isdisjoint(identities):
                    return name
                continue
            for address in peer.addresses:
                if address.holds(host, port) and (best is None or address.specificity > best[0]):
                    best = (address.specificity, name)
        return best[1] if best else None

    def peer(self, name: str) -> Peer:
        return self.server.peers[name]

    def with_peer(self, name: str, peer: Peer) -> Config:
        """Return the same settings, that know of this peer as well; what they say of one of that name stands."""
        if name in self.server.peers:
            return self
        peers = MappingProxyType({**self.server.peers, name: peer})
        return replace(self, server=self.server.model_copy(update={"peers": peers}))

    def route(self, peer: str, called: str) -> Route | None:
        """Return the route of a call from `peer`; the longest `called` prefix wins."""
        fitting = [r for r in self.server.routes if r.from_ == peer and called.startswith(r.called)]
        return max(fitting, key=lambda route: len(route.called), default=None)

    def line(self, name: str) -> Line | None:
        """Return a line by its name; None for "default" and for lines that are not in the file."""
        return self.lines.line.get(name)

    def feature(self, number: str) -> Feature | None:
        """Return what is meant by a dialled code; None: it is a number."""
        return self.index.features.get(number)

    def private_prefix(self, number: str) -> str | None:
        """Return the number that a private call was dialled to: what follows the prefix; None without it."""
        prefix = self.lines.private.prefix
        return number.removeprefix(prefix) or None if number.startswith(prefix) else None

    def recipients(self, purpose: str) -> tuple[str, ...]:
        """Return the age public keys that recordings of a purpose are sealed to."""
        keys = self.server.keys.get(purpose)
        return keys.recipients if keys else ()

    def with_recipients(self, recipients: Mapping[str, tuple[str, ...]]) -> Config:
        """Return the same settings with other keys (a load test makes its own at start)."""
        keys = {purpose: Keys(recipients=given) for purpose, given in recipients.items()}
        merged = MappingProxyType({**self.server.keys, **keys})
        return replace(self, server=self.server.model_copy(update={"keys": merged}))


def load(directory: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the settings of a directory. Raises the first ConfigError."""
    config, errors = _read(directory, environ)
    if errors or config is None:
        raise errors[0]
    return config


def load_all_errors(directory: Path, environ: Mapping[str, str] = os.environ) -> list[ConfigError]:
    """Return everything that is wrong with the settings of a directory; empty if nothing is."""
    return _read(directory, environ)[1]


def load_server(directory: Path, environ: Mapping[str, str] = os.environ) -> Server:
    """Read qm_sip.toml alone: for commands that only need to find the running server."""
    source = _prepared(read_source(directory / "qm_sip.toml"), environ)
    server, errors = build(source, Server)
    if server is None:
        raise errors[0]
    return _located(server, directory)


def _read(directory: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[ConfigError]]:
    errors: list[ConfigError] = []
    sources: dict[str, Source] = {}
    models: dict[str, Any] = {}
    for name, model in FILES.items():
        try:
            source = _prepared(read_source(directory / name), environ)
        except ConfigError as wrong:
            errors.append(wrong)
            continue
        sources[name] = source
        models[name], found = build(source, model)
        errors += found
    if len(sources) < len(FILES) or None in models.values():
        return None, errors
    return _whole(directory, sources, models, errors)


def _whole(
    directory: Path, sources: Mapping[str, Source], models: Mapping[str, Any], errors: list[ConfigError]
) -> tuple[Config, list[ConfigError]]:
    lines, people = models["lines.toml"], models["people.toml"]

    def complain(file: str, problem: str, loc: tuple[str | int, ...], remedy: str = "") -> None:
        error = sources[file].error(problem, loc, remedy, inherited=False)
        if str(error) not in map(str, errors):
            errors.append(error)

    config = Config(
        directory=directory,
        server=_located(models["qm_sip.toml"], directory),
        lines=lines,
        people=people,
        regulation=models["regulation.toml"],
        versions=Versions(*(sources[f"{name}.toml"].version for name in Versions._fields)),
        index=build_index(lines, people, complain),
    )
    checks.check(config, complain)
    return config, errors


def _prepared(source: Source, environ: Mapping[str, str]) -> Source:
    """Let the environment replace, and tables named `default` or `customer` be inherited."""
    match source.path.name:
        case "qm_sip.toml":
            raw, variables = override(source.raw, environ)
            return replace(source, raw=raw, variables=variables)
        case "lines.toml":
            return _inherit(source, "line", ("customer",), lambda raw: raw.get("kind") == "customer-facing")
        case "people.toml":
            return _inherit(
                _inherit(source, "agent", ("agent", "default")), "monitor", ("monitor", "default")
            )
    return source


def _inherit(source: Source, table: str, origin: tuple[str, ...], wanted: Any = lambda raw: True) -> Source:
    """Give every entry of `table` what `origin` says and it does not say itself."""
    defaults: Any = source.raw
    for part in origin:
        defaults = defaults.get(part, {}) if isinstance(defaults, dict) else {}
    entries = source.raw.get(table, {})
    if not isinstance(defaults, dict) or not isinstance(entries, dict):
        return source
    moved = dict(source.moved)
    merged: dict[str, Any] = {}
    for name, entry in entries.items():
        if origin == (table, name):
            continue
        merged[name] = entry
        if isinstance(entry, dict) and wanted(entry):
            merged[name] = {**defaults, **entry}
            moved.update({(table, name, key): (*origin, key) for key in defaults if key not in entry})
    return replace(
        source, raw={**source.raw, table: merged} if merged else _without(source.raw, table), moved=moved
    )


def _without(raw: dict[str, Any], table: str) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != table}


def _files(model: M, home: Path, *keys: str) -> M:
    given = {key: home / path for key in keys if (path := getattr(model, key)) is not None}
    return model.model_copy(update=given) if given else model


def _located(server: Server, directory: Path) -> Server:
    """Let relative paths of the file count from the file's directory."""
    home = directory.absolute()
    storage = server.storage.model_copy(
        update={
            "directory": home / server.storage.directory,
            "key_directory": home / server.storage.key_directory,
            "host_key": home / server.storage.host_key,
        }
    )
    tls = _files(server.sip.tls, home, "certificate", "private_key", "ca_file")
    peers = {name: _peer_at(home, peer) for name, peer in server.peers.items()}
    return server.model_copy(
        update={
            "sip": server.sip.model_copy(update={"tls": tls}),
            "storage": storage,
            "control": server.control.model_copy(update={"socket": home / server.control.socket}),
            "asterisk": _files(server.asterisk, home, "secret_file", "ca_file"),
            "hep": _files(server.hep, home, "key_file"),
            "prompts": server.prompts.model_copy(update={"directory": home / server.prompts.directory}),
            "peers": MappingProxyType(peers),
        }
    )


def _peer_at(home: Path, peer: Peer) -> Peer:
    users = MappingProxyType({user: home / path for user, path in peer.users.items()})
    own = _files(peer, home, "password_file", "tls_certificate", "tls_private_key")
    return own.model_copy(update={"users": users})
