"""Lamps as Asterisk's device states: what is, told once, and anew when nobody knows what is shown."""

from __future__ import annotations

from dataclasses import replace

from qm_sip.asterisk.lamps import AT_ONCE, DARK, LIT, DeviceLamps, device, devices, setting
from qm_sip.config import Config
from qm_sip.config.people import Agent
from qm_sip.lamps.lamp import Kind, Lamp
from qm_sip.policy.facts import PersonId
from tests.call.world import settings

REC1 = Lamp(Kind.RECORDING, PersonId("a1"))


def config_with(lamps: tuple[str, ...], agents: dict[str, Agent] | None = None) -> Config:
    config = settings().config
    asterisk = config.server.asterisk.model_copy(update={"lamps": lamps})
    server = config.server.model_copy(update={"asterisk": asterisk})
    people = config.people if agents is None else config.people.model_copy(update={"agent": agents})
    return replace(config, server=server, people=people)


def tell(lamps: DeviceLamps, config: Config, lit: frozenset[Lamp]) -> list[tuple[str, str]]:
    said = []
    while due := lamps.due(config, lit):
        assert len(due) <= AT_ONCE
        said += due
        for name, state in due:
            lamps.told(name, state)
    return said


def test_each_is_told_once_and_then_only_what_changes() -> None:
    lamps, config = DeviceLamps(), config_with(("private", "recording"))
    first = dict(tell(lamps, config, frozenset({REC1})))
    assert first == {
        "Custom:priv-1001": DARK,
        "Custom:rec-1001": LIT,
        "Custom:priv-1002": DARK,
        "Custom:rec-1002": DARK,
    }
    assert tell(lamps, config, frozenset({REC1})) == []
    assert tell(lamps, config, frozenset()) == [("Custom:rec-1001", DARK)]


def test_after_a_connection_or_a_boot_all_are_told_anew() -> None:
    lamps, config = DeviceLamps(), config_with(("recording",))
    tell(lamps, config, frozenset({REC1}))
    lamps.forget()
    assert dict(tell(lamps, config, frozenset())) == {"Custom:rec-1001": DARK, "Custom:rec-1002": DARK}


def test_what_could_not_be_told_is_still_due() -> None:
    lamps, config = DeviceLamps(), config_with(("recording",))
    assert lamps.due(config, frozenset()) == lamps.due(config, frozenset()) != []


def test_none_by_default_and_of_nobody_whose_calls_are_confidential() -> None:
    assert list(devices(settings().config)) == []
    agents = {"a1": Agent(extensions=("1001",), confidential="all-calls"), "a2": Agent(extensions=("1002",))}
    assert [name for _, name in devices(config_with(("recording",), agents))] == ["Custom:rec-1002"]


def test_many_are_told_a_few_at_a_time() -> None:
    agents = {f"a{n}": Agent(extensions=(str(2000 + n),)) for n in range(200)}
    config = config_with(("private", "recording", "heard"), agents)
    assert len(tell(DeviceLamps(), config, frozenset())) == 600


def test_the_lamp_of_an_agent_who_has_gone_is_put_out_also_after_a_loss() -> None:
    for lost in (False, True):
        lamps, config = DeviceLamps(), config_with(("recording",))
        tell(lamps, config, frozenset({REC1}))
        if lost:
            lamps.forget()
        without = config_with(("recording",), {"a2": Agent(extensions=("1002",))})
        assert ("Custom:rec-1001", DARK) in tell(lamps, without, frozenset())


def test_the_action() -> None:
    name = device(Kind.HEARD, "1001")
    assert setting(name, LIT) == [
        ("Action", "Setvar"),
        ("Variable", "DEVICE_STATE(Custom:lis-1001)"),
        ("Value", "INUSE"),
    ]
