"""What somebody dials instead of a number: the codes of lines.toml, and the right a peer needs for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qm_sip.config.lines import Lines
    from qm_sip.config.server import Right


class FeatureKind(StrEnum):
    NEXT_CALL = "next-call"  # the next call is private
    UNTIL_OFF = "until-off"  # every call is, until switched off
    OFF = "off"
    MENU = "menu"  # the proof of the last private call; who may listen
    MONITORING = "monitoring"  # to listen to an agent
    RECEIPT = "receipt"  # the announcement while the customer waits


RIGHTS: Mapping[FeatureKind, Right] = MappingProxyType(
    {
        FeatureKind.NEXT_CALL: "toggle",
        FeatureKind.UNTIL_OFF: "toggle",
        FeatureKind.OFF: "toggle",
        FeatureKind.MENU: "toggle",
        FeatureKind.MONITORING: "listen",
        FeatureKind.RECEIPT: "carry",
    }
)


@dataclass(frozen=True)
class Feature:
    """One code: what it is for."""

    code: str
    kind: FeatureKind

    @property
    def right(self) -> Right:
        """What a peer's `may` must hold to dial it."""
        return RIGHTS[self.kind]


def features(lines: Lines) -> Iterator[tuple[str, str, Feature]]:
    """Yield each code with the table and key that set it."""
    for table, key, kind in (
        ("private", "next_call", FeatureKind.NEXT_CALL),
        ("private", "until_off", FeatureKind.UNTIL_OFF),
        ("private", "off", FeatureKind.OFF),
        ("private", "menu", FeatureKind.MENU),
        ("monitoring", "code", FeatureKind.MONITORING),
        ("receipt", "user", FeatureKind.RECEIPT),
    ):
        yield table, key, Feature(getattr(getattr(lines, table), key), kind)
