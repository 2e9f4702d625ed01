"""What a peer can be told, whatever it is: the same few verbs for a phone, a PBX, a proxy and a load generator.

A peer is in one call at a time. `heard` is known when that call has ended. What a peer cannot do it says in
`lacks`, a scenario's name and the fact; what fails although it should not, in `fails`: transport and
scenario, and the reason.
"""

from __future__ import annotations

from typing import ClassVar

from qm_sip.demo import audio
from tests.interop.ground import PEER, Ground


class Peer:
    name: ClassVar[str]
    what: ClassVar[str]  # what it is in the matrix, in half a sentence
    transports: ClassVar[tuple[str, ...]] = ("udp", "tcp")
    at: ClassVar[str] = PEER  # the address it calls us from
    quick: ClassVar[bool] = True  # it starts in a moment: some of it is part of `make test`
    echoes: ClassVar[bool] = False  # it says what it hears, and keeps nothing
    lacks: ClassVar[dict[str, str]] = {}
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

    def reject(self) -> None:
        """486."""
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

    def heard(self) -> audio.Samples:
        """What it heard in the call that has ended."""
        raise NotImplementedError

    def pressed(self) -> str:
        """The keys that it was pressed, as far as it tells."""
        raise NotImplementedError
