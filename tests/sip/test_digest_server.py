"""The server's side of digest, against our own client: it is the other half of the same RFCs, and knows all three
algorithms. (A phone of another make is in tests/wire.)
"""

from __future__ import annotations

import random
import re

import pytest

from qm_sip.private import Private
from qm_sip.sip.digest import Challenge, Credentials, DigestClient, digest_response
from qm_sip.sip.digest_server import ALGORITHMS, Answer, DigestServer, Realm, ha1
from qm_sip.sip.message import Header, Request, Response, parse
from tests.sip.network import request

HOST, URI = "192.0.2.1", "sip:bob@192.0.2.2"
PASSWORD = "open sesame"


def realm(*algorithms: str) -> Realm:
    secrets = {name: Private(ha1(name, "alice", "house", PASSWORD)) for name in ALGORITHMS}
    return Realm("house", algorithms or ALGORITHMS, {"alice": secrets})


@pytest.fixture
def server() -> DigestServer:
    return DigestServer(60.0, random.Random(1))


class Client:
    """Answers as a phone would."""

    def __init__(self, user: str = "alice", password: str = PASSWORD) -> None:
        self.digest = DigestClient(Credentials(user, Private(password)), random.Random(2))

    def learns(self, challenge: list[Header]) -> None:
        assert self.digest.learn(Response(401, "", challenge), [])

    def asks(self, uri: str = URI, method: str = "INVITE") -> Request:
        login = self.digest.headers(method, uri)
        found = parse(request(method, uri=URI, extra=tuple(f"{name}: {value}" for name, value in login)))
        assert isinstance(found, Request)
        return found


def changed(asked: Request, old: str, new: str) -> Request:
    """The same request with something else in its credentials."""
    data = asked.to_bytes().decode()
    assert re.search(old, data)
    found = parse(re.sub(old, new, data, count=1).encode())
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_right_password_in_each_algorithm(server: DigestServer, algorithm: str) -> None:
    client = Client()
    client.learns(server.challenge(realm(algorithm), HOST, 0.0))
    asked = client.asks()
    assert f"algorithm={algorithm}" in (asked.get("authorization") or "")
    assert server.judge(realm(algorithm), asked, HOST, 1.0) is Answer.RIGHT


def test_one_challenge_for_each_algorithm_the_best_first(server: DigestServer) -> None:
    asked = [Challenge.parse(h.value, proxy=False) for h in server.challenge(realm(), HOST, 0.0)]
    assert [one.algorithm for one in asked] == ["SHA-512-256", "SHA-256", "MD5"]
    assert {(one.realm, one.qop, one.stale) for one in asked} == {("house", ("auth",), False)}
    client = Client()
    client.learns(server.challenge(realm(), HOST, 0.0))
    assert "SHA-512-256" in (client.asks().get("authorization") or "")


def test_without_credentials_or_with_those_of_another_realm(server: DigestServer) -> None:
    client = Client()
    assert server.judge(realm(), client.asks(), HOST, 0.0) is Answer.NONE
    client.learns(server.challenge(Realm("elsewhere", ALGORITHMS, {}), HOST, 0.0))
    assert server.judge(realm(), client.asks(), HOST, 0.0) is Answer.NONE


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "wrong"), ("alice", ""), ("bob", PASSWORD), ("", "")]
)
def test_a_wrong_password_and_a_wrong_name_are_the_same(
    server: DigestServer, user: str, password: str
) -> None:
    client = Client(user, password)
    client.learns(server.challenge(realm(), HOST, 0.0))
    assert server.judge(realm(), client.asks(), HOST, 0.0) is Answer.WRONG


def test_too_old_is_stale_but_only_with_the_right_password(server: DigestServer) -> None:
    right, wrong = Client(), Client(password="wrong")
    challenge = server.challenge(realm(), HOST, 0.0)
    right.learns(challenge)
    wrong.learns(challenge)
    assert server.judge(realm(), right.asks(), HOST, 61.0) is Answer.STALE
    assert server.judge(realm(), wrong.asks(), HOST, 61.0) is Answer.WRONG
    again = server.challenge(realm(), HOST, 61.0, stale=True)
    assert Challenge.parse(again[0].value, proxy=False).stale
    right.learns(again)
    assert server.judge(realm(), right.asks(), HOST, 61.0) is Answer.RIGHT


