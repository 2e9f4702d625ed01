"""The connection to Asterisk's manager: made again when it breaks, and never waited for by anybody.

What is read is handed on in pieces of `PIECE`, with a pause after each, so that a PBX that talks much takes no more
than its turn. Whatever goes wrong here ends the connection, is said once, and is tried again: after a second if the
connection had lasted, else after 2, 4 ... up to `MOST_WAIT` seconds, drawn a little differently each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from qm_sip.asterisk.manager import Account, Answer, Happening, Manager, nothing
from qm_sip.asterisk.message import AmiError, Fields

log = logging.getLogger("qm_sip.asterisk")

PIECE: Final = 32 * 1024  # bytes
CONNECT: Final = 5.0  # seconds
FIRST_WAIT, MOST_WAIT = 1.0, 30.0
LASTED: Final = 10.0  # seconds after which a connection was a good one
MOST_BUFFERED: Final = 1024 * 1024  # bytes that Asterisk does not take

Hear = Callable[[Happening, float], None]


@dataclass(frozen=True)
class Where:
    """Which manager, and how it is reached."""

    host: str
    port: int
    account: Account
    tls: ssl.SSLContext | None = None
    name: str = ""  # what its certificate must say; empty: the host


class AmiLink:
    """`hear` is told what happens, `changed` whether all that Asterisk can tell is known from now on."""

    def __init__(self, where: Where, hear: Hear, changed: Callable[[bool, float], None]) -> None:
        self._where, self._hear, self._changed = where, hear, changed
        self._manager: Manager | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.up = False
        self.lost = 0  # connections that broke, or could not be made
        self.trouble = "not connected yet"

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def ask(self, fields: Fields, answer: Answer = nothing) -> bool:
        """Have Asterisk do something. False: it cannot be told now."""
        if self._manager is None or not self._manager.ask(fields, answer):
            return False
        self._flush()
        return True

    async def _run(self) -> None:
        wait = FIRST_WAIT
        while True:
            began = time.monotonic()
            try:
                await self._connection()
            except (OSError, TimeoutError, AmiError) as error:
                self._is_gone(_said(error))
            except Exception:
                log.exception("what Asterisk told could not be understood; connecting anew")
                self._is_gone("an error of ours")
            wait = FIRST_WAIT if time.monotonic() - began > LASTED else min(wait * 2, MOST_WAIT)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    async def _connection(self) -> None:
        where = self._where
        opening = asyncio.open_connection(
            where.host,
            where.port,
            ssl=where.tls,
            server_hostname=(where.name or where.host) if where.tls else None,
        )
        reader, writer = await asyncio.wait_for(opening, CONNECT)
        self._writer = writer
        self._manager = Manager(where.account, time.monotonic())
        try:
            while True:
                await self._step(reader, self._manager)
        finally:
            self._manager = self._writer = None
            writer.close()

    async def _step(self, reader: asyncio.StreamReader, manager: Manager) -> None:
        """What comes next, or what is due."""
        patience = max(0.01, manager.next_timer() - time.monotonic())
        data = None
        with contextlib.suppress(TimeoutError):
            data = await asyncio.wait_for(reader.read(PIECE), patience)
        if data == b"":
            raise AmiError("Asterisk's manager has closed the connection")
        now = time.monotonic()
        for happening in manager.receive(data or b"", now):
            self._hear(happening, now)
        manager.advance(now)
        self._flush()
        if manager.up and not self.up:
            self._is_up(now)
        await asyncio.sleep(0)

    def _flush(self) -> None:
        if self._manager is None or self._writer is None:
            return
        if data := self._manager.take():
            self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MOST_BUFFERED:
            raise AmiError("Asterisk's manager takes nothing any more")

    def _is_up(self, now: float) -> None:
        self.up, self.trouble = True, ""
        log.info("Asterisk's manager is heard")
        self._changed(True, now)

    def _is_gone(self, why: str) -> None:
        self.lost += 1
        if self.up or why != self.trouble:
            log.warning("Asterisk's manager is not heard: %s; trying again", why)
        self.up, self.trouble = False, why
        self._changed(False, time.monotonic())


def _said(error: Exception) -> str:
    """Without addresses: what the system says of a connection names them."""
    if isinstance(error, AmiError):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'failed'}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.partition(":")[0] if error.errno is None else _plain(error)
    return "no answer" if isinstance(error, TimeoutError) else type(error).__name__


def _plain(error: OSError) -> str:
    return "nobody listens there" if isinstance(error, ConnectionRefusedError) else type(error).__name__
