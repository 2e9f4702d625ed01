"""Carrying headers from a message of one leg to a message of the other, as the table says."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qm_sip.call.headers import privacy
from qm_sip.call.headers.reason import causes
from qm_sip.call.headers.table import BY_KEY, TABLE, Across, Does, In
from qm_sip.config import Peer
from qm_sip.sip.address import unescaped
from qm_sip.sip.body import Part, others
from qm_sip.sip.events import Address
from qm_sip.sip.hop import is_never_copied
from qm_sip.sip.message import Message, canonical

LOCATION = "application/pidf+xml"  # where the caller is (RFC 6442)
Headers = list[tuple[str, str]]
Plan = dict[str, tuple[str, Does]]


@dataclass(frozen=True)
class Border:
    """Between the peer that a message comes from and the one it goes to. One for each direction of a call."""

    source: Peer
    target: Peer
    everywhere: tuple[str, ...]  # sip.carry_headers: within trust
    ours: Address  # the address that we show
    emergency: bool = False

    @property
    def across(self) -> Across:
        if not self.source.trusted:
            return Across.IN
        return Across.WITHIN if self.target.trusted else Across.OUT

    @property
    def within(self) -> bool:
        return self.across is Across.WITHIN

    @property
    def opened(self) -> tuple[str, ...]:
        """What is carried beside the table: each peer that is not trusted has to name it; within trust either may."""
        doors = [peer.carry for peer in (self.source, self.target) if not peer.trusted]
        if not doors:
            return (*self.everywhere, *self.source.carry, *self.target.carry)
        return tuple(name for name in doors[0] if all(name.lower() in _low(door) for door in doors))

    @property
    def closed(self) -> tuple[str, ...]:
        return (*self.source.strip, *self.target.strip)

    def carry(self, message: Message, into: In) -> Headers:
        """The headers of `message` that go on into a message of the other leg."""
        plan = plan_of(into, self.across, self.opened, self.closed, self.emergency)
        nameless = self.hides(message)
        found: Headers = []
        done: set[str] = set()
        for h in message.headers:
            name, does = plan.get(h.key, ("", Does.STRIP))
            if not name or (nameless and self._is_personal(h.key)) or self._unhistoried(h.key, message):
                continue
            if does is Does.COPY:
                found.append((name, h.value))
            elif h.key not in done:
                done.add(h.key)
                found += [(name_of(name, does), value) for value in MAKE[does](message, name, self) if value]
        if "privacy" in plan and not message.get("Privacy") and self._older_privacy(message):
            found.append(("Privacy", "id"))
        return found

    def _older_privacy(self, message: Message) -> bool:
        return self.source.remote_party_id and privacy.rpid_privacy(message)

    def keeps(self, part: Part) -> bool:
        """Whether a part of a body that is no session description goes along."""
        if part.kind == LOCATION and self.emergency:
            return True
        return self.within and part.kind in (*self.source.bodies, *self.target.bodies)

    def beside(self, message: Message) -> tuple[Part, ...]:
        """The parts of a message's body that go along beside its session description."""
        return tuple(part for part in others(message) if self.keeps(part))

    def refuses(self, message: Message) -> bool:
        """Whether a part of it must be understood and would not get across (RFC 5621 3.3): 415."""
        lost = any(part.is_required and not self.keeps(part) for part in others(message))
        return lost and not self.emergency

    def identities(self, message: Message) -> list[str]:
        """The users that the peer says it comes from."""
        return identities(message, self.source)

    def named(self, message: Message) -> list[str]:
        """Everybody whom the peer names, as far as it is believed."""
        return named(message, self.source, WAYS)

    def hides(self, message: Message) -> bool:
        """Whether the other side may not learn who this message is from. Whoever calls for help is never hidden."""
        return not self.target.trusted and not self.emergency and privacy.nameless(message)

    def cannot_meet(self, message: Message, *, relayed: bool) -> bool:
        """Whether its sender would rather have no call than this one. A peer that is trusted sees to it himself."""
        ours = not self.target.trusted and not self.emergency
        return ours and privacy.cannot_be_met(message, relayed=relayed)

    def _is_personal(self, key: str) -> bool:
        rule = BY_KEY.get(key)
        return rule is not None and rule.personal

    def _unhistoried(self, key: str, message: Message) -> bool:
        return key == "history-info" and not self.target.trusted and privacy.unhistoried(message)


