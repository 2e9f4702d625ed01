"""The engine on virtual time: from prompt to proof to tap to journal, and every way in which it says no."""

from __future__ import annotations

import base64
from typing import Any

import pyrage
import pytest

from qm_sip.media import protocol as p
from tests.media.helpers import (
    AGENT,
    CUSTOMER,
    IDENTITY,
    MS,
    PROMPT,
    RECIPIENT,
    SECOND,
    TYPES,
    Script,
    open_journal,
    rtp,
)


def test_packets_pass_between_the_legs_with_their_own_numbers() -> None:
    call = Script()
    call.open()
    call.do(p.SetRemote("c", "callee", *AGENT, 50001, {"0": "PCMU/8000", "96": "PCMA/8000"}, 0))
    call.do(p.Bridge("c", True))
    call.sent.clear()
    call.packet("caller", rtp(7, b"hello" * 32))
    [sent] = call.sent
    assert (sent.from_port, sent.destination) == (call.ports["callee"], AGENT)
    assert sent.data[1] == 0x80 | 96, "mapped by codec, marked as the first of its kind"
    assert sent.data[2:] == rtp(7, b"hello" * 32)[2:]
    call.packet("caller", rtp(8))
    assert call.sent[-1].data[1] == 96


def test_strangers_are_dropped_and_counted() -> None:
    call = Script()
    call.open()
    call.do(p.Bridge("c", True))
    call.packet("caller", rtp(1))
    call.sent.clear()
    call.packet("caller", rtp(2), ("203.0.113.66", 4000))
    call.packet("caller", b"\x00garbage")
    call.packet("caller", rtp(3, pt=77))
    call.packet("caller", rtp(4), (CUSTOMER[0], CUSTOMER[1] + 2))
    assert call.sent == []
    call.do(p.CloseLeg("c", "caller"))
    [closed] = call.happened(p.LegClosed)
    assert (closed.received, closed.strangers) == (1, 4)


def test_a_prompt_is_played_at_the_pace_and_proven_with_its_last_packet() -> None:
    call = Script()
    call.open()
    call.do(p.Tone("c", "callee", "waiting"))
    call.sent.clear()
    proof = call.tell()
    [finished] = call.happened(p.PromptFinished)
    assert finished.proof == proof
    assert (finished.packets, finished.uses, finished.purposes) == (50, ["record"], ["coaching"])
    assert 970 * MS <= finished.ended_ns - finished.began_ns <= 1000 * MS
    heard = [s for s in call.sent if s.destination == CUSTOMER][:50]
    assert len({s.data[12:] for s in heard}) > 40, "each packet carries another part of the prompt"
    assert {s.destination for s in call.sent} == {CUSTOMER, AGENT}, "the agent waits with a tone"


def test_what_is_kept_is_what_came_after_the_prompt_and_its_playout() -> None:
    call = Script()
    call.open()
    call.do(p.Bridge("c", True))
    call.do(p.Play("c", "caller", "k", PROMPT))
    call.talk(1000)
    [finished] = call.happened(p.PromptFinished)
    call.tap(finished.proof)
    call.talk(2000)
    call.do(p.CloseTap("c", "t", "ended"))
    [closed], [opened] = call.happened(p.TapClosed), call.happened(p.TapOpened)
    journal = call.journal()
    arrivals = [packet[5] for packet in journal.packets]
    assert opened.kept_from_ns == finished.ended_ns + 200 * MS
    assert min(arrivals) > opened.kept_from_ns
    assert max(arrivals) == call.now - 20 * MS
    assert closed.packets == [len(arrivals) // 2] * 2
    assert (closed.first_ns, closed.last_ns) == (min(arrivals), max(arrivals))
    assert {(c, payload[8:9]) for c, *_, payload in journal.packets} == {(0, b"c"), (1, b"a")}
    assert journal.header["header"] == {"class": "quality"}
    assert journal.header["purposes"] == ["coaching"]
    assert journal.records[-1][0] == 5
    assert journal.records[-1][1][8:] == b"ended"


def test_the_envelope_gives_the_key_to_the_purpose_s_recipient_only() -> None:
    call = Script()
    call.recorded()
    call.do(p.CloseTap("c", "t", "ended"))
    data = call.engine.journals()["t"]
    wrapped = open_journal(data, call.engine.keys()["t"]).envelope["wrapped"]
    key = pyrage.decrypt(base64.b64decode(wrapped["coaching"]), [IDENTITY])
    assert key == call.engine.keys()["t"]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(base64.b64decode(wrapped["coaching"]), [pyrage.x25519.Identity.generate()])


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("use-not-told", {"use": "listen"}),
    ("purpose-not-told", {"purposes": ["coaching", "assessment"]}),
    ("no-purpose", {"purposes": []}),
    ("not-told", {"proofs": []}),
    ("not-told", {"proofs": ["0123-4567"]}),
    ("not-told", {"proofs": ["already-informed"]}),
    ("no-recipients", {"recipients": {}}),
    ("no-recipients", {"recipients": {"coaching": []}}),
    ("no-recipients", {"recipients": {"coaching": ["age1nonsense"]}}),
    ("bad-id", {"tap": "../../etc/passwd"}),
]


