"""What a call asks to be written down: one small value for each thing the catalog must know.

The call does not know where these go. A confidential or emergency call hands them to nobody (`book.Blank`),
so no row, ledger line or log can name it (invariant I8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from qm_sip.call.spans import Span
from qm_sip.media import protocol
from qm_sip.policy.facts import CallFacts, CallId, Decision, Outcome, Party, PersonId, Reason, Role, Told, Use


@dataclass(frozen=True)
class OpenRow:
    """The call exists. Answered by `RowOpened` once it is durable, which is before the first final answer."""

    facts: CallFacts


@dataclass(frozen=True)
class NoteDecision:
    call: CallId
    decision: Decision
    at: float
    about: str  # the question: "if-told" (may it, once everybody is told?), "recording", "new-agent"


@dataclass(frozen=True)
class NoteTold:
    call: CallId
    party: str
    told: Told


@dataclass(frozen=True)
class NoteParty:
    call: CallId
    party: Party


@dataclass(frozen=True)
class NoteTransfer:
    """A leg of the call has gone and another has come, or the other side was sent elsewhere; who, by his role alone."""

    call: CallId
    at_ms: int  # from the call's start
    how: str  # blind | attended | taken-over | picked-up | passed
    gone: Role | None
    came: Role | None  # None: he is somewhere else now, or it is a private call


@dataclass(frozen=True)
class NoteSpans:
    """The spans so far, at each change: what a crash would otherwise take."""

    call: CallId
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class OpenRecording:
    """A recording is decided, of one agent and one class (3B.1). Answered by `RecordingOpened` once that is
    durable, which is before the engine is asked for a tap: no sample is kept before it stands fixed why (I3).
    """

    call: CallId
    recording: str
    decision: Decision
    agent: Party | None
    told: tuple[Told, ...]
    recipients: Mapping[str, Sequence[str]]  # purpose -> age recipients, of the settings the call began with


@dataclass(frozen=True)
class CloseRecording:
    """The journal is closed and synced: it can be rendered."""

    call: CallId
    recording: str
    closed: protocol.TapClosed


@dataclass(frozen=True)
class LoseRecording:
    """No more can be kept, in the middle of it; what was kept so far is rendered, and the loss is an outcome
    (I9).
    """

    call: CallId
    recording: str
    reason: str


@dataclass(frozen=True)
class DropRecording:
    """The engine refused the tap: nothing was kept."""

    call: CallId
    recording: str
    reason: str


@dataclass(frozen=True)
class NoteObjection:
    """A party does not want to be recorded, or heard, or neither (WP-26 has two halves)."""

    call: CallId
    party: str
    uses: frozenset[Use]
    how: str  # key | said-to-agent | list | recordpref
    at: float


@dataclass(frozen=True)
class CondemnRecording:
    """It has to go, in whatever state it is. A tomb is written and synced at once, so that no crash brings it back
    (I7); nothing renders it any more. `DestroyRecording` follows when the engine has let go of it.
    """

    call: CallId
    recording: str
    reason: str


@dataclass(frozen=True)
class DestroyRecording:
    """Destroy it: wrapped keys, key, journal, sealed file. Answered by `RecordingDestroyed` once nothing of it is left
    and that is durable: only then may anybody be told that it is erased; by `DestroyFailed` else.
    """

    call: CallId
    recording: str
    reason: str


@dataclass(frozen=True)
class NotePrivate:
    """The agent made the call private. Said at once, and again when the media takes another path."""

    call: CallId
    since_ms: int  # from the call's start
    cut_ms: int  # how far the cut reached back
    path: str | None = None  # direct | blind-relay | None: it still comes here, and nothing is kept of it
    direct_ms: int | None = None  # since when the last packet came here, from the call's start


@dataclass(frozen=True)
class Listening:
    """Somebody asked to listen to an agent's calls, and what was decided. Times are monotonic seconds."""

    session: str
    agent: PersonId | None  # None: no person is known by the extension that was dialled
    monitor: PersonId | None
    account: str  # who authenticated: a SIP account, or the Unix user of a command
    device: str | None
    capacity: str  # monitor | peer | client | trainer
    purpose: str | None
    requested: float
    decided: float
    allowed: bool
    reasons: tuple[Reason, ...]
    call: CallId | None = None  # None: refused, or it waits for the agent's next call
    plan: str | None = None
    grant: str | None = None  # which section of people.toml, and which version of that file


