"""A clock that leaps has nothing destroyed at once; one that goes on as it should is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qm_sip.recorder.clock import PATIENCE, STEP, Clock

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
YEAR = timedelta(days=365)


def after(seconds: float, leap: timedelta = timedelta()) -> tuple[datetime, float]:
    """Both clocks, so long after the start."""
    return START + timedelta(seconds=seconds) + leap, 50.0 + seconds


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    assert clock.leapt(*after(0)) is None
    return clock


@pytest.mark.parametrize("leap", [timedelta(), timedelta(seconds=STEP), -YEAR])
def test_an_hour_a_small_correction_and_a_step_back_are_believed(clock: Clock, leap: timedelta) -> None:
    assert clock.leapt(*after(3600, leap)) is None and clock.waits(3650.0) == 0


def test_a_leap_is_waited_for_and_then_it_is_what_the_time_is(clock: Clock) -> None:
    assert clock.leapt(*after(3600, YEAR)) == YEAR
    assert clock.waits(3650.0) == PATIENCE
    assert clock.leapt(*after(7200, YEAR)) is None and clock.waits(7250.0) == PATIENCE - 3600
    assert clock.waits(3650.0 + PATIENCE) == 0


def test_one_that_is_put_right_is_believed_at_once(clock: Clock) -> None:
    clock.leapt(*after(3600, YEAR))
    assert clock.leapt(*after(7200)) is None and clock.waits(7250.0) == 0
    assert clock.leapt(*after(10_800, YEAR)) == YEAR, "and the next leap is one again"


def test_one_that_is_half_put_right_is_not(clock: Clock) -> None:
    clock.leapt(*after(3600, YEAR))
    clock.leapt(*after(7200, YEAR / 2))
    assert clock.waits(7250.0) > 0
