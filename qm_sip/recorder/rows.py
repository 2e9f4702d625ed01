"""What the catalog is given: the facts of a call and of a recording, as values (people, section 3A).

A fact may be unknown, but it has its place: what is sealed or tagged cannot be added later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from qm_sip.policy.facts import CallFacts, CallId, Decision, Digest, Party, PersonId, Reason, Version


class State(StrEnum):
    """Where a recording is. Only `sealed` and `sealed-journal` can be opened, and only by a recipient."""

    OPEN = "open"  # the engine keeps it
    CLOSED = "closed"  # its journal is whole and waits to be rendered
    SEALED = "sealed"  # rendered, sealed, its journal destroyed
    SEALED_JOURNAL = "sealed-journal"  # the power was cut: the journal is the sealed recording
    FAILED = "failed"  # nothing was kept, or it is gone
    QUARANTINED = "quarantined"  # three renderers failed on it
    DESTROYED = "destroyed"


UNFINISHED = (State.OPEN, State.CLOSED)


@dataclass(frozen=True)
class PartyRow:
    """A party and what only the catalog needs of it."""

    party: Party
    language: str | None = None  # used towards it
    manager: PersonId | None = None  # direct manager at that time (KSF15-4.5)
    notice_version: str | None = None  # of the notice given to the agent beforehand (KSF15-3.7.3)
    population: str | None = None  # why this person may be monitored (KSF15-3.2a)
    confidential_scope: str | None = None


@dataclass(frozen=True)
class CallRow:
    """A call as it begins. Without `parties` those of the facts stand, with nothing more known."""

    facts: CallFacts
    run: str
    zone: str | None = None  # of the wall clock, beside UTC (WP-27)
    parties: Sequence[PartyRow] = ()

    def all_parties(self) -> Sequence[PartyRow]:
        return self.parties or [PartyRow(party) for party in self.facts.parties]


@dataclass(frozen=True)
class RecordingRow:
    """A recording before its first sample: everything that may not be edited afterwards (I3)."""

    id: str
    call: CallId
    decision: Decision
    party: str  # id of the agent's party
    person: PersonId | None
    started: datetime
    regulation: Version | None
    announcement: tuple[Digest, ...]
    recipients: Mapping[str, Sequence[str]]  # purpose -> age recipients
    draw: str | None = None
    seed: str | None = None
    derived_from: str | None = None

    def journal_header(self) -> dict[str, Any]:
        """What `OpenTap.header` must carry: it is sealed into the journal and becomes the file's tags."""
        return {
            "recording": self.id,
            "call": self.call,
            "class": str(self.decision.cls) if self.decision.cls else None,
            "cause": str(self.decision.cause),
            "regulation": self.regulation,
            "announcement": list(self.announcement),
            "destroy_by": {
                purpose.name: purpose.destroy_by.isoformat() for purpose in self.decision.purposes
            },
        }


@dataclass(frozen=True)
class Objection:
    """A party does not want to be recorded, or heard, or neither (WP-26 has two halves)."""

    party: str
    use: str
    how: str  # key | said-to-agent | list | recordpref
    since: datetime


@dataclass(frozen=True)
class SessionRow:
    """Somebody asked to listen in, and what was decided (people, section 3A: listener)."""

    id: str
    agent: PersonId | None
    monitor: PersonId | None
    account: str
    device: str | None
    capacity: str  # monitor | peer | client | trainer
    purpose: str | None
    requested: datetime
    decided: datetime
    allowed: bool
    reasons: Sequence[Reason]
    call: CallId | None = None
    plan: str | None = None
    grant: str | None = None


@dataclass(frozen=True)
class PresetRow:
    """The next call, or every call until then, is private: this person's, or where none is known this device's."""

    person: PersonId | None
    device: str | None
    mode: str  # next-call | until-off
    until: datetime


@dataclass(frozen=True)
class Recording:
    """A recording as the catalog knows it, opened for reading."""

    id: str
    call: str
    state: State
    cls: str | None
    party: str
    person: str | None
    started: datetime | None  # None: it is gone, and so is who and when
    purposes: Mapping[str, datetime | None]  # purpose -> destroy-by
    recipients: Mapping[str, Sequence[str]]
    wrapped: Mapping[str, str]
    restricted: bool
    regulation: str | None
    announcement: Sequence[str]
    file: str | None
    sha256: str | None
    sealed_sha256: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)  # the other clear columns
