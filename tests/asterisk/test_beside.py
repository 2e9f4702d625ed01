"""What Asterisk's manager tells of calls beside a real Asterisk 22: the agent's record key, who is there, alarms."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qm_sip.demo.counter import RtpCounter
from qm_sip.demo.server import COMMAND, TREE
from tests.support import site as sites
from tests.support.house import RECORDER, House
from tests.support.recorded import Row, tap, until
from tests.support.site import ASTERISK, Site

SECRET = "for-the-demo-only"  # of site/manager.conf


@pytest.fixture(scope="module")
def shared_house(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """As everybody's, and its server hears Asterisk's manager."""
    work = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        here = sites.network()
        stack.callback(here.close)
        site = Site(here, work, stack)
        environment = {
            "QM_SIP_ASTERISK_ADDRESS": "127.0.0.1:5038",
            "QM_SIP_ASTERISK_SECRET": SECRET,
            "QM_SIP_ASTERISK_LAMPS": "private,recording",
        }
        house = House(site, site.asterisk(tree), work, environment)
        stack.enter_context(house.server)
        house.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        heard(house)
        yield house


def heard(house: House, seconds: float = 10) -> None:
    until(lambda: house.server.ask("status")["asterisk"] == "heard", seconds, "word of Asterisk's manager")


def count(house: House, name: str) -> int:
    return int(house.server.ask("status")["counts"][name])


def spans(house: House, row: Row) -> list[tuple[str, str]]:
    return [(span["state"], span["reason"]) for span in house.explain(row["call"])["spans"]]


def pass_time(seconds: float) -> None:
    """Real phones talk, or are in the state they have come to, for so long: what the recording or the counters must
    show of it takes its time, and no event says that it is enough.
    """
    time.sleep(seconds)


def is_quiet(counter: RtpCounter) -> bool:
    """No packet in twenty times the distance of two."""
    before = counter.packets(RECORDER)
    time.sleep(0.4)
    return counter.packets(RECORDER) == before


def test_the_agents_record_key_makes_the_call_private(house: House) -> None:
    """#77 is Asterisk's own (applicationmap): no key reaches us, and it would work with direct media too."""
    talk = house.begin()
    with RtpCounter(house.site.network, [RECORDER]) as counter:
        pass_time(1.0)
        talk.called.dtmf("#77", call=talk.called_call)
        until(lambda: count(house, "asterisk_toggles") == 1, 5, "toggle")
        until(lambda: is_quiet(counter), 8, "end of the packets at the recorder")
        before = counter.packets(RECORDER)
        pass_time(0.7)
        assert counter.packets(RECORDER) == before
    talk.end()
    row = house.ended()
    proof = house.server.ask("private_proof", call=row["call"], **{"as": "a1"})
    assert (proof["private"], proof["path"], proof["recorded_after"]) == (True, "direct", 0)
    assert count(house, "asterisk_toggles_ignored") == 0


def test_the_record_key_of_an_agent_who_has_called_a_customer(house: House) -> None:
    """He is the caller of that call: Asterisk has no number of our leg for him, but sees him in its bridge."""
    house.know()
    before = count(house, "asterisk_toggles")
    talk = house.site.connect(house.phone("1001"), "0687654321", house.customer)
    tap(house.server)
    pass_time(1.0)
    talk.caller.dtmf("#77", call=talk.caller_call)
    until(lambda: count(house, "asterisk_toggles") == before + 1, 5, "toggle")
    pass_time(1.0)
    talk.end()
    row = house.ended()
    assert house.server.ask("private_proof", call=row["call"], **{"as": "a1"})["private"]


