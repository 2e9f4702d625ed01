"""What is tried with every peer: each scenario is a function of the stage, and what it asserts is in it.

Of all of them holds besides (`Stage.close`): both sides end, the call's outcome is the one named, and the server has
no call left; that no leg is left is looked at once for each peer, when the last copies have had their time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qm_sip.demo import audio
from tests.interop.ground import (
    DIRECT,
    PARTNER_HZ,
    PEER_HZ,
    RECORDED,
    THIRD_HZ,
    TRANSFERRED,
    Ground,
    Row,
)  # fmt: skip
from tests.interop.peers.base import Peer
from tests.interop.peers.phone import pressed

KEYS = "157#"  # with us 8 asks for more and 9 objects: they are for us and go no further
GRACE_S = (
    2.3  # a transferor has so long to hang up by himself before the others are joined (RFC 5589 section 6)
)
Scenario = Callable[["Stage"], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    def enter(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return enter


@dataclass
class Stage:
    """One scenario with one peer: who calls whom, and what is known of the call afterwards."""

    ground: Ground
    peer: Peer
    theirs: int = 0  # the partner's number for the call
    mark: int = 0
    known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.mark = self.ground.partner.mark()
        self.known = {row["call"] for row in self.ground.calls()}

    # ---- calling

    def ring(self, line: str = RECORDED) -> None:
        """The peer calls the partner, whose phone rings."""
        self.peer.call(f"{line}00")
        self.theirs = self.ground.partner.wait_for("incoming", since=self.mark)["call"]

    def inbound(self, line: str = RECORDED) -> None:
        """The peer has called, and the two talk."""
        self.ring(line)
        self.ground.partner.answer(call=self.theirs)
        self.peer.wait("up")
        self._talking(line)

    def dial(self, line: str = "22") -> None:
        """The partner calls the peer, where it rings."""
        self.theirs = self.ground.partner.call(f"sip:{line}00@127.0.0.2:5080")
        self.peer.wait("incoming")

    def outbound(self, line: str = "22") -> None:
        self.dial(line)
        self.peer.answer()
        self.peer.wait("up")
        self._talking(line)

    def _talking(self, line: str) -> None:
        self.ground.partner.wait_for("confirmed", call=self.theirs)
        if line in (RECORDED, "22"):
            self.ground.wait_recording()

    # ---- ending

    def peer_ends(self) -> None:
        self.peer.hang_up()
        self._over()

    def partner_ends(self) -> None:
        self.ground.partner.hangup(call=self.theirs)
        self._over()

    def _over(self) -> None:
        self.ground.partner.wait_for("disconnected", call=self.theirs)
        self.peer.wait("over")

    def close(self, outcome: str, spans: set[str]) -> Row:
        """What the books say of the one call there was."""
        self.ground.wait_idle()
        new = [row["call"] for row in self.ground.calls() if row["call"] not in self.known]
        assert len(new) == 1, f"{len(new)} calls in the books, not one"
        told = self.ground.ended(new[0])
        assert told["outcome"] == outcome, told["reasons"]
        assert spans <= {span["state"] for span in told["spans"]}, told["spans"]
        return told

    # ---- what was heard

    def both_heard(self) -> None:
        if self.peer.echoes:
            assert audio.hears(self.partner_heard(), PARTNER_HZ), "what the partner said did not come back"
            return
        assert audio.hears(self.peer.heard(), PARTNER_HZ), "the peer did not hear the partner"
        assert audio.hears(self.partner_heard(), PEER_HZ), "the partner did not hear the peer"

    def partner_heard(self) -> audio.Samples:
        return audio.read_wav(self.ground.partner.recording_path(self.theirs))

    def partner_pressed(self, keys: str, seconds: float = 4) -> None:
        partner = self.ground.partner
        until = time.monotonic() + seconds
        while (found := pressed(partner, self.mark)) != keys:
            assert time.monotonic() < until, f"the partner was pressed {found!r}, not {keys!r}"
            time.sleep(0.05)


# ---------------------------------------------------------------------------- plain calls


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
    """The called peer is busy; the caller is told 486."""
    stage.dial()
    stage.peer.reject()
    end = stage.ground.partner.wait_for("disconnected", call=stage.theirs)
    assert end["status"] == 486
    stage.close("blocked", {"untold"})


@scenario("peer cancels")
def cancels(stage: Stage) -> None:
    """The calling peer gives up while it rings."""
    stage.ring()
    stage.peer.wait("ringing")
    stage.peer.hang_up()
    stage._over()
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
    stage._over()
    if stage.peer.echoes:
        assert audio.hears(stage.partner_heard(), PARTNER_HZ), "nothing came back before the answer"
    else:
        assert audio.hears(stage.peer.heard(), PARTNER_HZ), "nothing was heard before the answer"
    stage.close("bypassed", set())


# ---------------------------------------------------------------------------- offers in the call


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
    mark = partner.mark()
    partner.unhold(call=stage.theirs)
    partner.wait_for("media:active", call=stage.theirs, since=mark)
    stage.ground.wait_paused(False)
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
    assert stage.ground.partner.report(call=stage.theirs)["codec"] == "PCMU"
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
    stage.partner_ends()
    stage.both_heard()
    stage.close("recorded", {"recorded"})


# ---------------------------------------------------------------------------- keys


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
    """The peer presses keys by INFO (`application/dtmf-relay`), which goes on to the partner."""
    stage.inbound()
    stage.peer.info(KEYS)
    stage.partner_pressed(KEYS)
    stage.peer_ends()
    stage.close("recorded", {"recorded"})


@scenario("keys to peer")
def keys_to_peer(stage: Stage) -> None:
    """The partner presses keys by RFC 4733, and the peer understands them."""
    stage.outbound()
    stage.ground.partner.dtmf(KEYS, call=stage.theirs)
    until = time.monotonic() + 4
    while (found := stage.peer.pressed()) != KEYS:
        assert time.monotonic() < until, f"the peer was pressed {found!r}, not {KEYS!r}"
        time.sleep(0.05)
    stage.partner_ends()
    stage.close("recorded", {"recorded"})


# ---------------------------------------------------------------------------- transfers


@scenario("blind transfer")
def blind_transfer(stage: Stage) -> None:
    """The peer sends its partner on to a third (REFER, which we carry out): the two talk, and the peer is out of it."""
    third = stage.ground.third
    stage.inbound()
    mark = third.mark()
    stage.peer.refer(f"{TRANSFERRED}00")
    there = third.wait_for("confirmed", since=mark)["call"]
    time.sleep(GRACE_S + 0.8)
    stage.ground.partner.hangup(call=stage.theirs)
    third.wait_for("disconnected", call=there)
    stage.peer.wait("over")
    assert audio.hears(stage.partner_heard(), THIRD_HZ), "the partner did not hear the third"
    assert audio.hears(audio.read_wav(third.recording_path(there)), PARTNER_HZ), (
        "the third did not hear the partner"
    )
    stage.close("recorded", {"recorded"})


def about(name: str) -> str:
    """A scenario's sentence, for the page."""
    return " ".join((SCENARIOS[name].__doc__ or name).split())