@pytest.mark.parametrize(("reason", "changes"), REFUSED)
def test_the_gate_says_no(reason: str, changes: dict[str, Any]) -> None:
    call = Script()
    call.open()
    call.tap(call.tell(), **changes)
    assert [e.reason for e in call.happened(p.TapRefused)] == [reason]
    assert call.engine.journals() == {}


def test_a_prompt_that_names_recording_only_opens_no_listening_tap() -> None:
    call = Script()
    call.open()
    proof = call.tell()
    call.tap(proof, use="listen")
    assert [e.reason for e in call.happened(p.TapRefused)] == ["use-not-told"]
    call.tap(proof, tap="r")
    assert [e.tap for e in call.happened(p.TapOpened)] == ["r"]


def test_every_outside_leg_must_be_told() -> None:
    call = Script()
    call.open()
    call.do(p.CloseLeg("c", "callee"), p.OpenLeg("c", "callee", outside=True, channel=1))
    call.tap(call.tell())
    assert [e.reason for e in call.happened(p.TapRefused)] == ["not-told"]


def test_the_documented_ground_of_a_line_opens_without_a_prompt() -> None:
    call = Script()
    ground = {"document": "terms-2026", "uses": ["record"], "purposes": ["coaching"]}
    call.do(p.LoadLine("main", [], ground))
    call.open()
    call.tap("already-informed")
    call.tap("already-informed", tap="t2", use="listen")
    call.tap("already-informed", tap="t3", purposes=["assessment"])
    assert [e.tap for e in call.happened(p.TapOpened)] == ["t"]
    assert [e.reason for e in call.happened(p.TapRefused)] == ["use-not-told", "purpose-not-told"]


@pytest.mark.parametrize("end", ["stop", "hang-up", "void", "icmp"])
def test_a_prompt_not_heard_to_its_end_is_no_proof(end: str) -> None:
    call = Script()
    call.open()
    call.do(p.Play("c", "caller", "k", PROMPT))
    call.wait(960)
    match end:
        case "stop":
            call.do(p.StopPlay("c", "caller"))
        case "hang-up":
            call.do(p.CloseLeg("c", "caller"))
        case "void":
            call.do(p.VoidProofs("c", None, "new-party"))
        case _:
            call.engine.icmp_refused(call.ports["caller"], CUSTOMER, call.now)
    call.wait(500)
    assert call.happened(p.PromptFinished) == []
    [failed] = call.happened(p.PromptFailed)
    assert failed.reason == {"stop": "stopped", "hang-up": "hung-up", "void": "voided", "icmp": "icmp"}[end]


def test_a_refusal_just_after_the_prompt_voids_its_proof() -> None:
    call = Script()
    call.open()
    proof = call.tell()
    call.engine.icmp_refused(call.ports["caller"], CUSTOMER, call.now + 10 * MS)
    call.now += 10 * MS
    call.tap(proof)
    assert [e.reason for e in call.happened(p.TapRefused)] == ["proof-void"]


def test_a_prompt_that_began_towards_another_address_begins_again() -> None:
    call = Script()
    call.open()
    call.do(p.Play("c", "caller", "k", PROMPT))
    call.wait(500)
    call.packet("caller", rtp(1), ("198.51.100.9", 1234))
    call.wait(900)
    assert call.happened(p.PromptFinished) == []
    call.wait(100)
    assert call.happened(p.PromptFinished)[0].packets == 50
    assert call.sent[-1].destination in {("198.51.100.9", 1234), AGENT}


def test_a_source_the_dialog_did_not_announce_voids_the_proof_and_closes_the_tap() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    call.do(p.SetRemote("c", "caller", *CUSTOMER, 40001, TYPES, 8))
    call.talk(400)
    assert call.happened(p.TapClosed) == [], "the announced address is the customer"
    call.do(p.SetRemote("c", "caller", *CUSTOMER, 40001, TYPES, 8))
    call.packet("caller", rtp(900), ("198.51.100.9", 1234))
    assert [e.reason for e in call.happened(p.TapClosed)] == ["proof-void"]


