"""What is fuzzed: one function from bytes to nothing for each reader of what strangers send.

* `readers`   formats: a message, SDP, a stream, headers, credentials, bodies, Asterisk's manager, a trace
* `kept`      a journal, with whatever packets a stranger had recorded
* `agent`     a script (`script.py`) played to a user agent
* `street`    a script played to the whole B2BUA

`python -m tests.torture.fuzz NAME` looks for an input that breaks one; `corpus/NAME/` is what it has found worth
keeping, and `test_corpus.py` plays all of that again, with mutations, in every run of the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.torture import readers
from tests.torture.agent import play_agent
from tests.torture.kept import read_kept
from tests.torture.street import play_call

SECONDS: Final = 0.050
"""Processor time that an input may cost."""


class Target(NamedTuple):
    """A function, how large an input it is given, and what that may cost."""

    run: Callable[[bytes], None]
    most: int = 4_096
    seconds: float = SECONDS
    shares: str = ""
    """Another target whose corpus it reads as well as its own."""

    def corpora(self, name: str) -> tuple[str, ...]:
        return (name, self.shares) if self.shares else (name,)


TARGETS: Final[dict[str, Target]] = {
    "message": Target(readers.read_message),
    "sdp": Target(readers.read_sdp),
    "stream": Target(readers.read_stream),
    "headers": Target(readers.read_headers, 1_024),
    "digest": Target(readers.read_digest, 1_024),
    "body": Target(readers.read_body),
    "trace": Target(readers.read_trace, shares="message"),
    "manager": Target(readers.read_manager),
    "journal": Target(read_kept),
    # A script is forty messages, each of which may cost as much, and minutes of timers.
    "agent": Target(play_agent, 8_192, 40 * SECONDS),
    "call": Target(play_call, 8_192, 40 * SECONDS),
}
