"""Phones that watch lamps: liblinphone with a stack of its own (belle-sip), in a process of its own.

    phone = Phone(server, "1001", ["private-1001"]);  phone.shows("private-1001", True)

Run as a program it is that process: settings as JSON are its argument, a line of JSON tells each thing that happens,
and a line on its input ends its subscriptions.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
from types import TracebackType
from typing import Any, ClassVar

LIBRARY = "liblinphone.so.10"
STATES = ("none", "out", "in", "pending", "active", "terminated", "error", "expiring")
WAIT = 8.0


class Phone:
    """The process, from outside."""

    def __init__(self, server: str, user: str, lamps: list[str], *, password: str = "", over: str = "tcp",
                 expires: int = 60) -> None:  # fmt: skip
        self.happened: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._home = tempfile.TemporaryDirectory(prefix="qm_sip-linphone-")
        settings = {"server": server, "user": user, "password": password, "lamps": lamps, "over": over}
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps({**settings, "expires": expires})],
            env={**os.environ, "HOME": self._home.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"{"):
                with self._news:
                    self.happened.append(json.loads(line))
                    self._news.notify_all()

    def __enter__(self) -> Phone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(5)
        self._reader.join(5)
        self._home.cleanup()

    def goes(self) -> None:
        """It ends its subscriptions."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def bodies(self, lamp: str) -> list[str]:
        """Every document it got for a lamp."""
        with self._news:
            return [
                one["body"] for one in self.happened if one["happened"] == "notified" and one["lamp"] == lamp
            ]

    def lit(self, lamp: str) -> list[bool]:
        return ["<state>confirmed</state>" in body for body in self.bodies(lamp) if body]

    def versions(self, lamp: str) -> list[int]:
        return [int(found[1]) for body in self.bodies(lamp) if (found := re.search(r'version="(\d+)"', body))]

    def shows(self, lamp: str, lit: bool, within: float = WAIT) -> None:
        """The lamp comes to show that."""
        self._wait(lambda: bool(self.lit(lamp)) and self.lit(lamp)[-1] == lit, f"{lamp} {lit}", within)

    def hears(self, happened: str, lamp: str, within: float = WAIT) -> None:
        """That subscription comes into that state."""
        wanted = {"happened": happened, "lamp": lamp}
        self._wait(lambda: wanted in self.happened, f"{lamp} {happened}", within)

    def _wait(self, wanted: Any, what: str, within: float) -> None:
        until = time.monotonic() + within
        while not wanted():
            with self._news:
                left = until - time.monotonic()
                assert left > 0, f"no {what} within {within} s: {self.happened}"
                self._news.wait(min(left, 0.2))


# --------------------------------------------------------------------------- the process itself

Pointer, Text, Int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
NOTIFIED = ctypes.CFUNCTYPE(None, Pointer, Pointer, Text, Pointer)
CHANGED = ctypes.CFUNCTYPE(None, Pointer, Pointer, Int)


class Transports(ctypes.Structure):
    _fields_: ClassVar = [("udp", Int), ("tcp", Int), ("dtls", Int), ("tls", Int)]


class Inside:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings, self.library = settings, ctypes.CDLL(LIBRARY)
        self.names: dict[int, str] = {}
        self.core = self._core()
        self.events = [self._watch(lamp) for lamp in settings["lamps"]]

    def ask(self, name: str, *arguments: Any, gives: Any = Pointer) -> Any:
        function = getattr(self.library, f"linphone_{name}")
        function.restype = gives
        return function(*arguments)

    def _core(self) -> Any:
        factory = Pointer(self.ask("factory_get"))
        core = Pointer(self.ask("factory_create_core_3", factory, None, None, None))
        config = Pointer(self.ask("core_get_config", core))
        self.ask("config_set_int", config, b"sip", b"guess_hostname", 0, gives=None)
        ports = Transports(0, -1, 0, 0) if self.settings["over"] == "tcp" else Transports(-1, 0, 0, 0)
        self.ask("core_set_sip_transports", core, ctypes.byref(ports), gives=Int)
        self.ask("core_enable_ipv6", core, 0, gives=None)
        user = self.settings["user"]
        login = self.ask(
            "auth_info_new", user.encode(), None, self.settings["password"].encode(), None, None, None
        )
        self.ask("core_add_auth_info", core, Pointer(login), gives=None)
        self.ask("core_set_primary_contact", core, f"sip:{user}@127.0.0.1".encode(), gives=Int)
        callbacks = Pointer(self.ask("factory_create_core_cbs", factory))
        self._kept = NOTIFIED(self._notified), CHANGED(self._changed)
        self.ask("core_cbs_set_notify_received", callbacks, self._kept[0], gives=None)
        self.ask("core_cbs_set_subscription_state_changed", callbacks, self._kept[1], gives=None)
        self.ask("core_add_callbacks", core, callbacks, gives=None)
        self.ask("core_start", core, gives=Int)
        return core

    def _watch(self, lamp: str) -> int:
        over = ";transport=tcp" if self.settings["over"] == "tcp" else ""
        uri = f"sip:{lamp}@{self.settings['server']}{over}".encode()
        there = Pointer(self.ask("factory_create_address", Pointer(self.ask("factory_get")), uri))
        event = self.ask("core_create_subscribe", self.core, there, b"dialog", self.settings["expires"])
        self.names[event] = lamp
        self.ask(
            "event_add_custom_header", Pointer(event), b"Accept", b"application/dialog-info+xml", gives=None
        )
        self.ask("event_send_subscribe", Pointer(event), None, gives=Int)
        return int(event)

    def _notified(self, core: Any, event: Any, name: bytes, content: Any) -> None:
        text = self.ask("content_get_utf8_text", Pointer(content), gives=Text) if content else b""
        self._say("notified", event, package=name.decode(), body=(text or b"").decode())

    def _changed(self, core: Any, event: Any, state: int) -> None:
        self._say(STATES[state] if 0 <= state < len(STATES) else str(state), event)

    def _say(self, happened: str, event: int, **more: str) -> None:
        print(json.dumps({"happened": happened, "lamp": self.names.get(event, ""), **more}), flush=True)

    def run(self, seconds: float) -> None:
        """Until it is told to go."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.ask("core_iterate", self.core, gives=None)
            if select.select([sys.stdin], [], [], 0.02)[0]:
                sys.stdin.readline()
                return

    def end(self) -> None:
        for event in self.events:
            self.ask("event_terminate", Pointer(event), gives=None)


if __name__ == "__main__":
    inside = Inside(json.loads(sys.argv[1]))
    inside.run(120.0)
    inside.end()
    inside.run(30.0)
