"""Tracing, put together: the tap on the endpoint, the store behind it, and the collector that ended calls go to.

What looks and what keeps is sans-IO (`qm_sip/trace`); here is the second hand, and who is told of what.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from qm_sip.call.switchboard import Switchboard
from qm_sip.config import Config
from qm_sip.config.server import Hep
from qm_sip.control.tracing import own_hosts
from qm_sip.errors import StartError
from qm_sip.net.collector import Collector, collector_at
from qm_sip.net.endpoint import SipEndpoint
from qm_sip.policy.facts import CallId
from qm_sip.sip.events import Address
from qm_sip.trace.calls import BoardCalls
from qm_sip.trace.export import Exporter
from qm_sip.trace.store import Store
from qm_sip.trace.tap import Tap

log = logging.getLogger("qm_sip.trace")

TICK = 1.0
MIB = 1024 * 1024


class Tracer:
    """See the module's docstring."""

    def __init__(self, board: Switchboard, endpoint: SipEndpoint, config: Callable[[], Config]) -> None:
        self.tap: Tap | None = None
        self._board, self._endpoint, self._config = board, endpoint, config
        self._store = Store(0.0, 0)
        self._collector: Collector | None = None
        self._exporter: Exporter | None = None
        self._task: asyncio.Task[None] | None = None
        board.on_unsaid = self._unsaid

    async def start(self) -> None:
        self.configure()
        hep = self._config().server.hep
        if hep.collector is not None:
            host, port = hep.collector
            self._collector = collector_at(Address(host, port, hep.transport))
            self._exporter = self._exporter_of(hep)
            await self._collector.start()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._collector is not None:
            await self._collector.stop()
        self._store.clear()

    def configure(self) -> None:
        """As the settings are now: a change needs no restart."""
        settings = self._config().server.trace
        self._store.keep_for, self._store.keep_bytes = settings.keep_for.seconds, settings.keep_mib * MIB
        if not settings.on:
            self._store.clear()
            self.tap = None
        elif self.tap is None or self._endpoint.tap is None:
            self.tap = Tap(self._store, BoardCalls(self._board, self._config))
        self._endpoint.tap = self.tap

    def counts(self) -> Mapping[str, int]:
        """Strangers' messages, and what became of the export. Nothing of a call."""
        found = {"trace_strangers": self.tap.strangers if self.tap else 0}
        if self._exporter is not None:
            found |= {"hep_sent": self._exporter.sent, "hep_dropped": self._exporter.dropped}
        return found

    def _unsaid(self, call: CallId) -> None:
        if self.tap is not None:
            self.tap.hide(call)

    def _exporter_of(self, hep: Hep) -> Exporter:
        own = own_hosts(self._config())
        key, unredacted = _key_of(hep), hep.unredacted
        return Exporter(self._store, agent=hep.agent_id, key=key, own=own, unredacted=unredacted)

    async def _run(self) -> None:
        """Once a second: what has ended or changed, room, and the export, a message at a time."""
        while True:
            await asyncio.sleep(TICK)
            try:
                if self.tap is not None:
                    self.tap.sweep(time.time())
                await self._export()
            except Exception:
                log.exception("tracing failed, and goes on")

    async def _export(self) -> None:
        if self._exporter is None or self._collector is None:
            return
        for trace in self._exporter.due(time.time()):
            for _ in self._exporter.export(trace, self._collector):
                await asyncio.sleep(0)  # calls come first


def _key_of(hep: Hep) -> bytes:
    if hep.key_file is None:
        return b""
    try:
        return hep.key_file.read_text(encoding="utf-8").splitlines()[0].encode()
    except (OSError, IndexError, UnicodeDecodeError):
        raise StartError(
            f"cannot read the key file {hep.key_file} of [hep]", remedy="put the key on its first line"
        ) from None
