"""The supervisor's ear: what a listener hears, what he never hears, and that nobody hears him."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qm_sip.media import protocol as p
from qm_sip.recorder.g711 import PCMU, TABLE
from tests.media.helpers import AGENT, CUSTOMER, MS, SECOND, TYPES, rtp
from tests.media.sound import BEEP, BEEP_HZ, Sounding, decibels, decoded, said

EAR = ("192.0.2.30", 60000)
LEVEL = 20 * np.log10(8000 / 32768)
HIS = said(2650)


class Listened(Sounding):
    """A call whose customer was told of listening, and a listener at his phone."""

    def __init__(self, types: dict[str, str] | None = None) -> None:
        super().__init__(uses=["record", "listen"])
        self.open()
        self.ear("ear", types)
        self.proof = self.tell()
        self.do(p.Bridge("c", True))

    def ear(self, call: str, types: dict[str, str] | None = None) -> None:
        """A listener's call of one leg."""
        self.do(p.OpenCall(call, ""), p.OpenLeg(call, "caller", outside=False, channel=0))
        self.ports[call] = self.happened(p.LegOpened)[-1].port
        types = types or TYPES
        self.do(p.SetRemote(call, "caller", *EAR, 60001, types, int(next(iter(types)))))

    def notice(self, tap: str = "l") -> str:
        """Tell the agent; the proof."""
        self.beep(f"notice-{tap}", for_tap=tap)
        self.speak(500)
        return self.happened(p.PromptFinished)[-1].proof  # type: ignore[no-any-return]

    def listen(self, tap: str = "l", notice: str | None = None, **changes: Any) -> None:
        """Ask for a listening tap."""
        wanted: dict[str, Any] = {
            "use": "listen", "recipients": {}, "notice": notice, "to": {"call": "ear", "leg": "caller"},
        }  # fmt: skip
        self.tap(self.proof, tap, **(wanted | changes))

    def listening(self) -> None:
        """Up to a listener who hears both."""
        self.listen("l", self.notice())
        self.speak(1000)

    def ears(self, after: int = 0, until: int | None = None) -> np.ndarray:
        """What the listener was sent between these times."""
        end = self.now if until is None else until
        mine = [s for s in self.sent if s.destination == EAR and after < s.at_ns <= end]
        return decoded([s.data[12:] for s in mine if s.data[1] & 0x7F == 8])


def test_the_listener_hears_both_as_loud_as_they_are() -> None:
    call = Listened()
    call.listening()
    begun = call.now
    call.speak(1000)
    heard = call.ears(begun)
    assert len(heard) == 8000
    assert abs(decibels(heard, 1000) - LEVEL) < 0.5
    assert abs(decibels(heard, 2100) - LEVEL) < 0.5
    # Each is whole: no click, no hole. What is left without the two tones is the noise of the codec.
    assert residue(heard) < LEVEL - 30


def residue(heard: np.ndarray) -> float:
    n = np.arange(len(heard))
    waves = [f(2 * np.pi * hertz * n / 8000) for hertz in (1000, 2100) for f in (np.sin, np.cos)]
    model = np.array(waves).T
    rest = heard - model @ np.linalg.lstsq(model, heard, rcond=None)[0]
    return float(20 * np.log10(np.sqrt(2 * np.mean(rest**2)) / 32768))


def test_in_the_listener_s_own_codec() -> None:
    call = Listened({"0": "PCMU/8000"})
    call.listening()
    begun = call.now
    call.speak(1000)
    mine = [s.data[12:] for s in call.sent if s.destination == EAR and s.at_ns > begun]
    heard = TABLE[PCMU][np.frombuffer(b"".join(mine), np.uint8)].astype(float)
    assert abs(decibels(heard, 1000) - LEVEL) < 0.5


