"""The site that the cases are about (tests/cases/site), changed as a case says, and calls in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qm_sip.config import Config, Trigger, load
from qm_sip.config.index import build_index
from qm_sip.config.reading import _frozen_lists
from qm_sip.policy.facts import CallFacts, CallId, Direction, How, Offered, Told, Use
from qm_sip.policy.identify import read_facts
from qm_sip.private import Private

CASES = Path(__file__).parent.parent / "cases"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CUSTOMER = "+31612345678"


@cache
def site() -> Config:
    return load(CASES / "site", {})


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """The same settings with some values replaced, past the checks: what a slip there would still have to
    survive.
    """
    for path, value in changes.items():
        head, *rest = path.split("/")
        config = replace(config, **{head: _changed(getattr(config, head), rest, value)})
    return replace(config, index=build_index(config.lines, config.people, lambda *_: None))


def _changed(thing: Any, path: list[str], value: Any) -> Any:
    if not path:
        return {"nothing": None}.get(value, value) if isinstance(value, str) else _tuple(value)
    head, *rest = path
    if isinstance(thing, Mapping):
        if not rest and value == "absent":
            return MappingProxyType({key: inner for key, inner in thing.items() if key != head})
        return MappingProxyType({**thing, head: _changed(thing.get(head), rest, value)})
    return thing.model_copy(update={head: _changed(getattr(thing, head), rest, value)})


def _tuple(value: Any) -> Any:
    """A list of tables is a list of triggers."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return tuple(_trigger(one) for one in value)
    return tuple(value) if isinstance(value, list) else value


def _trigger(raw: dict[str, Any]) -> Trigger:
    return Trigger.model_validate(_frozen_lists(raw))


def offered(
    called: str = "1001",
    caller: str = CUSTOMER,
    *,
    queue: str = "",
    peer: str = "asterisk",
    direction: Direction | None = Direction.INBOUND,
    diverted_from: tuple[str, ...] = (),
    language: str = "",
    topic: str = "",
    private: bool = False,
) -> Offered:
    headers = {"x-qm-line": queue, "x-qm-language": language, "x-qm-topic": topic}
    return Offered(
        peer,
        direction,
        Private(called),
        Private(caller),
        tuple(map(Private, diverted_from)),
        {name: value for name, value in headers.items() if value},
        private=private,
    )


def facts(config: Config | None = None, when: datetime = NOON, **call: Any) -> CallFacts:
    return read_facts(config or site(), offered(**call), CallId("c1"), when)


def told(
    identity: str = "Voorbeeld Energie",
    uses: tuple[str, ...] = ("record",),
    purposes: tuple[str, ...] = ("coaching",),
) -> Told:
    return Told(
        identity, frozenset(map(Use, uses)), frozenset(purposes), "nl", How.PROMPT, None, 1.0, 9.0, 400
    )


def with_told(call: CallFacts, *heard: Told) -> CallFacts:
    """Every outside party heard this to its end."""
    parties = (replace(party, told=heard) if party.outside else party for party in call.parties)
    return replace(call, parties=tuple(parties))
