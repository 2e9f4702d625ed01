"""Every 100 ms of what a supervisor hears beside a real Asterisk 22: told first, heard by nobody, over at the key.

Who says what, by tone: the customer 1000 Hz, the agent 2000 Hz, the supervisor 3100 Hz (3000 would be a harmonic of
the customer's in A-law). What the supervisor is told of his listening is a tone here too, so that -60 dBFS can be
asked of what he hears; what he is refused with is spoken, so that it can be recognised.
"""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qm_sip.demo import audio
from qm_sip.demo.asterisk import HOLD_MUSIC_HZ
from qm_sip.demo.phone import Phone
from qm_sip.demo.server import TREE
from tests.support.house import House
from tests.support.recorded import until
from tests.support.site import ADDRESSES, TONES, Talk
from tests.support.wire import Packet, Wire, rtp

ABSENT = -60.0  # dBFS
EDGE = -40.0  # dBFS: where a tone begins or ends it has a little of all; one leaked packet of 20 ms has -26
CUSTOMER_HZ, AGENT_HZ, COACH_HZ, AFTER_KEY_HZ = 1000.0, 2000.0, TONES["1050"], 1500.0
BOTH = (CUSTOMER_HZ, AGENT_HZ)
ASKS = "1001#1246813"  # extension, purpose, code
LETTERS_S = 0.4
SILENCE = {0xD5, 0x55}  # A-law
SAID = {"S1": 2800.0, "S2": 2700.0, "S3": 2600.0, "S4": 480.0}
ASKED = {"W0-extension": 340.0, "W0-purpose": 350.0, "W0-code": 360.0}
TELLS_AGENT = TREE / "config" / "prompts" / "tones" / "T-A8.toml"


@pytest.fixture(scope="module")
def toned(shared_house: House) -> House:
    """With the sentences of `SAID` and `ASKED` as tones."""
    house = shared_house
    for name, hz in {**SAID, **ASKED}.items():
        path = house.work / "prompts" / "nl" / f"{name}.wav"
        path.unlink()
        audio.write_wav(path, soft(audio.tone(hz, LETTERS_S)))
    house.server.stop()
    house.server.start()
    house.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    return house


def soft(samples: audio.Samples) -> audio.Samples:
    """Without clicks at its ends."""
    ramp = np.linspace(0, 1, 400)
    shape = np.concatenate([ramp, np.ones(len(samples) - 800), ramp[::-1]])
    return np.asarray(samples * shape, dtype=np.float64)


@dataclass
class Ear:
    """What a phone heard in one call, by instants of CLOCK_MONOTONIC; `by_end`: reckoned from the call's end, for a
    phone that held, and recorded nothing then.
    """

    phone: Phone
    call: int
    by_end: bool = False
    samples: audio.Samples = field(init=False)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.samples = audio.read_wav(self.phone.recording_path(self.call))
        self.began = self._at("recording", "")
        if self.by_end:
            self.began = self._at("state", "disconnected") - len(self.samples) / audio.RATE

    def _at(self, event: str, state: str) -> float:
        return next(
            float(h["at"])
            for h in self.phone.happened
            if (h["event"], h.get("call"), h.get("state", "")) == (event, self.call, state)
        )

    def between(self, begin: float, end: float) -> audio.Samples:
        return self.samples[self._place(begin) : self._place(end)]

    def _place(self, at: float) -> int:
        return min(max(round((at - self.began) * audio.RATE), 0), len(self.samples))

    @property
    def end(self) -> float:
        return self.began + len(self.samples) / audio.RATE

    def bursts(self, hz: float, begin: float, end: float, *, above: float) -> list[tuple[float, float]]:
        """From when to when a tone was there, each time; a phone that drops a packet makes a click, not a burst."""
        samples, size, step = self.between(begin, end), 320, 80
        found: list[tuple[float, float]] = []
        for start in range(0, len(samples) - size, step):
            if audio.level_dbfs(samples[start : start + size], hz) > above:
                at = max(begin, self.began) + start / audio.RATE
                last = found[-1] if found and at - found[-1][1] < 0.015 else None
                found[-1:] = [(last[0], at)] if last else [*found[-1:], (at, at)]
        return [(first, last) for first, last in found if last - first > 0.04]


