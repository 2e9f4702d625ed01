"""A world (`tests/call/world.py`) with lamps, and phones whose keys show them."""

from __future__ import annotations

import random
from dataclasses import replace

from qm_sip.call.switchboard import Settings
from qm_sip.config.network import parse_peer_address
from qm_sip.doorway import rules_of
from qm_sip.lamps.board import Lamps
from qm_sip.lamps.glow import as_it_is, lit
from qm_sip.lamps.lamp import Lamp
from qm_sip.sip.admission import Doorkeeper
from qm_sip.sip.events import Address
from tests.call.world import QM, World
from tests.sip.subscriber import Shown, Subscriber

PROXY = Address("127.0.0.61", 5060)  # before the phones: trusted, says whose they are
FOREIGN = Address("127.0.0.62", 5060)  # a peer that may not watch


def with_watchers(using: Settings, **monitor: object) -> Settings:
    """The same settings, with two peers more; `monitor`: what is otherwise of m1, who may watch."""
    config = using.config
    peer = config.server.peers["asterisk"]
    added = {
        "proxy": peer.model_copy(update={"addresses": _at(PROXY), "may": ("watch",), "next_hop": None}),
        "foreign": peer.model_copy(update={"addresses": _at(FOREIGN), "may": ("carry",), "next_hop": None}),
    }
    server = config.server.model_copy(update={"peers": {**config.server.peers, **added}})
    coach = config.people.monitor["m1"].model_copy(update={"may": ("listen", "watch"), **monitor})
    people = config.people.model_copy(update={"monitor": {**config.people.monitor, "m1": coach}})
    return Settings(replace(config, server=server, people=people), using.library)


def _at(address: Address) -> tuple[object, ...]:
    return (parse_peer_address(address.host),)


def lighten(world: World) -> Lamps:
    """Give a world lamps, and a door that knows who comes."""
    use(world, with_watchers(world.settings))
    world.ua._porter = Doorkeeper(rules_of(world.config), random.Random(1), lambda incident, now: None)
    world.switchboard.onlooker = lamps = Lamps(world.switchboard, world.features.presets)
    world.features.presets.changed = lambda person: lamps.preset(person, world.now)
    return lamps


def use(world: World, settings: Settings) -> None:
    """A reload."""
    world.settings = world.switchboard.settings = settings
    if world.switchboard.onlooker is not None:
        assert isinstance(world.switchboard.onlooker, Lamps)
        world.switchboard.onlooker.reloaded(world.now)


def brute(world: World) -> frozenset[Lamp]:
    """What must be lit, worked out from nothing but what is."""
    return frozenset().union(*(lit(as_it_is(call)) for call in world.switchboard))


class Key(Subscriber):
    """A BLF key of the phone `device`: its subscription comes by the proxy, which says whose phone it is."""

    def __init__(self, world: World, lamp: str, device: str, by: Address = PROXY, port: int = 0) -> None:
        at = Address(by.host, 6000 + len(world.others) + port)
        super().__init__(at, QM, lamp, extra=(f"P-Asserted-Identity: <sip:{device}@127.0.0.1>",))
        self.world = world
        world.others[at] = self._hears
        self.subscribe(world.now)
        self._flush()
        world.run(0.1)

    @property
    def status(self) -> int:
        """What its last SUBSCRIBE was answered."""
        return self.answers[-1]

    @property
    def shows(self) -> list[bool | None]:
        """Every state it was told; None: a NOTIFY without one."""
        return [Shown.read(one.body).lit if one.body else None for one in self.notified]

    def again(self, expires: int | None = None) -> None:
        self.ask(self.world.now, expires)
        self._flush()
        self.world.run(0.1)

    def _hears(self, data: bytes) -> None:
        self.receive(data, QM, self.address, self.world.now)
        self._flush()

    def _flush(self) -> None:
        for sent in self.take_datagrams():
            self.world.ua.receive(sent.data, self.address, QM, self.world.now)
