"""`qm-sip asterisk`: what is added to the Asterisk beside us."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qm_sip import config as settings
from qm_sip.asterisk.snippets import written
from qm_sip.cli.options import ConfigDir, Json
from qm_sip.cli.output import emit_json, say
from qm_sip.errors import StartError

app = typer.Typer(help="The Asterisk beside us.", no_args_is_help=True)

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Directory to write to; else they are printed.")
]
Peer = Annotated[
    str | None, typer.Option("--peer", help="Which of [peers] Asterisk is, if several could be.")
]
Trunk = Annotated[str, typer.Option("--trunk", help="Asterisk's endpoint for calls outside.")]


@app.callback()
def of_asterisk() -> None:
    """The Asterisk beside us."""


@app.command()
def snippets(
    config: ConfigDir, out: Out = None, peer: Peer = None, trunk: Trunk = "trunk", as_json: Json = False
) -> None:
    """Write the parts of pjsip.conf, extensions.conf, queues.conf and the like that this configuration needs."""
    files = written(settings.load(config), peer, trunk=trunk)
    if out is not None:
        _put(out, files)
    if as_json:
        emit_json({"files": files})
    elif out is not None:
        for name in files:
            say(str(out / name))
    else:
        say("\n".join(f"; ======== {name}\n{text}" for name, text in files.items()))


def _put(out: Path, files: dict[str, str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"cannot write to {out}: {error.strerror}") from None
