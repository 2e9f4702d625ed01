"""Who is on the two legs of a call: connected lines (RFC 3325), another agent, another customer, a confidential person.

A change is seen late, some milliseconds before the new party's first audio; the engine's hold-back pays for that. Each
change is looked at before anything else in the message that brought it (I5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qm_sip.call.capture import agent_of
from qm_sip.call.states import State
from qm_sip.call.words import NoteParty
from qm_sip.config.numbers import normal
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import LineKind, Party, Role, SpanState
from qm_sip.private import Private
from qm_sip.privateline.toggle import why_not_private
from qm_sip.sip.message import Message, Response

if TYPE_CHECKING:
    from qm_sip.call.call import Call


MOST_ENDS = 16  # of one INVITE, whose names are kept while they ring


class Who:
    """See the module's docstring."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._seen: dict[LegName, str] = {}  # the connected line last heard on each leg
        self._named: dict[LegName, list[str]] = {}  # everybody who was named with it
        self._ringing: dict[
            str, Message
        ] = {}  # by the tag of an answering end: who it said it was before it answered

    def everybody(self) -> Iterator[Private[str]]:
        """All who have been named on either leg since it was answered, or are known there."""
        for names in (self._seen.values(), *self._named.values()):
            yield from map(Private, names)

    def asserted(self, leg: LegName, message: Message) -> None:
        """Whom the first message of that leg named: he is known already."""
        names = self._call.way.borders[leg].identities(message)
        if names:
            self._seen[leg] = names[0]

    def is_there(self, leg: LegName, message: Message, now: float) -> None:
        """A message that may name another party than before. Whoever else is named with him is looked up too: behind
        an identity that is known there may stand one of which nothing may be said.
        """
        call, border = self._call, self._call.way.borders[leg]
        named = border.named(message)
        if not named or named == self._named.get(leg) or call.unsaid or call.book.ended:
            return
        self._named[leg] = named
        names, before = border.identities(message), self._seen.get(leg)
        party = self._met([*names, *named], now)
        if party is None or not names or names[0] == before:
            return
        self._seen[leg] = names[0]
        if leg != call.customer:
            self._agent_is(party, now)
        elif call.recording and (before is not None or self._was_told_as_another(party)):
            call.recording.new_customer(leg, now)
            call.stop_telling(now)

    def rings(self, message: Response) -> None:
        """An end that is called says who it is before anybody has picked up there."""
        tag = message.to.tag or ""
        if len(self._ringing) < MOST_ENDS and self._call.way.borders["callee"].named(message):
            self._ringing[tag] = message

    def answers(self, message: Response, now: float) -> None:
        """It has answered: if it does not say who it is, what it said while it rang holds."""
        rang = self._ringing.get(message.to.tag or "", message)
        self._ringing.clear()
        silent = not self._call.way.borders["callee"].named(message)
        self.is_there("callee", rang if silent else message, now)

    def _met(self, names: Sequence[str], now: float) -> Party | None:
        """Who that is; None: with whom nothing may be kept, and that has been seen to (rows 1, 2 and 5)."""
        call = self._call
        met = [call.desk.identify(call.config, call.facts, Private(name)) for name in names]
        if any(one.confidential for one in met):
            call.become_confidential(now)
        elif any(one.private for one in met):
            call.become_private(now)
        else:
            return met[0].party
        return None

    def role_on(self, leg: LegName) -> Role | None:
        """What whoever is on that leg is in this call; of a private call that is nobody's business (KSF15-3.9)."""
        call = self._call
        if call.facts.kind is LineKind.PRIVATE:
            return None
        roles = [p.role for p in call.facts.parties if (p.role is Role.CUSTOMER) == (leg == call.customer)]
        return roles[-1] if roles else None

    def known(self, leg: LegName) -> list[str]:
        """By what whoever is on that leg is known: the connected line, else the number that called or was called."""
        if leg in self._seen:
            return [self._seen[leg]]
        party = next((p for p in self._call.facts.parties if p.id == leg and p.address), None)
        return [party.address.reveal()] if party is not None and party.address else []

    def will_be(self, names: Sequence[str], now: float) -> None:
        """Whoever is being called for a transfer: of some it must be known before their phone rings (I1)."""
        if not self._call.unsaid:
            self._met(names, now)

    def is_another(self, leg: LegName, names: Sequence[str], now: float) -> None:
        """Another leg has taken the place of this one. Whoever is on it, and even if it calls itself the same, nothing
        that was known of this side holds for it.
        """
        call = self._call
        if call.unsaid or call.book.ended:
            return
        self._seen.pop(leg, None)
        if names:
            self._seen[leg] = names[0]
        party = self._met(names or [""], now)
        if party is None:
            return
        if leg != call.customer:
            self._agent_is(party, now)
        elif call.recording:
            call.recording.new_customer(leg, now)
            call.stop_telling(now)

    def is_with(
        self, leg: LegName, names: Sequence[Private[str]], now: float, *, another: bool, believed: bool
    ) -> None:
        """The PBX says who is with that leg: the one SIP has named already, or `another` than it said before."""
        call, shown = self._call, [name.reveal() for name in names]
        if call.unsaid or call.book.ended or self._is_that(leg, shown):
            return
        if self._met(shown or [""], now) is None or call.facts.kind is LineKind.PRIVATE:
            return
        if leg == call.customer:
            if another:
                self._seen[leg] = next(iter(shown), "")
                self._another_customer(leg, now)
            return
        ours = next((name for name in shown if believed and self._is_ours(name)), None)
        if ours is None and not another:
            return
        self._seen[leg] = ours or ""
        self._agent_is(call.desk.identify(call.config, call.facts, Private(ours or "")).party, now)

    def _is_that(self, leg: LegName, names: Sequence[str]) -> bool:
        """Whether it is the agent whom the last message named, whichever form his number has. A customer's number may
        be that of many phones: he who comes after him is another.
        """
        plan = self._call.config.lines.numbering
        known = {normal(name, plan) for name in self.known(leg)}
        return leg != self._call.customer and any(normal(name, plan) in known for name in names)

    def _is_ours(self, name: str) -> bool:
        config = self._call.config
        return config.index.internal.find(normal(name, config.lines.numbering)) is not None

    def _another_customer(self, leg: LegName, now: float) -> None:
        if self._call.recording:
            self._call.recording.new_customer(leg, now)
            self._call.stop_telling(now)

    def _was_told_as_another(self, party: Party) -> bool:
        """Whether somebody else, known by his number alone, has been told or is being told now."""
        call = self._call
        known = next((p.address for p in call.facts.parties if p.role is Role.CUSTOMER), None)
        said = call.recording is not None and not call.recording.to_tell
        return said and (known is None or party.address is None or known.reveal() != party.address.reveal())

    def _agent_is(self, party: Party, now: float) -> None:
        call = self._call
        known = agent_of(call.facts)
        if known is not None and (party == known or (party.person and party.person == known.person)):
            return
        outside = tuple(p for p in call.facts.parties if p.outside and p.id != party.id)
        call.facts = replace(
            call.facts, parties=(*outside, party), requested=False
        )  # that was the other's wish
        call.book.note(NoteParty(call.id, party))
        if why_not_private(call.config, call.facts) is None and call.desk.takes_private(party):
            call.private.press(now, preset=True)
        for listening in list(call.listeners.values()):
            listening.agent_changed(now)
        if call.recording:
            connected = call.state is State.TALKING and call.recording.began
            call.recording.agent_is(party, now, talking=connected)

    def may_consult(self, who: Party, now: float) -> None:
        """One of our people begins another call. The agent here, who holds: he consults (WP-15)."""
        call, agent = self._call, agent_of(self._call.facts)
        same = agent is not None and agent.person is not None and agent.person == who.person
        if same and call.exchange.held and not call.unsaid:
            call.book.gap_is(SpanState.HOLD, now, "consult")
