"""What the engine is told of prompts, at the start and when settings are read again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qm_sip.announce.coverage import load_for
from qm_sip.app import Server
from qm_sip.config import Config
from qm_sip.errors import Refused
from qm_sip.media import protocol
from qm_sip.policy.facts import CallFacts, PersonId, Use
from tests.announce.helpers import put
from tests.announce.site import load, site
from tests.control.state import facts


@dataclass
class Listening:
    """An engine that only listens, and a switchboard without calls."""

    told: list[protocol.Command] = field(default_factory=list)

    def send(self, command: protocol.Command) -> None:
        self.told.append(command)

    def prompts_in_use(self, line: str) -> set[str]:
        return set()

    def prompts(self) -> dict[str, protocol.LoadPrompt]:
        return {one.prompt: one for one in self.told if isinstance(one, protocol.LoadPrompt)}

    def lines(self) -> set[str]:
        return {digest for one in self.told if isinstance(one, protocol.LoadLine) for digest in one.prompts}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return site(tmp_path)


def tell(server: Server, config: Config) -> Listening:
    server.engine = server.switchboard = listening = Listening()  # type: ignore[assignment]
    server._load_prompts(load_for(config), config)
    return listening


def test_the_engine_gets_every_prompt_and_a_line_only_its_notices(home: Path) -> None:
    config = load(home)
    library, told = load_for(config), tell(Server(home), config)
    assert set(told.prompts()) == {prompt.digest for prompt in library}
    notices = {prompt.digest for prompt in library if prompt.kind == "customer-notice"}
    assert told.lines() == notices
    silent = library.tone("T-A4")
    assert silent is not None
    assert told.prompts()[silent.digest].uses == []


def test_what_the_engine_has_it_is_not_told_again(home: Path) -> None:
    """Reading all of them again would hold up the packets of running calls."""
    server = Server(home)
    tell(server, load(home))
    again = tell(server, load(home))
    assert again.prompts() == {}
    assert again.lines()


def test_a_prompt_that_changed_is_told_again(home: Path) -> None:
    server = Server(home)
    tell(server, load(home))
    put(home / "prompts", "K11-all-key", "nl", seconds=2.0)  # other bytes
    put(
        home / "prompts", "K11-all-key", "en", seconds=5.0, uses=["record", "listen"]
    )  # the same, saying more
    library = load_for(load(home))
    told = tell(server, load(home)).prompts()
    changed = [library.get("K11-all-key", language) for language in ("nl", "en")]
    assert set(told) == {prompt.digest for prompt in changed}
    assert told[changed[1].digest].uses == [Use.LISTEN, Use.RECORD]


@dataclass
class Talking:
    """A call in which a1 talks, on a line that records at his request."""

    facts: CallFacts
    unsaid: bool = False
    asked: bool = False

    def request_recording(self, now: float) -> bool:
        self.asked = True
        return True


def test_only_its_own_agent_has_a_call_recorded_and_of_a_confidential_one_nobody_knows(home: Path) -> None:
    server, call = Server(home), Talking(facts("c1", "sales", load(home)))
    server.switchboard = type("Board", (), {"calls": {"c1": call}})()  # type: ignore[assignment]
    server._after = lambda: None  # type: ignore[method-assign]
    with pytest.raises(Refused) as refused:
        server.request_recording("c1", PersonId("a2"))
    assert (refused.value.code, call.asked) == ("not-your-call", False)
    assert server.request_recording("c1", PersonId("a1")) is True and call.asked
    call.unsaid = True
    assert server.request_recording("c1", PersonId("a1")) is None
    assert server.request_recording("c9", PersonId("a1")) is None


class Slow(Server):
    """Whose reloads take a while, and say when they begin and end."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.said: list[str] = []

    async def _reload(self) -> None:
        self.said.append("begins")
        await asyncio.sleep(0.01)
        self.said.append("ends")
        if len(self.said) > 2:
            raise ZeroDivisionError


def test_reloads_come_one_after_another_and_none_fails_in_silence(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> list[str]:
        server = Slow(home)
        server._on_hangup()
        server._on_hangup()
        await asyncio.gather(*server._tasks, return_exceptions=True)
        return server.said

    assert asyncio.run(act()) == ["begins", "ends"] * 2
    assert [record.message for record in caplog.records] == ["a task of the server failed"]
