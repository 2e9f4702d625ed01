"""Lamps on the wire: real phones see them, behind lines that lose packets too, and nobody else does."""

from __future__ import annotations

import itertools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes.util import find_library
from pathlib import Path

import pytest

from qm_sip.sip.events import Address
from tests.sip.subscriber import Subscriber
from tests.wire.conftest import Scene, neighbours
from tests.wire.party import Leg, Message, Party
from tests.wire.sipp import PROGRAM, SCENARIOS
from tests.wire.site import PASSWORD, Site, _settings, running
from tests.wire.test_private import presses
from tests.wire.watcher import Phone

LIBRARY = find_library("linphone") or next(Path("/usr/lib").glob("*/liblinphone.so.10"), None)
needs_linphone = pytest.mark.skipif(LIBRARY is None, reason="linphone-cli is not installed")
DIALOG = "application/dialog-info+xml"
PEOPLE = """
[monitor.m1]
may = ["watch"]
agents = ["a1"]
extensions = ["1050"]
granted_by = "m0"
granted = 2024-01-08
expires = "P50Y"
secrecy_signed = 2024-01-08
"""
KAMAILIO = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:{here}:5060
listen=tcp:{here}:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
modparam("rr", "enable_double_rr", 2)
request_route {{
    if (has_totag()) {{
        loose_route();
        t_relay();
        exit;
    }}
    record_route();
    append_hf("P-Asserted-Identity: <sip:1001@{here}>\\r\\n");
    $du = "sip:{server}:5080;transport=udp";
    $fs = "udp:{here}:5060";
    if (!t_relay()) sl_reply_error();
}}
"""


def tables(site: Site) -> str:
    """The usual settings; phones that show a password (from this machine's own address, as liblinphone binds to no
    other), a proxy that says who they are.
    """
    return (
        _settings(site)
        + f"""
[lamps]
gap = "200ms"
[peers.phones]
addresses = ["127.0.0.1"]
may = ["watch"]
auth = "digest"
[peers.phones.users]
1001 = "password"
1002 = "password"
1050 = "password"
[peers.proxy]
addresses = ["{site.at(110)}", "{site.at(111)}"]
may = ["watch"]
trusted = true
"""
    )


@pytest.fixture(scope="module")
def lit() -> Iterator[Site]:
    with running(tables) as site:
        people = site.home / "people.toml"
        people.write_text(people.read_text() + PEOPLE)
        site.ask("reload")
        yield site


@pytest.fixture
def scene(lit: Site) -> Iterator[Scene]:
    with neighbours(lit) as scene:
        yield scene


@pytest.fixture
def proxy(lit: Site) -> Iterator[Party]:
    with Party(lit.at(110), lit.server) as party:
        yield party


def counted(site: Site) -> dict[str, int]:
    found = site.ask("status")["counts"]
    return {name.removeprefix("lamps_"): n for name, n in found.items() if name.startswith("lamps_")}


def nobody_watches(site: Site, within: float = 6.0) -> None:
    until = time.monotonic() + within
    while counted(site)["watched"]:
        assert time.monotonic() < until, counted(site)
        time.sleep(0.05)


def talking(scene: Scene) -> tuple[Leg, Leg, Message]:
    """A recorded call of the agent at 1001."""
    caller, callee, ok = scene.talk("2100")
    callee.request("UPDATE", headers=[("P-Asserted-Identity", "<sip:1001@example.net>")])
    callee.expect(200, "UPDATE")
    scene.recording()
    return caller, callee, ok


def watch(proxy: Party, lamp: str, device: str = "1001", expires: int = 60, **changes: str) -> Leg:
    """A SUBSCRIBE by hand, through the proxy's address."""
    headers = [("Event", "dialog"), ("Accept", DIALOG), ("Expires", str(expires))]
    headers += [("P-Asserted-Identity", f"<sip:{device}@{proxy.address}>")]
    return proxy.call(lamp, request="SUBSCRIBE", sdp=None, headers=headers, **changes)


def told(leg: Leg, within: float = 4.0) -> tuple[str, bool | None]:
    """The next NOTIFY, answered."""
    notify = leg.expect("NOTIFY", within=within)
    leg.reply(200, notify)
    lit = "confirmed" in notify.body if notify.body else None
    return notify.get("Subscription-State").partition(";")[0], lit


# --------------------------------------------------------------------------- real phones


