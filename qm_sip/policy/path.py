"""Where a call's media goes: untouched, direct between the parties, or through the tapped relay here.

Only a call of which something may be kept or heard, once everybody has been told, brings its media here
(KSF15-2.1d).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from qm_sip.policy.facts import CallFacts, Decision, LineKind, Use
from qm_sip.policy.gate import decide

if TYPE_CHECKING:
    from qm_sip.config import Config


class MediaPath(StrEnum):
    UNTOUCHED = "untouched"  # emergency: no prompt, no delay, no party in any row; media direct
    DIRECT = "direct"  # each side's SDP is handed to the other; no socket is opened here
    RELAY = "relay"  # the tapped relay


def uses_if_told(config: Config, facts: CallFacts, recording: Decision | None = None) -> frozenset[Use]:
    """Say for what the call's audio could be used, once every outside party has been told. `recording`: what has been
    decided of that use already, supposing the same.
    """
    record = recording or decide(config, facts, Use.RECORD, suppose_told=True)
    listen = decide(config, facts, Use.LISTEN, suppose_told=True)
    return frozenset(decision.use for decision in (record, listen) if decision.allowed)


def path_for(facts: CallFacts, uses: frozenset[Use]) -> MediaPath:
    """Say where the media goes of a call that could be used for this."""
    if uses:
        return MediaPath.RELAY
    return MediaPath.UNTOUCHED if facts.kind is LineKind.EMERGENCY else MediaPath.DIRECT


def media_path(config: Config, facts: CallFacts) -> MediaPath:
    """Say where the media of this call goes."""
    return path_for(facts, uses_if_told(config, facts))
