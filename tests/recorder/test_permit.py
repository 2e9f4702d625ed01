"""Who may use a recording for what: no by default, every reason named, an agent always his own."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from qm_sip.config.people import Monitor, People
from qm_sip.recorder.permit import Action, Permission, permit
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
) -> Permission:
    return permit(
        recording, person, purpose, action, People(monitor={"coach": Monitor(**GRANT | grant)}), now
    )


def codes(permission: Permission) -> list[str]:
    return [reason.code for reason in permission.reasons]


@pytest.mark.parametrize("action", ["show", "play", "verify"])
def test_who_was_granted_it_may(recording: Recording, action: Action) -> None:
    answer = ask(recording, action=action)
    assert (answer.allowed, codes(answer)) == (True, ["granted"])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"person": "nobody"}, "not-a-monitor"),
        ({"purpose": "assessment", "purposes": ("assessment",)}, "other-purpose"),
        ({"purposes": ("complaint",)}, "purpose-not-granted"),
        ({"action": "export"}, "action-not-granted"),
        ({"secrecy_signed": None}, "secrecy-not-signed"),
        ({"secrecy_signed": date(2026, 3, 11)}, "secrecy-not-signed"),
        ({"granted": None}, "not-granted-by-a-manager"),
        ({"granted": date(2026, 3, 11)}, "not-granted-by-a-manager"),
        ({"granted_by": ""}, "not-granted-by-a-manager"),
        ({"granted_by": "coach"}, "not-granted-by-a-manager"),
        ({"granted": date(2025, 9, 10)}, "grant-expired"),
        ({"qualified_until": date(2026, 3, 9)}, "qualification-expired"),
        ({"now": DESTROY_BY}, "past-destroy-by"),
    ],
)
def test_each_thing_that_is_missing_is_a_no_with_its_reason(
    recording: Recording, asked: dict[str, Any], code: str
) -> None:
    answer = ask(recording, **asked)
    assert (answer.allowed, codes(answer)) == (False, [code])


def test_both_sides_of_the_day_a_grant_ends(recording: Recording) -> None:
    assert ask(recording, granted=date(2025, 9, 11)).allowed
    assert not ask(recording, granted=date(2025, 9, 10)).allowed


def test_all_that_stands_against_it_is_named(recording: Recording) -> None:
    answer = ask(recording, action="export", secrecy_signed=None, granted_by="")
    assert codes(answer) == ["action-not-granted", "secrecy-not-signed", "not-granted-by-a-manager"]


def test_an_agent_may_always_inspect_his_own(recording: Recording) -> None:
    answer = ask(replace(recording, restricted=True), person="person-jansen", purpose="inspection")
    assert (answer.allowed, codes(answer)) == (True, ["own-recording"])


def test_nobody_inspects_anothers(recording: Recording) -> None:
    assert not ask(recording, purpose="inspection").allowed
    assert not ask(replace(recording, person=None), person="person-jansen", purpose="inspection").allowed


def test_being_the_agent_gives_no_other_purpose(recording: Recording) -> None:
    assert codes(ask(recording, person="person-jansen")) == ["not-a-monitor"]


def test_what_is_restricted_is_not_used(recording: Recording) -> None:
    assert codes(ask(replace(recording, restricted=True))) == ["restricted"]


@pytest.mark.parametrize("state", [State.DESTROYED, State.FAILED])
def test_what_is_gone_is_gone_for_everybody(recording: Recording, state: State) -> None:
    gone = replace(recording, state=state)
    for person, purpose in (("coach", "coaching"), ("person-jansen", "inspection")):
        assert codes(ask(gone, person=person, purpose=purpose)) == ["recording-gone"]