def listens(house: House) -> list[dict[str, Any]]:
    return [tap for tap in house.server.ask("taps")["taps"] if tap["use"] == "listen"]


def quietest(samples: audio.Samples, hz: float) -> float:
    size = 800
    return min(audio.level_dbfs(samples[at : at + size], hz) for at in range(0, len(samples) - size, size))


def assert_absent(samples: audio.Samples, *tones: float, below: float = ABSENT) -> None:
    assert tones and len(samples) > 800, "there is nothing to be heard, or to look for"
    for hz in tones:
        assert (loudest := audio.loudest_dbfs(samples, hz)) < below, (
            f"{hz} Hz is in it, at {loudest:.1f} dBFS"
        )


@dataclass
class Moments:
    """When what was done, and what was heard then."""

    talk: Talk
    listening: int
    dialled: float
    hears: float
    holds: float
    unholds: float
    pressed: float

    def __post_init__(self) -> None:
        self.customer = Ear(self.talk.caller, self.talk.caller_call)
        self.agent = Ear(self.talk.called, self.talk.called_call)
        self.agent_after_hold = Ear(self.talk.called, self.talk.called_call, by_end=True)


Told = tuple[Moments, Ear, dict[str, Any]]


@pytest.fixture(scope="module")
def told(toned: House) -> Told:
    """One listening: begun, interrupted by a hold, ended by the agent's key; the call goes on for a while."""
    house = toned
    house.settings('\n[private]\ndrop_before = "0s"\n')  # or the recording ended before anybody listened
    try:
        talk = house.begin()
        dialled = time.monotonic()
        listening = house.listen_in(ASKS, wait=0.4)
        until(lambda: listens(house), 8, "listening")
        hears = time.monotonic()
        time.sleep(2.2)
        holds = time.monotonic()
        talk.called.hold(call=talk.called_call)
        until(lambda: listens(house)[0]["paused"], 4, "interruption")
        time.sleep(2.0)
        unholds = time.monotonic()
        talk.called.unhold(call=talk.called_call)
        until(lambda: not listens(house)[0]["paused"], 4, "end of the interruption")
        time.sleep(1.5)
        talk.called.dtmf("*", call=talk.called_call)
        time.sleep(0.4)
        pressed = time.monotonic()
        talk.called.dtmf("1", call=talk.called_call)
        house.say(talk.caller, AFTER_KEY_HZ, call=talk.caller_call)
        house.phone("1050").wait_for("disconnected", 8, call=listening)
        time.sleep(0.5)
        talk.end()
        row = house.ended()
    finally:
        house.settings()
    moments = Moments(talk, listening, dialled, hears, holds, unholds, pressed)
    return moments, Ear(house.phone("1050"), listening), row


def test_he_hears_both_and_neither_hears_him(told: Told) -> None:
    moments, ear, _ = told
    steady = (
        (moments.agent, moments.hears + LETTERS_S + 0.4, moments.holds - 0.1),
        (moments.agent_after_hold, moments.unholds + 0.8, moments.pressed - 0.5),
    )
    for agent, begin, end in steady:
        for hz in BOTH:
            assert quietest(ear.between(begin, end), hz) == pytest.approx(-12.0, abs=2.0)
        assert_absent(moments.customer.between(begin, end), COACH_HZ)
        assert_absent(agent.between(begin, end), COACH_HZ)
        assert audio.hears(agent.between(begin, end), CUSTOMER_HZ)
    assert_absent(moments.customer.samples, COACH_HZ, below=EDGE)
    assert_absent(moments.agent.samples, COACH_HZ, below=EDGE)


