"""One server for all tests of this folder, and its neighbours, anew for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.wire.party import Leg, Message, Party
from tests.wire.site import Site, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/wire" in item.nodeid:
            item.add_marker(pytest.mark.wire)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with running() as site:
        yield site


@dataclass
class Scene:
    """The neighbours of one test."""

    site: Site
    pbx: Party
    agents: Party
    carrier: Party
    strict: Party

    def talk(self, number: str = "7000", *, by: Party | None = None) -> tuple[Leg, Leg, Message]:
        """A call in which the two talk: both legs, and what the caller was answered."""
        caller = (by or self.pbx).call(number)
        ok = caller.connected() if number == "2000" else None
        callee = self.agents.called()
        callee.answer()
        ok = ok or caller.connected()
        callee.expect("ACK")
        if number in ("2000", "2100"):
            self.recording()
        return caller, callee, ok

    def recording(self) -> None:
        """A tap is open, and has kept something."""
        until = time.monotonic() + 4
        while not any(tap["seconds"] > 0.05 for tap in self.site.ask("taps")["taps"]):
            assert time.monotonic() < until, "nothing is being recorded"
            time.sleep(0.02)

    def ended(self) -> str:
        """The outcome of the newest call, once it is written."""
        until = time.monotonic() + 4
        while (outcome := self.site.outcomes()[0]) is None:
            assert time.monotonic() < until, "the call has no outcome"
            time.sleep(0.02)
        return outcome

    def end(self, caller: Leg, callee: Leg) -> None:
        """The caller hangs up, and nothing is left running."""
        caller.hang_up()
        callee.hung_up()
        self.site.calls_end()


@pytest.fixture
def scene(site: Site) -> Iterator[Scene]:
    with neighbours(site) as scene:
        yield scene


@contextmanager
def neighbours(site: Site) -> Iterator[Scene]:
    """Everybody of one test; all calls must end with it."""
    with ExitStack() as stack:
        pbx, agents, carrier, strict = (
            stack.enter_context(Party(site.at(host), site.server)) for host in (10, 20, 30, 40)
        )
        site.left = site.ask("status")["calls"]
        try:
            yield Scene(site, pbx, agents, carrier, strict)
            site.calls_end()
        finally:
            running = site.ask("status")["calls"] > site.left  # the test has failed: let the next one be
            for leg in (*pbx.legs, *agents.legs, *carrier.legs, *strict.legs):
                if running:
                    leg.give_up()
