"""The table of headers: what crosses between whom, and what never does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from qm_sip.call.headers import Border, In, privacy, reason
from qm_sip.call.headers.document import document
from qm_sip.call.headers.session_id import NIL, Pair, SessionIds, new_uuid
from qm_sip.call.headers.table import BY_KEY, TABLE, Does
from qm_sip.config import Peer
from qm_sip.config.headers import OWN_RULE
from qm_sip.sip.events import Address
from qm_sip.sip.hop import OURS, is_never_copied
from qm_sip.sip.message import Request, canonical

US = Address("192.0.2.1", 5080)
OPENED = {Does.COPY, Does.LISTED}


def peer(*, trusted: bool, **more: object) -> Peer:
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in more.items()}
    return Peer.model_validate({"addresses": ("198.51.100.7",), "trusted": trusted, **lists})


INSIDE, CARRIER = peer(trusted=True), peer(trusted=False)


def border(
    source: Peer, target: Peer, *, everywhere: tuple[str, ...] = (), emergency: bool = False
) -> Border:
    return Border(source, target, everywhere, US, emergency)


def invite(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:1@x", headers)


def names(found: list[tuple[str, str]]) -> set[str]:
    return {name for name, _ in found}


# --------------------------------------------------------------------------- the table itself


def test_the_page_is_what_the_table_says() -> None:
    assert (Path(__file__).parents[2] / "docs" / "headers.md").read_text(encoding="utf-8") == document()


def test_what_no_setting_opens_is_what_has_a_rule_of_its_own() -> None:
    own = {rule.name.lower() for rule in TABLE if rule.out is not Does.LISTED or rule.in_ is not Does.LISTED}
    assert own == OWN_RULE


def test_no_row_is_of_one_hop_or_dialog() -> None:
    assert not [rule.name for rule in TABLE if is_never_copied(rule.name)]
    assert len(BY_KEY) == len(TABLE) and all(canonical(key) == key for key in BY_KEY)


@pytest.mark.parametrize("into", list(In))
def test_the_table_header_by_header(into: In) -> None:
    """Within trust a header crosses if its row copies it in that message; to and from a stranger if nothing is listed,
    only what is checked.
    """
    for rule in TABLE:
        message = invite((rule.name, "x"))
        inside = names(border(INSIDE, INSIDE).carry(message, into))
        assert (rule.name in inside) == (into in rule.messages and rule.within is Does.COPY), rule.name
        assert border(INSIDE, CARRIER).carry(message, into) == [], rule.name
        assert border(CARRIER, INSIDE).carry(message, into) == [], rule.name


def test_what_belongs_to_a_hop_or_has_no_row_is_stripped_everywhere_and_cannot_be_listed() -> None:
    everything = invite(*((name, "planted") for name in (*OURS, "X-Unknown", "P-Charging-Vector")))
    greedy = peer(trusted=True)
    for source, target in ((INSIDE, INSIDE), (INSIDE, CARRIER), (CARRIER, INSIDE), (CARRIER, CARRIER)):
        for into in In:
            assert border(source, target).carry(everything, into) == []
    assert border(greedy, INSIDE, everywhere=OURS).carry(everything, In.INVITE) == []


# --------------------------------------------------------------------------- settings


def test_within_trust_each_peer_may_add_and_each_may_strip() -> None:
    message = invite(("X-One", "1"), ("X-Two", "2"), ("Diversion", "<sip:1@a>"), ("Alert-Info", "<urn:x>"))
    adding, stripping = peer(trusted=True, carry=["X-One"]), peer(trusted=True, strip=["Alert-Info"])
    assert names(border(adding, INSIDE).carry(message, In.INVITE)) == {"X-One", "Diversion", "Alert-Info"}
    assert names(border(INSIDE, adding).carry(message, In.INVITE)) == {"X-One", "Diversion", "Alert-Info"}
    assert names(border(adding, stripping).carry(message, In.INVITE)) == {"X-One", "Diversion"}
    assert "X-Two" in names(border(INSIDE, INSIDE, everywhere=("X-Two",)).carry(message, In.INVITE))


def test_a_stranger_gets_and_gives_only_what_his_own_list_says() -> None:
    message = invite(("X-One", "1"), ("Diversion", "<sip:1@10.0.0.9:5061>;reason=user-busy"))
    listing = peer(trusted=False, carry=["X-One", "Diversion"])
    generous = peer(trusted=True, carry=["X-One", "Diversion"])
    out = border(generous, listing).carry(message, In.INVITE)
    assert out == [("X-One", "1"), ("Diversion", "<sip:1@192.0.2.1:5080>;reason=user-busy")]
    assert border(generous, CARRIER, everywhere=("X-One",)).carry(message, In.INVITE) == []
    assert names(border(listing, INSIDE).carry(message, In.INVITE)) == {"X-One", "Diversion"}
    assert border(listing, CARRIER).carry(message, In.INVITE) == []
    assert names(border(listing, listing).carry(message, In.INVITE)) == {"X-One", "Diversion"}


def test_lists_keep_their_order_and_their_index() -> None:
    history = [
        ("History-Info", "<sip:a@x>;index=1"),
        ("History-Info", "<sip:b@x>;index=1.1, <sip:c@x>;index=1.2"),
    ]
    diversion = [("Diversion", "<sip:2@x>;counter=1"), ("Diversion", "<sip:1@x>;counter=1")]
    mixed = [history[0], diversion[0], history[1], diversion[1]]
    assert border(INSIDE, INSIDE).carry(invite(*mixed), In.INVITE) == mixed


def test_a_call_for_help_keeps_where_the_caller_is() -> None:
    message = invite(("Geolocation", "<cid:here@x>"), ("Privacy", "id"), ("Subject", "fire"))
    got = border(CARRIER, CARRIER, emergency=True).carry(message, In.INVITE)
    assert got == [("Geolocation", "<cid:here@x>"), ("Privacy", "id")]
    assert names(border(CARRIER, CARRIER).carry(message, In.INVITE)) == {"Privacy"}


def test_who_calls_for_help_is_not_hidden_nor_refused() -> None:
    message = invite(("From", "<sip:1001@10.0.0.5>"), ("Privacy", "id;session;critical"))
    for emergency in (True, False):
        out = border(INSIDE, CARRIER, emergency=emergency)
        assert out.hides(message) is out.cannot_meet(message, relayed=False) is not emergency
    assert not border(INSIDE, INSIDE).cannot_meet(message, relayed=False)


# --------------------------------------------------------------------------- who somebody is


PAI = [("P-Asserted-Identity", '"An Agent" <sip:1001@10.0.0.5>, <tel:+3120>')]


def test_an_identity_goes_out_only_where_it_is_asked_for_and_never_with_our_hosts() -> None:
    asked = peer(trusted=False, send_identity=True)
    want = [
        ("P-Asserted-Identity", '"An Agent" <sip:1001@192.0.2.1:5080>'),
        ("P-Asserted-Identity", "<tel:+3120>"),
    ]
    assert border(INSIDE, INSIDE).carry(invite(*PAI), In.INVITE) == PAI
    assert border(INSIDE, CARRIER).carry(invite(*PAI), In.INVITE) == []
    assert border(INSIDE, asked).carry(invite(*PAI), In.INVITE) == want
    assert border(asked, INSIDE).carry(invite(*PAI), In.INVITE) == []


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        *(("id", True), ("user;id", True), ("header", True), ("ID; critical", True), ("user,none", False)),
        *(("none", False), ("session", False), ("history", False), ("", False)),
    ],
)
def test_privacy_hides_who_he_is_from_strangers_alone(said: str, hidden: bool) -> None:
    message = invite(*PAI, ("From", '"A Name" <sip:me@10.1.2.3>;tag=1'), ("Privacy", said))
    asked = peer(trusted=False, send_identity=True, carry=["Subject"])
    assert border(INSIDE, asked).hides(message) is hidden
    assert "P-Asserted-Identity" in names(border(INSIDE, INSIDE).carry(message, In.INVITE))
    assert ("P-Asserted-Identity" in names(border(INSIDE, asked).carry(message, In.INVITE))) is not hidden
    shown = privacy.from_value(message, US, hidden=border(INSIDE, asked).hides(message))
    assert shown == (privacy.ANONYMOUS if hidden else '"A Name" <sip:me@192.0.2.1:5080>')


def test_who_is_anonymous_stays_so_and_is_recognised_as_such() -> None:
    message = invite(("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'), *PAI)
    assert privacy.from_value(message, US, hidden=False) == privacy.ANONYMOUS
    assert border(INSIDE, peer(trusted=False, send_identity=True)).carry(message, In.INVITE) == []
    assert border(INSIDE, INSIDE).carry(message, In.INVITE) == PAI


def test_privacy_history_keeps_the_way_the_call_took() -> None:
    listing = peer(trusted=False, carry=["History-Info"])
    way = ("History-Info", "<sip:1@10.0.0.1>;index=1")
    out = border(INSIDE, listing)
    assert out.carry(invite(way), In.INVITE) == [("History-Info", "<sip:1@192.0.2.1:5080>;index=1")]
    assert names(out.carry(invite(way, ("Privacy", "history")), In.INVITE)) == {"Privacy"}


def test_only_words_of_privacy_go_on() -> None:
    message = invite(("Privacy", "id;10.0.0.1;critical"), ("Privacy", "user"))
    assert border(CARRIER, INSIDE).carry(message, In.INVITE) == [("Privacy", "id;critical;user")]


@pytest.mark.parametrize(
    ("said", "relayed", "refused"),
    [
        *(
            ("id;critical", False, False),
            ("session;critical", False, True),
            ("session;critical", True, False),
        ),
        *(("session", False, False), ("unheard-of;critical", True, True), ("unheard-of", True, False)),
    ],
)
def test_a_critical_wish_is_met_or_the_call_is_not(said: str, relayed: bool, refused: bool) -> None:
    assert privacy.cannot_be_met(invite(("Privacy", said)), relayed=relayed) is refused


def test_the_older_header_is_read_where_that_is_said_and_becomes_the_younger() -> None:
    older = ("Remote-Party-ID", '"A" <sip:1001@10.0.0.5>;party=calling;privacy=full;screen=no')
    reading = peer(trusted=True, remote_party_id=True)
    assert border(reading, INSIDE).identities(invite(older)) == ["1001"]
    assert border(INSIDE, reading).identities(invite(older)) == []
    assert border(reading, INSIDE).identities(invite(older, ("P-Asserted-Identity", "<sip:2@x>"))) == ["2"]
    want = [("P-Asserted-Identity", '"A" <sip:1001@10.0.0.5>'), ("Privacy", "id")]
    assert border(reading, INSIDE).carry(invite(older), In.INVITE) == want
    assert border(INSIDE, INSIDE).carry(invite(older), In.INVITE) == []
    out = border(reading, peer(trusted=False, send_identity=True)).carry(invite(older), In.INVITE)
    assert out == [("Privacy", "id")]


@pytest.mark.parametrize(
    "name", ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion"]
)
def test_nobody_believes_a_stranger_or_a_mere_preference(name: str) -> None:
    message = invite((name, "<sip:1001@x>"))
    assert border(CARRIER, INSIDE).identities(message) == []
    if name != "P-Asserted-Identity":
        assert border(INSIDE, INSIDE).identities(message) == []


@pytest.mark.parametrize(
    "name", ["P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Reason"]
)
def test_what_cannot_be_read_names_nobody_and_harms_nobody(name: str) -> None:
    reading = peer(trusted=True, remote_party_id=True)
    asked = peer(trusted=False, send_identity=True, carry=["Diversion", "History-Info"])
    for value in ('"open <sip:1@x>', "<sip:1@x", "<sip:>", "", ",,,", "\udcff", "<mailto:a@b>"):
        message = invite((name, value), ("From", value))
        assert border(reading, INSIDE).identities(message) == []
        for into in (In.INVITE, In.FAILURE):
            assert names(border(reading, asked).carry(message, into)) == set()


# --------------------------------------------------------------------------- why it ended


def test_within_trust_every_reason_goes_as_it_came_outside_without_its_text() -> None:
    given = [("Reason", 'SIP;cause=200;text="Call completed elsewhere"'), ("Reason", "Q.850;cause=26")]
    message = Request("CANCEL", "sip:1@x", given)
    assert border(INSIDE, INSIDE).carry(message, In.ENDING) == given
    told = Request(
        "BYE", "sip:1@x", [("Reason", 'SIP ;cause=503;text="at 10.0.0.1, gone", q.850;text="x" ;cause=16')]
    )
    for source, target in ((INSIDE, CARRIER), (CARRIER, INSIDE)):
        got = border(source, target).carry(told, In.ENDING)
        assert got == [("Reason", "SIP;cause=503"), ("Reason", "q.850;cause=16")]


@pytest.mark.parametrize(
    "value",
    ["pbx.inside;cause=1", "SIP", "SIP;cause=host", "SIP;cause=12345", '"', "SIP;=;cause=1", 'SIP;text="x'],
)
def test_a_reason_that_is_none_is_not_passed_to_strangers(value: str) -> None:
    assert reason.causes([value]) == []


def test_each_ending_has_a_reason_of_both_kinds_or_is_normal() -> None:
    for why in ("no-ack", "timeout", "gone", "transport", "media", "stopped"):
        values = [value for _, value in reason.ours(why)]
        assert [value.partition(";")[0] for value in values] == ["SIP", "Q.850"], why
    assert reason.ours("bye") == [("Reason", "Q.850;cause=16")] and reason.ours("cancel") == []
    assert reason.ours("something new") == [("Reason", "Q.850;cause=31")]


# --------------------------------------------------------------------------- which call it is


A, B, C = "a" * 32, "b" * 32, "c" * 32


def said(value: str) -> Request:
    return Request("UPDATE", "sip:1@x", [("Session-ID", value)])


def ids(caller: str | None = A) -> SessionIds:
    rng = random.Random(1)
    return SessionIds(caller, lambda: f"{rng.getrandbits(128):032x}")


def pair_of(found: list[tuple[str, str]]) -> tuple[str, str | None]:
    pair = Pair.of(said(found[0][1]))
    assert pair is not None
    return pair.local, pair.remote


def test_both_legs_show_the_same_pair() -> None:
    both = ids()
    assert pair_of(both.towards("callee")) == (A, NIL)
    assert both.heard("callee", said(f"{B};remote={A}"))
    assert pair_of(both.towards("caller")) == (B, A)
    assert pair_of(both.towards("callee")) == (A, B)
    assert not both.heard("callee", said(f"{B};remote={A}"))
    assert both.heard("caller", said(f"{C};remote={B}"))  # somebody else is there now
    assert pair_of(both.towards("callee")) == (C, B)


def test_who_sends_none_is_spoken_for() -> None:
    both = ids(None)
    ours, _ = pair_of(both.towards("callee"))
    assert ours[12] == "4" and ours[16] in "89ab"
    both.heard("callee", Request("UPDATE", "sip:1@x"))
    local, remote = pair_of(both.towards("caller"))
    assert remote == ours == both.call and local not in (NIL, ours)
    assert pair_of(both.towards("callee")) == (ours, local)


def test_who_sends_our_own_back_has_none() -> None:
    both = ids()
    both.heard("callee", said(A))
    local, remote = pair_of(both.towards("caller"))
    assert remote == A and local != A


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a" * 31,
        "a" * 33,
        "g" * 32,
        f"{A};remote=x",
        f"{A};remote=",
        "sip:1001@10.0.0.1",
        f"{A}, {B}",
        f"{A} {B}",
    ],
)
def test_what_is_no_session_id_is_none(value: str) -> None:
    assert Pair.of(said(value)) is None


def test_capitals_and_spaces_are_read() -> None:
    assert Pair.of(said(f"{'A' * 32} ; Remote={'B' * 32};more")) == Pair(A, B)
    assert Pair.of(Request("UPDATE", "sip:1@x", [("Session-ID", A), ("Session-ID", B)])) is None
    assert len(new_uuid("f" * 32)) == 32
