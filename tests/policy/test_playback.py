"""Who may play or take out a recording that exists: both sides of each boundary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from qm_sip.policy.facts import PersonId
from qm_sip.policy.playback import decide_playback
from tests.policy.site import NOON, changed, site

GOOD: dict[str, Any] = {
    "person": "m1",
    "purpose": "coaching",
    "action": "play",
    "recorded_for": ("coaching",),
    "destroy_by": datetime(2026, 5, 2, tzinfo=UTC),
    "now": NOON,
}


def ask(**changes: Any) -> tuple[bool, str]:
    question = {**GOOD, **changes}
    config = changed(site(), question.pop("settings", {}))
    person, purpose, action = (question.pop(key) for key in ("person", "purpose", "action"))
    answer = decide_playback(config, PersonId(person), purpose, action, **question)
    return answer.allowed, answer.reason.code


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"action": "export"},
        {"recorded_for": ("process_improvement", "coaching")},
        {"person": "m3", "now": datetime(2026, 2, 4, 23, 59, tzinfo=UTC)},
        {"now": datetime(2026, 1, 5, tzinfo=UTC)},
        {"now": datetime(2026, 5, 1, 23, 59, tzinfo=UTC)},
        {"destroy_by": None},
        {"destroy_by": None, "now": datetime(2026, 5, 31, tzinfo=UTC)},
    ],
)
def test_granted(changes: dict[str, Any]) -> None:
    assert ask(**changes) == (True, "granted")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"person": "a1"}, "player-unknown"),
        ({"person": "m9"}, "player-unknown"),
        ({"person": "m4"}, "grant-missing"),
        ({"settings": {"people/monitor/m1/granted_by": "m1"}}, "grant-missing"),
        ({"settings": {"people/monitor/m1/granted_by": ""}}, "grant-missing"),
        ({"person": "m3", "now": datetime(2026, 2, 5, tzinfo=UTC)}, "grant-expired"),
        ({"now": datetime(2026, 1, 4, tzinfo=UTC)}, "grant-expired"),
        ({"person": "m2"}, "secrecy-not-signed"),
        ({"person": "manager"}, "player-unknown"),  # may listen live, and play nothing
        ({"person": "manager", "action": "export"}, "export-not-granted"),
        ({"settings": {"people/monitor/m1/modes": ["live"]}}, "mode-not-granted"),
        ({"destroy_by": None, "now": datetime(2026, 6, 1, tzinfo=UTC)}, "not-qualified"),
        ({"purpose": "assessment", "recorded_for": ("assessment",)}, "player-not-for-purpose"),
        ({"person": "m3", "action": "export", "now": datetime(2026, 2, 1, tzinfo=UTC)}, "export-not-granted"),
        ({"recorded_for": ("process_improvement",)}, "recorded-for-other"),
        ({"recorded_for": ()}, "recorded-for-other"),
        ({"now": datetime(2026, 5, 2, tzinfo=UTC)}, "destroy-by-passed"),
    ],
)
def test_refused(changes: dict[str, Any], code: str) -> None:
    assert ask(**changes) == (False, code)