@needs_linphone
@pytest.mark.parametrize("over", ["tcp", "udp"])
def test_linphone_sees_a_call_recorded_private_and_over(scene: Scene, over: str) -> None:
    lamps = ["recording-1001", "private-1001", "heard-1001"]
    server = f"{scene.site.server[0]}:5080"
    with Phone(server, "1001", lamps, password=PASSWORD, over=over) as phone:
        for lamp in lamps:
            phone.hears("active", lamp)
            phone.shows(lamp, False)
        caller, callee, _ = talking(scene)
        phone.shows("recording-1001", True)
        presses(callee, "*1")
        phone.shows("private-1001", True)
        phone.shows("recording-1001", False)
        for leg in (caller, callee):
            leg.answer(to=leg.expect("INVITE"))
            leg.expect("ACK")
        scene.end(caller, callee)
        phone.shows("private-1001", False)
        assert phone.lit("recording-1001") == [False, True, False]
        assert phone.lit("private-1001") == [False, True, False] and phone.lit("heard-1001") == [False]
        assert phone.versions("private-1001") == [0, 1, 2]
        for lamp in lamps:
            for body in phone.bodies(lamp):
                assert "0612345678" not in body and "2100" not in body
        phone.goes()
        nobody_watches(scene.site)


@needs_linphone
@pytest.mark.skipif(shutil.which("kamailio") is None, reason="kamailio is not installed")
def test_linphone_behind_kamailio(scene: Scene, tmp_path: Path) -> None:
    here = scene.site.at(111)
    config = tmp_path / "kamailio.cfg"
    config.write_text(KAMAILIO.format(here=here, server=scene.site.server[0]))
    line = ["kamailio", "-f", str(config), "-DD", "-E", "-Y", str(tmp_path), "-P", str(tmp_path / "pid")]
    with (tmp_path / "log").open("w") as log:
        proxy = subprocess.Popen(line, stdout=log, stderr=log)
    try:
        time.sleep(1.5)
        assert proxy.poll() is None, (tmp_path / "log").read_text()
        with Phone(f"{here}:5060", "1001", ["recording-1001"], over="tcp") as phone:
            phone.shows("recording-1001", False)
            caller, callee, _ = talking(scene)
            phone.shows("recording-1001", True)
            scene.end(caller, callee)
            phone.shows("recording-1001", False)
            phone.goes()
            nobody_watches(scene.site)
    finally:
        proxy.terminate()
        proxy.wait(10)


@needs_linphone
def test_linphone_is_refused_what_is_not_its_own(scene: Scene) -> None:
    lamps = ["private-1002", "private-9999", "recording-1002"]
    with Phone(f"{scene.site.server[0]}:5080", "1001", lamps, password=PASSWORD) as phone:
        for lamp in lamps:
            phone.hears("error", lamp)
        assert not any(phone.bodies(lamp) for lamp in lamps)
    with Phone(f"{scene.site.server[0]}:5080", "1002", ["recording-1001"], password="wrong") as phone:
        phone.hears("error", "recording-1001")
    assert counted(scene.site)["watched"] == 0


@needs_linphone
def test_linphone_renews(scene: Scene) -> None:
    """A minute at least is what a subscription lasts, so this server lets it be shorter."""
    shorter = ('gap = "200ms"', 'gap = "200ms"\nshortest = "2s"\nlongest = "4s"')
    server = f"{scene.site.server[0]}:5080"
    with (
        scene.site.settings(shorter),
        Phone(server, "1001", ["private-1001"], password=PASSWORD, expires=4) as phone,
    ):
        phone.shows("private-1001", False)
        time.sleep(9.0)
        assert len(phone.lit("private-1001")) >= 3, "each renewal is answered by a NOTIFY"
        assert {"happened": "terminated", "lamp": "private-1001"} not in phone.happened
        assert counted(scene.site)["watched"] == 1
        phone.goes()
        nobody_watches(scene.site)


# --------------------------------------------------------------------------- by hand


