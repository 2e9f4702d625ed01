"""SIPp as a peer: one program a call, by a script of its own; what it sent and received is read from its message log.

It echoes the audio that comes, so a tone of the partner's that comes back has gone both ways.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.interop.ground import PEER, TRANSFERRED
from tests.interop.peers.base import Lack, Peer
from tests.interop.peers.phone import pressed
from tests.interop.peers.sipp_script import refer_elsewhere, scripts
from tests.support.recorded import until

KEYS = "157#"
MODES = {"udp": "u1", "tcp": "t1"}
MESSAGE = re.compile(r"message (sent|received) .*?\n\n(\S+) (\S+)(.*?)(?=\n-{20}|\Z)", re.DOTALL)
CALLED = {
    "outbound", "peer refuses", "peer is cancelled", "peer is held", "codec changed for peer", "keys to peer",
    "peer gets PRACK",
}  # fmt: skip


class Sipp(Peer):
    name = "SIPp"
    what = "a test tool, by scripts; it echoes audio"
    echoes = True
    quick = False
    without: ClassVar[dict[str, Lack]] = {
        "tls": Lack(
            "Debian's is built without it: `sipp -v` has no TLS in its name",
            "the program",
            "/usr/bin/sipp",
            ("SSL_connect",),
        )
    }

    def start(self) -> None:
        said = subprocess.run(["sipp", "-v"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"SIPp v(\S+?)\.?\s", said)
        self.version = found[1] if found else "?"
        self._scripts = scripts(KEYS, f"{TRANSFERRED}00")
        self._running: list[subprocess.Popen[bytes]] = []
        self._runs = 0

    def tidy(self) -> None:
        for process in self._running:
            process.terminate()
            process.wait(5)
        self._running.clear()

    def expect(self, scenario: str) -> None:
        self._scenario, self._mark = scenario, self.ground.partner.mark()
        if scenario in CALLED:
            self._log = self._run(self._scripts[scenario], "called", 5060)
            until(lambda: self._listens(5060), 5, "SIPp")

    def _listens(self, port: int) -> bool:
        shown = subprocess.run(
            self.ground.network.inside(["ss", "-Hln", f"sport = :{port}", "src", PEER]),
            capture_output=True, check=True,
        )  # fmt: skip
        return bool(shown.stdout)

    def _run(self, text: str, service: str, port: int, *more: str) -> Path:
        """One SIPp with this script; its message log."""
        self._runs += 1
        file, log = (self.ground.work / f"sipp-{self._runs}.{kind}" for kind in ("xml", "log"))
        file.write_text(text)
        line = ["sipp", "-sf", str(file), "-i", PEER, "-p", str(port), "-t", MODES[self.ground.transport], "-m", "1",
                "-mi", PEER, "-mp", str(30_000 + 10 * self._runs), "-rtp_echo", "-nostdin", "-trace_msg",
                "-message_file", str(log), "-trace_err", "-error_file", str(log.with_suffix(".wrong")), "-s", service,
                *more, self.ground.face.partition(";")[0]]  # fmt: skip
        self._running.append(self.ground.start(line, file.stem))
        return log

    # ---- what passed

    def _messages(self, log: Path | None = None) -> list[tuple[str, str, str]]:
        """(sent or received, method or status, the rest), in order."""
        path = log or self._log
        text = path.read_text(errors="replace") if path.exists() else ""
        found = (match.groups() for match in MESSAGE.finditer(text.replace("\r", "")))
        return [(way, second if first == "SIP/2.0" else first, rest) for way, first, second, rest in found]

    def _seen(self, way: str, what: str, times: int = 1, log: Path | None = None, of: str = "") -> bool:
        passed = (w == way and kind == what and of in rest for w, kind, rest in self._messages(log))
        return sum(passed) >= times

    def wait(self, state: str, seconds: float = 8) -> None:
        look = {
            "incoming": lambda: self._seen("received", "INVITE"),
            "ringing": lambda: self._seen("received", "180") or self._seen("received", "183"),
            "up": lambda: self._seen("received", "ACK") or self._seen("sent", "ACK"),
            "over": lambda: any(kind in ("BYE", "CANCEL") for _, kind, _ in self._messages()),
        }[state]
        until(look, seconds, state)

    # ---- the verbs: what the script does by itself is waited for

    def call(self, number: str) -> None:
        self._log = self._run(self._scripts[self._scenario], number, 5060)

    def answer(self) -> None:
        self.wait("incoming")

    def reject(self) -> None:
        self.wait("incoming")

    def progress(self) -> None:
        until(lambda: self._seen("sent", "183"), 4, "183 of SIPp")

    def hang_up(self) -> None:
        self.wait("over", 60)

    def hold(self) -> None:
        self._offers(2)

    def resume(self) -> None:
        self._offers(3)

    def reoffer(self, codec: str) -> None:
        self._offers(2)

    def _offers(self, number: int) -> None:
        until(lambda: self._seen("sent", "ACK", number), 6, f"INVITE {number}")

    def dtmf(self, keys: str) -> None:
        assert keys == KEYS

    def info(self, keys: str) -> None:
        until(lambda: self._seen("sent", "INFO", len(keys)), 8, "INFO")

    def refer(self, number: str) -> None:
        until(lambda: self._seen("sent", "REFER"), 8, "REFER")

    def consult(self, number: str) -> None:
        self._other = self._run(self._scripts["direct"], number, 5070)
        until(lambda: self._seen("sent", "ACK", log=self._other), 8, "second call")

    def join(self) -> None:
        """The REFER goes from a SIPp of its own, in the first one's dialog."""
        first, second = self._dialog(self._log), self._dialog(self._other)
        replaces = f"{second['id']}%3Bto-tag%3D{second['theirs']}%3Bfrom-tag%3D{second['mine']}".replace(
            "@", "%40"
        )
        keys = {
            "mine": first["mine"],
            "theirs": first["theirs"],
            "target": f"{TRANSFERRED}00",
            "replaces": replaces,
        }
        more = [word for name, value in keys.items() for word in ("-key", name, value)]
        self._run(refer_elsewhere(), "qm", 5080, "-cid_str", first["id"], *more)

    def _dialog(self, log: Path) -> dict[str, str]:
        rest = next(rest for way, kind, rest in self._messages(log) if (way, kind) == ("sent", "ACK"))
        names = {"mine": r"From:.*?tag=(\S+)", "theirs": r"To:.*?tag=(\S+)", "id": r"Call-ID: *(\S+)"}
        return {name: str(re.search(pattern, rest)[1]) for name, pattern in names.items()}  # type: ignore[index]

    def pressed(self) -> str:
        """The events come back to the partner, as all that it is sent."""
        return pressed(self.ground.partner, self._mark)
