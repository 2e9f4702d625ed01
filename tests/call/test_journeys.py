"""Whole calls, each a script: who dials, who answers, what is heard, what is kept."""

from __future__ import annotations

import pytest

from qm_sip.call.states import State
from qm_sip.call.switchboard import Settings
from qm_sip.call.words import (
    CountConfidential,
    DestroyRecording,
    FinishRow,
    ForgetCall,
    KeeperEvent,
    LoseRecording,
    NoteDecision,
    OpenRecording,
    RecordingOpened,
    Word,
)
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome, SpanState
from qm_sip.sip.sdp import Direction
from tests.call.world import NS, PBX, PROMPT_SECONDS, QM, Phone, World
from tests.media.helpers import RECIPIENT, open_journal


def answering(world: World, after: float = 0.5, identity: str = "1001") -> None:
    """The called phone rings and then answers."""

    def ring(phone: Phone) -> None:
        world.pbx.provisional(phone.leg, 180, now=world.now)
        world.later(after, lambda: None if phone.gone else world.answer(phone, identity))

    world.on_ringing = ring


def kept(world: World, call: str = "") -> list[tuple[int, float]]:
    """(channel, arrival in seconds) of every packet in any journal that is left, of one call or of all: what a cut
    covers does not count.
    """
    journals, keys = world.engine.sim.journals(), world.engine.sim.keys()
    destroyed = {word.recording for word in world.keeper.said(DestroyRecording)}
    found = []
    others = {word.recording for word in world.keeper.said(OpenRecording) if call and word.call != call}
    for tap, data in journals.items():
        if tap in destroyed | others:
            continue
        journal = open_journal(data, keys[tap])
        for packet in journal.packets:
            if not any(begin <= packet[5] <= end for begin, end in journal.cuts):
                found.append((packet[0], packet[5] / NS))
    return found


def states(world: World) -> list[SpanState]:
    return [span.state for span in world.outcomes()[0].spans]


def ended(world: World) -> None:
    """Both sides have forgotten the call, and it has one outcome."""
    world.settle()
    assert (world.ua.legs, world.pbx.legs, len(world.switchboard.calls)) == (0, 0, 0)


def test_behind_a_queue_the_customer_is_told_when_the_agent_answers_and_then_recorded() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(4.0)
    assert next(iter(world.switchboard)).state is State.TALKING
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    (row,) = world.outcomes()
    assert row.outcome is Outcome.RECORDED
    assert states(world) == [SpanState.UNTOLD, SpanState.TOLD, SpanState.RECORDED]
    (opened,), closed = world.recordings()
    assert opened.agent is not None and opened.agent.person == "a1"
    assert len(closed) == 1
    told = opened.told[0]
    assert told.ended - told.began == pytest.approx(PROMPT_SECONDS, abs=0.03)
    packets = kept(world)
    assert {channel for channel, _ in packets} == {0, 1}
    assert min(at for _, at in packets) >= told.ended + 0.2


