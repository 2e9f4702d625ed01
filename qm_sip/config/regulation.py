"""`regulation.toml`: what was agreed with the works council; changes need the council."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from qm_sip.config.base import DurationSetting, Filled, Model, Names, OptionalDate, OptionalDuration, Table
from qm_sip.config.duration import Duration
from qm_sip.policy.facts import RecordingClass

Ground = Literal["a", "b", "c", "d", "e", "f"]
Mode = Literal["live", "later", "together", "side-by-side", "peer", "screen", "derived-redacted"]


class Consent(Model):
    """The four dated steps of consent (WP-11) and what it covers."""

    requested: OptionalDate = None
    """When it was asked for in writing. Unit: date."""
    met: tuple[OptionalDate, ...] = ()
    """The meetings with the council, at least one. Unit: dates."""
    decided: OptionalDate = None
    """The council's written decision. Unit: date."""
    employer: OptionalDate = None
    """The employer's written decision. Unit: date."""
    from_: Annotated[OptionalDate, Field(alias="from")] = None
    """From when it holds. Unit: date."""
    scope: Names = ()
    """The scopes consented to. Unit: names of [scopes] tables."""


class NoticeToAgents(Model):
    """The notice agents get beforehand (KSF15-3.6a, 3.7.3)."""

    version: str = ""
    """Version of the notice in use."""
    days_before: Annotated[int, Field(ge=0, le=365)] = 14
    """How long beforehand an agent must have had it. Unit: days."""


class Regulation(Model):
    """The regulation itself."""

    version: str = ""
    """Its version, in your own words; a recording names it."""
    status: Literal["draft", "in-force", "suspended"] = "draft"
    """Only in-force allows class quality; suspended stops it at once."""
    controller: str = ""
    """Who is responsible."""
    officer: str = ""
    """The privacy officer, who may see who phoned whom. Unit: id of a person."""
    council: Names = ()
    """The members of the works council who may see who listened to whom, and why. Unit: ids of persons."""
    questions_to: Names = ()
    """Whom staff can ask (KSF15-3.7.4)."""
    works_council: Literal["required", "none"] = "required"
    """required: consent in four steps. none: there is no council; needs a reason (KSF15-2.1m)."""
    works_council_reason: str = ""
    """Why there is no council whose consent is needed."""
    consent: Consent = Consent()
    """The consent."""
    notice_to_agents: NoticeToAgents = NoticeToAgents()
    """The notice to agents."""
    review_by: DurationSetting = Duration.parse("P1Y")
    """Advice is given when it was not reviewed for so long (KSF15-3.12). Unit: time."""
    strict_wp: bool = True
    """Time to improve after every series of sessions, those of one month (WP-3); false: after an assessment only
    (KSF15-2.1f).
    """
    covert: Literal["not built"] = "not built"
    """Covert monitoring: not built (FAQ-A.13)."""

    def lacks(self, today: date) -> str:
        """Say in a few words what keeps it from being in force on that day; empty if it is in force."""
        consent = self.consent
        steps = (consent.requested, consent.decided, consent.employer)
        checks = (
            (self.status == "in-force", f"its status is {self.status}"),
            (bool(self.version), "it has no version"),
            (bool(self.controller), "it names no controller"),
            (bool(self.officer), "it names no officer"),
            (bool(self.questions_to), "it names nobody for questions"),
            (self.works_council == "required" or bool(self.works_council_reason), "no council, no reason"),
            (self.works_council == "none" or (all(steps) and any(consent.met)), "consent is not complete"),
            (consent.from_ is not None and consent.from_ <= today, "it has not begun"),
        )
        return next((why for holds, why in checks if not holds), "")


class Grounds(Model):
    """The legal ground (GDPR art. 6(1)) towards each kind of person (KSF15-2.1c)."""

    agent: Ground
    """Towards the agent. Unit: letter of art. 6(1)."""
    customer: Ground
    """Towards the customer. Unit: letter of art. 6(1)."""


class PurposeRule(Model):
    """One purpose. The names are a closed list: a purpose nobody wrote rules for cannot be configured."""

    cls: Annotated[RecordingClass, Field(alias="class", strict=False)] = RecordingClass.QUALITY
    """quality (monitoring) or logging (evidence). Follows from the name; a file may only repeat it."""
    enabled: bool = True
    """Whether lines may use it."""
    protocol: str = ""
    """The assessment protocol with consent; assessment cannot be enabled without (KSF15-4.1)."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = ("later",)
    """How its audio may be used, within what the code of conduct allows (KSF15-1.2)."""
    ground: Grounds
    """Legal grounds."""
    balancing: str = ""
    """Reference of the balancing test where a ground is f."""
    opt_out: bool = True
    """Whether a customer's objection ends it. False only for legal_duty and contract_evidence."""


