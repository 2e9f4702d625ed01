"""Which headers cross from one leg to the other.

* `table`        header by header, message by message: the policy
* `crossing`     what carries it out: a `Border` between two peers
* `privacy`      who may not be named outside
* `session_id`   the pair of UUIDs that both legs show
* `reason`       why it ended, in their words or ours
* `document`     writes docs/headers.md from the table
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qm_sip.call.headers import privacy
from qm_sip.call.headers.crossing import WAYS, Border, Headers, identities, named, users
from qm_sip.call.headers.privacy import values
from qm_sip.call.headers.table import In
from qm_sip.sip.message import Message

__all__ = [
    "SDP",
    "WAYS",
    "Border",
    "Headers",
    "In",
    "identities",
    "named",
    "received",
    "user_of",
    "users",
    "values",
]

SDP = ("Content-Type", "application/sdp")


def received(message: Message, names: Iterable[str]) -> Mapping[str, str]:
    """The configured X- headers of an INVITE, by lower-case name; empty ones count as absent."""
    found = {name.lower(): message.get(name) for name in names}
    return {name: value for name, value in found.items() if value}


def user_of(value: str | None) -> str | None:
    """The number or user of a name-addr header value, or None."""
    shown = privacy.read(value) if value else None
    return (shown.uri.number or None) if shown else None
