"""What is said before the call: private by prefix or by a code, and the notice while the customer waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import ClearPreset, NotePrivate, NoteTold, OpenRow, SetPreset
from qm_sip.media import protocol
from qm_sip.policy.facts import How, Outcome, SpanState
from tests.call.test_journeys import answering, ended, kept, states
from tests.call.test_objection import on_duty, said
from tests.call.test_private import end
from tests.call.world import PROMPT_SECONDS, Phone, World


def opened(world: World, line: str = "") -> list[protocol.OpenCall]:
    """The engine's calls that are no service."""
    return [command for command in world.engine.asked(protocol.OpenCall) if bool(command.line) or bool(line)]


def dials_code(world: World, code: str, caller: str = "1001") -> Phone:
    phone = world.dial(code, caller=caller, aside=True)
    world.run(1.5)
    assert phone.gone  # he hears a sentence, and that was it
    return phone


# ------------------------------------------------------------------ private beforehand


def test_the_next_call_is_private_from_its_first_packet_and_the_one_after_is_not() -> None:
    world = World()
    answering(world)
    dials_code(world, "*67")
    assert said(world, "A4") and world.keeper.said(SetPreset)
    world.dial("1001", line="sales")
    world.run(3.0)
    assert not opened(world)  # no socket, no notice: nothing of it comes here
    assert world.agent is not None and world.caller.target == (world.agent.host, world.agent.port)
    assert world.keeper.said(ClearPreset)
    (proof,) = world.keeper.said(NotePrivate)
    assert (proof.since_ms, proof.cut_ms, proof.path, proof.direct_ms) == (0, 0, "direct", 0)
    end(world)
    assert world.outcomes()[0].outcome is Outcome.BYPASSED and states(world) == [SpanState.PRIVATE]
    world.dial("1001", line="sales")
    world.run(3.0)
    assert opened(world)
    end(world)
    assert world.outcomes()[1].outcome is Outcome.RECORDED


def test_until_further_notice_reminds_and_is_taken_back_on_his_own_phone() -> None:
    world = World()
    answering(world)
    dials_code(world, "*68")
    for _ in range(2):
        world.dial("1001", line="sales")
        world.run(2.0)
        end(world)
    assert not opened(world) and not said(world, "A6")
    dials_code(world, "*68")
    assert said(world, "A6")  # it is on already
    dials_code(world, "*69")
    assert said(world, "A5")
    world.dial("1001", line="sales")
    world.run(2.0)
    assert opened(world)
    end(world)


def test_nobody_sets_anything_from_an_outside_phone() -> None:
    world = World()
    answering(world)
    dials_code(world, "*68", caller="0612345678")
    assert not world.keeper.said(SetPreset) and said(world, "W1")


def test_a_preset_ends_by_itself() -> None:
    world = World()
    answering(world)
    dials_code(world, "*68")
    (word,) = world.keeper.said(SetPreset)
    assert word.until - world.switchboard.wall() <= timedelta(days=1)


def test_a_number_dialled_after_the_prefix_is_called_without_it_and_privately() -> None:
    world = World()
    answering(world, identity="")
    world.dial("*660201234567", line="outbound", caller="1001")
    world.run(2.0)
    assert world.agent is not None
    assert not opened(world)
    end(world)
    assert states(world) == [SpanState.PRIVATE]


def test_an_agent_who_is_known_only_when_he_answers_gets_his_private_call_too() -> None:
    world = World()
    dials_code(world, "*67", caller="1002")
    answering(world, identity="1002")  # a pickup: 1001 was called, 1002 answers
    world.dial("1001", line="sales")
    world.run(4.0)
    assert not world.engine.asked(protocol.OpenTap) and not kept(world)
    call = next(iter(world.switchboard))
    assert not call.relayed and not call.in_engine
    assert not world.keeper.said(NoteTold)
    end(world)


