"""`Phone`: a softphone process as an object: `phone.call(...)`, `phone.wait_for("confirmed")`, ...

The phone itself runs in `qm_sip.demo.softphone`; here is only the pipe to it. Every wait has an end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from qm_sip.demo.namespace import HostNetwork, Network
from qm_sip.errors import QmSipError

Happening = dict[str, Any]


class PhoneError(QmSipError):
    """A phone did not do what it was told, or what was waited for did not happen in time."""


class Phone:
    """One phone on one address. `answer_after`: seconds it rings before it answers; None: it only rings.

    `on_event` is called with each happening, in the reading thread, for whoever wants to watch.
    """

    def __init__(
        self,
        user: str,
        address: str,
        *,
        output: Path,
        port: int = 5060,
        name: str = "",
        codec: str = "PCMA",
        answer_after: float | None = None,
        register: str | None = None,
        password: str = "",
        transport: str = "udp",
        tls: dict[str, str] | None = None,
        srtp: str = "",
        prack: bool = False,
        session_expires: int = 0,
        say: Path | None = None,
        network: Network | None = None,
        log_file: Path | None = None,
        on_event: Callable[[Phone, Happening], None] | None = None,
    ) -> None:
        self.user, self.address, self.port, self.output = user, address, port, output
        self.happened: list[Happening] = []
        self._on_event = on_event
        self._news = threading.Condition()
        output.mkdir(parents=True, exist_ok=True)
        settings = {
            "user": user,
            "address": address,
            "port": port,
            "name": name,
            "codec": codec,
            "output": str(output),
            "answer_after": answer_after,
            "register": register,
            "password": password,
            "transport": transport,
            "tls": tls,
            "srtp": srtp,
            "prack": prack,
            "session_expires": session_expires,
            "log_level": 5 if log_file else 0,
            "log_file": str(log_file or ""),
        }
        command = [sys.executable, "-m", "qm_sip.demo.softphone", json.dumps(settings)]
        self._errors = (output / f"{user}-{port}.stderr").open("wb")
        self._process = subprocess.Popen(
            (network or HostNetwork()).inside(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._reader = threading.Thread(target=self._read, name=f"phone-{user}", daemon=True)
        self._reader.start()
        self._wait_ready()
        if say is not None:
            self.say(say)

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@{self.address}:{self.port}"

    # ---- commands

    def call(self, uri: str, headers: Sequence[tuple[str, str]] = ()) -> int:
        """Call somebody; returns the number by which this phone knows the call."""
        return int(self._command("call", uri=uri, headers=list(headers))["call"])

    def answer(self, status: int = 200, *, call: int | None = None) -> None:
        self._command("answer", status=status, call=call)

    def hangup(self, *, status: int = 0, call: int | None = None) -> None:
        self._command("hangup", status=status, call=call)

    def hang_up_all(self) -> None:
        """End every call of this phone, in whatever state it is."""
        self._command("hangup_all")

    def say(self, wav: Path | None, *, loop: bool = True) -> None:
        """What this phone says in every coming call, from the first packet on. None: nothing."""
        self._command("say", path=None if wav is None else str(wav), loop=loop)

    def play(self, wav: Path, *, loop: bool = False, call: int | None = None) -> None:
        """Say something else from now on, in a call that is up."""
        self._command("play", path=str(wav), loop=loop, call=call)

    def dtmf(self, digits: str, *, call: int | None = None) -> None:
        """Press keys (RFC 4733)."""
        self._command("dtmf", digits=digits, call=call)

    def info(self, digits: str, *, call: int | None = None) -> None:
        """Press keys by INFO instead (RFC 6086's legacy use, `application/dtmf-relay`)."""
        self._command("info", digits=digits, call=call)

    def hold(self, *, call: int | None = None) -> None:
        self._command("hold", call=call)

    def unhold(self, *, call: int | None = None) -> None:
        self._command("unhold", call=call)

    def reoffer(self, codec: str, *, call: int | None = None) -> None:
        """Offer anew in a call that is up, with another codec alone."""
        self._command("reoffer", codec=codec, call=call)

    def transfer(self, uri: str, *, call: int | None = None) -> None:
        """Blind transfer (RFC 3515 REFER)."""
        self._command("transfer", uri=uri, call=call)

    def transfer_to(self, other: int, *, call: int | None = None) -> None:
        """Attended transfer: whoever is in `call` and whoever is in `other` (RFC 3515 REFER, RFC 3891 Replaces)."""
        self._command("transfer_to", other=other, call=call)

    def report(self, *, call: int | None = None) -> Happening:
        """RTP of a running call as this phone sees it: received, lost, sent, source, local, codec."""
        return self._command("report", call=call)

    # ---- what happened

    def wait(
        self, wanted: Callable[[Happening], bool], timeout: float, what: str, *, since: int = 0
    ) -> Happening:
        """Wait until something has happened, from the `since`-th happening on; PhoneError after `timeout`."""
        until = time.monotonic() + timeout
        seen = since
        with self._news:
            while True:
                for happening in self.happened[seen:]:
                    if wanted(happening):
                        return happening
                seen = len(self.happened)
                left = until - time.monotonic()
                if left <= 0 or not self._alive():
                    raise PhoneError(f"phone {self.user}: no {what} in {timeout} s; {self._tail()}")
                self._news.wait(left)

    def wait_for(
        self, state: str, timeout: float = 10, *, call: int | None = None, since: int = 0
    ) -> Happening:
        """Wait for a call's state: calling, incoming, early, confirmed, disconnected; or `media:active` etc.

        Without `call`, any call of this phone; `since = phone.mark()` leaves out what was before.
        """
        kind, _, value = state.rpartition(":")
        event = {"": "state", "media": "media"}[kind]

        def wanted(h: Happening) -> bool:
            if call is not None and h.get("call") != call:
                return False
            if event == "state" and value == "incoming":
                return bool(h["event"] == "incoming")
            return bool(h["event"] == event and h.get("state") == value)

        return self.wait(wanted, timeout, state, since=since)

    def ended(self, call: int) -> Happening | None:
        """How that call ended, if it has."""
        with self._news:
            ends = (h for h in self.happened if h.get("state") == "disconnected" and h.get("call") == call)
            return next(ends, None)

    def mark(self) -> int:
        """Where in the list of happenings we are now."""
        with self._news:
            return len(self.happened)

    def recording_path(self, call: int, timeout: float = 5) -> Path:
        """The WAV of what this phone heard in that call, once the call has ended and it is complete."""
        found = self.wait(
            lambda h: h["event"] == "recorded" and h["call"] == call, timeout, f"recording of call {call}"
        )
        return Path(found["path"])

    # ---- end

    def kill(self) -> None:
        """kill -9 of the phone's process: it stops in the middle of a word."""
        self._process.kill()
        self._process.wait(timeout=5)

    def close(self) -> None:
        """Hang up, close the recordings, end the process (this one, by its own pid)."""
        if self._process.poll() is None:
            try:
                self._send({"do": "quit"})
                self._process.wait(timeout=4)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait(timeout=5)
        self._reader.join(timeout=2)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Phone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- the pipe

    def _wait_ready(self) -> None:
        try:
            self.wait(lambda h: bool(h["event"] == "ready"), 15, "start")
        except PhoneError:
            self.close()
            raise

    def _command(self, name: str, **arguments: Any) -> Happening:
        since = self.mark()
        self._send({"do": name, **arguments})
        answered = {"done", "failed"}
        answer = self.wait(
            lambda h: h["event"] in answered and h["do"] == name, 5, f"answer to {name}", since=since
        )
        if answer["event"] == "failed":
            raise PhoneError(f"phone {self.user} cannot {name}: {answer['reason']}")
        return answer

    def _send(self, command: Happening) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            happening: Happening = json.loads(text)
            with self._news:
                self.happened.append(happening)
                self._news.notify_all()
            if self._on_event is not None:
                self._on_event(self, happening)
        with self._news:
            self._news.notify_all()

    def _alive(self) -> bool:
        return self._reader.is_alive()

    def _tail(self) -> str:
        seen = [f"{h['event']} {h.get('state', h.get('reason', ''))}".strip() for h in self.happened[-6:]]
        errors = Path(self._errors.name).read_text(errors="replace").strip()[-600:]
        return f"it saw {seen}" + (f"; it said {errors}" if errors else "")
