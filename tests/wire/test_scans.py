"""SIPVicious, in its own processes, against a running server: what it learns, and what it costs.

It is what is really sent to every SIP port of the Internet: svmap looks for servers, svwar for extensions, svcrack for
passwords. Each is first shown something to find, so that finding nothing means something.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.party import Message, Party
from tests.wire.site import PASSWORD, Site

pytestmark = pytest.mark.wire
TOOLS = Path(sys.executable).parent
SILENT = ("[sip]\n", '[sip]\nstrangers = "silence"\n')
ONLY_MD5 = ('algorithms = ["SHA-512-256", "SHA-256", "MD5"]', 'algorithms = ["MD5"]')
REFUSED = ("[sip]\n", "[sip]\nstranger_rate = 0\n")


@pytest.fixture(params=["403", "silence", "403 without a limit"])
def guarded(site: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    changes = {"403": [], "silence": [SILENT], "403 without a limit": [REFUSED]}[request.param]
    with site.settings(*changes):
        yield site


def run(site: Site, work: Path, tool: str, *arguments: str, source: int) -> str:
    """What the tool says; what it cost is printed."""
    if shutil.which(str(TOOLS / f"sipvicious_{tool}")) is None:
        pytest.skip("SIPVicious is not installed")
    cpu, heard = site.cpu(), sum(site.counts().values())
    done = subprocess.run(
        [str(TOOLS / f"sipvicious_{tool}"), "-b", site.at(source), "-P", "5060", *arguments],
        cwd=work, env={"HOME": str(work), "PATH": "/usr/bin"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    cost, refused = site.cpu() - cpu, sum(site.counts().values()) - heard
    print(f"{tool}: {refused} refused, {cost:.2f} s of CPU, {cost / max(refused, 1) * 1e6:.0f} µs each")
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return said


def target(site: Site) -> list[str]:
    return ["-p", str(site.server[1]), site.server[0]]


class Talker(Party):
    """A careless server: answers everything, so that the tools have something to find."""

    def answers(self, tool: subprocess.Popen[str]) -> None:
        while tool.poll() is None:
            self.pump(0.1)
            for message in self.heard:
                self._answer(message)
            self.heard.clear()

    def _answer(self, message: Message) -> None:
        if message.status or message.kind == "ACK":
            return
        status = "200 OK" if "sip:100@" in message.get("To") or message.kind == "OPTIONS" else "404 Not Found"
        kept = [
            f"{name}: {value}"
            for name, value in message.headers
            if name in ("Via", "From", "To", "Call-ID", "CSeq")
        ]
        self.send(
            "\r\n".join([f"SIP/2.0 {status}", *kept, "Server: careless", "Content-Length: 0", "", ""]),
            message.source,
        )


def test_the_tools_find_what_there_is_to_find(site: Site, tmp_path: Path) -> None:
    with Talker(site.at(97), site.server) as careless:
        for tool, more in (("svmap", []), ("svwar", ["-e", "100-102", "-m", "REGISTER"])):
            command = [
                str(TOOLS / f"sipvicious_{tool}"),
                "-b",
                site.at(96),
                "-P",
                "5060",
                *more,
                "-p",
                "5060",
                careless.address,
            ]
            running = subprocess.Popen(command, cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": "/usr/bin"},
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
            careless.answers(running)
            said = running.communicate(timeout=30)[0]
            assert ("careless" if tool == "svmap" else "100 ") in said, said


def test_svmap_learns_no_name(guarded: Site, tmp_path: Path) -> None:
    said = run(guarded, tmp_path, "svmap", *target(guarded), source=99)
    assert "qm_sip" not in said
    assert not re.search(r"\|\s*[\w-]+/", said)


def test_svmap_finds_nothing_where_there_is_silence(site: Site, tmp_path: Path) -> None:
    with site.settings(SILENT):
        said = run(site, tmp_path, "svmap", *target(site), source=99)
        assert site.server[0] not in said, said


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
@pytest.mark.parametrize("source", [99, 48], ids=["a stranger", "a peer without its password"])
def test_svwar_finds_no_extension(guarded: Site, tmp_path: Path, method: str, source: int) -> None:
    """7000, 2000 and the agents' 1001 exist; the codes and most others do not."""
    said = run(guarded, tmp_path, "svwar", "--force", "-m", method, "-e", "1000-1010,1999-2001,6999-7001",
               "--maximumtime=3", *target(guarded), source=source)  # fmt: skip
    assert not re.search(r"^\| *\d{4} ", said, re.M), said


def crack(site: Site, work: Path, *limits: tuple[str, str]) -> str:
    """Fifty wrong ones, then the right one. The tool sends from 127.0.0.1, whatever it is told."""
    (work / "words").write_text("".join(f"guess{n}\n" for n in range(50)) + PASSWORD + "\n")
    here = f'addresses = ["{site.at(48)}"]'
    with site.settings(ONLY_MD5, (here, here.replace("]", ', "127.0.0.1"]')), *limits):
        return run(
            site, work, "svcrack", "-u", "alice", "-d", "words", "--maximumtime=2", *target(site), source=48
        )


def test_svcrack_would_come_to_it_without_limits(site: Site, tmp_path: Path) -> None:
    """Then it is let in, and told that there is no REGISTER here: an answer that it does not know."""
    assert "unknown response" in crack(
        site, tmp_path, ("[sip]\n", "[sip]\nstranger_rate = 0\nban_after = 0\n")
    )


@pytest.mark.parametrize("limits", [[], [REFUSED]], ids=["as shipped", "the ban alone"])
def test_svcrack_does_not_come_to_the_right_one(
    site: Site, tmp_path: Path, limits: list[tuple[str, str]]
) -> None:
    before = site.counts()
    said = crack(site, tmp_path, *limits)
    assert PASSWORD not in said, said
    assert "unknown response" not in said, said
    assert site.counts()["password"] - before.get("password", 0) in range(1, 6)
    assert "alice" not in site.log()
