"""A lamp as dialog-info XML (RFC 4235 4): one dialog that is `confirmed` while it is lit, else `terminated`.

It is what Asterisk says of a hint, and what BLF keys are made for. No dialog of a call is named, no party, no time;
`entity` is the URI that was subscribed to. `confirmed` rather than `early`, at which phones ring or offer to pick up.
"""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import quoteattr

MEDIA_TYPE: Final = "application/dialog-info+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:dialog-info"


def dialog_info(entity: str, version: int, *, lit: bool) -> bytes:
    state = "confirmed" if lit else "terminated"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n'
        f'<dialog-info xmlns="{NAMESPACE}" version="{version}" state="full" entity={quoteattr(entity)}>\r\n'
        f'<dialog id="lamp"><state>{state}</state></dialog>\r\n'
        "</dialog-info>\r\n"
    ).encode("utf-8", "replace")
