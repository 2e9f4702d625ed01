"""Plain calls: who calls, who ends, who refuses, and what is heard before the answer."""

from __future__ import annotations

import time

from tests.interop.ground import DIRECT, PARTNER_HZ
from tests.interop.stage import Stage, scenario


@scenario("inbound")
def inbound(stage: Stage) -> None:
    """The peer calls, is told, talks, and hangs up."""
    stage.inbound()
    time.sleep(0.8)
    stage.peer_ends()
    stage.both_heard()
    stage.close("recorded", {"told", "recorded"})


@scenario("outbound")
def outbound(stage: Stage) -> None:
    """The peer is called, answers, talks, and is hung up on."""
    stage.outbound()
    time.sleep(0.8)
    stage.partner_ends()
    stage.both_heard()
    stage.close("recorded", {"told", "recorded"})


@scenario("direct")
def direct(stage: Stage) -> None:
    """A call on no line of ours: each side gets the other's description, and audio never comes here."""
    stage.inbound(DIRECT)
    time.sleep(0.8)
    stage.partner_ends()
    stage.both_heard()
    stage.close("bypassed", set())


@scenario("peer refuses")
def refused(stage: Stage) -> None:
    """The called peer is busy; the caller is told what it said."""
    stage.dial()
    stage.peer.reject()
    end = stage.ground.partner.wait_for("disconnected", call=stage.theirs)
    assert end["status"] == stage.peer.refusal, f"the partner was told {end['status']}"
    stage.note(f"{end['status']} at the partner")
    stage.close("blocked", {"untold"})


@scenario("peer cancels")
def cancels(stage: Stage) -> None:
    """The calling peer gives up while it rings."""
    stage.ring()
    stage.peer.wait("ringing")
    stage.peer.hang_up()
    stage.over()
    stage.close("blocked", {"untold"})


@scenario("peer is cancelled")
def cancelled(stage: Stage) -> None:
    """The caller gives up while the peer rings."""
    stage.dial()
    stage.partner_ends()
    stage.close("blocked", {"untold"})


@scenario("early media")
def early_media(stage: Stage) -> None:
    """183 with a description: the caller hears the called before the answer (on a direct call)."""
    stage.ring(DIRECT)
    stage.ground.partner.answer(183, call=stage.theirs)
    stage.peer.wait("ringing")
    time.sleep(1.0)
    stage.peer.hang_up()
    stage.over()
    if stage.peer.echoes:
        stage.hears("the partner, echoed before the answer", stage.partner_heard(), PARTNER_HZ, "himself")
    else:
        stage.hears("the peer before the answer", stage.peer.heard(), PARTNER_HZ, "the partner")
    stage.close("bypassed", set())
