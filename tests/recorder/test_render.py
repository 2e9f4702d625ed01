"""From journal to file: marker tones on their sides, tags without people, and a seal that only its
recipients open.
"""

import base64
import io

import numpy as np
import pyrage
import pytest
import soundfile

from qm_sip.recorder import flac
from qm_sip.recorder.g711 import PCMA, TABLE
from qm_sip.recorder.journal import JournalEmpty, JournalError, read_journal
from qm_sip.recorder.render import Rendered, render, seal
from tests.recorder.journal_writer import KEPT_FROM, Writer, alaw, cut, end, gap, header, tone, two_tones


def rendered(writer: Writer) -> Rendered:
    return render(read_journal(writer.to_bytes(), writer.key))


def sound_of(data: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    assert rate == 8000
    return samples


def level(samples: np.ndarray, hertz: float) -> float:
    """Level of one frequency in dBFS, by a Hann window and one bin of a Fourier sum."""
    window = np.hanning(len(samples))
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / 8000)
    amplitude = 2 * abs(np.sum(samples / 32768 * window * wave)) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-12)))


def test_each_voice_is_on_its_side_only() -> None:
    sound = sound_of(rendered(two_tones(2.0)).flac)
    left, right = sound[:, 0], sound[:, 1]
    assert level(left, 1000) > -15 > -60 > level(right, 1000)
    assert level(right, 2000) > -15 > -60 > level(left, 2000)
    assert abs(len(sound) - 16000) <= 320


def test_what_nothing_was_lost_of_is_bit_exact() -> None:
    sound = sound_of(rendered(two_tones(2.0)).flac)
    for channel, hertz in enumerate((1000, 2000)):
        octets = np.frombuffer(alaw(tone(hertz, 2.0)), np.uint8)
        assert np.array_equal(sound[:, channel], TABLE[PCMA][octets])


@pytest.mark.parametrize("seconds", [0.02, 59.98, 60.0, 60.02, 121.0])
def test_lengths_are_right_across_the_borders_of_blocks(seconds: float) -> None:
    assert len(sound_of(rendered(two_tones(seconds)).flac)) == round(seconds * 8000)


def test_the_tags_say_whose_rules_apply_and_nothing_of_people() -> None:
    head = header()
    head["header"] |= {"caller": "+31612345678", "agent_name": "Jan Jansen", "call": "c-1"}
    writer = two_tones(1.0, head=head)
    writer.chunks.insert(1, gap(1, KEPT_FROM + 250_000_000, KEPT_FROM + 500_000_000))
    made = rendered(writer)
    assert flac.read_tags(made.flac) == [
        ("QM_RECORDING_ID", "rec-1"),
        ("QM_CLASS", "quality"),
        ("QM_PURPOSE", "coaching"),
        ("QM_REGULATION", "sha256:abc"),
        ("QM_ANNOUNCEMENT_SHA256", "d1" * 32),
        ("QM_DELETE_AFTER", "coaching 2026-05-01T00:00:00+00:00"),
        ("QM_CHANNELS", "customer agent"),
        ("QM_GAP", "hold 0.250 0.500"),
    ]
    assert b"316123" not in made.flac
    assert b"Jansen" not in made.flac


def test_a_reader_that_knows_nothing_of_us_reads_the_file() -> None:
    info = soundfile.info(io.BytesIO(rendered(two_tones(1.0)).flac))
    assert (info.format, info.subtype, info.channels, info.samplerate, info.frames) == (
        "FLAC",
        "PCM_16",
        2,
        8000,
        8000,
    )


@pytest.mark.parametrize("data", [b"", b"RIFF", b"fLaC", b"fLaC\x80\0\0\x22ab"])
def test_what_is_not_flac_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(flac.FlacError):
        flac.read_blocks(data)


def test_a_journal_without_any_time_is_empty() -> None:
    with pytest.raises(JournalEmpty):
        rendered(Writer().add(end(KEPT_FROM)))


def test_a_seal_opens_for_each_purposes_recipients_and_nobody_else() -> None:
    coach, officer, stranger = (pyrage.x25519.Identity.generate() for _ in range(3))
    plain = b"fLaC and so on"
    sealed = seal(plain, {"coaching": [str(coach.to_public())], "complaint": [str(officer.to_public())]})
    assert plain not in sealed.ciphertext
    for purpose, holder in (("coaching", coach), ("complaint", officer)):
        inner = pyrage.decrypt(base64.b64decode(sealed.wrapped[purpose]), [holder]).decode()
        assert pyrage.decrypt(sealed.ciphertext, [pyrage.x25519.Identity.from_str(inner)]) == plain
    for wrong in (stranger, officer):
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(base64.b64decode(sealed.wrapped["coaching"]), [wrong])


def test_two_recordings_never_share_an_identity() -> None:
    holder = pyrage.x25519.Identity.generate()
    to = {"coaching": [str(holder.to_public())]}
    keys = {pyrage.decrypt(base64.b64decode(seal(b"x", to).wrapped["coaching"]), [holder]) for _ in range(4)}
    assert len(keys) == 4


@pytest.mark.parametrize("to", [{}, {"coaching": []}, {"coaching": ["age1nonsense"]}])
def test_without_recipients_nothing_is_sealed(to: dict[str, list[str]]) -> None:
    with pytest.raises(JournalError):
        seal(b"x", to)


def test_what_was_cut_is_silence_of_its_length_and_named_private() -> None:
    begin = KEPT_FROM + 500_000_000
    writer = two_tones(2.0)
    writer.chunks.insert(len(writer.chunks) - 1, cut(begin, begin + 1_000_000_000))
    made = rendered(writer)
    sound = sound_of(made.flac)
    assert not sound[4200:11800].any()  # but for the packet that began before it
    assert sound[:3800].any()
    assert sound[12400:].any()
    assert ("QM_GAP", "private 0.500 1.500") in made.tags


def test_a_recording_of_which_all_was_cut_is_one_in_which_nothing_was_kept() -> None:
    writer = two_tones(2.0)
    writer.chunks.insert(len(writer.chunks) - 1, cut(0, KEPT_FROM + 60_000_000_000))
    with pytest.raises(JournalEmpty):
        rendered(writer)
