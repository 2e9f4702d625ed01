"""One message as it leaves the trace: redacted, with addresses that are nobody's; or, for whoever may, as it was."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from qm_sip.sip.events import Address
from qm_sip.trace.redact import redact, without_secrets
from qm_sip.trace.store import Line, Trace

Place = tuple[str, int]


class Shown(NamedTuple):
    at: float
    transport: str
    source: Place
    destination: Place
    payload: bytes


def show(line: Line, trace: Trace, own: Collection[str], *, unredacted: bool) -> Shown | None:
    """None: of this message there is nothing to show. `own`: our addresses besides the one it came by."""
    if line.data is None or trace.dropped:
        return None
    names = trace.pseudonyms
    names.are_ours([line.local.host, *own])
    if unredacted:
        payload, ends = without_secrets(line.data), [_place(line.peer), _place(line.local)]
    else:
        payload = redact(line.data, names)
        ends = [(names.address(one.host), one.port) for one in (line.peer, line.local)]
    source, destination = ends if line.inbound else reversed(ends)
    return Shown(line.at, line.peer.transport, source, destination, payload)


def _place(address: Address) -> Place:
    return address.host, address.port
