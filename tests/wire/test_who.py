"""Who may do what: passwords by a phone of another make, and where a call goes whatever its sender writes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qm_sip.demo.phone import Phone
from qm_sip.private import Private
from qm_sip.sip.digest import Credentials, DigestClient
from qm_sip.sip.message import Response
from tests.wire.conftest import Scene
from tests.wire.party import Leg, Message, Party, user
from tests.wire.site import PASSWORD, Site

pytestmark = pytest.mark.wire
ALL = 'algorithms = ["SHA-512-256", "SHA-256", "MD5"]'


@contextmanager
def phone(site: Site, work: Path, name: str = "alice", password: str = PASSWORD) -> Iterator[Phone]:
    with Phone(name, site.at(48), output=work / name, password=password) as made:
        yield made


def calls(site: Site, phone: Phone) -> None:
    phone.call(f"sip:7000@{site.server[0]}:{site.server[1]}")


@pytest.fixture(autouse=True)
def unknown_again(site: Site) -> Iterator[None]:
    with site.settings():
        yield


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("alice", ALL),
        ("bea", ALL),
        ("alice", 'algorithms = ["SHA-256"]'),
        ("bea", 'algorithms = ["SHA-256"]'),
        ("alice", 'algorithms = ["MD5"]'),
        ("bea", 'algorithms = ["MD5"]'),
    ],
)
def test_a_phone_of_another_make_shows_its_password(
    scene: Scene, tmp_path: Path, name: str, offered: str
) -> None:
    """Its call begins, is held and ends with requests in the dialog, which are asked for the password too."""
    with scene.site.settings((ALL, offered)), phone(scene.site, tmp_path, name) as caller:
        calls(scene.site, caller)
        callee = scene.agents.called()
        callee.answer()
        callee.expect("ACK")
        caller.wait_for("confirmed")
        caller.hold()
        held = callee.expect("INVITE")
        callee.reply(200, held, body=callee.sdp())
        callee.expect("ACK")
        caller.hang_up_all()
        callee.hung_up()
    assert scene.site.counts()["challenged"] > 0


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("carol", PASSWORD)])
def test_with_a_wrong_password_or_name_it_calls_nobody(
    scene: Scene, tmp_path: Path, name: str, password: str
) -> None:
    """It is asked for one algorithm: asked for several, it goes on with its wrong answer until it is banned."""
    before = scene.site.counts().get("password", 0)
    one = 'algorithms = ["SHA-256"]'
    with scene.site.settings((ALL, one)), phone(scene.site, tmp_path, name, password) as caller:
        calls(scene.site, caller)
        caller.wait_for("disconnected")
        scene.agents.not_called(0.2)
    assert 1 <= scene.site.counts()["password"] - before < 5
    assert "kind=password method=INVITE" in scene.site.log()
    assert not [word for word in (name, password) if word in scene.site.log()]


class Login:
    """Credentials for a party that speaks by hand."""

    def __init__(self, password: str = PASSWORD) -> None:
        self.digest = DigestClient(Credentials("alice", Private(password)), random.Random(1))

    def learns(self, answer: Message) -> None:
        asked = [("WWW-Authenticate", value) for value in answer.all("WWW-Authenticate")]
        assert self.digest.learn(Response(401, "", asked), [])

    def headers(self, uri: str, method: str = "INVITE") -> list[tuple[str, str]]:
        return self.digest.headers(method, uri)


@pytest.fixture
def locked(scene: Scene) -> Iterator[Party]:
    with Party(scene.site.at(48), scene.site.server) as party:
        yield party


def challenged(leg: Leg) -> Message:
    answer = leg.expect(401, "INVITE")
    leg.request("ACK", cseq=leg.cseq, branch=answer.branch)
    assert not answer.get("Server")
    return answer


def test_stale_replayed_and_fresh(scene: Scene, locked: Party) -> None:
    login, uri = Login(), f"sip:7000@{scene.site.server[0]}:{scene.site.server[1]}"
    with scene.site.settings(("[sip]\n", '[sip]\nnonce_age = "1s"\n')):
        first = challenged(locked.call("7000"))
        assert len(first.all("WWW-Authenticate")) == 3
        assert "stale" not in first.get("WWW-Authenticate")
        login.learns(first)
        locked.pump(1.1)
        too_late = challenged(locked.call("7000", headers=login.headers(uri)))
        assert "stale=true" in too_late.get("WWW-Authenticate")
    login.learns(too_late)
    shown = login.headers(uri)
    good = locked.call("7000", headers=shown)
    callee = scene.agents.called()
    replayed = challenged(locked.call("7000", headers=shown))
    assert "stale=true" in replayed.get("WWW-Authenticate")
    scene.agents.not_called(0.2)
    callee.reply(486)
    callee.expect("ACK")
    answer = good.expect(486, "INVITE")
    good.request("ACK", cseq=good.cseq, branch=answer.branch)
    assert "kind=replay" in scene.site.log()


# --------------------------------------------------------------------------- no open relay

TRAP = 98


def ways_out(trap: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything in a request that names a place to go to, alone and together: Request-URI, and headers."""
    here = "{server}"
    uris = [f"sip:7000@{trap}:5060", f"sip:7000@{here};maddr={trap}", f"sip:7000@{trap}:5060;transport=tcp;lr",
            f"sip:7000%40{trap}@{here}", f"sip:{trap};x=7000@{here}"]  # fmt: skip
    headers = [
        [],
        [("Route", f"<sip:{trap}:5060;lr>")],
        [("Route", f"<sip:{here}:5080;lr>, <sip:{trap}:5060;lr>")],
        [("Route", f"<sip:{trap}:5060>")],
        [("Path", f"<sip:{trap}:5060;lr>"), ("Service-Route", f"<sip:{trap}:5060;lr>")],
        [("P-Asserted-Identity", f"<sip:7000@{trap}:5060>"), ("X-QM-Line", trap)],
    ]
    return list(itertools.product(uris, headers))


