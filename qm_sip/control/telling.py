"""Reasons as sentences: what a works council could read, with the code that scripts quote."""

from __future__ import annotations

from qm_sip.policy.reasons import MEANINGS


def sentence(code: str, requirement: str) -> str:
    """`capture-all: The line's capture mode is all. (KSF15-0.2)`; without a meaning, the code alone."""
    meaning = MEANINGS.get(code)
    return f"{code}: {meaning} ({requirement})" if meaning else f"{code} ({requirement})"


def refusal(code: str, requirement: str) -> str:
    """The sentence for a refusal, which carries its code apart."""
    meaning = MEANINGS.get(code, code.replace("-", " "))
    return f"{meaning.rstrip('.')} ({requirement})"
