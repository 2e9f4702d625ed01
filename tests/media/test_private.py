"""The agent's code, private, objections and pauses: what the engine does at once, and what it then never does."""

from __future__ import annotations

from typing import Any

import pytest

from qm_sip.media import protocol as p
from tests.media.helpers import AGENT, CUSTOMER, MS, PROMPT, SECOND, Script, rtp

CODES = {"*1": "private", "*2": "pause"}


def watch(call: Script, leg: str = "callee", codes: dict[str, str] | None = None, **changes: Any) -> None:
    """Watch a leg's keys."""
    call.do(p.WatchKeys("c", leg, CODES if codes is None else codes, **changes))  # type: ignore[arg-type]


def arrivals(call: Script, tap: str = "t") -> list[int]:
    """When each kept packet came, cuts obeyed."""
    journal = call.journal(tap)
    cuts = [
        (int.from_bytes(body[:8], "little"), int.from_bytes(body[8:], "little"))
        for kind, body in journal.records
        if kind == 3
    ]
    return [q[5] for q in journal.packets if not any(a <= q[5] <= b for a, b in cuts)]


def test_the_agent_s_code_makes_the_call_private_at_its_last_key_s_first_packet() -> None:
    call = Script()
    call.recorded()
    watch(call, drop_before_ms=3000)
    call.talk(8000)
    call.sent.clear()
    first = call.now
    call.key("callee", "*")
    last = call.now
    call.packet("callee", rtp(900, bytes([1, 0x0A, 0, 0]), pt=101, ts=7, ssrc=22))
    [matched], [made], [closed] = (
        call.happened(kind) for kind in (p.CodeMatched, p.MadePrivate, p.TapClosed)
    )
    assert (matched.word, matched.first_ns, matched.at_ns) == ("private", first, last)
    assert (made.at_ns, made.cut_from_ns) == (last, last - 3 * SECOND)
    assert (closed.reason, closed.tap) == ("private", "t")
    call.packet("callee", rtp(901, bytes([1, 0x8A, 0, 0]), pt=101, ts=7, ssrc=22))
    call.talk(1000)
    assert call.passed(CUSTOMER) == [], "no packet of the code"
    assert call.happened(p.Digit) == []
    assert max(arrivals(call)) < last - 3 * SECOND
    assert max(arrivals(call)) >= last - 3 * SECOND - 40 * MS


def test_without_anything_to_drop_before_the_code_itself_is_cut() -> None:
    call = Script()
    call.recorded()
    watch(call)
    call.talk(2000)
    first = call.now
    call.key("callee", "*")
    call.talk(1000)
    call.key("callee", "1")
    call.wait(300)
    assert call.happened(p.MadePrivate)[0].cut_from_ns == first
    assert first - 40 * MS < max(arrivals(call)) < first


def test_private_is_said_once_and_repeated_as_it_was() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    call.do(p.MakePrivate("c", 500))
    call.wait(1000)
    call.do(p.MakePrivate("c", 10_000))
    first, again = call.happened(p.MadePrivate)
    assert first == again
    assert len(call.happened(p.TapClosed)) == 1


def test_nothing_opens_in_a_private_call_and_nothing_is_counted() -> None:
    call = Script()
    proof = call.recorded()
    call.talk(1000)
    call.do(p.MakePrivate("c", 0))
    call.do(p.Stats())
    before = call.happened(p.StatsReport)[-1].counters
    call.sent.clear()
    call.talk(1000)
    assert len(call.sent) == 100, "the two still hear each other"
    call.packet("caller", b"noise")
    call.packet("caller", rtp(1), ("203.0.113.66", 4000))
    call.tap(proof, tap="t2")
    call.do(p.Hold("c", True), p.Hold("c", False), p.Pause("c", True), p.Pause("c", False))
    call.tap(call.tell("again"), tap="t3")
    assert [e.reason for e in call.happened(p.TapRefused)] == ["private", "private"]
    call.do(p.Stats())
    after = call.happened(p.StatsReport)[-1].counters
    counted = ("packets_in", "packets_out", "strangers", "invalid")
    assert [after[name] for name in counted] == [before[name] for name in counted]
    call.do(p.CloseCall("c"))
    received = {e.leg: (e.received, e.strangers, e.lost) for e in call.happened(p.LegClosed)}
    assert received == {"caller": (50, 0, 0), "callee": (50, 0, 0)}
    assert len(call.engine.journals()) == 1


def test_keys_in_a_private_call_mean_nothing_and_pass() -> None:
    call = Script()
    call.recorded()
    call.do(p.MakePrivate("c", 0))
    watch(call)
    call.sent.clear()
    pressed = call.key("callee", "*") + call.key("callee", "2")
    assert call.passed(CUSTOMER) == [data[2:] for data in pressed]
    assert call.happened(p.Digit) == call.happened(p.CodeMatched) == []


@pytest.mark.parametrize("keys", ["*5", "**7", "*", "12"])
def test_keys_that_are_no_code_go_on_late_in_order_and_give_their_digits(keys: str) -> None:
    call = Script()
    call.recorded()
    watch(call)
    call.sent.clear()
    pressed = [packet for key in keys for packet in call.key("callee", key)]
    call.wait(1600)
    assert call.passed(CUSTOMER) == [data[2:] for data in pressed]
    assert "".join(e.digit for e in call.happened(p.Digit)) == keys
    stamps = [e.at_ns for e in call.happened(p.Digit)]
    assert stamps == sorted(stamps)
    assert stamps[-1] < call.now - SECOND, "when it was pressed, not when it went on"