def test_a_supervisor_sees_recorded_and_not_private(scene: Scene, proxy: Party) -> None:
    assert watch(proxy, "private-1001", "1050").expect(403)
    coach = watch(proxy, "recording-1001", "1050")
    coach.learn(coach.expect(200, "SUBSCRIBE"))
    assert told(coach) == ("active", False)
    caller, callee, _ = talking(scene)
    assert told(coach) == ("active", True)
    presses(callee, "*1")
    assert told(coach) == ("active", False), "as if it had ended"
    for leg in (caller, callee):
        leg.answer(to=leg.expect("INVITE"))
        leg.expect("ACK")
    scene.end(caller, callee)
    proxy.pump(0.5)
    assert "NOTIFY" not in proxy.kinds()
    people = scene.site.home / "people.toml"
    people.write_text(people.read_text().replace('may = ["watch"]', 'may = ["play"]'))
    try:
        scene.site.ask("reload")
        assert told(coach) == ("terminated", None), "his right is withdrawn, and nothing is said of the lamp"
        assert watch(proxy, "recording-1001", "1050").expect(403)
    finally:
        people.write_text(people.read_text().replace('may = ["play"]', 'may = ["watch"]'))
        scene.site.ask("reload")
    assert counted(scene.site)["watched"] == 0


def test_a_pressed_key_makes_the_held_call_private(scene: Scene, proxy: Party) -> None:
    mine = watch(proxy, "private-1001")
    mine.learn(mine.expect(200, "SUBSCRIBE"))
    assert told(mine) == ("active", False)
    caller, callee, _ = talking(scene)
    callee.request("INVITE", body=callee.sdp("sendonly"))
    caller.answer(caller.sdp("recvonly"), to=caller.expect("INVITE"))
    callee.connected()
    caller.expect("ACK")
    pressed = proxy.call("private-1001", headers=[("P-Asserted-Identity", "<sip:1001@x>")])
    pressed.connected()
    assert told(mine) == ("active", True)
    assert scene.site.ask("taps")["taps"] == []
    for leg in (caller, callee):
        leg.answer(to=leg.expect("INVITE"))
        leg.expect("ACK")
    pressed.hung_up()
    call = scene.site.ask("calls", limit=1)["calls"][0]["call"]
    scene.end(caller, callee)
    assert told(mine) == ("active", False)
    assert scene.site.ask("private_proof", call=call, **{"as": "a1"})["private"]
    for caller_id in ("1002", "1050"):
        again = proxy.call("private-1001", headers=[("P-Asserted-Identity", f"<sip:{caller_id}@x>")])
        again.expect(403)
        again.request("ACK", cseq=again.cseq, branch=again.branch)
    mine.request("SUBSCRIBE", headers=[("Event", "dialog"), ("Expires", "0")])
    mine.expect(200, "SUBSCRIBE")
    assert told(mine) == ("terminated", False)


def test_a_confidential_call_is_not_seen(scene: Scene, proxy: Party) -> None:
    mine = [watch(proxy, f"{kind}-1001") for kind in ("private", "recording", "heard")]
    for leg in mine:
        leg.learn(leg.expect(200, "SUBSCRIBE"))
        assert told(leg) == ("active", False)
    before = counted(scene.site)["notified"]
    caller = scene.pbx.call("1900", headers=[("P-Asserted-Identity", "<sip:1001@example.net>")])
    callee = scene.agents.called()
    callee.answer()
    caller.connected()
    callee.expect("ACK")
    time.sleep(0.5)
    scene.end(caller, callee)
    proxy.pump(0.5)
    assert "NOTIFY" not in proxy.kinds() and counted(scene.site)["notified"] == before
    for leg in mine:
        leg.request("SUBSCRIBE", headers=[("Event", "dialog"), ("Expires", "0")])
        leg.expect(200, "SUBSCRIBE")
        assert told(leg) == ("terminated", False)
    nobody_watches(scene.site)


def test_nothing_of_it_is_traced_or_logged(scene: Scene, proxy: Party) -> None:
    caller, callee, _ = talking(scene)
    mine = watch(proxy, "private-1001", Call_ID=caller.call_id)  # even if it shares a call's Call-ID
    mine.call_id = caller.call_id
    mine.learn(mine.expect(200, "SUBSCRIBE"))
    assert told(mine) == ("active", False)
    call = scene.site.ask("calls", limit=1)["calls"][0]["call"]
    traced = str(scene.site.ask("trace", call=call))
    assert "SUBSCRIBE" not in traced and "NOTIFY" not in traced and "private-" not in traced
    mine.request("SUBSCRIBE", headers=[("Event", "dialog"), ("Expires", "0")])
    mine.expect(200, "SUBSCRIBE")
    told(mine)
    scene.end(caller, callee)
    assert not re.search(r"(private|recording|heard)-|\b10(01|50)\b", scene.site.log())