def test_whoever_picks_up_is_the_agent(house: House) -> None:
    """The customer hears the notice, then 1003's phone rings; 1002 picks it up."""
    for number, step in (
        ("3005", "Dial(PJSIP/1003@qm-sip,40,b(qm-hdr^s^1))"),
        ("8001", "Pickup(1003@from-phones)"),
    ):
        context = "from-phones" if number == "8001" else "from-trunk"
        if number == "3005":
            house.pbx.rx(f"dialplan add extension {number},1,Set(__QM_LINE=sales) into {context}")
        house.pbx.rx(f"dialplan add extension {number},{1 + (number == '3005')},{step} into {context}")
    rings, picks = house.phone("1003", answer_after=None), house.phone("1002")
    house.know()
    since = rings.mark()
    mine = house.customer.call(f"sip:3005@{ASTERISK}")
    rings.wait_for("incoming", 15, since=since)
    theirs = picks.call(f"sip:8001@{ASTERISK}")
    picks.wait_for("confirmed", 5, call=theirs)
    tap(house.server)
    pass_time(1.5)
    house.customer.hangup(call=mine)
    picks.wait_for("disconnected", call=theirs)
    row = house.ended(house.new_calls()[0]["call"])
    people = {party["person"] for party in house.explain(row["call"], **{"as": "o1"})["parties"]}
    assert row["outcome"] == "recorded" and "a2" in people


def lamp(house: House, name: str) -> str:
    """What Asterisk shows whoever subscribes to that hint."""
    return house.pbx.rx(f"core show hint {name}").partition("State:")[2].split()[0]


def test_lamps_show_what_is_also_after_a_crash(house: House) -> None:
    for name in ("rec-1001", "priv-1001"):
        house.pbx.rx(f"dialplan add extension {name},hint,Custom:{name} into from-phones")
    assert (lamp(house, "rec-1001"), lamp(house, "priv-1001")) == ("Idle", "Idle")
    talk = house.begin()
    until(lambda: lamp(house, "rec-1001") == "InUse", 3, "lit lamp")
    talk.called.dtmf("#77", call=talk.called_call)
    until(lambda: lamp(house, "priv-1001") == "InUse", 5, "lit lamp")
    assert lamp(house, "rec-1001") == "Idle"
    house.server.kill()
    assert lamp(house, "priv-1001") == "InUse"  # Asterisk keeps it
    house.server.stop()
    house.server.start()
    until(lambda: lamp(house, "priv-1001") == "Idle", 5, "dark lamp")
    heard(house)
    talk.caller.hang_up_all()
    talk.called.hang_up_all()
    house.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)


def test_three_in_the_agents_phone_are_not_recorded_while_they_are_three(house: House) -> None:
    third = house.phone("1002")
    talk = house.begin()
    pass_time(1.5)
    agent, since = talk.called, third.mark()
    agent.hold(call=talk.called_call)
    second = agent.call(f"sip:1002@{ASTERISK}")
    agent.wait_for("confirmed", call=second)
    theirs = third.wait_for("confirmed", since=since)["call"]
    pass_time(0.5)
    agent.unhold(call=talk.called_call)
    pass_time(1.0)
    agent.hangup(call=second)
    third.wait_for("disconnected", call=theirs)
    pass_time(1.5)
    talk.end()
    row = house.ended(house.new_calls()[0]["call"])
    told = spans(house, row)
    assert ("pause", "conference") in told
    assert [state for state, _ in told].count("recorded") >= 2
    assert told[-1][0] == "recorded"


def test_attended_each_agent_has_a_recording_of_his_own(house: House) -> None:
    """As without the manager: what both tell is one change."""
    asked = house.phone("1002")
    talk = house.begin()
    pass_time(1.5)
    agent, since = talk.called, asked.mark()
    agent.hold(call=talk.called_call)
    second = agent.call(f"sip:1002@{ASTERISK}")
    agent.wait_for("confirmed", call=second)
    asked.wait_for("confirmed", since=since)
    pass_time(0.5)
    agent.transfer_to(second, call=talk.called_call)
    agent.hang_up_all()
    agent.wait_for("disconnected", call=talk.called_call)
    pass_time(1.5)
    talk.caller.hangup(call=talk.caller_call)
    row = house.ended(house.new_calls()[0]["call"])
    assert len(row["recordings"]) == 2, row


