"""Keys: made once, never overwritten, readable by their owner only, and recipients known from nonsense."""

from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.config.recipient import is_recipient
from qm_sip.errors import StartError
from qm_sip.recorder.keys import (
    create_host_key,
    generate,
    load_host_key,
    read_identity,
    recipients_table,
)


def test_one_identity_per_purpose_and_its_recipient(tmp_path: Path) -> None:
    made = generate(tmp_path / "keys", ["coaching", "complaint"])
    for key in made:
        assert key.path.stat().st_mode & 0o777 == 0o600
        text = key.path.read_text()
        assert "WARNING" in text
        identity = pyrage.x25519.Identity.from_str(read_identity(key.path))
        assert str(identity.to_public()) == key.recipient
    table = recipients_table(made)
    assert f'[keys.complaint]\nrecipients = ["{made[1].recipient}"]' in table
    assert "AGE-SECRET-KEY" not in table


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    generate(tmp_path, ["coaching"])
    before = (tmp_path / "coaching.agekey").read_bytes()
    with pytest.raises(StartError):
        generate(tmp_path, ["coaching"])
    assert (tmp_path / "coaching.agekey").read_bytes() == before
    create_host_key(tmp_path / "host.key")
    with pytest.raises(StartError):
        create_host_key(tmp_path / "host.key")


def test_the_host_key_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "host.key"
    with pytest.raises(StartError, match="cannot read"):
        load_host_key(path)
    key = load_host_key(path, create=True)
    assert load_host_key(path) == key
    path.chmod(0o644)
    with pytest.raises(StartError, match="read by others"):
        load_host_key(path)
    path.write_bytes(b"short")
    with pytest.raises(StartError, match="bytes"):
        load_host_key(path)


def test_a_file_without_identity_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("# nothing\n")
    for path in (tmp_path / "x", tmp_path / "missing"):
        with pytest.raises(StartError):
            read_identity(path)


def test_what_age_makes_is_a_recipient_and_one_changed_letter_is_none() -> None:
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    assert is_recipient(recipient)
    for place in range(4, len(recipient)):
        other = "q" if recipient[place] != "q" else "p"
        assert not is_recipient(recipient[:place] + other + recipient[place + 1 :])


@given(st.text(max_size=70))
def test_nonsense_is_no_recipient(text: str) -> None:
    assert not is_recipient(text)
    assert not is_recipient("age1" + text)
