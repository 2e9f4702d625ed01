"""What a call lights: a pure function of what is, never of what somebody asked for.

| lamp | lit while |
|---|---|
| private | the call is private, by the agent's wish (once the engine has let go of it) or by its number |
| recording | a tap is open and keeps what is said; not during a hold, a pause, the notice, or before the first sample |
| heard | the engine lets somebody hear; through a hold as well, for he goes on hearing after it by himself |

They are the lamps of our people in it: of the agent; of a private call, of everybody of ours. A call of which nothing
may be known (confidential, emergency: I8) lights nothing, nor does one that has ended. A private call is neither
recorded nor heard whatever else is said of it. Nothing but lit or not is told, and by it private, objected to,
confidential, on hold and idle all look the same to whoever sees the recording lamp alone (people.md 4D).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.policy.facts import LineKind, Party, PersonId, Role

if TYPE_CHECKING:
    from qm_sip.call.call import Call

NOT_SHOWN = frozenset({LineKind.CONFIDENTIAL, LineKind.EMERGENCY})


class Shown(NamedTuple):
    """A call, as far as lamps go."""

    kind: LineKind
    parties: tuple[Party, ...]
    unsaid: bool  # nothing may be known of it
    ended: bool
    kept: bool  # what is said now is written down
    heard: bool  # somebody hears it now


def as_it_is(call: Call) -> Shown:
    """What is so of a call now. That it is recorded, its book and the engine must both say."""
    kept = call.recording is not None and call.recording.kept and call.book.indication == "on"
    heard = call.may_be_used and any(one.hearing for one in call.listeners.values())
    return Shown(call.facts.kind, call.facts.parties, call.unsaid, call.book.ended, kept, heard)


def lit(shown: Shown) -> frozenset[Lamp]:
    """Which lamps it lights."""
    if shown.unsaid or shown.ended or shown.kind in NOT_SHOWN:
        return frozenset()
    if shown.kind is LineKind.PRIVATE:
        return frozenset(Lamp(Kind.PRIVATE, person) for person in _ours(shown))
    kinds = [kind for kind, on in ((Kind.RECORDING, shown.kept), (Kind.HEARD, shown.heard)) if on]
    agents = [party.person for party in shown.parties if party.role is Role.AGENT and _is_here(party)]
    return frozenset(Lamp(kind, person) for kind in kinds for person in agents if person)


def _ours(shown: Shown) -> Iterator[PersonId]:
    for party in shown.parties:
        if party.person and _is_here(party):
            yield party.person


def _is_here(party: Party) -> bool:
    return not party.outside and party.left is None
