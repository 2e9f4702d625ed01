"""Who may see which lamp, and whose phone it is that asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from qm_sip.config import Config
from qm_sip.lamps.lamp import OWN, Kind, Lamp
from qm_sip.lamps.rights import may_come, may_see, watcher_of
from qm_sip.policy.facts import PersonId
from qm_sip.sip.admission import Admitted
from qm_sip.sip.message import Request
from tests.call.world import settings
from tests.lamps.keys import with_watchers

TODAY = date(2026, 3, 2)
OPEN = (Kind.RECORDING, Kind.HEARD)


def config(**monitor: object) -> Config:
    return with_watchers(settings(), **monitor).config


def sees(device: str, using: Config, person: str = "a1", today: date = TODAY) -> set[Kind]:
    return {kind for kind in Kind if may_see(using, device, Lamp(kind, PersonId(person)), today)}


def test_an_agent_sees_his_own_and_nobody_elses() -> None:
    assert sees("1001", config()) == set(Kind)
    assert sees("1001", config(), "a2") == set()


def test_a_monitor_with_the_right_sees_all_but_private() -> None:
    assert sees("1050", config()) == set(OPEN)
    assert not OWN & set(OPEN) and OWN | set(OPEN) == set(Kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"may": ("listen", "play", "export", "trace")},
        {"agents": ()},
        {"agents": ("a2",)},
        {"granted": None},
        {"granted_by": ""},
        {"granted_by": "m1"},
        {"secrecy_signed": None},
        {"qualified_until": date(2026, 3, 1)},
        {"granted": date(2026, 3, 3)},
    ],
)
def test_a_monitor_without_it_sees_nothing(changes: dict[str, Any]) -> None:
    assert sees("1050", config(**changes)) == set()


def test_another_monitor_a_stranger_nobody() -> None:
    for device in ("1051", "1003", "1777", "0612345678", ""):
        assert sees(device, config()) == set(), device


def test_no_setting_lets_a_monitor_see_private() -> None:
    """`may` has no word for it."""
    for word in ("play", "export", "listen", "trace", "watch"):
        assert not OWN & sees("1050", config(may=(word,)))


# --------------------------------------------------------------------------- whose phone


def asked(*headers: tuple[str, str]) -> Request:
    return Request("SUBSCRIBE", "sip:private-1001@x", [("From", "<sip:1002@x>;tag=1"), *headers])


def with_phones(**changes: object) -> Config:
    """A peer `phones` that asks for passwords and is not trusted."""
    found = config()
    peer = found.server.peers["proxy"].model_copy(
        update={"trusted": False, "auth": "digest", "users": {"1001": "file", "10 02": "file"}, **changes}
    )
    server = found.server.model_copy(update={"peers": {**found.server.peers, "phones": peer}})
    return replace(found, server=server)


def test_a_trusted_peer_says_whose_phone_it_is() -> None:
    said = ("P-Asserted-Identity", '"A" <sip:1001@x>')
    assert watcher_of(config(), asked(said), Admitted("proxy")) == "1001"
    assert watcher_of(config(), asked(), Admitted("proxy")) == "1002", "From, if nothing is asserted"
    assert watcher_of(config(), asked(said), Admitted("foreign")) is None, "it may not watch"
    assert watcher_of(config(), asked(said), Admitted("nobody")) is None
    assert watcher_of(config(), asked(said), Admitted()) is None


def test_whoever_is_not_trusted_is_whose_password_he_has() -> None:
    said = ("P-Asserted-Identity", "<sip:1002@x>")
    using = with_phones()
    assert watcher_of(using, asked(said), Admitted("phones", "1001")) == "1001", "whatever he says he is"
    assert watcher_of(using, asked(said), Admitted("phones", "10 02")) == "1002"
    assert watcher_of(using, asked(said), Admitted("phones")) is None
    assert watcher_of(with_phones(auth="none", users={}), asked(said), Admitted("phones", "1001")) is None


def test_a_peer_or_a_user_that_is_gone_comes_no_more() -> None:
    using = with_phones()
    assert may_come(using, Admitted("phones", "1001")) and may_come(using, Admitted("proxy"))
    assert not may_come(using, Admitted("phones", "1009"))
    assert not may_come(with_phones(may=("carry",)), Admitted("phones", "1001"))
    assert not may_come(using, Admitted("gone", "1001")) and not may_come(using, Admitted("foreign"))