def test_before_ring_the_agents_phone_rings_only_when_the_customer_has_been_told() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="support")
    world.run(PROMPT_SECONDS - 0.1)
    assert world.agent is None and customer.up
    world.run(4.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


def test_outbound_the_customer_is_the_callee_and_is_told_when_he_answers() -> None:
    world = World()
    answering(world, identity="")
    agent = world.dial("0201234567", line="outbound", caller="1001")
    world.run(4.0)
    world.hang_up(agent)
    world.run(0.5)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED
    (play,) = [play for play in world.engine.asked(protocol.Play) if not play.overlay]
    assert play.leg == "callee"


@pytest.mark.parametrize("number", ["1900", "112"])
def test_a_confidential_or_emergency_call_opens_no_socket_and_leaves_no_row(number: str) -> None:
    world = World()
    answering(world, identity="")
    before = len(world.engine.commands)
    customer = world.dial(number, line="sales")
    world.run(2.0)
    assert customer.target == ("127.0.0.11", world.agent.port) if world.agent else False
    assert world.ua.legs == 2 and world.switchboard.legs_shown == 0
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert world.engine.commands[before:] == []
    assert len(world.keeper.words) == world.confidential() == (1 if number == "1900" else 0)


def test_a_colleague_and_an_unlisted_number_go_direct_and_are_bypassed() -> None:
    for number, caller in (("1003", "1001"), ("2222", "0612345678")):
        world = World()
        answering(world, identity="")
        customer = world.dial(number, caller=caller)
        world.run(2.0)
        world.hang_up(customer)
        world.run(0.5)
        ended(world)
        assert world.outcomes()[0].outcome is Outcome.BYPASSED
        assert not world.engine.asked(protocol.OpenCall)


def test_hung_up_during_the_announcement_nothing_is_kept_and_the_reason_says_so() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="support")
    world.run(PROMPT_SECONDS / 2)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    (row,) = world.outcomes()
    assert row.outcome is Outcome.BLOCKED
    assert [reason.code for reason in row.reasons] == ["announcement-not-completed"]
    assert not world.engine.asked(protocol.OpenTap)