def test_nobody_hears_the_listener() -> None:
    call = Listened()
    call.listening()
    call.tap(call.proof, "r")
    call.do(p.Stats())
    before = call.happened(p.StatsReport)[-1].counters["listener_dropped"]
    begun = len(call.sent)
    for number in range(50):
        call.engine.packet(call.ports["ear"], EAR, rtp(number, HIS[number], ssrc=33), call.now)
        call.speak(20)
    call.do(p.Stats())
    assert call.happened(p.StatsReport)[-1].counters["listener_dropped"] - before == 50
    for party in (CUSTOMER, AGENT, EAR):
        assert decibels(call.heard(party, begun), 2650) < -60
    call.do(p.CloseTap("c", "r", "ended"), p.CloseCall("ear"))
    assert not any(decibels(decoded([q[6]]), 2650) > -40 for q in call.journal("r").packets)
    assert call.happened(p.LegClosed)[-1].received == 50


def test_nobody_is_heard_before_the_notice_has_ended() -> None:
    call = Listened()
    call.tones = {"caller": said(600), "callee": said(700)}
    call.speak(1000)
    notice = call.notice()
    ended = call.happened(p.PromptFinished)[-1].ended_ns
    call.listen("l", notice)
    [opened] = call.happened(p.TapOpened)
    assert opened.kept_from_ns >= ended + 200 * MS
    call.speak(180)  # until the playout allowance is over
    call.tones = {"caller": said(1000), "callee": said(2100)}
    call.speak(1000)
    heard = call.ears()
    assert decibels(heard, 600) < -60 and decibels(heard, 700) < -60
    assert decibels(heard[-4000:], 1000) > -20
    assert decibels(heard, BEEP_HZ) < -60, "the notice itself is the agent's"


def test_what_is_said_is_heard_within_half_a_second() -> None:
    call = Listened()
    call.listen("l", call.notice())
    call.wait(2000)
    begun = call.now
    call.speak(1000, "callee")
    loud = [
        s.at_ns for s in call.sent if s.destination == EAR and decibels(decoded([s.data[12:]]), 2100) > -30
    ]
    assert 200 * MS <= loud[0] - begun <= 500 * MS


STOPS = {
    "hold": [p.Hold("c", True)],
    "pause": [p.Pause("c", True)],
    "private": [p.MakePrivate("c", 0)],
    "forbid": [p.Forbid("c", ["listen"], "objected")],
    "void": [p.VoidProofs("c", "caller", "transfer")],
    "new-party": [p.CloseLeg("c", "callee"), p.OpenLeg("c", "callee", outside=True, channel=1)],
    "close": [p.CloseTap("c", "l", "over")],
}


@pytest.mark.parametrize("stop", STOPS)
def test_what_was_about_to_be_heard_is_never_heard(stop: str) -> None:
    call = Listened()
    call.listening()
    call.tones = {"caller": said(600), "callee": said(700)}
    call.speak(340)  # held back, or handed over and not yet heard
    stopped = call.now
    call.do(*STOPS[stop])
    call.speak(1000, "caller")
    heard = call.ears(stopped + MS)
    assert len(heard) >= 7800, "his phone still gets packets"
    assert decibels(heard, 600) < -60 and decibels(heard, 1000) < -60


def test_without_a_lease_nothing_is_heard() -> None:
    call = Listened()
    call.listening()
    call.wait(2000, leased=False)
    for number in range(200):
        call.now += 20 * MS
        call.packet("caller", rtp(1000 + number, call.tones["caller"][number % 50], ssrc=11))
    assert decibels(call.ears(call.now - 2 * SECOND), 1000) < -60


def test_after_a_hold_he_hears_what_is_said_then() -> None:
    call = Listened()
    call.listening()
    call.do(p.Hold("c", True))
    call.tones = {"caller": said(600), "callee": said(700)}
    call.speak(1000)
    resumed = call.now
    call.do(p.Hold("c", False))
    call.tones = {"caller": said(1000), "callee": said(2100)}
    call.speak(1500)
    heard = call.ears(resumed)
    assert decibels(heard, 600) < -60 and decibels(heard[-4000:], 1000) > -15


def test_a_prompt_to_the_listener_comes_first_and_what_was_said_meanwhile_is_gone() -> None:
    call = Listened()
    call.listening()
    begun = call.now
    call.do(p.Play("ear", "caller", "s3", BEEP))
    call.tones = {"caller": said(600), "callee": said(600)}
    call.speak(100)
    call.tones = {"caller": said(1000), "callee": said(1000)}
    call.speak(400)
    assert decibels(call.ears(begun), 1000) < -40, "only the prompt"
    after = call.now
    call.speak(500)
    assert decibels(call.ears(after + MS), 600) < -60
    assert decibels(call.ears(after + MS), 1000) > -15


