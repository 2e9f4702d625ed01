"""`lines.toml`: which numbers are which kind of line, and how customers of a line are told.

Everything starts shut: a call no rule names is neither recorded nor heard (KSF15-1.3b).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from qm_sip.config.base import (
    DurationSetting,
    Filled,
    Model,
    Names,
    OptionalDate,
    Table,
    not_built,
)
from qm_sip.config.duration import Duration
from qm_sip.policy.facts import Direction, LineKind

Announce = Literal["before-ring", "on-answer"]
Capture = Literal["none", "all"]


def _language(tag: str) -> str:
    if not (2 <= len(tag) <= 8 and tag.isascii() and tag.isalpha() and tag.islower()):
        raise ValueError(f'{tag!r} is not a language: write "nl" or "en"')
    return tag


Language = Annotated[str, AfterValidator(_language)]


class Default(Model):
    """A call no rule names."""

    kind: Literal["unlisted"] = "unlisted"
    """Neither recorded nor heard."""
    media: Literal["direct"] = "direct"
    """No media socket is opened here."""


class Numbering(Model):
    """How one number can be written in several ways. Numbers are compared in international form."""

    country: Annotated[str, Field(pattern=r"^\d{0,3}$")] = ""
    """Country code that a national number belongs to. Unit: digits. Empty: numbers are compared as
    written.
    """
    national_prefix: Annotated[str, Field(pattern=r"^\d{0,3}$")] = "0"
    """What a national number begins with. Unit: digits."""
    international_prefix: Annotated[str, Field(pattern=r"^\d{1,4}$")] = "00"
    """What an international number begins with instead of +. Unit: digits."""


class Internal(Model):
    """The extensions of our own people. A call between two of them is never customer-facing."""

    extensions: Names = ()
    """Single extensions, besides those of agents and lines."""
    ranges: Names = ()
    """First and last extension. Unit: "1000-1999"."""


class Confidential(Model):
    """A confidential function: works council, company doctor, confidential adviser (KSF15-2.1l)."""

    name: Filled
    """Whose function it is. Shown to the administrator only."""
    numbers: Annotated[Names, Field(min_length=1)]
    """Every number it can be reached at or calls from."""
    reason: Filled
    """Why it is confidential."""
    since: OptionalDate = None
    """Since when. Unit: date."""


class Never(Model):
    """What beats every rule below, on either side of the call."""

    emergency: Names = ("112",)
    """Emergency numbers: no prompt, no delay, no party in any row."""
    confidential: tuple[Confidential, ...] = ()
    """Confidential functions: media direct, and only a count per day."""
    break_room: Names = ()
    """Extensions of phones in the break room: private (WP-17)."""
    private_reach: Names = ()
    """The numbers at which the family reaches an agent: private (WP-17)."""
    blind_relay_confidential: Literal[False] = False
    """Never: a confidential call that cannot go direct is handed back."""


class Customer(Model):
    """What every customer-facing line inherits, and may say otherwise for itself."""

    capture: Annotated[Capture, not_built("sample", "on-request", "trigger")] = "none"
    """Which calls are recorded: none or all (KSF15-0.2)."""
    listen: bool = False
    """Whether live listening may be asked for; the prompt must say so (KSF15-6.6a)."""
    scope: str = ""
    """The scope of regulation.toml this line falls under; needed for class quality (KSF15-1.1b)."""
    controller: str = ""
    """The name that is spoken: who is responsible (KSF15-6.6a). Required where something is recorded or
    heard.
    """
    client: str = ""
    """The client (opdrachtgever) on whose behalf we call, if another (KSF15-6.2)."""
    campaign: str = ""
    """The campaign of that client."""
    purposes: Names = ()
    """What the recording is for; all of one class. Unit: names of [purposes] tables of regulation.toml."""
    prompt: str = ""
    """The prompt that tells it. Unit: id of a prompt."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("nl",)
    """Languages the prompt can be heard in; the first unless the header X-QM-Language names another."""
    announce: Annotated[Announce, not_built("receipt", "already-informed")] = "before-ring"
    """When the customer is told. A line behind a queue must say on-answer."""
    announce_retry: Literal[0] = 0
    """A prompt that failed is not played again: the call goes on unrecorded."""
    prompt_max: DurationSetting = Duration.parse("15s")
    """Advice is given above this length of the prompt. Unit: time."""
    opt_out: bool = True
    """Whether the customer can object. False only with a legal duty or contract evidence (WP-26)."""
    opt_out_key: Literal["9"] = "9"
    """The key that is to object while the notice plays; no key is obeyed yet."""
    hold: Literal["not-recorded"] = "not-recorded"
    """Whoever is on hold is not recorded (AP, August 2023)."""
    consult: Literal["not-recorded"] = "not-recorded"
    """A consultation between staff is not recorded (WP-15)."""
    ringing_ivr: Literal["not-recorded"] = "not-recorded"
    """Ringing and menus are not recorded (KSF15-2.1d)."""
    keypresses: Literal["dropped"] = "dropped"
    """Key presses are never kept (KSF15-2.1d)."""
    agent_unknown: Literal["not-recorded"] = "not-recorded"
    """Without knowing which person it is there is no quality recording (KSF15-3.2a)."""
    new_party: Literal["tell-again"] = "tell-again"
    """A new outside party is told before anything more is kept (KSF15-6.6a)."""
    other_purpose: Literal["tell-again"] = "tell-again"
    """A new purpose is told first, also after a transfer (KSF15-6.6a)."""
    beep: Literal["none"] = "none"
    """No tone repeats that the call is recorded."""
    legal_duty: str = ""
    """The statute that obliges to record (KSF15-6.3a, WP-28). Empty: none."""
    must_record: Literal[False] = False
    """Ending a call that cannot be recorded."""
    already_informed: Literal[""] = ""
    """A document by which customers were informed before (KSF15-6.6c)."""
    spoken_by_agent: Literal[False] = False
    """A notice spoken by the agent himself (FAQ-B.4)."""


