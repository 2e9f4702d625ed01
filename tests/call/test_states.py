"""The table of joint states keeps what its docstring promises."""

from __future__ import annotations

import pytest

from qm_sip.call import states
from qm_sip.call.states import TABLE, Happening, State, step

LIVE = [state for state in State if state not in (State.CLOSING, State.OVER)]


def reachable(start: State) -> set[State]:
    seen, todo = {start}, [start]
    while todo:
        for following in TABLE[todo.pop()].values():
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return seen


def test_every_state_can_be_reached_and_left() -> None:
    assert reachable(State.ARRIVED) == set(State)
    for state in State:
        assert State.OVER in reachable(state)


def test_the_docstring_draws_exactly_the_states_there_are() -> None:
    assert states.__doc__ is not None
    drawn = [line.split("|")[1].strip() for line in states.__doc__.splitlines() if line.startswith("| ")]
    assert drawn[1:] == [state.name for state in State]


@pytest.mark.parametrize("state", LIVE)
def test_a_hang_up_of_the_caller_ends_the_call_from_every_state(state: State) -> None:
    following = step(state, Happening.CALLER_GONE)
    if state is State.CANCELLED:
        assert following is None  # he is gone already
    else:
        expected = State.CANCELLED if state in (State.CALLING, State.SEEKING) else State.CLOSING
        assert following is expected


@pytest.mark.parametrize("state", sorted(states.CALLEE_PENDING | states.CALLEE_UP))
def test_a_hang_up_of_the_callee_ends_the_call_wherever_there_is_one(state: State) -> None:
    assert step(state, Happening.CALLEE_GONE) is State.CLOSING


def test_talking_is_entered_only_after_an_ack_or_the_end_of_a_prompt_or_behind_one() -> None:
    doors = {
        (state, happening)
        for state, row in TABLE.items()
        for happening, following in row.items()
        if following is State.TALKING and state is not State.TALKING
    }
    assert doors == {
        (State.JOINING, Happening.ACKED),
        (State.TELLING, Happening.TOLD),
        (State.TELLING, Happening.NOT_TOLD),
        (State.SEEKING, Happening.CALLEE_ANSWERED),
    }


def test_whoever_must_be_told_is_told_before_talking() -> None:
    """The only way on from an ACK that finds the customer untold is a state in which a prompt plays."""
    after = {row[Happening.ACKED_UNTOLD] for row in TABLE.values() if Happening.ACKED_UNTOLD in row}
    assert after == {State.GREETING, State.TELLING}
    for state in after:
        assert set(TABLE[state]) <= {
            Happening.TOLD,
            Happening.NOT_TOLD,
            Happening.CALLER_GONE,
            Happening.CALLEE_GONE,
        }


def test_nothing_happens_to_a_call_that_is_over() -> None:
    assert all(step(State.OVER, happening) is None for happening in Happening)
