"""The timer heap."""

from qm_sip.sip.timers import Timers


def test_they_ring_in_order_once_and_not_when_cancelled() -> None:
    timers, rung = Timers(), []
    timers.start(2, lambda now: rung.append("two"))
    timers.start(1, lambda now: rung.append("one"))
    gone = timers.start(1.5, lambda now: rung.append("never"))
    assert timers.next() == 1 and len(timers) == 3
    gone.cancel()
    timers.advance(1)
    assert rung == ["one"] and timers.next() == 2
    timers.advance(9)
    assert rung == ["one", "two"] and timers.next() is None and len(timers) == 0


def test_one_may_start_another_that_is_due_already() -> None:
    timers, rung = Timers(), []
    timers.start(1, lambda now: timers.start(now, rung.append))
    timers.advance(5)
    assert rung == [5]


def test_what_was_cancelled_long_before_it_is_due_does_not_pile_up() -> None:
    timers, rung = Timers(), []
    for number in range(100_000):
        timers.start(1800.0, rung.append).cancel()
        if number % 1000 == 0:
            timers.start(float(number), rung.append)
    assert len(timers) == 100 and len(timers._heap) < 2000
    timers.advance(200_000.0)
    assert len(rung) == 100 and timers.next() is None


def test_a_sweep_while_timers_ring_loses_none() -> None:
    timers, rung = Timers(), []

    def again(now: float) -> None:
        for _ in range(50):
            timers.start(now + 1e9, rung.append).cancel()
        rung.append(now)
        if len(rung) < 200:
            timers.start(0.0, again)

    timers.start(0.0, again)
    timers.advance(1e6)
    assert len(rung) == 200
