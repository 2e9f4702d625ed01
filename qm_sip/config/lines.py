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

Announce = Literal["before-ring", "on-answer", "receipt"]
Codec = Literal["PCMA", "PCMU", "G722", "opus", "L16", "L16/8000", "L16/16000"]
Capture = Literal["none", "sample", "on-request", "trigger", "all"]


def _language(tag: str) -> str:
    if not (2 <= len(tag) <= 8 and tag.isascii() and tag.isalpha() and tag.islower()):
        raise ValueError(f'{tag!r} is not a language: write "nl" or "en"')
    return tag


Language = Annotated[str, AfterValidator(_language)]


def _keys(code: str) -> str:
    if not 2 <= len(code) <= 8 or set(code) - set("0123456789*#"):
        raise ValueError("must be two to eight keys: digits, * and #")
    return code


def _dialled(code: str) -> str:
    if code[:1] not in ("*", "#"):
        raise ValueError("must begin with * or #, so that it is nobody's number")
    return _keys(code)


KeyCode = Annotated[
    str, AfterValidator(_keys)
]  # in a call: one key alone would be a digit for somebody's menu
DialledCode = Annotated[str, AfterValidator(_dialled)]


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


class Listed(Model):
    """An entry of the registry: numbers that beat every rule, on either side of a call, and who says so. A change is
    obeyed at the next reload, by running calls too.
    """

    name: Filled
    """Whose they are: works council, break room on the second floor. Never shown, logged or kept."""
    numbers: Names = ()
    """Whole numbers and extensions, a group's own among them. Unit: digits, with or without +."""
    ranges: Names = ()
    """First and last number, of one length. Unit: "1900-1909"."""
    prefixes: Names = ()
    """Beginnings of numbers."""
    reason: Filled
    """Why they are here."""
    source: str = ""
    """Who decided it, or where it is written: a letter, the minutes of a meeting."""
    since: OptionalDate = None
    """The first day it holds. Empty: always. Unit: date."""
    until: OptionalDate = None
    """The last day it holds. Empty: for good. Unit: date."""


class Never(Model):
    """What beats every rule below, on either side of the call."""

    emergency: Names = ("112",)
    """Emergency numbers: no prompt, no delay, no party in any row."""
    confidential: tuple[Listed, ...] = ()
    """Confidential functions: works council, company doctor, confidential adviser (KSF15-2.1l). Media direct, and
    only a count per day.
    """
    break_room: tuple[Listed, ...] = ()
    """Phones in the break room: private (WP-17)."""
    private_reach: tuple[Listed, ...] = ()
    """Where the family reaches an agent: private (WP-17)."""
    agreed: tuple[Listed, ...] = ()
    """Customers with whom it was agreed that nothing is recorded or heard (FAQ-B.7). Only a legal duty outranks it."""
    blind_relay_confidential: Literal[False] = False
    """Never: a confidential call that cannot go direct is handed back."""


class HeaderIs(Model):
    """A header of the call's INVITE."""

    name: Filled
    """One of the [sip] carry_headers; read from a trusted peer only. Unit: header name."""
    values: Annotated[Names, Field(min_length=1)]
    """It holds when the header has one of these values, as written."""


