"""When a recording must be gone: per purpose, counted from the start of the call, fixed before its first
sample (I3).
"""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from qm_sip.policy.facts import Kind, Purpose
from qm_sip.policy.purposes import QUALITY

if TYPE_CHECKING:
    from qm_sip.config import Config


def purpose_value(config: Config, name: str, started: datetime) -> Purpose | None:
    """Return the purpose with its grounds and dates; None if no end to keeping it is set (KSF15-2.1i)."""
    rule = config.regulation.purposes[name]
    destroy_by = destroyed_by(config, name, started)
    if destroy_by is None:
        return None
    clocks = config.regulation.clocks
    return Purpose(
        name=name,
        ground=MappingProxyType({Kind.AGENT: rule.ground.agent, Kind.CUSTOMER: rule.ground.customer}),
        balancing=rule.balancing or None,
        destroy_by=destroy_by,
        select_by=min(clocks.not_selected_after.after(started), destroy_by) if name in QUALITY else None,
        evaluate_by=min(clocks.not_evaluated_after.after(started), destroy_by)
        if name == "assessment"
        else None,
    )


def destroyed_by(config: Config, name: str, started: datetime) -> datetime | None:
    """Return the ceiling of one purpose: the nearest of its clocks (T6: P2M is the ceiling of quality)."""
    clocks = config.regulation.clocks
    if name == "assessment":  # what is not evaluated in time goes (KSF15-4.10)
        return min(clocks.quality_ceiling.after(started), clocks.not_evaluated_after.after(started))
    if name in QUALITY:
        return clocks.quality_ceiling.after(started)
    lengths = {
        "contract_evidence": clocks.contract_evidence,
        "complaint": clocks.complaint,
        "legal_duty": clocks.legal_duty,
    }
    length = lengths.get(name)
    return length.after(started) if length else None
