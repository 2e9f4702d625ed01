"""A reason is a sentence wherever it is shown, and the same sentence as on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qm_sip.call import reasons as of_calls
from qm_sip.control.telling import OF_CALLS, sentence

PAGE = (Path(__file__).parents[2] / "docs/rules.md").read_text()


@pytest.mark.parametrize("reason", of_calls.ALL, ids=lambda reason: reason.code)
def test_what_arises_in_a_call_is_told_in_the_words_of_the_page(reason: of_calls.Reason) -> None:
    assert f"| `{reason.code}` | {reason.requirement} | {OF_CALLS[reason.code]} |" in PAGE


@pytest.mark.parametrize("code", ["recorded", "server-died"])
def test_what_only_an_outcome_says_is_on_the_page_too(code: str) -> None:
    assert re.search(rf"^\| `{code}` \| {re.escape(OF_CALLS[code])} \|$", PAGE, re.M)


def test_a_reason_without_a_requirement_shows_no_empty_brackets() -> None:
    assert sentence("recorded", "") == f"recorded: {OF_CALLS['recorded']}"
    assert sentence("something-new", "") == "something-new"
    assert sentence("something-new", "I9") == "something-new (I9)"
