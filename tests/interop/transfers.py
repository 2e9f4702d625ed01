"""Transfers by the peer: the partner and a third talk in the end, and the peer is out of it.

With us a REFER is carried out (`refer = "here"`). A PBX that joins its own two calls sends none: then both calls stand
in the books, and what is looked at is that the two hear each other through it.
"""

from __future__ import annotations

import time

from tests.interop.ground import PARTNER_HZ, THIRD_HZ, TRANSFERRED
from tests.interop.stage import Stage, scenario, talked

GRACE_S = (
    2.3  # a transferor has so long to hang up by himself before the others are joined (RFC 5589 section 6)
)


@scenario("blind transfer")
def blind(stage: Stage) -> None:
    """The peer sends its partner on to a third, by a REFER that we carry out."""
    third = stage.ground.third
    stage.inbound()
    mark = third.mark()
    stage.peer.refer(f"{TRANSFERRED}00")
    there = third.wait_for("confirmed", since=mark)["call"]
    _asked(stage)
    _two_are_left(stage, there)
    stage.close("recorded", {"recorded"})


@scenario("attended transfer")
def attended(stage: Stage) -> None:
    """The peer holds, calls a third, and joins the two: by a REFER with Replaces, or, a PBX, by itself."""
    third = stage.ground.third
    stage.inbound()
    mark = third.mark()
    stage.peer.consult(f"{TRANSFERRED}00")
    there = third.wait_for("confirmed", since=mark)["call"]
    time.sleep(1.2)  # this call is told and recorded too
    stage.peer.join()
    if stage.peer.joins_itself:
        stage.note("joined by the peer, no REFER here")
        time.sleep(1.0)
        stage.peer.tidy()  # its phone leaves when it is told so
    else:
        stage.until(lambda: _referred(stage), 4, "REFER")
        _asked(stage)
    _two_are_left(stage, there)
    stage.close("recorded", {"recorded"}, calls=2)


def _referred(stage: Stage) -> bool:
    return any(row["what"] == "REFER" for call in stage.new_calls() for row in stage.messages(call))


def _asked(stage: Stage) -> None:
    assert _referred(stage), "no REFER came"


def _two_are_left(stage: Stage, there: int) -> None:
    third = stage.ground.third
    time.sleep(GRACE_S + 0.8)
    stage.peer.wait("over")
    assert not stage.ground.partner.ended(stage.theirs), "the partner was hung up on, the third did not come"
    stage.ground.partner.hangup(call=stage.theirs)
    third.wait_for("disconnected", call=there)
    stage.hears("the partner", stage.partner_heard(), THIRD_HZ, "the third")
    stage.hears("the third", talked(third, there), PARTNER_HZ, "the partner")