def test_star_57_tells_how_it_stands_and_proves_the_last_private_call_if_it_can() -> None:
    world = World()
    answering(world)
    dials_code(world, "*57")
    assert said(world, "A5") and not said(world, "B1")
    dials_code(world, "*67")
    world.dial("1001", line="sales")
    world.run(2.0)
    end(world)
    dials_code(world, "*57")
    assert len(said(world, "A5")) == 2 and said(world, "B1")
    in_call = World()
    answering(in_call)
    in_call.dial("1001", line="sales")
    in_call.run(3.0)
    assert in_call.agent is not None
    in_call.press(in_call.agent, "*1")
    in_call.run(2.0)
    end(in_call)
    dials_code(in_call, "*57")
    assert not said(
        in_call, "B1"
    )  # it was recorded before the key: "media packets here zero" would not be true


# ------------------------------------------------------------------ told while he waits


def waits(world: World, subject: str = "customer-1@pbx", seconds: float = 1.5) -> str:
    """The customer hears the notice; gives the receipt from our 200."""
    receipts: list[str] = []
    before = world.on_answered
    world.on_answered = lambda response: receipts.append(response.get("X-QM-Receipt") or "")
    phone = world.dial("announce", line="waiting", aside=True, more=[("X-QM-Call", subject)])
    world.run(seconds)
    world.on_answered = before
    assert receipts and receipts[0]
    assert phone.gone or seconds < 1.0
    return receipts[0]


def brings(world: World, receipt: str, subject: str = "customer-1@pbx", line: str = "waiting") -> None:
    world.dial("1001", line=line, more=[("X-QM-Call", subject), ("X-QM-Receipt", receipt)])
    world.run(3.0)


def test_with_his_receipt_the_recording_begins_when_the_agent_answers() -> None:
    world = World()
    answering(world)
    receipt = waits(world)
    before = len(world.engine.asked(protocol.Play))
    brings(world, receipt)
    plays = world.engine.asked(protocol.Play)[before:]
    assert all(play.overlay for play in plays)  # nothing is announced on the agent's time
    (told,) = world.keeper.said(NoteTold)
    assert told.told.how is How.RECEIPT
    assert not [p.told for row in world.keeper.said(OpenRow) for p in row.facts.parties if p.told]  # or twice
    assert told.told.ended - told.told.began == pytest.approx(PROMPT_SECONDS, abs=0.03)
    end(world)
    assert world.outcomes()[0].outcome is Outcome.RECORDED and kept(world)


def test_ring_all_and_a_second_try_redeem_it_again() -> None:
    world = World()
    answering(world)
    receipt = waits(world)
    for _ in range(2):
        brings(world, receipt)
        end(world)
    assert [row.outcome for row in world.outcomes()] == [Outcome.RECORDED] * 2


@pytest.mark.parametrize("wrong", ["token", "customer", "none"])
def test_whoever_brings_no_receipt_of_his_own_is_told_when_the_agent_answers(wrong: str) -> None:
    world = World()
    answering(world)
    receipt = waits(world)
    brings(
        world,
        "" if wrong == "none" else "0" * 32 if wrong == "token" else receipt,
        "somebody-else@pbx" if wrong == "customer" else "customer-1@pbx",
    )
    (told,) = world.keeper.said(NoteTold)
    assert told.told.how is How.PROMPT
    end(world)


def test_who_hung_up_before_its_end_has_been_told_nothing() -> None:
    world = World()
    answering(world)
    receipt = waits(world, seconds=0.2)
    world.hang_up(world.phones[-1])
    world.run(0.5)
    brings(world, receipt)
    assert world.keeper.said(NoteTold)[0].told.how is How.PROMPT
    end(world)


def test_nine_while_he_waits_holds_in_the_call_with_the_agent() -> None:
    world = World()
    answering(world)
    receipts: list[str] = []
    world.on_answered = lambda response: receipts.append(response.get("X-QM-Receipt") or "")
    phone = world.dial("announce", line="waiting", aside=True, more=[("X-QM-Call", "customer-1@pbx")])
    world.run(0.2)
    world.press(phone, "9")
    world.run(2.0)
    assert said(world, "K14") and phone.gone
    brings(world, receipts[0])
    assert not world.engine.asked(protocol.OpenTap)
    end(world)
    assert states(world) == [SpanState.OBJECTED]
    ended(world)


def test_a_line_with_nothing_to_tell_does_not_answer() -> None:
    world = World()
    phone = world.dial("announce", line="nowhere", aside=True, more=[("X-QM-Call", "customer-1@pbx")])
    world.run(1.0)
    assert phone.gone and world.rejected == [480]