def test_what_is_said_on_hold_is_not_kept() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    began = world.now
    world.hold(customer, Direction.SENDONLY)
    world.run(1.0)
    finished = world.now
    world.hold(customer, Direction.SENDRECV)
    world.run(2.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert SpanState.HOLD in states(world)
    arrivals = [at for _, at in kept(world)]
    assert not [at for at in arrivals if began + 0.01 < at < finished]
    assert [at for at in arrivals if at > finished + 0.3]


def test_a_transfer_to_another_agent_closes_one_recording_and_opens_the_next() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    world.becomes(world.agent, "1002")
    world.run(2.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    opened, closed = world.recordings()
    assert [recording.agent.person for recording in opened] == ["a1", "a2"]
    assert len(closed) == 2


def test_a_transfer_while_the_customer_is_on_hold_is_recorded_from_its_end_on() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    world.hold(world.agent, Direction.SENDONLY)
    world.run(0.5)
    world.becomes(world.agent, "1002")
    world.run(0.5)
    resumed = world.now
    world.hold(world.agent, Direction.SENDRECV)
    world.run(2.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    opened, closed = world.recordings()
    assert [recording.agent.person for recording in opened] == ["a1", "a2"]
    assert len(closed) == 2
    assert states(world)[-2:] == [SpanState.TOLD, SpanState.RECORDED]
    assert max(at for _, at in kept(world)) > resumed + 1.0


def test_a_transfer_to_somebody_who_may_not_be_recorded_ends_the_recording() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    moved = world.now
    world.becomes(world.agent, "1003")
    world.run(2.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert max(at for _, at in kept(world)) < moved + 0.01
    assert states(world)[-1] is SpanState.REFUSED


def test_a_transfer_to_the_works_council_closes_every_socket_at_once() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    moved = world.now
    world.becomes(world.agent, "1900")
    world.run(0.2)
    assert isinstance(world.engine.commands[-1], protocol.CloseCall)
    assert customer.target == (world.agent.host, world.agent.port)
    assert world.agent.target == (customer.host, customer.port)
    row_ended = world.outcomes()[0].ended
    assert row_ended == pytest.approx(moved, abs=0.05)
    world.run(1.0)
    world.hang_up(customer)
    ended(world)
    assert len(world.outcomes()) == 1 and world.confidential() == 1
    assert max(at for _, at in kept(world)) < moved + 0.01


def joined(world: World) -> bool:
    """Each of the two sends to the other, and nothing comes here."""
    customer, agent = world.caller, world.agent
    assert agent is not None
    return (customer.target, agent.target) == ((agent.host, agent.port), (customer.host, customer.port))


@pytest.mark.parametrize(
    ("line", "agent", "after", "side"),
    [
        ("sales", "1900", 3.0, None),  # the works council itself answers: its 200 says so
        ("support", "1900", 3.0, None),
        ("sales", "1001", 0.7, "agent"),  # while the prompt plays
        ("support", "1001", 0.2, "caller"),
        ("support", "1001", 0.7, "caller"),  # while the agent's phone rings
    ],
)
def test_who_is_confidential_before_anything_was_kept_leaves_no_row_and_hears_the_other(
    line: str, agent: str, after: float, side: str | None
) -> None:
    world = World()
    answering(world, identity=agent)
    customer = world.dial("1001", line=line)
    world.run(after)
    if side:
        world.becomes(getattr(world, side), "1900")
    world.run(3.0)
    assert joined(world)
    assert world.ua.legs == 2 and world.switchboard.legs_shown == 0
    world.becomes(world.agent or customer, "1002")  # and handed on: nothing is written of that either
    world.becomes(customer, "0687654321")
    world.run(0.5)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert isinstance(world.keeper.words[-1], ForgetCall) and world.confidential() == 1
    assert not world.outcomes() and not world.engine.asked(protocol.OpenTap)


@pytest.mark.parametrize(("line", "after"), [("sales", 0.7), ("support", 0.2)])
def test_another_customer_while_the_prompt_plays_still_gets_his_agent(line: str, after: float) -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line=line)
    world.run(after)
    world.becomes(customer, "0687654321")
    world.run(2.0)
    assert next(iter(world.switchboard)).state is State.TALKING
    assert world.engine.asked(protocol.Bridge)
    world.hang_up(customer)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.BLOCKED
    assert not world.engine.asked(protocol.OpenTap)


def test_the_row_of_what_was_kept_before_does_not_say_that_it_became_confidential() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    world.becomes(world.agent, "1900")
    world.run(0.5)
    said = len(world.keeper.words)
    world.becomes(world.agent, "1002")
    world.becomes(customer, "0687654321")
    world.run(0.5)
    world.hang_up(customer)
    ended(world)
    assert len(world.keeper.words) == said
    assert "confidential" not in repr([word for word in world.keeper.words if word != CountConfidential()])


@pytest.mark.parametrize(
    ("asserted", "caller"),
    [
        ("<sip:0201234567@127.0.0.1>, <tel:1900>", "0201234567"),  # RFC 3325 9.1: one SIP and one tel URI
        ("<sip:0201234567@127.0.0.1>", "1900"),  # the firm's number is shown for his
    ],
)
def test_whoever_the_caller_is_by_any_of_his_names_is_looked_at(asserted: str, caller: str) -> None:
    world = World()
    answering(world, identity="")
    customer = world.dial("1001", line="sales", caller=caller, asserted=asserted)
    world.run(2.0)
    assert joined(world)
    world.hang_up(customer)
    ended(world)
    assert world.keeper.words == [CountConfidential()]


def test_an_engine_that_dies_while_it_closes_a_journal_holds_no_call() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    world.engine.dead = True  # its last words are lost
    world.hang_up(customer)
    world.run(0.5)
    assert [call.state for call in world.switchboard] == [State.CLOSING]
    world.switchboard.engine_died(world.now)
    ended(world)
    assert [type(word) for word in world.keeper.words[-2:]] == [LoseRecording, FinishRow]


def test_when_the_engine_dies_the_two_are_joined_directly() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(0.5)
    assert world.agent is not None
    assert customer.target == (world.agent.host, world.agent.port)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    (row,) = world.outcomes()
    assert row.outcome is Outcome.FAILED
    assert "engine-failed" in [reason.code for reason in row.reasons]


def test_when_the_catalog_cannot_be_written_the_call_goes_on_unrecorded() -> None:
    world = World()
    world.keeper.fails = True
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert customer.up and not customer.gone
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert not world.engine.asked(protocol.OpenTap)
    assert world.outcomes()[0].outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"v=0\r\no=- 1 1 IN IP4 127.0.0.20\r\ns=-\r\nt=0 0\r\n", 488),
        (b"this is no session description", 488),
    ],
)
def test_an_offer_without_audio_or_without_sense_gets_488(body: bytes, status: int) -> None:
    world = World()
    world.dial("1001", line="sales", body=body)
    world.run(0.5)
    assert world.rejected == [status]
    ended(world)


