"""What everybody who listens or plays must have: a manager's grant that has not expired, secrecy signed, the skill."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from qm_sip.policy import reasons
from qm_sip.policy.facts import PersonId, Reason

if TYPE_CHECKING:
    from qm_sip.config import Monitor


def grant_lacks(monitor: Monitor, person: PersonId, today: date) -> Reason | None:
    """Return what a person's grant lacks on that day; None: nothing (KSF15-3.3.2, 3.3.5, WP-14a)."""
    if monitor.granted is None or not monitor.granted_by or monitor.granted_by == person:
        return reasons.GRANT_MISSING
    if not monitor.granted <= today < monitor.expires.after(monitor.granted):
        return reasons.GRANT_EXPIRED
    if monitor.secrecy_signed is None or monitor.secrecy_signed > today:
        return reasons.SECRECY_NOT_SIGNED
    if monitor.qualified_until is not None and monitor.qualified_until < today:
        return reasons.NOT_QUALIFIED
    return None
