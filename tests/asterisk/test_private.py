"""Private calls beside a real Asterisk 22: from the agent's key on nothing is kept, heard or even seen here.

Who says what, by tone: before it turned private, in the ten seconds before the key, and afterwards.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from qm_sip.demo import audio
from qm_sip.demo.counter import RtpCounter
from qm_sip.demo.phone import Phone
from qm_sip.errors import QmSipError
from tests.support.house import AFTER, BEFORE, MEANWHILE, RECORDER, House
from tests.support.recorded import assert_only, until
from tests.support.site import ADDRESSES, CUSTOMER, TONES, Talk
from tests.support.wire import Packet, Wire, kept, largest_gap, mono, rtp, wall

GAP_S = 0.1
KEY_S = 0.02  # from the code's last packet to the last packet kept
CUSTOMERS, AGENTS = "127.0.0.20", ADDRESSES["1001"]


def wait_quiet(counter: RtpCounter, seconds: float = 6) -> None:
    """Wait until no packet has come to the recorder for a third of a second."""

    def quiet() -> bool:
        before = counter.packets(RECORDER)
        time.sleep(0.3)
        return counter.packets(RECORDER) == before

    until(quiet, seconds, "end of the packets at the recorder")


def went_through(packets: list[Packet], since: float) -> float:
    """When both of our re-INVITEs had been answered."""
    sent = [p.at for p in packets if p.source[0] == RECORDER and p.sip.startswith("INVITE ") and p.at > since]
    answers = [
        p.at
        for p in packets
        if p.destination[0] == RECORDER and p.sip.startswith("SIP/2.0 200") and p.cseq_method == "INVITE"
    ]
    assert len(sent) >= 2, "no two re-INVITEs"
    return [at for at in answers if at > sent[0]][1]


def test_what_was_said_from_ten_seconds_before_the_key_on_is_nowhere(house: House, tmp_path: Path) -> None:
    """And no packet comes here any more, nobody hears a gap, and neither hold nor transfer brings it back."""
    third = house.phone("1002")
    with (
        RtpCounter(house.site.network, [RECORDER]) as counter,
        Wire(house.site.network, tmp_path / "p") as wire,
    ):
        talk = house.begin()
        time.sleep(4.0)
        house.both_say(talk, MEANWHILE)
        time.sleep(9.3)
        pressed = time.monotonic()
        talk.called.dtmf("*1", call=talk.called_call)
        wait_quiet(counter)
        house.both_say(talk, AFTER)
        quiet = counter.packets(RECORDER)
        time.sleep(1.5)
        settled = time.monotonic()
        talk.called.hold(call=talk.called_call)
        time.sleep(0.7)
        talk.called.unhold(call=talk.called_call)
        time.sleep(0.7)
        before = third.mark()
        talk.called.transfer("sip:1002@127.0.0.1:5060", call=talk.called_call)
        theirs = third.wait_for("confirmed", since=before)["call"]
        talk.called.hangup(call=talk.called_call)
        time.sleep(1.5)
        assert counter.packets(RECORDER) == quiet
        talk.caller.hangup(call=talk.caller_call)
        third.wait_for("disconnected", call=theirs)
    packets = wire.packets()
    assert_no_gap(talk, packets, wall(pressed), wall(settled))
    answered = went_through(packets, wall(pressed))
    last = rtp(packets, at=RECORDER)[-1].at
    print(f"\nfrom both answers to the last packet at the recorder: {1000 * (last - answered):.1f} ms")
    assert last - answered < 0.05
    assert not [p for p in packets if p.key and p.destination[0] == CUSTOMERS], "the customer got the keys"
    assert_hear_each_other(talk, third, theirs)

    row = house.ended(house.new_calls()[0]["call"])
    assert row["outcome"] == "recorded"
    heard = house.opened(row["recordings"][0])
    assert_only(heard.left, BEFORE[0], *MEANWHILE, *AFTER, BEFORE[1])
    assert_only(heard.right, BEFORE[1], *MEANWHILE, *AFTER, BEFORE[0])
    assert 2.0 < heard.seconds < 4.5
    assert_proven(house, row["call"])


def assert_no_gap(talk: Talk, packets: list[Packet], begin: float, end: float) -> None:
    """On the wire towards each phone, and in what each phone heard; once the agent's finger has left the keys, for
    while he presses his phone sends keys and no voice.
    """
    begin = max(p.at for p in packets if p.key and p.source[0] == AGENTS and begin < p.at < end)
    for name, address in (("customer", CUSTOMERS), ("agent", AGENTS)):
        gap = largest_gap(rtp(packets, to=address), begin, end)
        print(f"\nlargest gap towards the {name}'s phone: {1000 * gap:.0f} ms")
        assert gap < GAP_S
    for phone, call, tones in (
        (talk.caller, talk.caller_call, (BEFORE[1], MEANWHILE[1], AFTER[1])),
        (talk.called, talk.called_call, (BEFORE[0], MEANWHILE[0], AFTER[0])),
    ):
        silent = longest_silence(House.heard(phone, call, mono(begin) + 0.1, mono(end)), tones)
        print(f"longest time in which {phone.user} heard nothing: {1000 * silent:.0f} ms")
        assert silent < GAP_S


def longest_silence(samples: audio.Samples, tones: tuple[float, ...]) -> float:
    """Seconds: between the first and the last window in which one of the tones is heard, the longest without any."""
    size, step = 160, 80
    heard = [
        at
        for at in range(0, len(samples) - size, step)
        if any(audio.level_dbfs(samples[at : at + size], hz) > -25 for hz in tones)
    ]
    return max((b - a - step for a, b in pairwise(heard)), default=0) / audio.RATE


def assert_hear_each_other(talk: Talk, third: Phone, theirs: int) -> None:
    assert audio.hears(talk.heard(talk.called), AFTER[0])
    heard = talk.heard(talk.caller)
    assert audio.hears(heard, AFTER[1])
    assert audio.hears(heard[-audio.RATE :], TONES["1002"])  # whom he was put through to
    assert audio.hears(audio.read_wav(third.recording_path(theirs)), AFTER[0])


def assert_proven(house: House, call: str) -> None:
    """The agent alone is told, and everybody else is refused in the same words."""
    proof = house.server.ask("private_proof", call=call, **{"as": "a1"})
    assert proof["private"]
    assert (proof["path"], proof["recorded_after"], proof["listened_after"]) == ("direct", 0, 0)
    assert proof["cut_back"] == pytest.approx(10.0, abs=0.3)
    assert proof["packets_end"] == pytest.approx(proof["since"], abs=3)
    for other in ("a2", "m1", "o1"):
        with pytest.raises(QmSipError, match="agent of that call alone"):
            house.server.ask("private_proof", call=call, **{"as": other})


def test_from_the_key_to_the_last_packet_kept(house: House, tmp_path: Path) -> None:
    """With no cut backwards: every packet's own sound is looked for in the file."""
    house.settings('\n[private]\ndrop_before = "0s"\n')
    with Wire(house.site.network, tmp_path / "p") as wire:
        talk = house.begin()
        for seed, phone, call in (
            (1, talk.caller, talk.caller_call),
            (2, talk.called, talk.called_call),
        ):
            path = audio.write_wav(house.site.sounds / f"noise-{seed}.wav", audio.noise(10, seed=seed))
            phone.play(path, call=call)
        time.sleep(2.0)
        talk.called.dtmf("*1", call=talk.called_call)
        time.sleep(1.5)
        talk.end()
    row = house.ended()
    heard = house.opened(row["recordings"][0])
    packets = wire.packets()
    code = [p for p in rtp(packets, to=RECORDER) if p.key]
    assert "".join(dict.fromkeys(p.key for p in code)) == "*1"
    matched = next(p.at for p in code if p.key == "1")
    of_customer, of_agent = (kept(rtp(packets, to=RECORDER), side) for side in (heard.left, heard.right))
    assert len(of_customer) > 40 and len(of_agent) > 40
    last = max(packet.at for packet in (*of_customer, *of_agent))
    print(f"\nfrom the code's last packet to the last packet kept: {1000 * (last - matched):.1f} ms")
    assert last - matched < KEY_S
    assert last - matched > -0.5  # and it is that switch which ended the recording


