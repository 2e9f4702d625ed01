"""The same check by the manager: what a running Asterisk shows, whatever its files say.

It sees a dialplan and queues that stand in a database, AEL or Lua; who listens now; and lamps that say what is no more.
It needs what qm_sip's own user may: `read=call,...`, `write=call,reporting`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.check.dialplan import told_steps
from qm_sip.asterisk.check.fault import Fault, Where
from qm_sip.asterisk.check.rules import faults
from qm_sip.asterisk.check.site import USUAL, Member, Site
from qm_sip.asterisk.lamps import LIT, devices
from qm_sip.asterisk.manager import Around, Manager
from qm_sip.asterisk.message import AmiError, Fields, Message
from qm_sip.errors import StartError

if TYPE_CHECKING:
    from qm_sip.config import Config
    from qm_sip.net.ami import Where as Place

PATIENCE: Final = 10.0  # seconds for each question
BACK: Final = frozenset({"from-qmsip", "from-carrier"})  # as the snippets name them
LISTENERS: Final = ("Snoop/",)
LISTENING: Final = ("ChanSpy", "ExtenSpy", "MixMonitor", "Record", "AudioSocket", "Stasis")


class Asked:
    """One connection, one question at a time. Raises StartError where Asterisk does not answer."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.channels: tuple[Message, ...] = ()

    def __enter__(self) -> Asked:
        place = self._place
        try:
            plain = socket.create_connection((place.host, place.port), PATIENCE)
            name = place.name or place.host
            self._socket = place.tls.wrap_socket(plain, server_hostname=name) if place.tls else plain
            self._manager = Manager(place.account, time.monotonic())
            self._until(lambda: self._manager.up)
        except (OSError, AmiError) as error:
            raise StartError(
                f"cannot ask Asterisk's manager: {error}", remedy="[asterisk], manager.conf"
            ) from None
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def ask(self, fields: Fields) -> list[Message]:
        """Everything that is answered."""
        found: list[Message] = []

        def over() -> bool:
            last = found[-1] if found else None
            listed = last.get("EventList").lower() if last else ""
            return last is not None and (
                listed == "complete" or (bool(last.get("Response")) and listed != "start")
            )

        self._manager.ask(fields, found.append)
        self._until(over)
        return found

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            if data := self._manager.take():
                self._socket.sendall(data)
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            received = self._socket.recv(65536)
            if not received or time.monotonic() > end:
                raise AmiError("no answer")
            now = time.monotonic()
            for happening in self._manager.receive(received, now):
                if isinstance(happening, Around):
                    self.channels = happening.channels
            self._manager.advance(now)


def look(config: Config, place: Place, *, serving: bool) -> list[Fault]:
    """All that can be seen. `serving`: our server runs, so that lamps may be lit. Raises StartError."""
    try:
        with Asked(place) as asked:
            steps = tuple(told_steps(asked.ask([("Action", "ShowDialPlan")])))
            members = tuple(_members(asked.ask([("Action", "QueueStatus")])))
            site = Site(ours=USUAL, back=BACK, steps=steps, members=members)
            lamps = [] if serving else list(_stale(config, asked))
            return [*faults(config, site), *_listeners(asked.channels), *lamps]
    except (OSError, AmiError) as error:
        raise StartError(f"Asterisk's manager stopped answering: {error}") from None


def _members(messages: list[Message]) -> Iterator[Member]:
    for message in messages:
        if message.event == "QueueMember":
            interface = message.get("Location") or message.get("Interface")
            state = message.get("StateInterface")
            queue = message.get("Queue")
            own = "" if state == interface else state
            yield Member(queue, interface, own, Where(f"queue show {queue}"))


def _listeners(channels: tuple[Message, ...]) -> Iterator[Fault]:
    for message in channels:
        name, app = message.get("Channel"), message.get("Application")
        if name.startswith(LISTENERS) or app in LISTENING:
            what = app if app in LISTENING else "a snoop"
            yield Fault(
                Where("core show channels"),
                f"{what} runs now, on a channel",
                "see whose it is, and end it: core show channels",
            )


def _stale(config: Config, asked: Asked) -> Iterator[Fault]:
    for _, name in devices(config):
        (answer,) = asked.ask([("Action", "Getvar"), ("Variable", f"DEVICE_STATE({name})")])
        if answer.get("Value") == LIT:
            problem = f"the lamp {name} is lit, and our server does not run"
            yield Fault(
                Where(f"devstate list: {name}"), problem, "start qm-sip serve: it tells every lamp anew"
            )
