"""Codes are stable and documented: scripts and lawyers quote them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qm_sip.call import reasons as of_calls
from qm_sip.policy import gate, listening, reasons
from qm_sip.policy.facts import Reason, Tell

PAGE = (Path(__file__).parent.parent.parent / "docs/rules.md").read_text()
ROWS = {
    code: rest
    for code, *rest in re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
}
EVERY = (*reasons.ALL.values(), *of_calls.ALL)


@pytest.mark.parametrize("reason", EVERY, ids=lambda reason: reason.code)
def test_every_code_is_on_the_page(reason: Reason) -> None:
    requirement, meaning, tell = ROWS[reason.code]
    assert requirement == reason.requirement
    assert tell == (", ".join(sorted(one.value for one in reason.tell)) or "nobody")
    assert meaning == reasons.MEANINGS.get(reason.code, meaning) and meaning.endswith(".")


def test_the_page_names_no_other_code() -> None:
    assert set(ROWS) == {reason.code for reason in EVERY}


def test_no_code_means_two_things() -> None:
    assert len({reason.code for reason in EVERY}) == len(EVERY)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.code) and reason.requirement for reason in EVERY)


def test_the_page_shows_the_rules_in_their_order() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| [^|]+ \| (\d) \| (yes)? ?\|", PAGE, re.MULTILINE)
    shown = [(int(number), name, int(row), bool(duty)) for number, name, row, duty in rows]
    assert shown == [(n, r.name, r.row, r.yields_to_duty) for n, r in enumerate(gate.RULES, 1)]


def test_the_page_shows_the_rules_of_listening_in_their_order() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [
        (n, rule.name) for n, rule in enumerate(listening.RULES, 1)
    ]


def test_the_page_shows_which_sentence_is_spoken() -> None:
    (said,) = re.findall(r"^What he hears: (.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    shown = {
        code: prompt
        for prompt, codes in re.findall(r"(W\d+)\s+for\s+((?:`[a-z-]+`,?\s*)+)", said)
        for code in re.findall(r"`([a-z-]+)`", codes)
    }
    assert shown == listening.SAID


def test_what_reveals_somebody_is_told_to_nobody() -> None:
    assert (
        reasons.CONFIDENTIAL.tell
        == reasons.EMERGENCY.tell
        == of_calls.BECAME_CONFIDENTIAL.tell
        == frozenset()
    )
    for hidden in (reasons.PRIVATE_CALL, reasons.PRIVATE_LINE, reasons.OBJECTED, reasons.CONFIDENTIAL):
        assert (
            Tell.SPOKEN not in hidden.tell and listening.spoken(hidden) == "W7"
        )  # W7: one answer for all of these