@pytest.mark.parametrize("end", [p.CloseLeg("ear", "caller"), p.CloseCall("ear")])
def test_when_the_listener_goes_his_tap_closes_and_the_next_one_hears_nothing(end: p.Command) -> None:
    call = Listened()
    call.listening()
    call.do(end)
    assert [(e.tap, e.reason) for e in call.happened(p.TapClosed)] == [("l", "listener-gone")]
    call.ear("ear")
    begun = call.now
    call.speak(1000)
    heard = call.ears(begun)
    assert len(heard) == 8000
    assert decibels(heard, 1000) < -60


def test_when_the_call_goes_the_listener_stays() -> None:
    call = Listened()
    call.listening()
    call.do(p.CloseCall("c"))
    [closed] = call.happened(p.TapClosed)
    assert closed.journal == "" and closed.packets[0] > 0 and closed.first_ns < closed.last_ns
    begun = call.now
    call.wait(1000)
    assert len(call.ears(begun)) == 8000


def test_a_later_session_is_not_louder() -> None:
    call = Listened()
    call.listening()
    call.do(p.CloseTap("c", "l", "over"))
    call.listen("m", call.notice("m"))
    call.speak(1000)
    begun = call.now
    call.speak(1000)
    assert abs(decibels(call.ears(begun), 1000) - LEVEL) < 0.5, "once, not twice"


def others() -> dict[str, Any]:
    return {
        "nobody": None,
        "unknown": {"call": "nowhere", "leg": "caller"},
        "callee": {"call": "ear", "leg": "callee"},
        "of-a-line": {"call": "lined", "leg": "caller"},
        "not-alone": {"call": "pair", "leg": "caller"},
        "outside": {"call": "customer", "leg": "caller"},
        "himself": {"call": "c", "leg": "caller"},
    }


@pytest.mark.parametrize("to", others())
def test_only_a_lone_leg_of_our_own_can_listen(to: str) -> None:
    call = Listened()
    call.do(p.OpenCall("lined", "main"), p.OpenLeg("lined", "caller", outside=False, channel=0))
    call.do(p.OpenCall("pair", ""), p.OpenLeg("pair", "caller", outside=False, channel=0))
    call.do(p.OpenLeg("pair", "callee", outside=False, channel=1))
    call.do(p.OpenCall("customer", ""), p.OpenLeg("customer", "caller", outside=True, channel=0))
    call.listen("l", call.notice(), to=others()[to])
    assert [e.reason for e in call.happened(p.TapRefused)] == ["no-listener"]


def test_a_listener_s_call_never_gets_another_party() -> None:
    call = Listened()
    call.listening()
    call.do(p.OpenLeg("ear", "callee", outside=False, channel=1), p.Bridge("ear", True))
    call.do(p.CloseTap("c", "l", "over"))
    call.do(p.OpenLeg("ear", "callee", outside=False, channel=1), p.Bridge("ear", True))
    assert [e.reason for e in call.happened(p.CommandFailed)] == ["listener"] * 4


def test_a_listener_s_keys_are_reported() -> None:
    call = Listened()
    call.listening()
    for end in (0x0A, 0x8A, 0x8A, 0x8A):
        call.engine.packet(call.ports["ear"], EAR, rtp(1, bytes([7, end, 0, 160]), pt=101, ts=5), call.now)
    call.wait(0)
    assert [(e.call, e.leg, e.digit) for e in call.happened(p.Digit)] == [("ear", "caller", "7")]


def test_an_objection_to_recording_leaves_the_listener() -> None:
    call = Listened()
    call.listening()
    call.tap(call.proof, "r")
    call.do(p.Forbid("c", ["record"], "objected"))
    assert [e.tap for e in call.happened(p.TapClosed)] == ["r"]
    begun = call.now
    call.speak(500)
    assert decibels(call.ears(begun), 1000) > -15


def test_the_whole_script_is_repeatable() -> None:
    def run() -> list[Any]:
        call = Listened()
        call.listening()
        return call.sent

    assert run() == run()
