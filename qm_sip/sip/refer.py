"""What a transfer is written with: Refer-To, Replaces, Referred-By, Refer-Sub, and a response as a body.

RFC 3515 (REFER and its NOTIFY), RFC 3891 (Replaces), RFC 3892 (Referred-By), RFC 4488 (no subscription), RFC 4538
(Target-Dialog), RFC 3420 (message/sipfrag). A dialog is named in Replaces as its owner's peer sees it: `to-tag` is the
tag of whoever is asked to let go of it, `from-tag` that of the other end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from qm_sip.sip.address import NameAddr
from qm_sip.sip.dialog import DialogId
from qm_sip.sip.grammar import SipParseError, is_token, param, parse_params
from qm_sip.sip.message import Message, Request
from qm_sip.sip.reply import REASONS

SIPFRAG: Final = "message/sipfrag;version=2.0"
# What may stand bare in a header of a URI (25.1, hnv-unreserved and unreserved). The rest is escaped.
_BARE: Final = "-_.!~*'()[]/?:+$"
_CALL_ID: Final = re.compile(r"[!-+\--:<-~]+\Z")  # printable, without white space, comma and semicolon


@dataclass(frozen=True, slots=True)
class Replaces:
    """`callid;to-tag=x;from-tag=y[;early-only]` (RFC 3891 6.1); Target-Dialog and Join name a dialog the same way."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str, names: tuple[str, str] = ("to-tag", "from-tag")) -> Replaces:
        """Each tag exactly once; of Target-Dialog they are called otherwise (`TARGET_TAGS`)."""
        call_id, *raw = (part.strip() for part in text.split(";"))
        params = parse_params(raw)
        if not _CALL_ID.match(call_id):
            raise SipParseError("a dialog is named without its Call-ID")
        tags = [[value for key, value in params if key.lower() == name] for name in names]
        for found in tags:
            if len(found) != 1 or not found[0] or not is_token(found[0]):
                raise SipParseError("a dialog is named without its two tags")
        return cls(call_id, str(tags[0][0]), str(tags[1][0]), param(params, "early-only") is not None)

    @property
    def dialog(self) -> DialogId:
        """That dialog, seen by whoever is asked to let go of it."""
        return DialogId(self.call_id, self.to_tag, self.from_tag)

    def naming(self, dialog: DialogId) -> Replaces:
        """The same wish for another dialog of ours, told to its far end: his tag is the one he calls his own."""
        return Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag, self.early_only)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


TARGET_TAGS: Final = ("remote-tag", "local-tag")
"""RFC 4538 7: `local-tag` is the sender's, so `remote-tag` is that of whoever receives it."""


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Where somebody is sent (RFC 3515 2.1), and which dialog he is to replace there."""

    address: NameAddr
    replaces: Replaces | None = None

    @classmethod
    def of(cls, request: Request) -> ReferTo:
        """The one Refer-To of a REFER. Raises SipParseError with the status owed: 400; 416 for a scheme nobody can
        call; 501 for another method than INVITE.
        """
        values = request.values("refer-to")
        if len(values) != 1:
            raise SipParseError("a REFER has one Refer-To")  # RFC 3515 2.4.1
        address = NameAddr.parse(values[0])
        if address.uri.scheme not in ("sip", "sips", "tel"):
            raise SipParseError("nobody can be called at that kind of URI", 416)
        if (address.uri.param("method") or "INVITE").upper() != "INVITE":
            raise SipParseError("only an INVITE is sent for a REFER", 501)
        return cls(address, _replaces_in(address.uri.headers))

    def moved(self, target: str, replaces: Replaces | None) -> str:
        """As a header value, at another address and for another dialog. No other header of the URI is handed on."""
        wish = f"?Replaces={quote(str(replaces), safe=_BARE)}" if replaces else ""
        bare = target.partition("?")[0]
        return f"<{bare}{wish}>"


def _replaces_in(headers: str) -> Replaces | None:
    found = [part.partition("=")[2] for part in headers.split("&") if part.lower().startswith("replaces=")]
    if not found:
        return None
    if len(found) > 1:
        raise SipParseError("a Refer-To names two dialogs")
    return Replaces.parse(unquote_to_bytes(found[0].encode("utf-8", "surrogateescape")).decode("latin-1"))


def replaces_of(request: Request) -> Replaces | None:
    """Replaces of an INVITE. Two of them, or one beside Join, are 400 (RFC 3891 3, RFC 3911 4)."""
    values = request.all("replaces")
    if not values:
        return None
    if len(values) > 1 or request.get("join") is not None:
        raise SipParseError("an INVITE asks for two dialogs")
    return Replaces.parse(values[0])


def wants_no_news(request: Message) -> bool:
    """`Refer-Sub: false`: the sender of a REFER wants no NOTIFY (RFC 4488 4)."""
    return (request.get("refer-sub") or "").partition(";")[0].strip().lower() == "false"


def sipfrag(status: int, reason: str = "") -> bytes:
    """How it stands, as the first line of a response (RFC 3420, RFC 3515 2.4.5)."""
    return f"SIP/2.0 {status} {reason or REASONS.get(status, 'Result')}\r\n".encode("ascii", "replace")


def status_in(body: bytes) -> int | None:
    """The status that a sipfrag tells of; None if it is none."""
    words = body.split(b"\r\n", 1)[0].split(b" ", 2)
    number = words[1] if len(words) > 1 and words[0].upper() == b"SIP/2.0" else b""
    return int(number) if len(number) == 3 and number.isdigit() and b"100" <= number <= b"699" else None
