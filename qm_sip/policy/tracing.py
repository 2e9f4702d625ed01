"""Who may see signalling with the people in it: somebody to whom it was granted, or the privacy officer.

Anybody who reaches the control socket sees it redacted. Unredacted it is who phoned whom (KSF15-1.1a), to find a fault
(FAQ-B.2): so it needs a grant like any other (KSF15-3.3.2), a reason in words, and an entry before anything is shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from qm_sip.policy import reasons
from qm_sip.policy.facts import PersonId, Reason
from qm_sip.policy.grants import grant_lacks

if TYPE_CHECKING:
    from qm_sip.config import Config


def cannot_trace(config: Config, person: PersonId, now: datetime) -> Reason | None:
    """Return why this person may not; None: he may."""
    if person and person == config.regulation.regulation.officer:
        return None
    monitor = config.people.monitor.get(person)
    if monitor is None or "trace" not in monitor.may:
        return reasons.TRACE_NOT_GRANTED
    return grant_lacks(monitor, person, now.date())