class Scope(Model):
    """A part of the work the council consents to as a whole; lines name it."""

    says: Filled
    """What it is, in a sentence the council knows."""
    purposes: Annotated[Names, Field(min_length=1)]
    """The purposes it covers. Unit: names of [purposes] tables."""


class Plan(Model):
    """A monitoring plan: what agents are told beforehand of how often they are listened to (KSF15-3.6, 3.7.2). What was
    published is also the cap, per agent and calendar month.
    """

    published: OptionalDate = None
    """When its agents got it; nobody listens under it before the day after. Unit: date. Empty: not published."""
    purposes: Annotated[Names, Field(min_length=1)]
    """The purposes it is for. Unit: names of [purposes] tables."""
    agents: Annotated[Names, Field(min_length=1)] = ("*",)
    """The agents it is for. Unit: ids of agents; "*" for all."""
    recorded: Annotated[int, Field(ge=0)] = 8
    """How many of his calls are recorded for quality. Published; nothing here counts them yet."""
    selected: Annotated[int, Field(ge=0)] = 3
    """How many of those somebody picks to evaluate (KSF15-0.7). Published; nothing here counts them yet."""
    live_sessions: Annotated[int, Field(ge=0)] = 2
    """How many times somebody listens live; then it is refused (KSF15-3.5b)."""
    live_minutes: Annotated[int, Field(ge=0)] = 30
    """How long in all. Unit: minutes."""
    session_max: DurationSetting = Duration.parse("20m")
    """How long one session lasts at most. Unit: time."""
    sample: str = "random, committed seed"
    """How calls are chosen, in words the agents know."""
    alternatives_considered: str = ""
    """Which lighter means were considered, and why they are not enough (KSF15-3.5a). Required to publish it."""
    peer_scores: Literal[False] = False
    """Never: a colleague gives no scores (KSF15-0.9)."""
    extra_assessment_moments: Literal[3] = 3
    """At most three, and only at the agent's request (KSF15-4.7)."""


class Notices(Model):
    """What agents are told, and when."""

    agent_before_listening: Literal["each"] = "each"
    """Before each session, before the first sample is heard (KSF15-6.4c, AP 2018)."""
    agent_recording_tone: bool = True
    """Whether the agent hears that a recording begins (A1)."""
    agent_mid_call: Literal["tone", "speech"] = "tone"
    """How he is told while he talks: a tone, or a sentence."""
    agent_after: DurationSetting = Duration.parse("P1D")
    """When a notice afterwards is due, of listening (FAQ-A.8). Unit: time."""


class Clocks(Model):
    """How long things are kept, from the start of the call. A ceiling: never longer, often shorter."""

    quality_ceiling: DurationSetting = Duration.parse("P2M")
    """Every quality recording (WP-18). Unit: time, at most P2M."""
    not_selected_after: DurationSetting = Duration.parse("P14D")
    """A recording nobody selected by then is to go (KSF15-0.7). Unit: time."""
    not_evaluated_after: DurationSetting = Duration.parse("P28D")
    """A recording for assessment not evaluated by then is to go (KSF15-4.10). Unit: time."""
    improvement_window: DurationSetting = Duration.parse("P14D")
    """Time to improve: after an assessment before the next, and after a series of sessions before the next month's
    (KSF15-2.1f, WP-3). Unit: time.
    """
    contract_evidence: OptionalDuration = None
    """Evidence of an agreement: until performed plus limitation (KSF15-2.1i). Unit: time. Required to use
    it.
    """
    complaint: OptionalDuration = None
    """Recordings for handling complaints. Unit: time. Required to use it."""
    legal_duty: DurationSetting = Duration.parse("P5Y")
    """Recordings the law requires (2017/565 art. 76). Unit: time."""
    ledger_parties: DurationSetting = Duration.parse("P2M")
    """Who took part in a call, and when: gone with its last recording, or then if it has none (KSF15-1.1a). Unit: time.
    """


class RegulationFile(Model):
    """`regulation.toml` as a whole."""

    regulation: Regulation = Regulation()
    purposes: Table[PurposeRule] = Field(default_factory=dict)
    scopes: Table[Scope] = Field(default_factory=dict)
    plan: Table[Plan] = Field(default_factory=dict)
    notices: Notices = Notices()
    clocks: Clocks = Clocks()
