"""The customer does not want it, beside a real Asterisk 22: what was recorded is gone, and only then is he told so."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.counter import RtpCounter
from qm_sip.demo.server import TREE, ServerError, qm_sip
from tests.support import recorded
from tests.support.house import RECORDER, House
from tests.support.recorded import until
from tests.support.site import ASTERISK, CUSTOMER, TONES
from tests.support.wire import Wire, loud, mono, rtp

CUSTOMERS, AGENTS = "127.0.0.20", "127.0.0.11"
SPEECH, NO_SPEECH = 0.85, 0.75  # likeness: the very sentence, and something else


def sentence(prompt: str) -> audio.Samples:
    return audio.read_wav(TREE / "config" / "prompts" / "nl" / f"{prompt}.wav")


def files_of(house: House, recording: str) -> list[Path]:
    """Whatever on the disk, or in the memory for keys, has this recording's name; but for the tomb, which holds nothing
    and stays a moment longer.
    """
    keys = Path(house.server.environment["QM_SIP_STORAGE_KEY_DIRECTORY"])
    found = (*(house.work / "server" / "storage").rglob("*"), *keys.rglob("*"))
    return [path for path in found if recording in path.name and path.suffix != ".tomb"]


class Gone:
    """Notes when the last file of a recording has vanished."""

    def __init__(self, files: list[Path]) -> None:
        self.files, self.at = files, 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        until = time.monotonic() + 20
        while any(path.exists() for path in self.files) and time.monotonic() < until:
            time.sleep(0.001)
        self.at = time.monotonic()

    def wait(self) -> float:
        self._thread.join(25)
        return self.at


@pytest.mark.parametrize(("who", "keys"), [("customer", "*9"), ("agent", "*8")])
def test_what_was_recorded_is_gone_before_he_is_told_so(
    house: House, tmp_path: Path, who: str, keys: str
) -> None:
    with Wire(house.site.network, tmp_path / "p") as wire:
        talk = house.begin()
        recording = recorded.tap(house.server)["tap"]
        until(lambda: len(files_of(house, recording)) >= 2, 5, "journal and key of the recording")
        time.sleep(1.5)
        house.both_say(talk, (0.0, 0.0))  # so that nothing but our own voice is to be heard
        time.sleep(0.5)
        gone = Gone(files_of(house, recording))
        phone, call = (
            (talk.caller, talk.caller_call) if who == "customer" else (talk.called, talk.called_call)
        )
        pressed = time.monotonic()
        phone.dtmf(keys, call=call)
        gone.wait()
        assert not files_of(house, recording)
        time.sleep(len(sentence("K15")) / audio.RATE + 1.0)
        talk.end()
    packets = wire.packets()
    heard_by_customer = loud(rtp(packets, to=CUSTOMERS))
    told = next(packet.at for packet in heard_by_customer if mono(packet.at) > pressed)
    print(f"\nthe last file was gone {1000 * (mono(told) - gone.at):.0f} ms before the first word of K15")
    assert gone.at < mono(told)
    assert audio.likeness(house.heard(talk.caller, talk.caller_call, pressed), sentence("K15")) > SPEECH
    by_agent = house.heard(talk.called, talk.called_call, pressed)
    assert audio.likeness(by_agent, sentence("K15")) < NO_SPEECH
    assert audio.hears(by_agent, 392)  # the tone of A3
    assert not [packet for packet in packets if packet.key and packet.destination[0] in (CUSTOMERS, AGENTS)]
    assert_nothing_left(house, recording)


def assert_nothing_left(house: House, recording: str) -> None:
    row = house.ended()
    assert row["outcome"] == "blocked"
    assert "objected" in row["reasons"]
    assert row["recorded_seconds"] == 0
    told = house.explain(row["call"])
    assert [one["state"] for one in told["recordings"]] == ["destroyed"]
    assert {"untold", "told", "objected"} >= {span["state"] for span in told["spans"]}
    assert not files_of(house, recording)
    assert not list((house.work / "server" / "storage" / "journals").iterdir())
    with pytest.raises(ServerError):
        qm_sip("recordings", "export", recording, "--as", "m1", "--purpose", "coaching",
               "--identity", str(house.server.identity), "--out", str(house.work / "gone.flac"),
               "--socket", str(house.server.socket))  # fmt: skip


def test_nine_while_the_notice_is_being_said(house: House) -> None:
    """One key, before the agent's phone has rung: K14, then the call, of which nothing was ever kept."""
    house.know()
    customer, agent = house.customer, house.phone("1001")
    customer.say(house.tone(0))
    try:
        since = agent.mark()
        mine = customer.call(f"sip:3003@{ASTERISK}")
        told = customer.wait_for("confirmed", call=mine)["at"]
        time.sleep(max(0.0, told + 1.5 - time.monotonic()))
        pressed = time.monotonic()
        customer.dtmf("9", call=mine)
        rings = agent.wait_for("incoming", 15, since=since)
        agent.wait_for("confirmed", call=rings["call"])
        with RtpCounter(house.site.network, [RECORDER]) as counter:
            time.sleep(2.0)
            house.say(customer, TONES[CUSTOMER], call=mine)
            time.sleep(1.0)
            print(f"\npackets at the recorder after the objection: {counter.packets(RECORDER)}")
        assert not house.server.ask("taps")["taps"]
        customer.hangup(call=mine)
        agent.wait_for("disconnected", call=rings["call"])
    finally:
        customer.say(house.site.tone(CUSTOMER))
    said = house.heard(customer, mine, pressed, rings["at"])
    assert audio.likeness(said, sentence("K14")) > SPEECH
    rest_of_the_notice = audio.likeness(said, sentence("K1-all-short-key")[8 * audio.RATE // 2 :])
    print(f"likeness with the rest of the notice: {rest_of_the_notice:.2f}")
    assert audio.hears(audio.read_wav(agent.recording_path(rings["call"])), TONES[CUSTOMER])
    assert audio.likeness(audio.read_wav(agent.recording_path(rings["call"])), sentence("K14")) < NO_SPEECH
    row = house.ended()
    assert (row["outcome"], row["recordings"]) == ("blocked", [])
    assert "objected" in row["reasons"]
    storage = house.work / "server" / "storage"
    assert not list((storage / "journals").iterdir())
