"""A prompt that is missing, unreadable or of a wrong format stops the start with one clear error."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from qm_sip.announce.prompts import PromptKind, load, load_all_errors, read_sidecar
from qm_sip.announce.wav import write_wav
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import Use
from tests.announce.helpers import put


def test_a_prompt_is_named_by_the_digest_of_its_wav(tmp_path: Path) -> None:
    wav = put(tmp_path, "K1", seconds=2.5).with_suffix(".wav")
    prompt = load(tmp_path).get("K1", "nl")
    assert prompt.digest == hashlib.sha256(wav.read_bytes()).hexdigest()
    assert prompt.duration == 2.5
    assert prompt.text.startswith("Welkom bij Voorbeeld Energie.")
    assert (prompt.uses, prompt.purposes, prompt.says) == ({Use.RECORD}, {"coaching"}, "does")
    assert prompt.kind is PromptKind.CUSTOMER_NOTICE


def test_told_is_a_set(tmp_path: Path) -> None:
    put(tmp_path, "K1")
    prompt = load(tmp_path).get("K1", "nl")
    assert prompt.covers({Use.RECORD}, {"coaching"})
    assert not prompt.covers({Use.RECORD, Use.LISTEN}, {"coaching"})
    assert not prompt.covers({Use.RECORD}, {"coaching", "assessment"})


def break_by(what: str, sidecar: Path) -> None:
    wav = sidecar.with_suffix(".wav")
    if what == "no wav":
        wav.unlink()
    elif what == "wav is a directory":
        wav.unlink()
        wav.mkdir()
    elif what == "wav is text":
        wav.write_text("hello")
    elif what == "no sidecar":
        sidecar.unlink()
    elif what == "sidecar not TOML":
        sidecar.write_text("id = K1")
    elif what == "sidecar not UTF-8":
        sidecar.write_bytes(b'id = "\xff"')
    else:
        sidecar.write_text(sidecar.read_text() + what + "\n")


@pytest.mark.parametrize(
    ("what", "file", "problem", "remedy"),
    [
        ("no wav", "K1.wav", "missing", "qm-sip prompts build"),
        ("wav is a directory", "K1.wav", "cannot be read", "permissions"),
        ("wav is text", "K1.wav", "not a RIFF/WAVE file", "sox"),
        ("no sidecar", "K1.wav", "without a sidecar", "K1.toml"),
        ("sidecar not TOML", "K1.toml", "not TOML", "quotes"),
        ("sidecar not UTF-8", "K1.toml", "not TOML", "quotes"),
        ('colour = "red"', "K1.toml", "Extra inputs", "docs"),
        ("length = 0", "K1.toml", "greater than 0", "docs"),
    ],
)
def test_each_fault_names_the_file_and_the_remedy(
    tmp_path: Path, what: str, file: str, problem: str, remedy: str
) -> None:
    break_by(what, put(tmp_path, "K1"))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert caught.value.file.endswith(file)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"uses": []}, "uses"),
        ({"purposes": []}, "purposes"),
        ({"identity": ""}, "identity"),
        ({"says": None}, "says"),
        ({"id": "K2"}, "id"),
        ({"kind": "shout"}, "kind"),
        ({"uses": ["watch"]}, "uses.0"),
        ({"says": "perhaps"}, "says"),
        ({"text": ""}, "text"),
    ],
)
def test_a_notice_must_state_what_it_tells(tmp_path: Path, values: dict[str, object], key: str) -> None:
    sidecar = put(tmp_path, "K1", **values)
    with pytest.raises(ConfigError) as caught:
        read_sidecar(sidecar)
    assert caught.value.key == key


def test_a_sidecar_in_the_folder_of_another_language_is_refused(tmp_path: Path) -> None:
    sidecar = put(tmp_path, "K1")
    (tmp_path / "en").mkdir()
    with pytest.raises(ConfigError, match="language is not the folder's name"):
        read_sidecar(sidecar.rename(tmp_path / "en" / "K1.toml"))


def test_a_text_changed_after_the_build_is_noticed(tmp_path: Path) -> None:
    sidecar = put(tmp_path, "K1")
    digest = read_sidecar(sidecar).text_digest
    sidecar.with_suffix(".wav").write_bytes(write_wav(np.ones(800, dtype=np.int16), digest))
    assert not load(tmp_path).get("K1", "nl").own_recording
    sidecar.write_text(sidecar.read_text().replace("coachen", "begeleiden"))
    with pytest.raises(ConfigError, match="speaks another text"):
        load(tmp_path)


def test_check_sees_every_fault_and_the_good_prompts_besides(tmp_path: Path) -> None:
    put(tmp_path, "K1")
    for broken in ("K2", "K3"):
        put(tmp_path, broken).with_suffix(".wav").unlink()
    library, errors = load_all_errors(tmp_path)
    assert [prompt.id for prompt in library] == ["K1"]
    assert len(errors) == 2


def test_the_same_bytes_cannot_tell_two_things(tmp_path: Path) -> None:
    """What the engine proves is which bytes were played: a second sidecar would change what that meant."""
    first = put(tmp_path, "K1").with_suffix(".wav").read_bytes()
    put(tmp_path, "K2").with_suffix(".wav").write_bytes(first)
    assert len(load(tmp_path)) == 2  # the same words, twice
    put(tmp_path, "K2", purposes=["coaching", "assessment"]).with_suffix(".wav").write_bytes(first)
    with pytest.raises(ConfigError, match=r"sounds exactly like K1 \(nl\)") as caught:
        load(tmp_path)
    assert caught.value.file.endswith("K2.wav")


def test_only_notices_tell_of_uses(tmp_path: Path) -> None:
    for kind in ("customer-confirmation", "agent", "supervisor"):
        for key, value in (("uses", ["record"]), ("purposes", ["coaching"]), ("says", "does")):
            nothing = {"uses": None, "purposes": None, "says": None}
            sidecar = put(tmp_path, "A1", kind=kind, **{**nothing, key: value})
            with pytest.raises(ConfigError, match=f"{kind} tells of no use") as caught:
                read_sidecar(sidecar)
            assert caught.value.key == key


def test_a_website_is_spoken_in_its_place(tmp_path: Path) -> None:
    nothing = {"uses": None, "purposes": None, "says": None}
    kind = "customer-confirmation"
    put(tmp_path, "K21", kind=kind, text="Of via {website}.", website="voorbeeld punt nl", **nothing)
    assert load(tmp_path).get("K21", "nl").text == "Of via voorbeeld punt nl."


def test_no_directory_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such prompt directory"):
        load(tmp_path / "nowhere")


def test_a_prompt_that_is_not_there_says_where_it_is(tmp_path: Path) -> None:
    put(tmp_path, "K1", "en")
    with pytest.raises(ConfigError, match="it exists in: en"):
        load(tmp_path).get("K1", "nl")
    assert load(tmp_path).find("K1", "nl") is None
