"""Reasons as sentences: what a works council could read, with the code that scripts quote."""

from __future__ import annotations

from qm_sip.policy.reasons import MEANINGS

# What arises while a call runs or ends (docs/rules.md has the same sentences).
OF_CALLS = {
    "announcement-not-completed": "The notice did not reach its end: the customer hung up, or the media was lost.",
    "prompt-missing": "No prompt says what the line needs to say, in the language asked for.",
    "codec-not-recordable": "The parties agreed on a codec that cannot be recorded.",
    "media-encrypted": "The audio is encrypted in a way that cannot be opened here.",
    "media-not-authentic": "The audio was not protected with the key that was announced.",
    "media-address": "The caller does not say by number, and of one host, where its audio is to be sent.",
    "engine-failed": "The media engine was not there; the call went on directly.",
    "server-fault": "The server met a fault of its own in this call: what it cannot judge it does not keep.",
    "tap-refused": (
        "The engine refused to keep anything: what it knows was told does not cover what was asked."
    ),
    "journal-failed": "The recording could not be written (disk full, I/O error).",
    "recorded-by-pbx": "Asterisk itself recorded the call (MixMonitor), which nothing here can prevent.",
    "heard-by-pbx": "Asterisk itself let somebody listen (ChanSpy, a snoop), which nothing here can prevent.",
    "no-lease": "The engine heard nothing from the server for three seconds and paused every recording.",
    "new-party-not-told": "Another outside party came into the call and has not been told.",
    "became-confidential": "A confidential party came into the call; from then on only a count exists.",
    "hold": "Somebody is on hold.",
    "not-answered": "Nobody answered: there was nothing to record.",
    "peer-unreachable": "Where the call was to go, nobody answered anything: not the agent's fault.",
    "notice-failed": "The agent could not be told that somebody is about to listen, so nobody listened.",
    "not-available": (
        "There was no call to listen to; private, confidential, objected and idle are told in the same words."
    ),
    "recordpref-on": "A phone asked by recordpref to be recorded; that was noted, and nothing followed from it.",
    "recordpref-off": (
        "A phone asked by recordpref not to be recorded; nothing followed: it is the agent's, or the law requires it."
    ),
    "recordpref-pause": "A phone asked by recordpref for a pause; that was noted, and nothing followed from it.",
    "catalog-failed": "The call could not be entered in the catalog, so nothing of it was recorded.",
    "server-died": "The server was killed while the call ran; what had been entered by then stands.",
    "recorded": "The customer was told to the end, and the call was recorded.",
}


def sentence(code: str, requirement: str) -> str:
    """`capture-all: The line's capture mode is all. (KSF15-0.2)`; without a meaning, the code alone."""
    meaning = MEANINGS.get(code) or OF_CALLS.get(code)
    text = f"{code}: {meaning}" if meaning else code
    return f"{text} ({requirement})" if requirement else text


def refusal(code: str, requirement: str) -> str:
    """The sentence for a refusal, which carries its code apart."""
    meaning = MEANINGS.get(code, code.replace("-", " "))
    return f"{meaning.rstrip('.')} ({requirement})"
