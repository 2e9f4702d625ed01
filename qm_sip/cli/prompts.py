"""`qm-sip prompts`: list what can be said, build it, check its texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qm_sip import config as settings
from qm_sip.announce import build as builder
from qm_sip.announce import lint
from qm_sip.announce import prompts as library
from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, OptionalConfig, Socket
from qm_sip.cli.output import Status, listing

app = typer.Typer(help="Announcements: list, build, check.", no_args_is_help=True)

Directory = Annotated[
    Path | None, typer.Option("--directory", "-d", help="Prompt directory, instead of that of --config.")
]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of prompts; all if none is given.")]
COLUMNS = ["id", "language", "kind", "uses", "purposes", "says", "keys", "seconds", "own_recording", "text"]


def _directory(directory: Path | None, config: Path | None) -> Path:
    if directory is not None:
        return directory
    return settings.load_server(config).prompts.directory if config is not None else Path("config/prompts")


@app.command("list")
def list_prompts(
    socket: Socket = None, config: OptionalConfig = None, directory: Directory = None, as_json: Json = False
) -> None:
    """The prompts the running server has; with --directory those of a directory, without a server."""
    if directory is not None:
        rows = [library.describe(prompt) for prompt in library.load(directory)]
    else:
        rows = ask(socket, config, "prompts")["prompts"]
    listing(rows, COLUMNS, as_json=as_json)


@app.command()
def build(
    ids: Ids = None, config: OptionalConfig = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Let espeak-ng speak the texts. Your own recordings are left alone."""
    built = builder.build_all(_directory(directory, config), frozenset(ids or ()))
    rows = [
        {"prompt": str(one.path), "action": one.action, "seconds": round(one.seconds, 2)} for one in built
    ]
    listing(rows, ["prompt", "action", "seconds"], as_json=as_json)


@app.command()
def check(config: OptionalConfig = None, directory: Directory = None, as_json: Json = False) -> Status:
    """Judge files and texts of all prompts by the rules of docs/commands.md."""
    place = _directory(directory, config)
    found, errors = library.load_all_errors(place)
    rows: list[dict[str, object]] = [
        {"file": e.file, "rule": None, "problem": str(e.problem)} for e in errors
    ]
    for path in [prompt.path.with_suffix(".toml") for prompt in found]:
        faults = lint.lint(library.read_sidecar(path))
        rows += [{"file": str(path), "rule": fault.rule, "problem": fault.text} for fault in faults]
    listing(rows, ["file", "rule", "problem"], as_json=as_json, empty=f"{len(found)} prompts, no fault")
    return Status.CONFIG if errors else Status.NO if rows else Status.OK
