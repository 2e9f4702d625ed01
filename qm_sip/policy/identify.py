"""From what SIP showed to the facts of a call: which line, which kind, who is who.

The most specific rule names the line: the queue header, then a whole number, a range, a prefix, the trunk. A
call is customer-facing only if a rule says so (KSF15-1.3b), and never if the other side is one of our own
people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from qm_sip.config.lines import Customer, Line
from qm_sip.config.numbers import normal
from qm_sip.config.registry import day_of
from qm_sip.policy import reasons
from qm_sip.policy.draw import Seed
from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    Direction,
    LineKind,
    Lot,
    Offered,
    Party,
    Reason,
    Role,
)
from qm_sip.private import Private
from qm_sip.privateline.match import match_numbers

if TYPE_CHECKING:
    from qm_sip.config import Config

UNNAMED = "default"  # the line of a call that no rule names, and of one that must not be named


class Identified(NamedTuple):
    """What a new call is, and what became of an agent's wish that it be private."""

    facts: CallFacts
    wished_by: Party | None = (
        None  # who set it beforehand; with his device, which the facts of a private call lack
    )
    refused: Reason | None = None  # private was asked for and cannot be: PRIVATE_REFUSED is spoken as A7


def nobody(party: Party) -> bool:
    """No call was set to be private beforehand."""
    return False


def identify(
    config: Config,
    offered: Offered,
    call: CallId,
    now: datetime,
    *,
    wants_private: Callable[[Party], bool] = nobody,
    seed: Seed | None = None,
) -> Identified:
    """Say what a new call is; the one question the switchboard asks. `now` in UTC.

    `wants_private` says of one of our people whether he set his calls to be private beforehand; it is asked only where
    that would matter, and uses nothing up. `seed`: that of today, to draw samples by.
    """
    facts = read_facts(config, offered, call, now, seed=seed)
    if facts.kind not in (LineKind.CUSTOMER_FACING, LineKind.UNLISTED):
        return Identified(facts)  # the lists beat any wish (rows 1, 2), or it is private already
    wished_by = next((party for party in facts.parties if not party.outside and wants_private(party)), None)
    if offered.private and not _may_dial_private(config, offered):
        return Identified(facts, refused=reasons.PRIVATE_NOT_OURS)
    if not offered.private and wished_by is None:
        return Identified(facts)
    if duty_forbids_private(config, facts):
        return Identified(facts, wished_by, reasons.PRIVATE_REFUSED)
    return Identified(private_from_the_start(facts), wished_by)


def duty_forbids_private(config: Config, facts: CallFacts) -> bool:
    """Say whether the law requires a recording of this call: with an outside party, on a line that says so (row 4)."""
    line = config.line(facts.line)
    duty = line is not None and bool(line.legal_duty)
    return duty and any(party.outside and party.left is None for party in facts.parties)


def private_from_the_start(facts: CallFacts) -> CallFacts:
    """Return the facts of a call its agent wants to be private: whom he speaks with, and on which line, is nobody's
    business (KSF15-3.9).
    """
    return replace(
        facts,
        kind=LineKind.PRIVATE,
        private_by_agent=True,
        line=UNNAMED,
        controller="",
        client=None,
        campaign=None,
        queue=None,
        duty=None,
        must_record=False,
        language=None,
        lot=None,
        headers=(),
        parties=tuple(_without_address(party) for party in facts.parties),
    )


def _may_dial_private(config: Config, offered: Offered) -> bool:
    peer = config.server.peers.get(offered.peer)
    return peer is not None and "toggle" in peer.may and _is_internal(config, offered.caller)


def read_facts(
    config: Config, offered: Offered, call: CallId, now: datetime, *, seed: Seed | None = None
) -> CallFacts:
    """Say what a new call is, but for what its agent wishes. `now` in UTC."""
    shown = (offered.called, offered.caller, *offered.also, *offered.diverted_from)
    never = match_numbers(config, shown, day_of(now))
    name, direction = _find_line(config, offered)
    line = config.line(name)
    kind = never.kind if never else line.kind if line else LineKind.UNLISTED
    if kind is LineKind.CUSTOMER_FACING and _is_internal(config, _theirs(offered, direction)):
        kind = LineKind.UNLISTED
    customer_facing = line is not None and kind is LineKind.CUSTOMER_FACING
    named = line if customer_facing else None
    headers = offered.headers if _trusted(config, offered) else {}
    unseen = kind in (LineKind.CONFIDENTIAL, LineKind.EMERGENCY)  # of such a call nothing is known (I8)
    return CallFacts(
        call=call,
        started=now,
        direction=direction,
        line=name if customer_facing else UNNAMED,
        kind=kind,
        controller=named.controller if named else "",
        client=(named.client or None) if named else None,
        campaign=(named.campaign or None) if named else None,
        queue=headers.get("x-qm-line") if named else None,
        duty=(named.legal_duty or None) if named else None,
        must_record=named.must_record if named else False,
        parties=() if unseen else _parties(config, offered, direction, kind),
        language=headers.get("x-qm-language") if named else None,
        regulation=config.versions.regulation,
        lines=config.versions.lines,
        people=config.versions.people,
        session_id=None if unseen else offered.headers.get("session-id"),
        linkedid=None if unseen else headers.get("x-qm-linkedid"),
        lot=_lot(named, seed, call, name, now) if named else None,
        headers=tuple((key, headers[key]) for key in _asked_for(named) if key in headers) if named else (),
    )


