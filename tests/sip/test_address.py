"""URIs, name-addrs, Via and CSeq: read as the RFC means them, written as they stood."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.cseq import CSeq
from qm_sip.sip.grammar import SipParseError, is_ip_address
from qm_sip.sip.via import Via


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:example.com", None, "example.com", None),
        ("sip:a@b:5061", "a", "b", 5061),
        ("SIP:a@my_pbx", "a", "my_pbx", None),
        ("sips:a:secret@[2001:db8::9]:5061;transport=TLS", "a:secret", "2001:db8::9", 5061),
        ("sip:+3120;phone-context=nl@example.com;user=phone", "+3120;phone-context=nl", "example.com", None),
        ("sip:a@b?Replaces=x%40y%3Bto-tag%3D1", "a", "b", None),
        ("sip:a%20b@10.0.0.1", "a%20b", "10.0.0.1", None),
    ],
)
def test_sip_uris(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = Uri.parse(text)
    assert (uri.user, uri.host, uri.port, str(uri)) == (user, host, port, text)


def test_the_number_in_a_uri() -> None:
    assert Uri.parse("sip:+3120;phone-context=nl:pw@example.com").number == "+3120"
    assert Uri.parse("tel:+31201234567;ext=5").number == "+31201234567"
    assert Uri.parse("sip:example.com").number == ""


def test_a_number_is_text_and_never_brings_a_host() -> None:
    foreign = b"sip:06\xff@example.com".decode("utf-8", "surrogateescape")
    assert Uri.parse(foreign).number == "06%FF" and Uri.parse(foreign).text == foreign
    assert Uri.parse("sip:jos%C3%A9@example.com").number == "jos%C3%A9"
    number = Uri.parse("tel:1@evil.example").number
    assert Uri.parse(str(Uri.sip("192.0.2.1", 5060, number))).host == "192.0.2.1"


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_addresses(host: str) -> None:
    assert is_ip_address(host)


@pytest.mark.parametrize(
    "host",
    [
        "aaaa.bbbb.cccc.dddd",
        "010.0.0.1",
        "1.2.3",
        "256.0.0.1",
        "localhost",
        "fe80::1%eth0",
        ":::",
        "",
        "1.2.3.4.",
    ],
)
def test_what_a_socket_would_have_to_look_up_is_no_address(host: str) -> None:
    assert not is_ip_address(host)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "example.com",
        "sip:@b",
        "sip:a@",
        "sip:a@b:x",
        "sip:a@b:99999",
        "sip:a b@c",
        "sip:a@[::1",
        "sip:a@b c",
        "sip:a@b;=1",
        "1:2",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(SipParseError):
        Uri.parse(text)


def test_other_schemes_are_kept_whole() -> None:
    assert str(Uri.parse("urn:service:sos")) == "urn:service:sos"


@pytest.mark.parametrize(
    ("text", "display", "tag"),
    [
        ("<sip:a@b>", "", None),
        ("sip:a@b;tag=1", "", "1"),
        ('"A, \\"B\\" <c>" <sip:a@b;x=y>;tag=2', 'A, "B" <c>', "2"),
        ("A B <sip:a@b> ; TAG = 3", "A B", "3"),
        ('"" <sip:a@b>;tag="4"', "", "4"),
        ('"x"<sip:a@b>;+sip.instance="<urn:uuid:1>";tag=5', "x", "5"),
    ],
)
def test_name_addrs(text: str, display: str, tag: str | None) -> None:
    address = NameAddr.parse(text)
    assert (address.display, address.tag, address.uri.host) == (display, tag, "b")
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ['"a <sip:a@b>', '"a" b <sip:a@b>', "<sip:a@b", "<sip:a@b> x", "sip:a@b?x=y", 'a"b" <sip:a@b>', "<>", ""],
)
def test_what_is_no_name_addr(text: str) -> None:
    with pytest.raises(SipParseError):
        NameAddr.parse(text)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", ("192.0.2.1", 5060)),
        ("SIP / 2.0 / UDP pbx1:5070 ; branch = z9hG4bK*_+ ; received=2001:db8::9", ("2001:db8::9", 5070)),
        ("SIP/2.0/TCP [2001:db8::1]:5061;rport=99;received=192.0.2.9", ("192.0.2.9", 99)),
        ("SIP/2.0/UDP a;rport", ("a", 5060)),
    ],
)
def test_vias(text: str, reply: tuple[str, int]) -> None:
    via = Via.parse(text)
    assert via.reply_to() == reply and Via.parse(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0",
        "SIP/2.0/UDP",
        "HTTP/2.0/UDP a",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP a;;b c=1",
        "SIP/2.0/U/P a",
        "SIP/2.0/UDP a;branch=z9hG4bK1<x",
    ],
)
def test_what_is_no_via(text: str) -> None:
    with pytest.raises(SipParseError):
        Via.parse(text)


def test_a_forged_received_does_not_survive_arrival() -> None:
    forged = Via.parse("SIP/2.0/UDP 10.0.0.1;received=203.0.113.5;rport=7;branch=z9hG4bK1")
    assert forged.received_from("192.0.2.1", 5099).reply_to() == ("192.0.2.1", 5099)


@pytest.mark.parametrize(
    "text",
    ["", "1", "INVITE", "x INVITE", "-1 INVITE", "2147483648 INVITE", "1 INVITE x", "1 IN@VITE", "٣ INVITE"],
)
def test_what_is_no_cseq(text: str) -> None:
    with pytest.raises(SipParseError):
        CSeq.parse(text)


def test_cseq() -> None:
    assert CSeq.parse("0009\t INVITE") == (9, "INVITE")


@given(
    st.builds(
        "{}{}{}{}{}".format,
        st.one_of(
            st.just(""), st.text(st.sampled_from('Aaé1 "\\<>.,#'), max_size=6).map(lambda name: f'"{name}" ')
        ),
        st.sampled_from(["<", " <", "", "< "]),
        st.one_of(st.sampled_from(["sip:", "sips:", "SIP:", "tel:", "sip", "sip:a@"]), st.text(max_size=5)),
        st.text(st.sampled_from("aB1.@:;?#%-_= \t\r\n[]>+"), max_size=12),
        st.sampled_from(
            [">", ">;tag=x", "> ;tag=x", ">;TAG=x", ">;tag=", ">;tag=a b", ";tag=1", ">\n", ">;x;tag=2"]
        ),
    )
)
@settings(max_examples=2000)
def test_the_quick_reading_of_an_address_is_that_of_the_grammar(text: str) -> None:
    """Whatever the short way takes, the long way takes too, and reads the same in it."""
    try:
        read = NameAddr.parse_any(text.strip())
    except SipParseError:
        with pytest.raises(SipParseError):
            NameAddr.parse(text)
    else:
        assert NameAddr.parse(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "<sip:0201234567@127.0.0.1>;tag=c1-ab",
        '"Jan Jansen" <sip:1001@10.0.0.1:5060>;tag=as65f',
        "<sip:127.0.0.1:5070>",
        "<sips:+31%20(0)20@example.com>",
    ],
)
def test_plain_addresses_go_the_short_way_and_mean_the_same(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = NameAddr.parse_any(text)
    monkeypatch.setattr(NameAddr, "parse_any", None)
    assert NameAddr.parse(text) == read
