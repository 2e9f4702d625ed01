"""The engine's own journals, read by this reader: marker tones from the wire to the file."""

import numpy as np
import pyrage
import pytest

from qm_sip.media import protocol as p
from qm_sip.recorder.g711 import PCMA, TABLE
from qm_sip.recorder.journal import Journal, read_journal
from qm_sip.recorder.render import render
from tests.media.helpers import IDENTITY, MS, PROMPT, Script, rtp
from tests.recorder.journal_writer import alaw, tone
from tests.recorder.test_render import level, sound_of


class Voices(Script):
    """A call whose parties speak in tones; the customer changes his when the announcement is over."""

    customer, agent = 400, 2000

    def speak(self, milliseconds: int) -> None:
        for _ in range(milliseconds // 20):
            start = self.sequence * 160
            for leg, hertz, ssrc in (("caller", self.customer, 11), ("callee", self.agent, 22)):
                octets = alaw(tone(hertz, 0.02, start=start))
                self.packet(leg, rtp(self.sequence, octets, ssrc=ssrc))
            self.sequence += 1
            self.wait(20)

    def announced(self) -> None:
        """Up to a running recording, the customer speaking all the while."""
        self.open()
        self.do(p.Bridge("c", True), p.Play("c", "caller", "k", PROMPT))
        self.speak(1200)
        (proof,) = self.happened(p.PromptFinished)
        self.customer = 1000
        self.tap(
            proof.proof, header={"class": "quality", "regulation": "sha256:aa", "announcement": [PROMPT]}
        )

    def read(self) -> Journal:
        return read_journal(self.engine.journals()["t"], self.engine.keys()["t"])


def closed(call: Voices) -> Journal:
    call.do(p.CloseTap("c", "t", "hung-up"))
    call.wait(500)
    return call.read()


def test_what_was_said_during_the_announcement_is_not_there_and_the_rest_is_bit_exact() -> None:
    call = Voices()
    call.announced()
    call.speak(4000)
    journal = closed(call)
    sound = sound_of(render(journal).flac)
    left, right = sound[:, 0].astype(float), sound[:, 1].astype(float)
    assert level(left, 1000) > -20
    assert level(right, 2000) > -20
    assert max(level(left, 400), level(right, 400), level(right, 1000), level(left, 2000)) < -60
    kept = (journal.end_ns - journal.header.kept_from_ns) / 1e9
    assert abs(len(sound) / 8000 - kept) <= 0.04
    for channel, samples in enumerate((sound[:, 0], sound[:, 1])):
        sent = b"".join(packet.payload for packet in journal.packets if packet.channel == channel)
        decoded = TABLE[PCMA][np.frombuffer(sent, np.uint8)]
        first = np.flatnonzero(samples)[0] - np.flatnonzero(decoded)[0]
        assert np.array_equal(samples[first : first + len(decoded)], decoded)


def test_a_hold_is_silence_on_the_axis_and_a_gap_in_the_tags() -> None:
    call = Voices()
    call.announced()
    call.speak(2000)
    call.do(p.Hold("c", True))
    call.speak(1000)
    call.do(p.Hold("c", False))
    call.speak(2000)
    journal = closed(call)
    made = render(journal)
    (hold,) = [gap for gap in made.timeline.gaps if gap[0] == "hold"]
    assert 8000 <= hold[2] - hold[1] <= 9600 + 320  # the second, and the 200 ms that were held back
    inside = sound_of(made.flac)[hold[1] + 320 : hold[2] - 320]
    assert len(inside) > 7000
    assert not inside.any()
    assert "QM_GAP" in [name for name, _ in made.tags]


def test_a_cut_takes_what_lay_between() -> None:
    call = Voices()
    call.announced()
    call.speak(4000)
    end = call.now
    call.do(p.Cut("c", "t", end - 3000 * MS, end - 1000 * MS))
    call.speak(1000)
    journal = closed(call)
    (cut,) = [gap for gap in journal.gaps if gap.state == "private"]
    assert not [packet for packet in journal.packets if cut.from_ns <= packet.arrival_ns <= cut.to_ns]
    sound, begin = sound_of(render(journal).flac), cut.from_ns - journal.header.kept_from_ns
    first, last = round(begin * 8e-6) + 320, round((begin + cut.to_ns - cut.from_ns) * 8e-6) - 320
    assert last - first > 15000
    assert not sound[first:last].any()


def test_what_an_engine_that_died_left_is_rendered() -> None:
    call = Voices()
    call.announced()
    call.speak(3000)
    journal = call.read()
    assert journal.ended is None
    assert 2.0 < render(journal).timeline.length / 8000 < 3.0


def test_the_wrapped_key_in_the_envelope_is_the_running_one() -> None:
    call = Voices()
    call.announced()
    call.speak(500)
    journal = closed(call)
    assert pyrage.decrypt(journal.envelope.wrapped["coaching"], [IDENTITY]) == call.engine.keys()["t"]


@pytest.mark.parametrize("lost", [0.01, 0.2])
def test_loss_on_the_way_is_counted_and_moves_nothing(lost: float) -> None:
    call, chance = Voices(), np.random.default_rng(4)
    call.announced()
    whole = call.packet
    dropped = []

    def lossy(leg: str, data: bytes, source: tuple[str, int] | None = None) -> None:
        if chance.random() < lost:
            dropped.append(leg)
        else:
            whole(leg, data, source)

    call.packet = lossy  # type: ignore[method-assign]
    call.speak(6000)
    call.packet = whole  # type: ignore[method-assign]
    call.speak(100)
    made = render(closed(call))
    assert dropped
    counted = sum(track.lost for track in made.timeline.tracks)
    assert len(dropped) - 30 * lost <= counted + 1
    assert counted <= len(dropped)
    assert [track.anchors for track in made.timeline.tracks] == [1, 1]
