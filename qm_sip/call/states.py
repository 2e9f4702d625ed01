"""The joint state of a call's two legs, as one table.

A back-to-back user agent has two dialogs, and most trouble with such agents is a pair of states nobody
thought of: the caller gone while the callee is being cancelled, an answer that crosses it, a prompt that ends
after a hang-up. So there are not two state machines here that watch each other, but one, whose states are the
pairs that can be:

| state     | caller (we are UAS)      | callee (we are UAC)     | what is going on                                   |
|-----------|--------------------------|-------------------------|----------------------------------------------------|
| ARRIVED   | INVITE received          | –                       | the row is being written, the media being prepared |
| CALLING   | INVITE received          | INVITE sent             | the callee is called; progress is passed back      |
| CANCELLED | ended                    | CANCEL sent             | waiting for the callee's final response            |
| ANSWERED  | 200 sent, no ACK yet     | –                       | before-ring: the customer's leg is being answered  |
| GREETING  | confirmed                | –                       | before-ring: the customer hears the prompt         |
| SEEKING   | confirmed                | INVITE sent             | before-ring: the agent is called, ringback here    |
| JOINING   | 200 sent, no ACK yet     | confirmed               | the callee answered; the caller's ACK is awaited   |
| TELLING   | confirmed                | confirmed               | on-answer: the customer hears the prompt           |
| TALKING   | confirmed                | confirmed               | the two are connected                              |
| CLOSING   | ended                    | ended                   | media and journals are being closed                |
| OVER      | –                        | –                       | the outcome stands in the catalog                  |

Three rules follow from the table and are tested against it (`tests/call/test_states.py`): audio passes
between the legs only in TALKING (or end to end, directly); a prompt plays only in GREETING and TELLING; and
from every state a hang-up of either side leads to CLOSING, by way of CANCELLED if the callee has not answered
yet. An event that the table does not name for a state is late news from a leg that has moved on: it changes
nothing, and `step` says so.

RFC 3261 sections 13-15 give what each leg may do; which of them is the customer does not matter here.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    ARRIVED = "arrived"
    CALLING = "calling"
    CANCELLED = "cancelled"
    ANSWERED = "answered"
    GREETING = "greeting"
    SEEKING = "seeking"
    JOINING = "joining"
    TELLING = "telling"
    TALKING = "talking"
    CLOSING = "closing"
    OVER = "over"


class Happening(StrEnum):
    """What can happen to the pair. The first column of the table below."""

    READY_TO_ANSWER = "ready-to-answer"  # row and media stand; the prompt comes before the agent rings
    READY_TO_CALL = "ready-to-call"  # row and media stand; the callee is called first
    PROGRESS = "progress"  # 18x from the callee
    CALLEE_ANSWERED = "callee-answered"
    CALLEE_REFUSED = "callee-refused"  # final failure, or no answer in time
    ACKED_UNTOLD = "acked-untold"  # the caller's ACK; the customer must be told first
    ACKED = "acked"  # the caller's ACK; nothing to tell
    TOLD = "told"  # the prompt was sent to its end
    NOT_TOLD = "not-told"  # the prompt could not be sent to its end
    CALLER_GONE = "caller-gone"  # CANCEL, BYE, or a dead dialog
    CALLEE_GONE = "callee-gone"  # BYE, or a dead dialog
    CLOSED = "closed"  # media and journals are closed


S, H = State, Happening

TABLE: dict[State, dict[Happening, State]] = {
    S.ARRIVED: {
        H.READY_TO_ANSWER: S.ANSWERED,
        H.READY_TO_CALL: S.CALLING,
        H.CALLER_GONE: S.CLOSING,
    },
    S.CALLING: {
        H.PROGRESS: S.CALLING,
        H.CALLEE_ANSWERED: S.JOINING,
        H.CALLEE_REFUSED: S.CLOSING,
        H.CALLER_GONE: S.CANCELLED,
        H.CALLEE_GONE: S.CLOSING,
    },
    S.CANCELLED: {
        H.CALLEE_ANSWERED: S.CLOSING,
        H.CALLEE_REFUSED: S.CLOSING,
        H.CALLEE_GONE: S.CLOSING,
    },
    S.ANSWERED: {H.ACKED_UNTOLD: S.GREETING, H.CALLER_GONE: S.CLOSING},
    S.GREETING: {H.TOLD: S.SEEKING, H.NOT_TOLD: S.SEEKING, H.CALLER_GONE: S.CLOSING},
    S.SEEKING: {
        H.PROGRESS: S.SEEKING,
        H.CALLEE_ANSWERED: S.TALKING,
        H.CALLEE_REFUSED: S.CLOSING,
        H.CALLER_GONE: S.CANCELLED,
        H.CALLEE_GONE: S.CLOSING,
    },
    S.JOINING: {
        H.ACKED_UNTOLD: S.TELLING,
        H.ACKED: S.TALKING,
        H.CALLER_GONE: S.CLOSING,
        H.CALLEE_GONE: S.CLOSING,
    },
    S.TELLING: {
        H.TOLD: S.TALKING,
        H.NOT_TOLD: S.TALKING,
        H.CALLER_GONE: S.CLOSING,
        H.CALLEE_GONE: S.CLOSING,
    },
    S.TALKING: {H.CALLER_GONE: S.CLOSING, H.CALLEE_GONE: S.CLOSING},
    S.CLOSING: {H.CLOSED: S.OVER},
    S.OVER: {},
}


def step(state: State, happening: Happening) -> State | None:
    """The next state, or None for late news (the table does not name it): nothing is to be done then."""
    return TABLE[state].get(happening)


# Which legs have a dialog or a pending INVITE that must be ended when the call leaves a state.
CALLER_PENDING = frozenset({S.ARRIVED, S.CALLING})  # to be refused: no final response sent yet
CALLER_UP = frozenset({S.ANSWERED, S.GREETING, S.SEEKING, S.JOINING, S.TELLING, S.TALKING})
CALLEE_PENDING = frozenset({S.CALLING, S.SEEKING, S.CANCELLED})
CALLEE_UP = frozenset({S.JOINING, S.TELLING, S.TALKING})
