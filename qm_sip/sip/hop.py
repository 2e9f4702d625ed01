"""Headers that belong to one hop, one dialog or one transaction: a back-to-back user agent writes its own.

RFC 3261 20, RFC 3262 (RSeq, RAck), RFC 3327 (Path), RFC 3515 and 6665 (what a subscription is), RFC 3608, RFC 4028
(session timers), RFC 5626. Copied to the other leg they would break it, or show one side the other's addresses.
"""

from __future__ import annotations

from typing import Final

ROUTING: Final = ("Via", "Route", "Record-Route", "Path", "Service-Route", "Contact", "Max-Forwards")
DIALOG: Final = ("From", "To", "Call-ID", "CSeq", "RSeq", "RAck", "Event", "Subscription-State", "SIP-ETag")
ABILITIES: Final = (
    *("Require", "Proxy-Require", "Supported", "Unsupported", "Allow", "Allow-Events", "Accept"),
    *("Accept-Encoding", "Session-Expires", "Min-SE", "Min-Expires", "Expires", "Flow-Timer"),
)
LOGIN: Final = (
    *("Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate"),
    *("Authentication-Info", "Proxy-Authentication-Info"),
)
BODY: Final = ("Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition", "MIME-Version")
OURS: Final = (*ROUTING, *DIALOG, *ABILITIES, *LOGIN, *BODY, "User-Agent", "Server", "Timestamp")

NEVER_COPIED: Final = frozenset(name.lower() for name in OURS)
"""Lower-case long names. `Proxy-` and anything after it belongs to them too."""


def is_never_copied(name: str) -> bool:
    """Whether this header, by its long name, is of one hop or one dialog."""
    low = name.lower()
    return low in NEVER_COPIED or low.startswith("proxy-")
