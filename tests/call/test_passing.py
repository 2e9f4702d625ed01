"""INFO, MESSAGE and UPDATE in a call: what goes to the other side, and who answers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.config import Config
from qm_sip.sip import events as sip
from qm_sip.sip.body import Part, description, others
from qm_sip.sip.message import Request
from tests.call.test_journeys import answering, ended
from tests.call.world import SDP, World

ISUP = Part((("Content-Type", "application/isup;version=itu-t92+"),), b"\x01\x00\r\n--\xff")
LOCATION = Part((("Content-Type", "application/pidf+xml"), ("Content-ID", "<here@x>")), b"<presence/>")
STRANGE = Part(
    (
        ("Content-Type", "application/vnd.cirpack.isdn-ext"),
        ("Content-Disposition", "signal;handling=required"),
    ),
    b"x",
)


class Exchange:
    """A call in a world, and the requests in it that the PBX got of us, or had answered by us."""

    def __init__(
        self, line: str = "", number: str = "2222", *, takes: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.world = World()
        self.got: list[sip.InDialogRequest] = []
        self.answers: list[sip.RequestAnswered] = []
        self.takes = list(takes)
        before = self.world._on_pbx

        def watched(event: sip.UaEvent) -> None:
            if isinstance(event, sip.InDialogRequest):
                self.got.append(event)
            if isinstance(event, sip.RequestAnswered):
                self.answers.append(event)
            before(event)

        self.world._on_pbx = watched  # type: ignore[method-assign]
        answering(self.world, identity="")
        self.caller = self.world.dial(number, line=line, more=self.takes)
        self.world.run(3.0)

    def ask(self, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None) -> None:
        """The called side asks, so that it is the caller's who said at the beginning what he takes."""
        assert self.world.agent is not None
        self.world.pbx.request(self.world.agent.leg, method, headers, body, now=self.world.now)
        self.world.run(0.1)

    def answer(self, status: int) -> None:
        event = self.got[-1]
        self.world.pbx.respond(event.leg, event.token, status, now=self.world.now)
        self.world.run(0.1)

    def end(self) -> None:
        self.world.hang_up(self.caller)
        self.world.run(0.5)
        ended(self.world)


def test_a_package_goes_to_who_takes_it_and_he_answers() -> None:
    call = Exchange(takes=[("Recv-Info", "conference, Foo")])
    call.ask("INFO", [("Info-Package", "foo"), ("Content-Type", "text/x"), ("X-Other", "1")], b"hello")
    (event,) = call.got
    assert event.request.get("Info-Package") == "foo" and event.request.body == b"hello"
    assert event.request.get("Content-Type") == "text/x" and event.request.get("X-Other") is None
    assert not call.answers
    call.answer(200)
    assert [answer.status for answer in call.answers] == [200]
    call.ask("INFO", [("Info-Package", "foo")])
    call.answer(489)
    assert call.answers[-1].status == 489
    call.end()


def test_a_package_that_nobody_takes_is_469_with_those_he_does() -> None:
    for takes, said in (([("Recv-Info", "b, a")], "a, b"), ([], "")):
        call = Exchange(takes=takes)
        call.ask("INFO", [("Info-Package", "foo;x=1")], b"x")
        assert not call.got
        assert call.answers[0].status == 469 and call.answers[0].response is not None
        assert call.answers[0].response.get("Recv-Info") == said
        call.end()


@pytest.mark.parametrize(("kind", "body", "status"), [("text/plain", b"x", 415), ("", b"", 200)])
def test_an_info_of_no_package_ends_here(kind: str, body: bytes, status: int) -> None:
    call = Exchange()
    call.ask("INFO", [("Content-Type", kind)] if kind else [], body or None)
    assert not call.got and call.answers[0].status == status
    call.end()


