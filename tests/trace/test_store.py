"""The store is bounded, in time and in bytes, and what was dropped is not there any more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.events import Address
from qm_sip.trace.store import ATTEMPTS, FIRST, LAST, OVERHEAD, Line, Store, Trace

PEER, US = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)


def add(trace: Trace, at: float, size: int = 1000) -> None:
    trace.add(Line(trace.count + 1, at, "caller", True, bytes(size), PEER, US))


def test_a_call_goes_so_long_after_its_last_message() -> None:
    store = Store(100.0, 1 << 30)
    trace = store.call("a", 0.0)
    add(trace, 0.0)
    add(trace, 50.0)
    store.name("id", trace)
    store.trim(149.0)
    assert store.calls
    store.trim(151.0)
    assert not store.calls and store.named("id") is None and trace.dropped and not list(trace)


def test_when_there_is_too_much_the_call_longest_silent_goes_first() -> None:
    store = Store(1000.0, 3 * (1000 + OVERHEAD))
    for number in range(4):
        add(store.call(str(number), 0.0), float(number))
    add(store.calls["0"], 10.0, size=0)
    store.trim(11.0)
    assert "0" in store.calls and "1" not in store.calls
    assert store.pushed_out == 2 and store.bytes <= store.keep_bytes


def test_of_an_endless_call_its_beginning_and_its_end_are_kept() -> None:
    trace = Trace("a", 0.0)
    for number in range(10_000):
        add(trace, float(number))
    numbers = [line.number for line in trace]
    assert numbers == [*range(1, FIRST + 1), *range(10_001 - LAST, 10_001)]
    assert trace.left_out == 10_000 - FIRST - LAST
    assert trace.bytes == (FIRST + LAST) * (1000 + OVERHEAD)


def test_attempts_are_few() -> None:
    store = Store(1000.0, 1 << 30)
    for number in range(3 * ATTEMPTS):
        trace = store.attempt(str(number), 0.0)
        store.name(str(number), trace)
    assert list(store.attempts) == [str(number) for number in range(2 * ATTEMPTS, 3 * ATTEMPTS)]
    assert len(store._by_call_id) == ATTEMPTS


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 70_000), st.floats(0, 50)), max_size=300),
    st.integers(1000, 500_000),
)
@settings(max_examples=60, deadline=None)
def test_never_more_than_its_room_and_its_sums_are_right(
    adding: list[tuple[int, int, float]], room: int
) -> None:
    store, now = Store(100.0, room), 0.0
    for name, size, later in adding:
        now += later
        trace = store.call(str(name), now)
        add(trace, now, size)
        store.name(f"id-{name}", trace)
        store.trim(now)
        assert store.bytes <= room
        assert all(one.last >= now - 100.0 for one in store.calls.values())
        for one in store.calls.values():
            assert one.bytes == sum(OVERHEAD + len(line.data or b"") for line in one)
        assert set(store._by_call_id) == {f"id-{id}" for id in store.calls}
