"""Who may play, or take out, a recording that exists: asked again every time, for one named purpose
(KSF15-3.4).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from qm_sip.policy import reasons
from qm_sip.policy.facts import PersonId, Reason
from qm_sip.policy.grants import grant_lacks

if TYPE_CHECKING:
    from qm_sip.config import Config, Monitor

Action = Literal["play", "export"]


class Playback(NamedTuple):
    """The answer, with its reason."""

    allowed: bool
    reason: Reason


def decide_playback(
    config: Config,
    person: PersonId,
    purpose: str,
    action: Action,
    *,
    recorded_for: Collection[str],
    destroy_by: datetime | None,
    now: datetime,
) -> Playback:
    """Say whether a person may play or export a recording for a purpose. `recorded_for`: the purposes it was
    made for.
    """
    monitor = config.people.monitor.get(person)
    if monitor is None:
        return Playback(False, reasons.PLAYER_UNKNOWN)
    refusal = grant_lacks(monitor, person, now.date()) or _not_for(monitor, purpose, action)
    if refusal is None and purpose not in recorded_for:
        refusal = reasons.RECORDED_FOR_OTHER
    if refusal is None and destroy_by is not None and destroy_by <= now:
        refusal = reasons.DESTROY_BY_PASSED
    return Playback(refusal is None, refusal or reasons.GRANTED)


def _not_for(monitor: Monitor, purpose: str, action: Action) -> Reason | None:
    if purpose not in monitor.purposes:
        return reasons.PLAYER_NOT_FOR_PURPOSE
    if action not in monitor.may:
        return reasons.PLAYER_UNKNOWN if action == "play" else reasons.EXPORT_NOT_GRANTED
    return None if "later" in monitor.modes else reasons.MODE_NOT_GRANTED