class Match(Model):
    """How a line is recognised: by any of these, the most specific first: queue, number, range, prefix,
    trunk.

    A number or extension is the one on our side: called on an inbound call, calling on an outbound one.
    Numbers of confidential and private lines are looked for on both sides.
    """

    numbers: Names = ()
    """Whole numbers. Unit: digits, with or without +."""
    prefixes: Names = ()
    """Beginnings of numbers; the longest wins."""
    ranges: Names = ()
    """First and last number, of one length; the narrowest wins. Unit: "+31201234500-+31201234599"."""
    trunks: Names = ()
    """Every call of these peers that nothing more specific names. Unit: names of [peers] tables."""
    queues: Names = ()
    """Values of the header X-QM-Line of a trusted peer."""
    extensions: Names = ()
    """Internal extensions; they count as our own people."""
    direction: Annotated[Direction | None, Field(strict=False)] = None
    """Only calls of this direction. Empty: both."""


class Line(Customer):
    """One line. Only a customer-facing one has anything to say beyond kind and match."""

    kind: Annotated[LineKind, Field(strict=False)]
    """customer-facing, unlisted, private or confidential."""
    match: Match
    """How it is recognised."""
    reason: str = ""
    """Why a line is private or confidential."""


class Failover(Model):
    """What happens when recording is not possible."""

    recorder_down: Literal["connect-unrecorded"] = "connect-unrecorded"
    """The call goes on and is not recorded; that is an outcome, a count of `qm-sip status`, and a log line."""


class Lines(Model):
    """`lines.toml` as a whole."""

    default: Default = Default()
    numbering: Numbering = Numbering()
    internal: Internal = Internal()
    never: Never = Never()
    customer: Customer = Customer()
    failover: Failover = Failover()
    line: Table[Line] = Field(default_factory=dict)
