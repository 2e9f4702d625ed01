"""The signalling of calls: `trace`. Redacted, with times from the call's own start; unredacted for whoever may.

That somebody saw it unredacted, or was refused it, is in the catalog before the answer leaves, with his reason sealed.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qm_sip.control.permit import speaker
from qm_sip.control.requests import BadRequest, NotFound, count, word
from qm_sip.control.telling import refusal
from qm_sip.errors import Refused
from qm_sip.policy.reasons import TRACE_GRANTED
from qm_sip.policy.tracing import cannot_trace
from qm_sip.trace.ladder import rows
from qm_sip.trace.pseudonyms import NOWHERE
from qm_sip.trace.shown import Shown, show
from qm_sip.trace.store import Line, Trace
from qm_sip.trace.tap import Tap

if TYPE_CHECKING:
    from qm_sip.config import Config
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]
SHORTEST_PREFIX = 4
TRACING = "tracing"  # the purpose under which it is entered
FLAGS = ("refused", "raw", "packets", "unredacted")


def handlers(state: ServerState) -> dict[str, Handler]:
    return {"trace": Tracing(state).trace}


class Tracing:
    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def trace(self, request: Row, peer: PeerCredentials) -> Row:
        """One call's messages, or which calls there are."""
        tap = self._state.tap
        if tap is None:
            raise NotFound("nothing is traced: [trace] on is false")
        tap.sweep(time.time())
        flags = {name: _flag(request, name) for name in FLAGS}
        if "call" not in request:
            limit = count(request, "limit", 50, most=1000)
            return await _listed(tap, refused=flags["refused"], limit=limit)
        trace = _found(tap, word(request, "call"))
        if flags["unredacted"]:
            await self._enter(request, peer, tap, trace)
        after = request.get("after", 0)
        if not isinstance(after, int) or isinstance(after, bool):
            raise BadRequest("after must be the number of a message")
        lines = list(trace)
        answer = await asyncio.to_thread(self._shown, trace, lines, flags, after)
        if trace.dropped:  # it has turned confidential meanwhile
            raise _no_trace(word(request, "call"))
        return answer

    async def _enter(self, request: Row, peer: PeerCredentials, tap: Tap, trace: Trace) -> None:
        """Whether he may, and that he asked."""
        config, now = self._state.config, datetime.now(UTC)
        person, why = speaker(config, request, peer), word(request, "reason")
        if trace.id not in tap.store.calls:
            raise Refused("always-redacted", "an INVITE that became no call is shown redacted only")
        lacks = cannot_trace(config, person, now)
        reason = lacks or TRACE_GRANTED
        entry = self._state.catalog.log_use(
            trace.id, person, "trace", TRACING, lacks is None, [reason], now, note=why
        )
        await asyncio.wrap_future(entry)
        if lacks is not None:
            raise Refused(lacks.code, refusal(lacks.code, lacks.requirement))

    def _shown(self, trace: Trace, lines: list[Line], flags: dict[str, bool], after: int) -> Row:
        config = self._state.config
        own, unredacted = own_hosts(config), flags["unredacted"]
        began = 0.0 if unredacted or not lines else lines[0].at
        found = []
        for row, line in zip(rows(lines, own), lines, strict=True):
            if line.number <= after:
                continue
            wanted = flags["raw"] or flags["packets"]
            shown = show(line, trace, own, unredacted=unredacted) if wanted else None
            found.append(row | _written(shown, flags, began))
        return {
            "call": trace.id,
            "running": not trace.over and not trace.id.startswith("refused"),
            "left_out": trace.left_out,
            "unredacted": unredacted,
            "peers": {leg: _peer(config, lines, leg) for leg in ("caller", "callee")},
            "rows": found,
        }


def own_hosts(config: Config) -> Collection[str]:
    """Addresses of ours that may stand in a message."""
    server = config.server
    hosts = {at.host for at in server.sip.listen} | {server.media.address, server.sip.external_address or ""}
    return hosts - NOWHERE - {""}


def _flag(request: Row, name: str) -> bool:
    value = request.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false")
    return value


def _written(shown: Shown | None, flags: dict[str, bool], began: float) -> Row:
    """A message's text, and its packet: redacted with times from the call's start, and from nobody to nobody."""
    row: Row = {}
    if flags["raw"]:
        row["raw"] = shown.payload.decode("utf-8", "replace") if shown else None
    if flags["packets"]:
        row["packet"] = shown and {
            "at": shown.at - began,
            "source": list(shown.source),
            "destination": list(shown.destination),
            "bytes": base64.b64encode(shown.payload).decode(),
        }
    return row


def _found(tap: Tap, wanted: str) -> Trace:
    """By its id, or by the beginning of it if only one call's begins so."""
    for table in (tap.store.calls, tap.store.attempts):
        if wanted in table:
            return table[wanted]
    if len(wanted) >= SHORTEST_PREFIX:
        found = [trace for id, trace in tap.store.calls.items() if id.startswith(wanted)]
        if len(found) > 1:
            raise BadRequest(f"{len(found)} calls begin with {wanted!r}: give more of it")
        if found:
            return found[0]
    raise _no_trace(wanted)


def _no_trace(wanted: str) -> NotFound:
    return NotFound(f"no trace of a call {wanted!r}: see `qm-sip trace`")


async def _listed(tap: Tap, *, refused: bool, limit: int) -> Row:
    table = tap.store.attempts if refused else tap.store.calls
    newest = [(trace, list(trace)) for trace in list(reversed(table.values()))[:limit]]
    found = await asyncio.to_thread(lambda: [_summary(*one) for one in newest])
    shown = [row for row, (trace, _) in zip(found, newest, strict=True) if not trace.dropped]
    return {"traces": shown, "strangers": tap.strangers}


def _summary(trace: Trace, lines: list[Line]) -> Row:
    told = list(rows(lines, ()))
    finals = [row["what"] for row in told if row["what"][:1] in "23456" and row["cseq"].endswith("INVITE")]
    first = next((row["what"] for row in told), "")
    return {
        "call": trace.id,
        "running": not trace.over and not trace.id.startswith("refused"),
        "messages": trace.count,
        "seconds": round(trace.last - trace.began, 3),
        "first": first,
        "answer": finals[-1] if finals else None,
    }


def _peer(config: Config, lines: list[Line], leg: str) -> str:
    """The name that the settings give to whoever is on that leg: a carrier or a PBX, and no person."""
    port: Callable[[Line], int | None] = lambda line: None if line.peer.reliable else line.peer.port  # noqa: E731
    found = next((line for line in lines if line.leg == leg and line.data is not None), None)
    return "" if found is None else config.peer_of(found.peer.host, port(found), None) or ""