def astray(party: Party, uri: str, headers: list[tuple[str, str]], trap: str) -> Leg:
    """A call whose Request-URI, To, Via and headers all name the trap."""
    leg = Leg(party, f"astray{random.getrandbits(40)}@x", f"{random.getrandbits(40)}")
    leg.target, leg.remote, leg.local = uri, f"<sip:7000@{trap}:5060>", f"<sip:x@{party.address}>;tag=astray"
    via = f"SIP/2.0/UDP {party.address}:5060;received={trap};maddr={trap};branch=z9hG4bK{random.getrandbits(60):x}"
    leg.request("INVITE", body=leg.sdp(), headers=[("Via", via), *headers])
    party.legs.append(leg)
    return leg


@pytest.mark.parametrize("number", range(30))
def test_a_peers_call_goes_where_its_route_leads_and_a_strangers_nowhere(scene: Scene, number: int) -> None:
    site = scene.site
    uri, headers = ways_out(site.at(TRAP))[number]
    uri = uri.replace("{server}", site.server[0])
    headers = [(name, value.replace("{server}", site.server[0])) for name, value in headers]
    with Party(site.at(TRAP), site.server) as trap, Party(site.at(99), site.server) as stranger:
        knock = astray(stranger, uri, headers, trap.address)
        refused = knock.expect(403, "INVITE")
        assert not refused.get("Server")
        scene.agents.not_called(0.05)
        leg = astray(scene.pbx, uri, headers, trap.address)
        callee = scene.agents.called()
        assert callee.invite.start.split()[1].endswith(f"@{scene.agents.address}:5060")
        assert user(callee.invite.start).startswith(("7000", site.at(TRAP)))
        assert not [name for name in ("Route", "Path", "Service-Route") if callee.invite.get(name)]
        assert len(callee.invite.all("Via")) == 1
        callee.reply(486)
        callee.expect("ACK")
        leg.expect(486, "INVITE")
        trap.pump(0.05)
        assert not trap.heard
    site.calls_end()
