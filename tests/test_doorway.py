"""Settings become the rules of the door: password files, emergency numbers, what is wrong with either."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qm_sip.config import load
from qm_sip.doorway import rules_of
from qm_sip.errors import StartError
from qm_sip.sip.digest_server import ha1
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request, parse
from tests.sip.network import request as asked

SITE = Path(__file__).parent / "cases/site"
PHONES = """
[peers.phones]
addresses = ["10.9.0.0/16"]
auth = "digest"
realm = "house"
algorithms = ["SHA-256", "MD5"]
max_calls = 4
max_setups = 2
[peers.phones.users]
alice = "alice.secret"
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = Path(shutil.copytree(SITE, tmp_path / "site"))
    with (site / "qm_sip.toml").open("a") as file:
        file.write(PHONES)
    (site / "alice.secret").write_text("open sesame\n")
    return site


def secrets(site: Path) -> dict[str, str]:
    realm = rules_of(load(site, {})).peers["phones"].realm
    assert realm is not None
    return {algorithm: secret.reveal() for algorithm, secret in realm.users["alice"].items()}


def test_a_password_is_kept_as_its_hashes_alone(site: Path) -> None:
    wanted = {name: ha1(name, "alice", "house", "open sesame") for name in ("SHA-256", "MD5")}
    assert secrets(site) == wanted
    assert "sesame" not in repr(rules_of(load(site, {})))
    (site / "alice.secret").write_text("".join(f"{name} {value.upper()}\n" for name, value in wanted.items()))
    assert secrets(site) == wanted


@pytest.mark.parametrize("text", ["MD5 " + "0" * 32, "SHA-256 " + "0" * 64 + "\nMD5 00", "", "\n"])
def test_a_file_that_does_not_serve_stops_the_start(site: Path, text: str) -> None:
    (site / "alice.secret").write_text(text)
    with pytest.raises(StartError, match=r"alice\.secret of peer phones"):
        secrets(site)
    (site / "alice.secret").unlink()
    with pytest.raises(StartError, match="cannot read"):
        secrets(site)


def test_who_is_who_and_how_much_he_may_bring(site: Path) -> None:
    rules = rules_of(load(site, {}))
    assert rules.find(Address("10.9.1.2", 5060)) == "phones"
    assert rules.find(Address("203.0.113.9", 5060)) is None
    assert rules.peers["phones"].capacity.max_calls == 4
    assert rules.peers["phones"].capacity.max_setups == 2
    assert (rules.silent, rules.stranger_rate, rules.capacity.max_lag) == (False, 5, 0.5)


def test_an_emergency_number_is_urgent_and_another_is_not(site: Path) -> None:
    urgent = rules_of(load(site, {})).urgent
    assert urgent(_invite("sip:112@192.0.2.1"))
    assert urgent(_invite("tel:112"))
    assert not urgent(_invite("sip:1001@192.0.2.1"))
    assert not urgent(_invite("http:112"))


def _invite(uri: str) -> Request:
    found = parse(asked(uri=uri))
    assert isinstance(found, Request)
    return found
