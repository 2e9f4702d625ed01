"""May this person use this recording for this purpose? Asked, and entered in `uses`, before anything is
shown.

Default is no. Everything that stands against it is a reason, not only the first, so that one look is
enough to mend a grant. An agent may always inspect the recordings made of him (WP-23): that needs no
grant, only that it is he.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from qm_sip.config.people import Monitor, People
from qm_sip.policy.facts import Reason
from qm_sip.recorder.rows import Recording, State

Action = Literal["show", "play", "export", "verify"]

INSPECTION = "inspection"  # the purpose an agent gives for looking at his own

GONE = Reason("recording-gone", "KSF15-4.9")
NO_MONITOR = Reason("not-a-monitor", "KSF15-3.3.1")
OTHER_PURPOSE = Reason("other-purpose", "KSF15-3.4")
PURPOSE_NOT_GRANTED = Reason("purpose-not-granted", "KSF15-3.3.1")
ACTION_NOT_GRANTED = Reason("action-not-granted", "KSF15-3.3.1")
NOT_GRANTED = Reason("not-granted-by-a-manager", "KSF15-3.3.2")
EXPIRED = Reason("grant-expired", "KSF15-3.3.2")
NO_SECRECY = Reason("secrecy-not-signed", "KSF15-3.3.5")
NOT_QUALIFIED = Reason("qualification-expired", "WP-14a")
RESTRICTED = Reason("restricted", "FAQ-A.4")
PAST_DESTROY_BY = Reason("past-destroy-by", "KSF15-2.1i")
GRANTED = Reason("granted", "KSF15-3.3.1")
OWN = Reason("own-recording", "WP-23")


@dataclass(frozen=True)
class Permission:
    """The answer, with every reason for or against."""

    allowed: bool
    reasons: tuple[Reason, ...]


def permit(
    recording: Recording, person: str, purpose: str, action: Action, people: People, now: datetime
) -> Permission:
    """Decide. `purpose` must be one the recording was made for; only its own agent may say `inspection`."""
    if recording.state in (State.DESTROYED, State.FAILED):
        return Permission(False, (GONE,))
    if recording.person is not None and person == recording.person and purpose == INSPECTION:
        return Permission(True, (OWN,))
    against = (*_of_recording(recording, purpose, now), *_of_person(people, person, purpose, action, now))
    return Permission(not against, against or (GRANTED,))


def _of_recording(recording: Recording, purpose: str, now: datetime) -> Iterator[Reason]:
    until = recording.purposes.get(purpose)
    if until is None:
        yield OTHER_PURPOSE
    elif now >= until:
        yield PAST_DESTROY_BY
    if recording.restricted:
        yield RESTRICTED


def _of_person(people: People, person: str, purpose: str, action: Action, now: datetime) -> Iterator[Reason]:
    monitor = people.monitor.get(person)
    if monitor is None:
        yield NO_MONITOR
        return
    if purpose not in monitor.purposes:
        yield PURPOSE_NOT_GRANTED
    if ("export" if action == "export" else "play") not in monitor.may:
        yield ACTION_NOT_GRANTED
    if monitor.secrecy_signed is None or monitor.secrecy_signed > now.date():
        yield NO_SECRECY
    yield from _of_grant(monitor, person, now)


def _of_grant(monitor: Monitor, person: str, now: datetime) -> Iterator[Reason]:
    if monitor.granted is None or monitor.granted > now.date() or monitor.granted_by in ("", person):
        yield NOT_GRANTED
    elif now.date() >= monitor.expires.after(monitor.granted):
        yield EXPIRED
    if monitor.qualified_until is not None and now.date() > monitor.qualified_until:
        yield NOT_QUALIFIED