def test_a_copy_is_refused_and_the_next_count_is_not(server: DigestServer) -> None:
    client = Client()
    client.learns(server.challenge(realm(), HOST, 0.0))
    first, second = client.asks(), client.asks()
    assert server.judge(realm(), first, HOST, 0.0) is Answer.RIGHT
    assert server.judge(realm(), first, HOST, 0.0) is Answer.REPLAYED
    assert server.judge(realm(), second, HOST, 0.0) is Answer.RIGHT


def test_from_another_source_a_nonce_is_nothing(server: DigestServer) -> None:
    """So nobody can use what he overheard elsewhere, or have somebody else banned by wrong answers."""
    client = Client(password="wrong")
    client.learns(server.challenge(realm(), HOST, 0.0))
    assert server.judge(realm(), client.asks(), "192.0.2.99", 0.0) is Answer.NONE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nc=00000001", "nc=00000002"),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=-0000001"),
        ("nc=00000001", "nc=00000000"),
        ("qop=auth,", "qop=auth-int,"),
        ("qop=auth, nc=00000001, ", ""),
        ('cnonce="[^"]*"', 'cnonce=""'),
        ('opaque="[^"]*"', 'opaque="x"'),
        ("algorithm=SHA-512-256", "algorithm=MD5"),
        ("algorithm=SHA-512-256", "algorithm=SHA-512-256-sess"),
        ("algorithm=SHA-512-256", "algorithm=ROT13"),
        ('username="alice"', 'username="alicf"'),
        ('response="[^"]*"', 'response=""'),
        ('response="[^"]*"', 'response="\xe9"'),
        ('response="(.)', 'response="\\g<1>0'),
        ("INVITE sip:bob", "INVITE sip:eve"),
        ("^INVITE", "REFER"),
    ],
)
def test_whatever_is_changed_it_is_wrong(server: DigestServer, old: str, new: str) -> None:
    client = Client()
    client.learns(server.challenge(realm(), HOST, 0.0))
    assert server.judge(realm(), changed(client.asks(), old, new), HOST, 0.0) is Answer.WRONG


def test_parameters_that_a_proxy_adds_to_the_target_do_no_harm(server: DigestServer) -> None:
    client = Client()
    client.learns(server.challenge(realm(), HOST, 0.0))
    assert server.judge(realm(), client.asks(URI + ";transport=udp"), HOST, 0.0) is Answer.RIGHT


@pytest.mark.parametrize(
    "text",
    ["Digest", "Digest ,,,", "Basic YTpi", 'Digest realm="house', "Digest " + 'a="b",' * 900, "Digest =x"],
)
def test_nonsense_is_no_credentials(server: DigestServer, text: str) -> None:
    asked = parse(request(extra=(f"Authorization: {text}",)))
    assert isinstance(asked, Request)
    assert server.judge(realm(), asked, HOST, 0.0) is Answer.NONE


def test_two_answers_for_one_realm_are_none(server: DigestServer) -> None:
    client = Client()
    client.learns(server.challenge(realm(), HOST, 0.0))
    value = client.asks().get("authorization")
    asked = parse(request(extra=(f"Authorization: {value}", f"Authorization: {value}")))
    assert isinstance(asked, Request)
    assert server.judge(realm(), asked, HOST, 0.0) is Answer.NONE


def test_the_hash_that_a_file_holds_is_that_of_the_rfc() -> None:
    """RFC 2617's example gives H(A1) of Mufasa."""
    assert ha1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life") == "939e7578ed9e3c518a452acee763bce9"


def test_an_offered_algorithm_that_the_phone_does_not_know_is_passed_over(server: DigestServer) -> None:
    challenge = Challenge.parse(server.challenge(realm("MD5"), HOST, 0.0)[0].value, proxy=False)
    me = Credentials("alice", Private(PASSWORD))
    assert len(digest_response(challenge, me, method="INVITE", uri=URI, cnonce="c", nc=1)) == 32
