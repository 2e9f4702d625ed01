"""What a customer was told while he waited, shown in the call with the agent: by whom, where, how long."""

from __future__ import annotations

from typing import Any

import pytest

from qm_sip.media import protocol as p
from tests.media.helpers import AGENT, CUSTOMER, PROMPT, TYPES, Script, rtp

WAITING = ("192.0.2.50", 45000)
LASTING = {"token": "tok", "subject": "call-id-1", "lasts_ms": 60_000}


def announced(*, outside: bool = True, line: str = "main", **play: Any) -> Script:
    """A waiting customer has heard the prompt in a call of its own, which is over."""
    call = Script(uses=["record"])
    call.do(p.LoadLine("other", [PROMPT]))
    call.do(p.OpenCall("wait", line), p.OpenLeg("wait", "caller", outside=outside, channel=0))
    call.do(p.SetRemote("wait", "caller", *WAITING, 45001, TYPES, 8))
    call.do(p.Play("wait", "caller", "k", PROMPT, **({"receipt": LASTING} | play)))
    call.wait(1000)
    return call


def connected(
    call: Script, *, subject: str | None = "call-id-1", line: str = "main", name: str = "c"
) -> None:
    """The call with the agent."""
    call.do(p.OpenCall(name, line, subject), p.OpenLeg(name, "caller", outside=True, channel=0))
    call.do(p.OpenLeg(name, "callee", outside=False, channel=1), p.Bridge(name, True))
    call.ports = {e.leg: e.port for e in call.happened(p.LegOpened) if e.call == name}
    call.do(p.SetRemote(name, "caller", *CUSTOMER, 40001, TYPES, 8))
    call.do(p.SetRemote(name, "callee", *AGENT, 50001, TYPES, 8))


def asked(call: Script, token: str = "tok", tap: str = "t", **changes: Any) -> list[str]:
    """Ask for a tap against the receipt; why not, or nothing."""
    call.tap(f"receipt:{token}", tap, **changes)
    return [e.reason for e in call.happened(p.TapRefused) if e.tap == tap]


def test_a_receipt_opens_a_tap_at_once() -> None:
    call = announced()
    call.do(p.CloseCall("wait"))
    call.wait(500)
    connected(call)
    assert asked(call) == []
    [opened] = call.happened(p.TapOpened)
    assert opened.kept_from_ns == call.now
    call.talk(1000)
    call.do(p.CloseTap("c", "t", "ended"))
    assert call.happened(p.TapClosed)[0].packets == [49, 49], "all that came later than the tap"


def test_it_opens_as_often_as_the_customer_is_put_through() -> None:
    call = announced()
    for name in ("c", "d", "e"):
        connected(call, name=name)
        call.do(
            p.OpenTap(name, f"t-{name}", "record", ["coaching"], ["receipt:tok"], {"coaching": []}, {}),
        )
    assert [e.reason for e in call.happened(p.TapRefused)] == ["no-recipients"] * 3, "told, all the same"


@pytest.mark.parametrize(
    ("reason", "given", "shown"),
    [
        ("receipt-unknown", {"play": {"receipt": None}}, {}),
        ("receipt-unknown", {"outside": False}, {}),
        ("receipt-unknown", {"play": {"overlay": True}}, {}),
        ("receipt-of-another", {}, {"subject": "call-id-2"}),
        ("receipt-of-another", {}, {"subject": None}),
        ("receipt-of-another", {"line": "other"}, {}),
        ("receipt-of-another", {}, {"line": "other"}),
        ("receipt-expired", {"play": {"receipt": LASTING | {"lasts_ms": 0}}}, {}),
    ],
)
def test_a_receipt_that_does_not_stand(reason: str, given: dict[str, Any], shown: dict[str, Any]) -> None:
    given = dict(given)
    call = announced(**given.pop("play", {}), **given)
    connected(call, **shown)
    assert asked(call) == [reason]


def test_it_stands_for_what_the_prompt_named_and_no_more() -> None:
    call = announced()
    connected(call)
    assert asked(call, tap="t1", use="listen") == ["use-not-told"]
    assert asked(call, tap="t2", purposes=["assessment"]) == ["purpose-not-told"]
    assert asked(call, "guess", tap="t3") == ["receipt-unknown"]


def test_it_must_not_have_expired_when_the_call_began_though_it_does_later() -> None:
    call = announced()
    call.wait(59_000)
    connected(call)
    call.wait(120_000)
    assert asked(call) == []
    connected(call, name="late")
    call.do(p.OpenTap("late", "t2", "record", ["coaching"], ["receipt:tok"], {}, {}))
    assert [e.reason for e in call.happened(p.TapRefused)] == ["receipt-expired"]


def test_half_a_prompt_gives_no_receipt() -> None:
    call = announced(receipt=None)
    call.do(p.Play("wait", "caller", "again", PROMPT, receipt=LASTING))
    call.wait(900)
    call.do(p.CloseCall("wait"))
    connected(call)
    assert asked(call) == ["receipt-unknown"]


def test_a_receipt_falls_with_its_proof() -> None:
    call = announced()
    waiting = next(e.port for e in call.happened(p.LegOpened))
    call.engine.icmp_refused(waiting, WAITING, call.now)
    connected(call)
    assert asked(call) == ["receipt-unknown"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["void", "void-all", "party", "again", "source"])
def test_it_says_nothing_to_whoever_comes_new(what: str, when: str) -> None:
    call = announced()
    connected(call)
    if when == "after":
        assert asked(call, tap="first") == []
    match what:
        case "void":
            call.do(p.VoidProofs("c", "caller", "transfer"))
        case "void-all":
            call.do(p.VoidProofs("c", None, "transfer"))
        case "party":
            call.do(p.CloseLeg("c", "callee"), p.OpenLeg("c", "callee", outside=True, channel=1))
            call.do(p.CloseLeg("c", "callee"))
        case "again":
            call.do(p.CloseLeg("c", "caller"), p.OpenLeg("c", "caller", outside=True, channel=0))
        case _:
            call.packet("caller", rtp(1), ("203.0.113.9", 7777))
    assert asked(call) == ["proof-void"]
    assert len(call.happened(p.TapClosed)) == (when == "after")


def test_another_agent_does_not_make_the_customer_untold() -> None:
    call = announced()
    connected(call)
    call.do(p.VoidProofs("c", "callee", "transfer"))
    assert asked(call) == []


def test_a_receipt_opens_nothing_in_a_private_call() -> None:
    call = announced()
    connected(call)
    call.do(p.MakePrivate("c", 0))
    assert asked(call) == ["private"]
    assert asked(call, "guess", tap="u") == ["private"]