@pytest.mark.parametrize("status", [200, 202, 486, 603])
def test_a_message_goes_across_and_the_other_side_answers(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    call = Exchange()
    call.ask(
        "MESSAGE", [("Content-Type", "text/plain;charset=utf-8"), ("Subject", "hi")], "geheim é".encode()
    )
    request = call.got[0].request
    assert (request.method, request.body.decode()) == ("MESSAGE", "geheim é")
    assert request.get("Content-Type") == "text/plain;charset=utf-8" and request.get("Subject") == "hi"
    call.answer(status)
    assert call.answers[0].status == status
    assert "geheim" not in caplog.text
    call.end()


def test_a_message_too_large_for_a_datagram_is_refused_as_such() -> None:
    call = Exchange()
    call.ask("MESSAGE", [("Content-Type", "text/plain")], b"x" * 600)
    assert len(call.got) == 1
    call.answer(200)
    call.ask("MESSAGE", [("Content-Type", "text/plain")], b"x" * 1300)
    assert len(call.got) == 1 and call.answers[-1].status == 513
    call.end()


def test_a_strangers_message_and_package_do_not_cross() -> None:
    call = Exchange(takes=[("Recv-Info", "foo")])
    (running,) = call.world.switchboard.calls.values()
    for leg, border in list(running.way.borders.items()):
        outside = border.target.model_copy(update={"trusted": False})
        running.way.borders[leg] = replace(border, target=outside)  # type: ignore[index]
    call.ask("MESSAGE", [("Content-Type", "text/plain")], b"x")
    call.ask("INFO", [("Info-Package", "foo")], b"x")
    assert not call.got and [answer.status for answer in call.answers] == [403, 469]
    assert call.answers[1].response is not None and call.answers[1].response.get("Recv-Info") == ""
    call.end()


def test_nobody_answers_a_message_and_its_sender_is_told_that_in_time() -> None:
    call = Exchange()
    call.ask("MESSAGE", [("Content-Type", "text/plain")], b"x")
    call.world.run(40.0)
    assert call.answers[0].status in (408, 480)
    call.end()


def test_who_answers_is_shown_to_the_other_side_once() -> None:
    call = Exchange()  # the user agent of this world says Allow: UPDATE
    for _ in range(2):
        call.ask("UPDATE", [("P-Asserted-Identity", "<sip:1002@127.0.0.1>"), ("Privacy", "none")])
    (event,) = call.got
    assert event.request.get("P-Asserted-Identity") == "<sip:1002@127.0.0.1>"
    call.answer(200)
    call.ask("UPDATE")
    assert len(call.got) == 1
    call.end()


def test_that_a_confidential_person_is_there_is_not_said_on_the_other_leg() -> None:
    call = Exchange("sales", "1001")
    call.ask("UPDATE", [("P-Asserted-Identity", "<sip:1900@127.0.0.1>")])
    assert not call.got
    assert call.world.confidential() == 1
    call.end()


# --------------------------------------------------------------------------- bodies


def of_peers(config: Config, **changes: object) -> Config:
    peers = {key: peer.model_copy(update=changes) for key, peer in config.server.peers.items()}
    return replace(config, server=config.server.model_copy(update={"peers": peers}))


def offered(
    number: str, beside: list[Part], *, line: str = "", **changes: object
) -> tuple[World, list[Request]]:
    """A call whose INVITE brings these parts around its description; the INVITE that the called side got, if any."""
    world, seen = World(), list[Request]()
    world.settings = Settings(of_peers(world.config, **changes), world.settings.library)
    world.switchboard.settings = world.settings
    answering(world, identity="")
    before = world._on_pbx

    def watched(event: sip.UaEvent) -> None:
        if isinstance(event, sip.CallOffered):
            seen.append(event.request)
            object.__setattr__(
                event, "request", Request("INVITE", "sip:x@y", [SDP], description(event.request) or b"")
            )
        before(event)

    world._on_pbx = watched  # type: ignore[method-assign]
    world.dial(number, line=line, parts=beside)
    world.run(3.0)
    return world, seen


@pytest.mark.parametrize("line", ["", "sales"])
def test_parts_cross_where_both_are_trusted_and_one_asks_for_them(line: str) -> None:
    number = "1001" if line else "2222"
    world, (request,) = offered(number, [ISUP, LOCATION], line=line, bodies=("application/isup",))
    assert others(request) == (ISUP,)
    sdp = description(request)
    assert sdp is not None and (b"c=IN IP4 127.0.0.2\r\n" in sdp) == bool(
        line
    )  # the edited one, in its place
    assert next(iter(world.switchboard)).relayed is bool(line)


@pytest.mark.parametrize("changes", [{}, {"trusted": False, "bodies": ("application/isup",)}])
def test_elsewhere_they_are_dropped_and_the_description_stands_alone(changes: dict[str, object]) -> None:
    _, (request,) = offered("2222", [ISUP, LOCATION], **changes)
    assert request.content_type == "application/sdp"


def test_where_a_caller_for_help_is_goes_along_whoever_the_peers_are() -> None:
    world, (request,) = offered("112", [LOCATION, ISUP, STRANGE], trusted=False)
    assert others(request) == (LOCATION,)
    assert not world.keeper.words


def test_a_part_that_must_be_understood_and_does_not_cross_is_415() -> None:
    world, seen = offered("2222", [STRANGE])
    assert not seen and world.rejected == [415]
    _, seen = offered("2222", [STRANGE], bodies=(STRANGE.kind,))
    assert others(seen[0]) == (STRANGE,)
