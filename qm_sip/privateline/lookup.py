"""What a number is: by which entries of the registry, and which line it belongs to.

For whoever wrote lines.toml and asks why a call was not recorded, or whether it will be.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from qm_sip.config.numbers import forms, normal
from qm_sip.config.registry import Registry
from qm_sip.policy.facts import Direction
from qm_sip.private import Private

if TYPE_CHECKING:
    from qm_sip.config import Config

Row = dict[str, Any]


def look_up(config: Config, number: Private[str], day: date) -> list[Row]:
    """Everything that this number is, the strongest first; entries that do not hold on that day are among it."""
    form = normal(number.reveal(), config.lines.numbering)
    index = config.index
    registries: dict[str, Registry] = {kind.value: table for kind, table in index.never.items()}
    rows = [
        {
            "list": name,
            "rule": entry.rule,
            "in_force": entry.in_force(day),
            "since": entry.since,
            "until": entry.until,
            "reason": entry.reason,
            "source": entry.source,
        }
        for name, registry in (registries | {"agreed": index.agreed}).items()
        for one in forms(form, config.lines.numbering)
        for entry in registry.entries(one)
    ]
    return [*rows, *_ours(config, form)]


def _ours(config: Config, form: str) -> list[Row]:
    rows: list[Row] = []
    if config.index.internal.find(form) is not None:
        rows.append({"list": "internal", "rule": "our own people", "in_force": True})
    for direction in Direction:
        name = config.index.by_direction[direction].numbers.find(form)
        line = config.line(name) if name else None
        if line is not None:
            row = {"list": line.kind.value, "rule": f"line.{name}, {direction}", "in_force": True}
            rows.append(row | {"reason": line.reason})
    return rows
