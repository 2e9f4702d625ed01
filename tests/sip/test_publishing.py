"""Subscriptions to something of ours (RFC 6665): who asks, what he is answered, what he is told, and how it ends."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest

from qm_sip.private import Private
from qm_sip.sip.admission import Admitted, Doorkeeper, PeerRules, Rules
from qm_sip.sip.digest import Credentials, DigestClient
from qm_sip.sip.digest_server import Realm, ha1
from qm_sip.sip.event_header import EventHeader
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, Response, parse
from qm_sip.sip.publishing import Grant, WatchLimits
from tests.sip.network import ALICE, SDP, Network, Weather, answer_to, request
from tests.sip.subscriber import NAMESPACE, Dialog, Shown, Subscriber

SERVER = Address("192.0.2.9", 5060)
CALM = Weather()
LIMITS = WatchLimits(most=6, of_a_source=4, of_a_watcher=3, longest=600, shortest=60, gap=1.0)


class Lights:
    """A package of one lamp that anybody may see, unless `closed`."""

    name, media_type = "dialog", "application/dialog-info+xml"

    def __init__(self) -> None:
        self.lit, self.closed, self.shut = False, False, False

    def welcomes(self, by: Admitted) -> bool:
        return not self.shut

    def admits(self, request: Request, by: Admitted) -> Grant | int:
        user = request.target.user or ""
        if not user.startswith("private-") or not user.isascii():
            return 404
        return 403 if self.closed else Grant(user, request.from_.uri.user or "", f"sip:{user}@here")

    def state(self, grant: Grant) -> Hashable | None:
        return None if self.closed else self.lit

    def document(self, grant: Grant, state: Hashable, version: int) -> bytes:
        word = "confirmed" if state else "terminated"
        return (
            f'<dialog-info xmlns="{NAMESPACE[1:-1]}" version="{version}" state="full" entity="{grant.entity}">'
            f'<dialog id="x"><state>{word}</state></dialog></dialog-info>'
        ).encode()


class House(Network):
    """The notifier, and whoever watches."""

    def __init__(self, weather: Weather = CALM, seed: int = 1) -> None:
        super().__init__(weather, seed)
        self.ua = self.agent(SERVER)
        self.lights = Lights()
        self.ua.publish(self.lights, LIMITS)

    def phone(self, number: int = 11, **more: Any) -> Subscriber:
        address = Address(f"192.0.2.{number}", 5060)
        phone = Subscriber(address, SERVER, **more)
        self.agents[address] = phone  # type: ignore[assignment]
        return phone

    def watching(self, number: int = 11, **more: Any) -> Subscriber:
        phone = self.phone(number, **more)
        phone.subscribe(self.now)
        self.settle()
        return phone

    def turn(self, lit: bool) -> None:
        self.lights.lit = lit
        self.ua.looks_different("private-1001", self.now)
        self.settle()

    def ask(self, *extra: str, source: Address = ALICE, **more: Any) -> Response:
        """A SUBSCRIBE by hand, and what it is answered."""
        more = {"uri": "sip:private-1001@192.0.2.9", "branch": f"z9hG4bK-{self.rng.getrandbits(50)}", **more}
        headers = (
            extra if any(e.lower().startswith(("event:", "o:")) for e in extra) else ("Event: dialog", *extra)
        )
        got = self.peer(source)
        before = len(got)
        self.inject(request("SUBSCRIBE", extra=headers, **more), source, SERVER)
        answers = [m for m in map(parse, got[before:]) if isinstance(m, Response)]
        (answer,) = answers
        return answer

    def notifies(self) -> list[Request]:
        """Without the copies."""
        sent = [m for m in self.sent(SERVER, "NOTIFY") if isinstance(m, Request)]
        return list({m.via.branch: m for m in sent}.values())

    @property
    def layer(self) -> Any:
        return self.ua._core.layer


def states(phone: Subscriber) -> list[tuple[str, bool | None]]:
    found = []
    for notify in phone.notified:
        word = (notify.get("subscription-state") or "").partition(";")
        shown = Shown.read(notify.body).lit if notify.body else None
        found.append((word[0] if word[0] == "active" else word[2].partition("=")[2], shown))
    return found


# --------------------------------------------------------------------------- the ordinary course


def test_it_is_told_at_once_and_of_every_change() -> None:
    house = House()
    phone = house.watching()
    assert phone.answers == [200] and states(phone) == [("active", False)]
    first = phone.notified[0]
    assert first.get("event") == "dialog" and first.get("content-type") == "application/dialog-info+xml"
    assert first.get("subscription-state") == "active;expires=600" and first.get("allow-events") == "dialog"
    assert first.contacts and first.uri == "sip:1001@192.0.2.11:5060"
    house.run(10)
    house.turn(True)
    assert phone.lit and len(phone.notified) == 2, "in the very step in which it changed"
    house.run(20)
    house.turn(False)
    assert phone.lit is False
    assert [Shown.read(n.body).version for n in phone.notified] == [0, 1, 2]
    assert [n.cseq.number for n in phone.notified] == [1, 2, 3]


def test_what_has_not_changed_is_not_told_again() -> None:
    house = House()
    phone = house.watching()
    house.run(10)
    house.turn(False)
    house.ua.review_watches(house.now)
    house.settle()
    assert len(phone.notified) == 1


def test_changes_that_follow_closely_are_told_as_the_newest() -> None:
    house = House()
    phone = house.watching()
    house.run(10)
    for lit in (True, False, True, False, True):
        house.turn(lit)
        house.run(house.now + 0.1)
    assert [shown for _, shown in states(phone)] == [False, True], "the first at once"
    house.turn(False)
    house.run(house.now + 2)
    assert [shown for _, shown in states(phone)] == [False, True, False], "then the newest, a second later"
    times = house.times(SERVER, "NOTIFY")
    assert times[2] - times[1] == pytest.approx(1.0, abs=0.01)
    house.turn(True)
    house.run(house.now + 0.01)
    house.turn(False)
    house.run(house.now + 3)
    assert len(phone.notified) <= 5


def test_one_notify_is_under_way_at_a_time() -> None:
    house = House()
    phone = house.watching()
    house.run(10)
    phone.deaf = True
    for lit in (True, False, True):
        house.turn(lit)
        house.run(house.now + 2)
    assert len(house.notifies()) == 2
    phone.deaf = False
    house.run(house.now + 5)
    assert phone.lit is True
    assert [shown for _, shown in states(phone)] == [False, True], "the last state was told already"


def test_it_is_renewed_and_runs_out() -> None:
    house = House()
    phone = house.watching(expires=7200)
    house.run(400)
    assert phone.answers == [200, 200] and len(phone.notified) == 2, (
        "granted ten minutes, renewed at half of it"
    )
    phone.retries, phone._renew = False, None
    house.run(2000)
    assert house.ua.watches == 0
    assert any("reason=timeout" in (n.get("subscription-state") or "") for n in house.notifies())
    house.drain()
    assert not house.layer.clients and not house.layer.servers


def test_it_ends_it_itself() -> None:
    house = House()
    phone = house.watching(retries=False)
    house.run(5)
    phone.ask(house.now, expires=0)
    house.settle()
    assert states(phone)[-1] == ("timeout", False) and house.ua.watches == 0
    assert house.sent(SERVER, "200")[-1].get("expires") == "0"
    house.turn(True)
    house.run(30)
    assert len(phone.notified) == 2


def test_asking_once_is_no_subscription() -> None:
    house = House()
    house.lights.lit = True
    phone = house.watching(expires=0, retries=False)
    assert states(phone) == [("timeout", True)] and house.ua.watches == 0
    house.turn(False)
    house.run(100)
    assert len(phone.notified) == 1


def test_the_id_comes_back() -> None:
    house = House()
    phone = house.watching(event="dialog;id=7")
    assert phone.notified[0].get("event") == "dialog;id=7"
    phone.event = "dialog;id=8"
    phone.ask(house.now)
    house.settle()
    assert phone.answers == [200, 481], "another id is another subscription"


def test_a_proxy_on_the_way_stays_on_the_way() -> None:
    house = House()
    house.ask("Record-Route: <sip:192.0.2.77;lr>", source=ALICE)
    house.peer(Address("192.0.2.77", 5060))
    house.settle()
    (notify,) = house.notifies()
    assert notify.get("route") == "<sip:192.0.2.77;lr>"
    assert house.sent(SERVER, "200")[0].get("record-route") == "<sip:192.0.2.77;lr>"


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        (("Event: presence",), 489),
        (("Event: dialog.winfo",), 489),
        (("Event: dialog", "Event: dialog"), 400),
        (("Event: ",), 400),
        (("Event: dialog;id=a b",), 400),
        (("Event: dia log",), 400),
        (("o: DIALOG",), 200),
        (("Event: dialog;sla",), 200),
        (("Event: dialog;call-id=abc;to-tag=a;from-tag=b",), 404),
        (("Accept: application/pidf+xml",), 406),
        (("Accept: ",), 406),
        (("Accept: */*",), 200),
        (("Accept: text/plain, application/*;q=0.1",), 200),
        (("Expires: soon",), 400),
        (("Expires: -1",), 400),
        (("Expires: 59",), 423),
        (("Expires: 60",), 200),
        (("Expires: 99999999999999999999",), 200),
        (("Expires: " + "9" * 4000,), 200),
        (("Require: eventlist",), 420),
        (("Event: dialog;id=" + "9" * 9000,), 513),
        (("Record-Route: <sip:192.0.2.77;lr>, " * 300 + "<sip:192.0.2.77;lr>",), 513),
        (("Record-Route: <sip:192.0.2.77;lr>, " * 100 + "<sip:192.0.2.77;lr>",), 200),
    ],
)
def test_what_a_subscribe_is_answered(extra: tuple[str, ...], status: int) -> None:
    answer = House().ask(*extra)
    assert answer.status == status
    if status == 489:
        assert answer.get("allow-events") == "dialog"
    if status == 423:
        assert answer.get("min-expires") == "60"
    if status == 406:
        assert answer.get("accept") == "application/dialog-info+xml"


def test_without_an_event_without_a_contact_of_no_lamp() -> None:
    house = House()
    raw = request("SUBSCRIBE", uri="sip:private-1001@192.0.2.9")
    got = house.peer(ALICE)
    house.inject(raw, ALICE, SERVER)
    assert parse(got[-1]).status == 489  # type: ignore[union-attr]
    nowhere = request("SUBSCRIBE", branch="z9hG4bK-9", extra=("Event: dialog",))
    house.inject(nowhere.replace(b"Contact:", b"X-Contact:"), ALICE, SERVER)
    assert parse(got[-1]).status == 400  # type: ignore[union-attr]
    assert house.ask(uri="sip:bob@192.0.2.9").status == 404
    house.lights.closed = True
    assert house.ask().status == 403
    assert house.ua.watches == 0 and house.notifies() == []


def test_whoever_may_watch_nothing_gets_403_whatever_he_asks() -> None:
    house = House()
    house.lights.shut = True
    for extra in (("Event: presence",), ("Expires: 1",), ("Accept: x/y",), ("Event: ",), ()):
        answer = house.ask(*extra)
        assert answer.status == 403 and answer.get("allow-events") is None


def test_a_dialog_nobody_knows_gets_481_and_so_do_other_methods_in_one() -> None:
    house = House()
    assert house.ask(to_tag="nobody").status == 481
    tag = house.ask().to.tag or ""
    for method in ("BYE", "INFO", "INVITE"):
        house.inject(request(method, to_tag=tag, cseq=5, branch=f"z9hG4bK-{method}"), ALICE, SERVER)
        assert parse(house.raw[ALICE][-1]).status == 481  # type: ignore[union-attr]
    assert house.ask(to_tag=tag, cseq=1).status == 500, "an old CSeq"
    assert house.ask(to_tag=tag, cseq=9).status == 200


def test_a_call_takes_no_subscription() -> None:
    house = House()
    house.agents[SERVER].invite(
        "a", "sip:x@192.0.2.1", to="<sip:x@192.0.2.1>", from_="<sip:y@192.0.2.9>", body=SDP,
        destination=ALICE, local=SERVER, now=0.0,
    )  # fmt: skip
    got = house.peer(ALICE)
    house.settle()
    house.inject(answer_to(got[0], 200, body=SDP), ALICE, SERVER)
    invite = parse(got[0])
    text = request(
        "SUBSCRIBE",
        from_tag="b1",
        to_tag=invite.from_.tag or "",
        call_id=invite.call_id,
        extra=("Event: dialog",),
    )
    house.inject(text, ALICE, SERVER)
    assert parse(got[-1]).status == 403  # type: ignore[union-attr]


def test_there_is_room_for_so_many() -> None:
    house = House()
    first = [house.ask(source=ALICE, call_id=f"a{n}").status for n in range(4)]
    assert first == [200, 200, 200, 503], "three of one watcher"
    refused = house.ask(source=ALICE, call_id="a9")
    assert refused.get("retry-after") == "60"

    def by(user: str, source: Address, call_id: str) -> int:
        raw = request(
            "SUBSCRIBE",
            uri="sip:private-1001@192.0.2.9",
            call_id=call_id,
            branch=f"z9hG4bK{call_id}",
            extra=("Event: dialog",),
        ).replace(b"From: <sip:alice@", f"From: <sip:{user}@".encode())
        got = house.peer(source)
        house.inject(raw, source, SERVER)
        return next(m.status for m in map(parse, reversed(got)) if isinstance(m, Response))

    assert by("b", ALICE, "b1") == 200 and by("c", ALICE, "c1") == 503, "four from one address"
    elsewhere = [Address(f"192.0.2.{n}", 5060) for n in (50, 51, 52)]
    assert [by("d", at, f"d{at.host}") for at in elsewhere] == [200, 200, 503], "six altogether"
    house.run(2000)  # nobody has answered any NOTIFY
    assert house.ua.watches == 0 and by("b", ALICE, "b9") == 200
    assert not house.ua._watches._sources[""] and len(house.ua._watches._sources) == 1


def test_a_storm_of_renewals_is_one_notify_and_then_503() -> None:
    house = House()
    tag = house.ask().to.tag or ""
    statuses = [house.ask(to_tag=tag, cseq=n + 2).status for n in range(40)]
    assert statuses.count(200) == 19 and set(statuses[20:]) == {503}
    assert len(house.notifies()) == 1, "the first has not been answered"


def test_copies_are_one_subscription_and_two_ways_are_one_as_well() -> None:
    house = House()
    raw = request("SUBSCRIBE", uri="sip:private-1001@192.0.2.9", extra=("Event: dialog",))
    got = house.peer(ALICE)
    for _ in range(3):
        house.inject(raw, ALICE, SERVER)
    assert house.ua.watches == 1
    assert len({m.to.tag for m in map(parse, got) if isinstance(m, Response)}) == 1
    assert house.ask(call_id="c1").status == 482


def test_only_who_began_it_goes_on_with_it() -> None:
    house = House()
    tag = house.ask().to.tag or ""
    (watch,) = house.ua._watches._dialogs.values()
    watch.by = Admitted("another", "9")
    assert house.ask(to_tag=tag, cseq=3).status == 403
    assert house.ua.watches == 1, "and cannot end it either"


class Locked(House):
    """A house whose peer must show a password; 1001 and 1002 have one."""

    def __init__(self) -> None:
        super().__init__()
        secrets = {user: {"MD5": Private(ha1("MD5", user, "sip", "sesame"))} for user in ("1001", "1002")}
        rules = Rules(lambda source: "phones", {"phones": PeerRules(Realm("sip", ("MD5",), secrets))})
        self.ua._porter = Doorkeeper(rules, random.Random(4), lambda incident, now: None)

    def proving(self, phone: Subscriber, login: DigestClient) -> None:
        """Subscribe, or renew, with these credentials."""
        target = phone.dialog.target if phone.dialog is not None else ""
        uri = target or f"sip:{phone.lamp}@{SERVER.host}"
        phone.extra = tuple(f"{name}: {value}" for name, value in login.headers("SUBSCRIBE", uri))
        phone.ask(self.now)
        self.settle()


def test_a_password_is_asked_for_at_every_renewal_and_whoever_else_has_one_is_not_he() -> None:
    house = Locked()
    phone = house.watching(retries=False)
    assert phone.answers == [401] and house.ua.watches == 0

    def knows(user: str) -> DigestClient:
        login = DigestClient(Credentials(user, Private("sesame")), random.Random(1))
        challenged = house.sent(SERVER, "401")[-1]
        assert isinstance(challenged, Response) and login.learn(challenged, [])
        return login

    he = knows("1001")
    phone.dialog = Dialog("again", "mine")
    house.proving(phone, he)
    assert phone.answers[-1] == 200 and phone.lit is False
    dialog, phone.extra = phone.dialog, ()
    phone.ask(house.now)
    house.settle()
    assert phone.answers[-1] == 401 and house.ua.watches == 1
    for login, status in ((knows("1002"), 403), (he, 200)):
        phone.dialog = dialog
        house.proving(phone, login)
        assert phone.answers[-1] == status and house.ua.watches == 1
    (watch,) = house.ua._watches._dialogs.values()
    assert watch.by == Admitted("phones", "1001")


# --------------------------------------------------------------------------- how it ends


def fails(house: House, status: int, *extra: str) -> None:
    """The next NOTIFY is answered so, by hand."""
    house.ask()
    notify = next(m for m in house.peer(ALICE) if m.startswith(b"NOTIFY"))
    house.inject(answer_to(notify, status, extra=extra, tag=""), ALICE, SERVER)


@pytest.mark.parametrize("status", [481, 489, 404, 408, 500, 603, 401])
def test_a_notify_that_fails_ends_it_without_a_word(status: int) -> None:
    house = House()
    fails(house, status)
    assert house.ua.watches == 0
    house.turn(True)
    house.run(100)
    assert len(house.notifies()) == 1 and house.ua.watch_counts["unheard"] == 1


def test_a_last_word_that_nobody_wants_is_no_failure() -> None:
    house = House()
    phone = house.watching(retries=False)
    house.run(5)
    phone.dialog, phone._renew = None, None
    house.ua.end_watches("deactivated", house.now)
    house.settle()
    assert house.sent(phone.address, "481") and house.ua.watches == 0
    assert house.ua.watch_counts["unheard"] == 0


def test_not_now_is_tried_again_then() -> None:
    house = House()
    fails(house, 503, "Retry-After: 7")
    assert house.ua.watches == 1
    house.turn(True)
    house.run(6)
    assert len(house.notifies()) == 1
    house.run(8)
    assert len(house.notifies()) == 2 and Shown.read(house.notifies()[1].body).lit, "as it stands then"
    for _ in range(4):
        house.run(house.now + 8)
        notify = house.raw[ALICE][-1]
        if house.ua.watches:
            house.inject(answer_to(notify, 503, extra=("Retry-After: 7",), tag=""), ALICE, SERVER)
    assert house.ua.watches == 0, "three times is enough"


def test_nobody_answers_or_nobody_is_there() -> None:
    house = House()
    phone = house.watching()
    phone.deaf, phone.retries = True, False
    house.run(5)
    house.turn(True)
    house.run(60)
    assert house.ua.watches == 0
    house.ask(call_id="again")
    house.ua.transport_failed(ALICE, SERVER, house.now)
    house.drain()
    assert house.ua.watches == 0 and not house.layer.clients and not house.layer.servers


def test_a_right_that_is_withdrawn_ends_it_without_a_document() -> None:
    house = House()
    phone = house.watching()
    house.run(5)
    house.lights.closed = house.lights.lit = True
    house.ua.review_watches(house.now)
    house.settle()
    assert states(phone)[-1] == ("rejected", None) and house.ua.watches == 0
    assert phone.notified[-1].get("content-type") is None


def test_a_right_that_is_gone_at_a_renewal_is_refused_then() -> None:
    house = House()
    phone = house.watching()
    house.lights.closed = True
    phone.ask(house.now)
    house.settle()
    assert phone.answers == [200, 403] and house.ua.watches == 0


def test_the_server_stops() -> None:
    house = House()
    phones = [house.watching(number, retries=False) for number in (11, 12)]
    phones[1].deaf = True
    house.run(1)
    house.ua.end_watches("deactivated", house.now)
    house.settle()
    assert states(phones[0])[-1] == ("deactivated", False) and house.ua.watches == 1
    house.ua.reject_new(503)
    assert house.ask(call_id="late").status == 503
    house.drain()
    assert house.ua.watches == 0


def test_without_a_package_nothing_is_shown() -> None:
    net = Network()
    net.agent(SERVER)
    got = net.peer(ALICE)
    net.inject(request("SUBSCRIBE", extra=("Event: dialog",)), ALICE, SERVER)
    assert parse(got[0]).status == 405  # type: ignore[union-attr]


# --------------------------------------------------------------------------- streams


def test_news_goes_back_by_the_connection_when_nobody_listens_at_the_contact() -> None:
    here, there = Address("192.0.2.9", 5060, "tcp"), Address("192.0.2.11", 40123, "tcp")
    house = House()
    house.agents[here] = house.ua
    house.ua.listens((SERVER, here))
    raw = request("SUBSCRIBE", uri="sip:private-1001@192.0.2.9", via="Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKt",
                  extra=("Event: dialog",)).replace(b"5060>", b"5060;transport=tcp>")  # fmt: skip
    house.ua.receive(raw, there, here, 0.0)
    sent = house.ua.take_datagrams()
    contact = Address("192.0.2.1", 5060, "tcp")
    assert [d.destination for d in sent] == [there, contact]
    assert house.ua.talks_over(there, here)
    house.ua.transport_failed(contact, here, 0.1)
    (again,) = house.ua.take_datagrams()
    assert again.destination == there and b'version="1"' in again.data
    house.ua.receive(answer_to(again.data, 200, tag=""), there, here, 0.2)
    house.lights.lit = True
    house.ua.looks_different("private-1001", 5.0)
    (news,) = house.ua.take_datagrams()
    assert news.destination == there and house.ua.watches == 1
    house.ua.connection_lost(there, here, 6.0)
    house.ua.take_datagrams()
    house.ua.transport_failed(there, here, 6.1)
    assert house.ua.watches == 0 and not house.ua.talks_over(there, here)


def test_a_phone_that_has_connected_anew_is_told_there() -> None:
    here, contact = Address("192.0.2.9", 5060, "tcp"), Address("192.0.2.1", 5060, "tcp")
    old, new = Address("192.0.2.11", 40123, "tcp"), Address("192.0.2.11", 40999, "tcp")
    house = House()
    house.ua.listens((SERVER, here))

    def ask(source: Address, at: float, **more: Any) -> list[Any]:
        raw = request("SUBSCRIBE", uri="sip:private-1001@192.0.2.9", extra=("Event: dialog",), **more)
        house.ua.receive(raw.replace(b"5060>", b"5060;transport=tcp>"), source, here, at)
        house.ua.transport_failed(contact, here, at)  # nobody takes connections there
        return house.ua.take_datagrams()

    via = "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK"
    sent = ask(old, 0.0, via=via + "t1")
    tag = parse(sent[0].data).to.tag or ""
    assert sent[-1].destination == old
    house.ua.receive(answer_to(sent[-1].data, 200, tag=""), old, here, 0.1)
    house.ua.connection_lost(old, here, 1.0)
    sent = ask(new, 2.0, via=via + "t2", to_tag=tag, cseq=2)
    assert (
        sent[-1].destination == new and house.ua.talks_over(new, here) and not house.ua.talks_over(old, here)
    )
    house.ua.receive(answer_to(sent[-1].data, 200, tag=""), new, here, 2.1)
    house.lights.lit = True
    house.ua.looks_different("private-1001", 9.0)
    (news,) = house.ua.take_datagrams()
    assert news.destination == new


def test_over_ipv6() -> None:
    here, phone = Address("2001:db8::9", 5060), Address("2001:db8::11", 5070)
    house = House()
    via = "Via: SIP/2.0/UDP [2001:db8::11]:5070;branch=z9hG4bK6"
    raw = request("SUBSCRIBE", uri="sip:private-1001@[2001:db8::9]", via=via, extra=("Event: dialog",))
    raw = raw.replace(b"<sip:alice@192.0.2.1:5060>", b"<sip:a@[2001:db8::11]:5070>")
    house.ua.receive(raw, phone, here, 0.0)
    answer, notify = house.ua.take_datagrams()
    assert answer.destination == notify.destination == phone and answer.local == notify.local == here
    assert parse(notify.data).contacts[0].uri.host == "2001:db8::9"


# --------------------------------------------------------------------------- Event


def test_event_reads_and_writes_itself() -> None:
    assert str(EventHeader.parse("Dialog ; ID=x.1 ;foo=bar")) == "dialog;id=x.1"
    assert EventHeader.parse("dialog;call-id=a").names("call-id", "to-tag")
    for text in ("", ";id=1", "a b", "dialog;id=", 'dialog;id=a"b', "dialog;=x", 'dialog;x="', "\x00"):
        with pytest.raises(SipParseError):
            EventHeader.parse(text)


def test_hostile_subscribes_cost_an_answer_and_no_exception() -> None:
    rng, house = random.Random(5), House()
    house.ua.publish(house.lights, replace(LIMITS, most=50, of_a_source=50, of_a_watcher=50))
    more = ("Event: dialog;id=1", "Accept: */*", "Expires: 99", "Record-Route: <sip:192.0.2.77;lr>")
    good = request("SUBSCRIBE", uri="sip:private-1001@192.0.2.9", extra=more)
    house.peer(ALICE)
    for number in range(4000):
        data = bytearray(
            good.replace(b"-1\r\n", f"-{number}\r\n".encode()).replace(b": c1", f": c{number}".encode())
        )
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        house.agents[SERVER].receive(bytes(data), ALICE, SERVER, house.now)
        for sent in house.ua.take_datagrams():
            assert len(sent.data) < 2000
    assert house.ua.watches <= 50
    house.ua.end_watches("deactivated", house.now)
    house.ua.take_datagrams()
    house.ua.advance(house.now + 100)
    house.ua.advance(house.now + 200)
    assert house.ua.watches == 0 and not house.layer.clients and not house.layer.servers


# --------------------------------------------------------------------------- any weather


def storm(seed: int) -> tuple[House, Subscriber]:
    """A phone in bad weather, a lamp that changes, rights that come and go, a phone that restarts or does not hear."""
    rng = random.Random(seed)
    weather = Weather(
        loss=rng.choice((0.0, 0.1, 0.3, 0.5)), double=rng.random() / 3, delay=0.01, jitter=rng.random() / 2
    )
    house = House(weather, seed)
    phone = house.phone(seed=seed, expires=rng.choice((60, 90, 600)))
    phone.subscribe(house.now)
    for _ in range(rng.randrange(5, 40)):
        house.run(house.now + rng.choice((0.01, 0.2, 1.5, 20.0, 70.0)))
        happening = rng.random()
        if happening < 0.7:
            house.turn(not house.lights.lit)
        elif happening < 0.8:
            phone.deaf = not phone.deaf
        elif happening < 0.85:
            phone.restart()
            phone.subscribe(house.now)
        elif happening < 0.95:
            house.lights.closed = not house.lights.closed
            house.ua.review_watches(house.now)
            if not house.lights.closed and phone.dialog is None:
                phone.subscribe(house.now)
    return house, phone


@pytest.mark.parametrize("block", range(8))
def test_in_any_weather_the_phone_comes_to_show_what_is(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        house, phone = storm(seed)
        _said_what_was(house)
        house.weather, phone.deaf = Weather(delay=0.01), False
        closed = house.lights.closed
        if not closed and phone.dialog is None and phone._renew is None:
            phone.subscribe(house.now)
        house.run(house.now + 1500)
        if closed:
            assert phone.lit is None and house.ua.watches == 0, seed
        else:
            assert phone.lit == house.lights.lit, seed
            assert house.ua.watches == 1, seed
            house.turn(not house.lights.lit)
            house.run(house.now + 3)
            assert phone.lit == house.lights.lit, seed
        phone.retries, phone.deaf = False, True
        phone._renew = phone.asked = None
        house.drain(1e9)
        assert house.ua.watches == 0 and not house.layer.clients and not house.layer.servers, seed


def _said_what_was(house: House) -> None:
    """Every NOTIFY is new once, and its version, CSeq and Event are in order in its dialog."""
    by_dialog: dict[tuple[str, str | None], list[Request]] = {}
    for notify in house.notifies():
        by_dialog.setdefault((notify.call_id, notify.from_.tag), []).append(notify)
    for told in by_dialog.values():
        numbers = [n.cseq.number for n in told]
        versions = [Shown.read(n.body).version for n in told if n.body]
        assert numbers == list(range(1, len(told) + 1)) and versions == list(range(len(versions)))
        last = [(n.get("subscription-state") or "").startswith("terminated") for n in told]
        assert not any(last[:-1]), "nothing follows the last word"
