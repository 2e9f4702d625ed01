"""Lamps as device states of Asterisk's: `Custom:priv-1001`, `Custom:rec-1001`, `Custom:lis-1001`.

What is lit is worked out in `qm_sip/lamps`, once, for phones that subscribe here and for those that subscribe to a hint
of Asterisk's. Asterisk keeps a device state over its own restart and over ours: a lamp would go on saying what was. So
each is told anew at every connection and when Asterisk has booted, and dark when we stop. What is on the way is never
more than a few, so that a thousand lamps do not stand in a queue before a ping.

Who sees a device state is up to Asterisk's hints (`subscribe_context`); the snippets give each agent a context of his
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.message import Fields
from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.policy.facts import PersonId

if TYPE_CHECKING:
    from qm_sip.config import Config

DEVICES: Final = {Kind.PRIVATE: "priv", Kind.RECORDING: "rec", Kind.HEARD: "lis"}
LIT, DARK = "INUSE", "NOT_INUSE"
AT_ONCE: Final = 50


def device(kind: Kind, extension: str) -> str:
    """The device that is that lamp at that extension."""
    return f"Custom:{DEVICES[kind]}-{extension}"


def devices(config: Config) -> Iterator[tuple[Lamp, str]]:
    """Every lamp that there is, at every extension of its agent. Nobody whose calls nothing may be known of has one."""
    kinds = [Kind(kind) for kind in config.server.asterisk.lamps]
    for person, agent in config.people.agent.items():
        for extension in agent.extensions if not agent.confidential else ():
            for kind in kinds:
                yield Lamp(kind, PersonId(person)), device(kind, extension)


class DeviceLamps:
    """What Asterisk has been told of each."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._seen: tuple[object, frozenset[Lamp]] | None = None  # settings and lamps, when all had been told

    def forget(self) -> None:
        """Nobody knows what Asterisk shows: tell all of them."""
        self._told, self._seen = dict.fromkeys(self._told, ""), None

    def due(self, config: Config, lit: frozenset[Lamp]) -> list[tuple[str, str]]:
        """Devices and their states, of which Asterisk must be told now; `told` when it has been."""
        if self._seen is not None and self._seen[0] is config and self._seen[1] == lit:
            return []
        wanted = dict.fromkeys(self._told, DARK)  # also of those who have gone
        wanted |= {name: LIT if lamp in lit else DARK for lamp, name in devices(config)}
        found = [(name, state) for name, state in wanted.items() if self._told.get(name) != state]
        if not found:
            self._seen = (config, lit)
        return found[:AT_ONCE]

    def told(self, name: str, state: str) -> None:
        """Asterisk has been asked to show it."""
        self._told[name] = state


def setting(name: str, state: str) -> Fields:
    """The action that sets a device state."""
    return [("Action", "Setvar"), ("Variable", f"DEVICE_STATE({name})"), ("Value", state)]
