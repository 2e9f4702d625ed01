"""Tracing on a real server: what an administrator sees, what Wireshark makes of it, and what is not there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qm_sip.control.client import ServerSaid
from qm_sip.errors import Refused
from tests.wire.conftest import Scene, neighbours
from tests.wire.party import Party
from tests.wire.site import PROGRAM, ROOT, Site, and_more, running

WHY = {"unredacted": True, "reason": "a fault"}


def newest(site: Site) -> dict[str, Any]:
    return dict(site.ask("trace")["traces"][0])


def tshark(file: Path, *fields: str, more: tuple[str, ...] = ()) -> list[list[str]]:
    """The fields of each packet, as Wireshark reads them."""
    program = shutil.which("tshark")
    assert program is not None, "tools/packages installs it"
    wanted = [word for field in fields for word in ("-e", field)]
    line = [program, "-r", str(file), "-T", "fields", "-E", "separator=|", *more, *wanted]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    return [row.split("|") for row in done.stdout.splitlines()]


def test_a_call_is_drawn_while_it_runs_and_afterwards(scene: Scene) -> None:
    caller, callee, _ = scene.talk("2000")
    row = newest(scene.site)
    assert row["running"]
    answer = scene.site.ask("trace", call=row["call"])
    assert answer["peers"] == {"caller": "pbx", "callee": "agents"}
    assert any("at qm_sip" in (one["sdp"] or "") for one in answer["rows"])
    scene.end(caller, callee)
    after = answer["rows"][-1]["number"]
    until = time.monotonic() + 5
    rest: list[str] = []
    while "BYE" not in rest or newest(scene.site)["running"]:
        assert time.monotonic() < until
        time.sleep(0.1)
        found = scene.site.ask("trace", call=row["call"], after=after)["rows"]
        rest = [one["what"] for one in found]
    assert rest.count("BYE") == 2 and rest.count("200 OK") == 2


def test_the_command_draws_it(scene: Scene) -> None:
    caller, callee, _ = scene.talk("7000")
    call = newest(scene.site)["call"]
    line = [*PROGRAM, "trace", call[:10], "--raw", "--socket", str(scene.site.home / "run" / "control")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert "|------ INVITE ------->|" in done.stdout and "INVITE sip:user-1@" in done.stdout
    assert "7000" not in done.stdout and scene.site.network not in done.stdout
    scene.end(caller, callee)


def test_of_a_confidential_call_nothing_is_there_at_any_moment(scene: Scene) -> None:
    before, refused = scene.site.ask("trace", limit=1000), scene.site.ask("trace", refused=True, limit=1000)
    caller, callee, _ = scene.talk("1900")
    assert scene.site.ask("trace", limit=1000)["traces"] == before["traces"]
    assert scene.site.ask("trace", refused=True, limit=1000) == refused
    caller.hang_up()
    callee.hung_up()
    time.sleep(0.3)
    assert scene.site.ask("trace", limit=1000) == before


def test_unredacted_is_refused_and_what_is_not_there_cannot_be_asked_for(scene: Scene) -> None:
    caller, callee, _ = scene.talk("7000")
    call = newest(scene.site)["call"]
    with pytest.raises(Refused) as refused:
        scene.site.ask("trace", call=call, raw=True, **WHY, **{"as": "a1"})
    assert refused.value.code == "trace-not-granted"
    with pytest.raises(ServerSaid):
        scene.site.ask("trace", call="f" * 32, **WHY, **{"as": "a1"})
    scene.end(caller, callee)


def test_an_invite_that_became_no_call_is_shown_and_a_strangers_is_counted(scene: Scene) -> None:
    before = scene.site.ask("trace", refused=True)
    scene.strict.call("7000").expect(404)  # nothing leads from there anywhere
    (row,) = scene.site.ask("trace", refused=True, limit=1)["traces"]
    assert row["answer"] == "404 Not Found"
    scene.strict.call("1900").expect(404)
    after = scene.site.ask("trace", refused=True)
    assert len(after["traces"]) == len(before["traces"]) + 1
    with Party(scene.site.at(99), scene.site.server) as stranger:
        stranger.call("7000")
        time.sleep(0.3)
    assert scene.site.ask("trace")["strangers"] > after["strangers"]
    assert len(scene.site.ask("trace", refused=True)["traces"]) == len(after["traces"])


def test_wireshark_reads_the_capture_file_of_a_call(scene: Scene, tmp_path: Path) -> None:
    caller, callee, _ = scene.talk("2000")
    scene.end(caller, callee)
    call, file = newest(scene.site)["call"], tmp_path / "call.pcap"
    line = [
        *PROGRAM,
        "trace",
        call,
        "--pcap",
        str(file),
        "--socket",
        str(scene.site.home / "run" / "control"),
    ]
    subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    rows = scene.site.ask("trace", call=call)["rows"]
    checked = ("-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    found = tshark(
        file,
        *("sip.Method", "sip.Status-Code", "sip.CSeq", "ip.checksum.status", "udp.checksum.status"),
        *("ip.src", "_ws.malformed", "sdp.media"),
        more=("-d", "udp.port==5080,sip", *checked),
    )
    assert [one[0] or one[1] for one in found] == [row["what"].split()[0] for row in rows]
    assert [one[2] for one in found] == [row["cseq"] for row in rows]
    assert {one[3] for one in found} == {one[4] for one in found} == {"1"}  # good
    assert all(one[5].startswith("192.0.2.") and not one[6] for one in found)
    assert [bool(one[7]) for one in found] == [bool(row["sdp"]) for row in rows]


@contextmanager
def collector(file: Path) -> Iterator[int]:
    """sngrep, listening for HEP on loopback and writing what it decodes as a capture file. Gives its port."""
    program = shutil.which("sngrep")
    assert program is not None, "tools/packages installs it"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    line = [program, "-N", "-q", "-F", "-L", f"udp:127.0.0.1:{port}", "-O", str(file)]
    listening = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        assert listening.poll() is None
        yield port
    finally:
        listening.terminate()
        listening.wait(10)


def hep(port: int) -> str:
    return f'[hep]\ncollector = "127.0.0.1:{port}"\nkey_file = "hep.key"\nagent_id = 77\n'


def test_a_collector_gets_a_call_when_it_has_ended_and_no_confidential_one(tmp_path: Path) -> None:
    file = tmp_path / "hep.pcap"
    with collector(file) as port, running(and_more(hep(port))) as site, neighbours(site) as scene:
        caller, callee, _ = scene.talk("1900")
        caller.hang_up()
        callee.hung_up()
        caller, callee, _ = scene.talk("7000")
        time.sleep(1.5)
        assert site.ask("status")["counts"]["hep_sent"] == 0  # it runs
        scene.end(caller, callee)
        until = time.monotonic() + 8
        while (row := newest(site))["messages"] != site.ask("status")["counts"]["hep_sent"] or row["running"]:
            assert time.monotonic() < until, (row, site.ask("status")["counts"])
            time.sleep(0.2)
        rows = site.ask("trace", call=row["call"])["rows"]
        time.sleep(0.5)
        network = site.network
    found = tshark(
        file, *("sip.Method", "sip.Status-Code", "sip.CSeq", "ip.src"), more=("-d", "udp.port==5080,sip")
    )
    assert [one[0] or one[1] for one in found] == [row["what"].split()[0] for row in rows]
    assert [one[2] for one in found] == [row["cseq"] for row in rows]
    assert all(one[3].startswith("192.0.2.") for one in found)
    assert network.encode() not in file.read_bytes() and b"7000" not in file.read_bytes()


def test_a_dead_collector_costs_no_call_anything() -> None:
    table = '[hep]\ncollector = "127.0.0.1:9"\ntransport = "tcp"\n'
    with running(and_more(table)) as site, neighbours(site) as scene:
        caller, callee, _ = scene.talk("7000")
        scene.end(caller, callee)
        until = time.monotonic() + 6
        while not site.ask("status")["counts"]["hep_dropped"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert site.ask("status")["counts"]["hep_sent"] == 0
