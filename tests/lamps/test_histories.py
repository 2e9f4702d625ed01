"""Random call histories with lamps: what they show is what is, after every step, and nobody learns what he may not.

The histories are those of `tests/call/test_histories.py`; what the lamps showed when is written down beside them and
held against what the engine really kept.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from qm_sip.call.call import Call
from qm_sip.call.words import NotePrivate, OpenRow
from qm_sip.lamps import glow
from qm_sip.lamps.board import Lamps
from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.media import protocol
from qm_sip.policy.facts import PersonId
from tests.call import test_journeys as journeys
from tests.call.test_histories import History
from tests.lamps.keys import Key, brute, lighten

DEEP = os.environ.get("QM_SIP_TEST_DEPTH") == "deep"
HISTORIES, BATCHES = (4000, 80) if DEEP else (160, 8)
UNSEEN = ("council", "from-council", "emergency")
SLACK = 0.03  # seconds: a tick of this world and the way of an event


class Busy(History):
    """More of what lamps show: agents who press their keys, and supervisors who listen."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.own = random.Random(f"lamps {seed}")
        if self.own.random() < 0.5:
            self.kind = "sales"

    def _something(self) -> None:
        world, agent = self.world, self.world.agent
        talks = agent is not None and agent.up and not agent.gone
        what = self.own.choice(("key", "pause", "listen", "wait", *[""] * 4)) if talks else ""
        if what in ("key", "pause") and agent is not None:
            world.press(agent, "*1" if what == "key" else "*2")
            world.run(1.0)
        elif what == "listen" and self.supervisor is None and not world.engine.dead:
            self.supervisor = world.dial("*55", caller="1050", aside=True)
            world.later(0.6, lambda: world.press(self.supervisor, "1001#1246813"))
            world.run(4.0)
        elif what == "wait":
            world.run(3.0)
        else:
            super()._something()


class Watched:
    """A history, a phone that watches each lamp of a1, and what was lit from when on."""

    def __init__(self, seed: int) -> None:
        self.history = Busy(seed)
        self.world = world = self.history.world
        self.lamps = lighten(world)
        self.faults: list[str] = []
        self.lit: list[tuple[float, frozenset[Lamp]]] = [(world.now, frozenset())]
        loss, world.loss = world.loss, 0.0
        self.keys = [Key(world, f"{kind}-1001", "1001") for kind in Kind]
        self.coach = [Key(world, f"{kind}-1001", "1050", port=100) for kind in Kind]
        world.loss = loss
        settle = world.switchboard.settle

        def looks(now: float) -> None:
            settle(now)
            self._look(now)

        world.switchboard.settle = looks  # type: ignore[method-assign]
        self.taps: set[str] = set()  # that the engine has opened, and not closed
        told, died = world.switchboard.on_media, world.switchboard.engine_died

        def reported(event: protocol.Event, now: float) -> None:
            if isinstance(event, protocol.TapOpened):
                self.taps.add(event.tap)
            elif isinstance(event, protocol.TapClosed | protocol.TapFailed):
                self.taps.discard(event.tap)
            told(event, now)

        def dead(now: float) -> None:
            self.taps.clear()
            died(now)

        world.switchboard.on_media = reported  # type: ignore[method-assign]
        world.switchboard.engine_died = dead  # type: ignore[method-assign]

    def _look(self, now: float) -> None:
        shown = self.lamps.lit
        if shown != self.lit[-1][1]:
            self.lit.append((now, shown))
        if shown != brute(self.world):
            self.faults.append(
                f"at {now:.3f} lamps show {sorted(shown)}, and it is {sorted(brute(self.world))}"
            )
        uses = {tap.use for tap in self.world.engine.asked(protocol.OpenTap) if tap.tap in self.taps}
        for kind, use in ((Kind.RECORDING, "record"), (Kind.HEARD, "listen")):
            if use not in uses and any(lamp.kind is kind for lamp in shown):
                self.faults.append(f"at {now:.3f} a lamp says {kind}, and the engine has no such tap")
        if (
            any(call.unsaid for call in self.world.switchboard)
            and len(self.world.switchboard.calls) == 1
            and shown
        ):
            self.faults.append("a confidential call lights something")

    def was_lit(self, kind: Kind, at: float) -> bool:
        """Within the slack of this moment, for whomever."""
        for (since, shown), until in zip(
            self.lit, [*[s for s, _ in self.lit[1:]], float("inf")], strict=True
        ):
            if since - SLACK <= at <= until + SLACK and any(lamp.kind is kind for lamp in shown):
                return True
        return False


