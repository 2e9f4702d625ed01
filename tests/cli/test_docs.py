"""Every command, option and request is documented, and nothing is documented that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from qm_sip.cli.main import app
from qm_sip.cli.output import Status
from qm_sip.control.handlers import handlers
from tests.announce.site import site
from tests.control.state import make_state, serving

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = (DOCS / "commands.md").read_text()
CONTROL = (DOCS / "control.md").read_text()
SHARED = ("--socket", "--config", "--json", "--limit", "--as")


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that can be run, by its words."""
    children = getattr(command, "commands", None)
    if children is None or (path and command.invoke_without_command):
        yield " ".join(path), command
    if children is None:
        return
    for name, child in children.items():
        yield from walk(child, (*path, name))


ALL = dict(walk(get_command(app)))


def section(words: str) -> str:
    """What docs/commands.md says of a command: from its heading to the next."""
    found = re.search(rf"^(##+) {re.escape(words)}$(.*?)(?=^##|\Z)", COMMANDS, re.M | re.S)
    assert found, f"docs/commands.md has no section for {words}"
    return found[2]


@pytest.mark.parametrize("words", ALL)
def test_every_command_is_documented_with_its_options(words: str) -> None:
    text = section(words)
    assert f"qm-sip {words}" in text
    shared = section("Options of many commands")
    for parameter in ALL[words].params:
        if parameter.name != "help" and parameter.opts[0].startswith("-"):
            long, *short = parameter.opts
            assert f"`{long}`" in text, f"{words} {long}"
            assert all(f"`{letter}`" in text + shared for letter in short)


def test_no_command_is_documented_that_does_not_exist() -> None:
    second = "|".join({words.split()[1] for words in ALL if " " in words})
    named = set(re.findall(rf"`qm-sip ([a-z]+(?: (?:{second}))?)", COMMANDS))
    assert named <= set(ALL)


def test_every_exit_status_is_documented() -> None:
    table = section("Exit status")
    assert [int(number) for number in re.findall(r"^\| (\d) \|", table, re.M)] == [int(s) for s in Status]


@pytest.mark.parametrize("option", SHARED)
def test_shared_options_are_explained(option: str) -> None:
    assert f"| `{option}`" in section("Options of many commands")


def test_every_request_is_documented_with_what_it_answers(tmp_path: Path) -> None:
    from qm_sip.control.client import call

    state = make_state(site(tmp_path))
    rows = {row[0]: row for row in re.findall(r"^\| `(\w+)` \|(.*?)\| (.*) \|$", CONTROL, re.M)}
    assert set(rows) - {"what"} == set(handlers(state))
    asked: dict[str, dict[str, Any]] = {
        "explain": {"call": "c1"},
        "verify": {"recording": "r1"},
        "private_status": {"as": "a1"},
        "private_proof": {"call": "c1", "as": "a1"},
        "pause": {"call": "c3"},
        "record": {"call": "c3", "as": "a1"},
        "monitor_start": {"extension": "1001", "purpose": "coaching", "as": "m1"},
        "monitor_stop": {"session": "s0"},
        "monitor_list": {"as": "o1"},
        "recording": {"recording": "r1", "as": "m1", "purpose": "coaching", "action": "show"},
    }
    with serving(state) as socket:
        for what in ("status", "calls", "explain", "ledger", "recordings", "verify", "taps", "lines"):
            for name in names(call(socket, what, **asked.get(what, {})), what):
                assert f"`{name}`" in rows[what][2], f"{what}: {name}"
        for what in ("retention_due", "retention_run", "private_status", "private_proof", "monitor_notices"):
            for name in names(call(socket, what, **asked.get(what, {})), what):
                assert f"`{name}`" in rows[what][2], f"{what}: {name}"
        for what in ("pause", "record", "monitor_start", "monitor_list", "monitor_stop"):
            for name in names(call(socket, what, **asked[what]), what):
                assert f"`{name}`" in rows[what][2], f"{what}: {name}"
        for what in ("people", "prompts", "keys", "monitors", "draws"):
            for name in names(call(socket, what), what):
                assert f"`{name}`" in rows[what][2], f"{what}: {name}"


def names(answer: dict[str, Any], what: str) -> Iterator[str]:
    """The fields of an answer, and those of its rows where the table lists them."""
    for name, value in answer.items():
        yield name
        if (
            what not in ("explain", "ledger")
            and isinstance(value, list)
            and value
            and isinstance(value[0], dict)
        ):
            yield from value[0]
