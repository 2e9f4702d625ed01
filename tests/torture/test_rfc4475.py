"""RFC 4475: what becomes of each of its messages, at the parser and at the user agent.

The verdicts are those of the RFC for an endpoint. Where it leaves a choice, or where ours differs because
this user agent takes no registrations, the third column says why.
"""

from __future__ import annotations

import random

import pytest

from qm_sip.sip.address import NameAddr
from qm_sip.sip.events import Address, CallOffered
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, Response, parse
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from qm_sip.sip.validate import check
from tests.torture.messages import MESSAGES, SDP

RINGS, DROPPED = 100, 0

VERDICTS: dict[str, tuple[int, str]] = {
    "wsinv": (481, "well formed; its To tag belongs to no dialog of ours"),
    "intmeth": (501, "a method that may exist, unknown here"),
    "esc01": (RINGS, ""),
    "escnull": (405, "no registrar here"),
    "esc02": (501, "%47 is not an escape in a method: unknown, and not REGISTER"),
    "lwsdisp": (200, ""),
    "longreq": (RINGS, ""),
    "dblreq": (405, "no registrar here; what follows Content-Length is dropped"),
    "semiuri": (200, ""),
    "transports": (200, ""),
    "mpart01": (403, "no MESSAGE outside a call"),
    "unreason": (DROPPED, "well formed; belongs to no transaction"),
    "noreason": (DROPPED, "well formed; belongs to no transaction"),
    "badinv01": (400, ""),
    "clerr": (400, ""),
    "ncl": (400, ""),
    "scalar02": (400, ""),
    "scalarlg": (DROPPED, ""),
    "quotbal": (400, ""),
    "ltgtruri": (400, ""),
    "lwsruri": (400, ""),
    "lwsstart": (400, "could be forgiven; 400 is allowed"),
    "trws": (400, "could be forgiven; 400 is allowed"),
    "escruri": (400, "could be ignored; but a request passed on must not carry them"),
    "baddate": (RINGS, "Date means nothing to us, so a bad one does not either"),
    "regbadct": (405, "no registrar here; the address itself is refused (test below)"),
    "badaspec": (200, "forgiven: the spaces inside the brackets can only mean one thing"),
    "baddn": (200, "forgiven: the quotes are inferred, as the RFC permits"),
    "badvers": (505, ""),
    "mismatch01": (400, ""),
    "mismatch02": (400, "400 or 501"),
    "bigcode": (DROPPED, ""),
    "badbranch": (200, "a branch without content is matched as RFC 2543 did"),
    "insuf": (400, ""),
    "unkscm": (416, ""),
    "novelsc": (416, ""),
    "unksm2": (405, "no registrar here"),
    "bext01": (420, ""),
    "invut": (415, ""),
    "regaut01": (405, "no registrar here"),
    "multi01": (400, ""),
    "mcl01": (400, ""),
    "bcast": (DROPPED, "8.1.3.3: more than one Via"),
    "zeromf": (200, "it has reached its endpoint"),
    "cparam01": (405, "no registrar here"),
    "cparam02": (405, "no registrar here"),
    "regescrt": (405, "no registrar here"),
    "sdp01": (406, ""),
    "inv2543": (RINGS, ""),
}

VALID = [
    "wsinv",
    "intmeth",
    "esc01",
    "escnull",
    "esc02",
    "lwsdisp",
    "longreq",
    "dblreq",
    "semiuri",
    "transports",
    "mpart01",
    "unreason",
    "noreason",
]
US, PEER = Address("192.0.2.2", 5060), Address("192.0.2.9", 5060)


def test_all_49_are_here() -> None:
    assert set(MESSAGES) == set(VERDICTS) and len(MESSAGES) == 49


@pytest.mark.parametrize("name", MESSAGES)
def test_the_user_agent_answers_what_is_owed(name: str) -> None:
    ua = UserAgent(UserAgentSettings(), random.Random(1), lambda request, source: None)
    ua.receive(MESSAGES[name], PEER, US, 0.0)
    answers = [parse(d.data) for d in ua.take_datagrams()]
    owed = VERDICTS[name][0]
    assert [a.status for a in answers if isinstance(a, Response)] == ([owed] if owed else [])
    assert bool([e for e in ua.take_events() if isinstance(e, CallOffered)]) is (owed == RINGS)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_message_is_read_and_leaves_byte_for_byte(name: str) -> None:
    data = MESSAGES[name]
    message = parse(data)
    check(message)
    written = message.to_bytes()
    assert data.startswith(written) and parse(written) == message
    if name != "dblreq":
        assert written == data


def read(name: str) -> Request:
    message = parse(MESSAGES[name])
    assert isinstance(message, Request)
    return message


def test_wsinv_means_what_it_says() -> None:
    m = read("wsinv")
    assert m.to.tag == "1918181833n" and m.from_.tag == "98asjd8"
    assert m.from_.display == 'J Rosenberg \\"'
    assert m.max_forwards == 68 and m.cseq == (9, "INVITE") and m.body == SDP
    assert [(v.transport, v.host, v.branch) for v in m.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    (contact,) = m.contacts
    assert contact.display == 'Quoted string ""' and contact.param("newparam") == "newvalue"
    assert contact.param("secondparam") == "" and contact.param("q") == "0.33"
    assert (
        m.get("subject") == "" and m.get("newfangledheader") == "newfangled value continued newfangled value"
    )
    assert m.get("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert NameAddr.parse(m.all("route")[0]).uri.param("lr") == ""


def test_intmeth_means_what_it_says() -> None:
    m = read("intmeth")
    assert (
        m.target.host == "example.com"
        and m.target.user is not None
        and m.target.user.endswith("(doesn't-it)")
    )
    assert m.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert m.from_.tag == "_token~1'+`*%!-." and m.from_.param("fromparam''~+*_!.-%") == "работающий"
    assert m.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"


def test_an_escape_is_not_undone_where_it_is_none() -> None:
    assert len(read("esc02").contacts) == 2
    assert read("esc01").contacts[0].uri.param("lr") is None
    assert read("esc01").target.user == "sips%3Auser%40example.com"


def test_the_user_of_semiuri_is_not_cut_at_the_semicolon() -> None:
    target = read("semiuri").target
    assert (target.user, target.host, target.params) == ("user;par=u%40example.net", "example.com", ())


def test_whose_parameter_it_is_depends_on_the_brackets() -> None:
    bare, bracketed = read("cparam01").contacts[0], read("cparam02").contacts[0]
    assert bare.param("unknownparam") == "" and bare.uri.params == ()
    assert bracketed.param("unknownparam") is None and bracketed.uri.param("unknownparam") == ""


def test_a_question_mark_needs_brackets() -> None:
    with pytest.raises(SipParseError, match="angle brackets"):
        _ = read("regbadct").contacts
    assert read("regescrt").contacts[0].uri.headers == "Route=%3Csip:sip.example.com%3E"


def test_what_follows_the_body_of_dblreq_is_dropped() -> None:
    assert read("dblreq").body == b""
