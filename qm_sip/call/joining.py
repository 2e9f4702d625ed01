"""An attended transfer that is carried out here: of two calls one is left, with whoever was not in the middle.

The call that is kept is the one in which something may be recorded, if there is one: its row, its customer, what he was
told. From the other the far leg is taken, and looked at like anybody who comes into a
call (`seat`, `who`). What was private, or must not be said, in either of the two stays so in what is left (I1, I5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qm_sip.call.media_plan import other
from qm_sip.call.seat import Leaving, Newcomer, called_now, renamed, take
from qm_sip.call.session import unrecordable
from qm_sip.call.states import State
from qm_sip.call.target import NotSent
from qm_sip.media.protocol import LegName
from qm_sip.policy.facts import LineKind
from qm_sip.sip.subscription import Subscription

if TYPE_CHECKING:
    from qm_sip.call.call import Call


def join(
    call: Call,
    leg: LegName,
    second: Call,
    at: LegName,
    accept: Callable[[], None],
    told: Subscription,
    now: float,
) -> None:
    """The REFER came on `leg` of `call`; its sender is also at `at` of `second`. Raises NotSent."""
    if second is call or not (_ready(call) and _ready(second)):
        raise NotSent(491)
    if call.way.peer_of(leg) != second.way.peer_of(at):
        raise NotSent(403)  # nobody lets others go but from calls of his own
    keep, here, give, there = call, leg, second, at
    if not call.relayed and second.relayed:
        keep, here, give, there = second, at, call, leg
    far = give.exchange.sessions[other(there)]
    if far.theirs is None or (
        keep.relayed and not _unused(give) and unrecordable(far.theirs, far.security, keep.exchange.voices)
    ):
        raise NotSent(488)
    accept()
    was = _move(keep, here, give, other(there), now)
    told.tell(200, now)
    middle = give.legs[there]
    Leaving(keep, here, was, now, lambda at: keep.only(here, at), told=told if keep is call else None)
    Leaving(give, there, middle, now, lambda at: None, told=None if keep is call else told)


def _move(keep: Call, here: LegName, give: Call, far: LegName, now: float) -> str:
    """The far leg of one call takes a place in the other. Gives the leg that had it."""
    names = give.who.known(far)
    socket = keep.exchange.sessions[here].socket
    session = renamed(give.exchange.sessions[far], here, socket)
    peer = give.way.peer_of(far)
    newcomer = Newcomer(
        give.legs[far],
        session,
        peer,
        give.config.peer(peer),
        called_now(give, far),
        names,
        "attended",
        unsaid=give.unsaid,
        private=_unused(give),
    )
    give.hand_over(far, now)
    return take(keep, newcomer, now)


def _ready(call: Call) -> bool:
    return call.state is State.TALKING and call.exchange.idle and not call.transfers.under_way


def _unused(call: Call) -> bool:
    """Nothing of it may be kept or heard, whoever is in it."""
    return call.unsaid or call.private.on or call.facts.kind in (LineKind.PRIVATE, LineKind.CONFIDENTIAL)
