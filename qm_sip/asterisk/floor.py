"""Who is with whom in Asterisk: its channels and bridges, as it tells of them. A plain map.

    ours:    PJSIP/qm-sip-1   QM_LEG = Call-ID of a leg of ours       bridge 53e0..
    theirs:  PJSIP/1001-3     QM_PARENT = the same, CallerIDNum 1001  bridge 53e0..

A leg of ours is a channel that carries its Call-ID (`QM_LEG`, put there by the dialplan, added to every event by
`channelvars`). Its *company* is whoever else is in its bridge: one as a rule; nobody while it rings or waits in a
queue; more, when a third has come in. A Local channel is nobody: the company of its other half counts. A phone that
has two calls up and holds neither has made a conference of its own, which no bridge shows: its company is *shared*.

Every event carries all that is known of its channel, so one that was lost is made good by the next. Told twice, late
or in another order, the same events lead to the same map in the end; what is gone is not brought back by an event
that was late (`Uniqueid` is never used again).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from qm_sip.asterisk.message import Message
from qm_sip.call.pbx import Present
from qm_sip.private import Private

MOST: Final = 50_000  # channels, and of the dead as many
DEEP: Final = 4  # Local channels one behind the other
UNKNOWN: Final = frozenset({"", "<unknown>", "anonymous", "s"})


@dataclass(frozen=True)
class Channel:
    """One channel of Asterisk's."""

    id: str  # its Uniqueid
    name: str
    leg: str = ""  # the Call-ID of its own leg
    parent: str = ""  # that of our leg that it was called for
    number: str = ""
    with_: str = ""  # the number it is connected with
    up: bool = False
    bridge: str = ""
    holds: bool | None = None  # None: it began before we came

    @property
    def local(self) -> bool:
        return self.name.startswith("Local/")

    @property
    def names(self) -> tuple[str, ...]:
        """By what its phone is known: its number, and its name in pjsip.conf, which a withheld number does not hide."""
        endpoint = self.phone[0].rpartition("/")[2]
        return tuple(dict.fromkeys(name for name in (self.number, endpoint) if name))

    @property
    def phone(self) -> tuple[str, str]:
        """Whose channel it is: `PJSIP/1001` of `PJSIP/1001-00000003`, and the number. A trunk has many numbers."""
        return self.name.rpartition("-")[0], self.number


@dataclass(frozen=True)
class Company:
    """Who is with the leg that has this Call-ID. Empty: nobody."""

    leg: str
    presents: tuple[Present, ...]