@dataclass(frozen=True)
class OpenSession:
    """Answered by `SessionOpened` once it is durable, which is before the agent hears the notice. Also for a refusal,
    which is a session that was not allowed.
    """

    row: Listening


@dataclass(frozen=True)
class NoteSession:
    """What has become known of a session; None: nothing new of that. Times are monotonic seconds."""

    session: str
    call: CallId | None = None
    notice_began: float | None = None
    notice_ended: float | None = None
    first: float | None = None  # the first sample that was heard


@dataclass(frozen=True)
class CloseSession:
    """It is over. If anything was heard, the agent is owed a notice afterwards (FAQ-A.8)."""

    session: str
    at: float
    ended_by: str  # listener | private | objected | call-ended | session-max | cap | server-died ...
    last: float | None = None  # the last sample that was heard
    heard_ms: int = 0  # without interruptions


@dataclass(frozen=True)
class SetPreset:
    """The agent's next call, or every call until he says so, is private. At least one of person and device is known."""

    person: PersonId | None
    device: str | None
    mode: str  # next-call | until-off
    until: datetime  # UTC: it ends by itself


@dataclass(frozen=True)
class ClearPreset:
    """It has been used, has run out, or was taken back on the agent's own phone."""

    person: PersonId | None
    device: str | None


@dataclass(frozen=True)
class FinishRow:
    """The call has ended and its journals are closed: spans that add up, and the one outcome."""

    call: CallId
    started: float
    answered: float | None
    ended: float
    spans: tuple[Span, ...]
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class CountConfidential:
    """One more confidential call today. Nothing else is known of it."""


@dataclass(frozen=True)
class ForgetCall:
    """The call turned out to be confidential before anything of it was to be kept: only the count is left."""

    call: CallId


Word = (
    OpenRow
    | NoteDecision
    | NoteTold
    | NoteParty
    | NoteTransfer
    | NoteSpans
    | OpenRecording
    | CloseRecording
    | LoseRecording
    | DropRecording
    | NoteObjection
    | CondemnRecording
    | DestroyRecording
    | NotePrivate
    | OpenSession
    | NoteSession
    | CloseSession
    | SetPreset
    | ClearPreset
    | FinishRow
    | CountConfidential
    | ForgetCall
)


class Keeper(Protocol):
    """Whoever writes down what calls say."""

    def keep(self, word: Word) -> None: ...


# ------------------------------------------------------------- what the keeper tells the call back


@dataclass(frozen=True)
class RowOpened:
    """The row of the call is on disk."""

    call: CallId


@dataclass(frozen=True)
class RowFailed:
    """The row could not be written: the call goes on, unrecorded (I9)."""

    call: CallId
    reason: str


@dataclass(frozen=True)
class RecordingOpened:
    """Why this recording exists is on disk: the tap may be opened."""

    call: CallId
    recording: str


@dataclass(frozen=True)
class RecordingFailed:
    """The recording could not be entered: it will not be made (I3, I9)."""

    call: CallId
    recording: str
    reason: str


@dataclass(frozen=True)
class RecordingDestroyed:
    """Nothing is left of it, and that is durable: what K15 says is true now."""

    call: CallId
    recording: str


@dataclass(frozen=True)
class DestroyFailed:
    """It is not destroyed yet, and nobody may be told that it is. Its tomb stands: it is tried again."""

    call: CallId
    recording: str
    reason: str


@dataclass(frozen=True)
class SessionOpened:
    """Who listens to whom, and why, is on disk: the notice may be given."""

    session: str
    call: CallId | None


@dataclass(frozen=True)
class SessionFailed:
    """The session could not be entered: nobody will listen (A.8 could not be met)."""

    session: str
    call: CallId | None
    reason: str


KeeperEvent = (
    RowOpened
    | RowFailed
    | RecordingOpened
    | RecordingFailed
    | RecordingDestroyed
    | DestroyFailed
    | SessionOpened
    | SessionFailed
)
