"""What a leg speaks for itself: provisional responses that are acknowledged (RFC 3262), session timers (RFC 4028).

Both are between the peer and us alone, so what is looked at is the server's trace of the peer's leg.
"""

from __future__ import annotations

import time

from tests.interop.ground import DIRECT, Row
from tests.interop.stage import Stage, scenario

EXPIRES_S = 90  # the shortest there is; half of it until the refresh


@scenario("peer sends PRACK")
def sends_prack(stage: Stage) -> None:
    """The peer acknowledges our 183 with a description, which we sent reliably, and the call comes up."""
    stage.ring(DIRECT)
    stage.ground.partner.answer(183, call=stage.theirs)
    stage.peer.wait("ringing")
    stage.until(lambda: _acknowledged(stage, "in"), 3, "PRACK from the peer")
    stage.ground.partner.answer(call=stage.theirs)
    _talk_and_end(stage, "PRACK came, 200 to it")


@scenario("peer gets PRACK")
def gets_prack(stage: Stage) -> None:
    """The called peer's 183 comes reliably; we acknowledge it, and the call comes up."""
    stage.dial("72")
    stage.peer.progress()
    stage.until(lambda: _acknowledged(stage, "out"), 3, "PRACK from us")
    stage.peer.answer()
    _talk_and_end(stage, "PRACK went, 200 to it")


@scenario("session timer")
def session_timer(stage: Stage) -> None:
    """A call of 50 s with a session timer of 90 s: it is refreshed on the peer's leg, and goes on."""
    stage.inbound()
    began = time.monotonic()
    stage.until(lambda: _refreshed(stage), EXPIRES_S / 2 + 10, "refresh")
    row = _refreshed(stage)
    assert row is not None
    who = "the peer" if row["way"] == "in" else "us"
    stage.note(f"{row['what']} by {who} after {row['at']:.0f} s")
    time.sleep(max(0.0, began + EXPIRES_S / 2 + 3 - time.monotonic()))
    stage.peer_ends()
    stage.both_heard()
    stage.close("recorded", {"told", "recorded"})


def _acknowledged(stage: Stage, way: str) -> bool:
    rows = stage.messages()
    asked = [row["cseq"] for row in rows if row["what"] == "PRACK" and row["way"] == way]
    return any(row["what"].startswith("200") and row["cseq"] in asked and row["way"] != way for row in rows)


def _refreshed(stage: Stage) -> Row | None:
    later = (row for row in stage.messages() if row["what"] in ("INVITE", "UPDATE") and row["at"] > 30)
    return next(later, None)


def _talk_and_end(stage: Stage, what: str) -> None:
    stage.note(what)
    stage.peer.wait("up")
    stage.ground.partner.wait_for("confirmed", call=stage.theirs)
    time.sleep(0.6)
    stage.partner_ends()
    stage.both_heard()
    stage.close("bypassed", set())