def test_the_agent_is_told_to_the_end_before_the_first_sample(told: Told) -> None:
    """By his own phone's clock, tone by tone as T-A8 has them; and before it not one window of theirs is heard."""
    moments, ear, _ = told
    recipe = tomllib.loads(TELLS_AGENT.read_text())["tone"]
    notes = [note for note in recipe if "hz" in note]
    hz = notes[0]["hz"]
    found = moments.agent.bursts(hz, moments.dialled, moments.hears + 1, above=notes[0]["level_dbfs"] - 8)
    assert len(found) == len(notes)
    apart = [later[0] - earlier[0] for earlier, later in pairwise(found)]
    assert apart == pytest.approx([0.24] * len(apart), abs=0.05)
    ended = found[-1][1]
    firsts = [ear.bursts(hz, moments.dialled, moments.holds, above=-30)[0][0] for hz in BOTH]
    print(
        f"\nfrom the end of the agent's notice to the first of the two tones: {1000 * (min(firsts) - ended):.0f} ms"
    )
    assert ended < min(firsts) < ended + 2.0
    assert_absent(ear.between(moments.dialled, min(firsts) - 0.05), *BOTH)


def test_while_the_agent_holds_he_hears_neither(told: Told) -> None:
    moments, ear, _ = told
    on_hold = ear.between(moments.holds + 0.5, moments.unholds)
    assert_absent(on_hold, *BOTH, HOLD_MUSIC_HZ, below=EDGE)
    assert_absent(ear.between(moments.holds + 1.2, moments.unholds), *BOTH, HOLD_MUSIC_HZ)
    assert audio.hears(ear.between(moments.holds, moments.unholds), SAID["S3"])


def test_the_agents_key_ends_it_and_nothing_said_after_it_is_heard(told: Told) -> None:
    moments, ear, _ = told
    assert audio.hears(
        moments.agent_after_hold.between(moments.pressed, moments.agent_after_hold.end), AFTER_KEY_HZ
    )
    assert ear.end - moments.pressed < 3.0
    rest = ear.between(moments.pressed - 0.5, ear.end)
    assert audio.hears(rest, SAID["S4"])
    assert_absent(rest, AFTER_KEY_HZ, below=EDGE)
    stopped = audio.last_heard(rest, CUSTOMER_HZ)
    assert stopped is not None
    edge = round(stopped * audio.RATE)
    print(f"\nfrom the key to the last of the two tones: {1000 * (stopped - 0.5):.0f} ms")
    assert_absent(rest[edge + 320 :], AFTER_KEY_HZ, *BOTH)


def test_the_recording_is_unharmed(house: House, told: Told) -> None:
    moments, _, row = told
    assert row["outcome"] == "recorded"
    heard = house.opened(row["recordings"][0])
    lasted = moments.pressed - moments.talk.answered_at
    assert lasted - 4 < heard.seconds < lasted + 0.5
    for side, mine, other in ((heard.left, *BOTH), (heard.right, *reversed(BOTH))):
        assert audio.level_dbfs(side[800:16000], mine) == pytest.approx(-12.0, abs=1.5)
        assert_absent(
            side[800:-800], other, COACH_HZ, AFTER_KEY_HZ, HOLD_MUSIC_HZ, *SAID.values(), below=EDGE
        )
        assert_absent(side[800:32000], other, COACH_HZ)  # he was there, and nobody held
    assert heard.seconds > 4.0


def test_the_agent_can_read_who_listened(house: House, told: Told) -> None:
    _, _, row = told
    sessions = house.server.ask("monitor_history", agent="a1", **{"as": "a1"})["sessions"]
    (mine,) = [session for session in sessions if session["call"] == row["call"]]
    assert (mine["monitor"], mine["agent"], mine["purpose"]) == ("m1", "a1", "coaching")
    assert mine["allowed"]
    assert mine["notice_began"] < mine["notice_ended"] <= mine["first"] < mine["last"] <= mine["closed"]
    assert 2.5 < mine["heard"] < 8


