"""One connection to the manager: login, the look around, signs of life, and how late an event is."""

from __future__ import annotations

import hashlib

import pytest

from qm_sip.asterisk.manager import LATE, PING, SILENCE, Account, Around, Booted, Manager, State, Told
from qm_sip.asterisk.message import AmiError, Message
from qm_sip.private import Private
from tests.beside.streams import stream

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
ACCOUNT = Account("qm-sip", Private("the secret"))


def sent(manager: Manager) -> list[dict[str, str]]:
    """The actions it wants to send."""
    return [
        dict(line.split(": ", 1) for line in action.split("\r\n"))
        for action in manager.take().decode().split("\r\n\r\n")
        if action
    ]


def text(**fields: str) -> bytes:
    return "".join(f"{key}: {value}\r\n" for key, value in fields.items()).encode() + b"\r\n"


def logged_in(account: Account = ACCOUNT, now: float = 0.0) -> Manager:
    manager = Manager(account, now)
    manager.receive(GREETING, now)
    if not account.plain:
        (challenge,) = sent(manager)
        manager.receive(text(Response="Success", Challenge="123", ActionID=challenge["ActionID"]), now)
    return manager


def up(ahead: float | None = 0.0, now: float = 100.0) -> Manager:
    """It has looked around; Asterisk's clock is that much ahead of ours, or stamps nothing."""
    manager = logged_in(now=now)
    (login,) = sent(manager)
    manager.receive(text(Response="Success", ActionID=login["ActionID"]), now)
    manager.advance(now)
    around, ping = sent(manager)
    stamp = {"Timestamp": f"{now + ahead:.6f}"} if ahead is not None else {}
    manager.receive(text(Response="Success", Ping="Pong", ActionID=ping["ActionID"], **stamp), now)
    manager.receive(text(Response="Success", ActionID=around["ActionID"], EventList="start"), now)
    item = text(Event="CoreShowChannel", ActionID=around["ActionID"], Channel="PJSIP/1-1", Uniqueid="1.1")
    assert manager.receive(item, now) == []
    end = text(Event="CoreShowChannelsComplete", ActionID=around["ActionID"], EventList="Complete")
    (seen,) = manager.receive(end, now)
    assert isinstance(seen, Around) and len(seen.channels) == 1
    assert manager.up
    return manager


def test_the_secret_is_shown_by_md5_and_never_sent() -> None:
    manager = Manager(ACCOUNT, 0.0)
    manager.receive(GREETING, 0.0)
    assert sent(manager) == [{"Action": "Challenge", "AuthType": "MD5", "ActionID": "1"}]
    manager.receive(text(Response="Success", Challenge="123", ActionID="1"), 0.0)
    data = manager.take()
    assert b"the secret" not in data
    assert hashlib.md5(b"123the secret").hexdigest().encode() in data


def test_over_tls_it_may_be_sent() -> None:
    (login,) = sent(logged_in(Account("qm-sip", Private("the secret"), plain=True)))
    assert login["Action"] == "Login" and login["Secret"] == "the secret"


def test_a_refused_login_ends_it_and_says_so() -> None:
    manager = logged_in()
    (login,) = sent(manager)
    with pytest.raises(AmiError, match="user or secret"):
        manager.receive(text(Response="Error", ActionID=login["ActionID"]), 0.0)


def test_who_may_not_look_around_is_told_which_right_he_lacks() -> None:
    manager = logged_in()
    (login,) = sent(manager)
    manager.receive(text(Response="Success", ActionID=login["ActionID"]), 0.0)
    (around,) = sent(manager)
    with pytest.raises(AmiError, match="reporting"):
        manager.receive(text(Response="Error", ActionID=around["ActionID"]), 0.0)


def test_nothing_is_believed_before_the_login() -> None:
    manager = Manager(ACCOUNT, 0.0)
    assert manager.receive(GREETING + text(Event="Hangup", Uniqueid="1.1"), 0.0) == []
    assert not manager.ask([("Action", "Ping")])


def test_silence_ends_it_in_every_state() -> None:
    for manager, now in ((Manager(ACCOUNT, 0.0), 0.0), (logged_in(), 0.0), (up(), 100.0)):
        manager.advance(now + PING)
        with pytest.raises(AmiError, match="answer"):
            manager.advance(now + SILENCE)


def test_a_ping_keeps_it_alive() -> None:
    manager, now = up(), 100.0
    for _ in range(10):
        now += PING
        manager.advance(now)
        (ping,) = sent(manager)
        manager.receive(text(Response="Success", Ping="Pong", ActionID=ping["ActionID"]), now)
    assert manager.state is State.UP


@pytest.mark.parametrize("ahead", [0.0, 1_700_000_000.0, -50.0])
def test_how_late_an_event_is_is_told_by_its_stamp_whatever_asterisks_clock_says(ahead: float) -> None:
    manager = up(ahead)
    for delay, late in ((0.0, False), (LATE / 2, False), (LATE * 2, True)):
        (told,) = manager.receive(text(Event="Hold", Timestamp=f"{100.0 + ahead:.6f}"), 100.0 + delay)
        assert isinstance(told, Told) and told.late is late


@pytest.mark.parametrize("stamp", ["", "never", "nan", "inf", "-inf"])
def test_what_bears_no_time_is_late(stamp: str) -> None:
    (told,) = up().receive(text(Event="Hold", Timestamp=stamp), 100.0)
    assert isinstance(told, Told) and told.late


def test_without_an_answer_to_our_ping_everything_is_late() -> None:
    (told,) = up(None).receive(text(Event="Hold", Timestamp="100.0"), 100.0)
    assert isinstance(told, Told) and told.late


def test_a_restart_of_asterisk_is_told_and_its_end_ends_the_connection() -> None:
    assert up().receive(text(Event="FullyBooted"), 100.0) == [Booted()]
    with pytest.raises(AmiError, match="stopped"):
        up().receive(text(Event="Shutdown"), 100.0)


def test_an_answer_reaches_whoever_asked_and_only_once() -> None:
    manager, answers = up(), list[Message]()
    assert manager.ask([("Action", "Setvar"), ("Variable", "X")], answers.append)
    (asked,) = sent(manager)
    for _ in range(3):
        manager.receive(text(Response="Success", ActionID=asked["ActionID"]), 100.0)
    assert len(answers) == 1


def test_the_real_streams_events_come_through_in_order() -> None:
    manager, name = up(), "attended"
    told = [one for one in (manager.receive(_bytes(m), 100.0) for m in stream(name)) if one]
    events = [one.message.event for (one,) in told if isinstance(one, Told)]
    assert events.index("AttendedTransfer") > events.index("Hold") > events.index("BridgeEnter")


def _bytes(message: Message) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in message.fields).encode() + b"\r\n"
