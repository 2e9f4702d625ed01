"""What is due, on both sides of every boundary."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.recorder.retention import Clock, EndedCall, Kept, due, forgettable, schedule

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def coaching(**changes: datetime) -> Clock:
    return Clock("coaching", T0 + 60 * DAY, select_by=T0 + 14 * DAY, **changes)


def rules(kept: Kept, now: datetime) -> list[tuple[str, str]]:
    return [(one.purpose, one.rule) for one in due([kept], now)]


@pytest.mark.parametrize(
    ("clock", "at", "rule"),
    [
        (coaching(), T0 + 14 * DAY, "not-selected"),
        (coaching(selected=T0 + 3 * DAY), T0 + 60 * DAY, "destroy-by"),
        (coaching(selected=T0 + 15 * DAY), T0 + 14 * DAY, "not-selected"),  # too late is not selected
        (Clock("assessment", T0 + 60 * DAY, evaluate_by=T0 + 28 * DAY), T0 + 28 * DAY, "not-evaluated"),
        (Clock("assessment", T0 + 60 * DAY, evaluate_by=T0 + 28 * DAY, evaluated=T0 + DAY), T0 + DAY, "evaluated"),
        (Clock("legal_duty", T0 + 1826 * DAY), T0 + 1826 * DAY, "destroy-by"),
    ],
)  # fmt: skip
def test_each_clock_strikes_at_its_second_and_not_before(clock: Clock, at: datetime, rule: str) -> None:
    kept = Kept("r", (clock,))
    assert rules(kept, at - SECOND) == []
    assert rules(kept, at) == [(clock.purpose, rule)]


def test_a_purpose_ends_alone_and_the_recording_with_its_last() -> None:
    kept = Kept("r", (Clock("complaint", T0 + 90 * DAY), coaching()))
    assert [(one.purpose, one.last) for one in schedule([kept])] == [("coaching", False), ("complaint", True)]
    assert rules(kept, T0 + 20 * DAY) == [("coaching", "not-selected")]
    assert len(rules(kept, T0 + 90 * DAY)) == 2


def test_only_a_hold_puts_it_off_and_only_until_it_ends() -> None:
    held = Kept("r", (coaching(),), held_until=T0 + 100 * DAY)
    assert rules(held, T0 + 100 * DAY - SECOND) == []
    assert rules(held, T0 + 100 * DAY) == [("coaching", "not-selected")]
    assert schedule([held])[0].held
    ended_before = Kept("r", (coaching(),), held_until=T0 + 2 * DAY)
    assert rules(ended_before, T0 + 14 * DAY) == [("coaching", "not-selected")]
    assert rules(Kept("r", (coaching(),), restricted=True), T0 + 14 * DAY) == [("coaching", "not-selected")]


times = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
maybe = st.none() | times
clocks = st.builds(Clock, st.sampled_from(["a", "b", "c"]), times, maybe, maybe, maybe, maybe)
keeps = st.builds(
    Kept,
    st.just("r"),
    st.lists(clocks, min_size=1, max_size=3, unique_by=lambda c: c.purpose).map(tuple),
    maybe,
)


@given(keeps, times)
def test_nothing_outlives_its_ceiling_without_a_hold_and_one_is_always_last(
    kept: Kept, now: datetime
) -> None:
    plan = schedule([kept])
    assert {one.purpose for one in plan} == {clock.purpose for clock in kept.clocks}
    assert [one.last for one in plan].count(True) == 1
    assert plan[-1].last or plan[-1].at == next(one.at for one in plan if one.last)
    ceilings = {clock.purpose: clock.destroy_by for clock in kept.clocks}
    for one in plan:
        assert one.at <= ceilings[one.purpose] or (one.held and one.at == kept.held_until)
    assert {one.purpose for one in due([kept], now)} == {one.purpose for one in plan if one.at <= now}


def test_who_took_part_goes_with_the_last_recording_or_after_its_own_time() -> None:
    def keep(started: datetime) -> datetime:
        return started + 60 * DAY

    calls = [
        EndedCall("never-recorded", T0, living=0, outlived=False),
        EndedCall("recording-lives", T0, living=1, outlived=True),
        EndedCall("recording-outlived", T0, living=0, outlived=True),
    ]
    assert forgettable(calls, T0 + 15 * DAY, keep) == ["recording-outlived"]
    assert forgettable(calls, T0 + 60 * DAY - SECOND, keep) == ["recording-outlived"]
    assert forgettable(calls, T0 + 60 * DAY, keep) == ["never-recorded", "recording-outlived"]
    assert "recording-lives" not in forgettable(calls, T0 + 2000 * DAY, keep)
