"""All lamps of the switchboard: which are lit, and who is shown them. The event package `dialog` (RFC 4235).

The switchboard says which call may look different, at the end of each step in which something happened to it; what that
call lights is then worked out anew, and whoever watches a lamp that has changed is told in the same step. Nothing is
kept but which call lights what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from qm_sip.lamps.document import MEDIA_TYPE, dialog_info
from qm_sip.lamps.glow import as_it_is, lit
from qm_sip.lamps.lamp import Kind, Lamp, lamp_of, named
from qm_sip.lamps.rights import may_come, may_see, watcher_of
from qm_sip.policy.facts import CallId, PersonId
from qm_sip.sip.address import Uri
from qm_sip.sip.admission import Admitted
from qm_sip.sip.message import Request
from qm_sip.sip.publishing import Grant, WatchLimits

if TYPE_CHECKING:
    from qm_sip.call.call import Call
    from qm_sip.call.switchboard import Switchboard
    from qm_sip.config import Config
    from qm_sip.privateline.presets import Presets

NOTHING: Final[frozenset[Lamp]] = frozenset()


class Lamps:
    """See the module's docstring. It is the user agent's `Package` and the switchboard's `Onlooker`.

    What an agent has set for calls to come is asked of `Presets`; one that runs out by itself shows at the next word.
    """

    name: str = "dialog"
    media_type: str = MEDIA_TYPE

    def __init__(self, board: Switchboard, presets: Presets) -> None:
        self._board, self._presets = board, presets
        self._by_call: dict[CallId, frozenset[Lamp]] = {}
        self._calls: Counter[Lamp] = Counter()  # how many calls light each
        self.reloaded(board.now())

    @property
    def lit(self) -> frozenset[Lamp]:
        """Those that are lit now."""
        return frozenset(self._calls)

    @property
    def _config(self) -> Config:
        return self._board.settings.config

    # ---------------------------------------------------------------- what happens

    def look(self, call: Call, now: float) -> None:
        """That call may look different."""
        before = self._by_call.get(call.id, NOTHING)
        after = lit(as_it_is(call)) if call.id in self._board.calls else NOTHING
        if after == before:
            return
        if after:
            self._by_call[call.id] = after
        else:
            del self._by_call[call.id]
        for lamp in sorted(after ^ before):
            self._calls[lamp] += 1 if lamp in after else -1
            if not self._calls[lamp]:
                del self._calls[lamp]
            self._board.ua.looks_different(lamp, now)

    def preset(self, person: PersonId, now: float) -> None:
        """What this agent has set for calls to come may be another."""
        self._board.ua.looks_different(Lamp(Kind.PRESET, person), now)

    def reloaded(self, now: float) -> None:
        """Other settings are in force: who may see no more is told so, and nothing else."""
        self._board.ua.publish(self, limits_of(self._config))
        self._board.ua.review_watches(now)

    # ---------------------------------------------------------------- what is asked

    def welcomes(self, by: Admitted) -> bool:
        return may_come(self._config, by)

    def admits(self, request: Request, by: Admitted) -> Grant | int:
        """403 to whoever may not see it, and for what does not exist; 404 only for what is no lamp's name at all."""
        config, target = self._config, request.target
        device = watcher_of(config, request, by)
        if device is None:
            return 403
        name = named(target.number)
        if name is None:
            return 404
        lamp = lamp_of(config, name)
        if lamp is None or not may_see(config, device, lamp, self._board.wall().date()):
            return 403
        entity = str(Uri.sip(target.host, target.port, target.number))
        return Grant(lamp, f"{by.account} {device}", entity, (lamp, device, by))

    def state(self, grant: Grant) -> Hashable | None:
        lamp, device, by = grant.right
        config = self._config
        if not may_come(config, by) or not may_see(config, device, lamp, self._board.wall().date()):
            return None
        if lamp.kind is Kind.PRESET:
            return self._presets.active(lamp.person, None, self._board.wall()) is not None
        return lamp in self._calls

    def document(self, grant: Grant, state: Hashable, version: int) -> bytes:
        return dialog_info(grant.entity, version, lit=bool(state))


def limits_of(config: Config) -> WatchLimits:
    """As `[lamps]` says."""
    lamps = config.server.lamps
    return WatchLimits(
        most=lamps.most,
        of_a_source=lamps.of_a_source,
        of_a_watcher=lamps.of_a_watcher,
        longest=int(lamps.longest.seconds),
        shortest=int(lamps.shortest.seconds),
        gap=lamps.gap.seconds,
    )
