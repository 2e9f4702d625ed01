"""Asterisk beside us, put together: the connection to its manager, the ear behind it, and the lamps it is told of.

What listens and what it means for a call is sans-IO (`qm_sip/asterisk`). Here is who holds the socket, what becomes of
calls while nothing is heard (`[asterisk] away`), and what `qm-sip status` says of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from qm_sip.asterisk.ear import Ear
from qm_sip.asterisk.lamps import DeviceLamps, setting
from qm_sip.asterisk.manager import Account, Booted, Happening
from qm_sip.asterisk.message import Message
from qm_sip.call.call import Call
from qm_sip.call.switchboard import Switchboard
from qm_sip.config import Config
from qm_sip.config.server import Asterisk
from qm_sip.errors import StartError
from qm_sip.lamps.lamp import Lamp
from qm_sip.net.ami import AmiLink, Where
from qm_sip.private import Private

log = logging.getLogger("qm_sip.asterisk")

LAMPS = 0.1  # seconds until a lamp is told
MOST_ROUNDS = 20  # of them at the end: Asterisk takes so many
SECRET = "QM_SIP_ASTERISK_SECRET"
UNKNOWN = (
    "not known meanwhile: who is in a call when SIP does not say it (three in a call, a phone's own conference, a hold"
    " that Asterisk keeps to itself, a colleague whose number is withheld), the agents' record key, and whether"
    " Asterisk itself records or lets somebody listen"
)


class Beside:
    """See the module's docstring."""

    def __init__(
        self,
        board: Switchboard,
        config: Callable[[], Config],
        after: Callable[[], None],
        lit: Callable[[], frozenset[Lamp]],
    ) -> None:
        self._board, self._config, self._after = board, config, after
        self.ear = Ear(board)
        self.link: AmiLink | None = None
        self.lamps, self._lit, self._refused = DeviceLamps(), lit, 0
        self._task: asyncio.Task[None] | None = None
        self._settings = Asterisk()
        self._where: Where | None = None
        board.on_call = self._begins

    # ---------------------------------------------------------------- running

    async def start(self) -> None:
        """Raises StartError if the settings name a file that cannot be read."""
        await self.use(self._config())
        self._task = asyncio.get_running_loop().create_task(self._keep_lamps())

    async def stop(self) -> None:
        """The lamps go out first: nobody will know how they stand."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _ in range(MOST_ROUNDS):
            if not self._show(frozenset()):
                break
            await asyncio.sleep(0)
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self.link is not None:
            await self.link.stop()
            self.link = None

    async def use(self, config: Config) -> None:
        """These settings, from now on. What cannot be read is an error, and then all is as it was."""
        settings = config.server.asterisk
        where = where_of(settings, os.environ)
        if where == self._where and settings == self._settings:
            return
        await self._disconnect()
        self._settings, self._where = settings, where
        if where is not None:
            self.link = AmiLink(where, self._hear, self._changed)
            await self.link.start()
        self._tell_all(self._board.now())

    def _hear(self, happening: Happening, now: float) -> None:
        if isinstance(happening, Booted):
            self.lamps.forget()
        self.ear.hear(happening, now)
        self._after()

    # ---------------------------------------------------------------- away

    @property
    def _keeps_nothing(self) -> bool:
        """Whether nothing may be kept now, for who is in a call is not known."""
        return self.link is not None and not self.link.up and self._settings.away == "not-recorded"

    def _begins(self, call: Call, now: float) -> None:
        if self._keeps_nothing:
            call.pbx.away(True, now)

    def _changed(self, up: bool, now: float) -> None:
        self.lamps.forget()
        self._tell_all(now)
        self._after()

    def _tell_all(self, now: float) -> None:
        self._board.advance(now)
        for call in list(self._board):
            call.pbx.away(self._keeps_nothing, now)

    # ---------------------------------------------------------------- lamps

    async def _keep_lamps(self) -> None:
        """What is lit, to Asterisk, soon after each change."""
        while True:
            await asyncio.sleep(LAMPS)
            try:
                self._show(self._lit())
            except Exception:
                log.exception("lamps could not be told, and will be")

    def _show(self, lit: frozenset[Lamp]) -> int:
        """Tell Asterisk what it does not know yet. Gives how many lamps that were."""
        link, told = self.link, 0
        if link is None or not link.up:
            return 0
        for name, state in self.lamps.due(self._config(), lit):
            if not link.ask(setting(name, state), self._answered):
                return told
            self.lamps.told(name, state)
            told += 1
        return told

    def _answered(self, answer: Message) -> None:
        if answer.get("Response") == "Error":
            if not self._refused:
                log.error("Asterisk shows no lamps: %s (write=call in manager.conf)", answer.get("Message"))
            self._refused += 1

    # ---------------------------------------------------------------- what is shown

    def status(self) -> str:
        """One line for `qm-sip status`."""
        if self.link is None:
            return "not asked ([asterisk] has no address)"
        if self.link.up:
            return "heard"
        kept = "nothing is kept or heard" if self._keeps_nothing else "recording goes on"
        return f"not heard: {self.link.trouble}; {kept}; {UNKNOWN}"

    def counts(self) -> Mapping[str, int]:
        """Since the start. Nothing of a confidential call."""
        if self.link is None:
            return {}
        known = ("late", "toggles", "toggles_ignored", "recorded_by_pbx", "heard_by_pbx")
        here = {"asterisk_lost": self.link.lost, "asterisk_lamps_refused": self._refused}
        return {**here, **{f"asterisk_{n}": self.ear.counts[n] for n in known}}


def where_of(settings: Asterisk, environ: Mapping[str, str]) -> Where | None:
    """Which manager; None: none is asked. Raises StartError."""
    if settings.address is None:
        return None
    account = Account(settings.user, Private(_secret(settings, environ)), plain=settings.tls)
    context = _trusting(settings.ca_file) if settings.tls else None
    return Where(*settings.address, account, context, settings.tls_name)


def _secret(settings: Asterisk, environ: Mapping[str, str]) -> str:
    if settings.secret_file is None:
        if secret := environ.get(SECRET, ""):
            return secret
        raise StartError("[asterisk] has no secret", remedy=f"asterisk.secret_file, or {SECRET}")
    try:
        return settings.secret_file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        raise StartError(
            f"cannot read the secret file {settings.secret_file} of [asterisk]",
            remedy="put the secret on its first line",
        ) from None


def _trusting(file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError):
        raise StartError(f"cannot read the certificates {file} of [asterisk]", remedy="a PEM file") from None
