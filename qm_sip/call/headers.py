"""Which headers cross from one leg to the other.

Everything a peer sends is forgotten unless it stands here. Identity (RFC 3325), Diversion (RFC 5806) and the
configured X- headers cross only between peers that are trusted: they would tell a carrier about our people,
or let a stranger name a line. Reason (RFC 3326) crosses always, so that a phone learns that somebody else
took the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qm_sip.sip.address import NameAddr
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Message

TRUSTED_IN_INVITE = ("P-Asserted-Identity", "Privacy", "Diversion", "Session-ID")
TRUSTED_IN_RESPONSE = ("P-Asserted-Identity", "Privacy", "Session-ID")
SDP = ("Content-Type", "application/sdp")

Headers = list[tuple[str, str]]


def _copy(message: Message, names: Iterable[str]) -> Headers:
    return [(name, value) for name in names for value in message.all(name)]


def of_invite(message: Message, extra: Iterable[str], *, trusted: bool) -> Headers:
    """Headers of a new INVITE that go on with it. `extra` are the configured X- headers."""
    return _copy(message, (*TRUSTED_IN_INVITE, *extra)) if trusted else []


def of_response(message: Message, *, trusted: bool) -> Headers:
    """Headers of a 18x or 200 that go back."""
    return _copy(message, TRUSTED_IN_RESPONSE) if trusted else []


def of_ending(message: Message | None) -> Headers:
    """Headers of a BYE, CANCEL or final failure that go on: why it ended."""
    return _copy(message, ("Reason",)) if message else []


def received(message: Message, names: Iterable[str]) -> Mapping[str, str]:
    """The configured X- headers of an INVITE, by lower-case name; empty ones count as absent."""
    found = {name.lower(): message.get(name) for name in names}
    return {name: value for name, value in found.items() if value}


def identities(message: Message) -> list[str]:
    """The user parts of P-Asserted-Identity: a list, of one SIP and one tel URI as a rule (RFC 3325 9.1)."""
    found = (user_of(value) for value in message.values("P-Asserted-Identity"))
    return [user for user in found if user]


def user_of(value: str | None) -> str | None:
    """The number or user of a name-addr header value, or None."""
    if not value:
        return None
    try:
        return NameAddr.parse(value).uri.number or None
    except SipParseError:
        return None
