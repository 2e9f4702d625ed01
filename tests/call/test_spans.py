"""Spans: whatever happens to a call, they add up to its length, and its outcome is that of the heaviest."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.call.spans import OUTCOME, WEIGHT, Change, Span, SpanBook, add_up, heaviest, outcome, spans_of
from qm_sip.errors import BrokenInvariant
from qm_sip.policy.facts import Outcome, SpanState

S = SpanState

changes = st.lists(
    st.builds(
        Change,
        st.sampled_from(SpanState),
        st.floats(-100, 10_000, allow_nan=False),
        st.sampled_from(["a", "b", "c"]),
    ),
    min_size=1,
    max_size=30,
)


@given(changes, st.floats(-200, 20_000, allow_nan=False))
def test_spans_add_up_to_the_millisecond(history: list[Change], until: float) -> None:
    spans = spans_of(history, until)
    assert add_up(spans)
    assert sum(span.length_ms for span in spans) == spans[-1].to_ms
    assert spans[-1].to_ms == max(0, round((until - history[0].at) * 1000))


@given(changes, st.floats(0, 20_000, allow_nan=False))
def test_neighbours_differ_and_only_a_call_of_no_time_has_a_span_of_no_time(history, until) -> None:
    spans = spans_of(history, until)
    for a, b in itertools.pairwise(spans):
        assert (a.state, a.reason) != (b.state, b.reason)
    assert all(span.length_ms > 0 for span in spans) or len(spans) == 1


@given(changes, st.floats(0, 20_000, allow_nan=False))
def test_at_every_instant_the_last_change_that_speaks_of_it_holds(history, until) -> None:
    start = history[0].at
    for span in spans_of(history, until):
        middle = (span.from_ms + span.to_ms) / 2
        if span.length_ms > 1:
            said = [change for change in history if max(0, round((change.at - start) * 1000)) <= middle]
            assert (span.state, span.reason) == (said[-1].state, said[-1].reason)


def test_a_call_with_a_private_half_is_recorded_and_its_seconds_say_the_rest() -> None:
    book = SpanBook(S.UNTOLD, 100.0, "new")
    book.change(S.TOLD, 104.0, "prompt-finished")
    book.change(S.RECORDED, 104.2, "all")
    book.change(S.PRIVATE, 150.0, "agent")
    spans = book.spans(200.0)
    assert [(s.state, s.length_ms) for s in spans] == [
        (S.UNTOLD, 4000),
        (S.TOLD, 200),
        (S.RECORDED, 45800),
        (S.PRIVATE, 50000),
    ]
    assert outcome(spans) is Outcome.RECORDED


def test_a_change_dated_back_replaces_what_was_said_of_that_time() -> None:
    book = SpanBook(S.UNTOLD, 0.0, "new")
    book.change(S.RECORDED, 5.0, "all")
    book.change(S.HOLD, 20.0, "hold")
    book.change(S.RECORDED, 25.0, "all")
    book.change(S.PRIVATE, 15.0, "agent")
    assert [(s.state, s.from_ms, s.to_ms) for s in book.spans(30.0)] == [
        (S.UNTOLD, 0, 5000),
        (S.RECORDED, 5000, 15000),
        (S.PRIVATE, 15000, 30000),
    ]


def test_the_weights_name_every_state_once() -> None:
    assert sorted(WEIGHT) == sorted(SpanState) == sorted(OUTCOME)


def test_a_failure_outweighs_a_recording_and_gives_its_reason() -> None:
    spans = [Span(S.RECORDED, 0, 9000, "all"), Span(S.FAILED, 9000, 9001, "disk-full")]
    assert (outcome(spans), heaviest(spans).reason) == (Outcome.FAILED, "disk-full")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (S.UNTOLD, Outcome.BLOCKED),
        (S.NOT_SELECTED, Outcome.BYPASSED),
        (S.PRIVATE, Outcome.BYPASSED),
        (S.OBJECTED, Outcome.BLOCKED),
    ],
)
def test_a_call_in_one_state_has_that_states_outcome(state: SpanState, expected: Outcome) -> None:
    assert outcome(SpanBook(state, 0.0, "r").spans(0.0)) is expected


def test_spans_that_leave_a_gap_do_not_add_up() -> None:
    assert not add_up([Span(S.TOLD, 0, 10, "a"), Span(S.HOLD, 11, 20, "b")])
    assert not add_up([Span(S.TOLD, 1, 10, "a")])
    assert not add_up([])


def test_a_call_without_a_state_is_a_bug() -> None:
    with pytest.raises(BrokenInvariant):
        spans_of([], 1.0)
