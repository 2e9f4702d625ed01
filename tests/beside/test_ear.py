"""What Asterisk tells, and what becomes of the calls it is about: never more is kept than before it spoke."""

from __future__ import annotations

import random

import pytest

from qm_sip.asterisk.ear import Ear
from qm_sip.asterisk.manager import Around, Told
from qm_sip.asterisk.message import Message
from qm_sip.call import reasons
from qm_sip.call.pbx import SOON
from qm_sip.call.words import CountConfidential, NotePrivate, OpenRecording
from qm_sip.media import protocol
from qm_sip.policy.facts import LineKind, SpanState
from qm_sip.sip.sdp import Direction
from tests.beside.streams import enters, event, leaves, on
from tests.call.test_journeys import kept, states
from tests.call.test_private import end
from tests.call.test_transfer import AGENT, COUNCIL, CUSTOMER, SECOND, agents, talking
from tests.call.world import World


class Beside:
    """A world's call as Asterisk sees it: the front bridge with the customer, the back one with the agent."""

    def __init__(self, seed: int = 1, *, refer: str = "refuse") -> None:
        self.world = World(seed, refer=refer)
        self.ear = Ear(self.world.switchboard)
        self.customer, self.agent = talking(self.world)
        (self.call,) = self.world.switchboard
        self.front, self.back = (self.call_id(leg) for leg in ("caller", "callee"))

    def call_id(self, leg: str) -> str:
        dialog = self.world.ua.dialog(self.call.legs[leg])  # type: ignore[index]
        assert dialog is not None
        return dialog.call_id

    def tell(self, *messages: Message, late: bool = False) -> None:
        for message in messages:
            self.ear.hear(Told(message, late), self.world.now)

    def connected(self) -> list[Message]:
        return [
            enters("F", "PJSIP/trunk-1", "1.2", number=CUSTOMER),
            enters("F", "PJSIP/qm-sip-1", "1.1", leg=self.front),
            enters("B", "PJSIP/1001-1", "1.4", number=AGENT, parent=self.back),
            enters("B", "PJSIP/qm-sip-2", "1.3", leg=self.back),
        ]

    def moved(self, number: str, id: str = "1.9") -> list[Message]:
        """Another phone takes the agent's place in the bridge."""
        return [
            leaves("B", "PJSIP/1001-1", "1.4"),
            enters("B", f"PJSIP/{number}-9", id, number=number, parent=self.back),
        ]

    def finish(self) -> list[float]:
        """The call ends; when each packet that was kept had come."""
        end(self.world)
        return [at for _, at in kept(self.world)]


def test_what_sip_has_said_already_changes_nothing() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(*beside.connected())
    beside.world.run(1.0)
    beside.finish()
    assert agents(beside.world) == ["a1"]
    assert states(beside.world).count(SpanState.RECORDED) == 1


def test_another_agent_in_the_bridge_is_recorded_anew_though_sip_never_says_so() -> None:
    """`send_pai=no`, or a colleague whose caller id is withheld from us."""
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(*beside.moved(SECOND))
    beside.world.run(2.0)
    beside.finish()
    assert agents(beside.world) == ["a1", "a2"]


@pytest.mark.parametrize("sip_first", [True, False])
def test_sip_and_asterisk_say_the_same_in_either_order_and_it_is_one_change(sip_first: bool) -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(leaves("B", "PJSIP/1001-1", "1.4"))
    if sip_first:
        beside.world.becomes(beside.agent, SECOND)
        beside.world.run(0.05)
    beside.tell(*beside.moved(SECOND))
    if not sip_first:
        beside.world.run(0.05)
        beside.world.becomes(beside.agent, SECOND)
    beside.world.run(2.0)
    beside.finish()
    assert agents(beside.world) == ["a1", "a2"]


def test_what_was_held_back_when_somebody_else_came_is_dropped() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(*beside.moved("0687654321"))
    when = beside.world.now
    beside.world.run(2.0)
    arrivals = beside.finish()
    assert arrivals and max(arrivals) <= when - 0.15
    assert agents(beside.world) == ["a1"]


def test_the_works_council_in_the_bridge_makes_it_a_call_of_which_nothing_is_said() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(*beside.moved(COUNCIL))
    assert beside.call.unsaid and not beside.call.in_engine
    assert len(beside.world.keeper.said(CountConfidential)) == 1


