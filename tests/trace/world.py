"""The world of `tests/call`, with a tap where its wire meets the user agent."""

from __future__ import annotations

from qm_sip.sip import events as sip
from qm_sip.sip.ua import UserAgent
from qm_sip.trace.calls import BoardCalls
from qm_sip.trace.store import Store, Trace
from qm_sip.trace.tap import Tap
from tests.call.test_journeys import answering
from tests.call.world import World

MIB = 1024 * 1024


class TracedWorld(World):
    def __init__(self, seed: int = 0, *, loss: float = 0.0) -> None:
        super().__init__(seed, loss=loss)
        self.store = Store(3600.0, 16 * MIB)
        self.tap = Tap(self.store, BoardCalls(self.switchboard, lambda: self.config))
        self.switchboard.on_unsaid = self.tap.hide

    def _exchange(self) -> None:
        super()._exchange()
        self.tap.settle()

    def _carry(self, sender: UserAgent, receiver: UserAgent) -> int:
        if sender is self.ua:
            waiting = list(self.ua._core.datagrams)
            for data, destination, local in waiting:
                self.tap.sent(data, destination, local, self.now)
        return super()._carry(sender, receiver)

    def _deliver(self, receiver: UserAgent, datagram: sip.Datagram) -> None:
        if receiver is self.ua:
            self.tap.heard(datagram.data, datagram.local, datagram.destination, self.now)
        super()._deliver(receiver, datagram)

    def swept(self) -> list[Trace]:
        """The traces there are."""
        self.tap.sweep(self.now)
        return list(self.store.calls.values())


def talking(world: TracedWorld, number: str = "1001", line: str = "sales", seconds: float = 5.0) -> Trace:
    """A call in which the two talk, and its trace."""
    answering(world)
    world.dial(number, line=line)
    world.run(seconds)
    (trace,) = world.swept()
    return trace