@pytest.mark.parametrize("never", ["given up", "refused", "not sent on"])
def test_a_call_that_nobody_talked_in_does_not_use_the_wish_up(never: str) -> None:
    world = World()
    dials_code(world, "*67")
    world.unreachable = never == "not sent on"
    if never == "refused":
        world.on_ringing = lambda phone: world.pbx.reject(phone.leg, 486, now=world.now)
    world.dial("1001", line="sales")  # a queue rings all its agents, and another one takes it
    world.run(2.0)
    if never != "refused":
        world.hang_up(world.caller)
    world.run(40.0)
    assert not world.keeper.said(ClearPreset)
    world.unreachable = False
    answering(world)
    world.dial("1001", line="sales")
    world.run(3.0)
    assert not opened(world) and world.keeper.said(ClearPreset)
    end(world)
    assert states(world)[-1] is SpanState.PRIVATE and not kept(world)


def test_whoever_picks_up_for_him_does_not_use_his_wish_up() -> None:
    world = World()
    dials_code(world, "*67")
    answering(world, identity="1002")
    world.dial("1001", line="sales")
    world.run(3.0)
    assert not world.keeper.said(ClearPreset)
    end(world)


def test_nine_holds_though_he_did_not_hear_the_rest_of_the_notice() -> None:
    world = World()
    answering(world)
    receipts: list[str] = []
    world.on_answered = lambda response: receipts.append(response.get("X-QM-Receipt") or "")
    phone = world.dial("announce", line="waiting", aside=True, more=[("X-QM-Call", "customer-1@pbx")])
    world.run(0.15)
    world.press(phone, "9")
    world.run(0.15)
    world.hang_up(phone)  # an agent is free: the dialplan does not let him hear it all
    world.run(0.5)
    brings(world, receipts[0])
    assert not world.keeper.said(NoteTold)  # and nobody asks him twice
    end(world)
    assert states(world) == [SpanState.OBJECTED] and not kept(world)


def test_a_phone_that_is_nobodys_has_its_private_call_as_it_was_told() -> None:
    world = World()
    answering(world, identity="")
    dials_code(world, "*67", caller="1003")  # a colleague of whom people.toml knows no name
    assert said(world, "A4")
    world.dial("1003", line="sales")
    world.run(3.0)
    assert not opened(world) and world.keeper.said(ClearPreset)
    end(world)
    assert states(world) == [SpanState.PRIVATE]
    world.dial("1003", line="sales")
    world.run(3.0)
    assert states(world) == [SpanState.PRIVATE]  # used up: this one is an ordinary call
    end(world)
    assert SpanState.PRIVATE not in {span.state for span in world.outcomes()[1].spans}


def test_a_wish_that_the_law_refuses_is_said_once_and_kept_for_the_next_call() -> None:
    world = World()
    answering(world)  # and the 200 names the agent once more
    dials_code(world, "*67")
    ordinary = world.switchboard.settings
    on_duty(world)
    world.dial("1001", line="sales")
    world.run(4.0)
    tone = world.settings.library.tone("T-A7")
    assert tone is not None
    assert len([play for play in world.engine.asked(protocol.Play) if play.prompt == tone.digest]) == 1
    end(world)
    assert not world.keeper.said(ClearPreset)
    world.settings = world.switchboard.settings = ordinary
    world.dial("1001", line="sales")
    world.run(3.0)
    end(world)
    assert {span.state for span in world.outcomes()[1].spans} == {SpanState.PRIVATE}


def test_without_an_engine_a_refused_private_number_is_an_error_at_once() -> None:
    world = World()
    answering(world)
    config, library = world.switchboard.settings
    outbound = config.lines.line["outbound"].model_copy(update={"legal_duty": "a statute", "opt_out": False})
    lines = config.lines.model_copy(update={"line": {**config.lines.line, "outbound": outbound}})
    world.settings = world.switchboard.settings = Settings(replace(config, lines=lines), library)
    world.engine.dead = True
    world.switchboard.engine_died(world.now)
    world.dial("*660201234567", line="outbound", caller="1001")
    world.run(1.0)
    assert world.rejected == [503] and not world.switchboard.services
