"""A supervisor at a phone beside a real Asterisk 22: the agent is told first, he hears both, and nobody hears him."""

from __future__ import annotations

import time

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import HOLD_MUSIC_HZ
from qm_sip.demo.phone import Phone
from qm_sip.demo.server import TREE
from tests.support.house import BEFORE, House, recording_began
from tests.support.recorded import assert_absent, assert_only, until
from tests.support.site import TONES

KEYS = "1001#1246813"  # extension, purpose, code
COACH_HZ = TONES["1050"]
NOTICE_HZ = 600.0  # of A8 as a tone
SPEECH = 0.85


def sentence(prompt: str) -> audio.Samples:
    return audio.read_wav(TREE / "config" / "prompts" / "nl" / f"{prompt}.wav")


def says(samples: audio.Samples, prompt: str) -> bool:
    return audio.likeness(samples, sentence(prompt)) > SPEECH


def listening(house: House) -> list[dict[str, object]]:
    return [tap for tap in house.server.ask("taps")["taps"] if tap["use"] == "listen"]


def first_heard_at(phone: Phone, call: int, hz: float, *, after: float, above: float = -32.0) -> float:
    """When (monotonic) a phone first heard a tone."""
    found = audio.first_heard(House.heard(phone, call, after), hz, above=above)
    assert found is not None, f"{phone.user} never heard {hz} Hz"
    return max(after, recording_began(phone, call)) + found


def test_the_agent_is_told_before_the_coach_hears_both_and_neither_hears_him(house: House) -> None:
    """And on hold he hears nothing of them; made private, he hears that it is over; the recording is unharmed."""
    house.settings('\n[private]\ndrop_before = "0s"\n')
    coach = house.phone("1050")
    talk = house.begin()
    dialled = time.monotonic()
    call = house.listen_in(KEYS)
    until(lambda: listening(house), 8, "tap of the listener")
    time.sleep(len(sentence("S2")) / audio.RATE + 0.3)  # S2 over what he hears already
    clear = time.monotonic()
    time.sleep(1.5)

    held = time.monotonic()
    talk.called.hold(call=talk.called_call)
    until(lambda: listening(house)[0]["paused"], 3, "interruption")
    time.sleep(len(sentence("S3")) / audio.RATE + 0.6)
    on_hold = time.monotonic()
    time.sleep(1.2)
    unhold = time.monotonic()
    talk.called.unhold(call=talk.called_call)
    until(lambda: not listening(house)[0]["paused"], 3, "end of the interruption")
    time.sleep(0.8)
    again = time.monotonic()
    time.sleep(1.2)

    pressed = time.monotonic()
    talk.called.dtmf("*1", call=talk.called_call)
    until(lambda: not listening(house), 3, "end of listening")
    coach.wait_for("disconnected", 6, call=call)
    time.sleep(0.5)
    talk.end()

    told = first_heard_at(talk.called, talk.called_call, NOTICE_HZ, after=dialled)
    heard = first_heard_at(coach, call, BEFORE[0], after=told - 1.0)
    print(f"\nfrom the agent's notice to what the coach heard first: {1000 * (heard - told):.0f} ms")
    assert heard - told > 0.6  # the whole of the notice
    assert_absent(house.heard(coach, call, told + 0.1, told + 0.55), *BEFORE)  # S1 is over, and S2 not yet
    first = house.heard(coach, call, dialled, told + 0.6)
    assert says(first, "S1")
    while_both = house.heard(coach, call, clear, held - 0.05)
    for hz in BEFORE:
        assert audio.level_dbfs(while_both, hz) == pytest.approx(-12.0, abs=2.0)
    interrupted = house.heard(coach, call, on_hold, unhold)
    assert_absent(interrupted, *BEFORE, HOLD_MUSIC_HZ)
    assert says(house.heard(coach, call, held, on_hold), "S3")
    for hz in BEFORE:
        assert audio.level_dbfs(house.heard(coach, call, again, pressed - 0.05), hz) > -15
    last = house.heard(coach, call, pressed)
    assert says(last, "S4")
    for hz in BEFORE:  # S4 itself has something of every tone
        assert audio.loudest_dbfs(last[round(0.6 * audio.RATE) :], hz, window_s=1.0) < -35

    for phone, number in ((talk.caller, talk.caller_call), (talk.called, talk.called_call)):
        assert_absent(house.heard(phone, number, dialled), COACH_HZ)
    row = house.ended()
    assert row["outcome"] == "recorded"
    recording = house.opened(row["recordings"][0])
    for side, hz in zip((recording.left, recording.right), BEFORE, strict=True):
        assert audio.level_dbfs(side[800:16000], hz) == pytest.approx(-12.0, abs=1.5)
        assert_absent(side[800:-800], COACH_HZ, NOTICE_HZ)
    assert recording.seconds == pytest.approx(row["recorded_seconds"] + (unhold - held), abs=0.6)
    assert_written_down(house, row["call"])


def assert_written_down(house: House, call: str) -> None:
    """Who listened to whom, for the agent; and that he is still to be told afterwards."""
    (session,) = house.server.ask("monitor_history", agent="a1", **{"as": "a1"})["sessions"][:1]
    assert (session["purpose"], session["allowed"], session["ended_by"]) == ("coaching", True, "private")
    assert session["notice_began"] < session["notice_ended"] <= session["first"] < session["last"]
    assert session["notice_due"] and not session["notice_sent"]
    assert call


def test_he_may_wait_for_the_next_call_and_the_agent_is_told_when_it_begins(house: House) -> None:
    coach = house.phone("1050")
    call = house.listen_in(KEYS)
    time.sleep(2.0)
    house.press(coach, "1", call)
    time.sleep(len(sentence("S1")) / audio.RATE + 0.5)
    asked = time.monotonic()
    talk = house.begin()
    until(lambda: listening(house), 8, "tap of the listener")
    time.sleep(len(sentence("S2")) / audio.RATE + 0.3)
    clear = time.monotonic()
    time.sleep(1.0)
    coach.hangup(call=call)
    until(lambda: not listening(house), 3, "end of listening")
    time.sleep(1.0)
    talk.end()
    told = first_heard_at(talk.called, talk.called_call, NOTICE_HZ, after=asked)
    heard = house.heard(coach, call, clear, clear + 0.9)
    for hz in BEFORE:
        assert audio.level_dbfs(heard, hz) == pytest.approx(-12.0, abs=2.0)
    assert_absent(house.heard(coach, call, asked, told), *BEFORE)
    row = house.ended()
    recording = house.opened(row["recordings"][0])
    assert_only(recording.left, BEFORE[0], COACH_HZ, NOTICE_HZ)
