"""A supervisor on the phone: the menu, the notice to the agent, what he hears, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import CloseSession, FinishRow, ForgetCall, NoteDecision, NoteSession, OpenSession
from qm_sip.errors import Refused
from qm_sip.media import protocol
from qm_sip.monitor.session import Session, Step
from qm_sip.policy.facts import PersonId, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.test_journeys import answering, ended
from tests.call.test_objection import said
from tests.call.test_private import end, talking
from tests.call.world import NS, SDP, Phone, World

CODE = "246813"
CODES = f"1001#1{CODE}"


def supervisor(world: World, keys: str = CODES, caller: str = "1050") -> Phone:
    """He dials *55 and answers the questions."""
    phone = world.dial("*55", caller=caller, aside=True)
    world.run(0.5)
    world.press(phone, keys)
    world.run(3.0)
    return phone


def opened(world: World) -> list[protocol.OpenTap]:
    return [tap for tap in world.engine.asked(protocol.OpenTap) if tap.use == "listen"]


def test_the_agent_is_told_before_the_first_sample_is_heard() -> None:
    world = talking()
    phone = supervisor(world)
    (tap,) = opened(world)
    assert tap.purposes == ["coaching"] and tap.notice
    notices = [play for play in world.engine.asked(protocol.Play) if play.for_tap == tap.tap]
    assert [play.leg for play in notices] == ["callee"]
    commands = world.engine.commands
    assert commands.index(notices[0]) < commands.index(tap)
    assert said(world, "S1") and said(world, "S2")
    before = len(phone.heard)
    world.run(1.0)
    assert len(phone.heard) >= before + 45  # at the pace of his phone
    (row,) = world.keeper.said(OpenSession)
    assert row.row.allowed and row.row.agent == "a1" and row.row.monitor == "m1"
    world.hang_up(phone)
    world.run(0.5)
    end(world)
    (closed,) = world.keeper.said(CloseSession)
    assert closed.ended_by == "listener" and closed.heard_ms > 1000
    noted = world.keeper.said(NoteSession)
    assert noted[0].notice_ended is not None and noted[1].first is not None
    assert noted[1].first >= noted[0].notice_ended


def test_nobody_hears_the_listener() -> None:
    world = talking()
    phone = supervisor(world)
    spoken = {f"{phone.session & 0xFFFF:08x}"}
    for party in (world.caller, world.agent):
        assert party is not None
        assert not [data for data in party.heard if data[8:12].hex() in spoken]
    world.hang_up(phone)
    end(world)


def test_private_and_objected_end_it_and_sound_the_same_as_a_call_that_ends() -> None:
    causes = []
    for happening in ("private", "objection", "hang-up"):
        world = talking()
        phone = supervisor(world)
        assert world.agent is not None
        if happening == "private":
            world.press(world.agent, "*1")
        elif happening == "objection":
            world.press(world.caller, "*9")
        else:
            world.hang_up(world.caller)
        world.run(3.0)
        assert len(said(world, "S4")) == 1, happening
        assert phone.gone
        causes.append(world.keeper.said(CloseSession)[0].ended_by)
        end(world)
    assert causes == ["private", "objected", "call-ended"]  # written down, and never said


def test_hold_interrupts_and_the_end_of_it_goes_on() -> None:
    world = talking()
    phone = supervisor(world)
    world.hold(world.caller, Direction.SENDONLY)
    world.run(2.0)
    assert said(world, "S3")
    world.hold(world.caller, Direction.SENDRECV)
    world.run(2.0)
    assert len(opened(world)) == 1
    world.hang_up(phone)
    end(world)
    (closed,) = world.keeper.said(CloseSession)
    assert 1000 < closed.heard_ms < 5000  # without the two seconds of hold


def refusal(world: World, keys: str = CODES, caller: str = "1050") -> set[str]:
    """Which of the W texts he heard."""
    phone = supervisor(world, keys, caller)
    world.run(25.0)
    assert phone.gone
    return {f"W{number}" for number in range(1, 14) if said(world, f"W{number}")}


def test_who_is_refused_hears_why_and_no_tap_is_asked_for() -> None:
    for keys, caller, heard in (
        (CODES, "1003", {"W1"}),  # his phone is no monitor's
        ("1777#1" + CODE, "1050", {"W1"}),  # nobody's extension
        ("1001#1999999", "1050", {"W2"}),
        ("1001#2" + CODE, "1050", {"W3"}),  # not granted for assessment
    ):
        world = talking()
        assert refusal(world, keys, caller) & {"W1", "W2", "W3"} >= heard, keys
        assert not opened(world)
        end(world)


def test_idle_private_and_objected_sound_the_same() -> None:
    idle = World()
    answering(idle)
    private = talking()
    assert private.agent is not None
    private.press(private.agent, "*1")
    private.run(3.0)
    objected = talking()
    objected.press(objected.caller, "*9")
    objected.run(3.0)
    assert refusal(idle) == refusal(private) == refusal(objected) == {"W7", "W13"}
    assert not said(objected, "S1")


def test_he_may_wait_for_the_next_call_and_the_agent_is_told_when_it_begins() -> None:
    world = World()
    answering(world)
    phone = supervisor(world)
    world.press(phone, "1")
    world.run(2.0)
    assert said(world, "S1") and not opened(world)
    world.dial("1001", line="sales")
    world.run(5.0)
    (tap,) = opened(world)
    notices = [play for play in world.engine.asked(protocol.Play) if play.for_tap == tap.tap]
    assert len(notices) == 1
    world.hang_up(phone)
    end(world)


def test_a_customer_who_was_not_told_of_listening_is_not_listened_to() -> None:
    world = talking(line="support")  # its notice names recording only
    assert refusal(world) & {"W3", "W8"}
    assert not opened(world)
    end(world)


def test_the_recording_does_not_notice_the_listener() -> None:
    world = talking()
    phone = supervisor(world)
    world.run(2.0)
    world.hang_up(phone)
    world.run(1.0)
    end(world)
    assert [span.state for span in world.outcomes()[0].spans][-1] is SpanState.RECORDED
    assert len(world.recordings()[0]) == 1


def test_a_dead_engine_ends_the_session() -> None:
    world = talking()
    phone = supervisor(world)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(1.0)
    assert phone.gone
    end(world)
    assert world.keeper.said(CloseSession)
    ended(world)
    assert NS


def test_it_ends_when_another_agent_takes_over() -> None:
    world = talking()
    phone = supervisor(world)
    assert world.agent is not None and opened(world)
    world.becomes(world.agent, "1002")
    world.run(2.0)
    assert phone.gone and world.keeper.said(CloseSession)[0].ended_by == "agent-changed"
    end(world)


def test_a_session_that_cannot_be_written_down_does_not_begin() -> None:
    world = talking()
    world.keeper.fails = True
    phone = supervisor(world)
    world.run(3.0)
    assert phone.gone and not opened(world)
    end(world)


def test_keys_as_info_are_keys_too() -> None:
    world = talking()
    for key in ("*", "9"):
        body = f"Signal={key}\r\nDuration=160".encode()
        kind = [("Content-Type", "application/dtmf-relay")]
        world.pbx.request(world.caller.leg, "INFO", kind, body, now=world.now)
        world.run(0.2)
    world.run(1.0)
    assert said(world, "K15")
    end(world)


def test_when_the_server_stops_who_waits_is_told_and_who_listens_hears_the_call_to_its_end() -> None:
    world = World()
    answering(world)
    waiting = supervisor(world)
    world.press(waiting, "1")
    world.run(1.0)
    world.features.room.nobody_waits(world.now)
    world.run(2.0)
    assert waiting.gone and said(world, "S4") and not world.switchboard.busy
    talks = talking()
    phone = supervisor(talks)
    talks.features.room.nobody_waits(talks.now)
    talks.run(2.0)
    assert not phone.gone
    end(talks)
    assert phone.gone and not talks.switchboard.busy


@pytest.mark.parametrize("ends", ["hangs up", "hangs up on hold", "engine dies"])
def test_the_last_moment_that_may_have_been_heard_is_known_however_it_ends(ends: str) -> None:
    world = talking()
    phone = supervisor(world)
    world.run(2.0)
    latest = world.now
    if ends == "engine dies":
        world.engine.dead = True
        world.switchboard.engine_died(world.now)
    else:
        if ends == "hangs up on hold":
            world.hold(world.caller, Direction.SENDONLY)
            world.run(5.0)
        world.hang_up(phone)
    world.run(0.5)
    (closed,) = world.keeper.said(CloseSession)
    assert closed.last is not None  # without it no notice would be due afterwards (FAQ-A.8)
    assert latest - 0.3 < closed.last < latest + 0.5
    end(world)


def test_it_does_not_begin_with_another_agent_who_took_over_while_he_was_still_told_what_comes() -> None:
    world = talking()
    phone = world.dial("*55", caller="1050", aside=True)
    world.run(0.5)
    world.press(phone, CODES)
    while not said(world, "S1"):
        world.run(0.01)
    assert world.agent is not None
    world.becomes(world.agent, "1002")  # whom nobody asked about: his plan, his cap, his notice
    world.run(3.0)
    assert phone.gone and said(world, "W7") and not opened(world)
    assert not [play for play in world.engine.asked(protocol.Play) if play.for_tap]
    end(world)


def invited(world: World) -> tuple[Session, Phone]:
    """`qm-sip monitor start`: his phone rings."""
    session = world.features.call_monitor(PersonId("m1"), "1001", "coaching", world.now)
    world.run(1.0)
    assert world.agent is not None and not world.agent.gone
    return world.features.room.sessions[session], world.agent


def test_stopped_while_his_phone_rings_it_stops_ringing() -> None:
    world = World()
    session, phone = invited(world)
    world.features.room.nobody_waits(world.now)  # the server is told to stop, and waits for everybody to go
    world.run(1.0)
    assert phone.gone and not world.features.room.sessions and not world.switchboard.busy
    world.settle()
    assert session.step is Step.ENDING and (world.ua.legs, world.pbx.legs) == (0, 0)


@pytest.mark.parametrize("answers", ["crossing", "without audio"])
def test_an_answer_that_nobody_can_use_leaves_no_leg_behind(answers: str) -> None:
    world = World()
    session, phone = invited(world)
    phone.up = True
    body = phone.sdp() if answers == "crossing" else phone.sdp().replace(b"RTP/AVP", b"RTP/SAVP")
    world.pbx.answer(phone.leg, body, headers=[SDP], now=world.now)
    if answers == "crossing":
        session.stop("stopped", world.now)
    world.run(2.0)
    assert phone.gone and not world.features.room.sessions
    world.settle()
    assert (world.ua.legs, world.pbx.legs) == (0, 0)


def capped(world: World, sessions: int, minutes: int = 30) -> None:
    """Every plan has room for this many a month."""
    config, library = world.switchboard.settings
    plans = {
        name: plan.model_copy(update={"live_sessions": sessions, "live_minutes": minutes})
        for name, plan in config.regulation.plan.items()
    }
    regulation = config.regulation.model_copy(update={"plan": plans})
    world.settings = world.switchboard.settings = Settings(replace(config, regulation=regulation), library)


@pytest.mark.parametrize("sessions", [1, 2])
def test_two_who_ask_in_the_same_instant_share_the_cap(sessions: int) -> None:
    world = talking()
    capped(world, sessions)
    phones = [world.dial("*55", caller="1050", aside=True) for _ in range(2)]
    world.run(0.5)
    for phone in phones:
        world.press(phone, CODES)
    world.run(10.0)
    assert len(opened(world)) == sessions
    assert len(said(world, "W5")) == 2 - sessions
    assert [row.row.allowed for row in world.keeper.said(OpenSession)].count(True) == sessions
    end(world)


def withdrawn(world: World) -> None:
    """people.toml without him is read again."""
    config, library = world.switchboard.settings
    others = {name: one for name, one in config.people.monitor.items() if name != "m1"}
    people = config.people.model_copy(update={"monitor": others})
    world.settings = world.switchboard.settings = Settings(replace(config, people=people), library)
    world.features.room.reloaded(world.now)


def test_a_grant_that_is_withdrawn_while_he_listens_ends_it_at_once() -> None:
    world = talking()
    phone = supervisor(world)
    assert opened(world)
    withdrawn(world)
    world.run(2.0)
    assert phone.gone and said(world, "S4")
    assert world.keeper.said(CloseSession)[0].ended_by == "not-allowed-any-more"
    assert not [session for session in world.features.room.sessions.values() if session.tap(world.now)]
    end(world)


@pytest.mark.parametrize("keys", ["", "1001#1", CODES])
def test_a_grant_that_is_withdrawn_before_gives_him_nothing(keys: str) -> None:
    world = World()
    answering(world)
    phone = supervisor(world, keys)
    world.press(phone, "1")
    world.run(0.5)
    withdrawn(world)
    world.press(phone, CODES[len(keys) :])
    world.run(3.0)
    world.dial("1001", line="sales")
    world.run(25.0)
    assert phone.gone and not opened(world) and not world.features.room.sessions
    end(world)


def test_a_reload_that_takes_nothing_from_him_changes_nothing() -> None:
    world = talking()
    phone = supervisor(world)
    world.features.room.reloaded(world.now)
    world.run(2.0)
    assert not phone.gone and not said(world, "S4")
    world.hang_up(phone)
    end(world)


def test_the_agent_hears_that_nobody_listens_any_more_when_nobody_does() -> None:
    world = talking()
    first, second = supervisor(world), supervisor(world)
    assert len(opened(world)) == 2
    over = world.settings.library.tone("T-A12")
    assert over is not None
    heard = []
    for phone in (first, second):
        world.hang_up(phone)
        world.run(1.0)
        heard.append(len([p for p in world.engine.asked(protocol.Play) if p.prompt == over.digest]))
    assert heard == [0, 1]
    end(world)


@pytest.mark.parametrize("heard", [True, False])
def test_who_was_listened_to_before_the_call_became_confidential_stays_in_the_books(heard: bool) -> None:
    world = World()
    config, library = world.switchboard.settings
    sales = config.lines.line["sales"].model_copy(update={"capture": "none"})  # listened to, not recorded
    lines = config.lines.model_copy(update={"line": {**config.lines.line, "sales": sales}})
    world.settings = world.switchboard.settings = Settings(replace(config, lines=lines), library)
    answering(world)
    world.dial("1001", line="sales")
    world.run(5.0)
    phone = supervisor(world) if heard else None
    assert world.agent is not None and bool(opened(world)) is heard
    world.becomes(world.agent, "1900")
    world.run(2.0)
    assert phone is None or phone.gone
    end(world)
    assert bool(world.keeper.said(ForgetCall)) is not heard
    assert len(world.keeper.said(FinishRow)) == heard and world.confidential() == 1
    named = {word.call for word in world.keeper.said(NoteSession) if word.call}
    assert named == {row.call for row in world.outcomes()}  # no session of a call that has no row


def up_to_s1(world: World) -> Phone:
    """He has just begun to hear that he will listen."""
    phone = world.dial("*55", caller="1050", aside=True)
    world.run(0.5)
    world.press(phone, CODES)
    for _ in range(200):
        if said(world, "S1"):
            return phone
        world.run(0.02)
    raise AssertionError("S1 was never said")


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("happening", ["hang-up", "confidential"])
def test_a_call_that_is_over_before_his_first_sentence_is(held: bool, happening: str) -> None:
    world = talking()
    assert world.agent is not None
    if held:
        world.hold(world.caller, Direction.SENDONLY)
        world.run(0.5)
    phone = up_to_s1(world)
    decided = len(world.keeper.said(NoteDecision))
    if happening == "confidential":
        world.becomes(world.agent, "1900")
    else:
        world.hang_up(world.caller)
    world.run(8.0)
    assert not opened(world) and phone.gone and not world.features.room.sessions
    assert len(world.keeper.said(NoteDecision)) == decided
    end(world)


def test_minutes_that_were_given_to_one_are_not_given_to_another() -> None:
    world = talking()
    capped(world, 2, minutes=3)
    phones = [world.dial("*55", caller="1050", aside=True) for _ in range(2)]
    world.run(0.5)
    for phone in phones:
        world.press(phone, CODES)
    world.run(20.0)
    sessions = world.features.room.sessions.values()
    assert sum(session.budget for session in sessions) <= 3 * 60
    world.run(4 * 60)
    assert all(phone.gone for phone in phones)
    heard = sum(word.heard_ms for word in world.keeper.said(CloseSession))
    assert 2 * 60_000 < heard <= 3 * 60_000 + 1000
    end(world)


def test_an_engine_that_dies_as_it_lets_a_listener_go_holds_no_call() -> None:
    world = talking()
    supervisor(world)
    world.engine.dead = True  # its last words are lost
    world.hang_up(world.caller)
    world.run(0.5)
    world.switchboard.engine_died(world.now)
    world.run(2.0)
    assert not list(world.switchboard) and not world.features.room.sessions
    assert len(world.outcomes()) == 1
    ended(world)


def test_the_agent_who_takes_over_does_not_hear_that_somebody_listened_to_the_other() -> None:
    world = talking()
    supervisor(world)
    assert world.agent is not None and opened(world)
    world.becomes(world.agent, "1002")
    world.run(2.0)
    over = world.settings.library.tone("T-A12")
    assert over is not None and world.keeper.said(CloseSession)[0].ended_by == "agent-changed"
    assert not [play for play in world.engine.asked(protocol.Play) if play.prompt == over.digest]
    end(world)


def test_without_an_engine_no_phone_is_called_for_nothing() -> None:
    world = World()
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    with pytest.raises(Refused, match="engine"):
        world.features.call_monitor(PersonId("m1"), "1001", "coaching", world.now)
    assert not world.features.room.sessions and not world.switchboard.services
