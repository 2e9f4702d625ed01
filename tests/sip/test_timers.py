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
