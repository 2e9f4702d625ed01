"""What a caller keeps to himself (RFC 3323, RFC 3325 7, RFC 7044 10.1), and how an address is shown outside.

`id`, `user` and `header` mean that the next peer must not learn who he is, unless we trust it to keep that to itself;
`history` means the same for History-Info alone. `header` asks for nothing more here: Via, Contact and the rest are ours
on each leg anyway. `session` asks that the media hides him too: a relayed call does that, a direct one cannot, and if
it is `critical` the call is refused rather than made without.
"""

from __future__ import annotations

from typing import Final

from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError, quote
from qm_sip.sip.message import Message

KNOWN: Final = ("header", "session", "user", "id", "history", "none", "critical")
_NAMELESS: Final = frozenset({"id", "user", "header"})
ANONYMOUS_HOST: Final = "anonymous.invalid"
ANONYMOUS: Final = f'"Anonymous" <sip:anonymous@{ANONYMOUS_HOST}>'


def words(message: Message) -> tuple[str, ...]:
    """The words of Privacy in their order, lower case: separated by `;`, by commas at some peers."""
    text = ";".join(message.all("Privacy")).replace(",", ";")
    return tuple(dict.fromkeys(word.strip().lower() for word in text.split(";") if word.strip()))


def tokens(message: Message) -> tuple[str, ...]:
    """The words that the RFCs know."""
    return tuple(word for word in words(message) if word in KNOWN)


def nameless(message: Message) -> bool:
    """Whether nobody outside may learn whom this message is from: he said so, or is anonymous already."""
    said = set(words(message))
    if "none" in said:
        return False
    return bool(said & _NAMELESS) or _is_anonymous(message) or rpid_privacy(message)


def unhistoried(message: Message) -> bool:
    """Whether the way the call took is nobody's business."""
    return "history" in words(message)


def cannot_be_met(message: Message, *, relayed: bool) -> bool:
    """A wish that we cannot fulfil, and without which its sender does not want the call (RFC 3323 5.1, critical)."""
    said = set(words(message))
    if "critical" not in said or "none" in said:
        return False
    return bool(said - set(KNOWN)) or ("session" in said and not relayed)


def rpid_privacy(message: Message) -> bool:
    """The older `Remote-Party-ID: ...;privacy=full`."""
    return any(
        (shown.param("privacy") or "off").lower() != "off"
        for value in values(message, "Remote-Party-ID")
        if (shown := read(value)) is not None
    )


def _is_anonymous(message: Message) -> bool:
    sender = read(message.get("From") or "")
    return sender is not None and sender.uri.host.lower() == ANONYMOUS_HOST


def values(message: Message, name: str) -> list[str]:
    """Every value of a list header; none of one whose quotes do not close."""
    try:
        return message.values(name)
    except SipParseError:
        return []


def read(value: str) -> NameAddr | None:
    """An address, or None if it cannot be read."""
    try:
        return NameAddr.parse(value)
    except SipParseError:
        return None


def at_our_address(value: str, ours: Address) -> str | None:
    """An address without its host: a SIP URI at ours, a tel URI as it is; header parameters stay. None: unreadable."""
    shown = read(value)
    if shown is None:
        return None
    if shown.uri.scheme == "tel":
        return str(shown)
    if shown.uri.scheme not in ("sip", "sips") or not shown.uri.number:
        return None
    return str(shown._replace(uri=Uri.sip(ours.host, ours.port, shown.uri.number)))


def from_value(message: Message, ours: Address, *, hidden: bool) -> str:
    """The caller's display name and user at our own address: the peer answers us, not him. Hidden: nobody."""
    sender = read(message.get("From") or "")
    if hidden or (sender is not None and sender.uri.host.lower() == ANONYMOUS_HOST):
        return ANONYMOUS
    if sender is None:
        return f"<{Uri.sip(ours.host, ours.port, 'anonymous')}>"
    ours_for_him = Uri.sip(ours.host, ours.port, sender.uri.number or "anonymous")
    display = f"{quote(sender.display)} " if sender.display else ""
    return f"{display}<{ours_for_him}>"
