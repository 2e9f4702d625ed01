"""Opening what was sealed, and telling whether it is what was made."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyrage
import pytest
import soundfile

from qm_sip.errors import Refused
from qm_sip.recorder import flac
from qm_sip.recorder.export import open_sealed, open_sealed_journal, to_wav, verify, verify_sealed
from qm_sip.recorder.jobs import RenderJob
from qm_sip.recorder.renderer import do_job
from qm_sip.recorder.rows import Recording
from tests.recorder.facts import HOLDER, RECIPIENT
from tests.recorder.stage import catalog_in, enter, journal_of, put, store_in


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Recording]:
    """A sealed recording and its row."""
    store, catalog = store_in(tmp_path), catalog_in(tmp_path)
    enter(catalog, "rec-1")
    put(store, "rec-1")
    output = store.new_sealed("rec-1")
    job = RenderJob("rec-1", store.journal("rec-1"), store.key("rec-1"), output, {"coaching": [RECIPIENT]})
    catalog.rendered(do_job(job)).result()
    row = catalog.recording("rec-1")
    catalog.close()
    assert row is not None
    return output, row


def test_its_recipient_opens_it_and_it_is_sound(made: tuple[Path, Recording]) -> None:
    path, row = made
    data = open_sealed(path, row.wrapped["coaching"], str(HOLDER))
    verdict = verify(data, row)
    assert (verdict.sound, len(verdict.checked)) == (True, 10)
    assert verify_sealed(path, row).sound


def test_a_wav_has_the_same_samples(made: tuple[Path, Recording]) -> None:
    path, row = made
    data = open_sealed(path, row.wrapped["coaching"], str(HOLDER))
    one, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    two, _ = soundfile.read(io.BytesIO(to_wav(data)), dtype="int16")
    assert np.array_equal(one, two)


def test_a_stranger_and_nonsense_are_refused(made: tuple[Path, Recording]) -> None:
    path, row = made
    for identity, code in (
        (str(pyrage.x25519.Identity.generate()), "not-a-recipient"),
        ("x", "not-an-identity"),
    ):
        with pytest.raises(Refused) as refusal:
            open_sealed(path, row.wrapped["coaching"], identity)
        assert refusal.value.code == code


def test_a_changed_byte_is_found_without_opening_and_refused_when_opening(
    made: tuple[Path, Recording],
) -> None:
    path, row = made
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    assert verify_sealed(path, row).wrong == ["sealed-sha256"]
    with pytest.raises(Refused):
        open_sealed(path, row.wrapped["coaching"], str(HOLDER))
    path.unlink()
    assert verify_sealed(path, row).wrong == ["file-missing"]


def test_another_tag_another_row_another_length_are_found(made: tuple[Path, Recording]) -> None:
    path, row = made
    data = open_sealed(path, row.wrapped["coaching"], str(HOLDER))
    tags = [(n, "assessment" if n == "QM_PURPOSE" else v) for n, v in flac.read_tags(data)]
    assert verify(flac.with_tags(data, tags), row).wrong == ["sha256", "tag-purposes"]
    assert verify(data, replace(row, cls="logging", regulation="sha256:zz")).wrong == [
        "tag-class",
        "tag-regulation",
    ]
    assert verify(data, replace(row, facts={**row.facts, "frames": 1})).wrong == ["length"]
    assert verify(b"junk", row).wrong == ["sha256", "flac"]


def test_a_sealed_journal_opens_for_its_purpose_only(tmp_path: Path) -> None:
    path = tmp_path / "rec-1.qmj"
    path.write_bytes(journal_of("rec-1").to_bytes())
    assert open_sealed_journal(path, "coaching", str(HOLDER)).timeline.length == 8000
    with pytest.raises(Refused):
        open_sealed_journal(path, "assessment", str(HOLDER))
    with pytest.raises(Refused):
        open_sealed_journal(path, "coaching", str(pyrage.x25519.Identity.generate()))


def test_the_wrapped_key_is_an_age_file_any_age_opens(made: tuple[Path, Recording]) -> None:
    wrapped = base64.b64decode(made[1].wrapped["coaching"])
    assert wrapped.startswith(b"age-encryption.org/v1\n-> X25519 ")
