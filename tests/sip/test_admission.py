"""The door of a user agent: who comes in, what the others learn, and that calls which run are not harmed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from qm_sip.private import Private
from qm_sip.sip import events
from qm_sip.sip.admission import Doorkeeper, PeerRules, Rules
from qm_sip.sip.digest import Credentials, DigestClient
from qm_sip.sip.digest_server import ALGORITHMS, Realm, ha1
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import format_host
from qm_sip.sip.incidents import Incident
from qm_sip.sip.message import Response, parse
from qm_sip.sip.overload import Capacity
from qm_sip.sip.ua import UserAgent, UserAgentSettings
from tests.sip.network import SDP, request

US = Address("192.0.2.2", 5060)
PBX, PHONE, STRANGER = (Address(f"192.0.2.{n}", 5060) for n in (10, 20, 99))
PASSWORD = "open sesame"
HOUSE = Realm(
    "house",
    ALGORITHMS,
    {"alice": {name: Private(ha1(name, "alice", "house", PASSWORD)) for name in ALGORITHMS}},
)


def find(source: Address) -> str | None:
    return {PBX.host: "pbx", PHONE.host: "phone"}.get(source.host)


RULES = Rules(find, {"pbx": PeerRules(), "phone": PeerRules(HOUSE)})


class House:
    """A user agent behind a door, and everybody who knocks."""

    def __init__(self, rules: Rules = RULES, seed: int = 1, **settings: Any) -> None:
        self.told: list[Incident] = []
        self.door = Doorkeeper(rules, random.Random(seed), lambda incident, now: self.told.append(incident))
        self.ua = UserAgent(UserAgentSettings(**settings), random.Random(2), self.door)
        self.now, self.number = 0.0, 0
        self.events: list[events.UaEvent] = []

    def says(self, source: Address, data: bytes) -> list[Response]:
        """What is answered at once."""
        self.heard()
        self.ua.receive(data, source, US, self.now)
        return self.heard()

    def heard(self) -> list[Response]:
        self.events += self.ua.take_events()
        found = [parse(data) for data, _, _ in self.ua.take_datagrams()]
        return [message for message in found if isinstance(message, Response)]

    def asks(self, source: Address, method: str = "INVITE", **kw: Any) -> list[Response]:
        """A request of its own each time."""
        self.number += 1
        name = f"{source.host.replace(':', '.')}-{self.number}"
        values = {"branch": f"z9hG4bK{name}", "call_id": name, "from_tag": name, "via": _via(source, name)}
        return self.says(source, request(method, **(values | kw)))

    def calls(self, source: Address = PBX) -> events.CallOffered:
        assert [one.status for one in self.asks(source, body=SDP)] == [100]
        offered = self.events[-1]
        assert isinstance(offered, events.CallOffered)
        return offered

    def later(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.ua.next_timer()) is not None and due <= until:
            self.now = due
            self.ua.advance(due)
        self.now = until
        self.heard()


def _via(source: Address, branch: str) -> str:
    return f"Via: SIP/2.0/UDP {format_host(source.host)}:{source.port};branch=z9hG4bK{branch}"


def statuses(found: list[Response]) -> list[int]:
    return [one.status for one in found]


def wire(found: list[Response], *own: str) -> bytes:
    """An answer without what the asker said himself."""
    kept = [h for h in found[0].headers if h.key not in ("via", "from", "to", "call-id", "cseq", *own)]
    return Response(found[0].status, found[0].reason, kept, found[0].body).to_bytes()


# --------------------------------------------------------------------------- strangers

KNOCKS: list[Callable[[House], list[Response]]] = [
    lambda house: house.asks(STRANGER),
    lambda house: house.asks(STRANGER, uri="sip:nobody@192.0.2.2"),
    lambda house: house.asks(STRANGER, uri="sip:bob@192.0.2.10", extra=("Route: <sip:192.0.2.10;lr>",)),
    lambda house: house.asks(STRANGER, "OPTIONS"),
    lambda house: house.asks(STRANGER, "REGISTER"),
    lambda house: house.asks(STRANGER, "SUBSCRIBE"),
    lambda house: house.asks(STRANGER, "JUMP"),
    lambda house: house.asks(STRANGER, "BYE", to_tag="x"),
    lambda house: house.asks(STRANGER, "INVITE", to_tag="x"),
    lambda house: house.asks(STRANGER, "CANCEL"),
    lambda house: house.asks(STRANGER, "UPDATE"),
    lambda house: house.asks(STRANGER, extra=("Require: everything",)),
    lambda house: house.asks(STRANGER, extra=("Max-Forwards: 0",)),
    lambda house: house.asks(STRANGER, extra=("Max-Forwards: x",)),
    lambda house: house.asks(STRANGER, uri="http://example.net"),
    lambda house: house.asks(STRANGER, uri="sip:bob@192.0.2.2?a=b"),
    lambda house: house.asks(STRANGER, cseq_method="BYE"),
    lambda house: house.asks(STRANGER, extra=("Content-Length: 99",)),
    lambda house: house.asks(STRANGER, extra=('Authorization: Digest username="alice"',)),
    lambda house: house.says(STRANGER, request(via=_via(STRANGER, "v")).replace(b"SIP/2.0\r", b"SIP/3.0\r", 1)),
]  # fmt: skip


@pytest.mark.parametrize("knock", range(len(KNOCKS)))
def test_a_stranger_gets_one_answer_whatever_he_asks(knock: int) -> None:
    house = House()
    answer = KNOCKS[knock](house)
    assert wire(answer) == b"SIP/2.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    assert not house.events
    assert house.ua.legs == 0
    assert [(one.kind, one.source) for one in house.told] == [("stranger", STRANGER)]


@pytest.mark.parametrize("knock", range(len(KNOCKS)))
def test_or_none_at_all(knock: int) -> None:
    house = House(replace(RULES, silent=True))
    assert KNOCKS[knock](house) == []
    assert not house.events
    assert house.told


def test_a_flood_of_a_stranger_is_not_even_read() -> None:
    house = House()
    answered = 0
    for tick in range(1000):
        house.now = tick / 200
        answered += len(house.asks(STRANGER))
    assert 10 <= answered <= 15
    assert house.ua.counts["unheard"] == house.door.counts["silenced"] == 1000 - answered
    assert house.ua._core.layer.servers == {}
    house.now += 60
    assert statuses(house.asks(STRANGER)) == [403]


def test_a_network_of_ipv6_is_one_stranger_and_another_is_another() -> None:
    house = House()
    answered = 0
    for n in range(200):
        answered += len(house.asks(Address(f"2001:db8::1:{n:x}", 5060)))
    assert answered == 10
    assert len(house.asks(Address("2001:db8:0:1::1", 5060))) == 1


def test_very_many_strangers_share_one_limit() -> None:
    house = House()
    answered = sum(len(house.asks(Address(f"10.{n >> 8}.{n & 255}.1", 5060))) for n in range(3000))
    assert answered == 100


def test_peers_and_running_calls_do_not_notice_a_flood() -> None:
    house = House()
    leg = house.calls()
    house.ua.answer(leg.leg, SDP, now=house.now)
    house.heard()
    for n in range(3000):
        house.asks(Address(f"10.{n >> 8}.{n & 255}.1", 5060))
    assert statuses(house.asks(PBX, "OPTIONS")) == [200]
    assert house.calls()
    told = leg.request
    tag = {"to_tag": _tag_of(house, leg), "from_tag": told.from_.tag, "call_id": told.call_id, "cseq": 2}
    assert statuses(house.asks(STRANGER, "BYE", **tag)) == []  # one of the many, whom nothing makes familiar
    assert statuses(house.asks(PBX, "BYE", **tag)) == [200]


def _tag_of(house: House, offered: events.CallOffered) -> str:
    return house.ua._core.legs[offered.leg].tag()  # type: ignore[attr-defined,no-any-return]


def test_who_is_in_a_call_with_us_is_heard_from_wherever_he_speaks() -> None:
    """A carrier may speak in a call from a machine that is in no list: its first message counts as a stranger's, the
    others do not.
    """
    house = House()
    leg = house.calls()
    house.ua.answer(leg.leg, SDP, now=house.now)
    told, other = leg.request, Address("192.0.2.98", 5060)
    tag = {"to_tag": _tag_of(house, leg), "from_tag": told.from_.tag, "call_id": told.call_id}
    house.heard()
    assert house.asks(other, "ACK", cseq=1, **tag) == []
    for n in range(2, 60):
        assert statuses(house.asks(other, "OPTIONS", cseq=n, **tag)) == [200]
    assert statuses(house.asks(other, "INVITE", body=SDP)) == [403]  # and yet he is no peer


# --------------------------------------------------------------------------- passwords


class Phone:
    def __init__(self, house: House, password: str = PASSWORD, at: Address = PHONE) -> None:
        self.house, self.at = house, at
        self.digest = DigestClient(Credentials("alice", Private(password)), random.Random(3))
        self.uri = "sip:bob@192.0.2.2"

    def asks(self, method: str = "INVITE", **kw: Any) -> list[Response]:
        login = tuple(f"{name}: {value}" for name, value in self.digest.headers(method, self.uri))
        return self.house.asks(self.at, method, uri=self.uri, extra=login, **kw)

    def tries(self, method: str = "INVITE", **kw: Any) -> list[Response]:
        """Asks, and once more with what it was asked for."""
        first = self.asks(method, **kw)
        if statuses(first) != [401]:
            return first
        self.digest.learn(first[0], [])
        return self.asks(method, **kw)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE"])
def test_without_a_password_there_is_a_challenge_and_no_trace(method: str) -> None:
    house = House()
    answer = house.asks(PHONE, method)
    assert statuses(answer) == [401]
    assert answer[0].get("server") is None
    assert len(answer[0].all("www-authenticate")) == 3
    assert house.ua.legs == 0
    assert not house.ua._core.layer.servers
    assert house.ua.next_timer() is None
    assert not house.told  # it is how every call begins


def test_the_right_password_opens_and_the_wrong_one_does_not() -> None:
    house = House()
    assert statuses(Phone(house).tries(body=SDP)) == [100]
    assert isinstance(house.events[-1], events.CallOffered)
    assert statuses(Phone(house, "wrong").tries(body=SDP)) == [401]
    assert [one.kind for one in house.told] == ["password"]


def test_an_answer_does_not_say_whether_a_name_exists() -> None:
    house = House()
    wrong, nobody = Phone(house, "wrong"), Phone(house)
    nobody.digest.credentials = Credentials("nobody", Private(PASSWORD))
    assert wire(wrong.tries(), "www-authenticate") == wire(nobody.tries(), "www-authenticate")


def test_a_nonce_serves_for_several_requests_then_is_stale() -> None:
    house = House(replace(RULES, nonce_age=60.0))
    phone = Phone(house)
    assert statuses(phone.tries("OPTIONS")) == [200]
    assert [statuses(phone.asks("OPTIONS")) for _ in range(3)] == [[200]] * 3
    house.later(61)
    again = phone.asks("OPTIONS")
    assert statuses(again) == [401]
    assert all("stale=true" in value for value in again[0].all("www-authenticate"))
    assert statuses(phone.tries("OPTIONS")) == [200]


def test_a_copy_under_another_branch_is_not_a_second_call() -> None:
    house = House()
    phone = Phone(house)
    phone.tries("OPTIONS")
    login = tuple(f"{name}: {value}" for name, value in phone.digest.headers("INVITE", phone.uri))
    assert statuses(house.asks(PHONE, uri=phone.uri, extra=login, body=SDP)) == [100]
    copy = house.asks(PHONE, uri=phone.uri, extra=login, body=SDP)
    assert statuses(copy) == [401]
    assert "stale=true" in copy[0].all("www-authenticate")[0]
    assert [one.kind for one in house.told] == ["replay"]
    assert house.ua.legs == 1


def test_guessing_ends_in_silence_and_silence_ends() -> None:
    house = House()
    phone = Phone(house, "wrong")
    answers = []
    for _ in range(12):
        house.later(1)
        answers.append(phone.tries())
    assert [len(answer) for answer in answers] == [1] * 3 + [0] * 9  # a first, then two wrong ones each
    assert [one.kind for one in house.told][:6] == ["password"] * 5 + ["ban"]
    assert Phone(house).asks() == []
    house.later(601)
    assert statuses(Phone(house).tries("OPTIONS")) == [200]


def test_a_ban_ends_no_call() -> None:
    house = House()
    phone = Phone(house)
    assert statuses(phone.tries(body=SDP)) == [100]
    offered = house.events[-1]
    assert isinstance(offered, events.CallOffered)
    house.ua.answer(offered.leg, SDP, now=house.now)
    house.heard()
    guesser = Phone(house, "wrong")
    for _ in range(8):
        guesser.tries()
    told = offered.request
    tag = {"to_tag": _tag_of(house, offered), "from_tag": told.from_.tag, "call_id": told.call_id, "cseq": 7}
    assert guesser.asks() == []
    assert statuses(house.asks(PHONE, "BYE", **tag)) == [200]


def test_who_sends_under_another_address_cannot_have_him_banned() -> None:
    """He sees no challenge, so what he makes up has no nonce of ours."""
    house, elsewhere = House(), House(seed=9)
    forger = Phone(house, "wrong")
    forger.digest.learn(elsewhere.asks(PHONE)[0], [])
    answers = [statuses(forger.asks()) for _ in range(20)]
    assert answers.count([401]) == 10  # and then not heard, until somebody has shown a password there
    assert not [one for one in house.told if one.kind != "flood"]
    house.later(10)
    assert statuses(Phone(house).tries("OPTIONS")) == [200]


def test_in_a_call_a_password_is_asked_for_where_it_is_wanted() -> None:
    rules = replace(RULES, peers={"phone": PeerRules(HOUSE, in_dialog=True), "pbx": PeerRules()})
    house = House(rules)
    phone = Phone(house)
    phone.tries(body=SDP)
    offered = house.events[-1]
    assert isinstance(offered, events.CallOffered)
    house.ua.answer(offered.leg, SDP, now=house.now)
    house.heard()
    told = offered.request
    tag = {"to_tag": _tag_of(house, offered), "from_tag": told.from_.tag, "call_id": told.call_id}
    assert house.asks(PHONE, "ACK", cseq=int(told.cseq.number), **tag) == []  # nobody can be asked that way
    assert isinstance(house.events[-1], events.Acknowledged)
    assert statuses(house.asks(PHONE, "INVITE", cseq=50, body=SDP, **tag)) == [401]
    assert statuses(house.asks(PHONE, "BYE", cseq=51, **tag)) == [401]
    assert statuses(house.asks(STRANGER, "BYE", cseq=52, **tag)) == [401]  # from wherever he speaks
    assert statuses(phone.asks("BYE", cseq=53, **tag)) == [200]


def test_a_cancel_needs_none() -> None:
    """22.1: it cannot be sent again."""
    house = House()
    phone = Phone(house)
    phone.tries(body=SDP)
    data = request("CANCEL", uri=phone.uri, branch="", via=_via(PHONE, f"{PHONE.host}-{house.number}"))
    assert statuses(house.says(PHONE, data)) == [200, 487]


# --------------------------------------------------------------------------- no room


def full(house: House, source: Address = PBX, **kw: Any) -> bool:
    """Whether a call is refused with a word of when to come again."""
    answer = house.asks(source, body=SDP, **kw)
    if statuses(answer) == [100]:
        return False
    assert statuses(answer) == [503]
    assert 1 <= int(answer[0].require("retry-after")) <= 30
    return True


def test_more_calls_than_may_be_are_refused_before_they_are_anything() -> None:
    house = House(replace(RULES, capacity=Capacity(max_calls=3)))
    calls = [house.calls() for _ in range(3)]
    assert full(house)
    assert house.ua.legs == 3
    assert house.door.counts == {"full-calls": 1}
    house.ua.reject(calls[0].leg, 486, now=house.now)
    house.heard()
    assert not full(house)  # though the leg still waits for its ACK
    assert full(house)


def test_a_peers_own_limits_are_its_own() -> None:
    other = Address("192.0.2.11", 5060)
    rules = Rules(
        lambda source: {PBX.host: "pbx", other.host: "other"}.get(source.host),
        {
            "pbx": PeerRules(capacity=Capacity(max_calls=2)),
            "other": PeerRules(capacity=Capacity(max_setups=2)),
        },
    )
    house = House(rules)
    assert [full(house) for _ in range(4)] == [False, False, True, True]
    assert [full(house, other) for _ in range(4)] == [False, False, True, True]
    house.later(1)
    assert [full(house, other) for _ in range(3)] == [False, False, True]
    assert full(house)
    assert house.door.counts == {"full-peer-calls": 3, "full-peer-setups": 3}


def test_so_many_setups_a_second() -> None:
    house = House(replace(RULES, capacity=Capacity(max_setups=10)))
    taken = 0
    for _ in range(500):
        house.now += 0.01
        taken += not full(house)
    assert 55 <= taken <= 60


def test_late_timers_refuse_calls_but_not_what_belongs_to_one() -> None:
    house = House(replace(RULES, capacity=Capacity(max_lag=0.25)))
    leg = house.calls()
    house.ua.answer(leg.leg, SDP, now=house.now)  # 200 is repeated every half second until it is acknowledged
    house.heard()
    house.now = 0.6
    house.ua.advance(house.now)
    assert not full(house)  # a tenth late is nothing
    house.now = 3.0
    house.ua.advance(house.now)
    house.heard()
    assert full(house)
    told = leg.request
    tag = {"to_tag": _tag_of(house, leg), "from_tag": told.from_.tag, "call_id": told.call_id}
    house.asks(PBX, "ACK", cseq=1, **tag)
    assert statuses(house.asks(PBX, "INVITE", cseq=2, body=SDP, **tag)) == [100]
    assert statuses(house.asks(PBX, "OPTIONS")) == [200]
    assert statuses(house.asks(PBX, "BYE", cseq=3, **tag)) == [200, 487]
    house.later(1.1)
    assert not full(house)


def test_an_emergency_is_taken_where_there_is_no_room() -> None:
    rules = replace(RULES, capacity=Capacity(max_calls=1), urgent=lambda asked: asked.target.user == "112")
    house = House(rules)
    assert [full(house), full(house)] == [False, True]
    assert not full(house, uri="sip:112@192.0.2.2")


def test_calls_are_counted_to_nothing_when_all_are_over() -> None:
    house = House()
    for _ in range(5):
        leg = house.calls()
        house.ua.reject(leg.leg, 404, now=house.now)
        house.ua.bye(leg.leg, now=house.now)
    house.later(100)
    assert house.ua.legs == 0
    assert house.ua._core.calls.total() == 0


def test_one_leg_holds_only_so_many_requests_and_still_ends() -> None:
    house = House(max_transactions=5)
    leg = house.calls()
    house.ua.answer(leg.leg, SDP, now=house.now)
    house.heard()
    told = leg.request
    tag = {"to_tag": _tag_of(house, leg), "from_tag": told.from_.tag, "call_id": told.call_id}
    answers = [statuses(house.asks(PBX, "OPTIONS", cseq=n, **tag)) for n in range(2, 12)]
    assert answers == [[200]] * 4 + [[503]] * 6
    assert statuses(house.asks(PBX, "BYE", cseq=20, **tag)) == [200]


def test_other_rules_from_now_on() -> None:
    house = House()
    assert statuses(house.asks(STRANGER)) == [403]
    house.door.use(replace(RULES, silent=True, find=lambda source: None))
    assert house.asks(STRANGER) == []
    assert house.asks(PBX) == []
