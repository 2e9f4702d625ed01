"""Why a call ended: Reason (RFC 3326, RFC 6432), passed on, and our own.

What another side says goes on; its text only within trust, since it may name a host. Where nobody gives a reason, ours
is the truth in the words of Q.850 and of SIP: a dialplan and a call record read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qm_sip.sip.grammar import SipParseError, param, parse_params, split_outside

OWN: Final = {
    "bye": ("Q.850;cause=16",),  # the other side has hung up: normal clearing
    "no-ack": (
        "SIP;cause=408",
        "Q.850;cause=102",
    ),  # its 200 was never acknowledged: recovery on timer expiry
    "timeout": ("SIP;cause=408", "Q.850;cause=102"),  # it did not answer a request any more
    "expired": ("SIP;cause=408", "Q.850;cause=102"),  # its session timer ran out (RFC 4028)
    "gone": ("SIP;cause=481", "Q.850;cause=31"),  # it does not know the call
    "transport": ("SIP;cause=503", "Q.850;cause=38"),  # the network to it is out of order
    "media": ("SIP;cause=488", "Q.850;cause=65"),  # it answered with what cannot be passed on
    "stopped": ("SIP;cause=503", "Q.850;cause=41"),  # this server is being stopped
    "unanswered": ("SIP;cause=487", "Q.850;cause=16"),  # the caller was gone when it was answered
}
"""By `Ended.reason`, and for the endings of our own."""

_PROTOCOLS: Final = frozenset(
    {"sip", "q.850", "preemption"}
)  # a token of a stranger's choice could be a host name
_OTHER: Final = ("Q.850;cause=31",)


def ours(why: str) -> list[tuple[str, str]]:
    """The headers of an ending that nobody has given a reason for; none for a CANCEL, which says it by itself."""
    if why == "cancel":
        return []
    return [("Reason", value) for value in OWN.get(why, _OTHER)]


def of_status(status: int) -> list[tuple[str, str]]:
    """A leg that is up ends because the other one was answered with this (RFC 3326 3)."""
    return [("Reason", f"SIP;cause={status}")]


def causes(values: Iterable[str]) -> list[str]:
    """`protocol;cause=n` of each value that can be read, and nothing else of it."""
    return [found for value in values for one in _split(value) if (found := _cause(one))]


def _split(value: str) -> list[str]:
    try:
        return split_outside(value, ",")
    except SipParseError:
        return []


def _cause(value: str) -> str:
    try:
        protocol, *rest = split_outside(value, ";")
        cause = param(parse_params(rest), "cause") or ""
    except SipParseError:
        return ""
    good = protocol.lower() in _PROTOCOLS and cause.isascii() and cause.isdigit() and len(cause) <= 3
    return f"{protocol};cause={cause}" if good else ""