def _lot(line: Line, seed: Seed | None, call: CallId, name: str, now: datetime) -> Lot | None:
    """Draw, on a line that samples; by the seed that was committed to for this day and no other."""
    drawing = line.capture == "sample" and seed is not None and seed.day == now.date()
    return seed.lot(call, name) if drawing and seed is not None else None


def _asked_for(line: Line) -> list[str]:
    """The headers that the line's triggers ask for, and no others."""
    wanted = (trigger.header.name.lower() for trigger in line.trigger if trigger.header)
    return sorted(set(wanted)) if line.capture == "trigger" else []


def line_of(config: Config, facts: CallFacts) -> Customer:
    """Return the settings of the call's line; those every line inherits if no rule named it."""
    return config.line(facts.line) or config.lines.customer


def meet(config: Config, facts: CallFacts, who: Private[str], now: datetime) -> tuple[LineKind, Party]:
    """Say who a connected-line identity is, and which kind the call is with him in it.

    One of ours is the agent's side from now on; anybody else is a third, outside party, who has been told
    nothing.
    """
    never = match_numbers(config, (who,), day_of(now))
    ours = next((party.id for party in facts.parties if party.role is not Role.CUSTOMER), "callee")
    kind = never.kind if never else facts.kind
    if _is_internal(config, who):
        return kind, _inside(config, ours, Role.AGENT, who, known_by="header")
    return kind, Party(ours, Role.THIRD, outside=True, address=_form(config, who))


# --------------------------------------------------------------------------- which line


def _find_line(config: Config, offered: Offered) -> tuple[str, Direction]:
    queue = offered.headers.get("x-qm-line", "") if _trusted(config, offered) else ""
    name = config.index.queues.get(queue)
    line = config.line(name) if name else None
    if name and line:
        return name, line.match.direction or offered.direction or Direction.INBOUND
    direction = offered.direction or Direction.INBOUND
    return _by_number(config, offered, direction), direction


def _by_number(config: Config, offered: Offered, direction: Direction) -> str:
    index = config.index.by_direction[direction]
    for number in (_ours(offered, direction), *offered.diverted_from):
        found = index.numbers.find(normal(number.reveal(), config.lines.numbering))
        if found is not None:
            return found
    return index.trunks.get(offered.peer, UNNAMED)


def _trusted(config: Config, offered: Offered) -> bool:
    """Headers of a peer that is not trusted are not believed (an outsider must not choose his line)."""
    peer = config.server.peers.get(offered.peer)
    return peer is not None and peer.trusted


def _ours(offered: Offered, direction: Direction) -> Private[str]:
    return offered.called if direction is Direction.INBOUND else offered.caller


def _theirs(offered: Offered, direction: Direction) -> Private[str]:
    return offered.caller if direction is Direction.INBOUND else offered.called


# --------------------------------------------------------------------------- who


def _parties(config: Config, offered: Offered, direction: Direction, kind: LineKind) -> tuple[Party, ...]:
    """Name the two parties by their legs: caller and callee."""
    inbound = direction is Direction.INBOUND
    ids = ("caller", "callee") if inbound else ("callee", "caller")
    theirs, ours = _theirs(offered, direction), _ours(offered, direction)
    bare = kind is LineKind.PRIVATE  # whom an agent speaks with privately is nobody's business (KSF15-3.9)
    if _is_internal(config, theirs):
        both = (
            _inside(config, ids[0], Role.COLLEAGUE, theirs),
            _inside(config, ids[1], Role.COLLEAGUE, ours),
        )
    else:
        address = None if bare else _form(config, theirs)
        both = (
            Party(ids[0], Role.CUSTOMER, True, address=address),
            _inside(config, ids[1], Role.AGENT, ours),
        )
    return tuple(_without_address(party) if bare else party for party in both)


def _inside(config: Config, id: str, role: Role, number: Private[str], known_by: str = "static") -> Party:
    """One of our own people: the person whom the device always belongs to, if that is known (WP-23)."""
    form = _form(config, number)
    person = config.index.persons.get(form.reveal())
    device = form.reveal() if person else None
    return Party(id, role, False, person, device, known_by if person else None, address=form)


def _without_address(party: Party) -> Party:
    return Party(party.id, party.role, party.outside, party.person, None, party.known_by)


def _is_internal(config: Config, number: Private[str]) -> bool:
    return config.index.internal.find(_form(config, number).reveal()) is not None


def _form(config: Config, number: Private[str]) -> Private[str]:
    return Private(normal(number.reveal(), config.lines.numbering))
