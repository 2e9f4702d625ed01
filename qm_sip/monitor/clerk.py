"""Checks a supervisor's code and counts what has been listened to: both slow, so both are done in a thread.

Three wrong codes lock the account for a while (people.md 5C); that survives a restart, or a restart would be a way in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from qm_sip.config import Config
from qm_sip.monitor.room import Tell
from qm_sip.monitor.session import Checked
from qm_sip.policy.codes import code_fits
from qm_sip.policy.facts import PersonId
from qm_sip.policy.listening import Usage, usage_of
from qm_sip.recorder.catalog import Catalog

log = logging.getLogger(__name__)

LOCKED = timedelta(minutes=15)


class CatalogClerk:
    """See the module's docstring. `after` is called when a session has been told: what it said must leave."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Callable[[], Config],
        spawn: Callable[[object], None],
        after: Callable[[], None],
    ) -> None:
        self._catalog, self._settings, self._spawn, self._after = catalog, settings, spawn, after
        self._one_at_a_time = asyncio.Lock()  # or as many codes could be tried at once as there are threads

    def check(self, monitor: PersonId, code: str, agent: PersonId | None, tell: Tell) -> None:
        self._spawn(self._check(monitor, code, agent, tell))

    async def _check(self, monitor: PersonId, code: str, agent: PersonId | None, tell: Tell) -> None:
        try:
            async with self._one_at_a_time:
                found = await asyncio.to_thread(self._find_out, monitor, code, agent)
        except Exception as error:  # what cannot be found out means no (I4)
            log.error("a supervisor's code could not be checked: %s", type(error).__name__)
            found = Checked(code_fits=False, locked=True, usage=Usage())
        tell(found, time.monotonic())
        self._after()

    def last_private(self, person: PersonId, tell: Callable[[bool, float], None]) -> None:
        self._spawn(self._last_private(person, tell))

    async def _last_private(self, person: PersonId, tell: Callable[[bool, float], None]) -> None:
        try:
            proof = await asyncio.to_thread(self._catalog.last_private, person)
        except Exception as error:  # what cannot be found out is not said
            log.error("a private call could not be looked up: %s", type(error).__name__)
            proof = None
        whole = proof is not None and proof["private_since_ms"] == 0 and proof["private_path"] == "direct"
        tell(whole, time.monotonic())
        self._after()

    def _find_out(self, monitor: PersonId, code: str, agent: PersonId | None) -> Checked:
        now, config = datetime.now(UTC), self._settings()
        if self._catalog.locked(monitor, now) is not None:
            return Checked(code_fits=False, locked=True, usage=Usage())
        account = config.people.monitor.get(monitor)
        fits = account is not None and code_fits(code, account.code_hash)
        if fits:
            self._catalog.clear_tries(monitor).result()
        else:
            allowed = account.tries if account is not None else 1
            self._catalog.add_try(monitor, now + LOCKED, allowed=allowed).result()
        usage = usage_of(self._catalog.sessions(agent=agent), now) if agent else Usage()
        return Checked(fits, locked=False, usage=usage)
