"""`qm-sip check`: what would stop the start, and what an administrator should hear about, offline."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from qm_sip import config as settings
from qm_sip.announce import coverage, prompts
from qm_sip.announce.needs import uses_of
from qm_sip.announce.prompts import PromptLibrary
from qm_sip.asterisk import check as beside
from qm_sip.asterisk.check import live
from qm_sip.beside import where_of
from qm_sip.cli.options import ConfigDir, Json
from qm_sip.cli.output import Status, emit_json, say
from qm_sip.config import Config, clashes
from qm_sip.config.checks import customers, uses_audio
from qm_sip.control import client
from qm_sip.errors import ConfigError, QmSipError
from qm_sip.net.trust import Trust, expiries

LIVE = "ami"
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
LITTLE_ROOM = 1024**3  # bytes; a recorded hour of both sides is about 60 MB before it is rendered


@dataclass(frozen=True)
class Finding:
    """One thing that `check` found. An error stops the start; advice does not."""

    level: Literal["error", "advice"]
    problem: str
    remedy: str = ""
    file: str = ""
    key: str = ""
    line: int = 0


Asterisk = Annotated[
    Path | None,
    typer.Option(
        "--asterisk",
        help="Asterisk's configuration directory, or `ami`: the Asterisk that runs. It is checked as well.",
    ),
]


def check(config: ConfigDir, asterisk: Asterisk = None, as_json: Json = False) -> Status:
    """Check configuration, prompts, storage and tools without starting anything."""
    findings = list(find(config, asterisk))
    errors = [finding for finding in findings if finding.level == "error"]
    if as_json:
        emit_json({"ok": not errors, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            say(f"{finding.level}: {_sentence(finding)}")
        say(f"{len(errors)} error(s), {len(findings) - len(errors)} piece(s) of advice")
    return Status.CONFIG if errors else Status.OK


def _sentence(finding: Finding) -> str:
    where = finding.file + (f":{finding.line}" if finding.line else "")
    text = ": ".join(filter(None, [where, finding.key, finding.problem]))
    return text + (f" ({finding.remedy})" if finding.remedy else "")


def find(directory: Path, asterisk: Path | None = None) -> Iterator[Finding]:
    """Everything that is wrong or worth saying about a configuration directory."""
    wrong = settings.load_all_errors(directory)
    yield from map(_error, wrong)
    yield from _tools()
    if wrong:
        return
    config = settings.load(directory)
    library, faults = prompts.load_all_errors(config.server.prompts.directory)
    needed = coverage.needed(config, library)
    for fault in faults:
        yield _error(fault) if needed and coverage.is_about(fault, needed) else _advice_of(fault)
    yield from map(_error, coverage.check(config, library))
    yield from _advice(config, library)
    live = asterisk is not None and str(asterisk) == LIVE
    yield from _codes(config, None if live else asterisk)
    yield from _live(config) if live else _files(config, asterisk)
    yield from _storage(config)
    yield from _tls(config)


def _error(fault: ConfigError) -> Finding:
    return Finding("error", fault.problem, fault.remedy, fault.file, fault.key, fault.line)


def _advice_of(fault: ConfigError) -> Finding:
    return Finding("advice", fault.problem, fault.remedy, fault.file, fault.key, fault.line)


def _advice(config: Config, library: PromptLibrary) -> Iterator[Finding]:
    for text in coverage.advise_lines(config, library):
        yield Finding("advice", text)
    yield from map(_advice_of, settings.advise(config, datetime.now(UTC).date()))
    if not config.lines.never.confidential:
        problem = (
            "[never] confidential is empty: no works council, company doctor or confidential adviser is named"
        )
        yield Finding("advice", problem, "name their numbers", str(config.directory / "lines.toml"))
    if not any(uses_of(line) for line in config.lines.line.values()):
        yield Finding("advice", "no line records or is heard", "that is how the shipped files are meant")


def _codes(config: Config, asterisk: Path | None) -> Iterator[Finding]:
    """Codes that Asterisk would take before they reach us: errors where its directory was given, else advice from what
    it does unless told otherwise.
    """
    if asterisk is None and not any(uses_audio(line) for _, line in customers(config)):
        return
    file = str(config.directory / "lines.toml")
    try:
        theirs = clashes.read_features(asterisk) if asterisk else clashes.DEFAULTS
    except ConfigError as fault:
        yield _error(fault)
        return
    for loc, problem, remedy in clashes.with_asterisk(config, theirs):
        if asterisk:
            yield Finding("error", problem, remedy, file, ".".join(loc))
        else:
            remedy = "or say where Asterisk's files are: --asterisk /etc/asterisk"
            yield Finding(
                "advice", f"{problem}, unless features_qm_sip.conf is included", remedy, file, ".".join(loc)
            )
            return


def _files(config: Config, asterisk: Path | None) -> Iterator[Finding]:
    """What Asterisk's files would defeat."""
    if asterisk is None:
        return
    try:
        found = beside.faults(config, beside.read_site(config, asterisk))
    except ConfigError as fault:
        yield _error(fault)
        return
    yield from map(_finding, found)


