"""May this person use this recording for this purpose? Asked, and entered in `uses`, before anything is shown.

What a grant allows is decided in `policy/playback.py`; here stands what only the recording itself knows: whether it is
still there, whether it is restricted, and whose it is. An agent may always inspect the recordings made of him
(WP-23): that needs no grant, only that it is he.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qm_sip.config import Config
from qm_sip.policy.facts import PersonId, Reason
from qm_sip.policy.playback import Action, decide_playback
from qm_sip.recorder.rows import Recording, State

INSPECTION = "inspection"  # the purpose an agent gives for looking at his own

GONE = Reason("recording-gone", "KSF15-4.9")
RESTRICTED = Reason("recording-restricted", "FAQ-A.4")
OWN = Reason("own-recording", "WP-23")


@dataclass(frozen=True)
class Permission:
    """The answer, with its reason."""

    allowed: bool
    reason: Reason


def permit(
    config: Config, recording: Recording, person: PersonId, purpose: str, action: Action, now: datetime
) -> Permission:
    """Decide. `purpose` must be one the recording was made for; only its own agent may say `inspection`."""
    if recording.state in (State.DESTROYED, State.FAILED):
        return Permission(False, GONE)
    if recording.person is not None and person == recording.person and purpose == INSPECTION:
        return Permission(True, OWN)
    answer = decide_playback(
        config,
        person,
        purpose,
        action,
        recorded_for=recording.purposes,
        destroy_by=recording.purposes.get(purpose),
        now=now,
    )
    if answer.allowed and recording.restricted:
        return Permission(False, RESTRICTED)
    return Permission(answer.allowed, answer.reason)
