"""In the call: offers (hold, another codec) and keys."""

from __future__ import annotations

import time

from tests.interop.stage import KEYS, Stage, scenario


@scenario("peer holds")
def holds(stage: Stage) -> None:
    """The peer puts the call on hold and takes it back; meanwhile nothing is recorded."""
    stage.inbound()
    stage.peer.hold()
    stage.ground.wait_paused(True)
    time.sleep(0.4)
    stage.peer.resume()
    stage.ground.wait_paused(False)
    time.sleep(0.6)
    stage.peer_ends()
    stage.both_heard()
    stage.close("recorded", {"recorded", "hold"})


@scenario("peer is held")
def held(stage: Stage) -> None:
    """The partner holds: the peer is offered `sendonly`, agrees, and is taken back."""
    stage.outbound()
    partner = stage.ground.partner
    partner.hold(call=stage.theirs)
    partner.wait_for("media:local-hold", call=stage.theirs)
    stage.ground.wait_paused(True)
    time.sleep(0.4)
    stage.settle()
    mark = partner.mark()
    partner.unhold(call=stage.theirs)
    partner.wait_for("media:active", call=stage.theirs, since=mark)
    stage.ground.wait_paused(False)
    stage.settle()
    time.sleep(0.6)
    stage.partner_ends()
    stage.both_heard()
    stage.close("recorded", {"recorded", "hold"})


@scenario("peer changes codec")
def reoffers(stage: Stage) -> None:
    """A re-INVITE from the peer with mu-law alone, in a call that began with A-law."""
    stage.inbound()
    stage.peer.reoffer("PCMU")
    time.sleep(0.8)
    codec = stage.ground.partner.report(call=stage.theirs)["codec"]
    if stage.peer.transcodes:
        invites = [row for row in stage.messages() if row["what"] == "INVITE" and row["way"] == "in"]
        assert len(invites) == 1, f"{len(invites)} INVITEs from a peer that transcodes"
        stage.note(f"its phone changed, it transcodes: no re-INVITE here, {codec} at the partner")
    else:
        assert codec == "PCMU", f"{codec} at the partner"
        stage.note("PCMU at the partner")
    stage.peer_ends()
    stage.both_heard()
    stage.close("recorded", {"recorded"})


@scenario("codec changed for peer")
def reoffered(stage: Stage) -> None:
    """The same from the partner: the peer is asked to change."""
    stage.outbound()
    partner = stage.ground.partner
    mark = partner.mark()
    partner.reoffer("PCMU", call=stage.theirs)
    partner.wait_for("media:active", call=stage.theirs, since=mark)
    time.sleep(0.8)
    assert partner.report(call=stage.theirs)["codec"] == "PCMU"
    stage.note("PCMU at the partner")
    stage.partner_ends()
    stage.both_heard()
    stage.close("recorded", {"recorded"})


@scenario("keys by RFC 4733")
def keys_in_band(stage: Stage) -> None:
    """The peer presses keys as events among its audio, and the partner understands them."""
    stage.inbound()
    stage.peer.dtmf(KEYS)
    stage.partner_pressed(KEYS)
    stage.peer_ends()
    stage.close("recorded", {"recorded"})


@scenario("keys by INFO")
def keys_by_info(stage: Stage) -> None:
    """The peer presses keys by INFO (`application/dtmf-relay`), which goes on to the partner, by a PBX as events."""
    stage.inbound()
    stage.peer.info(KEYS)
    stage.partner_pressed(KEYS)
    if stage.peer.transcodes:
        stage.note("its phone's INFO, from the peer on as RFC 4733")
    else:
        infos = [row for row in stage.messages() if (row["what"], row["way"]) == ("INFO", "in")]
        assert len(infos) == len(KEYS), f"{len(infos)} INFOs came"
    stage.peer_ends()
    stage.close("recorded", {"recorded"})


@scenario("keys to peer")
def keys_to_peer(stage: Stage) -> None:
    """The partner presses keys by RFC 4733, and the peer understands them."""
    stage.outbound()
    stage.ground.partner.dtmf(KEYS, call=stage.theirs)
    stage.peer_pressed(KEYS)
    stage.partner_ends()
    stage.close("recorded", {"recorded"})
