"""`people.toml`: agents as persons, apart from their devices, and who may play recordings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qm_sip.config.base import DurationSetting, Model, Names, OptionalDate, Table
from qm_sip.config.duration import Duration


class Notice(Model):
    """Which notice about monitoring a person was given, and when (KSF15-3.7.3)."""

    version: str = ""
    """Version of the notice, as in regulation.toml. Empty: none was given."""
    given: OptionalDate = None
    """When it was given. Unit: date."""


class AgentDefaults(Model):
    """`[agent.default]`: what every agent inherits."""

    monitorable: bool = False
    """Whether quality recordings of this person may be made; true needs a reason and a notice (KSF15-3.2)."""
    reason: str = ""
    """Why this person is in the population to be monitored (KSF15-3.2a)."""
    confidential: Literal["", "all-calls"] = ""
    """all-calls: every call of this person is confidential (council member, doctor, adviser; KSF15-2.1l)."""
    notice: Notice = Notice()
    """The notice given to this person."""
    manager: str = ""
    """The direct manager, who gives feedback (KSF15-4.5). Unit: id of a person."""


class Agent(AgentDefaults):
    """One person; `[agent.default]` holds what all inherit. The id is yours and appears in recordings: no
    name, no number.
    """

    extensions: Names = ()
    """The devices this person always uses."""
    unix_user: str = ""
    """The Unix user who may ask in this person's name, for his own calls. Empty: only root and the server's own."""


class MonitorDefaults(Model):
    """`[monitor.default]`: what every listener and player of recordings inherits."""

    expires: DurationSetting = Duration.parse("P6M")
    """How long a grant lasts (KSF15-3.3.2). Unit: time."""


class Monitor(MonitorDefaults):
    """Somebody who may play recordings, for named purposes; `[monitor.default]` holds what all inherit."""

    purposes: Names = ()
    """For which purposes. Unit: names of [purposes] tables."""
    may: Annotated[tuple[Literal["play", "export"], ...], Field(min_length=1)] = ("play",)
    """play: see and hear; export: take a copy out."""
    granted_by: str = ""
    """The manager who granted it; never himself (KSF15-3.3.2)."""
    granted: OptionalDate = None
    """When. Unit: date."""
    secrecy_signed: OptionalDate = None
    """When the statement of secrecy was signed; empty: no access (KSF15-3.3.5). Unit: date."""
    qualified_until: OptionalDate = None
    """Until when this person is qualified to monitor (WP-14a). Unit: date. Empty: no end."""
    unix_user: str = ""
    """The Unix user who may ask in this person's name. Empty: only root and the server's own user may."""


class People(Model):
    """`people.toml` as a whole."""

    agent: Table[Agent] = Field(default_factory=dict)
    monitor: Table[Monitor] = Field(default_factory=dict)
