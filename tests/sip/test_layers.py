"""The layers: each module of `qm_sip.sip` can be imported without those that stand below it in the map."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import qm_sip.sip

FOLDER = Path(qm_sip.sip.__file__).parent


def order() -> list[list[str]]:
    lines = [line for line in (qm_sip.sip.__doc__ or "").splitlines() if line.startswith("* ")]
    return [re.findall(r"`(\w+)`", line[:32]) for line in lines]


def imported(module: str) -> set[str]:
    """What it imports when it runs (what stands under TYPE_CHECKING is for the type checker only)."""
    tree = ast.parse((FOLDER / f"{module}.py").read_text())
    nodes = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
    named = {n.module.removeprefix("qm_sip.sip.") for n in nodes if n.module and n.module != "qm_sip.sip"}
    return named | {a.name for n in nodes if n.module == "qm_sip.sip" for a in n.names}


def test_the_map_is_complete() -> None:
    drawn = [name for line in order() for name in line]
    assert sorted(drawn) == sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "__init__")


def test_every_module_stands_on_those_above_it() -> None:
    above: set[str] = set()
    everything = {name for line in order() for name in line}
    for line in order():
        above |= set(line)
        for name in line:
            assert imported(name) & everything <= above, name


def test_nothing_in_here_knows_a_socket_or_a_clock() -> None:
    for name in (name for line in order() for name in line):
        assert not imported(name) & {"socket", "asyncio", "time", "threading"}
        assert not re.search(
            r"^import (socket|asyncio|time|threading)", (FOLDER / f"{name}.py").read_text(), re.M
        )