def test_audio_passes_while_a_key_waits() -> None:
    call = Script()
    call.recorded()
    watch(call)
    call.key("callee", "*")
    call.sent.clear()
    call.talk(1000)
    assert len([s for s in call.sent if s.destination == CUSTOMER]) == 50
    assert call.passed(CUSTOMER) == []
    call.talk(600)
    assert len(call.passed(CUSTOMER)) == 6


def test_a_pause_in_the_code_of_the_gap_or_more_is_no_code() -> None:
    call = Script()
    call.recorded()
    watch(call, gap_ms=500)
    call.key("callee", "*")
    call.wait(600)
    call.key("callee", "1")
    assert call.happened(p.CodeMatched) == []
    assert "".join(e.digit for e in call.happened(p.Digit)) == "*1"


def test_a_finger_may_stay_on_a_key() -> None:
    call = Script()
    call.recorded()
    watch(call)
    call.key("callee", "*", held_down=4000)
    call.key("callee", "1")
    assert [e.word for e in call.happened(p.CodeMatched)] == ["private"]


def test_other_words_are_reported_and_nothing_else_happens() -> None:
    call = Script()
    call.recorded()
    watch(call)
    call.key("callee", "*")
    call.key("callee", "2")
    assert [e.word for e in call.happened(p.CodeMatched)] == ["pause"]
    assert call.happened(p.TapClosed) == call.happened(p.MadePrivate) == []


def test_the_other_party_s_keys_make_nothing_private() -> None:
    call = Script()
    call.recorded()
    watch(call)
    call.key("caller", "*")
    call.key("caller", "1")
    assert call.happened(p.CodeMatched) == []
    assert "".join(e.digit for e in call.happened(p.Digit)) == "*1"


def test_a_customer_s_key_is_seen_while_his_notice_plays_to_him() -> None:
    call = Script()
    call.open()
    watch(call, "caller", {"9": "objection"})
    call.do(p.Play("c", "caller", "k", PROMPT))
    call.wait(300)
    call.key("caller", "9")
    assert [(e.leg, e.word) for e in call.happened(p.CodeMatched)] == [("caller", "objection")]


def test_a_key_that_came_before_the_legs_were_connected_does_not_arrive_after() -> None:
    call = Script()
    call.open()
    watch(call, "caller")
    call.key("caller", "*")
    call.do(p.Bridge("c", True))
    call.sent.clear()
    call.wait(1600)
    assert call.passed(AGENT) == []
    assert [e.digit for e in call.happened(p.Digit)] == ["*"]


def test_codes_that_nobody_can_press_are_refused() -> None:
    call = Script()
    call.open()
    watch(call, codes={"*x": "private"})
    call.do(p.WatchKeys("nobody", "caller", CODES))
    assert [e.reason for e in call.happened(p.CommandFailed)] == ["bad-code", "unknown-call"]


@pytest.mark.parametrize("uses", [["record"], ["listen"], ["record", "listen"]])
def test_an_objection_closes_what_it_names_and_lets_none_open_again(uses: list[str]) -> None:
    call = Script()
    proof = call.recorded()
    call.talk(1000)
    call.do(p.Forbid("c", uses, "objected"))
    closed = call.happened(p.TapClosed)
    call.tap(proof, tap="t2")
    refused = [e.reason for e in call.happened(p.TapRefused)]
    if uses == ["listen"]:
        assert (closed, refused) == ([], [])
        return
    assert [(e.tap, e.reason) for e in closed] == [("t", "objected")]
    assert closed[0].last_ns <= call.now - 200 * MS, "without what was held back"
    assert refused == ["objected"]


def test_a_pause_is_a_gap_of_its_own_and_nothing_opens_in_it() -> None:
    call = Script()
    proof = call.recorded()
    call.talk(1000)
    begun = call.now
    call.do(p.Pause("c", True), p.Pause("c", True))
    call.talk(1000)
    call.tap(proof, tap="t2")
    resumed = call.now
    call.do(p.Pause("c", False))
    call.talk(1000)
    call.do(p.CloseTap("c", "t", "ended"))
    assert [(e.on, e.reason) for e in call.happened(p.TapPaused)] == [(True, "pause"), (False, "pause")]
    assert [e.reason for e in call.happened(p.TapRefused)] == ["paused"]
    kept = arrivals(call)
    assert not [a for a in kept if begun - 200 * MS < a <= resumed]
    assert [a for a in kept if a > resumed]
    assert {gap[0] for gap in call.journal().gaps} == {5}


def test_a_pause_and_a_hold_end_each_for_itself() -> None:
    call = Script()
    call.recorded()
    call.do(p.Pause("c", True, "card"), p.Hold("c", True), p.Pause("c", False, "card"))
    call.talk(1000)
    call.do(p.CloseTap("c", "t", "ended"))
    assert call.journal().packets == []
    assert [e.reason for e in call.happened(p.TapPaused)] == ["card", "hold", "card"]