def test_asterisk_that_records_by_itself_is_an_alarm(house: House) -> None:
    for module in ("app_mixmonitor.so", "app_chanspy.so"):
        house.pbx.rx(f"module load {module}")
    try:
        talk = house.begin()
        channels = house.pbx.rx("core show channels concise").splitlines()
        phone = next(line.split("!")[0] for line in channels if line.startswith("PJSIP/1001-"))
        house.pbx.rx(f"mixmonitor start {phone} /tmp/x.wav")
        until(lambda: count(house, "asterisk_recorded_by_pbx") == 1, 5, "alarm")
        house.pbx.rx(f"mixmonitor stop {phone}")
        house.pbx.rx("dialplan add extension 8002,1,ChanSpy(PJSIP/1001,q) into from-phones")
        spy = house.phone("1050")
        mine = spy.call(f"sip:8002@{ASTERISK}")
        until(lambda: count(house, "asterisk_heard_by_pbx") == 1, 5, "alarm")
        spy.hangup(call=mine)
        talk.end()
    finally:
        for module in ("app_mixmonitor.so", "app_chanspy.so"):
            house.pbx.rx(f"module unload {module}")
        house.pbx.rx("dialplan remove extension 8002@from-phones")
    row = house.ended(house.new_calls()[0]["call"])
    assert {"recorded-by-pbx", "heard-by-pbx"} <= set(row["reasons"])
    assert "Asterisk itself recorded" in str(house.explain(row["call"]))
    assert "ALARM" in house.server.log.read_text()


def checked(house: House) -> dict[str, str]:
    """What `check --asterisk ami` finds of Asterisk itself: the problem, and where it shows."""
    command = [*COMMAND, "check", "--config", str(house.config), "--asterisk", "ami", "--json"]
    environment = {**os.environ, **house.server.environment, "PYTHONPATH": str(TREE)}
    done = subprocess.run(
        house.site.network.inside(command),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    findings = json.loads(done.stdout)["findings"]
    return {
        one["problem"]: one["file"] for one in findings if "show" in one["file"] or "devstate" in one["file"]
    }


def test_the_check_asks_the_asterisk_that_runs(house: House) -> None:
    """A dialplan that stands in no file, a member without a state of his own, and a lamp of a server that is gone."""
    assert {where.partition("@")[0] for where in checked(house).values()} == {"dialplan show 3901"}
    house.pbx.rx("dialplan add extension 8003,1,MixMonitor(x.wav) into from-trunk")
    house.pbx.rx("queue add member PJSIP/1002@qm-sip to sales")
    house.pbx.rx("devstate change Custom:rec-1001 INUSE")
    house.server.stop()
    try:
        found = checked(house)
    finally:
        house.server.start()
        house.pbx.rx("dialplan remove extension 8003@from-trunk")
        house.pbx.rx("queue remove member PJSIP/1002@qm-sip from sales")
        house.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        heard(house)
    assert len(found) == 4
    for words in ("MixMonitor", "state_interface", "rec-1001 is lit"):
        assert any(words in problem for problem in found), words


def kick(house: House) -> None:
    """End our session, as a reload alone does not."""
    sessions = (line.split() for line in house.pbx.rx("manager show connected").splitlines())
    ours = next(columns for columns in sessions if columns[:1] == ["qm-sip"])
    house.pbx.rx(f"manager kick session {ours[4]}")


def test_the_manager_goes_and_comes_back_in_mid_call(house: House) -> None:
    """The call goes on; nothing is kept while it is away, and then it is recorded again."""
    conf = house.pbx.run_directory / "etc" / "manager.conf"
    whole = conf.read_text()
    talk = house.begin()
    pass_time(1.5)
    try:
        conf.write_text(whole.replace("enabled=yes", "enabled=no"))
        house.pbx.rx("manager reload")
        kick(house)
        away = lambda: house.server.ask("status")["asterisk"].startswith("not heard")  # noqa: E731
        until(away, 15, "loss of Asterisk's manager")
        pass_time(1.0)
    finally:
        conf.write_text(whole)
        house.pbx.rx("manager reload")
    heard(house, 40)
    pass_time(2.0)
    talk.end()
    told = spans(house, house.ended(house.new_calls()[0]["call"]))
    assert ("pause", "pbx-away") in told
    assert told[-1][0] == "recorded"