class Floor:
    """See the module's docstring."""

    def __init__(self, ours: Callable[[str], bool]) -> None:
        self._ours = ours  # whether that Call-ID is of a leg of ours
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._told: dict[str, Company] = {}
        self._clear()

    def _clear(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._bridges: dict[str, set[str]] = {}
        self._legs: dict[str, str] = {}  # Call-ID -> Uniqueid
        self._names: dict[str, str] = {}
        self._phones: dict[tuple[str, str], set[str]] = {}
        self._touched: set[str] = set()  # channels whose legs may have other company now

    def __len__(self) -> int:
        return len(self._channels)

    # ---------------------------------------------------------------- what is asked of it

    def channel(self, id: str) -> Channel | None:
        return self._channels.get(id)

    def company(self, leg: str) -> Company | None:
        """Who is with that leg; None: Asterisk has not told of it."""
        ours = self._channels.get(self._legs.get(leg, ""))
        return None if ours is None else Company(leg, tuple(self._presents(ours)))

    def legs_with(self, id: str) -> list[str]:
        """The Call-IDs a channel has to do with: its own, those in its bridge, and of the leg it was called for."""
        channel = self._channels.get(id)
        if channel is None:
            return []
        others = [self._channels[other].leg for other in self._mates(channel)]
        return [leg for leg in dict.fromkeys([channel.leg, *others, channel.parent]) if leg]

    def bridged_legs(self, id: str) -> list[str]:
        """The Call-IDs of whoever is in its bridge with that channel."""
        channel = self._channels.get(id)
        mates = self._mates(channel) if channel is not None else []
        return [self._channels[mate].leg for mate in mates if self._channels[mate].leg]

    # ---------------------------------------------------------------- what it is told

    def around(self, messages: Iterable[Message]) -> list[Company]:
        """All channels there are now. Gives the company of every leg, also where it is as before."""
        told, self._told = set(self._told), {}
        self._clear()
        self._dead.clear()  # a restarted Asterisk may count from the beginning
        for message in messages:
            self._see(message, "", bridge=message.get("BridgeId"))
        self._touched |= set(self._channels)
        return [*self._changed(), *(Company(leg, ()) for leg in sorted(told - set(self._told)))]

    def told(self, message: Message) -> list[Company]:
        """Something happened. Gives the legs that have other company now."""
        match message.event:
            case "Hangup":
                self._gone(message.get("Uniqueid"))
            case "BridgeEnter":
                if swapped := message.get("SwapUniqueid"):
                    self._leave(swapped, message.get("BridgeUniqueid"))
                self._see(message, "", bridge=message.get("BridgeUniqueid"))
            case "BridgeLeave":
                self._see(message, "")
                self._leave(message.get("Uniqueid"), message.get("BridgeUniqueid"))
            case "BridgeDestroy":
                for id in list(self._bridges.get(message.get("BridgeUniqueid"), ())):
                    self._leave(id, message.get("BridgeUniqueid"))
            case "Hold" | "Unhold":
                self._see(message, "")
                self._change(message.get("Uniqueid"), holds=message.event == "Hold")
            case _:
                self._see(message, "")
                self._see(message, "Dest")
        return self._changed()

    # ---------------------------------------------------------------- channels

    def _see(self, message: Message, prefix: str, bridge: str | None = None) -> None:
        """Whatever an event says of a channel."""
        id, name = message.get(f"{prefix}Uniqueid"), message.get(f"{prefix}Channel")
        if not id or not name or id in self._dead:
            return
        known = self._channels.get(id)
        if known is None and len(self._channels) >= MOST:
            return
        variables = message.variables(prefix)
        new = replace(
            known or Channel(id, name, holds=None if bridge else False),
            name=name,
            number=_number(message.get(f"{prefix}CallerIDNum")),
            with_=_number(message.get(f"{prefix}ConnectedLineNum")),
            up=message.get(f"{prefix}ChannelState") == "6",
        )
        if variables.get("QM_LEG"):
            new = replace(new, leg=variables["QM_LEG"])
        if variables.get("QM_PARENT"):
            new = replace(new, parent=variables["QM_PARENT"])
        self._put(new)
        if bridge:
            self._enter(id, bridge)

    def _put(self, channel: Channel) -> None:
        before = self._channels.get(channel.id)
        if before == channel:
            return
        if before is not None:
            self._forget_names(before)
        self._channels[channel.id] = channel
        self._names[channel.name] = channel.id
        self._phones.setdefault(channel.phone, set()).add(channel.id)
        if channel.leg:
            self._legs[channel.leg] = channel.id
        self._touch(channel)

    def _change(self, id: str, **changes: object) -> None:
        channel = self._channels.get(id)
        if channel is not None:
            self._put(replace(channel, **changes))  # type: ignore[arg-type]

    def _forget_names(self, channel: Channel) -> None:
        if self._names.get(channel.name) == channel.id:
            del self._names[channel.name]
        mine = self._phones.get(channel.phone, set())
        mine.discard(channel.id)
        if not mine:
            self._phones.pop(channel.phone, None)
        if self._legs.get(channel.leg) == channel.id:
            del self._legs[channel.leg]

    def _gone(self, id: str) -> None:
        channel = self._channels.get(id)
        if id:
            self._dead[id] = None
            if len(self._dead) > MOST:
                self._dead.popitem(last=False)
        if channel is None:
            return
        if channel.bridge:
            self._leave(id, channel.bridge)
        self._touch(channel)
        self._forget_names(channel)
        del self._channels[id]
        self._told.pop(channel.leg, None)

    # ---------------------------------------------------------------- bridges

    def _enter(self, id: str, bridge: str) -> None:
        channel = self._channels[id]
        if channel.bridge == bridge:
            return
        if channel.bridge:
            self._leave(id, channel.bridge)
        self._bridges.setdefault(bridge, set()).add(id)
        self._change(id, bridge=bridge)

    def _leave(self, id: str, bridge: str) -> None:
        channel = self._channels.get(id)
        if channel is None or channel.bridge != bridge:
            return
        self._touch(channel)
        members = self._bridges.get(bridge, set())
        members.discard(id)
        if not members:
            self._bridges.pop(bridge, None)
        self._change(id, bridge="")

    def _mates(self, channel: Channel, deep: int = 0) -> list[str]:
        """Who else is in its bridge; through Local channels, who is behind them."""
        found: list[str] = []
        for id in sorted(self._bridges.get(channel.bridge, set()) - {channel.id}) if channel.bridge else ():
            other = self._channels[id]
            if not other.local:
                found.append(id)
            elif deep < DEEP and (half := self._other_half(other)) is not None:
                found += self._mates(half, deep + 1)
        return found

    def _other_half(self, channel: Channel) -> Channel | None:
        stem, _, half = channel.name.rpartition(";")
        return self._channels.get(self._names.get(f"{stem};{'2' if half == '1' else '1'}", ""))

    # ---------------------------------------------------------------- company

    def _presents(self, ours: Channel) -> Iterator[Present]:
        for id in self._mates(ours):
            channel = self._channels[id]
            shared = tuple(Private(other.with_) for other in self._also_up(channel))
            yield Present(id, tuple(map(Private, channel.names)), bool(channel.holds), shared)

    def _is_ours(self, channel: Channel) -> bool:
        return bool(channel.leg) and self._ours(channel.leg)

    def _also_up(self, channel: Channel) -> list[Channel]:
        """The other calls of that phone that it does not hold either. What leads to us is no phone."""
        if channel.holds or not channel.number or self._is_ours(channel):
            return []
        others = (self._channels[id] for id in sorted(self._phones[channel.phone]))
        return [o for o in others if o.id != channel.id and o.up and o.bridge and not o.holds]

    def _touch(self, channel: Channel) -> None:
        """Whoever is, or was, with it may have other company now; and whoever is with its phone's other calls."""
        self._touched.update([channel.id, *self._mates(channel)])
        if channel.number and not self._is_ours(channel):
            for id in self._phones.get(channel.phone, ()):
                self._touched.update(self._mates(self._channels[id]))

    def _changed(self) -> list[Company]:
        news = []
        touched, self._touched = self._touched, set()
        for id in sorted(touched):
            channel = self._channels.get(id)
            if channel is None or not channel.leg or not channel.up:
                continue
            company = Company(channel.leg, tuple(self._presents(channel)))
            if self._told.get(channel.leg) != company:
                self._told[channel.leg] = company
                news.append(company)
        return news


def _number(text: str) -> str:
    return "" if text in UNKNOWN else text