class Trigger(Model):
    """What makes one call of the line be recorded (capture = "trigger"). A closed list of conditions: all that are
    named must hold; of the values of one, any.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    """What the recording will say was its cause. Unit: small letters, digits and dashes."""
    direction: Annotated[Direction | None, Field(strict=False)] = None
    """Calls of this direction. Empty: both."""
    queues: Names = ()
    """Calls of these queues. Unit: values of the header X-QM-Line."""
    campaigns: Names = ()
    """Calls of these campaigns. Unit: values of `campaign`."""
    clients: Names = ()
    """Calls on behalf of these clients. Unit: values of `client`."""
    languages: tuple[Language, ...] = ()
    """Calls that ask for one of these languages, by the header X-QM-Language."""
    header: HeaderIs | None = None
    """Calls with this header."""


class Customer(Model):
    """What every customer-facing line inherits, and may say otherwise for itself."""

    capture: Capture = "none"
    """Which calls are recorded: none; a fair sample; on-request, those the agent asks for; trigger, those that meet a
    condition; all (KSF15-0.2). With all the prompt says "is recorded", otherwise "may be".
    """
    sample: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of calls that a sample draws. Unit: from 0 to 1, such as 0.1. Required for capture = "sample"."""
    trigger: tuple[Trigger, ...] = ()
    """The conditions of capture = "trigger"; the first that holds is the cause."""
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
    announce: Annotated[Announce, not_built("already-informed")] = "before-ring"
    """When the customer is told. A line behind a queue must say on-answer, or receipt: told while he waits; a call
    without a valid receipt is told on-answer.
    """
    announce_retry: Literal[0] = 0
    """A prompt that failed is not played again: the call goes on unrecorded."""
    prompt_max: DurationSetting = Duration.parse("15s")
    """Advice is given above this length of the prompt. Unit: time."""
    codecs: tuple[Codec, ...] = ()
    """Codecs of calls that pass through here, in the order they are wanted: PCMA, PCMU, G722, opus, L16. Others are
    negotiated away; a call that offers none of them is not recorded, and goes direct. Empty: all but L16, in the order
    the parties prefer; where we answer before the other side is known, G.711 if it is offered.
    """
    opt_out: bool = True
    """Whether the customer can object. False only with a legal duty or contract evidence (WP-26)."""
    opt_out_key: Literal["9"] = "9"
    """The customer's key to object while the notice plays; the prompts say 9."""
    opt_out_key_in_call: KeyCode = "*9"
    """The customer's keys to object later in the call (WP-26). Unit: keys, two at least."""
    objection_key: KeyCode = "*8"
    """The agent's keys to object for the customer who says so (WP-26, FAQ-B.12). Unit: keys, two at least."""
    info_key: Literal["8"] = "8"
    """The customer's key for more information while the notice plays (KSF15-6.6b); the prompts say 8."""
    info_key_in_call: KeyCode = "*8"
    """The customer's keys for it later in the call. Unit: keys, two at least."""
    hold: Literal["not-recorded"] = "not-recorded"
    """Whoever is on hold is not recorded (AP, August 2023)."""
    consult: Literal["not-recorded"] = "not-recorded"
    """A consultation between staff is not recorded (WP-15)."""
    ringing_ivr: Literal["not-recorded"] = "not-recorded"
    """Ringing and menus are not recorded (KSF15-2.1d)."""
    keypresses: Literal["dropped"] = "dropped"
    """Key presses are never kept (KSF15-2.1d)."""
    pause_resume_after: DurationSetting = Duration.parse("90s")
    """A pause (a card number) ends by itself after this, spoken. Unit: time."""
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


class PrivateCalls(Model):
    """How an agent makes a call private, before it or in it, at his own phone (KSF15-3.9)."""

    code: KeyCode = "*1"
    """Pressed in a call: from now on, and from `drop_before` earlier, nothing of it is kept or heard. Unit: keys."""
    prefix: DialledCode = "*66"
    """Dialled before a number: a private call to it. Unit: keys."""
    next_call: DialledCode = "*67"
    """Dialled: the next call is private. Unit: keys."""
    until_off: DialledCode = "*68"
    """Dialled: every call is private, until switched off or `preset_max` has passed. Unit: keys."""
    off: DialledCode = "*69"
    """Dialled: no longer. A call that is private stays so. Unit: keys."""
    menu: DialledCode = "*57"
    """Dialled: hear the proof of the last private call, and who may listen (KSF15-3.3.3). Unit: keys."""
    drop_before: DurationSetting = Duration.parse("10s")
    """What was said this long before the code is cut away too: privacy began before the finger did. Unit: time."""
    preset_max: DurationSetting = Duration.parse("1d")
    """How long what was set beforehand lasts at most. Unit: time."""
    return_in_call: Literal[False] = False
    """Never: private lasts until the call ends (KSF15-3.9)."""
    cli_off: Literal[False] = False
    """Never: only the agent's own phone ends what he set."""
    on_duty_line: Literal["refuse"] = "refuse"
    """Where the law requires a recording, private is refused aloud (KSF15-6.3a)."""


class Pause(Model):
    """How an agent pauses recording and listening, for a card number (EXT-3)."""

    code: KeyCode = "*2"
    """Pressed in a call: pause; pressed again: go on. Unit: keys."""


class Request(Model):
    """How an agent has a call recorded, on a line with capture = "on-request" (KSF15-0.2)."""

    code: KeyCode = "*3"
    """Pressed in a call: record it from now on. Unit: keys."""


class Monitoring(Model):
    """How a supervisor asks to listen."""

    code: DialledCode = "*55"
    """Dialled: the menu that asks for the extension, the purpose and his code. Unit: keys."""
    wait_max: DurationSetting = Duration.parse("30m")
    """How long he may wait for an idle agent's next call. Unit: time."""


class ReceiptService(Model):
    """The announcement a customer hears while he waits, before an agent is called (announce = "receipt")."""

    user: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = "announce"
    """What the dialplan dials for it. Unit: user part of the Request-URI."""
    lasts: DurationSetting = Duration.parse("10m")
    """How long a receipt is valid: the longest a customer waits in the queue. Unit: time."""


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
    private: PrivateCalls = PrivateCalls()
    pause: Pause = Pause()
    request: Request = Request()
    monitoring: Monitoring = Monitoring()
    receipt: ReceiptService = ReceiptService()
    failover: Failover = Failover()
    line: Table[Line] = Field(default_factory=dict)