@pytest.mark.parametrize(
    ("place", "formats", "why"),
    [
        (
            b"127.0.0.20",
            b"18 97\r\na=rtpmap:18 G729/8000\r\na=rtpmap:97 AMR-WB/16000",
            "codec-not-recordable",
        ),
        (b"media.example", b"8", "media-address"),
    ],
)
def test_media_that_cannot_be_recorded_goes_direct_and_says_why(
    place: bytes, formats: bytes, why: str
) -> None:
    world = World()
    answering(world)
    body = (
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.20\r\ns=-\r\nc=IN IP4 %b\r\nt=0 0\r\nm=audio 4000 RTP/AVP %b\r\n"
    ) % (place, formats)
    customer = world.dial("1001", line="sales", body=body)
    world.run(2.0)
    world.hang_up(customer)
    ended(world)
    (row,) = world.outcomes()
    assert row.outcome is Outcome.BLOCKED
    assert [reason.code for reason in row.reasons] == [why]


@pytest.mark.parametrize("line", ["sales", "support"])
def test_a_late_offer_is_answered_in_the_ack_and_recorded(line: str) -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line=line, body=None)
    world.run(4.0)
    world.hang_up(customer)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED


@pytest.mark.parametrize("line", ["sales", "support"])
def test_a_late_offer_to_who_turns_out_to_be_confidential_goes_direct(line: str) -> None:
    world = World()
    answering(world, identity="1900")
    customer = world.dial("1001", line=line, body=None)
    world.run(4.0)
    assert joined(world)
    world.hang_up(customer)
    ended(world)
    assert not world.outcomes()


def test_a_busy_agent_and_a_caller_who_gives_up() -> None:
    world = World()
    world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 486, now=world.now)
    world.dial("1001", line="sales")
    world.run(1.0)
    assert world.rejected == [486]
    ended(world)
    world = World()
    world.on_ringing = lambda phone: world.pbx.provisional(phone.leg, 180, now=world.now)
    customer = world.dial("1001", line="sales")
    world.run(1.0)
    world.hang_up(customer)
    world.run(1.0)
    assert world.agent is not None and world.agent.gone
    ended(world)
    assert [reason.code for reason in world.outcomes()[0].reasons] == ["not-answered"]


def test_a_session_refresh_is_answered_here_and_changes_nothing() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    asked = len(world.engine.commands)
    customer.version -= 1  # the same description again
    world.hold(customer, Direction.SENDRECV)
    world.run(0.5)
    assert customer.offers_answered == 1
    assert len(world.engine.commands) == asked