def identities(message: Message, source: Peer) -> list[str]:
    """The users that a peer says a message comes from, if it is believed: an asserted list, of one SIP and one tel URI
    as a rule (RFC 3325 9.1), else the older header, if the peer is said to use that.
    """
    if not source.trusted:
        return []
    said = privacy.values(message, "P-Asserted-Identity") or _older(message, source)
    found = (shown.uri.number for value in said if (shown := privacy.read(value)) is not None)
    return [user for user in found if user]


WAYS = ("P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info")
"""Where somebody may stand who is, or was, in a call."""
_USER = re.compile(r"\b(?:sips?|tel):([^\s<>\"@?,:;]+)", re.IGNORECASE)


def named(message: Message, source: Peer, headers: Iterable[str] = (*WAYS, "To")) -> list[str]:
    """The users of every URI in these headers, however they are written: what cannot be read as a whole may still name
    somebody of whom nothing may be kept. Of a stranger nothing is believed: he does not decide what is recorded.
    """
    return users(message, headers) if source.trusted else []


def users(message: Message, headers: Iterable[str]) -> list[str]:
    """The same, believed or not."""
    text = " ".join(value for name in headers for value in message.all(name))
    return list(dict.fromkeys(map(unescaped, _USER.findall(text))))


@functools.lru_cache(maxsize=512)
def plan_of(
    into: In, across: Across, opened: tuple[str, ...], closed: tuple[str, ...], emergency: bool
) -> Plan:
    """What is done with which header, by its lower-case name; what is stripped is not in it."""
    listed, shut = _low(opened), _low(closed)
    plan: Plan = {}
    for rule in TABLE:
        does = rule.does(across)
        if rule.emergency and emergency:
            does = Does.COPY
        elif does is Does.LISTED and rule.name.lower() in listed:
            does = Does.ASSERT if rule.name in ADDRESSES and across is Across.OUT else Does.COPY
        if into in rule.messages and does in (Does.COPY, *MAKE):
            plan[rule.name.lower()] = (rule.name, does)
    asked = (name for name in opened if into in _CARRYING and name.lower() not in BY_KEY)
    plan |= {canonical(name): (name, Does.COPY) for name in asked if not is_never_copied(canonical(name))}
    return {key: what for key, what in plan.items() if key not in shut}


ADDRESSES = ("Diversion", "History-Info", "Referred-By")
"""Lists of addresses. Where one goes out because a peer lists it, it goes without the hosts of the inside."""
_CARRYING = frozenset({In.INVITE})  # what `carry` and `carry_headers` add goes with a new call


def name_of(name: str, does: Does) -> str:
    older = name == "Remote-Party-ID" and does in (Does.IDENTITY, Does.ASSERT)
    return "P-Asserted-Identity" if older else name


def _asserted(message: Message, name: str, border: Border) -> Iterable[str]:
    """Identities towards a peer that is not trusted: at our address, and only if it is to have them."""
    if name not in ADDRESSES and not border.target.send_identity:
        return
    values = _identity(message, name, border) if name == "Remote-Party-ID" else privacy.values(message, name)
    for value in values:
        yield privacy.at_our_address(value, border.ours) or ""


def _identity(message: Message, name: str, border: Border) -> Iterable[str]:
    """Remote-Party-ID as P-Asserted-Identity; where both stand, the younger one counts."""
    if message.get("P-Asserted-Identity"):
        return
    for value in _older(message, border.source):
        shown = privacy.read(value)
        if shown is not None:
            yield f"<{shown.uri}>" if not shown.display else str(type(shown)(shown.display, shown.uri))


def _older(message: Message, source: Peer) -> list[str]:
    if not source.remote_party_id:
        return []
    shown = ((value, privacy.read(value)) for value in privacy.values(message, "Remote-Party-ID"))
    return [
        value for value, one in shown if one and (one.param("party") or "calling") in ("calling", "called")
    ]


def _tokens(message: Message, name: str, border: Border) -> Iterable[str]:
    yield ";".join(privacy.tokens(message))


def _causes(message: Message, name: str, border: Border) -> Iterable[str]:
    return causes(message.all(name))


def _number(message: Message, name: str, border: Border) -> Iterable[str]:
    digits = (message.get(name) or "").partition(";")[0].partition("(")[0].strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= 9:
        yield digits


MAKE: dict[Does, Callable[[Message, str, Border], Iterable[str]]] = {
    Does.ASSERT: _asserted,
    Does.IDENTITY: _identity,
    Does.TOKENS: _tokens,
    Does.CAUSE: _causes,
    Does.NUMBER: _number,
}


def _low(names: Iterable[str]) -> frozenset[str]:
    return frozenset(canonical(name) for name in names)
