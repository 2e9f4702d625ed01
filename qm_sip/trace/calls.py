"""What a Call-ID belongs to: asked of the user agent (which legs) and the switchboard (which call)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qm_sip.call import headers
from qm_sip.call.arrival import CallRefused, called_number, peer_of, read_offered
from qm_sip.config import Config
from qm_sip.config.registry import day_of
from qm_sip.lamps.lamp import named
from qm_sip.policy.facts import CallId, LineKind
from qm_sip.policy.identify import read_facts
from qm_sip.private import Private
from qm_sip.privateline.match import match_numbers
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request
from qm_sip.trace.tap import Belongs, Whose

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.switchboard import Switchboard

HIDDEN = Belongs(Whose.HIDDEN)
NOT_SHOWN = (LineKind.CONFIDENTIAL, LineKind.EMERGENCY, LineKind.PRIVATE)
BEFORE = ("Diversion", "History-Info", "Referred-By", "Refer-To")
NAMES = ("From", "To", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", *BEFORE)


class BoardCalls:
    """`tap.Calls` of a real switchboard."""

    def __init__(self, board: Switchboard, config: Callable[[], Config]) -> None:
        self._board, self._config = board, config

    def of(self, call_id: str) -> Belongs | None:
        if self._board.ua.is_watch(call_id):  # who watches a lamp, and when it changes, is nobody's business
            return HIDDEN
        found = None
        for leg in self._board.ua.legs_with(call_id):
            if self._board.serves(leg):
                return HIDDEN
            if (known := self._board.leg_of(leg)) is None:
                continue  # it is being refused
            call, name = known
            if call.unsaid:
                return HIDDEN._replace(call=call.id)
            found = Belongs(_whose(call), call.id, name)
        return found

    def state(self, call: str) -> Belongs | None:
        found = self._board.calls.get(CallId(call))
        return None if found is None else Belongs(_whose(found), call)

    def is_peer(self, source: Address) -> bool:
        return self._peer(source) is not None

    def _peer(self, source: Address) -> str | None:
        return peer_of(self._config(), source, self._board.identities(source))

    def may_show(self, invite: Request, source: Address) -> bool:
        config = self._config()
        peer = self._peer(source)
        try:
            called = called_number(invite)
            code = config.feature(called) or config.private_prefix(called) is not None or named(called)
            if peer is None or code:
                return False
            now = datetime.now(UTC)
            if match_numbers(config, map(Private, [called, *_users(invite)]), day_of(now)) is not None:
                return False
            offered = read_offered(invite, config, peer, config.route(peer, called), called)
            facts = read_facts(config, offered, CallId(""), now)
        except CallRefused:
            return False
        return facts.kind not in NOT_SHOWN


def _whose(call: Call) -> Whose:
    if call.unsaid:
        return Whose.HIDDEN
    private = call.private.on or call.facts.kind is LineKind.PRIVATE
    return Whose.PRIVATE if private else Whose.CALL


def _users(invite: Request) -> list[str]:
    """Everybody an INVITE names, believed or not."""
    return headers.users(invite, NAMES)
