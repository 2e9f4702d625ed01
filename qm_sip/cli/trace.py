"""`qm-sip trace`: the signalling of a call as a ladder, redacted; live or afterwards."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from qm_sip.cli.ask import ask
from qm_sip.cli.options import Json, Limit, OptionalConfig, Socket
from qm_sip.cli.output import emit_json, listing, say
from qm_sip.control.client import ServerSaid
from qm_sip.errors import StartError
from qm_sip.trace import pcap as capture
from qm_sip.trace.ladder import draw

PAUSE = 0.5
"""Seconds between two looks at a call that is followed."""

Call = Annotated[
    str, typer.Argument(help="Id of the call, or the beginning of it; without one, which calls there are.")
]
Last = Annotated[int, typer.Option("--last", min=0, max=1000, help="The newest so many calls, one by one.")]
Refused = Annotated[
    bool, typer.Option("--refused", help="INVITEs of peers that became no call (403, 404, 503).")
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until the call has ended.")]
Raw = Annotated[bool, typer.Option("--raw", help="Show the messages themselves.")]
Pcap = Annotated[Path | None, typer.Option("--pcap", help="Write them as a capture file; it must not exist.")]
Unredacted = Annotated[
    bool, typer.Option("--unredacted", help="With the people in it: needs --as and --reason; it is logged.")
]
As = Annotated[str, typer.Option("--as", help="Who is asking: id of a person in people.toml.")]
Reason = Annotated[str, typer.Option("--reason", help="Why the people must be seen; it is logged.")]

Ask = Callable[..., dict[str, Any]]


def trace(
    call: Call = "",
    last: Last = 0,
    refused: Refused = False,
    follow: Follow = False,
    raw: Raw = False,
    pcap: Pcap = None,
    unredacted: Unredacted = False,
    as_person: As = "",
    reason: Reason = "",
    socket: Socket = None,
    config: OptionalConfig = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """The signalling of a call as a ladder, without anybody in it. Of confidential calls there is none."""

    def asking(**more: Any) -> dict[str, Any]:
        return ask(socket, config, "trace", **more)

    if follow and unredacted:
        raise StartError("a call is followed redacted only", remedy="leave out --follow or --unredacted")
    wanted: dict[str, Any] = {"raw": raw, "unredacted": unredacted, "packets": pcap is not None}
    wanted |= {"as": as_person, "reason": reason} if unredacted else {}
    if pcap is not None and (pcap.exists() or not call):
        raise StartError(f"{pcap} exists" if call else "--pcap needs a CALL", remedy="name another file")
    if not call and not last:
        _list(asking(refused=refused, limit=limit), as_json=as_json)
        return
    calls = [call] if call else [row["call"] for row in asking(refused=refused, limit=last)["traces"]]
    for one in reversed(calls):
        answer = asking(call=one, **wanted)
        if pcap is not None:
            _write(pcap, answer)
        elif as_json:
            emit_json(answer)
        else:
            _show(answer)
            if follow and call:
                _follow(lambda after: asking(call=call, after=after, **wanted), answer)


def _list(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(answer)
        return
    columns = ["call", "running", "messages", "seconds", "first", "answer"]
    listing(answer["traces"], columns, as_json=False, empty="no calls")
    say(f"messages of strangers: {answer['strangers']}")


def _show(answer: dict[str, Any]) -> None:
    state = "running" if answer["running"] else "over"
    say(f"{answer['call']}: {state}" + (", UNREDACTED" if answer["unredacted"] else ""))
    if answer["left_out"]:
        say(f"{answer['left_out']} messages in the middle were not kept")
    _rows(answer, head=True)


def _rows(answer: dict[str, Any], *, head: bool) -> None:
    peers = answer["peers"]
    lines = list(draw(answer["rows"], peers["caller"], peers["callee"]))
    if head:
        say(lines[0])
    for line, row in zip(lines[1:], answer["rows"], strict=True):
        say(line)
        if row.get("raw"):
            say("\n" + row["raw"].replace("\r\n", "\n").rstrip() + "\n")


def _follow(asking: Callable[[int], dict[str, Any]], answer: dict[str, Any]) -> None:
    """Until it is over; also if it is not to be seen any more, of which nothing is said."""
    after = 0
    while answer["running"]:
        after = answer["rows"][-1]["number"] if answer["rows"] else after
        time.sleep(PAUSE)
        try:
            answer = asking(after)
        except ServerSaid as gone:
            if gone.code != "not-found":
                raise
            break
        _rows(answer, head=False)
    say("over")


def _write(path: Path, answer: dict[str, Any]) -> None:
    """For its owner only."""
    packets = [row["packet"] for row in answer["rows"] if row.get("packet")]
    try:
        path.touch(mode=0o600, exist_ok=False)
        with path.open("wb") as file:
            file.write(capture.file_header())
            for one in packets:
                source, destination = tuple(one["source"]), tuple(one["destination"])
                file.write(capture.record(one["at"], source, destination, base64.b64decode(one["bytes"])))
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}") from None
    say(f"{path}: {len(packets)} messages")
