"""Hold and pause beside a real Asterisk 22: what was said then is in no file, and why is written down."""

from __future__ import annotations

import time

import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import HOLD_MUSIC_HZ
from qm_sip.demo.server import TREE
from tests.support.house import AFTER, BEFORE, MEANWHILE, House
from tests.support.recorded import assert_absent, until
from tests.support.site import Talk


def checked(house: House, talk: Talk, state: str, seconds: float) -> None:
    """The call's file: before and after on the right sides, nothing of the time between; typed, and that long."""
    row = house.ended()
    assert row["outcome"] == "recorded"
    told = house.explain(row["call"])
    spans = [span for span in told["spans"] if span["state"] == state]
    print(
        f"\nspans of {state}: {[round(span['seconds'], 2) for span in spans]}; {told['recordings'][0]['gaps']}"
    )
    assert sum(span["seconds"] for span in spans) == pytest.approx(seconds, abs=0.4)
    assert {gap[0] for gap in told["recordings"][0]["gaps"]} == {state}
    heard = house.opened(row["recordings"][0])
    for side, mine, theirs in ((heard.left, 0, 1), (heard.right, 1, 0)):
        assert audio.hears(side, BEFORE[mine]) and audio.hears(side, AFTER[mine])
        assert_absent(side[800:-800], *MEANWHILE, HOLD_MUSIC_HZ, BEFORE[theirs], AFTER[theirs])
    for prompt in ("K18", "K19"):
        sentence = audio.read_wav(TREE / "config" / "prompts" / "nl" / f"{prompt}.wav")
        assert audio.likeness(heard.left, sentence) < 0.75
        assert audio.likeness(heard.right, sentence) < 0.75


def test_what_was_said_on_hold_is_nowhere(house: House) -> None:
    talk = house.begin()
    time.sleep(1.5)
    talk.called.hold(call=talk.called_call)
    talk.called.wait_for("media:local-hold", call=talk.called_call)
    until(lambda: house.server.ask("taps")["taps"][0]["paused"], 3, "hold")
    house.say(talk.caller, MEANWHILE[0], call=talk.caller_call)
    time.sleep(1.8)
    house.say(talk.caller, AFTER[0], call=talk.caller_call)
    time.sleep(0.2)
    talk.called.unhold(call=talk.called_call)
    talk.called.wait_for("media:active", call=talk.called_call, since=talk.called.mark() - 2)
    house.say(talk.called, AFTER[1], call=talk.called_call)
    time.sleep(2.0)
    talk.end()
    assert audio.hears(talk.heard(talk.caller), HOLD_MUSIC_HZ)  # the customer's, from Asterisk
    checked(house, talk, "hold", 2.1)


@pytest.mark.parametrize("ends", ["by itself", "by key"])
def test_what_was_said_in_a_pause_is_nowhere(house: House, ends: str) -> None:
    """*2 by the agent: the customer hears K18, and K19 when it goes on, which it does by itself."""
    after = "2.5s" if ends == "by itself" else "60s"
    house.settings(changes={'capture = "all"': f'capture = "all"\npause_resume_after = "{after}"'})
    talk = house.begin()
    time.sleep(1.5)
    talk.called.dtmf("*2", call=talk.called_call)
    until(lambda: house.server.ask("taps")["taps"][0]["paused"], 3, "pause")
    paused = time.monotonic()
    house.both_say(talk, MEANWHILE)
    time.sleep(1.9)
    house.both_say(talk, (0.0, 0.0))
    time.sleep(0.2)
    if ends == "by key":
        talk.called.dtmf("*2", call=talk.called_call)
    until(lambda: not house.server.ask("taps")["taps"][0]["paused"], 3, "end of the pause")
    resumed = time.monotonic()
    time.sleep(2.5)  # in silence, in which K19 is heard well
    house.both_say(talk, AFTER)
    time.sleep(1.0)
    talk.end()
    if ends == "by itself":
        assert resumed - paused == pytest.approx(2.5, abs=0.5)
    k19 = audio.read_wav(TREE / "config" / "prompts" / "nl" / "K19.wav")
    assert audio.likeness(house.heard(talk.caller, talk.caller_call, resumed - 0.5), k19) > 0.85
    assert audio.likeness(house.heard(talk.called, talk.called_call, resumed - 0.5), k19) < 0.75
    checked(house, talk, "pause", resumed - paused)
