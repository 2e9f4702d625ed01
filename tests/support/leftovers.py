"""What must not be left when every call has ended, and how the story of a leg may go."""

from __future__ import annotations

from collections.abc import Iterator

from qm_sip.sip.events import LegId, UaEvent
from qm_sip.sip.ua import UserAgent


def left_in(ua: UserAgent) -> Iterator[str]:
    """Everything a user agent still keeps of its calls."""
    core = ua._core
    kept = {
        "legs": core.legs,
        "dialogs": core.dialogs,
        "client transactions": core.layer.clients,
        "server transactions": core.layer.servers,
        "merges": core.layer._merges,
        "destinations": core.layer._towards,
        "datagrams": core.datagrams,
        "events": core.events,
        "timers": [1] * len(core.timers),
    }
    for name, left in kept.items():
        if left:
            yield f"{len(left)} {name}"


def unlawful(leg: LegId, happened: list[UaEvent]) -> Iterator[str]:
    """One beginning, one end, nothing impossible between."""
    kinds = [type(event).__name__ for event in happened]
    if kinds.count("LegGone") != 1 or kinds[-1] != "LegGone":
        yield f"its end is not the last thing told of it: {kinds}"
    if kinds.count("Ended") > 1:
        yield "it ended twice"
    if leg.startswith("out"):
        if kinds.count("Answered") + kinds.count("Rejected") != 1:
            yield f"not answered or rejected exactly once: {kinds}"
        if "Rejected" in kinds and {"Ended", "OfferReceived"} & set(kinds):
            yield f"something happened after it was rejected: {kinds}"
    elif kinds[0] != "CallOffered" or ("Cancelled" in kinds and "Acknowledged" in kinds):
        yield f"a leg that was offered went like this: {kinds}"
