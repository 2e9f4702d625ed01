"""Where a call's media goes: untouched, direct between the parties, or through the tapped relay here.

Only a call of which something may be kept or heard, once everybody has been told, brings its media here
(KSF15-2.1d).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from qm_sip.policy.facts import CallFacts, LineKind, Reason, Use
from qm_sip.policy.gate import decide

if TYPE_CHECKING:
    from qm_sip.config import Config


class MediaPath(StrEnum):
    UNTOUCHED = "untouched"  # emergency: no prompt, no delay, no party in any row; media direct
    DIRECT = "direct"  # each side's SDP is handed to the other; no socket is opened here
    RELAY = "relay"  # the tapped relay


def media_path(config: Config, facts: CallFacts) -> MediaPath:
    """Say where the media of this call goes."""
    return media_path_and_reasons(config, facts)[0]


def media_path_and_reasons(config: Config, facts: CallFacts) -> tuple[MediaPath, tuple[Reason, ...]]:
    """Say where the media of this call goes, and why: for a relay what allows it, else what forbids a
    recording.
    """
    decisions = [decide(config, facts, use, suppose_told=True) for use in Use]
    for decision in decisions:
        if decision.allowed:
            return MediaPath.RELAY, decision.reasons
    path = MediaPath.UNTOUCHED if facts.kind is LineKind.EMERGENCY else MediaPath.DIRECT
    return path, decisions[0].reasons