def test_hold_rests_the_proof_and_leaves_a_gap() -> None:
    call = Script()
    proof = call.recorded()
    call.talk(1000)
    held = call.now
    call.do(p.Hold("c", True))
    call.talk(1000)
    call.tap(proof, tap="t2")
    assert [e.reason for e in call.happened(p.TapRefused)] == ["hold"]
    resumed = call.now
    call.do(p.Hold("c", False))
    call.talk(1000)
    call.do(p.CloseTap("c", "t", "ended"))
    arrivals = [packet[5] for packet in call.journal().packets]
    assert not [a for a in arrivals if held - 200 * MS < a <= resumed], "nor what hold found still held back"
    assert [a for a in arrivals if a > resumed]
    begun, ended = call.journal().gaps
    assert begun == (1, ended[1], 0)
    assert ended[2] == resumed
    assert held - 200 * MS <= ended[1] <= held


def test_without_a_lease_nothing_is_kept_and_nothing_opens() -> None:
    call = Script()
    proof = call.recorded()
    call.talk(500)
    last_lease = call.now
    call.wait(3000, leased=False)
    call.packet("caller", rtp(900))
    call.tap(proof, tap="t2")
    assert [(e.on, e.reason, e.at_ns) for e in call.happened(p.TapPaused)] == [
        (True, "lease", last_lease + 3 * SECOND)
    ]
    assert [e.reason for e in call.happened(p.TapRefused)] == ["no-lease"]
    call.do(p.Lease())
    call.talk(500)
    call.do(p.CloseTap("c", "t", "ended"))
    assert [gap[0] for gap in call.journal().gaps] == [2, 2]
    assert all(packet[2] != 900 for packet in call.journal().packets)


def test_a_new_party_closes_the_tap_without_what_was_held_back() -> None:
    call = Script()
    proof = call.recorded()
    call.talk(1000)
    call.do(p.VoidProofs("c", "caller", "transfer"))
    [closed] = call.happened(p.TapClosed)
    assert (closed.reason, max(packet[5] for packet in call.journal().packets)) == (
        "transfer",
        closed.last_ns,
    )
    assert closed.last_ns <= call.now - 200 * MS
    call.tap(proof, tap="t2")
    assert [e.reason for e in call.happened(p.TapRefused)] == ["proof-void"]


def test_private_closes_without_the_last_fifth_of_a_second() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    call.do(p.CloseTap("c", "t", "private", keep_held_back=False))
    assert call.happened(p.TapClosed)[0].last_ns <= call.now - 200 * MS


def test_key_presses_are_reported_once_passed_on_and_never_kept() -> None:
    call = Script()
    call.recorded()
    call.sent.clear()
    for end in (0x0A, 0x8A, 0x8A, 0x8A):
        call.packet("caller", rtp(1, bytes([9, end, 1, 64]), pt=101, ts=5))
        call.wait(20)
    call.wait(1000)
    call.do(p.CloseTap("c", "t", "ended"))
    assert [e.digit for e in call.happened(p.Digit)] == ["9"]
    assert len([s for s in call.sent if s.destination == AGENT]) == 4
    assert call.journal().packets == []


def test_a_cut_is_written_and_covers_what_is_still_to_come() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    start, end = call.now - 100 * MS, call.now + 300 * MS
    call.do(p.Cut("c", "t", start, end))
    call.talk(1000)
    call.do(p.CloseTap("c", "t", "ended"))
    arrivals = [packet[5] for packet in call.journal().packets]
    assert not [a for a in arrivals if start <= a <= end]
    assert [kind for kind, _ in call.journal().records].count(3) == 1


def test_what_the_kernel_got_before_the_tap_resumed_is_not_kept_though_read_later() -> None:
    call = Script()
    call.recorded()
    call.do(p.Hold("c", True))
    call.wait(100)
    call.do(p.Hold("c", False))
    call.engine.packet_read_late(call.ports["caller"], CUSTOMER, rtp(1), call.now - 50 * MS)
    call.talk(500)
    call.do(p.CloseTap("c", "t", "ended"))
    assert all(packet[6] != b"\xd5" * 160 for packet in call.journal().packets)


def test_a_full_disk_costs_the_recording_not_the_call() -> None:
    call = Script()
    call.recorded()
    call.engine.set_disk("full")
    call.talk(1000)
    assert [e.reason for e in call.happened(p.TapFailed)] == ["disk-full"]
    call.sent.clear()
    call.talk(100)
    assert len(call.sent) == 10