def test_another_on_the_customers_leg_has_not_been_told() -> None:
    """A transfer by a code on the front: our leg is moved into a consultation."""
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(leaves("F", "PJSIP/qm-sip-1", "1.1", leg=beside.front))
    beside.tell(enters("G", "PJSIP/1002-1", "1.7", number=SECOND))
    beside.tell(enters("G", "PJSIP/qm-sip-1", "1.1", leg=beside.front))
    when = beside.world.now
    beside.world.run(2.0)
    arrivals = beside.finish()
    assert max(arrivals) <= when
    assert reasons.NEW_PARTY_NOT_TOLD in beside.world.outcomes()[0].reasons


def resting(beside: Beside, begins: list[Message], ends: list[Message]) -> None:
    """Nothing is kept between the two, and before and after it is."""
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    began = beside.world.now
    beside.tell(*begins)
    beside.world.run(2.0)
    over = beside.world.now
    beside.tell(*ends)
    beside.world.run(2.0)
    arrivals = beside.finish()
    assert not [at for at in arrivals if began < at < over]
    assert [at for at in arrivals if at < began - 0.5] and [at for at in arrivals if at > over + 0.5]
    assert SpanState.PAUSE in states(beside.world)


def test_a_third_in_the_bridge_nothing_is_kept_while_he_is_there() -> None:
    third = enters("B", "PJSIP/1003-1", "1.8", number="1003"), leaves("B", "PJSIP/1003-1", "1.8")
    resting(Beside(), [third[0]], [third[1]])


def test_two_calls_in_the_agents_phone_nothing_is_kept_while_neither_is_held() -> None:
    begins = [
        enters("X", "PJSIP/1001-2", "2.1", number=AGENT),
        enters("X", "PJSIP/1003-2", "2.2", number="1003"),
    ]
    resting(Beside(), begins, [event("Hangup", **on("PJSIP/1001-2", "2.1", number=AGENT))])


def test_a_hold_that_asterisk_keeps_to_itself() -> None:
    fields = on("PJSIP/1001-1", "1.4", number=AGENT)
    resting(Beside(), [event("Hold", **fields)], [event("Unhold", **fields)])


def test_nobody_in_the_bridge_as_while_it_rings_elsewhere() -> None:
    beside = Beside()
    resting(beside, [leaves("B", "PJSIP/1001-1", "1.4")], [beside.connected()[2]])


def test_a_pause_by_key_in_a_rest_and_the_other_way_round_both_have_to_end() -> None:
    for key_first in (True, False):
        for key_ends_first in (True, False):
            beside = Beside()
            world = beside.world
            fields = on("PJSIP/1001-1", "1.4", number=AGENT)
            beside.tell(*beside.connected())
            world.run(2.0)
            began = world.now
            _one_of(beside, fields, key_first, "Hold")
            _one_of(beside, fields, not key_first, "Hold")
            world.run(1.0)
            _one_of(beside, fields, key_ends_first, "Unhold")
            world.run(1.0)
            over = world.now
            _one_of(beside, fields, not key_ends_first, "Unhold")
            world.run(2.0)
            arrivals = beside.finish()
            assert not [at for at in arrivals if began + 0.2 < at < over], (key_first, key_ends_first)
            assert [at for at in arrivals if at > over + 0.5], (key_first, key_ends_first)


def _one_of(beside: Beside, fields: dict[str, str], key: bool, what: str) -> None:
    if key:
        beside.world.press(beside.agent, "*2")
        beside.world.run(0.2)
    else:
        beside.tell(event(what, **fields))


def test_a_conference_with_the_works_council_that_lasts_ends_it_for_good() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.tell(enters("B", "PJSIP/1900-1", "1.8", number=COUNCIL))
    beside.world.run(SOON / 2)
    assert not beside.call.unsaid
    beside.world.run(SOON)
    assert beside.call.unsaid


@pytest.mark.parametrize("lasts", [0.0, 0.05])
def test_what_lasts_some_milliseconds_costs_nothing(lasts: float) -> None:
    """The last words of a call: Asterisk takes our leg out of its bridge before it says BYE."""
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(leaves("B", "PJSIP/1001-1", "1.4"))
    beside.world.run(lasts)
    when = beside.world.now
    arrivals = beside.finish()
    assert SpanState.PAUSE not in states(beside.world)
    assert max(arrivals) > when - 0.05


