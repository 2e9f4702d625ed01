"""What a call asks to be written down: one small value for each thing the catalog must know.

The call does not know where these go. A confidential or emergency call hands them to nobody (`book.Blank`),
so no row, ledger line or log can name it (invariant I8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from qm_sip.call.spans import Span
from qm_sip.media import protocol
from qm_sip.policy.facts import CallFacts, CallId, Decision, Outcome, Party, Reason, Told


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
    | NoteSpans
    | OpenRecording
    | CloseRecording
    | LoseRecording
    | DropRecording
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


KeeperEvent = RowOpened | RowFailed | RecordingOpened | RecordingFailed
