"""What a peer can be told, whatever it is: the same few verbs for a phone, a PBX, a proxy and a load generator.

A peer is in one call at a time, but for a consultation before it joins two. `heard` is known when the call has ended.
What a peer has no function for it says in `lacks`, a scenario's name and the fact with its source; what is played and
fails, in `fails`: transport and scenario, and whose fault it is. The reason of a failure is the run's own.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qm_sip.demo import audio
from tests.interop.ground import PEER, Ground


@dataclass(frozen=True)
class Lack:
    """A function that a peer does not have, and how we know."""

    says: str
    source: str  # where anybody can look
    file: str = ""  # what is installed (a pattern), in which ...
    absent: tuple[str, ...] = ()  # ... none of these words may be: else the fact is no longer one

    def __str__(self) -> str:
        missing = " nor ".join(f"`{word.strip(chr(34) + chr(39))}`" for word in dict.fromkeys(self.absent))
        return f"{self.says} ({self.source}{': no ' * bool(missing)}{missing})"

    def check(self) -> None:
        if not self.absent:
            return
        found = [Path(path) for path in glob.glob(self.file)]
        assert found, f"{self.file}: nothing to look into"
        text = b"".join(path.read_bytes() for path in found).lower()
        there = [word for word in self.absent if word.lower().encode() in text]
        assert not there, f"{self.file} knows {there} now: play the scenario"


class Peer:
    """A peer as a scenario drives it. A verb it has not is a scenario in `lacks`; none that is played asks for it."""

    name: ClassVar[str]
    what: ClassVar[str]  # what it is in the matrix, in half a sentence
    transports: ClassVar[tuple[str, ...]] = ("udp", "tcp")
    at: ClassVar[str] = PEER  # the address it calls us from
    quick: ClassVar[bool] = True  # it starts in a moment: some of it is part of `make test`
    echoes: ClassVar[bool] = False  # it says what it hears, and keeps nothing
    refusal: ClassVar[int] = 486  # what it says when it is told to refuse
    joins_itself: ClassVar[bool] = False  # attended transfers: a PBX that sends no REFER
    transcodes: ClassVar[bool] = False  # it answers its phone's offers itself
    lacks: ClassVar[dict[str, Lack]] = {}
    without: ClassVar[dict[str, Lack]] = {}  # transports it has not
    fails: ClassVar[dict[str, str]] = {}

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.version = ""

    # ---- start and end; whatever is started through `ground` ends with it

    def start(self) -> None:
        """Be ready for calls."""
        raise NotImplementedError

    def tidy(self) -> None:
        """After a scenario, also one that failed: be in no call."""
        raise NotImplementedError

    def expect(self, scenario: str) -> None:
        """The scenario that comes; for who must be told beforehand."""

    # ---- the verbs

    def call(self, number: str) -> None:
        """Call a number through the server."""
        raise NotImplementedError

    def wait(self, state: str, seconds: float = 8) -> None:
        """`incoming`, `ringing` (the other side does), `up`, `over`."""
        raise NotImplementedError

    def answer(self) -> None:
        raise NotImplementedError

    def progress(self) -> None:
        """183 with a description, sent reliably."""
        raise NotImplementedError

    def reject(self) -> None:
        """`refusal`."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """End the call, or take it back while it rings."""
        raise NotImplementedError

    def hold(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def reoffer(self, codec: str) -> None:
        """Offer anew, with this codec alone."""
        raise NotImplementedError

    def dtmf(self, keys: str) -> None:
        """RFC 4733."""
        raise NotImplementedError

    def info(self, keys: str) -> None:
        raise NotImplementedError

    def refer(self, number: str) -> None:
        """Blind transfer of whom we talk to."""
        raise NotImplementedError

    def consult(self, number: str) -> None:
        """Put whom we talk to on hold, and call another."""
        raise NotImplementedError

    def join(self) -> None:
        """Attended transfer of the first to the other."""
        raise NotImplementedError

    def heard(self) -> audio.Samples:
        """What it heard in the call that has ended."""
        raise NotImplementedError

    def pressed(self) -> str:
        """The keys that it was pressed, as far as it tells."""
        raise NotImplementedError
