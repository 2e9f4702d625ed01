"""Clocks that go on ringing, whatever happens when they do."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from qm_sip.net.alarm import Alarm
from qm_sip.net.endpoint import SipEndpoint
from qm_sip.sip.events import Address
from qm_sip.sip.ua import UserAgent, UserAgentSettings


class Stumbling:
    """Something is due every few milliseconds; the first time it fails."""

    def __init__(self) -> None:
        self.rang = 0

    def next_timer(self) -> float | None:
        return time.monotonic() + 0.005

    def advance(self, now: float) -> None:
        self.rang += 1
        if self.rang == 1:
            raise ZeroDivisionError


def run(work: Any) -> list[dict[str, Any]]:
    """Run it; gives what the loop was told of."""
    told: list[dict[str, Any]] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        await work()

    asyncio.run(whole())
    return told


def test_the_alarm_of_the_calls_is_set_again() -> None:
    sleeper = Stumbling()

    async def work() -> None:
        alarm = Alarm(sleeper, lambda: alarm.set())
        alarm.set()
        await asyncio.sleep(0.1)

    assert len(run(work)) == 1 and sleeper.rang > 2


def test_so_is_that_of_the_user_agent_and_what_was_said_is_sent() -> None:
    rang: list[float] = []

    async def work() -> None:
        ua = UserAgent(UserAgentSettings(), random.Random(1), lambda request, source: None)
        endpoint = SipEndpoint(ua, [Address("127.0.0.1", 0)], lambda events: None)
        await endpoint.start()

        def fail(now: float) -> None:
            ua._core.timers.start(now + 0.01, rang.append)
            raise ZeroDivisionError

        ua._core.timers.start(endpoint.now() + 0.01, fail)
        endpoint.flush()
        await asyncio.sleep(0.1)
        await endpoint.stop()

    assert len(run(work)) == 1 and len(rang) == 1
