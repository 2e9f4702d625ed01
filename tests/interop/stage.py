"""One scenario with one peer: who calls whom, and what is known of the call afterwards.

A scenario is a function of the stage, and what it asserts is in it. Of all of them holds besides (`Stage.close`):
both sides end, the call's outcome is the one named, the peer's leg went over the transport that is tried, and the
server has no call left; that no leg is left is looked at once for each peer, when the last copies have had their time.
What was measured on the way is kept in `measured`, for the page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from qm_sip.demo import audio
from qm_sip.demo.phone import Phone
from tests.interop.ground import PARTNER_HZ, PEER_HZ, RECORDED, RECORDER, SIP, Ground, Row
from tests.interop.peers.base import Peer
from tests.interop.peers.phone import pressed
from tests.support.recorded import until

KEYS = "157#"  # with us 8 asks for more and 9 objects: they are for us and go no further
CALLED = "22"
Scenario = Callable[["Stage"], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    def enter(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return enter


def about(name: str) -> str:
    """A scenario's sentence, for the page."""
    return " ".join((SCENARIOS[name].__doc__ or name).split())


@dataclass
class Stage:
    ground: Ground
    peer: Peer
    theirs: int = 0  # the partner's number for the call
    mark: int = 0
    known: set[str] = field(default_factory=set)
    measured: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mark = self.ground.partner.mark()
        self.known = {row["call"] for row in self.ground.calls()}

    def note(self, found: str) -> None:
        self.measured.append(found)

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

    def dial(self, line: str = CALLED) -> None:
        """The partner calls the peer, where it rings."""
        self.theirs = self.ground.partner.call(f"sip:{line}00@{RECORDER}:{SIP}")
        self.peer.wait("incoming")

    def outbound(self, line: str = CALLED) -> None:
        self.dial(line)
        self.peer.answer()
        self.peer.wait("up")
        self._talking(line)

    def _talking(self, line: str) -> None:
        self.ground.partner.wait_for("confirmed", call=self.theirs)
        if line in (RECORDED, CALLED):
            self.ground.wait_recording()

    # ---- ending

    def peer_ends(self) -> None:
        self.peer.hang_up()
        self.over()

    def partner_ends(self) -> None:
        self.ground.partner.hangup(call=self.theirs)
        self.over()

    def over(self) -> None:
        self.ground.partner.wait_for("disconnected", call=self.theirs)
        self.peer.wait("over")

    # ---- what the server knows of it

    def new_calls(self) -> list[str]:
        return [row["call"] for row in self.ground.calls() if row["call"] not in self.known]

    def messages(self, call: str = "") -> list[Row]:
        """What passed on the peer's leg, by the server's own trace."""
        return self.ground.messages(call or self.new_calls()[0], "peer")

    def settle(self, seconds: float = 4) -> None:
        """Every request but ACK has its final answer. pjsua2 offers again by itself after an answer that names two
        codecs, and does not wait for the end of that before its next offer."""

        def settled() -> bool:
            rows = self.ground.server.ask("trace", call=self.new_calls()[0])["rows"]
            asked = {
                (row["leg"], row["cseq"]) for row in rows if row["what"].isalpha() and row["what"] != "ACK"
            }
            answered = {(row["leg"], row["cseq"]) for row in rows if row["what"][0] in "23456"}
            return asked <= answered

        until(settled, seconds, "answer to every request")

    def close(self, outcome: str, spans: set[str], calls: int = 1) -> Row:
        """What the books say of the one call there was; of several, of the first."""
        self.ground.wait_idle()
        new = self.new_calls()
        assert len(new) == calls, f"{len(new)} calls in the books, not {calls}"
        told = [self.ground.ended(call) for call in new]
        for row in told:
            assert row["outcome"] == outcome, row["reasons"]
        assert spans <= {span["state"] for span in told[0]["spans"]}, told[0]["spans"]
        self._by_transport(new)
        self.note(f"{outcome}: {', '.join(seconds(told[0]['spans']))}")
        return told[0]

    def _by_transport(self, calls: Iterable[str]) -> None:
        """Asked for UDP, a peer may choose TCP after all: then the cell would be about something else."""
        rows = [row for call in calls for row in self.messages(call)]
        used = {row["transport"] for row in rows}
        assert used == {self.ground.transport}, f"the peer's leg went over {used}"
        if self.ground.transport == "tls":
            assert self.ground.server.ask("status")["counts"]["sip_tls_refused"] == 0, (
                "a handshake was refused"
            )
        for way, who in (("in", "it"), ("out", "we")):
            sent = dict.fromkeys(row["what"] for row in rows if row["way"] == way and row["what"].isalpha())
            self.note(f"{who} sent {' '.join(sent) or 'answers alone'}")

    # ---- what was heard

    def both_heard(self) -> None:
        if self.peer.echoes:
            self.hears("the partner", self.partner_heard(), PARTNER_HZ, "his own tone, echoed by the peer")
            return
        self.hears("the peer", self.peer.heard(), PARTNER_HZ, "the partner")
        self.hears("the partner", self.partner_heard(), PEER_HZ, "the peer")

    def hears(self, who: str, samples: audio.Samples, hz: float, whom: str) -> None:
        assert audio.hears(samples, hz), f"{who} did not hear {whom} ({hz:.0f} Hz)"
        self.note(f"{hz:.0f} Hz at {who}")

    def partner_heard(self) -> audio.Samples:
        return audio.read_wav(self.ground.partner.recording_path(self.theirs))

    def partner_pressed(self, keys: str, seconds: float = 4) -> None:
        partner = self.ground.partner
        self._pressed("the partner", lambda: pressed(partner, self.mark), keys, seconds)

    def peer_pressed(self, keys: str, seconds: float = 4) -> None:
        self._pressed("the peer", self.peer.pressed, keys, seconds)

    def _pressed(self, who: str, look: Callable[[], str], keys: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (found := look()) != keys:
            assert time.monotonic() < end, f"{who} was pressed {found!r}, not {keys!r}"
            time.sleep(0.05)
        self.note(f"{keys} at {who}")

    # ---- waiting

    def until(self, look: Callable[[], object], seconds: float, what: str) -> None:
        until(look, seconds, what)


def seconds(spans: list[Row]) -> list[str]:
    """`told 0.4 s, recorded 1.2 s`, in the order in which each kind began."""
    sums: dict[str, float] = {}
    for span in spans:
        sums[span["state"]] = sums.get(span["state"], 0) + (span.get("seconds") or 0)
    return [
        f"{state} {length:.1f} s" if length >= 0.05 else f"{state} <0.1 s" for state, length in sums.items()
    ]


def talked(phone: Phone, call: int) -> audio.Samples:
    return audio.read_wav(phone.recording_path(call))
