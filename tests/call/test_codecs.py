"""Which codec a call gets: the line's, the parties', and on each leg under that leg's own number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.media import protocol
from qm_sip.policy.facts import Outcome
from qm_sip.sip.sdp import Sdp
from tests.call.world import SDP, Phone, World

OPUS_AND_MORE = "96 9 8 97 13", ("96 opus/48000/2", "97 telephone-event/48000", "9 G722/8000", "13 CN/8000")


def described(phone: Phone, formats: str, maps: tuple[str, ...]) -> bytes:
    lines = ("v=0", f"o=- {phone.session} 7 IN IP4 {phone.host}", "s=-", f"c=IN IP4 {phone.host}", "t=0 0")
    media = (f"m=audio {phone.port} RTP/AVP {formats}", *(f"a=rtpmap:{one}" for one in maps))
    return "".join(f"{line}\r\n" for line in (*lines, *media)).encode()


def speaking(world: World, codecs: tuple[str, ...]) -> None:
    """Every line speaks these."""
    lines = {
        name: line.model_copy(update={"codecs": codecs}) for name, line in world.config.lines.line.items()
    }
    config = replace(world.config, lines=world.config.lines.model_copy(update={"line": lines}))
    world.settings = world.switchboard.settings = Settings(config, world.settings.library)


def call(
    world: World, line: str, formats: str, maps: tuple[str, ...], callee: tuple[str, tuple[str, ...]]
) -> Phone:
    """A customer's call in these formats; the agent answers in those."""

    def answer(phone: Phone) -> None:
        phone.up = True
        world.pbx.answer(phone.leg, described(phone, *callee), headers=[SDP], now=world.now)

    world.on_ringing = lambda phone: world.later(0.3, lambda: answer(phone))
    there = Phone("", "127.0.0.20", 4000, 9)
    return world.dial("1001", line=line, body=described(there, formats, maps))


def offered(world: World) -> list[int]:
    """The formats that the agent was offered."""
    audio = Sdp.parse(world.offered[0].body).audio
    assert audio is not None
    return [int(word) for word in audio.formats]


def answered(world: World) -> list[Sdp]:
    found: list[Sdp] = []
    world.on_answered = lambda response: found.append(Sdp.parse(response.body))
    return found


def remotes(world: World) -> dict[str, protocol.SetRemote]:
    return {command.leg: command for command in world.engine.asked(protocol.SetRemote)}


def test_both_agree_on_opus_each_under_a_number_of_its_own() -> None:
    world = World()
    told = answered(world)
    call(
        world,
        "sales",
        *OPUS_AND_MORE,
        callee=("111 110", ("111 opus/48000/2", "110 telephone-event/48000")),
    )
    world.run(3.0)
    assert offered(world) == [96, 9, 8, 97, 13]
    audio = told[0].audio
    assert audio is not None
    assert [(one.payload_type, one.name) for one in audio.codecs] == [(96, "OPUS"), (97, "telephone-event")]
    caller, callee = remotes(world)["caller"], remotes(world)["callee"]
    assert (caller.send_payload_type, callee.send_payload_type) == (96, 111)
    assert callee.payload_types == {"111": "opus/48000/2", "110": "telephone-event/48000"}
    assert callee.our_payload_types["96"] == "opus/48000/2"


@pytest.mark.parametrize(
    ("codecs", "agreed"),
    [((), "PCMA"), (("opus", "PCMA"), "OPUS"), (("G722",), "G722"), (("L16", "G722", "PCMA"), "G722")],
)
def test_before_ring_the_agent_is_offered_what_the_customer_was_answered(
    codecs: tuple[str, ...], agreed: str
) -> None:
    world = World()
    speaking(world, codecs)
    told = answered(world)
    call(world, "support", *OPUS_AND_MORE, callee=("8", ("8 PCMA/8000",)))
    world.run(20.0)
    voices = [sdp.audio.codecs[0].name for sdp in (told[0], Sdp.parse(world.offered[0].body)) if sdp.audio]
    assert voices == [agreed, agreed]


def test_a_line_that_speaks_none_of_it_lets_the_call_go_direct_and_says_why() -> None:
    world = World()
    speaking(world, ("PCMU",))
    customer = call(world, "sales", *OPUS_AND_MORE, callee=("9", ("9 G722/8000",)))
    world.run(2.0)
    assert offered(world) == [96, 9, 8, 97, 13]
    assert not world.engine.asked(protocol.OpenCall)
    world.hang_up(customer)
    world.run(1.0)
    (row,) = world.outcomes()
    assert (row.outcome, [reason.code for reason in row.reasons]) == (
        Outcome.BLOCKED,
        ["codec-not-recordable"],
    )


def test_a_new_offer_of_what_the_line_does_not_speak_is_refused_and_the_call_goes_on() -> None:
    world = World()
    speaking(world, ("PCMA",))
    customer = call(world, "support", *OPUS_AND_MORE, callee=("8", ("8 PCMA/8000",)))
    world.run(3.0)
    body = described(customer, "9", ("9 G722/8000",))
    world.pbx.reoffer(customer.leg, body, headers=[SDP], now=world.now)
    world.run(0.5)
    assert customer.offers_refused == [488]
    assert not customer.gone