def test_who_was_with_a_leg_that_has_been_replaced_says_nothing_of_the_next() -> None:
    """A transfer that we carry out ourselves, while Asterisk told of a conference at the first agent's phone."""
    beside = Beside(refer="here")
    beside.tell(*beside.connected())
    beside.tell(enters("B", "PJSIP/1003-1", "1.8", number="1003"))
    beside.world.run(1.0)
    assert beside.call.pausing._rests
    beside.world.refer(beside.agent, SECOND)
    beside.world.run(2.0)
    assert not beside.call.pausing._rests
    beside.world.run(1.0)
    beside.finish()
    assert agents(beside.world) == ["a1", "a2"]


# --------------------------------------------------------------------------- late, lost, away


def test_late_word_of_another_is_of_nobody_we_know() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    beside.tell(*beside.moved(SECOND), late=True)
    beside.world.run(2.0)
    beside.finish()
    assert agents(beside.world) == ["a1"]  # recorded as nobody else's


def test_late_word_of_what_was_before_does_not_bring_the_first_agent_back() -> None:
    """He was put through, SIP said so; then what Asterisk told of the beginning arrives."""
    beside = Beside()
    beside.world.becomes(beside.agent, SECOND)
    beside.world.run(2.0)
    beside.tell(*beside.connected(), late=True)
    beside.world.run(2.0)
    beside.finish()
    assert agents(beside.world) == ["a1", "a2"]


def test_a_look_around_after_a_loss_finds_who_is_there_now() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(2.0)
    now = [
        *beside.connected()[:2],
        enters("B", "PJSIP/1002-9", "1.9", number=SECOND),
        beside.connected()[3],
    ]
    beside.ear.hear(Around(tuple(_listed(message) for message in now)), beside.world.now)
    beside.world.run(2.0)
    beside.finish()
    assert agents(beside.world) == ["a1", "a2"]


def _listed(message: Message) -> Message:
    return Message((*message.fields, ("BridgeId", message.get("BridgeUniqueid"))))


def test_while_the_pbx_is_away_nothing_is_kept_if_that_is_wished() -> None:
    beside = Beside()
    beside.world.run(2.0)
    began = beside.world.now
    beside.call.pbx.away(True, began)
    beside.world.run(2.0)
    over = beside.world.now
    beside.call.pbx.away(False, over)
    beside.world.run(2.0)
    arrivals = beside.finish()
    assert not [at for at in arrivals if began < at < over]
    assert [at for at in arrivals if at > over + 0.5]


def test_it_is_away_before_the_call_begins_and_comes_back_in_it() -> None:
    world = World(3)
    world.switchboard.on_call = lambda call, now: call.pbx.away(True, now)
    talking(world)
    (call,) = world.switchboard
    assert not world.engine.asked(protocol.OpenTap)
    over = world.now
    call.pbx.away(False, over)
    world.run(2.0)
    end(world)
    arrivals = [at for _, at in kept(world)]
    assert arrivals and min(arrivals) >= over
    assert len(world.engine.asked(protocol.OpenTap)) == 1


# --------------------------------------------------------------------------- the toggle


def pressed(leg: str, id: str = "1.4", name: str = "PJSIP/1001-1") -> Message:
    return event("UserEvent", UserEvent="QMPrivate", Leg=leg, **on(name, id, number=AGENT))


@pytest.mark.parametrize("named", [True, False])
def test_the_agents_toggle_makes_his_call_private(named: bool) -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.world.run(15.0)
    when = beside.world.now
    beside.tell(pressed(beside.back if named else ""))
    beside.tell(pressed(beside.back))
    beside.world.run(2.0)
    assert beside.call.private.on and beside.call.facts.kind is LineKind.PRIVATE
    assert beside.ear.counts["toggles_ignored"] == 0
    arrivals = beside.finish()
    assert max(arrivals) < when - 9.5
    assert beside.world.keeper.said(NotePrivate)


def test_a_late_toggle_is_obeyed() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.tell(pressed(beside.back), late=True)
    beside.world.run(0.5)
    assert beside.call.private.on


