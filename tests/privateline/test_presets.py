"""What an agent set beforehand: whose it is, how long it holds, what uses it up."""

from datetime import UTC, datetime, timedelta

import pytest

from qm_sip.call.words import ClearPreset, SetPreset
from qm_sip.policy.facts import PersonId
from qm_sip.privateline.presets import PresetMode, Presets

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNTIL = NOW + timedelta(days=1)
JAN, PIET = PersonId("jan"), PersonId("piet")


def test_the_next_call_is_private_and_the_one_after_it_is_not() -> None:
    presets = Presets()
    assert presets.set(JAN, "204", PresetMode.NEXT_CALL, UNTIL) == SetPreset(JAN, "204", "next-call", UNTIL)
    taken, words = presets.take(JAN, "204", NOW)
    assert taken is not None
    assert words == [ClearPreset(JAN, "204")]
    assert presets.take(JAN, "204", NOW) == (None, [])


def test_until_off_holds_for_every_call_until_it_is_taken_back() -> None:
    presets = Presets()
    presets.set(JAN, "204", PresetMode.UNTIL_OFF, UNTIL)
    for _ in range(3):
        taken, words = presets.take(JAN, "204", NOW)
        assert taken is not None
        assert words == []
    assert presets.clear(JAN, "204") == [ClearPreset(JAN, "204")]
    assert presets.clear(JAN, "204") == []
    assert presets.active(JAN, "204", NOW) is None


def test_a_person_takes_it_along_and_leaves_it_to_nobody_at_his_desk() -> None:
    presets = Presets()
    presets.set(JAN, "204", PresetMode.UNTIL_OFF, UNTIL)
    assert presets.active(JAN, "207", NOW) is not None
    assert presets.active(PIET, "204", NOW) is None
    assert presets.active(None, "204", NOW) is None


def test_where_nobody_is_known_it_is_the_phones() -> None:
    presets = Presets()
    presets.set(None, "204", PresetMode.NEXT_CALL, UNTIL)
    assert presets.active(None, "207", NOW) is None
    taken, words = presets.take(JAN, "204", NOW)  # he has logged in since
    assert taken is not None
    assert words == [ClearPreset(None, "204")]


def test_it_ends_by_itself() -> None:
    presets = Presets()
    presets.set(JAN, None, PresetMode.UNTIL_OFF, UNTIL)
    assert presets.active(JAN, None, UNTIL - timedelta(seconds=1)) is not None
    assert presets.active(JAN, None, UNTIL) is None
    assert presets.expire(UNTIL - timedelta(seconds=1)) == []
    assert presets.expire(UNTIL) == [ClearPreset(JAN, None)]
    assert len(presets) == 0


def test_it_comes_back_after_a_restart_as_it_was() -> None:
    before = Presets()
    before.set(JAN, "204", PresetMode.UNTIL_OFF, UNTIL)
    before.set(None, "205", PresetMode.NEXT_CALL, UNTIL)
    assert list(Presets(before)) == list(before)


def test_a_preset_of_nobody_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="person or of a phone"):
        Presets().set(None, None, PresetMode.NEXT_CALL, UNTIL)
