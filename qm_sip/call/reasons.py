"""Reasons that arise while a call runs, beside those of policy. Codes are stable (docs/rules.md lists all)."""

from __future__ import annotations

from qm_sip.policy.facts import Reason, Tell

_ALL = frozenset({Tell.AGENT, Tell.OFFICER, Tell.COUNCIL, Tell.ADMIN})

ANNOUNCEMENT_NOT_COMPLETED = Reason("announcement-not-completed", "KSF15-6.6a", _ALL)
PROMPT_MISSING = Reason("prompt-missing", "KSF15-6.6a", _ALL)
CODEC_NOT_RECORDABLE = Reason("codec-not-recordable", "I9", _ALL)
MEDIA_ENCRYPTED = Reason("media-encrypted", "I9", _ALL)
MEDIA_NOT_AUTHENTIC = Reason("media-not-authentic", "I9", _ALL)
MEDIA_ADDRESS = Reason("media-address", "I9", _ALL)
ENGINE_FAILED = Reason("engine-failed", "I9", _ALL)
SERVER_FAULT = Reason("server-fault", "I4", _ALL)
TAP_REFUSED = Reason("tap-refused", "I2", _ALL)
JOURNAL_FAILED = Reason("journal-failed", "I9", _ALL)
NO_LEASE = Reason("no-lease", "I4", _ALL)
NEW_PARTY_NOT_TOLD = Reason("new-party-not-told", "KSF15-6.6a", _ALL)
BECAME_CONFIDENTIAL = Reason("became-confidential", "KSF15-2.1l", frozenset())
ON_HOLD = Reason("hold", "EXT-1", _ALL)
NOT_ANSWERED = Reason("not-answered", "KSF15-2.1d", _ALL)
PEER_UNREACHABLE = Reason("peer-unreachable", "I9", _ALL)
NOTICE_FAILED = Reason("notice-failed", "KSF15-6.4c", _ALL)
NOT_AVAILABLE = Reason("not-available", "KSF15-3.9", frozenset())
RECORDPREF_ON = Reason("recordpref-on", "FAQ-B.7", _ALL)
RECORDPREF_OFF = Reason("recordpref-off", "FAQ-B.7", _ALL)
RECORDPREF_PAUSE = Reason("recordpref-pause", "FAQ-B.7", _ALL)
RECORDED_BY_PBX = Reason("recorded-by-pbx", "KSF15-1.3a", _ALL)
HEARD_BY_PBX = Reason("heard-by-pbx", "KSF15-1.3a", _ALL)
CATALOG_FAILED = Reason("catalog-failed", "I8", _ALL)

ALL: tuple[Reason, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Reason))
