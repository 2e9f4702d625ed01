"""The recorded streams, and messages of one's own."""

from __future__ import annotations

from pathlib import Path

from qm_sip.asterisk.floor import Company
from qm_sip.asterisk.message import Message, Reader

HERE = Path(__file__).parent / "streams"
NAMES = sorted(path.stem for path in HERE.glob("*.ami"))


def stream(name: str) -> list[Message]:
    return list(Reader().feed((HERE / f"{name}.ami").read_bytes()))


def event(name: str, **fields: str) -> Message:
    return Message((("Event", name), *fields.items()))


def on(channel: str, id: str, *, leg: str = "", parent: str = "", number: str = "") -> dict[str, str]:
    """What every event says of its channel."""
    said = {"Channel": channel, "Uniqueid": id, "ChannelState": "6", "CallerIDNum": number or "<unknown>"}
    said |= {"ChanVariable": f"QM_LEG={leg}"} if leg else {}
    return said | ({"ChanVariable": f"QM_PARENT={parent}"} if parent and not leg else {})


def enters(bridge: str, channel: str, id: str, **more: str) -> Message:
    return event("BridgeEnter", BridgeUniqueid=bridge, **on(channel, id, **more))


def leaves(bridge: str, channel: str, id: str, **more: str) -> Message:
    return event("BridgeLeave", BridgeUniqueid=bridge, **on(channel, id, **more))


def who(company: Company) -> list[str]:
    """The first name of each."""
    return [present.names[0].reveal() for present in company.presents]
