"""Which names of a certificate count (RFC 5922 7.1, 7.2)."""

from __future__ import annotations

import pytest

from qm_sip.net.identity import canonical, identities


@pytest.mark.parametrize(
    ("alternatives", "names"),
    [
        ([("DNS", "PBX.example.com")], {"pbx.example.com"}),
        ([("DNS", "a.example"), ("DNS", "b.example")], {"a.example", "b.example"}),
        ([("URI", "sip:example.com"), ("DNS", "host.example.com")], {"example.com"}),
        ([("URI", "SIP:Example.com;transport=tls")], {"example.com"}),
        ([("URI", "sip:example.com:5061")], {"example.com"}),
        ([("URI", "sip:alice@example.com"), ("DNS", "host.example.com")], {"host.example.com"}),
        ([("URI", "sips:example.com")], set()),
        ([("URI", "https://example.com"), ("DNS", "www.example.com")], {"www.example.com"}),
        ([("IP Address", "0:0:0:0:0:0:0:1")], {"::1"}),
        ([("IP Address", "127.0.0.1"), ("DNS", "x.")], {"127.0.0.1", "x"}),
        ([("email", "a@b"), ("DirName", "x")], set()),
        ([], set()),
    ],
)
def test_the_names_of_a_certificate(alternatives: list[tuple[str, str]], names: set[str]) -> None:
    assert identities({"subjectAltName": tuple(alternatives)}) == names


def test_the_common_name_and_no_certificate_say_nothing() -> None:
    assert identities({"subject": ((("commonName", "pbx.example.com"),),)}) == frozenset()
    assert identities({}) == identities(None) == frozenset()


def test_a_wildcard_is_a_name_that_nobody_has() -> None:
    assert "pbx.example.com" not in identities({"subjectAltName": (("DNS", "*.example.com"),)})


@pytest.mark.parametrize(("name", "same"), [("[::1]", "::1"), ("A.B.", "a.b"), ("0:0::1", "::1")])
def test_two_forms_of_one_name(name: str, same: str) -> None:
    assert canonical(name) == same