def _live(config: Config) -> Iterator[Finding]:
    """The same, of the Asterisk that runs; asked as `serve` asks it."""
    place = where_of(config.server.asterisk, os.environ)
    if place is None:
        problem, key = "is empty: which Asterisk is to be asked?", "asterisk.address"
        yield Finding(
            "error", problem, "its manager's address:port", str(config.directory / "qm_sip.toml"), key
        )
        return
    yield from map(_finding, live.look(config, place, serving=_serving(config)))


def _finding(fault: beside.Fault) -> Finding:
    return Finding(fault.level, fault.problem, fault.remedy, fault.where.file, "", fault.where.line)


def _serving(config: Config) -> bool:
    """Whether our own server runs."""
    try:
        client.call(config.server.control.socket, "status")
    except QmSipError:
        return False
    return True


def _tls(config: Config) -> Iterator[Finding]:
    """Certificates that cannot be used, that end soon, and whom we believe without one."""
    try:
        Trust.of(config)
    except ConfigError as fault:
        yield _error(fault)
    now = datetime.now(UTC)
    for one in expiries(config):
        if (warning := one.warning(now)) is not None:
            yield Finding("advice", warning, "put a new one in its place, then qm-sip reload", str(one.file))
    key = config.server.sip.tls.private_key
    if key is not None and key.exists() and key.stat().st_mode & 0o077:
        yield Finding(
            "advice", "others than its owner can read the private key", f"chmod 600 {key}", str(key)
        )
    for name, peer in config.server.peers.items():
        if peer.transport == "tls" and not peer.tls_verify:
            problem = f"whoever answers there is believed: {peer.tls_unverified_because}"
            yield Finding(
                "advice", problem, "", str(config.directory / "qm_sip.toml"), f"peers.{name}.tls_verify"
            )
        if peer.srtp_without_tls_because:
            problem = f"its SRTP keys can be read on the way: {peer.srtp_without_tls_because}"
            yield Finding("advice", problem, "", str(config.directory / "qm_sip.toml"), f"peers.{name}.srtp")


def _storage(config: Config) -> Iterator[Finding]:
    storage = config.server.storage
    for name, path in (("directory", storage.directory), ("key_directory", storage.key_directory)):
        key = f"storage.{name}"
        nearest = _nearest(path)
        if not os.access(nearest, os.W_OK | os.X_OK) or not nearest.is_dir():
            yield Finding("error", f"{path} cannot be written", "as the user of `serve`", key=key)
    home = _nearest(storage.host_key.parent)
    if not storage.host_key.exists() and not os.access(home, os.W_OK | os.X_OK):
        problem = f"{storage.host_key} does not exist and cannot be made"
        remedy = "let the user of `serve` write there at the first start, or name another place"
        yield Finding("error", problem, remedy, key="storage.host_key")
    if not _in_memory(storage.key_directory):
        problem = f"{storage.key_directory} is not in memory: keys of running recordings would reach the disk"
        yield Finding("advice", problem, "mount a tmpfs there", key="storage.key_directory")
    free = shutil.disk_usage(_nearest(storage.directory)).free
    if free < LITTLE_ROOM:
        yield Finding(
            "advice", f"only {free // 1024**2} MiB free at {storage.directory}", key="storage.directory"
        )


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _in_memory(path: Path) -> bool:
    """Whether a path is on a file system that dies with the power (proc(5), mountinfo)."""
    kinds = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kinds[fields.split()[4]] = rest.split()[0]
    place = _nearest(path).resolve()
    mounted = next(str(above) for above in (place, *place.parents) if str(above) in kinds)
    return kinds[mounted] in MEMORY_FILE_SYSTEMS


def _tools() -> Iterator[Finding]:
    if importlib.util.find_spec("qm_sip._media") is None:
        yield Finding("error", "the media engine is not built: qm_sip._media is missing", "make setup")
    if shutil.which("espeak-ng") is None:
        yield Finding("advice", "espeak-ng is missing: prompts cannot be built", "apt install espeak-ng")
