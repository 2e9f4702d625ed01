"""The table: which header crosses from one leg to the other, in which messages, and in which shape.

A peer is trusted or it is not (`peers.X.trusted`); so there are three ways to cross:

* *within*: both peers are trusted. What names people, and what is no business of ours, goes along.
* *out*: from a trusted peer to one that is not, a carrier. Nothing may tell it who and where our people are.
* *in*: from a peer that is not trusted, to whomever. What a stranger asserts is not passed on as if we believed it.

What stands in no row is stripped. What belongs to a hop or a dialog (`qm_sip.sip.hop`) is written anew on each leg and
can never be copied. `docs/headers.md` is written from this table, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class In(StrEnum):
    """The messages that are told apart."""

    INVITE = "INVITE"
    PROGRESS = "18x"
    ANSWER = "200"
    OFFER = "re-INVITE, UPDATE"  # and their answers
    ENDING = "BYE, CANCEL"
    FAILURE = "failure"
    INFO = "INFO"
    MESSAGE = "MESSAGE"
    REFER = "REFER"


class Does(StrEnum):
    """What becomes of a header. The value is how the page names it."""

    COPY = "copy"  # every line, in order, as it came
    STRIP = "strip"
    LISTED = "if listed"  # stripped, unless the peer that is not trusted names it in its `carry`
    ASSERT = "if `send_identity`"  # at our own address, and never if privacy was asked for
    TOKENS = "checked"  # only the words that the RFC knows
    CAUSE = "cause only"  # protocol and cause; no text
    NUMBER = "number only"
    IDENTITY = "as P-Asserted-Identity"
    OURS = "ours"  # made here, the same for both legs
    MAPPED = "mapped"  # by whoever carries out the transfer; otherwise stripped


class Across(StrEnum):
    WITHIN = "within"
    OUT = "out"
    IN = "in"


@dataclass(frozen=True)
class Rule:
    """One row."""

    name: str
    messages: frozenset[In]
    within: Does
    out: Does
    in_: Does
    why: str
    personal: bool = False  # names a person: never goes out if he asked for privacy
    emergency: bool = False  # on an emergency call it is copied, whoever the peers are

    def does(self, across: Across) -> Does:
        return {Across.WITHIN: self.within, Across.OUT: self.out, Across.IN: self.in_}[across]


_ALL: Final = frozenset(In)
_WHO: Final = frozenset({In.INVITE, In.PROGRESS, In.ANSWER, In.OFFER})
_ASKS: Final = frozenset({In.INVITE, In.MESSAGE})
_SETUP: Final = frozenset({In.INVITE, In.PROGRESS, In.ANSWER})
_END: Final = frozenset({In.ENDING, In.FAILURE})
_INVITE, _REFER, _INFO = frozenset({In.INVITE}), frozenset({In.REFER}), frozenset({In.INFO})
_COPY, _STRIP, _LISTED = Does.COPY, Does.STRIP, Does.LISTED


def _plain(name: str, messages: frozenset[In], why: str, **more: bool) -> Rule:
    """What goes along within trust, and elsewhere only where a peer's `carry` says so."""
    return Rule(name, messages, _COPY, _LISTED, _LISTED, why, **more)


def _alike(name: str, messages: frozenset[In], does: Does, why: str) -> Rule:
    return Rule(name, messages, does, does, does, why)


TABLE: Final = (
    # ---- who somebody is
    Rule("P-Asserted-Identity", _WHO | {In.MESSAGE}, _COPY, Does.ASSERT, _STRIP, "RFC 3325 5", personal=True),
    _alike("P-Preferred-Identity", _ALL, _STRIP, "RFC 3325 9.2: a phone's wish; no phone logs in here"),
    Rule(
        "Remote-Party-ID",
        _WHO,
        Does.IDENTITY,
        Does.ASSERT,
        _STRIP,
        "older; read if `remote_party_id`",
        personal=True,
    ),
    _alike("Privacy", _WHO | {In.MESSAGE}, Does.TOKENS, "RFC 3323 4.2: a wish goes on to everybody"),
    _plain("Diversion", _INVITE, "RFC 5806: the newest first", personal=True),
    _plain("History-Info", _SETUP, "RFC 7044: order and index as they came", personal=True),
    _plain("Referred-By", _INVITE, "RFC 3892: who transfers", personal=True),
    _plain("Identity", _INVITE, "RFC 8224: signs numbers and Date"),
    _plain("Date", _INVITE, "RFC 3261 20.17: signed by Identity"),
    # ---- which call it is
    _alike("Session-ID", _ALL, Does.OURS, "RFC 7989: both legs show one pair"),
    _plain("User-to-User", _SETUP | {In.ENDING}, "RFC 7433", personal=True),
    # ---- what it is about
    _plain("Subject", _ASKS, "RFC 3261 20.36", personal=True),
    _plain("Organization", _SETUP, "RFC 3261 20.25", personal=True),
    _plain("Priority", _ASKS, "RFC 3261 20.26"),
    _plain("Accept-Language", _INVITE, "RFC 3261 20.3"),
    _plain("Call-Info", _SETUP, "RFC 3261 20.9", personal=True),
    _plain("Alert-Info", frozenset({In.INVITE, In.PROGRESS}), "RFC 7462: how it rings"),
    _plain("Answer-Mode", _INVITE, "RFC 5373"),
    _plain("P-Early-Media", frozenset({In.PROGRESS}), "RFC 5009"),
    # ---- calls for help
    _plain("Geolocation", _INVITE, "RFC 6442", personal=True, emergency=True),
    _plain("Geolocation-Routing", _INVITE, "RFC 6442", emergency=True),
    _plain("Resource-Priority", _INVITE, "RFC 4412", emergency=True),
    # ---- why it ended
    Rule("Reason", _END, _COPY, Does.CAUSE, Does.CAUSE, "RFC 3326, RFC 6432; the text could name a host"),
    _alike("Retry-After", frozenset({In.FAILURE}), Does.NUMBER, "RFC 3261 20.33"),
    Rule("Warning", frozenset({In.FAILURE}), _COPY, _STRIP, _STRIP, "RFC 3261 20.43: names a host"),
    # ---- in the dialog
    Rule("Recv-Info", _SETUP | {In.OFFER}, _COPY, _STRIP, _STRIP, "RFC 6086 5.2.2"),
    Rule("Info-Package", _INFO, _COPY, _STRIP, _STRIP, "RFC 6086 4.2.1: 469 where it does not pass"),
    # ---- what names the other leg's dialog
    _alike("Replaces", _INVITE, Does.MAPPED, "RFC 3891"),
    _alike("Join", _INVITE, Does.MAPPED, "RFC 3911"),
    _alike("Target-Dialog", _INVITE | _REFER, Does.MAPPED, "RFC 4538"),
    _alike("Refer-To", _REFER, Does.MAPPED, "RFC 3515"),
    _alike("Refer-Sub", _REFER, Does.MAPPED, "RFC 4488"),
)

BY_KEY: Final = {rule.name.lower(): rule for rule in TABLE}