def test_a_stranger_and_a_peer_without_the_right_learn_nothing(scene: Scene) -> None:
    for party in (scene.pbx, scene.carrier, scene.agents):
        for lamp in ("private-1001", "private-9999", "1001", "anything"):
            answer = watch(party, lamp).expect(403)
            assert not answer.get("Allow-Events")
    with Party(scene.site.at(99), scene.site.server) as stranger:
        answer = watch(stranger, "private-1001").expect(403)
        assert not answer.get("Server")
    assert counted(scene.site)["watched"] == 0


# --------------------------------------------------------------------------- many of them, and bad lines


@pytest.mark.skipif(PROGRAM is None, reason="sipp is not installed")
def test_a_hundred_watch_and_go_and_nothing_is_left(lit: Site, tmp_path: Path) -> None:
    """By SIPp, twenty a second."""
    assert PROGRAM is not None
    at, before = lit.at(110), lit.cpu()
    line = [
        PROGRAM,
        "-sf",
        str(SCENARIOS / "lamp.xml"),
        "-i",
        at,
        "-p",
        "5060",
        "-s",
        "private-1001",
        "-m",
        "100",
    ]
    line += ["-r", "20", "-d", "1500", "-nostdin", "-trace_err", "-timeout", "60s", "-timeout_error"]
    with lit.settings(("[lamps]", "[lamps]\nof_a_watcher = 1000")), (tmp_path / "out").open("wb") as out:
        sipp = subprocess.Popen([*line, f"{lit.server[0]}:5080"], cwd=tmp_path, stdout=out, stderr=out)
        try:
            status = sipp.wait(70)
        finally:
            sipp.kill()
        logs = "".join(path.read_text(errors="replace")[:1500] for path in tmp_path.glob("*errors.log"))
        assert status == 0, logs
        nobody_watches(lit, 10.0)
    assert lit.cpu() - before < 6.0


class Wet:
    """A phone on a line that loses every third packet, either way."""

    def __init__(self, site: Site, number: int) -> None:
        here = (site.at(110), 6100 + number)
        self.server = site.server
        self.phone = Subscriber(Address(*here), Address(*site.server), "private-1001", seed=number)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(here)
        self._packets = itertools.count(number)

    def lost(self) -> bool:
        return next(self._packets) % 3 == 0

    def work(self) -> None:
        now = time.monotonic()
        while select.select([self.socket], [], [], 0)[0]:
            data = self.socket.recv(65_536)
            if not self.lost():
                self.phone.receive(data, Address(*self.server), self.phone.address, now)
        self.phone.advance(now)
        for sent in self.phone.take_datagrams():
            if not self.lost():
                self.socket.sendto(sent.data, self.server)


def test_phones_on_bad_lines_come_to_show_what_is(scene: Scene) -> None:
    with ExitStack() as stack:
        wet = [Wet(scene.site, number) for number in range(12)]
        for one in wet:
            stack.callback(one.socket.close)
            one.phone.subscribe(time.monotonic())

        def until(lit: bool, within: float = 25.0) -> None:
            end = time.monotonic() + within
            while not all(one.phone.lit is lit for one in wet):
                assert time.monotonic() < end, [one.phone.lit for one in wet]
                for one in wet:
                    one.work()
                time.sleep(0.01)

        until(False)
        caller, callee, _ = talking(scene)
        presses(callee, "*1")
        for leg in (caller, callee):
            leg.answer(to=leg.expect("INVITE"))
            leg.expect("ACK")
        until(True)
        scene.end(caller, callee)
        until(False)
        for one in wet:
            one.phone.retries = False
            one.phone.ask(time.monotonic(), expires=0)
        end = time.monotonic() + 40.0
        while counted(scene.site)["watched"]:
            assert time.monotonic() < end, counted(scene.site)
            for one in wet:
                one.work()
            time.sleep(0.02)


# --------------------------------------------------------------------------- the end


@needs_linphone
def test_a_server_that_stops_says_so() -> None:
    with (
        running(tables) as site,
        Party(site.at(110), site.server) as proxy,
        Phone(f"{site.server[0]}:5080", "1001", ["private-1001"], password=PASSWORD) as phone,
    ):
        phone.shows("private-1001", False)
        mine = watch(proxy, "private-1001")
        mine.learn(mine.expect(200, "SUBSCRIBE"))
        told(mine)
        os.kill(int((site.home / "ready").read_text()), signal.SIGTERM)
        notify = mine.expect("NOTIFY")
        assert notify.get("Subscription-State") == "terminated;reason=deactivated"
        mine.reply(200, notify)
        phone.hears("terminated", "private-1001")
