"""`qm-sip serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qm_sip.cli.options import ConfigDir

ReadyFile = Annotated[
    Path | None,
    typer.Option("--ready-file", help="Written when the server takes calls, removed when it ends."),
]


def serve(config: ConfigDir, ready_file: ReadyFile = None) -> int:
    """Run the server until SIGTERM: no new calls then, running ones finish; a second signal ends them."""
    from qm_sip.app import (
        serve as run,
    )  # not needed by the other commands, and it loads the media engine's face

    return run(config, ready_file)