def test_a_new_customer_on_the_line_has_not_been_told() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    moved = world.now
    world.becomes(customer, "0687654321")
    world.run(2.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert max(at for _, at in kept(world)) < moved + 0.01
    assert states(world)[-1] is SpanState.UNTOLD


def test_a_hang_up_of_either_side_ends_the_other() -> None:
    for first in ("caller", "agent"):
        world = World()
        answering(world)
        world.dial("1001", line="sales")
        world.run(3.0)
        assert world.agent is not None
        leaver, stayer = (world.caller, world.agent) if first == "caller" else (world.agent, world.caller)
        world.hang_up(leaver)
        world.run(0.2)
        assert stayer.gone
        ended(world)


@pytest.mark.parametrize(("number", "line"), [("1001", "sales"), ("1003", ""), ("1900", "sales")])
def test_an_offer_nobody_can_read_gets_488_and_is_not_passed_on_as_no_offer(number: str, line: str) -> None:
    world = World()
    world.dial(number, line=line, body=b"this describes nothing")
    world.run(1.0)
    assert (world.rejected, world.agent, list(world.switchboard)) == ([488], None, [])


def slow_rows(world: World, seconds: float) -> None:
    """The catalog takes its time to enter a recording."""

    def answer(event: KeeperEvent) -> None:
        delay = seconds if isinstance(event, RecordingOpened) else 0.001
        world.later(delay, lambda: world.switchboard.on_kept(event, world.now))

    world.keeper._answer = answer  # type: ignore[method-assign]


def until(world: World, kind: type[Word]) -> None:
    while not world.keeper.said(kind):
        world.run(0.02)


def test_a_hold_before_the_recording_is_entered_is_waited_for() -> None:
    world = World()
    slow_rows(world, 0.3)
    answering(world)
    customer = world.dial("1001", line="sales")
    until(world, OpenRecording)
    world.hold(customer, Direction.SENDONLY)
    world.run(1.0)
    assert not world.engine.asked(protocol.OpenTap)
    world.hold(customer, Direction.SENDRECV)
    world.run(2.0)
    world.hang_up(customer)
    ended(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED
    assert states(world)[-2:] == [SpanState.TOLD, SpanState.RECORDED]


def test_another_agent_before_the_recording_is_entered_has_his_own() -> None:
    world = World()
    slow_rows(world, 0.3)
    answering(world)
    customer = world.dial("1001", line="sales")
    until(world, OpenRecording)
    assert world.agent is not None
    world.becomes(world.agent, "1002")
    world.run(2.0)
    world.hang_up(customer)
    ended(world)
    (tap,) = world.engine.asked(protocol.OpenTap)
    assert tap.header["agent"] == "a2"
    assert states(world)[-1] is SpanState.RECORDED


@pytest.mark.parametrize("between", ["1003", "0201112233"])
def test_an_agent_who_may_be_recorded_is_so_after_one_who_may_not(between: str) -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    assert world.agent is not None
    world.becomes(world.agent, between)
    world.run(1.0)
    world.becomes(world.agent, "1002")
    world.run(2.0)
    world.hang_up(customer)
    ended(world)
    assert states(world)[-3:] == [SpanState.RECORDED, SpanState.REFUSED, SpanState.RECORDED]
    assert [word.agent.person for word in world.recordings()[0]] == ["a1", "a2"]


def test_a_customer_without_an_asserted_identity_who_gets_another_has_not_been_told() -> None:
    for becomes, last in (("0687654321", SpanState.UNTOLD), ("+31612345678", SpanState.RECORDED)):
        world = World()
        answering(world)
        customer = world.dial("1001", line="sales", asserted="<sip:anonymous@>")
        world.run(3.0)
        world.becomes(customer, becomes)
        world.run(2.0)
        world.hang_up(customer)
        ended(world)
        assert states(world)[-1] is last, becomes


def test_a_tap_that_opens_after_the_customer_has_changed_is_no_recorded_span() -> None:
    world = World()
    answering(world)
    told = world.switchboard.on_media

    def late(event: protocol.Event, now: float) -> None:
        if isinstance(event, protocol.TapOpened | protocol.TapClosed):
            world.later(0.2, lambda: told(event, world.now))
        else:
            told(event, now)

    world.switchboard.on_media = late  # type: ignore[method-assign]
    customer = world.dial("1001", line="sales")
    while not world.engine.asked(protocol.OpenTap):
        world.run(0.02)
    world.becomes(customer, "0687654321")
    world.run(2.0)
    world.hang_up(customer)
    world.run(0.5)
    ended(world)
    assert states(world)[-1] is SpanState.UNTOLD
    assert world.outcomes()[0].outcome is Outcome.BLOCKED


def test_a_hold_is_still_one_when_the_lease_comes_back() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    world.hold(customer, Direction.SENDONLY)
    world.run(1.0)
    world.leases = False
    world.run(4.0)
    world.leases = True
    world.run(2.0)
    world.hold(customer, Direction.SENDRECV)
    world.run(2.0)
    world.hang_up(customer)
    ended(world)
    assert states(world)[-5:] == [
        SpanState.RECORDED,
        SpanState.HOLD,
        SpanState.FAILED,
        SpanState.HOLD,
        SpanState.RECORDED,
    ]


@pytest.mark.parametrize("number", ["%31900", "19%300"])
def test_an_escaped_number_is_the_number_it_stands_for(number: str) -> None:
    """RFC 3261 19.1.4: whoever we pass it on to reads 1900."""
    world = World()
    answering(world, identity="")
    customer = world.dial(number, line="sales")
    world.run(2.0)
    assert joined(world)
    world.hang_up(customer)
    ended(world)
    assert world.keeper.words == [CountConfidential()]


def test_a_reload_while_the_prompt_plays_does_not_change_whom_it_is_sealed_to() -> None:
    """A call keeps the settings it began with (I3)."""
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(0.7)
    world.switchboard.settings = Settings(world.config.with_recipients({}), world.settings.library)
    world.run(2.0)
    (opened,) = world.recordings()[0]
    (tap,) = world.engine.asked(protocol.OpenTap)
    assert opened.recipients == tap.recipients == {"coaching": [RECIPIENT]}
    world.hang_up(customer)
    ended(world)


def test_a_reload_that_changes_the_prompt_leaves_running_calls_the_one_they_heard() -> None:
    world = World()
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(3.0)
    (play,) = [play for play in world.engine.asked(protocol.Play) if not play.overlay]
    assert world.switchboard.prompts_in_use("support") == set()
    world.engine.send(protocol.LoadLine("sales", ["another", *world.switchboard.prompts_in_use("sales")]))
    assert world.agent is not None
    world.becomes(world.agent, "1002")
    world.run(2.0)
    world.hang_up(customer)
    ended(world)
    assert states(world)[-1] is SpanState.RECORDED
    assert world.switchboard.prompts_in_use("sales") == set() != {play.prompt}


def test_a_call_to_a_peer_that_answers_nothing_says_so_and_not_that_nobody_answered() -> None:
    world = World()
    world.on_ringing = lambda phone: pytest.fail("nobody was to be reached")
    world.unreachable = True
    world.dial("1001", line="sales")
    world.run(0.5)
    world.ua.transport_failed(PBX, QM, world.now)
    world.unreachable = False
    world.run(0.5)
    assert world.rejected == [503]
    assert [reason.code for reason in world.outcomes()[0].reasons] == ["peer-unreachable"]


def test_a_call_that_is_left_alone_carries_the_decision_that_says_why() -> None:
    world = World()
    answering(world, identity="")
    customer = world.dial("2222")
    world.run(1.0)
    world.hang_up(customer)
    ended(world)
    (decided,) = world.keeper.said(NoteDecision)
    assert (decided.about, decided.decision.allowed) == ("if-told", False)


@pytest.mark.parametrize("after", [0.0012, 0.0025, 0.004, 0.3])
def test_whoever_offers_while_the_engine_dies_gets_an_answer_and_both_are_joined(after: float) -> None:
    world = World(11)
    answering(world)
    customer = world.dial("1001", line="sales")
    world.run(2.5)
    agent = world.agent
    assert agent is not None and agent.up
    world.thinks(agent, 0.5)
    world.hold(customer, Direction.SENDONLY)
    world.run(after)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.run(0.6)
    if after > 0.01:
        assert customer.offers_answered == 1, "by the first answer, not by one to another offer"
    world.run(6)
    assert customer.target == (agent.host, agent.port) and agent.target == (customer.host, customer.port)
    assert customer.offers_answered == 1 and not customer.offers_refused
    for phone in (customer, agent):
        answers = phone.offers_answered
        world.hold(phone, Direction.INACTIVE)
        world.run(1.5)
        assert phone.offers_answered == answers + 1, "nothing is in transit any more"
    world.hang_up(customer)
    ended(world)
