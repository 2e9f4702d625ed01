"""Session-ID (RFC 7989): one pair of UUIDs for both legs, so that a trace finds the call on either side of us.

Each end names the call by a UUID of its own and repeats the other's. We stand between them and hand both on; for an
end that gives none, or something that is none, we speak (section 6). A UUID is random: it names the call and no person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from qm_sip.media.protocol import LegName
from qm_sip.sip.message import Message

NAME: Final = "Session-ID"
NIL: Final = "0" * 32
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Pair:
    """The header as its sender sees it: his own UUID, and the other's if he names one at all."""

    local: str
    remote: str | None

    @classmethod
    def of(cls, message: Message) -> Pair | None:
        """The header's pair; None if there is none, or it is not 32 hexadecimal digits (section 5)."""
        values = message.all(NAME)
        if len(values) != 1:
            return None
        local, *rest = (part.strip() for part in values[0].split(";"))
        named = [part[7:].strip() for part in rest if part.lower().startswith("remote=")]
        local, remote = local.lower(), named[0].lower() if named else None
        if not _is_uuid(local) or (remote is not None and not _is_uuid(remote)):
            return None
        return cls(local, remote)


def _is_uuid(text: str) -> bool:
    return len(text) == 32 and set(text) <= _HEX


def new_uuid(random_id: str) -> str:
    """A random UUID of version 4 (RFC 9562 5.4), as 32 digits, from as many random ones."""
    return f"{random_id[:12]}4{random_id[13:16]}{'89ab'[int(random_id[16], 16) & 3]}{random_id[17:32]}"


class SessionIds:
    """The two UUIDs of one call, by the leg whose far end it names."""

    def __init__(self, caller: str | None, new_id: Callable[[], str]) -> None:
        self._ids: dict[LegName, str] = {
            "caller": caller or new_uuid(new_id()),
            "callee": new_uuid(new_id()),  # ours, until the callee has told its own
        }
        self._met = False  # something has been heard of the callee

    @property
    def call(self) -> str:
        """The caller's UUID: what the call is known by."""
        return self._ids["caller"]

    def heard(self, leg: LegName, message: Message) -> bool:
        """A message of that leg. True: what is said on the legs from now on has changed by it."""
        before = (dict(self._ids), self._met)
        self._met = self._met or leg == "callee"
        pair, far = Pair.of(message), self._ids["callee" if leg == "caller" else "caller"]
        # A peer of the older kind (RFC 7329) sends back the UUID that it was given: it has none of its own.
        if pair is not None and pair.local not in (NIL, far):
            self._ids[leg] = pair.local
        return before != (self._ids, self._met)

    def towards(self, leg: LegName) -> list[tuple[str, str]]:
        """What every message on that leg carries."""
        if leg == "caller":
            local, remote = self._ids["callee"], self._ids["caller"]
        else:
            local, remote = self._ids["caller"], self._ids["callee"] if self._met else NIL
        return [(NAME, f"{local};remote={remote}")]