def faults(seed: int) -> Iterator[str]:
    watched = Watched(seed)
    history, world = watched.history, watched.world
    history.play()
    world.run(3.0)
    yield from watched.faults
    if watched.lamps.lit or watched.lamps._by_call:
        yield "a lamp is lit and nobody talks"
    if history.kind in UNSEEN and not world.keeper.said(OpenRow) and len(watched.lit) > 1:
        yield f"a {history.kind} call lit {watched.lit[1][1]}"
    yield from _nobody_is_recorded_in_the_dark(watched)
    yield from _phones_show_it(watched)


def _nobody_is_recorded_in_the_dark(watched: Watched) -> Iterator[str]:
    """Whatever is in a journal was said while a recording lamp was lit; and none of it while a private one was."""
    world = watched.world
    for opened in world.keeper.said(OpenRow):
        for _, at in journeys.kept(world, opened.facts.call):
            if not watched.was_lit(Kind.RECORDING, at):
                yield f"kept at {at:.3f}, in the dark: {watched.lit}"
                return


def _phones_show_it(watched: Watched) -> Iterator[str]:
    """Without loss each phone shows in the end what is, was told of each change, and the coach never of private."""
    private, recording, heard, preset = watched.coach
    if private.notified or preset.notified or private.answers + preset.answers != [403, 403]:
        yield "a supervisor was shown whether a call is private"
    for key in (*watched.keys[:3], recording, heard):
        if watched.world.loss == 0.0 and key.lit is not False:
            yield f"{key.lamp} still shows {key.lit}"
        said = [one for one in key.shows if one is not None]
        if any(a == b for a, b in pairwise(said)):
            yield f"{key.lamp} was told what it knew"
    wishes = watched.world.keeper.said(NotePrivate)
    if not wishes and any(lamp.kind is Kind.PRIVATE for _, shown in watched.lit for lamp in shown):
        kinds = {word.facts.kind.value for word in watched.world.keeper.said(OpenRow)}
        if "private" not in kinds and watched.history.kind not in ("colleague",):
            yield f"a private lamp, and no private call: {kinds}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_lamps_show_is_what_is(batch: int) -> None:
    each = HISTORIES // BATCHES
    for seed in range(batch * each, batch * each + each):
        found = list(faults(seed))
        assert not found, f"history {seed}: {found}"


# ------------------------------------------------------------------ would these histories notice?


def caught(seeds: range) -> bool:
    return any(next(faults(seed), None) for seed in seeds)


def test_a_step_that_nobody_looks_at_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Call, "_changed", lambda self: self.aware.changed())
    assert caught(range(60))


def test_a_lamp_that_shows_what_was_asked_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording, as soon as it is intended."""
    honest = glow.as_it_is

    def hasty(call: Call) -> glow.Shown:
        return honest(call)._replace(kept=bool(call.recording and call.recording.began))

    monkeypatch.setattr("qm_sip.lamps.board.as_it_is", hasty)
    monkeypatch.setattr("tests.lamps.keys.as_it_is", hasty)
    assert caught(range(60))


def test_a_recording_in_the_dark_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qm_sip.lamps.board.lit", lambda shown: frozenset())
    monkeypatch.setattr("tests.lamps.test_histories.brute", lambda world: frozenset())
    assert caught(range(20))


def test_a_confidential_call_that_shows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(call: Call) -> frozenset[Lamp]:
        return frozenset({Lamp(Kind.PRIVATE, PersonId("a1"))}) if call.unsaid else frozenset()

    def look(self: Lamps, call: Any, now: float) -> None:
        after = careless(call) if call.id in self._board.calls else frozenset()
        self._by_call[call.id] = after
        self._calls.clear()
        self._calls.update(dict.fromkeys(after, 1))

    monkeypatch.setattr(Lamps, "look", look)
    monkeypatch.setattr(
        "tests.lamps.test_histories.brute", lambda world: frozenset(world.switchboard.onlooker._calls)
    )
    assert caught(range(20))


def test_the_seeds_are_not_all_alike() -> None:
    seen = set()
    for seed in range(40):
        watched = Watched(seed)
        watched.history.play()
        seen |= {lamp.kind for _, shown in watched.lit for lamp in shown}
    assert seen == set(Kind) - {Kind.PRESET}