def test_a_stalled_disk_is_a_gap_and_after_five_seconds_a_failure() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    call.engine.set_disk("stalled")
    call.talk(2000)
    call.engine.set_disk("works")
    call.talk(1000)
    call.do(p.Stats())
    assert call.happened(p.StatsReport)[0].counters["overruns"] > 0
    [(state, begun, ended)] = {gap for gap in call.journal().gaps if gap[0] == 4}
    assert state == 4
    assert ended - begun > SECOND
    call.engine.set_disk("stalled")
    call.talk(7000)
    assert [e.reason for e in call.happened(p.TapFailed)] == ["overrun"]


def test_commands_repeated_change_nothing() -> None:
    call = Script()
    proof = call.recorded()
    call.do(
        p.OpenCall("c", "main"),
        p.OpenLeg("c", "caller", outside=True, channel=0),
        p.Play("c", "caller", "k", PROMPT),
    )
    call.tap(proof)
    call.do(p.CloseTap("c", "t", "ended"), p.CloseTap("c", "t", "ended"))
    call.tap(proof)
    call.wait(1500)
    assert (
        len(call.happened(p.TapOpened))
        == len(call.happened(p.TapClosed))
        == len(call.happened(p.PromptFinished))
        == 1
    )
    assert len({(e.leg, e.port) for e in call.happened(p.LegOpened)}) == 2
    assert [e.reason for e in call.happened(p.TapRefused)] == ["closed"]
    assert call.happened(p.CommandFailed) == []


def test_bad_commands_are_answered_without_their_values() -> None:
    call = Script()
    for message in (
        "{",
        '{"do":"dance"}',
        '{"do":"hold","call":"c"}',
        '{"do":"hold","call":"c","on":"192.0.2.1"}',
    ):
        call.engine.raw_command(message, call.now)
    call.do(
        p.Hold("nobody", True), p.OpenCall("c", "main"), p.SetRemote("c", "caller", "192.0.2.1", 1, 2, {}, 8)
    )
    failures = call.happened(p.CommandFailed)
    assert len(failures) == 6
    assert failures[-2].reason == "unknown-call"
    assert not any("192.0.2.1" in f.reason for f in failures)


def test_taken_ports_are_passed_over_and_none_left_is_said() -> None:
    call = Script()
    for port in range(30000, 30096, 2):
        call.engine.take_port(port)
    call.open()
    assert sorted(call.ports.values()) == [30096, 30098]
    call.do(p.OpenCall("d", "main"), p.OpenLeg("d", "caller", outside=True, channel=0))
    [failed] = call.happened(p.CommandFailed)
    assert (failed.call, failed.leg, failed.reason) == ("d", "caller", "no-port")


def test_silence_from_a_leg_is_said_once() -> None:
    call = Script()
    call.open()
    call.do(p.Bridge("c", True))
    call.wait(70_000)
    assert [e.leg for e in call.happened(p.MediaTimeout)] == ["caller", "callee"]


def test_a_call_closes_after_its_journals() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    call.do(p.CloseCall("c"))
    kinds = [type(e) for e in call.events[-4:]]
    assert kinds.index(p.CallClosed) == 3
    assert p.TapClosed in kinds


def test_the_server_s_death_closes_taps_without_what_was_held_back() -> None:
    call = Script()
    call.recorded()
    call.talk(1000)
    call.engine.abandon()
    call.wait(0)
    [closed] = call.happened(p.TapClosed)
    assert closed.reason == "control-lost"
    assert closed.last_ns <= call.now - 200 * MS


def test_rtcp_goes_along_when_the_legs_are_connected() -> None:
    call = Script()
    call.open()
    report = bytes([0x80, 201, 0, 1, 0, 0, 0, 1])
    call.engine.packet(call.ports["caller"] + 1, (CUSTOMER[0], 40001), report, call.now)
    call.do(p.Bridge("c", True))
    call.sent.clear()
    call.engine.packet(call.ports["caller"] + 1, (CUSTOMER[0], 40001), report, call.now)
    call.engine.packet(call.ports["caller"] + 1, ("203.0.113.66", 40001), report, call.now)
    call.engine.packet(call.ports["caller"] + 1, (CUSTOMER[0], 40001), b"noise", call.now)
    call.wait(0)
    assert [(s.from_port, s.destination, s.data) for s in call.sent] == [
        (call.ports["callee"] + 1, (AGENT[0], 50001), report)
    ]


def test_the_same_seed_gives_the_same_run() -> None:
    def run(seed: int) -> tuple[list[p.Event], list[Any]]:
        call = Script(seed)
        call.recorded()
        call.talk(500)
        return call.events, call.sent

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_recipients_of_other_purposes_get_no_key() -> None:
    call = Script()
    call.open()
    call.tap(call.tell(), recipients={"coaching": [RECIPIENT], "assessment": [RECIPIENT]})
    assert set(call.journal().envelope["wrapped"]) == {"coaching"}
