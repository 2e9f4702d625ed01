"""Who may use a recording for what: no by default, a reason each time, an agent always his own."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qm_sip.config import Config
from qm_sip.config.people import Monitor, People
from qm_sip.policy import reasons
from qm_sip.policy.facts import PersonId, Reason
from qm_sip.policy.playback import Action
from qm_sip.recorder.permit import permit
from qm_sip.recorder.rows import Recording, State
from tests.recorder.facts import DESTROY_BY, recording_row
from tests.recorder.stage import catalog_in, enter, store_in

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

GRANT: dict[str, Any] = {
    "purposes": ("coaching",),
    "may": ("play",),
    "granted_by": "manager-devries",
    "granted": date(2026, 1, 5),
    "secrecy_signed": date(2026, 1, 4),
}


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    store_in(tmp_path)
    catalog = catalog_in(tmp_path)
    enter(catalog, "rec-1")
    found = catalog.recording("rec-1")
    catalog.close()
    assert found is not None
    assert found.person == recording_row().person
    return replace(found, state=State.SEALED)


def ask(
    recording: Recording,
    *,
    person: str = "coach",
    purpose: str = "coaching",
    action: Action = "play",
    now: datetime = NOW,
    **grant: Any,
) -> tuple[bool, str]:
    people = People(monitor={"coach": Monitor(**GRANT | grant)})
    config = cast(Config, SimpleNamespace(people=people))
    answer = permit(config, recording, PersonId(person), purpose, action, now)
    return answer.allowed, answer.reason.code


def test_who_was_granted_it_may(recording: Recording) -> None:
    assert ask(recording) == (True, reasons.GRANTED.code)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"person": "nobody"}, reasons.PLAYER_UNKNOWN),
        ({"purpose": "assessment", "purposes": ("assessment",)}, reasons.RECORDED_FOR_OTHER),
        ({"purposes": ("complaint",)}, reasons.PLAYER_NOT_FOR_PURPOSE),
        ({"action": "export"}, reasons.EXPORT_NOT_GRANTED),
        ({"secrecy_signed": None}, reasons.SECRECY_NOT_SIGNED),
        ({"granted": date(2025, 9, 10)}, reasons.GRANT_EXPIRED),
        ({"now": DESTROY_BY}, reasons.DESTROY_BY_PASSED),
    ],
)
def test_what_the_grant_does_not_allow_the_recording_does_not(
    recording: Recording, asked: dict[str, Any], reason: Reason
) -> None:
    assert ask(recording, **asked) == (False, reason.code)


def test_an_agent_may_always_inspect_his_own(recording: Recording) -> None:
    mine = replace(recording, restricted=True)
    assert ask(mine, person="person-jansen", purpose="inspection") == (True, "own-recording")


def test_nobody_inspects_anothers(recording: Recording) -> None:
    assert not ask(recording, purpose="inspection")[0]
    assert not ask(replace(recording, person=None), person="person-jansen", purpose="inspection")[0]


def test_being_the_agent_gives_no_other_purpose(recording: Recording) -> None:
    assert ask(recording, person="person-jansen") == (False, reasons.PLAYER_UNKNOWN.code)


def test_what_is_restricted_is_not_used(recording: Recording) -> None:
    assert ask(replace(recording, restricted=True)) == (False, "recording-restricted")


@pytest.mark.parametrize("state", [State.DESTROYED, State.FAILED])
def test_what_is_gone_is_gone_for_everybody(recording: Recording, state: State) -> None:
    gone = replace(recording, state=state)
    for person, purpose in (("coach", "coaching"), ("person-jansen", "inspection")):
        assert ask(gone, person=person, purpose=purpose) == (False, "recording-gone")