def test_by_prefix_not_one_packet_comes_here(house: House) -> None:
    """*66 and the number: the customer is not told anything, and nothing of the call passes here."""
    house.know()
    with RtpCounter(house.site.network, [RECORDER]) as counter:
        talk = house.site.connect(house.phone("1001"), "*660687654321", house.customer)
        time.sleep(1.5)
        talk.end()
        assert counter.packets(RECORDER) == 0
    assert audio.hears(talk.heard(talk.called), TONES["1001"])
    assert audio.hears(talk.heard(talk.caller), TONES[CUSTOMER])
    row = house.ended()
    assert (row["outcome"], row["recordings"]) == ("bypassed", [])
    assert house.server.ask("private_proof", call=row["call"], **{"as": "a1"})["private"]


def test_set_beforehand_it_survives_a_restart_and_holds_for_one_call(house: House) -> None:
    """*67 at his own phone: A4 is heard, the server restarts, the next call is private, the one after it not."""
    agent = house.phone("1001")
    mine = agent.call("sip:*67@127.0.0.1:5060")
    agent.wait_for("disconnected", 12, call=mine)
    assert audio.loudest(audio.read_wav(agent.recording_path(mine))) > 0.05, "nothing was said"
    assert house.server.ask("private_status", **{"as": "a1"})["mode"] == "next-call"
    house.server.stop()
    house.server.start()
    house.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
    house.pbx.wait_idle()
    assert house.server.ask("private_status", **{"as": "a1"})["private"]
    with RtpCounter(house.site.network, [RECORDER]) as counter:
        talk = house.begin(tap=False)
        time.sleep(1.5)
        talk.end()
        assert counter.packets(RECORDER) == 0
    assert audio.hears(talk.heard(talk.called), TONES[CUSTOMER])
    assert audio.hears(talk.heard(talk.caller), TONES["1001"])
    assert house.ended()["recordings"] == []
    assert not house.server.ask("private_status", **{"as": "a1"})["private"]
    again = house.begin()
    time.sleep(1.0)
    again.end()
    assert house.ended()["outcome"] == "recorded"