def test_a_toggle_from_anywhere_else_moves_nothing_and_is_counted() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.tell(enters("Z", "PJSIP/1003-1", "9.1", number="1003"))
    forged = [
        event("UserEvent", UserEvent="QMPrivate", Leg=beside.back),  # by an AMI action: of no channel
        pressed(beside.back, "9.1", "PJSIP/1003-1"),  # another's phone
        pressed(beside.back, "9.9", "PJSIP/1001-9"),  # a channel nobody has heard of
        pressed(beside.back, "1.2", "PJSIP/trunk-1"),  # the customer
        pressed(beside.front, "1.2", "PJSIP/trunk-1"),
        pressed("", "1.2", "PJSIP/trunk-1"),
        pressed(beside.front),  # the agent, for another leg than his
        pressed("no-such-call"),
    ]
    beside.tell(*forged)
    beside.tell(event("UserEvent", UserEvent="Other", **on("PJSIP/1001-1", "1.4")))
    beside.world.run(0.5)
    assert not beside.call.private.on
    assert beside.ear.counts["toggles_ignored"] == len(forged)


# --------------------------------------------------------------------------- alarms


@pytest.mark.parametrize(
    "begun",
    [
        event("MixMonitorStart", **on("PJSIP/1001-1", "1.4", number=AGENT)),
        event("MixMonitorStart", **on("PJSIP/trunk-1", "1.2", number=CUSTOMER)),
        event("MixMonitorStart", **on("PJSIP/qm-sip-2", "1.3")),
    ],
)
def test_asterisk_that_records_by_itself_is_a_reason_and_a_line_in_the_log(
    begun: Message, caplog: pytest.LogCaptureFixture
) -> None:
    beside = Beside()
    beside.tell(*beside.connected(), begun, begun)
    assert "ALARM" in caplog.text and AGENT not in caplog.text and CUSTOMER not in caplog.text
    assert beside.ear.counts["recorded_by_pbx"] == 2
    beside.world.run(1.0)
    beside.finish()
    assert reasons.RECORDED_BY_PBX in beside.world.outcomes()[0].reasons


def test_a_spy_is_an_alarm_and_of_a_call_that_is_not_ours_nothing_is_said() -> None:
    beside = Beside()
    beside.tell(*beside.connected())
    beside.tell(event("ChanSpyStart", SpyeeChannel="PJSIP/other-1", SpyeeUniqueid="9.9"))
    assert not beside.ear.counts["heard_by_pbx"]
    beside.tell(event("ChanSpyStart", SpyeeChannel="PJSIP/1001-1", SpyeeUniqueid="1.4"))
    assert beside.ear.counts["heard_by_pbx"] == 1


def test_of_a_confidential_call_there_is_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    beside = Beside()
    beside.tell(*beside.connected(), *beside.moved(COUNCIL))
    caplog.clear()
    beside.tell(event("MixMonitorStart", **on("PJSIP/1900-9", "1.9", number=COUNCIL)))
    assert not caplog.text and not beside.ear.counts["recorded_by_pbx"]


# --------------------------------------------------------------------------- whatever it says


@pytest.mark.parametrize("seed", range(12))
def test_whatever_asterisk_says_no_more_is_kept_than_without_it(seed: int) -> None:
    """Any of its events in any order, twice, late: what is kept is kept for an agent whom SIP named, or Asterisk in
    time, and in no conference, hold or absence that it told of last.
    """
    rng, beside = random.Random(seed), Beside(seed)
    some: list[Message] = [
        *beside.connected(),
        *beside.moved(SECOND),
        enters("B", "PJSIP/1003-1", "1.8", number="1003"),
        leaves("B", "PJSIP/1003-1", "1.8", number="1003"),
        enters("X", "PJSIP/1001-2", "2.1", number=AGENT),
        event("Hangup", **on("PJSIP/1001-2", "2.1", number=AGENT)),
        event("Hold", **on("PJSIP/1001-1", "1.4", number=AGENT)),
        event("Unhold", **on("PJSIP/1001-1", "1.4", number=AGENT)),
        event("BridgeDestroy", BridgeUniqueid="B"),
    ]
    rests: list[tuple[float, float]] = []
    for _ in range(30):
        beside.tell(rng.choice(some), late=rng.random() < 0.3)
        rested, since = bool(beside.call.pausing._rests), beside.world.now
        if rng.random() < 0.1:
            beside.world.hold(beside.agent, rng.choice([Direction.SENDONLY, Direction.SENDRECV]))
        beside.world.run(rng.choice([0.02, 0.1, 0.5]))
        if rested:
            rests.append((since, beside.world.now))
    arrivals = beside.finish()
    assert not [at for at in arrivals for begin, over in rests if begin < at < over]
    assert set(agents(beside.world)) <= {"a1", "a2"}
    for recording in beside.world.keeper.said(OpenRecording):
        assert recording.agent is not None and recording.agent.person is not None
