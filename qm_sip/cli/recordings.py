"""`qm-sip recordings`: list, show, select, export, verify.

Opening is done here, with the identity of whoever may, and not by the server, which cannot (I6).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from qm_sip.cli.ask import ask, fetch
from qm_sip.cli.options import As, Json, Limit, OptionalConfig, PurposeName, Socket
from qm_sip.cli.output import Status, listing, record
from qm_sip.errors import StartError

app = typer.Typer(help="Recordings: list, show, select, export, verify.", no_args_is_help=True)

Recording = Annotated[str, typer.Argument(help="Id of the recording, as `qm-sip recordings list` shows it.")]
Recordings = Annotated[
    list[str] | None, typer.Argument(help="Ids of recordings; the newest if none is given.")
]
Identity = Annotated[Path, typer.Option("--identity", "-i", help="Your age identity file for this purpose.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write; RECORDING.flac if not given.")]


@app.command("list")
def list_recordings(
    socket: Socket = None, config: OptionalConfig = None, limit: Limit = 50, as_json: Json = False
) -> None:
    """The newest recordings: what for, until when, in which state. Not whose."""
    rows = ask(socket, config, "recordings", limit=limit)["recordings"]
    columns = ["recording", "call", "state", "class", "purposes", "destroy_by", "seconds", "because"]
    listing(rows, columns, as_json=as_json, empty="no recordings")


@app.command()
def show(
    recording: Recording,
    as_person: As,
    purpose: PurposeName,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """What is known of a recording, for a person and a purpose. Both are checked; the asking is logged."""
    asked: dict[str, Any] = {"recording": recording, "as": as_person, "purpose": purpose}
    record(ask(socket, config, "recording", action="show", **asked), as_json=as_json)


@app.command()
def select(
    recording: Recording,
    as_person: As,
    purpose: PurposeName,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Pick a recording out to be evaluated; one that nobody picks goes earlier. It is logged."""
    asked: dict[str, Any] = {"recording": recording, "as": as_person, "purpose": purpose}
    record(ask(socket, config, "recording", action="select", **asked), as_json=as_json)


@app.command()
def export(
    recording: Recording,
    as_person: As,
    purpose: PurposeName,
    identity: Identity,
    out: Out = None,
    socket: Socket = None,
    config: OptionalConfig = None,
    as_json: Json = False,
) -> None:
    """Write a recording as FLAC (left customer, right agent), opened with your identity. It is logged."""
    from qm_sip.recorder.export import open_sealed, open_sealed_journal  # audio libraries: only here
    from qm_sip.recorder.keys import read_identity

    secret = read_identity(identity)
    target = _target(out or Path(f"{recording}.flac"))
    asked: dict[str, Any] = {"recording": recording, "as": as_person, "purpose": purpose, "action": "export"}
    with tempfile.NamedTemporaryFile(prefix="qm-sip-", suffix=".sealed") as sealed:
        answer = fetch(socket, config, "recording", sealed, **asked)  # type: ignore[arg-type]
        sealed.flush()
        path = Path(sealed.name)
        if answer["wrapped"]:
            data = open_sealed(path, answer["wrapped"], secret)
        else:
            data = open_sealed_journal(path, purpose, secret).flac
    _write(target, data)
    record({"file": str(target), "bytes": len(data), **_about(answer)}, as_json=as_json)


def _about(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: answer[key] for key in ("recording", "purpose", "sha256")}


def _target(path: Path) -> Path:
    """Refuse before anything is asked and logged: an export that fails afterwards would stand as a use."""
    if path.exists():
        raise StartError(f"{path} exists", remedy="name another file with --out")
    if not os.access(path.absolute().parent, os.W_OK):
        raise StartError(f"cannot write in {path.absolute().parent}", remedy="name another file with --out")
    return path


def _write(path: Path, data: bytes) -> None:
    """For its owner only: what is in it is a conversation."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(data)
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}") from None


@app.command()
def verify(
    recordings: Recordings = None,
    socket: Socket = None,
    config: OptionalConfig = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> Status:
    """Whether each sealed file is there and is the one that was sealed. Opens nothing."""
    names = recordings or [
        row["recording"] for row in ask(socket, config, "recordings", limit=limit)["recordings"]
    ]
    rows = [ask(socket, config, "verify", recording=name) for name in names]
    listing(rows, ["recording", "state", "ok", "problem", "because"], as_json=as_json, empty="no recordings")
    return Status.OK if all(row["ok"] for row in rows) else Status.NO
