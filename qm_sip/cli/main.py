"""The app, and the one place where an error becomes a line on stderr and an exit status."""

from __future__ import annotations

import io
import sys

import typer

from qm_sip.cli import (
    asterisk,
    calls,
    check,
    demo,
    draws,
    keys,
    lines,
    monitor,
    monitors,
    private,
    prompts,
    recordings,
    retention,
    serve,
    server,
    steering,
    trace,
)
from qm_sip.cli.output import Status, error
from qm_sip.control.client import ServerAway, ServerSaid
from qm_sip.errors import ConfigError, QmSipError, Refused


def end(status: object) -> None:
    """What a command returns is its exit status; nothing is 0."""
    raise typer.Exit(int(status) if isinstance(status, int) else 0)


app = typer.Typer(
    name="qm-sip",
    help="A SIP back-to-back user agent beside Asterisk: announced recording, private lines, nothing else.",
    no_args_is_help=True,
    add_completion=False,
    result_callback=end,
    pretty_exceptions_enable=False,  # a pretty traceback prints local variables: names and numbers
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("demo")(demo.demo)
app.command("calls")(calls.calls)
app.command("explain")(calls.explain)
app.command("trace")(trace.trace)
app.command("pause")(steering.pause)
app.command("record")(steering.record)
app.command("ledger")(calls.ledger)
app.add_typer(recordings.app, name="recordings")
app.add_typer(retention.app, name="retention")
app.add_typer(private.app, name="private")
app.add_typer(monitor.app, name="monitor")
app.add_typer(monitors.app, name="monitors")
app.command("draws")(draws.draws)
app.command("taps")(server.taps)
app.command("status")(server.status)
app.command("reload")(server.reload)
app.command("lines")(lines.lines)
app.command("people")(lines.people)
app.add_typer(prompts.app, name="prompts")
app.add_typer(keys.app, name="keys")
app.add_typer(asterisk.app, name="asterisk")


def status_of(failure: QmSipError) -> Status:
    """The exit status of an error."""
    if isinstance(failure, ServerSaid) and failure.code == "not-found":
        return Status.NO
    by_kind = {ConfigError: Status.CONFIG, ServerAway: Status.AWAY, Refused: Status.REFUSED}
    if isinstance(failure, ServerSaid) and failure.code == "config":
        return Status.CONFIG
    return by_kind.get(type(failure), Status.FAILED)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; never returns. An error of ours, or of a file, is printed once, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file may have a name that is no text
    try:
        app(arguments, prog_name="qm-sip")
    except QmSipError as failure:
        error(str(failure))
        sys.exit(status_of(failure))
    except OSError as failure:
        error(f"{str(failure.filename or '')[:100]}: {failure.strerror or failure}".removeprefix(": "))
        sys.exit(Status.FAILED)