@pytest.mark.usefixtures("toned")
def test_whoever_is_refused_hears_why_and_neither_of_them(house: House) -> None:
    talk = house.begin()
    before = time.monotonic()
    call = house.listen_in(ASKS, "1051", wait=0.4)
    phone = house.phone("1051")
    phone.wait_for("disconnected", 12, call=call)
    assert not listens(house)
    talk.end()
    ear = Ear(phone, call)
    spoken = prompt("W12")
    said = ear.samples[-len(spoken) - 4000 :]
    assert audio.likeness(said, spoken) > 0.9
    assert audio.likeness(said, prompt("W7")) < 0.8
    for hz in BOTH:
        assert not sounds_like(ear.samples, hz)
    agent = Ear(talk.called, talk.called_call)
    assert not agent.bursts(600.0, before, agent.end, above=-34), "the agent was told of one who may not"
    assert house.ended()["outcome"] == "recorded"


def sounds_like(samples: audio.Samples, hz: float) -> bool:
    """Is that tone all there is for a fifth of a second? Speech never is."""
    said = audio.tone(hz, 1.0)
    pieces = (samples[at : at + 1600] for at in range(0, len(samples) - 1600, 400))
    return any(audio._found(piece, said) > 0.6 for piece in pieces)


def prompt(name: str) -> audio.Samples:
    return audio.read_wav(TREE / "config" / "prompts" / "nl" / f"{name}.wav")


@pytest.mark.usefixtures("toned")
def test_an_idle_agent_and_one_in_a_private_call_sound_the_same(house: House, tmp_path: Path) -> None:
    """To the end: the same packets at the same pace, and the same silence after them."""
    talk = house.begin()
    talk.called.dtmf("*1", call=talk.called_call)
    until(lambda: not house.server.ask("taps")["taps"], 5, "private call")
    time.sleep(1.0)
    phone = house.phone("1050")
    keyed, calls, ports = [], [], []
    with Wire(house.site.network, tmp_path / "p") as wire:
        for extension in ("1001", "1002"):  # in a private call; idle
            calls.append(house.listen_in(f"{extension}#1246813", wait=0.4))
            keyed.append(time.monotonic())
            ports.append(int(phone.report(call=calls[-1])["local"].rpartition(":")[2]))
        for call in calls:
            phone.wait_for("disconnected", 30, call=call)
    assert talk.caller.ended(talk.caller_call) is None
    talk.end()
    ears = [Ear(phone, call) for call in calls]
    private = ears[0].between(keyed[0] - 0.4, ears[0].end)
    assert audio.likeness(private, prompt("W7")) > 0.9
    assert audio.likeness(private, prompt("W13")) > 0.9
    assert not any(sounds_like(private, hz) for hz in BOTH)
    ends = [ear.end - at for ear, at in zip(ears, keyed, strict=True)]
    print(f"\nfrom the last key to the end: private {ends[0]:.2f} s, idle {ends[1]:.2f} s")
    assert ends[0] == pytest.approx(ends[1], abs=0.3)
    assert_same_words(*(to_phone(wire.packets(), port) for port in ports))


def to_phone(packets: list[Packet], port: int) -> list[Packet]:
    """What the supervisor's phone got in one of its calls, and was not silence."""
    address = ADDRESSES["1050"]
    return [p for p in rtp(packets, to=address) if p.destination[1] == port and set(p.payload[12:]) - SILENCE]


def assert_same_words(private: list[Packet], idle: list[Packet]) -> None:
    """Byte by byte, from W13's last packet back into W7, and as fast."""
    seconds = (len(prompt("W7")) + len(prompt("W13"))) / audio.RATE
    most = round(0.7 * seconds / 0.02)  # the rest are pauses, and the menu's tones before them
    pairs = zip(private[:-most:-1], idle[:-most:-1], strict=True)
    assert all(one.payload[12:] == other.payload[12:] for one, other in pairs)
    took = [packets[-1].at - packets[-most].at for packets in (private, idle)]
    assert took[0] == pytest.approx(took[1], abs=0.15)
    assert took[0] < seconds + 0.3
