"""What transfers are written with (RFC 3515, 3891, 4488, 3420), and the news that a REFER's sender is owed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from qm_sip.sip.dialog import DialogId
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request
from qm_sip.sip.refer import TARGET_TAGS, ReferTo, Replaces, replaces_of, sipfrag, status_in, wants_no_news
from qm_sip.sip.subscription import Subscription
from tests.sip.network import ALICE, BOB, SDP, Network


def refer(*values: str, **more: str) -> Request:
    headers = [("Refer-To", value) for value in values]
    return Request("REFER", "sip:b@x", [*headers, *((k.replace("_", "-"), v) for k, v in more.items())])


@pytest.mark.parametrize(
    "text", ["a@b;to-tag=t;from-tag=f", "a@b;to-tag=t;from-tag=f;early-only", "x;to-tag=0;from-tag=1"]
)
def test_replaces_reads_and_writes_itself(text: str) -> None:
    assert str(Replaces.parse(text)) == text


def test_replaces_reads_what_is_written_otherwise() -> None:
    found = Replaces.parse(" a@b ; From-Tag=f;other=x ;TO-TAG=t")
    assert (found.call_id, found.to_tag, found.from_tag, found.early_only) == ("a@b", "t", "f", False)
    assert found.dialog == DialogId("a@b", "t", "f")


def test_the_far_end_calls_its_own_tag_the_to_tag() -> None:
    far = Replaces("a", "x", "y", early_only=True).naming(DialogId("c", "ours", "his"))
    assert str(far) == "c;to-tag=his;from-tag=ours;early-only"


def test_target_dialog_is_named_by_the_senders_tags() -> None:
    assert Replaces.parse("a;local-tag=his;remote-tag=ours", TARGET_TAGS).dialog == DialogId(
        "a", "ours", "his"
    )


@pytest.mark.parametrize(
    "text",
    ["", "a@b", "a@b;to-tag=t", "a;to-tag=t;to-tag=u;from-tag=f", ";to-tag=t;from-tag=f", "a b;to-tag=t;from-tag=f",
     "a;to-tag;from-tag=f", "a\r\nEvil: x;to-tag=t;from-tag=f", "a;to-tag=t\r\nx;from-tag=f", "é;to-tag=t;from-tag=f"],
)  # fmt: skip
def test_a_dialog_that_is_not_named(text: str) -> None:
    with pytest.raises(SipParseError):
        Replaces.parse(text)


def test_refer_to_and_the_dialog_in_it() -> None:
    plain = ReferTo.of(refer('"Bob" <sip:1002@pbx;user=phone>'))
    assert plain.replaces is None and plain.address.uri.number == "1002"
    found = ReferTo.of(refer("<sip:1002@pbx?Replaces=a%40b%3Bto-tag%3Dt%3Bfrom-tag%3Df&Require=replaces>"))
    assert found.replaces == Replaces("a@b", "t", "f")
    assert found.moved("sip:c@d;x=y?Route=z", found.replaces) == (
        "<sip:c@d;x=y?Replaces=a%40b%3Bto-tag%3Dt%3Bfrom-tag%3Df>"
    )
    assert ReferTo.of(refer("<tel:+31201234567>")).address.uri.number == "+31201234567"


@pytest.mark.parametrize(
    ("values", "status"),
    [((), 400), (("<sip:a@b>", "<sip:c@d>"), 400), (("<sip:a@b>, <sip:c@d>",), 400), (("<http://x/>",), 416),
     (("<sip:a@b;method=SUBSCRIBE>",), 501), (("<sip:a@b?Replaces=a&Replaces=b>",), 400), (("sip:a@b?x=y",), 400),
     (("<sip:a@b?Replaces=%ff%3Bto-tag%3Dt%3Bfrom-tag%3Df>",), 400), (("<sip:a@b?Replaces=\udcff>",), 400)],
)  # fmt: skip
def test_refer_to_that_nobody_can_be_sent_by(values: tuple[str, ...], status: int) -> None:
    with pytest.raises(SipParseError) as raised:
        ReferTo.of(refer(*values))
    assert raised.value.status == status


def test_replaces_of_an_invite_is_one_and_stands_alone() -> None:
    one = ("Replaces", "a;to-tag=t;from-tag=f")
    assert replaces_of(Request("INVITE", "sip:a@b", [one])) == Replaces("a", "t", "f")
    assert replaces_of(Request("INVITE", "sip:a@b")) is None
    for more in (one, ("Join", "a;to-tag=t;from-tag=f")):
        with pytest.raises(SipParseError):
            replaces_of(Request("INVITE", "sip:a@b", [one, more]))


def test_a_status_as_a_body() -> None:
    assert sipfrag(180) == b"SIP/2.0 180 Ringing\r\n" and status_in(sipfrag(603)) == 603
    assert status_in(b"SIP/2.0 200 OK\r\nContact: <sip:x@y>\r\n") == 200
    for body in (
        b"",
        b"SIP/2.0",
        b"SIP/2.0 20 OK",
        b"SIP/2.0 099 x",
        b"SIP/2.0 700 x",
        b"HTTP/1.1 200 OK",
        b"\xff" * 9,
    ):
        assert status_in(body) is None
    assert wants_no_news(refer("<sip:a@b>", Refer_Sub=" FALSE ;x=y")) and not wants_no_news(
        refer("<sip:a@b>")
    )


def test_it_survives_mutations() -> None:
    rng = random.Random(3)
    good = "<sip:1002@pbx;user=phone?Replaces=a%40b%3Bto-tag%3Dt%3Bfrom-tag%3Df&Require=replaces>"
    for _ in range(3000):
        text = list(good)
        for _ in range(rng.randrange(1, 6)):
            text[rng.randrange(len(text))] = chr(rng.choice([*range(32, 127), 0xFF, 0x20AC]))
        try:
            found = ReferTo.of(refer("".join(text)))
        except SipParseError:
            continue
        assert "\n" not in found.moved(str(found.address.uri), found.replaces)


# --------------------------------------------------------------------------- the subscription


class Told(Network):
    """Alice and Bob in a call; Bob answers every NOTIFY as `status` says, when `answer_now`."""

    def __init__(self) -> None:
        super().__init__()
        self.alice, self.bob = self.agent(ALICE), self.agent(BOB)
        self.status = 200
        self.alice.invite(
            "a", "sip:bob@192.0.2.2", to="<sip:bob@192.0.2.2>", from_="<sip:alice@192.0.2.1>",
            body=SDP, destination=BOB, local=ALICE, now=self.now,
        )  # fmt: skip
        self.settle()
        (offered,) = [e for e in self.events if e.startswith("in-")]
        self.leg = offered
        self.bob.answer(offered, SDP, now=self.now)
        self.run(self.now + 1)

    def react(self, address: Any, event: Any) -> None:
        if type(event).__name__ == "InDialogRequest":
            agent = self.bob if address == BOB else self.alice
            agent.respond(event.leg, event.token, self.status, now=self.now)

    def subscription(self, *, numbered: bool = False, **more: str) -> Subscription:
        request = Request(
            "REFER", "sip:b@x", [("CSeq", "77 REFER"), *((k.replace("_", "-"), v) for k, v in more.items())]
        )
        return Subscription(self.alice, "a", request, numbered=numbered)

    def news(self) -> list[tuple[str | None, int | None]]:
        return [(m.get("Subscription-State"), status_in(m.body)) for m in self.sent(ALICE, "NOTIFY")]


def test_news_in_order_one_at_a_time_and_the_last_word_is_the_last() -> None:
    network = Told()
    told = network.subscription()
    for status in (100, 180, 183, 200, 486):
        told.tell(status, network.now)
    assert len(network.sent(ALICE, "NOTIFY")) == 0
    network.settle()
    assert [status for _, status in network.news()] == [100], "the next waits for its answer"
    told.answered(200, network.now)
    network.settle()
    assert network.news()[-1] == ("terminated;reason=noresource", 200)
    told.answered(200, network.now)
    network.settle()
    assert len(network.news()) == 2


def test_numbered_or_quiet_or_no_longer_known() -> None:
    network = Told()
    told = network.subscription(numbered=True)
    told.tell(100, network.now)
    network.settle()
    assert network.sent(ALICE, "NOTIFY")[0].get("Event") == "refer;id=77"
    told.answered(481, network.now)
    told.tell(200, network.now)
    network.settle()
    assert len(network.news()) == 1 and told.over
    quiet = network.subscription(Refer_Sub="false")
    quiet.tell(200, network.now)
    network.settle()
    assert len(network.news()) == 1 and not quiet.wanted


def test_481_to_a_notify_ends_no_call() -> None:
    """RFC 5057 5.1: it is the subscription that is unknown, not the dialog."""
    network = Told()
    network.status = 481
    network.subscription().tell(100, network.now)
    network.run(network.now + 1)
    assert "Ended" not in network.kinds("a") and "RequestAnswered" in network.kinds("a")


@pytest.mark.parametrize(("method", "status"), [("REFER", "403"), ("NOTIFY", "481")])
def test_outside_a_dialog_nobody_is_sent_anywhere(method: str, status: str) -> None:
    network = Network()
    network.agent(BOB)
    network.peer(ALICE)
    text = (
        f"{method} sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\n"
        f"CSeq: 1 {method}\r\nRefer-To: <sip:1002@x>\r\nContent-Length: 0\r\n\r\n"
    )
    network.inject(text.encode(), ALICE, BOB)
    (answer,) = network.peer(ALICE)
    assert answer.startswith(f"SIP/2.0 {status} ".encode())
