"""What a call must carry, as values: facts in, decision out. Shapes from the domain's section 3C.

A field may be unknown (`None`, `"unknown"`), but it is there: whatever is sealed, tagged or held by the
engine cannot be added to old calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from qm_sip.private import Private

CallId = NewType("CallId", str)  # ours, random, carries no time and no party
PersonId = NewType("PersonId", str)
Version = NewType("Version", str)  # "sha256:..." of the configuration file in force
Digest = NewType("Digest", str)  # hex SHA-256


class Use(StrEnum):
    """What live audio may be used for. A gate opens for one use at a time (I2, I4)."""

    RECORD = "record"
    LISTEN = "listen"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class LineKind(StrEnum):
    CUSTOMER_FACING = "customer-facing"
    UNLISTED = "unlisted"
    PRIVATE = "private"
    CONFIDENTIAL = "confidential"
    EMERGENCY = "emergency"


class Role(StrEnum):
    CUSTOMER = "customer"
    AGENT = "agent"
    THIRD = "third"
    COLLEAGUE = "colleague"
    MONITOR = "monitor"
    CLIENT = "client"
    PEER = "peer"
    TRAINER = "trainer"
    MACHINE = "machine"


class How(StrEnum):
    """How an outside party was told."""

    PROMPT = "prompt"
    RECEIPT = "receipt"
    TERMS = "terms"
    BY_AGENT = "by-agent"


class Kind(StrEnum):
    """Kind of person a legal ground is towards (KSF15-2.1c, G1)."""

    AGENT = "agent"
    CUSTOMER = "customer"


class RecordingClass(StrEnum):
    LOGGING = "logging"
    QUALITY = "quality"


class Cause(StrEnum):
    """Why a recording exists (KSF15-0.2)."""

    NONE = "none"
    ALL = "all"
    SAMPLE = "sample"
    ON_REQUEST = "on-request"
    TRIGGER = "trigger"


class SpanState(StrEnum):
    """A stretch of a call in one state. Spans of a call add up to its length (I8)."""

    UNTOLD = "untold"
    TOLD = "told"
    RECORDED = "recorded"
    NOT_SELECTED = "not-selected"
    PRIVATE = "private"
    HOLD = "hold"
    PAUSE = "pause"
    OBJECTED = "objected"
    REFUSED = "refused"
    FAILED = "failed"


class Outcome(StrEnum):
    RECORDED = "recorded"
    BYPASSED = "bypassed"
    BLOCKED = "blocked"
    FAILED = "failed"


class Tell(StrEnum):
    """Who may be told a reason."""

    SPOKEN = "spoken"
    AGENT = "agent"
    OFFICER = "officer"
    COUNCIL = "council"
    ADMIN = "admin"


@dataclass(frozen=True)
class Reason:
    """One reason of a decision. `code` is stable: scripts and lawyers quote it (docs/rules.md lists all)."""

    code: str
    requirement: str
    tell: frozenset[Tell] = frozenset({Tell.AGENT, Tell.OFFICER, Tell.COUNCIL, Tell.ADMIN})


@dataclass(frozen=True)
class Told:
    """What one outside party has been told, by whom, how. Times are seconds on the engine's monotonic clock."""

    identity: str
    uses: frozenset[Use]
    purposes: frozenset[str]
    language: str
    how: How
    prompt: Digest | None
    began: float
    ended: float
    packets: int
    document: str | None = None


@dataclass(frozen=True)
class Party:
    id: str
    role: Role
    outside: bool
    person: PersonId | None = None
    device: str | None = None
    known_by: str | None = None  # static | login | header | ami
    mandated_by: str | None = None
    joined: float = 0.0
    left: float | None = None
    address: Private[str] | None = None
    told: tuple[Told, ...] = ()
    objects_to: frozenset[Use] = frozenset()


@dataclass(frozen=True)
class Offered:
    """What SIP showed of a new call: the raw material of `CallFacts`. Header names are lower case."""

    peer: str  # name of the [peers.X] section the request came from
    direction: Direction | None  # what the route says; a line may say otherwise
    called: Private[str]  # user part of the Request-URI
    caller: Private[str]  # user part of P-Asserted-Identity, else From
    diverted_from: tuple[Private[str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)  # the configured X- headers, as received
    also: tuple[Private[str], ...] = ()  # whoever else it names, for the registry: From, To, History-Info
    private: bool = False  # the private prefix was dialled before `called`, which is without it


@dataclass(frozen=True)
class Lot:
    """What a call drew on a line that samples: a number below 2^64, by the seed with this commitment (KSF15-0.2)."""

    commitment: str  # hex SHA-256 of the day's seed
    number: int


@dataclass(frozen=True)
class CallFacts:
    call: CallId
    started: datetime  # UTC
    direction: Direction
    line: str  # name of the line in lines.toml; "default" if no rule named it
    kind: LineKind
    controller: str
    client: str | None
    campaign: str | None
    queue: str | None
    duty: str | None
    must_record: bool
    parties: tuple[Party, ...]
    language: str | None  # asked for
    regulation: Version | None
    lines: Version
    people: Version
    session_id: str | None = None
    linkedid: str | None = None
    private_by_agent: bool = False  # kind is private because the agent wanted this call to be
    requested: bool = False  # the agent asked for a recording (capture on-request)
    lot: Lot | None = None  # on a line that samples; None there: nothing could be drawn
    headers: tuple[tuple[str, str], ...] = ()  # those its line's triggers ask for: lower-case name, value
    heard_for: frozenset[str] = frozenset()  # purposes for which somebody listens now


@dataclass(frozen=True)
class Purpose:
    name: str
    ground: Mapping[Kind, str]
    balancing: str | None
    destroy_by: datetime
    select_by: datetime | None = None
    evaluate_by: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """May this use of this call's audio be made, as what, why, and until when. Never edited afterwards (I3)."""

    use: Use
    allowed: bool
    cls: RecordingClass | None
    purposes: tuple[Purpose, ...]
    cause: Cause
    plan: str | None
    reasons: tuple[Reason, ...]
    trigger: str | None = None  # name of the trigger that was met
    lot: Lot | None = None  # what was drawn

    @property
    def recorded_cause(self) -> str:
        """The cause as it is kept with the recording: `trigger/NAME` names the one that was met."""
        return f"{self.cause}/{self.trigger}" if self.trigger else str(self.cause)

    @property
    def draw(self) -> str | None:
        """The lot as it is kept with the recording: sixteen hex digits."""
        return f"{self.lot.number:016x}" if self.lot else None

    @property
    def seed(self) -> str | None:
        """The commitment to the seed it was drawn by."""
        return self.lot.commitment if self.lot else None
