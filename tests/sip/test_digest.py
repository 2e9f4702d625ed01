"""Digest: the examples of the RFCs, and the choices a client has to make."""

from __future__ import annotations

import random

import pytest

from qm_sip.private import Private
from qm_sip.sip.digest import Challenge, Credentials, DigestClient, challenges, digest_response
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Response

MUFASA = Credentials("Mufasa", Private("Circle of Life"))


def test_the_example_of_rfc_7616_3_9_1() -> None:
    for algorithm, expected in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        challenge = Challenge.parse(
            'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=' + algorithm + ", "
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
            proxy=False,
        )
        got = digest_response(
            challenge,
            MUFASA,
            method="GET",
            uri="/dir/index.html",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            nc=1,
        )
        assert got == expected


def test_the_example_of_rfc_2617_3_5() -> None:
    challenge = Challenge.parse(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
        proxy=False,
    )
    me = Credentials("Mufasa", Private("Circle Of Life"))
    got = digest_response(challenge, me, method="GET", uri="/dir/index.html", cnonce="0a4f113b", nc=1)
    assert got == "6629fae49393a05397450978507c4ef1"


def test_without_qop_it_is_rfc_2069() -> None:
    """HA1 939e7578ed9e3c518a452acee763bce9 and HA2 39aff3a2bab6126f332b942af96d3366 stand in RFC 2617's
    example.
    """
    challenge = Challenge.parse(
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"', proxy=False
    )
    me = Credentials("Mufasa", Private("Circle Of Life"))
    got = digest_response(challenge, me, method="GET", uri="/dir/index.html", cnonce="", nc=1)
    assert got == "670fd8c2df070c60b045671b8b24ff02"


def test_md5_sess_binds_the_cnonce() -> None:
    def made(algorithm: str, cnonce: str) -> str:
        challenge = Challenge.parse(
            f'Digest realm="r", nonce="n", qop="auth", algorithm={algorithm}', proxy=False
        )
        return digest_response(challenge, MUFASA, method="INVITE", uri="sip:a@b", cnonce=cnonce, nc=1)

    assert made("MD5-sess", "a") != made("MD5", "a") != made("MD5-sess", "b")


def answer(*lines: str) -> Response:
    return Response(401, "Unauthorized", [tuple(line.split(": ", 1)) for line in lines])  # type: ignore[misc]


def client(realm: str = "") -> DigestClient:
    return DigestClient(Credentials("qm", Private('p"w'), realm), random.Random(1))


def test_the_topmost_algorithm_we_know_is_taken() -> None:
    digest = client()
    assert digest.learn(
        answer(
            'WWW-Authenticate: Digest realm="r", nonce="1", algorithm=SHA-1024, qop="auth"',
            'WWW-Authenticate: Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth"',
            'WWW-Authenticate: Digest realm="r", nonce="3", algorithm=MD5, qop="auth"',
        ),
        [],
    )
    ((name, value),) = digest.headers("INVITE", "sip:a@b")
    assert name == "Authorization" and "algorithm=SHA-256" in value and 'nonce="2"' in value


def test_several_realms_are_all_answered() -> None:
    digest = client()
    assert digest.learn(
        answer(
            'Proxy-Authenticate: Digest realm="one, two", nonce="1"',
            'WWW-Authenticate: Digest realm="r", nonce="2"',
        ),
        [],
    )
    made = dict(digest.headers("INVITE", "sip:a@b"))
    assert 'realm="one, two"' in made["Proxy-Authorization"] and 'realm="r"' in made["Authorization"]


def test_nc_counts_per_nonce() -> None:
    digest = client()
    assert digest.learn(answer('WWW-Authenticate: Digest realm="r", nonce="1", qop="auth"'), [])
    values = [digest.headers("INVITE", "sip:a@b")[0][1] for _ in range(3)]
    assert [f"nc=0000000{n}" in v for n, v in enumerate(values, 1)] == [True] * 3
    assert digest.learn(answer('WWW-Authenticate: Digest realm="r", nonce="2", qop="auth"'), [])
    assert "nc=00000001" in digest.headers("INVITE", "sip:a@b")[0][1]


def test_only_our_realm_is_answered_when_one_is_set() -> None:
    assert not client("mine").learn(answer('WWW-Authenticate: Digest realm="other", nonce="1"'), [])


@pytest.mark.parametrize(
    "line",
    [
        'WWW-Authenticate: Basic realm="r"',
        'WWW-Authenticate: Digest realm="r", nonce="1", qop="auth-int"',
        'WWW-Authenticate: Digest realm="r", nonce="1", algorithm=AKAv1-MD5',
        'WWW-Authenticate: Digest realm="r"',
        'WWW-Authenticate: Digest realm="r',
    ],
)
def test_what_we_cannot_answer_we_do_not_try(line: str) -> None:
    assert not client().learn(answer(line), [])


def test_a_password_never_shows() -> None:
    digest = client()
    assert 'p"w' not in repr(digest)


def test_a_hostile_challenge_takes_linear_time() -> None:
    """A regex of another package took seconds on 160 such bytes."""
    assert challenges(answer("WWW-Authenticate: Digest " + 'a="b",' * 5_000 + "{")) == []
    with pytest.raises(SipParseError):
        Challenge.parse("Digest " + 'a="b' * 5_001, proxy=False)
