"""What is mixed into a leg's ear: heard there and nowhere else; and the notice that it can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qm_sip.media import protocol as p
from tests.media.helpers import AGENT, CUSTOMER, MS, PROMPT, TYPES
from tests.media.sound import BEEP, BEEP_HZ, Sounding, decibels, decoded


def talking(**changes: Any) -> Sounding:
    """A recorded call in which both speak."""
    call = Sounding(**changes)
    call.recorded()
    call.speak(1000)
    call.sent.clear()
    return call


def finished(call: Sounding, play: str) -> list[p.PromptFinished]:
    """How that play ended well."""
    return [e for e in call.happened(p.PromptFinished) if e.play == play]


def test_an_overlay_is_heard_over_the_other_party_by_that_leg_alone() -> None:
    call = talking()
    call.beep()
    call.speak(500)
    agent, customer = call.heard(AGENT), call.heard(CUSTOMER)
    assert abs(decibels(agent, 1000) - 20 * np.log10(8000 / 32768)) < 0.5, "the customer, as loud as he is"
    assert abs(decibels(agent, BEEP_HZ) - 20 * np.log10(4000 / 32768)) < 0.5
    assert decibels(customer, BEEP_HZ) < -60
    assert len(agent) == len(customer) == 4000, "no packet more than was passed on"
    [end] = finished(call, "o")
    assert end.packets == 25
    call.speak(500)
    call.do(p.CloseTap("c", "t", "ended"))
    for channel in (0, 1):
        kept = decoded([q[6] for q in call.journal().packets if q[0] == channel])
        assert decibels(kept, BEEP_HZ) < -60, "never in a journal"
        assert decibels(kept, (1000, 2100)[channel]) > -15


def test_after_an_overlay_packets_pass_as_they_are() -> None:
    call = talking()
    call.beep()
    call.speak(500)
    call.sent.clear()
    call.speak(1000)
    assert [s.data[12:] for s in call.sent if s.destination == AGENT] == [
        call.tones["caller"][n % 50] for n in range(call.numbers["caller"] - 49, call.numbers["caller"] + 1)
    ]


def test_too_loud_is_clipped_not_wrapped() -> None:
    call = talking()
    call.tones["caller"] = [b"\xaa" * 160] * 50  # the loudest there is
    call.beep()
    call.speak(500)
    assert np.min(call.heard(AGENT)) > 20000


@pytest.mark.parametrize("connected", [True, False])
def test_an_overlay_plays_into_silence_at_the_pace(connected: bool) -> None:
    call = talking()
    call.do(p.Bridge("c", connected))
    call.wait(100)
    call.sent.clear()
    begun = call.now
    call.beep()
    call.wait(500)
    [end] = finished(call, "o")
    assert (end.packets, end.ended_ns - begun <= 500 * MS) == (25, True)
    assert abs(decibels(call.heard(AGENT)[:4000], BEEP_HZ) - 20 * np.log10(4000 / 32768)) < 0.5
    call.sent.clear()
    call.wait(200)
    assert bool([s for s in call.sent if s.destination == AGENT]) is not connected


def test_an_overlay_goes_on_where_the_other_party_falls_silent_and_comes_back() -> None:
    call = talking()
    call.beep()
    call.speak(160)
    call.wait(200)
    call.speak(160)
    call.wait(100)
    assert [end.packets for end in finished(call, "o")] == [25]
    sources = {s.data[8:12] for s in call.sent if s.destination == AGENT}
    assert len(sources) == 2, "the customer's stream and one of our own"


def test_no_packet_of_our_own_between_packets_that_come_late_but_come() -> None:
    call = talking()
    call.beep()
    for _ in range(12):
        call.wait(39)
        call.speak(20, "caller")
    assert len({s.data[8:12] for s in call.sent if s.destination == AGENT}) == 1


def test_a_prompt_comes_first_and_the_overlay_begins_again() -> None:
    call = talking()
    call.beep()
    call.speak(300)
    call.do(p.Play("c", "callee", "first", PROMPT))
    call.speak(1000)
    assert finished(call, "first") and not finished(call, "o")
    call.sent.clear()
    call.speak(480)
    assert not finished(call, "o")
    call.speak(20)
    [end] = finished(call, "o")
    assert (end.packets, end.began_ns >= finished(call, "first")[0].ended_ns) == (25, True)


def test_an_overlay_asked_for_during_a_prompt_waits() -> None:
    call = talking()
    call.do(p.Play("c", "callee", "first", PROMPT))
    call.beep()
    call.speak(1000)
    call.speak(500)
    assert finished(call, "first")[0].ended_ns <= finished(call, "o")[0].began_ns


def test_a_later_overlay_stops_the_earlier_and_stop_stops_both() -> None:
    call = talking()
    call.beep("a")
    call.speak(100)
    call.beep("b")
    call.speak(100)
    call.do(p.Play("c", "callee", "k2", PROMPT), p.StopPlay("c", "callee"))
    call.speak(1000)
    failed = {e.play: e.reason for e in call.happened(p.PromptFailed)}
    assert failed == {"a": "stopped", "b": "stopped", "k2": "stopped"}
    assert [e.play for e in call.happened(p.PromptFinished)] == ["k"]


def test_an_overlay_towards_a_leg_that_hears_nothing_fails() -> None:
    call = talking()
    call.beep("a")
    call.do(p.SetRemote("c", "callee", *AGENT, 50001, TYPES, 8, direction="inactive"))
    call.beep("b")
    assert {e.play: e.reason for e in call.happened(p.PromptFailed)} == {"a": "refused", "b": "refused"}


def test_an_overlay_that_began_towards_another_address_begins_again() -> None:
    call = talking()
    call.beep()
    call.speak(300)
    call.do(p.SetRemote("c", "callee", "192.0.2.77", 50000, 50001, TYPES, 8))
    call.speak(480, "caller")
    assert not finished(call, "o")
    call.speak(20, "caller")
    assert finished(call, "o")[0].packets == 25


def test_key_presses_pass_under_an_overlay_as_they_are() -> None:
    call = talking()
    call.beep()
    pressed = call.key("caller", "5")
    assert call.passed(AGENT) == [data[2:] for data in pressed]


def test_a_prompt_that_names_no_uses_may_be_played_in_any_call() -> None:
    call = Sounding()
    call.do(p.OpenCall("c", ""), p.OpenLeg("c", "caller", outside=False, channel=0))
    call.do(p.SetRemote("c", "caller", *AGENT, 50001, TYPES, 8))
    call.do(p.Play("c", "caller", "any", BEEP), p.Play("c", "caller", "k", PROMPT))
    assert [(e.play, e.reason) for e in call.happened(p.PromptFailed)] == [("k", "not-of-this-line")]
    call.wait(500)
    assert finished(call, "any")


def test_what_was_mixed_under_speech_tells_the_customer_nothing() -> None:
    call = Sounding()
    call.open()
    call.do(p.Bridge("c", True), p.Play("c", "caller", "o", PROMPT, overlay=True))
    call.speak(1000)
    call.tap(finished(call, "o")[0].proof)
    assert [e.reason for e in call.happened(p.TapRefused)] == ["not-told"]


def listen(call: Sounding, proof: str, notice: str | None, tap: str = "ear") -> list[str]:
    """Ask for a listening tap; why not."""
    call.tap(proof, tap, use="listen", recipients={}, notice=notice)
    return [e.reason for e in call.happened(p.TapRefused) if e.tap == tap]


def told() -> tuple[Sounding, str]:
    """A call whose customer has been told of listening."""
    call = Sounding(uses=["listen"])
    call.open()
    call.do(p.Bridge("c", True))
    return call, call.tell()


def test_nobody_listens_before_the_agent_has_had_his_notice_for_that_tap() -> None:
    call, proof = told()
    assert listen(call, proof, None, "one") == ["no-notice"]
    assert listen(call, proof, proof, "two") == ["no-notice"]
    call.beep("other", for_tap="another")
    call.speak(500)
    assert listen(call, proof, finished(call, "other")[0].proof, "three") == ["no-notice"]
    call.beep("half", for_tap="four")
    call.speak(400)
    assert listen(call, proof, "half", "four") == ["no-notice"]


def test_a_notice_to_the_customer_is_none_to_the_agent() -> None:
    call, proof = told()
    call.beep("n", "caller", for_tap="ear")
    call.speak(500)
    assert listen(call, proof, finished(call, "n")[0].proof) == ["no-notice"]


def test_another_agent_has_had_no_notice() -> None:
    call, proof = told()
    call.beep("n", for_tap="ear")
    call.speak(500)
    call.do(p.VoidProofs("c", "callee", "transfer"))
    assert listen(call, proof, finished(call, "n")[0].proof) == ["no-notice"]


def test_a_notice_lets_nobody_hear_whose_customer_was_not_told() -> None:
    call = talking()
    call.beep("n", for_tap="ear")
    call.speak(500)
    [proof] = [e.proof for e in finished(call, "k")]
    assert listen(call, proof, finished(call, "n")[0].proof) == ["use-not-told"]
